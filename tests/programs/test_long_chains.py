"""A program that is longer than Python's stack is deep: nothing walks it by recursion, from the graph to the page."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import flowc as tf
from flowc import config
from flowc.cli.subject import GraphRun
from flowc.transforms.pipeline import optimize
from flowc.viz import View, diagram, dot_source, json_text, tree_text, view
from flowc.viz.page import page
from flowc.viz.stages import stages

LONG = 1100

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chain():
    """A graph with a chain of elementwise ops and its gradient, and its run."""
    assert sys.getrecursionlimit() < LONG
    with tf.Graph().as_default() as graph:
        x = h = tf.placeholder(tf.float32, [None], name="x")
        for i in range(LONG):
            h = tf.tanh(h) if i % 2 else h * 1.01
        slope = tf.gradients(tf.reduce_sum(h, name="sum"), x)[0]
    return graph, x, slope, GraphRun(graph, "chain", [slope.node], {x.node: (3,)})


def test_a_long_chain_is_built_differentiated_and_rewritten(chain):
    *_, run = chain
    assert len(optimize(run.function()).callees()) >= 2 * LONG // 64


@pytest.mark.parametrize("backend", ["interpret", "python"])
def test_a_long_chain_runs(chain, backend):
    graph, x, slope, _ = chain
    with config.override(backend=backend), tf.Session(graph=graph) as session:
        found = session.run(slope, {x: [0.0, 0.5, -0.5]})
    assert np.isfinite(found).all() and found[1] == found[2]


def test_a_long_chain_is_drawn_in_every_form_that_needs_no_graphviz(chain):
    graph, *_, run = chain
    drawn = diagram(graph, title="chain")
    for how in (View(), View(all=True, stacks=False)):
        assert dot_source(view(drawn, how))
    for text in (json_text(drawn), tree_text(drawn), page(stages(run.function(), drawn), "chain")):
        assert "Tanh_500" in text
