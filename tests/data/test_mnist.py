"""flowc.data.mnist and flowc.data.dataset: TensorFlow 1's read_data_sets and next_batch. No network: mirrors are folders."""

from __future__ import annotations

import gzip
import shutil
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from flowc.data import DataSet, FormatError, MissingFilesError, mnist, read_data_sets
from flowc.data.idx import idx_bytes, write_idx
from flowc.data.mnist import FILES, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, ValidationSizeError
from flowc.errors import DTypeError, ShapeError
from flowc.ir import types

NOWHERE = "file:///nowhere/at/all/"


def content() -> dict[str, np.ndarray]:
    """Twenty training and six test images of 4 x 5, each filled with its number, so that a row tells which image it is."""
    numbers = np.arange(26, dtype=np.uint8)
    images = np.broadcast_to(numbers[:, None, None], (26, 4, 5)).copy()
    return {TRAIN_IMAGES: images[:20], TRAIN_LABELS: numbers[:20] % 10, TEST_IMAGES: images[20:], TEST_LABELS: numbers[20:] % 10}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    for name, array in content().items():
        write_idx(made / name, array)
    return made


def numbers_of(images: np.ndarray) -> list[int]:
    return np.rint(images[:, 0] * 255).astype(int).tolist()


def counted(count: int) -> DataSet:
    return DataSet.of(np.arange(count, dtype=np.float32)[:, None], np.arange(count))


# Reading a folder


def test_the_first_training_rows_are_the_validation_set(folder: Path) -> None:
    sets = read_data_sets(folder, validation_size=5)
    assert numbers_of(sets.validation.images) == [0, 1, 2, 3, 4]
    assert numbers_of(sets.train.images) == list(range(5, 20))
    assert numbers_of(sets.test.images) == list(range(20, 26))


def test_images_are_flat_floats_from_0_to_1(folder: Path) -> None:
    images = read_data_sets(folder, validation_size=0).test.images
    assert images.shape == (6, 20)
    assert images.dtype == np.float32
    assert np.array_equal(images[:, 0], np.arange(20, 26).astype(np.float32) * np.float32(1 / 255))


def test_images_keep_rows_columns_and_a_channel_where_asked(folder: Path) -> None:
    assert read_data_sets(folder, validation_size=0, reshape=False).train.images.shape == (20, 4, 5, 1)


@pytest.mark.parametrize("dtype", [np.uint8, "uint8", types.U8])
def test_images_stay_bytes_where_asked(folder: Path, dtype: object) -> None:
    images = read_data_sets(folder, validation_size=0, dtype=dtype).test.images
    assert images.dtype == np.uint8
    assert images[:, 0].tolist() == list(range(20, 26))


def test_labels_are_bytes_or_one_hot_doubles(folder: Path) -> None:
    plain = read_data_sets(folder, validation_size=0).test.labels
    one_hot = read_data_sets(folder, validation_size=0, one_hot=True).test.labels
    assert plain.dtype == np.uint8
    assert one_hot.dtype == np.float64
    assert one_hot.shape == (6, 10)
    assert one_hot.sum(axis=1).tolist() == [1.0] * 6
    assert one_hot.argmax(axis=1).tolist() == plain.tolist()


@pytest.mark.parametrize("rename", [lambda name: name.removesuffix(".gz"), lambda name: name.removesuffix(".gz").replace("-idx", ".idx")])
def test_unpacked_files_are_read_too(folder: Path, rename: object) -> None:
    for name in FILES:
        (folder / rename(name)).write_bytes(gzip.decompress((folder / name).read_bytes()))  # type: ignore[operator]
        (folder / name).unlink()
    assert read_data_sets(folder, validation_size=5, source_url=NOWHERE).train.num_examples == 15


def test_constant_examples_need_no_files(tmp_path: Path) -> None:
    sets = read_data_sets(tmp_path, fake_data=True, one_hot=True, source_url=NOWHERE)
    images, labels = sets.train.next_batch(3)
    assert sets.test.num_examples == 10000
    assert images == [[1] * 784] * 3
    assert labels == [[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]] * 3


# What can be wrong with a folder


@pytest.mark.parametrize("size", [-1, 21])
def test_a_validation_size_beyond_the_rows_is_refused(folder: Path, size: int) -> None:
    with pytest.raises(ValidationSizeError, match=f"between 0 and 20, the training rows, not {size}"):
        read_data_sets(folder, validation_size=size)


def test_another_dtype_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DTypeError, match="float32 or uint8, not int8"):
        read_data_sets(tmp_path, dtype="int8", source_url=NOWHERE)


def test_images_and_labels_of_different_number_are_refused(folder: Path) -> None:
    write_idx(folder / TEST_LABELS, np.zeros(5, np.uint8))
    with pytest.raises(FormatError, match=r"has 6 images, but .* 5 labels"):
        read_data_sets(folder, validation_size=0)


def test_labels_beyond_ten_classes_cannot_be_one_hot(folder: Path) -> None:
    write_idx(folder / TEST_LABELS, np.full(6, 12, np.uint8))
    with pytest.raises(ShapeError, match="label 12 is beyond the 10 classes"):
        read_data_sets(folder, validation_size=0, one_hot=True)


def test_missing_files_are_named_with_where_to_put_them_and_what_to_use_instead(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError) as caught:
        read_data_sets(tmp_path / "empty", source_url=NOWHERE)
    text = str(caught.value)
    for name in FILES:
        assert name in text
    assert str(tmp_path / "empty") in text
    assert f"flowc data digits {tmp_path / 'empty'}" in text
    assert "test_mnist.py" in text


