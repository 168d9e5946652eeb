"""The Function: an ordered, pure, typed SSA list, and the Builder that makes one.

    b = Builder("double")
    x = b.param("x", F32["n"])
    f = b.finish((b.apply("add", x, x),))
    print(f)          # def double(x: f32[n]): ...

The Builder hash-conses: an equal application gives the node that is already there, so rebuilding a Function removes common
subexpressions, and `finish` drops what no result needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flowc.errors import GraphError, Location
from flowc.ir.node import Node, Value, attribute_key, typed, walk
from flowc.ir.op import OPS, Kind, Op, define
from flowc.ir.shown import Shown
from flowc.ir.types import DType, TensorType, Type, as_dtype
from flowc.structs import Struct


def _no_eval(*_: Any, **__: Any) -> Any:
    raise AssertionError("a param has its value from the call")


PARAM = Op("param", Kind.OPAQUE, (), "A parameter of a Function.", _no_eval)

CONSTANT = define(
    Op(
        "constant",
        Kind.OPAQUE,
        (),
        "A constant array.",
        eval=lambda *, value: value.array,
        dtype=lambda *, value: as_dtype(value.array.dtype),
        shape=lambda *, value: value.array.shape,
        attrs={"value": None},
        title="Const",
    )
)


def scalar_value(node: Node) -> bool | int | float | None:
    """The Python number of a scalar constant node, else None."""
    if node.op is CONSTANT and node.type.shape == ():  # type: ignore[union-attr]
        return node.attrs["value"].array.item()  # type: ignore[no-any-return]
    return None


class Function(Shown, Struct, eq=False):
    """params, nodes in execution order, results; `updates` pairs a param with the value it takes when the run has ended.

    A Module is a Function whose nodes call other Functions (`call`).
    """

    name: str
    params: tuple[Node, ...]
    nodes: tuple[Node, ...]
    results: tuple[Node, ...]
    updates: tuple[tuple[Node, Node], ...] = ()

    @property
    def outputs(self) -> tuple[Node, ...]:
        """Results, then the new values of updated params."""
        return self.results + tuple(value for _, value in self.updates)

    def users(self) -> dict[Node, list[Node]]:
        """Who uses each node (once per user)."""
        table: dict[Node, list[Node]] = {n: [] for n in (*self.params, *self.nodes)}
        for node in self.nodes:
            for operand in dict.fromkeys(node.inputs):
                table[operand].append(node)
        return table

    def callees(self) -> list[Function]:
        """The Functions that this one calls, each once, in order of the first call."""
        found: dict[int, Function] = {}
        for node in self.nodes:
            inner = node.attrs.get("function")
            if isinstance(inner, Function):
                found.setdefault(id(inner), inner)
        return list(found.values())

    def __str__(self) -> str:
        from flowc.ir.text import print_function

        return print_function(self)

    def __repr__(self) -> str:
        return f"<Function {self.name}: {len(self.params)} params, {len(self.nodes)} nodes>"


class Builder:
    """Makes a Function node by node; equal applications become one node. `lenient`: see `Op.result_type`."""

    def __init__(self, name: str, lenient: bool = False) -> None:
        self.name = name
        self.lenient = lenient
        self.params: list[Node] = []
        self.nodes: list[Node] = []
        self._interned: dict[Any, Node] = {}
        self._names: set[str] = set()
        self._serials = {"v": 0, "c": 0}
        self._loc: Location | None = None

    def param(self, name: str, type: Type, loc: Location | None = None) -> Node:
        node = Node(PARAM, (), {}, type, self.unique_name(name), loc)
        self.params.append(node)
        return node

    def unique_name(self, name: str) -> str:
        unique, count = name, 0
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique

    def anonymous(self, letter: str = "v") -> str:
        while True:
            serial = self._serials[letter]
            self._serials[letter] += 1
            name = f"{letter}{serial}"
            if name not in self._names:
                self._names.add(name)
                return name

    @contextmanager
    def origin(self, node: Node) -> Iterator[None]:
        """Nodes made inside take `node`'s location; the last one made may take its name (see `adopt`)."""
        before = self._loc
        self._loc = node.loc
        try:
            yield
        finally:
            self._loc = before

    def apply(self, op: Op | str, *inputs: Node, name: str | None = None, loc: Location | None = None, **attrs: Any) -> Node:
        """The node `op(inputs, **attrs)`; an equal one that exists is returned as it is."""
        if isinstance(op, str):
            op = OPS[op]
        return self._apply(op, inputs, op.complete(attrs), name, loc)

    def copy(self, node: Node, inputs: tuple[Node, ...], name: str | None = None, loc: Location | None = None) -> Node:
        """The same application of other operands; its type is known where theirs are those of its own ones."""
        same = all(new.type is old.type for new, old in zip(inputs, node.inputs, strict=True))
        return self._apply(node.op, inputs, node.attrs, name, loc, node.type if same else None)

    def _apply(self, op: Op, inputs: tuple[Node, ...], attrs: Mapping[str, Any], name: str | None, loc: Location | None, type: Type | None = None) -> Node:
        key = (op, tuple([id(n) for n in inputs]), tuple([attribute_key(v) for v in attrs.values()]))
        found = self._interned.get(key)
        if found is not None:
            return found
        if type is None:
            node = typed(op, inputs, attrs, name or "", loc or self._loc, lenient=self.lenient)
        else:
            node = Node(op, inputs, attrs, type, "", loc or self._loc)
        node.name = self.unique_name(name) if name else self.anonymous("c" if op is CONSTANT else "v")
        self._interned[key] = node
        self.nodes.append(node)
        return node

    def constant(self, value: Any, dtype: DType | None = None, name: str | None = None) -> Node:
        array = np.asarray(value) if dtype is None else np.asarray(value).astype(dtype.numpy)
        return self.apply(CONSTANT, value=Value(array), name=name)

    def rename(self, node: Node, name: str) -> None:
        """Give a node that has only a made-up name the user's name."""
        if is_anonymous(node) and node.op is not PARAM and name not in self._names:
            self._names.discard(node.name)
            self._names.add(name)
            node.name = name

    def finish(self, results: Iterable[Node], updates: Iterable[tuple[Node, Node]] = ()) -> Function:
        """The Function of what has been made; nodes that no result and no update needs are dropped."""
        results, updates = tuple(results), tuple(updates)
        live = set(walk((*results, *(value for _, value in updates))))
        known = set(self.params) | set(self.nodes)
        for node in live:
            if node not in known:
                raise GraphError(f"{self.name}: {node.name} was not made by this builder")
        kept = tuple(n for n in self.nodes if n in live)
        self._renumber(kept)
        return Function(self.name, tuple(self.params), kept, results, updates)

    def _renumber(self, kept: tuple[Node, ...]) -> None:
        """Made-up names count up without gaps, so that equal Functions print equal text."""
        taken = {n.name for n in (*self.params, *kept) if not is_anonymous(n)} | {p.name for p in self.params}
        serials = {"v": 0, "c": 0}
        for node in kept:
            if is_anonymous(node):
                letter = "c" if node.op is CONSTANT else "v"
                while f"{letter}{serials[letter]}" in taken:
                    serials[letter] += 1
                node.name = f"{letter}{serials[letter]}"
                serials[letter] += 1


