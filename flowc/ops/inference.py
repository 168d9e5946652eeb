"""The dtype and shape rules that ops share: from operands' types to the result's, or an error in the user's terms.

    broadcast_shapes("add", (f32[b, 3], f32[3]))  ->  (b, 3)
    broadcast_shapes("add", (f32[b, 3], f32[4]))  ->  ShapeError: add: shapes [b, 3] and [4] do not broadcast
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowc.errors import DTypeError, ShapeError
from flowc.ir import dims
from flowc.ir.dims import Dim, Shape
from flowc.ir.types import ALL, BOOL, FLOATS, INTS, NUMBERS, DType, TensorType

_NOUNS = {FLOATS: "a float", INTS: "an integer", NUMBERS: "a number", (BOOL,): "bool"}


def shape_text(shape: Shape | None) -> str:
    """`[b, 3]`."""
    return "[...]" if shape is None else f"[{', '.join(map(str, shape))}]"


def listed(parts: Sequence[object]) -> str:
    """`a, b and c`."""
    texts = [str(p) for p in parts]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def expect_dtype(name: str, operand: str, dtype: DType, allowed: Sequence[DType]) -> DType:
    """`dtype` where it is allowed; DTypeError otherwise."""
    if dtype not in allowed:
        wanted = _NOUNS.get(tuple(allowed)) or " or ".join(map(str, allowed))
        raise DTypeError(f"{name}: {operand} is {dtype}, {wanted} is expected")
    return dtype


def one_dtype(name: str, types: Sequence[TensorType], allowed: Sequence[DType] = ALL) -> DType:
    """The one dtype of all operands; DTypeError where they differ or where the op does not take it."""
    found = [t.dtype for t in types]
    if any(d is not found[0] for d in found):
        raise DTypeError(f"{name}: operands are {listed(found)}")
    return expect_dtype(name, "operand" if len(found) == 1 else "an operand", found[0], allowed)


def broadcast_shapes(name: str, types: Sequence[TensorType]) -> Shape:
    """NumPy's broadcasting of the operands' shapes; ShapeError where they do not fit."""
    shapes = [t.dims for t in types]
    if all(shape == shapes[0] for shape in shapes):
        return shapes[0] if shapes else ()
    rank = max(map(len, shapes), default=0)
    joined: list[Dim] = []
    for place in range(rank):
        total: Dim = 1
        for shape in shapes:
            at = place - rank + len(shape)
            both = dims.broadcast(total, shape[at]) if at >= 0 else total
            if both is None:
                raise ShapeError(f"{name}: shapes {listed([shape_text(s) for s in shapes])} do not broadcast")
            total = both
        joined.append(total)
    return tuple(joined)


def same_shapes(name: str, what: str, left: Shape, right: Shape) -> Shape:
    """The shape of two that must be equal; ShapeError where they cannot be."""
    found = [dims.unify(p, q) for p, q in zip(left, right, strict=False)]
    if len(left) != len(right) or any(d is None for d in found):
        raise ShapeError(f"{name}: {what} have shapes {shape_text(left)} and {shape_text(right)}")
    return tuple(d for d in found if d is not None)


def normal_axis(name: str, axis: int, rank: int) -> int:
    """`axis` counted from the front; ShapeError where there is no such axis."""
    if not -rank <= axis < rank:
        raise ShapeError(f"{name}: axis {axis} is out of range for rank {rank}")
    return axis % rank


def normal_axes(name: str, axis: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Axes counted from the front, in ascending order (all for None); ShapeError for one that is out of range or named twice."""
    if axis is None:
        return tuple(range(rank))
    given = (axis,) if isinstance(axis, int) else tuple(axis)
    found = tuple(sorted(normal_axis(name, a, rank) for a in given))
    if len(set(found)) != len(found):
        raise ShapeError(f"{name}: axes {given} name one axis twice")
    return found


def reduced_shape(name: str, shape: Shape, axis: int | Sequence[int] | None, keepdims: bool) -> Shape:
    """`shape` with the axes dropped, or kept as 1."""
    axes = normal_axes(name, axis, len(shape))
    if keepdims:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def reduction_rule(name: str) -> Callable[..., Shape | None]:
    """The shape rule of an op that reduces `x` along `axis`; of a value of unknown rank, only the reduction of everything has a known shape."""

    def rule(x: TensorType, axis: Any, keepdims: bool) -> Shape | None:
        if x.shape is None:
            return () if axis is None and not keepdims else None
        return reduced_shape(name, x.dims, axis, keepdims)

    return rule


def no_gradient(e: Any, *operands_y_ct: Any, **attrs: Any) -> Any:
    """The vjp of an op that passes no gradient to any operand (as in TensorFlow: comparisons, `floor`, `argmax`, ...)."""
    count = len(operands_y_ct) - 2
    return None if count == 1 else (None,) * count
