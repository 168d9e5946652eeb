"""Diagrams as one HTML file to explore: the boxes as JSON, and the scripts that lay them out; nothing is fetched, the file opens from disk.

    Path("model.html").write_text(page([Stage("graph", diagram(graph))], "model.py"))

Several stages of one program (the graph, then what each pass made of it) become a timeline. The same diagrams give the same bytes.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from flowc.ir.function import CONSTANT, PARAM, Function, is_anonymous
from flowc.ir.node import Node, Value
from flowc.ir.op import REQUIRED, Effect
from flowc.ir.text import attribute_text
from flowc.transforms.autodiff import partner
from flowc.viz.model import Box, Diagram, short_value

SCRIPTS = ("data.js", "layout.js", "draw.js", "camera.js", "search.js", "panel.js", "main.js")
_LONGEST = 160  # characters of an attribute or a source line that are kept


@dataclass(frozen=True)
class Stage:
    """One diagram of the page.

    kernels: for a node's dotted name the kernels that compute it; notes: what was decided about it; texts: for a scope what can be
    read of it, as pairs of a heading and a text; aliases: nodes that stand for others, as a kernel's params do for its operands.
    """

    name: str
    diagram: Diagram
    kernels: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    aliases: Mapping[Node, Node] = field(default_factory=dict)


def page(stages: Sequence[Stage], title: str = "", first: str = "", theme: str = "", compared: bool = False) -> str:
    """The HTML text of a page over one or more stages of a program, those that change nothing joined to the one before.

    first: the name of the stage that is shown at first; theme: `light`, `dark`, or what the reader's system says; compared: the stages
    are programs to compare, not passes over one. ValueError where there is no stage.
    """
    if not stages:
        raise ValueError("a page needs at least one stage")
    keys = _Keys()
    told: list[dict[str, Any]] = []
    shown = 0
    for stage in stages:
        keys.aliases.update(stage.aliases)
        data = _stage(stage, keys)
        if told and not stage.texts and not compared and _content(data) == _content(told[-1]):
            told[-1]["name"] += f", {stage.name}"
        else:
            told.append(data)
        if stage.name == first:
            shown = len(told) - 1
    parts = {
        "title": html.escape(title or "flowc"),
        "style": _asset("page.css"),
        "data": _json({"title": title, "first": shown, "theme": theme, "compared": compared, "stages": told}),
        "dagre": _dagre(),
        "script": '(() => {\n"use strict";\n' + "\n".join(_asset(name) for name in SCRIPTS) + "\n})();",
    }
    pieces = re.split(r"\{\{(\w+)\}\}", _asset("page.html"))  # split once: nothing that is filled in is read again
    return "".join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))


@cache
def _asset(name: str) -> str:
    return (resources.files("flowc.viz") / "assets" / name).read_text(encoding="utf-8")


def _dagre() -> str:
    """The layout library with its licence, without the lines that point to files that are not here."""
    lines = [line for line in _asset("dagre.min.js").splitlines() if not line.startswith(("//# sourceMappingURL", "/*! For license"))]
    return "/*\n" + _asset("dagre-LICENSE.txt").rstrip() + "\n*/\n" + "\n".join(lines)


def _json(data: Any) -> str:
    """JSON that can stand inside a script element, whatever the names in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _content(stage: Mapping[str, Any]) -> tuple[list[list[int]], int]:
    """What a stage computes, whatever its nodes are called."""
    return sorted(box["keys"] for box in stage["boxes"]), len(stage["links"])


class _Keys:
    """Numbers that tell one node from another across stages: by name, and for names that a pass makes up by what is computed."""

    def __init__(self) -> None:
        self.aliases: dict[Node, Node] = {}
        self.known: dict[Any, int] = {}
        self.of_node: dict[Node, int] = {}

    def itself(self, node: Node) -> Node:
        while node in self.aliases:
            node = self.aliases[node]
        return node

    def __call__(self, node: Node) -> int:
        node = self.itself(node)
        stack = [node]
        while stack:
            top = stack[-1]
            waiting = [n for n in map(self.itself, top.inputs) if n not in self.of_node] if is_anonymous(top) and top not in self.of_node else []
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if top not in self.of_node:
                self.of_node[top] = self.known.setdefault(self.identity(top), len(self.known))
        return self.of_node[node]

    def identity(self, node: Node) -> Any:
        if node.op is PARAM or node.op.effect in (Effect.VARIABLE, Effect.FEED):
            return ("param", re.sub(r"\W", "_", node.name))  # as a Function spells its params
        if not is_anonymous(node):
            return node.name.replace("/", ".")
        attrs = _value(node) or tuple((k, str(v)) for k, v in node.attrs.items())
        return (node.op.name, attrs, tuple(_value(n) or self.of_node[self.itself(n)] for n in node.inputs))


