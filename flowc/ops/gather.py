"""Reading and writing by index: gather, its gradient, one_hot.

    v0: f32[b, 64] = gather(table, ids)                  # table: f32[1000, 64], ids: i32[b]
    v1: f32[b, 10] = one_hot(labels, depth=10)           # labels: i64[b]

An index outside the operand reads 0 and is written nowhere, as TensorFlow does on a GPU: a compiled loop cannot raise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.errors import ShapeError
from flowc.ir import loops
from flowc.ir.dims import Dim, Shape, product
from flowc.ir.loops import Expr, For, If, Let, Load, Statement, Store, Var
from flowc.ir.op import REQUIRED, Nest
from flowc.ir.types import F32, I64, INTS, DType, TensorType
from flowc.ops.constructors import first_dtype, movement, opaque
from flowc.ops.inference import expect_dtype, no_gradient, normal_axis, same_shapes


def _gather_shape(params: TensorType, indices: TensorType, axis: int) -> Shape:
    place = normal_axis("gather", axis, params.rank)
    return (*params.dims[:place], *indices.dims, *params.dims[place + 1 :])


def _gather_dtype(params: TensorType, indices: TensorType, axis: int) -> DType:
    expect_dtype("gather", "the index", indices.dtype, INTS)
    return params.dtype


def _gather(params: Any, indices: Any, axis: int) -> Any:
    axis = axis % params.ndim
    valid = (indices >= 0) & (indices < params.shape[axis])
    spread = valid.reshape(valid.shape + (1,) * (params.ndim - axis - 1))
    if params.shape[axis] == 0:
        return np.zeros(params.shape[:axis] + indices.shape + params.shape[axis + 1 :], params.dtype)
    return np.where(spread, np.take(params, np.where(valid, indices, 0).astype(np.int64), axis), params.dtype.type(0))


def _gather_element(at: Any, index: Any, types: Any, result: TensorType, attrs: Any) -> Expr:
    params, indices = types
    place = normal_axis("gather", attrs["axis"], params.rank)
    chosen = loops.cast(at(1, index[place : place + indices.rank]), I64)
    element = at(0, (*index[:place], chosen, *index[place + indices.rank :]))
    return loops.select((chosen >= 0) & (chosen < loops.extent(params.dims[place])), element, 0)


gather = movement(
    "gather", title="GatherV2", operands=("params", "indices"), attrs={"axis": 0}, dtype=_gather_dtype, shape=_gather_shape,
    guarded=True, repeats=True,
    eval=_gather,
    vjp=lambda e, params, indices, y, ct, axis: (e.gather_grad(ct, indices, params, axis=axis), None),
    element=_gather_element,
    rows=lambda has, params, indices, axis: list(has) == [False, True] and normal_axis("gather", axis, params.rank) == 0,
    doc="The slices of params at the indices along an axis. An index outside gives zeros.",
)  # fmt: skip


def _gather_grad_shape(ct: TensorType, indices: TensorType, like: TensorType, axis: int) -> Shape | None:
    if ct.shape is not None and indices.shape is not None and like.shape is not None:
        same_shapes("gather_grad", "the cotangent and what was gathered", ct.shape, _gather_shape(like, indices, axis))
    return like.shape


def _gather_grad(ct: Any, indices: Any, like: Any, axis: int) -> Any:
    axis = axis % like.ndim
    out = np.zeros(like.shape, ct.dtype)
    flat = indices.ravel().astype(np.int64)
    valid = (flat >= 0) & (flat < like.shape[axis])
    pieces = np.moveaxis(ct.reshape(*like.shape[:axis], flat.size, *like.shape[axis + 1 :]), axis, 0)
    np.add.at(np.moveaxis(out, axis, 0), flat[valid], pieces[valid])
    return out


def _gather_grad_nest(inputs: list[str], out: str, types: tuple[TensorType, ...], result: TensorType, attrs: dict[str, Any]) -> tuple[Statement, ...]:
    """Each line (a place before and after the axis) is one thread's own, and takes its addends in the order of the indices."""
    ct, indices, _ = types
    axis = normal_axis("gather", attrs["axis"], result.rank)
    extent, inner = loops.extent(result.dims[axis]), loops.extent(product(result.dims[axis + 1 :]))
    count, lines = loops.extent(indices.size), loops.extent(product(result.dims[:axis])) * inner
    line, i, k, chosen = Var("line", I64), Var("i", I64), Var("k", I64), Var("chosen", I64)
    outer_at, inner_at = line // inner, line % inner
    clear = Store(out, (outer_at * extent + i) * inner + inner_at, loops.lift(0, result.dtype))
    addend = Load(inputs[0], (outer_at * count + k) * inner + inner_at, ct.dtype)
    add = If(
        (chosen >= 0) & (chosen < extent),
        (Store(out, (outer_at * extent + chosen) * inner + inner_at, addend, "add"),),
    )
    pick = Let("chosen", loops.cast(Load(inputs[1], k, indices.dtype), I64))
    body = (For("i", loops.index(0), extent, "serial", (clear,)), For("k", loops.index(0), count, "serial", (pick, add)))
    return (For("line", loops.index(0), lines, "parallel", body),)


