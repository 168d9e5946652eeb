"""The bundled digits: 1797 real images of 8 x 8 become training and test sets, or four MNIST-style files of 28 x 28.

    digits = load_digits(one_hot=True)
    digits.train.images.shape       # (1442, 64), float32 in [0, 1]
    write_digits("/tmp/data")       # what read_data_sets("/tmp/data") then reads

The data is the test set of the UCI repository's optical recognition of handwritten digits (E. Alpaydin, C. Kaynak; CC BY 4.0);
digits.txt beside this file has source and licence in full.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowc.data.dataset import DataSet, one_hot_rows
from flowc.data.idx import FormatError, read_idx, write_idx
from flowc.data.mnist import FILES, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, find_file
from flowc.errors import FlowcError

SIDE = 8
INK = 16  # the largest value of a pixel
TEST_EVERY = 5
BOX, FIELD = 20, 28  # MNIST's digits fit a box of 20 x 20 in an image of 28 x 28
# An image as it is, then moved by one pixel each way.
SHIFTS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))

Bytes = npt.NDArray[np.uint8]


class Digits(NamedTuple):
    """The bundled digits in two disjoint parts."""

    train: DataSet
    test: DataSet


class OccupiedError(FlowcError, FileExistsError):
    """Files in the way that somebody else wrote."""


def _read() -> tuple[Bytes, Bytes]:
    """All digits in the file's order: images uint8 [1797, 8, 8] of 0..16, and labels uint8 [1797]."""
    packed = (resources.files("flowc.data") / "digits.csv.gz").read_bytes()
    # Every number is whole, though the file may spell labels as floats.
    rows = np.loadtxt(gzip.decompress(packed).decode("ascii").splitlines(), delimiter=",")
    table = rows.astype(np.uint8)
    return table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1]


def held_out_rows(labels: Bytes) -> npt.NDArray[np.bool_]:
    """Which images are held out: of each digit every fifth in the file's order, so that the digits and the 13 writers are in both parts."""
    chosen = np.zeros(len(labels), np.bool_)
    for digit in range(10):
        chosen[np.flatnonzero(labels == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return chosen


def load_digits(one_hot: bool = False) -> Digits:
    """The bundled digits as `.train` and `.test`, DataSets with `images`, `labels` and `next_batch`.

    Images: float32 [count, 64] in [0, 1]; labels: uint8 [count], or one-hot float64 [count, 10]. The split is fixed: of each digit
    every fifth image is held out (`held_out_rows`), which leaves 1442 images to train on and 355 to test on.

    >>> from flowc.data import load_digits
    >>> digits = load_digits()
    >>> digits.train.images.shape, digits.test.labels.shape
    ((1442, 64), (355,))
    """
    images, labels = _read()
    held_out = held_out_rows(labels)
    pixels = images.reshape(len(images), SIDE * SIDE) * np.float32(1.0 / INK)
    targets = one_hot_rows(labels) if one_hot else labels
    return Digits(DataSet.of(pixels[~held_out], targets[~held_out]), DataSet.of(pixels[held_out], targets[held_out]))


def _stretch(count: int, size: int) -> npt.NDArray[np.float64]:
    """The matrix [size, count] of linear interpolation between pixels' centres; beyond the outer centres the value stays."""
    at = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
    low = np.minimum(at.astype(int), count - 2)
    weights = np.zeros((size, count))
    weights[np.arange(size), low] = 1 - (at - low)
    weights[np.arange(size), low + 1] = at - low
    return weights


def enlarge(images: Bytes, shifts: tuple[tuple[int, int], ...] = ((0, 0),)) -> Bytes:
    """8 x 8 images as MNIST draws them: enlarged to 20 x 20 and put in 28 x 28 with the centre of mass in the middle.

    `images`: uint8 [count, 8, 8] of 0..16. Returns uint8 [count * len(shifts), 28, 28] of 0..255: each image once per shift (down,
    right, in pixels), an image's copies next to each other.
    """
    weights = _stretch(SIDE, BOX)
    boxes = np.rint(weights @ images.astype(np.float64) @ weights.T * (255 / INK)).astype(np.uint8)
    result = np.zeros((len(images) * len(shifts), FIELD, FIELD), np.uint8)
    mass = boxes.sum(axis=(1, 2), dtype=np.float64)
    place = np.arange(BOX)
    spread = max((abs(step) for shift in shifts for step in shift), default=0)
    centres = [(boxes.sum(axis=other, dtype=np.float64) @ place) / np.maximum(mass, 1) for other in (2, 1)]
    tops, lefts = (np.clip(np.rint((FIELD - 1) / 2 - centre).astype(int), spread, FIELD - BOX - spread) for centre in centres)
    rows = iter(range(len(result)))
    for box, top, left in zip(boxes, tops, lefts, strict=True):
        for down, right in shifts:
            result[next(rows), top + down : top + down + BOX, left + right : left + right + BOX] = box
    return result


def mnist_arrays() -> dict[str, Bytes]:
    """The contents of the four files, by name: images uint8 [count, 28, 28], labels uint8 [count].

    Training rows are each training image and its eight neighbours one pixel away, nine rows in a row: 12978 rows, of which the
    default validation takes the first 5000, so that validation and training share no image but the one at the border. Test rows
    are the 355 held-out images, unmoved; they come from other originals than any training row.
    """
    images, labels = _read()
    held_out = held_out_rows(labels)
    return {
        TRAIN_IMAGES: enlarge(images[~held_out], SHIFTS),
        TRAIN_LABELS: np.repeat(labels[~held_out], len(SHIFTS)),
        TEST_IMAGES: enlarge(images[held_out]),
        TEST_LABELS: labels[held_out],
    }


def write_digits(directory: str | os.PathLike[str]) -> list[Path]:
    """Writes the bundled digits as four MNIST-style gzip IDX files into `directory`, made where it is not there.

    Returns the four paths. Files that hold these digits already stay or are written again. Raises OccupiedError, before anything is
    written, where one of the four (or its unpacked twin) holds anything else, and OSError where the folder cannot be written.
    """
    folder = Path(directory)
    arrays = mnist_arrays()
    foreign = [path.name for name in FILES if (path := find_file(folder, name)) is not None and not _holds(path, arrays[name])]
    if foreign:
        raise OccupiedError(f"{folder} has other data in {', '.join(foreign)}: nothing was written; choose another folder or move these files away")
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        write_idx(folder / name, arrays[name])
    return [folder / name for name in FILES]


def _holds(path: Path, array: Bytes) -> bool:
    try:
        return np.array_equal(read_idx(path, array.ndim), array)
    except FormatError:
        return False


def main_digits(directory: str, say: Callable[[str], None] = print) -> int:
    """The command `flowc data digits DIR`: writes the four files and says what it wrote. Returns the exit status."""
    try:
        paths = write_digits(directory)
    except OccupiedError as error:
        say(f"flowc data digits: {error}")
        return 1
    except OSError as error:
        say(f"flowc data digits: {directory} cannot be written: {error.strerror or error}")
        return 1
    for path in paths:
        images = "images" in path.name
        say(f"{path}: {len(read_idx(path, 3 if images else 1))} {'images of 28 x 28' if images else 'labels'}, {path.stat().st_size / 1000:.1f} kB")
    say("Real digits of UCI's optdigits (E. Alpaydin, C. Kaynak; CC BY 4.0), enlarged; training images also moved by one pixel.")
    return 0
