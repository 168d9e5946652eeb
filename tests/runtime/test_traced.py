"""Traced runs, the recorder, Chrome traces. No times are asserted, only their order."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

from flowc.config import override
from flowc.ir.text import parse_function
from flowc.runtime import recorder as recorder_module
from flowc.runtime.chrome import chrome_trace
from flowc.runtime.executable import build
from flowc.runtime.profile import profile_of
from flowc.runtime.recorder import Recorder, programs, recording
from tests.chrome import check_trace, spans
from tests.runtime.step import STEP, arguments

MANY, FEW = 40_000, 10  # rows: of a run on two threads, and on one


@pytest.fixture(scope="module")
def executable():
    with override(backend="cpu", threads=2):
        made = build(STEP)
        made.binding(arguments(MANY))  # which has the number of threads from now on
        made.traced.binding(arguments(MANY))
        return made


@pytest.mark.parametrize("rows", [MANY, FEW])
def test_a_traced_run_gives_what_a_plain_one_gives_bit_for_bit(executable, rows):
    plain, traced = arguments(rows), arguments(rows)
    (expected,) = executable.run(plain)
    (found,), _ = executable.traced.launch(traced)
    assert found.tobytes() == expected.tobytes()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(plain, traced, strict=True))


@pytest.mark.parametrize(("rows", "threads"), [(MANY, 2), (FEW, 1)])
def test_each_thread_tells_when_it_entered_and_left_each_kernel_in_order(executable, rows, threads):
    before = time.perf_counter_ns()
    _, launch = executable.traced.launch(arguments(rows))
    after = time.perf_counter_ns()
    assert launch.times.shape == (threads, len(executable.kernels), 2) and launch.extents == {"b": rows}
    for thread in launch.times.reshape(threads, -1):
        assert (np.diff(thread) >= 0).all()
        assert before <= launch.begin <= thread[0] and thread[-1] <= launch.end <= after


def test_a_kernel_that_starts_after_a_barrier_starts_when_all_have_come(executable):
    _, launch = executable.traced.launch(arguments(MANY))
    barriers = [number for number, step in enumerate(executable.program.steps) if step.barrier]
    assert barriers
    for number in barriers:
        assert launch.times[:, number, 0].min() >= launch.times[:, number - 1, 1].max()


def test_only_the_traced_program_reads_the_clock(executable):
    assert "mark(" in executable.traced.source and "mark(" not in executable.source
    plain = [line for line in executable.traced.source.splitlines() if "mark(" not in line and "import" not in line]
    assert plain == [line for line in executable.source.splitlines() if "import" not in line]


def test_generated_source_run_as_plain_python_is_traced_too():
    with override(backend="python"):
        made = build(STEP)
        (loss,), launch = made.traced.launch(arguments(FEW))
        (expected,) = made.run(arguments(FEW))
    assert loss == expected and (np.diff(launch.times.reshape(-1)) >= 0).all() and launch.times.all()


def test_an_interpreted_run_has_no_kernels_and_takes_its_time():
    with override(backend="interpret"):
        made = build(STEP)
        _, launch = made.traced.launch(arguments(FEW))
    found = profile_of([launch])
    assert launch.spans() == [] and launch.begin < launch.end
    assert found.kernels == () and found.seconds > 0


def test_a_program_without_kernels_is_traced():
    f = parse_function("def f(x: f32[b]):\n    return x\n")
    with override(backend="cpu"):
        (result,), launch = build(f).traced.launch([np.ones(3, np.float32)])
    assert result.tolist() == [1, 1, 1] and launch.spans() == []
    assert profile_of([launch]).seconds == 0


def test_a_thread_that_the_system_did_not_start_is_left_out(executable):
    _, launch = executable.traced.launch(arguments(MANY))
    launch.times[1] = 0
    assert launch.spans() == [tuple(pair) for pair in launch.times[0].tolist()]


def test_a_profile_has_the_medians_of_its_runs(executable):
    launches = [executable.traced.launch(arguments(FEW))[1] for _ in range(3)]
    for launch, taken in zip(launches, (30, 10, 20), strict=True):
        launch.times[:] = (np.arange(launch.times.size).reshape(launch.times.shape) + 1) * taken
    found = profile_of(launches)
    assert [round(1e9 * k.seconds) for k in found.kernels] == [20] * len(executable.kernels)
    assert round(1e9 * found.seconds) == 20 * (2 * len(executable.kernels) - 1)
    assert (found.runs, found.threads, found.extents) == (3, 1, {"b": FEW})
    assert found.kernels[0].flops >= 2 * FEW * 30 * 17 and "medians of 3 runs\n" in found.table()


# the recorder


def record(executable, rows, title="step"):
    with recording() as call:
        return call.launch(title, executable, arguments(rows))


def test_only_what_runs_between_start_and_stop_is_recorded(executable):
    recorder = Recorder()
    record(executable, FEW)
    recorder.start()
    record(executable, FEW, "seen")
    recorder.stop()
    recorder.stop()
    record(executable, FEW)
    assert [run.title for run in recorder.runs] == ["seen"]
    assert recorder_module.active == ()


def test_several_recorders_see_the_same_runs(executable):
    first, second = Recorder(), Recorder()
    first.start()
    record(executable, FEW)
    second.start()
    record(executable, FEW)
    first.stop()
    record(executable, FEW)
    second.stop()
    assert (len(first.runs), len(second.runs)) == (2, 2) and first.runs[1] is second.runs[0]


def test_a_recorder_that_runs_is_not_started_again():
    recorder = Recorder()
    recorder.start()
    with pytest.raises(RuntimeError, match="running already"):
        recorder.start()
    recorder.stop()


def test_a_call_that_fails_is_not_recorded(executable):
    recorder = Recorder()
    recorder.start()
    with pytest.raises(IndexError), recording() as call:
        call.launch("step", executable, [])
    recorder.stop()
    assert recorder.runs == []


def test_runs_are_grouped_by_title_kernels_and_extents(executable):
    recorder = Recorder()
    recorder.start()
    for rows, title in ((FEW, "a"), (FEW, "b"), (MANY, "a"), (FEW, "a")):
        record(executable, rows, title)
    recorder.stop()
    assert [(title, len(launches), launches[0].extents["b"]) for title, launches in programs(recorder.runs)] == [("a", 2, FEW), ("b", 1, FEW), ("a", 1, MANY)]


# the Chrome trace


@pytest.fixture(scope="module")
def trace(executable):
    recorder = Recorder()
    recorder.start()
    with override(backend="cpu"):
        record(build(parse_function("def f(x: f32[b, 30], y: f32[30, 17], z: f32[b, 17]):\n    v: f32[b, 30] = tanh(x)\n    return v\n")), FEW, "new")
    record(executable, MANY)
    other = threading.Thread(target=record, args=(executable, FEW, "elsewhere"), name="other")
    other.start()
    other.join()
    recorder.stop()
    return json.loads(json.dumps(chrome_trace(recorder.runs, recorder.begin)))


def test_a_trace_is_well_formed(trace):
    check_trace(trace)


def test_calls_hold_their_building_and_their_program_and_that_its_kernels(trace, executable):
    calls, builds, inner = spans(trace, "call"), spans(trace, "build"), spans(trace, "program")
    assert [c["name"] for c in calls] == ["new", "step", "elsewhere"] and [b["name"] for b in builds] == ["build new"]
    assert [p["name"] for p in inner] == ["program of new", "program of step", "program of elsewhere"]
    of_step = [k for k in spans(trace, "kernel") if k["tid"] == calls[1]["tid"] and k["ts"] >= inner[1]["ts"] and k["ts"] < inner[1]["ts"] + inner[1]["dur"]]
    assert [k["name"] for k in of_step] == [k.name for k in executable.kernels]
    assert calls[1]["args"] == {"extents": {"b": MANY}, "threads": 2}


def test_kernels_tell_their_work_and_what_they_compute(trace):
    first = next(k for k in spans(trace, "kernel") if k["name"].startswith("k0_matmul"))
    assert first["args"]["flops"] >= 2 * MANY * 30 * 17
    assert first["args"]["bytes_read"] >= 4 * 30 * (MANY + 17) and first["args"]["bytes_written"] >= 4 * 17 * MANY
    assert "m" in first["args"]["computes"]


def test_every_thread_has_a_track_with_its_name(trace):
    names = {e["tid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert {"MainThread", "other", "flowc-1"} == set(names.values())
    assert {names[k["tid"]] for k in spans(trace, "kernel")} == set(names.values())


def test_waits_at_barriers_are_told(trace):
    assert {w["name"] for w in spans(trace, "barrier")} == {"wait for the other threads"}
