"""A diagram as DOT text, Graphviz's language: scopes are nested clusters, types stand on the lines, a legend names the looks.

    dot_source(diagram(graph))      # the same graph gives the same bytes; no Graphviz is needed for this
"""

from __future__ import annotations

import html
from typing import Any

from flowc.viz.model import Box, Diagram, Kind, Link, LinkKind

_FONT = "Helvetica"
_INK, _PALE = "#263238", "#78909c"
# For each kind: shape, style, fill, outline. Shapes differ too, for those who do not see the colours.
LOOKS: dict[Kind, dict[str, str]] = {
    Kind.PLACEHOLDER: {"shape": "invhouse", "style": "filled", "fillcolor": "#bbdefb", "color": "#1565c0"},
    Kind.VARIABLE: {"shape": "cylinder", "style": "filled", "fillcolor": "#ffe0b2", "color": "#ef6c00"},
    Kind.CONSTANT: {"shape": "ellipse", "style": "filled", "fillcolor": "#eceff1", "color": "#90a4ae"},
    Kind.RANDOM: {"shape": "hexagon", "style": "filled", "fillcolor": "#e1bee7", "color": "#7b1fa2"},
    Kind.OP: {"shape": "box", "style": "rounded,filled", "fillcolor": "#ffffff", "color": "#455a64"},
    Kind.GRADIENT: {"shape": "box", "style": "filled", "fillcolor": "#ffcdd2", "color": "#c62828"},
    Kind.OPTIMIZER: {"shape": "octagon", "style": "filled", "fillcolor": "#c8e6c9", "color": "#2e7d32"},
    Kind.INIT: {"shape": "note", "style": "filled,dashed", "fillcolor": "#fffde7", "color": "#9e9d24"},
}
_LINES: dict[LinkKind, dict[str, str]] = {
    LinkKind.DATA: {},
    LinkKind.CONTROL: {"style": "dashed", "color": _PALE, "arrowhead": "open"},
    LinkKind.UPDATE: {"color": "#ef6c00", "penwidth": "1.6", "arrowhead": "diamond"},
    LinkKind.SHAPE: {"style": "dotted", "color": _PALE, "arrowhead": "odot"},
}
_APART = (Kind.GRADIENT, Kind.OPTIMIZER)
_GRADIENT_LINE = {"color": "#c62828", "fontcolor": "#c62828"}
_SCOPES: dict[Kind | None, dict[str, str]] = {
    None: {"style": "rounded,filled", "fillcolor": "#00000008", "color": "#90a4ae", "fontcolor": _INK},
    Kind.GRADIENT: {"style": "rounded,filled,dashed", "fillcolor": "#ffebee80", "color": "#c62828", "fontcolor": "#c62828"},
    Kind.OPTIMIZER: {"style": "rounded,filled,dashed", "fillcolor": "#e8f5e980", "color": "#2e7d32", "fontcolor": "#2e7d32"},
}


LARGE = 150  # boxes beyond which the layout is given limits and straight lines: 484 boxes take dot 3 s instead of 50 s
_QUICK = {"splines": "line", "nslimit": "2", "nslimit1": "2", "mclimit": "0.2"}
_SHAPES = {"invhouse": "pointed box", "box": "box", "note": "folded corner"}  # for the legend, where Graphviz's word says little


def dot_source(diagram: Diagram) -> str:
    """The DOT text of a diagram. What is computed flows down; gradients flow up beside it, to the updates of the variables at the top."""
    import graphviz

    drawn = graphviz.Digraph(
        "flowc",
        graph_attr={"rankdir": "TB", "fontname": _FONT, "fontsize": "11", "labelloc": "b", "nodesep": "0.3", "ranksep": "0.4", "pad": "0.2"},
        node_attr={"fontname": _FONT, "fontsize": "11", "margin": "0.12,0.06", "height": "0.3", "fontcolor": _INK},
        edge_attr={"fontname": _FONT, "fontsize": "9", "color": _INK, "fontcolor": _PALE, "arrowsize": "0.7"},
    )
    drawn.graph_attr["label"] = _legend(diagram)
    if len(diagram.boxes) > LARGE:
        drawn.graph_attr.update(_QUICK)
    _fill(drawn, diagram, "")
    for source, target, link in diagram.links():
        look = _line(source, target, link)
        if source.kind in _APART and target.kind in _APART:  # a line from the target back to the source: so it flows up
            arrow = look.pop("arrowhead", "normal")
            drawn.edge(_quoted(target.name), _quoted(source.name), dir="back", arrowtail=arrow, **look)
        else:
            drawn.edge(_quoted(source.name), _quoted(target.name), **look)
    return str(drawn.source)


