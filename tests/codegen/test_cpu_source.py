"""Generated source, held against golden files: the user's small training steps as they come out of the whole compiler."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import flowc as tf
from flowc.codegen.cpu import CALLS
from flowc.config import override
from flowc.frontend.scope import reset_default_graph
from flowc.ir.reserved import RESERVED

GOLDEN = Path(__file__).parent / "golden"


def linear_regression() -> tuple[object, dict[object, object]]:
    W = tf.Variable([0.3], tf.float32)
    b = tf.Variable([-0.3], tf.float32)
    x = tf.placeholder(tf.float32)
    y = tf.placeholder(tf.float32)
    loss = tf.reduce_sum(tf.square(W * x + b - y))
    return tf.train.GradientDescentOptimizer(0.01).minimize(loss), {x: [1, 2, 3, 4], y: [0, -1, -2, -3]}


def softmax() -> tuple[object, dict[object, object]]:
    x = tf.placeholder(tf.float32, [None, 64])
    W = tf.Variable(tf.zeros([64, 10]))
    b = tf.Variable(tf.zeros([10]))
    y = tf.nn.softmax(tf.matmul(x, W) + b)
    labels = tf.placeholder(tf.float32, [None, 10])
    loss = tf.reduce_mean(-tf.reduce_sum(labels * tf.log(y), reduction_indices=[1]))
    return tf.train.GradientDescentOptimizer(0.5).minimize(loss), {x: [[0.5] * 64] * 3, labels: [[0.1] * 10] * 3}


@pytest.mark.parametrize("model", [linear_regression, softmax], ids=lambda f: f.__name__)
def test_generated_source_is_the_golden_file(model: Callable[[], tuple[object, dict[object, object]]], golden: Callable[[Path, str], None]) -> None:
    reset_default_graph()
    step, feeds = model()
    with override(backend="python"):
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        source = session.executable(step, feeds).source
    ast.parse(source)
    golden(GOLDEN / f"{model.__name__}.txt", "\n".join(line.rstrip() for line in source.splitlines()) + "\n")


def test_names_of_values_never_hide_the_functions_that_printers_call() -> None:
    assert set(CALLS.values()) <= RESERVED
