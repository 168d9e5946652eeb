"""Names as TensorFlow 1 gives them: automatic ones, scopes, variables' parts."""

from __future__ import annotations

import numpy as np
import pytest

import flowc as tf
from flowc.errors import GraphError


def names() -> list[str]:
    return [n.name for n in tf.get_default_graph().nodes]


def test_operators_are_named_in_small_letters_and_functions_like_their_op():
    x = tf.placeholder(tf.float32, [None])
    assert [t.op.name for t in (x + x, x - x, x * x, x / x, x**x, -x, x % x, x // x)] == [
        "add", "sub", "mul", "truediv", "pow", "Neg", "mod", "floordiv",
    ]  # fmt: skip


def test_functions_of_two_are_named_in_capitals():
    x = tf.placeholder(tf.float32, [None])
    assert [t.op.name for t in (tf.add(x, x), tf.subtract(x, x), tf.multiply(x, x), tf.pow(x, x))] == ["Add", "Sub", "Mul", "Pow"]


def test_functions_take_their_ops_titles():
    x = tf.placeholder(tf.float32, [3, 4])
    made = [
        tf.square(x), tf.reduce_sum(x), tf.reduce_mean(x), tf.nn.relu(x), tf.matmul(x, x, transpose_b=True), tf.argmax(x, 1), tf.cast(x, tf.int32),
        tf.reshape(x, [-1]), tf.transpose(x), tf.nn.softmax(x), tf.concat([x, x], 0), tf.stack([x, x]), tf.expand_dims(x, 0), tf.equal(x, x),
        tf.exp(x), tf.log(x), tf.reduce_max(x), tf.sigmoid(x), tf.one_hot(tf.argmax(x, 1), 4), tf.identity(x), tf.constant(1.0), tf.zeros([2]),
    ]  # fmt: skip
    assert [t.op.name for t in made] == [
        "Square", "Sum", "Mean", "Relu", "MatMul", "ArgMax", "Cast",
        "Reshape", "transpose", "Softmax", "concat", "stack", "ExpandDims", "Equal",
        "Exp", "Log", "Max", "Sigmoid", "one_hot", "Identity", "Const_3", "zeros",
    ]  # fmt: skip


def test_a_name_that_is_taken_gets_a_number():
    x = tf.placeholder(tf.float32)
    y = tf.placeholder(tf.float32)
    assert (x.name, y.name) == ("Placeholder:0", "Placeholder_1:0")
    assert [(x + y).name, (x + y).name] == ["add:0", "add_1:0"]


def test_a_given_name_is_used():
    assert tf.placeholder(tf.float32, name="x").name == "x:0"
    assert tf.reduce_sum([1.0, 2.0], name="total").op.name == "total"


def test_a_weak_operand_is_a_constant_below_the_operation():
    x = tf.placeholder(tf.float32)
    x * 2.0
    1.0 - x
    assert names() == ["Placeholder", "mul/y", "mul", "sub/x", "sub"]


def test_a_variable_has_an_initial_value_a_place_an_assignment_and_a_read():
    tf.Variable([0.3], tf.float32)
    tf.Variable([0.3], name="W")
    assert names() == [
        "Variable/initial_value", "Variable", "Variable/Assign", "Variable/read", "W/initial_value", "W", "W/Assign", "W/read",
    ]  # fmt: skip


def test_variables_are_numbered():
    assert [tf.Variable(0.0).op.name for _ in range(3)] == ["Variable", "Variable_1", "Variable_2"]


def test_a_name_scope_prefixes_and_is_unique():
    with tf.name_scope("layer") as scope:
        first = tf.constant(1.0)
    with tf.name_scope("layer"):
        second = tf.constant(1.0)
    assert scope == "layer/"
    assert (first.op.name, second.op.name) == ("layer/Const", "layer_1/Const")


def test_a_scope_that_ends_in_a_slash_is_entered_again():
    with tf.name_scope("layer") as scope:
        tf.constant(1.0)
    with tf.name_scope("other"), tf.name_scope(scope):
        assert tf.constant(2.0).op.name == "layer/Const_1"


def test_scopes_nest_and_none_goes_to_the_top():
    with tf.name_scope("a"), tf.name_scope("b"):
        assert tf.constant(1.0).op.name == "a/b/Const"
        with tf.name_scope(None):
            assert tf.constant(1.0).op.name == "Const"


def test_names_differ_without_regard_to_case():
    x = tf.placeholder(tf.float32)
    assert (tf.add(x, x).op.name, (x + x).op.name) == ("Add", "add_1")


def test_a_variable_scope_names_nodes_and_variables():
    with tf.variable_scope("HiddenLayer"):
        W = tf.Variable(tf.zeros([2, 3]))
        h = tf.matmul([[1.0, 2.0]], W)
    assert (W.op.name, h.op.name) == ("HiddenLayer/Variable", "HiddenLayer/MatMul")


def test_a_variable_scope_entered_twice_keeps_its_variables_name_and_gets_a_new_name_scope():
    with tf.variable_scope("s"):
        first = tf.get_variable("v", [1])
        node = tf.constant(1.0)
    with tf.variable_scope("s", reuse=True):
        second = tf.get_variable("v", [1])
        other = tf.constant(1.0)
    assert second is first and first.op.name == "s/v"
    assert (node.op.name, other.op.name) == ("s/Const", "s_1/Const")


def test_get_variable_ignores_name_scopes():
    with tf.name_scope("n"), tf.variable_scope("v"):
        W = tf.get_variable("W", [1])
        node = tf.constant(1.0)
    assert W.op.name == "v/W"
    assert node.op.name == "n/v/Const"


def test_a_variable_scope_without_a_name_takes_a_unique_default():
    made = []
    for _ in range(2):
        with tf.variable_scope(None, default_name="layer"):
            made.append(tf.get_variable("W", [1]).op.name)
    assert made == ["layer/W", "layer_1/W"]


def test_initializers_of_get_variable_stand_below_the_variable():
    with tf.variable_scope("s"):
        tf.get_variable("W", [2], initializer=tf.zeros_initializer())
    assert names()[0] == "s/W/Initializer/zeros"
    assert names()[1:] == ["s/W", "s/W/Assign", "s/W/read"]


def test_elements_are_found_by_name():
    x = tf.placeholder(tf.float32, name="x")
    graph = tf.get_default_graph()
    assert graph.get_tensor_by_name("x:0") is x
    assert graph.get_operation_by_name("x") is x.op
    assert graph.as_graph_element("x:0") is x


def test_an_unknown_name_tells_what_is_near():
    tf.placeholder(tf.float32, name="features")
    with pytest.raises(GraphError, match=r"no node named 'feature:0'; near: features"):
        tf.get_default_graph().get_tensor_by_name("feature:0")


def test_a_tensor_is_not_found_by_the_name_of_its_operation():
    tf.placeholder(tf.float32, name="x")
    with pytest.raises(GraphError, match="its tensor is 'x:0'"):
        tf.get_default_graph().get_tensor_by_name("x")


def test_an_invalid_name_is_refused():
    with pytest.raises(GraphError, match="'a b' is not a valid name"):
        tf.constant(1.0, name="a b")


def test_the_group_of_initializers_is_called_init():
    tf.Variable(0.0)
    assert tf.global_variables_initializer().name == "init"


def test_numpy_on_the_left_makes_one_operation():
    x = tf.placeholder(tf.float32, [2])
    assert (np.float32(2) * x).op.name == "mul"
    assert (np.ones(2) - x).op.name == "sub"
    assert names() == ["Placeholder", "mul/x", "mul", "sub/x", "sub"]


def test_a_reduction_of_all_axes_takes_the_name_of_tensorflows_constant():
    x = tf.placeholder(tf.float32, [None, 2])
    total = tf.reduce_sum(x)
    tf.reduce_mean(x, axis=1)
    assert (total.op.name, tf.constant(1.0).op.name) == ("Sum", "Const_1")
