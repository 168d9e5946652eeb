"""Slices and their gradient, with Python's rules for begin, end and stride, also where the extent is a symbol.

    v0: f32[b, 2] = slice(x, begin=(None, 1), end=(None, 3), stride=(1, 1))       # x[:, 1:3]
"""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from flowc.errors import ShapeError
from flowc.ir import dims, loops
from flowc.ir.dims import Dim, Shape, Sym
from flowc.ir.loops import Expr
from flowc.ir.op import REQUIRED
from flowc.ir.types import TensorType
from flowc.ops.constructors import movement
from flowc.ops.inference import same_shapes, shape_text

ATTRS = {"begin": REQUIRED, "end": REQUIRED, "stride": REQUIRED}


class Span(NamedTuple):
    """`length` elements, `stride` apart, from `start` on."""

    start: Dim
    length: Dim
    stride: int


def span(extent: Dim, begin: Dim | None, end: Dim | None, stride: int | None) -> Span:
    """What `begin:end:stride` picks of `extent` elements.

    Where the extent is a symbol, the one element at a fixed place (`x[3:4]`, `x[-1:]`) is taken to exist, as an index would ask.
    """
    step = 1 if stride is None else stride
    if step == 0:
        raise ShapeError("slice: a stride of 0")
    if all(isinstance(d, int | None) for d in (extent, begin, end)):
        found = range(*builtins.slice(begin, end, step).indices(extent))  # type: ignore[arg-type]
        return Span(found.start, len(found), step)
    if step == 1 and isinstance(begin, int) and isinstance(end, int | None) and _is_one_place(begin, end):
        return Span(begin if begin >= 0 else dims.maximum(extent + begin, 0), 1, 1)
    if step > 0:
        start = _place(begin, extent, 0)
        stop = extent if end is None else _place(end, extent, 0)
        if isinstance(end, int) and end >= 0:
            stop = dims.minimum(end, extent)
        count = stop - start if step == 1 else dims.ceildiv(stop - start, step)
    else:
        start = extent - 1 if begin is None else dims.minimum(_place(begin, extent, -1), extent - 1)
        stop = -1 if end is None else dims.minimum(_place(end, extent, -1), extent - 1)
        count = dims.ceildiv(start - stop, -step)
    return Span(start, count if begin is None and end is None else _at_least_zero(count), step)


def _is_one_place(begin: int, end: int | None) -> bool:
    return end == begin + 1 if begin != -1 else end is None


def _place(at: Dim | None, extent: Dim, lowest: int) -> Dim:
    """A given place counted from the front, cut off below."""
    if at is None:
        return 0
    if isinstance(at, int) and at < 0:
        return dims.maximum(extent + at, lowest)
    return at


def _at_least_zero(count: Dim) -> Dim:
    # a polynomial without a negative term is not below zero
    if isinstance(count, Sym) and all(coefficient > 0 for _, coefficient in count.terms):
        return count
    return dims.maximum(count, 0)


def spans(x: Shape, begin: Any, end: Any, stride: Any) -> list[Span]:
    """A Span per axis; axes that begin, end and stride do not reach are whole."""
    if not len(begin) == len(end) == len(stride) <= len(x):
        raise ShapeError(f"slice: {len(begin)} begins, {len(end)} ends and {len(stride)} strides for shape {shape_text(x)}")
    found = [span(d, b, e, s) for d, b, e, s in zip(x, begin, end, stride, strict=False)]
    return found + [Span(0, d, 1) for d in x[len(found) :]]


def _slice_shape(x: TensorType, begin: Any, end: Any, stride: Any) -> Shape:
    return tuple(s.length for s in spans(x.dims, begin, end, stride))


def _keys(begin: Any, end: Any, stride: Any) -> tuple[builtins.slice, ...]:
    return tuple(builtins.slice(b, e, s) for b, e, s in zip(begin, end, stride, strict=True))


def _source_place(i: Expr, s: Span, extent: Dim) -> Expr:
    if s.length == 1 and isinstance(extent, Sym) and isinstance(s.start, int) and s.start > 0:
        return loops.apply("min", loops.extent(s.start), loops.extent(extent) - 1)  # the place is taken to exist; never read beyond
    return loops.extent(s.start) + i * s.stride


def _slice_element(at: Any, index: Any, types: Any, result: TensorType, attrs: Any) -> Expr:
    x = types[0].dims
    return at(0, tuple(_source_place(i, s, d) for i, s, d in zip(index, spans(x, **attrs), x, strict=True)))  # type: ignore[no-any-return]


slice = movement(
    "slice", title="strided_slice", attrs=ATTRS, shape=_slice_shape,
    eval=lambda x, begin, end, stride: np.array(x[_keys(begin, end, stride)]),
    vjp=lambda e, x, y, ct, **attrs: e.slice_grad(ct, x, **attrs),
    element=_slice_element,
    rows=lambda has, x, begin, end, stride: has[0] and (begin[0], end[0], stride[0]) == (None, None, 1),
    doc="x[begin:end:stride, ...] with Python's rules; None is a default, and axes beyond the given ones are whole.",
)  # fmt: skip


def _slice_grad_shape(ct: TensorType, like: TensorType, begin: Any, end: Any, stride: Any) -> Shape | None:
    if ct.shape is not None and like.shape is not None:
        wanted = _slice_shape(like, begin, end, stride)
        same_shapes("slice_grad", "the cotangent and the slice", ct.shape, wanted)
    return like.shape


def _slice_grad(ct: Any, like: Any, begin: Any, end: Any, stride: Any) -> Any:
    out = np.zeros(like.shape, ct.dtype)
    out[_keys(begin, end, stride)] = ct
    return out


def _slice_grad_element(at: Any, index: Any, types: Any, result: TensorType, attrs: Any) -> Expr:
    inside: Expr | None = None
    place: list[Expr] = []
    for i, s, d in zip(index, spans(result.dims, **attrs), result.dims, strict=True):
        if s == (0, d, 1):
            place.append(i)
            continue
        size = abs(s.stride)
        offset = i - loops.extent(s.start) if s.stride > 0 else loops.extent(s.start) - i
        conditions = [offset >= 0, offset < loops.extent(s.length * size)] + ([(offset % size).eq(0)] if size > 1 else [])
        for condition in conditions:
            inside = condition if inside is None else inside & condition
        place.append(offset // size)
    element = at(0, tuple(place))
    return element if inside is None else loops.select(inside, element, 0)


slice_grad = movement(
    "slice_grad", operands=("ct", "like"), attrs=ATTRS, like=(1,), rank_free=True, guarded=True, shape=_slice_grad_shape,
    eval=_slice_grad,
    vjp=lambda e, ct, like, y, g, **attrs: (e.slice(g, **attrs), None),
    element=_slice_grad_element,
    doc="Zeros in the shape of `like`, with ct where the slice is: the gradient of slice.",
)  # fmt: skip