def test_a_missing_folder_is_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_data_sets(tmp_path / "empty", source_url=NOWHERE)


def test_a_folder_with_some_of_the_files_is_not_filled_from_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / TEST_LABELS).unlink()
    monkeypatch.setattr(mnist, "fetch_files", lambda *rest: pytest.fail("nothing may be fetched"))
    with pytest.raises(MissingFilesError, match=rf"lacks 1 of MNIST's four files\n  missing: {TEST_LABELS}"):
        read_data_sets(folder)


# Fetching


def test_missing_files_are_fetched_and_kept(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    sets = read_data_sets(target, validation_size=5, source_url=folder.as_uri())
    assert numbers_of(sets.train.images) == list(range(5, 20))
    shutil.rmtree(folder)
    assert read_data_sets(target, validation_size=5, source_url=NOWHERE).train.num_examples == 15


def test_a_mirror_that_breaks_off_leaves_no_files(folder: Path, tmp_path: Path) -> None:
    (folder / TEST_LABELS).unlink()
    with pytest.raises(MissingFilesError, match="cannot be fetched"):
        read_data_sets(tmp_path / "target", source_url=folder.as_uri())
    assert list((tmp_path / "target").iterdir()) == []


def test_a_mirror_that_sends_something_else_leaves_no_files(folder: Path, tmp_path: Path) -> None:
    (folder / TRAIN_LABELS).write_text("<html>log in first</html>")
    with pytest.raises(MissingFilesError, match="no MNIST file: is not an IDX file"):
        read_data_sets(tmp_path / "target", source_url=folder.as_uri())
    assert list((tmp_path / "target").iterdir()) == []


def test_a_mirror_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    end = threading.Event()

    def hang(url: str, timeout: float) -> None:
        end.wait(60)
        raise OSError("late")

    monkeypatch.setattr(urllib.request, "urlopen", hang)
    monkeypatch.setattr(mnist, "ANSWER_SECONDS", 0.01)
    with pytest.raises(MissingFilesError, match="no answer in time"):
        read_data_sets(tmp_path, source_url="https://mirror.invalid/")
    end.set()


def test_a_malformed_address_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match="cannot be fetched"):
        read_data_sets(tmp_path, source_url="not an address")


# Batches


def test_an_epoch_hands_out_every_example_once() -> None:
    data = counted(12)
    seen = np.concatenate([data.next_batch(4)[0] for _ in range(3)])
    assert sorted(seen[:, 0].tolist()) == list(range(12))
    assert data.epochs_completed == 0


def test_the_first_call_shuffles() -> None:
    np.random.seed(3)
    data = counted(50)
    assert data.next_batch(50)[1].tolist() != list(range(50))


def test_without_shuffling_batches_come_in_order_and_wrap() -> None:
    data = counted(5)
    batches = [data.next_batch(3, shuffle=False)[1].tolist() for _ in range(3)]
    assert batches == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]
    assert data.epochs_completed == 1


def test_a_batch_across_the_end_is_the_rest_and_the_start_of_the_reshuffled_epoch() -> None:
    np.random.seed(0)
    data = counted(10)
    first = data.next_batch(7)[1].tolist()
    across = data.next_batch(7)[1].tolist()
    assert sorted(first + across[:3]) == list(range(10))
    assert data.epochs_completed == 1
    rest = data.next_batch(6)[1].tolist()
    assert sorted(across[3:] + rest) == list(range(10))


def test_an_epoch_that_ends_exactly_is_completed_by_the_next_call() -> None:
    data = counted(6)
    data.next_batch(3)
    data.next_batch(3)
    assert data.epochs_completed == 0
    images, _ = data.next_batch(3)
    assert data.epochs_completed == 1
    assert len(images) == 3


def test_labels_stay_with_their_images() -> None:
    data = counted(9)
    for _ in range(7):
        images, labels = data.next_batch(4)
        assert images[:, 0].tolist() == labels.tolist()


def test_a_batch_inside_an_epoch_is_a_contiguous_view_and_later_shuffles_leave_it() -> None:
    data = counted(8)
    images, _ = data.next_batch(4)
    kept = images.copy()
    assert np.shares_memory(images, data.images)
    assert images.flags.c_contiguous
    for _ in range(5):
        data.next_batch(4)
    assert np.array_equal(images, kept)


def test_shuffles_are_drawn_as_tensorflow_draws_them() -> None:
    order = np.arange(20)
    np.random.RandomState(7).shuffle(order)
    np.random.seed(7)
    assert counted(20).next_batch(20)[1].tolist() == order.tolist()


def test_a_seed_repeats_the_order(folder: Path) -> None:
    runs = [read_data_sets(folder, validation_size=0, seed=11).train.next_batch(20)[1].tolist() for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_batch_larger_than_the_set_is_refused() -> None:
    with pytest.raises(ShapeError, match="9 examples asked of a set of 8"):
        counted(8).next_batch(9)


def test_images_and_labels_of_a_set_must_match_in_number() -> None:
    with pytest.raises(ShapeError, match="3 images, but 2 labels"):
        DataSet(np.zeros((3, 2, 2), np.uint8), np.zeros(2, np.uint8))


def test_images_of_several_channels_cannot_be_flattened() -> None:
    with pytest.raises(ShapeError, match="one channel"):
        DataSet(np.zeros((3, 2, 2, 3), np.uint8), np.zeros(3, np.uint8))


def test_a_mirror_file_is_read_as_the_format_says(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx_bytes(content()[TEST_LABELS]))
    assert mnist.read_labels(tmp_path / "x").tolist() == [0, 1, 2, 3, 4, 5]
