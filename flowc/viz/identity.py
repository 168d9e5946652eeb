"""Which node of one stage is which of another: a number for each node, the same wherever it is the same value.

    graph: Model/MatMul    function: Model.MatMul    kernel k0: Model.MatMul(x, w)      ->     one number

Nodes that the user named go by name. Names that a Builder makes up (`v3`) differ from pass to pass: such a node goes by its op, its
attributes and the numbers of its operands. A kernel's params stand for what the call gives them (`same`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowc.ir.function import CONSTANT, PARAM, is_anonymous
from flowc.ir.node import Node
from flowc.ir.op import Effect


class Identity:
    """Numbers of nodes, given out as nodes are asked for."""

    def __init__(self) -> None:
        self._same: dict[Node, Node] = {}
        self._known: dict[Any, int] = {}
        self._of: dict[Node, int] = {}

    def same(self, aliases: Mapping[Node, Node]) -> None:
        """Nodes that stand for others, from now on."""
        self._same.update(aliases)

    def named(self, name: str) -> int | None:
        """The number of the node with this name, where one was asked for."""
        return self._known.get(name.replace("/", "."))

    def __call__(self, node: Node) -> int:
        node = self._itself(node)
        stack = [node]
        while stack:
            top = stack[-1]
            waiting = [n for n in map(self._itself, top.inputs) if n not in self._of] if is_anonymous(top) and top not in self._of else []
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if top not in self._of:
                self._of[top] = self._known.setdefault(self._key(top), len(self._known))
        return self._of[node]

    def operands(self, node: Node) -> tuple[int, ...]:
        """The numbers of what a node reads."""
        return tuple(self(n) for n in self._itself(node).inputs)

    def _itself(self, node: Node) -> Node:
        while node in self._same:
            node = self._same[node]
        return node

    def _key(self, node: Node) -> Any:
        if node.op is PARAM or node.op.effect in (Effect.VARIABLE, Effect.FEED):
            return ("param", re.sub(r"\W", "_", node.name))  # as a Function spells its params
        if not is_anonymous(node):
            return node.name.replace("/", ".")
        attrs = _value(node) or tuple((k, str(v)) for k, v in node.attrs.items())
        return (node.op.name, attrs, tuple(_value(n) or self._of[self._itself(n)] for n in node.inputs))


def _value(node: Node) -> Any:
    """A constant's value as a key: kernels bring copies of constants, with names of their own. None for other nodes."""
    return node.attrs["value"].key if node.op is CONSTANT else None
