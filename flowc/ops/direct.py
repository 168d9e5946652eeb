"""Direct sums of convolutions: register tiles over images [batch, height, width, channels] and filters [height, width, in, out], no window is copied.

    along a row      a tile's rows are neighbouring places of a row, and the images are padded with zeros first
    across images    a tile's rows are one place in many images: what lies in the padding there is left out for all of them, and nothing is padded

In both, the tile's columns are channels out, and the sum runs over the window's rows (outer) and over the pixels and channels of a window's row,
which lie side by side (inner). The sums add up the same numbers in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowc.ir import dims
from flowc.ir.dims import Dim, Shape, product
from flowc.ir.loops import Barrier, Const, Expr, For, Let, Load, NestPlan, Statement, Store, Tile, extent, index
from flowc.ir.types import DType
from flowc.ops.tiles import ZERO, Spaces, block_shape, blocks, equal_part, over, part_of, serial, unit, var, vector
from flowc.ops.windows import WindowAxis, elements_inside, image_place, padded_copy
from flowc.structs import replace

Axes = tuple[WindowAxis, WindowAxis]  # rows and columns
Channels = tuple[Dim, Dim]  # in and out
Plan = tuple[list[Statement], Spaces]
ALONG = "register tiles along the window, no copy of the images' windows"
ACROSS = "register tiles across images, which leave the padding out"
IMAGES = 28  # whose pixels at one place are a block's rows: two tiles of the most rows that a processor with 32 registers has
LEAST_IMAGES = 8  # for a block across images, which with few rows waits for the filter
LEAST_LINE = 20  # elements of a row of a window in all channels, for a block across images: what it reads of each image is so long


def slide(
    out: str, image: str, filter: str, dtype: DType, batch: Dim, axes: Axes, channels: Channels, before: Sequence[Statement] = (),
    along: bool = False, often_few: bool = True,
) -> NestPlan:  # fmt: skip
    """The direct sum of the windows of `image`, not padded yet.

    before: what prepares the filter; along: along rows in any case; often_few: whether a batch that is known at run time only is worth
    loops for few images.
    """
    if along or not leaves_out(batch, axes, channels):
        return _along(out, image, filter, dtype, batch, axes, channels, before)
    if isinstance(batch, int) or not often_few:
        return _across(out, image, filter, dtype, batch, axes, channels, before)
    small = _along(out, image, filter, dtype, batch, axes, channels)
    found = by_batch(batch, LEAST_IMAGES, small, _across(out, image, filter, dtype, batch, axes, channels))
    return replace(found, statements=(*before, *([Barrier()] if before else []), *found.statements))


def leaves_out(batch: Dim, axes: Axes, channels: Channels) -> bool:
    """Whether blocks across images have padding to leave out, and enough to do."""
    line = axes[1].window * channels[0]
    enough = isinstance(line, int) and line >= LEAST_LINE and not (isinstance(batch, int) and batch < LEAST_IMAGES)
    return enough and any(axis.padding != 0 for axis in axes)


def _along(
    out: str, image: str, filter: str, dtype: DType, batch: Dim, axes: Axes, channels: Channels, before: Sequence[Statement] = ()
) -> NestPlan:  # fmt: skip
    """Tiles of consecutive places of a row.

    All places of an image share a panel of the filter, which stays in the cache meanwhile. The window's rows that lie in the padding are left out
    of the sums.
    """
    (down, along), (ci, co) = axes, channels
    plan: Plan = (list(before), [])
    source, image = image, padded(plan, image, dtype, (batch, down.size, along.size, ci), axes, f"{out}_padded")
    if before and source == image:
        plan[0].append(Barrier())  # else there is one behind the copy, for which the filter's preparation need not be done
    height, width, size = down.places, along.places, (down.padded, along.padded)
    if down.window == along.window == down.stride == along.stride == 1 and (height, width) == size:
        height, width, size = 1, height * width, (1, height * width)  # one long row: no tile is cut short at a row's end
    rows, columns = block = block_shape(width, co, dtype, product((batch, height)))
    column, channel = var("column_block") * rows, var("channel_block") * columns
    window_line, n, wide = extent(along.window) * extent(ci), extent(co), extent(ci)
    filter, lines = panels(plan, filter, dtype, product((down.window, along.window, ci)), co, f"{out}_panels")
    first = var("channel_block") * (columns // unit(dtype)) * lines["b_unit"]
    b_outer, line = window_line * lines["b_inner"], var("row") * down.stride
    lets: tuple[Let, ...] = ()
    window_rows = extent(down.window)
    if down.padding != 0:
        lets = elements_inside("skipped", "window_rows", down, line)
        line, first, window_rows = line + var("skipped"), first + var("skipped") * b_outer, var("window_rows")
    tile = Tile(
        out=out, a=image, b=filter, out_at=image_place(var("image"), var("row"), column, height, width, co) + channel,
        a_at=image_place(var("image"), line, column * along.stride, size[0], size[1], ci), b_at=first,
        rows=part_of(extent(width), column, rows), columns=part_of(n, channel, columns), outer=window_rows, inner=window_line,
        out_row=n, a_row=index(along.stride) * wide, a_outer=extent(size[1]) * wide, a_inner=index(1), b_outer=b_outer,
        accumulate=ZERO, dtype=dtype, block=block, **lines,  # type: ignore[arg-type]
    )  # fmt: skip
    places_of = (("row", extent(height)), ("column_block", blocks(width, rows)))
    panels_of = blocks(co, columns)
    by_rows = isinstance(panels_of, Const) and panels_of.value == 1 and height == down.places  # not all of an image as one row
    plan[0].append(over((("image", extent(batch)), ("channel_block", panels_of), *places_of), (*lets, tile), by_rows))
    return NestPlan(tuple(plan[0]), tuple(plan[1]), ALONG)


def _across(
    out: str, image: str, filter: str, dtype: DType, batch: Dim, axes: Axes, channels: Channels, before: Sequence[Statement] = ()
) -> NestPlan:  # fmt: skip
    """Tiles of one place in many images, with those elements of its window that are no padding."""
    (down, along), (ci, co) = axes, channels
    plan: Plan = ([*before, *([Barrier()] if before else [])], [])
    rows = equal_part(batch, IMAGES) if isinstance(batch, int) else IMAGES
    columns = block_shape(rows, co, dtype, product((down.places, along.places)))[1]
    images, channel = var("image_block") * rows, var("channel_block") * columns
    n, wide, window_line = extent(co), extent(ci), extent(along.window) * extent(ci)
    filter, lines = panels(plan, filter, dtype, product((down.window, along.window, ci)), co, f"{out}_across_panels")
    lets = (
        *elements_inside("skipped", "window_rows", down, var("row") * down.stride),
        *elements_inside("left_out", "window_columns", along, var("column") * along.stride),
    )
    y = var("row") * down.stride + var("skipped") - extent(down.before)
    z = var("column") * along.stride + var("left_out") - extent(along.before)
    tile = Tile(
        out=out, a=image, b=filter, out_at=image_place(images, var("row"), var("column"), down.places, along.places, co) + channel,
        a_at=image_place(images, y, z, down.size, along.size, ci),
        b_at=var("channel_block") * (columns // unit(dtype)) * lines["b_unit"] + (var("skipped") * window_line + var("left_out") * wide) * lines["b_inner"],
        rows=part_of(extent(batch), images, rows), columns=part_of(n, channel, columns), outer=var("window_rows"), inner=var("window_columns") * wide,
        out_row=extent(product((down.places, along.places, co))), a_row=extent(product((down.size, along.size, ci))),
        a_outer=extent(along.size) * wide, a_inner=index(1), b_outer=window_line * lines["b_inner"],
        accumulate=ZERO, dtype=dtype, block=(rows, columns), **lines,  # type: ignore[arg-type]
    )  # fmt: skip
    places_of = (("row", extent(down.places)), ("column", extent(along.places)))
    plan[0].append(over((("image_block", blocks(batch, rows)), ("channel_block", blocks(co, columns)), *places_of), (*lets, tile)))
    return NestPlan(tuple(plan[0]), tuple(plan[1]), ACROSS)


def padded(plan: Plan, source: str, dtype: DType, shape: Shape, axes: Axes, target: str) -> str:
    """The buffer that holds the images with zeros around them: a workspace, or the images' own where no zeros are needed."""
    batch, height, width, channels = shape
    before, padded = (axes[0].before, axes[1].before), (axes[0].padded, axes[1].padded)
    if padded == (height, width):
        return source
    plan[0].extend((padded_copy(target, source, dtype, batch, height, width, channels, before, padded), Barrier()))
    plan[1].append((target, dtype, product((batch, *padded, channels))))
    return target


