"""Ops that ask for a shape only, so that gradients and definitions can be written before ranks and extents are known.

    v0: f32[3] = sum_to(ct, c)         # ct: f32[b, 3], c: f32[3]: what broadcasting spread is summed up again

`like` operands give their shape, never their elements. `expand` turns these into reductions, movements and `dim`, whose
extents are symbols of the params' types.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.ir import loops
from flowc.ir.dims import Dim, Shape, product
from flowc.ir.loops import Expr
from flowc.ir.op import REQUIRED
from flowc.ir.types import F32, I32, I64, DType, TensorType
from flowc.ops.constructors import composite, dtype_attribute, movement, sum_down
from flowc.ops.inference import no_gradient, normal_axes, normal_axis
from flowc.ops.movement import check_broadcast

X_LIKE = ("x", "like")

# sum_to


def _sum_to_shape(x: TensorType, like: TensorType) -> Shape | None:
    if x.shape is not None and like.shape is not None:
        check_broadcast("sum_to", like.shape, x.shape)
    return like.shape


def _summed_axes(x: Shape, like: Shape) -> tuple[int, ...]:
    new = len(x) - len(like)
    return (*range(new), *(i for i in range(new, len(x)) if like[i - new] == 1 and x[i] != 1))


def _sum_to_expand(e: Any, x: Any, like: Any) -> Any:
    axes = _summed_axes(x.dims, like.dims)
    total = e.reduce_sum(x, axis=axes) if axes else x
    return total if total.dims == like.dims else e.reshape(total, shape=like.dims)


sum_to = composite(
    "sum_to", operands=X_LIKE, like=(1,), rank_free=True, shape=_sum_to_shape,
    eval=lambda x, like: x.sum(axis=_summed_axes(x.shape, like.shape), dtype=x.dtype).reshape(like.shape),
    vjp=lambda e, x, like, y, ct: (e.broadcast_like(ct, x), None),
    expand=_sum_to_expand,
    doc="x summed down to the shape of `like`: the gradient of broadcasting.",
)  # fmt: skip

# broadcast_like, reshape_like


def _broadcast_like_shape(x: TensorType, like: TensorType) -> Shape | None:
    if x.shape is not None and like.shape is not None:
        check_broadcast("broadcast_like", x.shape, like.shape)
    return like.shape


broadcast_like = composite(
    "broadcast_like", operands=X_LIKE, like=(1,), rank_free=True, shape=_broadcast_like_shape,
    eval=lambda x, like: np.array(np.broadcast_to(x, like.shape)),
    vjp=lambda e, x, like, y, ct: (sum_down(e, ct, x), None),
    expand=lambda e, x, like: x if x.dims == like.dims else e.broadcast_to(x, shape=like.dims),
    doc="x broadcast to the shape of `like`.",
)  # fmt: skip

reshape_like = composite(
    "reshape_like", operands=X_LIKE, like=(1,), rank_free=True, shape=lambda x, like: like.shape,
    eval=lambda x, like: x.reshape(like.shape),
    vjp=lambda e, x, like, y, ct: (e.reshape_like(ct, x), None),
    expand=lambda e, x, like: x if x.dims == like.dims else e.reshape(x, shape=like.dims),
    doc="x in the shape of `like`.",
)  # fmt: skip

# zeros_like, ones_like


def _filled(value: int) -> Any:
    def expand(e: Any, like: Any) -> Any:
        scalar = e.constant(value, like.dtype)
        return e.broadcast_to(scalar, shape=like.dims) if like.dims else scalar

    return expand


zeros_like = composite(
    "zeros_like", title="zeros_like", operands=("like",), like=(0,), rank_free=True, shape=lambda like: like.shape,
    eval=np.zeros_like,
    vjp=no_gradient,
    expand=_filled(0),
    doc="Zeros in the shape and dtype of `like`.",
)  # fmt: skip

ones_like = composite(
    "ones_like", title="ones_like", operands=("like",), like=(0,), rank_free=True, shape=lambda like: like.shape,
    eval=np.ones_like,
    vjp=no_gradient,
    expand=_filled(1),
    doc="Ones in the shape and dtype of `like`.",
)  # fmt: skip

# extents as values


def _extent_along(name: str, shape: Shape, axis: Any) -> Dim:
    return product(tuple(shape[a] for a in normal_axes(name, axis, len(shape))))


def _size_of_shape(x: TensorType, axis: Any, dtype: DType) -> Shape:
    if x.shape is not None:
        normal_axes("size_of", axis, x.rank)
    return ()


size_of = composite(
    "size_of", title="Size", attrs={"axis": None, "dtype": F32}, like=(0,), rank_free=True, dtype=dtype_attribute, shape=_size_of_shape,
    eval=lambda x, axis, dtype: np.asarray(_extent_along("size_of", x.shape, axis), dtype.numpy),
    vjp=no_gradient,
    expand=lambda e, x, axis, dtype: _extent(e, _extent_along("size_of", x.dims, axis), dtype),
    doc="The number of elements along axes (None: of all), as a scalar.",
)  # fmt: skip


def _extent(e: Any, value: Dim, dtype: DType) -> Any:
    return e.constant(value, dtype) if isinstance(value, int) else e.dim(value=value, dtype=dtype)


def _shape_of_expand(e: Any, x: Any, dtype: DType) -> Any:
    if all(isinstance(d, int) for d in x.dims):
        return e.constant(np.array(x.dims, dtype.numpy))
    return e.stack(*(_extent(e, d, dtype) for d in x.dims), axis=0)


shape_of = composite(
    "shape_of", title="Shape", attrs={"dtype": I32}, like=(0,), dtype=dtype_attribute, shape=lambda x, dtype: (x.rank,),
    eval=lambda x, dtype: np.array(x.shape, dtype.numpy),
    vjp=no_gradient,
    expand=_shape_of_expand,
    doc="The extents as a vector.",
)  # fmt: skip


def _no_operand_vjp(e: Any, y: Any, ct: Any, **attrs: Any) -> tuple[()]:
    return ()


def _dim_element(at: Any, index: Any, types: Any, result: TensorType, attrs: Any) -> Expr:
    return loops.cast(loops.extent(attrs["value"]), result.dtype)


dim = movement(
    "dim", operands=(), attrs={"value": REQUIRED, "dtype": I64}, dtype=dtype_attribute, shape=lambda value, dtype: (),
    eval=lambda value, dtype: np.asarray(value, dtype.numpy),
    vjp=_no_operand_vjp,
    element=_dim_element,
    doc="An extent as a scalar.",
)  # fmt: skip


def _iota_shape(shape: Shape, axis: int, dtype: DType) -> Shape:
    normal_axis("iota", axis, len(shape))
    return shape


def _iota(shape: Any, axis: int, dtype: DType) -> Any:
    line = np.arange(shape[axis]).astype(dtype.numpy)
    return np.array(np.broadcast_to(line.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))]), shape))


def _iota_element(at: Any, index: Any, types: Any, result: TensorType, attrs: Any) -> Expr:
    return loops.cast(index[attrs["axis"]], result.dtype)


iota = movement(
    "iota", title="range", operands=(), attrs={"shape": REQUIRED, "axis": 0, "dtype": I64}, dtype=dtype_attribute, shape=_iota_shape,
    eval=_iota,
    vjp=_no_operand_vjp,
    element=_iota_element,
    doc="Each element's place along an axis: 0, 1, 2, ...",
)  # fmt: skip

