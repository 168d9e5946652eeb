"""Loop IR run by a few lines of Python: what lowerings are checked with, against the op's NumPy `eval`.

`Place` stands for an operand's element at an index of one expression per axis, so that a load outside an axis is seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowc.ir import loops
from flowc.ir.types import DType


@dataclass(frozen=True, eq=False)
class Place(loops.Expr):
    operand: int
    index: tuple[loops.Expr, ...]
    dtype: DType


_ERF = np.frompyfunc(math.erf, 1, 1)
_FUNCTIONS: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "floordiv": np.floor_divide, "mod": np.mod,
    "pow": np.power, "min": np.minimum, "max": np.maximum, "larger": np.fmax, "neg": np.negative, "abs": np.abs, "exp": np.exp, "log": np.log,
    "expm1": np.expm1, "log1p": np.log1p, "tanh": np.tanh, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "floor": np.floor, "ceil": np.ceil,
    "round": np.rint, "trunc": np.trunc, "isnan": np.isnan, "isinf": np.isinf, "not": np.logical_not,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "sigmoid": lambda x: type(x)(1.0 / (1.0 + np.exp(-x))), "erf": lambda x: type(x)(_ERF(float(x))),
    "bitand": np.bitwise_and, "bitor": np.bitwise_or, "bitxor": np.bitwise_xor, "shl": np.left_shift, "shr": np.right_shift,
}  # fmt: skip


class Run:
    """Names, flat buffers and the operands' arrays of one evaluation."""

    def __init__(self, names: Mapping[str, Any], arrays: tuple[np.ndarray, ...] = (), buffers: Mapping[str, np.ndarray] | None = None) -> None:
        self.names: dict[str, Any] = dict(names)
        self.arrays = arrays
        self.buffers = dict(buffers or {})

    def value(self, x: loops.Expr) -> Any:
        match x:
            case loops.Const(value=value, dtype=dtype):
                return dtype.numpy.type(value)
            case loops.Var(name=name):
                return self.names[name]
            case loops.Load(buffer=buffer, index=index):
                return self.buffers[buffer][self.inside(self.value(index), len(self.buffers[buffer]))]
            case Place(operand=operand, index=index):
                array = self.arrays[operand]
                assert len(index) == array.ndim
                return array[tuple(self.inside(self.value(i), n) for i, n in zip(index, array.shape, strict=True))]
            case loops.Select(condition=condition, yes=yes, no=no):
                return self.value(yes if self.value(condition) else no)
            case loops.Cast(dtype=dtype, x=inner):
                return np.asarray(self.value(inner)).astype(dtype.numpy)[()]
            case loops.Apply(function="and", args=(left, right)):
                return self.value(left) and self.value(right)
            case loops.Apply(function="or", args=(left, right)):
                return self.value(left) or self.value(right)
            case loops.Apply(function=function, args=args):
                return _FUNCTIONS[function](*(self.value(a) for a in args))
        raise AssertionError(f"no meaning for {x}")

    @staticmethod
    def inside(place: Any, extent: int) -> int:
        assert 0 <= place < extent, f"a load at {place} of {extent}"
        return int(place)

    def run(self, statements: tuple[loops.Statement, ...]) -> None:
        for statement in statements:
            self.step(statement)

    def step(self, statement: loops.Statement) -> None:
        match statement:
            case loops.For(var=var, start=start, stop=stop, body=body):
                for i in range(int(self.value(start)), int(self.value(stop))):
                    self.names[var] = np.int64(i)
                    self.run(body)
            case loops.Let(name=name, value=value) | loops.Alloc(name=name, init=value, size=None):
                self.names[name] = self.value(value)
            case loops.If(condition=condition, body=body, orelse=orelse):
                self.run(body if self.value(condition) else orelse)
            case loops.Store(buffer=buffer, index=None, value=value):
                self.names[buffer] = self.value(value)
            case loops.Store(buffer=buffer, index=index, value=value, combine=combine):
                array = self.buffers[buffer]
                place = self.inside(self.value(index), len(array))
                array[place] = _FUNCTIONS[combine](array[place], self.value(value)) if combine else self.value(value)
            case _:
                raise AssertionError(f"no meaning for {statement}")
