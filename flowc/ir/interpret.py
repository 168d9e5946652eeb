"""The meaning of a Function: each node's NumPy `eval`, one after the other.

    interpret(f, [x, w])    # the results, then the new values of updated params
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowc.errors import ShapeError
from flowc.ir.dims import Dim, Sym, substitute
from flowc.ir.function import Function
from flowc.ir.node import Node, resolve
from flowc.ir.types import TensorType, Type


def bind_extents(types: Sequence[Type], shapes: Sequence[tuple[int, ...]], extents: Mapping[str, int] | None = None) -> dict[str, int]:
    """The symbols' extents from the params' shapes; ShapeError where one symbol would have two extents or a shape does not fit."""
    bound: dict[str, int] = dict(extents or {})
    later: list[tuple[Dim, int, Type]] = []
    for type, shape in zip(types, shapes, strict=True):
        assert isinstance(type, TensorType)
        if type.rank != len(shape):
            raise ShapeError(f"a value of shape {list(shape)} for a param of type {type}")
        for dim, extent in zip(type.dims, shape, strict=True):
            name = dim.name if isinstance(dim, Sym) else None
            if name is None:
                later.append((dim, extent, type))
            elif bound.setdefault(name, extent) != extent:
                raise ShapeError(f"extent {name} is {bound[name]} and {extent} in one call")
    for dim, extent, type in later:
        if substitute(dim, bound) != extent:
            raise ShapeError(f"an extent of {extent} where a param of type {type} wants {dim}")
    return bound


def last_users(f: Function) -> dict[Node, Node]:
    """For each value that is no output, who needs it for the last time."""
    last = {operand: node for node in f.nodes for operand in node.inputs}
    for output in f.outputs:
        last.pop(output, None)
    return last


def interpret(f: Function, args: Sequence[Any], extents: Mapping[str, int] | None = None) -> list[np.ndarray]:
    """Results and then the updates' new values of `f` on NumPy arrays. ShapeError where the arrays do not fit the params."""
    arrays = [np.asarray(a) for a in args]
    bound = bind_extents([p.type for p in f.params], [a.shape for a in arrays], extents)
    values: dict[Any, Any] = dict(zip(f.params, arrays, strict=True))
    last = last_users(f)
    with np.errstate(all="ignore"):
        for node in f.nodes:
            operands = [values[n] for n in node.inputs]
            attrs = resolve(node.attrs, bound)
            inner = attrs.get("function")
            if isinstance(inner, Function) and node.op.name == "call":
                values[node] = tuple(interpret(inner, operands, bound))
            else:
                result = node.op.eval(*operands, **attrs)
                values[node] = np.asarray(result, dtype=node.type.dtype.numpy) if isinstance(node.type, TensorType) else result
            del operands
            for operand in node.inputs:
                if last.get(operand) is node:
                    values.pop(operand, None)
    return [values[n] for n in f.outputs]
