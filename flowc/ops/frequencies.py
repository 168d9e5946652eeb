"""Tiles of 16 x 16 pixels to frequencies and back, as loops of `Transform`s: along the rows, then along the columns, many channels at a time.

    for row: fourier_real(out=bins, a=image)             # bins[row, part, column]: columns 0 to 8 say all of a row of real numbers
    for column: fourier_complex(out=spectrum, a=bins)    # spectrum[frequency, tile, part, channel]

Of the frequencies of real numbers half are the conjugates of others: so only 9 columns are kept, and of columns 0 and 8, which are real themselves,
9 frequencies: 130 in all. Channels are filled up with zeros to a multiple of 16, which is what transforms take.
"""

from __future__ import annotations

from collections.abc import Callable

from flowc.ir.loops import Alloc, Expr, Let, Load, Operand, Statement, Store, Transform, Var, index, lift, select
from flowc.ir.primitives import KEPT, TRANSFORMED
from flowc.ir.types import F32, I64
from flowc.ops.image_tiles import Channels, Tiles, pitch
from flowc.ops.tiles import ZERO, larger, part_of, serial, smaller, unit, var, vector
from flowc.ops.windows import image_place, within
from flowc.structs import Struct

SIZE = TRANSFORMED  # pixels of a tile along each axis
HALF = SIZE // 2
COLUMNS = KEPT  # of a tile's frequencies: the others are conjugates of these
FREQUENCIES = (HALF - 1) * SIZE + 2 * COLUMNS
SLACK = SIZE - COLUMNS  # frequencies behind the last: the last column is written as if all of it were needed
CHANNELS = 32  # transformed at a time: a tile's rows of so many channels stay in the first cache
SCALE = 1 / SIZE**2  # what two inverses of so many numbers leave to do


class Seen(Struct):
    """Places along an axis of a tile where there may be numbers, `count` from `first` on; all others are zero."""

    first: int
    count: int


class Spectrum(Struct):
    """`buffer[frequency, part, tile, channel]` of so many tiles (or lines of a filter) and channels, filled up: real and imaginary parts, and if
    there are three also the real ones' negatives. `part_step`: from one part to the next, where a part's tiles do not lie side by side, or are fewer."""

    buffer: str
    tiles: int
    parts: int
    channels: int
    part_step: Expr
    tile_step: int

    @property
    def step(self) -> int:
        """From one frequency to the next."""
        return pitch(self.tiles * self.parts * self.channels)

    @property
    def size(self) -> int:
        return self.step * (FREQUENCIES + SLACK)

    @property
    def space(self) -> Alloc:
        return Alloc(self.buffer, F32, size=self.size)

    def at(self, frequency: Operand, tile: Expr, part: int) -> Expr:
        return lift(frequency, I64) * self.step + tile * self.tile_step + self.part_step * part


