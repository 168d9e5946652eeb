"""A 2-20-1 network with relu on a wavy surface, mean square, gradient descent, batches of 10."""

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
    """A thousand points of sin(pi/2 x1) cos(pi/4 x2) on a square, in a hundred batches of 10."""
    rng = np.random.RandomState(0)
    x = rng.uniform(-2, 2, size=(1000, 2)).astype(np.float32)
    y = (np.sin(np.pi / 2 * x[:, :1]) * np.cos(np.pi / 4 * x[:, 1:])).astype(np.float32)
    start = {
        "W1": (rng.standard_normal((2, 20)) * np.sqrt(6 / 22)).astype(np.float32),
        "b1": np.zeros(20, np.float32),
        "W2": (rng.standard_normal((20, 1)) * np.sqrt(6 / 21)).astype(np.float32),
        "b2": np.zeros((), np.float32),
    }
    return Data(start, [(x[i : i + 10], y[i : i + 10]) for i in range(0, 1000, 10)], (x, y))


def graph(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    x, y = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.float32, [None, 1])
    W1, b1, W2, b2 = (tf.Variable(data.start[name]) for name in ("W1", "b1", "W2", "b2"))
    hidden = tf.nn.relu(tf.add(tf.matmul(x, W1), b1))
    return x, y, None, tf.reduce_mean(tf.square(tf.add(tf.matmul(hidden, W2), b2) - y))


def in_session(tf: Any, workload: Workload, data: Data) -> Program:
    return session_program(tf, graph, lambda tf: tf.train.GradientDescentOptimizer(RATE), data, workload.task == "loop")


def in_jax(jax: Any, workload: Workload, data: Data) -> Program:
    def loss(p: Parameters, x: Any, y: Any) -> Any:
        hidden = jax.nn.relu(x @ p["W1"] + p["b1"])
        return jax.numpy.mean((hidden @ p["W2"] + p["b2"] - y) ** 2)

    training = loop_in_jax if workload.task == "loop" else gradient_descent_in_jax
    return training(jax, loss, data, RATE)


def in_torch(torch: Any, workload: Workload, data: Data, compiled: bool = False) -> Program:
    def loss(p: Parameters, x: Any, y: Any) -> Any:
        hidden = torch.relu(torch.addmm(p["b1"], x, p["W1"]))
        return torch.nn.functional.mse_loss(hidden @ p["W2"] + p["b2"], y)

    return gradient_descent_in_torch(torch, loss, data, RATE, compiled)


def in_pytensor(pytensor: Any, workload: Workload, data: Data) -> Program:
    import pytensor.tensor as pt

    def loss(p: Parameters, x: Any, y: Any) -> Any:
        hidden = pt.maximum(x @ p["W1"] + p["b1"], np.float32(0))
        return pt.mean((hidden @ p["W2"] + p["b2"] - y) ** 2)

    return gradient_descent_in_pytensor(pytensor, loss, data, RATE, rank=2)


BUILDERS = {
    "flowc": in_session,
    "tensorflow": in_session,
    "jax": in_jax,
    "torch": in_torch,
    "torch.compile": partial(in_torch, compiled=True),
    "pytensor": in_pytensor,
}
