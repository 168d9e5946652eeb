"""Diagrams of graphs and functions: `model` says what there is, `view` what part of it is drawn, `dot`, `page` and `text` write it down.

    from flowc.viz import View, diagram, write
    write(diagram(tf.get_default_graph()), "graph.svg", View(depth=1))
"""

from __future__ import annotations

from flowc.viz.dot import dot_source
from flowc.viz.draw import DrawingError, write
from flowc.viz.model import Diagram, diagram
from flowc.viz.text import graph_text, json_text, tree_text
from flowc.viz.view import View, view

__all__ = ["Diagram", "DrawingError", "View", "diagram", "dot_source", "graph_text", "json_text", "tree_text", "view", "write"]
