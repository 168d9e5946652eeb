"""Matrix products.

    v0: f32[b, 20] = matmul(x, w)                          # x: f32[b, 784], w: f32[784, 20]
    v1: f32[784, 20] = matmul(x, ct, transpose_a=True)     # the gradient to w: no transpose is computed

The loops are blocks of rows and columns of the result, each one register tile over the whole inner extent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc.errors import ShapeError
from flowc.ir import dims
from flowc.ir.dims import Dim, Shape, ceildiv, product
from flowc.ir.loops import Alloc, Barrier, Expr, For, Load, NestPlan, Statement, Store, Tile, Var, cast, extent, index, lift
from flowc.ir.op import Nest
from flowc.ir.types import F16, F32, NUMBERS, TensorType
from flowc.ops.constructors import contraction, rows_of_broadcast, sum_down
from flowc.ops.inference import broadcast_shapes, shape_text
from flowc.ops.tiles import ONE_SUM, TILED, ZERO, block_shape, blocks, counter, over, part_of, serial, supposed, unit, var, vector

MANY = 256  # rows of a result for which the right operand is copied beforehand, or the product turned
LINE = 64  # rows of a result of one column that are summed side by side
PARTS, PARTED_ROWS, LONG, LARGE = 16, 4, 256, 1 << 18  # stretches of a sum; for so few rows of so many steps beside a matrix beyond the caches


def _matmul_shape(x: TensorType, y: TensorType, transpose_a: bool, transpose_b: bool) -> Shape:
    for operand in (x, y):
        if operand.rank < 2:
            raise ShapeError(f"matmul: an operand has shape {shape_text(operand.dims)}, rank 2 or more is expected")
    m, p = x.dims[-2:][::-1] if transpose_a else x.dims[-2:]
    q, n = y.dims[-2:][::-1] if transpose_b else y.dims[-2:]
    if dims.unify(p, q) is None:
        raise ShapeError(f"matmul: inner dimensions differ, {p} and {q}")
    batch = broadcast_shapes("matmul: batch dimensions", (x.with_shape(x.dims[:-2]), y.with_shape(y.dims[:-2])))
    return (*batch, m, n)


def _matmul(x: Any, y: Any, transpose_a: bool, transpose_b: bool) -> Any:
    return np.matmul(np.swapaxes(x, -1, -2) if transpose_a else x, np.swapaxes(y, -1, -2) if transpose_b else y)


def _matmul_vjp(e: Any, x: Any, y: Any, out: Any, ct: Any, transpose_a: bool, transpose_b: bool) -> Any:
    if transpose_a:
        to_x = e.matmul(y, ct, transpose_a=transpose_b, transpose_b=True)
    else:
        to_x = e.matmul(ct, y, transpose_b=not transpose_b)
    left, right = x, ct
    if not transpose_a and x.shape is not None and y.shape is not None and len(x.shape) > len(y.shape) == 2:
        # one product over all rows of all matrices, not the sum of a product for each
        rows = product(x.shape[:-1])
        left, right = e.reshape(x, shape=(rows, x.shape[-1])), e.reshape(ct, shape=(rows, y.shape[0 if transpose_b else 1]))
    if transpose_b:
        to_y = e.matmul(right, left, transpose_a=True, transpose_b=transpose_a)
    else:
        to_y = e.matmul(left, right, transpose_a=not transpose_a)
    return sum_down(e, to_x, x), sum_down(e, to_y, y)  # batch dimensions may have been broadcast


def _matmul_rows(has: Sequence[bool], x: TensorType, y: TensorType, transpose_a: bool, transpose_b: bool) -> bool:
    if max(x.rank, y.rank) > 2:
        return rows_of_broadcast(has, x, y)
    return list(has) == [True, False] and not transpose_a


class _Product:
    """One matmul to lower: extents, strides, and where each operand's matrix begins."""

    def __init__(self, inputs: list[str], out: str, types: list[TensorType], result: TensorType, transpose_a: bool, transpose_b: bool) -> None:
        x, y = types
        self.a, self.b, self.out, self.dtype = inputs[0], inputs[1], out, result.dtype
        self.transpose_a, self.transpose_b = transpose_a, transpose_b
        self.m, self.n = result.dims[-2:]
        self.k = x.dims[-2] if transpose_a else x.dims[-1]
        self.batch, x_batch, y_batch = result.dims[:-2], x.dims[:-2], y.dims[:-2]
        if not transpose_a and all(d == 1 for d in y_batch) and x_batch == self.batch:
            self.m, self.batch, x_batch, y_batch = product((*self.batch, self.m)), (), (), ()  # one tall product
        self.count = product(self.batch)
        self.here = counter("batch", extent(self.count))
        self.y_count = product(y_batch)
        self.a_matrix, self.b_matrix = self.place(x_batch), self.place(y_batch)
        if transpose_b and (self.n == 1 or self.k == 1):
            self.transpose_b = False  # a line has the same elements in the same order either way

    def place(self, shape: Shape) -> Expr:
        """Which matrix of an operand belongs to the result's matrix `batch`; 1s broadcast."""
        stride, rest, total = index(1), self.here, ZERO
        if shape == self.batch:
            return rest
        for axis in range(1, len(self.batch) + 1):
            n = extent(self.batch[-axis])
            if axis <= len(shape) and shape[-axis] != 1:
                total = total + (rest % n) * stride
                stride = stride * n
            rest = rest // n
        return total

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of its blocks."""
        return block_shape(self.m, self.n, self.dtype, self.count, self.transpose_a, self.k)

    @property
    def a_strides(self) -> tuple[Expr, Expr]:
        """Of a row of the result, and of a step along the inner extent."""
        return (index(1), extent(self.m)) if self.transpose_a else (extent(self.k), index(1))

    def tile(self, block: tuple[int, int], **given: Any) -> Tile:
        """A tile along the whole inner extent, its `b` as it lies; `given`: where it differs, its `out_at`, `rows` and `columns` at least."""
        m, n, k = extent(self.m), extent(self.n), extent(self.k)
        a_row, a_inner = self.a_strides
        whole: dict[str, Any] = {
            "out": self.out, "a": self.a, "b": self.b, "a_at": self.a_matrix * (m * k), "b_at": self.b_matrix * (k * n), "outer": index(1), "inner": k,
            "out_row": n, "a_row": a_row, "a_outer": ZERO, "a_inner": a_inner, "b_unit": index(unit(self.dtype)), "b_column": index(1), "b_outer": ZERO,
            "b_inner": n, "accumulate": ZERO, "dtype": self.dtype, "block": block,
        }  # fmt: skip
        return Tile(**whole | given)

    def tiles(self, panels: bool = False, turned: str | None = None, **given: Any) -> Statement:
        """The product, block by block; `given`: another `a`, `b` or `out`. With `panels`, `b` is what `panels_of` made.

        Row blocks run fastest: what a block of columns reads of `b` stays in the caches for all of them. `turned`: where the transposed result
        goes, block by block too.
        """
        m, n, k = extent(self.m), extent(self.n), extent(self.k)
        rows, columns = block = self.block
        column_blocks, row_blocks = ("column_block", blocks(self.n, columns)), ("row_block", blocks(self.m, rows))
        i, j = counter(*row_blocks) * rows, counter(*column_blocks) * columns
        width = index(unit(self.dtype))
        lines = {"b_at": self.b_matrix * (k * n) + j}
        if panels:
            lines = {"b_at": self.b_matrix * (k * extent(self.padded_columns)) + j * k, "b_unit": k * width, "b_inner": width}
        elif self.transpose_b:
            lines = {"b_at": self.b_matrix * (k * n) + j * k, "b_unit": k * width, "b_column": k, "b_inner": index(1)}
        made = self.tile(
            block, out_at=self.here * (m * n) + i * n + j, a_at=self.a_matrix * (m * k) + i * self.a_strides[0],
            rows=part_of(m, i, rows), columns=part_of(n, j, columns), **lines, **given,
        )  # fmt: skip
        after = () if turned is None else (self._turned_block(turned, made.out, i, j, made.rows, made.columns),)
        return over((("batch", extent(self.count)), column_blocks, row_blocks), (made, *after))

    def _turned_block(self, target: str, source: str, i: Expr, j: Expr, rows: Expr, columns: Expr) -> Statement:
        """The block of `source`, [m, n], at (i, j), into `target`, [n, m]."""
        m, n = extent(self.m), extent(self.n)
        row, column = i + var("i_in"), j + var("j_in")
        return serial("j_in", columns, vector("i_in", rows, Store(target, column * m + row, Load(source, row * n + column, self.dtype))))

    @property
    def padded_columns(self) -> Dim:
        """The columns of `b` in whole panels."""
        return ceildiv(self.n, unit(self.dtype)) * unit(self.dtype)

    def panels_of(self, target: str) -> Statement:
        """Copies each right matrix into panels, [unit of columns, k, columns of the unit]: a tile then reads one stretch of memory.

        Row by row where the matrix is [k, n]: whole lines are read; where it is transposed, a panel's lines side by side.
        """
        n, k, width = extent(self.n), extent(self.k), unit(self.dtype)
        units, base = blocks(self.n, width), counter("matrix", extent(self.y_count))
        to, step, column = base * (k * extent(self.padded_columns)), var("step_block") * 16 + var("step"), var("unit_of") * width + var("column")
        place = to + (var("unit_of") * k + step) * width + var("column")
        line = vector("column", part_of(n, var("unit_of") * width, width), Store(target, place, Load(self.b, self.right(base, step, column), self.dtype)))
        steps = serial("step", part_of(k, var("step_block") * 16, 16), line)
        if self.transpose_b:
            return over((("matrix", extent(self.y_count)), ("unit_of", units), ("step_block", blocks(self.k, 16))), (steps,))
        return over((("matrix", extent(self.y_count)), ("step_block", blocks(self.k, 16))), (serial("unit_of", units, steps),))

    def right(self, matrix: Expr, step: Expr, column: Expr) -> Expr:
        """Where the right matrix has the element of a step of the sum and a column."""
        n, k = extent(self.n), extent(self.k)
        return matrix * (k * n) + (column * k + step if self.transpose_b else step * n + column)

    def dots(self) -> Statement:
        """Plain loops: one sum per element."""
        m, n, k = extent(self.m), extent(self.n), extent(self.k)
        wide = F32 if self.dtype is F16 else self.dtype
        a_row, a_inner = self.a_strides
        b_inner, b_column = (index(1), k) if self.transpose_b else (n, index(1))
        row = counter("row", m)
        x = Load(self.a, self.a_matrix * (m * k) + row * a_row + var("step") * a_inner, self.dtype)
        y = Load(self.b, self.b_matrix * (k * n) + var("step") * b_inner + var("column") * b_column, self.dtype)
        total = Var("total", wide)
        body = serial(
            "column", n,
            Alloc("total", wide, lift(0, wide)),
            serial("step", k, Store("total", None, cast(x, wide) * cast(y, wide), "add")),
            Store(self.out, self.here * (m * n) + row * n + var("column"), cast(total, self.dtype)),
        )  # fmt: skip
        return over((("batch", extent(self.count)), ("row", m)), (body,))

    def parted(self, parts: str) -> list[Statement]:
        """A few rows along a large matrix: sums of stretches of the inner extent into `parts`, [stretches, m, n], then the sums of these.

        So the matrix is read line after line. Blocks of columns read a piece of each, which memory gives at two thirds of the speed.
        """
        assert isinstance(self.m, int) and isinstance(self.n, int)
        m, n, k = extent(self.m), extent(self.n), extent(self.k)
        length = self.stretch
        first = var("part") * length
        tile = self.tile(
            (self.m, self.n), out=parts, out_at=var("part") * (m * n), a_at=first * self.a_strides[1], b_at=first * n, rows=m, columns=n,
            inner=part_of(k, first, length),
        )  # fmt: skip
        block, column = var("column_block") * LINE, var("column")
        count, row = part_of(n, block, LINE), counter("row", m)
        place = row * n + (block + column)
        join = (
            Alloc("sums", self.dtype, size=LINE),
            vector("column", count, Store("sums", column, Load(parts, place, self.dtype))),
            For("part", index(1), blocks(self.k, length), "serial", (
                vector("column", count, Store("sums", column, Load(parts, var("part") * (m * n) + place, self.dtype), "add")),
            )),
            vector("column", count, Store(self.out, place, Load("sums", column, self.dtype))),
        )  # fmt: skip
        return [over((("part", blocks(self.k, length)),), (tile,)), Barrier(), over((("row", m), ("column_block", blocks(self.n, LINE))), join)]

    @property
    def stretch(self) -> int:
        """Steps of the sum in one of PARTS equal stretches."""
        assert isinstance(self.k, int)
        return -(-self.k // PARTS)

    def line(self) -> Statement:
        """The product of a transposed matrix and one column: sums of LINE rows side by side, so that the matrix is read as it lies."""
        m, k = extent(self.m), extent(self.k)
        block = counter("row_block", blocks(self.m, LINE))
        count, row, step = part_of(m, block * LINE, LINE), var("row"), var("step")
        x, y = Load(self.a, step * m + (block * LINE + row), self.dtype), Load(self.b, step, self.dtype)
        body = (
            Alloc("sums", self.dtype, size=LINE),
            vector("row", count, Store("sums", row, lift(0, self.dtype))),
            serial("step", k, vector("row", count, Store("sums", row, x * y, "add"))),
            vector("row", count, Store(self.out, block * LINE + row, Load("sums", row, self.dtype))),
        )
        return over((("row_block", blocks(self.m, LINE)),), body)


def _prefers_line(p: _Product) -> bool:
    return p.transpose_a and p.n == 1 and p.count == 1 and p.dtype in TILED and (not isinstance(p.m, int) or p.m >= 4)


def _prefers_parts(p: _Product) -> bool:
    """Whether a few rows read a right matrix that lies beyond the caches, line after line."""
    if not (isinstance(p.m, int) and isinstance(p.n, int) and isinstance(p.k, int)) or p.transpose_b or p.count != 1 or p.dtype not in TILED:
        return False
    return p.m <= PARTED_ROWS and p.k >= LONG and p.n >= unit(p.dtype) and p.k * p.n >= LARGE


def _prefers_dots(p: _Product) -> bool:
    """Whether plain loops beat register tiles, by the extents that are known.

    A tile of fewer than 4 columns leaves most of a vector idle, and so does a product whose right matrix is a handful of numbers; one of a
    few lines has hardly a sum to keep in registers; with a few rows, packing a transposed right matrix costs as much as the product.
    """
    if p.dtype not in TILED:
        return True
    if isinstance(p.n, int) and (p.n < 4 or isinstance(p.k, int) and (p.k * p.n <= 16 or p.k <= 4 and not p.transpose_b)):
        return True
    return p.transpose_b and isinstance(p.m, int) and p.m < 4


def _prefers_panels(p: _Product) -> bool:
    """Whether to copy the right matrix into panels first, once for all: a tile copies what it needs of it by itself, for its own rows."""
    return supposed(p.m) >= MANY and supposed(p.n) > unit(p.dtype) and supposed(p.k) >= 8


def _prefers_flipped(p: _Product) -> bool:
    """Whether to compute the transposed result: y^T @ x^T needs no transposed y, only a transposed x and result, which are small.

    With a transposed x already there, also where the result is narrow: its columns would leave lanes idle, its many rows fill them.
    """
    if p.count != 1 or not isinstance(p.n, int) or not isinstance(p.k, int):
        return False
    m = supposed(p.m)
    if p.transpose_a and not p.transpose_b:
        return p.n < unit(p.dtype) and m >= MANY and p.k >= p.n
    return p.transpose_b and m >= 4 and m * ((0 if p.transpose_a else p.k) + p.n) < p.n * p.k


class _Plan:
    """The statements of a product under way, and its workspaces."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.statements: list[Statement] = []
        self.workspaces: list[tuple[str, Any, Dim]] = []
        self.how = "register tiles"

    def space(self, what: str, p: _Product, size: Dim) -> str:
        self.workspaces.append((f"{self.name}_{what}", p.dtype, size))
        return f"{self.name}_{what}"

    def product(self, p: _Product, turned: str | None = None) -> None:
        """`p` by tiles, each operand copied first where that pays; `turned`: where the transposed result goes."""
        self.how += " in blocks of {} x {}".format(*p.block)
        if _prefers_panels(p):
            panels = self.space("panels", p, p.y_count * p.padded_columns * p.k)
            self.statements += [p.panels_of(panels), Barrier(), p.tiles(panels=True, turned=turned, b=panels)]
            self.how += ", the right one copied into panels first"
        else:
            self.statements += [*([Barrier()] if self.statements else []), p.tiles(turned=turned)]


