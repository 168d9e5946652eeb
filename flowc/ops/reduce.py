"""Reductions along axes, and the composites made of them: mean, logsumexp.

    v0: f32[b] = reduce_sum(x, axis=(1,))          # x: f32[b, 3]
    v1: f32[b, 1] = reduce_max(x, axis=(1,), keepdims=True)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.errors import ShapeError
from flowc.ir import loops
from flowc.ir.dims import Shape, product
from flowc.ir.loops import Alloc, For, Let, Load, Statement, Store, Var
from flowc.ir.op import ArgFold, Fold, Nest
from flowc.ir.types import BOOL, FLOATS, I64, NUMBERS, DType, TensorType
from flowc.ops.constructors import composite, dtype_attribute, opaque, reduction
from flowc.ops.inference import expect_dtype, no_gradient, normal_axes, normal_axis, reduced_shape, reduction_rule, shape_text

AXES = {"axis": None, "keepdims": False}


def restore_axes(e: Any, value: Any, axis: Any, keepdims: bool) -> Any:
    """A reduction's result or cotangent with the reduced axes back as 1, so that it broadcasts against the operand."""
    return value if keepdims or axis is None else e.expand_dims(value, axis=axis)


def _spread(e: Any, value: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    return e.broadcast_like(restore_axes(e, value, axis, keepdims), x)


def _lowest(dtype: np.dtype) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _highest(dtype: np.dtype) -> Any:
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def _extreme_vjp(e: Any, x: Any, y: Any, ct: Any, axis: Any, keepdims: bool) -> Any:
    # equal extremes share the gradient, as in TensorFlow
    chosen = e.cast(e.equal(x, restore_axes(e, y, axis, keepdims)), dtype=x.dtype)
    shared = ct / e.reduce_sum(chosen, axis=axis, keepdims=keepdims)
    return chosen * restore_axes(e, shared, axis, keepdims)


def _prod_vjp(e: Any, x: Any, y: Any, ct: Any, axis: Any, keepdims: bool) -> Any:
    # the product of the others: y / x would be 0 / 0 at a zero, so zeros are counted and left out of the product
    zero = e.equal(x, 0.0)
    filled = e.where(zero, 1.0, x)
    rest = restore_axes(e, e.reduce_prod(filled, axis=axis, keepdims=keepdims), axis, keepdims) / filled
    zeros = restore_axes(e, e.reduce_sum(e.cast(zero, dtype=x.dtype), axis=axis, keepdims=keepdims), axis, keepdims)
    other_zeros = zeros - e.cast(zero, dtype=x.dtype)
    return restore_axes(e, ct, axis, keepdims) * e.where(other_zeros > 0.0, 0.0, rest)


reduce_sum = reduction(
    "reduce_sum", title="Sum",
    eval=lambda x, axis, keepdims: np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype),
    vjp=lambda e, x, y, ct, axis, keepdims: _spread(e, ct, x, axis, keepdims),
    fold=Fold(0, "acc + x"),
    doc="Sum along axes.",
)  # fmt: skip

reduce_prod = reduction(
    "reduce_prod", title="Prod",
    eval=lambda x, axis, keepdims: np.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype),
    vjp=_prod_vjp,
    fold=Fold(1, "acc * x"),
    doc="Product along axes. The gradient is right at zeros too; where x holds zeros, the gradient of the gradient leaves out pairs with a zero.",
)  # fmt: skip

reduce_max = reduction(
    "reduce_max", title="Max",
    eval=lambda x, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims, initial=_lowest(x.dtype)),
    vjp=_extreme_vjp,
    fold=Fold("lowest", "max(acc, x)"),
    doc="Maximum along axes; NaN where one is NaN.",
)  # fmt: skip

reduce_largest = reduction(
    "reduce_largest", title="Max", dtypes=FLOATS,
    eval=lambda x, axis, keepdims: np.fmax.reduce(x, axis=axis, keepdims=keepdims, initial=_lowest(x.dtype)),
    vjp=_extreme_vjp,
    fold=Fold("lowest", "larger(acc, x)"),
    doc="Maximum of the numbers along axes. Where one is NaN the result is any of them: for what becomes NaN there anyway, as sums of exp(x - largest).",
)  # fmt: skip

reduce_min = reduction(
    "reduce_min", title="Min",
    eval=lambda x, axis, keepdims: np.min(x, axis=axis, keepdims=keepdims, initial=_highest(x.dtype)),
    vjp=_extreme_vjp,
    fold=Fold("highest", "min(acc, x)"),
    doc="Minimum along axes; NaN where one is NaN.",
)  # fmt: skip

reduce_any = reduction(
    "reduce_any", title="Any", dtypes=(BOOL,),
    eval=lambda x, axis, keepdims: np.any(x, axis=axis, keepdims=keepdims),
    vjp=no_gradient,
    fold=Fold(False, "acc or x"),
    doc="Whether one along the axes is true.",
)  # fmt: skip

reduce_all = reduction(
    "reduce_all", title="All", dtypes=(BOOL,),
    eval=lambda x, axis, keepdims: np.all(x, axis=axis, keepdims=keepdims),
    vjp=no_gradient,
    fold=Fold(True, "acc and x"),
    doc="Whether all along the axes are true.",
)  # fmt: skip


