"""Simplification: the same values from fewer and smaller nodes.

    v0: f32[b, 10] = mul(x, 1.0)                ->   x
    v1: f32[b, 10] = broadcast_to(c, ...)
    v2: f32[b, 10] = add(x, v1)                 ->   v2: f32[b, 10] = add(x, c)

Every rewrite is exact under IEEE arithmetic, NaN, infinities and the sign of zero included: so `x * 0` stays, and so does `x + 0.0`,
which makes 0.0 of -0.0 (`x + -0.0` and `x - 0.0` go). The one exception is the sum of a single -0.0, which NumPy gives either sign,
depending on the axis; here it stays -0.0. Sums have no order, so the same numbers may be added up in another. Shape-only ops (`sum_to`,
`zeros_like`, `size_of`, ...) become reductions, movements and extents, as all types are known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flowc.errors import FlowcError
from flowc.ir.dims import Shape, product
from flowc.ir.function import Builder, Function
from flowc.ir.node import Node
from flowc.ir.op import Kind
from flowc.ir.rules import Bindings, Rule, RuleSet, constant_value, improved, rewrite
from flowc.ir.types import TensorType
from flowc.ops.inference import normal_axes
from flowc.ops.slicing import span
from flowc.transforms.expand import defined


def _number(name: str) -> Callable[[Bindings], bool]:
    return lambda bindings: constant_value(bindings[name]) is not None


def _whole(*names: str) -> Callable[[Bindings], bool]:
    return lambda bindings: all(bindings[n].tensor.dtype.is_int for n in names)


def _over_windows(bindings: Bindings) -> bool:
    """Whether a sum over axes `a` of images runs over all windows of each."""
    return {1, 2} <= set(normal_axes("reduce_sum", bindings["a"], 4))


RULES = RuleSet([
    Rule("identity(x)", "x"),
    Rule("stop_gradient(x)", "x"),
    Rule("mul(x, 1.0)", "x"),
    Rule("div(x, 1.0)", "x"),
    Rule("floordiv(x, 1)", "x", _whole("x")),
    Rule("sub(x, 0.0)", "x"),
    Rule("add(x, -0.0)", "x"),
    Rule("add(x, 0)", "x", _whole("x")),
    Rule("mul(x, -1.0)", "neg(x)"),
    Rule("div(x, -1.0)", "neg(x)"),
    Rule("div(1.0, x)", "reciprocal(x)"),
    Rule("mul(x, x)", "square(x)"),
    Rule("neg(neg(x))", "x"),
    Rule("add(x, neg(y))", "sub(x, y)"),
    Rule("sub(x, neg(y))", "add(x, y)"),
    Rule("mul(neg(x), neg(y))", "mul(x, y)"),
    Rule("div(neg(x), neg(y))", "div(x, y)"),
    Rule("neg(mul(x, c))", "mul(x, neg(c))", _number("c")),
    Rule("mul(neg(x), c)", "mul(x, neg(c))", _number("c")),
    Rule("neg(div(x, c))", "div(x, neg(c))", _number("c")),
    Rule("neg(div(c, x))", "div(neg(c), x)", _number("c")),
    Rule("square(neg(x))", "square(x)"),
    Rule("square(abs(x))", "square(x)"),
    Rule("abs(neg(x))", "abs(x)"),
    Rule("abs(abs(x))", "abs(x)"),
    Rule("cos(neg(x))", "cos(x)"),
    Rule("pow(x, 1.0)", "x"),
    Rule("pow(x, 2.0)", "square(x)"),
    Rule("pow(x, -1.0)", "reciprocal(x)"),
    Rule("reciprocal(sqrt(x))", "rsqrt(x)"),
    Rule("relu(relu(x))", "relu(x)"),
    Rule("maximum(x, x)", "x"),
    Rule("minimum(x, x)", "x"),
    Rule("logical_not(logical_not(x))", "x"),
    Rule("logical_and(x, x)", "x"),
    Rule("logical_or(x, x)", "x"),
    Rule("logical_and(x, True)", "x"),
    Rule("logical_or(x, False)", "x"),
    Rule("where(c, x, x)", "x"),
    Rule("where(True, x, y)", "x"),
    Rule("where(False, x, y)", "y"),
    Rule("where(logical_not(c), x, y)", "where(c, y, x)"),
    Rule("concat(x, axis=a)", "x"),
    # a cotangent goes to elements that equal their window's maximum, so whether these are positive can be asked of the maximum, which is smaller
    Rule("where(greater(x, 0.0), max_pool_grad(x, y, d, ksize=k, strides=s, padding=p), 0.0)",
         "max_pool_grad(x, y, where(greater(y, 0.0), d, 0.0), ksize=k, strides=s, padding=p)"),
    # of each cotangent there is one element, and zeros
    Rule("reduce_sum(max_pool_grad(x, y, d, ksize=k, strides=s, padding=p), axis=a, keepdims=m)", "reduce_sum(d, axis=a, keepdims=m)", _over_windows),
    Rule("matmul(transpose(x, perm=(1, 0)), y, transpose_a=False, transpose_b=t)", "matmul(x, y, transpose_a=True, transpose_b=t)"),
    Rule("matmul(transpose(x, perm=(1, 0)), y, transpose_a=True, transpose_b=t)", "matmul(x, y, transpose_a=False, transpose_b=t)"),
    Rule("matmul(x, transpose(y, perm=(1, 0)), transpose_b=False, transpose_a=t)", "matmul(x, y, transpose_b=True, transpose_a=t)"),
    Rule("matmul(x, transpose(y, perm=(1, 0)), transpose_b=True, transpose_a=t)", "matmul(x, y, transpose_b=False, transpose_a=t)"),
])  # fmt: skip


def simplify(f: Function) -> Function:
    """`f` with the rules above, and the visits below, taken as often as they fit."""
    return rewrite(f, VISITS)


def _make(b: Builder, op: str, *inputs: Node, **attrs: Any) -> Node:
    """A node, simplified at once."""
    return improved(b, b.apply(op, *inputs, **attrs), VISITS)


def shape_only(b: Builder, node: Node) -> Node | None:
    """Composites that ask for an operand's shape (`sum_to`, `broadcast_like`, `zeros_like`, `size_of`, ...) by their definition."""
    if node.op.kind is not Kind.COMPOSITE or not node.op.like:
        return None
    return improved(b, defined(b, node.op, node.inputs, node.attrs), VISITS)