def block_of(channels: int) -> int:
    """Channels of equal blocks, each at most `CHANNELS`, filled up to a multiple of 16."""
    each = -(-channels // -(-channels // CHANNELS))
    return -(-each // unit(F32)) * unit(F32)


def filled(channels: int) -> int:
    """Channels of all blocks."""
    return -(-channels // block_of(channels)) * block_of(channels)


class Rows(Struct):
    """Where a tile's rows come from: `count` numbers, `step` apart, from the place `first` of the tile on; all others are zero."""

    buffer: str
    at: Expr
    step: Expr
    first: Expr
    count: Expr


def to_frequencies(
    name: str, rows: Seen, row: Callable[[Expr], tuple[list[Let], Rows]], lanes: Expr, most: int, is_filled: bool, target: Spectrum, at: Expr
) -> list[Statement]:  # fmt: skip
    """The frequencies of a tile, in `lanes` channels of at most `most`.

    rows: those that may hold numbers; row(i): names, and where row i of these comes from; is_filled: there are `most` channels, a multiple of 16; at:
    where in `target` the tile's numbers are.
    """
    bins, line, i, column = f"{name}_bins", f"{name}_line", var(f"{name}_row"), var(f"{name}_column")
    lets, source = row(i)
    made: list[Statement] = [Alloc(bins, F32, size=rows.count * 2 * COLUMNS * most)]
    before: list[Statement] = list(lets)
    if not is_filled:
        made += [Alloc(line, F32, size=SIZE * most), vector("lane", index(SIZE * most), Store(line, var("lane"), lift(0, F32)))]
        pixel, lane = var("pixel"), var("lane")
        copied = Store(line, pixel * most + lane, Load(source.buffer, source.at + pixel * source.step + lane, F32))
        before.append(serial(pixel.name, source.count, vector(lane.name, lanes, copied)))
        source = Rows(line, ZERO, index(most), source.first, source.count)
    along = Transform(
        kind="real", out=bins, out_at=i * (2 * COLUMNS * most), out_step=index(most), out_part=index(COLUMNS * most), a=source.buffer, a_at=source.at,
        a_step=source.step, a_part=ZERO, first=source.first, count=source.count, lanes=index(most), dtype=F32,
    )  # fmt: skip
    down = Transform(
        kind="complex", out=target.buffer, out_at=at + first_of(column) * target.step, out_step=index(target.step), out_part=target.part_step,
        a=bins, a_at=column * most, a_step=index(2 * COLUMNS * most), a_part=index(COLUMNS * most),
        first=index(rows.first), count=index(rows.count), lanes=index(most), dtype=F32,
    )  # fmt: skip
    made += [serial(i.name, index(rows.count), *before, along), serial(column.name, index(COLUMNS), down)]
    if target.parts == 3:
        f, lane = var(f"{name}_frequency"), var("lane")
        real = at + f * target.step + lane
        negated = Store(target.buffer, real + target.part_step * 2, lift(0, F32) - Load(target.buffer, real, F32))
        made.append(serial(f.name, index(FREQUENCIES), vector(lane.name, index(most), negated)))
    return made


def image_rows(source: Channels, tiles: Tiles, seen: tuple[Seen, Seen], i: Expr) -> tuple[list[Let], Rows]:
    """Row i of those that are seen of a tile whose place has names (`Tiles.places_of`)."""
    images, (rows, columns) = source.images, seen
    (height, width), (above, left) = images.extents, images.before
    begins = rows.first - above, columns.first - left
    if tiles.each == 1 and all(n >= 0 and n + s.count <= extent for n, s, extent in zip(begins, seen, images.extents, strict=True)):
        place = image_place(var("tile_image"), i + begins[0], index(begins[1]), height, width, images.channels)
        return [], Rows(images.buffer, place + source.first, index(images.channels), index(columns.first), index(columns.count))
    y, first, count = var("pixel_row"), var("first_column"), var("columns")
    end = smaller(width + left - var("tile_x"), columns.first + columns.count)
    lets = [
        Let(y.name, var("tile_y") + i + begins[0]), Let(first.name, larger(left - var("tile_x"), columns.first)),
        Let(count.name, select(within(y, index(height)), larger(end - first, 0), ZERO)),
    ]  # fmt: skip
    place = image_place(var("tile_image"), y, var("tile_x") + first - left, height, width, images.channels)
    return lets, Rows(images.buffer, place + source.first, index(images.channels), first, count)


def of_images(source: Channels, tiles: Tiles, seen: tuple[Seen, Seen], target: Spectrum, tile: Expr) -> list[Statement]:
    """Transforms a tile, whose place has names, into `target`, where its number is `tile`: `CHANNELS` at a time."""
    name, most = target.buffer, block_of(source.most)
    block = var(f"{name}_block")
    first = block * most
    lanes = part_of(source.count, first, most)
    part = Channels(source.images, source.first + first, lanes, most)
    is_filled = source.most % most == 0 and source.images.channels % most == 0
    made = to_frequencies(name, seen[0], lambda i: image_rows(part, tiles, seen, i), lanes, most, is_filled, target, target.at(0, tile, 0) + first)
    return [serial(block.name, index(-(-source.most // most)), *made)]


def from_frequencies(
    name: str, most: int, rows: Expr, value: Callable[[Expr, int], Expr], source: Spectrum | None, at: Expr, stored: Callable[[Expr, str], Statement]
) -> list[Statement]:  # fmt: skip
    """The inverse, times 16 * 16, of `rows` rows from the first on.

    value(frequency, part): the number there of lane `lane`; source, at: the spectrum that holds these, and where a tile's begin, or None where a number
    has to be computed; stored(row, line): puts a row's numbers, `line[column, lane]`, where they belong.
    """
    bins, found, line = f"{name}_bins", f"{name}_found", f"{name}_line"
    column, k, lane, p = var(f"{name}_column"), var(f"{name}_k"), var("lane"), var("p")

    def down(column: Expr, a: str, at: Expr, step: int, part: Expr) -> Transform:
        """With parts exchanged, and so backwards."""
        return Transform(
            kind="complex", out=bins, out_at=column * most + COLUMNS * most, out_step=index(2 * COLUMNS * most), out_part=index(-COLUMNS * most), a=a,
            a_at=at + part, a_step=index(step), a_part=ZERO - part, first=ZERO, count=index(SIZE), lanes=index(most), dtype=F32,
        )  # fmt: skip

    def copied(column: Expr, is_mirrored: Expr) -> list[Statement]:
        """All frequencies of a column in `found[k, part, lane]`, the mirrored ones as conjugates of the others; then its inverse."""
        lets = [
            Let("frequency", first_of(column) + select(is_mirrored, SIZE - k, k)), Let("sign", select(is_mirrored, lift(-1, F32), lift(1, F32))),
        ]  # fmt: skip
        parts = value(var("frequency"), 0), value(var("frequency"), 1) * Var("sign", F32)
        copies = [vector(lane.name, index(most), Store(found, (k * 2 + part) * most + lane, x)) for part, x in enumerate(parts)]
        return [serial(k.name, index(SIZE), *lets, *copies), down(column, found, ZERO, 2 * most, index(most))]

    edge = var(f"{name}_edge")
    made: list[Statement] = [
        Alloc(bins, F32, size=SIZE * 2 * COLUMNS * most), Alloc(found, F32, size=SIZE * 2 * most), Alloc(line, F32, size=SIZE * most),
    ]  # fmt: skip
    if source is None:
        made.append(serial(column.name, index(COLUMNS), *copied(column, (column % HALF).eq(0) & (k > HALF))))
    else:
        inner = down(column + 1, source.buffer, at + first_of(column + 1) * source.step, source.step, source.part_step)
        made += [serial(column.name, index(HALF - 1), inner), serial(edge.name, index(2), *copied(edge * HALF, k > HALF))]
    along = Transform(
        kind="to_real", out=line, out_at=ZERO, out_step=index(most), out_part=ZERO, a=bins, a_at=p * (2 * COLUMNS * most), a_step=index(most),
        a_part=index(COLUMNS * most), first=ZERO, count=index(COLUMNS), lanes=index(most), dtype=F32,
    )  # fmt: skip
    return [*made, serial(p.name, rows, along, stored(p, line))]


def first_of(column: Expr) -> Expr:
    """The first frequency of a column: 0, 9, 25, ..., 121."""
    return larger(column * SIZE - (SIZE - COLUMNS), 0)


__all__ = [
    "FREQUENCIES", "SCALE", "SIZE", "Rows", "Seen", "Spectrum", "block_of", "filled", "from_frequencies", "of_images", "to_frequencies",
]  # fmt: skip
