"""TensorBoard's event files: records of protobuf messages, written with the standard library and NumPy only.

    with EventFile("/tmp/logs") as file:
        file.append(event(time.time(), 3, summary=scalar_value("loss", 0.25)))

A file is a row of TFRecords (length, masked CRC of the length, data, masked CRC of the data), each one an Event message. The messages'
field numbers are those of TensorFlow's event.proto, summary.proto and tensor.proto; the CRC is CRC-32C (Castagnoli, RFC 3720, B.4).
"""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from flowc.errors import FlowcError, user_location

# checksums

_BLOCK = 256


@cache
def _byte_table() -> list[int]:
    """For each byte, what it adds to a CRC of zero; 0x82f63b78 is Castagnoli's polynomial, lowest power first."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


@cache
def _block_table() -> tuple[np.ndarray, list[list[int]]]:
    """[place, byte]: what a byte at a place of a block adds to the CRC at the block's end; and the first four rows as lists."""
    base = np.array(_byte_table(), np.uint32)
    table = np.empty((_BLOCK, 256), np.uint32)
    table[-1] = base
    for place in range(_BLOCK - 2, -1, -1):
        later = table[place + 1]
        table[place] = base[later & 255] ^ later >> 8
    return table, table[:4].tolist()


def crc32c(data: bytes) -> int:
    """The CRC-32C of bytes: crc32c(b"123456789") is 0xe3069283. Long data goes block by block, which NumPy looks up at once."""
    if len(data) < 2 * _BLOCK:
        table, state = _byte_table(), 0xFFFFFFFF
        for byte in data:
            state = table[(state ^ byte) & 255] ^ state >> 8
        return state ^ 0xFFFFFFFF
    # A state of zero passes over zeros unchanged, and any other state is as if its bytes were in the data: so zeros go in front.
    block_table, (first, second, third, fourth) = _block_table()
    padded = np.zeros(-(-len(data) // _BLOCK) * _BLOCK, np.uint8)
    start = len(padded) - len(data)
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 255
    places = np.arange(_BLOCK)
    state = 0
    for part in np.array_split(padded.reshape(-1, _BLOCK), -(-len(padded) // (1 << 20))):
        for added in np.bitwise_xor.reduce(block_table[places, part], axis=1).tolist():
            state = added ^ first[state & 255] ^ second[state >> 8 & 255] ^ third[state >> 16 & 255] ^ fourth[state >> 24]
    return state ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """The CRC as TFRecords hold it: turned right by 15 bits, plus a constant, so that CRCs of data with CRCs inside stay useful."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """One TFRecord."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data))))


# protobuf's wire format: a message is a row of fields, each one a key (number and kind) and a value


def varint(value: int) -> bytes:
    """Seven bits to a byte, lowest first; a negative number as its 64-bit complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def integer(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(int(value))


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def single(field: int, value: float) -> bytes:
    with np.errstate(over="ignore"):  # what is too large is infinite, as a C++ cast makes it
        return varint(field << 3 | 5) + struct.pack("<f", np.float32(value))


def blob(field: int, value: bytes | str) -> bytes:
    """A field of bytes, text or an inner message."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


# messages


def event(wall_time: float, step: int | None = None, **parts: bytes | str) -> bytes:
    """An Event; parts: `file_version`, `graph_def`, `summary`, `session_log` or `tagged_run_metadata`."""
    fields = {"file_version": 3, "graph_def": 4, "summary": 5, "session_log": 7, "tagged_run_metadata": 8}
    head = double(1, wall_time) + (integer(2, step) if step else b"")
    return head + b"".join([blob(fields[name], value) for name, value in parts.items()])


def scalar_value(tag: str, value: Any) -> bytes:
    """A Summary of one number; those after one another are one Summary."""
    return blob(1, blob(1, tag) + single(2, float(value)))


def image_value(tag: str, pixels: np.ndarray) -> bytes:
    """A Summary of one image; pixels: u8[height, width, channels]."""
    height, width, channels = pixels.shape
    image = integer(1, height) + integer(2, width) + integer(3, channels) + blob(4, png(pixels))
    return blob(1, blob(1, tag) + blob(4, image))


def histogram_value(tag: str, values: np.ndarray) -> bytes:
    """A Summary of how often finite numbers fall into TensorFlow's default buckets; runs of empty buckets are one (histogram.cc)."""
    limits = bucket_limits()
    numbers = values.astype(np.float64).reshape(-1)
    largest = float(limits[-1])
    lowest, highest = (numbers.min(), numbers.max()) if numbers.size else (largest, -largest)  # TensorFlow's, of no numbers
    head = double(1, float(lowest)) + double(2, float(highest))
    with np.errstate(over="ignore"):
        head += double(3, numbers.size) + double(4, float(numbers.sum())) + double(5, float(numbers @ numbers))
    places = np.minimum(np.searchsorted(limits, numbers, side="right"), len(limits) - 1)
    counts = np.bincount(places, minlength=len(limits)).astype("<f8")
    kept = counts > 0
    kept[:-1] |= kept[1:]  # the last of a run of empty buckets stands for all
    kept[-1] = True
    buckets = blob(6, limits[kept].astype("<f8").tobytes()) + blob(7, counts[kept].tobytes())
    return blob(1, blob(1, tag) + blob(5, head + buckets))


@cache
def bucket_limits() -> np.ndarray:
    """The upper limits of TensorFlow's default buckets: 1e-12 times powers of 1.1 up to 1e20, the same below zero, zero, and the largest f64."""
    limits = []
    value = 1e-12
    while value < 1e20:
        limits.append(value)
        value *= 1.1
    limits.append(np.finfo(np.float64).max)
    return np.array([-v for v in reversed(limits)] + [0.0] + limits)


def text_value(tag: str, text: Sequence[str], shape: Sequence[int]) -> bytes:
    """A Summary of text in a tensor's shape, for TensorBoard's text page."""
    tensor = integer(1, 7) + blob(2, shape_message(shape)) + b"".join([blob(8, item) for item in text])
    return blob(1, blob(1, tag) + blob(8, tensor) + blob(9, blob(1, blob(1, "text"))))


def shape_message(shape: Sequence[int] | None) -> bytes:
    """A TensorShape; -1 is an unknown extent, None an unknown rank."""
    return integer(3, 1) if shape is None else b"".join([blob(2, integer(1, extent)) for extent in shape])


def png(pixels: np.ndarray) -> bytes:
    """A PNG of u8[height, width, 1, 2, 3 or 4]: grey, grey and alpha, RGB, RGBA (W3C's PNG specification, section 11)."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row after its filter's number: none
    rows[:, 1:] = pixels.reshape(height, -1)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")]
    body = [struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part)) for kind, part in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


# files

_numbers = count()


class EventFile:
    """A new event file in `directory` (made where it is not there): `append` queues an Event, `flush` hands all to the system.

    Only whole records are ever handed over, after those that are there: what has been flushed is readable whatever happens to the process.
    A write that fails (FlowcError) takes back the part that got through and keeps the records for the next flush.
    """

    def __init__(self, directory: str, suffix: str = "") -> None:
        self._lock = threading.Lock()
        self._pending: list[bytes] = []
        self._process = os.getpid()
        self._size = 0
        self._file = -1
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{os.uname().nodename}.{self._process}.{next(_numbers)}{suffix}"
        self.path = os.path.join(directory, name)
        try:
            os.makedirs(directory, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise self._failure(directory, error) from None
        self.append(event(now, file_version="brain.Event:2"))
        self.flush()

    @property
    def closed(self) -> bool:
        return self._file < 0

    def append(self, message: bytes) -> int:
        """Queue a serialized Event; how many are waiting now."""
        framed = record(message)
        with self._lock:
            self._pending.append(framed)
            return len(self._pending)

    def flush(self) -> None:
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if not self._pending or self.closed or os.getpid() != self._process:  # a forked child leaves its parent's records to the parent
            return
        rest = memoryview(b"".join(self._pending))
        total = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise self._failure(self.path, error) from None
        self._size += total
        self._pending.clear()

    def close(self) -> None:
        """Flush, and take no more."""
        with self._lock:
            try:
                self._flush()
            finally:
                if not self.closed:
                    os.close(self._file)
                    self._file = -1

    @staticmethod
    def _failure(path: str, error: OSError) -> FlowcError:
        return FlowcError(f"events cannot be written to {path}: {error.strerror or error}", location=user_location())

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
