"""Where the maximum of each window is, and what goes there or comes from there: what gradients of max pooling are made of.

    place: u8[b, 14, 14, 32] = max_pool_place(x, ...)                     # 0 to 3 in windows of 2 x 2: which element is the first maximum
    dx: f32[b, 28, 28, 32] = max_pool_spread(place, ct, height=28, ...)   # each cotangent at its window's place, zeros elsewhere
    t: f32[b, 14, 14, 32] = max_pool_take(place, v, height=28, ...)       # the element of `v` at each window's place

A place is a byte, a sixteenth of what windows of 2 x 2 would have to be read for. So images that only their maxima were wanted of need not be
kept for the gradient.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from flowc.ir.dims import Dim, Shape, product
from flowc.ir.loops import Alloc, Const, Expr, If, Let, Load, NestPlan, Statement, Store, Var, cast, index, lift, select
from flowc.ir.op import REQUIRED, Nest
from flowc.ir.types import I32, NUMBERS, U8, DType, TensorType
from flowc.ops.constructors import all_have, opaque
from flowc.ops.inference import one_dtype, same_shapes
from flowc.ops.pooling import ATTRS, Pooling, lowest, pool_axes, pooled_shape, pools
from flowc.ops.tiles import ZERO, larger, serial, var, vector
from flowc.ops.windows import known, scatter_windows, windows_of

LARGEST_BYTE = 256  # elements of a window whose places are bytes
IMAGE_ATTRS = {**ATTRS, "height": REQUIRED, "width": REQUIRED}


def _place_dtype(x: TensorType, ksize: Any, **attrs: Any) -> DType:
    one_dtype("max_pool_place", [x], NUMBERS)
    return U8 if product(tuple(ksize)) <= LARGEST_BYTE else I32  # type: ignore[operator]


def _images_shape(name: str, place: TensorType, height: Dim, width: Dim, attrs: dict[str, Any]) -> Shape:
    """Of the images that the places are in."""
    images = (place.dims[0], height, width, place.dims[3])
    rows, columns = pool_axes(name, images, **attrs)
    same_shapes(name, "the pooled images and the places", (place.dims[0], rows.places, columns.places, place.dims[3]), place.dims)
    return images


def _spread_shape(place: TensorType, ct: TensorType, height: Dim, width: Dim, **attrs: Any) -> Shape:
    same_shapes("max_pool_spread", "the places and the cotangent", place.dims, ct.dims)
    return _images_shape("max_pool_spread", place, height, width, attrs)


def _take_shape(place: TensorType, v: TensorType, height: Dim, width: Dim, **attrs: Any) -> Shape:
    same_shapes("max_pool_take", "the images and the values", _images_shape("max_pool_take", place, height, width, attrs), v.dims)
    pooled: Shape = pooled_shape("max_pool_take")(v, **attrs)
    return pooled


# NumPy


def _place(x: Any, **attrs: Any) -> Any:
    rows, columns = pool_axes("max_pool_place", x.shape, **attrs)
    windows = windows_of(x, rows, columns, fill=lowest(x.dtype))
    real = windows_of(np.ones((1, *x.shape[1:3], 1), bool), rows, columns, fill=False)
    flat = _flat(windows)
    hit = ((flat == flat.max(axis=-1, keepdims=True)) | (flat != flat)) & _flat(real)
    return hit.argmax(axis=-1).astype(np.uint8 if flat.shape[-1] <= LARGEST_BYTE else np.int32)


def _flat(windows: Any) -> Any:
    """[batch, height, width, channels, window]."""
    return windows.reshape(*windows.shape[:4], windows.shape[4] * windows.shape[5])


def _spread(place: Any, ct: Any, height: int, width: int, **attrs: Any) -> Any:
    rows, columns = pool_axes("max_pool_spread", (ct.shape[0], height, width, ct.shape[3]), **attrs)
    window = (known(rows.window), known(columns.window))
    pieces = np.where(np.arange(window[0] * window[1]) == place[..., None], ct[..., None], ct.dtype.type(0))
    return scatter_windows(np.moveaxis(pieces.reshape(*ct.shape, *window), 3, 5), rows, columns)


def _take(place: Any, v: Any, height: int, width: int, **attrs: Any) -> Any:
    windows = windows_of(v, *pool_axes("max_pool_take", v.shape, **attrs))
    return np.take_along_axis(_flat(windows), place[..., None].astype(np.int64), axis=-1)[..., 0]


# loops


def _place_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    """The first maximum, or the first NaN."""
    p, dtype = Pooling("max_pool_place", types[0].dims, attrs), types[0].dtype
    at = p.window_pixel(var("row"), var("column")) + var("c")
    if p.is_small():
        elements: list[Expr] = [Var(f"x_{i}_{j}", dtype) for i, j in p.offsets()]
        lets = [Let(f"x_{i}_{j}", Load(inputs[0], p.at(i, j), dtype)) for i, j in p.offsets()]
        largest = Let("largest", reduce(larger, elements))  # an element moved in from outside is one of the window's, too
        first: Expr = lift(0, I32)
        for x, (i, j) in reversed(list(zip(elements, p.offsets(), strict=True))):
            real = p.is_real(i, j)
            hit = x.eq(Var("largest", dtype)) | x.ne(x) if dtype.is_float else x.eq(Var("largest", dtype))
            first = select(hit if isinstance(real, Const) else real & hit, lift(i * p.window[1] + j, I32), first)
        return NestPlan((p.per_window(*p.clamped(), vector("c", p.channels, *lets, largest, Store(out, at, cast(first, result.dtype)))),))
    best, number = Var("best", dtype), Var("number", I32)
    x = Var("x", dtype)
    better = (number < 0) | (x > best)
    if dtype.is_float:
        better = better | (x.ne(x) & best.eq(best))
    offset = (var("y") - p.source(var("row"), ZERO, p.rows)) * p.window[1] + (var("z") - p.source(var("column"), ZERO, p.columns))
    element = Let("x", Load(inputs[0], p.pixel(var("y"), var("z")) + var("c"), dtype))
    look = If(better, (Store("best", None, x), Store("number", None, cast(offset, I32))))
    start = (Alloc("best", dtype, lift(0, dtype)), Alloc("number", I32, lift(-1, I32)))
    body = serial("c", p.channels, *start, p.over_window(element, look), Store(out, at, cast(number, result.dtype)))
    return NestPlan((p.per_window(*p.bounds(), body),))


def _window(attrs: dict[str, Any]) -> dict[str, Any]:
    return {name: attrs[name] for name in ATTRS}


def _spread_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype, of_place = Pooling("max_pool_spread", result.dims, _window(attrs)), result.dtype, types[0].dtype
    if p.is_cut_up() and p.is_small():
        return NestPlan((_cut_up(p, inputs, out, dtype, of_place),))

    def term(y: Expr, z: Expr) -> Expr:
        there = p.window_pixel(y, z) + var("c")
        i, j = (var(place) - p.source(window, ZERO, axis) for place, window, axis in (("row", y, p.rows), ("column", z, p.columns)))
        is_here = cast(Load(inputs[0], there, of_place), I32).eq(cast(i * p.window[1] + j, I32))
        return select(is_here, Load(inputs[1], there, dtype), 0)

    at = p.pixel(var("row"), var("column")) + var("c")
    return NestPlan((p.per_pixel(*p.sum_over_windows(term, dtype, lambda total: Store(out, at, total))),))


def _cut_up(p: Pooling, inputs: list[str], out: str, dtype: DType, of_place: DType) -> Statement:
    """Windows that share no pixel: each writes all of its own."""
    at = p.window_pixel(var("row"), var("column")) + var("c")
    place, change = Let("place", cast(Load(inputs[0], at, of_place), I32)), Let("change", Load(inputs[1], at, dtype))

    def element(i: int, j: int) -> Store:
        is_here = Var("place", I32).eq(lift(i * p.window[1] + j, I32))
        return Store(out, p.at(i, j), select(is_here, Var("change", dtype), 0))

    real = {at: p.is_real(*at) for at in p.offsets()}
    if all(isinstance(condition, Const) for condition in real.values()):
        return p.per_window(*p.clamped(), vector("c", p.channels, place, change, *(element(i, j) for i, j in p.offsets())))
    body: list[Statement] = []
    for (i, j), condition in real.items():
        write = vector("c", p.channels, place, change, element(i, j))
        body.append(write if isinstance(condition, Const) else If(condition, (write,)))
    return p.per_window(*p.clamped(), *body)


def _take_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype = Pooling("max_pool_take", types[1].dims, _window(attrs)), result.dtype
    at = p.window_pixel(var("row"), var("column")) + var("c")
    place = cast(Load(inputs[0], at, types[0].dtype), index(0).dtype)
    y = p.source(var("row"), var("place") // p.window[1], p.rows)
    z = p.source(var("column"), var("place") % p.window[1], p.columns)
    taken = Store(out, at, Load(inputs[1], p.pixel(y, z) + var("c"), dtype))
    return NestPlan((p.per_window(serial("c", p.channels, Let("place", place), taken)),))


max_pool_place = opaque(
    "max_pool_place", title="MaxPoolPlace", attrs=ATTRS, dtypes=NUMBERS, dtype=_place_dtype, shape=pooled_shape("max_pool_place"),
    eval=_place,
    vjp=lambda e, x, place, g, **attrs: None,
    lowering=Nest(_place_nest, images=pools),
    rows=all_have,
    doc="Which element of each window is its first maximum, or its first NaN: row * width + column, padding counted.",
)  # fmt: skip

max_pool_spread = opaque(
    "max_pool_spread", title="MaxPoolSpread", operands=("place", "ct"), attrs=IMAGE_ATTRS, dtype=lambda place, ct, **attrs: ct.dtype,
    shape=_spread_shape,
    eval=_spread,
    vjp=lambda e, place, ct, y, g, **attrs: (None, e.max_pool_take(place, g, **attrs)),
    lowering=Nest(_spread_nest, images=pools),
    rows=all_have,
    doc="Images of `height` x `width` pixels with each window's cotangent at its place, and zeros.",
)  # fmt: skip

max_pool_take = opaque(
    "max_pool_take", title="MaxPoolTake", operands=("place", "v"), attrs=IMAGE_ATTRS, dtype=lambda place, v, **attrs: v.dtype, shape=_take_shape,
    eval=_take,
    vjp=lambda e, place, v, y, g, **attrs: (None, e.max_pool_spread(place, g, **attrs)),
    lowering=Nest(_take_nest, images=pools),
    rows=all_have,
    doc="The element of each window of the images `v` that is at its place.",
)  # fmt: skip


__all__ = ["max_pool_place", "max_pool_spread", "max_pool_take"]
