"""flowc: a dataflow graph compiler. A model definition becomes a graph, the graph a pure typed function, the function fused loops."""

__version__ = "0.1.0"
