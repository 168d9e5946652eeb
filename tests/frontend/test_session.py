"""Sessions: nests of fetches, feeds, default sessions, values that stay, programs that are shared."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import flowc as tf
from flowc import config
from flowc.errors import FeedError, FetchError, GraphError, UninitializedError
from flowc.runtime import executable
from flowc.runtime.prepared import Prepared


def test_fetches_keep_their_nest():
    x = tf.constant(1.0)
    y = x + 1
    Pair = namedtuple("Pair", "first second")
    session = tf.Session()
    assert session.run([x, (y, {"x": x, "nothing": y.op})]) == [1, (2, {"x": 1, "nothing": None})]
    assert session.run(Pair(x, y)) == Pair(1, 2)
    assert session.run([]) == []


def test_names_are_fetched():
    tf.constant(1.0, name="c")
    assert tf.Session().run(["c:0", "c"]) == [1, None]


def test_lists_of_one_nest_are_not_confused_with_another():
    x = tf.constant(1.0)
    session = tf.Session()
    for _ in range(2):
        assert session.run(x) == 1
        assert session.run([x]) == [1]
        assert session.run((x,)) == (1,)
        assert session.run({"x": x}) == {"x": 1}
        assert session.run([[x]]) == [[1]]


def test_a_fetched_operation_gives_none():
    W = tf.Variable(0.0)
    session = tf.Session()
    assert session.run(W.initializer) is None
    assert session.run([W, W.op]) == [0, None]


def test_lists_ints_and_float64_are_fed_to_float32():
    x = tf.placeholder(tf.float32)
    y = x * 2
    session = tf.Session()
    for value in ([1, 2], np.array([1.0, 2.0]), (1, 2), [np.float64(1), 2], np.array([1, 2])):
        result = session.run(y, {x: value})
        assert result.dtype == np.float32 and result.tolist() == [2, 4]


def test_a_placeholder_of_unknown_rank_takes_any_rank():
    x = tf.placeholder(tf.float32)
    y = tf.reduce_sum(x * 2 + 1)
    session = tf.Session()
    assert [session.run(y, {x: v}) for v in (1, [1, 2], [[1, 2], [3, 4]])] == [3, 8, 24]


def test_a_fed_array_in_another_order_is_read_right():
    x = tf.placeholder(tf.float32, [2, 3])
    value = np.arange(6, dtype=np.float32).reshape(3, 2).T
    np.testing.assert_array_equal(tf.Session().run(x + 0, {x: value}), value)


def test_feeds_by_name():
    x = tf.placeholder(tf.float32, name="x")
    assert tf.Session().run(x + 1, {"x:0": 2}) == 3


def test_any_tensor_can_be_fed():
    x = tf.constant(1.0)
    y = x * 10
    z = y + 1
    session = tf.Session()
    assert session.run(z, {y: 5}) == 6
    assert session.run(z, {x: 2}) == 21
    assert session.run(z) == 11


def test_a_placeholder_behind_a_fed_tensor_need_not_be_fed():
    x = tf.placeholder(tf.float32)
    y = x * 10
    assert tf.Session().run(y + 1, {y: 1}) == 2


def test_a_variable_can_be_fed():
    W = tf.Variable(1.0)
    assert tf.Session().run(W + 1, {W: 5}) == 6


def test_batches_of_any_size_share_one_program():
    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.reduce_sum(x)
    session = tf.Session()
    before = executable.builds
    assert [session.run(y, {x: np.ones((n, 3))}) for n in (10, 1, 100, 1000, 10)] == [30, 3, 300, 3000, 30]
    assert executable.builds - before <= 2


def test_sessions_share_programs_and_not_values():
    W = tf.Variable(1.0)
    first, second = tf.Session(), tf.Session()
    first.run(W.initializer)
    before = executable.builds
    second.run(W.initializer)
    assert executable.builds == before
    second.run(W.assign(5.0))
    assert (first.run(W), second.run(W)) == (1, 5)


def test_a_fetched_value_does_not_change_later():
    W = tf.Variable([1.0])
    session = tf.Session()
    session.run(W.initializer)
    value = session.run(W)
    session.run(W.assign([2.0]))
    assert value.tolist() == [1.0]
    value[0] = 7
    assert session.run(W).tolist() == [2.0]


def test_a_with_block_is_the_default_session_and_closes():
    x = tf.constant(2.0)
    with tf.Session() as session:
        assert x.eval() == 2
        assert tf.get_default_session() is session
        W = tf.Variable(3.0)
        tf.global_variables_initializer().run()
        assert W.eval() == 3
    with pytest.raises(GraphError, match="the session is closed"):
        session.run(x)


def test_as_default_does_not_close():
    x = tf.constant(2.0)
    session = tf.Session()
    with session.as_default():
        assert x.eval() == 2
    assert session.run(x) == 2


def test_an_interactive_session_is_the_default_one():
    x = tf.placeholder(tf.float32)
    session = tf.InteractiveSession()
    assert (x + 1).eval({x: 1}) == 2
    assert (x + 1).eval(feed_dict={x: 1}, session=session) == 2
    session.close()
    assert tf.get_default_session() is None


def test_eval_of_a_variable_takes_the_session_first():
    W = tf.Variable([1.0])
    session = tf.Session()
    session.run(W.initializer)
    assert W.eval(session).tolist() == [1]


def test_eval_without_a_session_is_an_error():
    with pytest.raises(GraphError, match="there is no default session"):
        tf.constant(1.0).eval()


def test_options_and_metadata_are_accepted():
    session = tf.Session(config=tf.ConfigProto(allow_soft_placement=True))
    assert session.run(tf.constant(1.0), options=tf.RunOptions(trace_level=3), run_metadata=tf.RunMetadata()) == 1


def test_several_graphs():
    first, second = tf.Graph(), tf.Graph()
    with first.as_default():
        x = tf.constant(1.0)
    with second.as_default():
        y = tf.constant(2.0)
        assert tf.get_default_graph() is second
    assert tf.Session(graph=first).run(x) == 1
    with tf.Session(graph=second) as session:
        assert session.run(y) == 2 and session.graph is second


def test_reset_default_graph_starts_anew():
    tf.placeholder(tf.float32)
    old = tf.get_default_graph()
    tf.reset_default_graph()
    assert tf.get_default_graph() is not old
    assert tf.placeholder(tf.float32).op.name == "Placeholder"


def test_reset_inside_a_with_block_is_refused():
    with tf.Graph().as_default(), pytest.raises(GraphError, match="reset_default_graph inside"):
        tf.reset_default_graph()


def test_a_finalized_graph_takes_no_nodes():
    tf.get_default_graph().finalize()
    with pytest.raises(GraphError, match="the graph is finalized"):
        tf.constant(1.0)


def test_make_callable_feeds_in_order():
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    assert tf.Session().make_callable(x - y, [x, y])(5, 2) == 3


def test_a_failed_run_changes_no_variable():
    W, V = tf.Variable([1.0, 2.0]), tf.Variable(0.0)
    x = tf.placeholder(tf.float32)
    step = tf.group(V.assign(1.0), W.assign(W + x))
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    with pytest.raises(ValueError, match="shape"):
        session.run(step, {x: [1, 2, 3]})
    values = session.run([W, V])
    assert values[0].tolist() == [1, 2] and values[1] == 0
    session.run(step, {x: [1, 1]})
    assert session.run(W).tolist() == [2, 3]


def interrupted(call, *arrays):
    raise KeyboardInterrupt


def test_ctrl_c_leaves_the_session_usable(monkeypatch):
    W = tf.Variable(1.0)
    step = W.assign_add(1.0)
    session = tf.Session()
    session.run(W.initializer)

    with monkeypatch.context() as patch:
        patch.setattr(Prepared, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.run(step)
    assert session.run(W) == 1 and session.run(step) == 2


def test_a_variable_initialised_by_a_failed_run_has_no_value(monkeypatch):
    W = tf.Variable(1.0)
    session = tf.Session()
    with monkeypatch.context() as patch:
        patch.setattr(Prepared, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.run(W.initializer)
    with pytest.raises(UninitializedError):
        session.run(W)


def test_an_operation_cannot_be_fed():
    W = tf.Variable(1.0)
    with pytest.raises(FeedError, match="only tensors can be fed"):
        tf.Session().run(W, {W.initializer: 1})


def test_a_tensor_fed_twice_is_refused():
    x = tf.placeholder(tf.float32, name="x")
    with pytest.raises(FeedError, match="is fed twice"):
        tf.Session().run(x, {x: 1, "x:0": 2})


def test_a_number_cannot_be_fetched():
    with pytest.raises(FetchError, match="int 3 cannot be fetched"):
        tf.Session().run(3)


def test_a_nest_within_a_nest_is_worked_out_once():
    x = tf.placeholder(tf.float32)
    y = x * 2
    session = tf.Session()
    before = executable.builds
    for value in (1, 2, 3):
        assert session.run({"a": [x, {"y": y}], "b": (y,)}, {x: value}) == {"a": [value, {"y": 2 * value}], "b": (2 * value,)}
    assert executable.builds == before + 1


def test_many_shapes_leave_the_answers_right():
    x = tf.placeholder(tf.float32, [None])
    total = tf.reduce_sum(x)
    session = tf.Session()
    assert [session.run(total, {x: np.ones(n)}) for n in range(1, 200)] == list(range(1, 200))


def test_a_program_that_is_fed_ints_and_truth_values():
    i, t = tf.placeholder(tf.int64, [None]), tf.placeholder(tf.bool, [None])
    y = tf.where(t, i, -i)
    session = tf.Session()
    for _ in range(2):
        assert session.run(y, {i: [1, 2], t: [True, False]}).tolist() == [1, -2]
        assert session.run(y, {i: np.array([1, 2], np.int8), t: np.array([0, 1])}).tolist() == [-1, 2]


@pytest.mark.parametrize("backend", ["interpret", "cpu"])
def test_operations_that_do_nothing_run(backend, tmp_path):
    with config.override(backend=backend, cache_dir=tmp_path):
        session = tf.Session()
        assert session.run(tf.global_variables_initializer()) is None
        assert session.run([tf.no_op(), tf.group()]) == [None, None]
