"""Philox4x32-10, the counter-based generator behind every random op: four u32 words for each place of a stream.

    philox(key, counter, index, lane)     # word `lane` (0 to 3) at place `index` of the stream that `key` and the run's `counter` select

The same text runs on NumPy scalars and arrays, through the compiler, and on a GPU, and gives the same bits everywhere: only u64 products,
xors and shifts. Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from flowc.codegen.scalars import select
from flowc.codegen.types import i64, u32, u64


def philox(key: u64, counter: u64, index: u64, lane: i64) -> u32:
    """One word. The generator's counter is, from its lowest word: `counter`, `index` (low half and high half each)."""
    mask = u64(0xFFFFFFFF)
    c0 = counter & mask
    c1 = counter >> u64(32)
    c2 = index & mask
    c3 = index >> u64(32)
    k0 = key & mask
    k1 = key >> u64(32)
    for _ in range(10):
        p0 = c0 * u64(0xD2511F53)
        p1 = c2 * u64(0xCD9E8D57)
        c0 = (p1 >> u64(32)) ^ c1 ^ k0
        c1 = p1 & mask
        c2 = (p0 >> u64(32)) ^ c3 ^ k1
        c3 = p0 & mask
        k0 = (k0 + u64(0x9E3779B9)) & mask
        k1 = (k1 + u64(0xBB67AE85)) & mask
    low = select(lane == i64(0), c0, c1)
    high = select(lane == i64(2), c2, c3)
    return u32(select(lane < i64(2), low, high))
