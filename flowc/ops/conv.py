"""Convolution of images [batch, height, width, channels] with filters [height, width, in, out], and its two gradients.

    v0: f32[b, 14, 14, 64] = conv2d(x, filter, padding="SAME")     # x: f32[b, 14, 14, 32], filter: f32[5, 5, 32, 64]

Each of the three is linear in two operands, and the gradients of any one are the other two. The loops are register tiles over the
images themselves (`direct`), no matrix of windows is ever built, or forms with fewer multiplications (`transformed`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from flowc.errors import ShapeError
from flowc.ir import dims
from flowc.ir.dims import Dim, Shape, product
from flowc.ir.loops import Alloc, Barrier, ByImage, Expr, For, If, Let, Load, NestPlan, Statement, Store, Tile, Var, cast, extent, index, lift, select
from flowc.ir.op import Images, Nest
from flowc.ir.types import F16, F32, DType, TensorType
from flowc.ops.constructors import contraction
from flowc.ops.direct import Axes, Plan, is_panel, leaves_out, line_to_panels, padded, panel_size, panel_strides, slide
from flowc.ops.inference import same_shapes
from flowc.ops.tiles import ONE_SUM, TILED, ZERO, Spaces, block_shape, blocks, over, part_of, serial, unit, var, vector
from flowc.ops.windows import (
    WindowAxis,
    image_dims,
    image_place,
    known,
    places_inside,
    scatter_windows,
    window_axes,
    windows_of,
    within,
)  # fmt: skip
from flowc.structs import replace

ATTRS = {"strides": (1, 1), "padding": "SAME", "dilations": (1, 1)}
MOST_CHUNKS = 16  # parts of a batch whose filter gradients are summed apart, whatever the number of threads: results never depend on it
LINE = 16  # pixels of an image that are turned, and weights of a filter that are added up, at a time
LEAST_TURNED, TURNED = 8, 1 << 18  # channels, at least, and elements, at most, of images that are turned for the gradient to a filter


def _axes(name: str, x: Shape, filter: Shape, strides: Any, padding: str, dilations: Any) -> Axes:
    return window_axes(name, x[1:3], filter[:2], strides, padding, dilations)


def _result_dims(name: str, x: TensorType, filter: TensorType, **attrs: Any) -> Shape:
    image = image_dims(name, "the input", x)
    if filter.rank != 4:
        raise ShapeError(f"{name}: the filter is {filter}, [height, width, channels in, channels out] is expected")
    if dims.unify(image[3], filter.dims[2]) is None:
        raise ShapeError(f"{name}: input has {image[3]} channels, filter wants {filter.dims[2]}")
    rows, columns = _axes(name, image, filter.dims, **attrs)
    return (image[0], rows.places, columns.places, filter.dims[3])


def _input_grad_shape(filter: TensorType, ct: TensorType, like: TensorType, **attrs: Any) -> Shape | None:
    if filter.shape is not None and ct.shape is not None and like.shape is not None:
        same_shapes("conv2d_input_grad", "the cotangent and the convolution", ct.shape, _result_dims("conv2d_input_grad", like, filter, **attrs))
    return like.shape


def _filter_grad_shape(x: TensorType, ct: TensorType, like: TensorType, **attrs: Any) -> Shape | None:
    if x.shape is not None and ct.shape is not None and like.shape is not None:
        same_shapes("conv2d_filter_grad", "the cotangent and the convolution", ct.shape, _result_dims("conv2d_filter_grad", x, like, **attrs))
    return like.shape


# NumPy


def _conv2d(x: Any, filter: Any, **attrs: Any) -> Any:
    windows = windows_of(x, *_axes("conv2d", x.shape, filter.shape, **attrs))
    return np.ascontiguousarray(np.tensordot(windows, filter, axes=([4, 5, 3], [0, 1, 2])))


def _input_grad(filter: Any, ct: Any, like: Any, **attrs: Any) -> Any:
    return scatter_windows(np.tensordot(ct, filter, axes=([3], [3])), *_axes("conv2d_input_grad", like.shape, filter.shape, **attrs))


def _filter_grad(x: Any, ct: Any, like: Any, **attrs: Any) -> Any:
    windows = windows_of(x, *_axes("conv2d_filter_grad", x.shape, like.shape, **attrs))
    return np.ascontiguousarray(np.tensordot(windows, ct, axes=([0, 1, 2], [0, 1, 2])).transpose(1, 2, 0, 3))


def _work(filter: TensorType, places: TensorType) -> tuple[Dim, Dim]:
    """Multiply-adds, and elements of the windows. places: what has an element for each place of a window and channel out."""
    windows = product((*places.dims[:3], *filter.dims[:3]))
    return windows * filter.dims[3], windows


# loops


def _makes_images(types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> Images | None:
    """The `Nest.images` of `conv2d`: direct sums along rows go image by image, all other loops through several at a time."""
    from flowc.ops import transformed

    x, filter = (t.dims for t in types)
    axes, channels = _axes("conv2d", x, filter, **attrs), (filter[2], filter[3])
    if result.dtype not in TILED or any(axis.dilation != 1 for axis in axes):
        return None
    along = not leaves_out(x[0], axes, channels) and transformed.chosen(axes, channels, result.dtype, x[0], filter[2], often_few=True) is None
    return Images(makes=True) if along else None


def _reads_images(types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> Images | None:
    """The `Nest.images` of `conv2d_filter_grad`: direct sums take one image's cotangent after the other."""
    from flowc.ops import transformed

    x, filter = types[0].dims, result.dims
    axes = _axes("conv2d_filter_grad", x, filter, **attrs)
    if result.dtype not in TILED or any(axis.dilation != 1 for axis in axes):
        return None
    return Images(makes=False, reads=(1,)) if transformed.chosen(axes, (filter[2], filter[3]), result.dtype, x[0], None) is None else None


