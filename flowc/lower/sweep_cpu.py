"""CPU sweeps: everything a kernel computes at each index of one domain, as one parallel loop nest.

    y = relu(x)              ->   for i in parallel(b * 20): y[i] = max(x[i], 0.0)
    y = transpose(x)         ->   for tile in parallel(tiles of 32 columns): for rows by 32: for i in the tile: for j in the rows: y[i, j] = x[j, i]

Where the result's neighbours lie far apart in an operand, tiles keep both sides' lines in the cache until all of their elements are used.
"""

from __future__ import annotations

from collections.abc import Callable

from flowc.ir import loops
from flowc.ir.dims import Shape, product
from flowc.ir.loops import Const, Expr, For, Statement, Var, extent
from flowc.ir.node import Node
from flowc.ir.op import Element
from flowc.ir.types import I64
from flowc.lower.element import ZERO, Flat, Index, unravel
from flowc.lower.kernel import KernelBuilder, flat_over, loop_nest, spread
from flowc.transforms.groups import squeezed

TILE = 32  # elements along each side: two tiles of f32 are a quarter of the innermost cache


def sweep(k: KernelBuilder, results: list[Node], statements: list[Statement] | None = None) -> None:
    """One parallel loop nest over the results' domain that stores each of them."""
    domain = squeezed(results[0].tensor.dims)
    assert all(squeezed(r.tensor.dims) == domain for r in results), "results of one sweep share a domain"

    def body(index: Index) -> None:
        k.elements.store((k.result_names[r], r, spread(index, r.tensor.dims)) for r in results)

    target = k.elements.scopes[-1].statements if statements is None else statements
    across = across_axis(k, domain)
    if across is not None:
        target.extend(_tiled_nest(k, domain, across, body))
    else:
        target.extend(parallel_nest(k, domain, body, flat_over(k, domain)))


def across_axis(k: KernelBuilder, domain: Shape) -> int | None:
    """The axis of the domain along which a transposed operand's elements are neighbours; None where that is the last, or none is transposed."""
    for node in k.f.nodes:
        if node.tensor.dims != domain or len(node.inputs) != 1 or node.inputs[0] not in k.elements.names:
            continue
        axis = _neighbours(node)
        if axis is None or axis == len(domain) - 1:
            continue
        if not any(isinstance(d, int) and d < 4 for d in (domain[axis], domain[-1])):
            return axis
    return None


def _neighbours(node: Node) -> int | None:
    """The axis of a result along which it reads neighbours of its operand, where it is the operand with its axes in another order; else None."""
    form = node.op.lowering
    if not isinstance(form, Element):
        return None
    index = [Var(f"axis_{axis}", I64) for axis in range(node.tensor.rank)]
    read: list[Index] = []

    def at(operand: int, place: Index) -> Expr:
        read.append(place)
        return loops.lift(0, node.tensor.dtype)

    form.value(at, tuple(index), [n.tensor for n in node.inputs], node.tensor, dict(node.attrs))
    order = [next((axis for axis, i in enumerate(index) if i is where), None) for where in read[0]] if len(read) == 1 else []
    return order[-1] if None not in order and len(set(order)) == len(index) == len(order) and order else None


def parallel_nest(k: KernelBuilder, domain: Shape, body: Callable[[Index], None], flat: bool) -> list[Statement]:
    """Loops over a domain, the outer ones shared among threads; `flat`: as one loop over the elements' places."""
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


def _tiled_nest(k: KernelBuilder, domain: Shape, across: int, body: Callable[[Index], None]) -> list[Statement]:
    """Loops over a domain in tiles of the axis `across` and the last one."""
    elements = k.elements
    last = len(domain) - 1
    others = [axis for axis in range(last) if axis != across]
    side = Const(TILE, I64)
    tiles = (extent(domain[across]) + Const(TILE - 1, I64)) // side
    p = k.var("tile")
    elements.open()
    scope = elements.scopes[-1]
    place = dict(zip(others, unravel(p // tiles, tuple(domain[axis] for axis in others)), strict=True))
    index = {axis: elements.let("i", e, scope) for axis, e in place.items()}
    start = elements.let("start", p % tiles * side, scope)
    stop = elements.let("stop", loops.apply("min", start + side, extent(domain[across])), scope)
    row, i, j = k.var("rows"), k.var("i"), k.var("j")
    elements.open()
    first = elements.let("first", row * side, elements.scopes[-1])
    end = elements.let("end", loops.apply("min", first + side, extent(domain[last])), elements.scopes[-1])
    elements.open()
    elements.open()
    index |= {across: i, last: j}
    body(tuple(index[axis] for axis in range(len(domain))))
    inner = For(j.name, first, end, "vector", elements.close())
    middle = For(i.name, start, stop, "serial", (*elements.close(), inner))
    count = (extent(domain[last]) + Const(TILE - 1, I64)) // side
    rows = For(row.name, ZERO, count, "serial", (*elements.close(), middle))
    scope.statements.append(rows)
    return [For(p.name, ZERO, extent(product(tuple(domain[axis] for axis in others))) * tiles, "parallel", elements.close())]


__all__ = ["across_axis", "parallel_nest", "sweep"]
