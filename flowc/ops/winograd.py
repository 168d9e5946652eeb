"""Convolution with fewer multiplications: tiles of the image and the filter are transformed, multiplied element by element, and transformed back.

    y = A^T [ (G w G^T) * (B^T d B) ] A         d: n x n pixels, w: r x r weights, y: m x m results, n = m + r - 1

Winograd's minimal filtering F(m x m, r x r) (S. Winograd, "Arithmetic Complexity of Computations", 1980; A. Lavin and S. Gray, "Fast
Algorithms for Convolutional Neural Networks", 2015): n*n multiplications for m*m results in place of m*m*r*r. Summed over channels, each of
the n*n elements is a matrix product over tiles, so register tiles do the work. The gradient to the filter is the same with another split:
dw = G^T [ (B^T d B) * (A dy A^T) ] G, summed over tiles. `winograd_form` has the matrices.
"""

from __future__ import annotations

import math
from typing import Any

from flowc.ir.dims import Dim, minimum
from flowc.ir.loops import Alloc, Barrier, Expr, If, Let, Load, Statement, Store, Tile, extent, index, lift, select
from flowc.ir.types import F32
from flowc.ops.image_tiles import Channels, Images, Tiles, divided, pitch
from flowc.ops.tiles import ZERO, Spaces, over, part_of, serial, unit, var, vector
from flowc.ops.windows import image_place, within
from flowc.ops.winograd_form import Form, Matrix, transform, transposed
from flowc.structs import Struct

CHANNELS_OUT = 32  # of a gradient to the filter, at a time
NEAR = 65536  # elements of the weights that are transformed at a time where tiles are few: 256 KB
SPACE = 49152  # elements of each thread's transformed tiles: 192 KB, so that they stay in the second cache
# What takes as long as how many multiplications of a direct sum with many channels, for each pair of them, measured with 8 to 128 (Zen 5): a
# multiplication of tiles, and one for a single unit of channels out; a tile of a channel to transform, there or back; a weight's element to
# transform, where all are read by all threads, and where threads share the channels out; a gradient's chunks, written, read, added up and
# transformed back
PRODUCT_COST, NARROW_COST, TILE_COST = 1.15, 1.4, 900
WEIGHT_COST, OWN_WEIGHT_COST = 24, 12
GRADIENT_COST = 25_000
NARROW = 10  # channels out: with so many, all of them whole units, a multiplication of a direct sum takes twice as long as with many
ENOUGH = 4  # parts of the channels out for threads to share, before a part has two panels, which a register tile computes faster
FEW = 128  # tiles: so many products of a panel of channels out stay in the second cache
PIECES = 16  # of a gradient to the filter, whatever the number of threads: blocks of channels out, and chunks of the tiles that are summed apart
FEWEST_BLOCKS, LEAST_TILES = 4, 4  # of a small batch: one block would leave all threads idle but one, and each reads all weights


