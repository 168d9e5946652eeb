"""What every schedule needs: a kernel under way (`KernelBuilder`), plain loop nests, and reductions' registers.

k = begin(f, in_place)      # buffers named, the outermost scope open
...                         # a schedule fills k.elements' scopes
kernel = finish(k)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowc.ir import loop_walks, loops
from flowc.ir.dims import Dim, Shape, symbols
from flowc.ir.function import Function
from flowc.ir.loops import COSTLY, Alloc, Buffer, Comment, Const, Expr, For, If, Kernel, Load, Statement, Store, Var, extent
from flowc.ir.node import Node
from flowc.ir.op import ArgFold, Fold, Scalar
from flowc.ir.reserved import RESERVED
from flowc.ir.scalar_text import scalar
from flowc.ir.types import I64, DType
from flowc.lower.element import ZERO, Elements, Flat, Index, hint, located, ravel
from flowc.lower.rename import symbol_names
from flowc.structs import Struct, field
from flowc.transforms.groups import is_nest, is_reduction, is_view, squeezed


class KernelBuilder(Struct, frozen=False):
    """What is known of one kernel while its loops are made."""

    f: Function
    result_names: dict[Node, str]  # result -> buffer
    elements: Elements
    buffers: list[Buffer]
    workspaces: list[Buffer] = field(default_factory=list)
    how: str = ""

    def var(self, stem: str = "i") -> Var:
        return Var(self.elements.unique(stem), I64)

    def workspace(self, stem: str, dtype: DType, size: Dim) -> str:
        name = self.elements.unique(stem)
        self.workspaces.append(Buffer(name, dtype, size, "workspace"))
        return name


def begin(f: Function, in_place: dict[int, int]) -> KernelBuilder:
    """A kernel whose params and results have buffers and whose outermost scope is open."""
    names: dict[Node, str] = {}
    taken = symbol_names(f) | RESERVED
    for param in f.params:
        names[param] = unique_name(param.name, taken)
    results: dict[Node, str] = {}
    buffers: list[Buffer] = []
    for position, param in enumerate(f.params):
        role = "inout" if position in in_place.values() else "in"
        buffers.append(Buffer(names[param], param.tensor.dtype, param.tensor.size, role))
    for position, result in enumerate(f.results):
        if position in in_place:
            results[result] = names[f.params[in_place[position]]]
        else:
            results[result] = unique_name(hint(result) + "_out", taken)
            buffers.append(Buffer(results[result], result.tensor.dtype, result.tensor.size, "out"))
    elements = Elements(f, names)
    elements.taken |= taken
    elements.open([Comment(located(f.nodes))])
    return KernelBuilder(f, results, elements, buffers)


def finish(k: KernelBuilder) -> Kernel:
    """The kernel of what has been filled in."""
    body = k.elements.close()
    buffers = (*k.buffers, *k.workspaces)
    used = {s for b in buffers for s in symbols(b.size)} | free_names(body)
    return Kernel(k.f.name, buffers, tuple(sorted(used)), body, how=k.how)


def unique_name(name: str, taken: set[str]) -> str:
    unique, count = name, 0
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    taken.add(unique)
    return unique


def free_names(body: tuple[Statement, ...]) -> set[str]:
    """Names that are read but never bound: the extents that the code uses."""
    return loop_walks.used(body) - set(loop_walks.bound(body))


def spread(index: Index, shape: Shape) -> Index:
    """The index into `shape` whose moving (not 1) extents take `index` in order."""
    if isinstance(index, Flat):
        return index
    moving = iter(index)
    return tuple(ZERO if d == 1 else next(moving) for d in shape)


def flat_over(k: KernelBuilder, shape: Shape) -> bool:
    """Whether every value is read at the domain's own place, so that one flat loop does: always so for rank 0 and 1."""
    domain = squeezed(shape)
    if len(domain) <= 1:
        return False
    for node in k.f.nodes:
        single = all(d == 1 for d in node.tensor.dims)
        if single:
            continue
        if squeezed(node.tensor.dims) != domain:
            return False
        if is_nest(node) or not (node.op.kind.value == "map" or is_view(node) or is_reduction(node)):
            return False
    used = {n for node in k.f.nodes for n in node.inputs if n in k.elements.names}
    return all(squeezed(n.tensor.dims) in ((), domain) for n in used)


