"""What a command looks at: one run of a graph, or one compiled function; both come to a Function.

    GraphRun(graph, [train.node], {x: (100, 64)}).function()     # as a session would compile it, before the passes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from flowc import config
from flowc.errors import FlowcError, ShapeError
from flowc.frontend.scope import Graph
from flowc.frontend.summary import is_summary, values_of
from flowc.frontend.trace import Compiled
from flowc.ir.dims import Dim, Sym
from flowc.ir.function import Function
from flowc.ir.interpret import bind_extents
from flowc.ir.node import Node
from flowc.ir.op import Effect
from flowc.ir.types import TensorType
from flowc.transforms.extract import Extraction, extract
from flowc.transforms.specialize import Specializer
from flowc.viz.model import Types


class InputError(Exception):
    """What the user has given cannot be used: one clear line, exit code 2."""


@dataclass(eq=False)
class GraphRun:
    """The fetches of one run, the shapes of what it feeds and the fed values where the run was seen.

    Shapes that no run has told are taken from the placeholders' types.
    """

    graph: Graph
    title: str
    fetches: Sequence[Node]
    fed: Mapping[Node, tuple[int, ...]]
    values: Mapping[Node, np.ndarray] = field(default_factory=dict)

    @cached_property
    def live(self) -> frozenset[Node]:
        """Every node that the fetches need."""
        return reachable(self.fetches, self.fed)

    @property
    def unfed(self) -> list[Node]:
        """The placeholders that are needed and that no run has fed."""
        live = sorted(self.live, key=lambda n: n.serial)
        return [n for n in live if n.op.effect is Effect.FEED and n.op.name != "run_counter" and n not in self.fed]

    def function(self) -> Function:
        """The specialized Function. InputError where a placeholder's rank is unknown and no run has fed it.

        Sizes that no run told are all different, unless the run wants some of them equal: then they are all one.
        """
        try:
            return self._specialized(apart=True)
        except ShapeError as error:
            try:
                return self._specialized(apart=False)
            except ShapeError:
                raise error from None

    def _specialized(self, apart: bool) -> Function:
        shapes = self._shapes(apart)
        return Specializer(self.extraction(list(shapes)).function).specialize(list(shapes.values()))[1]

    def _shapes(self, apart: bool = True) -> dict[Node, tuple[int, ...]]:
        """For each feed its shape; sizes that no run told are made up."""
        shapes: dict[Node, tuple[int, ...]] = {node: shape for node, shape in self.fed.items() if node in self.live}
        extents: dict[Dim, int] = {}
        for node in self.unfed:
            if node.tensor.shape is None:
                raise InputError(f"{self.title} needs {node.name}, whose shape is not known: no run that was seen feeds it")
            shapes[node] = tuple(d if isinstance(d, int) else extents.setdefault(d, 1009 + 2 * apart * len(extents)) for d in node.tensor.shape)
        return shapes

    def types(self) -> Types:
        """What the run tells of types: the sizes of symbols, and where ranks are unknown the types of as much of the graph as its feeds decide."""
        if all(n.type.shape is not None for n in self.graph.nodes if isinstance(n.type, TensorType)):
            return Types(self._sizes())
        values = [n for n in self.graph.nodes if n.op.effect is Effect.NONE and not is_summary(n)]
        for fetches in ([*self.fetches, *values], self.fetches):
            run = GraphRun(self.graph, self.title, list(dict.fromkeys(fetches)), self.fed)
            try:
                f = run.function()
            except (InputError, FlowcError):  # a placeholder that no run feeds, or what does not fit the feeds of this one
                continue
            feeds = {n.name.replace("/", "."): p.type for n, p in zip(run._shapes(), f.params, strict=False)}
            return Types(run.extents(f), {n.name: n.type for n in f.nodes} | feeds)
        return Types(self._sizes())

    def extents(self, f: Function) -> dict[str, int]:
        """The sizes of the Graph's and of `function()`'s symbols that the run told; a function's count where one has another's name."""
        fed = [shape for node, shape in self.fed.items() if node in self.live]
        return {**self._sizes(), **bind_extents([p.type for p in f.params[: len(fed)]], fed)}

    def _sizes(self) -> dict[str, int]:
        """The sizes of the Graph's symbols."""
        fed = [(node, shape) for node, shape in self.fed.items() if node in self.live]
        return {d.name: n for node, shape in fed for d, n in zip(node.tensor.shape or (), shape, strict=False) if isinstance(d, Sym) and d.name}

    def extraction(self, feeds: Sequence[Node]) -> Extraction:
        """What the run computes from `feeds` and from variables."""
        return extract([value for fetch in self.fetches for value in (values_of(fetch) if is_summary(fetch) else [fetch])], feeds)


@dataclass(eq=False)
class CompiledFunction:
    """A function under `flowc.compile`, for the shapes of its last call or of its annotations."""

    compiled: Compiled

    @property
    def title(self) -> str:
        return self.compiled.name

    def types(self) -> Types:
        """The sizes of symbols in the last call."""
        try:
            return Types(self.extents(self.function()))
        except InputError:
            return Types()

    def function(self) -> Function:
        try:
            return self.compiled._inspected().function
        except FlowcError as error:
            raise InputError(f"{error.what}{f'; {error.detail}' if error.detail else ''}") from None

    def extents(self, f: Function) -> dict[str, int]:
        """The sizes of `function()`'s symbols in the last call."""
        latest = self.compiled._inspected().latest
        return {} if latest is None else bind_extents([p.type for p in f.params], [a.shape for a in latest.args])


Subject = GraphRun | CompiledFunction


def executable(f: Function) -> Any:
    """The Executable of a Function, for looking at: nothing is compiled."""
    from flowc.runtime.executable import build

    with config.override(backend="interpret"):
        return build(f)


def reachable(fetches: Sequence[Node], fed: Mapping[Node, Any]) -> frozenset[Node]:
    """Every node that `fetches` need, through inputs and control edges, cut at what is fed."""
    found: set[Node] = set()
    stack = list(fetches)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            if node not in fed:
                stack += [*node.inputs, *node.control]
    return frozenset(found)
