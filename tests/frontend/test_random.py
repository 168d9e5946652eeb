"""Random draws: their distribution, and what their seeds decide. Initializers."""

from __future__ import annotations

import numpy as np
import pytest

import flowc as tf


def drawn(make, seed=None, before=0):
    """One draw in a graph and session of its own, with unrelated nodes made before."""
    with tf.Graph().as_default() as graph:
        if seed is not None:
            tf.set_random_seed(seed)
        for _ in range(before):
            tf.constant(1.0)
        node = make()
        return tf.Session(graph=graph).run(node)


def test_moments_of_draws():
    normal = drawn(lambda: tf.random_normal([20000], mean=1.0, stddev=2.0), 1)
    assert abs(normal.mean() - 1) < 0.05 and abs(normal.std() - 2) < 0.05
    uniform = drawn(lambda: tf.random_uniform([20000], -1, 3), 1)
    assert uniform.min() >= -1 and uniform.max() < 3 and abs(uniform.mean() - 1) < 0.05
    truncated = drawn(lambda: tf.truncated_normal([20000], stddev=np.float64(0.1)), 1)
    assert truncated.dtype == np.float32 and np.abs(truncated).max() <= 0.2 + 1e-6 and abs(truncated.std() - 0.088) < 0.005


def test_ints_are_drawn_below_the_bound():
    values = drawn(lambda: tf.random_uniform([1000], 2, 5, dtype=tf.int32), 1)
    assert values.dtype == np.int32 and set(values.tolist()) == {2, 3, 4}


def test_the_same_graph_seed_gives_the_same_draws():
    assert drawn(lambda: tf.random_normal([4]), 7).tolist() == drawn(lambda: tf.random_normal([4]), 7).tolist()
    assert drawn(lambda: tf.random_normal([4]), 7).tolist() != drawn(lambda: tf.random_normal([4]), 8).tolist()


def test_the_same_op_seed_gives_the_same_draws():
    assert drawn(lambda: tf.random_normal([4], seed=7)).tolist() == drawn(lambda: tf.random_normal([4], seed=7)).tolist()


def test_without_a_seed_sessions_differ():
    assert drawn(lambda: tf.random_normal([4])).tolist() != drawn(lambda: tf.random_normal([4])).tolist()


def test_unrelated_nodes_change_no_draw():
    assert drawn(lambda: tf.random_normal([4]), 7).tolist() == drawn(lambda: tf.random_normal([4]), 7, before=5).tolist()


def test_each_run_draws_anew_and_two_sessions_alike():
    tf.set_random_seed(1)
    x = tf.random_normal([4])
    first, second = tf.Session(), tf.Session()
    draws = [first.run(x).tolist() for _ in range(3)]
    assert draws == [second.run(x).tolist() for _ in range(3)]
    assert draws[0] != draws[1] != draws[2]


def test_two_nodes_draw_differently_and_one_node_once_a_run():
    tf.set_random_seed(1)
    x, y = tf.random_normal([4]), tf.random_normal([4])
    a, b, c = tf.Session().run([x, y, x + 0])
    assert a.tolist() != b.tolist() and a.tolist() == c.tolist()


def test_draws_in_the_shape_of_a_batch():
    x = tf.placeholder(tf.float32, [None, 2])
    noise = tf.random_uniform(tf.shape(x))
    assert tf.Session().run(noise, {x: np.zeros((3, 2))}).shape == (3, 2)
    assert tf.Session().run(tf.random_normal([tf.shape(x)[0], 5]), {x: np.zeros((3, 2))}).shape == (3, 5)


@pytest.mark.parametrize(
    ("initializer", "low", "high", "spread"),
    [
        ("glorot_uniform_initializer", -0.1, 0.1, 0.1 / np.sqrt(3)), ("glorot_normal_initializer", -0.12, 0.12, 0.0508),
        ("variance_scaling_initializer", -0.15, 0.15, 0.062), ("zeros_initializer", 0, 0, 0), ("ones_initializer", 1, 1, 0),
        ("truncated_normal_initializer", -2, 2, 0.88), ("random_uniform_initializer", 0, 1, 1 / np.sqrt(12)), ("random_normal_initializer", -6, 6, 1),
    ],
)  # fmt: skip
def test_initializers(initializer, low, high, spread):
    tf.set_random_seed(3)
    make = getattr(tf, initializer)()
    W = tf.get_variable("W", [200, 400], initializer=make)
    session = tf.Session()
    session.run(W.initializer)
    value = session.run(W)
    assert value.min() >= low - 1e-6 and value.max() <= high + 1e-6 and abs(value.std() - spread) < 0.02 * max(spread, 0.01) + 1e-3


def test_the_default_initializer_is_glorot_uniform():
    tf.set_random_seed(3)
    W = tf.get_variable("W", [200, 400])
    session = tf.Session()
    session.run(W.initializer)
    assert abs(session.run(W).std() - 0.1 / np.sqrt(3)) < 0.002


def test_names_of_random_nodes():
    tf.random_normal([2])
    names = [n.name for n in tf.get_default_graph().nodes]
    assert "random_normal/RandomStandardNormal" in names and "random_normal/stddev" in names and names[-1] == "random_normal"
