"""Calls: a node that runs another Function, and the picking of one of its results. `fuse` makes them: one call per kernel.

    v0: (f32[b],) = k0(x)
    v1: f32[b] = item(v0, index=0)
"""

from __future__ import annotations

from typing import Any

from flowc.errors import DTypeError, ShapeError
from flowc.ir.dims import Dim, Sym
from flowc.ir.function import Function
from flowc.ir.op import REQUIRED, Kind, Op, define
from flowc.ir.types import TensorType, TupleType, Type


def _bind(function: Function, args: tuple[Type, ...]) -> dict[str, Dim]:
    """What the params' symbols stand for in this call."""
    if len(args) != len(function.params):
        raise ShapeError(f"call: {function.name} takes {len(function.params)} arguments, {len(args)} given")
    bound: dict[str, Dim] = {}
    for param, arg in zip(function.params, args, strict=True):
        wanted = param.type
        if not isinstance(wanted, TensorType) or not isinstance(arg, TensorType) or wanted.dtype is not arg.dtype:
            raise DTypeError(f"call: {function.name} takes {wanted} for {param.name}, and is given {arg}")
        if wanted.rank != arg.rank:
            raise ShapeError(f"call: {function.name} takes {wanted} for {param.name}, and is given {arg}")
        for d, given in zip(wanted.dims, arg.dims, strict=True):
            if isinstance(d, Sym) and d.name is not None:
                bound.setdefault(d.name, given)
    for param, arg in zip(function.params, args, strict=True):
        assert isinstance(param.type, TensorType)
        if param.type.substitute(bound) != arg:
            raise ShapeError(f"call: {function.name} takes {param.type} for {param.name}, and is given {arg}")
    return bound


def _call_type(*args: Type, function: Function) -> Type:
    bound = _bind(function, args)
    return TupleType(tuple(r.tensor.substitute(bound) for r in function.results))


def _call(*args: Any, function: Function) -> Any:
    from flowc.ir.interpret import interpret

    return tuple(interpret(function, args))


call = define(
    Op(
        "call", Kind.OPAQUE, ("*args",), "The results of a Function.", _call, infer=_call_type, attrs={"function": REQUIRED},
    )
)  # fmt: skip


def _item_type(x: Type, index: int) -> Type:
    if not isinstance(x, TupleType):
        raise DTypeError(f"item: the operand is {x}, several results are expected")
    if not 0 <= index < len(x.items):
        raise ShapeError(f"item: index {index} of {len(x.items)} results")
    return x.items[index]


item = define(
    Op(
        "item", Kind.OPAQUE, ("x",), "One of several results.", lambda x, index: x[index], infer=_item_type, attrs={"index": REQUIRED},
    )
)  # fmt: skip
