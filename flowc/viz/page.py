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
from typing import TYPE_CHECKING, Any

from flowc.viz.model import Diagram
from flowc.viz.pagedata import PageData

if TYPE_CHECKING:
    from flowc.ir.node import Node
    from flowc.transforms.records import Decision
    from flowc.viz.figures import Figures

SCRIPTS = (
    "data.js", "changes.js", "tree.js", "layout.js", "route.js", "colour.js", "draw.js", "legend.js", "camera.js", "minimap.js", "search.js",
    "panel.js", "timeline.js", "state.js", "main.js",
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One diagram of the page.

    aliases: nodes that stand for others, as a kernel's params do for its operands; decisions: what the passes decided, told of the nodes
    in every stage; texts: for a kernel's scope what can be read of it, as pairs of a heading and a text; figures: what the kernels do
    and take; extents: sizes of symbols in its types, for the bytes of values; closed: kernels are closed at first.
    """

    name: str
    diagram: Diagram
    aliases: Mapping[Node, Node] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()
    texts: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    figures: Figures | None = None
    extents: Mapping[str, int] = field(default_factory=dict)
    closed: bool = False


def page(stages: Sequence[Stage], title: str = "", first: str = "", theme: str = "", compared: bool = False, address: str = "") -> str:
    """The HTML text of a page over one or more stages of a program, those that change nothing joined to the one before.

    first: the name of the stage that is shown at first; theme: `light`, `dark`, or what the reader's system says; compared: the stages
    are programs to compare, not passes over one; address: the view that opens where the reader's own address names none, as what stands
    after its `#`. ValueError where there is no stage.
    """
    if not stages:
        raise ValueError("a page needs at least one stage")
    data = PageData(compared)
    for stage in stages:
        data.add(stage)
    head = {"title": title, "first": data.number_of(first), "theme": theme, "compared": compared, "address": address, **data.head()}
    parts = {
        "title": html.escape(title or "flowc"),
        "style": _asset("page.css"),
        "data": "\n".join(_data_element(name, part) for name, part in (("data", head), *data.parts())),
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


def _data_element(name: str, data: Any) -> str:
    """A script element with JSON, whatever the names in it. The page reads each one when it is first needed."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>'
