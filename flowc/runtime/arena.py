"""The arena: one piece of memory for the slots of an executable, whatever the extents of the run.

It grows to what the largest run so far has needed. When it does, it moves: `generation` tells tables that hold its addresses.
"""

from __future__ import annotations

import numpy as np


class Arena:
    """base: the address, a multiple of 64 bytes, at which offsets count; generation: how often the memory has moved;
    generation_at: the address of that number."""

    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)
        self.base = 0
        self._moves = np.zeros(1, np.int64)
        self.generation_at = address(self._moves)
        self._start = 0

    def reserve(self, size: int) -> None:
        """Have at least `size` bytes; what was in the arena is lost where it has to grow."""
        if size + 64 > self.memory.nbytes:
            self.memory = np.empty(size + 64, np.uint8)
            begin = address(self.memory)
            self.base = (begin + 63) // 64 * 64
            self._start = self.base - begin
            self._moves += 1

    @property
    def generation(self) -> int:
        return int(self._moves[0])

    def view(self, offset: int, size: int, dtype: np.dtype) -> np.ndarray:
        """`size` bytes from `offset` on, as an array of `dtype`."""
        begin = self._start + offset
        return self.memory[begin : begin + size].view(dtype)


def address(array: np.ndarray) -> int:
    """The address of an array's first element."""
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


def plain(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """An array as compiled programs read it: of NumPy's own object for `dtype`, in C order and aligned; a copy only where it is not so."""
    if array.dtype is dtype and array.flags.c_contiguous and array.flags.aligned and array.__class__ is np.ndarray:
        return array
    found = np.require(array, dtype, ["C", "A"])
    return found if found.dtype is dtype else found.view(dtype)
