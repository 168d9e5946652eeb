"""Convolution with fewer multiplications: tiles of the image and the filter are transformed, multiplied element by element, and transformed back.

    y = A^T [ (G w G^T) * (B^T d B) ] A         d: n x n pixels, w: r x r weights, y: m x m results, n = m + r - 1

Winograd's minimal filtering F(m x m, r x r) (S. Winograd, "Arithmetic Complexity of Computations", 1980; A. Lavin and S. Gray, "Fast
Algorithms for Convolutional Neural Networks", 2015): n*n multiplications for m*m results in place of m*m*r*r. Summed over channels, each of
the n*n elements is a matrix product over tiles, so register tiles do the work. The gradient to the filter is the same with another split:
dw = G^T [ (B^T d B) * (A dy A^T) ] G, summed over tiles.

The matrices are Toom and Cook's for the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity, found in exact fractions. A product through them
rounds more than a direct sum: `FORMS` holds the sizes whose largest error stays within 1e-5 of the largest result, up to a number of
channels (tests/ops/test_winograd.py measures it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from flowc.ir.dims import Dim, ceildiv, minimum
from flowc.ir.loops import Alloc, Barrier, Expr, If, Let, Load, Statement, Store, Tile, Var, extent, index, lift, select
from flowc.ir.types import F32, DType
from flowc.ops.image_tiles import Channels, Images, Spaces, Tiles, pitch
from flowc.ops.tiles import ZERO, over, part_of, serial, unit, var, vector
from flowc.ops.windows import image_place, within
from flowc.structs import Struct

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS = tuple(Fraction(p) for p in ("0", "1", "-1", "2", "-2", "1/2", "-1/2"))
FORMS = {5: ((4, 64),), 3: ((4, 128),)}  # filter size -> (results in a row of a tile, channels summed over up to which its error is small)
ASKED = {5: 4, 3: 6}  # the same where FLOWC_CONVOLUTION=winograd asks for it, whatever the channels
CHANNELS_OUT = 32  # of a gradient to the filter, at a time
SPACE = 49152  # elements of each thread's transformed tiles: 192 KB, so that they stay in the second cache
# What takes as long as how many multiplications of a direct sum, for each pair of channels: measured with 16 to 256 channels (Zen 5, 2 threads).
PRODUCT_COST = 1.8  # a multiplication of tiles, with its share of the transforms
WEIGHT_COST, GRADIENT_COST = 10_000, 25_000  # a weight's transform; its gradient's chunks, written, read, added up and transformed back
PIECES = 16  # of a gradient to the filter, whatever the number of threads: blocks of channels out, and chunks of the tiles that are summed apart
FEWEST_BLOCKS, LEAST_TILES = 4, 4  # of a small batch: one block would leave all threads idle but one, and each reads all weights


class Form(Struct):
    """F(m x m, r x r): its matrices act on the left of a column. `back` is A^T [m, n], `filter` G [n, r], `data` B^T [n, n]."""

    m: int
    r: int
    back: Matrix
    filter: Matrix
    data: Matrix

    @property
    def n(self) -> int:
        return self.m + self.r - 1


@cache
def form(m: int, r: int) -> Form:
    """The matrices of F(m, r) by Toom and Cook: polynomials at m + r - 2 points and infinity."""
    n = m + r - 1
    points = POINTS[: n - 1]
    back = tuple((*(p**i for p in points), Fraction(int(i == m - 1))) for i in range(m))
    filter_rows = []
    data_rows = []
    for j, p in enumerate(points):
        others = [q for i, q in enumerate(points) if i != j]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        filter_rows.append(tuple(p**i / scale for i in range(r)))
        data_rows.append((*_polynomial(others), Fraction(0)))
    filter_rows.append((*(Fraction(0),) * (r - 1), Fraction(1)))
    data_rows.append(_polynomial(points))
    return Form(m, r, back, tuple(filter_rows), tuple(data_rows))


def _polynomial(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Coefficients, the constant first, of the product of (x - root)."""
    found = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *found], [*(root * c for c in found), Fraction(0)]
        found = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(found)


