"""Pooling of images [batch, height, width, channels] over windows, with gradients.

    v0: f32[b, 14, 14, 32] = max_pool(x, ksize=(2, 2), strides=(2, 2), padding="SAME")     # x: f32[b, 28, 28, 32]

The innermost loop is the one over channels, which lie side by side. Small windows are written out, so that this loop is one vector loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from flowc.ir.dims import Shape, product
from flowc.ir.loops import Alloc, Barrier, Const, Expr, For, If, Let, Load, NestPlan, Statement, Store, Var, apply, cast, extent, index, lift, select
from flowc.ir.op import REQUIRED, Nest
from flowc.ir.types import BOOL, F16, F32, FLOATS, I32, NUMBERS, DType, TensorType
from flowc.ops.constructors import all_have, opaque
from flowc.ops.inference import same_shapes
from flowc.ops.tiles import ZERO, larger, over, serial, smaller, var, vector
from flowc.ops.windows import WindowAxis, image_dims, image_place, known, scatter_windows, window_axes, windows_of, within

ATTRS = {"ksize": REQUIRED, "strides": REQUIRED, "padding": REQUIRED}
WRITTEN_OUT = 16  # elements of the largest window that becomes one expression


def _axes(name: str, x: Shape, ksize: Any, strides: Any, padding: str) -> tuple[WindowAxis, WindowAxis]:
    return window_axes(name, x[1:3], ksize, strides, padding)


def _pool_shape(name: str) -> Any:
    def rule(x: TensorType, **attrs: Any) -> Shape:
        image = image_dims(name, "the input", x)
        rows, columns = _axes(name, image, **attrs)
        return (image[0], rows.places, columns.places, image[3])

    return rule


def _same_as_pooled(name: str, x: TensorType, others: dict[str, TensorType], attrs: dict[str, Any]) -> Shape | None:
    """The pooled shape, where known; ShapeError where an operand that should have it has another."""
    pooled = _pool_shape(name)(x, **attrs) if x.shape is not None else None
    for what, other in others.items():
        if other.shape is not None:
            pooled = other.shape if pooled is None else same_shapes(name, f"{what} and the pooled images", other.shape, pooled)
    return pooled


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


def _lowest(dtype: np.dtype) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _max_pool(x: Any, **attrs: Any) -> Any:
    return windows_of(x, *_axes("max_pool", x.shape, **attrs), fill=_lowest(x.dtype)).max(axis=(4, 5))


def _first_maxima(x: Any, rows: WindowAxis, columns: WindowAxis) -> Any:
    """[batch, height, width, channels, window]: a one at the first maximum (or the first NaN) of each window; never at padding."""
    windows = windows_of(x, rows, columns, fill=_lowest(x.dtype))
    real = windows_of(np.ones((1, *x.shape[1:3], 1), bool), rows, columns, fill=False)
    flat = windows.reshape(*windows.shape[:4], -1)
    hit = ((flat == flat.max(axis=-1, keepdims=True)) | (flat != flat)) & real.reshape(1, *real.shape[1:4], -1)
    return np.arange(flat.shape[-1]) == hit.argmax(axis=-1)[..., None]


def _max_pool_grad(x: Any, y: Any, ct: Any, **attrs: Any) -> Any:
    rows, columns = _axes("max_pool_grad", x.shape, **attrs)
    pieces = np.where(_first_maxima(x, rows, columns), ct[..., None], ct.dtype.type(0))
    window = (known(rows.window), known(columns.window))
    return scatter_windows(np.moveaxis(pieces.reshape(*ct.shape, *window), 3, 5), rows, columns)


def _max_pool_gather(x: Any, y: Any, v: Any, **attrs: Any) -> Any:
    rows, columns = _axes("max_pool_gather", x.shape, **attrs)
    windows = windows_of(v, rows, columns)
    return np.where(_first_maxima(x, rows, columns), windows.reshape(*windows.shape[:4], -1), v.dtype.type(0)).sum(axis=-1, dtype=v.dtype)


def _counts(rows: WindowAxis, columns: WindowAxis, dtype: np.dtype) -> Any:
    """[1, height, width, 1]: how many real elements each window holds."""
    ones = np.ones((1, known(rows.size), known(columns.size), 1), dtype)
    return windows_of(ones, rows, columns).sum(axis=(4, 5), dtype=dtype)


def _avg_pool(x: Any, **attrs: Any) -> Any:
    rows, columns = _axes("avg_pool", x.shape, **attrs)
    return (windows_of(x, rows, columns).sum(axis=(4, 5), dtype=x.dtype) / _counts(rows, columns, x.dtype)).astype(x.dtype)


def _avg_pool_grad(ct: Any, like: Any, **attrs: Any) -> Any:
    rows, columns = _axes("avg_pool_grad", like.shape, **attrs)
    shares = (ct / _counts(rows, columns, ct.dtype))[:, :, :, None, None, :]
    window = (known(rows.window), known(columns.window))
    return scatter_windows(np.broadcast_to(shares, (*ct.shape[:3], *window, ct.shape[3])), rows, columns)


# loops: `image`, `row`, `column` count the result's pixels, `c` channels, (i, j) a window's elements


class _Pool:
    """One op to lower: the images' extents and the windows over them."""

    def __init__(self, name: str, x: Shape, attrs: dict[str, Any]) -> None:
        self.x = x
        self.rows, self.columns = _axes(name, x, **attrs)
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
        return over((("image", extent(self.x[0])), ("row", extent(self.rows.places))), (serial("column", extent(self.columns.places), *body),))

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
        """`body` for each pixel of the images."""
        return over((("image", extent(self.x[0])), ("row", extent(self.x[1]))), (serial("column", extent(self.x[2]), *body),))

    def is_cut_up(self) -> bool:
        """Whether every pixel lies in exactly one window, for certain."""
        return all(
            axis.stride == axis.window and (axis.padding != 0 or axis.size == axis.places * axis.stride) for axis in (self.rows, self.columns)
        )