gather_grad = opaque(
    "gather_grad", operands=("ct", "indices", "like"), attrs={"axis": 0}, like=(2,), rank_free=True, dtype=first_dtype,
    shape=_gather_grad_shape,
    eval=_gather_grad,
    vjp=lambda e, ct, indices, like, y, g, axis: (e.gather(g, indices, axis=axis), None, None),
    lowering=Nest(_gather_grad_nest),
    doc="Zeros in the shape of `like`, with ct added at the indices along an axis, in order: the gradient of gather.",
)  # fmt: skip


def _one_hot_dtype(indices: TensorType, depth: Dim, on: float, off: float, axis: int, dtype: DType) -> DType:
    expect_dtype("one_hot", "the index", indices.dtype, INTS)
    return dtype


def _one_hot_shape(indices: TensorType, depth: Dim, on: float, off: float, axis: int, dtype: DType) -> Shape:
    if isinstance(depth, int) and depth < 0:
        raise ShapeError(f"one_hot: a depth of {depth}")
    place = normal_axis("one_hot", axis, indices.rank + 1)
    return (*indices.dims[:place], depth, *indices.dims[place:])


def _one_hot(indices: Any, depth: int, on: float, off: float, axis: int, dtype: DType) -> Any:
    axis = axis % (indices.ndim + 1)
    line = np.arange(depth).reshape([-1 if i == axis else 1 for i in range(indices.ndim + 1)])
    return np.where(np.expand_dims(indices, axis) == line, np.asarray(on, dtype.numpy), np.asarray(off, dtype.numpy))


def _one_hot_element(at: Any, index: Any, types: Any, result: TensorType, attrs: Any) -> Expr:
    place = normal_axis("one_hot", attrs["axis"], result.rank)
    chosen = loops.cast(at(0, (*index[:place], *index[place + 1 :])), I64)
    return loops.select(chosen.eq(index[place]), loops.lift(attrs["on"], result.dtype), loops.lift(attrs["off"], result.dtype))


one_hot = movement(
    "one_hot", title="one_hot", operands=("indices",), dtype=_one_hot_dtype, shape=_one_hot_shape, repeats=True,
    attrs={"depth": REQUIRED, "on": 1.0, "off": 0.0, "axis": -1, "dtype": F32},
    eval=_one_hot,
    vjp=no_gradient,
    element=_one_hot_element,
    rows=lambda has, indices, axis, **attrs: has[0] and normal_axis("one_hot", axis, indices.rank + 1) != 0,
    doc="`on` at the index along a new axis of extent `depth`, `off` elsewhere; all `off` for an index outside.",
)  # fmt: skip

