"""Softmax regression on 784 pixels: the hand-written cross-entropy of the user's program, gradient descent, batches of 100."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..digit_like import digit_like
from ..program import Program
from ..training import (
    Data,
    Parameters,
    gradient_descent_in_jax,
    gradient_descent_in_pytensor,
    gradient_descent_in_torch,
    session_program,
)
from ..workload import Workload

RATE = 0.5


def make(workload: Workload) -> Data:
    """Ten batches of 100 digit-like images; parameters start at zero."""
    rng = np.random.RandomState(1)
    batches = [digit_like(rng, 100) for _ in range(10)]
    return Data({"W": np.zeros((784, 10), np.float32), "b": np.zeros(10, np.float32)}, batches, batches[0])


def graph(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    x, y = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.float32, [None, 10])
    W, b = tf.Variable(data.start["W"]), tf.Variable(data.start["b"])
    predicted = tf.nn.softmax(tf.add(tf.matmul(x, W), b))
    return x, y, None, tf.reduce_mean(-tf.reduce_sum(y * tf.log(predicted), reduction_indices=[1]))


def in_session(tf: Any, workload: Workload, data: Data) -> Program:
    return session_program(tf, graph, lambda tf: tf.train.GradientDescentOptimizer(RATE), data)


def in_jax(jax: Any, workload: Workload, data: Data) -> Program:
    jnp = jax.numpy

    def loss(p: Parameters, x: Any, y: Any) -> Any:
        predicted = jax.nn.softmax(x @ p["W"] + p["b"])
        return jnp.mean(-jnp.sum(y * jnp.log(predicted), axis=1))

    return gradient_descent_in_jax(jax, loss, data, RATE)


def in_torch(torch: Any, workload: Workload, data: Data, compiled: bool = False) -> Program:
    def loss(p: Parameters, x: Any, y: Any) -> Any:
        predicted = torch.softmax(torch.addmm(p["b"], x, p["W"]), dim=1)
        return -(y * torch.log(predicted)).sum(dim=1).mean()

    return gradient_descent_in_torch(torch, loss, data, RATE, compiled)


def in_pytensor(pytensor: Any, workload: Workload, data: Data) -> Program:
    import pytensor.tensor as pt

    def loss(p: Parameters, x: Any, y: Any) -> Any:
        predicted = pt.special.softmax(x @ p["W"] + p["b"], axis=1)
        return pt.mean(-pt.sum(y * pt.log(predicted), axis=1))

    return gradient_descent_in_pytensor(pytensor, loss, data, RATE, rank=2)


BUILDERS = {
    "flowc": in_session,
    "tensorflow": in_session,
    "jax": in_jax,
    "torch": in_torch,
    "torch.compile": partial(in_torch, compiled=True),
    "pytensor": in_pytensor,
}