def panels(plan: Plan, source: str, dtype: DType, lines: Dim, channels: Dim, target: str) -> tuple[str, dict[str, Expr]]:
    """The filter as a tile's right operand, [lines, channels out], and the tile's strides in it: in panels of 64 bytes where it is wider."""
    if is_panel(channels, dtype):
        return source, panel_strides(lines, channels, dtype)
    plan[0].extend((over((("line", extent(lines)),), (line_to_panels(target, source, ZERO, ZERO, dtype, lines, channels),)), Barrier()))
    plan[1].append((target, dtype, panel_size(lines, channels, dtype)))
    return target, panel_strides(lines, channels, dtype)


def is_panel(channels: Dim, dtype: DType) -> bool:
    """Whether lines of so many channels are a panel as they lie."""
    return isinstance(channels, int) and channels <= unit(dtype)


def panel_strides(lines: Dim, channels: Dim, dtype: DType) -> dict[str, Expr]:
    """A tile's strides in panels of so many lines."""
    width = index(unit(dtype))
    if is_panel(channels, dtype):
        return {"b_unit": width, "b_column": index(1), "b_inner": extent(channels)}
    return {"b_unit": extent(lines) * width, "b_column": index(1), "b_inner": width}


def panel_size(lines: Dim, channels: Dim, dtype: DType) -> Dim:
    return dims.ceildiv(channels, unit(dtype)) * unit(dtype) * lines


