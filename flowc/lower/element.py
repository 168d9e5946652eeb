"""The element of a node at an output index, as a loop IR expression: fusion is this inlining.

    relu(add(x, b)) at (i, j)   ->   let add = x[i*20 + j] + b[j];  max(add, 0.0)

What is used more than once is named by a `Let` in the innermost open scope; scalars are named once, before the loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowc.ir import loops
from flowc.ir.dims import Shape
from flowc.ir.function import CONSTANT, Function
from flowc.ir.loops import Apply, Const, Expr, Let, Load, Statement, Var, extent
from flowc.ir.node import Node
from flowc.ir.op import Element, Scalar
from flowc.ir.reserved import RESERVED
from flowc.ir.scalar_text import scalar
from flowc.ir.types import I64

Index = tuple[Expr, ...]
ZERO = Const(0, I64)


class Flat(tuple[Expr, ...]):
    """An index known only by its flat place: good for values that all have the domain's elements in the domain's order."""


def ravel(index: Index, shape: Shape) -> Expr:
    """The flat place of an index in row-major order."""
    if isinstance(index, Flat):
        return index[0]
    flat: Expr = ZERO
    for i, dim in zip(index, shape, strict=True):
        flat = i if flat is ZERO else flat * extent(dim) + i
    return flat


def unravel(flat: Expr, shape: Shape) -> Index:
    """The index of a flat place."""
    index: list[Expr] = []
    rest = flat
    for position in range(len(shape) - 1, -1, -1):
        dim = shape[position]
        if dim == 1:
            index.append(ZERO)
            continue
        outermost = all(d == 1 for d in shape[:position])
        index.append(rest if outermost else rest % extent(dim))
        rest = ZERO if outermost else rest // extent(dim)
    return tuple(reversed(index))


def taken_apart(flat: Expr, shape: Shape, stops: Mapping[str, Expr]) -> Index | None:
    """The index of a flat place that was put together as `row * columns + column`, without a division; None for others.

    stops: where the loops around end that begin at 0, by their variables.
    """
    moving = [position for position, dim in enumerate(shape) if dim != 1]
    if len(moving) == 2 and isinstance(flat, Apply) and flat.function == "add":
        row, column = flat.args
        columns = extent(shape[moving[1]])
        is_row = isinstance(row, Apply) and row.function == "mul" and is_same(row.args[1], columns)
        if is_row and isinstance(column, Var) and column.name in stops and is_same(stops[column.name], columns):
            index = dict(zip(moving, (row.args[0], column), strict=True))  # type: ignore[attr-defined]
            return tuple(index.get(position, ZERO) for position in range(len(shape)))
    return None


def is_same(left: Expr, right: Expr) -> bool:
    """Whether two index expressions are the same number, spelled the same."""
    match left, right:
        case Const(a), Const(b):
            return a == b
        case Var(a), Var(b):
            return a == b
        case Apply(a, left_args), Apply(b, right_args):
            return a == b and all(is_same(x, y) for x, y in zip(left_args, right_args, strict=True))
    return False


def align(index: Index, shape: Shape, target: Shape) -> Index:
    """The index into `target` at which a value of `shape`, with the same elements in the same order, stands at `index`."""
    if isinstance(index, Flat):
        return index
    kept = [i for i, d in zip(index, shape, strict=True) if d != 1]
    moving = iter(kept)
    return tuple(ZERO if d == 1 else next(moving) for d in target)


def operand_index(index: Index, shape: Shape, operand: Shape) -> Index:
    """NumPy broadcasting: where an elementwise op of `shape` at `index` reads an operand."""
    if operand == shape:
        return index
    if isinstance(index, Flat):
        return tuple(ZERO for _ in operand) if all(d == 1 for d in operand) else index
    offset = len(shape) - len(operand)
    return tuple(ZERO if d == 1 else index[offset + k] for k, d in enumerate(operand))


class Scope:
    """Statements under way and the values named in them."""

    def __init__(self, statements: list[Statement]) -> None:
        self.statements = statements
        self.memo: dict[tuple[object, ...], Expr] = {}


class Elements:
    """Values of one kernel Function's nodes.

    `names` gives each param its buffer; `given` holds values that are not computed but known (a reduction's register).
    """

    def __init__(self, f: Function, names: dict[Node, str]) -> None:
        self.f = f
        self.names = names
        self.scopes: list[Scope] = []
        self.guards = 0
        self.taken: set[str] = set(names.values())
        self.serials: dict[str, int] = {}  # of the last name made from a hint
        self.uses: dict[Node, int] = {}
        for node in f.nodes:
            for operand in node.inputs:
                self.uses[operand] = self.uses.get(operand, 0) + 1
        self.ahead = _computable_ahead(f)

    # scopes

    def open(self, statements: list[Statement] | None = None) -> list[Statement]:
        body: list[Statement] = [] if statements is None else statements
        self.scopes.append(Scope(body))
        return body

    def close(self) -> tuple[Statement, ...]:
        return tuple(self.scopes.pop().statements)

    def unique(self, hint: str) -> str:
        name, count = hint, self.serials.get(hint, 0)
        while name in self.taken:
            count += 1
            name = f"{hint}_{count}"
        self.serials[hint] = count
        self.taken.add(name)
        return name

    def give(self, node: Node, index: Index, value: Expr) -> None:
        """Make a value known at an index in the open scope."""
        self.scopes[-1].memo[self.key(node, index)] = value

    def key(self, node: Node, index: Index) -> tuple[object, ...]:
        return (node, *(i if not isinstance(i, Const) else ("const", i.value) for i in index))

    def let(self, hint: str, value: Expr, scope: Scope) -> Expr:
        if isinstance(value, Const | Var):
            return value
        name = self.unique(hint)
        scope.statements.append(Let(name, value))
        return Var(name, value.dtype)

    # values

    def value(self, node: Node, index: Index) -> Expr:
        """`node`'s element at `index`."""
        if node.op is CONSTANT and node.tensor.shape == ():
            return loops.lift(node.attrs["value"].array.item(), node.tensor.dtype)
        if not isinstance(index, Flat):
            index = tuple(ZERO if d == 1 else i for i, d in zip(index, node.tensor.dims, strict=True))
        elif node in self.ahead:
            index = tuple(ZERO for _ in node.tensor.dims)
        key = self.key(node, index)
        for scope in reversed(self.scopes):
            if key in scope.memo:
                return scope.memo[key]
        scope = self.scopes[0] if node in self.ahead else self.scopes[-1]
        found = self.compute(node, index)
        if not self.guards or node in self.ahead:
            shared = node in self.names or isinstance(node.op.lowering, Scalar) or self.uses.get(node, 0) > 1
            if shared:
                found = self.let(hint(node), found, scope)
            scope.memo[key] = found
        return found

    def compute(self, node: Node, index: Index) -> Expr:
        if node in self.names:
            return Load(self.names[node], ravel(index, node.tensor.dims), node.tensor.dtype)
        if node.op is CONSTANT:
            raise AssertionError(f"array constant {node.name} is not a kernel's param")
        lowering = node.op.lowering
        types = [n.tensor for n in node.inputs]
        if isinstance(lowering, Scalar):
            values = [self.value(n, operand_index(index, node.tensor.dims, n.tensor.dims)) for n in node.inputs]
            attrs = {k: loops.lift(v, types[0].dtype) for k, v in node.attrs.items() if isinstance(v, bool | int | float)}
            return scalar(lowering.over(node.attrs), {**attrs, **dict(zip(node.op.operands, values, strict=True))})
        if isinstance(lowering, Element):
            if lowering.pure_view:
                return self.view(node, index)
            self.guards += lowering.guarded
            try:
                return lowering.value(lambda i, at: self.value(node.inputs[i], tuple(at)), index, types, node.tensor, dict(node.attrs))
            finally:
                self.guards -= lowering.guarded
        raise AssertionError(f"{node.name}: {node.op.name} has no value at one index here")

    def view(self, node: Node, index: Index) -> Expr:
        (source,) = node.inputs[:1]
        shape, target = node.tensor.dims, source.tensor.dims
        if tuple(d for d in shape if d != 1) == tuple(d for d in target if d != 1):
            return self.value(source, align(index, shape, target))
        flat = ravel(index, shape)
        if source in self.names:
            return Load(self.names[source], flat, source.tensor.dtype)
        return self.value(source, unravel(flat, target))

    def store(self, stores: Iterable[tuple[str, Node, Index]]) -> None:
        """Write nodes' elements to their places in buffers: all are computed before any is written, since a buffer may be an operand's."""
        values = [(buffer, ravel(index, node.tensor.dims), self.value(node, index)) for buffer, node, index in stores]
        for buffer, place, value in values:
            self.scopes[-1].statements.append(loops.Store(buffer, place, value))


def _computable_ahead(f: Function) -> set[Node]:
    """Size-1 values that need no loop of this kernel: params and what is computed from them alone."""
    found = {p for p in f.params if _is_single(p)}
    for node in f.nodes:
        if _is_single(node) and isinstance(node.op.lowering, Scalar | Element) and all(n in found or n.op is CONSTANT for n in node.inputs):
            found.add(node)
    return found


def _is_single(node: Node) -> bool:
    return all(d == 1 for d in node.tensor.dims)


def hint(node: Node) -> str:
    """A readable name for a node's value in generated code."""
    from flowc.ir.function import PARAM, is_anonymous

    if node.op is PARAM:
        return f"{node.name}_"
    tail = node.op.name if is_anonymous(node) else node.name.rpartition(".")[2]
    return f"{tail}_" if tail in RESERVED else tail


def located(nodes: Iterable[Node]) -> str:
    """`HiddenLayer.Relu (model.py:41), ...`: the user's lines behind a kernel."""
    parts = []
    for node in nodes:
        parts.append(f"{node.name} ({node.loc.short})" if node.loc is not None else node.name)
    return ", ".join(parts)
