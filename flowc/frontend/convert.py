"""From what the user passes to tensors, and from tensors to nodes.

    2.0 * x           # x: i32 -> DTypeError; x: f32 -> the constant takes f32, whatever its own type was
    convert([x0, 1.0])  # a list with tensors in it is stacked

Python numbers, lists and NumPy values are weak where they meet a tensor: they take its dtype and never promote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc.errors import DTypeError, ShapeError, user_location, warn
from flowc.frontend.scope import Graph, get_default_graph
from flowc.frontend.shape import Dimension, TensorShape
from flowc.frontend.tensor import Tensor
from flowc.ir.dims import Dim, Shape, Sym
from flowc.ir.node import Node, Value
from flowc.ir.types import F16, F32, F64, I32, DType, TensorType, as_dtype
from flowc.ops.summary import STRING

# arrays


def as_array(value: Any, dtype: DType | None = None) -> np.ndarray:
    """A NumPy array of `value`; without `dtype`, Python floats give f32 and ints i32, NumPy values keep theirs (as in TensorFlow).

    DTypeError where it is no array of numbers, or where a cast to `dtype` would lose more than rounding (1.5 to an int).
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DTypeError(f"a list of lists of different lengths is no array: {error}", location=user_location()) from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{_short(value)} is not made of numbers", location=user_location())
    if dtype is None:
        if isinstance(value, np.ndarray | np.generic):
            return array
        if array.dtype == np.float64:
            return array.astype(np.float32)
        if array.dtype == np.int64 and array.size and np.all(array == array.astype(np.int32)):
            return array.astype(np.int32)
        return array.astype(np.float32) if array.size == 0 and array.dtype == np.float64 else array
    return cast_array(array, dtype, value)


def cast_array(array: np.ndarray, dtype: DType, shown: Any) -> np.ndarray:
    """`array` in `dtype`; DTypeError where more than rounding would be lost. `shown` stands for it in the error."""
    kind = array.dtype.kind
    if kind not in "biuf":
        raise DTypeError(f"{_short(shown)} is not made of numbers", location=user_location())
    target = dtype.numpy
    if array.dtype == target or dtype.is_float:
        return array.astype(target, copy=False)
    with np.errstate(all="ignore"):
        result = array.astype(target)
    if (kind == "f" or kind in "iu") and not np.array_equal(result, array):
        noun = "a truth value" if dtype.is_bool else "an integer"
        raise DTypeError(f"{_short(shown)} cannot be cast to {dtype}, {noun} type, without loss", location=user_location())
    return result


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def has_tensor(value: Any) -> bool:
    """Whether a value or a nest of lists holds a Tensor or Variable."""
    if isinstance(value, list | tuple):
        return any(has_tensor(v) for v in value)
    return is_tensor(value)


def is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "as_tensor")


# tensors


def convert(value: Any, dtype: Any = None, name: str | None = None, graph: Graph | None = None) -> Tensor:
    """A Tensor of `value`: itself, a variable's value, a stack of a list with tensors in it, or a constant.

    DTypeError where a tensor has another dtype than the one asked for, or where a value cannot be cast to it.
    """
    wanted = None if dtype is None else as_dtype_checked(dtype)
    if hasattr(value, "as_tensor"):
        value = value.as_tensor()
    if isinstance(value, Tensor):
        if value.dtype is STRING:
            raise DTypeError(f"{value.node.name} is text or a summary: it is fetched and written, and is no operand", repr(value.node), user_location())
        if wanted is not None and value.dtype is not wanted:
            place = ((f"{value.node.name} made at", value.node.loc),)
            raise DTypeError(f"{value.node.name} is {value.dtype}, {wanted} is expected", repr(value.node), user_location(), place)
        return value
    graph = graph or get_default_graph()
    if isinstance(value, TensorShape | Dimension):
        return _from_extents(graph, value, wanted or I32, name)
    if isinstance(value, list | tuple):
        value = [v.dim if isinstance(v, Dimension) else v for v in value]
        if any(isinstance(v, Sym) for v in value):
            return _from_extents(graph, TensorShape(value), wanted or I32, name)
        if has_tensor(value):
            first = _first_tensor(value)
            parts = [convert(v, wanted or first.dtype, None, graph) for v in value]
            return graph.tensor(graph.create("stack", [p.node for p in parts], {"axis": 0}, name or "stack"))
    if value is None:
        raise DTypeError("None is not a value for a tensor", location=user_location())
    return graph.tensor(graph.create("constant", (), {"value": Value(as_array(value, wanted))}, name or "Const"))


