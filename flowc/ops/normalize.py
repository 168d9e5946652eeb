"""Normalization of rows.

    v0: f32[b, t, 256] = layer_norm(x, axis=(-1,), epsilon=1e-05)      # mean 0 and variance 1 along the last axis
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.ir.dims import Shape
from flowc.ir.types import TensorType
from flowc.ops.constructors import composite
from flowc.ops.inference import normal_axes
from flowc.ops.reduce import float_dtype


def _shape(x: TensorType, axis: Any, epsilon: float) -> Shape:
    normal_axes("layer_norm", axis, x.rank)
    return x.dims


def _eval(x: Any, axis: Any, epsilon: float) -> Any:
    centred = x - np.mean(x, axis=axis, keepdims=True, dtype=x.dtype)
    variance = np.mean(np.square(centred), axis=axis, keepdims=True, dtype=x.dtype)
    return centred / np.sqrt(variance + x.dtype.type(epsilon))


def _centred(e: Any, x: Any, axis: Any, epsilon: float) -> tuple[Any, Any]:
    """x without its mean, and 1 / sqrt(variance + epsilon)."""
    centred = x - e.reduce_mean(x, axis=axis, keepdims=True)
    return centred, e.rsqrt(e.reduce_mean(e.square(centred), axis=axis, keepdims=True) + epsilon)


def _expand(e: Any, x: Any, axis: Any, epsilon: float) -> Any:
    centred, inverse = _centred(e, x, axis, epsilon)
    return centred * inverse


def _vjp(e: Any, x: Any, y: Any, ct: Any, axis: Any, epsilon: float) -> Any:
    # what changes the mean or the size of a row is taken out of the cotangent (Ba, Kiros and Hinton 2016, "Layer Normalization")
    _, inverse = _centred(e, x, axis, epsilon)
    kept = ct - e.reduce_mean(ct, axis=axis, keepdims=True) - y * e.reduce_mean(ct * y, axis=axis, keepdims=True)
    return kept * inverse


layer_norm = composite(
    "layer_norm", title="LayerNorm", attrs={"axis": (-1,), "epsilon": 1e-5}, dtype=float_dtype("layer_norm"), shape=_shape,
    eval=_eval,
    vjp=_vjp,
    expand=_expand,
    doc="(x - mean) / sqrt(variance + epsilon) along axes; the variance is that of the deviations, so a large mean cancels nothing.",
)  # fmt: skip