def loop_nest(k: KernelBuilder, extents: Shape, body: Callable[[Index], None], innermost: str) -> list[Statement]:
    """Nested serial loops over `extents`, the last of kind `innermost`."""
    elements = k.elements
    if not extents:
        elements.open()
        body(())
        return list(elements.close())
    variables = [k.var("ijkl"[min(d, 3)] if len(extents) > 1 else "j") for d in range(len(extents))]
    elements.open()
    for _ in variables[1:]:
        elements.open()
    body(tuple(variables))
    statements: tuple[Statement, ...] = ()
    for depth in range(len(variables) - 1, -1, -1):
        inside = (*elements.close(), *statements)
        kind = innermost if depth == len(variables) - 1 else "serial"
        statements = (For(variables[depth].name, ZERO, extent(extents[depth]), kind, inside),)
    return list(statements)


def start_value(lowering: Fold, dtype: DType) -> Const:
    """The start of an accumulator: a number, or the dtype's lowest or highest value."""
    init = lowering.init
    if init in ("lowest", "highest"):
        sign = -1 if init == "lowest" else 1
        if dtype.is_float:
            return Const(sign * float("inf"), dtype)
        if dtype.is_bool:
            return Const(init == "highest", dtype)
        info = np.iinfo(dtype.numpy)
        return Const(int(info.min if sign < 0 else info.max), dtype)
    return loops.lift(init, dtype)  # type: ignore[arg-type,return-value]


_COMBINE = {"acc + x": "add", "acc * x": "mul", "min(acc, x)": "min", "max(acc, x)": "max", "larger(acc, x)": "larger"}


def combine(buffer: str, at: Expr | None, lowering: Fold, x: Expr, dtype: DType) -> Store:
    """The statement by which `x` joins an accumulator."""
    known = _COMBINE.get(lowering.combine)
    if known is not None:
        return Store(buffer, at, x, known)
    current: Expr = Var(buffer, dtype) if at is None else Load(buffer, at, dtype)
    return Store(buffer, at, scalar(lowering.combine, {"acc": current, "x": x}))


def levels(f: Function) -> dict[Node, int]:
    """How many reductions in a row stand before each node's value."""
    level: dict[Node, int] = dict.fromkeys(f.params, 0)
    for node in f.nodes:
        level[node] = max((level[n] for n in node.inputs), default=0) + is_reduction(node)
    return level


def is_costly(node: Node) -> bool:
    """Whether an element takes a transcendental function."""
    return isinstance(node.op.lowering, Scalar) and any(f"{name}(" in node.op.lowering.text for name in COSTLY)


def is_full(node: Node, domain: Shape, reduced: Shape) -> bool:
    return squeezed(node.tensor.dims) == squeezed(domain) and squeezed(domain) != reduced


def registers_of(k: KernelBuilder, node: Node, statements: list[Statement]) -> list[str]:
    lowering = node.op.lowering
    name = k.elements.unique(hint(node))
    if isinstance(lowering, Fold):
        statements.append(Alloc(name, node.tensor.dtype, start_value(lowering, node.tensor.dtype)))
        return [name]
    assert isinstance(lowering, ArgFold)
    source = node.inputs[0].tensor.dtype
    best = k.elements.unique(f"{name}_best")
    statements.append(Alloc(best, source, loops.lift(0, source)))
    statements.append(Alloc(name, I64, Const(-1, I64)))
    return [best, name]


def result_value(node: Node, registers: list[str]) -> Expr:
    """A finished reduction's value."""
    if isinstance(node.op.lowering, ArgFold):
        return loops.cast(Var(registers[-1], I64), node.tensor.dtype)
    return Var(registers[-1], node.tensor.dtype)


