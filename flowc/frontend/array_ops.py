"""TensorFlow 1's functions that make, reshape, join and pick: constants, placeholders, reshape, concat, gather, where, ...

    x = tf.placeholder(tf.float32, [None, 784]);  tf.reshape(x, [-1, 28, 28, 1])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc.errors import DTypeError, ShapeError, user_location
from flowc.frontend.convert import as_array, as_dtype_checked, binary, convert, declared_shape, emit, graph_of, pair, refined_shape, unary
from flowc.frontend.scope import get_default_graph
from flowc.frontend.shape import Dimension, TensorShape
from flowc.frontend.static import extents, integers, shape_source
from flowc.frontend.strings import strings, text_constant
from flowc.frontend.tensor import Tensor
from flowc.ir.dims import Dim, product
from flowc.ir.node import Value
from flowc.ir.types import BOOL, F32, I32, TensorType, as_dtype
from flowc.ops.summary import STRING

# sources

_SMALL = 1024  # elements up to which zeros and ones are a constant array rather than a scalar that is spread


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """A value that each run is fed. shape: None for any rank; None in it for any extent."""
    graph = get_default_graph()
    attrs = {"dtype": as_dtype_checked(dtype), "shape": declared_shape(graph, shape)}
    return graph.tensor(graph.create("placeholder", (), attrs, name or "Placeholder"))


def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """A tensor that can be fed, and is `input` where it is not. Its shape is `input`'s as far as it is known."""
    value = unary("identity", input, name, "PlaceholderWithDefault")
    if shape is not None:
        dims = declared_shape(value.graph, shape)
        refined_shape(value, TensorShape(shape))
        value.node.type = TensorType(value.dtype, dims)
    else:
        value.node.type = TensorType(value.dtype, None)
    return value


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = "Const", verify_shape: bool = False) -> Tensor:
    """A constant array. shape: the value is repeated (from its last element on) to fill it, as in TensorFlow. Strings can be constants, too."""
    graph = get_default_graph()
    if shape is None and (dtype is STRING or strings(value) is not None):
        return text_constant(value, name)
    array = as_array(value, None if dtype is None else as_dtype_checked(dtype))
    if shape is not None:
        wanted = tuple(integers(shape, "constant: shape"))
        size = int(np.prod(wanted))
        if array.size > size or (verify_shape and array.shape != wanted):
            raise ShapeError(f"constant: a value of shape {list(array.shape)} for shape {list(wanted)}", location=user_location())
        flat = array.reshape(-1)
        fill = flat[-1:] if flat.size else np.zeros(1, array.dtype)
        array = np.concatenate([flat, np.repeat(fill, size - flat.size)]).reshape(wanted)
    return graph.tensor(graph.create("constant", (), {"value": Value(array)}, name or "Const"))


def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """An array of the shape `dims` with `value` everywhere."""
    graph = graph_of(dims, value)
    with graph.name_scope(name or "Fill") as scope:
        scalar = convert(value, None, "value", graph)
        return filled(scalar, dims, scope)


def filled(scalar: Tensor, shape: Any, name: str) -> Tensor:
    """A scalar spread over a shape, which may be `tf.shape(x)` of a value of unknown rank."""
    source = shape_source(shape)
    if source is not None:
        return emit("broadcast_like", (scalar, scalar.graph.tensor(source)), name)
    return emit("broadcast_to", (scalar,), name, shape=extents(shape, "the shape"))


def _of_one_value(value: int, title: str, shape: Any, dtype: Any, name: str | None) -> Tensor:
    kind = as_dtype_checked(dtype)
    graph = graph_of(shape)
    source = shape_source(shape)
    if source is None:
        dims = extents(shape, f"{title}: the shape")
        known = tuple(d for d in dims if isinstance(d, int))
        if len(known) == len(dims) and math.prod(known) <= _SMALL:
            array = np.full(known, value, kind.numpy)
            return graph.tensor(graph.create("constant", (), {"value": Value(array)}, name or title))
    with graph.name_scope(name or title) as scope:
        return filled(convert(np.asarray(value, kind.numpy), kind, "Const", graph), shape, scope)


def zeros(shape: Any, dtype: Any = F32, name: str | None = None) -> Tensor:
    """Zeros."""
    return _of_one_value(0, "zeros", shape, dtype, name)


