"""The layout of a program: what a run needs to know beside the machine code, and nothing of what the compiler knew.

    rows      slot 1: param 0, f32, 3*b elements        slot 2: result 0, f32, 1        slot 3: piece 0 of the arena, f32, 3*b
    pieces    of the arena, each with the sizes of the values that live there one after the other: 12*b bytes
    extents   b stands in slot 4

A layout holds formulas over extents, so it serves runs of every extent; and it is plain data, so `kept` can write it to a file and a later
process can run the program without a pass, a schedule or a printer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from flowc.ir.dims import Dim, substitute
from flowc.ir.types import DType
from flowc.structs import Struct

if TYPE_CHECKING:
    from flowc.codegen.cpu import Source
    from flowc.lower.program import Program


class Row(Struct):
    """A place that the program is given the address of. slot: in the table; kind: param, result, constant, or slot, a piece of the arena;
    position: within the kind; size: elements. Places that hold different values at different times have a row for each, with one slot."""

    slot: int
    kind: str
    position: int
    dtype: DType
    size: Dim


class Result(Struct):
    """A result: the row where it lies after the run, its type."""

    row: int
    dtype: DType
    dims: tuple[Dim, ...]


class Layout(Struct, eq=False):
    """first_extent: the slot of the first of `extents`; pieces: for each piece of the arena the bytes of what lives there; copies: (param, row)
    of updates that could not be made in place; light_work: `Step.light_work` of all kernels; products: how many contractions have which three
    sizes; the work of one is the root of their product: of a matmul (mk)(kn)(mn) that is m*n*k."""

    rows: tuple[Row, ...]
    first_extent: int
    extents: tuple[str, ...]
    pieces: tuple[tuple[Dim, ...], ...]
    constants: tuple[np.ndarray, ...]
    results: tuple[Result, ...]
    copies: tuple[tuple[int, int], ...]
    light_work: Dim
    products: tuple[tuple[int, tuple[Dim, ...]], ...]

    @property
    def table_size(self) -> int:
        """The slots of the table: the control block's, the places', the extents'."""
        return self.first_extent + len(self.extents)

    @cached_property
    def param_slots(self) -> list[tuple[int, int]]:
        """(param, slot) for each param that the program reads or writes."""
        return [(r.position, r.slot) for r in self.rows if r.kind == "param"]

    @cached_property
    def arena_slots(self) -> list[tuple[int, int]]:
        """(slot, piece of the arena)."""
        return [(r.slot, r.position) for r in self.rows if r.kind == "slot"]

    @cached_property
    def param_results(self) -> list[tuple[int, int]]:
        """(result, param) for each result that is a param's value."""
        return [(i, self.rows[r.row].position) for i, r in enumerate(self.results) if self.rows[r.row].kind == "param"]

    @cached_property
    def copied_results(self) -> list[tuple[int, Row]]:
        """Results that lie elsewhere after the run: in the arena, in a constant, in another result."""
        return [(i, self.rows[r.row]) for i, r in enumerate(self.results) if self.rows[r.row].kind != "param" and self.own_slot(i) is None]

    def own_slot(self, position: int) -> int | None:
        """The slot of a result that the program writes where the caller wants it; None where it is a copy of something."""
        row = self.rows[self.results[position].row]
        return row.slot if row.kind == "result" and row.position == position else None

    def piece_bytes(self, extents: Mapping[str, int]) -> list[int]:
        """The size of each piece of the arena, a multiple of 64 bytes."""
        return [(max(_known(size, extents) for size in sizes) + 63) // 64 * 64 for sizes in self.pieces]

    def work(self, extents: Mapping[str, int]) -> float:
        """An estimate of one run's work in multiply-adds of a product, to choose a number of threads by."""
        products = (count * math.sqrt(math.prod(max(float(_known(s, extents)), 1.0) for s in sizes)) for count, sizes in self.products)
        return float(_known(self.light_work, extents)) + sum(products)


def _known(size: Dim, extents: Mapping[str, int]) -> int:
    found = substitute(size, extents)
    assert isinstance(found, int), f"extent {found} has no value"
    return found


def layout(program: Program, printed: Source) -> Layout:
    """The layout of a Program as it was printed."""
    rows = [Row(printed.slots[id(p)], p.kind, p.position, p.dtype, p.size) for p in program.places]
    number = {id(p): i for i, p in enumerate(program.places)}
    results = [Result(number[id(p)], r.tensor.dtype, tuple(r.tensor.dims)) for r, p in zip(program.main.results, program.results, strict=True)]
    works = Counter(step.light_work for step in program.steps)
    products = Counter(sizes for step in program.steps for sizes in step.products)
    light: Dim = 0
    for work, count in works.items():
        light = light + work * count
    return Layout(
        tuple(rows), printed.first_extent, program.extents,
        tuple(tuple(dict.fromkeys(size * dtype.size for dtype, size in slot.values)) for slot in program.slots),
        tuple(np.ascontiguousarray(node.attrs["value"].array) for node in program.constants),
        tuple(results), tuple((param, number[id(place)]) for param, place in program.copies), light,
        tuple((count, sizes) for sizes, count in products.items()),
    )  # fmt: skip
