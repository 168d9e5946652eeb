"""The times of a run's kernels in its RunMetadata. No times are asserted."""

import numpy as np
import pytest

import flowc as tf
from flowc import config

TRACED = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)


@pytest.fixture(autouse=True)
def compiled():
    with config.override(backend="cpu"):
        yield


@pytest.fixture
def step():
    tf.set_random_seed(4)
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    w = tf.Variable(tf.random_normal([3, 2]), name="w")
    loss = tf.reduce_sum(tf.square(tf.matmul(tf.nn.dropout(x, 0.5), w)), name="loss")
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session, x, w, loss, train


def test_a_traced_run_tells_the_time_of_each_kernel_in_order(step):
    session, x, _, loss, train = step
    metadata = tf.RunMetadata()
    feeds = {x: np.ones((4, 3), np.float32)}
    session.run([loss, train], feeds, options=TRACED, run_metadata=metadata)
    (device,) = metadata.step_stats.dev_stats
    kernels = device.node_stats
    assert [k.node_name for k in kernels] == [k.name for k in session.executable([loss, train], feeds).kernels]
    assert any("loss" in k.nodes for k in kernels) and all("test_step_stats.py:" in k.timeline_label for k in kernels)
    assert [k.all_start_micros for k in kernels] == pytest.approx([sum(k.all_end_rel_micros for k in kernels[:i]) for i in range(len(kernels))])


def test_tracing_changes_neither_results_nor_variables_nor_later_draws(step):
    session, x, w, loss, train = step
    feeds = {x: np.ones((4, 3), np.float32)}
    first = session.run(w)

    def steps(**traced):
        w.load(first, session)
        session._counter[...] = 0
        return [session.run([loss, train], feeds, **traced)[0] for _ in range(3)] + [session.run(w).tolist()]

    session.run(loss, feeds)
    assert steps(options=TRACED, run_metadata=tf.RunMetadata()) == steps()


def test_a_run_without_full_trace_reports_nothing(step):
    session, x, _, loss, _ = step
    metadata = tf.RunMetadata()
    session.run(loss, {x: [[1, 2, 3]]}, options=tf.RunOptions(trace_level=tf.RunOptions.NO_TRACE), run_metadata=metadata)
    session.run(loss, {x: [[1, 2, 3]]}, run_metadata=metadata)
    assert vars(metadata) == {}


def test_a_traced_run_can_be_written_for_tensorboard(step, tmp_path):
    session, x, _, loss, _ = step
    metadata = tf.RunMetadata()
    session.run(loss, {x: [[1, 2, 3]]}, options=TRACED, run_metadata=metadata)
    with tf.summary.FileWriter(str(tmp_path)) as writer:
        writer.add_run_metadata(metadata, "step 1", 1)
    (file,) = tmp_path.iterdir()
    assert metadata.step_stats.dev_stats[0].node_stats[0].node_name.encode() in file.read_bytes()


def test_an_interpreted_run_has_no_kernels():
    metadata = tf.RunMetadata()
    with config.override(backend="interpret"):
        assert tf.Session().run(tf.constant(2.0) * 3.0, options=TRACED, run_metadata=metadata) == 6
    assert metadata.step_stats.dev_stats[0].node_stats == []