def ones(shape: Any, dtype: Any = F32, name: str | None = None) -> Tensor:
    """Ones."""
    return _of_one_value(1, "ones", shape, dtype, name)


def zeros_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Zeros in the shape of `tensor`."""
    return _like("zeros_like", tensor, dtype, name)


def ones_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Ones in the shape of `tensor`."""
    return _like("ones_like", tensor, dtype, name)


def _like(op: str, tensor: Any, dtype: Any, name: str | None) -> Tensor:
    with graph_of(tensor).name_scope(name or op) as scope:
        value = convert(tensor, None, "tensor")
        wanted = value.dtype if dtype is None else as_dtype_checked(dtype)
        if wanted is value.dtype:
            return emit(op, (value,), scope)
        return emit("cast", (emit(op, (value,)),), scope, dtype=wanted)


def eye(num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = F32, name: str | None = None) -> Tensor:
    """The identity matrix [num_rows, num_columns]."""
    rows = extents(num_rows, "eye")[0]
    columns = rows if num_columns is None else extents(num_columns, "eye")[0]
    graph = get_default_graph()
    with graph.name_scope(name or "eye") as scope:
        down = emit("iota", (), "rows", graph, shape=(rows, columns), axis=0)
        across = emit("iota", (), "columns", graph, shape=(rows, columns), axis=1)
        return emit("cast", (emit("equal", (down, across)),), scope, dtype=as_dtype_checked(dtype))


def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = "range") -> Tensor:
    """The numbers from `start` (0 where only one is given) up to below `limit`, `delta` apart. A limit may be an extent such as tf.shape(x)[0]."""
    first, last = (0, start) if limit is None else (start, limit)
    graph = graph_of(first, last, delta)
    given = [as_array(v) for v in (first, last, delta) if isinstance(v, int | float | np.ndarray | np.generic)]
    if any(v.dtype.kind == "f" for v in given):
        kind = as_dtype_checked(dtype) if dtype is not None else as_dtype(np.result_type(*given))
        values = np.arange(float(first), float(last), float(delta)).astype(kind.numpy)
        return graph.tensor(graph.create("constant", (), {"value": Value(values)}, name))
    low, high, step = (extents(v, "range")[0] for v in (first, last, delta))
    kind = I32 if dtype is None else as_dtype_checked(dtype)
    if all(isinstance(v, int) for v in (low, high, step)):
        values = np.arange(int(low), int(high), int(step)).astype(kind.numpy)  # type: ignore[arg-type]
        return graph.tensor(graph.create("constant", (), {"value": Value(values)}, name))
    if low != 0 or step != 1:
        raise ShapeError("range: with an extent that is not known yet, start must be 0 and delta 1", location=user_location())
    return emit("iota", (), name, graph, shape=(high,), axis=0, dtype=kind)


def linspace(start: float, stop: float, num: int, name: str | None = None) -> Tensor:
    """`num` evenly spaced numbers from start to stop, both included."""
    return constant(np.linspace(start, stop, num).astype(np.float32), name=name or "LinSpace")


# shapes as values


def shape(input: Any, name: str | None = None, out_type: Any = I32) -> Tensor:
    """The extents as a vector of ints."""
    return unary("shape_of", input, name, "Shape", dtype=as_dtype_checked(out_type))


def size(input: Any, name: str | None = None, out_type: Any = I32) -> Tensor:
    """The number of elements."""
    return unary("size_of", input, name, "Size", axis=None, dtype=as_dtype_checked(out_type))


def rank(input: Any, name: str | None = None) -> Tensor:
    """The number of axes; ShapeError where it is not known when the graph is built."""
    value = convert(input)
    if value.dims is None:
        raise ShapeError("rank: it is not known when the graph is built", repr(value.node), user_location())
    return constant(len(value.dims), I32, name=name or "Rank")


def shape_argument_of(dims: Sequence[Dim]) -> Dim:
    """The number of elements that extents hold."""
    return product(tuple(dims))


