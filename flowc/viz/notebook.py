"""Graphs, Functions and compiled objects in notebooks and in print: what `flowc.ir.shown` asks for.

    html(graph)     # <iframe srcdoc="...">: the page to explore
    svg(graph)      # <svg ...>: the picture; None where there is no Graphviz
    text(graph)     # what print(graph) prints: the tree of scopes
"""

from __future__ import annotations

from html import escape
from typing import Any

from flowc.errors import FlowcError
from flowc.ir.function import Function
from flowc.ir.graph import Graph
from flowc.ir.types import TensorType
from flowc.viz.draw import can_draw, encoded
from flowc.viz.model import Diagram, diagram
from flowc.viz.page import Stage, page
from flowc.viz.stages import stages
from flowc.viz.text import tree_text
from flowc.viz.view import View, view

HEIGHT = 640  # of the page in a notebook, in pixels


def html(thing: Any) -> str | None:
    """The page over all that a thing goes through, in a frame; None for a compiled function whose shapes are not known yet."""
    try:
        found = _stages(thing)
    except FlowcError:
        return None
    title = found[0].diagram.title
    frame = f'title="{escape(title)}" style="width:100%;height:{HEIGHT}px;border:0"'
    return f'<iframe srcdoc="{escape(page(found, title))}" {frame}></iframe>'


def svg(thing: Any) -> str | None:
    """The picture, as `flowc viz -o x.svg` draws it; None where it cannot be drawn."""
    try:
        return encoded(view(_diagram(thing), View()), ".svg").decode() if can_draw() else None
    except FlowcError:
        return None


def text(graph: Graph) -> str:
    """The tree of a Graph's scopes, without a newline at the end."""
    return tree_text(view(diagram(graph), View().unlimited())).rstrip("\n")


def _diagram(thing: Any) -> Diagram:
    if isinstance(thing, Graph):
        return diagram(thing, title="graph")
    f = _function(thing)
    return diagram(f, title=f.name)


def _stages(thing: Any) -> list[Stage]:
    drawn = _diagram(thing)
    if isinstance(thing, Graph):
        return [Stage("graph", drawn)]
    f = _function(thing)
    if any(n.op.name == "call" for n in f.nodes):  # a Module: its passes are done
        return [Stage("kernels", drawn)]
    return stages(f, title=drawn.title) if _is_specialized(f) else [Stage("function", drawn)]


def _is_specialized(f: Function) -> bool:
    """Whether all types are known, as the passes want it: every rank, and which extents are equal."""
    types = [n.type for n in (*f.params, *f.nodes) if isinstance(n.type, TensorType)]
    return all(t.shape is not None and "broadcast(" not in str(t) for t in types)


def _function(thing: Any) -> Function:
    """The Function of a Function, of an Executable, or of a compiled function at its last call."""
    if isinstance(thing, Function):
        return thing
    from flowc.runtime.executable import Executable

    if isinstance(thing, Executable):
        return thing.f
    found: Function = thing._inspected().function
    return found
