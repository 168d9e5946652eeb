"""Convolution by Fourier transforms: tiles of 16 x 16 pixels become frequencies, and at each of them channels are multiplied by a matrix.

    y = F^-1 [ F d * conj(F w) ]        d: 16 x 16 pixels, w: the window's weights with zeros after them; * sums over channels

A window slides around a circle of pixels, and that is a product at every frequency (T. Stockham, "High-speed convolution and correlation",
1966). What comes round an image that fits into a tile is its padding; of larger images tiles overlap. Pixels are real, so half of the
frequencies say all: 130 complex products, where a window of 5 x 5 on 14 x 14 places takes 4900 multiplications. The gradient to the filter is the
same with the cotangent in the window's place, summed over tiles. Sums round no more than those of a direct convolution.

A thread takes a group of tiles through all steps, so that what lies between them stays in its caches; the filter's frequencies, which all
groups read, are the only ones in memory. One `Tile` multiplies both parts of a frequency, [re im] @ [[re, -im], [im, re]]:

    tiles_in[frequency, tile, part, channel in] @ weights[frequency, channel in, (imaginary, real, -imaginary), channel out]
                                                                              real times the last two, imaginary times the first two
"""

from __future__ import annotations

import math

from flowc.ir.dims import Dim, ceildiv, floordiv, maximum, minimum
from flowc.ir.loops import Alloc, Barrier, Expr, For, Let, Load, Statement, Store, Tile, extent, index, select
from flowc.ir.types import F32
from flowc.ops.frequencies import CHANNELS, CONJUGATE, FREQUENCIES, PLAIN, SIZE, Parts, Seen, Seens, from_frequencies, to_frequencies
from flowc.ops.image_tiles import Channels, Images, Spaces, Tiles, pitch
from flowc.ops.tiles import ZERO, blocks, larger, over, part_of, serial, smaller, unit, var, vector
from flowc.ops.windows import WindowAxis, image_place, known
from flowc.structs import Struct

