"""Tiles of 16 x 16 pixels to frequencies and back, as loops: along the rows, then along the columns, a vector of channels at a time.

    to_frequencies("in", lanes, most=32, seen, pixel, PLAIN, stored)   ->   for in_row: for in_lane: in_bins[row, part, column] = ...
                                                                            for in_column: for in_lane: in_found[part, k] = ...
                                                                                           for in_k: for in_lane: (what `stored` says)

Of the frequencies of real numbers half are the conjugates of others, so only columns 0 to 8 are computed, and of columns 0 and 8, which are real
themselves, only frequencies 0 to 8: 130 in all. Frequencies go through an array of their own before they are stored: LLVM makes vectors of a loop
only where it sees that its 32 stores are 32 places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from flowc.ir.loops import Alloc, Expr, For, Let, Load, Statement, Store, Var, index, lift, select, used
from flowc.ir.types import F32
from flowc.ops.butterflies import Number, Part, Straight, Term
from flowc.ops.tiles import ZERO, larger, serial, var, vector
from flowc.structs import Struct

SIZE = 16  # pixels of a tile along each axis
HALF = SIZE // 2
COLUMNS = HALF + 1  # of a tile's frequencies: the others are conjugates of these
FREQUENCIES = (HALF - 1) * SIZE + 2 * COLUMNS
CHANNELS = 32  # transformed at a time: a tile's rows of so many channels stay in the first cache

Parts = tuple[tuple[int, float], ...]  # which of a complex number's parts are stored, 0 the real one, and times what
PLAIN: Parts = ((0, 1.0), (1, 1.0))
CONJUGATE: Parts = ((1, 1.0), (0, 1.0), (1, -1.0))  # the last two are the conjugate, the first two i times that


class Seen(Struct):
    """Places along an axis of a tile where there may be numbers, `count` from `first` on; all others are zero."""

    first: int
    count: int

    def inside(self) -> range:
        return range(self.first, self.first + self.count)


Seens = tuple[Seen, Seen]  # along rows and columns


def to_frequencies(
    name: str, lanes: Expr, most: int, seen: Seens, pixel: Callable[[int], Expr], parts: Parts,
    stored: Callable[[Expr, int, Expr], Store], ready: Sequence[Statement] = (), is_cut: bool = False,
) -> list[Statement]:  # fmt: skip
    """The frequencies of a tile, `most` channels at the most: along its rows, then along the columns of what that gives.

    pixel(column): the value there in row `{name}_row` of those seen; stored(frequency, which, x): puts one of `parts` where it belongs; ready: what
    goes before each row; is_cut: there are fewer lanes than `most`, and zeros for the others are stored. All for the lane `{name}_lane`.
    """
    rows, columns = seen
    lane = var(f"{name}_lane")
    bins, found = _Bins(f"{name}_bins", COLUMNS, most, lane), _Bins(f"{name}_found", SIZE, most, lane)
    row, column, k = var(f"{name}_row"), var(f"{name}_column"), var(f"{name}_k")
    values: dict[str, Expr] = {f"{name}_in{j}": pixel(j) for j in columns.inside()}
    s = Straight(f"{name}_r")
    numbers = s.real([_term(f"{name}_in{j}", values) for j in range(SIZE)])
    along = serial(row.name, index(rows.count), *ready, _straight(name, lanes, values, s, _all(bins.store(row, index(j), x) for j, x in enumerate(numbers))))

    values = {f"{name}_in{j}_{part}": bins.load(index(j - rows.first), column, part) for j in rows.inside() for part in (0, 1)}
    s = Straight(f"{name}_c")
    numbers = s.complex([(_term(f"{name}_in{j}_0", values), _term(f"{name}_in{j}_1", values)) for j in range(SIZE)], -1)
    down = _straight(name, lanes, values, s, _all(found.store(ZERO, index(j), x) for j, x in enumerate(numbers)))
    copied = index(most) if is_cut else lanes
    copies = [vector(lane.name, copied, stored(_first(column) + k, which, found.load(ZERO, k, part) * sign)) for which, (part, sign) in enumerate(parts)]
    zeros = [vector(lane.name, index(2 * SIZE * most), Store(found.buffer, lane, lift(0, F32)))] if is_cut else []
    return [
        bins.space(rows.count), found.space(1), *zeros, along,
        serial(column.name, index(COLUMNS), down, serial(k.name, select(_is_edge(column), COLUMNS, index(SIZE)), *copies)),
    ]  # fmt: skip


def from_frequencies(
    name: str, lanes: Expr, most: int, wanted: tuple[int, int], frequency: Callable[[Expr, int], Expr], row: Expr, stored: Callable[[int, Expr], Store],
) -> tuple[list[Statement], list[Statement], Statement]:  # fmt: skip
    """The inverse, times 16 * 16: its arrays, what goes along the columns, and what goes along row `row` after that.

    wanted: so many rows and columns of the tile, from the first on; frequency(f, part): the number there; stored(column, x): puts a result where it
    belongs. All for the lane `{name}_lane`.
    """
    bins = _Bins(f"{name}_bins", COLUMNS, most, var(f"{name}_lane"))
    column = var(f"{name}_column")
    first = _first(column)
    values: dict[str, Expr] = {}
    for k in range(SIZE):
        at = first + (k if k <= HALF else select(_is_edge(column), SIZE - k, index(k)))
        values |= {f"{name}_in{k}_0": frequency(at, 0), f"{name}_in{k}_1": frequency(at, 1)}
        if k > HALF:
            values[f"{name}_in{k}_1"] = values[f"{name}_in{k}_1"] * Var(f"{name}_mirrored", F32)
    s = Straight(f"{name}_c")
    numbers = s.complex([(_term(f"{name}_in{k}_0", values), _term(f"{name}_in{k}_1", values)) for k in range(SIZE)], 1)
    mirrored = Let(f"{name}_mirrored", select(_is_edge(column), lift(-1, F32), lift(1, F32)))
    down = _straight(name, lanes, values, s, _all(bins.store(index(j), column, x) for j, x in enumerate(numbers[: wanted[0]])))

    values = {f"{name}_in{k}_{part}": bins.load(row, index(k), part) for k in range(COLUMNS) for part in (0, 1)}
    s = Straight(f"{name}_r")
    ends = (0, HALF)
    reals = s.to_real([(_term(f"{name}_in{k}_0", values), None if k in ends else _term(f"{name}_in{k}_1", values)) for k in range(COLUMNS)])
    along = _straight(name, lanes, values, s, [stored(q, _value(x)) for q, x in enumerate(reals[: wanted[1]])])
    return [bins.space(wanted[0])], [serial(column.name, index(COLUMNS), mirrored, down)], along


class _Bins(NamedTuple):
    """`buffer[row, part, column, lane]`, local to a thread: what lies between two transforms."""

    buffer: str
    columns: int
    most: int
    lane: Expr

    def space(self, rows: int) -> Alloc:
        return Alloc(self.buffer, F32, size=rows * 2 * self.columns * self.most)

    def at(self, row: Expr, column: Expr, part: int) -> Expr:
        return ((row * 2 + part) * self.columns + column) * self.most + self.lane

    def load(self, row: Expr, column: Expr, part: int) -> Expr:
        return Load(self.buffer, self.at(row, column, part), F32)

    def store(self, row: Expr, column: Expr, number: Number) -> list[Store]:
        return [Store(self.buffer, self.at(row, column, part), _value(x)) for part, x in enumerate(number)]


def _all(groups: Iterable[list[Store]]) -> list[Store]:
    return [store for group in groups for store in group]


def _first(column: Expr) -> Expr:
    """The first frequency of a column: 0, 9, 25, ..., 121."""
    return larger(column * SIZE - (SIZE - COLUMNS), 0)


def _is_edge(column: Expr) -> Expr:
    """Whether it is one of the two columns that are real before they are transformed, so that half of their frequencies say all."""
    return (column % HALF).eq(0)


def _term(name: str, values: Mapping[str, Expr]) -> Part:
    return Term(Var(name, F32)) if name in values else None


def _value(x: Part) -> Expr:
    if x is None:
        return lift(0, F32)
    return lift(0, F32) - x.value if x.negative else x.value


def _straight(name: str, lanes: Expr, values: Mapping[str, Expr], s: Straight, stores: Sequence[Store]) -> For:
    """A vector loop that names values, computes, and stores; what no store needs is left out."""
    wanted = used(stores)
    body: list[Statement] = []
    for let in reversed([*(Let(*item) for item in values.items()), *s.made]):
        if let.name in wanted:
            body.append(let)
            wanted |= used([let])
    return vector(f"{name}_lane", lanes, *reversed(body), *stores)


__all__ = ["CHANNELS", "CONJUGATE", "FREQUENCIES", "PLAIN", "SIZE", "Parts", "Seen", "Seens", "from_frequencies", "to_frequencies"]