def _first_tensor(value: Any) -> Tensor:
    for item in value:
        if isinstance(item, list | tuple) and has_tensor(item):
            return _first_tensor(item)
        if is_tensor(item):
            return item.as_tensor() if hasattr(item, "as_tensor") else item  # type: ignore[no-any-return]
    raise AssertionError("no tensor in the list")


def _from_extents(graph: Graph, value: TensorShape | Dimension, dtype: DType, name: str | None) -> Tensor:
    dims = [value.dim] if isinstance(value, Dimension) else list(value.extents or ())
    if all(isinstance(d, int) for d in dims):
        array = np.array(dims[0] if isinstance(value, Dimension) else dims, dtype.numpy)
        return graph.tensor(graph.create("constant", (), {"value": Value(array)}, name or "Const"))
    if any(d is None for d in dims):
        raise ShapeError("an unknown extent is no value: take it from tf.shape(tensor)", location=user_location())
    nodes = [graph.create("dim", (), {"value": d, "dtype": dtype}) for d in dims]
    return graph.tensor(nodes[0] if isinstance(value, Dimension) else graph.create("stack", nodes, {"axis": 0}, name))


def convert_to_tensor(value: Any, dtype: Any = None, name: str | None = None, preferred_dtype: Any = None) -> Tensor:
    """TensorFlow's `convert_to_tensor`: a Tensor from a tensor, variable, number, string, list or array."""
    from flowc.frontend.strings import strings, text_constant

    if dtype is STRING or strings(value) is not None:
        return value if isinstance(value, Tensor) and value.dtype is STRING else text_constant(value, name)
    if dtype is None and preferred_dtype is not None and not has_tensor(value):
        try:
            return convert(value, preferred_dtype, name)
        except DTypeError:
            pass
    return convert(value, dtype, name)


_TENSORFLOWS = {"float": F32, "double": F64, "half": F16}  # where NumPy means other types by these words


def as_dtype_checked(value: Any) -> DType:
    """A dtype from what the user gives for one; DTypeError with the user's line."""
    if value is STRING or (isinstance(value, str) and value == "string"):
        raise DTypeError("flowc computes with numbers only: strings are constants, for tf.summary.text", location=user_location())
    try:
        return _TENSORFLOWS.get(value) or as_dtype(value) if isinstance(value, str) else as_dtype(value)
    except TypeError as error:
        raise DTypeError(str(error), location=user_location()) from None


def graph_of(*values: Any) -> Graph:
    """The graph of the first tensor among values (lists are looked into), else the default graph."""
    for value in values:
        if isinstance(value, list | tuple):
            if has_tensor(value):
                return graph_of(*value)
        elif is_tensor(value):
            return value.graph  # type: ignore[no-any-return]
    return get_default_graph()


# nodes


def emit(op: str, inputs: Sequence[Tensor], name: str | None = None, graph: Graph | None = None, **attrs: Any) -> Tensor:
    """Append a node and give its Tensor. `name` may be an opened scope's (with its slash)."""
    graph = graph or (inputs[0].graph if inputs else get_default_graph())
    return graph.tensor(graph.create(op, [t.node for t in inputs], attrs, name))


def unary(op: str, x: Any, name: str | None, default: str, **attrs: Any) -> Tensor:
    """`op` of one operand."""
    graph = graph_of(x)
    if isinstance(x, Tensor):
        return emit(op, (convert(x),), name or default, graph, **attrs)
    with graph.name_scope(name or default) as scope:
        return emit(op, (convert(x, None, "x", graph),), scope, graph, **attrs)


def function_of_floats(op: str, x: Any, name: str | None, default: str, **attrs: Any) -> Tensor:
    """`op` of one operand, where Python ints count as floats."""
    if not has_tensor(x) and as_array(x).dtype.kind in "iu":
        x = as_array(x, F32)
    return unary(op, x, name, default, **attrs)


def binary(op: str, x: Any, y: Any, name: str) -> Tensor:
    """`op` of two operands of which a weak one takes the other's dtype; its constant is named `<name>/x` or `<name>/y`."""
    graph = graph_of(x, y)
    with graph.name_scope(name) as scope:
        left, right = pair(op, x, y, graph)
        if op == "div" and not left.dtype.is_float:
            left, right = _as_quotient(left), _as_quotient(right)
        if op in ("sub", "squared_difference"):
            check_column_against_row(op, left.node, right.node)
        return emit(op, (left, right), scope, graph)