def line_to_panels(target: str, source: str, to: Expr, at: Expr, dtype: DType, lines: Dim, channels: Dim) -> Statement:
    """Copies `line` of the lines that begin at `at` in `source` into the panels that begin at `to`."""
    line, panel, n, width = var("line"), var("panel"), extent(channels), unit(dtype)
    copy = Store(target, to + (panel * extent(lines) + line) * width + var("j"), Load(source, at + line * n + panel * width + var("j"), dtype))
    return serial("panel", blocks(channels, width), vector("j", part_of(n, panel * width, width), copy))


def by_batch(batch: Dim, least: int, small: NestPlan, large: NestPlan) -> NestPlan:
    """`large` for batches of `least` or more, `small` for smaller ones: loops that are not used have no iterations, and their workspaces no elements."""
    few = dims.minimum(dims.floordiv(least - 1, dims.maximum(batch, 1)), 1)
    first, second = _where(few, small), _where(1 - few, large)
    return NestPlan((*first.statements, *second.statements), (*first.workspaces, *second.workspaces), f"{large.how}; for fewer than {least} images {small.how}")


def _where(flag: Dim, plan: NestPlan) -> NestPlan:
    """A plan that does nothing, and needs no memory, where `flag` is 0, and is as it was where that is 1."""

    def part(s: Statement) -> Statement:
        assert isinstance(s, For | Barrier), "all else stands in parallel loops"
        return replace(s, stop=s.stop * extent(flag), order=None) if isinstance(s, For) else s

    return replace(plan, statements=tuple(map(part, plan.statements)), workspaces=tuple((name, dtype, size * flag) for name, dtype, size in plan.workspaces))


__all__ = [
    "ACROSS", "ALONG", "LEAST_IMAGES", "Axes", "Plan", "by_batch", "is_panel", "leaves_out", "line_to_panels", "padded", "panel_size", "panel_strides", "slide",
]  # fmt: skip
