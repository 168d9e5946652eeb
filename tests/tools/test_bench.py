"""tools/bench.py: its command line, the worker's protocol, processes, rounds and ratios."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import bench
from benchmarks.catalogue import GROUPS, WORKLOADS
from benchmarks.contestants import CONTESTANTS
from benchmarks.install import install_peers, last_lines
from benchmarks.measure import First, Result, alternate, calibrate, doubt, middle
from benchmarks.processes import WorkerFailed, WorkerProcess, worker_environment
from benchmarks.program import Unsupported
from benchmarks.rounds import Plan, measure
from benchmarks.worker import serve

# The command line


def test_without_options_all_contestants_take_part() -> None:
    chosen = bench.parser().parse_args([])
    assert chosen.what == []
    assert chosen.against == [name for name in CONTESTANTS if not name.startswith("flowc")]
    assert chosen.peers == bench.PEERS_FOLDER


def test_groups_and_workloads_are_chosen_by_name_with_blanks_or_commas() -> None:
    assert bench.parser().parse_args(["softmax,cnn", "matmul", "cnn_forward/1"]).what == [["softmax", "cnn"], ["matmul"], ["cnn_forward/1"]]


def test_the_help_tells_every_group() -> None:
    listed = [line.split()[0] for line in (bench.__doc__ or "").splitlines() if line.startswith("  ") and line[2] != " "]
    assert [name for name in listed if name != "python3"] == list(GROUPS)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["resnet"], "no workload 'resnet'; there are steps, forward, transformer, loops"),
        (["--against", "mxnet"], "no contestant 'mxnet'; there are numpy, tensorflow"),
        (["--rounds", "0"], "'0' is not a whole number from 1"),
    ],
)
def test_a_wrong_option_names_what_there_is(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.parser().parse_args(arguments)
    assert complaint in capsys.readouterr().err


def test_help_needs_nothing_but_the_standard_library() -> None:
    shown = subprocess.run(
        [sys.executable, "-S", "-E", str(ROOT / "tools" / "bench.py"), "--help"], check=False, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert "turn and turn about" in shown.stdout


def test_a_missing_peers_environment_is_said_and_flowc_runs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(bench.interpreters(tmp_path / "none", ["jax"])) == ["flowc", "flowc.compile", "flowc.direct"]
    assert "flowc runs alone; --install-peers" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_left_out_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_environment(tmp_path)
    assert list(bench.interpreters(tmp_path, ["torch", "numpy"])) == ["flowc", "flowc.compile", "flowc.direct", "numpy"]
    assert "torch: torch is not installed in" in capsys.readouterr().err


def empty_environment(folder: Path) -> None:
    """An environment's interpreter that sees the standard library alone, and whose pip fails."""
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\n[ "$2" = pip ] && echo "no such package" >&2 && exit 1\nexec {sys.executable} -S -E "$@"\n')
    python.chmod(0o755)


def test_a_peer_that_fails_to_install_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    empty_environment(tmp_path)
    said: list[str] = []
    assert install_peers(tmp_path, said.append, {"one": "one", "two": "two==2"}) == {"one": None, "two": None}
    assert "one: FAILED, the others go on: no such package" in said
    assert "two: installing two==2 ..." in said


def test_the_reason_of_a_failed_install_is_the_end_of_its_output() -> None:
    assert last_lines("Collecting\n\na\nb\n  c\n") == "a | b | c"


# The worker's protocol


class FakeWorker:
    """Answers like a worker whose steps take one millisecond."""

    def first(self) -> dict[str, Any]:
        return {"import_s": 0.5}

    def run(self, steps: int) -> dict[str, Any]:
        return {"seconds": steps * 1e-3}

    def memory(self) -> dict[str, Any]:
        raise Unsupported("no such thing")

    def prove(self) -> dict[str, Any]:
        raise RuntimeError("it\nbroke")


def answers_to(*commands: dict[str, Any]) -> list[dict[str, Any]]:
    written = io.StringIO()
    serve(FakeWorker(), io.StringIO("".join(json.dumps(command) + "\n" for command in commands)), written)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_every_command_gets_one_answer_in_order() -> None:
    assert answers_to({"do": "first"}, {"do": "run", "steps": 20}) == [{"import_s": 0.5}, {"seconds": 0.02}]


def test_quit_ends_the_worker_without_an_answer() -> None:
    assert answers_to({"do": "quit"}, {"do": "first"}) == []


def test_a_failing_command_answers_its_first_line_and_the_worker_goes_on() -> None:
    assert answers_to({"do": "prove"}, {"do": "first"}) == [{"error": "RuntimeError: it"}, {"import_s": 0.5}]


def test_a_workload_that_a_peer_lacks_is_said_so() -> None:
    assert answers_to({"do": "memory"}) == [{"error": "not expressed: no such thing"}]


