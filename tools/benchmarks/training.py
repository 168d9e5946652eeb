"""Training loops, one per library: a loss and start values become a Program whose steps are what a user of that library writes.

    gradient_descent_in_jax(jax, loss, data, rate=0.01).steps(100)     # 100 dispatches fed NumPy arrays, then one wait

The loss is written once per workload and library, in `cases/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .program import Program

Batch = tuple[Any, Any]
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Data:
    """Start values of the parameters by name, the batches that the steps cycle through, and the rows that losses are taken on."""

    start: dict[str, np.ndarray]
    batches: list[Batch]
    held: Batch


def in_float32(batches: list[Batch]) -> list[Batch]:
    """The batches as float32 NumPy arrays, which most libraries take faster than lists."""
    return [(np.asarray(x, np.float32), np.asarray(y, np.float32)) for x, y in batches]


Build = Callable[[Any, Data], tuple[Any, Any, Any, Any]]


def session_program(tf: Any, build: Build, optimizer: Callable[[Any], Any], data: Data, in_one_call: bool = False) -> Program:
    """TensorFlow 1's way, in flowc and in TensorFlow: `build(tf, data)` makes x, y, the share that dropout keeps (or None) and the loss.

    in_one_call: flowc's `run_loop`, which takes the batches out of the data itself; they are slices of the held rows in order.
    """
    with tf.Graph().as_default():
        x, y, keep, loss = build(tf, data)
        train = optimizer(tf).minimize(loss)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
    run, batches = session.run, data.batches

    def steps_in_one_call(count: int) -> None:
        session.run_loop(train, count, data=dict(zip((x, y), data.held, strict=True)), batch_size=len(batches[0][0]))

    def steps(count: int) -> None:
        for i in range(count):
            xs, ys = batches[i % len(batches)]
            run(train, {x: xs, y: ys})

    def steps_with_dropout(count: int) -> None:
        for i in range(count):
            xs, ys = batches[i % len(batches)]
            run(train, {x: xs, y: ys, keep: 0.5})

    def answer() -> float:
        feeds = {x: data.held[0], y: data.held[1]}
        return float(run(loss, feeds if keep is None else {**feeds, keep: 1.0}))

    return Program(steps_in_one_call if in_one_call else steps if keep is None else steps_with_dropout, answer)


def gradient_descent_in_jax(jax: Any, loss: Callable[..., Any], data: Data, rate: float) -> Program:
    """A jitted step with donated parameters, fed NumPy arrays."""

    def updated(parameters: Parameters, x: Any, y: Any) -> Parameters:
        return jax.tree.map(lambda p, g: p - rate * g, parameters, jax.grad(loss)(parameters, x, y))

    step = jax.jit(updated, donate_argnums=0)
    batches, held = in_float32(data.batches), in_float32([data.held])[0]
    parameters = jax.tree.map(jax.numpy.array, data.start)

    def steps(count: int) -> None:
        nonlocal parameters
        for i in range(count):
            x, y = batches[i % len(batches)]
            parameters = step(parameters, x, y)
        jax.block_until_ready(parameters)

    return Program(steps, lambda: float(jax.jit(loss)(parameters, *held)))


def loop_in_jax(jax: Any, loss: Callable[..., Any], data: Data, rate: float) -> Program:
    """Many steps in one compiled call: a `fori_loop` over the numbers of the batches, which lie on the device."""
    jnp = jax.numpy
    batches, held = in_float32(data.batches), in_float32([data.held])[0]
    xs, ys = (jnp.asarray(np.stack([batch[part] for batch in batches])) for part in (0, 1))

    def all_steps(parameters: Parameters, xs: Any, ys: Any, count: int) -> Parameters:
        def one(i: Any, p: Parameters) -> Parameters:
            slopes = jax.grad(loss)(p, xs[i % len(batches)], ys[i % len(batches)])
            return jax.tree.map(lambda p, g: p - rate * g, p, slopes)

        return jax.lax.fori_loop(0, count, one, parameters)

    run = jax.jit(all_steps, donate_argnums=0)
    parameters = jax.tree.map(jnp.array, data.start)

    def steps(count: int) -> None:
        nonlocal parameters
        parameters = jax.block_until_ready(run(parameters, xs, ys, count))

    return Program(steps, lambda: float(jax.jit(loss)(parameters, *held)))


def gradient_descent_in_torch(
    torch: Any, plain: Callable[..., Any], data: Data, rate: float, compiled: bool, start: Mapping[str, np.ndarray] | None = None
) -> Program:
    """Loss, backward, and an update by hand under no_grad, which is quicker than an optimizer object."""
    parameters = torch_parameters(torch, data.start if start is None else start)
    values = list(parameters.values())

    def update() -> None:
        with torch.no_grad():
            for value in values:
                value.sub_(value.grad, alpha=rate)
                value.grad = None

    return torch_program(torch, plain, parameters, update, data, compiled, ())


def torch_parameters(torch: Any, start: Mapping[str, np.ndarray]) -> Parameters:
    """Start values as tensors that want a gradient."""
    return {name: torch.tensor(value).requires_grad_() for name, value in start.items()}


def torch_program(
    torch: Any, plain: Callable[..., Any], parameters: Parameters, update: Callable[[], None], data: Data, compiled: bool, training: tuple[Any, ...]
) -> Program:
    """Loss through torch.compile or as it is, backward, `update()`; `training` is passed to the loss in the steps alone."""
    loss = torch.compile(plain) if compiled else plain
    batches = in_float32(data.batches)
    held = [torch.from_numpy(np.asarray(part, np.float32)) for part in data.held]

    def steps(count: int) -> None:
        for i in range(count):
            x, y = batches[i % len(batches)]
            loss(parameters, torch.from_numpy(x), torch.from_numpy(y), *training).backward()
            update()

    def answer() -> float:
        with torch.no_grad():
            return float(plain(parameters, *held))

    return Program(steps, answer)


def gradient_descent_in_pytensor(pytensor: Any, loss_of: Callable[..., Any], data: Data, rate: float, rank: int) -> Program:
    """A function whose updates write the shared parameters."""
    import pytensor.tensor as pt

    pytensor.config.floatX = "float32"
    x, y = (pt.TensorType("float32", (None,) * rank)(name) for name in ("x", "y"))
    p = {name: pytensor.shared(value, name) for name, value in data.start.items()}
    loss = loss_of(p, x, y)
    gradients = pytensor.grad(loss, list(p.values()))
    updates = [(value, value - np.float32(rate) * gradient) for value, gradient in zip(p.values(), gradients, strict=True)]
    step = pytensor.function([x, y], [], updates=updates)
    step.trust_input = True  # the batches have the right type already, and checking it takes longer than the small steps
    batches, held = in_float32(data.batches), in_float32([data.held])[0]

    def steps(count: int) -> None:
        for i in range(count):
            step(*batches[i % len(batches)])

    return Program(steps, lambda: float(pytensor.function([x, y], loss)(*held)))
