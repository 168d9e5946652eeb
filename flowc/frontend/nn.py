"""`tf.nn`: activations, convolutions, pooling, losses on logits, normalisation.

    h = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, F, strides=[1, 1, 1, 1], padding="SAME"), b))

Images are NHWC, filters [height, width, in, out]; strides and sizes are lists of four whose first and last are 1, as in TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.errors import FlowcError, ShapeError, user_location
from flowc.frontend import array_ops, math, random_ops
from flowc.frontend.convert import as_array, binary, convert, emit, function_of_floats, graph_of, is_tensor, pair, unary
from flowc.frontend.math import axes_argument, sigmoid
from flowc.frontend.static import integers
from flowc.frontend.tensor import Tensor
from flowc.ir.types import I64, INTS

# activations


def relu(features: Any, name: str | None = None) -> Tensor:
    """The larger of x and 0."""
    return unary("relu", features, name, "Relu")


def relu6(features: Any, name: str | None = None) -> Tensor:
    """x cut off below 0 and above 6."""
    return unary("relu6", features, name, "Relu6")


def elu(features: Any, name: str | None = None) -> Tensor:
    """x where it is positive, else exp(x) - 1."""
    return function_of_floats("elu", features, name, "Elu")


def selu(features: Any, name: str | None = None) -> Tensor:
    """The scaled elu of Klambauer et al. 2017, "Self-Normalizing Neural Networks"."""
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    with graph_of(features).name_scope(name or "Selu"):
        x = convert(features)
        negative = binary("mul", alpha, math.expm1(math.minimum(x, 0.0)), "mul")
        return binary("mul", scale, array_ops.where(math.greater(x, 0.0), x, negative), "mul")


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """x where it is positive, else alpha * x."""
    return function_of_floats("leaky_relu", features, name, "LeakyRelu", alpha=float(alpha))


def crelu(features: Any, name: str | None = None) -> Tensor:
    """relu of x and of -x, side by side along the last axis."""
    x = convert(features)
    return relu(array_ops.concat([x, -x], -1), name or "CRelu")


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Tensor:
    """x times the normal distribution function of x; `approximate` takes tanh of a polynomial in its place."""
    return function_of_floats("gelu_tanh" if approximate else "gelu", features, name, "Gelu")


def softplus(features: Any, name: str | None = None) -> Tensor:
    """log(1 + exp(x))."""
    return function_of_floats("softplus", features, name, "Softplus")


def softsign(features: Any, name: str | None = None) -> Tensor:
    """x / (1 + |x|)."""
    x = convert(features)
    return binary("div", x, binary("add", math.abs(x), 1.0, "add"), name or "Softsign")


def swish(features: Any, name: str | None = None) -> Tensor:
    """x * sigmoid(x)."""
    x = convert(features)
    return binary("mul", x, sigmoid(x), name or "swish")


def softmax(logits: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis, the last by default."""
    return function_of_floats("softmax", logits, name, "Softmax", axis=_axis(axis, dim))


