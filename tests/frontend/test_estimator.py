"""LinearRegressor in both of its spellings, its columns and its input functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flowc as tf
from flowc.errors import FeedError, GraphError, ShapeError

X, Y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, -1.0, -2.0, -3.0])
numpy_input_fn = tf.contrib.learn.io.numpy_input_fn


def regressor(**options: Any) -> Any:
    return tf.contrib.learn.LinearRegressor(feature_columns=[tf.contrib.layers.real_valued_column("x", dimension=1)], **options)


def test_it_fits_a_line_and_says_how_well() -> None:
    estimator = regressor()
    assert estimator.fit(input_fn=numpy_input_fn({"x": X}, Y, batch_size=4, num_epochs=1000), steps=1000) is estimator
    metrics = estimator.evaluate(input_fn=numpy_input_fn({"x": X}, Y, 4, num_epochs=1))
    assert metrics["loss"] < 1e-6
    assert metrics["global_step"] == 1000
    assert estimator.get_variable_value("linear/x/weight")[0, 0] == pytest.approx(-1.0, abs=1e-3)
    assert estimator.get_variable_value("linear/bias_weight")[0] == pytest.approx(1.0, abs=1e-3)


def test_the_estimator_spelling_trains_on_the_sum_and_gives_dicts() -> None:
    estimator = tf.estimator.LinearRegressor(feature_columns=[tf.feature_column.numeric_column("x", shape=[1])])
    estimator.train(input_fn=tf.estimator.inputs.numpy_input_fn({"x": X}, Y, batch_size=4, num_epochs=None), steps=1000)
    metrics = estimator.evaluate(input_fn=tf.estimator.inputs.numpy_input_fn({"x": X}, Y, batch_size=2, num_epochs=1, shuffle=False))
    assert metrics["average_loss"] < 1e-6
    assert metrics["loss"] == pytest.approx(2 * metrics["average_loss"], rel=1e-5)
    predictions = list(estimator.predict(input_fn=tf.estimator.inputs.numpy_input_fn({"x": np.array([5.0])}, shuffle=False)))
    assert predictions[0]["predictions"] == pytest.approx([-4.0], abs=1e-2)
    assert "linear/linear_model/x/weights" in estimator.get_variable_names()


def test_the_first_step_is_that_of_ftrl() -> None:
    """One feature, rate 0.2: from zero, `w = -linear / (sqrt(0.1 + g * g) / rate)`, g the mean's gradient."""
    estimator = regressor()
    estimator.fit(input_fn=numpy_input_fn({"x": X}, Y, batch_size=4), steps=1)
    g = np.mean(2 * (0 - Y) * X)
    assert estimator.weights_["x"][0, 0] == pytest.approx(-g * 0.2 / np.sqrt(0.1 + g * g), rel=1e-5)


def test_training_goes_on_where_it_stopped_and_ends_with_the_input() -> None:
    estimator = regressor()
    estimator.fit(input_fn=numpy_input_fn({"x": X}, Y, batch_size=3, num_epochs=3))
    assert estimator.global_step == 4  # 12 rows by threes
    estimator.fit(input_fn=numpy_input_fn({"x": X}, Y, batch_size=4, num_epochs=None), steps=2)
    estimator.fit(input_fn=numpy_input_fn({"x": X}, Y, batch_size=4, num_epochs=None), max_steps=10)
    estimator.fit(input_fn=numpy_input_fn({"x": X}, Y, batch_size=4, num_epochs=None), max_steps=10)
    assert estimator.global_step == 10


def test_several_columns_of_several_numbers_and_an_optimizer() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(64, 2)), generator.normal(size=64)
    y = a @ [1.0, -2.0] + 0.5 * b + 3.0
    columns = [tf.contrib.layers.real_valued_column("a", dimension=2), tf.contrib.layers.real_valued_column("b")]
    estimator = tf.contrib.learn.LinearRegressor(columns, optimizer=tf.train.GradientDescentOptimizer(0.1), gradient_clip_norm=5.0)
    estimator.fit(x={"a": a, "b": b}, y=y, steps=200)
    np.testing.assert_allclose(estimator.weights_["a"][:, 0], [1.0, -2.0], atol=1e-3)
    np.testing.assert_allclose(estimator.bias_, [3.0], atol=1e-3)
    np.testing.assert_allclose(estimator.predict(x={"a": a, "b": b}, as_iterable=False), y, atol=1e-2)
    assert estimator.evaluate(x={"a": a, "b": b}, y=y)["loss"] < 1e-5


def test_an_input_function_of_ones_own_gives_tensors_or_arrays() -> None:
    tensors, arrays = regressor(), regressor()
    tensors.fit(input_fn=lambda: ({"x": tf.constant(X, tf.float32)}, tf.constant(Y, tf.float32)), steps=20)
    arrays.fit(input_fn=lambda: ({"x": X}, Y), steps=20)
    assert tensors.weights_["x"] == arrays.weights_["x"]
    assert arrays.evaluate(input_fn=lambda: ({"x": X}, Y))["global_step"] == 20
    assert len(list(arrays.predict(input_fn=lambda: ({"x": X}, None)))) == 4


def test_batches_run_over_the_ends_of_epochs_and_each_row_comes_once_an_epoch() -> None:
    batches = list(numpy_input_fn({"x": np.arange(5)}, np.arange(5), batch_size=3, num_epochs=2)())
    assert [len(features["x"]) for features, _ in batches] == [3, 3, 3, 1]
    seen = np.concatenate([labels for _, labels in batches])
    assert sorted(seen[:5]) == sorted(seen[5:]) == list(range(5))
    in_order = list(numpy_input_fn({"x": np.arange(5)}, None, batch_size=2, shuffle=False)())
    assert [list(features["x"]) for features, _ in in_order] == [[0, 1], [2, 3], [4]]
    assert in_order[0][1] is None


def test_input_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(FeedError, match="all arrays need equally many rows, at least one; there are x: 4, y: 3"):
        numpy_input_fn({"x": X}, Y[:3])
    with pytest.raises(FeedError, match="x is a ndarray; a dict of arrays by column name is expected"):
        numpy_input_fn(X, Y)
    with pytest.raises(FeedError, match="the input has no feature 'x'; it has 'z'"):
        regressor().fit(input_fn=numpy_input_fn({"z": X}, Y), steps=1)
    with pytest.raises(FeedError, match="fit: the input gives no labels"):
        regressor().fit(input_fn=numpy_input_fn({"x": X}), steps=1)
    with pytest.raises(ShapeError, match=r"feature 'x' of shape \[3\] is not made of rows of 2"):
        column = tf.contrib.layers.real_valued_column("x", dimension=2)
        tf.contrib.learn.LinearRegressor([column]).fit(input_fn=numpy_input_fn({"x": X[:3]}, Y[:3]), steps=1)
    with pytest.raises(GraphError, match="'x' is no column"):
        tf.contrib.learn.LinearRegressor(["x"])
    with pytest.raises(GraphError, match="has no variable 'w'; there are global_step, linear/x/weight"):
        regressor().get_variable_value("w")