def form_of(window: tuple[int, int], summed: Dim | None, whatever: bool) -> Form | None:
    """The form for a window, None where there is none. `summed`: channels that a sum runs over, None where it runs over places; whatever: also
    where so many of them make its error large."""
    r = window[0]
    if r != window[1] or r not in FORMS:
        return None
    if whatever:
        return form(ASKED[r], r)
    return next((form(m, r) for m, most in FORMS[r] if summed is None or (isinstance(summed, int) and summed <= most)), None)


# linear combinations as statements


def combine(matrix: Matrix, values: Sequence[Expr], name: str) -> tuple[list[Statement], list[Expr]]:
    """The rows of `matrix` times `values`; what rows share is computed once, in `Let`s named after `name`.

    The points come in pairs p and -p. So two columns that differ by signs alone become a sum and a difference of their values, and of two
    rows that do, one is the sum of an even and an odd part and the other their difference.
    """
    made: list[Statement] = []

    def named(value: Expr) -> Expr:
        made.append(Let(f"{name}{len(made)}", value))
        return Var(f"{name}{len(made) - 1}", value.dtype)

    columns = [[row[j] for row in matrix] for j in range(len(values))]
    terms: list[tuple[list[Fraction], Expr]] = []
    waiting = list(range(len(values)))
    while waiting:
        j = waiting.pop(0)
        other = next((k for k in waiting if _differ_by_signs(columns[j], columns[k])), None)
        if other is None:
            terms.append((columns[j], values[j]))
            continue
        waiting.remove(other)
        same = [c if c == d else Fraction(0) for c, d in zip(columns[j], columns[other], strict=True)]
        opposite = [c if c != d else Fraction(0) for c, d in zip(columns[j], columns[other], strict=True)]
        terms += [(same, named(values[j] + values[other])), (opposite, named(values[j] - values[other]))]
    rows: list[list[tuple[Fraction, Expr]]] = [[(column[i], x) for column, x in terms if column[i]] for i in range(len(matrix))]
    results: list[Expr | None] = [None] * len(rows)
    for i, row in enumerate(rows):
        if results[i] is not None:
            continue
        twin = next((k for k in range(i + 1, len(rows)) if _are_twins(row, rows[k])), None)
        if twin is None:
            results[i] = named(_sum(row))
            continue
        signs = {id(x): c for c, x in rows[twin]}
        even = named(_sum([(c, x) for c, x in row if signs[id(x)] == c]))
        odd = named(_sum([(c, x) for c, x in row if signs[id(x)] != c]))
        results[i], results[twin] = named(even + odd), named(even - odd)
    return made, [r for r in results if r is not None]


