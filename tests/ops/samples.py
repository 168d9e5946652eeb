"""Operands and attrs to try each op on: `SAMPLES["tanh"]` is a list of `(arrays, attrs)`.

Floats are float64 and stand away from kinks and poles, so that finite differences are meaningful; extents are odd, and 1s and
differing ranks make operands broadcast. Adding an op to flowc is one definition there and one line here.
"""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.ir.types import BOOL, F32, F64, I32, I64

Sample = tuple[tuple[np.ndarray, ...], dict[str, Any]]
SAMPLES: dict[str, list[Sample]] = {}


def _draw(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def normal(g: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal numbers with none near 0 and no two of the same size."""
    size = int(np.prod(shape))
    places = g.permutation(size) + 1.0
    return (np.where(g.random(size) < 0.5, -1.0, 1.0) * (places / (size + 1) * 1.7 + 0.13)).reshape(shape)


def positive(g: np.random.Generator, *shape: int) -> np.ndarray:
    return np.abs(normal(g, *shape))


def inside(g: np.random.Generator, *shape: int) -> np.ndarray:
    """Between -0.9 and 0.9."""
    return normal(g, *shape) * 0.48


def truth(g: np.random.Generator, *shape: int) -> np.ndarray:
    return g.random(shape) < 0.5


def whole(g: np.random.Generator, *shape: int) -> np.ndarray:
    return g.integers(-4, 5, shape).astype(np.int32)


def _unary(draw: Callable[..., np.ndarray], names: str, **attrs: Any) -> None:
    for name in names.split():
        g = _draw(name)
        SAMPLES[name] = [((draw(g, *shape),), dict(attrs)) for shape in ((), (5,), (3, 1, 7))]


def _stretched(x: np.ndarray) -> np.ndarray:
    """Floats made unequal to those of another draw."""
    return x * 1.0837 if x.dtype == np.float64 else x


def _binary(draw: Callable[..., np.ndarray], names: str) -> None:
    for name in names.split():
        g = _draw(name)
        pairs = [((5,), (5,)), ((3, 7), (7,)), ((3, 1), (1, 7)), ((), (3, 5)), ((2, 1, 5), (3, 1))]
        SAMPLES[name] = [((draw(g, *left), _stretched(draw(g, *right))), {}) for left, right in pairs]


_unary(normal, "neg abs sign square reciprocal exp expm1 tanh sigmoid softplus sin cos atan sinh cosh erf gelu gelu_tanh relu elu")
_unary(normal, "floor ceil round is_nan is_inf is_finite identity stop_gradient zeros_like ones_like")
_unary(positive, "sqrt rsqrt log log1p")
_unary(inside, "tan asin acos")
_unary(truth, "logical_not")
_unary(normal, "leaky_relu", alpha=0.3)
_unary(lambda g, *shape: normal(g, *shape) * 4 + 0.01, "relu6")
_binary(normal, "add sub mul div floordiv mod squared_difference maximum minimum")
_binary(normal, "less less_equal greater greater_equal sigmoid_cross_entropy")
_binary(whole, "equal not_equal")
_binary(truth, "logical_and logical_or logical_xor")
_binary(positive, "pow")
SAMPLES["leaky_relu"].append(((np.array([-2.0, 3.0]),), {}))
for _name in ("add", "sub", "mul", "floordiv", "mod", "maximum", "minimum", "less", "squared_difference"):
    SAMPLES[_name].append(((np.array([[-7, 7, 5]], np.int32), np.array([[2], [-2], [3]], np.int32)), {}))

_g = _draw("where")
SAMPLES["where"] = [
    ((truth(_g, 5), normal(_g, 5), normal(_g, 5)), {}),
    ((truth(_g, 3, 1), normal(_g, 7), normal(_g, 1, 1)), {}),
    ((truth(_g), normal(_g, 2, 3), normal(_g, 3)), {}),
]
SAMPLES["cast"] = [
    ((normal(_g, 3, 5),), {"dtype": F64}),
    ((normal(_g, 3, 5),), {"dtype": F32}),
    ((normal(_g, 5) * 3,), {"dtype": I32}),
    ((truth(_g, 5),), {"dtype": F32}),
    ((whole(_g, 5),), {"dtype": BOOL}),
    ((whole(_g, 2, 3),), {"dtype": I64}),
]

_AXES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((5,), {}),
    ((), {}),
    ((3, 7), {"axis": (0,)}),
    ((3, 7), {"axis": (-1,), "keepdims": True}),
    ((2, 3, 5), {"axis": (0, 2)}),
    ((2, 3, 5), {"axis": (-2, 0), "keepdims": True}),
    ((2, 1, 3), {"axis": ()}),
]


def _reductions(draw: Callable[..., np.ndarray], names: str) -> None:
    for name in names.split():
        g = _draw(name)
        SAMPLES[name] = [((draw(g, *shape),), dict(attrs)) for shape, attrs in _AXES]


_reductions(normal, "reduce_sum reduce_prod reduce_max reduce_largest reduce_min reduce_mean logsumexp")
_reductions(truth, "reduce_any reduce_all")
for _name in ("argmax", "argmin"):
    SAMPLES[_name] = [
        ((normal(_g, 5),), {}),
        ((whole(_g, 3, 7),), {"axis": 1}),
        ((normal(_g, 2, 3, 5),), {"axis": -2, "dtype": I32}),
        ((np.array([[1.0, np.nan, 3.0, np.nan], [2.0, 2.0, 1.0, 1.0]]),), {"axis": 1}),
    ]
SAMPLES["cumsum"] = [
    ((normal(_g, 5),), {}),
    ((normal(_g, 3, 7),), {"axis": -1, "exclusive": True}),
    ((normal(_g, 2, 5, 3),), {"axis": 1, "reverse": True}),
    ((whole(_g, 5, 3),), {"axis": 0, "exclusive": True, "reverse": True}),
]

SAMPLES["reshape"] = [
    ((normal(_g, 3, 4),), {"shape": (12,)}),
    ((normal(_g, 3, 28),), {"shape": (-1, 7, 2, 2)}),
    ((normal(_g, 1),), {"shape": ()}),
    ((normal(_g, 6),), {"shape": (1, 3, 1, 2)}),
    ((normal(_g, 0, 3),), {"shape": (3, 0)}),
]
SAMPLES["transpose"] = [
    ((normal(_g, 3, 5),), {}),
    ((normal(_g, 2, 3, 5),), {"perm": (1, 2, 0)}),
    ((normal(_g, 2, 3, 5, 1),), {"perm": (0, 3, 1, 2)}),
    ((normal(_g),), {}),
]
SAMPLES["broadcast_to"] = [
    ((normal(_g),), {"shape": (3, 5)}),
    ((normal(_g, 3, 1),), {"shape": (2, 3, 5)}),
    ((normal(_g, 5),), {"shape": (5,)}),
]
SAMPLES["expand_dims"] = [
    ((normal(_g),), {"axis": (0,)}),
    ((normal(_g, 3, 5),), {"axis": (1,)}),
    ((normal(_g, 3, 5),), {"axis": (-1, 0)}),
]
SAMPLES["squeeze"] = [
    ((normal(_g, 3, 1, 5, 1),), {"axis": None}),
    ((normal(_g, 3, 1, 5, 1),), {"axis": (1,)}),
    ((normal(_g, 1, 3),), {"axis": (-2,)}),
]
SAMPLES["slice"] = [
    ((normal(_g, 7),), {"begin": (2,), "end": (5,), "stride": (1,)}),
    ((normal(_g, 7, 5),), {"begin": (None, 1), "end": (None, -1), "stride": (2, None)}),
    ((normal(_g, 7, 5),), {"begin": (-3,), "end": (None,), "stride": (1,)}),
    ((normal(_g, 7, 5),), {"begin": (None, 3), "end": (None, 4), "stride": (1, 1)}),
    ((normal(_g, 7, 5),), {"begin": (None, -2), "end": (None, -1), "stride": (1, 1)}),
    ((normal(_g, 7),), {"begin": (None,), "end": (None,), "stride": (-2,)}),
    ((normal(_g, 7),), {"begin": (5,), "end": (1,), "stride": (-3,)}),
    ((normal(_g, 7),), {"begin": (-2,), "end": (-7,), "stride": (-1,)}),
    ((normal(_g, 3, 7),), {"begin": (1, 4), "end": (100, 2), "stride": (1, 1)}),
    ((normal(_g, 7),), {"begin": (-100,), "end": (100,), "stride": (3,)}),
]
SAMPLES["slice_grad"] = [
    ((np.asarray(normal(_g, *x[tuple(slice(*t) for t in zip(a["begin"], a["end"], a["stride"], strict=True))].shape)), x), a) for (x,), a in SAMPLES["slice"]
]
SAMPLES["pad"] = [
    ((normal(_g, 5),), {"paddings": ((2, 1),)}),
    ((normal(_g, 3, 5),), {"paddings": ((0, 0), (0, 3)), "value": 1.5}),
    ((normal(_g, 2, 3, 1),), {"paddings": ((1, 0), (2, 2), (1, 1))}),
]
SAMPLES["concat"] = [
    ((normal(_g, 5), normal(_g, 3)), {"axis": 0}),
    ((normal(_g, 3, 2), normal(_g, 3, 5), normal(_g, 3, 1)), {"axis": -1}),
    ((normal(_g, 3, 2),), {"axis": 0}),
]
SAMPLES["concat_part"] = [
    ((normal(_g, 8), normal(_g, 5), normal(_g, 3)), {"part": 1, "axis": 0}),
    ((normal(_g, 3, 8), normal(_g, 3, 2), normal(_g, 3, 5), normal(_g, 3, 1)), {"part": 1, "axis": -1}),
]
SAMPLES["stack"] = [
    ((normal(_g, 5), normal(_g, 5)), {}),
    ((normal(_g, 3, 5), normal(_g, 3, 5), normal(_g, 3, 5)), {"axis": -1}),
    ((normal(_g), normal(_g)), {"axis": 0}),
]
SAMPLES["tile"] = [((normal(_g, 3),), {"multiples": (2,)}), ((normal(_g, 3, 5),), {"multiples": (1, 3)}), ((normal(_g, 3, 1),), {"multiples": (2, 3)})]
SAMPLES["tile_grad"] = [
    ((normal(_g, 6), normal(_g, 3)), {"multiples": (2,)}),
    ((normal(_g, 6, 15), normal(_g, 3, 5)), {"multiples": (2, 3)}),
]
SAMPLES["reverse"] = [((normal(_g, 5),), {}), ((normal(_g, 3, 5),), {"axis": (1,)}), ((normal(_g, 2, 3, 5),), {"axis": (0, -1)})]

_LIKES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((3, 5), (5,)), ((3, 5), (3, 1)), ((2, 3, 5), (1, 5)), ((5,), ()), ((5,), (5,)), ((1, 3), (1, 1))]
SAMPLES["sum_to"] = [((normal(_g, *big), normal(_g, *small)), {}) for big, small in _LIKES]
SAMPLES["broadcast_like"] = [((normal(_g, *small), normal(_g, *big)), {}) for big, small in _LIKES]
SAMPLES["reshape_like"] = [((normal(_g, 3, 4), normal(_g, 2, 6)), {}), ((normal(_g, 1, 1), normal(_g)), {}), ((normal(_g, 5), normal(_g, 5)), {})]
SAMPLES["size_of"] = [((normal(_g, 3, 5),), {}), ((normal(_g, 3, 5),), {"axis": (-1,), "dtype": F64}), ((normal(_g),), {"dtype": I64})]
SAMPLES["shape_of"] = [((normal(_g, 3, 5),), {}), ((normal(_g, 7),), {"dtype": I64}), ((normal(_g),), {})]
SAMPLES["dim"] = [((), {"value": 7}), ((), {"value": 3, "dtype": F32})]
SAMPLES["iota"] = [((), {"shape": (5,)}), ((), {"shape": (3, 5), "axis": 1, "dtype": F32}), ((), {"shape": (3, 5), "axis": 0})]

SAMPLES["gather"] = [
    ((normal(_g, 7), np.array([2, 0, 2], np.int32)), {}),
    ((normal(_g, 7, 3), np.array([[6, 1], [1, 0]], np.int64)), {}),
    ((normal(_g, 2, 5, 3), np.array([4, 0, 4, 1], np.int32)), {"axis": 1}),
    ((normal(_g, 2, 5), np.array(3, np.int32)), {"axis": -1}),
    ((normal(_g, 5), np.array([-1, 5, 2], np.int32)), {}),
    ((normal(_g, 0, 2), np.array([0], np.int32)), {}),
]
SAMPLES["gather_grad"] = [
    ((normal(_g, 3), np.array([2, 0, 2], np.int32), normal(_g, 7)), {}),
    ((normal(_g, 2, 2, 3), np.array([[6, 1], [1, 0]], np.int64), normal(_g, 7, 3)), {}),
    ((normal(_g, 2, 4, 3), np.array([4, 0, 4, 1], np.int32), normal(_g, 2, 5, 3)), {"axis": 1}),
    ((normal(_g, 3), np.array([-1, 5, 2], np.int32), normal(_g, 5)), {"axis": -1}),
]
SAMPLES["one_hot"] = [
    ((np.array([0, 3, 1, -1, 4], np.int32),), {"depth": 4}),
    ((np.array([[0, 2]], np.int64),), {"depth": 3, "axis": 0, "on": 5.0, "off": -1.0, "dtype": F64}),
    ((np.array(1, np.int64),), {"depth": 3, "dtype": I32, "on": 2, "off": 1}),
]

for _name in ("softmax", "log_softmax"):
    SAMPLES[_name] = [((normal(_g, 5),), {}), ((normal(_g, 3, 7),), {}), ((normal(_g, 2, 5, 3),), {"axis": 1})]

SAMPLES["layer_norm"] = [
    ((normal(_g, 5),), {}),
    ((normal(_g, 3, 7),), {"epsilon": 0.01}),
    ((normal(_g, 2, 3, 5),), {"axis": (1, 2)}),
    ((normal(_g, 2, 3, 1),), {"axis": (0,)}),
]


def probabilities(g: np.random.Generator, *shape: int) -> np.ndarray:
    """Rows that sum to 1."""
    weights = positive(g, *shape)
    return weights / weights.sum(-1, keepdims=True)


SAMPLES["softmax_cross_entropy"] = [((normal(_g, *s), probabilities(_g, *s)), {}) for s in ((5,), (3, 7), (2, 3, 5))]
SAMPLES["sparse_softmax_cross_entropy"] = [
    ((normal(_g, 3, 5), np.array([4, 0, 2], np.int32)), {}),
    ((normal(_g, 5), np.array(3, np.int64)), {}),
    ((normal(_g, 2, 3, 5), np.array([[1, 2, 3], [0, 0, 4]], np.int64)), {}),
]
SAMPLES["sparse_softmax_cross_entropy_grad"] = [
    ((logits, labels, np.asarray(normal(_g, *labels.shape))), {}) for (logits, labels), _ in SAMPLES["sparse_softmax_cross_entropy"]
]

if importlib.util.find_spec("tests.ops.samples_contract") is not None:
    SAMPLES.update(importlib.import_module("tests.ops.samples_contract").SAMPLES)
