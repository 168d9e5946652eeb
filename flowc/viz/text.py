"""Diagrams as text: the tree of scopes (`tree_text`), and JSON that networkx reads back; a Graph node by node (`graph_text`).

    Loss/
      Sum   reduce_sum  f32  -> gradients             tree_text: at most 100 columns
      Sum: f32 = reduce_sum(Loss/pow)                # model.py:14        graph_text
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from flowc.ir.function import CONSTANT
from flowc.ir.graph import Graph
from flowc.ir.node import Node
from flowc.ir.op import REQUIRED
from flowc.ir.text import attribute_text
from flowc.viz.model import AUXILIARY, Box, Diagram, Kind, Types, short_value

WIDTH = 100  # columns of a tree
_COLUMN = 100  # where the user's lines stand, if there is room
_DEEPEST = 40  # columns of indentation that a tree goes up to
_HELD = "\x1f"  # a space at which no line ends
_PLAIN = str.maketrans({"→": "->", "←": "<-", "↔": "<->", "…": "...", "×": "x"})  # for terminals that know no other characters


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
    """The tree of a diagram's scopes, each with its boxes: name, what it is, its type, and what stands aside and attaches to it.

    No line is longer than 100 columns; what does not fit goes on in the next one.
    """
    lines: list[str] = []
    boxes = diagram.by_scope()

    def rows(found: list[Box], depth: int) -> None:
        cells = [_cells(box, diagram.types) for box in found]
        widths = [min(max((len(row[column]) for row in cells), default=0), 36) for column in range(3)]
        for row in cells:
            lines.extend(_row(row, widths, min(2 * depth, _DEEPEST)))

    def visit(scope: str, depth: int) -> None:
        rows([box for box in boxes[scope] if not box.aside], depth)
        for inner in diagram.scopes.successors(scope):
            lines.extend(_row([f"{diagram.scopes.nodes[inner]['label']}/"], [0], min(2 * depth, _DEEPEST)))
            visit(inner, depth + 1)

    visit("", 0)
    groups = [box for box in boxes[""] if box.aside]
    if groups:
        lines.append("aside, drawn in with --all")
        rows(groups, 1)
    return "".join(f"{line}\n" for line in lines)


def _cells(box: Box, types: Types) -> list[str]:
    """Name, what it is, type, stubs."""
    name = box.lines[0].translate(_PLAIN) + ("/" if box.kind is Kind.SCOPE or box.stack else "")
    stubs = "  ".join(stub.text.replace(" ", _HELD) for stub in box.stubs).translate(_PLAIN)
    said = ", ".join(box.lines[1:]).translate(_PLAIN)
    if box.aside or box.stack or box.kind in (Kind.SCOPE, Kind.OUTSIDE):
        return [name, box.kind.value if box.kind is not Kind.SCOPE else "", said, stubs]
    node = next((n for n in box.nodes if n.name == box.name), box.nodes[0] if box.nodes else None)
    if node is None or box.kind in AUXILIARY and box.count > 1:
        return [name, box.kind.value, said, stubs]
    if box.kind in (Kind.OP, Kind.RANDOM, Kind.ASSIGNMENT) or box.kind in AUXILIARY:
        return [name, node.op.name, types.label(node), stubs]
    if box.kind is Kind.CONSTANT:
        return [name, box.kind.value, " ".join(dict.fromkeys((said, types.label(node)))).strip(), stubs]
    return [name, box.kind.value, types.label(node), stubs]


def _row(cells: list[str], widths: list[int], indent: int) -> list[str]:
    padded = [cell.ljust(width) for cell, width in zip(cells, [*widths, 0], strict=False)]
    line = " " * indent + "  ".join(padded).rstrip()
    lines = [line]
    if len(line) > WIDTH:
        text, then = "  ".join(cell for cell in cells if cell), " " * (indent + 4)
        lines = textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=then, break_on_hyphens=False)
    return [line.replace(_HELD, " ") for line in lines]


def json_text(diagram: Diagram) -> str:
    """A diagram as JSON: `networkx.node_link_graph(json.loads(text), edges="edges")` gives its boxes and links as a graph again."""
    boxes = [
        {
            "id": box.name, "kind": box.kind.value, "scope": box.scope, "lines": box.lines, "where": box.where, "result": box.result,
            "stack": box.stack, "aside": box.aside,
            "stubs": [{"group": stub.group, "kind": stub.kind.value, "text": stub.text} for stub in box.stubs],
            "members": [{"name": n.name, "op": n.op.name, "type": str(n.type), "inputs": [i.name for i in n.inputs]} for n in box.nodes],
        }
        for _, box in diagram.boxes.nodes(data="box")
    ]  # fmt: skip
    links = [
        {"source": source, "target": target, "key": key, "kind": link.kind.value, "type": link.label, "bytes": link.bytes}
        for source, target, key, link in diagram.boxes.edges(keys=True, data="link")
    ]
    scopes = [
        {"id": scope, "parent": next(iter(diagram.scopes.predecessors(scope))), "label": data["label"], "kind": data["kind"].value if data["kind"] else None}
        for scope, data in diagram.scopes.nodes(data=True)
        if scope
    ]
    told = {"title": diagram.title, "extents": diagram.types.extents, "notes": diagram.notes, "scopes": scopes}
    return json.dumps({**told, "directed": True, "multigraph": True, "graph": {}, "nodes": boxes, "edges": links}, indent=1) + "\n"