_VIEWS = frozenset({"reshape", "expand_dims", "squeeze"})


def movement(b: Builder, node: Node) -> Node | None:
    """Movements that move nothing, pairs that are one, and one spelling for each."""
    match node.op.name:
        case "reshape" | "expand_dims" | "squeeze":
            return _view(b, node.inputs[0], node.tensor.dims)
        case "transpose":
            return _transpose(b, node)
        case "broadcast_to":
            return _broadcast(b, node)
        case "slice" if node.tensor == node.inputs[0].type and _is_whole_slice(node):
            return node.inputs[0]
        case "pad" if all(before == 0 and after == 0 for before, after in node.attrs["paddings"]):
            return node.inputs[0]
        case "tile" if all(m == 1 for m in node.attrs["multiples"]):
            return node.inputs[0]
        case "stack" if len(node.inputs) == 1:
            return _view(b, node.inputs[0], node.tensor.dims)
    return None


def _view(b: Builder, x: Node, shape: Shape) -> Node:
    """The elements of `x` in their order under another shape: through any views before it, and spelled as what it is.

    Only new extents of 1: expand_dims; only extents of 1 gone: squeeze (both cost nothing to read through); else reshape.
    """
    while x.op.name in _VIEWS:
        x = x.inputs[0]
    if x.tensor.dims == shape:
        return x
    if x.op.name == "broadcast_to" and x.inputs[0].tensor.is_scalar:
        return _make(b, "broadcast_to", x.inputs[0], shape=shape)
    added, dropped = _added_ones(x.tensor.dims, shape), _added_ones(shape, x.tensor.dims)
    if added is not None:
        return b.apply("expand_dims", x, axis=added)
    if dropped is not None:
        return b.apply("squeeze", x, axis=dropped)
    return _reshaped_slice(b, x, shape) or b.apply("reshape", x, shape=shape)


