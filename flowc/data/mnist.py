"""A folder with MNIST's four IDX files becomes training, validation and test sets, as TensorFlow 1's tutorials read them.

    mnist = read_data_sets("/tmp/data", one_hot=True)
    batch_xs, batch_ys = mnist.train.next_batch(100)        # float32 [100, 784], float64 [100, 10]
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from flowc.data.dataset import DataSet, Datasets, numpy_dtype, one_hot_rows
from flowc.data.idx import FormatError, MissingFilesError, read_images, read_labels
from flowc.errors import FlowcError, user_location

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
# The mirror that TensorFlow 1 names.
DEFAULT_SOURCE_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
ANSWER_SECONDS = 5.0  # until the mirror must have begun to answer
FILE_SECONDS = 120.0  # until one file, 10 MB at most, must be here


class ValidationSizeError(FlowcError, ValueError):
    """More validation rows asked for than there are training rows."""


def find_file(folder: Path, name: str) -> Path | None:
    """`name` in `folder`, gzipped or unpacked (without `.gz`, or with a dot as some distributions have it); None where neither is."""
    plain = name.removesuffix(".gz")
    for candidate in (name, plain, plain.replace("-idx", ".idx")):
        if (folder / candidate).is_file():
            return folder / candidate
    return None


def _advice(folder: Path, missing: list[str], reason: str) -> MissingFilesError:
    return MissingFilesError(
        f"{folder} lacks {len(missing)} of MNIST's four files{reason}\n"
        f"  missing: {', '.join(missing)}\n"
        f"  put {', '.join(FILES)} there (gzipped, or unpacked without .gz),\n"
        f"  or have the bundled digits written there in that form: flowc data digits {folder}",
        location=user_location(),
    )


def _download(url: str, path: Path, answered: threading.Event, failure: list[str]) -> None:
    import urllib.request  # takes 20 ms, and few programs fetch

    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as response:
            answered.set()
            path.write_bytes(response.read())
    except (OSError, ValueError) as error:  # URLError is an OSError, a malformed URL a ValueError
        failure.append(str(getattr(error, "reason", error)))


def _fetch(url: str, path: Path) -> str:
    """Fetches `url` into `path`; returns why that failed, empty where it did not.

    In a thread of its own, because looking up a host's name obeys no time limit where there is no network.
    """
    answered = threading.Event()
    failure: list[str] = []
    worker = threading.Thread(target=_download, args=(url, path, answered, failure), daemon=True)
    worker.start()
    worker.join(ANSWER_SECONDS)
    if worker.is_alive() and answered.is_set():
        worker.join(FILE_SECONDS)
    if worker.is_alive():
        return "no answer in time"
    return failure[0] if failure else ""


def fetch_files(folder: Path, source_url: str) -> str:
    """Fetches the four files into `folder`, all or none; returns why that failed, empty where it did not."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder, ignore_cleanup_errors=True) as temporary:
        for name in FILES:
            path = Path(temporary, name)
            reason = _fetch(source_url.rstrip("/") + "/" + name, path)
            if reason:
                return reason
            try:
                read_images(path) if "images" in name else read_labels(path)
            except FormatError as error:
                return f"what it sends is no MNIST file: {error.what.removeprefix(f'{path}: ')}"
        for name in FILES:
            os.replace(Path(temporary, name), folder / name)
    return ""


def locate_files(folder: Path, source_url: str) -> list[Path]:
    """The paths of the four files in `folder`, in the order of FILES; fetched from `source_url` where none of them is there.

    Raises MissingFilesError, which says which files to put where and how to use the bundled digits instead.
    """
    found = {name: find_file(folder, name) for name in FILES}
    missing = [name for name in FILES if found[name] is None]
    if len(missing) == len(FILES):
        try:
            reason = fetch_files(folder, source_url)
        except OSError as error:
            reason = f"{folder} cannot be written: {error.strerror or error}"
        if reason:
            raise _advice(folder, missing, f", and they cannot be fetched from {source_url} ({reason})")
        found = {name: find_file(folder, name) for name in FILES}
    elif missing:
        raise _advice(folder, missing, "")
    return [path for path in found.values() if path is not None]


def _read_pair(images_path: Path, labels_path: Path) -> tuple[Any, Any]:
    images, labels = read_images(images_path), read_labels(labels_path)
    if len(images) != len(labels):
        raise FormatError(f"{images_path} has {len(images)} images, but {labels_path} {len(labels)} labels", location=user_location())
    return images[..., np.newaxis], labels


def read_data_sets(
    train_dir: str | os.PathLike[str],
    fake_data: bool = False,
    one_hot: bool = False,
    dtype: Any = np.float32,
    reshape: bool = True,
    validation_size: int = 5000,
    seed: int | None = None,
    source_url: str = DEFAULT_SOURCE_URL,
) -> Datasets:
    """MNIST's four files in `train_dir` as `.train`, `.validation` and `.test`; TensorFlow 1's `input_data.read_data_sets`.

    Images: float32 [count, 784] in [0, 1] (`dtype` uint8: 0..255; `reshape` False: [count, 28, 28, 1]). Labels: uint8 [count], or with
    `one_hot` float64 [count, 10]. The first `validation_size` training rows become the validation set. `seed` seeds NumPy's global
    generator, which draws the shuffles of `next_batch`. `fake_data` reads nothing and gives constant examples.

    Where none of the files is there, they are fetched from `source_url`; raises MissingFilesError where that fails or some are
    missing, FormatError for files that are not MNIST's, ValidationSizeError for a `validation_size` beyond the training rows.
    """
    numpy_dtype(dtype)  # a wrong dtype is told before anything is fetched
    if fake_data:
        train, validation, test = (DataSet([], [], fake_data=True, one_hot=one_hot, dtype=dtype, seed=seed) for _ in range(3))
        return Datasets(train, validation, test)
    paths = locate_files(Path(train_dir), source_url or DEFAULT_SOURCE_URL)
    train_images, train_labels = _read_pair(*paths[:2])
    test_images, test_labels = _read_pair(*paths[2:])
    if not 0 <= validation_size <= len(train_images):
        raise ValidationSizeError(f"validation_size: between 0 and {len(train_images)}, the training rows, not {validation_size}", location=user_location())
    if one_hot:
        train_labels, test_labels = one_hot_rows(train_labels), one_hot_rows(test_labels)

    def data_set(images: Any, labels: Any) -> DataSet:
        return DataSet(images, labels, one_hot=one_hot, dtype=dtype, reshape=reshape, seed=seed)

    return Datasets(
        train=data_set(train_images[validation_size:], train_labels[validation_size:]),
        validation=data_set(train_images[:validation_size], train_labels[:validation_size]),
        test=data_set(test_images, test_labels),
    )
