"""Convolution by Fourier transforms: tiles of 16 x 16 pixels become frequencies, and at each of them channels are multiplied by a matrix.

    y = F^-1 [ F d * conj(F w) ]        d: 16 x 16 pixels, w: the window's weights with zeros after them; * sums over channels

A window slides around a circle of pixels, and that is a product at every frequency (T. Stockham, "High-speed convolution and correlation",
1966). What comes round an image that fits into a tile is its padding; of larger images tiles overlap. Pixels are real, so half of the
frequencies say all: 130 complex products, where a window of 5 x 5 on 14 x 14 places takes 4900 multiplications. The gradient to the filter is the
same with the cotangent in the window's place, summed over tiles. Sums round no more than those of a direct convolution.

A thread takes a group of tiles through all steps, so that what lies between them stays in its caches; the filter's frequencies, which all
groups read, are the only ones in memory. One `Tile` multiplies both parts of a frequency, [[re, im], [im, -re]] @ [re, im]:

    tiles_in[frequency, (real, imaginary, -real), tile, channel in] @ weights[frequency, part, channel in, channel out]
                         real results from the first two, imaginary ones from the last two
"""

from __future__ import annotations

import math

from flowc.ir.dims import Dim
from flowc.ir.loops import Barrier, Expr, For, Let, Load, Statement, Store, Tile, extent, index, select
from flowc.ir.types import F32
from flowc.ops.frequencies import FREQUENCIES, SCALE, SIZE, Rows, Seen, Spectrum, block_of, filled, from_frequencies, of_images, to_frequencies
from flowc.ops.image_tiles import Channels, Images, Tiles, divided
from flowc.ops.tiles import ZERO, Spaces, blocks, larger, over, part_of, serial, smaller, unit, var, vector
from flowc.ops.windows import WindowAxis, image_place, known
from flowc.structs import Struct

SPACE = 1 << 19  # elements of a group's tiles and products: 2 MB; the fewer groups, the less often all of the filter is read
MOST_TILES, FEWEST_GROUPS = 12, 4  # of a group, whose two parts are equal parts of a register tile's rows; groups of a batch, if it has so many tiles
MOST_CHANNELS = 512  # of which two tiles are still in `SPACE`
PIECES = 8  # of a gradient to the filter, whatever the number of threads: blocks of channels out, and chunks of the batch that are summed apart
# What takes as long as how many multiplications of a direct sum, for each pair of channels: measured with 32 to 256 channels (Zen 5, 2 threads).
PRODUCT_COST = 1.3  # a multiplication at a frequency, with its share of the transforms
READ_COST, FAR_READ_COST = 13.5, 31.5  # a number of the transformed filter, which each group of tiles reads; where all are more than the last cache keeps
KEPT = 1 << 21  # numbers that it does: 8 MB
WEIGHT_COST = 15_000  # a weight's transform, or that of its gradient


class Circle(Struct):
    """One axis of tiles: the window, how many results a tile gives, and where it has pixels, and cotangents."""

    window: int
    apart: int
    pixels: Seen
    changes: Seen

    @classmethod
    def of(cls, axis: WindowAxis) -> Circle | None:
        """None for a window that is too long."""
        size, window, places, before = known(axis.size), known(axis.window), known(axis.places), known(axis.before)
        if before + size <= SIZE and places + window - 1 - SIZE <= before:  # the padding before and that after are the same pixels of the circle
            return cls(window, places, Seen(before, size), Seen(0, places))
        apart = SIZE + 1 - window
        return cls(window, apart, Seen(0, SIZE), Seen(0, apart)) if apart > 0 else None


