"""Folding: what depends on constants only is computed now, and equal elements are kept as one.

    v0: f32 = mul(2.0, 3.0)                     ->   6.0
    v1: f32[2] = constant([1.0, 1.0])           ->   v1: f32[2] = broadcast_to(1.0, shape=(2,))
"""

from __future__ import annotations

import numpy as np

from flowc.ir.function import CONSTANT, Builder, Function, rebuild
from flowc.ir.node import LARGE, Node, Value
from flowc.ir.types import TensorType


def fold(f: Function) -> Function:
    """`f` with constant applications evaluated; random ops, broadcasts and what is larger than LARGE bytes stay,
    which costs less to compute each run than to carry.

    So of larger constants no pass sees more than whether all their elements are one, and programs that differ in their values are the same.
    """
    return rebuild(f, _visit)


def _visit(b: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    if node.op is CONSTANT:
        return uniform(b, node.attrs["value"])
    if not inputs or any(n.op is not CONSTANT for n in inputs) or node.op.random or node.op.name in ("broadcast_to", "call"):
        return None
    if not isinstance(node.type, TensorType) or not all(isinstance(d, int) for d in node.tensor.dims):
        return None
    if int(node.tensor.size) * node.tensor.dtype.size > LARGE:  # type: ignore[arg-type]
        return None
    if any(n.attrs["value"].is_large for n in inputs):
        return None
    with np.errstate(all="ignore"):
        value = node.op.eval(*(n.attrs["value"].array for n in inputs), **node.attrs)
    array = np.asarray(value, dtype=node.tensor.dtype.numpy)
    return uniform(b, Value(array)) or b.constant(array)


def uniform(b: Builder, value: Value) -> Node | None:
    """The broadcast of one scalar where all elements of an array (of more than one) have the same bits, else None."""
    if not value.is_uniform:
        return None
    return b.apply("broadcast_to", b.constant(value.array.reshape(-1)[0]), shape=value.array.shape)


