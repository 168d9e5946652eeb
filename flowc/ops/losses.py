"""Softmax and the cross-entropies: composites that are stable by themselves and have gradients of their own.

    v0: f32[b] = softmax_cross_entropy(logits, labels)      # logits, labels: f32[b, 10]

The maximum is subtracted before exp, so huge logits give no infinity, and the gradient (softmax - labels) never divides by a
probability.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.errors import ShapeError
from flowc.ir.dims import Shape
from flowc.ir.types import FLOATS, I64, INTS, DType, TensorType
from flowc.ops.constructors import composite, elementwise
from flowc.ops.inference import expect_dtype, normal_axis, one_dtype, same_shapes, shape_text
from flowc.ops.reduce import float_dtype


def _axis_shape(name: str) -> Any:
    def rule(x: TensorType, axis: int) -> Shape:
        normal_axis(name, axis, x.rank)
        return x.dims

    return rule


def _shifted(x: Any, axis: int) -> Any:
    return x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)


def _softmax(x: Any, axis: int) -> Any:
    powers = np.exp(_shifted(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True, dtype=x.dtype)


def _log_softmax(x: Any, axis: int) -> Any:
    shifted = _shifted(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True, dtype=x.dtype))


def _expand_shifted(e: Any, x: Any, axis: int) -> Any:
    return x - e.reduce_largest(x, axis=(axis,), keepdims=True)


def _softmax_expand(e: Any, x: Any, axis: int) -> Any:
    powers = e.exp(_expand_shifted(e, x, axis))
    return powers / e.reduce_sum(powers, axis=(axis,), keepdims=True)


def _log_softmax_expand(e: Any, x: Any, axis: int) -> Any:
    shifted = _expand_shifted(e, x, axis)
    return shifted - e.log(e.reduce_sum(e.exp(shifted), axis=(axis,), keepdims=True))


softmax = composite(
    "softmax", attrs={"axis": -1}, dtype=float_dtype("softmax"), shape=_axis_shape("softmax"),
    eval=_softmax,
    vjp=lambda e, x, y, ct, axis: y * (ct - e.reduce_sum(ct * y, axis=(axis,), keepdims=True)),
    expand=_softmax_expand,
    doc="exp(x) / sum(exp(x)) along an axis.",
)  # fmt: skip

log_softmax = composite(
    "log_softmax", title="LogSoftmax", attrs={"axis": -1}, dtype=float_dtype("log_softmax"), shape=_axis_shape("log_softmax"),
    eval=_log_softmax,
    vjp=lambda e, x, y, ct, axis: ct - e.exp(y) * e.reduce_sum(ct, axis=(axis,), keepdims=True),
    expand=_log_softmax_expand,
    doc="log(softmax(x)) along an axis, without the softmax's underflow.",
)  # fmt: skip

# cross-entropies


def _cross_dtype(logits: TensorType, labels: TensorType) -> DType:
    return one_dtype("softmax_cross_entropy", (logits, labels), FLOATS)


def _cross_shape(logits: TensorType, labels: TensorType) -> Shape:
    if logits.rank == 0:
        raise ShapeError("softmax_cross_entropy: the logits are a scalar; a last axis of classes is expected")
    return same_shapes("softmax_cross_entropy", "logits and labels", logits.dims, labels.dims)[:-1]


def _cross_vjp(e: Any, logits: Any, labels: Any, y: Any, ct: Any) -> Any:
    spread = e.expand_dims(ct, axis=(-1,))
    return spread * (e.softmax(logits) - labels), -(spread * e.log_softmax(logits))


def _cross_expand(e: Any, logits: Any, labels: Any) -> Any:
    shifted = _expand_shifted(e, logits, -1)
    log_sum = e.log(e.reduce_sum(e.exp(shifted), axis=(-1,), keepdims=True))
    return e.reduce_sum(labels * (log_sum - shifted), axis=(-1,))


softmax_cross_entropy = composite(
    "softmax_cross_entropy", title="softmax_cross_entropy_with_logits", operands=("logits", "labels"), dtype=_cross_dtype, shape=_cross_shape,
    eval=lambda logits, labels: -np.sum(labels * _log_softmax(logits, -1), axis=-1, dtype=logits.dtype),
    vjp=_cross_vjp,
    expand=_cross_expand,
    doc="-sum(labels * log_softmax(logits)) over the last axis. As in TensorFlow, the gradient takes each row of labels to sum to 1.",
)  # fmt: skip


def _sparse_dtype(logits: TensorType, labels: TensorType) -> DType:
    expect_dtype("sparse_softmax_cross_entropy", "the label", labels.dtype, INTS)
    return expect_dtype("sparse_softmax_cross_entropy", "the logit", logits.dtype, FLOATS)


def _sparse_shape(logits: TensorType, labels: TensorType) -> Shape:
    if logits.rank != labels.rank + 1:
        raise ShapeError(
            f"sparse_softmax_cross_entropy: labels {shape_text(labels.shape)} for logits {shape_text(logits.shape)}: one label per row is expected"
        )
    return same_shapes("sparse_softmax_cross_entropy", "rows of logits and labels", logits.dims[:-1], labels.dims)


def _sparse_eval(logits: Any, labels: Any) -> Any:
    classes = logits.shape[-1]
    valid = (labels >= 0) & (labels < classes)
    safe = np.where(valid, labels, 0).astype(np.int64)[..., None]
    return np.where(valid, -np.take_along_axis(_log_softmax(logits, -1), safe, -1)[..., 0], logits.dtype.type(np.nan))


def _chosen(e: Any, logits: Any, labels: Any) -> Any:
    """Which class each row's label names, as bool in the shape of the logits."""
    classes = e.iota(shape=logits.dims[-1:], axis=0, dtype=I64)
    return e.equal(e.expand_dims(e.cast(labels, dtype=I64), axis=(-1,)), classes)