class Fourier(Struct):
    """Convolutions by tiles of frequencies. places: of an image, its rows and columns; channels: in and out."""

    rows: Circle
    columns: Circle
    places: tuple[int, int]
    channels: tuple[int, int]

    @classmethod
    def of(cls, axes: tuple[WindowAxis, WindowAxis], channels: tuple[int, int]) -> Fourier | None:
        """None for a window that is too long, and for so many channels that a tile does not fit into a thread's memory."""
        rows, columns = (Circle.of(axis) for axis in axes)
        if rows is None or columns is None or max(channels) > MOST_CHANNELS:
            return None
        return cls(rows, columns, (known(axes[0].places), known(axes[1].places)), channels)

    @property
    def how(self) -> str:
        """The method in words, for `NestPlan.how`."""
        window = self.rows.window * self.columns.window
        return f"Fourier transforms of {SIZE}x{SIZE} pixels: {4 * FREQUENCIES} multiplications in place of {self.rows.apart * self.columns.apart * window}"

    @property
    def cost(self) -> float:
        """Of an image, for each pair of channels, in multiplications of a direct sum."""
        tiles = math.prod(-(-n // axis.apart) for n, axis in zip(self.places, (self.rows, self.columns), strict=True))
        (ci, co), numbers = self.channels, 2 * FREQUENCIES
        read = numbers * (READ_COST if numbers * ci * co <= KEPT else FAR_READ_COST) / _most_tiles(3 * filled(ci), 2 * block_of(co))
        return tiles * (4 * FREQUENCIES * PRODUCT_COST + read)

    def batch_cost(self, is_gradient: bool) -> float:
        """Of a batch, whatever its size; is_gradient: to a filter."""
        return WEIGHT_COST

    @property
    def pixels(self) -> tuple[Seen, Seen]:
        return self.rows.pixels, self.columns.pixels

    @property
    def changes(self) -> tuple[Seen, Seen]:
        return self.rows.changes, self.columns.changes

    @property
    def window(self) -> tuple[int, int]:
        return self.rows.window, self.columns.window

    def tiles(self, batch: Dim) -> Tiles:
        return Tiles((self.rows.apart, self.columns.apart), batch, self.places)

    def slide(self, out: str, images: Images, filter: str, batch: Dim, co: int) -> tuple[list[Statement], Spaces]:
        """The convolution of images with a filter [height, width, channels in, channels out], and its workspaces."""
        ci, tiles, part, wide = images.channels, self.tiles(batch), block_of(co), filled(images.channels)
        group = Group(tiles, _most_tiles(3 * wide, 2 * part))
        here = var("here")
        left, products = Spectrum("tiles_in", group.most, 3, wide, here * wide, wide), Spectrum("products", group.most, 2, part, here * part, part)
        right = Spectrum(f"{out}_weights", ci, 2, part, index(ci * part), part)
        block, t = var("column_block"), var("t")
        tile = Tile(
            out=products.buffer, a=left.buffer, b=right.buffer, out_at=ZERO, a_at=ZERO, b_at=block * right.size, rows=here * 2,
            columns=index(part), outer=index(2), inner=index(ci), out_row=index(part), a_row=index(wide), a_outer=left.part_step,
            a_inner=index(1), b_unit=index(unit(F32)), b_column=index(1), b_outer=right.part_step, b_inner=index(part), accumulate=ZERO,
            dtype=F32, block=(2 * group.most, part), count=index(FREQUENCIES), out_step=index(products.step), a_step=index(left.step),
            b_step=index(right.step),
        )  # fmt: skip
        first, (height, width) = block * part, self.places
        lanes = part_of(index(co), first, part)

        def product(frequency: Expr, which: int) -> Expr:
            return Load(products.buffer, products.at(frequency, t, which) + var("lane"), F32)

        def stored(p: Expr, line: str) -> Statement:
            place = image_place(var("tile_image"), var("tile_y") + p, var("tile_x") + var("q"), height, width, co) + first + var("lane")
            store = vector("lane", lanes, Store(out, place, Load(line, var("q") * part + var("lane"), F32) * SCALE))
            return serial("q", part_of(index(width), var("tile_x"), tiles.apart[1]), store)

        rows = part_of(index(height), var("tile_y"), tiles.apart[0])
        back = from_frequencies("out", part, rows, product, products, products.at(0, t, 0), stored)
        body = (
            Let(here.name, group.here), left.space, group.over(*of_images(Channels.all_of(images), tiles, self.pixels, left, t)),
            serial(block.name, blocks(co, part), products.space, tile, group.over(*back)),
        )  # fmt: skip
        space = (right.buffer, F32, -(-co // part) * right.size)
        return [_weights(right, filter, self.window, co), Barrier(), over((("group", extent(group.count)),), body)], [space]

    def filter_gradient(self, out: str, images: Images, changes: Images, batch: Dim) -> tuple[list[Statement], Spaces]:
        """The gradient to the filter; changes: the cotangent, as images. Chunks of the batch in parallel, and blocks of channels out."""
        ci, co, tiles, part, wide = images.channels, changes.channels, self.tiles(batch), block_of(changes.channels), filled(images.channels)
        most = _most_tiles(3 * wide, 2 * part)
        left, right = Spectrum("tiles_in", most, 3, wide, index(wide), 3 * wide), Spectrum("tiles_ct", most, 2, part, index(part), 2 * part)
        sums, chunks = Spectrum(f"{out}_sums", wide, 2, part, index(wide * part), part), _chunks(co)
        chunk, block, t = var("chunk"), var("column_block"), var("t")
        total, begin = extent(tiles.count), var("begin")
        here = smaller(var("end") - begin, most)
        tile = Tile(
            out=sums.buffer, a=left.buffer, b=right.buffer, out_at=(chunk * -(-co // part) + block) * sums.size, a_at=ZERO, b_at=ZERO,
            rows=index(2 * wide), columns=index(part), outer=index(2), inner=here, out_row=index(part), a_row=index(1), a_outer=index(wide),
            a_inner=index(3 * wide), b_unit=index(unit(F32)), b_column=index(1), b_outer=index(part), b_inner=index(2 * part),
            accumulate=select(var("group") > 0, index(1), ZERO), dtype=F32, block=(2 * wide, part), count=index(FREQUENCIES),
            out_step=index(sums.step), a_step=index(left.step), b_step=index(right.step),
        )  # fmt: skip
        cotangents = Channels(changes, block * part, part_of(index(co), block * part, part), part)
        place = tiles.places_of(begin + t)
        each = (
            Let("begin", var("start") + var("group") * most),
            serial(t.name, here, *place, *of_images(Channels.all_of(images), tiles, self.pixels, left, t)),
            serial(t.name, here, *place, *of_images(cotangents, tiles, self.changes, right, t)), tile,
        )  # fmt: skip
        groups = larger((var("end") - var("start") + (most - 1)) // most, 1)  # without any tile the sums are zero
        body = (
            Let("start", chunk * total // chunks), Let("end", (chunk + 1) * total // chunks), left.space, right.space, serial("group", groups, *each),
        )  # fmt: skip
        grid = (("chunk", index(chunks)), (block.name, blocks(co, part)))
        space = (sums.buffer, F32, chunks * -(-co // part) * sums.size)
        return [over(grid, body), Barrier(), self._weights_back(out, sums, ci, co)], [space]

    def _weights_back(self, out: str, sums: Spectrum, ci: int, co: int) -> For:
        """`out[row, column, channel in, channel out]` from what the chunks summed up."""
        part, block, c = sums.channels, var("column_block"), var("c")
        chunk, first = -(-co // part) * sums.size, block * part

        def summed(frequency: Expr, which: int) -> Expr:
            place = block * sums.size + sums.at(frequency, c, which) + var("lane")
            total: Expr = Load(sums.buffer, place, F32)
            for number in range(1, _chunks(co)):
                total = total + Load(sums.buffer, place + number * chunk, F32)
            return total

        def stored(p: Expr, line: str) -> Statement:
            place = ((p * self.window[1] + var("q")) * ci + c) * co + first + var("lane")
            store = vector("lane", part_of(index(co), first, part), Store(out, place, Load(line, var("q") * part + var("lane"), F32) * SCALE))
            return serial("q", index(self.window[1]), store)

        body = from_frequencies("w", part, index(self.window[0]), summed, None, ZERO, stored)
        return over(((c.name, index(ci)), (block.name, blocks(co, part))), body)


def _weights(target: Spectrum, filter: str, window: tuple[int, int], co: int) -> For:
    """A parallel loop that transforms weights, a channel in and a block of channels out at a time."""
    ci, most, c, block = target.tiles, target.channels, var("c"), var("column_block")
    first = block * most

    def row(i: Expr) -> tuple[list[Let], Rows]:
        return [], Rows(filter, (i * (window[1] * ci) + c) * co + first, index(ci * co), ZERO, index(window[1]))

    lanes, at = part_of(index(co), first, most), block * target.size + target.at(0, c, 0)
    made = to_frequencies("w", Seen(0, window[0]), row, lanes, most, co % most == 0, target, at)
    return over(((c.name, index(ci)), (block.name, blocks(co, most))), made)


class Group:
    """Tiles that a thread takes through all steps, so that they stay in its caches: `most` at the most, fewer of a small batch."""

    def __init__(self, tiles: Tiles, most: int) -> None:
        self.tiles, self.most = tiles, most
        self.size, self.count = divided(tiles.count, most, FEWEST_GROUPS)
        self.first = var("group") * extent(self.size)
        self.here = part_of(extent(tiles.count), self.first, self.size)

    def over(self, *body: Statement) -> For:
        """A loop over the group's tiles `t`."""
        return serial("t", self.here, *self.tiles.places_of(self.first + var("t")), *body)


def _chunks(co: int) -> int:
    """Of the batch."""
    return max(1, PIECES // -(-co // block_of(co)))


def _most_tiles(*numbers: int) -> int:
    """Tiles of a group that leave room for so many numbers of each frequency of a tile."""
    return max(1, min(MOST_TILES, SPACE // (FREQUENCIES * sum(numbers))))


__all__ = ["Circle", "Fourier"]
