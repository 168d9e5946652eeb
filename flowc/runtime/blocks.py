"""Blocks: memory for large results that is used again once the caller has dropped them.

    blocks = Blocks.of(40_000_000)       # the two blocks of that size; a result is an array whose `base` is one of them

A result begins with a cache line, which what NumPy allocates does not: vectors are stored within lines, and threads that write neighbouring
columns share none (a product of 128 x 10 x 1024 on two threads: 27 us instead of 47). Fresh memory of many pages comes from the system page
by page: 2 ms for 10 MB on a common machine, some ten times what writing the result takes. Two blocks, since in `y = f(x)` the old result
lives until the new one is there. A block belongs to whoever holds a result in it, and whatever refers to that; native code (`caller`) takes
it for another result only when nobody does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from weakref import WeakValueDictionary

import numpy as np

from flowc.runtime import native
from flowc.runtime.arena import address
from flowc.runtime.fields import LINE

LEAST, MOST = 1 << 14, 1 << 26  # bytes: in smaller results vectors that cross lines cost less than a call; larger memory is not to be kept


class Blocks:
    """places: the addresses of the two arrays as Python objects; nothing but their attributes here refers to them."""

    __slots__ = ("__weakref__", "first", "places", "second")

    def __init__(self, size: int) -> None:
        self.first, self.second = (np.empty(size + LINE - 1, np.uint8) for _ in range(2))  # no page is there before it is written
        self.places = np.array([id(self.first), id(self.second)], np.int64)

    @staticmethod
    def of(size: int) -> Blocks | None:
        """The blocks of that many bytes, which all programs share; None for a size that is none for blocks."""
        if not LEAST <= size <= MOST or not native.counts_references():
            return None
        found = _all.get(size)
        if found is None:
            found = _all[size] = Blocks(size)
        return found


def blank(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An array that nothing is written to yet, of memory of its own, which begins as a result's does: where it is large, with a cache line."""
    size = math.prod(shape) * dtype.itemsize
    if size < LEAST:
        return np.empty(shape, dtype)
    memory = np.empty(size + LINE - 1, np.uint8)
    begin = -address(memory) % LINE
    return memory[begin : begin + size].view(dtype).reshape(shape)


_all: WeakValueDictionary[int, Blocks] = WeakValueDictionary()

__all__ = ["Blocks", "blank"]
