"""The user's training programs, small: each function builds one under a graph of its own and gives its `Training`.

    training = two_layer_network()
    training.function()          # the specialized Function of one step, before the passes
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import flowc as tf
from flowc import config
from flowc.ir.function import Function


@dataclass(eq=False)
class Training:
    """A graph, its training operation, its loss, and feeds for a run."""

    graph: tf.Graph
    train: Any
    loss: Any
    feeds: dict[Any, Any]

    def session(self) -> tf.Session:
        """A session with initialised variables."""
        with self.graph.as_default():
            session = tf.Session()
            session.run(tf.global_variables_initializer())
        return session

    def executable(self, fetches: Any = None) -> Any:
        """The program of one step, planned but not compiled."""
        with config.override(backend="interpret"):
            return tf.Session(graph=self.graph).executable(self.train if fetches is None else fetches, self.feeds)

    def function(self) -> Function:
        return self.executable().f


@contextmanager
def _graph() -> Any:
    graph = tf.Graph()
    with graph.as_default():
        tf.set_random_seed(7)
        yield graph


def linear_regression() -> Training:
    """The scoped variant: W x + b against y, summed squares, placeholders without a shape."""
    with _graph() as graph:
        with tf.variable_scope("W"):
            W = tf.Variable([0.3], tf.float32)
        with tf.variable_scope("b"):
            b = tf.Variable([-0.3], tf.float32)
        with tf.variable_scope("input"):
            x = tf.placeholder(tf.float32)
        with tf.variable_scope("output"):
            model = W * x + b
            y = tf.placeholder(tf.float32)
        with tf.variable_scope("loss"):
            loss = tf.reduce_sum((model - y) ** 2)
        train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
    return Training(graph, train, loss, {x: [1, 2, 3, 4], y: [0, -1, -2, -3]})


def two_layer_network(batch: int = 10) -> Training:
    with _graph() as graph:
        with tf.variable_scope("Input"):
            x = tf.placeholder(tf.float32, shape=[None, 2])
        with tf.variable_scope("HiddenLayer"):
            W1 = tf.Variable(tf.truncated_normal([2, 20], stddev=np.sqrt(6 / 22)))
            b1 = tf.Variable(tf.zeros([20]))
            h1 = tf.nn.relu(tf.add(tf.matmul(x, W1), b1))
        with tf.variable_scope("OutputLayer"):
            W2 = tf.Variable(tf.truncated_normal([20, 1], stddev=np.sqrt(6 / 21)))
            b2 = tf.Variable(tf.constant(0.0))
            h2 = tf.add(tf.matmul(h1, W2), b2)
        with tf.variable_scope("Output"):
            y = tf.placeholder(tf.float32, [None, 1])
        with tf.variable_scope("Loss"):
            loss = tf.reduce_mean(tf.square(h2 - y))
        train = tf.train.GradientDescentOptimizer(1e-2).minimize(loss)
    draw = np.random.default_rng(1)
    xs = draw.uniform(-2, 2, (batch, 2))
    return Training(graph, train, loss, {x: xs, y: np.sin(1.57 * xs[:, :1]) * np.cos(0.785 * xs[:, 1:])})


def softmax_regression(batch: int = 20, scale: float = 1.0) -> Training:
    """The cross-entropy written by hand; `scale` makes the pixels large enough for the softmax to come out as exact zeros."""
    with _graph() as graph:
        x = tf.placeholder(tf.float32, [None, 16])
        y = tf.placeholder(tf.float32, [None, 10])
        W = tf.Variable(tf.random_normal([16, 10]), name="W")
        b = tf.Variable(tf.zeros([10]))
        logits = tf.matmul(x, W) + b
        with tf.name_scope("Rows"):
            rows = -tf.reduce_sum(y * tf.log(tf.nn.softmax(logits)), reduction_indices=[1])
        loss = tf.reduce_mean(rows)
        train = tf.train.GradientDescentOptimizer(0.1 / scale).minimize(loss)
    draw = np.random.default_rng(2)
    return Training(graph, train, loss, {x: scale * draw.normal(size=(batch, 16)), y: np.eye(10)[draw.integers(0, 10, batch)]})


def convolutional_network(batch: int = 12) -> Training:
    """Two convolutions with pooling, a dense layer with dropout, Adam: the user's CNN on images of 8 x 8."""
    with _graph() as graph:
        x = tf.placeholder(tf.float32, [None, 64])
        y = tf.placeholder(tf.float32, [None, 10])
        keep = tf.placeholder(tf.float32)

        def weights(*shape: int) -> Any:
            return tf.Variable(tf.random_normal(shape, stddev=0.1))

        def layer(images: Any, filters: Any, bias: Any) -> Any:
            h = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, filters, strides=[1, 1, 1, 1], padding="SAME"), bias))
            return tf.nn.max_pool(h, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")

        with tf.name_scope("First"):
            h = layer(tf.reshape(x, [-1, 8, 8, 1]), weights(5, 5, 1, 6), weights(6))
        with tf.name_scope("Second"):
            h = layer(h, weights(5, 5, 6, 10), weights(10))
        with tf.name_scope("Dense"):
            h = tf.nn.relu(tf.add(tf.matmul(tf.reshape(h, [-1, 2 * 2 * 10]), weights(40, 24)), weights(24)))
        with tf.name_scope("Output"):
            logits = tf.add(tf.matmul(tf.nn.dropout(h, keep), weights(24, 10)), weights(10))
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y))
        train = tf.train.AdamOptimizer(learning_rate=0.001).minimize(loss)
    draw = np.random.default_rng(3)
    return Training(graph, train, loss, {x: draw.random((batch, 64)), y: np.eye(10)[draw.integers(0, 10, batch)], keep: 0.5})


PROGRAMS: dict[str, Callable[..., Training]] = {f.__name__: f for f in (linear_regression, two_layer_network, softmax_regression, convolutional_network)}
