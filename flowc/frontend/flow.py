"""Order and grouping of operations: `group`, `no_op`, `tuple`, `identity`, and what flowc does not have, said clearly.

    train = tf.group(step1, step2)          # runs both; fetching it gives None
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

from flowc.errors import FlowcError, GraphError, user_location
from flowc.frontend.convert import convert, unary
from flowc.frontend.scope import Graph, get_default_graph
from flowc.frontend.tensor import Operation, Tensor


def group(*inputs: Any, name: str | None = None, **unused: Any) -> Operation:
    """An operation that is done when all inputs (operations, tensors, variables, lists of them) are done."""
    flat: list[Any] = []
    _flatten(inputs, flat)
    graph: Graph = flat[0].graph if flat else get_default_graph()
    nodes = [graph.as_graph_element(item).node for item in flat]
    with graph.control_dependencies([graph.operation(n) for n in nodes]):
        return graph.operation(graph.create("group", (), {}, name or ("group_deps" if nodes else "NoOp")))


def _flatten(items: Iterable[Any], flat: list[Any]) -> None:
    for item in items:
        if isinstance(item, list | builtins.tuple):
            _flatten(item, flat)
        elif item is not None:
            if not hasattr(item, "graph"):
                raise GraphError(f"{item!r} is neither a tensor nor an operation", location=user_location())
            flat.append(item)


def no_op(name: str | None = None) -> Operation:
    """An operation that does nothing."""
    graph = get_default_graph()
    return graph.operation(graph.create("group", (), {}, name or "NoOp"))


def identity(input: Any, name: str | None = None) -> Tensor:
    """The same value as a node of its own."""
    return unary("identity", input, name, "Identity")


def tuple(tensors: Iterable[Any], name: str | None = None, control_inputs: Iterable[Any] | None = None) -> list[Tensor | None]:
    """The tensors, each of which is there only when all of them and the control inputs are done."""
    tensors = list(tensors)
    given = [convert(t) for t in tensors if t is not None]
    graph = given[0].graph if given else get_default_graph()
    with graph.name_scope(name or "tuple"):
        gate = group(*given, *(control_inputs or ()), name="group_deps")
        with graph.control_dependencies([gate]):
            done = iter([identity(t, "control_dependency") for t in given])
            return [None if t is None else next(done) for t in tensors]


def cond(*arguments: Any, **options: Any) -> Any:
    """Not supported: FlowcError with the user's line."""
    raise FlowcError("tf.cond is not supported", "use tf.where to choose between two values, or choose in Python between two runs", user_location())


def case(*arguments: Any, **options: Any) -> Any:
    """Not supported: FlowcError with the user's line."""
    raise FlowcError("tf.case is not supported", "use tf.where to choose between values, or choose in Python between runs", user_location())


def while_loop(*arguments: Any, **options: Any) -> Any:
    """Not supported: FlowcError with the user's line."""
    raise FlowcError("tf.while_loop is not supported", "write the loop in Python: over nodes when the graph is built, or over session.run", user_location())