SPACE = 1 << 18  # elements of a group's tiles and products: 1 MB, the second cache of many machines
MOST_TILES, FEWEST_GROUPS = 12, 4  # of a group; groups of a batch, if it has so many tiles
MOST_CHANNELS = 512  # of which two tiles are still in `SPACE`
CHUNKS = 4  # of a batch, whose gradients to the filter are summed apart, whatever the number of threads
# What takes as long as how many multiplications of a direct sum, for each pair of channels: measured with 32 to 256 channels (Zen 5, 2 threads).
PRODUCT_COST = 1.3  # a multiplication at a frequency, with its share of the transforms
READ_COST, FAR_READ_COST = 12, 28  # a number of the transformed filter, which each group of tiles reads; where all are more than the last cache keeps
KEPT = 1 << 21  # numbers that it does: 8 MB
WEIGHT_COST = 15_000  # a weight's transform


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
        (ci, co), numbers = self.channels, 3 * FREQUENCIES
        read = numbers * (READ_COST if numbers * ci * co <= KEPT else FAR_READ_COST) / _most_tiles(2 * ci, 2 * _part(co))
        return tiles * (4 * FREQUENCIES * PRODUCT_COST + read)

    def least_images(self, direct: int) -> int:
        """The smallest batch for which it pays; direct: multiplications of a direct sum, for each image and pair of channels."""
        return max(math.ceil(WEIGHT_COST / (direct - self.cost)), 1) if direct > self.cost else 1

    @property
    def pixels(self) -> Seens:
        return self.rows.pixels, self.columns.pixels

    @property
    def changes(self) -> Seens:
        return self.rows.changes, self.columns.changes

    @property
    def window(self) -> tuple[int, int]:
        return self.rows.window, self.columns.window

    def tiles(self, batch: Dim) -> Tiles:
        return Tiles((self.rows.apart, self.columns.apart), batch, self.places)

    def slide(self, out: str, images: Images, filter: str, batch: Dim, co: int) -> tuple[list[Statement], Spaces]:
        """The convolution of images with a filter [height, width, channels in, channels out], and its workspaces."""
        ci, tiles, part = images.channels, self.tiles(batch), _part(co)
        group = Group(tiles, _most_tiles(2 * ci, 2 * part))
        left, products = Spectrum("tiles_in", group.most, 2, ci), Spectrum("products", group.most, 2, part)
        right = Spectrum(f"{out}_weights", ci, 3, part)
        block, t = var("column_block"), var("t")
        tile = Tile(
            out=products.buffer, a=left.buffer, b=right.buffer, out_at=ZERO, a_at=ZERO, b_at=block * right.size + part,
            rows=group.here, columns=index(2 * part), outer=index(2), inner=index(ci), out_row=index(2 * part), a_row=index(2 * ci), a_outer=index(ci),
            a_inner=index(1), b_unit=index(unit(F32)), b_column=index(1), b_outer=index(-part), b_inner=index(3 * part), accumulate=ZERO,
            dtype=F32, block=(group.most, 2 * part), count=index(FREQUENCIES), out_step=index(products.step), a_step=index(left.step),
            b_step=index(right.step),
        )  # fmt: skip
        body = (
            left.space, group.over(*left.of_images(Channels.all_of(images), tiles, self.pixels, PLAIN, t, "in")),
            serial(block.name, blocks(co, part), products.space, tile, group.over(*self._back(out, products, tiles, t, block * part, co))),
        )  # fmt: skip
        space = (right.buffer, F32, -(-co // part) * right.size)
        return [right.of_filter(filter, self.window, co), Barrier(), over((("group", extent(group.count)),), body)], [space]

    def _back(self, out: str, products: Spectrum, tiles: Tiles, tile: Expr, first: Expr, co: int) -> list[Statement]:
        """The places of a tile that lie in the image, from their frequencies: for channels from `first` on."""
        most, (height, width), (rows, columns) = products.channels, self.places, tiles.apart
        lanes = part_of(index(co), first, most)

        def frequency(f: Expr, part: int) -> Expr:
            return Load(products.buffer, products.at(f, tile, part) + var("out_lane"), F32)

        def kept(q: int, x: Expr) -> Store:
            return Store("row_out", var("out_lane") + q * most, x)

        y, x = var("tile_y") + var("p"), var("tile_x") + var("q")
        place = image_place(var("tile_image"), y, x, height, width, co) + first + var("lane")
        stored = vector("lane", lanes, Store(out, place, Load("row_out", var("q") * most + var("lane"), F32)))
        spaces, down, along = from_frequencies("out", lanes, most, tiles.apart, frequency, var("p"), kept)
        each = serial("p", part_of(index(height), var("tile_y"), rows), along, serial("q", part_of(index(width), var("tile_x"), columns), stored))
        return [*spaces, Alloc("row_out", F32, size=columns * most), *down, each]

    def filter_gradient(self, out: str, images: Images, changes: Images, batch: Dim) -> tuple[list[Statement], Spaces]:
        """The gradient to the filter; changes: the cotangent, as images. Chunks of the batch in parallel, and blocks of channels out."""
        ci, co, tiles, part = images.channels, changes.channels, self.tiles(batch), _part(changes.channels)
        most = _most_tiles(2 * ci, 3 * part)
        left, right = Spectrum("tiles_in", most, 2, ci), Spectrum("tiles_ct", most, 3, part)
        sums = Spectrum(f"{out}_sums", ci, 2, part)
        chunk, block, t = var("chunk"), var("column_block"), var("t")
        total, begin = extent(tiles.count), var("begin")
        here = smaller(var("end") - begin, most)
        own = (chunk * -(-co // part) + block) * sums.size
        tile = Tile(
            out=sums.buffer, a=left.buffer, b=right.buffer, out_at=own, a_at=ZERO, b_at=index(part), rows=index(ci), columns=index(2 * part),
            outer=index(2), inner=here, out_row=index(2 * part), a_row=index(1), a_outer=index(ci), a_inner=index(2 * ci), b_unit=index(unit(F32)),
            b_column=index(1), b_outer=index(-part), b_inner=index(3 * part), accumulate=select(var("group") > 0, index(1), ZERO), dtype=F32,
            block=(ci, 2 * part), count=index(FREQUENCIES), out_step=index(sums.step), a_step=index(left.step), b_step=index(right.step),
        )  # fmt: skip
        channels = Channels(changes, block * part, part_of(index(co), block * part, part), part)
        place = tiles.places_of(begin + t)
        each = (
            Let("begin", var("start") + var("group") * most),
            serial(t.name, here, *place, *left.of_images(Channels.all_of(images), tiles, self.pixels, PLAIN, t, "in")),
            serial(t.name, here, *place, *right.of_images(channels, tiles, self.changes, CONJUGATE, t, "ct")), tile,
        )  # fmt: skip
        groups = larger((var("end") - var("start") + (most - 1)) // most, 1)  # without any tile the sums are zero
        body = (
            Let("start", chunk * total // CHUNKS), Let("end", (chunk + 1) * total // CHUNKS), left.space, right.space, serial("group", groups, *each),
        )  # fmt: skip
        grid = (("chunk", index(CHUNKS)), (block.name, blocks(co, part)))
        space = (sums.buffer, F32, CHUNKS * -(-co // part) * sums.size)
        return [over(grid, body), Barrier(), self._weights_back(out, sums, ci, co)], [space]

    def _weights_back(self, out: str, sums: Spectrum, ci: int, co: int) -> For:
        width, part = unit(F32), sums.channels
        first = var("panel") * width
        lanes = part_of(index(co), first, width)
        block, chunk = first // part, -(-co // part) * sums.size

        def frequency(f: Expr, which: int) -> Expr:
            place = block * sums.size + sums.at(f, var("c"), which) + first % part + var("w_lane")
            total: Expr = Load(sums.buffer, place, F32)
            for number in range(1, CHUNKS):
                total = total + Load(sums.buffer, place + number * chunk, F32)
            return total

        def stored(q: int, x: Expr) -> Store:
            return Store(out, ((var("p") * self.window[1] + q) * ci + var("c")) * co + first + var("w_lane"), x * (1 / SIZE**2))

        spaces, down, along = from_frequencies("w", lanes, width, self.window, frequency, var("p"), stored)
        return over((("c", index(ci)), ("panel", blocks(co, width))), (*spaces, *down, serial("p", index(self.window[0]), along)))


class Group:
    """Tiles that a thread takes through all steps, so that they stay in its caches: `most` at the most, fewer of a small batch."""

    def __init__(self, tiles: Tiles, most: int) -> None:
        self.tiles, self.most = tiles, most
        self.size = minimum(self.most, maximum(ceildiv(tiles.count, FEWEST_GROUPS), 1))
        self.count = floordiv(tiles.count + self.size - 1, self.size)
        self.first = var("group") * extent(self.size)
        self.here = smaller(extent(tiles.count) - self.first, extent(self.size))

    def over(self, *body: Statement) -> For:
        """A loop over the group's tiles `t`."""
        return serial("t", self.here, *self.tiles.places_of(self.first + var("t")), *body)


def _most_tiles(*numbers: int) -> int:
    """Tiles of a group that leave room for so many numbers of each frequency of a tile."""
    return max(1, min(MOST_TILES, SPACE // (FREQUENCIES * sum(numbers))))


def _part(channels: int) -> int:
    """Channels out in a block: a multiple of a panel's."""
    panels = -(-channels // unit(F32))
    most = CHANNELS // unit(F32)
    return -(-panels // -(-panels // most)) * unit(F32)


# frequencies in memory


class Spectrum(Struct):
    """`buffer[frequency, tile, part, channel]` of so many tiles."""

    buffer: str
    tiles: int
    parts: int
    channels: int

    @property
    def step(self) -> int:
        """From one frequency to the next."""
        return pitch(self.tiles * self.parts * self.channels)

    @property
    def size(self) -> int:
        return self.step * FREQUENCIES

    @property
    def space(self) -> Alloc:
        return Alloc(self.buffer, F32, size=self.size)

    def at(self, frequency: Expr, tile: Expr, part: int) -> Expr:
        return frequency * self.step + tile * (self.parts * self.channels) + part * self.channels

    def of_images(self, source: Channels, tiles: Tiles, seen: Seens, parts: Parts, tile: Expr, name: str) -> list[Statement]:
        """Transforms a tile, whose place has names; `tile`: its number here."""
        images, most = source.images, min(source.most, CHANNELS)
        rows, columns = seen
        block, lane, row = var(f"{name}_block"), var(f"{name}_lane"), var(f"{name}_row")
        first = block * most if source.most > most else ZERO
        lanes = part_of(source.count, first, most) if source.most > most else source.count
        spaces: list[Statement] = []
        ready: list[Statement] = []
        begins = [s.first - b for s, b in zip(seen, images.before, strict=True)]
        if tiles.each == 1 and all(n >= 0 and n + s.count <= extent for n, s, extent in zip(begins, seen, images.extents, strict=True)):
            y = row + begins[0]

            def pixel(column: int) -> Expr:
                x = index(column - images.before[1])
                return Load(images.buffer, image_place(var("tile_image"), y, x, *images.extents, images.channels) + source.first + first + lane, F32)
        else:
            line = f"{name}_line"
            spaces.append(Alloc(line, F32, size=SIZE * most))
            part = Channels(images, source.first + first, lanes, most)
            ready.append(tiles.framed(part, line, row + rows.first, columns.first + columns.count, name))

            def pixel(column: int) -> Expr:
                return Load(line, index(column * most) + lane, F32)

        def stored(f: Expr, which: int, x: Expr) -> Store:
            return Store(self.buffer, self.at(f, tile, which) + first + lane, x)

        is_cut = images.channels % self.channels != 0
        made = to_frequencies(name, lanes, most, seen, pixel, parts, stored, ready, is_cut)
        return [*spaces, serial(block.name, index(-(-source.most // most)), *made)] if source.most > most else [*spaces, *made]

    def of_filter(self, filter: str, window: tuple[int, int], co: int) -> For:
        """A parallel loop over channels in, and blocks of channels out, that transforms their weights: `buffer[block, frequency, channel in, part, ...]`."""
        most, lane, block = self.channels, var("w_lane"), var("column_block")
        first = block * most

        def weight(column: int) -> Expr:
            place = ((var("w_row") * window[1] + column) * self.tiles + var("c")) * co + first
            return Load(filter, place + lane, F32) * (1 / SIZE**2)

        def stored(f: Expr, which: int, x: Expr) -> Store:
            return Store(self.buffer, block * self.size + self.at(f, var("c"), which) + lane, x)

        seen = Seen(0, window[0]), Seen(0, window[1])
        made = to_frequencies("w", part_of(index(co), first, most), most, seen, weight, CONJUGATE, stored, (), co % most != 0)
        return over((("c", index(self.tiles)), (block.name, blocks(co, most))), made)


__all__ = ["Circle", "Fourier"]
