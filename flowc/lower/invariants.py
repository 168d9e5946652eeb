"""What is the same in all iterations of an innermost loop: named before the loop, and divided by through its reciprocal.

    for j in vector(1000):                                 total_1 = sqrt(total)
        total_1 = sqrt(total)                        ->    for j in vector(1000):
        y[i*1000 + j] = x[i*1000 + j] / total_1                y[i*1000 + j] = divided(x[i*1000 + j], total_1)

LLVM takes out of a loop what stays the same, but it may not replace a division: `divided` is a last bit off in one of a million quotients. A
vector of divisions takes a processor some ten times as long as one of products, and normalized rows and scaled images are little else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from flowc.ir.loops import Apply, Const, Expr, For, Kernel, Let, Statement, Tile, apply, assigned, children, names, reads
from flowc.ir.types import F32, F64
from flowc.structs import fields, replace

LEAST = 257  # quotients by one divisor: in shorter loops divisions overlap with the rows around, and a reciprocal in two parts would not


def hoisted(s: For) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """A loop's body as the names of floats that have the same value in every iteration, and the rest.

    Whole numbers stay: where a loop has no iterations, they may be quotients by 0.
    """
    times = Counter(assigned(s.body))
    changing = {s.var, *times}
    once: list[Statement] = []
    rest: list[Statement] = []
    for statement in s.body:
        if isinstance(statement, Let) and times[statement.name] == 1 and _stays(statement.value, changing):
            changing.discard(statement.name)
            once.append(statement)
        else:
            rest.append(statement)
    return tuple(once), tuple(rest)


def _stays(value: Expr, changing: set[str]) -> bool:
    return value.dtype.is_float and not reads(value) and not names(value) & changing


def with_invariants(kernel: Kernel) -> Kernel:
    """The kernel with its innermost loops as above."""
    return replace(kernel, body=_statements(kernel.body))


def _statements(body: Iterable[Statement]) -> tuple[Statement, ...]:
    return tuple(made for s in body for made in _statement(s))


def _statement(s: Statement) -> tuple[Statement, ...]:
    """A statement, behind what goes before it."""
    if isinstance(s, For) and not _has_loops(s.body):
        once, rest = hoisted(s)
        if _is_long(s):
            rest = _Quotients({s.var, *assigned(rest)}).each(rest)
        return (*once, replace(s, body=rest))
    changed = {field: _statements(old) for field, old in _bodies(s)}
    return (replace(s, **changed) if changed else s,)


def _bodies(s: Any) -> Iterable[tuple[str, tuple[Statement, ...]]]:
    for field in fields(s):
        value = getattr(s, field)
        if isinstance(value, tuple) and value and isinstance(value[0], Statement):
            yield field, value


def _has_loops(body: Iterable[Statement]) -> bool:
    return any(isinstance(s, For | Tile) or any(map(_has_loops, children(s))) for s in body)


def _is_long(s: For) -> bool:
    return not (isinstance(s.start, Const) and isinstance(s.stop, Const)) or s.stop.value - s.start.value >= LEAST


class _Quotients:
    """The quotients of one loop's body. changing: the names whose values differ from one iteration to the next."""

    def __init__(self, changing: set[str]) -> None:
        self.changing = changing

    def each(self, items: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(self.rewritten(item) for item in items)

    def rewritten(self, item: Any) -> Any:
        """A statement or expression whose quotients by one divisor are `divided`; the same object where there are none."""
        changed = {}
        for field in fields(item):
            old = getattr(item, field)
            if isinstance(old, Expr):
                new: Any = self.rewritten(old)
            elif isinstance(old, tuple) and old and isinstance(old[0], Expr | Statement):
                new = self.each(old)
                if all(a is b for a, b in zip(new, old, strict=True)):
                    continue
            else:
                continue
            if new is not old:
                changed[field] = new
        if changed:
            item = replace(item, **changed)
        is_quotient = isinstance(item, Apply) and item.function == "div" and item.dtype in (F32, F64)
        return apply("divided", *item.args) if is_quotient and self.stays(item.args[1]) and not self.stays(item.args[0]) else item

    def stays(self, e: Expr) -> bool:
        """Whether all iterations see the same value; no power of two, by which LLVM multiplies anyway."""
        if isinstance(e, Const):
            return not (e.value and math.isfinite(e.value) and abs(math.frexp(e.value)[0]) == 0.5)
        return not reads(e) and not names(e) & self.changing


__all__ = ["hoisted", "with_invariants"]
