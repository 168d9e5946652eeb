"""Five constructors of ops, one for each way to take part in fusion, and `composite` for ops written in terms of others.

    tanh = elementwise(
        "tanh", dtypes=FLOATS,
        eval=np.tanh,
        vjp=lambda e, x, y, ct: ct * (1 - y * y),
        scalar="tanh(x)",
        doc="Hyperbolic tangent, element by element.",
    )

Each enters the op into `flowc.ir.op.OPS` and returns it. `vjp` is always given: an op without a gradient says `no_gradient`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowc.ir.dims import Shape
from flowc.ir.op import ArgFold, Element, Fold, Kind, Lowering, Op, Scalar, define
from flowc.ir.types import ALL, FLOATS, NUMBERS, DType, TensorType
from flowc.ops.inference import broadcast_shapes, no_gradient, normal_axes, one_dtype, reduction_rule

Rule = Callable[..., Any]


def first_dtype(*types: TensorType, **attrs: Any) -> DType:
    """The dtype rule of ops that keep their first operand's dtype."""
    return types[0].dtype


def dtype_attribute(*types: TensorType, dtype: DType, **attrs: Any) -> DType:
    """The dtype rule of ops with a `dtype` attribute."""
    return dtype


def all_have(has: Sequence[bool], *types: TensorType, **attrs: Any) -> bool:
    """The `rows` rule of ops that work on each row, or image, by itself where all operands have rows."""
    return all(has)


def rows_of_broadcast(has: Sequence[bool], *types: TensorType, **attrs: Any) -> bool:
    """The `rows` rule of ops whose operands broadcast along the first axis: one without rows must be repeated along it."""
    rank = max(t.rank for t in types)
    return any(has) and all(own or t.rank < rank or t.dims[0] == 1 for own, t in zip(has, types, strict=True))


def _rows_of_reduction(has: Sequence[bool], x: TensorType, axis: Any, **attrs: Any) -> bool:
    return has[0] and 0 not in normal_axes("reduce", axis, x.rank)


def elementwise(
    name: str,
    *,
    dtypes: Sequence[DType],
    eval: Rule,
    vjp: Rule,
    scalar: str,
    doc: str,
    operands: tuple[str, ...] = ("x",),
    result: DType | None = None,
    dtype: Rule | None = None,
    attrs: Mapping[str, Any] | None = None,
    title: str = "",
) -> Op:
    """An op whose value at an index depends on the operands at that index, with NumPy's broadcasting.

    All operands have one dtype out of `dtypes`, which is the result's too unless `result` (or a `dtype` rule) says otherwise.
    `vjp` ignores broadcasting: each cotangent it returns is summed down to its operand's shape here.
    """

    def dtype_rule(*types: TensorType, **attrs: Any) -> DType:
        found = one_dtype(name, types, dtypes)
        return result or found

    def shape_rule(*types: TensorType, **attrs: Any) -> Shape:
        return broadcast_shapes(name, types)

    return define(
        Op(
            name, Kind.MAP, operands, doc, eval, dtype=dtype or dtype_rule, shape=shape_rule, attrs=attrs or {},
            vjp=_unbroadcast(vjp, len(operands)), lowering=Scalar(scalar), title=title, rows=rows_of_broadcast,
        )
    )  # fmt: skip


def _unbroadcast(vjp: Rule, count: int) -> Rule:
    if count == 1 or vjp is no_gradient:
        return vjp

    def summed(e: Any, *args: Any, **attrs: Any) -> Any:
        return tuple(None if ct is None else sum_down(e, ct, x) for ct, x in zip(vjp(e, *args, **attrs), args[:count], strict=True))

    return summed


def sum_down(e: Any, ct: Any, x: Any) -> Any:
    """`ct` summed down to `x`'s shape; `ct` itself where the shapes are known to be the same."""
    return ct if ct.shape is not None and ct.shape == x.shape else e.sum_to(ct, x)


def reduction(
    name: str,
    *,
    eval: Rule,
    vjp: Rule,
    fold: Fold | ArgFold,
    doc: str,
    dtypes: Sequence[DType] = NUMBERS,
    shape: Rule | None = None,
    dtype: Rule | None = None,
    attrs: Mapping[str, Any] | None = None,
    title: str = "",
    rank_free: bool = False,
) -> Op:
    """An op that combines elements of `x` along `axis` (a tuple, None for all); `keepdims` keeps those axes with extent 1."""

    def dtype_rule(x: TensorType, **attrs: Any) -> DType:
        return one_dtype(name, (x,), dtypes)

    return define(
        Op(
            name, Kind.REDUCE, ("x",), doc, eval, dtype=dtype or dtype_rule, shape=shape or reduction_rule(name),
            attrs=attrs or {"axis": None, "keepdims": False}, vjp=vjp, lowering=fold, title=title,
            rank_free=shape is None or rank_free, rows=_rows_of_reduction,
        )
    )  # fmt: skip