def _max_pool_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype = _Pool("max_pool", types[0].dims, attrs), result.dtype
    place = p.window_pixel(var("row"), var("column")) + var("c")
    if p.is_small():  # an element moved in from outside is counted twice, which no maximum minds
        elements: list[Expr] = [Load(inputs[0], p.at(i, j), dtype) for i, j in p.offsets()]
        largest = reduce(larger, elements)
        return NestPlan((p.per_window(*p.clamped(), vector("c", p.channels, Store(out, place, largest))),))
    load = Load(inputs[0], p.pixel(var("y"), var("z")) + var("c"), dtype)
    start = Store(out, place, Load(inputs[0], p.pixel(var("first_row"), var("first_column")) + var("c"), dtype))
    more = p.over_window(vector("c", p.channels, Store(out, place, load, "max")))
    return NestPlan((p.per_window(*p.bounds(), vector("c", p.channels, start), more),))


def _is_hit(x: Expr, y: Expr) -> Expr:
    """Whether `x` is the maximum `y` of its window; where a window holds a NaN, its NaNs are."""
    return x.eq(y) | x.ne(x) if x.dtype.is_float else x.eq(y)


def _max_pool_grad_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype = _Pool("max_pool_grad", types[0].dims, attrs), result.dtype
    if p.is_cut_up() and p.is_small():
        return NestPlan((_cut_up_grad(p, inputs, out, dtype),))
    chosen = f"{out}_chosen"

    def term(y: Expr, z: Expr) -> Expr:
        there = p.window_pixel(y, z) + var("c")
        i, j = (var(place) - p.source(window, ZERO, axis) for place, window, axis in (("row", y, p.rows), ("column", z, p.columns)))
        return select(Load(chosen, there, I32).eq(cast(i * p.window[1] + j, I32)), Load(inputs[2], there, dtype), 0)

    place = p.pixel(var("row"), var("column")) + var("c")
    back = p.per_pixel(*p.sum_over_windows(term, dtype, lambda total: Store(out, place, total)))
    return NestPlan((_choose(p, inputs, chosen, dtype), Barrier(), back), ((chosen, I32, product(p.pooled)),))


