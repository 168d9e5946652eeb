"""What the loop nests of contractions share: blocks for register tiles, one parallel loop over several extents.

    over((("image", n), ("row", h)), body)   ->   for unit in parallel(n*h):
                                                      image = unit // h
                                                      row = unit % h
                                                      ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowc.ir.dims import Dim, ceildiv
from flowc.ir.loop_walks import used
from flowc.ir.loops import ByImage, Const, Expr, For, Let, Operand, Statement, Var, apply, extent, index, lift
from flowc.ir.types import F32, F64, I64, DType

LEAST_ROWS, MOST_ROWS, LEAST_UNITS, MOST_UNITS = 16, 128, 4, 8  # of a block: its part of the left matrix stays in the second cache, its sums in the first two
MOST_LEFT = 1 << 19  # bytes of a block's part of the left matrix, if there are many blocks: with what they read of the right one it would fill the second cache
MANY_BLOCKS = 4  # of rows: with fewer, what each reads of the right matrix is most of what there is to read
FEW_ROWS = 6  # so few rows read the right matrix once only
WIDE_UNITS = 32  # of a block with few rows: long stretches of lines, which memory gives fastest; and where its part of the left matrix is copied
ENOUGH_BLOCKS = 16  # for threads to share evenly
LEAST_WORK = 1 << 19  # products in a block, if there are so many: in smaller ones, copies and what threads get of each other's caches cost too much
SUPPOSED_ROWS = 128  # a symbolic extent, where a choice must be made before it is known
TILED = (F32, F64)
ONE_SUM = "one sum for each element"  # how plain loops are described
ZERO = index(0)
Spaces = list[tuple[str, DType, Dim]]  # workspaces: name, dtype, size


def var(name: str) -> Var:
    """An index variable."""
    return Var(name, I64)


def smaller(x: Expr, y: Operand) -> Expr:
    return apply("min", x, lift(y, x.dtype))


def part_of(total: Expr, begin: Expr, most: Dim) -> Expr:
    """How many of `total` are in the part of at most `most` that begins at a multiple of it: known where all parts are equal."""
    if isinstance(most, int) and isinstance(total, Const) and total.value and total.value % most == 0:
        return index(most)
    return smaller(total - begin, extent(most))


def larger(x: Expr, y: Operand) -> Expr:
    return apply("max", x, lift(y, x.dtype))


def unit(dtype: DType) -> int:
    """Elements in 64 bytes, the unit of a tile's columns: a cache line, and the widest vector of any machine."""
    return 64 // dtype.size


def supposed(extent: Dim) -> int:
    """An extent, or what to take a symbol for."""
    return extent if isinstance(extent, int) else SUPPOSED_ROWS


def block_shape(rows: Dim, columns: Dim, dtype: DType, count: Dim = 1, wide: bool = False, inner: Dim | None = None) -> tuple[int, int]:
    """(rows, columns) of the blocks that a product of that many rows and columns is computed in; `count`: of such products.

    wide: of a transposed left matrix, whose part is copied for each block; inner: the length of the sum. Equal parts as large as caches allow,
    and smaller ones where there would be too few for threads to share.
    """
    m, units = supposed(rows), -(-supposed(columns) // unit(dtype))
    tall, most, least = (MOST_ROWS, WIDE_UNITS, WIDE_UNITS // 2) if m <= FEW_ROWS or wide else (MOST_ROWS, MOST_UNITS, LEAST_UNITS)
    if isinstance(inner, int) and m >= MANY_BLOCKS * tall and tall * inner * dtype.size >= MOST_LEFT:
        tall //= 2
    while -(-m // tall) * -(-units // most) * supposed(count) < ENOUGH_BLOCKS and (most > least or tall > LEAST_ROWS):
        if isinstance(rows, int) and isinstance(inner, int) and min(tall, m) * min(most, units) * unit(dtype) * inner < 2 * LEAST_WORK:
            break
        if most > least:
            most //= 2
        else:
            tall //= 2
    if isinstance(rows, int):
        tall = min(rows, -(-equal_part(rows, tall) // LEAST_ROWS) * LEAST_ROWS)
    return max(tall, 1), max(equal_part(units, most), 1) * unit(dtype)


def equal_part(size: int, most: int) -> int:
    """The size of equal parts of at most `most`."""
    parts = max(-(-size // most), 1)
    return -(-size // parts)


def blocks(size: Dim, block: int) -> Expr:
    """The number of blocks that cover `size`."""
    return extent(ceildiv(size, block))


def counter(name: str, n: Expr) -> Expr:
    """The place along one extent of `over`: 0 where there is only one place."""
    return ZERO if isinstance(n, Const) and n.value == 1 else var(name)


def over(extents: Sequence[tuple[str, Expr]], body: Sequence[Statement], by_rows: bool | None = None) -> For:
    """A parallel loop over every combination of the named extents, the last one fastest; `counter` gives each one's place.

    by_rows: where the first extent is that of images, whether the others go through an image's rows in order (`ByImage`).
    """
    total: Expr = index(1)
    for _, n in extents:
        total = total * n
    lets: list[Let] = []
    rest: Expr = var("unit")
    for place, (name, n) in reversed(list(enumerate(extents))):
        outermost = all(counter(*e) is ZERO for e in extents[:place])
        lets.append(Let(name, rest if outermost and counter(name, n) is not ZERO else rest % n))
        rest = rest // n
    needed = used(body)
    lets = [let for let in lets if let.name in needed]
    return For("unit", ZERO, total, "parallel", (*reversed(lets), *body), order=None if by_rows is None else _by_image(extents[1:], by_rows))


def _by_image(extents: Sequence[tuple[str, Expr]], by_rows: bool) -> ByImage | None:
    """None where the extents are known at run time only."""
    counts = [n.value for _, n in extents if isinstance(n, Const)]
    return ByImage(math.prod(int(n) for n in counts), by_rows) if len(counts) == len(extents) else None


def serial(name: str, stop: Expr, *body: Statement) -> For:
    return For(name, ZERO, stop, "serial", body)


def vector(name: str, stop: Expr, *body: Statement) -> For:
    return For(name, ZERO, stop, "vector", body)
