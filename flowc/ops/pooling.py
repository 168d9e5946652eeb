"""Windows over images, as the loops of every pooling op walk them.

    p = Pooling("max_pool", x.shape, attrs)
    p.per_window(*p.clamped(), vector("c", p.channels, ...))     # for image, row in parallel: for column: the windows' elements at `row_i`, `column_j`

`image`, `row`, `column` count the result's pixels, `c` channels, (i, j) a window's elements.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from flowc.ir.dims import Shape, product
from flowc.ir.loops import Alloc, Const, Expr, For, Let, Statement, Store, Var, extent, index, lift, select
from flowc.ir.op import REQUIRED, Images
from flowc.ir.types import BOOL, DType, TensorType
from flowc.ops.tiles import larger, over, serial, smaller, var, vector
from flowc.ops.windows import WindowAxis, image_dims, image_place, known, window_axes, within

ATTRS = {"ksize": REQUIRED, "strides": REQUIRED, "padding": REQUIRED}
WRITTEN_OUT = 16  # elements of the largest window that becomes one expression


def pool_axes(name: str, x: Shape, ksize: Any, strides: Any, padding: str) -> tuple[WindowAxis, WindowAxis]:
    """The windows' rows and columns over images of shape `x`."""
    return window_axes(name, x[1:3], ksize, strides, padding)


def pooled_shape(name: str) -> Any:
    """The shape rule of ops that give one element for each window and channel."""

    def rule(x: TensorType, **attrs: Any) -> Shape:
        image = image_dims(name, "the input", x)
        rows, columns = pool_axes(name, image, **attrs)
        return (image[0], rows.places, columns.places, image[3])

    return rule


