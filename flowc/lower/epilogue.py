"""Epilogues: what follows a loop nest elementwise is computed where the nest's elements become final.

    for i in parallel(b):                                  for i in parallel(b):
        tile(out=mm, ...)              + relu(mm + bias) ->     tile(out=mm, ...)
                                                                for each row of the tile, for j in vector: relu_out[...] = max(sums[...] + bias[j], 0.0)

A tile that is final is followed by loops over its own elements, while they are in the cache; a final scalar store becomes the
epilogue's stores. A nest that adds to its result in several places (or reads it back) takes no epilogue here: None.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowc.ir import loops
from flowc.ir.function import CONSTANT
from flowc.ir.loop_walks import children, expressions, loads, names
from flowc.ir.loops import Alloc, Const, Expr, For, If, Let, Load, Statement, Store, Tile, Var
from flowc.ir.node import Node
from flowc.ir.op import Kind
from flowc.ir.primitives import MOST_AHEAD
from flowc.ir.types import F32, I64
from flowc.lower.element import ZERO, Flat, Index, taken_apart, unravel
from flowc.lower.kernel import KernelBuilder, spread
from flowc.structs import replace
from flowc.transforms.groups import is_view, squeezed

FAR = 8 << 20  # bytes of them, from where they are in no cache when they are needed


def attach(k: KernelBuilder, root: Node, out: str, statements: list[Statement], results: list[Node], keep: bool) -> list[Statement] | None:
    """The nest's statements with the epilogue in place; None where the result is not final at any one statement.

    `keep`: the root's own values are wanted too, so tiles leave their sums in `out`; where not, in a small array of the thread's own.
    """
    if not all(_is_final(s, out) for s in statements):
        return None
    return [_attach_one(k, root, out, s, results, keep, {}) for s in statements]


def _is_final(statement: Statement, out: str) -> bool:
    """Whether every write to `out` inside is the last one to its element, and none reads `out`."""
    match statement:
        case Tile() if statement.out == out:
            return isinstance(statement.accumulate, Const) and not statement.accumulate.value
        case Store() if statement.buffer == out and statement.combine is not None:
            return False
    if any(load.buffer == out for e in expressions(statement) for load in loads(e)):
        return False
    return all(_is_final(s, out) for inner in children(statement) for s in inner)


def _attach_one(k: KernelBuilder, root: Node, out: str, statement: Statement, results: list[Node], keep: bool, stops: Mapping[str, Expr]) -> Statement:
    """stops: where the loops around end that begin at 0, by their variables."""
    match statement:
        case For():
            if isinstance(statement.start, Const) and statement.start.value == 0:
                stops = {**stops, statement.var: statement.stop}
            return replace(statement, body=_attach_all(k, root, out, statement.body, results, keep, stops))
        case If():
            body = _attach_all(k, root, out, statement.body, results, keep, stops)
            return replace(statement, body=body, orelse=_attach_all(k, root, out, statement.orelse, results, keep, stops))
    return statement


def _attach_all(
    k: KernelBuilder, root: Node, out: str, body: tuple[Statement, ...], results: list[Node], keep: bool, stops: Mapping[str, Expr]
) -> tuple[Statement, ...]:
    made: list[Statement] = []
    for statement in body:
        if isinstance(statement, Tile) and statement.out == out:
            made.extend(_with_tile(k, root, statement, results, keep))
        elif isinstance(statement, For) and (begins := _lines_of(statement, out)) and not _is_put_together(k, root, statement, stops):
            made.extend(_along_lines(k, root, statement, begins, results))
        elif isinstance(statement, Store) and statement.buffer == out:
            assert statement.index is not None
            made.extend(_instead_of_store(k, root, out, statement, results, stops))
        else:
            made.append(_attach_one(k, root, out, statement, results, keep, stops))
    return tuple(made)


def _with_tile(k: KernelBuilder, root: Node, tile: Tile, results: list[Node], keep: bool) -> list[Statement]:
    """The tile, and loops over its rows and columns; a row lies inside one row of the result's last extent."""
    elements = k.elements
    i, j = k.var("i"), k.var("j")
    before: list[Statement] = []
    own = tile
    if not keep:
        sums, (height, width) = elements.unique("sums"), tile.block
        own = replace(tile, out=sums, out_at=ZERO, out_row=Const(width, I64))
        before = [Alloc(sums, tile.dtype, size=height * width)]
    elements.open()
    begin = elements.let("begin", tile.out_at + i * tile.out_row, elements.scopes[-1])
    value = Load(tile.out, begin + j, tile.dtype) if keep else Load(sums, i * Const(width, I64) + j, tile.dtype)
    flat = _flat(k, root)
    lead = () if flat else tuple(elements.let("at", e, elements.scopes[-1]) for e in unravel(begin, root.tensor.dims))
    elements.open()
    _store_results(k, root, Flat((begin + j,)) if flat else (*lead[:-1], lead[-1] + j), value, results)
    inner = For(j.name, ZERO, tile.columns, "vector", elements.close())
    elements.scopes[-1].statements.append(inner)
    ahead = _ahead(k, inner, begin) if tile.is_single and tile.dtype is F32 else ()
    if ahead:
        own = replace(own, ahead=ahead, ahead_at=tile.out_at, ahead_row=tile.out_row)
    return [*before, own, For(i.name, ZERO, tile.rows, "serial", elements.close())]


