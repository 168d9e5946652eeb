"""Pooling of images [batch, height, width, channels] over windows, with gradients.

    v0: f32[b, 14, 14, 32] = max_pool(x, ksize=(2, 2), strides=(2, 2), padding="SAME")     # x: f32[b, 28, 28, 32]

The innermost loop is the one over channels, which lie side by side. Small windows are written out, so that this loop is one vector loop.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np

from flowc.ir.dims import Shape
from flowc.ir.loops import Alloc, Expr, Let, Load, NestPlan, Store, Var, cast, extent, index, lift, select
from flowc.ir.op import Nest
from flowc.ir.types import F16, F32, FLOATS, NUMBERS, DType, TensorType
from flowc.ops.constructors import all_have, composite, opaque
from flowc.ops.inference import one_dtype, same_shapes
from flowc.ops.pool_places import max_pool_place, max_pool_spread, max_pool_take
from flowc.ops.pooling import ATTRS, Pooling, lowest, pool_axes, pooled_shape, pools
from flowc.ops.tiles import ZERO, larger, serial, smaller, var, vector
from flowc.ops.windows import WindowAxis, known, scatter_windows, windows_of


def _same_as_pooled(name: str, x: TensorType, others: dict[str, TensorType], attrs: dict[str, Any]) -> Shape | None:
    """The pooled shape, where known; ShapeError where an operand that should have it has another."""
    pooled = pooled_shape(name)(x, **attrs) if x.shape is not None else None
    for what, other in others.items():
        if other.shape is not None:
            if pooled is not None:
                same_shapes(name, f"{what} and the pooled images", other.shape, pooled)
            pooled = pooled or other.shape
    return pooled


def _one_dtype(name: str) -> Any:
    return lambda *types, **attrs: one_dtype(name, types, NUMBERS)


def _max_pool_grad_shape(x: TensorType, y: TensorType, ct: TensorType, **attrs: Any) -> Shape | None:
    _same_as_pooled("max_pool_grad", x, {"the maxima": y, "the cotangent": ct}, attrs)
    return x.shape


def _max_pool_gather_shape(x: TensorType, y: TensorType, v: TensorType, **attrs: Any) -> Shape | None:
    if x.shape is not None and v.shape is not None:
        same_shapes("max_pool_gather", "the images and the values", x.shape, v.shape)
    return _same_as_pooled("max_pool_gather", x if x.shape is not None else v, {"the maxima": y}, attrs)


def _avg_pool_grad_shape(ct: TensorType, like: TensorType, **attrs: Any) -> Shape | None:
    _same_as_pooled("avg_pool_grad", like, {"the cotangent": ct}, attrs)
    return like.shape


# NumPy


def _max_pool(x: Any, **attrs: Any) -> Any:
    return windows_of(x, *pool_axes("max_pool", x.shape, **attrs), fill=lowest(x.dtype)).max(axis=(4, 5))


def _max_pool_grad(x: Any, y: Any, ct: Any, **attrs: Any) -> Any:
    return max_pool_spread.eval(max_pool_place.eval(x, **attrs), ct, height=x.shape[1], width=x.shape[2], **attrs)


def _max_pool_gather(x: Any, y: Any, v: Any, **attrs: Any) -> Any:
    return max_pool_take.eval(max_pool_place.eval(x, **attrs), v, height=x.shape[1], width=x.shape[2], **attrs)


def _counts(rows: WindowAxis, columns: WindowAxis, dtype: np.dtype) -> Any:
    """[1, height, width, 1]: how many real elements each window holds."""
    ones = np.ones((1, known(rows.size), known(columns.size), 1), dtype)
    return windows_of(ones, rows, columns).sum(axis=(4, 5), dtype=dtype)


def _avg_pool(x: Any, **attrs: Any) -> Any:
    rows, columns = pool_axes("avg_pool", x.shape, **attrs)
    return (windows_of(x, rows, columns).sum(axis=(4, 5), dtype=x.dtype) / _counts(rows, columns, x.dtype)).astype(x.dtype)


def _avg_pool_grad(ct: Any, like: Any, **attrs: Any) -> Any:
    rows, columns = pool_axes("avg_pool_grad", like.shape, **attrs)
    shares = (ct / _counts(rows, columns, ct.dtype))[:, :, :, None, None, :]
    window = (known(rows.window), known(columns.window))
    return scatter_windows(np.broadcast_to(shares, (*ct.shape[:3], *window, ct.shape[3])), rows, columns)


# loops


def _max_pool_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype = Pooling("max_pool", types[0].dims, attrs), result.dtype
    place = p.window_pixel(var("row"), var("column")) + var("c")
    if p.is_small():  # an element moved in from outside is counted twice, which no maximum minds
        elements: list[Expr] = [Load(inputs[0], p.at(i, j), dtype) for i, j in p.offsets()]
        largest = reduce(larger, elements)
        return NestPlan((p.per_window(*p.clamped(), vector("c", p.channels, Store(out, place, largest))),))
    load = Load(inputs[0], p.pixel(var("y"), var("z")) + var("c"), dtype)
    start = Store(out, place, Load(inputs[0], p.pixel(var("first_row"), var("first_column")) + var("c"), dtype))
    more = p.over_window(vector("c", p.channels, Store(out, place, load, "max")))
    return NestPlan((p.per_window(*p.bounds(), vector("c", p.channels, start), more),))


def _count(dtype: DType) -> Expr:
    """The number of real elements of a window, after `bounds`."""
    return cast((var("end_row") - var("first_row")) * (var("end_column") - var("first_column")), dtype)


def _avg_pool_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype = Pooling("avg_pool", types[0].dims, attrs), result.dtype
    wide = F32 if dtype is F16 else dtype
    place = p.window_pixel(var("row"), var("column")) + var("c")
    count = Let("count", _count(wide))
    if p.is_small():
        parts = [cast(Load(inputs[0], p.at(i, j), dtype), wide) for i, j in p.offsets()]
        real = [select(p.is_real(i, j), part, 0) for (i, j), part in zip(p.offsets(), parts, strict=True)]
        mean = cast(reduce(add, real) / Var("count", wide), dtype)
        return NestPlan((p.per_window(*p.bounds(), *p.clamped(), count, vector("c", p.channels, Store(out, place, mean))),))
    total = Var("total", wide)
    more = Store("total", None, cast(Load(inputs[0], p.pixel(var("y"), var("z")) + var("c"), dtype), wide), "add")
    done = Store(out, place, cast(total / Var("count", wide), dtype))
    body = serial("c", p.channels, Alloc("total", wide, lift(0, wide)), p.over_window(more), done)
    return NestPlan((p.per_window(*p.bounds(), count, body),))


def _avg_pool_grad_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype = Pooling("avg_pool_grad", result.dims, attrs), result.dtype
    wide = F32 if dtype is F16 else dtype

    def term(y: Expr, z: Expr) -> Expr:
        count: Expr = index(1)
        for place, axis in ((y, p.rows), (z, p.columns)):
            start = p.source(place, ZERO, axis)
            count = count * (smaller(start + extent(axis.window), extent(axis.size)) - larger(start, 0))
        return cast(Load(inputs[0], p.window_pixel(y, z) + var("c"), dtype), wide) / cast(count, wide)

    place = p.pixel(var("row"), var("column")) + var("c")
    return NestPlan((p.per_pixel(*p.sum_over_windows(term, wide, lambda total: Store(out, place, cast(total, dtype)))),))


max_pool = opaque(
    "max_pool", title="MaxPool", attrs=ATTRS, dtypes=NUMBERS, shape=pooled_shape("max_pool"),
    eval=_max_pool,
    vjp=lambda e, x, y, ct, **attrs: e.max_pool_grad(x, y, ct, **attrs),
    lowering=Nest(_max_pool_nest, images=pools),
    rows=all_have,
    doc="The largest element of each window and channel; NaN where one is NaN. Padding never counts.",
)  # fmt: skip

max_pool_grad = composite(
    "max_pool_grad", title="MaxPoolGrad", operands=("x", "y", "ct"), attrs=ATTRS, dtype=_one_dtype("max_pool_grad"), shape=_max_pool_grad_shape,
    rank_free=True,
    eval=_max_pool_grad,
    vjp=lambda e, x, y, ct, out, g, **attrs: (None, None, e.max_pool_gather(x, y, g, **attrs)),
    expand=lambda e, x, y, ct, **attrs: e.max_pool_spread(e.max_pool_place(x, **attrs), ct, height=x.dims[1], width=x.dims[2], **attrs),
    doc="The gradient of y = max_pool(x): each cotangent goes to the first maximum of its window.",
)  # fmt: skip

max_pool_gather = composite(
    "max_pool_gather", title="MaxPoolGradGrad", operands=("x", "y", "v"), attrs=ATTRS, dtype=_one_dtype("max_pool_gather"), shape=_max_pool_gather_shape,
    rank_free=True,
    eval=_max_pool_gather,
    vjp=lambda e, x, y, v, out, g, **attrs: (None, None, e.max_pool_grad(x, y, g, **attrs)),
    expand=lambda e, x, y, v, **attrs: e.max_pool_take(e.max_pool_place(x, **attrs), v, height=x.dims[1], width=x.dims[2], **attrs),
    doc="The values v at the first maximum of each window, where y = max_pool(x).",
)  # fmt: skip

avg_pool = opaque(
    "avg_pool", title="AvgPool", attrs=ATTRS, dtypes=FLOATS, shape=pooled_shape("avg_pool"),
    eval=_avg_pool,
    vjp=lambda e, x, y, ct, **attrs: e.avg_pool_grad(ct, x, **attrs),
    lowering=Nest(_avg_pool_nest, images=pools),
    rows=all_have,
    doc="The mean of each window and channel; padding does not count.",
)  # fmt: skip

avg_pool_grad = opaque(
    "avg_pool_grad", title="AvgPoolGrad", operands=("ct", "like"), attrs=ATTRS, dtypes=FLOATS, shape=_avg_pool_grad_shape, rank_free=True, like=(1,),
    eval=_avg_pool_grad,
    vjp=lambda e, ct, like, y, g, **attrs: (e.avg_pool(g, **attrs), None),
    lowering=Nest(_avg_pool_grad_nest, images=pools),
    rows=all_have,
    doc="The gradient of avg_pool, in the shape of `like`: each cotangent is shared by the real elements of its window.",
)  # fmt: skip
