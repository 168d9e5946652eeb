"""A network of many equal layers, to see how compile time and memory grow: width 32, relu, mean square, gradient descent.

    deep/300          300 layers, batch 32
    deep_batch/1000   10 layers, batch 1000
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..program import Program
from ..training import Data, Parameters, gradient_descent_in_jax, gradient_descent_in_torch, session_program
from ..workload import Workload

RATE = 0.01
WIDTH = 32


def make(workload: Workload) -> Data:
    """Layers that keep the size of what passes through: orthogonal weights times the root of 2."""
    rng = np.random.RandomState(6)
    start = {}
    for layer in range(workload.size["depth"]):
        start[f"W{layer}"] = (np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0] * 2**0.5).astype(np.float32)
        start[f"b{layer}"] = np.zeros(WIDTH, np.float32)
    x, y = (rng.standard_normal((workload.size["batch"], WIDTH)).astype(np.float32) for _ in range(2))
    return Data(start, [(x, y)], (x, y))


def reference(workload: Workload) -> tuple[float, ...]:
    """The loss at the start and after three steps, in float64 with the gradient written out."""
    data = make(workload)
    p = {name: value.astype(np.float64) for name, value in data.start.items()}
    x, y = (part.astype(np.float64) for part in data.held)
    losses = []
    for _ in range(4):
        values = [x]
        for layer in range(len(p) // 2):
            values.append(np.maximum(values[-1] @ p[f"W{layer}"] + p[f"b{layer}"], 0))
        losses.append(float(np.mean((values[-1] - y) ** 2)))
        back = 2 * (values[-1] - y) / y.size
        for layer in reversed(range(len(p) // 2)):
            below = back * (values[layer + 1] > 0)
            back = below @ p[f"W{layer}"].T
            p[f"W{layer}"] = p[f"W{layer}"] - RATE * values[layer].T @ below
            p[f"b{layer}"] = p[f"b{layer}"] - RATE * below.sum(0)
    return losses[0], losses[3]


def graph(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    x, y = tf.placeholder(tf.float32, [None, WIDTH]), tf.placeholder(tf.float32, [None, WIDTH])
    h = x
    for layer in range(len(data.start) // 2):
        with tf.name_scope(f"Layer{layer}"):
            h = tf.nn.relu(tf.matmul(h, tf.Variable(data.start[f"W{layer}"])) + tf.Variable(data.start[f"b{layer}"]))
    return x, y, None, tf.reduce_mean(tf.square(h - y))


def in_session(tf: Any, workload: Workload, data: Data) -> Program:
    return session_program(tf, graph, lambda tf: tf.train.GradientDescentOptimizer(RATE), data)


def mean_square(relu: Any, mean: Any, p: Parameters, x: Any, y: Any) -> Any:
    """The loss in any library of arrays."""
    h = x
    for layer in range(len(p) // 2):
        h = relu(h @ p[f"W{layer}"] + p[f"b{layer}"])
    return mean((h - y) ** 2)


def in_jax(jax: Any, workload: Workload, data: Data) -> Program:
    return gradient_descent_in_jax(jax, partial(mean_square, jax.nn.relu, jax.numpy.mean), data, RATE)


def in_torch(torch: Any, workload: Workload, data: Data, compiled: bool = False) -> Program:
    def loss(p: Parameters, x: Any, y: Any) -> Any:
        return mean_square(torch.relu, torch.mean, p, x, y)

    return gradient_descent_in_torch(torch, loss, data, RATE, compiled)


BUILDERS = {
    "flowc": in_session,
    "tensorflow": in_session,
    "jax": in_jax,
    "torch": in_torch,
    "torch.compile": partial(in_torch, compiled=True),
}