def test_an_unknown_command_is_refused() -> None:
    assert answers_to({"do": "open"}) == [{"error": "ValueError: no command 'open'"}]


FAKE_PEER = """
import json, os, sys
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "run":
        print(json.dumps({"seconds": command["steps"] * 0.001}), flush=True)
    elif command["do"] == "first":
        print(json.dumps({"error": "ImportError: no module"}), flush=True)
    elif command["do"] == "prove":
        print("Killed by a wild pointer", file=sys.stderr)
        os._exit(3)
    elif command["do"] == "quit":
        break
"""


def fake_process(tmp_path: Path, patience_s: float = 60.0) -> WorkerProcess:
    return WorkerProcess([sys.executable, "-S", "-c", FAKE_PEER], os.environ, tmp_path, patience_s)


def test_a_process_answers_over_its_pipes(tmp_path: Path) -> None:
    with fake_process(tmp_path) as worker:
        assert worker.ask("run", steps=5) == {"seconds": 0.005}
    assert worker.process.returncode == 0


def test_an_error_answer_is_raised_and_the_process_stays(tmp_path: Path) -> None:
    with fake_process(tmp_path) as worker:
        with pytest.raises(WorkerFailed, match="ImportError: no module"):
            worker.ask("first")
        assert worker.ask("run", steps=1) == {"seconds": 0.001}


def test_a_process_that_dies_gives_its_status_and_last_words(tmp_path: Path) -> None:
    with (
        fake_process(tmp_path) as worker,
        pytest.raises(WorkerFailed, match="ended during 'prove' with status 3: Killed by a wild pointer"),
    ):
        worker.ask("prove")


def test_a_process_that_never_answers_is_ended(tmp_path: Path) -> None:
    with fake_process(tmp_path, patience_s=0.2) as worker, pytest.raises(WorkerFailed, match="ended during 'memory'"):
        worker.ask("memory")


def test_a_worker_starts_with_empty_caches_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere")
    environment = worker_environment(tmp_path, ROOT)
    assert "JAX_COMPILATION_CACHE_DIR" not in environment
    caches = [environment["FLOWC_CACHE_DIR"], environment["TORCHINDUCTOR_CACHE_DIR"], environment["PYTENSOR_FLAGS"].partition("=")[2]]
    assert len(set(caches)) == 3
    assert all(Path(cache).parent == tmp_path for cache in caches)


NOISY_FLOWC = """
import os
import time
import numpy as np
os.write(1, b"banner of a native library\\n")
print("banner of a module")
__version__ = "0.0.fake"
compile = lambda f: f
wait_until_compiled = lambda: time.sleep(0.01)
reduce_sum = np.sum

def value_and_grad(loss):
    def both(parameters, x, y):
        def slope(i):
            moved = [[p.astype(float) + h * (j == i) for j, p in enumerate(parameters)] for h in (1e-4, -1e-4)]
            return (loss(moved[0], x, y) - loss(moved[1], x, y)) / 2e-4
        return loss(parameters, x, y), (slope(0), slope(1))
    return both
"""


def test_a_whole_worker_keeps_its_answers_apart_from_what_the_peer_prints(tmp_path: Path) -> None:
    (tmp_path / "flowc.py").write_text(NOISY_FLOWC)
    command, line = [sys.executable, "-m", "benchmarks.worker", "flowc.compile"], WORKLOADS["linear_arrays"]
    with WorkerProcess(command, worker_environment(tmp_path, tmp_path), ROOT / "tools") as worker:
        first = worker.ask("first", workload=line.name)
        assert first["compiling_s"] >= 0.01
        assert worker.ask("versions")["flowc"] == "0.0.fake"
        assert min(first["import_s"], first["build_s"], first["first_step_s"], worker.ask("run", workload=line.name, steps=40)["seconds"]) > 0
        assert worker.ask("memory")["peak_kb"] > 1000
        proof = worker.ask("prove", workload=line.name)
        assert proof["steps"] == 1000
        assert doubt(line, proof) is None
        worker.ask("close", workload=line.name)
        with pytest.raises(WorkerFailed, match="KeyError: 'linear_arrays'"):
            worker.ask("run", workload=line.name, steps=1)


def test_nothing_is_imported_before_the_timed_import() -> None:
    loads = "import benchmarks.worker, benchmarks.catalogue, sys; sys.exit(bool({'numpy', 'flowc', 'jax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", loads], check=False, cwd=ROOT / "tools").returncode == 0


# Rounds and ratios


class Clockwork:
    """A contestant whose steps take set times, one per chunk, and that notes whose turn it was."""

    def __init__(self, name: str, turns: list[str], times: list[float]) -> None:
        self.name, self.turns, self.times, self.chunk = name, turns, times, 0

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        assert command == "run"
        self.turns.append(self.name)
        seconds = self.times[self.chunk % len(self.times)]
        self.chunk += 1
        if seconds < 0:
            raise WorkerFailed("out of memory")
        return {"seconds": seconds * arguments["steps"]}


