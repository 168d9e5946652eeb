"""Stabilization: forms that overflow or lose 0 * log 0 become ones that do neither; equal in exact arithmetic, better in floats.

    v0: f32[b, 10] = softmax(h)                 ->
    v1: f32[b, 10] = log(v0)                    ->   v1: f32[b, 10] = log_softmax(h)

A gradient has been built before this pass runs, node by node: that of `log(softmax(h))` divides by a probability which may be 0 and
multiplies by it again. So products with s = softmax(h), with s * (1 - s) for s = sigmoid(h), and with exp(h) take in the quotients
that cancel: `(ct / s) * s` becomes `ct`, its limit where s underflows to 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flowc.errors import FlowcError
from flowc.ir.dims import Shape
from flowc.ir.function import Builder, Function
from flowc.ir.node import Node
from flowc.ir.rules import Rule, RuleSet, constant_value, improved, rewrite
from flowc.ir.text import application
from flowc.ops.inference import normal_axes
from flowc.structs import Struct
from flowc.transforms.records import Decision, Records

RULES = RuleSet([
    Rule("log(softmax(x, axis=a))", "log_softmax(x, axis=a)"),
    Rule("log(reduce_sum(exp(x), axis=a, keepdims=k))", "logsumexp(x, axis=a, keepdims=k)"),
    Rule("log(sigmoid(x))", "neg(softplus(neg(x)))"),
    Rule("log(sub(1.0, sigmoid(x)))", "neg(softplus(x))"),
    Rule("log1p(neg(sigmoid(x)))", "neg(softplus(x))"),
    Rule("sub(1.0, sigmoid(x))", "sigmoid(neg(x))"),
    Rule("log(add(1.0, exp(x)))", "softplus(x)"),
    Rule("log1p(exp(x))", "softplus(x)"),
    Rule("exp(log_softmax(x, axis=a))", "softmax(x, axis=a)"),
])  # fmt: skip


def stabilize(f: Function, records: Records | None = None) -> Function:
    """`f` with unstable forms replaced, in forward nodes and in gradients that were built from them; `records` takes each replacement."""

    def note(node: Node, new: Node) -> None:
        if records is not None:
            records.add(Decision("rewritten", "stabilize", (node.name,), f"{application(node)} is computed as {application(new)}"))

    return rewrite(f, (RULES.rewrite, quotient, product), note)


def quotient(b: Builder, node: Node) -> Node | None:
    """`exp(x) / sum(exp(x))` is `softmax(x)`, which subtracts the largest itself: where the user did so, it is not done twice."""
    if node.op.name != "div" or node.inputs[0].op.name != "exp":
        return None
    exponential, x = node.inputs[0], node.inputs[0].inputs[0]
    total = row_sum(node.inputs[1], exponential)
    if total is None or len(total) != 1 or node.tensor.dims != x.tensor.dims:
        return None
    return _softmax(b, x, total)


def _unshifted(x: Node, axes: tuple[int, ...]) -> Node:
    """y where x is `y - max(y)` along the axes; else x."""
    if x.op.name != "sub" or x.inputs[0].tensor.dims != x.tensor.dims:
        return x
    source, largest = x.inputs
    return source if _reduced_axes(largest, source, "reduce_max") == axes else x


def row_sum(node: Node, exponential: Node) -> tuple[int, ...] | None:
    """The axes where `node` is the sum of `exponential` along them, in a shape that broadcasts back (1 on these axes); else None."""
    return _reduced_axes(node, exponential, "reduce_sum")


def _reduced_axes(node: Node, source: Node, name: str) -> tuple[int, ...] | None:
    """The axes where `node` is the reduction `name` of `source` along them, in a shape that broadcasts back (1 on these axes); else None."""
    reduction = node
    while reduction.op.name in ("broadcast_to", *_VIEWS):
        reduction = reduction.inputs[0]
    if reduction.op.name != name or reduction.inputs[0] is not source:
        return None
    axes = normal_axes(name, reduction.attrs["axis"], source.tensor.rank)
    kept = tuple(1 if i in axes else d for i, d in enumerate(source.tensor.dims))
    spread = node
    while spread.op.name == "broadcast_to":
        spread = spread.inputs[0]
    fits = spread.tensor.dims == kept or (not spread.tensor.dims and len(axes) == source.tensor.rank)
    return axes if fits else None


# products in which a quotient cancels


class _Leaf(Struct):
    """`e == w / z` times the factor at hand is `w * cancelled()`; no factor is left where `cancelled` is None."""

    divides: Callable[[Node], bool]
    cancelled: Callable[[], Node] | None
    axes: tuple[int, ...] = ()  # for a z that is one number per row: the row's axes,
    kept: Shape = ()  # the shape that broadcasts against the rows (1 along them),
    total: Node | None = None  # and z itself, maybe without these axes

    @property
    def reduced(self) -> Shape:
        return tuple(d for i, d in enumerate(self.kept) if i not in self.axes)


def product(b: Builder, node: Node) -> Node | None:
    """`e * s` with the division by s inside `e` cancelled, where there is one."""
    if node.op.name != "mul":
        return None
    for e, factor in (node.inputs, node.inputs[::-1]):
        leaves = list(_leaves(b, factor))
        if leaves and _holds_quotient(e):
            new = _times(b, e, factor, leaves)
            if new is not None:
                if new.type != node.type:
                    new = b.apply("broadcast_to", new, shape=node.tensor.dims)
                return new
    return None


def _leaves(b: Builder, factor: Node) -> Iterator[_Leaf]:
    """The quotients that cancel against `factor`."""
    if factor.op.name == "softmax":
        yield _Leaf(lambda z: z is factor, None)
    elif factor.op.name == "mul":
        for s, rest in (factor.inputs, factor.inputs[::-1]):
            if s.op.name == "sigmoid" and is_complement(rest, s):
                yield from _sigmoid_leaves(b, s)
                return
    elif factor.op.name == "exp":
        for total in [n for n in b.nodes if n.op.name == "reduce_sum" and n.inputs[0] is factor]:
            yield _row_leaf(b, factor, total)


def _sigmoid_leaves(b: Builder, s: Node) -> Iterator[_Leaf]:
    yield _Leaf(lambda z: z is s, lambda: b.apply("sigmoid", b.apply("neg", s.inputs[0])))
    yield _Leaf(lambda z: is_complement(z, s), lambda: s)


def _row_leaf(b: Builder, exponential: Node, total: Node) -> _Leaf:
    axes = normal_axes(total.op.name, total.attrs["axis"], exponential.tensor.rank)
    kept = tuple(1 if i in axes else d for i, d in enumerate(exponential.tensor.dims))
    return _Leaf(lambda z: row_sum(z, exponential) == axes, lambda: _softmax(b, exponential.inputs[0], axes), axes, kept, total)


def _softmax(b: Builder, x: Node, axes: tuple[int, ...]) -> Node:
    x = _unshifted(x, axes)
    if len(axes) == 1:
        return b.apply("softmax", x, axis=axes[0])
    return b.apply("exp", b.apply("sub", x, b.apply("logsumexp", x, axis=axes, keepdims=True)))


def is_complement(node: Node, s: Node) -> bool:
    """Whether `node` is `1 - s` for s = sigmoid(x), in either spelling."""
    if node.op.name == "sub":
        return constant_value(node.inputs[0]) == 1 and node.inputs[1] is s
    if node.op.name != "sigmoid":
        return False
    x, y = node.inputs[0], s.inputs[0]
    return (x.op.name == "neg" and x.inputs[0] is y) or (y.op.name == "neg" and y.inputs[0] is x)


def _holds_quotient(node: Node, depth: int = 8) -> bool:
    if node.op.name in ("div", "reciprocal"):
        return True
    return depth > 0 and node.op.name in _THROUGH and any(_holds_quotient(n, depth - 1) for n in node.inputs)


_VIEWS = frozenset({"reshape", "expand_dims", "squeeze"})
_THROUGH = _VIEWS | {"add", "sub", "neg", "mul", "broadcast_to", "reduce_sum"}


def _times(b: Builder, e: Node, factor: Node, leaves: list[_Leaf]) -> Node | None:
    """`e * factor` with what cancels cancelled, None where nothing does."""
    for leaf in leaves:
        numerator = _numerator(b, e, leaf)
        if numerator is not None:
            return numerator if leaf.cancelled is None else improved(b, b.apply("mul", numerator, leaf.cancelled()), (product,))
    if e.op.name in ("add", "sub"):
        left, right = (_times(b, n, factor, leaves) for n in e.inputs)
        if left is None and right is None:
            return None
        left = left or b.apply("mul", e.inputs[0], factor)
        return b.apply(e.op, left, right or b.apply("mul", e.inputs[1], factor))
    if e.op.name == "neg":
        inner = _times(b, e.inputs[0], factor, leaves)
        return None if inner is None else b.apply("neg", inner)
    if e.op.name == "mul":
        for one, other in (e.inputs, e.inputs[::-1]):
            inner = _times(b, one, factor, leaves)
            if inner is not None:
                return b.apply("mul", inner, other)
    return None


def _numerator(b: Builder, e: Node, leaf: _Leaf, inside: bool = False) -> Node | None:
    """w where `e == w / z`, element by element; None where `e` has no such form. `inside`: in the rows' shape without their axes."""
    op, name = e.op, e.op.name
    if name in ("reciprocal", "div") and (e.inputs[-1] is leaf.total if inside else leaf.divides(e.inputs[-1])):
        return e.inputs[0] if name == "div" else b.constant(1, e.tensor.dtype)
    if name == "neg":
        inner = _numerator(b, e.inputs[0], leaf, inside)
        return None if inner is None else b.apply("neg", inner)
    if name in ("mul", "div"):
        inner = _numerator(b, e.inputs[0], leaf, inside)
        if inner is not None:
            return b.apply(op, inner, e.inputs[1])
    if name == "mul":
        inner = _numerator(b, e.inputs[1], leaf, inside)
        return None if inner is None else _product(b, e.inputs[0], inner)
    # z is one number per row: dividing by it and summing along the row, or spreading over it, may change places
    if (leaf.axes and not inside and name == "broadcast_to") or (name == "reduce_sum" and _sums_rows(e, leaf)):
        inner = _numerator(b, e.inputs[0], leaf)
        return None if inner is None else _wrapped(b, e, inner)
    if name in _VIEWS and not inside and e.tensor.dims == leaf.kept and e.inputs[0].tensor.dims == leaf.reduced:
        inner = _numerator(b, e.inputs[0], leaf, inside=True)
        return None if inner is None else _wrapped(b, e, inner)
    return None


def _sums_rows(e: Node, leaf: _Leaf) -> bool:
    rank = e.inputs[0].tensor.rank
    return bool(leaf.axes) and rank == len(leaf.kept) and normal_axes(e.op.name, e.attrs["axis"], rank) == leaf.axes


def _product(b: Builder, left: Node, right: Node) -> Node:
    return left if constant_value(right) == 1 and right.type.is_scalar else b.apply("mul", left, right)  # type: ignore[union-attr]


def _wrapped(b: Builder, e: Node, inner: Node) -> Node | None:
    """What `e` does to its operand, done to `inner`, which may be smaller (it broadcasts)."""
    source = e.inputs[0]
    if inner.type != source.type:
        inner = b.apply("broadcast_to", inner, shape=source.tensor.dims)
    try:
        return b.apply(e.op, inner, **e.attrs)
    except FlowcError:
        return None