def pair(op: str, x: Any, y: Any, graph: Graph) -> tuple[Tensor, Tensor]:
    """Two operands as tensors of one dtype where one of them is weak."""
    try:
        if has_tensor(x):
            left = convert(x, None, "x", graph)
            return left, convert(y, None if has_tensor(y) else left.dtype, "y", graph)
        if has_tensor(y):
            right = convert(y, None, "y", graph)
            return convert(x, right.dtype, "x", graph), right
    except DTypeError as error:
        known = x if is_tensor(x) else y
        if error.detail is None and is_tensor(known):
            node = known.as_tensor().node if hasattr(known, "as_tensor") else known.node
            raise DTypeError(f"{op}: {error.what}", f"the other operand is {node.name}: {node.type}", user_location()) from None
        raise
    left_array, right_array = as_array(x), as_array(y)
    if left_array.dtype != right_array.dtype:
        common = as_dtype(np.result_type(left_array, right_array))
        common = F32 if common is F64 and not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray) else common
        return convert(x, common, "x", graph), convert(y, common, "y", graph)
    return convert(x, None, "x", graph), convert(y, None, "y", graph)


def _as_quotient(x: Tensor) -> Tensor:
    """Operands of a true division of ints, in floats: f64 for 32 and 64 bits, as in TensorFlow."""
    return emit("cast", (x,), "Cast", dtype=F64 if x.dtype.size >= 4 else F32) if x.dtype.is_int else x


_MADE_ON_PURPOSE = ("expand_dims", "reshape", "slice", "transpose", "broadcast_to", "constant")


def check_column_against_row(op: str, x: Node, y: Node) -> None:
    """Warn where [n, 1] meets [n]: their difference is [n, n], which in a loss is hardly ever meant."""
    if is_column_against_row(x, y):
        warn(
            f"{op}: {x.name} of shape {_shape_text(x.tensor)} against {y.name} of shape {_shape_text(y.tensor)} broadcasts to a matrix of "
            "all pairs, which is hardly ever meant in a loss: give both the same shape, with tf.squeeze or tf.reshape"
        )


def is_column_against_row(x: Node, y: Node) -> bool:
    """Whether one operand is [n, 1] and the other [n], and neither was brought into its shape on purpose."""
    left, right = x.tensor.shape, y.tensor.shape
    if left is None or right is None:
        return False
    if len(left) < len(right):
        x, y, left, right = y, x, right, left
    if len(left) != 2 or len(right) != 1 or left[1] != 1 or left[0] == 1 or right[0] == 1:
        return False
    if isinstance(left[0], int) and isinstance(right[0], int) and left[0] != right[0]:
        return False
    return x.op.name not in _MADE_ON_PURPOSE and y.op.name not in _MADE_ON_PURPOSE


def _shape_text(type: TensorType) -> str:
    return f"[{', '.join(map(str, type.shape or ()))}]"


# shapes


def refined_shape(x: Tensor, shape: Any) -> Shape | None:
    """x's shape with what `shape` (None for unknown extents) adds. ShapeError where they contradict."""
    wanted = TensorShape(shape).extents
    if wanted is None:
        return x.dims
    if x.dims is None:
        return tuple(x.graph.fresh_symbol("n") if d is None else d for d in wanted)
    pairs = list(zip(x.dims, wanted, strict=False))
    if len(x.dims) != len(wanted) or any(isinstance(p, int) and isinstance(q, int) and p != q for p, q in pairs):
        place = ((f"{x.node.name} made at", x.node.loc),)
        raise ShapeError(f"set_shape: shape {x.shape} cannot be {TensorShape(shape)}", repr(x.node), user_location(), place)
    return tuple(q if isinstance(q, int) else p for p, q in pairs)


def declared_shape(graph: Graph, shape: Any) -> Shape | None:
    """A placeholder's shape: each None gets a symbol of its own, and a string names one."""
    if shape is None:
        return None
    if isinstance(shape, TensorShape):
        shape = shape.extents
        if shape is None:
            return None
    if isinstance(shape, int | np.integer | Dimension):
        shape = (shape,)
    dims: list[Dim] = []
    for place, extent in enumerate(shape):
        extent = extent.dim if isinstance(extent, Dimension) else extent
        if extent is None or (isinstance(extent, int) and extent == -1):
            dims.append(graph.fresh_symbol("n" if place else "b"))
        elif isinstance(extent, str) and extent.isidentifier():
            graph.claim_symbol(extent)
            dims.append(Sym.named(extent))
        elif isinstance(extent, Sym):
            dims.append(extent)
        elif isinstance(extent, int | np.integer) and not isinstance(extent, bool) and extent >= 0:
            dims.append(int(extent))
        else:
            raise ShapeError(f"an extent is a whole number or None, not {extent!r}", f"shape {shape!r}", user_location())
    return tuple(dims)
