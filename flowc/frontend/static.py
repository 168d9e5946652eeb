"""Integers that are known when the graph is built, though they may hold symbols: what `tf.shape(x)` and arithmetic on it stand for.

    tf.reshape(x, [tf.shape(x)[0], -1])     # tf.shape(x)[0] is the extent b of x: f32[b, 28, 28]

The nodes that made a shape are evaluated on arrays of `int | Sym`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.errors import ShapeError, user_location
from flowc.frontend.convert import has_tensor, is_tensor
from flowc.frontend.shape import Dimension, TensorShape
from flowc.frontend.tensor import Tensor
from flowc.ir import dims
from flowc.ir.dims import Dim, Shape, Sym
from flowc.ir.node import Node, walk

_MAX_SIZE = 64  # elements: what describes shapes is small


def _objects(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value.astype(object)
    array = np.empty((), object)
    array[()] = value
    return array


def _reduced(function: Callable[[Any, Any], Any], start: Dim) -> Callable[..., Any]:
    def evaluate(x: np.ndarray, axis: Any, keepdims: bool) -> Any:
        if x.ndim > 1 or keepdims:
            return None
        total = start
        for item in x.reshape(-1):
            total = function(total, item)
        return _objects(total)

    return evaluate


def _elementwise(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    spread = np.frompyfunc(function, 2, 1)
    return lambda x, y: _objects(spread(x, y))


def _stacked(*xs: np.ndarray, axis: int) -> Any:
    return np.stack(xs, axis)


_RULES: dict[str, Callable[..., Any]] = {
    "add": _elementwise(lambda x, y: x + y),
    "sub": _elementwise(lambda x, y: x - y),
    "mul": _elementwise(lambda x, y: x * y),
    "floordiv": _elementwise(dims.floordiv),
    "maximum": _elementwise(dims.maximum),
    "minimum": _elementwise(dims.minimum),
    "reduce_prod": _reduced(lambda x, y: x * y, 1),
    "reduce_sum": _reduced(lambda x, y: x + y, 0),
    "neg": lambda x: _objects(-x if x.ndim else -x[()]),
    "identity": lambda x: x,
    "stop_gradient": lambda x: x,
    "stack": _stacked,
    "concat": lambda *xs, axis: np.concatenate(xs, axis),
    "expand_dims": lambda x, axis: np.expand_dims(x, axis),
    "squeeze": lambda x, axis: np.squeeze(x, axis),
    "reverse": lambda x, axis: np.flip(x, axis),
    "gather": lambda x, indices, axis: _objects(np.take(x, indices.astype(int), axis)),
    "reshape": lambda x, shape: x.reshape(tuple(int(d) for d in shape)),
}


def _slice(x: np.ndarray, attrs: Any) -> Any:
    index = tuple(slice(b, e, s) for b, e, s in zip(attrs["begin"], attrs["end"], attrs["stride"], strict=True))
    return _objects(x[index])


def _evaluate(node: Node, values: dict[Node, Any]) -> Any:
    """The node's value as an object array of `int | Sym`, None where it is not known."""
    name = node.op.name
    if name == "constant":
        array = node.attrs["value"].array
        return _objects(array) if array.dtype.kind in "iu" and array.size <= _MAX_SIZE else None
    if name == "dim":
        return _objects(node.attrs["value"])
    if name == "shape_of":
        shape = node.inputs[0].tensor.shape
        if shape is None:
            return None
        array = np.empty(len(shape), object)
        array[:] = shape
        return array
    if name == "size_of":
        shape = node.inputs[0].tensor.shape
        if shape is None or not node.tensor.dtype.is_int:
            return None
        axis = node.attrs["axis"]
        return _objects(dims.product(shape if axis is None else tuple(shape[a] for a in axis)))
    operands: list[Any] = [values.get(n) for n in node.inputs]
    if any(v is None for v in operands) or not node.tensor.dtype.is_int:
        return None
    if name == "cast":
        return operands[0] if node.inputs[0].tensor.dtype.is_int else None
    if name == "slice":
        return _slice(operands[0], node.attrs)
    rule = _RULES.get(name)
    return None if rule is None else rule(*operands, **node.attrs)