def pools(types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> Images:
    """The `Nest.images` of pooling: each image is made of one of every operand."""
    return Images(makes=True, reads=tuple(range(len(types))))


def lowest(dtype: np.dtype) -> Any:
    """What padding counts as for a maximum."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


class Pooling:
    """One op to lower: the images' extents and the windows over them."""

    def __init__(self, name: str, x: Shape, attrs: dict[str, Any]) -> None:
        self.x = x
        self.rows, self.columns = pool_axes(name, x, **attrs)
        self.window = (known(self.rows.window), known(self.columns.window))
        self.pooled = (x[0], self.rows.places, self.columns.places, x[3])
        self.channels = extent(x[3])

    def offsets(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self.window[0]) for j in range(self.window[1])]

    def is_small(self) -> bool:
        return product(self.window) <= WRITTEN_OUT  # type: ignore[operator]

    def pixel(self, row: Expr, column: Expr) -> Expr:
        """Where a pixel's channels begin in the images."""
        return image_place(var("image"), row, column, *self.x[1:])

    def window_pixel(self, row: Expr, column: Expr) -> Expr:
        """Where a window's channels begin in the pooled images."""
        return image_place(var("image"), row, column, *self.pooled[1:])

    def clamped(self) -> list[Statement]:
        """Lets `row_i` and `column_j`: the window's rows and columns, those outside moved to the nearest inside (which the window holds too)."""
        lets: list[Statement] = []
        for name, place, axis, count in (("row", "row", self.rows, self.window[0]), ("column", "column", self.columns, self.window[1])):
            for k in range(count):
                at = self.source(var(place), index(k), axis)
                if axis.padding != 0:
                    at = smaller(larger(at, 0), extent(axis.size) - 1)
                lets.append(Let(f"{name}_{k}", at))
        return lets

    def source(self, place: Expr, offset: Expr, axis: WindowAxis) -> Expr:
        return place * axis.stride + offset - extent(axis.before)

    def at(self, i: int, j: int) -> Expr:
        """The element (i, j) of the window after `clamped`, at channel `c`."""
        return self.pixel(var(f"row_{i}"), var(f"column_{j}")) + var("c")

    def is_real(self, i: int, j: int) -> Expr:
        """Whether the element (i, j) of the window is inside the images."""
        conditions = [
            within(self.source(var(place), index(k), axis), extent(axis.size))
            for place, k, axis in (("row", i, self.rows), ("column", j, self.columns))
            if axis.padding != 0
        ]
        return reduce(lambda p, q: p & q, conditions) if conditions else Const(True, BOOL)

    def bounds(self) -> list[Statement]:
        """Lets `first_row`, `end_row`, `first_column`, `end_column`: the window's real part."""
        lets: list[Statement] = []
        for name, axis in (("row", self.rows), ("column", self.columns)):
            start = var(name) * axis.stride - extent(axis.before)
            lets.append(Let(f"first_{name}", larger(start, 0) if axis.padding != 0 else start))
            lets.append(Let(f"end_{name}", smaller(start + extent(axis.window), extent(axis.size))))
        return lets

    def over_window(self, *body: Statement) -> For:
        """Serial loops over the real pixels (`y`, `z`) of a window, after `bounds`."""
        return For("y", var("first_row"), var("end_row"), "serial", (For("z", var("first_column"), var("end_column"), "serial", body),))

    def per_window(self, *body: Statement) -> For:
        """`body` for each pixel of the result."""
        return over((("image", extent(self.x[0])), ("row", extent(self.rows.places))), (serial("column", extent(self.columns.places), *body),), self.is_even())

    def sum_over_windows(self, term: Callable[[Expr, Expr], Expr], dtype: DType, done: Callable[[Expr], Statement]) -> tuple[Statement, ...]:
        """For the pixel (`row`, `column`) and every channel: `done` of the sum of `term` over the windows (row, column) that hold the pixel.

        Along an axis these are at most ceil(window / stride) in a row. Where they are few, each has a term in one expression, 0 where
        there is no such window; otherwise loops add them up.
        """
        counts = [-(-k // axis.stride) for k, axis in zip(self.window, (self.rows, self.columns), strict=True)]
        sides = (("y", var("row"), self.rows, counts[0]), ("z", var("column"), self.columns, counts[1]))
        lets: list[Statement] = []
        if counts[0] * counts[1] <= WRITTEN_OUT:
            for name, place, axis, count in sides:
                inside = place + extent(axis.before)
                for a in range(count):
                    at = inside // axis.stride - a
                    there = within(at, extent(axis.places)) & (inside - at * axis.stride < extent(axis.window))
                    clamped = smaller(larger(at, 0), extent(axis.places) - 1)
                    lets += [Let(f"has_{name}_{a}", there), Let(f"{name}_{a}", clamped)]
            places = [(a, b) for a in range(counts[0]) for b in range(counts[1])]
            # each term is computed before it is chosen: the places are moved inside, and a choice between two values needs no branch
            parts = [Let(f"part_{a}_{b}", term(var(f"y_{a}"), var(f"z_{b}"))) for a, b in places]
            terms = [select(Var(f"has_y_{a}", BOOL) & Var(f"has_z_{b}", BOOL), Var(f"part_{a}_{b}", dtype), 0) for a, b in places]
            return (*lets, vector("c", self.channels, *parts, done(reduce(add, terms))))
        body: Statement = Store("total", None, term(var("y"), var("z")), "add")
        for name, place, axis, _ in reversed(sides):
            inside = place + extent(axis.before)
            lets.append(Let(f"first_{name}", (larger(inside - extent(axis.window) + 1, 0) + (axis.stride - 1)) // axis.stride))
            lets.append(Let(f"end_{name}", smaller(inside // axis.stride + 1, extent(axis.places))))
            body = For(name, var(f"first_{name}"), var(f"end_{name}"), "serial", (body,))
        return (*lets, serial("c", self.channels, Alloc("total", dtype, lift(0, dtype)), body, done(Var("total", dtype))))

    def per_pixel(self, *body: Statement) -> For:
        """`body` for each pixel of the images, which may lie in windows of several rows."""
        return over((("image", extent(self.x[0])), ("row", extent(self.x[1]))), (serial("column", extent(self.x[2]), *body),), by_rows=False)

    def is_even(self) -> bool:
        """Whether windows share no rows, and leave none out: each row of them has its own rows of the images."""
        return self.rows.stride == self.rows.window and self.rows.padding == 0 and self.rows.size == self.rows.places * self.rows.stride

    def is_cut_up(self) -> bool:
        """Whether every pixel lies in exactly one window, for certain."""
        return all(
            axis.stride == axis.window and (axis.padding != 0 or axis.size == axis.places * axis.stride) for axis in (self.rows, self.columns)
        )


__all__ = ["ATTRS", "Pooling", "lowest", "pool_axes", "pooled_shape", "pools"]
