"""Counting: a kernel and its extents become what one run of it does: floating operations, elements loaded and stored.

    for i in parallel(b * 10):
        y[i] = max(x[i] + 1.0, 0.0)         count(k, {"b": 128})  ->  flops 2560, read {"x": 1280}, written {"y": 1280}

Nothing is run: each statement's own cost is multiplied by the trips of the loops around it; what every trip computes alike counts once, since the
compiler takes it out of the loop. Loops whose index decides how often something inside happens (chunks, tails, windows at an edge) are gone
through index by index, in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from flowc.ir.loop_walks import children, expressions, names, operands, reads
from flowc.ir.loops import COSTLY, Alloc, Apply, Cast, Const, Expr, For, If, Kernel, Let, Load, Select, Statement, Store, Tile, Transform, Var
from flowc.ir.types import I64
from flowc.lower.invariants import hoisted
from flowc.structs import Struct, replace

MOST_LANES = 1 << 20
"""Iterations that are looked at one by one; of longer loops so many are drawn, and the count is an estimate."""

Number = Any  # an int, or an array with one int for each lane: each iteration that is looked at
Cost = dict[tuple[str, str], Number]  # (what, buffer): flops, load or store -> how many
FLOPS = ("flops", "")
SLOTS = ("slots", "")
PRODUCTS = ("products", "")
LONG = COSTLY | {"div", "floordiv", "sqrt"}
"""Functions of floats that are no single instruction, or one that takes far longer than the others."""
TRANSFORM_OPERATIONS = {"real": 74, "complex": 176, "to_real": 88}
"""Sums and products of a `Transform`, for each lane."""
SHORT = {"divided": 3}  # functions that are a few single instructions
MADE = ("mul", "divided")  # functions of products and multiply-adds


class Count(Struct):
    """What one run does.

    flops: functions of floats applied, a multiply-add counted twice, a transcendental or a comparison once; slots: what takes one
    instruction's time, a multiply-add or a single operation; products: of these, products and multiply-adds; calls: of the functions that
    take longer (`LONG`), by name; read, written: elements by buffer, registers and local arrays left out; iterations: of the longest
    parallel loop, so no more threads have work.
    """

    flops: int
    slots: int
    products: int
    calls: Mapping[str, int]
    read: Mapping[str, int]
    written: Mapping[str, int]
    iterations: int

    @property
    def loads(self) -> int:
        return sum(self.read.values())

    @property
    def stores(self) -> int:
        return sum(self.written.values())


def count(kernel: Kernel, extents: Mapping[str, int]) -> Count:
    """What a run of `kernel` at `extents` does. Where data decides between two sides, the costlier one counts."""
    counter = _Counter(kernel)
    total = counter.body(kernel.body, dict(extents), 1)
    found = {key: round(float(np.sum(value))) for key, value in total.items()}
    read = {buffer: n for (what, buffer), n in found.items() if what == "load"}
    written = {buffer: n for (what, buffer), n in found.items() if what == "store"}
    calls = {name: n for (what, name), n in found.items() if what == "call"}
    return Count(found.get(FLOPS, 0), found.get(SLOTS, 0), found.get(PRODUCTS, 0), calls, read, written, counter.iterations)


class _Counter:
    """The costs of a kernel's statements. An environment holds the whole numbers that are known: an int, or one for each lane."""

    def __init__(self, kernel: Kernel) -> None:
        self.buffers = {b.name for b in kernel.buffers}
        self.needed = _deciding(kernel.body)
        self.products: set[str] = set()  # names of products
        self.iterations = 1

    def body(self, statements: Iterable[Statement], known: dict[str, Number], lanes: int) -> Cost:
        total: Cost = {}
        for statement in statements:
            _add(total, self.statement(statement, known, lanes))
        return total

    def statement(self, s: Statement, known: dict[str, Number], lanes: int) -> Cost:
        total: Cost = {}
        if not isinstance(s, For | Tile | Transform):  # bounds and sizes are index arithmetic
            for expr in expressions(s):
                _add(total, self.expression(expr))
        match s:
            case For():
                _add(total, self.loop(s, known, lanes))
            case Let():
                if _is_product(s.value):
                    self.products.add(s.name)
                value = evaluate(s.value, known) if s.name in self.needed else None
                known.pop(s.name, None)
                if value is not None:
                    known[s.name] = value
            case Alloc():
                known.pop(s.name, None)
            case Store():
                if s.combine is not None and s.value.dtype.is_float:
                    _add(total, {FLOPS: 1, SLOTS: 0 if self.is_multiply_add(s) else 1, PRODUCTS: int(s.combine == "mul")})
                if s.index is not None and s.buffer in self.buffers:
                    _add(total, {("store", s.buffer): 1})
                    if s.combine is not None:
                        _add(total, {("load", s.buffer): 1})
            case If():
                condition = evaluate(s.condition, known)
                yes, no = self.body(s.body, dict(known), lanes), self.body(s.orelse, dict(known), lanes)
                for key in {*yes, *no}:
                    sides = yes.get(key, 0), no.get(key, 0)
                    _add(total, {key: np.maximum(*sides) if condition is None else np.where(condition, *sides)})
            case Tile():
                rows, columns, outer, inner, accumulate, products = (
                    self.size(e, known) for e in (s.rows, s.columns, s.outer, s.inner, s.accumulate, s.count))  # fmt: skip
                depth, rows = outer * inner, rows * products
                _add(total, {FLOPS: 2 * rows * columns * depth, SLOTS: rows * columns * depth, PRODUCTS: rows * columns * depth})
                _add(total, {("load", s.a): rows * depth, ("load", s.b): depth * columns})
                _add(total, {("store", s.out): rows * columns, ("load", s.out): rows * columns * np.where(accumulate, 1, 0)})
                self.forget_local(total, s.a, s.b, s.out)
            case Transform():
                lanes, count = self.size(s.lanes, known), self.size(s.count, known)
                operations, results = TRANSFORM_OPERATIONS[s.kind], {"real": 18, "complex": 32, "to_real": 16}[s.kind]
                _add(total, {FLOPS: operations * lanes, SLOTS: operations * lanes, ("store", s.out): results * lanes})
                _add(total, {("load", s.a): lanes * {"real": count, "complex": 2 * count, "to_real": 16}[s.kind]})
                self.forget_local(total, s.a, s.out)
        return total

    def forget_local(self, total: Cost, *buffers: str) -> None:
        """Leave out what is read and written of arrays that are no kernel's argument."""
        for name in buffers:
            if name not in self.buffers:
                total.pop(("load", name), None)
                total.pop(("store", name), None)

    def is_multiply_add(self, s: Store) -> bool:
        """Whether a term joins a running sum in the same instruction as its product is made in."""
        is_product = _is_product(s.value) or (isinstance(s.value, Var) and s.value.name in self.products)
        return s.combine == "add" and s.index is None and is_product

    def loop(self, s: For, known: dict[str, Number], lanes: int) -> Cost:
        start, stop = self.size(s.start, known), self.size(s.stop, known)
        trips = np.maximum(stop - start - s.again, 0)
        once, each_time = hoisted(s)
        if once:
            known = dict(known)
            before = {key: each * (trips > 0) for key, each in self.body(once, known, lanes).items()}
            s = replace(s, body=each_time)
        else:
            before = {}
        inside = self.iterated(s, start, trips, known, lanes)
        _add(inside, before)
        return inside

    def iterated(self, s: For, start: Number, trips: Number, known: dict[str, Number], lanes: int) -> Cost:
        if s.kind == "parallel":
            self.iterations = max(self.iterations, int(np.max(trips, initial=1)))
        if s.var not in self.needed:
            inside = {name: value for name, value in known.items() if name != s.var}
            return {key: each * trips for key, each in self.body(s.body, inside, lanes).items()}
        ends = np.cumsum(np.broadcast_to(trips, (lanes,)))
        total = int(ends[-1]) if lanes else 0
        if total <= MOST_LANES:
            picks, weight = np.arange(total), 1.0
        else:  # one of each stretch, at a random place, so that no period of the loop's hides
            picks = ((np.arange(MOST_LANES) + np.random.default_rng(0).random(MOST_LANES)) * (total / MOST_LANES)).astype(np.int64)
            weight = total / MOST_LANES
        parents = np.searchsorted(ends, picks, side="right")
        inside = {name: value[parents] if np.ndim(value) else value for name, value in known.items()}
        first = (ends - trips)[parents]
        inside[s.var] = (start[parents] if np.ndim(start) else start) + picks - first
        costs: Cost = {}
        for key, each in self.body(s.body, inside, len(picks)).items():
            costs[key] = np.bincount(parents, np.broadcast_to(each, (len(picks),)), minlength=lanes) * weight
        return costs

    def expression(self, e: Expr) -> Cost:
        """The cost of evaluating an expression once: the same in every lane."""
        if isinstance(e, Select):
            total = self.expression(e.condition)
            yes, no = self.expression(e.yes), self.expression(e.no)
            _add(total, {key: max(yes.get(key, 0), no.get(key, 0)) for key in {*yes, *no}})
            return total
        total = {}
        for inner in operands(e):
            _add(total, self.expression(inner))
        if isinstance(e, Load) and e.buffer in self.buffers:
            _add(total, {("load", e.buffer): 1})
        if isinstance(e, Apply) and e.args[0].dtype.is_float:
            slots = SHORT.get(e.function, 1)
            _add(total, {FLOPS: 1, **({("call", e.function): 1} if e.function in LONG else {SLOTS: slots, PRODUCTS: slots if e.function in MADE else 0})})
        return total

    def size(self, e: Expr, known: Mapping[str, Number]) -> Number:
        """A bound or size; 1 where only the run's data tells it."""
        value = evaluate(e, known)
        return 1 if value is None else value


