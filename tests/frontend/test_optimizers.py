"""Optimizers against their formulas in NumPy, step by step; the names of what they make; learning rates and clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flowc as tf
from flowc.errors import FeedError, GraphError

START = np.array([1.0, -2.0, 0.5], np.float32)
STEPS = 6


def descent(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    while True:
        w = w - 0.1 * gradient(w)
        yield w


def momentum(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray], nesterov: bool = False) -> Iterator[np.ndarray]:
    accum = np.zeros_like(w)
    while True:
        g = gradient(w)
        accum = accum * 0.9 + g
        w = w - (g * 0.1 + accum * 0.9 * 0.1 if nesterov else 0.1 * accum)
        yield w


def nesterov(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    return momentum(w, gradient, nesterov=True)


def adagrad(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    accum = np.full_like(w, 0.1)
    while True:
        g = gradient(w)
        accum = accum + g * g
        w = w - 0.1 * g / np.sqrt(accum)
        yield w


def adadelta(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    accum, accum_update = np.zeros_like(w), np.zeros_like(w)
    while True:
        g = gradient(w)
        accum = 0.95 * accum + 0.05 * g * g
        update = np.sqrt(accum_update + 1e-6) / np.sqrt(accum + 1e-6) * g
        accum_update = 0.95 * accum_update + 0.05 * update * update
        w = w - 0.1 * update
        yield w


def rmsprop(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray], centered: bool = False) -> Iterator[np.ndarray]:
    rms, mean, mom = np.ones_like(w), np.zeros_like(w), np.zeros_like(w)
    while True:
        g = gradient(w)
        rms = 0.8 * rms + 0.2 * g * g
        mean = 0.8 * mean + 0.2 * g
        mom = 0.5 * mom + 0.1 * g / np.sqrt(rms + 1e-3 - (mean * mean if centered else 0.0))
        w = w - mom
        yield w


def rmsprop_centered(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    return rmsprop(w, gradient, centered=True)


def adam(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g = gradient(w)
        t += 1
        m = 0.8 * m + 0.2 * g
        v = 0.99 * v + 0.01 * g * g
        rate = 0.1 * np.sqrt(1 - 0.99**t) / (1 - 0.8**t)
        w = w - rate * m / (np.sqrt(v) + 1e-4)
        yield w


def ftrl(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray], power: float = 0.5) -> Iterator[np.ndarray]:
    accum, linear = np.full_like(w, 0.1), np.zeros_like(w)
    l1, l2 = 0.3, 0.05
    while True:
        g = gradient(w)
        new = accum + g * g
        linear = linear + g - (new**power - accum**power) / 0.1 * w
        quadratic = new**power / 0.1 + 2 * l2
        w = np.where(np.abs(linear) > l1, (np.sign(linear) * l1 - linear) / quadratic, 0.0)
        accum = new
        yield w


def ftrl_of_another_power(w: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    return ftrl(w, gradient, power=0.7)


L1_L2 = {"l1_regularization_strength": 0.3, "l2_regularization_strength": 0.05}
CASES = [
    (lambda: tf.train.GradientDescentOptimizer(0.1), descent),
    (lambda: tf.train.MomentumOptimizer(0.1, 0.9), momentum),
    (lambda: tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True), nesterov),
    (lambda: tf.train.AdagradOptimizer(0.1), adagrad),
    (lambda: tf.train.AdadeltaOptimizer(0.1, epsilon=1e-6), adadelta),
    (lambda: tf.train.RMSPropOptimizer(0.1, decay=0.8, momentum=0.5, epsilon=1e-3), rmsprop),
    (lambda: tf.train.RMSPropOptimizer(0.1, decay=0.8, momentum=0.5, epsilon=1e-3, centered=True), rmsprop_centered),
    (lambda: tf.train.AdamOptimizer(0.1, beta1=0.8, beta2=0.99, epsilon=1e-4), adam),
    (lambda: tf.train.FtrlOptimizer(0.1, **L1_L2), ftrl),
    (lambda: tf.train.FtrlOptimizer(0.1, learning_rate_power=-0.7, **L1_L2), ftrl_of_another_power),
]


def quadratic() -> tuple[Any, Any]:
    """A variable and a loss whose gradient is `2 * w * [1, 2, 3] - 1`."""
    w = tf.Variable(START, name="W")
    return w, tf.reduce_sum(w * w * np.array([1.0, 2.0, 3.0], np.float32) - w)


@pytest.mark.parametrize(("make", "formula"), CASES, ids=[formula.__name__ for _, formula in CASES])
def test_every_step_is_that_of_the_formula(make: Callable[[], Any], formula: Any) -> None:
    w, loss = quadratic()
    train = make().minimize(loss)
    expected = formula(START.astype(np.float64), lambda w: 2 * w * np.array([1.0, 2.0, 3.0]) - 1)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step in range(STEPS):
            assert session.run(train) is None
            np.testing.assert_allclose(session.run(w), next(expected), rtol=2e-5, atol=2e-6, err_msg=f"step {step}")


@pytest.mark.parametrize(("make", "formula"), CASES[:8], ids=[formula.__name__ for _, formula in CASES[:8]])
def test_a_float64_variable_is_updated_in_float64(make: Callable[[], Any], formula: Any) -> None:
    w = tf.Variable(START.astype(np.float64), name="W")
    train = make().minimize(tf.reduce_sum(w * w))
    expected = formula(START.astype(np.float64), lambda w: 2 * w)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train)
        got = session.run(w)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [next(expected) for _ in range(3)][-1], rtol=1e-6)


SLOT_NAMES = [
    (lambda: tf.train.GradientDescentOptimizer(0.1), []),
    (lambda: tf.train.MomentumOptimizer(0.1, 0.9), ["L/W/Momentum"]),
    (lambda: tf.train.AdagradOptimizer(0.1), ["L/W/Adagrad"]),
    (lambda: tf.train.AdadeltaOptimizer(), ["L/W/Adadelta", "L/W/Adadelta_1"]),
    (lambda: tf.train.RMSPropOptimizer(0.1), ["L/W/RMSProp", "L/W/RMSProp_1"]),
    (lambda: tf.train.RMSPropOptimizer(0.1, centered=True), ["L/W/RMSProp", "L/W/RMSProp_1", "L/W/RMSProp_2"]),
    (lambda: tf.train.AdamOptimizer(), ["beta1_power", "beta2_power", "L/W/Adam", "L/W/Adam_1"]),
    (lambda: tf.train.FtrlOptimizer(0.1), ["L/W/Ftrl", "L/W/Ftrl_1"]),
]


@pytest.mark.parametrize(("make", "names"), SLOT_NAMES)
def test_slots_are_named_as_tensorflow_names_them(make: Callable[[], Any], names: list[str]) -> None:
    with tf.variable_scope("L"):
        w = tf.Variable(START, name="W")
    make().minimize(tf.reduce_sum(w * w))
    assert [v.op.name for v in tf.global_variables()] == ["L/W", *names]
    assert tf.trainable_variables() == [w]


def test_get_slot_gives_the_variable_that_keeps_it() -> None:
    w, loss = quadratic()
    optimizer = tf.train.AdamOptimizer()
    assert optimizer.get_slot(w, "m") is None
    optimizer.minimize(loss)
    assert optimizer.get_slot_names() == ["m", "v"]
    assert optimizer.get_slot(w, "v").op.name == "W/Adam_1"
    assert [v.op.name for v in optimizer.variables()] == ["beta1_power", "beta2_power", "W/Adam", "W/Adam_1"]


def test_minimize_is_an_operation_named_after_the_optimizer() -> None:
    _, loss = quadratic()
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    again = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    named = tf.train.AdamOptimizer().minimize(loss, name="train")
    assert isinstance(train, tf.Operation)
    assert [train.name, again.name, named.name] == ["GradientDescent", "GradientDescent_1", "train"]
    assert tf.get_default_graph().get_tensor_by_name("GradientDescent/update_W/ApplyGradientDescent:0") is not None
    assert tf.get_default_graph().get_tensor_by_name("GradientDescent/learning_rate:0") is not None


def test_the_learning_rate_may_be_fed_at_run_time() -> None:
    w = tf.Variable([1.0, 2.0])
    rate = tf.placeholder(tf.float32, [])
    train = tf.train.GradientDescentOptimizer(rate).minimize(tf.reduce_sum(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train, {rate: 0.5})
        session.run(train, {rate: 0.25})
        np.testing.assert_array_equal(session.run(w), [0.25, 1.25])
        with pytest.raises(FeedError):
            session.run(train)


def test_the_global_step_counts_after_the_update() -> None:
    _, loss = quadratic()
    step = tf.train.get_or_create_global_step()
    assert tf.train.get_or_create_global_step() is step
    train = tf.train.AdamOptimizer().minimize(loss, global_step=step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            assert session.run(train) is None
        assert session.run(step) == 3
        assert session.run(step).dtype == np.int64


def test_gradients_may_be_changed_between_compute_and_apply() -> None:
    w = tf.Variable([3.0, -4.0])
    optimizer = tf.train.GradientDescentOptimizer(1.0)
    ((gradient, variable),) = optimizer.compute_gradients(tf.reduce_sum(w * w))
    assert variable is w
    train = optimizer.apply_gradients([(tf.clip_by_value(gradient, -1.0, 1.0), variable)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        np.testing.assert_array_equal(session.run(w), [2.0, -3.0])


def test_only_the_variables_of_var_list_are_trained() -> None:
    a, b = tf.Variable([1.0]), tf.Variable([1.0])
    train = tf.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(a * b), var_list=[b])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        assert session.run([a, b]) == [[1.0], [0.5]]


def test_a_variable_without_a_gradient_is_left_alone() -> None:
    a, b = tf.Variable([1.0]), tf.Variable([1.0])
    optimizer = tf.train.MomentumOptimizer(0.5, 0.9)
    pairs = optimizer.compute_gradients(tf.reduce_sum(a))
    assert pairs[1] == (None, b)
    optimizer.apply_gradients(pairs)
    assert optimizer.get_slot(b, "momentum") is None


def test_the_gradient_of_the_loss_may_be_given() -> None:
    w = tf.Variable([1.0, 2.0])
    loss = w * w
    train = tf.train.GradientDescentOptimizer(1.0).minimize(loss, grad_loss=tf.constant([1.0, 0.0]))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        np.testing.assert_array_equal(session.run(w), [-1.0, 2.0])


def test_no_variable_to_train_is_an_error_that_names_the_loss() -> None:
    loss = tf.reduce_sum(tf.placeholder(tf.float32, [2]), name="loss")
    with pytest.raises(GraphError, match="No variables to optimize") as caught:
        tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    assert "loss:0" in str(caught.value)
    assert caught.value.location.file == __file__


def test_no_gradient_for_any_variable_is_an_error_that_names_them() -> None:
    tf.Variable([1.0], name="W")
    loss = tf.reduce_sum(tf.placeholder(tf.float32, [2]))
    with pytest.raises(GraphError, match="No gradients provided for any variable") as caught:
        tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    assert "over W" in str(caught.value)
    with pytest.raises(GraphError, match="No variables provided"):
        tf.train.GradientDescentOptimizer(0.1).apply_gradients([])


def run(tensor: Any, feed: Any = None) -> Any:
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(tensor, feed)


def test_exponential_decay_with_and_without_stairs() -> None:
    step = tf.placeholder(tf.int64, [])
    smooth = tf.train.exponential_decay(0.1, step, 10, 0.5)
    stairs = tf.train.exponential_decay(0.1, step, 10, 0.5, staircase=True)
    np.testing.assert_allclose(run([smooth, stairs], {step: 15}), [0.1 * 0.5**1.5, 0.05], rtol=1e-6)


def test_other_decays() -> None:
    step = tf.placeholder(tf.int64, [])
    found = [
        tf.train.natural_exp_decay(0.1, step, 10, 0.5),
        tf.train.inverse_time_decay(0.1, step, 10, 0.5),
        tf.train.polynomial_decay(0.1, step, 10, 0.01, power=2.0),
    ]
    np.testing.assert_allclose(run(found, {step: 5}), [0.1 * np.exp(-0.25), 0.1 / 1.25, 0.09 * 0.25 + 0.01], rtol=1e-5)
    np.testing.assert_allclose(run(found[2], {step: 50}), 0.01, rtol=1e-6)


def test_piecewise_constant_takes_its_boundaries_to_the_left() -> None:
    x = tf.placeholder(tf.int64, [])
    rate = tf.train.piecewise_constant(x, [10, 20], [1.0, 0.5, 0.1])
    assert [round(float(run(rate, {x: at})), 6) for at in (0, 10, 11, 20, 21)] == [1.0, 1.0, 0.5, 0.5, 0.1]
    with pytest.raises(GraphError, match="2 boundaries and 2 values"):
        tf.train.piecewise_constant(x, [10, 20], [1.0, 0.5])


def test_a_learning_rate_that_decays_with_the_global_step() -> None:
    w = tf.Variable([0.0])
    step = tf.train.get_or_create_global_step()
    rate = tf.train.piecewise_constant(step, [0], [1.0, 0.5])
    train = tf.train.GradientDescentOptimizer(rate).minimize(tf.reduce_sum(w), global_step=step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        session.run(train)
        np.testing.assert_array_equal(session.run(w), [-1.5])


def test_clip_by_norm_cuts_what_is_longer() -> None:
    t = tf.constant([3.0, 4.0])
    np.testing.assert_allclose(run([tf.clip_by_norm(t, 1.0), tf.clip_by_norm(t, 10.0)]), [[0.6, 0.8], [3.0, 4.0]], rtol=1e-6)
    rows = tf.clip_by_norm(tf.constant([[3.0, 4.0], [0.3, 0.4]]), 1.0, axes=[1])
    np.testing.assert_allclose(run(rows), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)


def test_clip_by_global_norm_keeps_the_proportions_and_none() -> None:
    clipped, norm = tf.clip_by_global_norm([tf.constant([3.0]), None, tf.constant([[4.0]])], 2.5)
    assert clipped[1] is None
    a, b, length = run([clipped[0], clipped[2], norm])
    np.testing.assert_allclose([a[0], b[0, 0], length], [1.5, 2.0, 5.0], rtol=1e-6)
    np.testing.assert_allclose(run(tf.clip_by_global_norm([tf.constant([3.0])], 5.0)[0][0]), [3.0])
