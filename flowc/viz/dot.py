"""A diagram as DOT text, Graphviz's language: scopes are nested clusters, types stand on the lines, a legend names the looks.

    dot_source(diagram(graph))      # the same graph gives the same bytes; no Graphviz is needed for this

Boxes and scopes have their names as ids (those of scopes end in `/`) and link to themselves, so that `graph.svg#Loss/Mean` is an address.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from flowc.viz.looks import LOOKS, PALETTES, STACK, Palette
from flowc.viz.model import Box, Diagram, Kind, Link, LinkKind, Stub

FONT = "DejaVu Sans,Verdana,sans-serif"  # the first is shipped with flowc; the others are what a reader's program may have instead
LARGE = 150  # boxes, or pairs of lines, beyond which the layout is given limits and straight lines: 484 boxes take dot 3 s instead of 50 s
_QUICK = {"splines": "line", "nslimit": "2", "nslimit1": "2", "mclimit": "0.2"}
_APART = (Kind.GRADIENT, Kind.OPTIMIZER)


def dot_source(diagram: Diagram, theme: str = "light") -> str:
    """The DOT text of a diagram. What is computed flows down; gradients flow up beside it, to the updates of the variables at the top."""
    return _Writer(diagram, PALETTES[theme]).text()


def line_width(size: int) -> float:
    """The width of a line for so many bytes: 0.8 up to 100 bytes, 0.5 more for every tenfold."""
    return round(min(0.8 + 0.5 * max(math.log10(max(size, 1)) - 2, 0), 4.5), 2)


def size_text(size: int) -> str:
    """`1.5 kB`: a number of bytes in few characters."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= least:
            return f"{size / least:.3g} {unit}"
    return f"{size} bytes"


