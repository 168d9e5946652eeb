"""A node: one application of an op. Frozen, compared by identity; the same class serves Graph and Function."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from flowc.errors import DTypeError, FlowcError, Location, ShapeError
from flowc.ir import dims
from flowc.ir.dims import Dim, Sym
from flowc.ir.op import Op
from flowc.ir.types import TensorType, Type

LARGE = 64 * 1024  # bytes: of a larger constant no pass sees more than its shape, and whether all elements are alike
_SAMPLE = 64  # elements of an array that a hash looks at


class Value:
    """A constant array as an attribute: read-only, equal by dtype, shape and bytes (0.0 is not -0.0, NaN equals itself)."""

    __slots__ = ("_hash", "array")

    def __init__(self, array: Any) -> None:
        array = np.asarray(array)
        if array.dtype.hasobject or array.dtype.kind not in "biuf":
            raise DTypeError(f"constant: a value of type {array.dtype} is not a number or a truth value")
        if array.flags.writeable or not array.flags.c_contiguous:
            array = np.array(array, order="C", copy=True)
            array.flags.writeable = False
        self.array = array
        self._hash: int | None = None

    @property
    def key(self) -> tuple[str, tuple[int, ...], bytes]:
        return self.array.dtype.str, self.array.shape, self.array.tobytes()

    @property
    def is_large(self) -> bool:
        """Whether the elements are nothing that a pass computes with."""
        return bool(self.array.nbytes > LARGE)

    @property
    def is_uniform(self) -> bool:
        """Whether there are several elements, and all have the same bits."""
        if self.array.size < 2:
            return False
        elements = self.array.reshape(-1, 1).view(np.uint8)
        return bool((elements[:_SAMPLE] == elements[0]).all() and (elements == elements[0]).all())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Value):
            return False
        return self.array is other.array or (hash(self) == hash(other) and self.key == other.key)

    def __hash__(self) -> int:
        if self._hash is None:
            flat = self.array.reshape(-1)
            self._hash = hash((flat.dtype.str, self.array.shape, flat[:: max(1, flat.size // _SAMPLE)].tobytes()))
        return self._hash

    def __repr__(self) -> str:
        return f"Value({self.array!r})"


_serials = itertools.count()


class Node:
    """`name: type = op(inputs, **attrs)`.

    name: unique in its Graph (`HiddenLayer/MatMul`) or Function (`HiddenLayer.MatMul`); loc: the user's line; control: nodes that must
    run in the same run, before this one; serial: counts up with creation, so within a Graph it orders nodes as they were made.
    """

    __slots__ = ("__weakref__", "attrs", "control", "inputs", "loc", "name", "op", "serial", "type")

    def __init__(
        self,
        op: Op,
        inputs: tuple[Node, ...],
        attrs: Mapping[str, Any],
        type: Type,
        name: str,
        loc: Location | None = None,
        control: tuple[Node, ...] = (),
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.type = type
        self.name = name
        self.loc = loc
        self.control = control
        self.serial = next(_serials)

    @property
    def scope(self) -> str:
        """The enclosing scope's full name, empty at the top."""
        separator = "/" if "/" in self.name else "."
        return self.name.rpartition(separator)[0]

    @property
    def tensor(self) -> TensorType:
        """The type of a node that has one result."""
        assert isinstance(self.type, TensorType), f"{self.name} has not one result"
        return self.type

    def __repr__(self) -> str:
        return f"<{self.name}: {self.type} = {describe(self.op, self.inputs)}>"


def describe(op: Op, inputs: tuple[Node, ...]) -> str:
    """`matmul(HiddenLayer/Relu: f32[b, 20], W: f32[30, 1])`: how errors show an application."""
    return f"{op.name}({', '.join(f'{n.name}: {n.type}' for n in inputs)})"


def make(
    op: Op, inputs: tuple[Node, ...], attrs: Mapping[str, Any], name: str, loc: Location | None, control: tuple[Node, ...] = (), lenient: bool = False
) -> Node:  # fmt: skip
    """A typed node (`lenient`: see `Op.result_type`). What `infer` refuses comes out as a three-line error, with the lines that made the operands."""
    return typed(op, inputs, op.complete(attrs), name, loc, control, lenient)


def typed(
    op: Op, inputs: tuple[Node, ...], attrs: Mapping[str, Any], name: str, loc: Location | None, control: tuple[Node, ...] = (), lenient: bool = False
) -> Node:  # fmt: skip
    """`make` for attributes that are complete."""
    try:
        result = op.result_type(tuple([n.type for n in inputs]), attrs, lenient)
    except FlowcError as error:
        if error.detail is not None:
            raise
        detail = f"{name} = {describe(op, inputs)}"
        places = tuple((f"{n.name} made at", n.loc) for n in inputs if n.loc is not None and n.loc != loc)
        raise type(error)(error.what, detail, loc, places) from None
    return Node(op, inputs, attrs, result, name, loc, control)


def attribute_key(value: Any) -> Any:
    """A hashable key of an attribute, telling 1 from True and 0.0 from -0.0."""
    if isinstance(value, float):
        return ("float", value.hex())
    if isinstance(value, bool | int):
        return (type(value).__name__, value)
    if isinstance(value, tuple):
        return tuple(attribute_key(v) for v in value)
    return value


def map_dims(value: Any, change: Callable[[Dim], Dim]) -> Any:
    """`value` with `change` applied to every symbolic extent inside an attribute."""
    if isinstance(value, Sym):
        return change(value)
    if isinstance(value, tuple):
        return tuple(map_dims(v, change) for v in value)
    return value


def resolve(attrs: Mapping[str, Any], extents: Mapping[str, int]) -> dict[str, Any]:
    """attrs with symbols replaced by their extents."""
    return {k: map_dims(v, lambda d: dims.substitute(d, extents)) for k, v in attrs.items()}


def walk(roots: tuple[Node, ...]) -> Iterator[Node]:
    """Every node that the roots depend on through inputs, operands first; iterative, so depth is no limit."""
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((n, False) for n in reversed(node.inputs) if id(n) not in seen)


__all__ = ["Node", "ShapeError", "Value", "attribute_key", "describe", "make", "map_dims", "resolve", "typed", "walk"]