def _reshaped_slice(b: Builder, x: Node, shape: Shape) -> Node | None:
    """A slice along an axis that `shape` splits, as a slice of its source in such a shape: what follows reads the source, and the slice is no copy.

    Only of sources that are stored anyway, as a contraction's result is; of others the slice is computed alone.
    """
    if x.op.name != "slice" or any(stride not in (1, None) for stride in x.attrs["stride"]):
        return None
    (source,), dims = x.inputs, x.tensor.dims
    changed = [i for i, (old, new) in enumerate(zip(source.tensor.dims, dims, strict=True)) if old != new]
    if len(changed) != 1:
        return None
    axis = changed[0]
    before, after = dims[:axis], dims[axis + 1 :]
    count, parts = (shape[axis : len(shape) - len(after)] or (0,))[0], shape[axis + 1 : len(shape) - len(after)]
    full, size = source.tensor.dims[axis], product(parts)
    first = span(full, x.attrs["begin"][axis], x.attrs["end"][axis], 1).start
    if shape != (*before, count, *parts, *after) or not (isinstance(full, int) and isinstance(size, int) and isinstance(first, int)):
        return None
    if size < 2 or full % size or first % size or not _ends_contraction(source):
        return None
    whole = _view(b, source, (*before, full // size, *parts, *after))
    begin, end = (tuple(at if i == axis else None for i in range(len(shape))) for at in (first // size, first // size + count))
    return b.apply("slice", whole, begin=begin, end=end, stride=(1,) * len(shape))


def _ends_contraction(node: Node) -> bool:
    """Whether a node is a contraction's result, or elementwise from one."""
    seen, waiting = {node}, [node]
    while waiting:
        found = waiting.pop()
        if found.op.kind is Kind.CONTRACT:
            return True
        if found.op.kind is Kind.MAP:
            more = {n for n in found.inputs if n.type == node.type} - seen
            seen |= more
            waiting += more
    return False


def _added_ones(small: Shape, large: Shape) -> tuple[int, ...] | None:
    """The places of the extents of 1 that `large` has more than `small`; None where more than that differs."""
    added: list[int] = []
    at = 0
    for place, extent in enumerate(large):
        if at < len(small) and small[at] == extent:
            at += 1
        elif extent == 1:
            added.append(place)
        else:
            return None
    return tuple(added) if at == len(small) else None


def _transpose(b: Builder, node: Node) -> Node | None:
    (x,), perm = node.inputs, node.attrs["perm"]
    if perm is None:
        return _make(b, "transpose", x, perm=tuple(reversed(range(x.tensor.rank))))
    if perm == tuple(range(len(perm))):
        return x
    if x.op.name == "transpose" and x.attrs["perm"] is not None:
        return _make(b, "transpose", x.inputs[0], perm=tuple(x.attrs["perm"][axis] for axis in perm))
    moved = [axis for axis in perm if x.tensor.dims[axis] != 1]
    return _view(b, x, node.tensor.dims) if moved == sorted(moved) else None


def _broadcast(b: Builder, node: Node) -> Node | None:
    (x,), shape = node.inputs, node.tensor.dims
    if x.tensor.dims == shape:
        return x
    if x.op.name == "broadcast_to":
        return _make(b, "broadcast_to", x.inputs[0], shape=shape)
    if x.op.name in _VIEWS and x.inputs[0].tensor.dims == _without_leading_ones(x.tensor.dims):
        return _make(b, "broadcast_to", x.inputs[0], shape=shape)
    return None


def _without_leading_ones(shape: Shape) -> Shape:
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def _is_whole_slice(node: Node) -> bool:
    begins, strides = node.attrs["begin"], node.attrs["stride"]
    return all(begin in (0, None) for begin in begins) and all(stride in (1, None) for stride in strides)


def reduction(b: Builder, node: Node) -> Node | None:
    """Axes counted from the front; a reduction over nothing but extents of 1 moves nothing."""
    if node.op.kind is not Kind.REDUCE or "keepdims" not in node.attrs:
        return None
    (x,), axis = node.inputs, node.attrs["axis"]
    rank = x.tensor.rank
    axes = tuple(range(rank)) if axis is None else tuple(sorted(a % rank for a in ((axis,) if isinstance(axis, int) else axis)))
    if all(x.tensor.dims[a] == 1 for a in axes):
        return _view(b, x, node.tensor.dims)
    return None if axis == axes else b.apply(node.op, x, axis=axes, keepdims=node.attrs["keepdims"])


def broadcasting(b: Builder, node: Node) -> Node | None:
    """An elementwise op broadcasts by itself; one whose operands are all broadcast works on the smaller ones."""
    if node.op.kind is not Kind.MAP or not node.inputs:
        return None
    sources = tuple(n.inputs[0] if n.op.name == "broadcast_to" else n for n in node.inputs)
    if sources == node.inputs:
        return None
    inputs = list(node.inputs)
    for place, source in enumerate(sources):
        trial = [*inputs[:place], source, *inputs[place + 1 :]]
        if _result(node, trial) == node.type:
            inputs = trial
    if tuple(inputs) != node.inputs:
        return b.apply(node.op, *inputs, **node.attrs)
    small = _result(node, list(sources))
    if small is None or small.shape is None:
        return None
    return _make(b, "broadcast_to", _make(b, node.op.name, *sources, **node.attrs), shape=node.tensor.dims)


def _result(node: Node, inputs: list[Node]) -> TensorType | None:
    try:
        found = node.op.result_type(tuple(n.type for n in inputs), node.attrs)
    except FlowcError:
        return None
    return found if isinstance(found, TensorType) else None


def casting(b: Builder, node: Node) -> Node | None:
    """Casts to the same dtype, and pairs of which the first loses nothing."""
    if node.op.name != "cast":
        return None
    (x,), dtype = node.inputs, node.attrs["dtype"]
    if x.tensor.dtype is dtype:
        return x
    if x.op.name == "dim":
        return b.apply("dim", value=x.attrs["value"], dtype=dtype) if x.attrs["dtype"].is_int and not dtype.is_bool else None
    if x.op.name == "cast":
        first, middle = x.inputs[0].tensor.dtype, x.tensor.dtype
        widens = (first.is_float and middle.is_float or first.is_int and middle.is_int and first.name[0] == middle.name[0]) and middle.size > first.size
        if first.is_bool or widens:
            return _make(b, "cast", x.inputs[0], dtype=dtype)
    return None


def scaling(b: Builder, node: Node) -> Node | None:
    """Division by a power of two is a multiplication, exactly; `x ** 0` is 1."""
    if node.op.name == "div":
        divisor = constant_value(node.inputs[1])
        if isinstance(divisor, float) and math.isfinite(divisor) and abs(math.frexp(divisor)[0]) == 0.5 and 2.0**-14 <= abs(divisor) <= 2.0**14:
            return b.apply("mul", node.inputs[0], b.constant(1 / divisor, node.tensor.dtype))
    if node.op.name == "pow" and constant_value(node.inputs[1]) == 0 and node.tensor == node.inputs[0].type:
        one = b.constant(1, node.tensor.dtype)
        return one if node.tensor.is_scalar else b.apply("broadcast_to", one, shape=node.tensor.dims)
    return None


def generation(b: Builder, node: Node) -> Node | None:
    """A random op states its shape; an extent that is known is a constant."""
    if node.op.random and node.attrs.get("shape", ()) is None:
        return b.apply(node.op, node.inputs[0], **{**node.attrs, "shape": node.tensor.dims})
    if node.op.name == "dim" and isinstance(node.attrs["value"], int):
        return b.constant(node.attrs["value"], node.attrs["dtype"])
    if node.op.name == "concat" and len(node.inputs) > 1:
        kept = [n for n in node.inputs if product(n.tensor.dims) != 0]
        if kept and len(kept) < len(node.inputs):
            return _make(b, "concat", *kept, **node.attrs)
    return None


VISITS = [RULES.rewrite, shape_only, movement, reduction, broadcasting, casting, scaling, generation]

__all__ = ["RULES", "simplify"]