class _Writer:
    """One diagram in one palette."""

    def __init__(self, diagram: Diagram, palette: Palette) -> None:
        import graphviz
        import networkx

        self.graphviz = graphviz
        self.diagram = diagram
        self.palette = palette
        self.boxes = diagram.by_scope()
        groups = networkx.strongly_connected_components(diagram.boxes)
        self.loops = {name: number for number, names in enumerate(groups) for name in names}  # boxes on one circle have one number

    def text(self) -> str:
        p = self.palette
        drawn = self.graphviz.Digraph(
            "flowc",
            graph_attr={
                "rankdir": "TB", "bgcolor": p.paper, "fontname": FONT, "fontsize": "11", "fontcolor": p.ink, "labelloc": "b",
                "nodesep": "0.3", "ranksep": "0.4", "pad": "0.2", "tooltip": self.diagram.title or "flowc",
            },
            node_attr={"fontname": FONT, "fontsize": "11", "margin": "0.12,0.06", "height": "0.3", "fontcolor": p.ink},
            edge_attr={"fontname": FONT, "fontsize": "9", "color": p.ink, "fontcolor": p.pale, "arrowsize": "0.7"},
        )  # fmt: skip
        drawn.graph_attr["label"] = self.legend()
        if len(self.diagram.boxes) > LARGE or self.diagram.boxes.number_of_edges() > 2 * LARGE:
            drawn.graph_attr.update(_QUICK)
        self.fill(drawn, "")
        self.aside(drawn)
        for source, target, link in self.diagram.links():
            look = self.line(source, target, link)
            if source.kind in _APART and target.kind in _APART:  # a line from the target back to the source: so it flows up
                arrow = look.pop("arrowhead", "normal")
                drawn.edge(_quoted(target.name), _quoted(source.name), dir="back", arrowtail=arrow, **look)
            else:
                drawn.edge(_quoted(source.name), _quoted(target.name), **look)
        return str(drawn.source)

    # boxes and scopes

    def fill(self, into: Any, scope: str) -> None:
        """Write a scope's boxes, then the scopes inside it."""
        for box in self.boxes[scope]:
            if not box.aside:
                into.node(_quoted(box.name), **self.look(box))
        for inner in self.diagram.scopes.successors(scope):
            data = self.diagram.scopes.nodes[inner]
            fill, line = self.palette.tinted(data["kind"])
            style = "rounded,filled" if data["kind"] is None else "rounded,filled,dashed"
            ink = self.palette.ink if data["kind"] is None else line
            with into.subgraph(name=f"cluster_{inner}") as cluster:
                cluster.attr(
                    label=self.graphviz.escape(data["label"]), labeljust="l", labelloc="t", style=style, fillcolor=fill, color=line, fontcolor=ink,
                    **self.link(f"{inner}/", inner),
                )  # fmt: skip
                self.fill(cluster, inner)

    def aside(self, drawn: Any) -> None:
        """The groups that stand aside, one below the other."""
        groups = [box for box in self.boxes[""] if box.aside]
        if not groups:
            return
        with drawn.subgraph(name="cluster_ aside") as cluster:
            cluster.attr(label="stands aside", labeljust="l", labelloc="t", style="rounded,dotted", color=self.palette.faint, fontcolor=self.palette.pale)
            for box in groups:
                cluster.node(_quoted(box.name), **self.look(box))
            for above, below in pairwise(groups):
                cluster.edge(_quoted(above.name), _quoted(below.name), style="invis")

    def look(self, box: Box) -> dict[str, str]:
        shape = replace(LOOKS[box.kind], shape=STACK) if box.stack else LOOKS[box.kind]
        fill, line = self.palette.of(box.kind)
        look = {"label": self.label(box), "shape": shape.shape, "style": shape.style, "fillcolor": fill, "color": line}
        if box.kind is Kind.OUTSIDE:
            look["fontcolor"] = self.palette.pale
        if box.result:
            look["peripheries"] = "2"
        return look | self.link(box.name, f"{box.name}  {box.where}".rstrip())

    def link(self, name: str, tooltip: str) -> dict[str, str]:
        """What makes a thing an address that it links to, with what is shown where the pointer rests."""
        return {"id": name, "href": address(name), "tooltip": self.graphviz.escape(tooltip)}

    def label(self, box: Box) -> str:
        lidded = bool(box.stack) or LOOKS[box.kind].shape == "cylinder"  # a shape whose top takes room from the text
        if not box.stubs and not lidded:
            return "\\n".join(self.graphviz.escape(line) for line in box.lines)
        rows = "".join(f"<TR><TD>{html.escape(line)}</TD></TR>" for line in box.lines)
        lid = f'<TR><TD HEIGHT="{14 if box.result else 6}"></TD></TR>' if lidded else ""
        stubs = "".join(f"<TR><TD>{self.table(''.join(f'<TD>{self.stub(stub)}</TD>' for stub in row))}</TD></TR>" for row in _rows(box.stubs))
        return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{lid}{rows}{stubs}</TABLE>>'

    @staticmethod
    def table(cells: str) -> str:
        return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="2" CELLPADDING="0"><TR>{cells}</TR></TABLE>'

    def stub(self, stub: Stub) -> str:
        fill, line = self.palette.of(stub.kind)
        return (
            f'<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1" STYLE="ROUNDED" BGCOLOR="{fill}" COLOR="{line}"'
            f' HREF="{html.escape(address(stub.group))}" TITLE="{html.escape(stub.group)}">'
            f'<TR><TD><FONT POINT-SIZE="8" COLOR="{line}">{html.escape(stub.text)}</FONT></TD></TR></TABLE>'
        )

    # lines

    def line(self, source: Box, target: Box, link: Link) -> dict[str, str]:
        p = self.palette
        look: dict[str, str] = {"edgetooltip": self.graphviz.escape(_told(source, target, link))}
        if link.label:
            look["label"] = self.graphviz.escape(f" {link.label} ")
        if link.kind is LinkKind.CONTROL:
            return look | {"style": "dashed", "color": p.pale, "arrowhead": "open"}
        if link.kind is LinkKind.SHAPE:
            return look | {"style": "dotted", "color": p.pale, "arrowhead": "odot"}
        if link.kind is LinkKind.UPDATE:
            look.pop("label", None)  # the variable tells its type
            if source.kind not in (*_APART, Kind.INIT) and self.loops.get(source.name) == self.loops.get(target.name):
                look["constraint"] = "false"  # what reads the variable is above: the line goes back up
            return look | {"color": p.of(Kind.VARIABLE)[1], "penwidth": "1.6", "arrowhead": "diamond"}
        look["penwidth"] = f"{line_width(link.bytes):g}"
        if source.kind is Kind.GRADIENT:
            look |= dict.fromkeys(("color", "fontcolor"), p.of(Kind.GRADIENT)[1])
        elif target.kind in _APART and source.kind not in _APART:
            # a forward value that a gradient uses: too many of these for a type on each; it is shown where the pointer rests
            look.pop("label", None)
            look |= {"color": p.faint, "penwidth": "0.7", "constraint": "false"}
        return look

    # the legend

    def legend(self) -> str:
        """What the looks mean, for those that occur: a table, under the title."""
        d, p = self.diagram, self.palette
        boxes = [box for _, box in d.boxes.nodes(data="box")]
        cells = []
        for kind in d.kinds():
            look, (fill, line) = LOOKS[kind], p.of(kind)
            word = "closed scope" if kind is Kind.SCOPE else "outside of the scope" if kind is Kind.OUTSIDE else kind.value
            cells.append(f'<TD BGCOLOR="{fill}" COLOR="{line}">{word} ({look.told or look.shape})</TD>')
        if any(box.stack for box in boxes):
            cells.append(f'<TD BGCOLOR="{p.of(Kind.SCOPE)[0]}" COLOR="{p.of(Kind.SCOPE)[1]}">series of like scopes (stack)</TD>')
        title = [f'<TR><TD COLSPAN="4" BORDER="0"><FONT POINT-SIZE="14">{html.escape(d.title)}</FONT></TD></TR>'] if d.title else []
        rows = [f"<TR>{''.join(cells[start : start + 4])}</TR>" for start in range(0, len(cells), 4)]
        said = self.said_of_lines(boxes)
        lines = [f'<TR><TD COLSPAN="4" BORDER="0"><FONT COLOR="{p.pale}" POINT-SIZE="10">{html.escape(line)}</FONT></TD></TR>' for line in said]
        table = "".join([*title, *rows, *lines]) or "<TR><TD></TD></TR>"
        return f'<<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="4" CELLPADDING="3">{table}</TABLE>>'

    def said_of_lines(self, boxes: list[Box]) -> list[str]:
        links = [link for _, _, link in self.diagram.links()]
        kinds = {link.kind for link in links}
        told = []
        if len({line_width(link.bytes) for link in links if link.kind is LinkKind.DATA}) > 1:
            seen = {word for link in links for word in re.findall(r"[a-z]\w*", link.label.partition("[")[2])}
            run = ", ".join(f"{name} = {extent}" for name, extent in self.diagram.types.extents.items() if name in seen)
            told.append(f"thicker line: more bytes{f', for {run}' if run else ''}")
        if LinkKind.CONTROL in kinds:
            told.append("dashed line: runs before")
        if LinkKind.UPDATE in kinds:
            told.append("diamond: writes the variable")
        if LinkKind.SHAPE in kinds:
            told.append("dotted line: only the shape is used")
        if any(box.result for box in boxes):
            told.append("double outline: a result")
        notes = list(self.diagram.notes)
        if any(box.stubs for box in boxes):
            notes.insert(0, "pills: → goes to, ← comes from what stands aside; --all draws that in")
        return ["; ".join(told)] * bool(told) + notes


def _rows(stubs: Sequence[Stub]) -> list[list[Stub]]:
    """Stubs in rows, two side by side where they are short."""
    rows: list[list[Stub]] = []
    for stub in stubs:
        if rows and len(rows[-1]) == 1 and len(rows[-1][0].text) + len(stub.text) <= 26:
            rows[-1].append(stub)
        else:
            rows.append([stub])
    return rows


def address(name: str) -> str:
    """`#Loss/Mean`: the link to a box or a scope."""
    return "#" + quote(name, safe="/:'!$()*+,;=@~")


def _told(source: Box, target: Box, link: Link) -> str:
    size = f", {size_text(link.bytes)}" if link.bytes and link.kind is LinkKind.DATA else ""
    return f"{source.name} → {target.name}: {link.label or link.kind.value}{size}"


def _quoted(name: str) -> str:
    """A name as the graphviz package takes it for a node's: a colon would mean a port."""
    return name.replace(":", "_")
