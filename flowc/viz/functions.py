"""From a Function or a Module to its diagram: params, nodes and results; in a Module each kernel is a scope.

    HiddenLayer.mm: f32[b, 20] = matmul(x, W1)     ->    the box `HiddenLayer.mm` in the scope `HiddenLayer`, lines from x and W1
"""

from __future__ import annotations

from dataclasses import replace

from flowc.ir.function import CONSTANT, Function, is_anonymous
from flowc.ir.node import Node
from flowc.ir.op import Op
from flowc.viz.graphs import is_gradient
from flowc.viz.model import Box, Diagram, Kind, LinkKind, Types, short_value, tells_its_op


def of_function(f: Function, title: str, types: Types) -> Diagram:
    """The diagram of a Function; the Functions that it calls are drawn in place, each in a scope of its own."""
    drawn = Diagram(title, types=types)
    updated = {p for p, _ in f.updates}
    for param in f.params:
        kind = Kind.VARIABLE if param in updated else Kind.PLACEHOLDER
        drawn.add_box(Box(param.name, kind, "", (param.name, types.label(param)), where=param.loc.short if param.loc else "", nodes=(param,)))
    places = {p: p.name for p in f.params}
    optimizers = _optimizers(f)
    _Body(drawn, f, places, "", types, optimizers).draw(set(f.results))
    for scope in drawn.scopes:
        if drawn.scopes.nodes[scope]["kind"] is None and is_gradient(f"{scope}.".replace(".", "/")):
            drawn.scopes.nodes[scope]["kind"] = Kind.GRADIENT
        elif f"{scope}.".startswith(optimizers):
            drawn.scopes.nodes[scope]["kind"] = Kind.OPTIMIZER
    for param, value in f.updates:
        drawn.add_link(places[value], param.name, types.link(LinkKind.UPDATE, value))
    return drawn


class _Body:
    """The nodes of one Function; places: the box of each node, filled with those drawn. kernel: the scope of a called Function."""

    def __init__(self, drawn: Diagram, f: Function, places: dict[Node, str], kernel: str, types: Types, optimizers: tuple[str, ...]) -> None:
        self.types = types
        self.optimizers = optimizers
        self.drawn = drawn
        self.f = f
        self.places = places
        self.kernel = kernel
        self.called: dict[Node, tuple[str, ...]] = {}
        self.names = {n.name for n in f.nodes}

    def draw(self, results: set[Node]) -> None:
        for node in self.f.nodes:
            inner = node.attrs.get("function")
            if node.op.name == "call" and isinstance(inner, Function):
                self.called[node] = self.call(node, inner, results)
            elif node.op.name == "item" and node.inputs[0] in self.called:
                self.places[node] = self.called[node.inputs[0]][node.attrs["index"]]
                self.mark(node, results)
            elif not _is_scalar(node):
                self.add(node, node in results)
        for constant in (n for n in results if _is_scalar(n)):
            self.add(constant, True)

    def call(self, node: Node, inner: Function, results: set[Node]) -> tuple[str, ...]:
        """Draw a kernel in a scope; the boxes of its results."""
        scope = inner.name
        while scope in self.drawn.scopes:
            scope += "'"
        self.drawn.add_scope(scope, self.kernel, None, f"kernel {inner.name}")
        places = {p: self.places[n] for p, n in zip(inner.params, node.inputs, strict=True) if n in self.places}
        for param, operand in zip(inner.params, node.inputs, strict=True):
            if operand not in self.places:  # a scalar of main's
                self.add(operand, False)
                places[param] = self.places[operand]
        _Body(self.drawn, inner, places, scope, self.types, self.optimizers).draw(set())
        return tuple(places[r] for r in inner.results)

    def mark(self, node: Node, results: set[Node]) -> None:
        """Show that a kernel's result is the whole Function's."""
        if node in results:
            box = self.drawn.box(self.places[node])
            self.drawn.add_box(replace(box, lines=(*box.lines, self.types.label(node)), result=True))

    def add(self, node: Node, is_result: bool) -> None:
        name = f"{self.kernel}/{node.name}" if self.kernel else node.name
        scope = self.kernel or self.scope(node)
        if not self.kernel:
            self.drawn.open_scopes(scope, ".")
        shown = node.name if self.kernel or not scope else node.name[len(scope) + 1 :]
        applied = _with_constants(node)
        lines = [applied if is_anonymous(node) else shown]
        if node.op is CONSTANT:
            lines = [node.name, short_value(node.attrs["value"].array) or self.types.label(node)]
        elif not is_anonymous(node) and (applied != node.op.name or not tells_its_op(shown.rpartition(".")[2], node.op)):
            lines.append(applied)
        if is_result:
            lines.append(self.types.label(node))
        kind, where = _kind(node.op, node.name, self.optimizers), node.loc.short if node.loc else ""
        self.drawn.add_box(Box(name, kind, scope, tuple(lines), result=is_result, where=where, nodes=(node,)))
        self.places[node] = name
        for position, operand in enumerate(node.inputs):
            if operand in self.places and not (_is_scalar(operand) and operand.name not in self.drawn.boxes):
                use = LinkKind.SHAPE if position in node.op.like else LinkKind.DATA
                self.drawn.add_link(self.places[operand], name, self.types.link(use, operand))

    def scope(self, node: Node) -> str:
        scope = node.name.rpartition(".")[0]
        while scope in self.names:
            scope = scope.rpartition(".")[0]
        return scope


def _is_scalar(node: Node) -> bool:
    return node.op is CONSTANT and node.tensor.shape == ()


def _optimizers(f: Function) -> tuple[str, ...]:
    """The scopes of optimizers, with a dot at the end: those in which variables are updated."""
    names = [n.name for g in (f, *f.callees()) for n in g.nodes]
    return tuple(dict.fromkeys(name.partition(".update_")[0] + "." for name in names if ".update_" in name))


def _kind(op: Op, name: str, optimizers: tuple[str, ...]) -> Kind:
    if op is CONSTANT:
        return Kind.CONSTANT
    if op.random:
        return Kind.RANDOM
    if is_gradient(name.replace(".", "/")):
        return Kind.GRADIENT
    return Kind.OPTIMIZER if name.startswith(optimizers) else Kind.OP


def _with_constants(node: Node) -> str:
    """The op, with the numbers among its operands: `mul(., 2.0)`."""
    if not any(_is_scalar(n) for n in node.inputs):
        return node.op.name
    return f"{node.op.name}({', '.join(short_value(n.attrs['value'].array) if _is_scalar(n) else '·' for n in node.inputs)})"
