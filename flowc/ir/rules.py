"""Rewrite rules as IR text: `Rule("mul(x, 1.0)", "x")`.

In a pattern a name stands for any operand (the same one wherever it is repeated), a number for a scalar constant of that value in any dtype,
broadcast or not, and `axis=a` binds an attribute, `keepdims=True` demands one. Operands of a commutative op match in either order. In
the replacement a number takes the dtype of the operand beside it, or the root's. A rewrite happens only where it keeps the type exactly.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flowc.errors import FlowcError
from flowc.ir.function import CONSTANT, Builder, Function, rebuild
from flowc.ir.node import Node
from flowc.ir.op import OPS
from flowc.ir.types import DTYPES, DType, TensorType
from flowc.structs import Struct, field

COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum", "logical_and", "logical_or", "logical_xor", "equal", "not_equal"})

Bindings = Mapping[str, Any]
Guard = Callable[[Bindings], bool]
Visit = Callable[[Builder, Node], Node | None]


class _Name(Struct):
    name: str


class _Number(Struct):
    value: bool | int | float


class _Call(Struct):
    op: str
    args: tuple[_Pattern, ...]
    attrs: tuple[tuple[str, Any], ...]  # values are _Name or plain


_Pattern = _Name | _Number | _Call


class Rule(Struct):
    """`pattern` becomes `replacement`, where `guard(bindings)` allows it (operands are Nodes, attributes plain values)."""

    pattern: str
    replacement: str
    guard: Guard | None = None

    def __str__(self) -> str:
        return f"{self.pattern} -> {self.replacement}"


class RuleSet(Struct, frozen=False):
    """Rules compiled once, looked up by the root's op; the first that fits is taken."""

    rules: Sequence[Rule]
    _by_op: dict[str, list[tuple[Rule, _Call, _Pattern]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule in self.rules:
            pattern, replacement = _parse(rule.pattern), _parse(rule.replacement)
            if not isinstance(pattern, _Call):
                raise TypeError(f"rule {rule}: the pattern is no application")
            unbound = set(_names(replacement)) - set(_names(pattern))
            if unbound:
                raise TypeError(f"rule {rule}: {', '.join(sorted(unbound))} does not stand in the pattern")
            self._by_op.setdefault(pattern.op, []).append((rule, pattern, replacement))

    def rewrite(self, b: Builder, node: Node) -> Node | None:
        """What the first fitting rule makes of `node`, None where none fits."""
        for rule, pattern, replacement in self._by_op.get(node.op.name, ()):
            for bindings in _match(pattern, node, {}):
                if rule.guard is not None and not rule.guard(bindings):
                    continue
                new = _instantiate(b, replacement, bindings, node.tensor.dtype)
                if new is not None and new.type == node.type and new is not node:
                    return new
        return None


def improved(b: Builder, node: Node, visits: Sequence[Visit], limit: int = 50) -> Node:
    """`node` rewritten until no visit has anything better; a visit gives a node of the same type, or None."""
    for _ in range(limit):
        for visit in visits:
            better = visit(b, node)
            if better is not None and better is not node and better.type == node.type:
                node = better
                break
        else:
            return node
    return node


def rewrite(f: Function, visits: Sequence[Visit], note: Callable[[Node, Node], None] | None = None) -> Function:
    """One forward sweep over `f` with every node improved by `visits` (such as `RuleSet(...).rewrite`).

    `note(node, new)` hears of each node of `f` that something else takes the place of.
    """

    def visit(b: Builder, node: Node, inputs: tuple[Node, ...]) -> Node:
        same = b.apply(node.op, *inputs, **node.attrs)
        new = improved(b, same, visits)
        if note is not None and new is not same:
            note(node, new)
        return new

    return rebuild(f, visit)


def constant_value(node: Node) -> bool | int | float | None:
    """The one number that all elements of a node are, where it is a scalar constant or the broadcast of one; else None."""
    while node.op.name in ("broadcast_to", "reshape", "expand_dims", "squeeze"):
        node = node.inputs[0]
    if node.op is CONSTANT and node.attrs["value"].array.size == 1:
        return node.attrs["value"].array.ravel()[0].item()  # type: ignore[no-any-return]
    return None


# patterns


def _parse(text: str) -> _Pattern:
    return _pattern(ast.parse(text, mode="eval").body, text)


def _pattern(tree: ast.expr, text: str) -> _Pattern:
    match tree:
        case ast.Name(id=name):
            return _Name(name)
        case ast.Constant(value=bool() | int() | float() as value):
            return _Number(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return _Number(-value)
        case ast.Call(func=ast.Name(id=op), args=args, keywords=keywords):
            attrs = tuple((k.arg, _attribute(k.value)) for k in keywords if k.arg)
            return _Call(op, tuple(_pattern(a, text) for a in args), attrs)
    raise TypeError(f"rule text {text!r} may not hold {ast.unparse(tree)}")


def _attribute(tree: ast.expr) -> Any:
    if isinstance(tree, ast.Name):
        return DTYPES.get(tree.id) or _Name(tree.id)
    return ast.literal_eval(tree)


def _names(pattern: _Pattern) -> Iterator[str]:
    if isinstance(pattern, _Name):
        yield pattern.name
    elif isinstance(pattern, _Call):
        for arg in pattern.args:
            yield from _names(arg)
        for _, value in pattern.attrs:
            if isinstance(value, _Name):
                yield value.name


def _match(pattern: _Pattern, node: Node, bound: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every way in which `node` fits, as bindings."""
    if isinstance(pattern, _Name):
        if bound.get(pattern.name, node) is node:
            yield {**bound, pattern.name: node}
        return
    if isinstance(pattern, _Number):
        if _is_number(pattern.value, node):
            yield bound
        return
    if node.op.name != pattern.op or len(node.inputs) != len(pattern.args):
        return
    for name, wanted in pattern.attrs:
        value = node.attrs[name]
        if isinstance(wanted, _Name):
            if wanted.name in bound and bound[wanted.name] != value:
                return
            bound = {**bound, wanted.name: value}
        elif value != wanted:
            return
    yield from _match_all(pattern.args, node.inputs, bound)
    if pattern.op in COMMUTATIVE and node.inputs[0] is not node.inputs[1]:
        yield from _match_all(pattern.args, node.inputs[::-1], bound)


def _match_all(patterns: Sequence[_Pattern], nodes: Sequence[Node], bound: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not patterns:
        yield bound
        return
    for more in _match(patterns[0], nodes[0], bound):
        yield from _match_all(patterns[1:], nodes[1:], more)


def _is_number(wanted: bool | int | float, node: Node) -> bool:
    value = constant_value(node)
    if value is None or isinstance(value, bool) != isinstance(wanted, bool):
        return False
    dtype = node.tensor.dtype.numpy
    return bool(value == dtype.type(wanted)) and math.copysign(1, value) == math.copysign(1, wanted)


# replacements


def _instantiate(b: Builder, pattern: _Pattern, bindings: Bindings, dtype: DType) -> Node | None:
    if isinstance(pattern, _Name):
        found: Node = bindings[pattern.name]
        return found
    if isinstance(pattern, _Number):
        return b.constant(np.asarray(pattern.value), dtype)
    given = {k: bindings[v.name] if isinstance(v, _Name) else v for k, v in pattern.attrs}
    inputs: list[Node | None] = [None if isinstance(a, _Number) else _instantiate(b, a, bindings, dtype) for a in pattern.args]
    beside = next((n.type.dtype for n in reversed(inputs) if n is not None and isinstance(n.type, TensorType)), dtype)
    full = [_instantiate(b, a, bindings, beside) if n is None else n for a, n in zip(pattern.args, inputs, strict=True)]
    try:
        return b.apply(OPS[pattern.op], *(n for n in full if n is not None), **given)
    except FlowcError:
        return None


__all__ = ["COMMUTATIVE", "Rule", "RuleSet", "constant_value", "improved", "rewrite"]
