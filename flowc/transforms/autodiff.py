"""Reverse-mode differentiation: from nodes to nodes, each op by its own `vjp`.

    def f(x: f32):  return mul(x, x)
    grad(f)         # def grad_f(x: f32):  v0 = ones_like(x); v1 = mul(v0, x); v2 = add(v1, v1); return v2

`backprop` serves Graph (`tf.gradients`) and Function (`grad`) alike: what it makes are ordinary nodes, so a gradient has a gradient.
A gradient node bears its forward node's name: `gradients/HiddenLayer/MatMul_grad/MatMul` (dots in a Function); see `partner`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from flowc.errors import DTypeError, ShapeError
from flowc.ir.expr import Apply, Emitter
from flowc.ir.function import Builder, Function, inline, is_anonymous
from flowc.ir.node import Node
from flowc.ir.op import OPS, Effect, Op
from flowc.ir.types import TensorType

_PARTNER = re.compile(r"^(?:.*?[/.])??gradients(?:_\d+)?[/.](.+)_grad[/.][^/.]+$")

Factory = Callable[[Node], Apply]
"""For a forward node, the function that makes its gradient nodes (and may name and place them after it)."""


def partner(name: str) -> str | None:
    """The forward node's name that a gradient node's name holds, else None."""
    match = _PARTNER.match(name)
    return match.group(1) if match else None


def gradient_name(forward: str, op: Op, separator: str = "/", scope: str = "gradients") -> str:
    """`gradients/HiddenLayer/MatMul_grad/MatMul`: the name of a node that `op` makes for the gradient of `forward`."""
    return f"{scope}{separator}{forward}_grad{separator}{op.title}"


def backprop(
    nodes: Sequence[Node],
    targets: Sequence[Node],
    wrt: Sequence[Node],
    cotangents: Sequence[Node | None] | None,
    factory: Factory,
) -> list[Node | None]:
    """The gradient of the sum of `targets` with respect to each of `wrt`; None where no path of floats leads to it.

    nodes: in topological order, at least those between `wrt` and `targets`; cotangents: one per target, of its type, None for ones.
    """
    reached = _reached(nodes, wrt)
    parts: dict[Node, list[Node]] = {}
    total: dict[Node, Node] = {}

    def summed(node: Node) -> Node | None:
        pieces = parts.pop(node, None)
        if pieces:
            together = pieces[0]
            for piece in pieces[1:]:
                together = factory(node)(OPS["add"], (together, piece), {})
            total[node] = together
        return total.get(node)

    for target, given in zip(targets, cotangents or [None] * len(targets), strict=True):
        if target in reached:
            parts.setdefault(target, []).append(given or factory(target)(OPS["ones_like"], (target,), {}))
    for node in reversed(nodes):
        if node not in reached or node not in parts:
            continue
        ct = summed(node)
        assert ct is not None
        if not any(n in reached for n in node.inputs):
            continue
        for operand, piece in zip(node.inputs, _pulled_back(node, ct, factory), strict=True):
            if piece is not None and operand in reached:
                parts.setdefault(operand, []).append(piece)
    return [summed(w) for w in wrt]


def _reached(nodes: Sequence[Node], wrt: Sequence[Node]) -> set[Node]:
    """The float nodes whose value may depend smoothly on `wrt`."""
    reached = {w for w in wrt if _is_float(w)}
    for node in nodes:
        if node not in reached and _is_float(node) and _passes(node.op) and any(n in reached for n in node.inputs):
            reached.add(node)
    return reached


def _is_float(node: Node) -> bool:
    return isinstance(node.type, TensorType) and node.type.dtype.is_float


def _passes(op: Op) -> bool:
    return op.vjp is not None or op.effect is Effect.READ


def _pulled_back(node: Node, ct: Node, factory: Factory) -> list[Node | None]:
    """One cotangent per operand."""
    if node.op.effect is Effect.READ:
        return [ct]
    assert node.op.vjp is not None
    e = Emitter(factory(node))
    answer = node.op.vjp(e, *(e.wrap(n) for n in node.inputs), e.wrap(node), e.wrap(ct), **node.attrs)
    pieces = answer if isinstance(answer, tuple | list) else (answer,)
    return [None if piece is None else piece.node for piece in pieces]


def grad(f: Function, wrt: Sequence[int] = (0,), result: int = 0) -> Function:
    """The Function `grad_<name>` of the same params: the gradient of one float scalar result for each position in `wrt`.

    Zeros where nothing depends on a param. DTypeError where the result or a param is no float, ShapeError where the result is no scalar.
    """
    return _differentiated(f, wrt, result, values=False)


def value_and_grad(f: Function, wrt: Sequence[int] = (0,), result: int = 0) -> Function:
    """As `grad`, with all results of `f` before the gradients."""
    return _differentiated(f, wrt, result, values=True)


def _differentiated(f: Function, wrt: Sequence[int], result: int, values: bool) -> Function:
    target = f.results[result].tensor
    if not target.dtype.is_float:
        raise DTypeError(f"grad: the result of {f.name} is {target}, and only a float has a gradient", location=f.results[result].loc)
    if target.shape != ():
        raise ShapeError(f"grad: the result of {f.name} is {target}; a gradient is taken of a scalar", location=f.results[result].loc)
    for position in wrt:
        if not _is_float(f.params[position]):
            raise DTypeError(f"grad: param {f.params[position].name} of {f.name} is {f.params[position].type}, and only a float has a gradient")

    b = Builder(f"{'value_and_grad' if values else 'grad'}_{f.name}")
    params = [b.param(p.name, p.type, p.loc) for p in f.params]
    flat = Function(f.name, f.params, f.nodes, f.outputs)
    outputs = inline_calls(b, flat, params)
    results = outputs[: len(f.results)]
    sources = [params[position] for position in wrt]
    gradients = backprop(tuple(b.nodes), [results[result]], sources, None, lambda forward: _builder_apply(b, forward))
    found = [g if g is not None else b.apply("zeros_like", s) for g, s in zip(gradients, sources, strict=True)]
    new = dict(zip(f.params, params, strict=True))
    updates = [(new[p], v) for (p, _), v in zip(f.updates, outputs[len(f.results) :], strict=True)]
    return b.finish((*(results if values else ()), *found), updates)


def _builder_apply(b: Builder, forward: Node) -> Apply:
    def apply(op: Op, inputs: tuple[Node, ...], attrs: dict[str, object]) -> Node:
        named = op.name != "constant" and not is_anonymous(forward)
        return b.apply(op, *inputs, name=gradient_name(forward.name, op, ".") if named else None, loc=forward.loc, **attrs)

    return apply


def inline_calls(b: Builder, f: Function, args: Sequence[Node]) -> tuple[Node, ...]:
    """As `inline`, with the Functions that `f` calls inlined too."""
    if not f.callees():
        return inline(b, f, args)
    new: dict[Node, Node] = dict(zip(f.params, args, strict=True))
    tuples: dict[Node, tuple[Node, ...]] = {}
    for node in f.nodes:
        if node.op.name == "call":
            tuples[node] = inline_calls(b, node.attrs["function"], [new[n] for n in node.inputs])
        elif node.op.name == "item":
            new[node] = tuples[node.inputs[0]][node.attrs["index"]]
        else:
            with b.origin(node):
                new[node] = b.apply(node.op, *(new[n] for n in node.inputs), name=None if is_anonymous(node) else node.name, **node.attrs)
    return tuple(new[r] for r in f.results)
