"""Diagrams of graphs and functions: `model` says what is drawn, `dot` and `text` write it down.

    from flowc.viz import diagram, write
    write(diagram(tf.get_default_graph()), "graph.svg")
"""

from __future__ import annotations

from flowc.viz.dot import dot_source
from flowc.viz.draw import DrawingError, write
from flowc.viz.model import Diagram, diagram
from flowc.viz.text import graph_text, tree_text

__all__ = ["Diagram", "DrawingError", "diagram", "dot_source", "graph_text", "tree_text", "write"]
