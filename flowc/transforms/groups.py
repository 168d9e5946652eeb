"""Groups: nodes that become one kernel, and what fusion and lowering ask of a node.

    g = Group(Form.REDUCE, domain=(b, 10), axes=(1,))     # one sweep over b x 10 elements sums each row
    g.reduced                                             # (b,)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import Enum

from flowc.ir.dims import Shape
from flowc.ir.node import Node
from flowc.ir.op import Element, Kind, Nest, Scalar
from flowc.ops.inference import normal_axes
from flowc.structs import Struct, field


class Form(Enum):
    """What a group's kernel looks like."""

    MAP = "map"  # every member is computed at each index of one domain
    REDUCE = "reduce"  # one sweep over the domain feeds reductions; what follows has the reduced shape
    ROWS = "rows"  # several sweeps over each row: reductions over the trailing axes and what uses them in the row
    NEST = "nest"  # a contraction or another loop nest, then what is computed at each index of its result


class Group(Struct, frozen=False, eq=False):
    """Nodes that become one kernel. `domain` is the shape swept; `axes` the reduced ones (REDUCE, ROWS); `nests` the NEST's nodes, and `images`
    what goes from one of them to the others, or what all of them read; `first`, `last` the positions of its members."""

    form: Form
    domain: Shape
    members: list[Node] = field(default_factory=list)
    axes: tuple[int, ...] = ()
    nests: list[Node] = field(default_factory=list)
    images: Node | None = None
    first: int = sys.maxsize
    last: int = -1

    @property
    def reduced(self) -> Shape:
        """The domain without the reduced axes and without extents of 1."""
        return squeezed(tuple(d for i, d in enumerate(self.domain) if i not in self.axes))


def is_nest(node: Node) -> bool:
    return isinstance(node.op.lowering, Nest)


def nest_behind(nodes: Iterable[Node]) -> dict[Node, Node]:
    """For each node of a kernel, in order, the nest in whose loops it is computed; nothing for what depends on none."""
    found: dict[Node, Node] = {}
    for node in nodes:
        if is_nest(node):
            found[node] = node
        elif behind := [found[n] for n in node.inputs if n in found]:
            found[node] = behind[-1]
    return found


def squeezed(shape: Shape) -> Shape:
    """A shape without its extents of 1: two values with equal squeezed shapes hold their elements in the same order."""
    return tuple(d for d in shape if d != 1)


def is_pointwise(node: Node) -> bool:
    """Whether the op gives its value at one index from its operands' values (MAP, INDEX, generators)."""
    return isinstance(node.op.lowering, Scalar | Element)


def is_view(node: Node) -> bool:
    """Whether the node's elements are its operand's, in the same order."""
    return isinstance(node.op.lowering, Element) and node.op.lowering.pure_view


def reduction_axes(node: Node) -> tuple[int, ...]:
    """The reduced axes of a REDUCE node, counted from the front."""
    return normal_axes(node.op.name, node.attrs.get("axis"), node.inputs[0].tensor.rank)


def is_reduction(node: Node) -> bool:
    return node.op.kind is Kind.REDUCE and not isinstance(node.op.lowering, Nest)


def is_free(node: Node) -> bool:
    """Whether reading through the node costs no more than reading its operand: copied into each kernel that uses it."""
    return isinstance(node.op.lowering, Element) and node.op.lowering.free


def trailing(axes: tuple[int, ...], domain: Shape) -> bool:
    """Whether the reduced axes are the last ones (extents of 1 apart)."""
    kept = [i for i, d in enumerate(domain) if i not in axes and d != 1]
    return not kept or all(i > kept[-1] or domain[i] == 1 for i in axes)
