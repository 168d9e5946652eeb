"""Many steps in one call: what a loop is asked for, checked, becomes a `runtime.loop.Loop`; and the same for plain functions.

    sess.run_loop(train, 1000, data={x: images, y: labels}, batch_size=100, shuffle=1)          # Session.run_loop
    state, losses = flowc.run_loop(step, state, 1000, data=(images, labels), batch_size=100, every=10)

A plain step `(state, batch) -> (state, outputs)` is traced into a graph whose variables are the state; a session runs it as any other.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from flowc.errors import FeedError, FetchError, GraphError, user_location
from flowc.frontend.arguments import as_arrays, placeholder_name
from flowc.frontend.containers import Structure, flatten
from flowc.frontend.convert import convert, is_tensor
from flowc.frontend.trace import TraceGraph, tracing
from flowc.ir.node import Node
from flowc.ir.types import TensorType, as_dtype
from flowc.runtime.interim import Interim
from flowc.runtime.loop import Batches, Data, Loop

if TYPE_CHECKING:
    from flowc.frontend.session import Session

__all__ = ["run_loop"]


def whole(value: Any, name: str, least: int = 1) -> int:
    """A whole number given as argument `name`; FeedError where it is none, or less than `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise FeedError(f"run_loop: {name} is {value!r}, a whole number from {least} on is expected", location=user_location())
    return int(value)


def batches(count: int, steps: int, batch_size: Any, shuffle: Any, rows: Any, seed: int | None) -> Batches:
    """Which of `count` rows each step gets. seed: what `shuffle=True` shuffles by."""
    if rows is not None:
        if shuffle is not None and shuffle is not False:
            raise FeedError("run_loop: rows say the order of the data, so it cannot be shuffled too", location=user_location())
        chosen = np.asarray(rows)
        if chosen.dtype.kind not in "iu" or chosen.ndim != 2 or len(chosen) != steps or (batch_size is not None and chosen.shape[1] != batch_size):
            wanted = f"[{steps}, {'batch size' if batch_size is None else batch_size}]"
            raise FeedError(f"run_loop: rows are {chosen.dtype}{list(chosen.shape)}, whole numbers of shape {wanted} are expected", location=user_location())
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < count):
            raise FeedError(f"run_loop: rows go from {chosen.min()} to {chosen.max()}, the data has rows 0 to {count - 1}", location=user_location())
        return Batches(count, chosen.shape[1], rows=np.ascontiguousarray(chosen, np.int64))
    if batch_size is None:
        raise FeedError("run_loop: data needs a batch_size, or the rows of each step", location=user_location())
    size = whole(batch_size, "batch_size")
    if size > count:
        raise FeedError(f"run_loop: batch_size is {size}, the data has {count} rows", location=user_location())
    if shuffle is None or shuffle is False:
        return Batches(count, size)
    return Batches(count, size, seed if shuffle is True and seed is not None else secrets.randbits(62) if shuffle is True else whole(shuffle, "shuffle", 0))


def session_loop(
    session: Session, fetches: Any, steps: Any, feed_dict: Mapping[Any, Any] | None, data: Mapping[Any, Any] | None,
    batch_size: Any, shuffle: Any, rows: Any, every: Any,
) -> Any:  # fmt: skip
    """`Session.run_loop`; see there."""
    steps = whole(steps, "steps")
    if every is not None:
        every = whole(every, "every")
    if not data and not (batch_size is None and shuffle is None and rows is None):
        raise FeedError("run_loop: batch_size, shuffle and rows are for data, and there is none", location=user_location())
    for what, given in (("feed_dict", feed_dict), ("data", data)):
        if given is not None and not isinstance(given, Mapping):
            raise FeedError(f"run_loop: {what} is a dict from tensors to values, not {type(given).__name__}", location=user_location())
    fixed, data = dict(feed_dict or {}), dict(data or {})
    for key in data:
        if key in fixed:
            raise FeedError(f"run_loop: {getattr(key, 'name', key)} is in feed_dict and in data", location=user_location())
    plan = session._plan(fetches, {**fixed, **data})
    if every is not None and plan.signature.fetches.has_summary:
        raise FetchError("run_loop: a summary has no value for every step: fetch what it shows", location=user_location())
    arrays = plan.convert({**fixed, **data})
    lengths = {}
    for node, array in list(zip(plan.signature.extraction.feeds, arrays, strict=True))[len(fixed) :]:
        if not array.ndim:
            raise FeedError(f"run_loop: data for {node.name} is one number, an array of rows is expected", repr(node), user_location())
        lengths[node] = len(array)
    _check_lengths(lengths)
    chosen = batches(next(iter(lengths.values())), steps, batch_size, shuffle, rows, session.graph.seed) if data else None
    size = 0 if chosen is None else chosen.size
    example = [a if i < len(fixed) else np.zeros((size, *a.shape[1:]), a.dtype) for i, a in enumerate(arrays)]
    call = session.call(plan, example, compiled=True)
    assert not isinstance(call, Interim)
    loop = Loop(call, [a if i < len(fixed) else Data(a) for i, a in enumerate(arrays)], chosen)
    results = loop.run(steps, every)
    session.wrote(plan)
    return plan.pack(results)


def _check_lengths(lengths: Mapping[Node, int]) -> None:
    first = next(iter(lengths), None)
    for node, length in lengths.items():
        assert first is not None
        if length != lengths[first]:
            what = f"run_loop: the data for {first.name} has {lengths[first]} rows, that for {node.name} {length}"
            raise FeedError(what, repr(node), user_location())


# plain functions


class _Step:
    """A step traced for one structure of state and data: a graph whose variables are the state."""

    def __init__(self, step: Callable[..., Any], state: tuple[list[np.ndarray], Structure], data: tuple[list[np.ndarray], Structure] | None) -> None:
        from flowc.frontend.array_ops import placeholder, zeros
        from flowc.frontend.flow import group
        from flowc.frontend.variable import Variable

        self.graph = graph = TraceGraph()
        name = getattr(step, "__name__", "the step")
        leaves, structure = state
        with graph.as_default(), tracing():
            paths = structure.paths("state")
            self.variables = [Variable(zeros(a.shape, as_dtype(a.dtype)), name=placeholder_name(p)) for a, p in zip(leaves, paths, strict=True)]
            before = [v.read_value() for v in self.variables]
            arguments = [structure.unflatten(before)]
            self.data = []
            if data is not None:
                names = [placeholder_name(p) for p in data[1].paths("batch")]
                self.data = [placeholder(as_dtype(a.dtype), [None, *a.shape[1:]], name=n) for a, n in zip(data[0], names, strict=True)]
                arguments.append(data[1].unflatten(self.data))
            answer = step(*arguments)
            if not isinstance(answer, tuple) or len(answer) != 2:
                raise GraphError(f"{name} is a step of run_loop and returns (state, outputs), not {type(answer).__name__}", location=user_location())
            if len(graph.variables) > len(self.variables):
                made = list(graph.variables.values())[len(self.variables)]
                raise GraphError(f"{name} makes a variable: what a step keeps is its state", repr(made), made.node.loc)
            after, new_structure = flatten(answer[0], is_tensor)
            if new_structure != structure:
                what = f"{name} returns a state of another structure: {', '.join(new_structure.paths('state'))} for {', '.join(paths)}"
                raise GraphError(what, location=user_location())
            values = [self._like(convert(a, graph=graph), v, p, name) for a, v, p in zip(after, self.variables, paths, strict=True)]
            self.update = group(*[v.assign(value) for v, value in zip(self.variables, values, strict=True)])
            outputs, self.outputs = flatten(answer[1], is_tensor)
            self.fetches = [convert(o, graph=graph) for o in outputs]

    @staticmethod
    def _like(value: Any, variable: Any, path: str, name: str) -> Any:
        wanted = TensorType(variable.node.tensor.dtype, variable.node.tensor.dims)
        fits = value.dtype is wanted.dtype and (value.dims is None or len(value.dims) == wanted.rank)
        if not fits or any(isinstance(d, int) and d != w for d, w in zip(value.dims or (), wanted.dims, strict=False)):
            raise GraphError(f"{name} returns {path} as {value.node.type}, the state has {wanted} there", repr(value.node), value.node.loc)
        return value


_steps: WeakKeyDictionary[Any, dict[Any, _Step]] = WeakKeyDictionary()
_lock = threading.RLock()


def run_loop(
    step: Callable[..., tuple[Any, Any]], state: Any, steps: int, data: Any = None, batch_size: int | None = None, shuffle: bool | int | None = None,
    rows: Any = None, every: int | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Run `state, outputs = step(state)`, or with data `step(state, batch)`, `steps` times in one compiled call: (the last state, outputs).

    state, data, outputs: arrays, numbers, or nests of them as for `flowc.compile`; a step returns a state of the same structure, types and
    shapes. batch: the data's nest with `batch_size` rows of each array: slices in order, the first again after the last whole one; with
    `shuffle`, a seed or True, each pass over the data in another random order; with `rows`, whole numbers of shape [steps, batch_size], those.
    Rows of a pass that fill no batch are left out of it. every: outputs are stacked, those of each `every`th step, [steps // every, ...];
    without it they are the last step's. The step is traced once for one structure and set of types; results are those of a Python loop over
    the same compiled step. GraphError where the step does not return what is expected, FeedError for arguments that do not fit.
    """
    from flowc.frontend.session import Session

    leaves, structure = flatten(state)
    arrays = as_arrays("run_loop", structure.paths("state"), leaves)
    rowed = None
    if data is not None:
        found, data_structure = flatten(data)
        rowed = as_arrays("run_loop", data_structure.paths("data"), found), data_structure
        if any(a.ndim == 0 for a in rowed[0]):
            raise FeedError("run_loop: data are arrays of rows, not numbers", location=user_location())
    key = (structure, tuple((a.dtype, a.shape) for a in arrays), rowed and (rowed[1], tuple((a.dtype, a.shape[1:]) for a in rowed[0])))
    with _lock:
        known = _steps.setdefault(step, {})
        traced = known.get(key)
        if traced is None:
            traced = known[key] = _Step(step, (arrays, structure), rowed)
    session = Session(graph=traced.graph)
    session.restart_draws()
    for variable, array in zip(traced.variables, arrays, strict=True):
        session.load(variable, array)
    fed = dict(zip(traced.data, rowed[0], strict=True)) if rowed is not None else None
    _, outputs = session.run_loop([traced.update, traced.fetches], steps, None, fed, batch_size, shuffle, rows, every)
    return structure.unflatten([_value(v) for v in session.run(traced.variables)]), traced.outputs.unflatten(outputs)


def _value(array: Any) -> Any:
    return array if array.ndim else array[()]