def _correlated(
    before: list[Statement], spaces: Spaces, out: str, image: str, filter: str, dtype: DType, batch: Dim, axes: Axes, channels: tuple[Dim, Dim],
    direct: bool, is_gradient: bool = False,
) -> NestPlan:  # fmt: skip
    """The convolution of images that are not padded yet: the direct sum, or a form with fewer multiplications.

    before, spaces: what prepares the filter, and its workspaces; direct: the direct sum, along rows; is_gradient: to the images, in training, where
    a batch that is known at run time only is hardly ever small.
    """
    from flowc.ops import image_tiles, transformed

    (down, along), (ci, co) = axes, channels
    choice = None if direct else transformed.chosen(axes, channels, dtype, batch, ci, often_few=not is_gradient)
    if choice is None:
        found = slide(out, image, filter, dtype, batch, axes, channels, before, direct, often_few=not is_gradient)
        return replace(found, workspaces=(*spaces, *found.workspaces))
    images = image_tiles.Images.of(image, (batch, down.size, along.size, ci), (down.before, along.before))
    if choice.few is not None:
        statements, own = choice.few.slide(out, images, filter, batch, known(co))
        small = NestPlan(tuple(statements), tuple(own), choice.few.how)
    else:
        small = slide(out, image, filter, dtype, batch, axes, channels, along=True)
    found = transformed.by_batch(batch, small, choice, *choice.method.slide(out, images, filter, batch, known(co)))
    return NestPlan((*before, *([Barrier()] if before else []), *found.statements), (*spaces, *found.workspaces), found.how)


def _conv2d_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any], direct: bool = False) -> NestPlan:
    x, filter = (t.dims for t in types)
    rows, columns = _axes("conv2d", x, filter, **attrs)
    if result.dtype not in TILED or (rows.dilation, columns.dilation) != (1, 1):
        return NestPlan((_plain(inputs, out, result, x, filter, rows, columns),), how=ONE_SUM)
    return _correlated([], [], out, inputs[0], inputs[1], result.dtype, x[0], (rows, columns), (filter[2], filter[3]), direct)


def _plain(inputs: list[str], out: str, result: TensorType, x: Shape, filter: Shape, rows: WindowAxis, columns: WindowAxis) -> Statement:
    """One sum per element: for windows with gaps and for dtypes without tiles."""
    co, wide = extent(filter[3]), _wide(result.dtype)
    y, z = _source(var("row"), var("i"), rows), _source(var("column"), var("j"), columns)
    pixel = Load(inputs[0], image_place(var("image"), var("y"), var("z"), *x[1:]) + var("c"), result.dtype)
    weight = Load(inputs[1], _filter_place(filter, var("i"), var("j")) + var("c") * co + var("k"), result.dtype)
    inner = serial("c", extent(x[3]), Store("total", None, cast(pixel, wide) * cast(weight, wide), "add"))
    over_columns = serial("j", extent(filter[1]), Let("z", z), If(within(var("z"), extent(x[2])), (inner,)))
    over_rows = serial("i", extent(filter[0]), Let("y", y), If(within(var("y"), extent(x[1])), (over_columns,)))
    done = Store(out, image_place(var("image"), var("row"), var("column"), *result.dims[1:]) + var("k"), cast(Var("total", wide), result.dtype))
    body = serial("column", extent(columns.places), serial("k", co, Alloc("total", wide, lift(0, wide)), over_rows, done))
    return over((("image", extent(x[0])), ("row", extent(rows.places))), (body,))


