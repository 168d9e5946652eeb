"""Images and labels become batches: `DataSet.next_batch(100)`, as TensorFlow 1's tutorials have it.

    train = DataSet.of(images, labels)
    batch_xs, batch_ys = train.next_batch(100)      # slices of arrays that were shuffled once for the epoch
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flowc.errors import DTypeError, ShapeError, user_location

Array = npt.NDArray[Any]
FAKE_EXAMPLES = 10000
FAKE_PIXELS = 784
CLASSES = 10


class DataSet:
    """Images with their labels, handed out in batches.

    `images`: uint8 [count, rows, columns] or [count, rows, columns, 1]; `labels`: [count] or, one-hot, [count, classes].
    With `reshape` images become [count, rows * columns]; with `dtype` float32 their 0..255 becomes 0..1, with uint8 they stay.
    `fake_data` stands in for 10000 examples without any data: every image all ones, every label 0.
    `seed`, where given, seeds NumPy's global generator, which draws the shuffles, so that `numpy.random.seed` governs them too.

    Raises DTypeError for another dtype, ShapeError where images and labels differ in number or images have more than one channel.
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        fake_data: bool = False,
        one_hot: bool = False,
        dtype: Any = np.float32,
        reshape: bool = True,
        seed: int | None = None,
    ) -> None:
        dtype = numpy_dtype(dtype)
        if seed is not None:
            np.random.seed(seed)
        self._one_hot = one_hot
        self._fake = fake_data
        if fake_data:
            self._take(np.ones((0, FAKE_PIXELS), dtype), np.zeros(0, np.uint8), FAKE_EXAMPLES)
            return
        images, labels = np.asarray(images), np.asarray(labels)
        if reshape:
            if images.ndim == 4 and images.shape[3] != 1:
                raise ShapeError(f"DataSet: images of one channel are expected, not of shape {images.shape}", location=user_location())
            images = images.reshape(len(images), int(np.prod(images.shape[1:])))
        if dtype == np.float32:
            images = np.multiply(images, np.float32(1.0 / 255.0), dtype=np.float32)
        self._take(images, labels, len(images))

    @classmethod
    def of(cls, images: Array, labels: Array) -> DataSet:
        """A DataSet of arrays that are ready as they are: neither reshaped nor scaled."""
        made = cls.__new__(cls)
        made._one_hot = labels.ndim == 2
        made._fake = False
        made._take(images, labels, len(images))
        return made

    def _take(self, images: Array, labels: Array, count: int) -> None:
        if len(images) != len(labels):
            raise ShapeError(f"DataSet: {len(images)} images, but {len(labels)} labels", location=user_location())
        self._images = images
        self._labels = labels
        self._num_examples = count
        self._epochs_completed = 0
        self._index_in_epoch = 0

    @property
    def images(self) -> Array:
        """All images, in the present epoch's order."""
        return self._images

    @property
    def labels(self) -> Array:
        """All labels, in the order of `images`."""
        return self._labels

    @property
    def num_examples(self) -> int:
        """How many examples there are."""
        return self._num_examples

    @property
    def epochs_completed(self) -> int:
        """How often every example has been handed out."""
        return self._epochs_completed

    def next_batch(self, batch_size: int, fake_data: bool = False, shuffle: bool = True) -> tuple[Any, Any]:
        """The next `batch_size` images and labels.

        The examples are shuffled at the first call and at each epoch's end, where a batch is the rest of one epoch followed by
        the start of the reshuffled next. Elsewhere the batch is a view of the data, not a copy: writing to it changes the data.
        Raises ShapeError for a batch larger than the whole.
        """
        if fake_data or self._fake:
            label: Any = [1] + [0] * (CLASSES - 1) if self._one_hot else 0
            return [[1] * FAKE_PIXELS for _ in range(batch_size)], [label for _ in range(batch_size)]
        if not 0 <= batch_size <= self._num_examples:
            raise ShapeError(f"next_batch: {batch_size} examples asked of a set of {self._num_examples}", location=user_location())
        start = self._index_in_epoch
        if self._epochs_completed == 0 and start == 0 and shuffle:
            self._shuffle()
        end = start + batch_size
        if end <= self._num_examples:
            self._index_in_epoch = end
            return self._images[start:end], self._labels[start:end]
        rest_images, rest_labels = self._images[start:], self._labels[start:]
        self._epochs_completed += 1
        if shuffle:
            self._shuffle()
        end -= self._num_examples
        self._index_in_epoch = end
        return np.concatenate((rest_images, self._images[:end])), np.concatenate((rest_labels, self._labels[:end]))

    def _shuffle(self) -> None:
        # New arrays, not a shuffle in place: batches that were handed out are views of the old ones.
        order = np.arange(self._num_examples)
        np.random.shuffle(order)
        self._images = self._images[order]
        self._labels = self._labels[order]


class Datasets(NamedTuple):
    """Training, validation and test examples."""

    train: DataSet
    validation: DataSet
    test: DataSet


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """float32 or uint8 as a NumPy dtype, from NumPy's or the graph's own dtype (`tf.float32`); DTypeError for any other."""
    asked = getattr(dtype, "as_numpy_dtype", dtype)
    for allowed in (np.dtype(np.float32), np.dtype(np.uint8)):
        try:
            if allowed == np.dtype(asked):
                return allowed
        except TypeError:
            break
    raise DTypeError(f"DataSet: images can be float32 or uint8, not {dtype}", location=user_location())


def one_hot_rows(labels: Array, classes: int = CLASSES) -> npt.NDArray[np.float64]:
    """Labels [count] as rows with a single one: float64 [count, classes], TensorFlow's dtype for them. ShapeError beyond `classes`."""
    if labels.size and int(labels.max()) >= classes:
        raise ShapeError(f"one-hot labels: label {int(labels.max())} is beyond the {classes} classes", location=user_location())
    rows = np.zeros((len(labels), classes))
    rows[np.arange(len(labels)), labels] = 1
    return rows
