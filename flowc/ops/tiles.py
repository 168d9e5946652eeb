"""What the loop nests of contractions share: blocks for register tiles, one parallel loop over several extents, transposition.

    over((("image", n), ("row", h)), body)   ->   for unit in parallel(n*h):
                                                      image = unit // h
                                                      row = unit % h
                                                      ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from flowc.ir.dims import Dim, ceildiv
from flowc.ir.loops import Const, Expr, For, Let, Load, Operand, Statement, Store, Var, apply, children, expressions, extent, index, lift, operands
from flowc.ir.types import F32, F64, I64, DType

MOST_ROWS = 14  # with two vectors of columns: 28 accumulators of the 32 registers of AVX-512, the fastest tile measured
LEAST_ROWS = 7
TILED = (F32, F64)
ZERO = index(0)


def var(name: str) -> Var:
    """An index variable."""
    return Var(name, I64)


def smaller(x: Expr, y: Operand) -> Expr:
    return apply("min", x, lift(y, x.dtype))


def larger(x: Expr, y: Operand) -> Expr:
    return apply("max", x, lift(y, x.dtype))


def lanes(dtype: DType) -> int:
    """Elements of the widest vector that a printer may use (512 bits): the unit of a tile's columns."""
    return 64 // dtype.size


def tile_shape(rows: Dim, columns: Dim, dtype: DType) -> tuple[int, int]:
    """(rows, vectors of columns) of the register tile for a product of that many rows and columns.

    A tile always computes all of its rows, so the number of rows is the one that wastes least; symbolic rows (a batch) get 12,
    which divides common batches with little left over.
    """
    vectors = 1 if isinstance(columns, int) and columns <= lanes(dtype) else 2
    if not isinstance(rows, int):
        return 12, vectors
    if rows <= MOST_ROWS:
        return max(rows, 1), vectors
    return min(range(MOST_ROWS, LEAST_ROWS - 1, -1), key=lambda size: -(-rows // size) * size), vectors


def blocks(size: Dim, block: int) -> Expr:
    """The number of blocks that cover `size`."""
    return extent(ceildiv(size, block))


def counter(name: str, n: Expr) -> Expr:
    """The place along one extent of `over`: 0 where there is only one place."""
    return ZERO if isinstance(n, Const) and n.value == 1 else var(name)


def over(extents: Sequence[tuple[str, Expr]], body: Sequence[Statement]) -> For:
    """A parallel loop over every combination of the named extents, the last one fastest; `counter` gives each one's place."""
    total: Expr = index(1)
    for _, n in extents:
        total = total * n
    lets: list[Let] = []
    rest: Expr = var("unit")
    for place, (name, n) in reversed(list(enumerate(extents))):
        outermost = all(counter(*e) is ZERO for e in extents[:place])
        lets.append(Let(name, rest if outermost and counter(name, n) is not ZERO else rest % n))
        rest = rest // n
    used = set(_names(body))
    lets = [let for let in lets if let.name in used]
    return For("unit", ZERO, total, "parallel", (*reversed(lets), *body))


def _names(body: Iterable[Statement]) -> Iterator[str]:
    """The variables that statements read."""

    def of(e: Expr) -> Iterator[str]:
        if isinstance(e, Var):
            yield e.name
        for inner in operands(e):
            yield from of(inner)

    for s in body:
        for e in expressions(s):
            yield from of(e)
        for inner in children(s):
            yield from _names(inner)


def serial(name: str, stop: Expr, *body: Statement) -> For:
    return For(name, ZERO, stop, "serial", body)


def vector(name: str, stop: Expr, *body: Statement) -> For:
    return For(name, ZERO, stop, "vector", body)


def transposition(target: str, source: str, dtype: DType, count: Dim, rows: Dim, columns: Dim) -> For:
    """`target[i, j] = source[j, i]` for `count` matrices; the target's are [rows, columns].

    In blocks of 64 by 16: a block reads whole cache lines of the source and writes whole lines of the target.
    """
    m, n = extent(rows), extent(columns)
    extents = (("matrix", extent(count)), ("from_row", blocks(rows, 64)), ("from_column", blocks(columns, 16)))
    matrix, row_block, column_block = (counter(*e) for e in extents)
    i, j = row_block * 64 + var("i_in"), column_block * 16 + var("j_in")
    base = matrix * (m * n)
    copy = Store(target, base + i * n + j, Load(source, base + j * m + i, dtype))
    inner = vector("j_in", smaller(n - column_block * 16, 16), copy)
    body = serial("i_in", smaller(m - row_block * 64, 64), inner)
    return over(extents, (body,))
