"""flowc.data.digits: the bundled images, their split, and the MNIST-style files made of them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from flowc.data import digits, load_digits, main_digits, read_data_sets, write_digits
from flowc.data.idx import read_images, read_labels, write_idx
from flowc.data.mnist import FILES, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return folder


def rows_of(images: np.ndarray) -> set[bytes]:
    return {np.ascontiguousarray(image).tobytes() for image in images}


def test_all_1797_digits_are_there_with_the_counts_of_the_source() -> None:
    images, labels = digits._read()
    assert images.shape == (1797, 8, 8)
    assert (int(images.min()), int(images.max())) == (0, 16)
    # Class counts of optdigits.tes as the source's description lists them.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_licence_and_authors_are_beside_the_data() -> None:
    text = (resources.files("flowc.data") / "digits.txt").read_text()
    for word in ("Alpaydin", "Kaynak", "CC BY 4.0", "UCI Machine Learning Repository"):
        assert word in text


def test_digits_are_scaled_floats_with_integer_labels() -> None:
    loaded = load_digits()
    assert loaded.train.images.shape == (1442, 64)
    assert loaded.test.images.shape == (355, 64)
    assert loaded.train.images.dtype == np.float32
    assert (loaded.train.images.min(), loaded.train.images.max()) == (0.0, 1.0)
    assert loaded.test.labels.dtype == np.uint8


def test_one_hot_labels_name_the_same_digits() -> None:
    assert np.array_equal(load_digits(one_hot=True).test.labels.argmax(axis=1), load_digits().test.labels)


def test_the_split_is_the_same_every_time_and_shares_no_image() -> None:
    first, second = load_digits(), load_digits()
    assert np.array_equal(first.test.images, second.test.images)
    assert not rows_of(first.train.images) & rows_of(first.test.images)


def test_every_digit_is_held_out_in_proportion() -> None:
    held_out = np.bincount(load_digits().test.labels)
    assert held_out.min() >= 34
    assert held_out.max() <= 36


def test_the_held_out_digits_can_be_told_by_a_linear_model() -> None:
    train, test = load_digits(one_hot=True)
    with_bias = [np.hstack((part.images, np.ones((len(part.images), 1)))) for part in (train, test)]
    weights = np.linalg.lstsq(with_bias[0], train.labels * 2 - 1, rcond=None)[0]
    assert ((with_bias[1] @ weights).argmax(axis=1) == test.labels.argmax(axis=1)).mean() > 0.9


def test_a_uniform_image_stays_uniform_when_enlarged() -> None:
    box = digits.enlarge(np.full((1, 8, 8), 16, np.uint8))[0, 4:24, 4:24]
    assert (box == 255).all()


def test_a_ramp_stays_a_ramp_when_enlarged() -> None:
    weights = digits._stretch(8, 20)
    assert np.allclose(weights.sum(axis=1), 1)
    at = np.clip((np.arange(20) + 0.5) * 8 / 20 - 0.5, 0, 7)
    assert np.allclose(weights @ np.arange(8), at)


def test_an_enlarged_image_has_its_centre_of_mass_in_the_middle() -> None:
    image = np.zeros((1, 8, 8), np.uint8)
    image[0, 2:6, 2:4] = 16  # left of the middle
    large = digits.enlarge(image)[0].astype(float)
    centre = [(large.sum(axis=axis) @ np.arange(28)) / large.sum() for axis in (1, 0)]
    assert np.allclose(centre, 13.5, atol=0.51)


def test_shifted_copies_are_the_image_moved_by_a_pixel() -> None:
    images = digits._read()[0][:3]
    copies = digits.enlarge(images, digits.SHIFTS).reshape(3, 9, 28, 28)
    for copy, (down, right) in enumerate(digits.SHIFTS):
        assert np.array_equal(copies[:, copy], np.roll(copies[:, 0], (down, right), (1, 2)))


def test_four_files_are_written_that_hold_images_and_labels_of_equal_number(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == sorted(FILES)
    assert read_images(written / TRAIN_IMAGES).shape == (12978, 28, 28)
    assert read_labels(written / TRAIN_LABELS).shape == (12978,)
    assert read_images(written / TEST_IMAGES).shape == (355, 28, 28)
    assert read_labels(written / TEST_LABELS).shape == (355,)


def test_the_files_serve_the_default_validation_split(written: Path) -> None:
    sets = read_data_sets(written, one_hot=True)
    assert [part.num_examples for part in sets] == [7978, 5000, 355]
    assert sets.train.images.max() == 1.0


def test_training_and_test_files_share_no_image_however_moved(written: Path) -> None:
    training, test = rows_of(read_images(written / TRAIN_IMAGES)), read_images(written / TEST_IMAGES)
    for shift in digits.SHIFTS:
        assert not training & rows_of(np.roll(test, shift, (1, 2)))


def test_training_and_test_originals_share_no_image() -> None:
    images, labels = digits._read()
    held_out = digits.held_out_rows(labels)
    assert not rows_of(images[held_out]) & rows_of(images[~held_out])


def test_labels_follow_their_images(written: Path) -> None:
    images, labels = digits._read()
    originals = np.flatnonzero(~digits.held_out_rows(labels))
    at = 700
    row = read_images(written / TRAIN_IMAGES)[9 * at]
    assert np.array_equal(row, digits.enlarge(images[originals[at : at + 1]])[0])
    assert read_labels(written / TRAIN_LABELS)[9 * at] == labels[originals[at]]


def test_writing_the_same_digits_again_is_allowed(written: Path) -> None:
    before = (written / TRAIN_IMAGES).read_bytes()
    write_digits(written)
    assert (written / TRAIN_IMAGES).read_bytes() == before


@pytest.mark.parametrize("name", [TEST_LABELS, TEST_LABELS.removesuffix(".gz")])
def test_other_data_is_not_overwritten(tmp_path: Path, name: str) -> None:
    write_idx(tmp_path / name, np.array([3, 1, 4], np.uint8))
    with pytest.raises(digits.OccupiedError, match="nothing was written"):
        write_digits(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert read_labels(tmp_path / name).tolist() == [3, 1, 4]


def test_a_file_of_another_format_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / TRAIN_IMAGES).write_text("notes")
    assert main_digits(str(tmp_path), say=lambda line: None) == 1
    assert (tmp_path / TRAIN_IMAGES).read_text() == "notes"


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_digits(str(tmp_path / "new" / "folder")) == 0
    said = capsys.readouterr().out
    for name in FILES:
        assert str(tmp_path / "new" / "folder" / name) in said
    assert "12978 images of 28 x 28" in said
    assert "Alpaydin" in said


def test_the_command_names_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main_digits(str(tmp_path / "file" / "under")) == 1
    assert "cannot be written" in capsys.readouterr().out