class Blocks(Tiles):
    """Tiles in blocks of `most`, whose transformed elements stay in the second cache; of a small batch smaller ones, at least `fewest` blocks."""

    def __init__(self, f: Form, batch: Dim, places: tuple[int, int], most: int, fewest: int = FEWEST_BLOCKS) -> None:
        super().__init__((f.m, f.m), batch, places)
        self.size, self.blocks = divided(self.count, most, fewest, LEAST_TILES)
        self.most = self.size if isinstance(self.size, int) else most

    def here(self, block: Expr) -> Expr:
        """Tiles in a block."""
        return part_of(extent(self.count), block * extent(self.size), self.size)

    def places_in(self, block: Expr) -> list[Statement]:
        """`places_of` the block's tile `t`."""
        return self.places_of(block * extent(self.size) + var("t"))

    def are_inside(self, images: Images, size: int) -> bool:
        """Whether tiles of `size` x `size` pixels never reach beyond the images."""
        reach = ((count - 1) * m + size for count, m in zip((self.rows, self.columns), self.apart, strict=True))
        return images.before == (0, 0) and all(n <= extent for n, extent in zip(reach, images.extents, strict=True))

    def framed(self, source: Channels, line: str, row: Expr, size: int, name: str) -> Statement:
        """Copies a row of a tile into `line`, zeros where the image has no pixels: so no images with zeros around them go through memory."""
        images, pixel, lane = source.images, var(f"{name}_pixel"), var(f"{name}_lane")
        (height, width), (above, left) = images.extents, images.before
        y, x = var("tile_y") + row - above, var("tile_x") + pixel - left
        place = image_place(var("tile_image"), y, x, height, width, images.channels) + source.first + lane
        copied, zeros = (Store(line, pixel * source.most + lane, value) for value in (Load(images.buffer, place, F32), lift(0, F32)))
        inside = If(within(x, index(width)), (vector(lane.name, source.count, copied),), (vector(lane.name, source.count, zeros),))
        nothing = vector(lane.name, index(size * source.most), Store(line, lane, lift(0, F32)))
        return If(within(y, index(height)), (serial(pixel.name, index(size), inside),), (nothing,))

    def tile(self, matrix: Matrix, source: Channels, target: tuple[str, Expr, int], name: str) -> tuple[list[Alloc], list[Statement]]:
        """`target[i, j] = matrix [tile] matrix^T` for some channels of one tile: first along its rows, then along its columns.

        target: its buffer, where in it the tile's first element begins, and how far it is from one element to the next.
        """
        n, size = len(matrix), len(matrix[0])
        scratch, wide = f"{name}_rows", index(source.most)
        row, column = var(f"{name}_row"), var(f"{name}_column")
        spaces = [Alloc(scratch, F32, size=size * n * source.most)]
        ready: tuple[Statement, ...] = ()
        if self.are_inside(source.images, size):
            images = source.images
            pixels = (images.buffer, image_place(var("tile_image"), var("tile_y") + row, var("tile_x"), *images.extents, images.channels) + source.first,
                      index(images.channels))  # fmt: skip
        else:
            line = f"{name}_line"
            spaces.append(Alloc(line, F32, size=size * source.most))
            ready, pixels = (self.framed(source, line, row, size, name),), (line, ZERO, wide)
        buffer, begin, step = target
        along = transform(matrix, pixels, (scratch, row * (n * source.most), wide), source.count, f"{name}_a", F32)
        elements = (buffer, column * step + begin, index(n * step))
        down = transform(matrix, (scratch, column * wide, index(n * source.most)), elements, source.count, f"{name}_b", F32)
        return spaces, [serial(row.name, index(size), *ready, along), serial(column.name, index(n), down)]

    def transformed(self, matrix: Matrix, source: Channels, target: str, block: Expr, name: str) -> tuple[list[Alloc], Statement]:
        """The same for a block's tiles, in an array of the thread's own."""
        step = pitch(self.most * source.most)
        spaces, loops = self.tile(matrix, source, (target, var("t") * source.most, step), name)
        return [*spaces, Alloc(target, F32, size=len(matrix) ** 2 * step)], serial("t", self.here(block), *self.places_in(block), *loops)


