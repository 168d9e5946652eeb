"""Static shapes, indexing, and shapes computed from shapes."""

from __future__ import annotations

import numpy as np
import pytest

import flowc as tf
from flowc.errors import ShapeError


def run(y, feeds=None):
    return tf.Session().run(y, feeds)


def test_unknown_extents_show_as_none():
    x = tf.placeholder(tf.float32, [None, 784])
    assert x.get_shape().as_list() == [None, 784]
    assert x.shape[0].value is None and x.shape[1].value == 784 and int(x.shape[1]) == 784
    assert str(x.shape) == "(?, 784)" and x.shape.ndims == 2 and len(x.shape) == 2
    assert (x + 1).shape.as_list() == [None, 784]


def test_an_unknown_rank():
    x = tf.placeholder(tf.float32)
    assert x.shape.ndims is None and str(x.shape) == "<unknown>"
    assert not x.shape
    with pytest.raises(ValueError, match="the rank is not known"):
        x.shape.as_list()


def test_shapes_compare_with_lists():
    x = tf.zeros([2, 3])
    assert x.shape == [2, 3] and x.shape == (2, 3) and x.shape != (2, 4)
    assert x.get_shape().is_fully_defined() and x.get_shape().num_elements() == 6


def test_a_dimension_serves_as_an_extent():
    x = tf.placeholder(tf.float32, [None, 5])
    W = tf.Variable(tf.zeros([x.shape[1], 2 * x.get_shape()[1]]))
    assert W.shape == (5, 10)
    assert np.zeros(x.shape[1]).shape == (5,)


def test_set_shape_refines():
    x = tf.placeholder(tf.float32)
    x.set_shape([None, 3])
    assert x.shape.as_list() == [None, 3]
    x.set_shape([7, None])
    assert x.shape.as_list() == [7, 3]
    with pytest.raises(ShapeError, match="cannot be"):
        x.set_shape([8, 3])


def test_tensor_prints_like_tensorflows():
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    assert str(x) == 'Tensor("x:0", shape=(?, 2), dtype=float32)'
    assert repr(tf.placeholder(tf.int32, name="y")) == "<tf.Tensor 'y:0' shape=<unknown> dtype=int32>"
    assert repr(tf.Variable([1.0], name="W")) == "<tf.Variable 'W:0' shape=(1,) dtype=float32_ref>"


def test_equality_is_identity():
    x = tf.placeholder(tf.float32)
    y = tf.placeholder(tf.float32)
    assert x == x and x != y and len({x, y, x}) == 2 and x.op.outputs[0] is x


@pytest.mark.parametrize(
    "index",
    [
        0, -1, slice(1, 3), slice(None, None, 2), slice(None, None, -1), (0, 1), (slice(None), 0), (Ellipsis, 0), (0, Ellipsis), None,
        (slice(None), None, 1), (Ellipsis, None), (slice(None), slice(1, None), -1), np.int64(1), (1, slice(None), slice(0, -1)),
    ],
    ids=str,
)  # fmt: skip
def test_indexing_is_numpys(index):
    value = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    known, batch = tf.constant(value), tf.placeholder(tf.float32, [None, 3, 2])
    np.testing.assert_array_equal(run(known[index]), value[index])
    np.testing.assert_array_equal(run(batch[index], {batch: value}), value[index])


def test_iteration_gives_rows():
    a, b = tf.constant([[1, 2], [3, 4]])
    assert run(a).tolist() == [1, 2] and run(b).tolist() == [3, 4]


def test_a_tensor_of_known_value_is_an_index():
    x = tf.placeholder(tf.float32, [None, 3])
    last = tf.shape(x)[0] - 1
    assert run(x[last], {x: [[1, 2, 3], [4, 5, 6]]}).tolist() == [4, 5, 6]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_shapes_come_from_shapes(batch):
    x = tf.placeholder(tf.float32, [None, 2, 3])
    n = tf.shape(x)[0]
    value = np.arange(batch * 6, dtype=np.float32).reshape(batch, 2, 3)
    made = [
        tf.reshape(x, [n, -1]), tf.reshape(x, [-1, tf.shape(x)[2]]), tf.reshape(x, tf.stack([n * 2, 3])), tf.zeros(tf.shape(x)),
        tf.zeros([n, 4]), tf.ones(tf.concat([tf.shape(x)[:2], [5]], 0)), tf.fill([n], 2.0), tf.range(n), tf.tile(x[:, 0], [1, 2]),
        tf.reshape(x, [tf.size(x)]), tf.reshape(x, [n, tf.shape(x)[1] * tf.shape(x)[2]]), tf.reshape(x, [tf.reduce_prod(tf.shape(x)), 1]),
    ]  # fmt: skip
    results = run(made, {x: value})
    assert [r.shape for r in results] == [
        (batch, 6), (batch * 2, 3), (batch * 2, 3), (batch, 2, 3),
        (batch, 4), (batch, 2, 5), (batch,), (batch,), (batch, 6),
        (batch * 6,), (batch, 6), (batch * 6, 1),
    ]  # fmt: skip


def test_zeros_in_the_shape_of_an_unknown_rank():
    x = tf.placeholder(tf.float32)
    assert run(tf.zeros(tf.shape(x)), {x: np.ones((2, 3))}).shape == (2, 3)
    y = tf.placeholder(tf.float32)
    assert run(tf.reshape(y, tf.shape(x)), {x: np.ones((2, 3)), y: np.ones(6)}).shape == (2, 3)


def test_an_extent_of_an_unknown_rank_is_refused_with_the_reason():
    x = tf.placeholder(tf.float32, name="x")
    with pytest.raises(ShapeError, match="the rank of x is not known"):
        tf.reshape(x, [tf.shape(x)[0], -1])


def test_the_shape_itself_can_be_fetched():
    x = tf.placeholder(tf.float32, [None, 3])
    assert run(tf.shape(x), {x: np.zeros((4, 3))}).tolist() == [4, 3]
    assert run(tf.shape(x)[0] + 1, {x: np.zeros((4, 3))}) == 5
    assert run(tf.cast(tf.shape(x)[0], tf.float32), {x: np.zeros((4, 3))}) == 4


def test_a_mean_by_hand_over_a_batch():
    x = tf.placeholder(tf.float32, [None, 2])
    mean = tf.reduce_sum(x) / tf.to_float(tf.shape(x)[0])
    assert run(mean, {x: [[1, 2], [3, 4]]}) == 5


def test_reshape_with_minus_one():
    x = tf.placeholder(tf.float32, [None, 784])
    im = tf.reshape(x, shape=[-1, 28, 28, 1])
    assert im.shape.as_list() == [None, 28, 28, 1]
    assert tf.reshape(im, [-1, 784]).shape.as_list() == [None, 784]


def test_a_named_extent():
    x, y = tf.placeholder(tf.float32, ["n", 2]), tf.placeholder(tf.float32, ["n"])
    assert (x[:, 0] + y).dims == y.dims


def test_shapes_join_and_merge():
    x = tf.placeholder(tf.float32, [None, 3])
    assert x.shape[:1].concatenate([4]).as_list() == [None, 4]
    assert x.shape.merge_with([5, None]).as_list() == [5, 3]
    with pytest.raises(ShapeError, match="are not compatible"):
        x.shape.with_rank(3)
