"""Small Graphs for tests, written without the frontend: `g.placeholder("x", (None, 2))`, `g("mul", x, w)`."""

from flowc.ir.graph import Graph
from flowc.ir.node import Node
from flowc.ir.types import F32, DType
from flowc.ops import OPS


class Sketch:
    def __init__(self) -> None:
        self.graph = Graph()

    def __call__(self, op: str, *inputs: Node, name: str = "", control: tuple[Node, ...] = (), **attrs: object) -> Node:
        record = OPS[op]
        return self.graph.add(record, inputs, attrs, self.graph.unique_name(name or record.title), control)

    def placeholder(self, name: str, shape: tuple[int | None, ...] | None, dtype: DType = F32) -> Node:
        known = None if shape is None else tuple(self.graph.fresh_symbol("b") if d is None else d for d in shape)
        return self("placeholder", name=name, dtype=dtype, shape=known)

    def variable(self, name: str, shape: tuple[int, ...]) -> Node:
        return self("variable", name=name, dtype=F32, shape=shape)

    def constant(self, value: object) -> Node:
        import numpy as np

        from flowc.ir.node import Value

        return self("constant", value=Value(np.asarray(value, np.float32)))
