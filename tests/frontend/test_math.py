"""Arithmetic, functions and reductions against NumPy; dtypes of weak operands."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flowc as tf
from flowc.errors import DTypeError, FlowcError

X = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]], np.float32)
POSITIVE = np.abs(X) + np.float32(0.5)


def run(y, feeds=None):
    return tf.Session().run(y, feeds)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda x: x + 1, X + 1), (lambda x: 1 - x, 1 - X), (lambda x: x * 2.5, X * np.float32(2.5)), (lambda x: 2 / x, 2 / X),
        (lambda x: x**2, X**2), (lambda x: 2**x, np.float32(2) ** X), (lambda x: -x, -X), (lambda x: abs(x), np.abs(X)),
        (lambda x: x // 2, X // 2), (lambda x: x % 2, X % 2), (lambda x: x > 0, X > 0), (lambda x: x <= 0.5, X <= 0.5),
        (lambda x: ~(x > 0), ~(X > 0)), (lambda x: (x > 0) & (x < 1), (X > 0) & (X < 1)), (lambda x: (x > 0) | (x < -1), (X > 0) | (X < -1)),
        (lambda x: (x > 0) ^ (x < 1), (X > 0) ^ (X < 1)), (lambda x: x < 1, X < 1), (lambda x: np.ones(3) * x, X), (lambda x: x - np.ones((2, 1)), X - 1),
        (lambda x: [1, 2, 3] - x, np.array([1, 2, 3], np.float32) - X), (lambda x: np.float64(2) * x, 2 * X), (lambda x: x * np.int64(2), 2 * X),
    ],
)  # fmt: skip
def test_operators_are_numpys(make, expected):
    x = tf.placeholder(tf.float32, [None, 3])
    result = run(make(x), {x: X})
    assert result.dtype == (np.bool_ if expected.dtype == np.bool_ else np.float32)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("square", X**2), ("exp", np.exp(X)), ("expm1", np.expm1(X)), ("tanh", np.tanh(X)), ("sigmoid", 1 / (1 + np.exp(-X))), ("sin", np.sin(X)),
        ("cos", np.cos(X)), ("atan", np.arctan(X)), ("floor", np.floor(X)), ("ceil", np.ceil(X)), ("round", np.rint(X)), ("sign", np.sign(X)),
        ("negative", -X), ("reciprocal", 1 / X), ("log_sigmoid", -np.log1p(np.exp(-X))),
        ("erf", np.vectorize(math.erf)(X)), ("erfc", np.vectorize(math.erfc)(X)), ("is_nan", np.isnan(X)),
    ],
)  # fmt: skip
def test_functions_are_numpys(name, expected):
    np.testing.assert_allclose(run(getattr(tf, name)(X)), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "function"), [("log", np.log), ("sqrt", np.sqrt), ("log1p", np.log1p), ("rsqrt", lambda x: 1 / np.sqrt(x))])
def test_functions_of_positive_numbers(name, function):
    np.testing.assert_allclose(run(getattr(tf, name)(POSITIVE)), function(POSITIVE), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("add", np.add), ("subtract", np.subtract), ("multiply", np.multiply), ("divide", np.divide), ("maximum", np.maximum), ("minimum", np.minimum),
        ("squared_difference", lambda x, y: (x - y) ** 2), ("equal", np.equal), ("not_equal", np.not_equal), ("less", np.less),
        ("greater_equal", np.greater_equal), ("floordiv", np.floor_divide), ("floormod", np.mod),
    ],
)  # fmt: skip
def test_functions_of_two(name, function):
    np.testing.assert_allclose(run(getattr(tf, name)(X, POSITIVE)), function(X, POSITIVE), rtol=1e-6)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, [0], [0, 1], (1,)])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod"])
def test_reductions_are_numpys(name, axis, keep):
    axes = tuple(axis) if isinstance(axis, list) else axis
    expected = getattr(np, name)(X, axis=axes, keepdims=keep)
    np.testing.assert_allclose(run(getattr(tf, "reduce_" + name)(X, axis, keepdims=keep)), expected, rtol=1e-6)


def test_older_spellings_of_reductions():
    assert run(tf.reduce_sum(X, reduction_indices=[1])).tolist() == X.sum(1).tolist()
    assert run(tf.reduce_max(X, reduction_indices=0, keep_dims=True)).shape == (1, 3)
    with pytest.raises(FlowcError, match="only one of axis and reduction_indices"):
        tf.reduce_sum(X, axis=0, reduction_indices=0)


def test_logical_reductions_and_logsumexp():
    assert run(tf.reduce_any(X > 2)) and not run(tf.reduce_all(X > 2))
    np.testing.assert_allclose(run(tf.reduce_logsumexp(X, 1)), np.log(np.exp(X).sum(1)), rtol=1e-6)


def test_a_sum_of_a_value_of_unknown_rank_is_a_scalar():
    x = tf.placeholder(tf.float32)
    assert tf.reduce_sum(x).shape == () and tf.reduce_mean(x).shape == ()


def test_the_mean_of_ints_is_rounded_down():
    assert run(tf.reduce_mean([1, 2, 4])) == 2
    assert run(tf.reduce_mean([1.0, 2.0, 4.5])) == 2.5


def test_argmax_and_argmin():
    assert run(tf.argmax(X, 1)).tolist() == [2, 0] and run(tf.argmax(X)).tolist() == [1, 1, 0]
    assert run(tf.argmin(X, axis=1)).tolist() == [1, 2] and run(tf.argmax(X, 1)).dtype == np.int64
    assert run(tf.argmax(X, dimension=1, output_type=tf.int32)).dtype == np.int32


def test_accuracy_as_programs_write_it():
    y, labels = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 3])
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(y, 1), tf.argmax(labels, 1)), tf.float32))
    assert run(accuracy, {y: [[1, 2, 0], [3, 1, 0]], labels: [[0, 1, 0], [0, 0, 1]]}) == 0.5


@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(False, False), (True, False), (False, True), (True, True)])
def test_matmul(transpose_a, transpose_b):
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    b = np.arange(12, dtype=np.float32).reshape(3, 4)
    left, right = (a.T if transpose_a else a), (b.T if transpose_b else b)
    np.testing.assert_allclose(run(tf.matmul(left, right, transpose_a=transpose_a, transpose_b=transpose_b)), a @ b)


def test_matmul_of_batches_and_its_operator():
    a, b = np.random.RandomState(0).rand(5, 2, 3).astype(np.float32), np.random.RandomState(1).rand(5, 3, 4).astype(np.float32)
    np.testing.assert_allclose(run(tf.constant(a) @ b), a @ b, rtol=1e-6)
    np.testing.assert_allclose(run(a @ tf.constant(b)), a @ b, rtol=1e-6)


def test_tensordot():
    a, b = np.random.RandomState(0).rand(2, 3, 4).astype(np.float32), np.random.RandomState(1).rand(4, 3, 5).astype(np.float32)
    np.testing.assert_allclose(run(tf.tensordot(a, b, 1)), np.tensordot(a, b, 1), rtol=1e-5)
    np.testing.assert_allclose(run(tf.tensordot(a, b, [[1, 2], [1, 0]])), np.tensordot(a, b, [[1, 2], [1, 0]]), rtol=1e-5)


def test_sums_of_lists():
    assert run(tf.add_n([tf.constant(1.0), tf.constant(2.0), 3.0])) == 6
    assert run(tf.cumsum([1.0, 2.0, 3.0])).tolist() == [1, 3, 6]
    assert run(tf.count_nonzero([0, 3, 0, 1])) == 2
    assert run(tf.clip_by_value([-1.0, 0.5, 2.0], 0.0, 1.0)).tolist() == [0, 0.5, 1]


def test_cast_changes_the_type_and_leaves_the_same_one_alone():
    x = tf.constant([1.7, -1.7])
    assert run(tf.cast(x, tf.int32)).tolist() == [1, -1]
    assert tf.cast(x, "float32") is x
    assert tf.to_double(x).dtype is tf.float64 and tf.to_int64(x).dtype is tf.int64


def test_int_division_with_a_slash_gives_floats():
    assert (tf.constant(3) / 2).dtype is tf.float64 and run(tf.constant(3) / 2) == 1.5


def test_scalars_never_promote_a_float32_graph():
    x = tf.placeholder(tf.float32, [None])
    for y in (x * np.float64(2), np.float64(2) * x, x + np.arange(3), x - np.zeros(3), tf.maximum(np.pi, x), tf.add(np.float64(1), x), 3 * x):
        assert y.dtype is tf.float32
    h = tf.placeholder(tf.float16, [None])
    assert (h * 2.0 + np.float64(1)).dtype is tf.float16


def test_weak_values_alone_take_tensorflows_dtypes():
    assert tf.constant(1).dtype is tf.int32 and tf.constant(1.0).dtype is tf.float32 and tf.constant([1, 2.5]).dtype is tf.float32
    assert tf.constant(np.ones(2)).dtype is tf.float64 and tf.constant(2**40).dtype is tf.int64 and tf.constant(True).dtype is tf.bool
    assert tf.add(1, 2.0).dtype is tf.float32


def test_a_list_with_tensors_is_stacked():
    x = tf.constant(1.0)
    assert run(tf.convert_to_tensor([x, 2.0, [3.0][0]])).tolist() == [1, 2, 3]
    assert run(tf.reduce_sum([x, x * 2])) == 3


def test_strings_are_no_operands():
    with pytest.raises(DTypeError, match="'hello' is not made of numbers"):
        tf.constant(1.0) * "hello"
    with pytest.raises(DTypeError, match="is text or a summary"):
        tf.square(tf.constant("hello"))


def test_dtypes_by_tensorflows_words():
    assert [tf.placeholder(word).dtype for word in ("float", "double", "half", "float32", "int32", "bool")] == [
        tf.float32, tf.float64, tf.float16, tf.float32, tf.int32, tf.bool,
    ]  # fmt: skip
    assert tf.placeholder(np.float32).dtype is tf.float32 and tf.placeholder(float).dtype is tf.float32
    with pytest.raises(DTypeError, match="'floaty' is not a dtype"):
        tf.placeholder("floaty")


def test_div_rounds_ints_down():
    assert run(tf.div(7, 2)) == 3 and run(tf.div(-7, 2)) == -4 and run(tf.div(7.0, 2)) == 3.5
    assert tf.div(tf.constant(7.0), 2).op.name == "div_3"


def test_norms():
    assert run(tf.norm([3.0, -4.0])) == 5 and run(tf.norm([3.0, -4.0], 1)) == 7 and run(tf.norm([3.0, -4.0], np.inf)) == 4
    assert run(tf.norm([[3.0, 4.0], [6.0, 8.0]], axis=1)).tolist() == [5, 10]
