"""NumPy's short names for functions of arrays, beside TensorFlow's: `flowc.mean(x)` is `tf.reduce_mean(x)`.

    flowc.sum(x, axis=0), flowc.max(x), flowc.concatenate([x, y]), flowc.softmax(x)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowc.frontend import array_ops, math
from flowc.frontend.convert import convert
from flowc.frontend.math import (
    reduce_all as all,
)
from flowc.frontend.math import (
    reduce_any as any,
)
from flowc.frontend.math import (
    reduce_logsumexp as logsumexp,
)
from flowc.frontend.math import (
    reduce_max as max,
)
from flowc.frontend.math import (
    reduce_mean as mean,
)
from flowc.frontend.math import (
    reduce_min as min,
)
from flowc.frontend.math import (
    reduce_prod as prod,
)
from flowc.frontend.math import (
    reduce_sum as sum,
)
from flowc.frontend.nn import gelu, layer_norm, log_softmax, relu, softmax, softplus
from flowc.frontend.tensor import Tensor

arange = array_ops.range_
take = array_ops.gather
astype = math.cast


def dot(x: Any, y: Any) -> Tensor:
    """The product of two vectors, of matrices, or of stacks of matrices: NumPy's `dot` for ranks 1 and 2."""
    left, right = convert(x), convert(y)
    if left.dims is not None and right.dims is not None:
        if len(left.dims) == len(right.dims) == 1:
            return math.reduce_sum(left * right)
        if len(right.dims) == 1:
            return array_ops.squeeze(math.matmul(left, array_ops.expand_dims(right, 1)), [-1])
        if len(left.dims) == 1:
            return array_ops.squeeze(math.matmul(array_ops.expand_dims(left, 0), right), [-2])
    return math.matmul(left, right)


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    """The arrays one after the other along `axis`."""
    return array_ops.concat(arrays, axis)


def clip(x: Any, low: Any = None, high: Any = None) -> Tensor:
    """x between the bounds; None leaves a side open."""
    value = convert(x)
    if high is not None:
        value = math.minimum(value, high)
    return value if low is None else math.maximum(value, low)


__all__ = [
    "all", "any", "arange", "astype", "clip", "concatenate", "dot", "gelu", "layer_norm", "log_softmax", "logsumexp", "max", "mean", "min",
    "prod", "relu", "softmax", "softplus", "sum", "take",
]  # fmt: skip