def compared(times: dict[str, list[float]], rounds: int) -> tuple[dict[str, Result], list[str]]:
    turns: list[str] = []
    results = {name: Result(name, "linear") for name in times}
    workers = {name: Clockwork(name, turns, times[name]) for name in times}
    alternate(workers, results, "flowc", rounds, 1.0, lambda line: None)
    return results, turns[len(times) :]


def test_each_peer_runs_right_after_a_chunk_of_the_baseline() -> None:
    _, turns = compared({"flowc": [1.0], "jax": [1.0], "torch": [1.0]}, rounds=2)
    assert turns == ["flowc", "jax", "flowc", "torch"] * 2


def test_a_ratio_is_taken_from_neighbouring_chunks_so_that_drift_cancels() -> None:
    results, _ = compared({"flowc": [1.0, 1.0, 2.0, 3.0], "jax": [3.0, 3.0, 6.0, 9.0]}, rounds=3)
    assert results["jax"].ratios == [3.0, 3.0, 3.0]
    assert results["jax"].median_s == 6.0


def test_the_median_ratio_is_not_the_ratio_of_medians() -> None:
    results, _ = compared({"flowc": [1.0, 1.0, 2.0, 4.0], "jax": [2.0, 2.0, 2.0, 12.0]}, rounds=3)
    assert results["jax"].ratio == 2.0


def test_without_the_baseline_peers_take_turns_and_have_no_ratio() -> None:
    results, turns = compared({"jax": [1.0], "torch": [1.0]}, rounds=2)
    assert turns == ["jax", "torch"] * 2
    assert results["torch"].ratio is None


def test_the_baseline_alone_is_timed_once_a_round() -> None:
    results, turns = compared({"flowc": [1.0]}, rounds=3)
    assert turns == ["flowc"] * 3
    assert results["flowc"].median_s == 1.0


def test_a_peer_that_fails_midway_gets_a_reason_and_no_number() -> None:
    results, turns = compared({"flowc": [1.0], "jax": [1.0, 1.0, -1.0], "torch": [1.0]}, rounds=3)
    assert results["jax"].problem == "out of memory"
    assert results["jax"].median_s is None
    assert len(results["torch"].ratios) == 3
    assert turns.count("jax") == 2


def test_calibration_fills_the_chunk() -> None:
    assert calibrate(Clockwork("jax", [], [0.001]), 0.25) == 250


def test_calibration_of_a_step_longer_than_a_chunk_is_one_step() -> None:
    assert calibrate(Clockwork("jax", [], [3.0]), 0.25) == 1


def test_of_several_beginnings_each_part_has_its_own_median() -> None:
    assert middle([First(1, 5, 9), First(2, 4, 7), First(3, 6, 8)]) == First(2, 5, 8)


# Whole workloads, with NumPy alone, and a contestant that is not there


def plan(said: list[str], **pythons: str) -> Plan:
    return Plan({name.replace("_", "."): Path(python) for name, python in pythons.items()}, rounds=2, chunk_s=0.001, starts=2, say=said.append)


def test_a_group_shares_one_process_per_contestant_and_every_answer_is_checked() -> None:
    chosen = [WORKLOADS["matmul/64"], WORKLOADS["matmul/20x10x1.ta"]]
    found = list(measure(chosen, plan([], numpy=sys.executable)))
    assert [[(r.contestant, r.workload, len(r.step_s), r.problem) for r in results] for results in found] == [
        [("numpy", "matmul/64", 2, None)],
        [("numpy", "matmul/20x10x1.ta", 2, None)],
    ]


def test_a_contestant_whose_library_is_missing_gets_a_reason_and_the_others_go_on() -> None:
    said: list[str] = []
    python = Path(sys.executable)
    ((first, second),) = measure([WORKLOADS["row_sum/1k"]], Plan({"numpy": python, "jax": python}, 2, 0.001, 1, said.append))
    assert first.problem is None and first.median_s
    assert second.problem == "ModuleNotFoundError: No module named 'jax'" and f"  jax: {second.problem}" in said


def test_starts_are_measured_cold_and_warm() -> None:
    said: list[str] = []
    ((result,),) = measure([WORKLOADS["start/linear"]], Plan({"jax": Path(sys.executable)}, 1, 0.001, 1, said.append))
    assert result.cold is None and result.problem == "ModuleNotFoundError: No module named 'jax'"


@pytest.mark.slow
def test_a_warm_start_of_flowc_is_faster_than_a_cold_one_was() -> None:
    ((result,),) = measure([WORKLOADS["start/linear"]], Plan({"flowc": Path(sys.executable)}, 1, 0.001, 1, lambda line: None))
    assert result.cold and result.warm and result.warm.first_step_s < result.cold.first_step_s
    assert result.peak_kb > 1000
