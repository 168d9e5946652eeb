"""Runs in slices: where a whole batch would take too much memory, its rows are computed some at a time.

    call = sliced(executable, [images, labels, W1, W2], fed=2)      # None where the memory suffices or rows depend on each other
    results = call(images, labels)                                  # as Prepared's, and as large a batch

`transforms.rows` takes the Function apart. The part with rows runs on slices of equal size and leaves a few values for each row; the
other part, updates of variables included, then runs once on those. So a run that fails on the way has changed nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc.config import settings
from flowc.runtime.executable import Executable, concrete
from flowc.transforms.rows import Split

LEAST_GAIN = 4  # times less memory for what is kept of each row than for the whole run, from where two programs pay
LEAST_ROWS = 16  # of a slice: with fewer, threads and tiles have nothing to share out


class Sliced:
    """A call as `Prepared`, of two executables. slices: how many slices the batch is computed in."""

    is_native = False

    def __init__(self, executable: Executable, parts: tuple[Executable, Executable], split: Split, slices: int, args: Sequence[np.ndarray], fed: int,
                 counter: np.ndarray | None) -> None:  # fmt: skip
        self.executable, self.args, self.fed, self.counter = executable, list(args), fed, counter
        self.results = len(executable.f.results)
        self.rows, self.rest = parts
        self.split, self.slices = split, slices
        self.extents = executable.extents_of(args)

    @property
    def result_types(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        """The shape and dtype of each result."""
        return self.executable.result_types(self.args)

    def __call__(self, *arrays: np.ndarray) -> list[Any]:
        """Run on C-contiguous arrays of the fed params' exact shapes and dtypes."""
        args = [*arrays, *self.args[self.fed :]]
        kept = [np.empty(*concrete(r.tensor, self.extents)) for r in self.split.rows.results]
        batch = self.extents[self.split.symbol]
        for number in range(self.slices):
            begin, end = (batch * n // self.slices for n in (number, number + 1))
            given = [args[position][begin:end] if has_rows else args[position] for position, has_rows in self.split.params]
            for whole, part in zip(kept, self.rows.run(given), strict=True):
                whole[begin:end] = part
        results = self.rest.run([*args, *kept])
        if self.counter is not None:
            self.counter += 1
        return [r if r.ndim else r[()] for r in results]


def sliced(executable: Executable, args: Sequence[np.ndarray], fed: int, counter: np.ndarray | None) -> Sliced | None:
    """The call in slices, where the run would take more than `settings().memory` and slices take much less."""
    budget, extents = settings().memory, executable.extents_of(args)
    whole = sum(executable.layout.piece_bytes(extents))
    parts = executable.parts if whole > budget else None
    if parts is None:
        return None
    split, rows, rest = parts
    kept = sum(math.prod(shape) * dtype.itemsize for shape, dtype in (concrete(r.tensor, extents) for r in split.rows.results))
    batch = extents[split.symbol]
    fixed = sum(rows.layout.piece_bytes({**extents, split.symbol: 0}))
    each = max(1.0, (sum(rows.layout.piece_bytes(extents)) - fixed) / batch)
    size = max(LEAST_ROWS, int((budget - fixed) / each))
    slices = -(-batch // size)
    if slices < 2 or LEAST_GAIN * (kept + sum(rest.layout.piece_bytes(extents))) > whole:
        return None
    return Sliced(executable, (rows, rest), split, slices, args, fed, counter)


__all__ = ["Sliced", "sliced"]
