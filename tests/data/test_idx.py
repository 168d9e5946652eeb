"""flowc.data.idx: files of bytes as arrays, and what is said of files that are something else."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flowc.data.idx import FormatError, idx_bytes, read_idx, read_images, read_labels, write_idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def packed(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["images.gz", "images"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    write_idx(tmp_path / name, IMAGES)
    assert np.array_equal(read_images(tmp_path / name), IMAGES)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)), suffix=st.sampled_from(["", ".gz"]))
def test_any_array_of_bytes_survives_the_round_trip(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    write_idx(tmp_path / f"any{suffix}", array)
    assert np.array_equal(read_idx(tmp_path / f"any{suffix}", array.ndim), array)


def test_the_bytes_are_those_of_the_format() -> None:
    assert idx_bytes(np.array([7, 9], np.uint8)) == bytes.fromhex("00000801 00000002 07 09")
    assert idx_bytes(IMAGES)[:16] == bytes.fromhex("00000803 00000002 00000003 00000004")


def test_equal_arrays_make_equal_files(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", IMAGES)
    first = (tmp_path / "a.gz").read_bytes()
    write_idx(tmp_path / "a.gz", IMAGES)
    assert (tmp_path / "a.gz").read_bytes() == first


def test_packing_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    assert np.array_equal(read_images(packed(tmp_path / "plain.gz", idx_bytes(IMAGES))), IMAGES)
    assert np.array_equal(read_images(packed(tmp_path / "packed", gzip.compress(idx_bytes(IMAGES)))), IMAGES)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write_idx(tmp_path / "labels", np.array([1], np.uint8))
    with pytest.raises(FormatError, match="uint8 is expected, not float64"):
        write_idx(tmp_path / "labels", np.array([1.0]))
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]
    assert read_labels(tmp_path / "labels").tolist() == [1]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes, too short"),
        (b"\x00\x00\x08", "3 bytes, too short"),
        (b"<html>no such page</html>", "not an IDX file of unsigned bytes: first bytes 0x3c68746d, expected IDX images"),
        (struct.pack(">I", 0x0D03) + bytes(12), "not an IDX file of unsigned bytes"),
        (struct.pack("<I", 0x0803) + bytes(12), "not an IDX file of unsigned bytes"),
        (idx_bytes(np.zeros(5, np.uint8)), "holds labels: first bytes 0x00000801, expected IDX images"),
        (idx_bytes(IMAGES)[:9], "the header is truncated: 9 bytes of 16"),
        (idx_bytes(IMAGES)[:-1], "truncated: the header promises 2 x 3 x 4 = 24 bytes, the file has 23"),
        (idx_bytes(IMAGES) + b"!", "too long: the header promises 2 x 3 x 4 = 24 bytes, the file has 25"),
        (struct.pack(">4I", 0x0803, 2**32 - 1, 2**32 - 1, 2**32 - 1), "truncated: the header promises"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0)[:-12], "the gzip data is truncated or damaged"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0)[:12] + b"\xff" * 40, "the gzip data is truncated or damaged"),
    ],
)
def test_a_file_that_holds_no_images_says_what_it_holds(tmp_path: Path, data: bytes, says: str) -> None:
    path = packed(tmp_path / "train-images-idx3-ubyte", data)
    with pytest.raises(FormatError) as caught:
        read_images(path)
    assert caught.value.what.startswith(f"{path}: ")
    assert says in caught.value.what


def test_an_error_names_the_users_line(tmp_path: Path) -> None:
    path = packed(tmp_path / "labels", b"")
    with pytest.raises(FormatError, match=r"test_idx\.py:\d+ in test_an_error_names_the_users_line:  read_labels\(path\)"):
        read_labels(path)


def test_images_read_as_labels_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds images"):
        read_labels(packed(tmp_path / "x", idx_bytes(IMAGES)))


def test_a_file_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_images(tmp_path / "none")
