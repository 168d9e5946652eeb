"""`tf.summary.FileWriter`: what it writes, when, and what it says where it cannot."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import flowc as tf
from flowc.errors import FlowcError, FlowcWarning, GraphError
from tests.frontend.tfevents import fields, files, read


def test_summaries_are_written_with_their_steps_and_times(tmp_path):
    with tf.Session() as session:
        summary = session.run(tf.summary.scalar("x", 1.5))
    with tf.summary.FileWriter(tmp_path) as writer:
        writer.add_summary(summary, 3)
        writer.add_summary(summary, np.int64(4))
        writer.add_summary(summary)
    first, *rest = read(tmp_path)
    assert first[3] == [b"brain.Event:2"]
    assert [(e.get(2), e[5]) for e in rest] == [([3], [summary]), ([4], [summary]), (None, [summary])]
    assert all(e[1][0] >= first[1][0] for e in rest)


def test_events_are_written_when_max_queue_of_them_wait(tmp_path):
    writer = tf.summary.FileWriter(tmp_path, max_queue=2)
    counts = []
    for step in range(4):
        writer.add_summary(b"", step)
        counts.append(len(read(tmp_path)) - 1)
    writer.close()
    assert counts == [0, 2, 2, 4]


def test_events_are_written_when_they_have_waited_for_flush_secs(tmp_path):
    with tf.summary.FileWriter(tmp_path, max_queue=100, flush_secs=0.01) as writer:
        for count in (2, 3):
            writer.add_summary(b"", 1)
            writer._clock.join()
            assert len(read(tmp_path)) == count


def test_flushing_stops_the_clock_and_so_does_closing(tmp_path):
    with tf.summary.FileWriter(tmp_path, flush_secs=3600) as writer:
        for stop in (writer.flush, writer.close):
            writer.add_summary(b"", 1)
            clock = writer._clock
            stop()
            clock.join()


def test_a_late_flush_that_fails_leaves_the_events_for_the_next_one(tmp_path, monkeypatch):
    with tf.summary.FileWriter(tmp_path, flush_secs=0.01) as writer:
        with monkeypatch.context() as full:
            full.setattr(os, "write", _no_space)
            writer.add_summary(b"", 1)
            writer._clock.join()
        assert len(read(tmp_path)) == 1
    assert len(read(tmp_path)) == 2


def _no_space(descriptor, data):
    raise OSError(28, "No space left on device")


def test_threads_that_share_a_writer_lose_no_event(tmp_path):
    with tf.summary.FileWriter(tmp_path, max_queue=3) as writer:
        threads = [threading.Thread(target=lambda t=t: [writer.add_summary(b"", 1000 * t + step) for step in range(50)]) for t in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    steps = [event[2][0] for event in read(tmp_path)[1:]]
    assert sorted(steps) == [1000 * t + step for t in range(1, 5) for step in range(50)]
    assert all([s for s in steps if s // 1000 == t] == [1000 * t + step for step in range(50)] for t in range(1, 5))


def test_the_files_name_ends_as_asked(tmp_path):
    tf.summary.FileWriter(tmp_path, filename_suffix=".train").close()
    assert files(tmp_path)[0].name.endswith(".train")


def test_a_folder_has_one_cached_writer(tmp_path):
    first = tf.summary.FileWriterCache.get(tmp_path / "a")
    assert tf.summary.FileWriterCache.get(str(tmp_path / "a")) is first and tf.summary.FileWriterCache.get(tmp_path / "b") is not first
    first.add_summary(b"", 1)
    tf.summary.FileWriterCache.clear()
    assert len(read(tmp_path / "a")) == 2 and tf.summary.FileWriterCache.get(tmp_path / "a") is not first
    tf.summary.FileWriterCache.clear()


def test_a_writer_that_is_forgotten_writes_what_waits(tmp_path):
    writer = tf.summary.FileWriter(tmp_path)
    writer.add_summary(b"", 1)
    del writer
    assert len(read(tmp_path)) == 2


def test_a_closed_writer_warns_and_one_reopened_goes_on_in_a_new_file(tmp_path):
    writer = tf.summary.FileWriter(tmp_path)
    writer.close()
    writer.close()
    with pytest.warns(FlowcWarning, match="is closed: nothing is added"):
        writer.add_summary(b"", 1)
    writer.reopen()
    writer.add_summary(b"", 2)
    writer.close()
    assert len(files(tmp_path)) == 2 and [e.get(2) for e in read(tmp_path)] == [None, None, [2]]
    assert writer.get_logdir() == str(tmp_path)


def test_the_graph_is_written_with_scopes_inputs_control_inputs_and_shapes(tmp_path):
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with tf.name_scope("layer"), tf.control_dependencies([x]):
        y = tf.square(tf.placeholder(tf.float32, name="free"), name="y")
    with tf.summary.FileWriter(tmp_path, tf.get_default_graph()):
        pass
    graph = fields(read(tmp_path)[1][4][0])
    nodes = {fields(n)[1][0].decode(): fields(n) for n in graph[1]}
    assert list(nodes) == [n.name for n in y.graph.nodes]
    assert nodes["layer/y"][2] == [b"Square"] and nodes["layer/y"][3] == [b"layer/free", b"^x"]
    attributes = {fields(a)[1][0]: fields(a)[2][0] for a in nodes["x"][5]}
    assert fields(attributes[b"dtype"]) == {6: [1]}
    (shape,) = fields(fields(attributes[b"_output_shapes"])[1][0])[7]
    assert [fields(d)[1][0] for d in fields(shape)[2]] == [2**64 - 1, 3]
    free = {fields(a)[1][0]: fields(a)[2][0] for a in nodes["layer/free"][5]}
    assert fields(fields(fields(free[b"_output_shapes"])[1][0])[7][0]) == {3: [1]}


def test_a_runs_times_are_written_under_its_tag(tmp_path):
    metadata = tf.RunMetadata()
    kernels = metadata.step_stats.dev_stats.add(device="/device:CPU:0").node_stats
    kernels.add(node_name="k0_matmul", all_start_micros=10, op_end_rel_micros=5, all_end_rel_micros=5, timeline_label="k0")
    with tf.summary.FileWriter(tmp_path) as writer:
        writer.add_run_metadata(metadata, "step 1", 1)
        writer.add_run_metadata(tf.RunMetadata(), "step 2")
        with pytest.raises(GraphError, match="'step 1' was used before"):
            writer.add_run_metadata(metadata, "step 1")
    first, second = (fields(e[8][0]) for e in read(tmp_path)[1:])
    assert (first[1], second[1], second.get(2, [b""])) == ([b"step 1"], [b"step 2"], [b""])
    device = fields(fields(fields(first[2][0])[1][0])[1][0])
    stats = fields(device[2][0])
    assert device[1] == [b"/device:CPU:0"] and stats == {1: [b"k0_matmul"], 2: [10], 4: [5], 5: [5], 8: [b"k0"]}


def test_a_fused_kernels_time_is_that_of_its_last_node_in_the_graph(tmp_path):
    with tf.name_scope("layer"):
        tf.square(2.0)
    metadata = tf.RunMetadata()
    kernel = metadata.step_stats.dev_stats.add().node_stats.add(node_name="k0_square", all_end_rel_micros=2, timeline_label="k0_square = ...")
    kernel.nodes = ("layer.mul", "layer.Square")
    with tf.summary.FileWriter(tmp_path, tf.get_default_graph()) as writer:
        writer.add_run_metadata(metadata, "step")
    run_metadata = fields(fields(read(tmp_path)[2][8][0])[2][0])
    stats = fields(fields(fields(run_metadata[1][0])[1][0])[2][0])
    assert (stats[1], stats[5], stats[8]) == ([b"layer/Square"], [2], [b"k0_square = ..."])


def test_events_and_session_logs_can_be_added(tmp_path):
    with tf.summary.FileWriter(tmp_path) as writer:
        writer.add_event(bytes.fromhex("1005"))
        writer.add_session_log(None, 7)
    assert [(e.get(2), e.get(7)) for e in read(tmp_path)[1:]] == [([5], None), ([7], [b"\x08\x01"])]


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda w: w.add_summary(tf.summary.scalar("x", 1.0)), "the bytes that session.run"),
        (lambda w: w.add_summary(b"", tf.constant(1)), "global_step is a whole number"),
        (lambda w: w.add_graph("graph"), "add_graph takes a graph"),
        (lambda w: w.add_event(3), "add_event takes"),
        (lambda w: w.add_session_log("start"), "add_session_log takes"),
        (lambda w: w.add_run_metadata(None, "t"), "add_run_metadata takes"),
        (lambda w: tf.summary.FileWriter(None), "logdir is a path"),
    ],
)
def test_what_cannot_be_written_is_told(tmp_path, use, message):
    with tf.summary.FileWriter(tmp_path) as writer, pytest.raises(FlowcError, match=message):
        use(writer)
    assert len(read(tmp_path)) == 1


@pytest.mark.parametrize(("name", "instead"), [("scalar_summary", r"tf\.summary\.scalar"), ("merge_all_summaries", r"tf\.summary\.merge_all")])
def test_names_of_tensorflow_0_say_what_to_use(name, instead):
    with pytest.raises(AttributeError, match=instead):
        getattr(tf, name)