def _differ_by_signs(x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
    """Whether two columns pair: equal magnitudes, some entries equal and some opposite."""
    if any(abs(a) != abs(b) for a, b in zip(x, y, strict=True)):
        return False
    signs = {a == b for a, b in zip(x, y, strict=True) if a}
    return signs == {True, False}


def _are_twins(row: Sequence[tuple[Fraction, Expr]], other: Sequence[tuple[Fraction, Expr]]) -> bool:
    """Whether two rows are an even and an odd part, added and subtracted."""
    if [id(x) for _, x in row] != [id(x) for _, x in other] or any(abs(a) != abs(b) for (a, _), (b, _) in zip(row, other, strict=True)):
        return False
    return {a == b for (a, _), (b, _) in zip(row, other, strict=True)} == {True, False} and len(row) > 2


def _sum(terms: Sequence[tuple[Fraction, Expr]]) -> Expr:
    """The sum of coefficient times value, those of 1 first: no product is made for them."""
    total: Expr | None = None
    for c, x in sorted(terms, key=lambda term: abs(term[0]) != 1):
        if total is None:
            total = x if c == 1 else x * float(c)
        elif c == -1:
            total = total - x
        else:
            total = total + (x if c == 1 else x * float(c))
    assert total is not None, "every row of these matrices has an entry"
    return total


def transform(
    matrix: Matrix, source: tuple[str, Expr, Expr], target: tuple[str, Expr, Expr], lanes: Expr, lane: str, dtype: DType
) -> Statement:  # fmt: skip
    """`target[i] = sum over j of matrix[i, j] * source[j]`, for `lanes` neighbours at once: (buffer, where it begins, from one to the next)."""
    buffer, start, step = source
    loads = [Let(f"{lane}_in{j}", Load(buffer, start + index(j) * step + var(lane), dtype)) for j in range(len(matrix[0]))]
    made, results = combine(matrix, [Var(let.name, dtype) for let in loads], f"{lane}_t")
    out, begin, apart = target
    stores = [Store(out, begin + index(i) * apart + var(lane), value) for i, value in enumerate(results)]
    return vector(lane, lanes, *loads, *made, *stores)


def transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


# loops


class Blocks(Tiles):
    """Tiles in blocks of `most`: a block's transformed elements stay in the second cache."""

    def __init__(self, f: Form, batch: Dim, places: tuple[int, int], most: int) -> None:
        super().__init__((f.m, f.m), batch, places)
        self.most = most
        if isinstance(self.count, int):
            self.most = min(most, max(LEAST_TILES, -(-self.count // FEWEST_BLOCKS)))
        self.blocks = ceildiv(self.count, self.most)

    def here(self, block: Expr) -> Expr:
        """Tiles in a block."""
        return part_of(extent(self.count), block * self.most, self.most)

    def places_in(self, block: Expr) -> list[Statement]:
        """`places_of` the block's tile `t`."""
        return self.places_of(block * self.most + var("t"))

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

    def transformed(self, matrix: Matrix, source: Channels, target: str, block: Expr, name: str) -> tuple[list[Alloc], Statement]:
        """`target[i, j][t] = matrix [tile t] matrix^T` for some channels: first along the rows of a tile, then along its columns."""
        n, size = len(matrix), len(matrix[0])
        scratch, wide = f"{name}_rows", index(source.most)
        row, column = var(f"{name}_row"), var(f"{name}_column")
        spaces = [Alloc(scratch, F32, size=size * n * source.most), Alloc(target, F32, size=n * n * pitch(self.most * source.most))]
        ready: tuple[Statement, ...] = ()
        if self.are_inside(source.images, size):
            images = source.images
            pixels = (images.buffer, image_place(var("tile_image"), var("tile_y") + row, var("tile_x"), *images.extents, images.channels) + source.first,
                      index(images.channels))  # fmt: skip
        else:
            line = f"{name}_line"
            spaces.append(Alloc(line, F32, size=size * source.most))
            ready, pixels = (self.framed(source, line, row, size, name),), (line, ZERO, wide)
        along = transform(matrix, pixels, (scratch, row * (n * source.most), wide), source.count, f"{name}_a", F32)
        step = pitch(self.most * source.most)
        elements = (target, column * step + var("t") * wide, index(n * step))
        down = transform(matrix, (scratch, column * wide, index(n * source.most)), elements, source.count, f"{name}_b", F32)
        loops = (serial(row.name, index(size), *ready, along), serial(column.name, index(n), down))
        return spaces, serial("t", self.here(block), *self.places_in(block), *loops)


class Winograd(Struct):
    """Convolutions by the tiles of a form: how many places, rows and columns, an image has."""

    form: Form
    places: tuple[int, int]

    @property
    def how(self) -> str:
        """The method in words, for `NestPlan.how`."""
        f, count = self.form, self.form.n**2
        return f"Winograd's F({f.m}x{f.m}, {f.r}x{f.r}): {count} products of tiles, {count} multiplications in place of {(f.m * f.r) ** 2}"

    @property
    def cost(self) -> float:
        """Of an image, for each pair of channels, in multiplications of a direct sum."""
        return PRODUCT_COST * math.prod(-(-n // self.form.m) for n in self.places) * self.form.n**2

    def batch_cost(self, is_gradient: bool) -> float:
        """Of a batch, whatever its size; is_gradient: to a filter."""
        return GRADIENT_COST if is_gradient else WEIGHT_COST

    def slide(self, out: str, images: Images, filter: str, batch: Dim, co: int) -> tuple[list[Statement], Spaces]:
        """The convolution of images with a filter [r, r, channels in, channels out], and its workspaces."""
        return slide(self.form, out, images, filter, Blocks(self.form, batch, self.places, most_tiles(self.form, images.channels)), co)

    def filter_gradient(self, out: str, images: Images, changes: Images, batch: Dim) -> tuple[list[Statement], Spaces]:
        """The gradient to the filter; changes: the cotangent, as images."""
        most = most_summed_tiles(self.form, (images.channels, changes.channels))
        return filter_gradient(self.form, out, images, changes, Blocks(self.form, batch, self.places, most))


def slide(f: Form, out: str, images: Images, filter: str, tiles: Blocks, co: int) -> tuple[list[Statement], Spaces]:
    """The convolution of images with a filter [r, r, channels in, channels out], and its workspaces."""
    ci = images.channels
    n, m, most, width = f.n, f.m, tiles.most, unit(F32)
    weights = f"{out}_weights"
    part = max(1, min(-(-co // width), SPACE // 2 // (n * n * most * width))) * width  # channels out at a time
    block, first = var("block"), var("channel_block") * part
    columns = part_of(index(co), first, part)
    spaces, data = tiles.transformed(f.data, Channels.all_of(images), "tiles_in", block, "in")
    step = pitch(most * part)
    tile = Tile(
        out="products", a="tiles_in", b=weights, out_at=ZERO, a_at=ZERO, b_at=first * (n * n * ci), rows=tiles.here(block), columns=columns,
        outer=index(1), inner=index(ci), out_row=index(part), a_row=index(ci), a_outer=ZERO, a_inner=index(1), b_unit=index(n * n * ci * width),
        b_column=index(1), b_outer=ZERO, b_inner=index(width), accumulate=ZERO, dtype=F32, block=(most, part),
        count=index(n * n), out_step=index(step), a_step=index(pitch(most * ci)), b_step=index(ci * width),
    )  # fmt: skip
    i, q = var("i"), var("q")
    products = ("products", i * (n * step) + var("t") * part, index(step))
    along = transform(f.back, products, ("rows_out", i * (m * part), index(part)), columns, "k", F32)
    down = transform(f.back, ("rows_out", q * part, index(m * part)), ("tile_out", q * part, index(m * part)), columns, "o", F32)
    height, wide = tiles.places
    at = ((var("tile_image") * height + var("tile_y") + var("p")) * wide + var("tile_x") + var("q")) * co + first
    stored = vector("lane", columns, Store(out, at + var("lane"), Load("tile_out", (var("p") * m + var("q")) * part + var("lane"), F32)))
    back = serial(
        "t", tiles.here(block), *tiles.places_in(block), serial("i", index(n), along), serial("q", index(m), down),
        serial("p", part_of(index(height), var("tile_y"), m), serial("q", part_of(index(wide), var("tile_x"), m), stored)),
    )  # fmt: skip
    spaces += [Alloc("products", F32, size=n * n * step), Alloc("rows_out", F32, size=n * m * part), Alloc("tile_out", F32, size=m * m * part)]
    body = (*spaces, data, serial("channel_block", index(-(-co // part)), tile, back))
    statements = [_weights(f, weights, filter, ci, co), Barrier(), over((("block", extent(tiles.blocks)),), body)]
    return statements, [(weights, F32, n * n * -(-co // width) * width * ci)]


def _weights(f: Form, target: str, source: str, ci: int, co: int) -> Statement:
    """`target[panel, i, j] = G w G^T` as right operands of products, [channels in, 64 bytes of channels out]."""
    n, r, width = f.n, f.r, unit(F32)
    panels = -(-co // width)
    lanes = part_of(index(co), var("panel") * width, width)
    along = transform(
        f.filter, (source, (var("j") * ci + var("c")) * co + var("panel") * width, index(r * ci * co)),
        ("weight_rows", var("j") * width, index(r * width)), lanes, "k", F32,
    )  # fmt: skip
    place = ((var("panel") * n + var("i")) * n * ci + var("c")) * width
    down = transform(f.filter, ("weight_rows", var("i") * (r * width), index(width)), (target, place, index(ci * width)), lanes, "o", F32)
    body = (Alloc("weight_rows", F32, size=n * r * width), serial("j", index(r), along), serial("i", index(n), down))
    return over((("c", index(ci)), ("panel", index(panels))), body)


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


__all__ = ["Blocks", "Form", "Winograd", "combine", "form", "form_of", "most_tiles"]
