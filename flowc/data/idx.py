"""IDX files: a gzip or plain file of bytes becomes a uint8 array, and back.

    write_idx("t10k-labels-idx1-ubyte.gz", labels)
    labels = read_labels("t10k-labels-idx1-ubyte.gz")

The format (Y. LeCun, the MNIST database's page): two zero bytes, a code for the element type (8: unsigned byte), the number of
dimensions, each extent as a big-endian uint32, then the elements in C order. Images are 0x00000803 (count, rows, columns), labels
0x00000801 (count).
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flowc.errors import FlowcError, user_location

Bytes = npt.NDArray[np.uint8]
GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8
# What a number of dimensions means in MNIST's four files.
KINDS = {1: "labels", 3: "images"}


class FormatError(FlowcError, ValueError):
    """A data file that is not what its name says: truncated, damaged, of another format, or of another length than its pair."""


class MissingFilesError(FlowcError, FileNotFoundError):
    """Data files that are not there and cannot be fetched."""


def _format_error(path: Path, what: str) -> FormatError:
    return FormatError(f"{path}: {what}", location=user_location())


def _contents(path: Path) -> bytes:
    """The file's bytes, unpacked when they begin as gzip does, whatever the file's name."""
    data = path.read_bytes()
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _format_error(path, f"the gzip data is truncated or damaged ({error})") from None


def read_idx(path: str | os.PathLike[str], ndim: int) -> Bytes:
    """Reads an IDX file of unsigned bytes with `ndim` dimensions; gzip or plain is told by content.

    Returns a read-only uint8 array of the shape in the file's header. Raises FormatError where the file is of another format,
    truncated, or longer than its header says, and OSError where it cannot be read.
    """
    path = Path(path)
    data = _contents(path)
    magic = UNSIGNED_BYTE << 8 | ndim
    expected = f"IDX {KINDS.get(ndim, 'data')} (first bytes 0x{magic:08x})"
    start = 4 + 4 * ndim
    if len(data) < 4:
        raise _format_error(path, f"{len(data)} bytes, too short for {expected}: truncated or not an IDX file")
    found = int.from_bytes(data[:4], "big")
    if found != magic:
        kind = KINDS.get(found & 0xFF) if found >> 8 == UNSIGNED_BYTE else None
        what = f"holds {kind}" if kind else "is not an IDX file of unsigned bytes"
        raise _format_error(path, f"{what}: first bytes 0x{found:08x}, expected {expected}")
    if len(data) < start:
        raise _format_error(path, f"the header is truncated: {len(data)} bytes of {start}")
    shape = tuple(int(extent) for extent in np.frombuffer(data, ">u4", ndim, 4))
    wanted, have = math.prod(shape), len(data) - start
    if have != wanted:
        fault = "truncated" if have < wanted else "too long"
        raise _format_error(path, f"{fault}: the header promises {' x '.join(map(str, shape))} = {wanted} bytes, the file has {have}")
    return np.frombuffer(data, np.uint8, wanted, start).reshape(shape)


def read_images(path: str | os.PathLike[str]) -> Bytes:
    """Reads an IDX image file: uint8 [count, rows, columns]."""
    return read_idx(path, 3)


def read_labels(path: str | os.PathLike[str]) -> Bytes:
    """Reads an IDX label file: uint8 [count]."""
    return read_idx(path, 1)


def idx_bytes(array: npt.NDArray[Any]) -> bytes:
    """An array of uint8 as an IDX file's bytes, not packed."""
    if array.dtype != np.uint8:
        raise FormatError(f"IDX: an array of uint8 is expected, not {array.dtype}", location=user_location())
    return bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(path: str | os.PathLike[str], array: npt.NDArray[Any]) -> None:
    """Writes a uint8 array as an IDX file, gzipped where the name ends in `.gz`; equal arrays make equal files.

    The file appears whole or not at all: it is written under a temporary name in the same folder and renamed.
    """
    path = Path(path)
    data = idx_bytes(array)
    if path.suffix == ".gz":
        data = gzip.compress(data, compresslevel=6, mtime=0)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
