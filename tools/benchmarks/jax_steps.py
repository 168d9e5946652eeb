"""The four training steps in JAX: each a jitted pure function of parameters and a batch, its parameters donated.

build("softmax", data).steps(100)   # 100 dispatches fed NumPy arrays, then one wait for the last result
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .program import Program
from .workloads import WORKLOADS, Data

Parameters = dict[str, Any]


def build(workload: str, data: Data) -> Program:
    """Returns the workload's jitted step, plain gradient descent, or Adam with dropout for the CNN."""
    if workload == "cnn":
        return cnn_program(data)
    loss, rate = LOSSES[workload], WORKLOADS[workload].rate

    def updated(parameters: Parameters, x: Any, y: Any) -> Parameters:
        return jax.tree.map(lambda p, g: p - rate * g, parameters, jax.grad(loss)(parameters, x, y))

    step = jax.jit(updated, donate_argnums=0)
    batches, held = as_float32(data.batches), as_float32([data.held])[0]
    parameters = {name: jnp.array(value) for name, value in data.start.items()}

    def steps(count: int) -> None:
        nonlocal parameters
        for i in range(count):
            x, y = batches[i % len(batches)]
            parameters = step(parameters, x, y)
        jax.block_until_ready(parameters)

    return Program(steps, lambda: float(jax.jit(loss)(parameters, *held)))


def as_float32(batches: list[Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The batches as float32 NumPy arrays, which JAX takes faster than lists."""
    return [(np.asarray(x, np.float32), np.asarray(y, np.float32)) for x, y in batches]


def linear_loss(p: Parameters, x: Any, y: Any) -> Any:
    """Summed squares of W x + b - y."""
    return jnp.sum((p["W"] * x + p["b"] - y) ** 2)


def two_layer_loss(p: Parameters, x: Any, y: Any) -> Any:
    """2-20-1 with relu, mean square."""
    hidden = jax.nn.relu(x @ p["W1"] + p["b1"])
    return jnp.mean((hidden @ p["W2"] + p["b2"] - y) ** 2)


def softmax_loss(p: Parameters, x: Any, y: Any) -> Any:
    """The hand-written cross-entropy, log of softmax, as in the user's program."""
    predicted = jax.nn.softmax(x @ p["W"] + p["b"])
    return jnp.mean(-jnp.sum(y * jnp.log(predicted), axis=1))


LOSSES = {"linear": linear_loss, "two_layer": two_layer_loss, "softmax": softmax_loss}


def cnn_loss(p: Parameters, x: Any, y: Any, key: Any = None) -> Any:
    """The MNIST network's cross-entropy; with a key, half of the dense layer is dropped."""

    def convolved(value: Any, filters: Any, bias: Any) -> Any:
        value = jax.lax.conv_general_dilated(value, filters, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jax.lax.reduce_window(jax.nn.relu(value + bias), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")

    h2 = convolved(x.reshape(-1, 28, 28, 1), p["F1"], p["b1"])
    h4 = convolved(h2, p["F3"], p["b3"])
    h5 = jax.nn.relu(h4.reshape(-1, 7 * 7 * 64) @ p["w5"] + p["b5"])
    if key is not None:
        h5 = jnp.where(jax.random.bernoulli(key, 0.5, h5.shape), h5 / 0.5, 0.0)
    logits = h5 @ p["w6"] + p["b6"]
    return jnp.mean(-jnp.sum(y * jax.nn.log_softmax(logits), axis=1))


def cnn_program(data: Data) -> Program:
    """Adam (Kingma and Ba 2015, algorithm 1, the form with the corrected rate) on the CNN; the key is split inside the step."""
    rate = WORKLOADS["cnn"].rate

    def updated(state: tuple[Any, ...], x: Any, y: Any) -> tuple[Any, ...]:
        parameters, means, squares, count, key = state
        key, drawn = jax.random.split(key)
        gradients = jax.grad(cnn_loss)(parameters, x, y, drawn)
        count = count + 1
        corrected = rate * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        parameters = jax.tree.map(lambda p, m, v: p - corrected * m / (jnp.sqrt(v) + 1e-8), parameters, means, squares)
        return parameters, means, squares, count, key

    step = jax.jit(updated, donate_argnums=0)
    parameters = {name: jnp.array(value) for name, value in data.start.items()}
    zeros = [{name: jnp.zeros_like(value) for name, value in parameters.items()} for _ in range(2)]
    state: tuple[Any, ...] = (parameters, *zeros, jnp.zeros((), jnp.float32), jax.random.key(0))
    batches = data.batches

    def steps(count: int) -> None:
        nonlocal state
        for i in range(count):
            x, y = batches[i % len(batches)]
            state = step(state, x, y)
        jax.block_until_ready(state)

    return Program(steps, lambda: float(jax.jit(cnn_loss)(state[0], *data.held)))
