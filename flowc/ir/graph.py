"""The Graph: append-only nodes with names, scopes and control edges; what the user builds.

Creation order is a topological order. Two user nodes with equal content stay two nodes with two names.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from flowc.errors import GraphError, Location, user_location
from flowc.ir import shown
from flowc.ir.dims import Sym
from flowc.ir.node import Node, make
from flowc.ir.op import Op
from flowc.ir.shown import Shown

_VALID_NAME = re.compile(r"^[A-Za-z0-9.][A-Za-z0-9_.\\/-]*$")
_serials = itertools.count()


class Graph(Shown):
    """An append-only list of nodes. `seed` is the graph-level random seed (None: each random node takes one from its name only)."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.by_name: dict[str, Node] = {}
        self.position: dict[Node, int] = {}
        self.seed: int | None = None
        self.serial = next(_serials)
        self._taken: dict[str, int] = {}
        self._symbols: set[str] = set()

    def unique_name(self, name: str, mark: bool = True) -> str:
        """`name`, or `name_1`, `name_2`, ... where it is taken (compared without case, as TensorFlow does)."""
        if not _VALID_NAME.match(name):
            raise GraphError(f"{name!r} is not a valid name: letters, digits, '_', '.', '-' and '/' only", location=user_location())
        key = name.lower()
        count = self._taken.get(key, 0)
        if mark:
            self._taken[key] = count + 1
        if count == 0:
            return name
        unique, unique_key = name, key
        while unique_key in self._taken:
            unique = f"{name}_{count}"
            unique_key = unique.lower()
            count += 1
        if mark:
            self._taken[key] = count
            self._taken[unique_key] = 1
        return unique

    def fresh_symbol(self, hint: str) -> Sym:
        """A symbol of its own for an unknown extent: `b`, then `b1`, `b2`, ..."""
        name, count = hint, 0
        while name in self._symbols:
            count += 1
            name = f"{hint}{count}"
        self._symbols.add(name)
        return Sym.named(name)

    def claim_symbol(self, name: str) -> None:
        """Keep `name` from being handed out: the user has named an extent so."""
        self._symbols.add(name)

    def add(
        self,
        op: Op,
        inputs: tuple[Node, ...],
        attrs: Mapping[str, Any],
        name: str,
        control: tuple[Node, ...] = (),
        loc: Location | None = None,
    ) -> Node:
        """Append a node under a full, already unique `name`; ShapeError, DTypeError or GraphError otherwise."""
        for other in (*inputs, *control):
            if other not in self.position:
                raise GraphError(f"{op.name}: operand {other.name} belongs to another graph", location=user_location(), locations=((other.name, other.loc),))
        node = make(op, inputs, attrs, name, loc or user_location(), control, lenient=True)
        self.position[node] = len(self.nodes)
        self.nodes.append(node)
        self.by_name[name] = node
        return node

    def cycle(self) -> list[Node]:
        """A cycle of control edges and inputs from its earliest node to the same again; empty where there is none.

        A node is appended after what it uses, so one can come about only where control edges were set afterwards.
        """
        if all(self.position[before] < self.position[node] for node in self.nodes for before in node.control):
            return []
        import networkx

        order = networkx.DiGraph((before, node) for node in self.nodes for before in (*node.inputs, *node.control))
        try:
            found = networkx.find_cycle(order)
        except networkx.NetworkXNoCycle:
            return []
        nodes = [before for before, _ in found]
        first = min(range(len(nodes)), key=lambda i: self.position[nodes[i]])
        return [*nodes[first:], *nodes[: first + 1]]

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"<Graph: {len(self.nodes)} nodes>"

    def __str__(self) -> str:
        """The tree of scopes, at most 100 columns wide."""
        return shown.drawer().text(self)  # type: ignore[no-any-return]
