"""`flowc.profile`: what ran inside a block as a table, as a Chrome trace, and saved. No times are asserted."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import flowc
import flowc as tf
from flowc import config
from flowc.errors import FlowcError
from flowc.runtime import recorder
from tests.chrome import check_trace, spans


@pytest.fixture(autouse=True)
def compiled():
    with config.override(backend="cpu"):
        yield
    assert recorder.active == ()


@flowc.compile(flowc.f32["n"], flowc.f32["batch", "n"], flowc.f32["batch"])
def loss(w, x, y):
    return flowc.mean((flowc.sum(x * w, axis=1) - y) ** 2)


W, X, Y = np.array([1, 2], np.float32), np.ones((5, 2), np.float32), np.zeros(5, np.float32)


def names(p):
    return [(title, found.runs, found.extents) for title, found in p.programs()]


def test_calls_of_compiled_functions_are_profiled_with_the_same_results():
    expected = loss(W, X, Y)
    with flowc.profile() as p:
        assert loss(W, X, Y) == expected == loss(W.tolist(), X, y=Y)
        assert loss(W, X[:3], Y[:3]) == expected
    assert loss(W, X, Y) == expected
    assert names(p) == [("loss", 2, {"batch": 5, "n": 2}), ("loss", 1, {"batch": 3, "n": 2})]
    assert [k.name for k in p.programs()[0][1].kernels] == [k.name for k in loss._inspected().executable.kernels]


def test_gradients_random_draws_static_arguments_and_nests_are_profiled():
    slope = flowc.value_and_grad(loss)
    noisy = flowc.compile(lambda x, scale: {"x": x + scale * tf.random_normal([3])}, static=["scale"])
    with flowc.profile() as p:
        value, gradient = slope(W, X, Y)
        draws = [noisy(np.zeros(3, np.float32), 2.0)["x"] for _ in range(2)]
    assert value == loss(W, X, Y) and gradient.tolist() == flowc.grad(loss)(W, X, Y).tolist()
    assert not np.array_equal(*draws)
    assert [title for title, _ in p.programs()] == ["value_and_grad_loss", "lambda_"]


def test_a_function_that_calls_another_is_one_program():
    outer = flowc.compile(lambda w: loss(w, X, Y) + 1.0)
    with flowc.profile() as p:
        value = outer(W)
    assert value == loss(W, X, Y) + 1
    assert [title for title, _ in p.programs()] == ["lambda_"]


def test_runs_of_a_session_are_profiled_and_train_as_without():
    x = tf.placeholder(tf.float32, [None], name="x")
    v = tf.Variable(1.0, name="v")
    train = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum((v * x) ** 2))

    def trained(profiled):
        with tf.Session() as session:
            session.run(v.initializer)
            if profiled:
                with flowc.profile() as p:
                    for _ in range(3):
                        assert session.run(train, {x: [1.0, 2.0]}) is None
                assert names(p)[0][:2] == ("run of GradientDescent", 3)
            else:
                for _ in range(3):
                    session.run(train, {x: [1.0, 2.0]})
            session.run(train, {x: [1.0, 2.0]})
            return session.run(v)

    assert trained(True) == trained(False)


def test_errors_inside_the_block_are_the_usual_ones_and_end_it():
    x = tf.placeholder(tf.float32, [2], name="x")
    with pytest.raises(tf.FeedError, match="does not fit"), flowc.profile() as p:
        tf.Session().run(x * 2.0, {x: [1.0, 2.0, 3.0]})
    assert recorder.active == () and p.programs() == [] and str(p) == "nothing was run"


def test_a_run_may_be_traced_inside_the_block():
    metadata = tf.RunMetadata()
    with flowc.profile() as p:
        tf.Session().run(tf.constant(2.0) * 3.0, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
    assert metadata.title == p.programs()[0][0] == "run of mul"


def test_start_and_stop_do_without_a_block():
    p = flowc.profile().start()
    loss(W, X, Y)
    p.stop()
    loss(W, X, Y)
    p.start()
    loss(W, X, Y)
    p.stop()
    assert names(p)[0][:2] == ("loss", 2)


def test_other_threads_are_profiled_too():
    with flowc.profile() as p:
        threads = [threading.Thread(target=loss, args=(W, X, Y), name=f"caller {i}") for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert names(p)[0][:2] == ("loss", 3)
    trace = p.chrome_trace()
    check_trace(trace)
    tracks = {e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert {"caller 0", "caller 1", "caller 2"} <= tracks


def test_the_table_has_a_heading_for_each_program_and_a_line_for_each_kernel():
    with flowc.profile() as p:
        loss(W, X, Y)
        flowc.grad(loss)(W, X, Y)
    table = p.table("flops")
    assert table.startswith("loss: 3 kernels, n=2, batch=5, 1 thread\n\nkernel ") and "\ngrad_loss: " in table and "medians of 1 run\n" in table
    assert all(kernel.name in table for _, found in p.programs() for kernel in found.kernels)
    assert str(p) == p.table().rstrip("\n")
    with pytest.raises(ValueError, match="sorted by time, flops, bytes, not by 'name'"):
        p.table("name")


def test_the_trace_is_written_when_the_block_ends(tmp_path):
    with flowc.profile(tmp_path / "trace.json") as p:
        loss(W, X, Y)
        assert list(tmp_path.iterdir()) == []
    trace = json.loads((tmp_path / "trace.json").read_text())
    check_trace(trace)
    assert [e["name"] for e in spans(trace, "call")] == ["loss"] and trace == json.loads(json.dumps(p.chrome_trace()))
    kernel = spans(trace, "kernel")[0]
    assert kernel["args"]["flops"] > 0 and kernel["args"]["bytes_read"] == 4 * (2 + 10 + 5) and "test_profiling.py" in kernel["args"]["lines"][0]


def test_the_trace_is_written_where_the_block_fails(tmp_path):
    with pytest.raises(KeyError), flowc.profile(tmp_path / "trace.json"):
        loss(W, X, Y)
        raise KeyError
    assert len(spans(json.loads((tmp_path / "trace.json").read_text()), "call")) == 1


def test_a_trace_that_cannot_be_written_is_told_before_anything_runs(tmp_path):
    with pytest.raises(FlowcError, match=r"none/trace\.json cannot be written: there is no folder"):
        flowc.profile(tmp_path / "none" / "trace.json")
    with pytest.raises(FlowcError, match="cannot be written: Is a directory"):
        flowc.profile().export_chrome_trace(tmp_path)


def test_the_figures_are_saved_as_bench_saves_them(tmp_path):
    with flowc.profile() as p:
        loss(W, X, Y)
    p.save(tmp_path / "profile.json")
    found = json.loads((tmp_path / "profile.json").read_text())
    (program,) = found["programs"]
    assert set(found) == {"flowc", "model", "programs"} and program["title"] == "loss"
    assert [k["name"] for k in program["kernels"]] == [k.name for k in p.programs()[0][1].kernels]
    with pytest.raises(FlowcError, match=r"none/p\.json cannot be written: No such file"):
        p.save(tmp_path / "none" / "p.json")


def test_interpreted_calls_are_there_without_kernels():
    with config.override(backend="interpret"), flowc.profile() as p:
        flowc.compile(lambda x: x + 1.0)(X)
    assert [(title, found.runs, found.kernels) for title, found in p.programs()] == [("lambda_", 1, ())]
    check_trace(p.chrome_trace())
    assert p.table() == "lambda_: 0 kernels, 1 thread\n"