def movement(
    name: str,
    *,
    shape: Rule,
    eval: Rule,
    vjp: Rule,
    element: Rule,
    doc: str,
    operands: tuple[str, ...] = ("x",),
    dtype: Rule = first_dtype,
    attrs: Mapping[str, Any] | None = None,
    title: str = "",
    pure_view: bool = False,
    free: bool = False,
    guarded: bool = False,
    repeats: bool = False,
    rank_free: bool = False,
    rows: Rule | None = None,
    like: tuple[int, ...] = (),
) -> Op:
    """An op whose value at an index is an operand's value at another index; `element(at, index, types, result, attrs)` says which
    (see `flowc.ir.op.Element`, also for the four flags). It never loads outside an operand: a guard goes through `loops.select`."""
    return define(
        Op(
            name, Kind.INDEX, operands, doc, eval, dtype=dtype, shape=shape, attrs=attrs or {}, vjp=vjp,
            lowering=Element(element, pure_view, free, guarded, repeats), title=title, rank_free=rank_free, rows=rows, like=like,
        )
    )  # fmt: skip


def contraction(
    name: str,
    *,
    operands: tuple[str, ...],
    shape: Rule,
    eval: Rule,
    vjp: Rule,
    doc: str,
    dtypes: Sequence[DType] = FLOATS,
    attrs: Mapping[str, Any] | None = None,
    lowering: Lowering | None = None,
    title: str = "",
    rank_free: bool = False,
    rows: Rule | None = None,
    like: tuple[int, ...] = (),
    work: Rule | None = None,
) -> Op:
    """An op that sums products over an index (matmul, convolution); operands have one dtype out of `dtypes`.

    Without a `lowering` the scheduler spells the contraction itself, from the op's name.
    """
    return _nested(Kind.CONTRACT, name, operands, shape, eval, vjp, doc, dtypes, None, attrs, lowering, title, rank_free, rows, like, False, work)


def opaque(
    name: str,
    *,
    shape: Rule,
    eval: Rule,
    vjp: Rule,
    doc: str,
    operands: tuple[str, ...] = ("x",),
    dtypes: Sequence[DType] = ALL,
    dtype: Rule | None = None,
    attrs: Mapping[str, Any] | None = None,
    lowering: Lowering | None = None,
    title: str = "",
    rank_free: bool = False,
    rows: Rule | None = None,
    like: tuple[int, ...] = (),
    random: bool = False,
) -> Op:
    """An op with a loop nest of its own; operands have one dtype out of `dtypes` unless a `dtype` rule is given."""
    return _nested(Kind.OPAQUE, name, operands, shape, eval, vjp, doc, dtypes, dtype, attrs, lowering, title, rank_free, rows, like, random)


def _nested(
    kind: Kind, name: str, operands: tuple[str, ...], shape: Rule, eval: Rule, vjp: Rule, doc: str, dtypes: Sequence[DType], dtype: Rule | None,
    attrs: Mapping[str, Any] | None, lowering: Lowering | None, title: str, rank_free: bool, rows: Rule | None, like: tuple[int, ...],
    random: bool, work: Rule | None = None,
) -> Op:  # fmt: skip
    def dtype_rule(*types: TensorType, **attrs: Any) -> DType:
        return one_dtype(name, types, dtypes)

    return define(
        Op(
            name, kind, operands, doc, eval, dtype=dtype or dtype_rule, shape=shape, attrs=attrs or {}, vjp=vjp, lowering=lowering,
            title=title, rank_free=rank_free, rows=rows, like=like, random=random, work=work,
        )
    )  # fmt: skip


def composite(
    name: str,
    *,
    shape: Rule,
    eval: Rule,
    vjp: Rule,
    expand: Rule,
    doc: str,
    operands: tuple[str, ...] = ("x",),
    dtype: Rule = first_dtype,
    attrs: Mapping[str, Any] | None = None,
    title: str = "",
    rank_free: bool = False,
    like: tuple[int, ...] = (),
) -> Op:
    """An op written in terms of other ops by `expand(e, *operands, **attrs)`, which may rely on known ranks; a stable gradient of its own."""
    return define(
        Op(
            name, Kind.COMPOSITE, operands, doc, eval, dtype=dtype, shape=shape, attrs=attrs or {}, vjp=vjp, expand=expand,
            title=title, rank_free=rank_free, like=like,
        )
    )  # fmt: skip
