"""Linear regression: W x + b against four points, summed squares, gradient descent.

    loss = sum((W x + b - y) ** 2),   x = [1, 2, 3, 4], y = [0, -1, -2, -3]
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..program import Program
from ..training import (
    Data,
    Parameters,
    gradient_descent_in_jax,
    gradient_descent_in_pytensor,
    gradient_descent_in_torch,
    loop_in_jax,
    session_program,
)
from ..workload import Workload

RATE = 0.01


def make(workload: Workload) -> Data:
    """The line y = 1 - x through four points, fed as the lists that the user writes, or as arrays."""
    start = {"W": np.array([0.3], np.float32), "b": np.array([-0.3], np.float32)}
    x, y = [1, 2, 3, 4], [0, -1, -2, -3]
    points: tuple[Any, Any] = (x, y) if workload.task == "step" else (np.array(x, np.float32), np.array(y, np.float32))
    return Data(start, [points], points)


def graph(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    """The placeholders have no shape, as in the user's program."""
    W, b = tf.Variable(data.start["W"], dtype=tf.float32), tf.Variable(data.start["b"], dtype=tf.float32)
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    return x, y, None, tf.reduce_sum(tf.square(W * x + b - y))


def in_session(tf: Any, workload: Workload, data: Data) -> Program:
    return session_program(tf, graph, lambda tf: tf.train.GradientDescentOptimizer(RATE), data, workload.task == "loop")


def in_flowc_compile(flowc: Any, workload: Workload, data: Data) -> Program:
    """A pure function of the parameters, compiled."""

    def loss(parameters: tuple[Any, Any], x: Any, y: Any) -> Any:
        W, b = parameters
        return flowc.reduce_sum((W * x + b - y) ** 2)

    @flowc.compile
    def step(W: Any, b: Any, x: Any, y: Any) -> tuple[Any, Any]:
        _, (of_W, of_b) = flowc.value_and_grad(loss)((W, b), x, y)
        return W - RATE * of_W, b - RATE * of_b

    W, b = data.start["W"], data.start["b"]
    x, y = (np.asarray(part, np.float32) for part in data.batches[0])

    def steps(count: int) -> None:
        nonlocal W, b
        for _ in range(count):
            W, b = step(W, b, x, y)

    return Program(steps, lambda: float(np.sum((W * x + b - y) ** 2)))


def squares(jnp: Any, p: Parameters, x: Any, y: Any) -> Any:
    """The loss in any library of arrays."""
    return jnp.sum((p["W"] * x + p["b"] - y) ** 2)


def in_jax(jax: Any, workload: Workload, data: Data) -> Program:
    training = loop_in_jax if workload.task == "loop" else gradient_descent_in_jax
    return training(jax, partial(squares, jax.numpy), data, RATE)


def in_torch(torch: Any, workload: Workload, data: Data, compiled: bool = False) -> Program:
    return gradient_descent_in_torch(torch, partial(squares, torch), data, RATE, compiled)


def in_pytensor(pytensor: Any, workload: Workload, data: Data) -> Program:
    """One parameter row over all points is said through its broadcast first axis."""
    import pytensor.tensor as pt

    def loss(p: Parameters, x: Any, y: Any) -> Any:
        return pt.sum((p["W"][0] * x + p["b"][0] - y) ** 2)

    return gradient_descent_in_pytensor(pytensor, loss, data, RATE, rank=1)


BUILDERS = {
    "flowc": in_session,
    "tensorflow": in_session,
    "flowc.compile": in_flowc_compile,
    "jax": in_jax,
    "torch": in_torch,
    "torch.compile": partial(in_torch, compiled=True),
    "pytensor": in_pytensor,
}
