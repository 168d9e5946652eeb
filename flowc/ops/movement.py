"""Movement: the same elements at other indices. Reshape, transpose, broadcast, concatenation, padding (slices: slicing.py).

    v0: f32[b, 28, 28, 1] = reshape(x, shape=(-1, 28, 28, 1))     # x: f32[b, 784]

Each op's `element` says, for an output index, which operand's element stands there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.errors import ShapeError, UndecidedError
from flowc.ir import dims, loops
from flowc.ir.dims import Dim, Shape, Sym
from flowc.ir.loops import Expr
from flowc.ir.op import REQUIRED
from flowc.ir.types import DType, TensorType
from flowc.ops.constructors import all_have, composite, movement, sum_down
from flowc.ops.inference import normal_axes, normal_axis, one_dtype, shape_text

Index = tuple[Expr, ...]

# reshape and what is a reshape


def _reshape_shape(x: TensorType, shape: Shape) -> Shape | None:
    """`shape` with -1 worked out. Where the extents known so far do not tell whether the sizes are equal, `dims.unify` notes that they
    must be; UndecidedError where -1 cannot be worked out because not even the rank is known."""
    if shape.count(-1) > 1:
        raise ShapeError(f"reshape: {shape_text(shape)} has more than one -1")
    if any(isinstance(d, int) and d < -1 for d in shape):
        raise ShapeError(f"reshape: {shape_text(shape)} has a negative extent")
    if x.shape is None:
        if -1 in shape:
            raise _undecided(f"reshape: the size of {x} is not known yet", None)
        return shape
    misfit = f"reshape: {x} has {x.size} elements, which do not fill {shape_text(shape)}"
    if -1 not in shape:
        if dims.unify(dims.product(shape), x.size) is None:
            raise ShapeError(misfit)
        return shape
    known = dims.product(tuple(d for d in shape if d != -1))
    if known == 0:
        raise ShapeError(f"reshape: -1 in {shape_text(shape)} stands for any extent")
    rest = dims.floordiv(x.size, known)
    if dims.unify(rest * known, x.size) is None:
        raise ShapeError(misfit)
    return tuple(rest if d == -1 else d for d in shape)


def _undecided(what: str, shape: Shape | None, strict_shape: Shape | None = None) -> UndecidedError:
    error = UndecidedError(what)
    error.shape, error.strict_shape = shape, strict_shape
    return error


def flat_index(index: Index, shape: Shape) -> Expr:
    """The place of `index` in row-major order."""
    total = loops.index(0)
    for at, extent in zip(index, shape, strict=True):
        total = total * loops.extent(extent) + at
    return total


def unflatten(flat: Expr, shape: Shape) -> Index:
    """The index that stands at the place `flat`."""
    found: list[Expr] = []
    for place, extent in reversed(list(enumerate(shape))):
        found.append(flat % loops.extent(extent) if place else flat)
        flat = flat // loops.extent(extent)
    return tuple(reversed(found))


def _reshape_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    return at(0, unflatten(flat_index(index, result.dims), types[0].dims))  # type: ignore[no-any-return]


reshape = movement(
    "reshape", attrs={"shape": REQUIRED}, shape=_reshape_shape, rank_free=True, pure_view=True,
    eval=lambda x, shape: np.reshape(x, shape),
    vjp=lambda e, x, y, ct, shape: e.reshape_like(ct, x),
    element=_reshape_element,
    rows=all_have,
    doc="The same elements in the same order in another shape; one extent may be -1, which is then worked out.",
)  # fmt: skip


def _expand_dims_shape(x: TensorType, axis: Any) -> Shape:
    axes = normal_axes("expand_dims", axis, x.rank + len(axis))
    rest = iter(x.dims)
    return tuple(1 if i in axes else next(rest) for i in range(x.rank + len(axis)))


def _expand_dims_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    axes = normal_axes("expand_dims", attrs["axis"], result.rank)
    return at(0, tuple(i for place, i in enumerate(index) if place not in axes))  # type: ignore[no-any-return]


expand_dims = movement(
    "expand_dims", title="ExpandDims", attrs={"axis": REQUIRED}, shape=_expand_dims_shape, pure_view=True, free=True,
    eval=lambda x, axis: np.expand_dims(x, axis),
    vjp=lambda e, x, y, ct, axis: e.reshape_like(ct, x),
    element=_expand_dims_element,
    rows=all_have,
    doc="New axes of extent 1; `axis` is a tuple that counts the result's axes.",
)  # fmt: skip


def _squeezed(x: TensorType, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(i for i, d in enumerate(x.dims) if d == 1)
    axes = normal_axes("squeeze", axis, x.rank)
    for a in axes:
        if isinstance(x.dims[a], int) and x.dims[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of shape {shape_text(x.shape)} is not 1")
    return axes


def _squeeze_shape(x: TensorType, axis: Any) -> Shape:
    axes = _squeezed(x, axis)
    shape = tuple(d for i, d in enumerate(x.dims) if i not in axes)
    if axis is None and any(isinstance(d, Sym) for d in x.dims):
        raise _undecided(f"squeeze: which extents of {x} are 1 is not known yet", None, strict_shape=shape)
    for a in axes:
        dims.unify(x.dims[a], 1)
    return shape


def _squeeze_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    axes = _squeezed(types[0], attrs["axis"])
    rest = iter(index)
    return at(0, tuple(loops.index(0) if i in axes else next(rest) for i in range(types[0].rank)))  # type: ignore[no-any-return]


squeeze = movement(
    "squeeze", title="Squeeze", attrs={"axis": None}, shape=_squeeze_shape, pure_view=True, free=True,
    eval=lambda x, axis: np.squeeze(x, axis),
    vjp=lambda e, x, y, ct, axis: e.reshape_like(ct, x),
    element=_squeeze_element,
    rows=all_have,
    doc="x without axes of extent 1: the given ones, or all.",
)  # fmt: skip

# transpose, reverse


def _permutation(x: TensorType, perm: Any) -> tuple[int, ...]:
    if perm is None:
        return tuple(reversed(range(x.rank)))
    if sorted(perm) != list(range(x.rank)):
        raise ShapeError(f"transpose: {tuple(perm)} is not a permutation of the axes of {shape_text(x.shape)}")
    return tuple(perm)


def _transpose_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    perm = _permutation(types[0], attrs["perm"])
    return at(0, tuple(index[perm.index(axis)] for axis in range(len(perm))))  # type: ignore[no-any-return]


transpose = movement(
    "transpose", title="transpose", attrs={"perm": None},
    shape=lambda x, perm: tuple(x.dims[p] for p in _permutation(x, perm)),
    eval=lambda x, perm: np.transpose(x, perm),
    vjp=lambda e, x, y, ct, perm: e.transpose(ct, perm=None if perm is None else tuple(perm.index(a) for a in range(len(perm)))),
    element=_transpose_element,
    rows=lambda has, x, perm: has[0] and perm[0] == 0,
    doc="Axes in another order: the result's axis i is x's axis perm[i] (None: the reverse order).",
)  # fmt: skip


def _reverse_shape(x: TensorType, axis: Any) -> Shape:
    normal_axes("reverse", axis, x.rank)
    return x.dims


def _reverse_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    axes = normal_axes("reverse", attrs["axis"], result.rank)
    return at(0, tuple(loops.extent(result.dims[i]) - 1 - k if i in axes else k for i, k in enumerate(index)))  # type: ignore[no-any-return]


reverse = movement(
    "reverse", title="ReverseV2", attrs={"axis": None}, shape=_reverse_shape,
    eval=lambda x, axis: np.flip(x, axis),
    vjp=lambda e, x, y, ct, axis: e.reverse(ct, axis=axis),
    element=_reverse_element,
    rows=lambda has, x, axis: has[0] and 0 not in normal_axes("reverse", axis, x.rank),
    doc="Elements in reverse order along axes.",
)  # fmt: skip

# broadcast, tile


def check_broadcast(name: str, x: Shape, target: Shape) -> None:
    """ShapeError where `x` cannot broadcast to `target`."""
    fits = len(x) <= len(target)
    for d, t in zip(reversed(x), reversed(target), strict=False):
        fits = fits and (d == 1 or dims.unify(d, t) is not None)
    if not fits:
        raise ShapeError(f"{name}: shape {shape_text(x)} does not broadcast to {shape_text(target)}")


def _broadcast_to_shape(x: TensorType, shape: Shape) -> Shape:
    if x.shape is not None:
        check_broadcast("broadcast_to", x.dims, shape)
    return shape


def _broadcast_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    source: Shape = types[0].dims
    tail = index[len(index) - len(source) :]
    return at(0, tuple(loops.index(0) if d == 1 else i for d, i in zip(source, tail, strict=True)))  # type: ignore[no-any-return]


broadcast_to = movement(
    "broadcast_to", title="BroadcastTo", attrs={"shape": REQUIRED}, shape=_broadcast_to_shape, rank_free=True, free=True, repeats=True,
    eval=lambda x, shape: np.array(np.broadcast_to(x, shape)),
    vjp=lambda e, x, y, ct, shape: sum_down(e, ct, x),
    element=_broadcast_element,
    rows=lambda has, x, shape: x.rank == len(shape) if has[0] else x.rank < len(shape) or x.dims[0] == 1,
    doc="x repeated along its axes of extent 1 and along new leading axes until it has `shape`, as NumPy broadcasts.",
)  # fmt: skip


def _tile_shape(x: TensorType, multiples: Shape) -> Shape:
    if len(multiples) != x.rank or any(isinstance(m, int) and m < 0 for m in multiples):
        raise ShapeError(f"tile: multiples {shape_text(multiples)} for shape {shape_text(x.shape)}: one per axis is expected, 0 or more")
    return tuple(d * m for d, m in zip(x.dims, multiples, strict=True))


def _tile_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    pairs = zip(index, types[0].dims, attrs["multiples"], strict=True)
    return at(0, tuple(i if m == 1 else i % loops.extent(d) for i, d, m in pairs))  # type: ignore[no-any-return]


tile = movement(
    "tile", title="Tile", attrs={"multiples": REQUIRED}, shape=_tile_shape, repeats=True,
    eval=lambda x, multiples: np.tile(x, multiples),
    vjp=lambda e, x, y, ct, multiples: e.tile_grad(ct, x, multiples=multiples),
    element=_tile_element,
    rows=lambda has, x, multiples: has[0] and multiples[0] == 1,
    doc="x repeated multiples[i] times along axis i.",
)  # fmt: skip


def _folded(like: Shape, multiples: Shape) -> tuple[Shape, tuple[int, ...]]:
    """The shape that sets the repetitions on axes of their own, and those axes."""
    shape = tuple(d for pair in zip(multiples, like, strict=True) for d in pair)
    return shape, tuple(range(0, len(shape), 2))


def _tile_grad_expand(e: Any, ct: Any, like: Any, multiples: Shape) -> Any:
    shape, axes = _folded(like.dims, multiples)
    return e.reduce_sum(e.reshape(ct, shape=shape), axis=axes)


def _tile_grad(ct: Any, like: Any, multiples: Any) -> Any:
    shape, axes = _folded(like.shape, multiples)
    return ct.reshape(shape).sum(axis=axes, dtype=ct.dtype)


tile_grad = composite(
    "tile_grad", operands=("ct", "like"), attrs={"multiples": REQUIRED}, like=(1,), rank_free=True,
    shape=lambda ct, like, multiples: like.shape,
    eval=_tile_grad,
    vjp=lambda e, ct, like, y, g, multiples: (e.tile(g, multiples=multiples), None),
    expand=_tile_grad_expand,
    doc="The gradient of tile: the sum over all repetitions.",
)  # fmt: skip

# pad


def _pad_shape(x: TensorType, paddings: Any, value: float) -> Shape:
    if len(paddings) != x.rank:
        raise ShapeError(f"pad: {len(paddings)} pairs of paddings for shape {shape_text(x.shape)}: one pair per axis is expected")
    if any(isinstance(p, int) and p < 0 for pair in paddings for p in pair):
        raise ShapeError(f"pad: paddings {tuple(paddings)} hold a negative number")
    return tuple(before + d + after for d, (before, after) in zip(x.dims, paddings, strict=True))


def _pad_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    inside: Expr | None = None
    place: list[Expr] = []
    for i, d, (before, after) in zip(index, types[0].dims, attrs["paddings"], strict=True):
        shifted = i - loops.extent(before)
        place.append(shifted)
        if before != 0:
            inside = _both(inside, shifted >= 0)
        if after != 0:
            inside = _both(inside, shifted < loops.extent(d))
    element = at(0, tuple(place))
    return element if inside is None else loops.select(inside, element, attrs["value"])


def _both(left: Expr | None, right: Expr) -> Expr:
    return right if left is None else left & right


def _pad_vjp(e: Any, x: Any, y: Any, ct: Any, paddings: Any, value: float) -> Any:
    begin = tuple(before for before, _ in paddings)
    end = tuple(None if after == 0 else -1 * after for _, after in paddings)
    return e.reshape_like(e.slice(ct, begin=begin, end=end, stride=(1,) * len(paddings)), x)


pad = movement(
    "pad", title="Pad", attrs={"paddings": REQUIRED, "value": 0.0}, shape=_pad_shape, guarded=True,
    eval=lambda x, paddings, value: np.pad(x, paddings, constant_values=value) if x.ndim else x,
    vjp=_pad_vjp,
    element=_pad_element,
    rows=lambda has, x, paddings, value: has[0] and tuple(paddings[0]) == (0, 0),
    doc="x with `value` set before and after it along each axis.",
)  # fmt: skip

# concat, stack


def _concat_dtype(*xs: TensorType, **attrs: Any) -> DType:
    return one_dtype("concat", xs)


def _concat_shape(*xs: TensorType, axis: int) -> Shape:
    if any(x.rank != xs[0].rank for x in xs):
        raise _unlike("concat", xs, axis)
    place = normal_axis("concat", axis, xs[0].rank)
    total: list[Dim] = list(xs[0].dims)
    for x in xs[1:]:
        for i, d in enumerate(x.dims):
            both = total[i] + d if i == place else dims.unify(total[i], d)
            if both is None:
                raise _unlike("concat", xs, axis)
            total[i] = both
    return tuple(total)


def _unlike(name: str, xs: tuple[TensorType, ...], axis: int) -> ShapeError:
    shapes = ", ".join(shape_text(x.shape) for x in xs)
    return ShapeError(f"{name}: shapes {shapes} differ{' in more than axis ' + str(axis) if name == 'concat' else ''}")


def _concat_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    place = normal_axis("concat", attrs["axis"], result.rank)
    starts: list[Dim] = [0]
    for x in types[:-1]:
        starts.append(starts[-1] + x.dims[place])
    chosen: Expr | None = None
    for i in reversed(range(len(types))):
        element = at(i, tuple(k - loops.extent(starts[i]) if a == place else k for a, k in enumerate(index)))
        chosen = element if chosen is None else loops.select(index[place] < loops.extent(starts[i + 1]), element, chosen)
    assert chosen is not None
    return chosen


def _concat_vjp(e: Any, *args: Any, axis: int) -> Any:
    xs, ct = args[:-2], args[-1]
    return tuple(e.concat_part(ct, *xs, part=i, axis=axis) for i in range(len(xs)))


concat = movement(
    "concat", title="concat", operands=("*xs",), attrs={"axis": REQUIRED}, dtype=_concat_dtype, shape=_concat_shape, guarded=True,
    eval=lambda *xs, axis: np.concatenate(xs, axis),
    vjp=_concat_vjp,
    element=_concat_element,
    rows=lambda has, *xs, axis: all(has) and normal_axis("concat", axis, xs[0].rank) != 0,
    doc="Arrays one after the other along an axis.",
)  # fmt: skip


def _part_bounds(extents: list[Dim], part: int) -> tuple[Dim, Dim]:
    begin: Dim = 0
    for extent in extents[:part]:
        begin = begin + extent
    return begin, begin + extents[part]


def _concat_part_expand(e: Any, ct: Any, *xs: Any, part: int, axis: int) -> Any:
    place = normal_axis("concat", axis, len(ct.dims))
    begin, end = _part_bounds([x.dims[place] for x in xs], part)
    piece = e.slice(ct, begin=(None,) * place + (begin,), end=(None,) * place + (end,), stride=(1,) * (place + 1))
    return e.reshape_like(piece, xs[part])


def _concat_part(ct: Any, *xs: Any, part: int, axis: int) -> Any:
    begin, end = _part_bounds([x.shape[axis] for x in xs], part)
    return np.take(ct, np.arange(int(begin), int(end)), axis)  # type: ignore[arg-type]


def _concat_part_vjp(e: Any, ct: Any, *args: Any, part: int, axis: int) -> Any:
    xs, g = args[:-2], args[-1]
    parts = [g if i == part else e.zeros_like(x) for i, x in enumerate(xs)]
    return (e.concat(*parts, axis=axis), *(None for _ in xs))


concat_part = composite(
    "concat_part", operands=("ct", "*xs"), attrs={"part": REQUIRED, "axis": REQUIRED}, like=(1,), rank_free=True,
    shape=lambda ct, *xs, part, axis: xs[part].shape,
    eval=_concat_part,
    vjp=_concat_part_vjp,
    expand=_concat_part_expand,
    doc="The gradient of concat to its operand number `part`: that part of ct. Of xs, only the shapes matter.",
)  # fmt: skip


def _stack_dtype(*xs: TensorType, **attrs: Any) -> DType:
    return one_dtype("stack", xs)


def _stack_shape(*xs: TensorType, axis: int) -> Shape:
    place = normal_axis("stack", axis, xs[0].rank + 1)
    total: list[Dim] = list(xs[0].dims)
    for x in xs[1:]:
        found = [dims.unify(p, q) for p, q in zip(total, x.dims, strict=False)]
        if x.rank != len(total) or None in found:
            raise _unlike("stack", xs, axis)
        total = [d for d in found if d is not None]
    return (*total[:place], len(xs), *total[place:])


def _stack_element(at: Any, index: Index, types: Any, result: TensorType, attrs: Any) -> Expr:
    place = normal_axis("stack", attrs["axis"], result.rank)
    inner = index[:place] + index[place + 1 :]
    chosen: Expr = at(len(types) - 1, inner)
    for i in reversed(range(len(types) - 1)):
        chosen = loops.select(index[place].eq(i), at(i, inner), chosen)
    return chosen


def _stack_vjp(e: Any, *args: Any, axis: int) -> Any:
    xs, ct = args[:-2], args[-1]
    if axis < 0 and ct.shape is None:
        return tuple(e.gather(ct, e.constant(np.int32(i)), axis=axis) for i in range(len(xs)))
    whole = (None,) * (axis if axis >= 0 else axis + len(ct.shape))
    stride = (1,) * (len(whole) + 1)
    return tuple(e.reshape_like(e.slice(ct, begin=(*whole, i), end=(*whole, i + 1), stride=stride), x) for i, x in enumerate(xs))


stack = movement(
    "stack", title="stack", operands=("*xs",), attrs={"axis": 0}, dtype=_stack_dtype, shape=_stack_shape, guarded=True,
    eval=lambda *xs, axis: np.stack(xs, axis),
    vjp=_stack_vjp,
    element=_stack_element,
    doc="Arrays of one shape side by side along a new axis.",
)  # fmt: skip

