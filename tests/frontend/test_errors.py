"""What the user meets with bad input: the text, and the line that it points to."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import flowc as tf
from flowc.errors import DTypeError, FeedError, FetchError, FlowcError, FlowcWarning, GraphError, NameLookupError, ShapeError, UninitializedError


def lines(error: FlowcError) -> list[str]:
    return str(error).splitlines()


def test_shapes_that_do_not_match_show_both_operands_lines():
    x = tf.placeholder(tf.float32, [None, 20], name="x")
    W = tf.Variable(tf.zeros([30, 1]), name="W")
    with pytest.raises(ShapeError) as caught:
        tf.matmul(x, W, name="product")
    what, detail, place, *operands = lines(caught.value)
    assert "20" in what and "30" in what and what.startswith("matmul:")
    assert detail == "  product = matmul(x: f32[b, 20], W/read: f32[30, 1])"
    assert place.startswith("  test_errors.py:") and place.endswith('tf.matmul(x, W, name="product")')
    assert any('x made at: test_errors.py:' in o and 'name="x")' in o for o in operands)
    assert any('W/read made at: test_errors.py:' in o and 'name="W")' in o for o in operands)


def test_elementwise_shapes_that_do_not_broadcast():
    x, y = tf.placeholder(tf.float32, [None, 3], name="x"), tf.placeholder(tf.float32, [4], name="y")
    with pytest.raises(ShapeError) as caught:
        x + y
    what, detail, place, *_ = lines(caught.value)
    assert what == "add: shapes [b, 3] and [4] do not broadcast"
    assert detail == "  add = add(x: f32[b, 3], y: f32[4])"
    assert place.endswith("x + y")


def test_wrong_dtypes():
    x, i = tf.placeholder(tf.float32, name="x"), tf.placeholder(tf.int32, name="i")
    with pytest.raises(DTypeError) as caught:
        x * i
    what, detail, place, *_ = lines(caught.value)
    assert what == "mul: operands are f32 and i32"
    assert detail == "  mul = mul(x: f32[...], i: i32[...])"
    assert place.endswith("x * i")


def test_a_float_beside_ints_is_not_cut_off():
    i = tf.placeholder(tf.int32, name="i")
    with pytest.raises(DTypeError) as caught:
        i * 1.5
    what, detail, place = lines(caught.value)
    assert what == "mul: 1.5 cannot be cast to i32, an integer type, without loss"
    assert detail == "  the other operand is i: i32[...]"
    assert place.endswith("i * 1.5")


def test_an_unfed_placeholder():
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    y = tf.reduce_sum(x, name="y")
    with pytest.raises(FeedError) as caught:
        tf.Session().run(y)
    what, detail, place = lines(caught.value)
    assert what == "placeholder x is not fed, and y needs it"
    assert detail == "  x: f32[b, 2] = placeholder()"
    assert place.endswith('x = tf.placeholder(tf.float32, [None, 2], name="x")')


def test_an_unfed_placeholder_is_an_invalid_argument():
    x = tf.placeholder(tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.Session().run(x)


@pytest.mark.parametrize("value", [np.zeros((3, 4)), np.zeros(2), [[1, 2, 3]]])
def test_feeding_the_wrong_shape(value):
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    with pytest.raises(FeedError) as caught:
        tf.Session().run(x, {x: value})
    what, detail, place, made = lines(caught.value)
    assert what == f"feed of x: a value of shape {list(np.shape(value))} does not fit f32[b, 2]"
    assert detail == "  <x: f32[b, 2] = placeholder()>"
    assert place.endswith("tf.Session().run(x, {x: value})")
    assert made.startswith("  x made at: test_errors.py:") and 'name="x")' in made


@pytest.mark.parametrize(
    ("dtype", "value", "why"),
    [
        ("float32", "abc", "a value of type str cannot be cast to f32"),
        ("float32", ["abc"], "a value of type list cannot be cast to f32"),
        ("float32", None, "None is fed"),
        ("float32", [[1], [1, 2]], "the value is no array"),
        ("float32", np.array([1j]), "a value of type complex128 cannot be cast to f32"),
        ("int32", 1.5, "1.5 cannot be cast to i32, an integer type, without loss"),
        ("int8", [300], "[300] cannot be cast to i8, an integer type, without loss"),
        ("bool", 2, "2 cannot be cast to bool, a truth value type, without loss"),
    ],
)
def test_feeding_a_value_that_cannot_be_cast(dtype, value, why):
    x = tf.placeholder(dtype, name="x")
    with pytest.raises(FeedError) as caught:
        tf.Session().run(x, {x: value})
    what, _, place, made = lines(caught.value)
    assert what.startswith(f"feed of x: {why}")
    assert place.endswith("tf.Session().run(x, {x: value})")
    assert "x made at:" in made


def test_feeding_a_tensor():
    x = tf.placeholder(tf.float32, name="x")
    with pytest.raises(FeedError, match="feed of x: a tensor cannot be fed"):
        tf.Session().run(x, {x: tf.constant(1.0)})


def test_whole_floats_are_fed_to_ints():
    x = tf.placeholder(tf.int32)
    assert tf.Session().run(x, {x: [1.0, 2.0]}).tolist() == [1, 2]


def test_fetching_from_another_graph():
    with tf.Graph().as_default():
        c = tf.constant(1.0, name="c")
    with pytest.raises(FetchError) as caught:
        tf.Session().run(c)
    what, detail, place, made = lines(caught.value)
    assert what == "c:0 is not an element of this graph"
    assert detail == "  <c: f32 = constant()>"
    assert place.endswith("tf.Session().run(c)")
    assert made.startswith("  c made at: test_errors.py:") and 'name="c")' in made


def test_feeding_a_tensor_of_another_graph():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, name="x")
    with pytest.raises(FeedError, match="a key of feed_dict cannot be used: x:0 is not an element of this graph"):
        tf.Session().run(tf.constant(1.0), {x: 1})


def test_operands_of_two_graphs():
    with tf.Graph().as_default():
        c = tf.constant(1.0, name="c")
    d = tf.constant(1.0, name="d")
    with pytest.raises(GraphError, match="operand d belongs to another graph"):
        c + d


def test_an_uninitialised_variable():
    W = tf.Variable([1.0], name="W")
    y = W * 2
    with pytest.raises(UninitializedError) as caught:
        tf.Session().run(y)
    what, detail, place, made = lines(caught.value)
    assert what == "variable W has no value yet: run tf.global_variables_initializer() first"
    assert detail == "  W: f32[1]"
    assert place.endswith("tf.Session().run(y)")
    assert made.startswith("  W made at: test_errors.py:") and 'name="W")' in made


def test_an_uninitialised_variable_is_a_failed_precondition():
    with pytest.raises(tf.errors.FailedPreconditionError):
        tf.Session().run(tf.Variable(0.0))


def test_float_is_float32():
    with pytest.raises(NameLookupError) as caught:
        tf.placeholder(tf.float)
    what, place = lines(caught.value)
    assert "float is not supported" in what and what.endswith("did you mean float32?")
    assert place.endswith("tf.placeholder(tf.float)")


@pytest.mark.parametrize(("name", "near"), [("plaecholder", "placeholder"), ("reduce_summ", "reduce_sum"), ("Sesion", "Session"), ("Matmul", "matmul")])
def test_an_unknown_name_tells_what_is_near(name, near):
    with pytest.raises(NameLookupError, match=f"{name} is not supported.*{near}") as caught:
        getattr(tf, name)
    assert lines(caught.value)[1].endswith("getattr(tf, name)")


def test_an_unknown_name_of_a_namespace_tells_what_is_near():
    with pytest.raises(NameLookupError, match=r"nn.rellu is not supported.*relu"):
        tf.nn.rellu


@pytest.mark.parametrize(("name", "whole"), [("Adam", "AdamOptimizer"), ("momentum", "MomentumOptimizer"), ("Gradient", "GradientDescentOptimizer")])
def test_the_beginning_of_a_name_tells_the_whole_one(name, whole):
    with pytest.raises(NameLookupError, match=f"train.{name} is not supported by flowc; did you mean {whole}"):
        getattr(tf.train, name)


def test_hasattr_works_on_unknown_names():
    assert not hasattr(tf, "no_such_thing_at_all")


@pytest.mark.parametrize("name", ["cond", "while_loop", "case"])
def test_control_flow_in_the_graph_is_refused_with_the_line(name):
    with pytest.raises(FlowcError) as caught:
        getattr(tf, name)(True, lambda: 1, lambda: 2)
    what, advice, place = lines(caught.value)
    assert what == f"tf.{name} is not supported"
    assert "Python" in advice
    assert place.endswith("getattr(tf, name)(True, lambda: 1, lambda: 2)")


def test_a_tensor_has_no_truth_value():
    x = tf.placeholder(tf.float32, name="x")
    with pytest.raises(FlowcError, match="a tensor has no truth value") as caught:
        if x > 0:
            pass
    assert lines(caught.value)[-1].endswith("if x > 0:")


def test_a_tensor_is_no_array():
    x = tf.placeholder(tf.float32, name="x")
    with pytest.raises(FlowcError, match="a tensor is not an array before it is run"):
        np.asarray(x)
    with pytest.raises(FlowcError, match="a tensor has no value before it is run"):
        float(x)


def test_iterating_over_an_unknown_extent():
    x = tf.placeholder(tf.float32, [None], name="x")
    with pytest.raises(ShapeError, match="iterated over only where the extent of its first axis is known"):
        list(x)


def test_a_graph_that_grows_in_the_run_loop():
    W = tf.Variable(0.0)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    with pytest.warns(FlowcWarning) as caught:
        for _ in range(6):
            session.run(W.assign(W + 1.0))
    (warning,) = caught
    text = str(warning.message)
    assert text.startswith("the graph grows between runs: this line has added nodes")
    assert text.endswith("session.run(W.assign(W + 1.0))")
    assert warning.filename == __file__


def test_nodes_added_in_a_loop_are_noticed_though_the_same_tensor_is_run():
    x = tf.constant(1.0)
    session = tf.Session()
    with pytest.warns(FlowcWarning, match="the graph grows between runs"):
        for _ in range(6):
            tf.constant(2.0)
            session.run(x)


def test_building_between_runs_is_no_loop():
    session = tf.Session()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a = tf.constant(1.0)
        session.run(a)
        b = a + 1
        session.run(b)
        c = b + 1
        session.run(c)
        d = c + 1
        session.run(d)
        assert session.run(d + 1) == 5


def test_a_column_against_a_row():
    prediction = tf.placeholder(tf.float32, [None, 1], name="prediction")
    target = tf.placeholder(tf.float32, [None], name="target")
    with pytest.warns(FlowcWarning) as caught:
        tf.reduce_mean(tf.square(prediction - target))
    (warning,) = caught
    text = str(warning.message)
    assert text.startswith("sub: prediction of shape [b, 1] against target of shape [b1] broadcasts to a matrix of all pairs")
    assert text.endswith("tf.reduce_mean(tf.square(prediction - target))")


def test_a_column_against_a_row_that_only_the_run_tells():
    prediction, target = tf.placeholder(tf.float32, name="prediction"), tf.placeholder(tf.float32, name="target")
    loss = tf.reduce_mean(tf.squared_difference(prediction, target))
    session = tf.Session()
    with pytest.warns(FlowcWarning) as caught:
        session.run(loss, {prediction: np.zeros((5, 1)), target: np.zeros(5)})
    (warning,) = caught
    assert str(warning.message).startswith("squared_difference: prediction")
    assert str(warning.message).endswith("loss = tf.reduce_mean(tf.squared_difference(prediction, target))")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.run(loss, {prediction: np.zeros((5, 1)), target: np.zeros((5, 1))})


def test_all_pairs_made_on_purpose_are_fine():
    x = tf.placeholder(tf.float32, [None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tf.Session().run(tf.expand_dims(x, 1) - x, {x: [1, 2]}).tolist() == [[0, -1], [1, 0]]


def test_columns_against_columns_are_fine():
    x, y = tf.placeholder(tf.float32, [None, 1]), tf.placeholder(tf.float32, [None, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x - y


def test_an_index_out_of_range():
    x = tf.placeholder(tf.float32, [3], name="x")
    with pytest.raises(ShapeError, match="index 3 is out of range for axis 0 of extent 3"):
        x[3]


def test_a_shape_that_depends_on_values():
    n = tf.placeholder(tf.int32, [], name="n")
    with pytest.raises(ShapeError) as caught:
        tf.zeros([n, 2])
    what, _, place, made = lines(caught.value)
    assert what == "zeros: the shape: n cannot be worked out when the graph is built: its value depends on what is fed"
    assert place.endswith("tf.zeros([n, 2])")
    assert "n made at:" in made


def test_positional_labels_are_refused():
    x = tf.placeholder(tf.float32, [None, 3])
    with pytest.raises(FlowcError, match="takes named arguments only"):
        tf.nn.softmax_cross_entropy_with_logits(x, x)