class Winograd(Struct):
    """Convolutions by the tiles of a form. places: of an image, its rows and columns; channels: in and out."""

    form: Form
    places: tuple[int, int]
    channels: tuple[int, int]

    @property
    def how(self) -> str:
        """The method in words, for `NestPlan.how`."""
        f, count = self.form, self.form.n**2
        return f"Winograd's F({f.m}x{f.m}, {f.r}x{f.r}): {count} products of tiles, {count} multiplications in place of {(f.m * f.r) ** 2}"

    @property
    def cost(self) -> float:
        """Of an image, for each pair of channels, in multiplications of a direct sum."""
        return self.cost_with(PRODUCT_COST)

    @property
    def direct_cost(self) -> float:
        """Of a multiplication of a direct sum, against one with many channels out: of few, a register tile has one vector, or half of one."""
        return self.filled * (1 + NARROW / (self.filled * self.channels[1]))

    @property
    def filled(self) -> float:
        """Channels out with those that fill the last 64 bytes, against those that there are."""
        co = self.channels[1]
        return -(-co // unit(F32)) * unit(F32) / co

    def cost_with(self, product: float) -> float:
        """The same where a multiplication of tiles costs so much."""
        ci, co = self.channels
        return self.tiles_of_an_image * (self.filled * (product * self.form.n**2 + TILE_COST / ci) + TILE_COST / co) / self.direct_cost

    def batch_cost(self, is_gradient: bool) -> float:
        """Of a batch, whatever its size; is_gradient: to a filter."""
        return (GRADIENT_COST if is_gradient else WEIGHT_COST * self.form.n**2) / self.direct_cost

    @property
    def tiles_of_an_image(self) -> int:
        return math.prod(-(-n // self.form.m) for n in self.places)

    @property
    def few(self) -> FewTiles | None:
        """The same for small batches; None where one image has too many tiles."""
        images = FEW // self.tiles_of_an_image
        return FewTiles(self, images) if images else None

    def slide(self, out: str, images: Images, filter: str, batch: Dim, co: int) -> tuple[list[Statement], Spaces]:
        """The convolution of images with a filter [r, r, channels in, channels out], and its workspaces."""
        return slide(self.form, out, images, filter, Blocks(self.form, batch, self.places, most_tiles(self.form, images.channels)), co)

    def filter_gradient(self, out: str, images: Images, changes: Images, batch: Dim) -> tuple[list[Statement], Spaces]:
        """The gradient to the filter; changes: the cotangent, as images."""
        most = most_summed_tiles(self.form, (images.channels, changes.channels))
        return filter_gradient(self.form, out, images, changes, Blocks(self.form, batch, self.places, most))


class FewTiles(Struct):
    """Convolutions by Winograd's tiles for batches of `most` images at the most."""

    method: Winograd
    most: int

    @property
    def how(self) -> str:
        return self.method.how

    @property
    def cost(self) -> float:
        """Of an image, as `Winograd.cost`."""
        return self.method.cost_with(PRODUCT_COST if _panels(self.method.channels[1]) > 1 else NARROW_COST)

    def batch_cost(self, is_gradient: bool) -> float:
        return OWN_WEIGHT_COST * self.method.form.n**2 / self.method.direct_cost

    def slide(self, out: str, images: Images, filter: str, batch: Dim, co: int) -> tuple[list[Statement], Spaces]:
        """As `Winograd.slide`."""
        f, most = self.method.form, max(batch, 1) if isinstance(batch, int) else self.most
        return slide_few(f, out, images, filter, Blocks(f, batch, self.method.places, most * self.method.tiles_of_an_image, 1), co)


def slide(f: Form, out: str, images: Images, filter: str, tiles: Blocks, co: int) -> tuple[list[Statement], Spaces]:
    """The convolution of images with a filter [r, r, channels in, channels out], and its workspaces."""
    ci, width = images.channels, unit(F32)
    n, most = f.n, tiles.most
    weights = Weights(f, filter, (ci, co), ci, f"{out}_weights")
    part = max(1, min(-(-co // width), SPACE // 2 // (n * n * most * width))) * width  # channels out at a time
    block, first = var("block"), var("channel_block") * part
    columns = part_of(index(co), first, part)
    spaces, data = tiles.transformed(f.data, Channels.all_of(images), "tiles_in", block, "in")
    results = Results(f, tiles, part, most)
    tile = Tile(
        a="tiles_in", a_at=ZERO, b_at=first // width * weights.panel, rows=tiles.here(block), columns=columns, inner=index(ci), a_row=index(ci),
        a_step=index(pitch(most * ci)), accumulate=ZERO, **results.taken, **weights.taken,
    )  # fmt: skip
    back = serial("t", tiles.here(block), *tiles.places_in(block), *results.stored(out, co, first, columns))
    body = (*spaces, *results.spaces, data, serial("channel_block", index(-(-co // part)), tile, back))
    transformed = over((("c", index(ci)), ("panel", index(weights.panels))), weights.loops(var("panel"), ZERO, var("panel") * weights.panel))
    statements = [transformed, Barrier(), over((("block", extent(tiles.blocks)),), body)]
    return statements, [(weights.buffer, F32, weights.panels * weights.panel)]


def slide_few(f: Form, out: str, images: Images, filter: str, tiles: Blocks, co: int) -> tuple[list[Statement], Spaces]:
    """The same for few tiles, `tiles.most` at the most: threads share the channels out, and each transforms the weights that it takes itself.

    They stay in its cache, and so do the products of all tiles, to which some channels in are added at a time.
    """
    ci, width, n, most = images.channels, unit(F32), f.n, tiles.most
    panels = _panels(co)
    part = panels * width
    here = min(ci, max(1, NEAR // (n * n * part)))  # channels in at a time
    weights, results = Weights(f, filter, (ci, co), here, "weights"), Results(f, tiles, part, most)
    data, step = f"{out}_tiles", pitch(most * ci)
    spaces, loops = tiles.tile(f.data, Channels.all_of(images), (data, var("tile") * ci, step), "in")
    transformed = over((("tile", extent(tiles.count)),), (*spaces, *tiles.places_of(var("tile")), *loops))
    block, panel, begin = var("channel_block"), var("panel"), var("channels") * here
    first = block * part
    columns, channels = part_of(index(co), first, part), part_of(index(ci), begin, here)
    right = serial(panel.name, index(panels), serial("c", channels, *weights.loops(block * panels + panel, begin, panel * weights.panel)))
    tile = Tile(
        a=data, a_at=begin, b_at=ZERO, rows=extent(tiles.count), columns=columns, inner=channels, a_row=index(ci), a_step=index(step),
        accumulate=select(var("channels") > 0, index(1), ZERO), **results.taken, **weights.taken,
    )  # fmt: skip
    back = serial("t", extent(tiles.count), *tiles.places_of(var("t")), *results.stored(out, co, first, columns))
    space = Alloc(weights.buffer, F32, size=panels * weights.panel)
    body = (space, *results.spaces, serial("channels", index(-(-ci // here)), right, tile), back)
    parts = minimum(tiles.count, 1) * -(-co // part)  # none of an empty batch
    return [transformed, Barrier(), over(((block.name, extent(parts)),), body)], [(data, F32, n * n * step)]


def _panels(co: int) -> int:
    """Units of 64 bytes of channels out that a thread takes together."""
    return 2 if -(-co // unit(F32)) >= 2 * ENOUGH else 1


class Weights(Struct):
    """Transformed weights as right operands of products: [channels in, 64 bytes of channels out] for each element of a tile.

    source: the filter [r, r, channels in, channels out]; here: channels in that lie in the buffer at a time.
    """

    form: Form
    source: str
    channels: tuple[int, int]
    here: int
    buffer: str

    @property
    def step(self) -> int:
        """From one element of a tile to the next."""
        return pitch(self.here * unit(F32))

    @property
    def panel(self) -> int:
        """Numbers of a panel, 64 bytes of channels out."""
        return self.form.n**2 * self.step

    @property
    def panels(self) -> int:
        return -(-self.channels[1] // unit(F32))

    @property
    def taken(self) -> dict[str, Any]:
        """How a `Tile` reads them."""
        return {"b": self.buffer, "b_unit": index(self.panel), "b_column": index(1), "b_outer": ZERO, "b_inner": index(unit(F32)), "b_step": index(self.step)}

    def loops(self, panel: Expr, begin: Expr, place: Expr) -> list[Statement]:
        """`buffer[i, j] = G w G^T` for channel in `begin + c` and a panel, which begins at `place`."""
        n, r, width, (ci, co) = self.form.n, self.form.r, unit(F32), self.channels
        lanes, first = part_of(index(co), panel * width, width), panel * width
        rows = ("weight_rows", var("j") * width, index(r * width))
        along = transform(self.form.filter, (self.source, (var("j") * ci + begin + var("c")) * co + first, index(r * ci * co)), rows, lanes, "k", F32)
        target = (self.buffer, place + var("i") * (n * self.step) + var("c") * width, index(self.step))
        down = transform(self.form.filter, ("weight_rows", var("i") * (r * width), index(width)), target, lanes, "o", F32)
        return [Alloc("weight_rows", F32, size=n * r * width), serial("j", index(r), along), serial("i", index(n), down)]


class Results(Struct):
    """Products of tiles, in an array of the thread's own, and what they are transformed back to. part: channels out at a time; most: tiles."""

    form: Form
    tiles: Blocks
    part: int
    most: int

    @property
    def step(self) -> int:
        """From one element of a tile to the next."""
        return pitch(self.most * self.part)

    @property
    def spaces(self) -> list[Alloc]:
        n, m = self.form.n, self.form.m
        sizes = {"products": n * n * self.step, "rows_out": n * m * self.part, "tile_out": m * m * self.part}
        return [Alloc(name, F32, size=size) for name, size in sizes.items()]

    @property
    def taken(self) -> dict[str, Any]:
        """Where a `Tile` adds them up."""
        return {
            "out": "products", "out_at": ZERO, "out_row": index(self.part), "out_step": index(self.step), "count": index(self.form.n**2),
            "outer": index(1), "a_outer": ZERO, "a_inner": index(1), "dtype": F32, "block": (self.most, self.part),
        }  # fmt: skip

    def stored(self, out: str, co: int, first: Expr, columns: Expr) -> list[Statement]:
        """`A^T [products of tile t] A`, into images of `co` channels, from channel `first` on."""
        n, m, part, (height, wide) = self.form.n, self.form.m, index(self.part), self.tiles.places
        t, i, p, q = (var(name) for name in "tipq")
        along = transform(self.form.back, ("products", i * (n * self.step) + t * part, index(self.step)), ("rows_out", i * m * part, part), columns, "k", F32)
        down = transform(self.form.back, ("rows_out", q * part, m * part), ("tile_out", q * part, m * part), columns, "o", F32)
        at = ((var("tile_image") * height + var("tile_y") + p) * wide + var("tile_x") + q) * co + first
        stored = vector("lane", columns, Store(out, at + var("lane"), Load("tile_out", (p * m + q) * part + var("lane"), F32)))
        rows, places = (part_of(index(size), var(name), m) for size, name in ((height, "tile_y"), (wide, "tile_x")))
        return [serial("i", index(n), along), serial("q", index(m), down), serial("p", rows, serial("q", places, stored))]


def filter_gradient(f: Form, out: str, images: Images, changes: Images, tiles: Blocks) -> tuple[list[Statement], Spaces]:
    """The gradient to the filter [r, r, ci, co]: chunks of the tiles in parallel, each a sum of its own in the transformed form.

    changes: the cotangent, as images. A block of channels out at a time, so that the sums under way stay in the second cache with the tiles; the
    more such blocks, the fewer chunks, since all chunks' sums go through memory.
    """
    ci, co = images.channels, changes.channels
    n, most = f.n, tiles.most
    part = min(co, CHANNELS_OUT)
    channel_blocks = -(-co // part)
    parts, chunks = f"{out}_parts", minimum(tiles.blocks, max(1, PIECES // channel_blocks))
    step = pitch(ci * co)
    block, chunk = var("block"), var("chunk")
    first = var("channel_block") * part
    columns = part_of(index(co), first, part)
    spaces, data = tiles.transformed(f.data, Channels.all_of(images), "tiles_in", block, "in")
    more, change = tiles.transformed(transposed(f.back), Channels(changes, first, columns, part), "tiles_ct", block, "ct")
    tile = Tile(
        out=parts, a="tiles_in", b="tiles_ct", out_at=chunk * (n * n * step) + first, a_at=ZERO, b_at=ZERO, rows=index(ci), columns=columns,
        outer=index(1), inner=tiles.here(block), out_row=index(co), a_row=index(1), a_outer=ZERO, a_inner=index(ci), b_unit=index(unit(F32)),
        b_column=index(1), b_outer=ZERO, b_inner=index(part), accumulate=select(block > var("first"), index(1), ZERO), dtype=F32, block=(ci, part),
        count=index(n * n), out_step=index(step), a_step=index(pitch(most * ci)), b_step=index(pitch(most * part)),
    )  # fmt: skip
    total, count = extent(tiles.blocks), extent(chunks)
    bounds = [Let("first", chunk * total // count), Let("last", (chunk + 1) * total // count)]
    each = serial("in_chunk", var("last") - var("first"), Let("block", var("first") + var("in_chunk")), data, change, tile)
    gather = over((("chunk", count), ("channel_block", index(channel_blocks))), (*bounds, *spaces, *more, each))
    return [gather, Barrier(), _joined(f, out, parts, count, ci, co)], [(parts, F32, chunks * (n * n * step))]


def _joined(f: Form, out: str, parts: str, chunks: Expr, ci: int, co: int) -> Statement:
    """`out = G^T [sum of the chunks] G`."""
    n, r, width = f.n, f.r, unit(F32)
    step, back = pitch(ci * co), transposed(f.filter)
    first = var("panel") * width
    lanes = part_of(index(co), first, width)
    place = (var("chunk") * (n * n) + var("element")) * step + var("c") * co + first + var("lane")
    start = vector("lane", lanes, Store("sums", var("element") * width + var("lane"), lift(0, F32)))
    more = vector("lane", lanes, Store("sums", var("element") * width + var("lane"), Load(parts, place, F32), "add"))
    summed = serial("element", index(n * n), start, serial("chunk", chunks, more))
    along = transform(back, ("sums", var("i") * (n * width), index(width)), ("sum_rows", var("i") * (r * width), index(width)), lanes, "k", F32)
    down = transform(back, ("sum_rows", var("column") * width, index(r * width)), ("weight", var("column") * width, index(r * width)), lanes, "o", F32)
    at = ((var("row") * r + var("column")) * ci + var("c")) * co + first
    stored = vector("lane", lanes, Store(out, at + var("lane"), Load("weight", (var("row") * r + var("column")) * width + var("lane"), F32)))
    body = (
        Alloc("sums", F32, size=n * n * width), Alloc("sum_rows", F32, size=n * r * width), Alloc("weight", F32, size=r * r * width),
        summed, serial("i", index(n), along), serial("column", index(r), down), serial("row", index(r), serial("column", index(r), stored)),
    )  # fmt: skip
    return over((("c", index(ci)), ("panel", index(-(-co // width)))), body)


def most_tiles(f: Form, channels: int) -> int:
    """Tiles of a block that leave its transformed elements in the second cache: a multiple of the rows of a register tile."""
    return max(6, min(48, SPACE // (f.n * f.n * channels) // 6 * 6))


def most_summed_tiles(f: Form, channels: tuple[int, int]) -> int:
    """The same for a gradient to the filter, whose sums run over the tiles."""
    ci, co = channels
    return max(4, min(48, SPACE * 4 // 3 // (f.n * f.n * (ci + min(co, CHANNELS_OUT))) // 4 * 4))


__all__ = ["Blocks", "Winograd", "most_tiles"]
