"""Variables: initial values, dtypes, sharing, assignment, order of reads and writes."""

from __future__ import annotations

import numpy as np
import pytest

import flowc as tf
from flowc.errors import DTypeError, GraphError, ShapeError


def initialized() -> tf.Session:
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session


def test_the_dtype_may_stand_in_second_place():
    W = tf.Variable([0.3], tf.float32)
    assert W.dtype is tf.float32 and W in tf.trainable_variables()
    assert tf.Variable([1, 2], tf.float64).dtype is tf.float64


def test_false_in_second_place_is_trainable():
    step = tf.Variable(0, False)
    assert step.dtype is tf.int32 and step not in tf.trainable_variables() and step in tf.global_variables()


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (0.5, "float32", ()), (3, "int32", ()), (True, "bool", ()), ([1.0, 2.0], "float32", (2,)), (np.zeros((2, 3)), "float64", (2, 3)),
        (np.ones(2, np.float32), "float32", (2,)), ([[1, 2]], "int32", (1, 2)), (np.float64(2.0), "float64", ()), ([np.float64(2.0)], "float32", (1,)),
    ],
)  # fmt: skip
def test_initial_values_give_dtype_and_shape(value, dtype, shape):
    W = tf.Variable(value)
    assert (W.dtype.long_name, tuple(W.shape.as_list())) == (dtype, shape)
    np.testing.assert_array_equal(initialized().run(W), np.asarray(value))


def test_a_variable_starts_from_a_graph_tensor():
    W = tf.Variable(tf.fill([2], 7.0) + 1.0)
    assert initialized().run(W).tolist() == [8.0, 8.0]


def test_a_variable_starts_from_another_ones_initial_value():
    W = tf.Variable([1.0, 2.0])
    twice = tf.Variable(W.initialized_value() * 2.0)
    assert initialized().run(twice).tolist() == [2.0, 4.0]


def test_a_function_gives_the_initial_value():
    W = tf.Variable(lambda: tf.ones([2]), name="W")
    assert initialized().run(W).tolist() == [1.0, 1.0]


def test_a_scalar_variable_is_fetched_as_a_numpy_scalar():
    b = tf.Variable(tf.constant(0.0))
    value = initialized().run(b)
    assert isinstance(value, np.float32) and value == 0


def test_assign_gives_the_new_value():
    W = tf.Variable([1.0, 2.0])
    session = initialized()
    assert session.run(W.assign([5, 6])).tolist() == [5, 6]
    assert session.run(W.assign_add([1, 1])).tolist() == [6, 7]
    assert session.run(tf.assign_sub(W, [2, 2])).tolist() == [4, 5]
    assert session.run(W).tolist() == [4, 5]


def test_an_assignment_can_use_the_old_value():
    W = tf.Variable(1.0)
    double = W.assign(W * 2)
    session = initialized()
    assert [session.run(double) for _ in range(3)] == [2, 4, 8]


def test_a_read_after_a_control_dependency_sees_the_new_value():
    W = tf.Variable(1.0)
    with tf.control_dependencies([W.assign_add(1.0)]):
        after = tf.identity(W)
        fresh = W.read_value()
    before = W + 0.0
    assert initialized().run([before, after, fresh]) == [1, 2, 2]


def test_control_dependencies_run_an_assignment():
    counter = tf.Variable(0)
    with tf.control_dependencies([counter.assign_add(1)]):
        answer = tf.constant(42)
    session = initialized()
    assert session.run(answer) == 42 and session.run(counter) == 1


def test_an_initializer_ignores_surrounding_control_dependencies():
    x = tf.placeholder(tf.float32)
    with tf.control_dependencies([x]):
        W = tf.Variable(1.0)
    assert initialized().run(W) == 1


def test_group_runs_all_and_gives_none():
    a, b = tf.Variable(0.0), tf.Variable(0.0)
    both = tf.group(a.assign(1.0), b.assign(2.0))
    session = initialized()
    assert session.run(both) is None
    assert session.run([a, b]) == [1, 2]


