"""Generated source, held against golden files: the user's small training steps as they come out of the whole compiler."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import flowc as tf
from flowc.codegen.cpu import CALLS, print_program
from flowc.config import override
from flowc.frontend.scope import reset_default_graph
from flowc.ir.reserved import RESERVED
from flowc.ir.text import parse_function
from flowc.runtime.executable import build

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


@pytest.mark.parametrize(
    ("body", "called"),
    [
        ("y: f32[b, 64] = matmul(x, w); z: f32[b, 64] = matmul(y, w)", ["k0_matmul_y", "k0_matmul_y"]),
        ("y: f32[b, 64] = matmul(x, w); p: f32[b, 64] = softmax(y, axis=-1); z: f32[b, 64] = matmul(p, w)",
         ["k0_matmul_y", "barrier", "k1_reduce_largest_p", "k0_matmul_y"]),
    ],
)  # fmt: skip
def test_threads_meet_once_before_a_kernel_whose_iterations_they_claim(body: str, called: list[str]) -> None:
    """They meet in it before it looks at anything; a trace, which tells waiting from work, lets them meet before."""
    lines = "".join(f"    {line}\n" for line in body.split("; "))
    program = build(parse_function(f"def main(x: f32[b, 64], w: f32[64, 64]):\n{lines}    return z\n")).program
    assert re.findall(r"(?m)^    (\w+)\(", print_program(program).text.partition("def program(")[2]) == called
    assert print_program(program, traced=True).text.count("    barrier(") == len([name for name in called if name != "barrier"]) - 1
