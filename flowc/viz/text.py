"""Graphs as text: every node under its scope (`graph_text`), or the scopes with how much is in each (`tree_text`).

    loss/
      Sum: f32 = reduce_sum(loss/pow)                # model.py:14
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowc.ir.function import CONSTANT
from flowc.ir.graph import Graph
from flowc.ir.node import Node
from flowc.ir.op import REQUIRED
from flowc.ir.text import attribute_text
from flowc.viz.model import Diagram, short_value

_COLUMN = 100  # where the user's lines stand, if there is room


def graph_text(graph: Graph) -> str:
    """Every node of a Graph in the order of creation, indented by scope; a scope that goes on later is opened again."""
    lines: list[str] = []
    current: list[str] = []
    for node in graph.nodes:
        scope = node.name.rpartition("/")[0]
        while scope in graph.by_name:  # what stands under a node is no scope
            scope = scope.rpartition("/")[0]
        scopes, name = scope.split("/") if scope else [], node.name.removeprefix(f"{scope}/")
        shared = 0
        while shared < min(len(scopes), len(current)) and scopes[shared] == current[shared]:
            shared += 1
        lines += [f"{'  ' * depth}{scopes[depth]}/" for depth in range(shared, len(scopes))]
        current = scopes
        line = f"{'  ' * len(scopes)}{name}: {node.type} = {_application(node)}"
        lines.append(f"{line:{_COLUMN}}  # {node.loc.short}" if node.loc else line)
    return "\n".join(line.rstrip() for line in lines) + "\n" if lines else ""


def _application(node: Node) -> str:
    if node.op is CONSTANT:
        return f"constant({short_value(node.attrs['value'].array) or '...'})"
    parts = [n.name for n in node.inputs]
    parts += [f"{key}={attribute_text(value)}" for key, value in _given(node).items()]
    after = f", after={[n.name for n in node.control]}" if node.control and parts else f"after={[n.name for n in node.control]}" if node.control else ""
    return f"{node.op.name}({', '.join(parts)}{after})".replace("'", "")


def _given(node: Node) -> Mapping[str, Any]:
    """The attributes that are not the op's defaults."""
    return {k: v for k, v in node.attrs.items() if node.op.attrs.get(k, REQUIRED) is REQUIRED or node.op.attrs[k] != v}


def tree_text(diagram: Diagram) -> str:
    """The tree of a diagram's scopes, each with its boxes: name, what it is, and how many nodes are folded into it."""
    lines: list[str] = []

    def visit(scope: str, depth: int) -> None:
        for box in diagram.boxes_in(scope):
            folded = f" ({box.count} nodes)" if box.count > 1 else ""
            lines.append(f"{'  ' * depth}{box.lines[0]}  [{box.kind.value}]{folded}")
        for inner in diagram.scopes.successors(scope):
            lines.append(f"{'  ' * depth}{diagram.scopes.nodes[inner]['label']}/")
            visit(inner, depth + 1)

    visit("", 0)
    return "\n".join(lines) + "\n" if lines else ""
