"""Folding: what depends on constants only is computed now, and equal elements are kept as one.

    v0: f32 = mul(2.0, 3.0)                     ->   6.0
    v1: f32[2] = constant([1.0, 1.0])           ->   v1: f32[2] = broadcast_to(1.0, shape=(2,))
"""

from __future__ import annotations

import numpy as np

from flowc.ir.function import CONSTANT, Builder, Function, rebuild
from flowc.ir.node import Node
from flowc.ir.types import TensorType

LIMIT = 64 * 1024  # bytes of a result: beyond, computing it each run costs less than carrying it


def fold(f: Function) -> Function:
    """`f` with constant applications evaluated; random ops, broadcasts and what is larger than LIMIT bytes stay."""
    return rebuild(f, _visit)


def _visit(b: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    if node.op is CONSTANT:
        return uniform(b, node.attrs["value"].array)
    if not inputs or any(n.op is not CONSTANT for n in inputs) or node.op.random or node.op.name in ("broadcast_to", "call"):
        return None
    if not isinstance(node.type, TensorType) or not all(isinstance(d, int) for d in node.tensor.dims):
        return None
    if int(node.tensor.size) * node.tensor.dtype.size > LIMIT:  # type: ignore[arg-type]
        return None
    with np.errstate(all="ignore"):
        value = node.op.eval(*(n.attrs["value"].array for n in inputs), **node.attrs)
    array = np.asarray(value, dtype=node.tensor.dtype.numpy)
    return uniform(b, array) or b.constant(array)


def uniform(b: Builder, array: np.ndarray) -> Node | None:
    """The broadcast of one scalar where all elements of an array (of more than one) have the same bits, else None."""
    if array.size < 2 or array.ndim == 0:
        return None
    flat = np.ascontiguousarray(array).reshape(-1)
    width = array.dtype.itemsize
    rows = flat.view(np.uint8).reshape(-1, width)
    if not (rows == rows[0]).all():
        return None
    return b.apply("broadcast_to", b.constant(flat[0]), shape=array.shape)