def _arg_extreme(name: str, eval: Any, sign: str, word: str, title: str) -> None:
    def shape(x: TensorType, axis: int, dtype: DType) -> Shape:
        expect_dtype(name, "operand", x.dtype, NUMBERS)
        place = normal_axis(name, axis, x.rank)
        if x.dims[place] == 0:
            raise ShapeError(f"{name}: axis {axis} of shape {shape_text(x.shape)} is empty")
        return reduced_shape(name, x.dims, axis, False)

    reduction(
        name, title=title, attrs={"axis": 0, "dtype": I64}, dtype=dtype_attribute, shape=shape,
        eval=lambda x, axis, dtype: eval(x, axis=axis).astype(dtype.numpy),
        vjp=no_gradient,
        fold=ArgFold(f"x {sign} best or (x != x and best == best)", Fold("lowest", "max(acc, x)") if sign == ">" else Fold("highest", "min(acc, x)")),
        doc=f"Where the {word} along an axis stands; the first of equal ones, and NaN counts as the {word}.",
    )  # fmt: skip


_arg_extreme("argmax", np.argmax, ">", "largest", "ArgMax")
_arg_extreme("argmin", np.argmin, "<", "smallest", "ArgMin")

# composites


def float_dtype(name: str) -> Any:
    """The dtype rule of a one-operand op that takes floats only."""

    def rule(x: TensorType, *others: TensorType, **attrs: Any) -> DType:
        return expect_dtype(name, "operand", x.dtype, FLOATS)

    return rule


def _mean_expand(e: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    return e.reduce_sum(x, axis=axis, keepdims=keepdims) / e.size_of(x, axis=axis, dtype=x.dtype)


reduce_mean = composite(
    "reduce_mean", title="Mean", attrs=AXES, dtype=float_dtype("reduce_mean"), shape=reduction_rule("reduce_mean"), rank_free=True,
    eval=lambda x, axis, keepdims: np.mean(x, axis=axis, keepdims=keepdims, dtype=x.dtype),
    vjp=lambda e, x, y, ct, axis, keepdims: _spread(e, ct / e.size_of(x, axis=axis, dtype=x.dtype), x, axis, keepdims),
    expand=_mean_expand,
    doc="Mean along axes.",
)  # fmt: skip


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    largest = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, x.dtype.type(0))
    total = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True, dtype=x.dtype)) + largest
    return total if keepdims else np.squeeze(total, axis=tuple(range(x.ndim)) if axis is None else axis)


def _logsumexp_expand(e: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    axes = normal_axes("logsumexp", axis, len(x.dims))
    largest = e.reduce_largest(x, axis=axes, keepdims=True)
    largest = e.where(e.is_finite(largest), largest, 0.0)  # inf - inf would be NaN
    total = e.log(e.reduce_sum(e.exp(x - largest), axis=axes, keepdims=True)) + largest
    return total if keepdims else e.squeeze(total, axis=axes)


logsumexp = composite(
    "logsumexp", title="ReduceLogSumExp", attrs=AXES, dtype=float_dtype("logsumexp"), shape=reduction_rule("logsumexp"), rank_free=True,
    eval=_logsumexp,
    vjp=lambda e, x, y, ct, axis, keepdims: e.exp(x - restore_axes(e, y, axis, keepdims)) * restore_axes(e, ct, axis, keepdims),
    expand=_logsumexp_expand,
    doc="log(sum(exp(x))) along axes, without overflow: the maximum is taken out first.",
)  # fmt: skip

# cumulative sum


def _cumsum(x: Any, axis: int, exclusive: bool, reverse: bool) -> Any:
    ordered = np.flip(x, axis) if reverse else x
    total = np.cumsum(ordered, axis=axis, dtype=x.dtype)
    if exclusive:
        total = total - ordered if x.dtype.kind != "f" else _shifted(total, axis)
    return np.ascontiguousarray(np.flip(total, axis)) if reverse else total


def _shifted(total: Any, axis: int) -> Any:
    """`total` one place further along `axis`, after a 0: exact, where subtracting an element would round or make NaN of inf."""
    shifted = np.zeros_like(total)
    source, target = [slice(None)] * total.ndim, [slice(None)] * total.ndim
    source[axis], target[axis] = slice(None, -1), slice(1, None)
    shifted[tuple(target)] = total[tuple(source)]
    return shifted


def _cumsum_nest(inputs: list[str], out: str, types: tuple[TensorType, ...], result: TensorType, attrs: dict[str, Any]) -> tuple[Statement, ...]:
    axis = normal_axis("cumsum", attrs["axis"], result.rank)
    length, inner = loops.extent(result.dims[axis]), loops.extent(product(result.dims[axis + 1 :]))
    lines = loops.extent(product(result.dims[:axis])) * inner
    line, step = Var("line", I64), Var("step", I64)
    place = length - 1 - step if attrs["reverse"] else step
    at = ((line // inner) * length + place) * inner + line % inner
    total = Var("total", result.dtype)
    take = Store("total", None, total + Load(inputs[0], Var("at", I64), result.dtype))
    give = Store(out, Var("at", I64), total)
    body = (Let("at", at), *((give, take) if attrs["exclusive"] else (take, give)))
    start = Alloc("total", result.dtype, loops.lift(0, result.dtype))
    return (For("line", loops.index(0), lines, "parallel", (start, For("step", loops.index(0), length, "serial", body))),)


def _cumsum_shape(x: TensorType, axis: int, exclusive: bool, reverse: bool) -> Shape:
    normal_axis("cumsum", axis, x.rank)
    return x.dims


cumsum = opaque(
    "cumsum", attrs={"axis": 0, "exclusive": False, "reverse": False}, dtypes=NUMBERS, shape=_cumsum_shape,
    eval=_cumsum,
    vjp=lambda e, x, y, ct, axis, exclusive, reverse: e.cumsum(ct, axis=axis, exclusive=exclusive, reverse=not reverse),
    lowering=Nest(_cumsum_nest),
    rows=lambda has, x, axis, **attrs: has[0] and normal_axis("cumsum", axis, x.rank) != 0,
    doc="Sum of the elements up to each place along an axis (before it if exclusive; from the end if reverse).",
)  # fmt: skip
