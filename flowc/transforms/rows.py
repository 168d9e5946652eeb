"""Rows: what can be computed for some rows of a batch at a time, and what needs them all.

    def f(x: f32[b, 784], w: f32[784, 10]):            def f_rows(x: f32[b, 784], w: f32[784, 10]):
        h: f32[b, 10] = matmul(x, w)                        h: f32[b, 10] = matmul(x, w)
        v0: f32[b, 10] = relu(h)                            v0: f32[b, 10] = relu(h)
        v1: f32 = reduce_sum(v0)              ->            return v0
        return v1                                       def f_rest(x: f32[b, 784], w: f32[784, 10], v0: f32[b, 10]):
                                                            v1: f32 = reduce_sum(v0)
                                                            return v1

A value has rows where its first extent is the batch's and each of its rows depends on the same row of other such values and on what does not
depend on the batch; each op's record says when that is so (`Op.rows`). `Executable.prepare` runs `f_rows` slice by slice where the whole batch
would take too much memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowc.ir.dims import Dim, Shape, Sym, symbols
from flowc.ir.function import CONSTANT, Builder, Function, is_anonymous
from flowc.ir.node import Node
from flowc.ir.types import TensorType
from flowc.structs import Struct


class Split(Struct, eq=False):
    """rows: params -> values with rows; rest: the params of `f` and then those values -> what `f` gives; symbol: of the batch's extent;
    params: for each param of `rows` its position in `f` and whether it has rows itself."""

    rows: Function
    rest: Function
    symbol: str
    params: tuple[tuple[int, bool], ...]


def split(f: Function) -> Split | None:
    """`f` taken apart along the first symbol for which something with rows is left to compute; None where there is none."""
    for symbol in dict.fromkeys(d.name for p in f.params for d in p.tensor.dims[:1] if isinstance(d, Sym) and d.name is not None):
        found = _Rows(f, symbol)
        if found.border and found.computed:
            return found.split()
    return None


class _Rows:
    """The values of a Function that have rows along one symbol."""

    def __init__(self, f: Function, symbol: str) -> None:
        self.f, self.symbol = f, symbol
        self.free: set[Node] = set()  # values that do not depend on the batch
        self.having: set[Node] = set()
        for node in (*f.params, *f.nodes):
            if not isinstance(node.type, TensorType):
                continue
            if self.is_free(node):
                self.free.add(node)
            elif self.has_rows(node):
                self.having.add(node)
        self.computed = [n for n in f.nodes if n in self.having]
        needed = {operand for n in f.nodes if n not in self.having for operand in n.inputs} | set(f.outputs)
        self.border = [n for n in self.computed if n in needed]

    # what has rows

    def mentions(self, dims: Sequence[Dim | None]) -> bool:
        return any(self.symbol in symbols(d) for d in dims if d is not None)

    def is_batch(self, shape: Shape) -> bool:
        """Whether the first extent is the batch's and no other one depends on it."""
        return bool(shape) and isinstance(shape[0], Sym) and shape[0].name == self.symbol and not self.mentions(shape[1:])

    def is_free(self, node: Node) -> bool:
        known = all(n in self.free for n in node.inputs)
        return known and not self.mentions(node.tensor.dims) and not any(self.mentions(_extents(value)) for value in node.attrs.values())

    def has_rows(self, node: Node) -> bool:
        """Whether each row of the result depends on that row of what has rows."""
        shape = node.tensor.dims
        if not self.is_batch(shape):
            return False
        if node in self.f.params:
            return True
        if any(n not in self.free and n not in self.having for n in node.inputs):
            return False
        rule = node.op.rows
        return rule is not None and rule([n in self.having for n in node.inputs], *(n.tensor for n in node.inputs), **node.attrs)

    # the two Functions

    def split(self) -> Split:
        f = self.f
        b = Builder(f"{f.name}_rows")
        wanted = _needed(self.border)
        params = [(position, p) for position, p in enumerate(f.params) if p in wanted]
        new = {p: b.param(p.name, p.type, p.loc) for _, p in params}
        _copy(b, [n for n in f.nodes if n in wanted], new)
        rows = b.finish(new[n] for n in self.border)
        b = Builder(f"{f.name}_rest")
        new = {p: b.param(p.name, p.type, p.loc) for p in f.params}
        new |= {n: b.param(f"rows_{position}" if is_anonymous(n) else n.name, n.type, n.loc) for position, n in enumerate(self.border)}
        _copy(b, [n for n in f.nodes if n not in self.having], new)
        rest = b.finish((new[r] for r in f.results), ((new[p], new[v]) for p, v in f.updates))
        return Split(rows, rest, self.symbol, tuple((position, p in self.having) for position, p in params))


def _needed(nodes: Sequence[Node]) -> set[Node]:
    found: set[Node] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(node.inputs)
    return found


def _copy(b: Builder, nodes: Sequence[Node], new: dict[Node, Node]) -> None:
    for node in nodes:
        with b.origin(node):
            given = None if is_anonymous(node) or node.op is CONSTANT else node.name
            new[node] = b.apply(node.op, *(new[n] for n in node.inputs), name=given, **node.attrs)


def _extents(value: Any) -> list[Dim | None]:
    """The extents that an attribute holds."""
    if isinstance(value, Sym):
        return [value]
    if isinstance(value, tuple | list):
        return [dim for item in value for dim in _extents(item)]
    return []


__all__ = ["Split", "split"]
