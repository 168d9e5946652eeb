"""CPU loops of kernels with reductions: rows, columns, or all of a domain, and what is computed from their results in the same kernel.

    s = reduce_sum(x, axis=(1,))    ->   for row in parallel(b): s = 0; for j: s += x[row, j];  s_out[row] = s

Sums over columns, and over everything, are taken in chunks whose number depends on extents only, so any number of threads gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

from flowc.ir import loops
from flowc.ir.dims import Shape, product
from flowc.ir.loops import Alloc, Barrier, Const, Expr, For, Load, Statement, Store, Var, extent
from flowc.ir.node import Node, walk
from flowc.ir.op import ArgFold, Fold
from flowc.ir.scalar_text import scalar
from flowc.ir.types import I32, I64
from flowc.lower.element import ZERO, Flat, Index, hint, ravel, unravel
from flowc.lower.kernel import (
    KernelBuilder,
    combine,
    flat_over,
    fold_element,
    is_costly,
    is_full,
    levels,
    loop_nest,
    registers_of,
    row_levels,
    row_sweep,
    spread,
    start_value,
)  # fmt: skip
from flowc.lower.row_groups_cpu import RowGroups, in_groups
from flowc.lower.side_by_side_cpu import SideBySide, side_by_side
from flowc.lower.sweep_cpu import parallel_nest
from flowc.transforms.groups import is_reduction, reduction_axes, squeezed

CHUNK = 8192  # elements of one chunk of a full or column reduction
MOST_CHUNKS = 64
SERIAL = 2048  # a static reduction of at most so many elements is one thread's
BLOCK = 1024  # columns whose partial results are together in the innermost cache
LEAST_ROWS = 64  # of a chunk of columns, so that joining the chunks' results is little beside
JOINED = 256  # columns that one thread joins at a time


def reduce(k: KernelBuilder, folds: list[Node]) -> None:
    """Loops of a kernel with reductions; all of them reduce the same axes of the same shape."""
    domain = folds[0].inputs[0].tensor.dims
    axes = tuple(a for a in reduction_axes(folds[0]) if domain[a] != 1)
    kept = [i for i, d in enumerate(domain) if i not in axes and d != 1]
    before = [i for i in kept if all(i < a for a in axes)]
    after = [i for i in kept if all(i > a for a in axes)]
    plain = all(isinstance(n.op.lowering, Fold) for n in folds)
    if kept and (len(before) == len(kept) or len(before) + len(after) != len(kept) or not plain):
        rows(k, folds, domain, axes, kept)
    elif kept and before:
        planes(k, folds, domain, before, axes, after)
    elif not kept and (not plain or _needs_second_sweep(k, folds, domain)):
        rows(k, folds, domain, axes, [])
    else:
        columns(k, folds, domain, axes, after)


def _needs_second_sweep(k: KernelBuilder, folds: list[Node], domain: Shape) -> bool:
    """Whether something over the swept shape depends on a reduction of the same kernel."""
    level = levels(k.f)
    return any(level[n.inputs[0]] for n in folds) or any(level[r] for r in k.f.results if is_full(r, domain, ()))


# rows


def rows(k: KernelBuilder, folds: list[Node], domain: Shape, axes: tuple[int, ...], kept: list[int]) -> None:
    """One parallel loop over rows; inside, one sweep per level of reductions.

    A costly value that a later sweep needs again waits in the buffer of a result that is stored after it. Short rows with several sweeps go in
    groups, in which each sweep is one row behind the sweep before it, so that none waits for the last additions of another.
    """
    row_shape = tuple(domain[i] for i in kept)
    level = levels(k.f)
    again = _costly_again(k, folds, domain, squeezed(row_shape))
    grouped = in_groups(k, folds, domain, axes, row_shape)
    side = SideBySide(k, domain, axes, row_shape) if grouped and side_by_side(k, folds, domain, axes, again) else None
    buffers = {} if side is not None else _kept_values(k, again)

    def one_sweep(index: Index, here: list[Node], stores: list[Node]) -> None:
        place: dict[int, Expr] = dict(zip(kept, index, strict=True))
        depth = level[here[0]] - 1 if here else level[stores[0]]
        if side is not None:
            row_sweep(k, here, stores, domain, axes, place, index, side.lines_of([n for n in again if level[n] == depth]))
            return
        early = {n: buffer for n, buffer in buffers.items() if level[n] == depth}
        k.result_names |= early
        apart = [n for n in here if isinstance(n.op.lowering, ArgFold) and n.inputs[0] in k.elements.names]
        together = [n for n in here if n not in apart]
        if together or stores or early:
            row_sweep(k, together, [*stores, *early], domain, axes, place, index)
        for node in apart:
            _place_sweeps(k, node, domain, axes, place, index)
        k.elements.names |= early

    if grouped:
        group = side or RowGroups(k, domain, axes, row_shape)
        last = row_levels(k, folds, domain, kept, lambda here, stores: group.sweep(here, stores, lambda index: one_sweep(index, here, stores)))
        if last:
            group.finish(last)
        statements = group.close()
    else:

        def row(index: Index) -> None:
            last = row_levels(k, folds, domain, kept, lambda here, stores: one_sweep(index, here, stores))
            k.elements.store((k.result_names[r], r, spread(index, r.tensor.dims)) for r in last)

        statements = _row_loop(k, row_shape, row)
    k.elements.scopes[-1].statements.extend(statements)


def _place_sweeps(k: KernelBuilder, node: Node, domain: Shape, axes: tuple[int, ...], place: dict[int, Expr], row: Index) -> None:
    """argmax of what lies in memory as two sweeps that vectorise: the extreme, then the first place of what equals it (NaN equals NaN here)."""
    elements, lowering = k.elements, node.op.lowering
    assert isinstance(lowering, ArgFold)
    x = node.inputs[0]
    statements = elements.scopes[-1].statements
    extents = tuple(domain[a] for a in axes)
    total = product(extents)
    kind = I32 if isinstance(total, int) and total < 2**31 else I64  # as many in a vector as there are f32
    end = loops.cast(extent(total), kind)
    best, where = elements.unique(f"{hint(node)}_best"), elements.unique(hint(node))
    statements += [Alloc(best, x.tensor.dtype, start_value(lowering.extreme, x.tensor.dtype)), Alloc(where, kind, end)]

    def value(index: Index) -> Expr:
        inner = dict(zip(axes, index, strict=True))
        return elements.value(x, tuple(place.get(d, inner.get(d, ZERO)) for d in range(len(domain))))

    def extreme(index: Index) -> None:
        found = value(index)
        elements.scopes[-1].statements.append(combine(best, None, lowering.extreme, found, x.tensor.dtype))

    def first(index: Index) -> None:
        names = {"x": value(index), "best": Var(best, x.tensor.dtype), "at": loops.cast(ravel(index, extents), kind), "end": end}
        here = scalar("select(x == best, at, end)", names)
        if x.tensor.dtype.is_float:
            here = scalar("select(best != best, select(x != x, at, end), here)", {**names, "here": here})
        elements.scopes[-1].statements.append(Store(where, None, here, "min"))

    for sweep in (extreme, first):
        statements += loop_nest(k, extents, sweep, "serial")
    elements.give(node, spread(row, node.tensor.dims), loops.cast(Var(where, kind), node.tensor.dtype))


def _costly_again(k: KernelBuilder, folds: list[Node], domain: Shape, reduced: Shape) -> list[Node]:
    """Values over the whole domain that cost a transcendental function and are needed by a later sweep too."""
    level, users = levels(k.f), k.f.users()
    costly: dict[Node, bool] = {}
    found: list[Node] = []
    for node in k.f.nodes:
        costly[node] = not is_reduction(node) and (is_costly(node) or any(costly.get(n, False) and n not in found for n in node.inputs))
        again = any(level[u] > level[node] and not is_reduction(u) for u in users[node])
        summed = any(level[n] == level[node] + 1 and any(inner is node for inner in walk((n,))) for n in folds)
        if costly[node] and again and summed and is_full(node, domain, reduced):
            found.append(node)
    return found


def _kept_values(k: KernelBuilder, nodes: list[Node]) -> dict[Node, str]:
    """The buffers of results, stored later, in which such values may wait."""
    level = levels(k.f)
    operands = set(k.elements.names.values())
    free = {k.result_names[r]: r for r in k.f.results if k.result_names[r] not in operands}  # one in place may still be read
    found: dict[Node, str] = {}
    for node in nodes:
        dims = squeezed(node.tensor.dims)
        fits = (b for b, r in free.items() if squeezed(r.tensor.dims) == dims and level[r] > level[node] and r.tensor.dtype is node.tensor.dtype)
        buffer = next(fits, None)
        if buffer is not None:
            found[node] = buffer
            del free[buffer]
    return found


def _row_loop(k: KernelBuilder, row_shape: Shape, row: Callable[[Index], None]) -> list[Statement]:
    elements = k.elements
    elements.open()
    if not row_shape:
        row(())
        return [For(k.var("once").name, ZERO, Const(1, I64), "parallel", elements.close())]
    p = k.var("row")
    index: Index = (p,) if len(row_shape) == 1 else tuple(elements.let("i", e, elements.scopes[-1]) for e in unravel(p, row_shape))
    row(index)
    return [For(p.name, ZERO, extent(product(row_shape)), "parallel", elements.close())]


# columns


def planes(k: KernelBuilder, folds: list[Node], domain: Shape, before: list[int], axes: tuple[int, ...], after: list[int]) -> None:
    """Kept axes on both sides of the reduced ones: each outer index keeps a row of partial results."""
    elements = k.elements
    width = product(tuple(domain[i] for i in after))
    outer = tuple(domain[i] for i in before)
    parts = {n: k.workspace(f"{hint(n)}_part", n.tensor.dtype, product(outer) * width) for n in folds}

    def plane(index: Index) -> None:
        p = ravel(index, outer)
        base = elements.let("base", p * extent(width), elements.scopes[-1])
        place = dict(zip(before, index, strict=True))
        _column_sweep(k, folds, parts, base, domain, axes, after, place)
        _column_results(k, folds, parts, base, domain, after, index)

    elements.scopes[-1].statements.extend(_row_loop(k, outer, plane))


def columns(k: KernelBuilder, folds: list[Node], domain: Shape, axes: tuple[int, ...], after: list[int]) -> None:
    """Reduced axes first (or all): chunks of the first reduced axis, and blocks of many columns, give partial rows, which a second loop joins in order."""
    elements = k.elements
    width = product(tuple(domain[i] for i in after))
    total = product(domain)
    if isinstance(total, int) and total <= SERIAL:
        parts = {n: k.workspace(f"{hint(n)}_part", n.tensor.dtype, width) for n in folds} if after else {}
        elements.open()
        if after:
            _column_sweep(k, folds, parts, ZERO, domain, axes, after, {})
            _column_results(k, folds, parts, ZERO, domain, after, ())
        else:
            row_sweep(k, folds, [r for r in k.f.results if is_full(r, domain, ())], domain, axes, {}, ())
            elements.store((k.result_names[r], r, spread((), r.tensor.dims)) for r in k.f.results if not is_full(r, domain, ()))
        statements = elements.close()
        elements.scopes[-1].statements.append(For(k.var("once").name, ZERO, Const(1, I64), "parallel", statements))
        return
    parts = {n: k.workspace(f"{hint(n)}_part", n.tensor.dtype, width * MOST_CHUNKS) for n in folds}
    outer = elements.scopes[-1]
    flat = not after and flat_over(k, domain)
    blocked = len(after) == 1 and not (isinstance(width, int) and width <= BLOCK)
    lead = extent(total if flat else domain[axes[0]])
    per_lead = Const(1, I64) if flat else extent(product(tuple(d for i, d in enumerate(domain) if i != axes[0])))
    one = Const(1, I64)
    wanted = loops.apply("min", loops.apply("max", lead * per_lead // Const(CHUNK, I64), one), Const(MOST_CHUNKS, I64))
    if after:
        wanted = loops.apply("min", wanted, loops.apply("max", lead // Const(LEAST_ROWS, I64), one))
    wanted = elements.let("wanted", wanted, outer)
    length = elements.let("chunk", (lead + wanted - one) // wanted, outer)
    count = elements.let("chunks", loops.apply("max", (lead + length - one) // loops.apply("max", length, one), one), outer)
    blocks = elements.let("blocks", (extent(width) + Const(BLOCK - 1, I64)) // Const(BLOCK, I64), outer) if blocked else one
    task = c = k.var("task" if blocked else "c")
    elements.open()
    scope = elements.scopes[-1]
    if blocked:
        c = elements.let("c", task // blocks, scope)  # type: ignore[assignment]
    start = elements.let("start", c * length, scope)
    stop = elements.let("stop", loops.apply("min", start + length, lead), scope)
    if after:
        base = elements.let("base", c * extent(width), scope)
        within = None
        if blocked:
            first = elements.let("first", task % blocks * Const(BLOCK, I64), scope)
            within = (first, elements.let("last", loops.apply("min", first + Const(BLOCK, I64), extent(width)), scope))
        _column_sweep(k, folds, parts, base, domain, axes, after, {}, (start, stop), within)
    else:
        _full_sweep(k, folds, parts, c, domain, axes, (start, stop), flat)
    outer.statements.append(For(task.name, ZERO, count * blocks, "parallel", elements.close()))
    outer.statements.append(Barrier())
    _join_parts(k, folds, parts, count, domain, after, outer.statements)


def _full_sweep(
    k: KernelBuilder, folds: list[Node], parts: dict[Node, str], c: Expr, domain: Shape, axes: tuple[int, ...], bounds: tuple[Expr, Expr], flat: bool
) -> None:
    elements = k.elements
    statements = elements.scopes[-1].statements
    registers = {n: registers_of(k, n, statements) for n in folds}
    stores = [r for r in k.f.results if is_full(r, domain, ())]

    def at(index: Index) -> None:
        inner = dict(zip(axes, index, strict=False))
        full = Flat(index) if flat else tuple(inner.get(d, ZERO) for d in range(len(domain)))
        fold_element(k, registers, stores, full, index, domain, axes)

    _bounded(k, () if flat else tuple(domain[a] for a in axes[1:]), bounds, at, statements)
    for node in folds:
        statements.append(Store(parts[node], c, Var(registers[node][0], node.tensor.dtype)))


def _bounded(k: KernelBuilder, inner: Shape, bounds: tuple[Expr, Expr], body: Callable[[Index], None], statements: list[Statement]) -> None:
    """A serial loop from `bounds[0]` to `bounds[1]` around serial loops over the extents `inner`."""
    first = k.var("r" if inner else "i")
    k.elements.open()
    k.elements.scopes[-1].statements.extend(loop_nest(k, inner, lambda rest: body((first, *rest)), "serial"))
    statements.append(For(first.name, bounds[0], bounds[1], "serial", k.elements.close()))


def _column_sweep(
    k: KernelBuilder, folds: list[Node], parts: dict[Node, str], base: Expr, domain: Shape, axes: tuple[int, ...], after: list[int],
    place: dict[int, Expr], bounds: tuple[Expr, Expr] | None = None, within: tuple[Expr, Expr] | None = None,
) -> None:  # fmt: skip
    """part[base + j] for every column j: start values, then each reduced index adds its row of columns.

    bounds: where the first reduced index begins and ends; within: the same of the columns, which then are one axis.
    """
    elements = k.elements
    statements = elements.scopes[-1].statements
    columns_shape = tuple(domain[i] for i in after)
    j = k.var("j")
    starts = tuple(Store(parts[n], base + j, start_value(n.op.lowering, n.tensor.dtype)) for n in folds if isinstance(n.op.lowering, Fold))
    first, last = within or (ZERO, extent(product(columns_shape)))
    statements.append(For(j.name, first, last, "vector", starts))
    stores = [r for r in k.f.results if squeezed(r.tensor.dims) == squeezed(domain)]

    def at(index: Index) -> None:
        reduced, column = index[: len(axes)], index[len(axes) :]
        where = {**place, **dict(zip(axes, reduced, strict=True)), **dict(zip(after, column, strict=True))}
        full = tuple(where.get(d, ZERO) for d in range(len(domain)))
        for node in folds:
            x = elements.value(node.inputs[0], full)
            assert isinstance(node.op.lowering, Fold)
            elements.scopes[-1].statements.append(combine(parts[node], base + ravel(column, columns_shape), node.op.lowering, x, node.tensor.dtype))
        moving = tuple(i for i, d in zip(full, domain, strict=True) if d != 1)
        elements.store((k.result_names[r], r, spread(moving, r.tensor.dims)) for r in stores)

    if within is not None:
        column = k.var("j")

        def block(reduced: Index) -> None:
            elements.open()
            at((*reduced, column))
            elements.scopes[-2].statements.append(For(column.name, within[0], within[1], "vector", elements.close()))

        assert bounds is not None
        _bounded(k, tuple(domain[a] for a in axes[1:]), bounds, block, statements)
    elif bounds is None:
        statements.extend(loop_nest(k, (*(domain[a] for a in axes), *columns_shape), at, "vector"))
    else:
        _bounded(k, (*(domain[a] for a in axes[1:]), *columns_shape), bounds, at, statements)


def _column_results(k: KernelBuilder, folds: list[Node], parts: dict[Node, str], base: Expr, domain: Shape, after: list[int], index: Index) -> None:
    """What has the reduced shape, computed column by column from one complete row of parts."""
    elements = k.elements
    results = [r for r in k.f.results if squeezed(r.tensor.dims) != squeezed(domain)]
    columns_shape = tuple(domain[i] for i in after)

    def at(column: Index) -> None:
        whole = (*index, *column)
        for node in folds:
            elements.give(node, spread(whole, node.tensor.dims), Load(parts[node], base + ravel(column, columns_shape), node.tensor.dtype))
        elements.store((k.result_names[r], r, spread(whole, r.tensor.dims)) for r in results)

    elements.scopes[-1].statements.extend(loop_nest(k, columns_shape, at, "vector"))


def _join_parts(k: KernelBuilder, folds: list[Node], parts: dict[Node, str], count: Expr, domain: Shape, after: list[int], top: list[Statement]) -> None:
    elements = k.elements
    results = [r for r in k.f.results if squeezed(r.tensor.dims) != squeezed(domain) or not after and not is_full(r, domain, ())]
    if not after:
        elements.open()
        for node in folds:
            assert isinstance(node.op.lowering, Fold)
            name = elements.unique(hint(node))
            elements.scopes[-1].statements.append(Alloc(name, node.tensor.dtype, start_value(node.op.lowering, node.tensor.dtype)))
            c = k.var("c")
            part = Load(parts[node], c, node.tensor.dtype)
            elements.scopes[-1].statements.append(For(c.name, ZERO, count, "serial", (combine(name, None, node.op.lowering, part, node.tensor.dtype),)))
            elements.give(node, spread((), node.tensor.dims), Var(name, node.tensor.dtype))
        elements.store((k.result_names[r], r, spread((), r.tensor.dims)) for r in results)
        top.append(For(k.var("once").name, ZERO, Const(1, I64), "parallel", elements.close()))
        return
    columns_shape = tuple(domain[i] for i in after)
    total = product(columns_shape)
    width, few = extent(total), isinstance(total, int) and total <= JOINED
    task, c, j = k.var("once" if few else "task"), k.var("c"), k.var("j")
    elements.open()
    scope = elements.scopes[-1]
    first = ZERO if few else elements.let("first", task * Const(JOINED, I64), scope)
    last = width if few else elements.let("last", loops.apply("min", first + Const(JOINED, I64), width), scope)
    joined = []
    for node in folds:
        assert isinstance(node.op.lowering, Fold)
        joined.append(combine(parts[node], j, node.op.lowering, Load(parts[node], c * width + j, node.tensor.dtype), node.tensor.dtype))
    scope.statements.append(For(c.name, Const(1, I64), count, "serial", (For(j.name, first, last, "vector", tuple(joined)),)))

    def at(column: Index) -> None:
        flat = ravel(column, columns_shape)
        for node in folds:
            elements.give(node, spread(column, node.tensor.dims), Load(parts[node], flat, node.tensor.dtype))
        elements.store((k.result_names[r], r, spread(column, r.tensor.dims)) for r in results)

    alone = len(after) == 1
    if alone:
        column = k.var("j")
        elements.open()
        at((column,))
        elements.scopes[-2].statements.append(For(column.name, first, last, "vector", elements.close()))
    tasks = Const(1, I64) if few else (width + Const(JOINED - 1, I64)) // Const(JOINED, I64)
    top.append(For(task.name, ZERO, tasks, "parallel", elements.close()))
    if not alone:
        top.append(Barrier())
        top.extend(parallel_nest(k, columns_shape, at, False))


__all__ = ["reduce"]
