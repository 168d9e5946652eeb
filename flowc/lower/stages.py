"""A kernel of several nests, nest by nest: of each what is computed in its loops, with buffers for what goes from one to the others.

    h = conv2d(x, w);  r = relu(h);  y = max_pool(r)    ->    stage 1: x, w -> r   (in `relu_part`);    stage 2: r -> y
"""

from __future__ import annotations

from flowc.ir.function import CONSTANT, Function
from flowc.ir.loops import Buffer
from flowc.ir.node import Node
from flowc.lower.element import Elements, hint
from flowc.lower.kernel import KernelBuilder
from flowc.structs import Struct
from flowc.transforms.groups import is_nest, nest_behind


class Stage(Struct):
    """root: its nest; k: a builder for a Function of its own, which shares buffers and names with those of the others."""

    root: Node
    k: KernelBuilder


class Stages:
    """made: the buffer of each value that one stage makes for others only, by node."""

    def __init__(self, k: KernelBuilder) -> None:
        self.made: dict[Node, str] = {}
        self.all: list[Stage] = []
        names = dict(k.elements.names)
        for f in _parts(k.f):
            for result in f.results:
                if result not in k.result_names:
                    self.made[result] = k.elements.unique(f"{hint(result)}_part")
            results = {r: k.result_names.get(r) or self.made[r] for r in f.results}
            elements = Elements(f, {p: names[p] for p in f.params if p.op is not CONSTANT})
            elements.taken, elements.serials = k.elements.taken, k.elements.serials
            names.update(results)
            self.all.append(Stage(next(n for n in f.nodes if is_nest(n)), KernelBuilder(f, results, elements, k.buffers, k.workspaces)))

    def workspaces(self) -> list[Buffer]:
        """The whole of what goes from stage to stage, where it does not go in parts."""
        return [Buffer(name, node.tensor.dtype, node.tensor.size, "workspace") for node, name in self.made.items()]


def _parts(f: Function) -> list[Function]:
    """A Function for each nest; what depends on none is computed wherever it is used."""
    nests, users = nest_behind(f.nodes), f.users()
    found = []
    for nest in filter(is_nest, f.nodes):
        wanted: set[Node] = {n for n in f.nodes if nests.get(n) is nest}
        for node in reversed(f.nodes):
            if node not in nests and not wanted.isdisjoint(users[node]):
                wanted.add(node)
        nodes = tuple(n for n in f.nodes if n in wanted)
        params = dict.fromkeys(n for m in nodes for n in m.inputs if n not in wanted)
        results = tuple(n for n in nodes if nests.get(n) is nest and (n in f.results or not wanted.issuperset(users[n])))
        found.append(Function(f.name, tuple(params), nodes, results))
    return found


__all__ = ["Stage", "Stages"]
