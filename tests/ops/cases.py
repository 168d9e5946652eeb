"""What the derived checks of ops share: typed samples, one-op Functions, symbols for extents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import flowc.ops  # noqa: F401  (fills the table)
from flowc.ir.dims import Dim, Sym
from flowc.ir.expr import Emitter, Expr
from flowc.ir.function import Builder
from flowc.ir.interpret import interpret
from flowc.ir.op import OPS, Effect, Op
from flowc.ir.types import TensorType, as_dtype
from tests.ops.samples import SAMPLES

NOT_SAMPLED = {"constant", "call", "item"}  # constants are tested with the Builder, calls with Functions
NAMES = sorted(name for name, op in OPS.items() if op.effect is Effect.NONE and name not in NOT_SAMPLED)


def each(names: list[str], keep: Callable[[str, int], bool] = lambda name, number: True) -> Any:
    """Every sample of every op named, where `keep` wants it: its name and number."""
    rows = [(n, i) for n in names for i in range(len(SAMPLES.get(n, []))) if keep(n, i)]
    return pytest.mark.parametrize(("name", "number"), rows, ids=[f"{n}-{i}" for n, i in rows])


def sample(name: str, number: int, dtype: str | None = None) -> tuple[Op, tuple[np.ndarray, ...], dict[str, Any]]:
    arrays, attrs = SAMPLES[name][number]
    if dtype is not None:
        arrays = tuple(a.astype(dtype) if a.dtype == np.float64 else a for a in arrays)
    op = OPS[name]
    return op, arrays, op.complete(attrs)


def types_of(arrays: tuple[np.ndarray, ...]) -> tuple[TensorType, ...]:
    return tuple(TensorType(as_dtype(a.dtype), a.shape) for a in arrays)


def symbolic(arrays: tuple[np.ndarray, ...]) -> tuple[tuple[TensorType, ...], dict[str, int]]:
    """The operands' types with one symbol per extent other than 0 and 1, and the symbols' extents."""
    extents: dict[str, int] = {}

    def symbol(n: int) -> Dim:
        if n < 2:
            return n
        extents[f"n{n}"] = n
        return Sym.named(f"n{n}")

    return tuple(TensorType(as_dtype(a.dtype), tuple(symbol(n) for n in a.shape)) for a in arrays), extents


def evaluate(op: Op, arrays: tuple[np.ndarray, ...], attrs: Mapping[str, Any]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(op.eval(*arrays, **attrs))


class Program:
    """A Function under construction, with an Emitter over its Builder."""

    def __init__(self) -> None:
        self.b = Builder("f")
        self.e = Emitter(lambda op, inputs, attrs: self.b.apply(op, *inputs, **attrs))
        self.count = 0

    def params(self, types: tuple[TensorType, ...]) -> list[Expr]:
        made = []
        for type in types:
            made.append(self.e.wrap(self.b.param(f"p{self.count}", type)))
            self.count += 1
        return made

    def apply(self, op: Op, operands: list[Expr], attrs: Mapping[str, Any]) -> Expr:
        return Expr(self.e, self.b.apply(op, *(x.node for x in operands), **attrs))

    def run(self, results: list[Expr], args: Any) -> list[np.ndarray]:
        return interpret(self.b.finish(r.node for r in results), args)


def cotangents(op: Op, e: Emitter, operands: list[Expr], y: Expr, ct: Expr, attrs: Mapping[str, Any]) -> list[Expr | None]:
    """One per operand, whichever way the vjp gives them."""
    assert op.vjp is not None
    pieces = op.vjp(e, *operands, y, ct, **attrs)
    return list(pieces) if isinstance(pieces, tuple) else [pieces]