def _wide(dtype: DType) -> DType:
    return F32 if dtype is F16 else dtype


def _source(place: Expr, offset: Expr, axis: WindowAxis) -> Expr:
    """Where the window at `place` reads its element `offset`."""
    return place * axis.stride + offset * axis.dilation - extent(axis.before)


def _filter_place(filter: Shape, i: Expr, j: Expr) -> Expr:
    return (i * extent(filter[1]) + j) * (extent(filter[2]) * extent(filter[3]))


def _input_grad_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any], direct: bool = False) -> NestPlan:
    """With strides of 1: the convolution of the padded cotangent with the filter turned around, its channels swapped."""
    filter, ct, x = (t.dims for t in types)
    rows, columns = _axes("conv2d_input_grad", x, filter, **attrs)
    if result.dtype not in TILED or {rows.stride, columns.stride, rows.dilation, columns.dilation} != {1}:
        return NestPlan((_plain_input_grad(inputs, out, result, ct, filter, rows, columns),), how=ONE_SUM)
    turned = inputs[0]
    before: list[Statement] = []
    spaces: Spaces = []
    if filter[:2] != (1, 1) or 1 not in filter[2:]:
        turned = f"{out}_turned"
        before.append(_turned(turned, inputs[0], result.dtype, filter))
        spaces.append((turned, result.dtype, product(filter)))
    axes, channels = (rows.turned, columns.turned), (filter[3], filter[2])
    return _correlated(before, spaces, out, inputs[1], turned, result.dtype, ct[0], axes, channels, direct, is_gradient=True)


def _turned(target: str, source: str, dtype: DType, filter: Shape) -> Statement:
    """`target[i, j, k, c] = source[height - 1 - i, width - 1 - j, c, k]`."""
    ci, co = extent(filter[2]), extent(filter[3])
    place = var("i") * extent(filter[1]) + var("j")
    mirror = extent(filter[0]) * extent(filter[1]) - 1 - place
    copy = Store(target, (place * co + var("k")) * ci + var("c"), Load(source, (mirror * ci + var("c")) * co + var("k"), dtype))
    return over((("i", extent(filter[0])), ("j", extent(filter[1])), ("k", co)), (vector("c", ci, copy),))


def _plain_input_grad(inputs: list[str], out: str, result: TensorType, ct: Shape, filter: Shape, rows: WindowAxis, columns: WindowAxis) -> Statement:
    """Each input element gathers from the windows that hold it, so nothing is added to from two sides."""
    wide, co = _wide(result.dtype), extent(filter[3])
    weight = Load(inputs[0], _filter_place(filter, var("i"), var("j")) + var("c") * co + var("k"), result.dtype)
    change = Load(inputs[1], image_place(var("image"), var("y"), var("z"), *ct[1:]) + var("k"), result.dtype)
    inner = serial("k", co, Store("total", None, cast(weight, wide) * cast(change, wide), "add"))
    over_columns = _windows_holding("z", var("column"), "j", columns, inner)
    body = _windows_holding("y", var("row"), "i", rows, over_columns)
    done = Store(out, image_place(var("image"), var("row"), var("column"), *result.dims[1:]) + var("c"), cast(Var("total", wide), result.dtype))
    channels = serial("c", extent(filter[2]), Alloc("total", wide, lift(0, wide)), body, done)
    return over((("image", extent(ct[0])), ("row", extent(rows.size))), (serial("column", extent(columns.size), channels),))


