"""`flowc.random`: draws for compiled functions. The seed and the count say which, so that the function stays one of its arguments.

    def noisy(x, step):
        return x + flowc.random.normal([3], seed=1, count=step)      # other draws at every step, the same ones for the same step
"""

from __future__ import annotations

from typing import Any

from flowc.errors import DTypeError, FlowcError, user_location
from flowc.frontend.convert import as_dtype_checked, convert, emit, graph_of
from flowc.frontend.math import cast
from flowc.frontend.static import extents
from flowc.frontend.tensor import Tensor
from flowc.ir.types import F32, U64

__all__ = ["normal", "truncated_normal", "uniform"]


def normal(shape: Any, seed: int | None = None, count: Any = 0, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = F32) -> Tensor:
    """Draws from the normal distribution. seed: a whole number; count: a whole number or an int tensor: another one gives other draws.

    Philox4x32-10 of (seed, count, the element's place). FlowcError where there is no seed, DTypeError where `dtype` is no float.
    """
    return _draw("random_normal", shape, seed, count, dtype) * stddev + mean


def truncated_normal(shape: Any, seed: int | None = None, count: Any = 0, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = F32) -> Tensor:
    """As `normal`, with draws beyond two standard deviations drawn again."""
    return _draw("truncated_normal", shape, seed, count, dtype) * stddev + mean


def uniform(shape: Any, seed: int | None = None, count: Any = 0, low: Any = 0.0, high: Any = 1.0, dtype: Any = F32) -> Tensor:
    """Draws from [low, high), evenly; arguments as for `normal`."""
    return _draw("random_uniform", shape, seed, count, dtype) * (high - low) + low


def _draw(op: str, shape: Any, seed: int | None, count: Any, dtype: Any) -> Tensor:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise FlowcError(f"{op}: a seed is needed, a whole number: the same seed and count give the same draws", location=user_location())
    kind = as_dtype_checked(dtype)
    if not kind.is_float:
        raise DTypeError(f"{op}: {kind} is no float type", location=user_location())
    graph = graph_of(shape, count)
    counter = convert(count, U64, graph=graph) if isinstance(count, int) else cast(count, U64)
    return emit(op, (counter,), None, graph, shape=extents(shape, f"{op}: the shape"), seed=seed, dtype=kind)