def _flipped(p: _Product, types: list[TensorType]) -> NestPlan:
    """result^T = y^T @ x^T, then its transpose."""
    plan = _Plan(p.out)
    turned = plan.space("turned", p, p.n * p.m)
    shapes = [types[1].with_shape((p.n, p.k) if p.transpose_b else (p.k, p.n)), types[0].with_shape((p.k, p.m) if p.transpose_a else (p.m, p.k))]
    q = _Product([p.b, p.a], turned, shapes, types[0].with_shape((p.n, p.m)), not p.transpose_b, not p.transpose_a)
    plan.product(q, p.out)
    return NestPlan(tuple(plan.statements), tuple(plan.workspaces), f"the transposed result by {plan.how}")


def _matmul_nest(inputs: list[str], out: str, types: list[TensorType], result: TensorType, attrs: dict[str, Any]) -> NestPlan:
    p = _Product(inputs, out, types, result, attrs["transpose_a"], attrs["transpose_b"])
    if _prefers_line(p):
        return NestPlan((p.line(),), how=f"sums of {LINE} rows side by side, the matrix read as it lies")
    if _prefers_parts(p):
        parts = f"{out}_parts"
        return NestPlan(tuple(p.parted(parts)), ((parts, p.dtype, ceildiv(p.k, p.stretch) * p.m * p.n),), f"register tiles along {PARTS} parts of the sum")
    if _prefers_dots(p):
        return NestPlan((p.dots(),), how=ONE_SUM)
    if _prefers_flipped(p):
        return _flipped(p, types)
    plan = _Plan(out)
    plan.product(p)
    return NestPlan(tuple(plan.statements), tuple(plan.workspaces), plan.how)


matmul = contraction(
    "matmul", title="MatMul", operands=("x", "y"), dtypes=NUMBERS, attrs={"transpose_a": False, "transpose_b": False},
    shape=_matmul_shape,
    eval=_matmul,
    vjp=_matmul_vjp,
    lowering=Nest(_matmul_nest),
    rows=_matmul_rows,
    work=lambda result, x, y, transpose_a, transpose_b: (result.size * x.dims[-2 if transpose_a else -1], 0),
    doc="Matrix product over the last two axes, each operand transposed first where asked; leading axes broadcast.",
)  # fmt: skip