def _cut_up_grad(p: _Pool, inputs: list[str], out: str, dtype: DType) -> Statement:
    """Windows that share no pixel: each writes all of its own, the cotangent to the first maximum and zeros elsewhere."""
    place = p.window_pixel(var("row"), var("column")) + var("c")
    y, ct = Load(inputs[1], place, dtype), Load(inputs[2], place, dtype)
    real = {at: p.is_real(*at) for at in p.offsets()}
    if all(isinstance(condition, Const) for condition in real.values()):
        return p.per_window(*p.clamped(), vector("c", p.channels, *_whole_window_grad(p, inputs, out, y, ct)))
    body: list[Statement] = [Let(f"real_{i}_{j}", condition) for (i, j), condition in real.items() if not isinstance(condition, Const)]
    earlier: list[Expr] = []
    for i, j in p.offsets():
        hit = _is_hit(Load(inputs[0], p.at(i, j), dtype), y)
        first = reduce(lambda found, other: found & apply("not", other), earlier, hit)
        write = vector("c", p.channels, Store(out, p.at(i, j), select(first, ct, 0)))
        always = isinstance(real[i, j], Const)
        body.append(write if always else If(Var(f"real_{i}_{j}", BOOL), (write,)))
        earlier.append(hit if always else Var(f"real_{i}_{j}", BOOL) & hit)
    return p.per_window(*p.clamped(), *body)


def _whole_window_grad(p: _Pool, inputs: list[str], out: str, y: Expr, ct: Expr) -> list[Statement]:
    """One channel of a window that lies inside the images: each of its elements is looked at once."""
    lets: list[Statement] = [Let("largest", y), Let("change", ct)]
    stores: list[Statement] = []
    hits: list[Expr] = [Var(f"hit_{i}_{j}", BOOL) for i, j in p.offsets()]
    for n, (i, j) in enumerate(p.offsets()):
        lets.append(Let(f"hit_{i}_{j}", _is_hit(Load(inputs[0], p.at(i, j), y.dtype), Var("largest", y.dtype))))
        first = reduce(lambda found, other: found & apply("not", other), hits[:n], hits[n])
        stores.append(Store(out, p.at(i, j), select(first, Var("change", y.dtype), 0)))
    return [*lets, *stores]


def _choose(p: _Pool, inputs: list[str], chosen: str, dtype: DType) -> Statement:
    """Which element of each window is the first maximum: i * width + j."""
    place = p.window_pixel(var("row"), var("column")) + var("c")
    if p.is_small():
        first_of: Expr = lift(-1, I32)
        for i, j in reversed(p.offsets()):
            hit = _is_hit(Load(inputs[0], p.at(i, j), dtype), Var("largest", dtype))
            real = p.is_real(i, j)
            first_of = select(hit if isinstance(real, Const) else real & hit, lift(i * p.window[1] + j, I32), first_of)
        find = vector("c", p.channels, Let("largest", Load(inputs[1], place, dtype)), Store(chosen, place, first_of))
        return p.per_window(*p.clamped(), find)
    x = Load(inputs[0], p.pixel(var("y"), var("z")) + var("c"), dtype)
    offset = (var("y") - p.source(var("row"), ZERO, p.rows)) * p.window[1] + (var("z") - p.source(var("column"), ZERO, p.columns))
    first = Var("first", I32)
    look = If((first < 0) & _is_hit(x, Load(inputs[1], place, dtype)), (Store("first", None, cast(offset, I32)),))
    body = serial("c", p.channels, Alloc("first", I32, lift(-1, I32)), p.over_window(look), Store(chosen, place, first))
    return p.per_window(*p.bounds(), body)