Visit = Callable[[Builder, Node, tuple[Node, ...]], Node | None]


def rebuild(
    f: Function,
    visit: Visit,
    *,
    types: Mapping[Node, Type] | None = None,
    name: str | None = None,
) -> Function:
    """One forward sweep: `visit(b, node, inputs)` gives the new node for `node` (with its operands already rebuilt), None to copy it.

    Names and locations are carried over: what a visit makes takes the old node's location, what it returns the old node's name.
    `types` replaces params' types, and all others are inferred again.
    """
    b = Builder(name or f.name)
    new: dict[Node, Node] = {}
    for param in f.params:
        new[param] = b.param(param.name, (types or {}).get(param, param.type), param.loc)
    for node in f.nodes:
        inputs = tuple(new[n] for n in node.inputs)
        with b.origin(node):
            replacement = visit(b, node, inputs)
            if replacement is None:
                given = None if is_anonymous(node) else node.name
                replacement = b.copy(node, inputs, given) if types is None else b.apply(node.op, *inputs, name=given, **node.attrs)
            elif not is_anonymous(node):
                b.rename(replacement, node.name)
        new[node] = replacement
    return b.finish((new[r] for r in f.results), ((new[p], new[v]) for p, v in f.updates))


def is_anonymous(node: Node) -> bool:
    """Whether the name was made up by a Builder (`v12`, `c3` for a constant)."""
    return is_made_up(node.name)


def is_made_up(name: str) -> bool:
    return name[:1] in ("v", "c") and name[1:].isdigit()


def inline(b: Builder, f: Function, args: Sequence[Node]) -> tuple[Node, ...]:
    """Copy `f`'s body into `b` with `args` for its params; its results there."""
    if len(args) != len(f.params):
        raise GraphError(f"{f.name} takes {len(f.params)} arguments, {len(args)} given")
    new = dict(zip(f.params, args, strict=True))
    for node in f.nodes:
        with b.origin(node):
            given = None if is_anonymous(node) else node.name
            new[node] = b.apply(node.op, *(new[n] for n in node.inputs), name=given, **node.attrs)
    return tuple(new[r] for r in f.results)


__all__ = ["CONSTANT", "PARAM", "Builder", "Function", "TensorType", "inline", "is_anonymous", "is_made_up", "rebuild", "scalar_value"]