def _sparse_vjp(e: Any, logits: Any, labels: Any, y: Any, ct: Any) -> Any:
    return e.sparse_softmax_cross_entropy_grad(logits, labels, ct), None


def _sparse_expand(e: Any, logits: Any, labels: Any) -> Any:
    shifted = _expand_shifted(e, logits, -1)
    log_sum = e.log(e.reduce_sum(e.exp(shifted), axis=(-1,)))
    loss = log_sum - e.reduce_sum(e.where(_chosen(e, logits, labels), shifted, 0.0), axis=(-1,))
    label = e.cast(labels, dtype=I64)
    extent = e.dim(value=logits.dims[-1], dtype=I64)
    valid = e.logical_and(e.greater_equal(label, 0), e.less(label, extent))
    return e.where(valid, loss, e.constant(np.nan, logits.dtype))


sparse_softmax_cross_entropy = composite(
    "sparse_softmax_cross_entropy", title="SparseSoftmaxCrossEntropyWithLogits", operands=("logits", "labels"),
    dtype=_sparse_dtype, shape=_sparse_shape,
    eval=_sparse_eval,
    vjp=_sparse_vjp,
    expand=_sparse_expand,
    doc="-log_softmax(logits) at each row's label, a class number; NaN for a label that is no class, as TensorFlow gives on a GPU.",
)  # fmt: skip


def _sparse_grad_eval(logits: Any, labels: Any, ct: Any) -> Any:
    chosen = labels[..., None] == np.arange(logits.shape[-1])
    return ct[..., None] * (_softmax(logits, -1) - chosen.astype(logits.dtype))


def _sparse_grad_expand(e: Any, logits: Any, labels: Any, ct: Any) -> Any:
    return e.expand_dims(ct, axis=(-1,)) * (e.softmax(logits) - e.cast(_chosen(e, logits, labels), dtype=logits.dtype))


def _sparse_grad_vjp(e: Any, logits: Any, labels: Any, ct: Any, y: Any, g: Any) -> Any:
    # y = ct * (softmax(logits) - chosen); only the softmax depends on the logits
    probability = e.softmax(logits)
    to_softmax = e.expand_dims(ct, axis=(-1,)) * g
    inner = e.reduce_sum(to_softmax * probability, axis=(-1,), keepdims=True)
    slope = e.sparse_softmax_cross_entropy_grad(logits, labels, e.ones_like(ct))
    return probability * (to_softmax - inner), None, e.reduce_sum(g * slope, axis=(-1,))


sparse_softmax_cross_entropy_grad = composite(
    "sparse_softmax_cross_entropy_grad", operands=("logits", "labels", "ct"), rank_free=True, shape=lambda logits, labels, ct: logits.shape,
    eval=_sparse_grad_eval,
    vjp=_sparse_grad_vjp,
    expand=_sparse_grad_expand,
    doc="ct * (softmax(logits) - one_hot(labels)): the gradient of sparse_softmax_cross_entropy, for any number of classes.",
)  # fmt: skip

sigmoid_cross_entropy = elementwise(
    "sigmoid_cross_entropy", dtypes=FLOATS, operands=("logits", "labels"), title="logistic_loss",
    eval=lambda x, z: np.maximum(x, 0) - x * z + np.log1p(np.exp(-np.abs(x))),
    vjp=lambda e, x, z, y, ct: (ct * (e.sigmoid(x) - z), -(ct * x)),
    scalar="max(logits, 0.0) - logits * labels + log1p(exp(-abs(logits)))",
    doc="max(x, 0) - x*z + log(1 + exp(-|x|)) for logits x and labels z: TensorFlow's stable form.",
)  # fmt: skip
