"""Samples for matrix products, convolutions and pools, in the form of `tests/ops/samples.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

Sample = tuple[tuple[np.ndarray, ...], dict[str, Any]]
SAMPLES: dict[str, list[Sample]] = {}
_g = np.random.default_rng(23)


def _distinct(*shape: int) -> np.ndarray:
    """Numbers no two of which are close, so that a small change moves no maximum."""
    size = int(np.prod(shape))
    return ((_g.permutation(size) - size / 2 + 0.25) * (3.0 / max(size, 1))).reshape(shape)


def _matmul(left: tuple[int, ...], right: tuple[int, ...], **attrs: bool) -> Sample:
    return (_distinct(*left), _distinct(*right) + 0.01), dict(attrs)


SAMPLES["matmul"] = [
    _matmul((3, 5), (5, 7)),
    _matmul((5, 3), (5, 7), transpose_a=True),
    _matmul((3, 5), (7, 5), transpose_b=True),
    _matmul((5, 3), (7, 5), transpose_a=True, transpose_b=True),
    _matmul((2, 3, 5), (5, 7)),
    _matmul((2, 1, 3, 5), (7, 5, 11)),
    _matmul((5, 3), (2, 7, 5), transpose_a=True, transpose_b=True),
    _matmul((1, 5), (5, 1)),
]

# images, filter, attrs
_CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 5, 7, 3), (3, 3, 3, 5), {}),
    ((1, 7, 5, 2), (3, 2, 2, 3), {"padding": "VALID"}),
    ((2, 7, 5, 1), (3, 3, 1, 2), {"strides": (2, 3)}),
    ((2, 8, 7, 2), (2, 3, 2, 3), {"strides": (2, 1), "padding": "VALID"}),
    ((1, 7, 9, 2), (3, 2, 2, 3), {"dilations": (2, 3)}),
    ((3, 5, 3, 2), (1, 1, 2, 5), {}),
    ((2, 4, 5, 9), (2, 3, 9, 17), {"strides": (1, 2)}),
    ((2, 3, 4, 8), (2, 2, 8, 5), {}),
]


def _convolved(x: tuple[int, ...], filter: tuple[int, ...], strides: Any = (1, 1), padding: str = "SAME", dilations: Any = (1, 1)) -> tuple[int, ...]:
    reach = [(k - 1) * d + 1 for k, d in zip(filter[:2], dilations, strict=True)]
    if padding == "SAME":
        places = [-(-n // s) for n, s in zip(x[1:3], strides, strict=True)]
    else:
        places = [(n - r) // s + 1 for n, r, s in zip(x[1:3], reach, strides, strict=True)]
    return (x[0], *places, filter[3])


SAMPLES["conv2d"] = [((_distinct(*x), _distinct(*f)), attrs) for x, f, attrs in _CONVOLUTIONS]
SAMPLES["conv2d_input_grad"] = [((_distinct(*f), _distinct(*_convolved(x, f, **attrs)), _distinct(*x)), attrs) for x, f, attrs in _CONVOLUTIONS]
SAMPLES["conv2d_filter_grad"] = [((_distinct(*x), _distinct(*_convolved(x, f, **attrs)), _distinct(*f)), attrs) for x, f, attrs in _CONVOLUTIONS]

_POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 4, 6, 3), {"ksize": (2, 2), "strides": (2, 2), "padding": "SAME"}),
    ((1, 5, 7, 2), {"ksize": (2, 2), "strides": (2, 2), "padding": "SAME"}),
    ((2, 7, 5, 3), {"ksize": (3, 2), "strides": (2, 1), "padding": "VALID"}),
    ((1, 7, 5, 2), {"ksize": (3, 3), "strides": (2, 2), "padding": "SAME"}),
    ((1, 8, 7, 1), {"ksize": (2, 2), "strides": (3, 3), "padding": "VALID"}),
    ((1, 7, 6, 2), {"ksize": (5, 4), "strides": (1, 1), "padding": "SAME"}),
]


def _pooled(x: tuple[int, ...], attrs: dict[str, Any]) -> tuple[int, ...]:
    return _convolved(x, (*attrs["ksize"], 1, x[3]), attrs["strides"], attrs["padding"])


SAMPLES["max_pool"] = [((_distinct(*x),), attrs) for x, attrs in _POOLS]
SAMPLES["avg_pool"] = [((_distinct(*x),), attrs) for x, attrs in _POOLS]
SAMPLES["avg_pool_grad"] = [((_distinct(*_pooled(x, attrs)), _distinct(*x)), attrs) for x, attrs in _POOLS]


def _with_maxima(last: Any) -> list[Sample]:
    from flowc.ops.pool import max_pool

    images = [(_distinct(*x), attrs) for x, attrs in _POOLS]
    return [((x, max_pool.eval(x, **attrs), _distinct(*last(x.shape, attrs))), attrs) for x, attrs in images]


SAMPLES["max_pool_grad"] = _with_maxima(_pooled)
SAMPLES["max_pool_gather"] = _with_maxima(lambda x, attrs: x)
SAMPLES["max_pool_place"] = SAMPLES["max_pool"]


def _with_places(last: Any) -> list[Sample]:
    from flowc.ops.pool_places import max_pool_place

    return [
        ((max_pool_place.eval(_distinct(*x), **attrs), _distinct(*last(x, attrs))), {**attrs, "height": x[1], "width": x[2]}) for x, attrs in _POOLS
    ]


SAMPLES["max_pool_take"] = _with_places(lambda x, attrs: x)
SAMPLES["max_pool_spread"] = _with_places(_pooled)
