"""The programs that tools/bench.py times: what they answer is what NumPy computes in float64, and what flowc computes."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

import flowc
from flowc import config

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from benchmarks.catalogue import WORKLOADS
from benchmarks.contestants import CONTESTANTS
from benchmarks.digit_like import weighted
from benchmarks.measure import doubt
from benchmarks.workload import Kind


def losses_by_hand(name: str, rate: float) -> list[float]:
    """The loss at the start and after three steps, in float64 NumPy with gradients written out."""
    data = WORKLOADS[name].make()
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


@pytest.mark.parametrize(("name", "rate"), [("linear", 0.01), ("two_layer", 0.01), ("softmax", 0.5)])
def test_the_expected_losses_are_those_of_numpy(name: str, rate: float) -> None:
    assert losses_by_hand(name, rate) == pytest.approx(WORKLOADS[name].answers, rel=1e-6)


def convolved(x: np.ndarray, filters: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """5x5, same size, relu, then the largest of each 2x2."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))), (5, 5), axis=(1, 2))
    h = np.maximum(np.einsum("nijcab,abco->nijo", windows, filters, optimize=True) + bias, 0)
    return h.reshape(len(h), h.shape[1] // 2, 2, h.shape[2] // 2, 2, -1).max((2, 4))


def test_the_cnns_answers_are_those_of_numpy() -> None:
    data = WORKLOADS["cnn_forward/1"].make()
    p = {name: value.astype(np.float64) for name, value in data.start.items()}
    images = WORKLOADS["cnn"].make().held[0]
    assert np.array_equal(images[:1], data.held[0])
    h = convolved(convolved(images.reshape(-1, 28, 28, 1).astype(np.float64), p["F1"], p["b1"]), p["F3"], p["b3"])
    logits = np.maximum(h.reshape(len(images), -1) @ p["w5"] + p["b5"], 0) @ p["w6"] + p["b6"]
    assert weighted(logits[:1]) == pytest.approx(WORKLOADS["cnn_forward/1"].expected()[0], rel=1e-5)
    assert weighted(logits) == pytest.approx(WORKLOADS["cnn_forward/128"].expected()[0], rel=1e-5)
    labels = WORKLOADS["cnn"].make().held[1]
    loss = np.mean(np.log(np.exp(logits).sum(1)) - (labels * logits).sum(1))
    assert loss == pytest.approx(WORKLOADS["cnn"].expected()[0], rel=1e-5)


def test_the_transformers_answers_are_those_of_numpy() -> None:
    data = WORKLOADS["transformer"].make()
    p = {name: value.astype(np.float64) for name, value in data.start.items()}
    x, y = (part.astype(np.float64) for part in data.held)

    def norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + shift

    q, k, v = (part.reshape(8, 128, 4, 64).transpose(0, 2, 1, 3) for part in np.split(norm(x, p["scale1"], p["shift1"]) @ p["Wqkv"] + p["bqkv"], 3, -1))
    weights = np.exp(q @ k.swapaxes(-1, -2) / 8)
    x = x + (weights / weights.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(x.shape) @ p["Wo"] + p["bo"]
    h = norm(x, p["scale2"], p["shift2"]) @ p["W1"] + p["b1"]
    x = x + 0.5 * h * (1 + np.vectorize(math.erf)(h / math.sqrt(2))) @ p["W2"] + p["b2"]
    assert weighted(x) == pytest.approx(WORKLOADS["transformer_forward"].expected()[0], rel=1e-5)
    assert np.mean((x - y) ** 2) == pytest.approx(WORKLOADS["transformer"].expected()[0], rel=1e-5)


SMALL = [
    "linear", "linear_arrays", "two_layer", "softmax", "cnn_forward/1", "transformer_forward", "deep/10", "wide/10", "matmul/64", "matmul/20x10x1.ta",
    "matmul/10x1x20.tb", "chain/1k", "activation/1k", "row_sum/1k", "row_softmax/1k", "row_norm/10k",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "contestant"),
    [(name, c) for name in SMALL for c in WORKLOADS[name].contestants if c.startswith("flowc") or c == "numpy"],
)
def test_flowc_and_numpy_give_the_answers(name: str, contestant: str) -> None:
    workload = WORKLOADS[name]
    with flowc.override(backend="interpret"):
        program = workload.builder(contestant)(CONTESTANTS[contestant].load(), workload, workload.make())
        answers = [program.answer()]
        for _ in workload.expected()[1:]:
            program.steps(3)
            answers.append(program.answer())
    assert answers == pytest.approx(workload.expected(), rel=workload.tolerance)


@pytest.mark.slow
def test_kernels_are_told_against_the_limit() -> None:
    workload = WORKLOADS["row_norm/10k"]
    program = workload.builder("flowc.compile")(flowc, workload, workload.make())
    program.steps(1)
    figures = program.figures()
    assert set(figures) == {"of_limit", "seconds", "bound", "gbs", "threads"}
    assert 0 < figures["of_limit"] < 2 and figures["threads"] >= 1


def test_every_contestant_of_every_workload_has_a_builder_and_every_mark_a_contestant() -> None:
    for workload in WORKLOADS.values():
        for contestant in workload.contestants:
            assert contestant in CONTESTANTS and callable(workload.builder(contestant))
        assert {mark.against for mark in workload.marks} <= {"", *workload.contestants}
        assert workload.kind is Kind.TOGETHER or workload.baseline.startswith("flowc")


def test_direct_convolutions_are_asked_for_in_the_environment() -> None:
    ((name, value),) = CONTESTANTS["flowc.direct"].environment
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        assert config._read_environment().convolution == value == "direct"


def test_all_data_are_float32_and_the_same_each_time() -> None:
    once, again = (WORKLOADS["softmax"].make().batches[3][0] for _ in range(2))
    assert once.dtype == np.float32
    assert once.tobytes() == again.tobytes()


def test_a_weighted_sum_tells_a_transposed_result() -> None:
    x = np.arange(12.0).reshape(3, 4)
    assert weighted(x) != pytest.approx(weighted(x.T), rel=1e-2)


def test_the_right_losses_raise_no_doubt() -> None:
    assert doubt(WORKLOADS["linear"], {"trace": [23.66, 1.54482], "steps": 1000, "answer": 1e-9}) is None


def test_another_loss_after_three_steps_is_a_wrong_program() -> None:
    problem = doubt(WORKLOADS["linear"], {"trace": [23.66, 1.6], "steps": 1000, "answer": 1e-9})
    assert problem == "wrong program: the answer after 3 steps is 1.6, the others have 1.544823"


@pytest.mark.parametrize("loss", [3.0, float("nan")])
def test_a_loss_that_does_not_fall_is_a_wrong_program(loss: float) -> None:
    problem = doubt(WORKLOADS["cnn"], {"trace": [6.01392], "steps": 24, "answer": loss})
    assert problem is not None
    assert "the loss after 24 steps is" in problem
