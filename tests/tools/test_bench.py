"""tools/bench.py: its command line, the worker's protocol, rounds and ratios, the workloads' losses, and how results are printed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import bench
from benchmarks.contestants import CONTESTANTS
from benchmarks.install import install_peers, last_lines
from benchmarks.measure import First, Result, alternate, calibrate, doubt
from benchmarks.processes import WorkerFailed, WorkerProcess, worker_environment
from benchmarks.program import Unsupported
from benchmarks.report import as_json, duration, markdown, quartiles, ratio_text, table, versions_line
from benchmarks.worker import serve
from benchmarks.workloads import WORKLOADS

# The command line


def test_without_options_all_workloads_and_contestants_are_chosen() -> None:
    chosen = bench.parser().parse_args([])
    assert chosen.workloads == list(WORKLOADS)
    assert ["flowc", *chosen.against] == list(CONTESTANTS)
    assert chosen.peers == bench.PEERS_FOLDER


def test_workloads_are_chosen_by_a_list_with_commas() -> None:
    assert bench.parser().parse_args(["--workloads", "softmax, cnn"]).workloads == ["softmax", "cnn"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--workloads", "resnet"], "no workload 'resnet'; there are linear, two_layer, softmax, cnn"),
        (["--against", "mxnet"], "no contestant 'mxnet'; there are flowc.compile, tensorflow"),
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
    assert list(bench.interpreters(tmp_path / "none", ["flowc.compile", "jax"])) == ["flowc", "flowc.compile"]
    assert "flowc runs alone; --install-peers" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_left_out_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_environment(tmp_path)
    assert list(bench.interpreters(tmp_path, ["torch"])) == ["flowc"]
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
    assert answers_to({"do": "close"}) == [{"error": "ValueError: no command 'close'"}]


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
import numpy as np
os.write(1, b"banner of a native library\\n")
print("banner of a module")
__version__ = "0.0.fake"
compile = lambda f: f
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
    command = [sys.executable, "-m", "benchmarks.worker", "flowc.compile", "linear"]
    with WorkerProcess(command, worker_environment(tmp_path, tmp_path), ROOT / "tools") as worker:
        first = worker.ask("first")
        assert first["versions"]["flowc"] == "0.0.fake"
        assert min(first["import_s"], first["build_s"], first["first_step_s"], worker.ask("run", steps=40)["seconds"]) > 0
        assert worker.ask("memory")["peak_kb"] > 1000
        proof = worker.ask("prove")
        assert proof["steps"] == 1000
        assert doubt(WORKLOADS["linear"], proof) is None


def test_nothing_is_imported_before_the_timed_import() -> None:
    loads = "import benchmarks.worker, benchmarks.contestants, sys; sys.exit(bool({'numpy', 'flowc', 'jax'} & set(sys.modules)))"
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


# The workloads


def losses_by_hand(name: str) -> list[float]:
    """The loss at the start and after three steps, in float64 NumPy with gradients written out."""
    data, rate = WORKLOADS[name].make(), WORKLOADS[name].rate
    p = {key: value.astype(np.float64) for key, value in data.start.items()}

    def forward_and_back(x: np.ndarray, y: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
        if name == "linear":
            error = p["W"] * x + p["b"] - y
            return float((error**2).sum()), {"W": np.array([(2 * error * x).sum()]), "b": np.array([(2 * error).sum()])}
        if name == "softmax":
            scores = np.exp(x @ p["W"] + p["b"])
            predicted = scores / scores.sum(1, keepdims=True)
            back = (predicted - y) / len(x)
            return float(-(y * np.log(predicted)).sum(1).mean()), {"W": x.T @ back, "b": back.sum(0)}
        hidden = np.maximum(x @ p["W1"] + p["b1"], 0)
        error = hidden @ p["W2"] + p["b2"] - y
        back = 2 * error / error.size
        below = (back @ p["W2"].T) * (hidden > 0)
        return float((error**2).mean()), {"W1": x.T @ below, "b1": below.sum(0), "W2": hidden.T @ back, "b2": back.sum()}

    held = [np.asarray(part, np.float64) for part in data.held]
    losses = [forward_and_back(*held)[0]]
    for i in range(3):
        x, y = (np.asarray(part, np.float64) for part in data.batches[i % len(data.batches)])
        for key, gradient in forward_and_back(x, y)[1].items():
            p[key] -= rate * gradient
    return [*losses, forward_and_back(*held)[0]]


@pytest.mark.parametrize("name", ["linear", "two_layer", "softmax"])
def test_the_expected_losses_are_those_of_numpy(name: str) -> None:
    assert losses_by_hand(name) == pytest.approx(WORKLOADS[name].trace, rel=1e-6)


def test_all_data_are_float32_and_the_same_each_time() -> None:
    once, again = (WORKLOADS["softmax"].make().batches[3][0] for _ in range(2))
    assert once.dtype == np.float32
    assert once.tobytes() == again.tobytes()


def test_the_right_losses_raise_no_doubt() -> None:
    assert doubt(WORKLOADS["linear"], {"trace": [23.66, 1.54482], "steps": 1000, "loss": 1e-9}) is None


def test_another_loss_after_three_steps_is_a_wrong_program() -> None:
    problem = doubt(WORKLOADS["linear"], {"trace": [23.66, 1.6], "steps": 1000, "loss": 1e-9})
    assert problem == "wrong program: loss after 3 steps is 1.6, the others have 1.544823"


@pytest.mark.parametrize("loss", [3.0, float("nan")])
def test_a_loss_that_does_not_fall_is_a_wrong_program(loss: float) -> None:
    problem = doubt(WORKLOADS["cnn"], {"trace": [6.01392], "steps": 24, "loss": loss})
    assert problem is not None
    assert "loss after 24 steps is" in problem


# Printing


def finished() -> list[Result]:
    flowc = Result("flowc", "linear", step_s=[3.1e-6, 3.2e-6, 3.4e-6], cold=First(0.2, 0.8, 1.1), warm=First(0.2, 0.1, 0.4), peak_kb=81920)
    jax = Result("jax", "linear", [11e-6, 12e-6, 13e-6], [3.5, 3.8, 4.0], cold=First(0.3, 0.1, 0.6), peak_kb=204800)
    flowc.versions, jax.versions = {"numpy": "2.4.0", "flowc": "0.1"}, {"numpy": "2.3.0", "jax": "0.10"}
    wrong = Result("torch", "linear", [1e-6], [0.3], problem="wrong program: loss after 3 steps is 1, the others have 2")
    return [flowc, jax, wrong]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.214e-6, "3.21 us"), (40.2e-3, "40.2 ms"), (999.6e-6, "1.00 ms"), (162.4e-6, "162 us"), (1.25, "1.25 s"), (9.996e-6, "10.0 us")],
)
def test_a_duration_has_three_digits_in_the_unit_that_reads_best(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_spread_is_the_middle_half_of_many_rounds_and_all_of_few() -> None:
    assert quartiles([1, 2, 3, 4, 5]) == (2, 4)
    assert quartiles([5, 1, 3]) == (1, 5)


def test_the_table_lines_up_and_shows_cold_and_warm() -> None:
    lines = table(finished()).splitlines()
    assert lines[0] == "linear regression step"
    assert len({len(line) for line in lines[1:4]}) == 1
    assert " ".join(lines[2].split()) == "flowc 3.20 us 3.10 us - 3.40 us 1 0.80 / 0.10 s 0.20 / 0.20 s 1.10 / 0.40 s 80 MB"
    assert "3.80x" in lines[3]


def test_an_untrustworthy_contestant_has_its_reason_in_place_of_a_number() -> None:
    assert table(finished()).splitlines()[-1] == "  PyTorch eager: wrong program: loss after 3 steps is 1, the others have 2"


def test_the_baselines_ratio_is_one_and_a_missing_one_a_dash() -> None:
    assert ratio_text(finished()[0]) == "1"
    assert ratio_text(Result("jax", "linear", [1e-6])) == "-"


def test_a_ratio_far_below_one_keeps_its_digits() -> None:
    assert ratio_text(Result("jax", "linear", [1e-6], [0.0132])) == "0.013x"


def test_markdown_tables_have_a_column_for_each_contestant_with_a_number() -> None:
    here = {"date": "2026-01-01", "cpu": "a CPU", "cores": 2, "memory_gb": 24, "system": "Linux", "load_before": 0.1}
    lines = markdown(finished(), here).splitlines()
    assert lines[0] == "| median step (times flowc's) | flowc | JAX, jit, donated |"
    assert lines[2] == "| linear regression step | 3.20 us | 12.0 us (3.80x) |"
    assert lines[6] == "| linear regression step | 1.10 / 0.40 s, 80 MB | 0.60 s, 200 MB |"
    assert lines[-1].startswith("Measured 2026-01-01, a CPU, 2 cores, 24 GB")


def test_two_environments_with_two_numpys_are_both_named() -> None:
    assert versions_line(finished()) == "flowc 0.1, jax 0.10, numpy 2.4.0 and 2.3.0"


def test_json_keeps_every_round() -> None:
    kept = json.loads(as_json(finished(), {"cpu": "a CPU"}, {"rounds": 3}))
    assert kept["results"][1]["step_s"] == [11e-6, 12e-6, 13e-6]
    assert kept["results"][1]["ratio"] == 3.8
    assert kept["results"][2]["median_s"] is None