def _max_pool_gather_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype = _Pool("max_pool_gather", types[0].dims, attrs), result.dtype
    place, there = p.window_pixel(var("row"), var("column")) + var("c"), p.pixel(var("y"), var("z")) + var("c")
    missing = Var("missing", I32)
    hit = _is_hit(Load(inputs[0], there, dtype), Load(inputs[1], place, dtype))
    look = If((missing > 0) & hit, (Store("missing", None, lift(0, I32)), Store("value", None, Load(inputs[2], there, dtype))))
    start = (Alloc("missing", I32, lift(1, I32)), Alloc("value", dtype, lift(0, dtype)))
    body = serial("c", p.channels, *start, p.over_window(look), Store(out, place, Var("value", dtype)))
    return NestPlan((p.per_window(*p.bounds(), body),))


def _count(dtype: DType) -> Expr:
    """The number of real elements of a window, after `bounds`."""
    return cast((var("end_row") - var("first_row")) * (var("end_column") - var("first_column")), dtype)


def _avg_pool_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p, dtype = _Pool("avg_pool", types[0].dims, attrs), result.dtype
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
    p, dtype = _Pool("avg_pool_grad", result.dims, attrs), result.dtype
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
    "max_pool", title="MaxPool", attrs=ATTRS, dtypes=NUMBERS, shape=_pool_shape("max_pool"),
    eval=_max_pool,
    vjp=lambda e, x, y, ct, **attrs: e.max_pool_grad(x, y, ct, **attrs),
    lowering=Nest(_max_pool_nest),
    rows=all_have,
    doc="The largest element of each window and channel; NaN where one is NaN. Padding never counts.",
)  # fmt: skip

max_pool_grad = opaque(
    "max_pool_grad", title="MaxPoolGrad", operands=("x", "y", "ct"), attrs=ATTRS, dtypes=NUMBERS, shape=_max_pool_grad_shape, rank_free=True,
    eval=_max_pool_grad,
    vjp=lambda e, x, y, ct, out, g, **attrs: (None, None, e.max_pool_gather(x, y, g, **attrs)),
    lowering=Nest(_max_pool_grad_nest),
    rows=all_have,
    doc="The gradient of y = max_pool(x): each cotangent goes to the first maximum of its window.",
)  # fmt: skip

max_pool_gather = opaque(
    "max_pool_gather", title="MaxPoolGradGrad", operands=("x", "y", "v"), attrs=ATTRS, dtypes=NUMBERS, shape=_max_pool_gather_shape, rank_free=True,
    eval=_max_pool_gather,
    vjp=lambda e, x, y, v, out, g, **attrs: (None, None, e.max_pool_grad(x, y, g, **attrs)),
    lowering=Nest(_max_pool_gather_nest),
    rows=all_have,
    doc="The values v at the first maximum of each window, where y = max_pool(x).",
)  # fmt: skip

avg_pool = opaque(
    "avg_pool", title="AvgPool", attrs=ATTRS, dtypes=FLOATS, shape=_pool_shape("avg_pool"),
    eval=_avg_pool,
    vjp=lambda e, x, y, ct, **attrs: e.avg_pool_grad(ct, x, **attrs),
    lowering=Nest(_avg_pool_nest),
    rows=all_have,
    doc="The mean of each window and channel; padding does not count.",
)  # fmt: skip

avg_pool_grad = opaque(
    "avg_pool_grad", title="AvgPoolGrad", operands=("ct", "like"), attrs=ATTRS, dtypes=FLOATS, shape=_avg_pool_grad_shape, rank_free=True, like=(1,),
    eval=_avg_pool_grad,
    vjp=lambda e, ct, like, y, g, **attrs: (e.avg_pool(g, **attrs), None),
    lowering=Nest(_avg_pool_grad_nest),
    rows=all_have,
    doc="The gradient of avg_pool, in the shape of `like`: each cotangent is shared by the real elements of its window.",
)  # fmt: skip