def test_tuple_waits_for_all():
    a = tf.Variable(0.0)
    x = tf.constant(3.0)
    (y,) = tf.tuple([x], control_inputs=[a.assign(1.0)])
    session = initialized()
    assert session.run(y) == 3 and session.run(a) == 1


def test_operators_work_on_variables():
    W = tf.Variable([1.0, 2.0])
    session = initialized()
    assert session.run(2 * W - 1).tolist() == [1, 3]
    assert session.run(-W).tolist() == [-1, -2]
    assert session.run(W[1]) == 2
    assert session.run(np.ones(2) + W).tolist() == [2, 3]


def test_load_sets_a_value_without_a_node():
    W = tf.Variable([1.0, 2.0])
    session = tf.Session()
    count = len(tf.get_default_graph().nodes)
    W.load([3, 4], session)
    assert session.run(W).tolist() == [3, 4]
    assert len(tf.get_default_graph().nodes) == count


def test_get_variable_makes_and_finds():
    with tf.variable_scope("s", reuse=tf.AUTO_REUSE):
        assert tf.get_variable("v", [2]) is tf.get_variable("v", [2])
    assert tf.get_variable_scope().name == ""


def test_reuse_is_inherited():
    with tf.variable_scope("a"), tf.variable_scope("b"):
        first = tf.get_variable("v", [2])
    with tf.variable_scope("a", reuse=True), tf.variable_scope("b"):
        assert tf.get_variable("v") is first


def test_reuse_variables_turns_a_scope_over():
    with tf.variable_scope("a") as scope:
        first = tf.get_variable("v", [2])
        scope.reuse_variables()
        assert tf.get_variable("v", [2]) is first


def test_a_scope_object_is_entered_again():
    with tf.variable_scope("a") as scope:
        first = tf.get_variable("v", [2])
    with tf.variable_scope("elsewhere"), tf.variable_scope(scope, reuse=True):
        assert tf.get_variable("v", [2]) is first


def test_get_variable_twice_is_an_error():
    tf.get_variable("v", [2])
    with pytest.raises(GraphError, match="variable v already exists"):
        tf.get_variable("v", [2])


def test_reuse_of_what_is_not_there_is_an_error():
    with tf.variable_scope("s", reuse=True), pytest.raises(GraphError, match="variable s/v does not exist"):
        tf.get_variable("v", [2])


def test_reuse_with_another_shape_is_an_error():
    tf.get_variable("v", [2])
    with tf.variable_scope("", reuse=True), pytest.raises(ShapeError, match="has shape"):
        tf.get_variable("v", [3])


def test_a_scopes_initializer_serves_its_variables():
    with tf.variable_scope("s", initializer=tf.constant_initializer(0.5)):
        v = tf.get_variable("v", [2])
    assert initialized().run(v).tolist() == [0.5, 0.5]


def test_a_regularizer_adds_a_loss():
    with tf.variable_scope("s", regularizer=lambda w: tf.reduce_sum(tf.square(w))):
        tf.get_variable("v", initializer=[3.0, 4.0])
    (loss,) = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert initialized().run(loss) == 25


def test_collections_hold_variables():
    a = tf.Variable(1.0, name="a")
    b = tf.Variable(1.0, trainable=False, name="b")
    with tf.variable_scope("s"):
        c = tf.Variable(1.0, name="c")
    assert tf.global_variables() == [a, b, c]
    assert tf.trainable_variables() == [a, c]
    assert tf.global_variables("s/") == [c]


def test_a_variable_without_a_known_shape_is_refused():
    x = tf.placeholder(tf.float32, [None])
    with pytest.raises(ShapeError, match="a variable needs a known shape"):
        tf.Variable(x)


def test_assigning_another_shape_is_refused():
    W = tf.Variable([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"the variable has shape \[2\] and the value \[3\]"):
        W.assign([1.0, 2.0, 3.0])


def test_assigning_another_dtype_is_refused():
    W = tf.Variable([1.0, 2.0])
    with pytest.raises(DTypeError, match="the variable is f32 and the value i32"):
        W.assign(tf.constant([1, 2]))
