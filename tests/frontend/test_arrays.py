"""Functions that make, reshape, join and pick, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import flowc as tf
from flowc.errors import ShapeError

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def run(y, feeds=None):
    return tf.Session().run(y, feeds)


def test_constants_and_fills():
    assert run(tf.constant(2.0, shape=[2, 3])).tolist() == [[2] * 3] * 2
    assert run(tf.constant([1, 2, 3], shape=[5])).tolist() == [1, 2, 3, 3, 3]
    assert run(tf.zeros([2, 2], tf.int32)).dtype == np.int32
    assert run(tf.ones(3)).tolist() == [1, 1, 1]
    assert run(tf.fill([2, 1], 9)).tolist() == [[9], [9]]
    assert run(tf.zeros([100, 100])).shape == (100, 100)
    assert run(tf.zeros_like(X)).sum() == 0 and run(tf.ones_like(X, tf.int32)).sum() == 12
    assert run(tf.eye(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(ShapeError, match=r"constant: a value of shape \[3\] for shape \[2\]"):
        tf.constant([1, 2, 3], shape=[2])


def test_ranges():
    assert run(tf.range(4)).tolist() == [0, 1, 2, 3]
    assert run(tf.range(1, 10, 3)).tolist() == [1, 4, 7]
    assert run(tf.range(0.0, 1.0, 0.25)).tolist() == [0, 0.25, 0.5, 0.75]
    assert run(tf.linspace(0.0, 1.0, 3)).tolist() == [0, 0.5, 1]


def test_movement():
    assert run(tf.transpose(X)).tolist() == X.T.tolist()
    assert run(tf.transpose(X.reshape(2, 3, 2), [1, 0, 2])).tolist() == X.reshape(2, 3, 2).transpose(1, 0, 2).tolist()
    assert run(tf.reshape(X, [2, -1])).tolist() == X.reshape(2, -1).tolist()
    assert run(tf.expand_dims(X, -1)).shape == (3, 4, 1) and run(tf.expand_dims(X, dim=0)).shape == (1, 3, 4)
    assert run(tf.squeeze(X.reshape(1, 3, 1, 4))).shape == (3, 4)
    assert run(tf.squeeze(X.reshape(1, 3, 1, 4), [2])).shape == (1, 3, 4)
    assert run(tf.tile([[1, 2]], [2, 2])).tolist() == [[1, 2, 1, 2]] * 2
    assert run(tf.reverse(X, [1])).tolist() == X[:, ::-1].tolist()
    assert run(tf.broadcast_to([1.0, 2.0], [2, 2])).tolist() == [[1, 2], [1, 2]]


@pytest.mark.parametrize(("mode", "numpy_mode"), [("CONSTANT", "constant"), ("REFLECT", "reflect"), ("SYMMETRIC", "symmetric")])
def test_pad(mode, numpy_mode):
    np.testing.assert_array_equal(run(tf.pad(X, [[1, 2], [0, 1]], mode)), np.pad(X, [(1, 2), (0, 1)], numpy_mode))


def test_concat_and_stack():
    a, b = tf.constant([[1, 2]]), tf.constant([[3, 4]])
    assert run(tf.concat([a, b], 0)).tolist() == [[1, 2], [3, 4]]
    assert run(tf.concat([a, b], axis=1)).tolist() == [[1, 2, 3, 4]]
    assert run(tf.concat(1, [a, b])).tolist() == [[1, 2, 3, 4]]
    assert run(tf.concat([a], 0)).tolist() == [[1, 2]]
    assert run(tf.stack([a, b], axis=-1)).shape == (1, 2, 2)
    x = tf.placeholder(tf.float32, [None, 2])
    assert tf.concat([x, x], 0).dims == (x.dims[0] * 2, 2)


def test_split_and_unstack():
    left, right = tf.split(X, 2, axis=1)
    assert run(left).tolist() == X[:, :2].tolist() and run(right).tolist() == X[:, 2:].tolist()
    parts = run(tf.split(X, [1, -1, 2], 1))
    assert [p.shape for p in parts] == [(3, 1), (3, 1), (3, 2)]
    assert [r.tolist() for r in run(tf.unstack(X, axis=1))] == X.T.tolist()
    with pytest.raises(ShapeError, match="an extent of 4 does not divide into 3 parts"):
        tf.split(X, 3, 1)
    with pytest.raises(ShapeError, match="do not add up to 4"):
        tf.split(X, [1, 2], 1)


def test_gather():
    assert run(tf.gather(X, [2, 0])).tolist() == X[[2, 0]].tolist()
    assert run(tf.gather(X, [[1], [3]], axis=1)).tolist() == X[:, [[1], [3]]].tolist()
    assert run(tf.gather_nd(X, [[0, 1], [2, 3]])).tolist() == [1, 11]
    assert run(tf.gather_nd(X, [[1]])).tolist() == [X[1].tolist()]


def test_one_hot():
    assert run(tf.one_hot([1, 0, 3], 3)).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert run(tf.one_hot([1], 2, on_value=5, off_value=-1)).tolist() == [[-1, 5]]
    assert run(tf.one_hot([1, 0], 2, axis=0)).tolist() == [[0, 1], [1, 0]]
    assert tf.one_hot([1], 2, dtype=tf.int64).dtype is tf.int64


def test_where():
    x = tf.constant(X)
    assert run(tf.where(x > 5, x, tf.zeros_like(x))).tolist() == np.where(X > 5, X, 0).tolist()
    assert run(tf.where([True, False, True], x, -x)).tolist() == np.where([[True], [False], [True]], X, -X).tolist()
    with pytest.raises(ShapeError, match="depends on the values"):
        tf.where(x > 5)


def test_slices():
    assert run(tf.slice(X, [1, 0], [2, 3])).tolist() == X[1:, :3].tolist()
    assert run(tf.slice(X, [1, 1], [-1, -1])).tolist() == X[1:, 1:].tolist()
    assert run(tf.strided_slice(X, [0, 0], [3, 4], [2, 2])).tolist() == X[::2, ::2].tolist()
    assert run(tf.strided_slice(X, [1, 0], [2, 2], shrink_axis_mask=1)).tolist() == X[1, :2].tolist()


def test_sizes():
    assert run(tf.size(X)) == 12 and run(tf.rank(X)) == 2 and run(tf.shape(X)).tolist() == [3, 4]


def test_diagonals_and_masks():
    assert run(tf.diag([1.0, 2.0])).tolist() == [[1, 0], [0, 2]]
    assert run(tf.diag_part([[1.0, 2.0], [3.0, 4.0]])).tolist() == [1, 4]
    assert run(tf.trace([[1.0, 2.0], [3.0, 4.0]])) == 5
    assert run(tf.sequence_mask([1, 3], 3)).tolist() == [[True, False, False], [True, True, True]]


def test_a_placeholder_with_a_default():
    x = tf.placeholder_with_default(tf.constant([1.0, 2.0]), [None])
    y = x * 2
    assert run(y).tolist() == [2, 4]
    assert run(y, {x: [1, 2, 3]}).tolist() == [2, 4, 6]
