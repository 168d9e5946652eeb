"""The user's training programs, run: bits under threads, numbers under stress, compilations and memory."""

from __future__ import annotations

import numpy as np
import pytest

import flowc as tf
from flowc import config
from flowc.codegen import build as build_module
from flowc.runtime import executable as executable_module
from tests.programs.graphs import convolutional_network, linear_regression, softmax_regression, two_layer_network


def _variables_after(steps: int, threads: int) -> list[np.ndarray]:
    training = convolutional_network(batch=37)
    with config.override(threads=threads):
        session = training.session()
        for _ in range(steps):
            session.run(training.train, training.feeds)
        with training.graph.as_default():
            return session.run(tf.global_variables())


@pytest.mark.parametrize("threads", [2, 3])
def test_a_convolutional_network_trains_to_the_same_bits_with_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executable_module, "PARALLEL_WORK", 0.0)
    for one, many in zip(_variables_after(3, 1), _variables_after(3, threads), strict=True):
        assert one.tobytes() == many.tobytes()


def test_a_cross_entropy_written_by_hand_trains_where_the_softmax_is_exactly_zero() -> None:
    training = softmax_regression(scale=1000.0)
    session = training.session()
    first = session.run(training.loss, training.feeds)
    for _ in range(50):
        session.run(training.train, training.feeds)
    last = session.run(training.loss, training.feeds)
    assert first > 1000 and np.isfinite(last) and last < first / 2
    with training.graph.as_default():
        assert all(np.isfinite(v).all() for v in session.run(tf.trainable_variables()))


def test_the_same_cross_entropy_is_infinite_as_numpy_computes_it() -> None:
    training = softmax_regression(scale=1000.0)
    session = training.session()
    x, y = (np.asarray(v, np.float32) for v in training.feeds.values())
    W = session.run(training.graph.get_tensor_by_name("W:0"))
    logits = x @ W
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        assert not np.isfinite(np.mean(-np.sum(y * np.log(p), axis=1)))


def test_all_batch_sizes_share_at_most_two_compilations(tmp_path) -> None:
    with config.override(cache_dir=tmp_path):
        training = two_layer_network()
        session = training.session()
        before = build_module.compilations
        for batch in (1, 10, 100, 1000, 10, 1):
            other = two_layer_network(batch).feeds.values()
            session.run(training.train, dict(zip(training.feeds, other, strict=True)))
        assert 1 <= build_module.compilations - before <= 2


def test_variables_are_updated_in_place() -> None:
    for training in (linear_regression(), two_layer_network()):
        assert training.executable().program.copies == ()


def test_a_training_step_uses_the_memory_of_dead_values_again() -> None:
    program = convolutional_network().executable().program
    shared = [slot for slot in program.slots if len(slot.values) > 1]
    assert shared and len(program.slots) < sum(len(slot.values) for slot in program.slots)
