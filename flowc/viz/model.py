"""The diagram model: from a Graph, a Function or a Module to boxes, links between them, and the tree of scopes they stand in.

    W/Variable -> W/Variable/read -> output/mul     ->    boxes `W/Variable` (variable) and `output/mul` (op), a link `f32[1]`

Boxes and links are a networkx multigraph, scopes a networkx tree; both keep the order in which nodes were made, so the same graph
gives the same diagram. By default a Graph is folded: one box for what an optimizer does to a variable, for the gradient of a node, for
a variable's initial value. `full` shows every node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from flowc.ir.function import Function
from flowc.ir.graph import Graph
from flowc.ir.node import Node
from flowc.ir.op import Op
from flowc.ir.types import TensorType, Type

if TYPE_CHECKING:
    import networkx


class Kind(Enum):
    """What a box is; each has a look of its own."""

    PLACEHOLDER = "placeholder"
    VARIABLE = "variable"
    CONSTANT = "constant"
    RANDOM = "random"
    OP = "operation"
    GRADIENT = "gradient"
    OPTIMIZER = "optimizer"
    INIT = "initial value"


class LinkKind(Enum):
    """What a line is."""

    DATA = "data"
    CONTROL = "runs before"
    UPDATE = "writes"
    SHAPE = "shape only"


@dataclass(frozen=True)
class Box:
    """name: full and unique; lines: what it says, the first line its name in its scope; count: how many nodes are folded into it.

    nodes: those nodes themselves, for what shows more of them than a box says.
    """

    name: str
    kind: Kind
    scope: str
    lines: tuple[str, ...]
    count: int = 1
    result: bool = False
    where: str = ""
    nodes: tuple[Node, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Link:
    """A line from one box to another; label: the type of what flows."""

    kind: LinkKind
    label: str = ""


def _multigraph() -> networkx.MultiDiGraph:
    import networkx

    return networkx.MultiDiGraph()


def _tree() -> networkx.DiGraph:
    import networkx

    tree = networkx.DiGraph()
    tree.add_node("", kind=None)
    return tree


@dataclass
class Diagram:
    """boxes: a MultiDiGraph, each node with a `box`, each edge with a `link`; scopes: a tree from "" down, each with a `kind`."""

    title: str
    boxes: networkx.MultiDiGraph = field(default_factory=_multigraph)
    scopes: networkx.DiGraph = field(default_factory=_tree)

    def box(self, name: str) -> Box:
        return self.boxes.nodes[name]["box"]  # type: ignore[no-any-return]

    def links(self) -> Iterable[tuple[Box, Box, Link]]:
        for source, target, link in self.boxes.edges(data="link"):
            yield self.box(source), self.box(target), link

    def boxes_in(self, scope: str) -> list[Box]:
        """The boxes that stand in a scope itself, in order."""
        return [box for _, box in self.boxes.nodes(data="box") if box.scope == scope]

    def kinds(self) -> list[Kind]:
        """The kinds that occur, in the order of `Kind`."""
        found = {box.kind for _, box in self.boxes.nodes(data="box")}
        return [kind for kind in Kind if kind in found]

    def add_box(self, box: Box) -> None:
        self.boxes.add_node(box.name, box=box)

    def add_link(self, source: str, target: str, link: Link) -> None:
        """Add a link, unless an equal one is there already."""
        present = self.boxes.get_edge_data(source, target) or {}
        if source != target and all(data["link"] != link for data in present.values()):
            self.boxes.add_edge(source, target, link=link)

    def add_scope(self, scope: str, parent: str, kind: Kind | None = None, label: str = "") -> None:
        if scope not in self.scopes:
            self.scopes.add_node(scope, kind=kind, label=label or scope)
            self.scopes.add_edge(parent, scope)

    def open_scopes(self, scope: str, separator: str, passed_over: Collection[str] = ()) -> None:
        """Enter a scope and those around it into the tree, but for those `passed_over`."""
        parts = scope.split(separator) if scope else []
        parent = ""
        for depth in range(len(parts)):
            name = separator.join(parts[: depth + 1])
            if name not in passed_over:
                self.add_scope(name, parent)
                parent = name


def diagram(source: Graph | Function, full: bool = False, title: str = "", only: Collection[Node] | None = None) -> Diagram:
    """The diagram of a Graph, of a Function, or of a Module (a Function that calls kernels: each becomes a scope).

    full: a box for every node of a Graph; only: the nodes of a Graph that are drawn, by default all.
    """
    if isinstance(source, Function):
        from flowc.viz.functions import of_function

        return of_function(source, title or source.name)
    from flowc.viz.graphs import of_graph

    return of_graph(source, full, title, only)


def type_label(type: Type) -> str:
    """A type as it stands on a line; nothing for what is no tensor."""
    return str(type) if isinstance(type, TensorType) else ""


def tells_its_op(name: str, op: Op) -> bool:
    """Whether a node's name says already what it does: `MatMul_1` for matmul."""
    plain = name.rstrip("0123456789_").lower()
    return plain in (op.title.lower(), op.name) or plain.replace("_", "") == op.name.replace("_", "")


def short_value(array: Any) -> str:
    """A constant's value in a few characters: `2.0`, `[1, 2]`, `all 0.0` where the elements are equal."""
    if array.size == 0:
        return "[]"
    if array.ndim == 0:
        return _number(array[()])
    if array.size <= 4:
        return f"[{', '.join(_number(x) for x in array.reshape(-1))}]"
    return f"all {_number(array.reshape(-1)[0])}" if (array == array.reshape(-1)[0]).all() else ""


def _number(x: Any) -> str:
    text = str(x)
    return f"{float(x):.4g}" if len(text) > 8 and x.dtype.kind == "f" else text