def value_of(node: Node) -> np.ndarray | None:
    """The integers that a node stands for, as an object array of `int | Sym`; None where they depend on what is fed."""
    values: dict[Node, Any] = {}
    for inner in _relevant(node):
        try:
            values[inner] = _evaluate(inner, values)
        except (TypeError, ValueError, IndexError, AttributeError):
            values[inner] = None
    return values.get(node)


def _relevant(node: Node) -> list[Node]:
    """The nodes to evaluate, operands first; what stands before a `shape_of` does not matter."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(node, False)]
    while stack:
        at, ready = stack.pop()
        if ready:
            order.append(at)
        elif at not in seen:
            seen.add(at)
            stack.append((at, True))
            if at.op.name not in ("shape_of", "size_of"):
                stack.extend((n, False) for n in at.inputs)
    return order


def integers(value: Any, what: str) -> list[int]:
    """Plain ints out of a list, an array or a tensor that stands for known ones; ShapeError otherwise."""
    found = extents(value, what)
    for item in found:
        if not isinstance(item, int):
            raise ShapeError(f"{what} must be known when the graph is built, not {item}", location=user_location())
    return [int(item) for item in found if isinstance(item, int)]


def extents(value: Any, what: str) -> Shape:
    """A shape from what the user gives for one: ints, None-free shapes, Dimensions, tensors, or a list with any of these in it.

    Extents may be symbols. ShapeError where a tensor's value depends on what is fed.
    """
    if isinstance(value, TensorShape):
        if value.extents is None or None in value.extents:
            raise ShapeError(f"{what}: shape {value} is not known", location=user_location())
        return tuple(d for d in value.extents if d is not None)
    if is_tensor(value):
        return _tensor_extents(value, what)
    if isinstance(value, list | tuple):
        found: list[Dim] = []
        for item in value:
            if has_tensor(item):
                part = _tensor_extents(item, what)
                if len(part) != 1:
                    raise ShapeError(f"{what}: a list of extents holds a tensor of {len(part)} elements", location=user_location())
                found += part
            else:
                found.append(_extent(item, what))
        return tuple(found)
    array = np.asarray(value)
    if isinstance(value, Dimension | Sym) or array.ndim == 0:
        return (_extent(value, what),)
    return tuple(_extent(item, what) for item in array.reshape(-1).tolist())


def _extent(item: Any, what: str) -> Dim:
    if isinstance(item, Dimension):
        item = item.dim
    if isinstance(item, Sym):
        return item
    if isinstance(item, bool) or item is None or not isinstance(item, int | np.integer):
        if isinstance(item, float | np.floating) and float(item).is_integer():
            return int(item)
        raise ShapeError(f"{what}: an extent is a whole number, not {item!r}", location=user_location())
    return int(item)


def _tensor_extents(value: Any, what: str) -> Shape:
    tensor: Tensor = value.as_tensor() if hasattr(value, "as_tensor") else value
    known = value_of(tensor.node)
    if known is None or known.ndim > 1:
        culprit = next((n for n in walk((tensor.node,)) if n.op.name == "shape_of" and n.inputs[0].tensor.shape is None), None)
        why = f"the rank of {culprit.inputs[0].name} is not known" if culprit is not None else "its value depends on what is fed"
        place = ((f"{tensor.node.name} made at", tensor.node.loc),)
        raise ShapeError(f"{what}: {tensor.node.name} cannot be worked out when the graph is built: {why}", repr(tensor.node), user_location(), place)
    return tuple(item if isinstance(item, Sym) else int(item) for item in known.reshape(-1))


def constant_value(tensor: Any) -> Any:
    """The NumPy value of a tensor that is known when the graph is built, else None (TensorFlow's `tf.contrib.util.constant_value`)."""
    if tensor.node.op.name == "constant":
        return tensor.node.attrs["value"].array
    known = value_of(tensor.node)
    if known is None or any(isinstance(item, Sym) for item in known.reshape(-1)):
        return None
    return known.astype(tensor.dtype.numpy)


def shape_source(value: Any) -> Node | None:
    """The node whose shape `value` is, where it is `tf.shape(x)` itself: that works with an unknown rank too."""
    if isinstance(value, Tensor) and value.node.op.name == "shape_of":
        return value.node.inputs[0]
    return None


