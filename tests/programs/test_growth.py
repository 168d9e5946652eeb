"""Compiling takes work in proportion to the program: four times the layers, four times the bytecodes that the compiler runs, not sixteen.

Bytecodes are counted, not time: the count is the same on every machine. What a call into C does (a sort, a search in a list) is one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flowc as tf
from flowc import config
from flowc.codegen.cpu import print_program
from flowc.lower.program import plan
from flowc.transforms import fuse
from flowc.transforms.pipeline import optimize
from tests.programs.graphs import Training

MOST = 1.12  # the exponent: sorting costs a little more than in proportion


def bytecodes(work: Callable[[], Any]) -> tuple[Any, int]:
    """What `work` gives, and how many bytecodes Python ran for it."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        if event == "call":
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = work()
    finally:
        sys.settrace(before)
    return result, count


def deep(layers: int, optimizer: Callable[[], Any]) -> Training:
    """A chain of dense layers with relu."""
    graph = tf.Graph()
    with graph.as_default():
        x = h = tf.placeholder(tf.float32, [None, 4])
        for _ in range(layers):
            h = tf.nn.relu(tf.matmul(h, tf.Variable(tf.ones([4, 4]))) + tf.Variable(tf.zeros([4])))
        loss = tf.reduce_mean(tf.square(h))
        train = optimizer().minimize(loss)
    return Training(graph, train, loss, {x: np.ones((3, 4), np.float32)})


def chain(length: int) -> Training:
    """One long row of elementwise ops, each with a number to be learnt."""
    graph = tf.Graph()
    with graph.as_default():
        x = h = tf.placeholder(tf.float32, [None])
        for _ in range(length):
            h = tf.tanh(h * tf.Variable(0.5) + 0.25)
        loss = tf.reduce_sum(h)
        train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    return Training(graph, train, loss, {x: np.ones(3, np.float32)})


def fan(branches: int) -> Training:
    """Many branches of one value, added up, each with a shape of its own in between."""
    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [None, 4])
        parts = [tf.reduce_sum(tf.sigmoid(tf.matmul(x, tf.Variable(tf.ones([4, 2 + i % 3])))), 1) for i in range(branches)]
        loss = tf.reduce_sum(tf.add_n(parts))
        train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    return Training(graph, train, loss, {x: np.ones((3, 4), np.float32)})


def stages(make: Callable[[int], Training], size: int) -> dict[str, int]:
    """Bytecodes of each stage for a program of so many parts."""
    found = {}
    training, found["graph"] = bytecodes(lambda: make(size))
    f, found["extract"] = bytecodes(training.function)
    module, found["passes"] = bytecodes(lambda: optimize(f))
    program, found["plan"] = bytecodes(lambda: plan(module))
    _, found["print"] = bytecodes(lambda: print_program(program))
    return found


@pytest.mark.parametrize(
    ("make", "small", "large"),
    [
        pytest.param(lambda n: deep(n, lambda: tf.train.GradientDescentOptimizer(0.1)), 4, 12, id="deep"),
        pytest.param(lambda n: deep(n, tf.train.AdamOptimizer), 6, 24, id="deep with Adam", marks=pytest.mark.slow),
        pytest.param(chain, 16, 48, id="chain"),
        pytest.param(fan, 6, 24, id="fan", marks=pytest.mark.slow),
    ],
)
def test_compiling_takes_work_in_proportion_to_the_program(make, small, large, monkeypatch):
    monkeypatch.setattr(fuse, "LARGEST", 8)  # so that few operations make many kernels
    with config.override(verify=False):
        make(2)
        before, after = stages(make, small), stages(make, large)
    exponents = {stage: round(math.log(after[stage] / before[stage]) / math.log(large / small), 2) for stage in before}
    assert max(exponents.values()) <= MOST, exponents


def test_a_chain_of_a_thousand_operations_becomes_kernels_that_can_be_compiled():
    module = optimize(chain(200).function())
    sizes = [len(kernel.nodes) for kernel in module.callees()]
    assert sum(sizes) > 1000 and max(sizes) <= 80  # 64, and copies of what several kernels need
    assert len(plan(module).steps) == len(sizes)