# the same elements in another shape


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """The same elements in another shape; one extent may be -1. The shape may hold tensors such as tf.shape(x)[0]."""
    graph = graph_of(tensor, shape)
    with graph.name_scope(name or "Reshape") as scope:
        value = convert(tensor, None, "tensor", graph)
        source = shape_source(shape)
        if source is not None and source.tensor.shape is None:
            return emit("reshape_like", (value, graph.tensor(source)), scope)
        wanted = [-1 if isinstance(d, Dimension) and d.dim is None else d for d in shape] if isinstance(shape, list | tuple) else shape
        return emit("reshape", (value,), scope, shape=extents(wanted, "reshape: the shape"))


def transpose(a: Any, perm: Any = None, name: str | None = "transpose", conjugate: bool = False) -> Tensor:
    """Axes in another order: the result's axis i is a's axis perm[i]; reversed without perm."""
    order = None if perm is None else tuple(integers(perm, "transpose: perm"))
    return unary("transpose", a, name, "transpose", perm=order)


def matrix_transpose(a: Any, name: str | None = "matrix_transpose") -> Tensor:
    """The last two axes swapped."""
    value = convert(a)
    if value.dims is None or len(value.dims) < 2:
        raise ShapeError("matrix_transpose: a known rank of at least 2 is needed", repr(value.node), user_location())
    axes = list(range(len(value.dims)))
    return transpose(value, [*axes[:-2], axes[-1], axes[-2]], name or "matrix_transpose")


def _one_axis(axis: Any, dim: Any, what: str) -> Any:
    chosen = axis if axis is not None else dim
    return None if chosen is None else tuple(integers(chosen, f"{what}: the axis"))


def expand_dims(input: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """A new axis of extent 1 at `axis`."""
    axes = _one_axis(axis, dim, "expand_dims")
    if axes is None:
        raise ShapeError("expand_dims: an axis is needed", location=user_location())
    return unary("expand_dims", input, name, "ExpandDims", axis=axes)


def squeeze(input: Any, axis: Any = None, name: str | None = None, squeeze_dims: Any = None) -> Tensor:
    """Without axes of extent 1: the given ones, or all."""
    return unary("squeeze", input, name, "Squeeze", axis=_one_axis(axis, squeeze_dims, "squeeze"))


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """Repeated along new axes and those of extent 1, until it has `shape`."""
    with graph_of(input, shape).name_scope(name or "BroadcastTo") as scope:
        return filled(convert(input, None, "input"), shape, scope)


def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """Repeated multiples[i] times along axis i."""
    return unary("tile", input, name, "Tile", multiples=extents(multiples, "tile: multiples"))


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Tensor:
    """In reverse order along axes."""
    return unary("reverse", tensor, name, "ReverseV2", axis=tuple(integers(axis, "reverse: the axis")))


def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", name: str | None = None, constant_values: float = 0) -> Tensor:
    """With paddings[i] = [before, after] elements of `constant_values` around axis i. mode: CONSTANT, REFLECT or SYMMETRIC."""
    flat = extents([e for row in paddings for e in row] if isinstance(paddings, list | tuple) else paddings, "pad: paddings")
    pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
    if mode.upper() == "CONSTANT":
        return unary("pad", tensor, name, "Pad", paddings=pairs, value=float(constant_values))
    return _mirrored(tensor, pairs, mode.upper(), name)


def _mirrored(tensor: Any, pairs: Any, mode: str, name: str | None) -> Tensor:
    if mode not in ("REFLECT", "SYMMETRIC"):
        raise ShapeError(f"pad: mode {mode!r} is none of CONSTANT, REFLECT, SYMMETRIC", location=user_location())
    skip = 1 if mode == "REFLECT" else 0
    value = convert(tensor)
    with value.graph.name_scope(name or "MirrorPad"):
        for axis, (before, after) in enumerate(pairs):
            before, after = int(before), int(after)
            parts = [value]
            if before:
                parts.insert(0, reverse(_part(value, axis, skip, before + skip), [axis]))
            if after:
                parts.append(reverse(_part(value, axis, -after - skip, -skip or None), [axis]))
            value = concat(parts, axis) if len(parts) > 1 else value
    return value


def _part(value: Tensor, axis: int, begin: int, end: int | None) -> Tensor:
    return value[(slice(None),) * axis + (slice(begin, end),)]


# joining and splitting


def concat(values: Any, axis: Any, name: str | None = "concat") -> Tensor:
    """Tensors one after the other along an axis. The older order (axis first) is understood too."""
    if isinstance(values, int) and not isinstance(axis, int):
        values, axis = axis, values
    items = list(values) if isinstance(values, list | tuple) else [values]
    place = integers(axis, "concat: the axis")[0]
    graph = graph_of(*items)
    with graph.name_scope(name or "concat") as scope:
        tensors = _of_one_dtype(items, graph)
        return emit("identity", tensors, scope) if len(tensors) == 1 else emit("concat", tensors, scope, graph, axis=place)


def _of_one_dtype(items: list[Any], graph: Any) -> list[Tensor]:
    first = next((convert(i) for i in items if hasattr(i, "graph")), None)
    return [convert(i, None if first is None or hasattr(i, "graph") else first.dtype, f"values_{n}", graph) for n, i in enumerate(items)]


def stack(values: Any, axis: int = 0, name: str | None = "stack") -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    items = list(values)
    if items and axis == 0 and strings(items) is not None:
        return text_constant(items, name or "stack")
    if not items:
        raise ShapeError("stack of no tensors", location=user_location())
    graph = graph_of(*items)
    with graph.name_scope(name or "stack") as scope:
        return emit("stack", _of_one_dtype(items, graph), scope, graph, axis=int(axis))


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str | None = "unstack") -> list[Tensor]:
    """The parts along an axis, each without it. `num` is needed where the extent is not known."""
    tensor = convert(value)
    count = num
    if count is None:
        if tensor.dims is None or not isinstance(tensor.dims[axis], int):
            raise ShapeError("unstack: the extent along the axis is not known; pass num", repr(tensor.node), user_location())
        count = int(tensor.dims[axis])  # type: ignore[arg-type]
    place = axis if axis >= 0 else len(tensor.dims or ()) + axis
    with tensor.graph.name_scope(name or "unstack"):
        return [tensor[(slice(None),) * place + (i,)] for i in range(count)]