def _fill(into: Any, diagram: Diagram, scope: str) -> None:
    """Write a scope's boxes, then the scopes inside it."""
    import graphviz

    for box in diagram.boxes_in(scope):
        into.node(_quoted(box.name), **_look(box))
    for inner in diagram.scopes.successors(scope):
        data = diagram.scopes.nodes[inner]
        with into.subgraph(name=f"cluster_{inner}") as cluster:
            cluster.attr(label=graphviz.escape(data["label"]), tooltip=graphviz.escape(inner), labeljust="l", labelloc="t", **_SCOPES[data["kind"]])
            _fill(cluster, diagram, inner)


def _look(box: Box) -> dict[str, str]:
    import graphviz

    look = {"label": "\\n".join(graphviz.escape(line) for line in box.lines), "tooltip": graphviz.escape(_hint(box)), **LOOKS[box.kind]}
    if box.result:
        look["peripheries"] = "2"
    return look


def _hint(box: Box) -> str:
    """What is shown where the pointer rests: the full name, and the user's line."""
    return f"{box.name}  {box.where}".rstrip()


def _quoted(name: str) -> str:
    """A name as the graphviz package takes it for a node's: a colon would mean a port."""
    return name.replace(":", "_")


def _line(source: Box, target: Box, link: Link) -> dict[str, str]:
    import graphviz

    look = dict(_LINES[link.kind])
    if link.label:
        look["label"] = graphviz.escape(f" {link.label} ")
    if link.kind is LinkKind.UPDATE:
        look.pop("label", None)  # the variable tells its type
        if source.kind not in (*_APART, Kind.INIT):
            look["constraint"] = "false"
    elif link.kind is LinkKind.DATA and source.kind is Kind.GRADIENT:
        look |= _GRADIENT_LINE
    elif link.kind is LinkKind.DATA and target.kind in _APART and source.kind not in _APART:
        # a forward value that a gradient uses: too many of these for a type on each; it is shown where the pointer rests
        look |= {"color": "#b0bec5", "penwidth": "0.7", "constraint": "false", "edgetooltip": look.pop("label", "")}
    return look


def _legend(diagram: Diagram) -> str:
    """What the looks mean, for those that occur: a table, under the title."""
    cells = [
        f'<TD BGCOLOR="{LOOKS[kind]["fillcolor"]}" COLOR="{LOOKS[kind]["color"]}">{kind.value} ({_SHAPES.get(shape, shape)})</TD>'
        for kind in diagram.kinds()
        for shape in [LOOKS[kind]["shape"]]
    ]
    links = {link.kind for _, _, link in diagram.links()}
    said = {
        LinkKind.CONTROL: "dashed line: runs before",
        LinkKind.UPDATE: "diamond: writes the variable",
        LinkKind.SHAPE: "dotted line: only the shape is used",
    }
    lines = [text for kind, text in said.items() if kind in links]
    if any(box.result for _, box in diagram.boxes.nodes(data="box")):
        lines.append("double outline: a result")
    rows = [f"<TR>{''.join(cells[start : start + 4])}</TR>" for start in range(0, len(cells), 4)]
    title = [f'<TR><TD COLSPAN="4" BORDER="0"><B>{html.escape(diagram.title)}</B></TD></TR>'] if diagram.title else []
    rest = [f'<TR><TD COLSPAN="4" BORDER="0">{"; ".join(lines)}</TD></TR>'] if lines else []
    return f'<<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="4" CELLPADDING="3">{"".join(title + rows + rest)}</TABLE>>'
