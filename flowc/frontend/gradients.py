"""`tf.gradients`: the nodes of a gradient, made beside the forward nodes and paired with them by name.

    y = x * x
    tf.gradients(y, x)[0]      # gradients/mul_grad/..., in the same graph: it can be fetched, used, and differentiated again
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flowc.errors import DTypeError, GraphError, ShapeError, user_location
from flowc.frontend.convert import convert
from flowc.frontend.scope import Graph
from flowc.frontend.tensor import Tensor
from flowc.ir.node import Node
from flowc.ir.op import Op
from flowc.transforms.autodiff import backprop, gradient_name

__all__ = ["gradients", "hessians"]


def gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any = None,
    name: str = "gradients",
    colocate_gradients_with_ops: bool = False,
    gate_gradients: Any = False,
    aggregation_method: Any = None,
    stop_gradients: Any = None,
) -> list[Tensor | None]:
    """The gradient of the sum of `ys` with respect to each of `xs`; None for an x on which no y depends.

    ys: a float tensor or several; xs: tensors or variables; grad_ys: for each y a tensor of its shape that stands for dL/dy (None:
    ones); stop_gradients: tensors through which nothing is passed back. The other arguments are accepted and without effect.
    DTypeError where a y is no float, GraphError for elements of several graphs, ShapeError where a grad_y has not its y's shape.
    """
    targets = [convert(y) for y in _listed(ys)]
    sources = [_source(x) for x in _listed(xs)]
    if not targets:
        raise GraphError("gradients: there is no y", location=user_location())
    graph = targets[0].graph
    for tensor in targets:
        if not tensor.dtype.is_float:
            raise DTypeError(f"gradients: {tensor.name} is {tensor.type}, and only a float has a gradient", repr(tensor.node), user_location())
    stopped = [_source(t) for t in _listed(stop_gradients)] if stop_gradients is not None else []
    given = _cotangents(targets, grad_ys)
    _same_graph(graph, [t.node for t in targets] + sources + stopped)
    with graph.name_scope(name or "gradients") as scope:
        nodes = _between(graph, [t.node for t in targets], set(stopped))
        found = backprop(nodes, [t.node for t in targets], sources, given, lambda forward: _Maker(graph, forward, scope))
    return [None if node is None else graph.tensor(node) for node in found]


def hessians(ys: Any, xs: Any, name: str = "hessians", **options: Any) -> list[Tensor]:
    """The Hessian of the sum of `ys` for each x, of rank 1 and known extent: `[n, n]`, row i the gradient of the i-th partial derivative.

    ShapeError for an x of another rank or of unknown extent.
    """
    from flowc.frontend.array_ops import stack, zeros_like

    graph = convert(_listed(ys)[0]).graph
    found = []
    with graph.name_scope(name):
        for x in _listed(xs):
            tensor = convert(x)
            if tensor.dims is None or len(tensor.dims) != 1 or not isinstance(tensor.dims[0], int):
                raise ShapeError(f"hessians: {tensor.name} is {tensor.type}; a vector of known extent is expected", location=user_location())
            (slope,) = gradients(ys, x, **options)
            rows = [None if slope is None else gradients(slope[i], x)[0] for i in range(tensor.dims[0])]
            found.append(stack([zeros_like(tensor) if row is None else row for row in rows]))
    return found


class _Maker:
    """Makes gradient nodes for one forward node: they bear its name and line."""

    __slots__ = ("forward", "graph", "scope")

    def __init__(self, graph: Graph, forward: Node, scope: str) -> None:
        self.graph = graph
        self.forward = forward
        self.scope = scope.rstrip("/")

    def __call__(self, op: Op, inputs: tuple[Node, ...], attrs: dict[str, Any]) -> Node:
        graph = self.graph
        name = graph.unique_name(gradient_name(self.forward.name, op, "/", self.scope))
        control = tuple(n for n in graph.control if n not in inputs)
        return graph.add(op, inputs, attrs, name, control, self.forward.loc)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _source(x: Any) -> Node:
    """What to differentiate by: the variable itself, which all of its reads lead to, or a tensor's node."""
    return x.as_graph_element().node if hasattr(x, "as_graph_element") else convert(x).node  # type: ignore[no-any-return]


def _cotangents(targets: Sequence[Tensor], grad_ys: Any) -> list[Node | None] | None:
    if grad_ys is None:
        return None
    given = _listed(grad_ys)
    if len(given) != len(targets):
        raise GraphError(f"gradients: {len(targets)} ys and {len(given)} grad_ys", location=user_location())
    nodes: list[Node | None] = []
    for target, value in zip(targets, given, strict=True):
        tensor = None if value is None else convert(value, target.dtype)
        if tensor is not None and not tensor.shape.is_compatible_with(target.shape):
            raise ShapeError(f"gradients: grad_ys has {tensor.type} for {target.name}: {target.type}", repr(tensor.node), user_location())
        nodes.append(None if tensor is None else tensor.node)
    return nodes


def _same_graph(graph: Graph, nodes: Iterable[Node]) -> None:
    for node in nodes:
        if node not in graph.position:
            raise GraphError(f"gradients: {node.name} belongs to another graph", repr(node), user_location())


def _between(graph: Graph, targets: Iterable[Node], stopped: set[Node]) -> list[Node]:
    """What the targets depend on, in creation order, cut at `stopped`, which nothing is passed through."""
    seen: set[Node] = set()
    stack = list(targets)
    while stack:
        node = stack.pop()
        if node not in seen and node not in stopped:
            seen.add(node)
            stack.extend(node.inputs)
    return sorted(seen, key=lambda n: graph.position[n])
