"""CPU schedules: a kernel Function becomes loops, by its form.

    map      for i in parallel: every member at index i
    reduce   rows:    for row in parallel: for r: acc += x;  then what has the reduced shape
             columns: for chunk in parallel: for r in chunk: for j in vector: part[j] += x;  barrier;  for j in parallel: join the parts
             full:    the same with one column
    rows     for row in parallel: one inner loop per level of reductions, then what uses them
    nest     the op's own loops, then what is computed at each index of the result

Chunks depend on extents only, never on the number of threads, so any number of threads gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

from flowc.ir import loops
from flowc.ir.dims import Shape, product
from flowc.ir.function import Function
from flowc.ir.loops import Alloc, Barrier, Buffer, Const, Expr, For, Kernel, Load, Statement, Store, Var, extent
from flowc.ir.node import Node
from flowc.ir.op import Fold, Nest
from flowc.ir.types import I64
from flowc.lower.element import ZERO, Flat, Index, hint, ravel, unravel
from flowc.lower.epilogue import attach
from flowc.lower.kernel import (
    KernelBuilder,
    begin,
    combine,
    finish,
    flat_possible,
    fold_element,
    is_full,
    levels,
    loop_nest,
    registers_of,
    row_levels,
    row_sweep,
    spread,
    start_value,
)  # fmt: skip
from flowc.lower.rename import nest_plan
from flowc.transforms.groups import is_reduction, reduction_axes, squeezed

CHUNK = 8192  # elements of one chunk of a full or column reduction
MOST_CHUNKS = 64
SERIAL = 2048  # a static reduction of at most so many elements is one thread's


def schedule(f: Function, in_place: dict[int, int] | None = None) -> Kernel:
    """The loops of a kernel Function. `in_place` maps a result's position to the param whose buffer it overwrites."""
    k = begin(f, in_place or {})
    root = next((n for n in f.nodes if isinstance(n.op.lowering, Nest)), None)
    folds = [n for n in f.nodes if is_reduction(n)]
    if root is not None:
        nest(k, root)
    elif folds:
        reduce(k, folds)
    else:
        sweep(k, list(f.results))
    return finish(k)


# map


def sweep(k: KernelBuilder, results: list[Node], statements: list[Statement] | None = None) -> None:
    """One parallel loop nest over the results' domain that stores each of them."""
    domain = squeezed(results[0].tensor.dims)
    assert all(squeezed(r.tensor.dims) == domain for r in results), "results of one sweep share a domain"
    flat = flat_possible(k, results)

    def body(index: Index) -> None:
        k.elements.store((k.result_names[r], r, spread(index, r.tensor.dims)) for r in results)

    target = k.elements.scopes[-1].statements if statements is None else statements
    target.extend(_parallel_nest(k, domain, body, flat))


def _parallel_nest(k: KernelBuilder, domain: Shape, body: Callable[[Index], None], flat: bool) -> list[Statement]:
    elements = k.elements
    if not domain:
        elements.open()
        body(())
        return [For(k.var("once").name, ZERO, Const(1, I64), "parallel", elements.close())]
    if flat:
        i = k.var("i")
        elements.open()
        body(Flat((i,)))
        return [For(i.name, ZERO, extent(product(domain)), "parallel", elements.close())]
    outer, inner = _split(domain)
    p = k.var("p" if len(outer) > 1 else "i")
    elements.open()
    index = list(unravel(p, outer)) if len(outer) > 1 else [p]
    if len(outer) > 1:
        index = [elements.let("i", e, elements.scopes[-1]) for e in index]
    if inner:
        statements = loop_nest(k, inner, lambda rest: body((*index, *rest)), "vector")
        elements.scopes[-1].statements.extend(statements)
    else:
        body(tuple(index))
    return [For(p.name, ZERO, extent(product(outer)), "parallel", elements.close())]


def _split(domain: Shape) -> tuple[Shape, Shape]:
    """Outer extents, one parallel loop together, and inner ones: few static rows are not worth a parallel loop of their own."""
    if len(domain) == 1:
        return domain, ()
    count, static = 1, 1
    while count < len(domain) - 1 and isinstance(domain[count - 1], int) and static * int(domain[count - 1]) < 16:  # type: ignore[arg-type]
        static *= int(domain[count - 1])  # type: ignore[arg-type]
        count += 1
    return domain[:count], domain[count:]


