"""LinearRegressor: linear regression that is there already, with its columns and input functions.

    regressor = tf.contrib.learn.LinearRegressor([tf.contrib.layers.real_valued_column("x")])
    regressor.fit(input_fn=tf.contrib.learn.io.numpy_input_fn({"x": x}, y, batch_size=4, num_epochs=1000), steps=1000)
    regressor.evaluate(input_fn=...)       # {"loss": 0.0, "global_step": 1000}
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowc.errors import FeedError, GraphError, ShapeError, user_location
from flowc.frontend.array_ops import placeholder, zeros
from flowc.frontend.convert import convert, is_tensor
from flowc.frontend.math import add_n, matmul, reduce_sum, square
from flowc.frontend.optimizer import in_dtype
from flowc.frontend.optimizers import FtrlOptimizer
from flowc.frontend.schedules import clip_by_global_norm, get_or_create_global_step
from flowc.frontend.scope import Graph
from flowc.frontend.session import Session
from flowc.frontend.tensor import Tensor
from flowc.frontend.variable import Variable, global_variables_initializer
from flowc.ir.types import F32, DType, as_dtype

__all__ = ["Column", "EstimatorLinearRegressor", "LinearRegressor", "NumpyInput", "numeric_column", "numpy_input_fn", "real_valued_column"]

MAX_LEARNING_RATE = 0.2
"""TensorFlow's largest learning rate of a linear model; with n columns it takes min(0.2, 1 / sqrt(n))."""


@dataclass(frozen=True)
class Column:
    """A feature of `dimension` numbers per example. default: what stands for a missing feature; normalizer: a function of its tensor."""

    name: str
    dimension: int = 1
    default: Any = None
    dtype: DType = F32
    normalizer: Callable[[Tensor], Tensor] | None = None


def real_valued_column(column_name: str, dimension: int = 1, default_value: Any = None, dtype: Any = F32, normalizer: Any = None) -> Column:
    """A column of numbers (tf.contrib.layers)."""
    if dimension is None or dimension < 1:
        raise ShapeError(f"real_valued_column {column_name!r}: dimension {dimension} is not positive", location=user_location())
    return Column(column_name, int(dimension), default_value, as_dtype(dtype), normalizer)


def numeric_column(key: str, shape: Any = (1,), default_value: Any = None, dtype: Any = F32, normalizer_fn: Any = None) -> Column:
    """A column of numbers (tf.feature_column)."""
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    return real_valued_column(key, math.prod(extents), default_value, dtype, normalizer_fn)


# inputs


