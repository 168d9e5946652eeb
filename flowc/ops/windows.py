"""Windows that slide over images [batch, height, width, channels]: extents, padding, and the copy with zeros around it.

    window_axis("conv2d", 28, 5, stride=1, dilation=1, padding="SAME")  ->  28 places, 2 rows of zeros before and 2 after

SAME gives ceil(size / stride) places and spreads the missing rows evenly, the odd one after; VALID keeps windows inside. Both as
TensorFlow does. Extents may be symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc.errors import ShapeError
from flowc.ir import dims
from flowc.ir.dims import Dim, Shape
from flowc.ir.loops import Expr, For, If, Let, Load, Operand, Store, extent, index, lift
from flowc.ir.types import DType, TensorType
from flowc.ops.inference import shape_text
from flowc.ops.tiles import larger, over, smaller, var, vector
from flowc.structs import Struct


class WindowAxis(Struct):
    """One spatial axis: `places` windows of `window` elements, `dilation` apart, over `size` elements with `padding` around them."""

    size: Dim
    window: Dim
    stride: int
    dilation: int
    places: Dim
    before: Dim
    padding: Dim

    @property
    def reach(self) -> Dim:
        """From a window's first element to past its last."""
        return (self.window - 1) * self.dilation + 1

    @property
    def padded(self) -> Dim:
        return self.size + self.padding

    @property
    def turned(self) -> WindowAxis:
        """The axis on which the gradient to the elements is a convolution of the places' cotangents: strides and dilations of 1 only."""
        reach = self.window - 1
        return WindowAxis(self.places, self.window, 1, 1, self.size, reach - self.before, self.size + reach - self.places)


def window_axis(name: str, size: Dim, window: Dim, stride: int, dilation: int, padding: str) -> WindowAxis:
    reach = (window - 1) * dilation + 1
    if padding == "VALID":
        if isinstance(size, int) and isinstance(reach, int) and size < reach:
            raise ShapeError(f"{name}: a window of {reach} does not fit into an extent of {size}; padding SAME would make it fit")
        return WindowAxis(size, window, stride, dilation, dims.floordiv(size - reach, stride) + 1, 0, 0)
    places = dims.ceildiv(size, stride)
    if stride == 1:
        missing: Dim = reach - 1
    elif window == 1:
        missing = 0
    else:
        missing = dims.maximum((places - 1) * stride + reach - size, 0)
    return WindowAxis(size, window, stride, dilation, places, dims.floordiv(missing, 2), missing)


def window_axes(
    name: str, sizes: Sequence[Dim], window: Sequence[Dim], strides: Sequence[int], padding: str, dilations: Sequence[int] = (1, 1)
) -> tuple[WindowAxis, WindowAxis]:
    """Height and width. ShapeError for strides, dilations or a padding that do not exist."""
    if padding not in ("SAME", "VALID"):
        raise ShapeError(f"{name}: padding is {padding!r}, 'SAME' or 'VALID' is expected")
    for what, values in (("window", window), ("strides", strides), ("dilations", dilations)):
        if len(values) != 2 or any(isinstance(v, int) and v < 1 for v in values):
            raise ShapeError(f"{name}: {what} {shape_text(tuple(values))}, two positive numbers are expected")
    rows, columns = (window_axis(name, n, k, s, d, padding) for n, k, s, d in zip(sizes, window, strides, dilations, strict=True))
    return rows, columns


def image_dims(name: str, what: str, type: TensorType) -> Shape:
    """[batch, height, width, channels] of an operand; ShapeError for another rank."""
    if type.rank != 4:
        raise ShapeError(f"{name}: {what} has shape {shape_text(type.dims)}, [batch, height, width, channels] is expected")
    return type.dims


# NumPy


def known(dim: Dim) -> int:
    """An extent at run time."""
    assert isinstance(dim, int), f"{dim} is not known"
    return dim


