"""`tensor[...]` with ints, slices, None, Ellipsis and tensors whose value is known; and the slice functions.

    x[:, 0]        # slice of one column, then its axis dropped: one node `strided_slice`
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.errors import ShapeError, user_location
from flowc.frontend.convert import convert, emit, graph_of, is_tensor
from flowc.frontend.shape import Dimension
from flowc.frontend.static import extents, integers
from flowc.frontend.tensor import Tensor
from flowc.ir.dims import Dim, Sym


def getitem(x: Any, index: Any, name: str | None = None) -> Tensor:
    """`x[index]`; ShapeError where the index does not fit or is not known when the graph is built."""
    graph = graph_of(x)
    with graph.name_scope(name or "strided_slice") as scope:
        value = convert(x)
        items = list(index) if isinstance(index, tuple) else [index]
        _reject_fancy(value, items)
        begin, end, stride, dropped, added = _plan(value, items)
        steps: list[tuple[str, dict[str, Any]]] = []
        if any(b is not None or e is not None or s != 1 for b, e, s in zip(begin, end, stride, strict=True)):
            steps.append(("slice", {"begin": tuple(begin), "end": tuple(end), "stride": tuple(stride)}))
        if dropped:
            steps.append(("squeeze", {"axis": tuple(dropped)}))
        if added:
            steps.append(("expand_dims", {"axis": tuple(added)}))
        if not steps:
            return emit("identity", (value,), scope)
        for place, (op, attrs) in enumerate(steps):
            value = emit(op, (value,), scope if place == len(steps) - 1 else None, **attrs)
        return value


def _reject_fancy(x: Tensor, items: list[Any]) -> None:
    for item in items:
        if isinstance(item, list | np.ndarray) and np.asarray(item).ndim:
            raise ShapeError(
                "a tensor is not indexed with a list or an array: use tf.gather or tf.boolean_mask", repr(x.node), user_location()
            )


def _plan(x: Tensor, items: list[Any]) -> tuple[list[Dim | None], list[Dim | None], list[int], list[int], list[int]]:
    """begin, end, stride per axis of x; the axes to drop; the axes to add, counted in the result."""
    if sum(item is Ellipsis for item in items) > 1:
        raise ShapeError("an index holds more than one Ellipsis", repr(x.node), user_location())
    used = sum(item is not None and item is not Ellipsis for item in items)
    if Ellipsis in [i for i in items if i is Ellipsis]:
        rank = x.dims
        if rank is None:
            raise ShapeError("x[...] needs a known rank", repr(x.node), user_location())
        at = next(i for i, item in enumerate(items) if item is Ellipsis)
        items = items[:at] + [slice(None)] * (len(rank) - used) + items[at + 1 :]
    if x.dims is not None and used > len(x.dims):
        raise ShapeError(f"{used} indices for a tensor of rank {len(x.dims)}", repr(x.node), user_location())
    begin: list[Dim | None] = []
    end: list[Dim | None] = []
    stride: list[int] = []
    dropped: list[int] = []
    added: list[int] = []
    place = 0  # in the result
    for item in items:
        axis = len(begin)
        if item is None:
            added.append(place)
            place += 1
        elif isinstance(item, slice):
            begin.append(_bound(item.start))
            end.append(_bound(item.stop))
            stride.append(1 if item.step is None else integers(item.step, "the step of a slice")[0])
            place += 1
        else:
            at_index = _bound(item)
            _check_inside(x, axis, at_index)
            begin.append(at_index)
            end.append(None if at_index == -1 else at_index + 1)  # type: ignore[operator]
            stride.append(1)
            dropped.append(axis)
    return begin, end, stride, dropped, added


def _bound(item: Any) -> Dim | None:
    if item is None or isinstance(item, Sym):
        return item
    if isinstance(item, Dimension):
        return item.dim
    if is_tensor(item):
        found = extents(item, "an index")
        if len(found) != 1:
            raise ShapeError("a tensor as an index must be a scalar: use tf.gather", location=user_location())
        return found[0]
    if isinstance(item, bool) or not isinstance(item, int | np.integer):
        raise ShapeError(f"an index is a whole number, a slice, None or ..., not {item!r}", location=user_location())
    return int(item)


def _check_inside(x: Tensor, axis: int, at: Dim | None) -> None:
    if x.dims is not None and isinstance(x.dims[axis], int) and isinstance(at, int):
        extent = int(x.dims[axis])  # type: ignore[arg-type]
        if not -extent <= at < extent:
            raise ShapeError(f"index {at} is out of range for axis {axis} of extent {extent}", repr(x.node), user_location())


def slice_(input_: Any, begin: Any, size: Any, name: str | None = None) -> Tensor:
    """The block of `size` (-1: up to the end) that starts at `begin`, for each axis."""
    graph = graph_of(input_)
    with graph.name_scope(name or "Slice") as scope:
        value = convert(input_)
        starts, sizes = extents(begin, "slice: begin"), extents(size, "slice: size")
        if len(starts) != len(sizes):
            raise ShapeError(f"slice: {len(starts)} starts and {len(sizes)} sizes", repr(value.node), user_location())
        ends: list[Dim | None] = []
        for axis, (start, length) in enumerate(zip(starts, sizes, strict=True)):
            extent = value.dims[axis] if value.dims is not None else None
            if length == -1:
                ends.append(None)
                continue
            ends.append(start + length)
            if isinstance(extent, int) and isinstance(ends[-1], int) and ends[-1] > extent:
                raise ShapeError(f"slice: {start} + {length} is beyond axis {axis} of extent {extent}", repr(value.node), user_location())
        return emit("slice", (value,), scope, begin=starts, end=tuple(ends), stride=(1,) * len(starts))


def strided_slice(input_: Any, begin: Any, end: Any, strides: Any = None, name: str | None = None, **masks: int) -> Tensor:
    """`input_[begin:end:strides]`, axis by axis; the masks are TensorFlow's bits: begin_mask, end_mask, shrink_axis_mask, new_axis_mask."""
    starts, ends = extents(begin, "strided_slice: begin"), extents(end, "strided_slice: end")
    steps = integers(strides, "strided_slice: strides") if strides is not None else [1] * len(starts)

    def bit(mask: str, axis: int) -> bool:
        return bool(masks.get(mask, 0) >> axis & 1)

    index: list[Any] = []
    for axis, (b, e, s) in enumerate(zip(starts, ends, steps, strict=True)):
        if bit("ellipsis_mask", axis):
            index.append(Ellipsis)
        elif bit("new_axis_mask", axis):
            index.append(None)
        elif bit("shrink_axis_mask", axis):
            index.append(b)
        else:
            index.append(slice(None if bit("begin_mask", axis) else b, None if bit("end_mask", axis) else e, s))
    return getitem(input_, tuple(index), name or "StridedSlice")