def accumulate(node: Node, registers: list[str], x: Expr, index: Index, domain: Shape, axes: tuple[int, ...], body: list[Statement]) -> None:
    lowering = node.op.lowering
    if isinstance(lowering, Fold):
        body.append(combine(registers[0], None, lowering, x, node.tensor.dtype))
        return
    assert isinstance(lowering, ArgFold)
    best, where = Var(registers[0], x.dtype), Var(registers[1], I64)
    position = ravel(index, tuple(domain[a] for a in axes))
    better = scalar(lowering.better, {"x": x, "best": best})
    condition = where.eq(Const(-1, I64)) | better
    body.append(If(condition, (Store(registers[0], None, x), Store(registers[1], None, position))))


Registers = dict[Node, list[str]]


def fold_element(k: KernelBuilder, registers: Registers, stores: list[Node], full: Index, place: Index, domain: Shape, axes: tuple[int, ...]) -> None:
    """At one index `full` of the swept domain: its element joins each reduction, and results of the domain's shape are stored.

    `place` is the index along the reduced axes alone.
    """
    elements = k.elements
    for node, names in registers.items():
        x = elements.value(node.inputs[0], full)
        accumulate(node, names, x, place, domain, axes, elements.scopes[-1].statements)
    at = full if isinstance(full, Flat) else tuple(i for i, d in zip(full, domain, strict=True) if d != 1)
    elements.store((k.result_names[r], r, spread(at, r.tensor.dims)) for r in stores)


def row_levels(k: KernelBuilder, folds: list[Node], domain: Shape, kept: list[int], sweep: Callable[[list[Node], list[Node]], None]) -> list[Node]:
    """`sweep(folds, stores)` for each level of reductions of one row; the results that have the rows' shape, still to be stored."""
    level = levels(k.f)
    reduced = squeezed(tuple(domain[i] for i in kept))
    full_results = [r for r in k.f.results if is_full(r, domain, reduced)]
    last = max([level[n] for n in folds] + [level[r] for r in full_results])
    for depth in range(last + 1):
        here = [n for n in folds if level[n] == depth + 1]
        stores = [r for r in full_results if level[r] == depth]
        if here or stores:
            sweep(here, stores)
    return [r for r in k.f.results if not is_full(r, domain, reduced)]


class Lines(Struct):
    """Values over a row that wait for the next sweep in an array of the thread's own, by node: those that a sweep leaves, and those that it takes."""

    left: dict[Node, str]
    taken: dict[Node, str]


NO_LINES = Lines({}, {})


def row_sweep(
    k: KernelBuilder, folds: list[Node], stores: list[Node], domain: Shape, axes: tuple[int, ...], place: dict[int, Expr], row: Index, lines: Lines = NO_LINES
) -> None:  # fmt: skip
    """One serial pass over a row: reductions of one level, and results that have the row's full shape. lines: where the row has one axis."""
    elements = k.elements
    statements = elements.scopes[-1].statements
    registers = {n: registers_of(k, n, statements) for n in folds}

    def at(index: Index) -> None:
        inner = dict(zip(axes, index, strict=True))
        full = tuple(place.get(d, inner.get(d, ZERO)) for d in range(len(domain)))
        for node, line in lines.taken.items():
            waiting = Load(line, index[0], node.tensor.dtype)
            elements.give(node, tuple(ZERO if d == 1 else i for i, d in zip(full, node.tensor.dims, strict=True)), waiting)
        fold_element(k, registers, stores, full, index, domain, axes)
        for node, line in lines.left.items():
            elements.scopes[-1].statements.append(Store(line, index[0], elements.value(node, full)))

    statements.extend(loop_nest(k, tuple(domain[a] for a in axes), at, "serial" if folds else "vector"))
    for node in folds:
        elements.give(node, spread(row, node.tensor.dims), result_value(node, registers[node]))