def windows_of(x: np.ndarray, rows: WindowAxis, columns: WindowAxis, fill: Any = 0) -> np.ndarray:
    """A view [batch, row places, column places, channels, window rows, window columns] of the padded array."""
    around = [(0, 0), *((known(a.before), known(a.padding - a.before)) for a in (rows, columns)), (0, 0)]
    padded = np.pad(x, around, constant_values=fill) if any(map(any, around)) else x
    view = np.lib.stride_tricks.sliding_window_view(padded, (known(rows.reach), known(columns.reach)), axis=(1, 2))
    return view[:, :: rows.stride, :: columns.stride, :, :: rows.dilation, :: columns.dilation]


def scatter_windows(pieces: np.ndarray, rows: WindowAxis, columns: WindowAxis) -> np.ndarray:
    """Pieces [batch, row places, column places, window rows, window columns, channels] added up where they stood: [batch, height, width, channels]."""
    n, h, w, kh, kw, c = pieces.shape
    padded: Any = np.zeros((n, known(rows.padded), known(columns.padded), c), pieces.dtype)
    for i in range(kh):
        for j in range(kw):
            top, left = i * rows.dilation, j * columns.dilation
            padded[:, top : top + (h - 1) * rows.stride + 1 : rows.stride, left : left + (w - 1) * columns.stride + 1 : columns.stride] += pieces[:, :, :, i, j]
    top, left = known(rows.before), known(columns.before)
    return np.ascontiguousarray(padded[:, top : top + known(rows.size), left : left + known(columns.size)])


# loops


def image_place(image: Expr, row: Expr, column: Expr, height: Dim, width: Dim, channels: Dim) -> Expr:
    """Where the channels of a pixel begin in a flat buffer of images."""
    return ((image * extent(height) + row) * extent(width) + column) * extent(channels)


def padded_copy(
    target: str, source: str, dtype: DType, batch: Dim, height: Dim, width: Dim, channels: Dim, before: tuple[Dim, Dim], padded: tuple[Dim, Dim]
) -> For:
    """Images with zeros around them, a row of the target at a time."""
    row, c = var("padded_row"), extent(channels)
    left, line, whole = extent(before[1]) * c, extent(width) * c, extent(padded[1]) * c
    at = (var("image") * extent(padded[0]) + row) * whole
    inside = row - extent(before[0])

    def fill(start: Expr, count: Expr) -> For:
        return vector("element", count, Store(target, at + start + var("element"), lift(0, dtype)))

    from_row = (var("image") * extent(height) + inside) * line
    copy = vector("element", line, Store(target, at + left + var("element"), Load(source, from_row + var("element"), dtype)))
    body = If((inside >= 0) & (inside < extent(height)), (fill(index(0), left), copy, fill(left + line, whole - left - line)), (fill(index(0), whole),))
    return over((("image", extent(batch)), ("padded_row", extent(padded[0]))), (body,))


def elements_inside(first: str, count: str, axis: WindowAxis, begin: Expr) -> tuple[Let, Let]:
    """Names for those elements of a window that begins at `begin` of the padded axis which are no padding: the first, and how many."""
    end = smaller(extent(axis.window), extent(axis.before) + extent(axis.size) - begin)
    return Let(first, larger(extent(axis.before) - begin, 0)), Let(count, larger(end - var(first), 0))


def places_inside(first: str, count: str, axis: WindowAxis, offset: Expr) -> tuple[Let, Let]:
    """Names for those windows of an axis whose element `offset` is no padding: the first, and how many."""

    def at_least(x: Expr) -> Expr:
        return (larger(x, 0) + (axis.stride - 1)) // axis.stride

    end = smaller(extent(axis.places), at_least(extent(axis.before) + extent(axis.size) - offset))
    return Let(first, at_least(extent(axis.before) - offset)), Let(count, larger(end - var(first), 0))


def within(place: Expr, size: Operand) -> Expr:
    """`0 <= place < size`."""
    return (place >= 0) & (place < size)