def log_softmax(logits: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """log(softmax(x)) along an axis, the last by default."""
    return function_of_floats("log_softmax", logits, name, "LogSoftmax", axis=_axis(axis, dim))


def _axis(axis: Any, dim: Any) -> int:
    chosen = axes_argument(axis if axis is not None else dim)
    return -1 if chosen is None else chosen[0]


# convolution and pooling


def _window(value: Any, what: str) -> tuple[int, int]:
    """(height, width) out of TensorFlow's list of four, or of two, or a number."""
    found = integers(value, what)
    if len(found) == 1:
        found = found * 2
    if len(found) == 4:
        if found[0] != 1 or found[3] != 1:
            raise ShapeError(f"{what} {found}: the first and the last, for batch and channels, must be 1", location=user_location())
        found = found[1:3]
    if len(found) != 2 or min(found) < 1:
        raise ShapeError(f"{what} {found}: a list of four positive numbers is expected", location=user_location())
    return found[0], found[1]


def _padding(padding: str) -> str:
    text = str(padding).upper()
    if text not in ("SAME", "VALID"):
        raise ShapeError(f"padding {padding!r} is neither 'SAME' nor 'VALID'", location=user_location())
    return text


def _nhwc(data_format: Any) -> None:
    if data_format not in (None, "NHWC"):
        raise FlowcError(f"data_format {data_format!r} is not supported: use NHWC", location=user_location())


def conv2d(
    input: Any,
    filter: Any = None,
    strides: Any = (1, 1, 1, 1),
    padding: str = "SAME",
    use_cudnn_on_gpu: bool = True,
    data_format: str | None = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Tensor:
    """Images [n, h, w, in] and filters [fh, fw, in, out] to [n, h', w', out]."""
    _nhwc(data_format)
    kernel = filter if filter is not None else filters
    graph = graph_of(input, kernel)
    with graph.name_scope(name or "Conv2D") as scope:
        x, w = pair("conv2d", input, kernel, graph)
        attrs = {"strides": _window(strides, "conv2d: strides"), "padding": _padding(padding), "dilations": _window(dilations, "conv2d: dilations")}
        return emit("conv2d", (x, w), scope, graph, **attrs)


def _pool(op: str, title: str, value: Any, ksize: Any, strides: Any, padding: str, data_format: Any, name: str | None) -> Tensor:
    _nhwc(data_format)
    attrs = {"ksize": _window(ksize, f"{op}: ksize"), "strides": _window(strides, f"{op}: strides"), "padding": _padding(padding)}
    return unary(op, value, name, title, **attrs)


def max_pool(value: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None) -> Tensor:
    """The maximum of each window of [n, h, w, c]."""
    return _pool("max_pool", "MaxPool", value, ksize, strides, padding, data_format, name)


def avg_pool(value: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None) -> Tensor:
    """The mean of each window of [n, h, w, c]; at a 'SAME' border, of what lies inside."""
    return _pool("avg_pool", "AvgPool", value, ksize, strides, padding, data_format, name)


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Tensor:
    """A vector added along the last axis."""
    _nhwc(data_format)
    graph = graph_of(value, bias)
    with graph.name_scope(name or "BiasAdd") as scope:
        x, b = pair("bias_add", value, bias, graph)
        if b.dims is not None and len(b.dims) != 1:
            place = ((f"{b.node.name} made at", b.node.loc),)
            raise ShapeError(f"bias_add: the bias has shape {b.shape}, a vector is expected", f"{x.node!r}", user_location(), place)
        if x.dims is not None and b.dims is not None and isinstance(x.dims[-1], int) and isinstance(b.dims[0], int) and x.dims[-1] != b.dims[0]:
            places = tuple((f"{t.node.name} made at", t.node.loc) for t in (x, b))
            detail = f"{scope[:-1]} = bias_add({x.node.name}: {x.type}, {b.node.name}: {b.type})"
            raise ShapeError(f"bias_add: {b.dims[0]} biases for {x.dims[-1]} channels", detail, user_location(), places)
        return emit("add", (x, b), scope, graph)


def xw_plus_b(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """x @ weights + biases."""
    with graph_of(x, weights, biases).name_scope(name or "xw_plus_b") as scope:
        return bias_add(math.matmul(x, weights), biases, name=scope)


def relu_layer(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """relu(x @ weights + biases)."""
    with graph_of(x, weights, biases).name_scope(name or "relu_layer") as scope:
        return relu(xw_plus_b(x, weights, biases), scope)


# losses on logits


def _named_only(sentinel: Any, what: str) -> None:
    if sentinel is not None:
        raise FlowcError(f"{what} takes named arguments only: labels=..., logits=...", location=user_location())


def _both(labels: Any, logits: Any, what: str) -> None:
    if labels is None or logits is None:
        raise FlowcError(f"{what} needs both labels and logits", location=user_location())


def softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, dim: int = -1, name: str | None = None, axis: Any = None
) -> Tensor:
    """-sum(labels * log_softmax(logits)) over the classes (last axis): [n, classes] to [n]. Nothing is passed back to the labels."""
    _named_only(_sentinel, "softmax_cross_entropy_with_logits")
    _both(labels, logits, "softmax_cross_entropy_with_logits")
    return _cross_entropy(math.stop_gradient(convert(labels) if is_tensor(labels) else labels, "labels_stop_gradient"), logits, name, axis, dim)


def softmax_cross_entropy_with_logits_v2(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, dim: Any = None, name: str | None = None, axis: Any = None
) -> Tensor:
    """As `softmax_cross_entropy_with_logits`, with a gradient to the labels too."""
    _named_only(_sentinel, "softmax_cross_entropy_with_logits_v2")
    _both(labels, logits, "softmax_cross_entropy_with_logits_v2")
    return _cross_entropy(labels, logits, name, axis, dim)


def _cross_entropy(labels: Any, logits: Any, name: str | None, axis: Any, dim: Any) -> Tensor:
    graph = graph_of(logits, labels)
    with graph.name_scope(name or "softmax_cross_entropy_with_logits") as scope:
        x, y = pair("softmax_cross_entropy_with_logits", logits, labels, graph)
        place = _axis(axis, dim)
        if place != -1 and (x.dims is None or place != len(x.dims) - 1):
            if x.dims is None:
                raise ShapeError("softmax_cross_entropy_with_logits: an axis other than the last needs a known rank", location=user_location())
            order = [a for a in range(len(x.dims)) if a != place % len(x.dims)] + [place % len(x.dims)]
            x, y = array_ops.transpose(x, order), array_ops.transpose(y, order)
        return emit("softmax_cross_entropy", (x, y), scope, graph)


def sparse_softmax_cross_entropy_with_logits(_sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None) -> Tensor:
    """-log_softmax(logits) at each label: labels are ints of shape [n], logits [n, classes]."""
    _named_only(_sentinel, "sparse_softmax_cross_entropy_with_logits")
    _both(labels, logits, "sparse_softmax_cross_entropy_with_logits")
    graph = graph_of(logits, labels)
    with graph.name_scope(name or "SparseSoftmaxCrossEntropyWithLogits") as scope:
        x = convert(logits, None, "logits", graph)
        y = convert(labels, None, "labels", graph)
        return emit("sparse_softmax_cross_entropy", (x, y), scope, graph)


def sigmoid_cross_entropy_with_logits(_sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None) -> Tensor:
    """max(x, 0) - x * z + log(1 + exp(-|x|)) for logits x and labels z in [0, 1], element by element."""
    _named_only(_sentinel, "sigmoid_cross_entropy_with_logits")
    _both(labels, logits, "sigmoid_cross_entropy_with_logits")
    graph = graph_of(logits, labels)
    with graph.name_scope(name or "logistic_loss") as scope:
        x, z = pair("sigmoid_cross_entropy_with_logits", logits, labels, graph)
        if x.dims is not None and z.dims is not None and len(x.dims) != len(z.dims):
            places = tuple((f"{t.node.name} made at", t.node.loc) for t in (x, z))
            raise ShapeError(f"sigmoid_cross_entropy: logits and labels have shapes {x.shape} and {z.shape}", repr(x.node), user_location(), places)
        return emit("sigmoid_cross_entropy", (x, z), scope, graph)


def weighted_cross_entropy_with_logits(targets: Any, logits: Any, pos_weight: Any, name: str | None = None) -> Tensor:
    """As `sigmoid_cross_entropy_with_logits`, with the loss of positive targets times `pos_weight`."""
    graph = graph_of(logits, targets)
    with graph.name_scope(name or "logistic_loss") as scope:
        x, z = pair("weighted_cross_entropy_with_logits", logits, targets, graph)
        weight = 1.0 + (pos_weight - 1.0) * z
        return binary("add", (1.0 - z) * x, weight * softplus(-x), scope)


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """sum(t ** 2) / 2."""
    with graph_of(t).name_scope(name or "L2Loss") as scope:
        return binary("mul", math.reduce_sum(math.square(t)), 0.5, scope)


# dropout, normalisation


def dropout(x: Any, keep_prob: Any = None, noise_shape: Any = None, seed: Any = None, name: str | None = None, rate: Any = None) -> Tensor:
    """x with each element kept with probability `keep_prob` (a number or a tensor, fed at run time) and divided by it, else set to 0.

    noise_shape: with extents 1 where elements share their fate. keep_prob 1 leaves x as it is.
    """
    if keep_prob is None:
        if rate is None:
            raise FlowcError("dropout needs keep_prob", location=user_location())
        keep_prob = 1.0 - rate if not is_tensor(rate) else binary("sub", 1.0, rate, "sub")
    if not is_tensor(keep_prob) and not 0 < float(keep_prob) <= 1:
        raise ShapeError(f"dropout: keep_prob {keep_prob} is not in (0, 1]", location=user_location())
    graph = graph_of(x, keep_prob)
    with graph.name_scope(name or "dropout") as scope:
        value = convert(x, None, "x", graph)
        if not is_tensor(keep_prob) and float(keep_prob) == 1:
            return emit("identity", (value,), scope)
        keep = convert(keep_prob, value.dtype, "keep_prob", graph)
        shape = array_ops.shape(value) if noise_shape is None else noise_shape
        uniform = random_ops.draw("random_uniform", shape, value.dtype, seed, "RandomUniform", graph)
        kept = emit("less", (uniform, keep), "Less")
        return emit("where", (kept, emit("div", (value, keep), "div"), emit("zeros_like", (value,))), scope)


def moments(x: Any, axes: Any, shift: Any = None, name: str | None = None, keep_dims: bool = False, keepdims: Any = None) -> tuple[Tensor, Tensor]:
    """Mean and variance along axes."""
    kept = bool(keep_dims if keepdims is None else keepdims)
    with graph_of(x).name_scope(name or "moments"):
        value = convert(x)
        mean = math.reduce_mean(value, axes, keepdims=True, name="mean")
        variance = math.reduce_mean(math.squared_difference(value, math.stop_gradient(mean)), axes, keepdims=True, name="variance")
        if kept:
            return mean, variance
        places = axes_argument(axes)
        return array_ops.squeeze(mean, places), array_ops.squeeze(variance, places)


def batch_normalization(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float, name: str | None = None) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset; offset and scale may be None."""
    graph = graph_of(x, mean, variance, scale, offset)
    with graph.name_scope(name or "batchnorm") as scope:
        inverse = math.rsqrt(binary("add", variance, variance_epsilon, "add"))
        if scale is not None:
            inverse = binary("mul", inverse, scale, "mul")
        shift = binary("mul", mean, inverse, "mul")
        shift = math.negative(shift) if offset is None else binary("sub", offset, shift, "sub")
        return binary("add", binary("mul", x, inverse, "mul"), shift, scope)


def layer_norm(x: Any, scale: Any = None, offset: Any = None, axis: Any = -1, epsilon: float = 1e-5, name: str | None = None) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) along `axis` (the last, or several), then times `scale` plus `offset` where they are given."""
    graph = graph_of(x, scale, offset)
    with graph.name_scope(name or "LayerNorm") as scope:
        value = convert(x, None, "x", graph)
        scaled = scale is not None or offset is not None
        value = emit("layer_norm", (value,), None if scaled else scope, graph, axis=axes_argument(axis), epsilon=float(epsilon))
        if scale is not None:
            value = binary("mul", value, scale, "mul" if offset is not None else scope)
        return value if offset is None else binary("add", value, offset, scope)


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None, dim: Any = None) -> Tensor:
    """x / sqrt(max(sum(x ** 2), epsilon)) along axes."""
    with graph_of(x).name_scope(name or "l2_normalize") as scope:
        value = convert(x)
        total = math.reduce_sum(math.square(value), axis if axis is not None else dim, keepdims=True)
        return binary("mul", value, math.rsqrt(math.maximum(total, epsilon)), scope)


# lookups and scores


def embedding_lookup(
    params: Any, ids: Any, partition_strategy: str = "mod", name: str | None = None, validate_indices: bool = True, max_norm: Any = None
) -> Tensor:
    """The rows of `params` that `ids` name."""
    if isinstance(params, list | tuple):
        if len(params) != 1:
            raise FlowcError("embedding_lookup of several tables is not supported: concatenate them", location=user_location())
        params = params[0]
    return array_ops.gather(params, ids, name=name or "embedding_lookup")


def in_top_k(predictions: Any, targets: Any, k: int, name: str | None = None) -> Tensor:
    """For each row of predictions [n, classes] whether fewer than k classes score higher than the target."""
    graph = graph_of(predictions, targets)
    with graph.name_scope(name or "InTopK") as scope:
        x, t = convert(predictions, None, "predictions", graph), convert(targets, None, "targets", graph)
        if x.dims is None or len(x.dims) != 2 or not isinstance(x.dims[1], int):
            raise ShapeError("in_top_k: predictions [n, classes] with a known number of classes are needed", repr(x.node), user_location())
        if t.dtype not in INTS:
            raise ShapeError("in_top_k: targets must be ints", repr(t.node), user_location())
        chosen = math.reduce_sum(x * array_ops.one_hot(t, x.dims[1], dtype=x.dtype), 1, keepdims=True)
        higher = math.reduce_sum(math.cast(math.greater(x, chosen), I64), 1)
        return binary("less", higher, np.int64(k), scope)


def zero_fraction(value: Any, name: str | None = None) -> Tensor:
    """The share of elements that are zero."""
    with graph_of(value).name_scope(name or "zero_fraction"):
        x = convert(value)
        return math.reduce_mean(math.cast(math.equal(x, as_array(0, x.dtype)), "float32"))