@dataclass(frozen=True, eq=False)
class NumpyInput:
    """An input function over arrays: called, it gives batches (features, labels) as the epochs go by."""

    x: Mapping[str, np.ndarray]
    y: np.ndarray | None
    batch_size: int
    num_epochs: int | None
    shuffle: bool
    seed: int | None = None

    def __call__(self) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray | None]]:
        rows = len(next(iter(self.x.values())))
        generator = np.random.default_rng(self.seed)
        waiting = np.empty(0, np.int64)
        epoch = 0
        while self.num_epochs is None or epoch < self.num_epochs:
            order = generator.permutation(rows) if self.shuffle else np.arange(rows)
            epoch += 1
            waiting = np.concatenate([waiting, order])
            while len(waiting) >= self.batch_size:
                taken, waiting = waiting[: self.batch_size], waiting[self.batch_size :]
                yield self._rows(taken)
        if len(waiting):
            yield self._rows(waiting)

    def _rows(self, taken: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        return {key: array[taken] for key, array in self.x.items()}, None if self.y is None else self.y[taken]


def numpy_input_fn(
    x: Mapping[str, Any],
    y: Any = None,
    batch_size: int = 128,
    num_epochs: int | None = 1,
    shuffle: bool = True,
    queue_capacity: int = 1000,
    num_threads: int = 1,
) -> NumpyInput:
    """An input function that gives batches of arrays. x: arrays by column name, of equally many rows; y: labels, one per row.

    num_epochs: how often all rows are gone through (None: for ever); the last batch may be smaller.
    """
    if not isinstance(x, Mapping) or not x:
        raise FeedError(f"numpy_input_fn: x is a {type(x).__name__}; a dict of arrays by column name is expected", location=user_location())
    arrays = {key: np.asarray(value) for key, value in x.items()}
    labels = None if y is None else np.asarray(y)
    rows = {key: len(a) if a.ndim else 0 for key, a in (arrays | ({} if labels is None else {"y": labels})).items()}
    if len(set(rows.values())) != 1 or not next(iter(rows.values())):
        shown = ", ".join(f"{key}: {count}" for key, count in rows.items())
        raise FeedError(f"numpy_input_fn: all arrays need equally many rows, at least one; there are {shown}", location=user_location())
    if batch_size < 1:
        raise FeedError(f"numpy_input_fn: batch_size {batch_size} is not positive", location=user_location())
    return NumpyInput(arrays, labels, int(batch_size), num_epochs, shuffle)


# the model


class LinearRegressor:
    """`y = sum of x_column @ weights + bias`, trained on the mean squared error (tf.contrib.learn).

    feature_columns: real_valued_column or numeric_column. optimizer: by default FTRL with TensorFlow's rate, min(0.2, 1 / sqrt(columns)).
    label_dimension: numbers to predict per example. Weights start at zero.
    """

    def __init__(
        self,
        feature_columns: Iterable[Column],
        model_dir: str | None = None,
        weight_column_name: str | None = None,
        optimizer: Any = None,
        gradient_clip_norm: float | None = None,
        enable_centered_bias: bool = False,
        label_dimension: int = 1,
        config: Any = None,
        **others: Any,
    ) -> None:
        self.columns = list(feature_columns)
        for column in self.columns:
            if not isinstance(column, Column):
                raise GraphError(f"LinearRegressor: {column!r} is no column: use real_valued_column or numeric_column", location=user_location())
        if not self.columns:
            raise GraphError("LinearRegressor: there is no feature column", location=user_location())
        self.label_dimension = label_dimension
        self.model_dir = model_dir
        self._optimizer = optimizer
        self._clip_norm = gradient_clip_norm
        self._build()

    # TensorFlow's names of the variables
    _SCOPE, _WEIGHT, _BIAS = "linear", "weight", "bias_weight"

    def _build(self) -> None:
        """The model's graph, with a session of its own."""
        self.graph = Graph()
        with self.graph.as_default():
            self.step = get_or_create_global_step()
            self.features = {c.name: placeholder(c.dtype, [None, c.dimension], c.name) for c in self.columns}
            self.labels = placeholder(F32, [None, self.label_dimension], "labels")
            terms = []
            self.weights: dict[str, Variable] = {}
            for column in self.columns:
                value = self.features[column.name]
                value = value if column.normalizer is None else column.normalizer(value)
                name = f"{self._SCOPE}/{column.name}/{self._WEIGHT}"
                self.weights[column.name] = weight = Variable(zeros([column.dimension, self.label_dimension]), name=name)
                terms.append(matmul(in_dtype(value, F32), weight))
            self.bias = Variable(zeros([self.label_dimension]), name=f"{self._SCOPE}/{self._BIAS}")
            self.predictions = (add_n(terms) if len(terms) > 1 else terms[0]) + self.bias
            self.squared_error = reduce_sum(square(self.predictions - self.labels), name="squared_error")
            self.count = placeholder(F32, [], "count")
            optimizer = self._optimizer() if callable(self._optimizer) else self._optimizer
            if optimizer is None:
                optimizer = FtrlOptimizer(min(MAX_LEARNING_RATE, 1.0 / math.sqrt(len(self.columns))))
            pairs = optimizer.compute_gradients(self._objective())
            if self._clip_norm is not None:
                gradients, _ = clip_by_global_norm([g for g, _ in pairs], self._clip_norm)
                pairs = list(zip(gradients, [v for _, v in pairs], strict=True))
            self.train_op = optimizer.apply_gradients(pairs, global_step=self.step)
            self.session = Session(graph=self.graph)
            self.session.run(global_variables_initializer())

    def _objective(self) -> Tensor:
        """What is trained on: the mean over the batch."""
        return self.squared_error / self.count

    # data

    def _batches(self, input_fn: Any, x: Any, y: Any, batch_size: int | None) -> Iterator[tuple[dict[str, Any], Any]]:
        """Batches of arrays from an input function, or from arrays."""
        if input_fn is None:
            if x is None:
                raise FeedError("LinearRegressor needs input_fn, or x and y", location=user_location())
            if not isinstance(x, Mapping):
                x = {self.columns[0].name: x}
            rows = len(next(iter(x.values())))
            input_fn = numpy_input_fn(x, y, batch_size or rows, None if batch_size else 1, shuffle=False)
        if isinstance(input_fn, NumpyInput):
            return input_fn()
        return self._given(input_fn)

    def _given(self, input_fn: Callable[[], Any]) -> Iterator[tuple[dict[str, Any], Any]]:
        """Batches of a function of the user's that gives (features, labels) as arrays or tensors, the same at every step."""
        graph = Graph()
        with graph.as_default():
            features, labels = input_fn()
            nest = [dict(features), labels]
            if any(is_tensor(value) for value in (*nest[0].values(), labels)):
                nest = [{k: convert(v) for k, v in nest[0].items()}, None if labels is None else convert(labels)]
                with Session(graph=graph) as session:
                    while True:
                        found = session.run([nest[0], *([] if labels is None else [nest[1]])])
                        yield found[0], found[1] if labels is not None else None
        while True:
            yield nest[0], nest[1]

    def _feed(self, features: Mapping[str, Any], labels: Any) -> tuple[dict[Any, Any], int]:
        """The feed of one batch and its number of examples."""
        feed: dict[Any, Any] = {}
        rows = 0
        for column in self.columns:
            value = features.get(column.name, column.default)
            if value is None:
                raise FeedError(f"the input has no feature {column.name!r}; it has {', '.join(map(repr, features))}", location=user_location())
            array = np.asarray(value)
            if array.size % column.dimension:
                raise ShapeError(f"feature {column.name!r} of shape {list(array.shape)} is not made of rows of {column.dimension}", location=user_location())
            array = array.reshape(-1, column.dimension)
            rows = len(array)
            feed[self.features[column.name]] = array
        if labels is not None:
            array = np.asarray(labels, np.float32).reshape(-1, self.label_dimension)
            if len(array) != rows:
                raise ShapeError(f"{rows} examples and {len(array)} labels", location=user_location())
            feed[self.labels] = array
            feed[self.count] = float(array.size)
        return feed, rows

    # what users call

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        input_fn: Any = None,
        steps: int | None = None,
        batch_size: int | None = None,
        monitors: Any = None,
        max_steps: int | None = None,
    ) -> LinearRegressor:
        """Train for `steps` batches (until `global_step` is `max_steps`, or the input ends); training goes on where it stopped."""
        if steps is not None and max_steps is not None:
            raise GraphError("fit: either steps or max_steps", location=user_location())
        left = steps if max_steps is None else max_steps - self.global_step
        if input_fn is None and left is None:
            left = 1
        if left is not None and left <= 0:
            return self
        repeated = isinstance(input_fn, NumpyInput) or input_fn is None
        if left is None and not repeated:
            raise GraphError("fit: steps or max_steps is needed where the input does not end", location=user_location())
        batches = self._batches(input_fn, x, y, batch_size or (len(np.asarray(y)) if input_fn is None else None))
        for features, labels in itertools.islice(batches, left):
            if labels is None:
                raise FeedError("fit: the input gives no labels", location=user_location())
            self.session.run(self.train_op, self._feed(features, labels)[0])
        return self

    def train(self, input_fn: Any, hooks: Any = None, steps: int | None = None, max_steps: int | None = None, saving_listeners: Any = None) -> LinearRegressor:
        """As `fit`, by tf.estimator's name."""
        return self.fit(input_fn=input_fn, steps=steps, max_steps=max_steps)

    def evaluate(
        self, x: Any = None, y: Any = None, input_fn: Any = None, feed_fn: Any = None, batch_size: int | None = None, steps: int | None = None, **others: Any
    ) -> dict[str, Any]:
        """The metrics over all batches of the input, at most `steps`: `loss` (the mean squared error) and `global_step`."""
        endless = input_fn is not None and (not isinstance(input_fn, NumpyInput) or input_fn.num_epochs is None)
        if endless and steps is None:
            steps = 1
        total, count, batches = 0.0, 0, 0
        for features, labels in itertools.islice(self._batches(input_fn, x, y, None), steps):
            if labels is None:
                raise FeedError("evaluate: the input gives no labels", location=user_location())
            feed, rows = self._feed(features, labels)
            total += float(self.session.run(self.squared_error, feed))
            count += rows * self.label_dimension
            batches += 1
        if not count:
            raise FeedError("evaluate: the input gives no batch", location=user_location())
        return self._metrics(total, count, batches)

    def _metrics(self, total: float, count: int, batches: int) -> dict[str, Any]:
        return {"loss": np.float32(total / count), "global_step": self.global_step}

    def predict(self, x: Any = None, input_fn: Any = None, batch_size: int | None = None, outputs: Any = None, as_iterable: bool = True) -> Any:
        """The predictions, one after the other; an array of them with as_iterable=False."""
        found = self._predicted(input_fn, x)
        return found if as_iterable else np.array(list(found))

    predict_scores = predict

    def _predicted(self, input_fn: Any, x: Any = None) -> Iterator[Any]:
        repeated = isinstance(input_fn, NumpyInput) or input_fn is None
        for features, _ in self._batches(input_fn, x, None, None):
            values = self.session.run(self.predictions, self._feed(features, None)[0])
            yield from (row[0] if self.label_dimension == 1 else row for row in values)
            if not repeated:
                return

    # its variables

    @property
    def global_step(self) -> int:
        return int(self.session.run(self.step))

    def get_variable_names(self) -> list[str]:
        return [v.op.name for v in self._variables()]

    def get_variable_value(self, name: str) -> np.ndarray:
        """A variable's value; GraphError for a name that is none."""
        for v in self._variables():
            if name in (v.op.name, v.name):
                return self.session.run(v)  # type: ignore[no-any-return]
        raise GraphError(f"LinearRegressor has no variable {name!r}; there are {', '.join(self.get_variable_names())}", location=user_location())

    @property
    def weights_(self) -> dict[str, np.ndarray]:
        """The weights by column."""
        return {name: self.session.run(weight) for name, weight in self.weights.items()}

    @property
    def bias_(self) -> np.ndarray:
        return self.session.run(self.bias)  # type: ignore[no-any-return]

    def _variables(self) -> Sequence[Variable]:
        return self.graph.get_collection("variables")


class EstimatorLinearRegressor(LinearRegressor):
    """tf.estimator's: trained on the sum of squared errors over the batch; `evaluate` also gives `average_loss`, `predict` gives dicts."""

    _SCOPE, _WEIGHT, _BIAS = "linear/linear_model", "weights", "bias_weights"

    def __init__(self, feature_columns: Iterable[Column], model_dir: str | None = None, label_dimension: int = 1, optimizer: Any = None, **others: Any) -> None:
        super().__init__(feature_columns, model_dir, optimizer=optimizer, label_dimension=label_dimension)

    def _objective(self) -> Tensor:
        return self.squared_error

    def _metrics(self, total: float, count: int, batches: int) -> dict[str, Any]:
        return {"average_loss": np.float32(total / count), "loss": np.float32(total / batches), "global_step": self.global_step}

    def predict(  # type: ignore[override]  # tf.estimator has input_fn in the first place
        self, input_fn: Any = None, predict_keys: Any = None, hooks: Any = None, **others: Any
    ) -> Iterator[dict[str, Any]]:
        """Dicts with `predictions`, an array per example."""
        for value in self._predicted(input_fn):
            yield {"predictions": np.atleast_1d(np.asarray(value, np.float32))}

