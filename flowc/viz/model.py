"""The diagram model: from a Graph, a Function or a Module to boxes, links between them, and the tree of scopes they stand in.

    W/Variable -> W/Variable/read -> output/mul     ->    boxes `W/Variable` (variable) and `output/mul` (op), a link `f32[1]`

Boxes and links are a networkx multigraph, scopes a networkx tree; both keep the order in which nodes were made, so the same graph
gives the same diagram, from which every format is written. By default a Graph is folded: one box for what an optimizer does to a variable,
for the gradient of a node, for a variable's initial value. `full` shows every node. `flowc.viz.view` makes the part that is drawn of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from flowc.ir.dims import Dim, Shape, Sym, substitute
from flowc.ir.function import Function
from flowc.ir.graph import Graph
from flowc.ir.node import Node
from flowc.ir.op import Op
from flowc.ir.types import TensorType, Type

if TYPE_CHECKING:
    import networkx

    from flowc.lower.program import Program


class Kind(Enum):
    """What a box is; each has a look of its own."""

    PLACEHOLDER = "placeholder"
    VARIABLE = "variable"
    CONSTANT = "constant"
    RANDOM = "random"
    OP = "operation"
    ASSIGNMENT = "assignment"
    GRADIENT = "gradient"
    OPTIMIZER = "optimizer"
    INIT = "initial value"
    SUMMARY = "summary"
    SAVER = "saver"
    SCOPE = "scope"
    OUTSIDE = "outside"


AUXILIARY = (Kind.GRADIENT, Kind.OPTIMIZER, Kind.INIT, Kind.SUMMARY, Kind.SAVER)
"""What serves the training of a model, not the model itself: it stands aside unless all is to be drawn."""


class LinkKind(Enum):
    """What a line is."""

    DATA = "data"
    CONTROL = "runs before"
    UPDATE = "writes"
    SHAPE = "shape only"


@dataclass(frozen=True)
class Stub:
    """Where a group that stands aside attaches to a box: the group's name and kind, and what is said: `← Adam`, it writes the box."""

    group: str
    kind: Kind
    text: str


@dataclass(frozen=True)
class Box:
    """name: full and unique; lines: what it says, the first line its name in its scope; count: how many nodes are folded into it.

    nodes: those nodes themselves, for what shows more of them than a box says. The rest is of boxes in a view: stack: how many like
    scopes it stands for; aside: whether it is a group that stands aside; stubs: where such groups attach.
    """

    name: str
    kind: Kind
    scope: str
    lines: tuple[str, ...]
    count: int = 1
    result: bool = False
    where: str = ""
    nodes: tuple[Node, ...] = field(default=(), compare=False, repr=False)
    stack: int = 0
    aside: bool = False
    stubs: tuple[Stub, ...] = ()


@dataclass(frozen=True)
class Link:
    """A line from one box to another; label: the type of what flows; bytes: how many of them, symbols that no run has told counting as 1."""

    kind: LinkKind
    label: str = ""
    bytes: int = 0


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
    """boxes: a MultiDiGraph, each node with a `box`, each edge with a `link`; scopes: a tree from "" down, each with a `kind` and a `label`.

    types: what a run has told of them; notes: what the reader is to know about a view.
    """

    title: str
    boxes: networkx.MultiDiGraph = field(default_factory=_multigraph)
    scopes: networkx.DiGraph = field(default_factory=_tree)
    types: Types = field(default_factory=lambda: Types())
    notes: tuple[str, ...] = ()

    def box(self, name: str) -> Box:
        return self.boxes.nodes[name]["box"]  # type: ignore[no-any-return]

    def links(self) -> Iterable[tuple[Box, Box, Link]]:
        for source, target, link in self.boxes.edges(data="link"):
            yield self.box(source), self.box(target), link

    def by_scope(self) -> dict[str, list[Box]]:
        """For each scope the boxes that stand in it itself, in order."""
        found: dict[str, list[Box]] = {scope: [] for scope in self.scopes}
        for _, box in self.boxes.nodes(data="box"):
            found[box.scope].append(box)
        return found

    def kinds(self) -> list[Kind]:
        """The kinds that occur, in the order of `Kind`; a stack is none of its own."""
        found = {box.kind for _, box in self.boxes.nodes(data="box") if not (box.stack and box.kind is Kind.SCOPE)}
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


def diagram(
    source: Graph | Function | Program, full: bool = False, title: str = "", only: Collection[Node] | None = None, types: Types | None = None
) -> Diagram:  # fmt: skip
    """The diagram of a Graph, of a Function, of a Module (a Function that calls kernels: each becomes a scope), or of a Program (their loops).

    full: a box for every node of a Graph; only: the nodes of a Graph that are drawn, by default all; types: what a run has told of them.
    GraphError for a Graph with a cycle of control edges.
    """
    if isinstance(source, Function):
        from flowc.viz.functions import of_function

        return of_function(source, title or source.name, types or Types())
    if not isinstance(source, Graph):
        from flowc.viz.kernels import of_program

        return of_program(source, title or source.main.name, types or Types())
    from flowc.viz.graphs import of_graph

    return of_graph(source, full, title, only, types or Types())


class Types:
    """How types are told. extents: those of symbols in a run: symbols that are equal there bear one name, and every type comes to bytes;
    known: for the dotted names of nodes their types in that run, where the graph itself does not know so much as the rank."""

    def __init__(self, extents: Mapping[str, int] | None = None, known: Mapping[str, Type] | None = None) -> None:
        self.extents = dict(extents or {})
        self.known = known or {}
        first: dict[int, str] = {}
        for name, extent in self.extents.items():
            if extent != 1:
                first.setdefault(extent, name)
        self.names: dict[str, Dim] = {name: Sym.named(first[extent]) for name, extent in self.extents.items() if extent != 1}
        self._told: dict[TensorType, tuple[str, int]] = {}  # many nodes have one type

    def of(self, node: Node) -> Type:
        if isinstance(node.type, TensorType) and node.type.shape is None:
            return self.known.get(node.name.replace("/", "."), node.type)
        return node.type

    def label(self, node: Node) -> str:
        """A node's type as it stands on a line; nothing for what is no tensor."""
        return self._label_and_bytes(node)[0]

    def bytes(self, node: Node) -> int:
        """The bytes of a node's value; an extent that no run has told counts as 1."""
        return self._label_and_bytes(node)[1]

    def _label_and_bytes(self, node: Node) -> tuple[str, int]:
        type = self.of(node)
        if not isinstance(type, TensorType):
            return "", 0
        if type not in self._told:
            shape = _substituted(type.shape or (), self.names)
            label = str(type if not shape or shape is type.shape else TensorType(type.dtype, shape))
            self._told[type] = label, type.dtype.size * self.count(*(type.shape or ()))
        return self._told[type]

    def count(self, *shape: Dim) -> int:
        """The number of elements of a shape."""
        return math.prod(d for d in _substituted(shape, self.extents) if isinstance(d, int))

    def link(self, kind: LinkKind, node: Node) -> Link:
        return Link(kind, *self._label_and_bytes(node))


def _substituted(shape: Shape, values: Mapping[str, Dim]) -> Shape:
    if not values or all(type(d) is int for d in shape):
        return shape
    try:
        return tuple(substitute(d, values) for d in shape)
    except ValueError:  # a node that is no part of the run: its operands would not broadcast there
        return shape


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
