"""From what a run is fed to arrays that a compiled program takes: exact dtype, C order.

    [1, 2, 3] for f32  ->  array([1., 2., 3.], float32);   1.5 for i32  ->  FeedError
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowc.errors import DTypeError, FeedError, FlowcError, user_location
from flowc.frontend.convert import cast_array, is_tensor
from flowc.ir.node import Node
from flowc.ir.types import TensorType
from flowc.ops.summary import STRING
from flowc.runtime.arena import plain

Converter = Callable[[Any], np.ndarray]


def converter(node: Node) -> Converter:
    """The function that turns a value fed for `node` into its array; FeedError where it cannot be cast."""
    if node.tensor.dtype is STRING:
        raise _refused(node, "text and summaries cannot be fed")
    target = node.tensor.dtype.numpy
    is_float = node.tensor.dtype.is_float
    ndarray, array = np.ndarray, np.array

    def to_array(value: Any) -> np.ndarray:
        kind = value.__class__
        if kind is ndarray:
            if value.dtype == target:
                return plain(value, target)
        elif kind is list and is_float:
            try:
                return array(value, target)
            except (TypeError, ValueError, OverflowError, FlowcError):
                pass
        return _cast(node, value)

    return to_array


def _cast(node: Node, value: Any) -> np.ndarray:
    if is_tensor(value):
        raise _refused(node, "a tensor cannot be fed: run it first and feed its value")
    if value is None:
        raise _refused(node, "None is fed")
    try:
        found = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise _refused(node, f"the value is no array: {error}") from None
    if found.dtype.kind not in "biuf":
        raise _refused(node, f"a value of type {_type_name(value, found)} cannot be cast to {node.tensor.dtype}")
    try:
        return plain(cast_array(found, node.tensor.dtype, value), node.tensor.dtype.numpy)
    except DTypeError as error:
        raise _refused(node, error.what) from None


def _type_name(value: Any, array: np.ndarray) -> str:
    return str(array.dtype) if isinstance(value, np.ndarray) else type(value).__name__


def _refused(node: Node, why: str) -> FeedError:
    return FeedError(f"feed of {node.name}: {why}", repr(node), user_location(), ((f"{node.name} made at", node.loc),))


def check_shapes(nodes: Sequence[Node], arrays: Sequence[np.ndarray]) -> None:
    """FeedError naming the first array whose shape is not its node's."""
    for node, array in zip(nodes, arrays, strict=True):
        assert isinstance(node.type, TensorType)
        declared = node.type.shape
        if declared is None:
            continue
        fits = len(declared) == array.ndim and all(not isinstance(d, int) or d == extent for d, extent in zip(declared, array.shape, strict=True))
        if not fits:
            raise _refused(node, f"a value of shape {list(array.shape)} does not fit {node.type}")