def _is_product(e: Expr) -> bool:
    return isinstance(e, Apply) and e.function == "mul" and e.dtype.is_float


def _add(total: Cost, more: Cost) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value


def _deciding(body: tuple[Statement, ...]) -> set[str]:
    """The names that decide how often something happens, or how large a tile is: directly, or through a `Let`."""
    needed: set[str] = set()
    lets: dict[str, list[Expr]] = {}
    stack = list(body)
    while stack:
        s = stack.pop()
        for inner in children(s):
            stack += inner
        match s:
            case Let():
                lets.setdefault(s.name, []).append(s.value)
            case For():
                needed |= names(s.start) | names(s.stop)
            case If() if not reads(s.condition):
                needed |= names(s.condition)
            case Tile():
                for e in (s.rows, s.columns, s.outer, s.inner, s.accumulate, s.count):
                    needed |= names(e)
            case Transform():
                needed |= names(s.count) | names(s.lanes)
    waiting = list(needed)
    while waiting:
        for value in lets.get(waiting.pop(), ()):
            new = names(value) - needed
            needed |= new
            waiting += new
    return needed


_FUNCTIONS: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "floordiv": np.floor_divide, "mod": np.mod, "min": np.minimum, "max": np.maximum,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "neg": np.negative, "abs": np.abs,
}  # fmt: skip


def evaluate(e: Expr, known: Mapping[str, Number]) -> Number | None:
    """The value of index arithmetic or of a condition on indices, for all lanes; None where it depends on data."""
    match e:
        case Const():
            return e.value if e.dtype is I64 or e.dtype.is_bool else None
        case Var():
            return known.get(e.name)
        case Cast(dtype=dtype) if dtype is I64 or dtype.is_bool:
            value = evaluate(e.x, known)
            return None if value is None else np.not_equal(value, 0) if dtype.is_bool else np.multiply(value, 1)
        case Apply() if e.function in _FUNCTIONS:
            values = [evaluate(a, known) for a in e.args]
            if any(v is None for v in values):
                return None
            with np.errstate(divide="ignore"):
                return _FUNCTIONS[e.function](*values)
        case Select():
            condition, yes, no = (evaluate(x, known) for x in (e.condition, e.yes, e.no))
            return None if condition is None or yes is None or no is None else np.where(condition, yes, no)
    return None


__all__ = ["Count", "count", "evaluate"]
