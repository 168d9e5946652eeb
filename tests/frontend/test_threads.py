"""Threads that build, trace and run at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

import flowc as tf
from flowc.errors import GraphError
from flowc.frontend import session as session_module
from flowc.runtime import executable


def together(*calls: Callable[[], object]) -> list[object]:
    """What the calls give, each in a thread of its own."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(call) for call in calls]]


def test_each_thread_has_its_own_default_graph():
    meeting = threading.Barrier(2, timeout=30)

    def build(graph):
        with graph.as_default():
            meeting.wait()
            x = tf.constant(1.0)
            meeting.wait()
            return x.graph is graph and tf.get_default_graph() is graph

    assert together(lambda: build(tf.Graph()), lambda: build(tf.Graph())) == [True, True]


def test_the_global_default_graph_is_every_threads():
    graph = tf.get_default_graph()
    assert together(tf.get_default_graph)[0] is graph


def test_a_default_session_is_its_own_threads():
    x = tf.constant(1.0)
    with tf.Session():
        assert x.eval() == 1
        with pytest.raises(GraphError, match="no default session"):
            together(x.eval)


def test_functions_that_are_traced_at_once_do_not_meet():
    meeting = threading.Barrier(2, timeout=30)

    def traced(factor):
        def scaled(x):
            meeting.wait()
            y = x * factor
            meeting.wait()
            return y

        return tf.compile(scaled)

    first, second = traced(2.0), traced(3.0)
    a, b = together(lambda: first(np.ones(2)), lambda: second(np.ones(2)))
    assert (a.tolist(), b.tolist()) == ([2, 2], [3, 3])


def wait_for_another(meeting: threading.Barrier) -> None:
    """Let a second thread come to the same place, if anything lets it."""
    with suppress(threading.BrokenBarrierError):
        meeting.wait(0.2)


def test_a_function_called_by_two_threads_at_once_is_compiled_once():
    meeting = threading.Barrier(2)

    def doubled(x):
        wait_for_another(meeting)
        return x * 2

    function = tf.compile(doubled)
    assert together(*[lambda: function(np.ones(2)).tolist()] * 2) == [[2, 2], [2, 2]]
    assert function.compilations == 1


def test_a_graph_run_by_two_threads_at_once_is_compiled_once(monkeypatch):
    meeting, builds = threading.Barrier(2), executable.builds
    x = tf.placeholder(tf.float32, [None])
    y = tf.reduce_sum(x * 2)
    session, extract = tf.Session(), session_module.extract

    def slow(*args):
        wait_for_another(meeting)
        return extract(*args)

    monkeypatch.setattr(session_module, "extract", slow)
    assert together(*[lambda: float(session.run(y, {x: [1, 2]}))] * 2) == [6.0] * 2
    assert executable.builds == builds + 1
