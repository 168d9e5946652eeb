"""A Graph as TensorFlow's GraphDef message, as TensorBoard's graph page reads it: names with their scopes, inputs, shapes.

    graph_def(tf.get_default_graph())   ->   b"\\n..."      # one NodeDef per node; a control input is `^name`

What flowc knows of a node's attributes is in it, but no values of constants: pictures do not show them.
"""

from __future__ import annotations

from typing import Any

from flowc.frontend.events import blob, integer, shape_message, single
from flowc.ir.graph import Graph
from flowc.ir.node import Node
from flowc.ir.op import Effect
from flowc.ir.types import DType, TensorType

_PRODUCER = 27  # the version of TensorFlow 1's graphs
_DTYPES = {
    "f32": 1, "f64": 2, "i32": 3, "u8": 4, "i16": 5, "i8": 6, "string": 7, "i64": 9, "bool": 10, "u16": 17, "f16": 19, "u32": 22, "u64": 23,
}  # fmt: skip
"""types.proto's numbers."""


def graph_def(graph: Graph) -> bytes:
    """The serialized GraphDef."""
    return b"".join([blob(1, _node(node)) for node in graph.nodes]) + blob(4, integer(1, _PRODUCER))


def _node(node: Node) -> bytes:
    inputs = [n.name for n in node.inputs] + [f"^{n.name}" for n in node.control]
    head = blob(1, node.name) + blob(2, node.op.title) + b"".join([blob(3, name) for name in inputs])
    return head + b"".join([blob(5, blob(1, name) + blob(2, value)) for name, value in _attributes(node)])


def _attributes(node: Node) -> list[tuple[str, bytes]]:
    """Names and AttrValues, by name."""
    found: dict[str, bytes] = {}
    for name, value in node.attrs.items():
        encoded = _value(name, value)
        if encoded is not None:
            found[name] = encoded
    if isinstance(node.type, TensorType):
        found.setdefault("dtype" if node.op.effect in (Effect.FEED, Effect.VARIABLE) or not node.inputs else "T", integer(6, _DTYPES[node.type.dtype.name]))
        found["_output_shapes"] = blob(1, blob(7, shape_message(_extents(node.type.shape))))
    return sorted(found.items())


def _extents(shape: Any) -> list[int] | None:
    return None if shape is None else [d if isinstance(d, int) else -1 for d in shape]


def _value(name: str, value: Any) -> bytes | None:
    """An AttrValue; None for what TensorFlow has no kind of value for."""
    if name == "shape" and isinstance(value, tuple):
        return blob(7, shape_message(_extents(value)))
    if isinstance(value, bool):
        return integer(5, value)
    if isinstance(value, int):
        return integer(3, value)
    if isinstance(value, float):
        return single(4, value)
    if isinstance(value, str):
        return blob(2, value)
    if isinstance(value, DType):
        return integer(6, _DTYPES[value.name])
    if isinstance(value, tuple) and all(isinstance(v, int) for v in value):
        return blob(1, blob(3, b"".join([integer(3, int(v))[1:] for v in value])))
    return None
