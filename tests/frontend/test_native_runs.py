"""Runs and calls that native code answers: the same results, errors and rules as through Python, and none of it entered."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading

import numpy as np
import pytest

import flowc as tf
from flowc.config import override
from flowc.errors import FeedError, GraphError, ShapeError
from flowc.frontend.session import Session
from flowc.frontend.trace import Compiled


@pytest.fixture(autouse=True)
def compiled(fresh_graph):
    with override(backend="cpu"):
        yield


@pytest.fixture
def python_entered(monkeypatch):
    """How often Session.run and compiled functions were entered in Python."""
    entered = []

    def counting(cls):
        x = tf.placeholder(tf.float32)
        tf.Session().run(x, {x: 1.0})  # the method is native from the first run on
        tf.compile(lambda x: x)(np.ones(1))
        python = cls.in_python

        def method(self, *args, **kwargs):
            entered.append(args)
            return python(self, *args, **kwargs)

        monkeypatch.setattr(cls, "in_python", method)

    counting(Session)
    counting(Compiled)
    return entered


@pytest.fixture
def line():
    """A session on a line to fit: (session, x, y, loss, train)."""
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    W, b = tf.Variable([0.3]), tf.Variable([-0.3])
    loss = tf.reduce_sum((W * x + b - y) ** 2)
    train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session, x, y, loss, train


XS, YS = [1, 2, 3, 4], [0, -1, -2, -3]


def test_the_second_run_of_a_kind_enters_no_python(line, python_entered):
    session, x, y, loss, train = line
    calls = [
        lambda: session.run(train, {x: XS, y: YS}),
        lambda: session.run(train, feed_dict={x: np.array(XS, np.float32), y: np.array(YS)}),
        lambda: session.run([loss, train], {x: XS, y: YS}),
        lambda: session.run((train, loss, loss), {y: YS, x: XS}),
        lambda: session.run({"loss": loss, "all": [train, loss]}, {x: XS, y: YS}),
        lambda: session.run(tf.global_variables()),
    ]
    for call in calls:
        call()
    before = len(python_entered)
    for _ in range(3):
        for call in calls:
            call()
    # the dict of fetches is the same from run to run only in its items; the list of variables is a new one each time
    assert len(python_entered) == before


def test_native_and_python_runs_give_the_same(line):
    session, x, y, loss, train = line

    init = tf.global_variables_initializer()

    def train_with(make):
        session.run(init)
        found = []
        for _ in range(20):
            total, nothing = session.run([loss, train], {x: make(XS), y: make(YS)})
            assert nothing is None and type(total) is np.float32
            found.append(total)
        return found

    native = train_with(lambda v: v)
    assert train_with(np.asarray) == train_with(lambda v: np.array(v, np.float64)) == train_with(tuple) == native
    with override(backend="interpret"):
        session = tf.Session()
        np.testing.assert_allclose(train_with(lambda v: v), native, rtol=1e-4)


def test_errors_are_those_of_python(line, python_entered):
    session, x, y, _, train = line
    for _ in range(2):
        session.run(train, {x: XS, y: YS})
    before = session.run(tf.global_variables())
    with pytest.raises(FeedError, match=r"feed of Placeholder: a value of type str cannot be cast to f32"):
        session.run(train, {x: "text", y: YS})
    with pytest.raises(FeedError, match="None is fed"):
        session.run(train, {x: None, y: YS})
    with pytest.raises(FeedError, match="feed_dict is a dict from tensors to values, not list"):
        session.run(train, [x, y])
    with pytest.raises(TypeError, match="unexpected keyword argument 'feed'"):
        session.run(train, feed={x: XS})
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'fetches'"):
        session.run()
    np.testing.assert_array_equal(before, session.run(tf.global_variables()))


def test_a_shape_that_breaks_the_graph_names_the_users_line(line):
    session, x, y, _, train = line
    for _ in range(2):
        session.run(train, {x: XS, y: YS})
    with pytest.raises(ShapeError, match=r"test_native_runs\.py:"):
        session.run(train, {x: XS, y: [1, 2, 3]})


def test_a_closed_session_runs_nothing(line):
    session, x, y, _, train = line
    for _ in range(2):
        session.run(train, {x: XS, y: YS})
    session.close()
    with pytest.raises(GraphError, match="the session is closed"):
        session.run(train, {x: XS, y: YS})


def test_a_subclass_that_overrides_run_is_asked(line):
    class Counting(tf.Session):
        runs = 0

        def run(self, *args, **kwargs):
            self.runs += 1
            return super().run(*args, **kwargs)

    _, x, y, loss, _ = line
    session = Counting()
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(loss, {x: XS, y: YS})
    assert session.runs == 4


def test_help_and_signature_stay(line):
    assert list(inspect.signature(tf.Session.run).parameters) == ["self", "fetches", "feed_dict", "options", "run_metadata"]
    assert tf.Session.run.__doc__.startswith("The values of `fetches`")


def test_a_loop_that_builds_graph_is_still_warned_of(line):
    session, x, y, loss, _ = line
    with pytest.warns(match="the graph grows between runs"):
        for _ in range(5):
            loss = loss + 1.0
            session.run(loss, {x: XS, y: YS})


def test_nodes_that_another_line_adds_cost_no_run_its_native_form(line, python_entered):
    session, x, y, _, train = line
    session.run(train, {x: XS, y: YS})
    tf.constant(1.0)
    session.run(train, {x: XS, y: YS})
    before = len(python_entered)
    session.run(train, {x: XS, y: YS})
    assert len(python_entered) == before


def test_random_draws_of_native_runs_are_those_of_python_runs():
    tf.set_random_seed(3)
    noise = tf.random_normal([3])
    first = tf.Session()
    native = [first.run(noise).tolist() for _ in range(4)]
    with override(backend="python"):
        second = tf.Session()
        assert [second.run(noise).tolist() for _ in range(4)] == native
    assert len({tuple(n) for n in native}) == 4


def test_more_kinds_of_runs_than_the_desk_holds_all_work(line):
    session, x, y, loss, _ = line
    for _ in range(2):
        for n in range(1, 40):
            assert session.run(loss, {x: [0] * n, y: [0.7] * n}) == pytest.approx(n)


def test_a_run_with_more_rows_moves_the_memory_of_others(line):
    x = tf.placeholder(tf.float32, [None, 8])
    w = tf.Variable(np.eye(8, dtype=np.float32))
    out = tf.nn.softmax(tf.matmul(tf.nn.relu(tf.matmul(x, w)), w))
    session = tf.Session()
    session.run(w.initializer)
    want = session.run(out, {x: np.ones((2, 8))})
    for rows in (2, 3000, 2, 9000, 2, 2):
        np.testing.assert_array_equal(session.run(out, {x: np.ones((rows, 8))})[:2], want)


def test_sessions_in_several_threads_share_programs_natively(line):
    _, x, y, loss, train = line
    sessions = [tf.Session() for _ in range(3)]
    init = tf.global_variables_initializer()

    def fit(session):
        session.run(init)
        for _ in range(400):
            session.run(train, {x: XS, y: YS})

    threads = [threading.Thread(target=fit, args=(s,)) for s in sessions]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    losses = {float(s.run(loss, {x: XS, y: YS})) for s in sessions}
    assert len(losses) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_runs_natively(line):
    session, x, y, loss, train = line
    for _ in range(2):
        session.run(train, {x: XS, y: YS})
    want = float(session.run(loss, {x: XS, y: YS}))
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(0 if float(session.run(loss, {x: XS, y: YS})) == want else 1)
    assert os.waitpid(child, 0)[1] == 0


# compiled functions


def test_the_second_call_of_a_kind_enters_no_python(python_entered):
    @tf.compile
    def step(state, x, rate):
        return {"w": state["w"] - rate * x, "n": (state["n"][0] + 1,)}, tf.reduce_sum(x)

    state = {"w": np.zeros(3, np.float32), "n": (np.float32(0),)}
    x = np.ones(3, np.float32)
    for _ in range(2):
        state, total = step(state, x, 0.5)
    before = len(python_entered)
    for _ in range(3):
        state, total = step(state, x, 0.5)
    assert len(python_entered) == before
    assert state["w"].tolist() == [-2.5] * 3 and state["n"] == (5,) and total == 3


def test_other_shapes_dtypes_and_nests_are_told_apart():
    @tf.compile
    def both(x):
        return tf.reduce_sum(x[0]) + tf.reduce_sum(x[1])

    for _ in range(3):
        assert both((np.ones(2, np.float32), np.ones(3, np.float32))) == 5
        assert both([np.ones(2, np.float32), np.ones(3, np.float32)]) == 5
        assert both((np.ones(2), np.ones(3))).dtype == np.float64
        assert both((np.ones(4, np.float32), np.ones(3, np.float32))) == 7
        assert both((2.0, 3.0)).dtype == np.float32
        assert both((2, 3)).dtype == np.int32
        assert both(np.ones((2, 2), np.float32)) == 4
    assert both.compilations == 7


def test_declared_arguments_are_cast_as_before():
    @tf.compile
    def double(x: tf.f32[n]):  # noqa: F821
        return x * 2

    for _ in range(3):
        assert double([1, 2]).tolist() == double(np.array([1.0, 2.0])).tolist() == double(np.array([1, 2], np.float32)).tolist() == [2, 4]
    assert double.compilations == 1
    with pytest.raises(ShapeError, match="is declared"):
        double(np.ones((2, 2)))


def test_a_compiled_function_inside_a_traced_one_is_inlined_all_the_same():
    @tf.compile
    def inner(x):
        return x * 2

    for _ in range(2):
        assert inner(np.float32([1])).tolist() == [2]

    @tf.compile
    def outer(x):
        return inner(np.float32([5])) + inner(x)

    for _ in range(2):
        assert outer(np.float32([1])).tolist() == [12]
    assert "inner" in outer.ir("trace")


def test_tensors_still_become_part_of_the_graph():
    @tf.compile
    def double(x):
        return x * 2

    double(np.float32([1])), double(np.float32([1]))
    assert isinstance(double(tf.constant([1.0])), tf.Tensor)


def test_ir_and_source_are_those_of_the_last_call():
    @tf.compile
    def double(x):
        return x * 2

    a, b = np.ones(3, np.float32), np.ones((2, 2))
    for _ in range(2):
        double(a)
        assert "x: f32[3]" in double.ir("trace")
        double(b)
        assert "x: f64[2, 2]" in double.ir("trace")
    double(x=np.ones(7))
    assert "x: f64[7]" in double.ir("trace")
    double(a)
    assert "x: f32[3]" in double.ir("trace")


def test_static_arguments_are_part_of_the_form():
    @tf.compile(static=("n",))
    def power(x, n):
        return x**n

    x = np.float32([3])
    for _ in range(2):
        assert (power(x, 2).tolist(), power(x, 3).tolist(), power(x, None if False else 1).tolist()) == ([9], [27], [3])


def test_methods_and_keyword_arguments():
    class Model:
        @tf.compile(static="self")
        def scaled(self, x):
            return x * self.factor

        factor = 3.0

    model = Model()
    for _ in range(3):
        assert model.scaled(np.float32([2])).tolist() == [6]

    @tf.compile
    def power(x, y=2.0):
        return x**y

    for _ in range(2):
        assert power(np.float32([3])).tolist() == power(np.float32([3]), y=2.0).tolist() == power(np.float32([3]), 2.0).tolist() == [9]


def test_results_that_stand_twice_in_an_answer_are_arrays_of_their_own():
    @tf.compile
    def twice(x):
        y = x + 1
        return y, y

    for _ in range(3):
        a, b = twice(np.float32([1]))
        a[0] = 7
        assert b[0] == 2


def test_a_compiled_function_holds_no_arguments():
    @tf.compile
    def double(x):
        return x * 2

    double(np.ones(3, np.float32)), double(np.ones(3, np.float32))
    x = np.ones(3, np.float32)
    before = sys.getrefcount(x)
    for _ in range(100):
        double(x)
    assert sys.getrefcount(x) == before
