"""A Function as bytes for another process of the same machine, which compiles it to the same program.

    data = pack(f)
    unpack(data)        # prints as f does; its nodes know no lines of the user's

Nodes stand in a row and name their operands by their places, so a deep Function takes no deep recursion. What a large constant holds decides
nothing (`Value.is_large`), so its elements stay behind: weights of a hundred megabytes are a few bytes.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from flowc.ir.dims import Call, Sym
from flowc.ir.function import PARAM, Function
from flowc.ir.node import Node, Value
from flowc.ir.op import OPS, Op


class _Pickler(pickle.Pickler):
    """Ops by their names, constants and Functions as above; what has a hash without it, since strings have others in another process."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Op):
            return _op, (value.name,)
        if isinstance(value, Value):
            return _value(value)
        if isinstance(value, Sym):
            return Sym, (dict(value.terms),)
        if isinstance(value, Call):
            return Call, (value.function, value.args)
        if isinstance(value, Function):
            return _function, _rows(value)
        return NotImplemented


def pack(f: Function) -> bytes:
    """The bytes of a Function and of those that it calls. Raises what pickle raises for an attribute that cannot leave the process."""
    out = io.BytesIO()
    _Pickler(out, protocol=5).dump(f)
    return out.getvalue()


def unpack(data: bytes) -> Function:
    """The Function of `pack`, from a process that is to be trusted: bytes made by others could run anything."""
    f: Function = pickle.loads(data)
    return f


def _rows(f: Function) -> tuple[Any, ...]:
    places = {node: i for i, node in enumerate((*f.params, *f.nodes))}
    params = [(p.name, p.type) for p in f.params]
    nodes = [(n.op.name, [places[i] for i in n.inputs], dict(n.attrs), n.type, n.name, [places[c] for c in n.control]) for n in f.nodes]
    return f.name, params, nodes, [places[r] for r in f.results], [(places[p], places[v]) for p, v in f.updates]


def _function(name: str, params: Any, nodes: Any, results: Any, updates: Any) -> Function:
    made = [Node(PARAM, (), {}, type, own) for own, type in params]
    for op, inputs, attrs, type, own, control in nodes:
        made.append(Node(_op(op), tuple(made[i] for i in inputs), attrs, type, own, None, tuple(made[c] for c in control)))
    count = len(params)
    return Function(name, tuple(made[:count]), tuple(made[count:]), tuple(made[r] for r in results), tuple((made[p], made[v]) for p, v in updates))


def _op(name: str) -> Op:
    return OPS[name]


def _value(value: Value) -> tuple[Any, ...]:
    array = value.array
    if not value.is_large:
        return Value, (array,)
    return _large, (array.dtype, array.shape, array.reshape(-1)[0] if value.is_uniform else None)


def _large(dtype: np.dtype, shape: tuple[int, ...], element: Any) -> Value:
    """A constant of that shape, all of whose elements are `element`, or, where that is None, are not alike."""
    array = np.full(shape, 0 if element is None else element, dtype)
    if element is None:
        array.reshape(-1)[0] = 1
    return Value(array)


__all__ = ["pack", "unpack"]
