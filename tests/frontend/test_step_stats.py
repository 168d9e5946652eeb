"""The times of a run's kernels in its RunMetadata. No times are asserted."""

import json
import time

import numpy as np
import pytest

import flowc as tf
from flowc import config
from flowc.errors import FlowcError
from flowc.frontend.timeline import Timeline
from tests.chrome import check_trace, spans

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
    assert device.device == "/device:CPU:0"
    assert [k.node_name for k in kernels] == [k.name for k in session.executable([loss, train], feeds).kernels]
    assert any("loss" in k.nodes for k in kernels) and all("test_step_stats.py:" in k.timeline_label for k in kernels)
    assert all(k.all_end_rel_nanos > 0 and k.all_end_rel_micros == -(-k.all_end_rel_nanos // 1000) for k in kernels)
    starts = [k.all_start_nanos for k in kernels]
    assert starts == sorted(starts) and all(k.all_start_micros == k.all_start_nanos // 1000 for k in kernels)


def test_the_times_are_those_of_the_clock_on_the_wall(step):
    session, x, _, loss, _ = step
    metadata = tf.RunMetadata()
    before = time.time()
    session.run(loss, {x: [[1, 2, 3]]}, options=TRACED, run_metadata=metadata)
    start = metadata.step_stats.dev_stats[0].node_stats[0].all_start_micros / 1e6
    assert before - 1 < start < time.time() + 1


def test_a_run_that_is_first_of_all_may_be_traced(step):
    _, x, w, _, train = step
    session, metadata = tf.Session(), tf.RunMetadata()
    session.run(w.initializer, options=TRACED, run_metadata=metadata)
    assert metadata.title == "run of w/Assign" and session.run(w).shape == (3, 2)
    session.run(train, {x: [[1, 2, 3]]}, options=TRACED, run_metadata=metadata)
    assert metadata.title == "run of GradientDescent"


def test_the_figures_are_saved_as_bench_saves_them(step, tmp_path):
    session, x, _, loss, train = step
    metadata = tf.RunMetadata()
    session.run([loss, train], {x: np.ones((4, 3), np.float32)}, options=TRACED, run_metadata=metadata)
    metadata.save(tmp_path / "step.json")
    found = json.loads((tmp_path / "step.json").read_text())
    (program,) = found["programs"]
    assert program["title"] == "run of loss, GradientDescent" and program["runs"] == 1 and program["traced"]
    assert [k["name"] for k in program["kernels"]] == [k.node_name for k in metadata.step_stats.dev_stats[0].node_stats]
    assert all({"seconds", "flops", "read", "written", "nodes", "lines", "share"} <= set(k) for k in program["kernels"])


def test_what_was_not_traced_or_cannot_be_written_is_not_saved(step, tmp_path):
    session, x, _, loss, _ = step
    metadata = tf.RunMetadata()
    with pytest.raises(FlowcError, match="nothing was traced"):
        metadata.save(tmp_path / "step.json")
    session.run(loss, {x: [[1, 2, 3]]}, options=TRACED, run_metadata=metadata)
    with pytest.raises(FlowcError, match=r"none/step\.json cannot be written: No such file"):
        metadata.save(tmp_path / "none" / "step.json")
    assert list(tmp_path.iterdir()) == []


def test_a_timeline_of_a_traced_run_is_a_chrome_trace(step):
    session, x, _, loss, train = step
    metadata = tf.RunMetadata()
    session.run([loss, train], {x: [[1, 2, 3]]}, options=TRACED, run_metadata=metadata)
    trace = json.loads(Timeline(metadata.step_stats).generate_chrome_trace_format(show_memory=True))
    check_trace(trace)
    assert [s["name"] for s in spans(trace, "Op")] == [k.node_name for k in metadata.step_stats.dev_stats[0].node_stats]
    with pytest.raises(FlowcError, match=r"takes the step_stats of a tf\.RunMetadata"):
        Timeline(metadata)


def test_metadata_is_a_message(step):
    session, x, _, loss, _ = step
    metadata = tf.RunMetadata()
    session.run(loss, {x: [[1, 2, 3]]}, options=TRACED, run_metadata=metadata)
    again = tf.RunMetadata.FromString(metadata.SerializeToString())
    assert again == metadata and "node_name: \"k0_" in str(metadata)


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
    assert metadata.SerializeToString() == b"" and metadata.profile is None


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
    assert metadata.step_stats.dev_stats[0].node_stats == [] and metadata.profile.kernels == ()