def _ahead(k: KernelBuilder, line: For, begin: Expr) -> tuple[str, ...]:
    """Buffers too large for any cache that are read along a line from `begin` on: a tile has them fetched while it is computed."""
    read = [load for s in line.body for e in expressions(s) for load in loads(e)]
    along = {load.buffer for load in read if isinstance(at := _without(load.index, line.var), Var) and isinstance(begin, Var) and at.name == begin.name}
    sizes = {b.name: b.size for b in k.buffers if b.name in along and b.dtype is F32 and isinstance(b.size, int)}
    far = [name for name in dict.fromkeys(load.buffer for load in read) if name in sizes]
    return tuple(far[:MOST_AHEAD]) if sum(sizes.values()) * F32.size >= FAR else ()


def _lines_of(loop: For, out: str) -> list[Expr]:
    """Where in `out` the lines begin that a vector loop writes to, if all that it does in the end is to store one element after the other there."""
    if loop.kind != "vector" or not (isinstance(loop.start, Const) and loop.start.value == 0):
        return []
    before, stores = _parts_of(loop)
    begins = [_without(s.index, loop.var) if s.buffer == out and s.index is not None else None for s in stores]
    inside = {s.name for s in before if isinstance(s, Let | Alloc)}
    if len(inside) != len(before) or not all(begin is not None and not names(begin) & inside for begin in begins):
        return []
    return [begin for begin in begins if begin is not None]


def _parts_of(loop: For) -> tuple[tuple[Statement, ...], tuple[Store, ...]]:
    """A loop's statements up to the stores that it ends in, and these."""
    count = next((n for n, s in enumerate(reversed(loop.body)) if not isinstance(s, Store)), len(loop.body))
    end = len(loop.body) - count
    return loop.body[:end], tuple(s for s in loop.body[end:] if isinstance(s, Store))


def _is_put_together(k: KernelBuilder, root: Node, line: For, stops: Mapping[str, Expr]) -> bool:
    """Whether the loop's places are `row * columns + column`: then the index of each is known without a division."""
    at = line.body[-1].index if isinstance(line.body[-1], Store) else None
    return at is not None and not _flat(k, root) and taken_apart(at, root.tensor.dims, {**stops, line.var: line.stop}) is not None


def _along_lines(k: KernelBuilder, root: Node, loop: For, begins: list[Expr], results: list[Node]) -> list[Statement]:
    """A vector loop over lines of the result (`Nest` promises that each is in one): where they are, is worked out once."""
    elements = k.elements
    before, stores = _parts_of(loop)
    flat, j = _flat(k, root), Var(loop.var, I64)
    elements.open()
    places: list[Index] = []
    for begin in begins:
        at = elements.let("at", begin, elements.scopes[-1])
        lead = () if flat else tuple(elements.let("i", e, elements.scopes[-1]) for e in unravel(at, root.tensor.dims))
        places.append(Flat((at + j,)) if flat else (*lead[:-1], lead[-1] + j))
    elements.open(list(before))
    for store, place in zip(stores, places, strict=True):
        if root in k.result_names:
            elements.scopes[-1].statements.append(store)
        _store_results(k, root, place, store.value, results)
    inner = replace(loop, body=elements.close())
    return [*elements.close(), inner]


def _without(e: Expr, name: str) -> Expr | None:
    """`e` less the variable, where it is a sum in which the variable stands once, as it is; else None."""
    if isinstance(e, Var) and e.name == name:
        return ZERO
    if isinstance(e, loops.Apply) and e.function == "add":
        for place, other in ((0, 1), (1, 0)):
            rest = _without(e.args[place], name)
            if rest is not None:
                return None if name in names(e.args[other]) else rest + e.args[other]
    return None


def _instead_of_store(k: KernelBuilder, root: Node, out: str, store: Store, results: list[Node], stops: Mapping[str, Expr]) -> list[Statement]:
    elements = k.elements
    assert store.index is not None
    elements.open()
    value = elements.let(f"{root.op.name}_sum", store.value, elements.scopes[-1])
    at = store.index
    found: Index | None = None if _flat(k, root) else taken_apart(at, root.tensor.dims, stops)
    if found is None:
        at = elements.let("at", at, elements.scopes[-1])
        found = Flat((at,)) if _flat(k, root) else tuple(elements.let("i", e, elements.scopes[-1]) for e in unravel(at, root.tensor.dims))
    if root in k.result_names:
        elements.scopes[-1].statements.append(Store(out, at, value))
    _store_results(k, root, found, value, results)
    return list(elements.close())


def _flat(k: KernelBuilder, root: Node) -> bool:
    """Whether what follows reads everything at the root's own place (or single values), so that the flat place will do."""
    domain = squeezed(root.tensor.dims)
    followers = [n for n in k.f.nodes if n is not root]
    shapes = {squeezed(n.tensor.dims) for f in followers for n in (f, *f.inputs)}
    return shapes <= {(), domain} and all(n.op.kind is Kind.MAP or is_view(n) or n.op is CONSTANT or squeezed(n.tensor.dims) == () for n in followers)


def _store_results(k: KernelBuilder, root: Node, index: Index, value: Expr, results: list[Node]) -> None:
    elements = k.elements
    scope = elements.scopes[-1]
    named = elements.let(f"{root.op.name}_sum", value, scope)
    if isinstance(index, Flat):
        elements.give(root, index, named)
        elements.store((k.result_names[r], r, spread(index, r.tensor.dims)) for r in results)
        return
    normal = tuple(ZERO if d == 1 else i for i, d in zip(index, root.tensor.dims, strict=True))
    elements.give(root, normal, named)
    kept = tuple(i for i, d in zip(normal, root.tensor.dims, strict=True) if d != 1)
    elements.store((k.result_names[r], r, spread(kept, r.tensor.dims)) for r in results)

