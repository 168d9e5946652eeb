"""Loop IR run by a few lines of Python: every load and store is checked against its buffer's size, a `Tile` is its docstring's formula.

    out = run_nest(OPS["matmul"], [x, y], {})              # the lowering's result, to hold against the op's `eval`

Buffers that a nest must fill start as NaN (or a large number), parallel loops run in a shuffled order, and a buffer is read-only unless
it is the result or a workspace, so what a nest forgets or may not touch is seen.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowc.ir import loops
from flowc.ir.dims import Dim, substitute
from flowc.ir.node import resolve
from flowc.ir.op import Nest, Op
from flowc.ir.types import TensorType, as_dtype
from flowc.ops.random import philox

_ERF = np.frompyfunc(math.erf, 1, 1)


def _philox(key: Any, counter: Any, index: Any, lane: Any) -> Any:
    return philox(key, counter, np.asarray([index], np.uint64))[int(lane)][0]


_FUNCTIONS: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "floordiv": np.floor_divide, "mod": np.mod,
    "pow": np.power, "min": np.minimum, "max": np.maximum, "larger": np.fmax, "neg": np.negative, "abs": np.abs, "exp": np.exp, "log": np.log,
    "expm1": np.expm1, "log1p": np.log1p, "tanh": np.tanh, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "floor": np.floor, "ceil": np.ceil,
    "round": np.rint, "trunc": np.trunc, "isnan": np.isnan, "isinf": np.isinf, "not": np.logical_not, "invert": np.invert,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "sigmoid": lambda x: type(x)(1.0 / (1.0 + np.exp(-x))), "erf": lambda x: type(x)(_ERF(float(x))), "atan2": np.arctan2,
    "bitand": np.bitwise_and, "bitor": np.bitwise_or, "bitxor": np.bitwise_xor, "shl": np.left_shift, "shr": np.right_shift,
    "philox": _philox,
}  # fmt: skip


class Evaluator:
    """Names and flat buffers of one run."""

    def __init__(self, names: Mapping[str, Any], buffers: Mapping[str, np.ndarray], writable: set[str]) -> None:
        self.names: dict[str, Any] = dict(names)
        self.buffers = dict(buffers)
        self.writable = writable
        self.order = random.Random(5)
        self.stores: dict[str, np.ndarray] = {name: np.zeros(self.buffers[name].size, np.int64) for name in writable}

    # expressions

    def value(self, x: loops.Expr) -> Any:
        match x:
            case loops.Const(value=value, dtype=dtype):
                return dtype.numpy.type(value)
            case loops.Var(name=name):
                return self.names[name]
            case loops.Load(buffer=buffer, index=index):
                return self.buffers[buffer][self.inside(buffer, self.value(index))]
            case loops.Select(condition=condition, yes=yes, no=no):
                return self.value(yes if self.value(condition) else no)
            case loops.Cast(dtype=dtype, x=inner):
                return np.asarray(self.value(inner)).astype(dtype.numpy)[()]
            case loops.Apply(function="and", args=(left, right)):
                return self.value(left) and self.value(right)
            case loops.Apply(function="or", args=(left, right)):
                return self.value(left) or self.value(right)
            case loops.Apply(function=function, args=args, dtype=dtype):
                return np.asarray(_FUNCTIONS[function](*(self.value(a) for a in args))).astype(dtype.numpy)[()]
        raise AssertionError(f"no meaning for {x}")

    def whole(self, x: loops.Expr) -> int:
        return int(self.value(x))

    def inside(self, buffer: str, place: Any) -> int:
        size = self.buffers[buffer].size
        assert 0 <= place < size, f"{buffer}[{place}] of {size}"
        return int(place)

    # statements

    def run(self, statements: Sequence[loops.Statement], top: bool = True) -> None:
        for statement in statements:
            self.step(statement, top)

    def step(self, statement: loops.Statement, top: bool) -> None:
        match statement:
            case loops.For(var=var, start=start, stop=stop, kind=kind, body=body):
                assert kind != "parallel" or top, "parallel loops stand at the top"
                places = list(range(self.whole(start), self.whole(stop)))
                if kind == "parallel":
                    self.order.shuffle(places)
                for i in places:
                    self.names[var] = np.int64(i)
                    self.run(body, False)
                self.names.pop(var, None)
            case loops.Let(name=name, value=value) | loops.Alloc(name=name, init=value, size=None):
                assert value is not None
                self.names[name] = self.value(value)
            case loops.Alloc(name=name, dtype=dtype, size=int() as size):
                self.buffers[name], self.stores[name] = _unwritten(size, dtype.numpy), np.zeros(size, np.int64)
                self.writable.add(name)
            case loops.If(condition=condition, body=body, orelse=orelse):
                self.run(body if self.value(condition) else orelse, False)
            case loops.Store(buffer=buffer, index=None, value=value, combine=combine):
                assert buffer in self.names, f"no register {buffer}"
                self.names[buffer] = _FUNCTIONS[combine](self.names[buffer], self.value(value)) if combine else self.value(value)
            case loops.Store(buffer=buffer, index=index, value=value, combine=combine):
                assert index is not None
                place, new = self.inside(buffer, self.value(index)), self.value(value)
                assert new.dtype == self.buffers[buffer].dtype, f"a store of {new.dtype} to {buffer}"
                self.put(buffer, place, _FUNCTIONS[combine](self.buffers[buffer][place], new) if combine else new)
            case loops.Tile():
                self.tile(statement)
            case loops.Transform():
                self.transform(statement)
            case loops.Barrier():
                assert top, "barriers stand at the top"
            case loops.Comment():
                pass
            case _:
                raise AssertionError(f"no meaning for {statement}")

    def put(self, buffer: str, place: int, value: Any) -> None:
        assert buffer in self.writable, f"a store to {buffer}"
        self.buffers[buffer][place] = value
        self.stores[buffer][place] += 1

    def tile(self, t: loops.Tile) -> None:
        for product in range(self.whole(t.count)):
            self.product(t, product)

    def product(self, t: loops.Tile, product: int) -> None:
        numbers = {n: self.whole(getattr(t, n)) for n in ("out_at", "a_at", "b_at", "rows", "columns", "outer", "inner", "out_row")}
        strides = {n: self.whole(getattr(t, n)) for n in ("a_row", "a_outer", "a_inner", "b_unit", "b_column", "b_outer", "b_inner", "accumulate")}
        for name, step in (("out_at", t.out_step), ("a_at", t.a_step), ("b_at", t.b_step)):
            numbers[name] += product * self.whole(step)
        most_rows, most_columns = t.block
        assert 0 < numbers["rows"] <= most_rows and 0 < numbers["columns"] <= most_columns, "a tile holds that much"
        unit = 64 // t.dtype.size
        a, b, dtype = self.buffers[t.a], self.buffers[t.b], t.dtype.numpy
        for i in range(numbers["rows"]):
            for j in range(numbers["columns"]):
                place = self.inside(t.out, numbers["out_at"] + i * numbers["out_row"] + j)
                total = self.buffers[t.out][place] if strides["accumulate"] else dtype.type(0)
                for r in range(numbers["outer"]):
                    for k in range(numbers["inner"]):
                        x = self.inside(t.a, numbers["a_at"] + i * strides["a_row"] + r * strides["a_outer"] + k * strides["a_inner"])
                        column = j // unit * strides["b_unit"] + j % unit * strides["b_column"]
                        y = self.inside(t.b, numbers["b_at"] + r * strides["b_outer"] + k * strides["b_inner"] + column)
                        total = dtype.type(total + a[x] * b[y])
                self.put(t.out, place, total)


    def transform(self, t: loops.Transform) -> None:
        n = {name: self.whole(getattr(t, name)) for name in ("out_at", "out_step", "out_part", "a_at", "a_step", "a_part", "first", "count", "lanes")}
        assert n["lanes"] % 16 == 0 and 0 < n["lanes"] <= 64
        numbers = range(9) if t.kind == "to_real" else range(n["first"], n["first"] + n["count"])
        for lane in range(n["lanes"]):
            x = np.zeros(16, complex)
            for j in numbers:
                place = n["a_at"] + (j - (0 if t.kind == "to_real" else n["first"])) * n["a_step"] + lane
                x[j] = self.buffers[t.a][self.inside(t.a, place)]
                if t.kind != "real":
                    x[j] += 1j * self.buffers[t.a][self.inside(t.a, place + n["a_part"])]
            found = np.fft.irfft(x[:9]) * 16 if t.kind == "to_real" else np.fft.fft(x)[: 9 if t.kind == "real" else 16]
            for k, value in enumerate(found):
                place = n["out_at"] + k * n["out_step"] + lane
                self.put(t.out, self.inside(t.out, place), t.dtype.numpy.type(value.real))
                if t.kind != "to_real":
                    self.put(t.out, self.inside(t.out, place + n["out_part"]), t.dtype.numpy.type(value.imag))


def _unwritten(size: int, dtype: np.dtype) -> np.ndarray:
    return np.full(size, np.nan if dtype.kind == "f" else 111, dtype)


def run_nest(
    op: Op, arrays: Sequence[np.ndarray], attrs: Mapping[str, Any], types: Sequence[TensorType] | None = None, extents: Mapping[str, int] | None = None
) -> np.ndarray:
    """What an op's `Nest` computes from arrays. `types` (with symbols that `extents` gives) stand for the arrays' own where given."""
    return traced_nest(op, arrays, attrs, types, extents)[0]


def traced_nest(
    op: Op, arrays: Sequence[np.ndarray], attrs: Mapping[str, Any], types: Sequence[TensorType] | None = None, extents: Mapping[str, int] | None = None
) -> tuple[np.ndarray, np.ndarray, Sequence[loops.Statement]]:
    """`run_nest`, with how often each element of the result was written, and the statements."""
    assert isinstance(op.lowering, Nest)
    extents = dict(extents or {})
    full = op.complete(attrs)
    given = list(types) if types is not None else [TensorType(as_dtype(a.dtype), a.shape) for a in arrays]
    result = op.result_type(tuple(given), full)
    assert isinstance(result, TensorType)
    names = [f"x{i}" for i in range(len(arrays))]
    plan = op.lowering.build(list(names), "out", given, result, dict(full))
    statements = plan.statements if isinstance(plan, loops.NestPlan) else plan
    workspaces: tuple[tuple[str, Any, Dim], ...] = plan.workspaces if isinstance(plan, loops.NestPlan) else ()
    known = result.substitute(extents)
    buffers = {n: np.ascontiguousarray(a).ravel() for n, a in zip(names, arrays, strict=True)}
    buffers["out"] = _unwritten(int(known.size), known.dtype.numpy)  # type: ignore[arg-type]
    for name, dtype, size in workspaces:
        buffers[name] = _unwritten(int(substitute(size, extents)), dtype.numpy)  # type: ignore[arg-type]
    run = Evaluator({n: np.int64(v) for n, v in extents.items()}, buffers, {"out", *(name for name, _, _ in workspaces)})
    with np.errstate(all="ignore"):
        run.run(statements)
    assert resolve(dict(full), extents) is not None
    return buffers["out"].reshape(known.dims), run.stores["out"].reshape(known.dims), statements  # type: ignore[arg-type]
