"""Runs whose rows are computed some at a time: the same results, the same updates, less memory."""

import numpy as np
import pytest

import flowc
import flowc as tf
from flowc import config
from flowc.runtime.prepared import Prepared
from flowc.runtime.slices import Sliced

RNG = np.random.default_rng(3)
X = RNG.standard_normal((1003, 64)).astype(np.float32)
LABELS = RNG.integers(0, 10, 1003).astype(np.int32)
W1 = (RNG.standard_normal((64, 256)) / 8).astype(np.float32)
W2 = (RNG.standard_normal((256, 10)) / 16).astype(np.float32)


SHAPES = {"x": flowc.f32["b", 64], "labels": flowc.i32["b"], "w1": flowc.f32[64, 256], "w2": flowc.f32[256, 10]}


def evaluate(x, labels, w1, w2):
    logits = flowc.relu(flowc.relu(x @ w1) ** 2) @ w2
    right = flowc.astype(tf.equal(tf.argmax(logits, 1), tf.cast(labels, tf.int64)), "f32")
    return flowc.mean(right), flowc.mean(flowc.logsumexp(logits, axis=1)), logits


def run(memory: int, *args):
    with config.override(memory=memory):
        f = flowc.compile(evaluate, shapes=SHAPES)
        return f, [np.asarray(v) for v in f(*args)]


@pytest.mark.parametrize("rows", [1003, 1000, 64])
def test_slices_give_what_the_whole_batch_gives(rows):
    args = (X[:rows], LABELS[:rows], W1, W2)
    whole, want = run(1 << 30, *args)
    sliced, found = run(1 << 16, *args)
    assert isinstance(whole._last.latest, Prepared)
    assert isinstance(sliced._last.latest, Sliced) == (rows > 64)
    assert found[0] == want[0] and found[2].tobytes() == want[2].tobytes()
    np.testing.assert_allclose(found[1], want[1], rtol=1e-6)


def test_slices_hold_to_the_budget_and_share_the_rows_evenly():
    f, _ = run(1 << 17, X, LABELS, W1, W2)
    call = f._last.latest
    assert call.slices > 2 and call.rows.arena.memory.nbytes <= (1 << 17) + 4096 and not call.executable.arena.memory.nbytes


def test_another_batch_is_another_number_of_slices():
    with config.override(memory=1 << 17):
        f = flowc.compile(evaluate, shapes=SHAPES)
        f(X, LABELS, W1, W2)
        many = f._last.latest.slices
        f(X[:500], LABELS[:500], W1, W2)
        assert 1 < f._last.latest.slices < many
        assert f(X, LABELS, W1, W2)[2].tobytes() == run(1 << 30, X, LABELS, W1, W2)[1][2].tobytes()


def test_a_training_step_whose_rows_meet_runs_whole():
    def loss(x, w1, w2):
        return flowc.mean((flowc.relu(x @ w1) @ w2) ** 2)

    with config.override(memory=1 << 12):
        f = flowc.compile(flowc.grad(loss, wrt=(1, 2)), batch=("x",))
        f(X, W1, W2)
        assert isinstance(f._last.latest, Prepared)


def session(memory: int, steps: int):
    tf.reset_default_graph()
    tf.set_random_seed(1)
    x = tf.placeholder(tf.float32, [None, 64], name="x")
    w1, w2 = tf.Variable(W1, name="w1"), tf.Variable(W2, name="w2")
    seen = tf.Variable(0.0, name="seen")
    logits = tf.matmul(tf.square(tf.nn.relu(tf.matmul(x, w1))), w2)
    spread = tf.reduce_max(logits) - tf.reduce_min(logits)
    add = tf.assign_add(seen, tf.reduce_sum(tf.reduce_max(logits, 1)) + tf.random_uniform([]))
    with config.override(memory=memory), tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        values = [sess.run([spread, add], {x: X}) for _ in range(steps)]
        return [*values, sess.run(seen)]


def test_updates_happen_once_a_run_and_draws_go_on():
    want, found = session(1 << 30, 3), session(1 << 16, 3)
    np.testing.assert_allclose(found[-1], want[-1], rtol=1e-5)
    for f, w in zip(found[:-1], want[:-1], strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-5)


def test_a_loop_runs_in_slices_too():
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [None, 64], name="x")
    total = tf.Variable(0.0, name="total")
    add = tf.assign_add(total, tf.reduce_sum(tf.reduce_max(tf.matmul(tf.nn.relu(tf.matmul(x, W1)), W2), 1)))
    results = []
    for memory in (1 << 30, 1 << 16):
        with config.override(memory=memory), tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            results.append(sess.run_loop(add, 4, feed_dict={x: X}))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


def test_the_setting_reads_sizes(monkeypatch):
    for text, size in (("64M", 64 << 20), ("2G", 2 << 30), ("1000", 1000), ("16K", 16 << 10)):
        monkeypatch.setenv("FLOWC_MEMORY", text)
        assert config._read_environment().memory == size
    monkeypatch.setenv("FLOWC_MEMORY", "much")
    with pytest.raises(ValueError, match="FLOWC_MEMORY='much': a number of bytes is expected, such as 64M or 2G"):
        config._read_environment()