def _value(node: Node) -> Any:
    """A constant's value as a key: kernels bring copies of constants, with names of their own. None for other nodes."""
    return node.attrs["value"].key if node.op is CONSTANT else None


def _stage(stage: Stage, keys: _Keys) -> dict[str, Any]:
    drawn = stage.diagram
    place = {name: index for index, name in enumerate(drawn.boxes)}
    home = {node.name: place[box.name] for _, box in drawn.boxes.nodes(data="box") for node in box.nodes}
    scopes = [
        [name, next(drawn.scopes.predecessors(name)), data["label"], data["kind"].value if data["kind"] else "", stage.texts.get(name, [])]
        for name, data in _inner(drawn)
    ]
    return {
        "name": stage.name,
        "scopes": scopes,
        "boxes": [_box(box, stage, home, keys) for _, box in drawn.boxes.nodes(data="box")],
        "links": [[place[s], place[t], link.kind.value, link.label] for s, t, link in drawn.boxes.edges(data="link")],
    }


def _inner(drawn: Diagram) -> list[tuple[str, dict[str, Any]]]:
    """The scopes below the root, parents before what is in them."""
    found: list[tuple[str, dict[str, Any]]] = []
    stack = [""]
    while stack:
        scope = stack.pop()
        if scope:
            found.append((scope, drawn.scopes.nodes[scope]))
        stack += reversed(list(drawn.scopes.successors(scope)))
    return found


def _box(box: Box, stage: Stage, home: Mapping[str, int], keys: _Keys) -> dict[str, Any]:
    said: dict[str, Any] = {"id": box.name, "scope": box.scope, "kind": box.kind.value, "lines": list(box.lines)}
    if box.result:
        said["result"] = 1
    if box.where:
        said["where"] = box.where
        said["text"] = next((n.loc.text[:_LONGEST] for n in box.nodes if n.loc and n.loc.short == box.where), "")
    forward = _forward(box, home)
    if forward is not None:
        said["partner"] = forward
    kernels = dict.fromkeys(stage.kernels[dotted] for n in box.nodes if (dotted := n.name.replace("/", ".")) in stage.kernels)
    if kernels:
        said["kernel"] = ", ".join(kernels)
    notes = dict.fromkeys(note for n in box.nodes for note in stage.notes.get(n.name.replace("/", "."), ()))
    if notes:
        said["notes"] = list(notes)
    said["keys"] = list(dict.fromkeys(keys(n) for n in box.nodes))
    said["nodes"] = [_node(n) for n in box.nodes]
    return said


def _forward(box: Box, home: Mapping[str, int]) -> int | None:
    """The box of the node that a gradient box is the gradient of."""
    for node in box.nodes:
        slashed = node.name.replace(".", "/") if "/" not in node.name else node.name
        name = partner(slashed)
        if name is not None:
            found = home.get(name, home.get(name.replace("/", ".")))
            return None if found == home[node.name] else found
    return None


def _node(node: Node) -> list[Any]:
    """Name, op, type, attributes, operands and control of a node."""
    attrs = [[key, _attribute(value)] for key, value in node.attrs.items() if _is_told(node, key, value)]
    return [node.name, node.op.name, str(node.type), attrs, [n.name for n in node.inputs], [n.name for n in node.control]]


def _is_told(node: Node, key: str, value: Any) -> bool:
    default = node.op.attrs.get(key, REQUIRED)
    return default is REQUIRED or node.op is CONSTANT or bool(default != value)


def _attribute(value: Any) -> str:
    if isinstance(value, Value):
        return short_value(value.array) or f"{value.array.dtype}, shape {list(value.array.shape)}"
    text = value.name if isinstance(value, Function) else attribute_text(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
