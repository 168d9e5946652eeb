"""A small reader of event files for the tests: TFRecords with their checksums, protobuf's wire format.

    read(folder)  ->  [{1: [wall_time], 3: [b"brain.Event:2"]}, {1: [...], 2: [step], 5: [summary]}]

It shares no code with the writer.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np


def crc_bit_by_bit(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 * (state & 1))
    return state ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc_bit_by_bit(data)
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def records(data: bytes) -> list[bytes]:
    """Every whole record; AssertionError where a checksum is wrong or bytes are left over."""
    found = []
    while data:
        (length,), (length_crc,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        assert length_crc == masked(data[:8])
        content, (crc,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        assert crc == masked(content)
        found.append(content)
        data = data[16 + length :]
    return found


def fields(message: bytes) -> dict[int, list[Any]]:
    """Field numbers to values: whole numbers, f64, f32 or bytes."""
    found: dict[int, list[Any]] = {}
    while message:
        key, message = _varint(message)
        value: Any
        match key & 7:
            case 0:
                value, message = _varint(message)
            case 1:
                value, message = struct.unpack("<d", message[:8])[0], message[8:]
            case 2:
                length, message = _varint(message)
                value, message = message[:length], message[length:]
                assert len(value) == length
            case 5:
                value, message = struct.unpack("<f", message[:4])[0], message[4:]
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(message: bytes) -> tuple[int, bytes]:
    value = shift = 0
    for place, byte in enumerate(message):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, message[place + 1 :]
    raise AssertionError("a number without an end")


def files(folder: Any) -> list[Path]:
    return sorted(Path(folder).glob("events.out.tfevents.*"))


def read(folder: Any) -> list[dict[int, list[Any]]]:
    """The events of every file in a folder, parsed."""
    return [fields(record) for path in files(folder) for record in records(path.read_bytes())]


def values(summary: bytes) -> dict[str, dict[int, list[Any]]]:
    """A Summary's values by tag."""
    parsed = [fields(value) for value in fields(summary).get(1, [])]
    return {value[1][0].decode(): value for value in parsed}


def decode_png(data: bytes) -> np.ndarray:
    """u8[height, width, channels] of a PNG whose rows have no filter."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    data, parts = data[8:], {}
    while data:
        length, kind = struct.unpack(">I4s", data[:8])
        parts[kind] = data[8 : 8 + length]
        assert struct.unpack(">I", data[8 + length : 12 + length])[0] == zlib.crc32(kind + parts[kind])
        data = data[12 + length :]
    assert list(parts) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    assert depth == 8
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, {0: 1, 4: 2, 2: 3, 6: 4}[colour])