# reductions


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


def rows(k: KernelBuilder, folds: list[Node], domain: Shape, axes: tuple[int, ...], kept: list[int]) -> None:
    """One parallel loop over rows; inside, one sweep per level of reductions."""
    row_shape = tuple(domain[i] for i in kept)

    def row(index: Index) -> None:
        place: dict[int, Expr] = dict(zip(kept, index, strict=True))
        last = row_levels(k, folds, domain, kept, lambda here, stores: row_sweep(k, here, stores, domain, axes, place, index))
        k.elements.store((k.result_names[r], r, spread(index, r.tensor.dims)) for r in last)

    k.elements.scopes[-1].statements.extend(_parallel_nest_rows(k, row_shape, row))


def _parallel_nest_rows(k: KernelBuilder, row_shape: Shape, row: Callable[[Index], None]) -> list[Statement]:
    elements = k.elements
    elements.open()
    if not row_shape:
        row(())
        return [For(k.var("once").name, ZERO, Const(1, I64), "parallel", elements.close())]
    p = k.var("row")
    index: Index = (p,) if len(row_shape) == 1 else tuple(elements.let("i", e, elements.scopes[-1]) for e in unravel(p, row_shape))
    row(index)
    return [For(p.name, ZERO, extent(product(row_shape)), "parallel", elements.close())]


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
        _column_sweep(k, folds, parts, base, domain, axes, after, place, None)
        _column_results(k, folds, parts, base, domain, after, index)

    elements.scopes[-1].statements.extend(_parallel_nest_rows(k, outer, plane))


