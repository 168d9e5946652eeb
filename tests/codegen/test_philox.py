"""The generator's bits."""

from __future__ import annotations

import numpy as np

from flowc.codegen.philox import philox
from tests.codegen.programs import both, same_bits

# Random123, kat_vectors: philox4x32-10 with counter and key all zero, and with the digits of pi
ZERO = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
PI = [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def words(key: int, counter: int, index: int) -> list[int]:
    return [int(philox(np.uint64(key), np.uint64(counter), np.uint64(index), np.int64(lane))) for lane in range(4)]


def test_known_answers() -> None:
    assert words(0, 0, 0) == ZERO
    assert words(0x299F31D0A4093822, 0x85A308D3243F6A88, 0x0370734413198A2E) == PI


def test_arrays_and_scalars_agree() -> None:
    index, lane = np.arange(64, dtype=np.uint64) // np.uint64(4), np.arange(64, dtype=np.int64) % 4
    many = philox(np.uint64(42), np.uint64(7), index, lane)
    assert many.dtype == np.uint32
    assert many.tolist() == [w for i in range(16) for w in words(42, 7, i)]


def test_the_ops_draw_the_same_words() -> None:
    from flowc.ops import random

    blocks = np.arange(5, dtype=np.uint64)
    theirs = np.stack(random.philox(2**63 + 5, 2**40 + 1, blocks), axis=-1)
    assert theirs.tolist() == [words(2**63 + 5, 2**40 + 1, i) for i in range(5)]


def test_compiled_code_draws_the_same_words() -> None:
    body = "for i in range(n):\n    out[i] = philox(seed[0], seed[1], u64(i // 4), i % 4)"
    compiled, plain = both(body, lambda: {"seed": np.array([2**63 + 5, 3], np.uint64), "out": np.zeros(64, np.uint32)}, n=64)
    assert same_bits(compiled["out"], plain["out"])
    assert compiled["out"][:4].tolist() == words(2**63 + 5, 3, 0)