def _windows_holding(name: str, place: Expr, offset: str, axis: WindowAxis, body: Statement) -> For:
    """For every offset at which a window holds the element `place`: `body` with `name` the window."""
    ahead = Var(f"{name}_ahead", place.dtype)
    there = (ahead >= 0) & (ahead % axis.stride).eq(0) & (ahead < extent(axis.places) * axis.stride)
    inside = If(there, (Let(name, ahead // axis.stride), body))
    return serial(offset, extent(axis.window), Let(ahead.name, place + extent(axis.before) - var(offset) * axis.dilation), inside)


def _filter_grad_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any], direct: bool = False) -> NestPlan:
    """Chunks of the batch in parallel, each into a filter of its own, which are then added up.

    One image at a time, so that it and its cotangent stay in the cache while all tiles of the filter pass over them.
    """
    from flowc.ops import image_tiles, transformed
    from flowc.ops.winograd import FewTiles

    x, ct, filter = (t.dims for t in types)
    rows, columns = _axes("conv2d_filter_grad", x, filter, **attrs)
    dtype = result.dtype
    if dtype not in TILED or (rows.dilation, columns.dilation) != (1, 1):
        return NestPlan((_plain_filter_grad(inputs, out, result, x, ct, rows, columns),), how=ONE_SUM)
    plan: Plan = ([], [])
    image = padded(plan, inputs[0], dtype, x, (rows, columns), f"{out}_padded")
    parts, chunks, batch = f"{out}_parts", dims.minimum(x[0], MOST_CHUNKS), extent(x[0])
    plan[1].append((parts, dtype, chunks * product(filter)))
    size, (first, last) = extent(product(filter)), (var("chunk") + i for i in (0, 1))
    sums = _Sums(out, image, inputs[1], parts, dtype, filter, rows, columns, chunks)
    one_image = sums.of_turned(plan) if sums.is_turned else sums.in_place()
    each = For("image", var("first"), last * batch // extent(chunks), "serial", tuple(one_image), order=ByImage(1, by_rows=False))
    plan[0].extend((over((("chunk", extent(chunks)),), (Let("first", first * batch // extent(chunks)), each)), Barrier()))
    weight, lane = var("weight_block") * LINE, var("lane")
    count = part_of(size, weight, LINE)
    join = (
        Alloc("sums", dtype, size=LINE),
        vector("lane", count, Store("sums", lane, lift(0, dtype))),
        serial("chunk", extent(chunks), vector("lane", count, Store("sums", lane, Load(parts, var("chunk") * size + (weight + lane), dtype), "add"))),
        vector("lane", count, Store(out, weight + lane, Load("sums", lane, dtype))),
    )  # fmt: skip
    plan[0].append(over((("weight_block", blocks(product(filter), LINE)),), join))
    how = "the image turned first, " if sums.is_turned else ""
    found = NestPlan(tuple(plan[0]), tuple(plan[1]), f"register tiles, {how}one image after the other, in chunks that are added up at the end")
    choice = None if direct else transformed.chosen((rows, columns), (filter[2], filter[3]), dtype, x[0], None)
    if choice is None:
        return found
    images = image_tiles.Images.of(inputs[0], x, (rows.before, columns.before))
    changes = image_tiles.Images.of(inputs[1], ct, (0, 0))
    assert not isinstance(choice.method, FewTiles), "which are not chosen for sums over places"
    return transformed.by_batch(x[0], found, choice, *choice.method.filter_gradient(out, images, changes, x[0]))


class _Sums(NamedTuple):
    """One image's part of the gradient to a filter, added to its chunk's: a sum over the places of the result.

    image: the padded images; change: the cotangent; parts: what is added up, [chunk, filter]; rows, columns: the images' axes.
    """

    out: str
    image: str
    change: str
    parts: str
    dtype: DType
    filter: Shape
    rows: WindowAxis
    columns: WindowAxis
    chunks: Dim

    @property
    def padded(self) -> tuple[Dim, Dim]:
        return self.rows.padded, self.columns.padded

    @property
    def places(self) -> tuple[Dim, Dim]:
        return self.rows.places, self.columns.places

    @property
    def is_turned(self) -> bool:
        """Whether each image is turned to [channel, place] first: where it has channels enough for the rows of a tile, and is not large."""
        (ci, co), area = self.filter[2:], product(self.padded)
        return isinstance(area, int) and isinstance(ci, int) and isinstance(co, int) and ci >= LEAST_TURNED and ci * area <= TURNED

    def tile(self, **given: Any) -> Tile:
        """A tile that goes on with what the images before have added up."""
        return Tile(
            out=self.parts, out_row=extent(self.filter[3]),
            accumulate=select(var("image") > var("first"), index(1), index(0)), dtype=self.dtype, **given,
        )  # fmt: skip

    def weights(self, *before: Expr) -> Expr:
        """Where the chunk's part of the gradient begins, or in it the weights of a row of the window, or of a place in that row."""
        place: Expr = var("chunk")
        for step, here in zip(self.filter, (*before, *[ZERO] * (4 - len(before))), strict=True):
            place = place * extent(step) + here
        return place

    def inside(self, rows_only: bool = False) -> tuple[list[Statement], tuple[Expr, Expr], Expr, Expr]:
        """The places at which element (i, j) of the window is no padding: names for them, the first row and column, how many rows and columns."""
        lets: list[Statement] = []
        first, counts = [ZERO, ZERO], [extent(n) for n in self.places]
        for axis, name, offset, places in ((0, "row", "i", self.rows), (1, "column", "j", self.columns)):
            if places.padding != 0 and not (rows_only and axis == 1):
                named = places_inside(f"first_{name}", f"{name}s_inside", places, var(offset))
                lets += named
                first[axis], counts[axis] = (var(let.name) for let in named)
        return lets, (first[0], first[1]), counts[0], counts[1]

    def in_place(self) -> list[Statement]:
        """A tile's rows are the pixels and channels of a row of the window, which lie side by side (so one-channel images make tiles, too)."""
        fused, co, dtype = self.filter[1] * self.filter[2], self.filter[3], self.dtype
        many, width = block = block_shape(fused, co, dtype, MOST_CHUNKS)
        line, column, n, wide = var("line_block") * many, var("channel_block") * width, extent(co), extent(self.filter[2])
        inside, (first, _), over_rows, over_columns = self.inside(rows_only=True)
        tile = self.tile(
            a=self.image, b=self.change, out_at=self.weights(var("i")) + line * n + column,
            a_at=image_place(var("image"), var("i") + first * self.rows.stride, ZERO, *self.padded, self.filter[2]) + line,
            b_at=image_place(var("image"), first, ZERO, *self.places, co) + column, outer=over_rows, inner=over_columns,
            rows=part_of(extent(fused), line, many), columns=part_of(n, column, width), a_row=index(1),
            a_outer=extent(self.padded[1]) * wide * self.rows.stride, a_inner=wide * self.columns.stride,
            b_unit=index(unit(dtype)), b_column=index(1), b_outer=extent(self.places[1]) * n, b_inner=n, block=block,
        )  # fmt: skip
        each = serial("channel_block", blocks(co, width), serial("line_block", blocks(fused, many), tile))
        return [serial("i", extent(self.filter[0]), *inside, each)]

    def of_turned(self, plan: Plan) -> list[Statement]:
        """A tile's rows are the channels at a place of the window: the places of each lie side by side in the turned image.

        So the image is turned once for the whole window, and the cotangent copied into panels once.
        """
        (height, width, ci, co), dtype = self.filter, self.dtype
        area, places, wide, line = product(self.padded), product(self.places), extent(ci), extent(self.padded[1])
        turned, own = f"{self.out}_turned", var("chunk") * (wide * extent(area))
        plan[1].append((turned, dtype, self.chunks * ci * area))
        image, change = (image_place(var("image"), ZERO, ZERO, *shape, depth) for shape, depth in ((self.padded, ci), (self.places, co)))
        pixel = var("pixel_block") * LINE + var("pixel")
        turn = Store(turned, own + var("c") * extent(area) + pixel, Load(self.image, image + pixel * wide + var("c"), dtype))
        pixels = vector("pixel", part_of(extent(area), var("pixel_block") * LINE, LINE), turn)
        statements: list[Statement] = [serial("pixel_block", blocks(area, LINE), serial("c", wide, pixels))]
        right, b_at = self.change, change
        if not is_panel(co, dtype):
            size = panel_size(places, co, dtype)
            right, b_at = f"{self.out}_panels", var("chunk") * extent(size)
            plan[1].append((right, dtype, self.chunks * size))
            statements.append(serial("line", extent(places), line_to_panels(right, self.change, b_at, change, dtype, places, co)))
        i, j, lines = var("i"), var("j"), panel_strides(places, co, dtype)
        inside, (row, column), over_rows, over_columns = self.inside()
        pixel = own + ((i + row * self.rows.stride) * line + (j + column * self.columns.stride))
        tile = self.tile(
            a=turned, b=right, out_at=self.weights(i, j), a_at=pixel, b_at=b_at + (row * extent(self.places[1]) + column) * lines["b_inner"],
            rows=wide, columns=extent(co), outer=over_rows, inner=over_columns,
            a_row=extent(area), a_outer=line * self.rows.stride, a_inner=index(self.columns.stride),
            b_outer=extent(self.places[1]) * lines["b_inner"], block=(int(ci), int(co)), **lines,  # type: ignore[arg-type]
        )  # fmt: skip
        return [*statements, serial("i", extent(height), serial("j", extent(width), *inside, tile))]


def _plain_filter_grad(inputs: list[str], out: str, result: TensorType, x: Shape, ct: Shape, rows: WindowAxis, columns: WindowAxis) -> Statement:
    filter, wide, co = result.dims, _wide(result.dtype), extent(result.dims[3])
    y, z = _source(var("row"), var("i"), rows), _source(var("column"), var("j"), columns)
    pixel = Load(inputs[0], image_place(var("image"), var("y"), var("z"), *x[1:]) + var("c"), result.dtype)
    change = Load(inputs[1], image_place(var("image"), var("row"), var("column"), *ct[1:]) + var("k"), result.dtype)
    add = Store("total", None, cast(pixel, wide) * cast(change, wide), "add")
    over_columns = serial("column", extent(columns.places), Let("z", z), If(within(var("z"), extent(x[2])), (add,)))
    over_rows = serial("row", extent(rows.places), Let("y", y), If(within(var("y"), extent(x[1])), (over_columns,)))
    done = Store(out, _filter_place(filter, var("i"), var("j")) + var("c") * co + var("k"), cast(Var("total", wide), result.dtype))
    body = serial("k", co, Alloc("total", wide, lift(0, wide)), serial("image", extent(x[0]), over_rows), done)
    return over((("i", extent(filter[0])), ("j", extent(filter[1])), ("c", extent(filter[2]))), (body,))


conv2d = contraction(
    "conv2d", title="Conv2D", operands=("x", "filter"), attrs=ATTRS,
    shape=lambda x, filter, **attrs: _result_dims("conv2d", x, filter, **attrs),
    eval=_conv2d,
    vjp=lambda e, x, filter, y, ct, **attrs: (e.conv2d_input_grad(filter, ct, x, **attrs), e.conv2d_filter_grad(x, ct, filter, **attrs)),
    lowering=Nest(_conv2d_nest, partial(_conv2d_nest, direct=True), _makes_images),  # a GPU's thread has no room for transformed tiles
    rows=lambda has, *types, **attrs: list(has) == [True, False],
    work=lambda y, x, filter, **attrs: _work(filter, y),
    doc="Convolution (correlation, as in TensorFlow) of images [batch, height, width, in] with a filter [height, width, in, out].",
)  # fmt: skip

conv2d_input_grad = contraction(
    "conv2d_input_grad", title="Conv2DBackpropInput", operands=("filter", "ct", "like"), attrs=ATTRS, like=(2,), rank_free=True,
    shape=_input_grad_shape,
    eval=_input_grad,
    vjp=lambda e, filter, ct, like, y, g, **attrs: (e.conv2d_filter_grad(g, ct, filter, **attrs), e.conv2d(g, filter, **attrs), None),
    lowering=Nest(_input_grad_nest, partial(_input_grad_nest, direct=True)),
    rows=lambda has, *types, **attrs: list(has) == [False, True, True],
    work=lambda x, filter, ct, like, **attrs: _work(filter, ct),
    doc="The gradient of conv2d to its images, in the shape of `like`.",
)  # fmt: skip

conv2d_filter_grad = contraction(
    "conv2d_filter_grad", title="Conv2DBackpropFilter", operands=("x", "ct", "like"), attrs=ATTRS, like=(2,), rank_free=True,
    shape=_filter_grad_shape,
    eval=_filter_grad,
    vjp=lambda e, x, ct, like, y, g, **attrs: (e.conv2d_input_grad(g, ct, x, **attrs), e.conv2d(x, g, **attrs), None),
    lowering=Nest(_filter_grad_nest, partial(_filter_grad_nest, direct=True), _reads_images),
    work=lambda filter, x, ct, like, **attrs: _work(filter, ct),
    doc="The gradient of conv2d to its filter, in the shape of `like`.",
)  # fmt: skip