def split(value: Any, num_or_size_splits: Any, axis: Any = 0, num: Any = None, name: str = "split") -> list[Tensor]:
    """Equal parts along an axis (a number), or parts of the given sizes (a list)."""
    tensor = convert(value)
    place = integers(axis, "split: the axis")[0]
    if tensor.dims is None:
        raise ShapeError("split: the rank must be known", repr(tensor.node), user_location())
    place %= len(tensor.dims)
    extent = tensor.dims[place]
    if isinstance(num_or_size_splits, int):
        if isinstance(extent, int) and extent % num_or_size_splits:
            raise ShapeError(f"split: an extent of {extent} does not divide into {num_or_size_splits} parts", repr(tensor.node), user_location())
        sizes: list[Dim] = [extent // num_or_size_splits] * num_or_size_splits
    else:
        sizes = list(extents(num_or_size_splits, "split: the sizes"))
        total: Dim = sum((s for s in sizes if s != -1), start=0)
        sizes = [extent - total if s == -1 else s for s in sizes]
        total = sum(sizes, start=0)
        if isinstance(total, int) and isinstance(extent, int) and total != extent:
            raise ShapeError(f"split: sizes {sizes} do not add up to {extent}", repr(tensor.node), user_location())
    parts: list[Tensor] = []
    start: Dim = 0
    with tensor.graph.name_scope(name):
        for length in sizes:
            begin = (None,) * place + (start,)
            end = (None,) * place + (start + length,)
            parts.append(emit("slice", (tensor,), "split", begin=begin, end=end, stride=(1,) * (place + 1)))
            start = start + length
    return parts


# picking


def gather(params: Any, indices: Any, validate_indices: Any = None, name: str | None = None, axis: Any = 0) -> Tensor:
    """The slices of `params` along `axis` that `indices` (ints of any shape) name."""
    graph = graph_of(params, indices)
    with graph.name_scope(name or "Gather") as scope:
        source = convert(params, None, "params", graph)
        places = convert(indices, None, "indices", graph)
        return emit("gather", (source, places), scope, axis=integers(axis, "gather: the axis")[0])


def gather_nd(params: Any, indices: Any, name: str | None = None) -> Tensor:
    """Elements (or slices) of `params` at the index vectors in the last axis of `indices`, whose extent must be known."""
    graph = graph_of(params, indices)
    with graph.name_scope(name or "GatherNd"):
        source, places = convert(params, None, "params", graph), convert(indices, None, "indices", graph)
        if source.dims is None or places.dims is None or not isinstance(places.dims[-1], int):
            raise ShapeError("gather_nd: the rank of params and the last extent of indices must be known", repr(places.node), user_location())
        depth = int(places.dims[-1])
        flat = reshape(source, [-1, *source.dims[depth:]])
        position: Any = None
        for axis in range(depth):
            column = places[..., axis]
            extent = convert(Dimension(source.dims[axis]), places.dtype)
            position = column if position is None else position * extent + column
        return gather(flat, position)


def one_hot(
    indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: Any = None, dtype: Any = None, name: str | None = None
) -> Tensor:
    """`on_value` (1) at each index and `off_value` (0) elsewhere, along a new axis (the last one) of extent `depth`."""
    kind = as_dtype_checked(dtype) if dtype is not None else F32 if on_value is None and off_value is None else as_dtype(as_array(on_value or off_value).dtype)
    on, off = 1 if on_value is None else on_value, 0 if off_value is None else off_value
    length = integers(depth, "one_hot: depth")[0]
    return unary("one_hot", indices, name, "one_hot", depth=length, on=_number(on), off=_number(off), axis=-1 if axis is None else int(axis), dtype=kind)


def _number(value: Any) -> float:
    array = as_array(value)
    if array.ndim:
        raise DTypeError(f"one_hot: {value!r} is not one number", location=user_location())
    return float(array)


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """x where the condition holds, else y. A vector condition chooses whole rows of x and y, as in TensorFlow."""
    if x is None or y is None:
        raise ShapeError(
            "where with a condition only (the places where it holds) has a shape that depends on the values: not supported",
            "use tf.where(condition, x, y), or a mask", user_location(),
        )  # fmt: skip
    graph = graph_of(condition, x, y)
    with graph.name_scope(name or "Select") as scope:
        test = convert(condition, BOOL, "condition", graph)
        left, right = pair("where", x, y, graph)
        rank = None if left.dims is None else len(left.dims)
        if rank is not None and rank > 1 and test.dims is not None and len(test.dims) == 1:
            test = emit("expand_dims", (test,), axis=tuple(range(1, rank)))
        return emit("where", (test, left, right), scope, graph)


select = where


def boolean_mask(*arguments: Any, **options: Any) -> Any:
    """Not supported: its shape depends on the values. ShapeError with the user's line."""
    raise ShapeError("boolean_mask has a shape that depends on the values: not supported", "use tf.where or multiply by the mask", user_location())


def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = BOOL, name: str | None = None) -> Tensor:
    """For each length, a row that is true at the first `length` of `maxlen` places."""
    if maxlen is None:
        raise ShapeError("sequence_mask: maxlen is needed", location=user_location())
    with graph_of(lengths).name_scope(name or "SequenceMask") as scope:
        counts = convert(lengths)
        row = emit("iota", (), None, counts.graph, shape=(extents(maxlen, "sequence_mask")[0],), axis=0, dtype=counts.dtype)
        mask = binary("less", row, expand_dims(counts, -1), "Less")
        return emit("cast", (mask,), scope, dtype=as_dtype_checked(dtype))


def diag_part(input: Any, name: str | None = None) -> Tensor:
    """The diagonal of a square matrix."""
    value = convert(input)
    with value.graph.name_scope(name or "DiagPart"):
        dims = value.dims
        if dims is None or len(dims) != 2:
            raise ShapeError("diag_part: a matrix is needed", repr(value.node), user_location())
        return unary("reduce_sum", value * eye(dims[0], dims[1], dtype=value.dtype), None, "Sum", axis=(1,))


def diag(diagonal: Any, name: str | None = None) -> Tensor:
    """The matrix with a vector on its diagonal."""
    value = convert(diagonal)
    with value.graph.name_scope(name or "Diag"):
        if value.dims is None or len(value.dims) != 1:
            raise ShapeError("diag: a vector is needed", repr(value.node), user_location())
        return expand_dims(value, 0) * eye(value.dims[0], dtype=value.dtype)
