"""tf.gradients: values against finite differences, names that pair with the forward nodes, twice, and what has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flowc as tf
from flowc.errors import DTypeError, GraphError, ShapeError
from flowc.transforms.autodiff import partner

X = np.array([[0.3, -1.2, 0.8], [1.5, 0.4, -0.7]])


def evaluate(fetches: Any, feed: Any = None) -> Any:
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetches, feed)


def differences(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences of a scalar function."""
    found = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        found[index] = (f(up) - f(down)) / (2 * step)
    return found


LOSSES = {
    "product and power": lambda x: tf.reduce_sum(x * x**3 - 2.0 / (x + 5.0)),
    "broadcast row": lambda x: tf.reduce_sum(tf.exp(x) * tf.reduce_mean(x, 0)),
    "column": lambda x: tf.reduce_mean(tf.tanh(x - tf.reduce_max(x, 1, keepdims=True)) ** 2),
    "softmax": lambda x: -tf.reduce_sum(tf.log(tf.nn.softmax(x)) * np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])),
    "slices": lambda x: tf.reduce_sum(x[:, 1:] * x[::-1, :2]) + x[0, 2],
    "reshaped and moved": lambda x: tf.reduce_sum(tf.transpose(x) * tf.reshape(x, [3, 2])),
    "choice": lambda x: tf.reduce_sum(tf.where(x > 0.0, tf.square(x), tf.sin(x))),
    "used twice": lambda x: tf.reduce_sum(tf.sigmoid(x) + tf.sigmoid(x) * x),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    x = tf.placeholder(tf.float64, [None, 3])
    loss = LOSSES[name](x)
    (slope,) = tf.gradients(loss, x)
    with tf.Session() as session:
        expected = differences(lambda value: session.run(loss, {x: value}), X)
        np.testing.assert_allclose(session.run(slope, {x: X}), expected, atol=1e-7, rtol=1e-6)


def test_a_gradient_has_a_gradient() -> None:
    x = tf.placeholder(tf.float64, [3])
    (first,) = tf.gradients(tf.reduce_sum(x**4), x)
    (second,) = tf.gradients(first, x)
    (third,) = tf.gradients(second, x)
    value = np.array([0.5, -1.0, 2.0])
    np.testing.assert_allclose(evaluate([first, second, third], {x: value}), [4 * value**3, 12 * value**2, 24 * value], rtol=1e-12)


def test_a_gradient_node_bears_the_name_of_its_forward_node() -> None:
    with tf.name_scope("HiddenLayer"):
        w = tf.Variable([[1.0], [2.0]], name="W")
        h = tf.nn.relu(tf.placeholder(tf.float32, [None, 2]) * w[:, 0], name="Relu")
    before = len(tf.get_default_graph().nodes)
    tf.gradients(tf.reduce_sum(h, name="loss"), w)
    made = [n.name for n in tf.get_default_graph().nodes[before + 1 :]]
    assert all(name.startswith("gradients/") for name in made)
    assert any(name.startswith("gradients/HiddenLayer/Relu_grad/") for name in made)
    forward = tf.get_default_graph().by_name
    assert all(partner(name) in forward for name in made)


def test_the_second_gradient_has_a_scope_of_its_own() -> None:
    x = tf.placeholder(tf.float32, [3])
    y = tf.reduce_sum(x * x)
    first, second, named = tf.gradients(y, x)[0], tf.gradients(y, x)[0], tf.gradients(y, x, name="slopes")[0]
    assert first.name.startswith("gradients/")
    assert second.name.startswith("gradients_1/")
    assert named.name.startswith("slopes/")
    assert partner(second.op.name) == "Placeholder"


def test_an_x_that_no_y_depends_on_has_none() -> None:
    x, other = tf.placeholder(tf.float32, [3]), tf.Variable([1.0])
    assert tf.gradients(tf.reduce_sum(x), [x, other])[1] is None
    assert tf.gradients(tf.stop_gradient(x) * 2.0, x) == [None]
    assert tf.gradients(tf.cast(tf.cast(x, tf.int32), tf.float32), x) == [None]


def test_several_ys_give_the_gradient_of_their_sum() -> None:
    x = tf.constant([1.0, 2.0])
    np.testing.assert_array_equal(evaluate(tf.gradients([x * 3.0, tf.square(x)], x)[0]), [5.0, 7.0])


def test_grad_ys_weigh_the_ys() -> None:
    x = tf.constant([1.0, 2.0])
    slope = tf.gradients([tf.square(x), x], x, grad_ys=[tf.constant([10.0, 1.0]), None])[0]
    np.testing.assert_array_equal(evaluate(slope), [21.0, 5.0])


def test_an_x_between_another_and_y_gets_its_own_share() -> None:
    x = tf.constant(2.0)
    h = x * x
    y = h * x
    assert evaluate(tf.gradients(y, [x, h])) == [12.0, 2.0]


def test_nothing_is_passed_through_stop_gradients() -> None:
    x = tf.constant(3.0)
    h = x * x
    y = h * x
    assert evaluate(tf.gradients(y, [x, h], stop_gradients=[h])) == [9.0, 3.0]


def test_the_gradient_of_a_variable_meets_all_its_reads() -> None:
    w = tf.Variable(3.0)
    y = w * w.read_value() + tf.identity(w)
    assert evaluate(tf.gradients(y, w)) == [7.0]


def test_the_gradient_of_itself_is_one() -> None:
    x = tf.constant([2.0, 3.0])
    np.testing.assert_array_equal(evaluate(tf.gradients(x, x)[0]), [1.0, 1.0])


def test_hessians() -> None:
    x = tf.placeholder(tf.float64, [3])
    (matrix,) = tf.hessians(tf.reduce_sum(x * x * x) + x[0] * x[1], x)
    value = np.array([1.0, 2.0, 3.0])
    expected = np.diag(6 * value)
    expected[0, 1] = expected[1, 0] = 1.0
    np.testing.assert_allclose(evaluate(matrix, {x: value}), expected)


def test_a_y_of_ints_is_an_error() -> None:
    x = tf.placeholder(tf.int32, [2])
    with pytest.raises(DTypeError, match="only a float has a gradient") as caught:
        tf.gradients(x * 2, x)
    assert caught.value.location.file == __file__


def test_an_x_of_another_graph_is_an_error() -> None:
    with tf.Graph().as_default():
        other = tf.constant(1.0, name="far")
    with pytest.raises(GraphError, match="far belongs to another graph"):
        tf.gradients(tf.constant(1.0), other)


def test_a_grad_y_of_another_shape_is_an_error() -> None:
    x = tf.constant([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"grad_ys has f32\[3\]"):
        tf.gradients(x * 2.0, x, grad_ys=tf.constant([1.0, 2.0, 3.0]))
    with pytest.raises(GraphError, match="1 ys and 2 grad_ys"):
        tf.gradients(x * 2.0, x, grad_ys=[None, None])
