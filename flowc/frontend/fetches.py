"""What a run fetches, taken apart into nodes, and its results put together again in the same nest.

    [train, {"loss": loss, "w": W}]   ->   nodes to compute, and  results -> [None, {"loss": 0.25, "w": array(...)}]
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from flowc.errors import FetchError, GraphError, user_location
from flowc.frontend.scope import Graph
from flowc.frontend.strings import is_text, value_of
from flowc.frontend.summary import encoder, is_summary, values_of
from flowc.frontend.tensor import Operation
from flowc.ir.node import Node
from flowc.ir.op import EMPTY, OPS
from flowc.ir.types import TensorType
from flowc.runtime.desks import LIST, ONE, TUPLE
from flowc.runtime.prepared import Form

Pack = Callable[[Sequence[np.ndarray]], Any]


class Fetches:
    """targets: the nodes to compute, one per leaf; key: tells this nest of fetches from others."""

    def __init__(self, graph: Graph, fetches: Any) -> None:
        self.graph = graph
        self.targets: list[Node] = []
        self.key: Hashable = self._resolve(fetches)

    def _resolve(self, item: Any) -> Hashable:
        if isinstance(item, list):
            return (list, *(self._resolve(i) for i in item))
        if isinstance(item, tuple):
            return (type(item), *(self._resolve(i) for i in item))
        if isinstance(item, Mapping):
            return (dict, tuple(item), *(self._resolve(i) for i in item.values()))
        return self._leaf(item)

    def _leaf(self, item: Any) -> Hashable:
        try:
            element = self.graph.as_graph_element(item)
        except GraphError as error:
            what = f"{type(item).__name__} {item!r} cannot be fetched" if error.what.endswith("nor an operation") else error.what
            raise FetchError(what, error.detail, user_location(), error.locations) from None
        node = element.node
        if isinstance(element, Operation):
            if isinstance(node.type, TensorType):  # run it, and leave its value behind: a group on its own, outside the graph
                group = Node(OPS["group"], (), {}, EMPTY, node.name + "/run", node.loc, (node,))
                self.targets.append(group)
            else:
                self.targets.append(node)
            return (None, node)
        if is_text(node):
            self.targets.append(node)
            return (str, node)
        if is_summary(node):
            self.targets += [node, *values_of(node)]  # the node itself for its control edges
            return (bytes, node)
        if node in self.graph.variables:
            node = self.graph.variables[node].snapshot_node
        self.targets.append(node)
        return node

    @property
    def has_summary(self) -> bool:
        return any(is_summary(node) for node in self.targets)

    def packer(self, positions: Sequence[int | None]) -> Pack:
        """The function from a run's results to the nest; positions: for each target where its result stands, None for none."""
        leaves = iter(positions)
        return _packer(self.key, leaves)


    def flat(self, positions: Sequence[int | None]) -> tuple[int, list[int]] | None:
        """For one fetch, or a plain list or tuple of fetches: (ONE, LIST or TUPLE, for each the place of its result, -1 for None)."""
        key: Any = self.key
        if isinstance(key, Node) or key[0] is None:
            return ONE, [_place(key, positions[0])]
        if key[0] not in (list, tuple) or not all(isinstance(k, Node) or k[0] is None for k in key[1:]):
            return None
        return (LIST if key[0] is list else TUPLE), [_place(k, p) for k, p in zip(key[1:], positions, strict=True)]


def _place(key: Any, position: int | None) -> int:
    return position if isinstance(key, Node) and position is not None else -1


def add_fetches(form: Form, fetches: Any) -> None:
    """The form of these fetches: the same objects in the same nest. TypeError for containers that are not plain ones."""
    kind = type(fetches)
    if kind is list or kind is tuple:
        (form.list if kind is list else form.tuple)(len(fetches))
        for item in fetches:
            add_fetches(form, item)
    elif kind is dict:
        form.dict(list(fetches))
        for item in fetches.values():
            add_fetches(form, item)
    elif isinstance(fetches, list | tuple | Mapping):
        raise TypeError(f"{kind.__name__} is no plain container")
    else:
        form.same(fetches)
def title(targets: Sequence[Node]) -> str:
    """The names of what is fetched, as a title: `loss, GradientDescent`."""
    return ", ".join(node.name.removesuffix("/run") for node in targets)


def _packer(key: Any, leaves: Any) -> Pack:
    if isinstance(key, Node) or key[0] is None:
        position = next(leaves)
        if not isinstance(key, Node) or position is None:
            return _nothing
        return _element(position)
    kind = key[0]
    if kind is str:
        next(leaves)
        text = value_of(key[1])
        return lambda results: text.copy() if isinstance(text, np.ndarray) else text
    if kind is bytes:
        next(leaves)
        return _summary(key[1], [next(leaves) for _ in values_of(key[1])])
    if kind is dict:
        names = key[1]
        parts = [_packer(k, leaves) for k in key[2:]]
        return lambda results: {name: part(results) for name, part in zip(names, parts, strict=True)}
    parts = [_packer(k, leaves) for k in key[1:]]
    if kind is list:
        return lambda results: [part(results) for part in parts]
    if hasattr(kind, "_fields"):  # a namedtuple
        return lambda results: kind(*[part(results) for part in parts])
    return lambda results: tuple([part(results) for part in parts])


def _nothing(results: Sequence[np.ndarray]) -> None:
    return None


def _summary(node: Node, positions: Sequence[int | None]) -> Pack:
    known = [p for p in positions if p is not None]
    if len(known) < len(positions):
        return _nothing
    encode = encoder(node)
    return lambda results: encode([results[p] for p in known])


def _element(position: int) -> Pack:
    def take(results: Sequence[np.ndarray]) -> Any:
        result = results[position]
        return result if result.ndim else result[()]

    return take
