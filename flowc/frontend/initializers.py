"""Initializers: objects that, called with a shape, give the tensor of first values.

    tf.get_variable("W", [784, 10], initializer=tf.glorot_uniform_initializer(seed=1))

glorot: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"; he: He et al. 2015,
"Delving Deep into Rectifiers". Fans as in TensorFlow: of [..., in, out], times the receptive field's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowc.errors import ShapeError, user_location
from flowc.frontend import array_ops, random_ops
from flowc.frontend.tensor import Tensor
from flowc.ir.types import F32


@dataclass
class Zeros:
    """Zeros."""

    dtype: Any = F32

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return array_ops.zeros(shape, dtype or self.dtype)


@dataclass
class Ones:
    """Ones."""

    dtype: Any = F32

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return array_ops.ones(shape, dtype or self.dtype)


@dataclass
class Constant:
    """One value everywhere, or an array of the shape."""

    value: Any = 0
    dtype: Any = F32
    verify_shape: bool = False

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return array_ops.constant(self.value, dtype or self.dtype, shape, verify_shape=self.verify_shape)


@dataclass
class RandomNormal:
    """Normal draws."""

    mean: Any = 0.0
    stddev: Any = 1.0
    seed: Any = None
    dtype: Any = F32

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return random_ops.random_normal(shape, self.mean, self.stddev, dtype or self.dtype, self.seed)


@dataclass
class TruncatedNormal:
    """Normal draws within two standard deviations."""

    mean: Any = 0.0
    stddev: Any = 1.0
    seed: Any = None
    dtype: Any = F32

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return random_ops.truncated_normal(shape, self.mean, self.stddev, dtype or self.dtype, self.seed)


@dataclass
class RandomUniform:
    """Even draws from [minval, maxval)."""

    minval: Any = 0
    maxval: Any = None
    seed: Any = None
    dtype: Any = F32

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        return random_ops.random_uniform(shape, self.minval, self.maxval, dtype or self.dtype, self.seed)


def fans(shape: Sequence[int]) -> tuple[float, float]:
    """The number of inputs and of outputs of one unit."""
    if not shape:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    field = float(np.prod(shape[:-2])) if len(shape) > 2 else 1.0
    return shape[-2] * field, shape[-1] * field


@dataclass
class VarianceScaling:
    """Draws whose variance is scale / n, with n the number of inputs, of outputs, or their mean. distribution: normal (truncated) or uniform."""

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "normal"
    seed: Any = None
    dtype: Any = F32

    def __post_init__(self) -> None:
        if self.mode not in ("fan_in", "fan_out", "fan_avg") or self.distribution not in ("normal", "truncated_normal", "untruncated_normal", "uniform"):
            raise ShapeError(f"variance_scaling: mode {self.mode!r}, distribution {self.distribution!r}", location=user_location())

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        fan_in, fan_out = fans([int(d) for d in shape])
        count = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, count)
        kind = dtype or self.dtype
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random_ops.random_uniform(shape, -limit, limit, kind, self.seed)
        if self.distribution == "untruncated_normal":
            return random_ops.random_normal(shape, 0.0, math.sqrt(variance), kind, self.seed)
        return random_ops.truncated_normal(shape, 0.0, math.sqrt(variance), kind, self.seed)


def zeros(dtype: Any = F32) -> Zeros:
    return Zeros(dtype)


def glorot_uniform(seed: Any = None, dtype: Any = F32) -> VarianceScaling:
    """Even draws within sqrt(6 / (in + out))."""
    return VarianceScaling(1.0, "fan_avg", "uniform", seed, dtype)


def glorot_normal(seed: Any = None, dtype: Any = F32) -> VarianceScaling:
    """Truncated normal draws of standard deviation sqrt(2 / (in + out))."""
    return VarianceScaling(1.0, "fan_avg", "normal", seed, dtype)


def he_normal(seed: Any = None) -> VarianceScaling:
    return VarianceScaling(2.0, "fan_in", "normal", seed)


def he_uniform(seed: Any = None) -> VarianceScaling:
    return VarianceScaling(2.0, "fan_in", "uniform", seed)


def xavier_initializer(uniform: bool = True, seed: Any = None, dtype: Any = F32) -> VarianceScaling:
    """The older name of glorot_uniform and glorot_normal (tf.contrib.layers)."""
    return glorot_uniform(seed, dtype) if uniform else glorot_normal(seed, dtype)


def uniform_unit_scaling(factor: float = 1.0, seed: Any = None, dtype: Any = F32) -> VarianceScaling:
    """Even draws whose variance is factor**2 / in."""
    return VarianceScaling(factor * factor, "fan_in", "uniform", seed, dtype)
