"""The four training steps over TensorFlow 1's API: the module that offers it becomes a `Program` per workload.

    build(tf, "linear", data)   ->   a Program whose `step()` is `session.run(train, {x: ..., y: ...})`

flowc and TensorFlow run this same text; `tf` is the only thing that differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .program import Program
from .workloads import WORKLOADS, Data


def build(tf: Any, workload: str, data: Data) -> Program:
    """Builds the workload's graph in a fresh `tf.Graph`, initialises its variables, and returns its step and its loss."""
    graph = tf.Graph()
    with graph.as_default():
        x, y, keep, loss = BUILDERS[workload](tf, data)
        rate = WORKLOADS[workload].rate
        if workload == "cnn":
            optimizer = tf.train.AdamOptimizer(learning_rate=rate)
        else:
            optimizer = tf.train.GradientDescentOptimizer(rate)
        train = optimizer.minimize(loss)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
    run, batches = session.run, data.batches

    def steps(count: int) -> None:
        for i in range(count):
            xs, ys = batches[i % len(batches)]
            run(train, {x: xs, y: ys})

    def steps_with_dropout(count: int) -> None:
        for i in range(count):
            xs, ys = batches[i % len(batches)]
            run(train, {x: xs, y: ys, keep: 0.5})

    def current_loss() -> float:
        feeds = {x: data.held[0], y: data.held[1]}
        return float(run(loss, feeds if keep is None else {**feeds, keep: 1.0}))

    return Program(steps if keep is None else steps_with_dropout, current_loss)


def linear(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    """W x + b against y, summed squares; the placeholders have no shape, as in the user's program."""
    W, b = tf.Variable(data.start["W"], dtype=tf.float32), tf.Variable(data.start["b"], dtype=tf.float32)
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    return x, y, None, tf.reduce_sum(tf.square(W * x + b - y))


def two_layer(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    """2-20-1 with relu, mean square."""
    x, y = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.float32, [None, 1])
    W1, b1, W2, b2 = (tf.Variable(data.start[name]) for name in ("W1", "b1", "W2", "b2"))
    hidden = tf.nn.relu(tf.add(tf.matmul(x, W1), b1))
    return x, y, None, tf.reduce_mean(tf.square(tf.add(tf.matmul(hidden, W2), b2) - y))


def softmax(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    """784x10 with the hand-written cross-entropy."""
    x, y = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.float32, [None, 10])
    W, b = tf.Variable(data.start["W"]), tf.Variable(data.start["b"])
    predicted = tf.nn.softmax(tf.add(tf.matmul(x, W), b))
    return x, y, None, tf.reduce_mean(-tf.reduce_sum(y * tf.log(predicted), reduction_indices=[1]))


def cnn(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    """Two 5x5 convolutions with 2x2 max pooling, a dense layer of 1024 with dropout, ten classes."""
    x, y, keep = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.float32, [None, 10]), tf.placeholder(tf.float32)
    F1, b1, F3, b3, w5, b5, w6, b6 = (tf.Variable(data.start[name]) for name in ("F1", "b1", "F3", "b3", "w5", "b5", "w6", "b6"))
    image = tf.reshape(x, shape=[-1, 28, 28, 1])
    h1 = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(image, F1, strides=[1, 1, 1, 1], padding="SAME"), b1))
    h2 = tf.nn.max_pool(h1, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    h3 = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(h2, F3, strides=[1, 1, 1, 1], padding="SAME"), b3))
    h4 = tf.nn.max_pool(h3, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    h5 = tf.nn.relu(tf.add(tf.matmul(tf.reshape(h4, [-1, 7 * 7 * 64]), w5), b5))
    logits = tf.add(tf.matmul(tf.nn.dropout(h5, keep), w6), b6)
    return x, y, keep, tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y))


BUILDERS: dict[str, Callable[[Any, Data], tuple[Any, Any, Any, Any]]] = {
    "linear": linear,
    "two_layer": two_layer,
    "softmax": softmax,
    "cnn": cnn,
}
