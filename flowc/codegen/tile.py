"""The register tile: a block of a matrix product held in vector registers. Here its meaning; `tile_text` writes it for LLVM.

    tile_f32(out, out_at, a, a_at, b, b_at, rows, columns, outer, inner, out_row, a_row, a_outer, a_inner, b_unit, b_column, b_outer, b_inner, accumulate)

    out[out_at + i*out_row + j] (+)= sum over r < outer, k < inner of a[a_at + i*a_row + r*a_outer + k*a_inner] * b[b_at + r*b_outer + k*b_inner + p(j)]

for i < rows and j < columns, any number of both. p(j) = j // u * b_unit + j % u * b_column where u elements are 64 bytes: `b` may lie
in panels of u columns, or have its columns far apart. Each element is one chain of fused multiply-adds, in order of r and k, so neither the
size of a block nor the machine's registers change a bit. `accumulate` (0 or 1) continues the chain from what `out` holds. Nothing outside
the block is read or written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.ir.primitives import MOST_AHEAD


def _tile(out: Any, out_at: int, a: Any, a_at: int, b: Any, b_at: int, rows: int, columns: int, outer: int, inner: int, out_row: int,
          a_row: int, a_outer: int, a_inner: int, b_unit: int, b_column: int, b_outer: int, b_inner: int, accumulate: int) -> None:  # fmt: skip
    """The meaning; a product and its sum are rounded once, as a fused multiply-add does (for f32, but for the rare double rounding)."""
    unit = 64 // out.itemsize
    places = np.arange(columns) // unit * b_unit + np.arange(columns) % unit * b_column
    for i in range(rows):
        at = out_at + i * out_row
        total = out[at : at + columns].copy() if accumulate else np.zeros(columns, out.dtype)
        for r in range(outer):
            for k in range(inner):
                line = b[b_at + r * b_outer + k * b_inner + places].astype(np.float64)
                product = np.float64(a[a_at + i * a_row + r * a_outer + k * a_inner]) * line
                total = (total + product).astype(out.dtype)
        out[at : at + columns] = total


def _tiles(*args: Any) -> None:
    numbers, (count, out_step, a_step, b_step) = list(args[:-4]), args[-4:]
    for product in range(count):
        moved = list(numbers)
        for place, step in ((1, out_step), (3, a_step), (5, b_step)):
            moved[place] += product * step
        _tile(*moved)


def tile_f32(*args: Any) -> None:
    """See the module's text; `out`, `a`, `b` are f32 buffers and every other argument a whole number."""
    _tile(*args)


def tile_f64(*args: Any) -> None:
    """`tile_f32` for f64 buffers."""
    _tile(*args)


def tiles_f32(*args: Any) -> None:
    """`count` products: four more numbers than `tile_f32`, and how far each is from the one before in `out`, `a` and `b`.

    For small products, whose beginnings and ends would cost as much as they do. `b` is read where it is, so `b_column` is 1.
    """
    _tiles(*args)


def tiles_f64(*args: Any) -> None:
    """`tiles_f32` for f64 buffers."""
    _tiles(*args)


def tile_ahead_f32(*args: Any) -> None:
    """`tile_f32`, and while it is under way, what the last five arguments say is fetched into a cache: three f32 buffers, where the block's elements
    are in them, and how far from one row to the next. Results are the same."""
    _tile(*args[: len(PARAMETERS)])


PARAMETERS = ("out", "out_at", "a", "a_at", "b", "b_at", "rows", "columns", "outer", "inner", "out_row",
              "a_row", "a_outer", "a_inner", "b_unit", "b_column", "b_outer", "b_inner", "accumulate")  # fmt: skip
AHEAD = (*(f"ahead{n}" for n in range(MOST_AHEAD)), "ahead_at", "ahead_row")
SEVERAL = ("count", "out_step", "a_step", "b_step")
