"""Prepared calls: a compiled program with its variables' addresses in place, so that a run is feeds in, one native call, results out.

    call = executable.prepare([x, y, W, b], fed=2)
    if call.fill((xs, ys)):          # copied into the call's own small arrays, or their addresses noted
        results = call.launch()

Asking NumPy for an array's address costs a microsecond, copying a small array a tenth of that: so small feeds are copied.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowc.runtime import threads

if TYPE_CHECKING:
    from flowc.runtime.executable import Executable

STAGED = 16384  # bytes up to which a feed is copied rather than pointed to

Fill = Callable[[Any], bool]


class Prepared:
    """A call of one executable for one set of shapes.

    `fill(values)` takes the values to feed, one for each fed param, as they are (lists, arrays of other dtypes); False where one does not
    have the expected form, and then nothing is run. `launch()` runs and gives the results. Both under `lock` where several Python threads share a session.
    """

    fills: list[Fill]
    fill: Callable[[Iterable[Any]], bool]

    def __init__(self, executable: Executable, args: Sequence[np.ndarray], fed: int) -> None:
        self.executable = executable
        self.lock = executable.lock
        self.args = list(args)
        self.direct = False
        if executable.backend == "interpret":
            self.fills = [self._staged(i, None, array) for i, array in enumerate(args[:fed])]
            self.fill = _together(self.fills)
            return
        self.binding = executable.binding(args)
        self.table = type(self.binding.table).from_buffer_copy(self.binding.table)
        self.table_address = ctypes.addressof(self.table)
        self.arena = executable.arena
        self.generation = self.binding.generation
        slots = dict(executable.layout.param_slots)
        self.fills = []
        for position, array in enumerate(args):
            slot = slots.get(position)
            if position >= fed:
                if slot is not None:
                    self.table[slot] = array.__array_interface__["data"][0]
            elif array.nbytes <= STAGED:
                self.fills.append(self._staged(position, slot, array))
            else:
                self.fills.append(self._pointed(position, slot, array))
        self.fill = _together(self.fills)
        self.direct = executable.backend == "cpu" and executable.layout.is_plain and all(s is not None for s in self.binding.staged)
        self.threads = self.binding.threads
        self.entry = executable.entry
        self.alone = threads.alone() if executable.backend == "cpu" and self.threads == 1 else None
        self.results = [s for s in self.binding.staged if s is not None]

    def _staged(self, position: int, slot: int | None, like: np.ndarray) -> Fill:
        own = np.empty(like.shape, like.dtype)
        self.args[position] = own
        if slot is not None:
            self.table[slot] = own.__array_interface__["data"][0]
        shape, dtype = own.shape, own.dtype
        rows = shape[0] if own.ndim == 1 and shape[0] > 1 else -1
        is_float = dtype.kind == "f"
        ndarray = np.ndarray

        def fill(value: Any) -> bool:
            kind = value.__class__
            if kind is ndarray:
                if value.shape != shape:
                    return False
                if value.dtype is dtype or is_float and value.dtype.kind in "fiub" or value.dtype == dtype:
                    own[...] = value
                    return True
                return False
            if kind is list and is_float and len(value) == rows:
                try:
                    own[...] = value
                except (TypeError, ValueError):
                    return False
                return True
            if is_float and shape == () and (kind is float or kind is int):
                own[...] = value
                return True
            return False

        return fill

    def _pointed(self, position: int, slot: int | None, like: np.ndarray) -> Fill:
        shape, dtype, args, table = like.shape, like.dtype, self.args, self.table
        ndarray = np.ndarray

        def fill(value: Any) -> bool:
            if value.__class__ is not ndarray or value.shape != shape or not value.flags.c_contiguous:
                return False
            if value.dtype is not dtype and value.dtype != dtype:
                return False
            args[position] = value  # keeps it alive through the run
            if slot is not None:
                table[slot] = value.__array_interface__["data"][0]
            return True

        return fill

    def launch(self) -> list[np.ndarray]:
        """Run on what was filled in; fresh arrays of the results."""
        if self.direct:
            if self.generation != self.arena.generation:  # a run with larger extents has moved the arena
                self.generation = self.executable.place_slots(self.table, self.binding.offsets)
            if self.alone is not None:
                self.alone(self.entry, self.table_address)
            else:
                threads.run(self.entry, self.table_address, self.threads)
            return [staged.copy() for staged in self.results]
        if self.executable.backend == "interpret":
            return self.executable.interpret(self.args)
        for _, slot in self.executable.layout.param_slots:
            self.binding.table[slot] = self.table[slot]
        if self.binding.generation != self.arena.generation:
            self.binding.generation = self.executable.place_slots(self.binding.table, self.binding.offsets)
        return self.executable.enter(self.binding, self.args)


def _together(fills: list[Fill]) -> Callable[[Iterable[Any]], bool]:
    """All fills of a call as one function; the commonest counts without a loop, which would take as long as the fills themselves."""
    match fills:
        case []:
            return lambda values: True
        case [first]:

            def fill_one(values: Iterable[Any]) -> bool:
                (value,) = values
                return first(value)

            return fill_one
        case [first, second]:

            def fill_two(values: Iterable[Any]) -> bool:
                one, two = values
                return first(one) and second(two)

            return fill_two
        case [first, second, third]:

            def fill_three(values: Iterable[Any]) -> bool:
                one, two, three = values
                return first(one) and second(two) and third(three)

            return fill_three
    return lambda values: all(fill(value) for fill, value in zip(fills, values, strict=True))