def columns(k: KernelBuilder, folds: list[Node], domain: Shape, axes: tuple[int, ...], after: list[int]) -> None:
    """Reduced axes first (or all): chunks of the first reduced axis give partial rows, which a second loop joins in order."""
    elements = k.elements
    width = product(tuple(domain[i] for i in after))
    total = product(domain)
    if isinstance(total, int) and total <= SERIAL:
        parts = {n: k.workspace(f"{hint(n)}_part", n.tensor.dtype, width) for n in folds} if after else {}
        elements.open()
        if after:
            _column_sweep(k, folds, parts, ZERO, domain, axes, after, {}, None)
            _column_results(k, folds, parts, ZERO, domain, after, ())
        else:
            row_sweep(k, folds, [r for r in k.f.results if is_full(r, domain, ())], domain, axes, {}, ())
            elements.store((k.result_names[r], r, spread((), r.tensor.dims)) for r in k.f.results if not is_full(r, domain, ()))
        statements = elements.close()
        elements.scopes[-1].statements.append(For(k.var("once").name, ZERO, Const(1, I64), "parallel", statements))
        return
    parts = {n: k.workspace(f"{hint(n)}_part", n.tensor.dtype, width * MOST_CHUNKS) for n in folds}
    top = elements.scopes[-1].statements
    lead = extent(domain[axes[0]])
    per_lead = extent(product(tuple(d for i, d in enumerate(domain) if i != axes[0])))
    wanted = loops.apply("min", loops.apply("max", lead * per_lead // Const(CHUNK, I64), Const(1, I64)), Const(MOST_CHUNKS, I64))
    wanted = elements.let("wanted", wanted, elements.scopes[-1])
    length = elements.let("chunk", (lead + wanted - Const(1, I64)) // wanted, elements.scopes[-1])
    count = elements.let(
        "chunks", loops.apply("max", (lead + length - Const(1, I64)) // loops.apply("max", length, Const(1, I64)), Const(1, I64)), elements.scopes[-1]
    )
    c = k.var("c")
    elements.open()
    start = elements.let("start", c * length, elements.scopes[-1])
    stop = elements.let("stop", loops.apply("min", start + length, lead), elements.scopes[-1])
    if after:
        base = elements.let("base", c * extent(width), elements.scopes[-1])
        _column_sweep(k, folds, parts, base, domain, axes, after, {}, (start, stop))
    else:
        _full_sweep(k, folds, parts, c, domain, axes, (start, stop))
    top.append(For(c.name, ZERO, count, "parallel", elements.close()))
    top.append(Barrier())
    _join_parts(k, folds, parts, count, domain, after, top)


def _full_sweep(k: KernelBuilder, folds: list[Node], parts: dict[Node, str], c: Expr, domain: Shape, axes: tuple[int, ...], bounds: tuple[Expr, Expr]) -> None:
    elements = k.elements
    statements = elements.scopes[-1].statements
    registers = {n: registers_of(k, n, statements) for n in folds}
    stores = [r for r in k.f.results if is_full(r, domain, ())]

    def at(index: Index) -> None:
        inner = dict(zip(axes, index, strict=True))
        fold_element(k, registers, stores, tuple(inner.get(d, ZERO) for d in range(len(domain))), index, domain, axes)

    _bounded(k, tuple(domain[a] for a in axes), bounds, at, statements)
    for node in folds:
        statements.append(Store(parts[node], c, Var(registers[node][0], node.tensor.dtype)))


def _bounded(k: KernelBuilder, extents: Shape, bounds: tuple[Expr, Expr], body: Callable[[Index], None], statements: list[Statement]) -> None:
    """Serial loops over `extents`, the first one from `bounds[0]` to `bounds[1]`."""
    first = k.var("r")
    k.elements.open()
    k.elements.scopes[-1].statements.extend(loop_nest(k, extents[1:], lambda rest: body((first, *rest)), "serial"))
    statements.append(For(first.name, bounds[0], bounds[1], "serial", k.elements.close()))


def _column_sweep(
    k: KernelBuilder, folds: list[Node], parts: dict[Node, str], base: Expr, domain: Shape, axes: tuple[int, ...], after: list[int],
    place: dict[int, Expr], bounds: tuple[Expr, Expr] | None,
) -> None:  # fmt: skip
    """part[base + j] for every column j: start values, then each reduced index adds its row of columns."""
    elements = k.elements
    statements = elements.scopes[-1].statements
    columns_shape = tuple(domain[i] for i in after)
    j = k.var("j")
    starts = tuple(Store(parts[n], base + j, start_value(n.op.lowering, n.tensor.dtype)) for n in folds if isinstance(n.op.lowering, Fold))
    statements.append(For(j.name, ZERO, extent(product(columns_shape)), "vector", starts))
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

    extents = (*(domain[a] for a in axes), *columns_shape)
    if bounds is None:
        statements.extend(loop_nest(k, extents, at, "vector"))
    else:
        _bounded(k, extents, bounds, at, statements)


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
    columns_shape = tuple(domain[i] for i in after)
    width = extent(product(columns_shape))

    def at(column: Index) -> None:
        statements = elements.scopes[-1].statements
        flat = ravel(column, columns_shape) if after else ZERO
        for node in folds:
            assert isinstance(node.op.lowering, Fold)
            name = elements.unique(hint(node))
            statements.append(Alloc(name, node.tensor.dtype, start_value(node.op.lowering, node.tensor.dtype)))
            c = k.var("c")
            part = Load(parts[node], c * width + flat, node.tensor.dtype)
            statements.append(For(c.name, ZERO, count, "serial", (combine(name, None, node.op.lowering, part, node.tensor.dtype),)))
            elements.give(node, spread(column, node.tensor.dims), Var(name, node.tensor.dtype))
        elements.store((k.result_names[r], r, spread(column, r.tensor.dims)) for r in results)

    top.extend(_parallel_nest(k, columns_shape, at, False))


# nests


def nest(k: KernelBuilder, root: Node) -> None:
    """The root's own loops; what follows it is computed where its elements are final, or in a sweep after them."""
    elements = k.elements
    operands = [elements.names[n] for n in root.inputs]
    out = k.result_names.get(root)
    if out is None:
        out = elements.unique(f"{hint(root)}_out")
    plan = nest_plan(root, operands, out, elements.unique)
    statements = list(plan.statements)
    k.workspaces.extend(Buffer(name, dtype, size, "workspace") for name, dtype, size in plan.workspaces)
    top = elements.scopes[-1].statements
    results = [r for r in k.f.results if r is not root]
    if not results:
        top.extend(statements)
        return
    attached = attach(k, root, out, statements, results, keep=root in k.result_names)
    if attached is not None:
        top.extend(attached)
        return
    if root not in k.result_names:
        k.workspaces.append(Buffer(out, root.tensor.dtype, root.tensor.size, "workspace"))
    top.extend(statements)
    top.append(Barrier())
    elements.names[root] = out
    sweep(k, results)


__all__ = ["schedule", "sweep"]
