"""What is the same in all iterations of an innermost loop: named before the loop, and divided by through its reciprocal.

    for j in vector(1000):                                 total_1 = sqrt(total)
        total_1 = sqrt(total)                        ->    for j in vector(1000):
        y[i*1000 + j] = x[i*1000 + j] / total_1                y[i*1000 + j] = divided(x[i*1000 + j], total_1)

LLVM takes out of a loop what stays the same, but it may not replace a division: `divided` is a last bit off in one of a million quotients. A
vector of divisions takes a processor some ten times as long as one of products, and normalized rows and scaled images are little else. Quotients
by constants are `divided` wherever they stand: there the reciprocal is a constant, too (the means of 100 rows of 100: 1.89 -> 1.75 us with all
that is done to the rows, since a processor has one unit for divisions, and rows wait for each other there).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

from flowc.ir.loop_walks import bound, names, reads, walk, with_parts
from flowc.ir.loops import Apply, Const, Expr, For, If, Kernel, Let, Statement, Store, Tile, Transform, apply
from flowc.ir.types import F32, F64
from flowc.structs import replace

LEAST = 257  # quotients by one divisor: in shorter loops divisions overlap with the rows around, and two parts of a reciprocal would not


def hoisted(s: For) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """A loop's body as the names of floats that have the same value in every iteration, and the rest.

    Whole numbers stay: where a loop has no iterations, they may be quotients by 0.
    """
    times = Counter(bound(s.body))
    changing = _changing(s)
    once: list[Statement] = []
    rest: list[Statement] = []
    for statement in s.body:
        if isinstance(statement, Let) and statement.value.dtype.is_float and times[statement.name] == 1 and _stays(statement.value, changing):
            changing.discard(statement.name)
            once.append(statement)
        else:
            rest.append(statement)
    return tuple(once), tuple(rest)


def _changing(s: For) -> set[str]:
    """The names whose values may differ from one iteration to the next."""
    return {s.var, *bound(s.body), *(inner.buffer for inner in walk(s.body) if isinstance(inner, Store))}


def _stays(e: Expr, changing: set[str]) -> bool:
    """Whether all iterations see the same value."""
    return not reads(e) and not names(e) & changing


def with_invariants(kernel: Kernel) -> Kernel:
    """The kernel with its innermost loops as above."""
    return replace(kernel, body=_statements(kernel.body))


def _statements(body: Iterable[Statement]) -> tuple[Statement, ...]:
    return tuple(made for s in body for made in _statement(s))


def _statement(s: Statement) -> tuple[Statement, ...]:
    """A statement, behind what goes before it."""
    match s:
        case For() if not any(isinstance(inner, For | Tile | Transform) for inner in walk(s.body)):
            once, rest = hoisted(s)
            loop = replace(s, body=rest)
            return (*map(_divided, once), _divided(loop, _changing(loop) if _is_long(loop) else None))
        case For():
            return (replace(s, body=_statements(s.body)),)
        case If():
            return (replace(s, body=_statements(s.body), orelse=_statements(s.orelse)),)
    return (_divided(s),)


def _is_long(s: For) -> bool:
    return not (isinstance(s.start, Const) and isinstance(s.stop, Const)) or s.stop.value - s.start.value >= LEAST


def _divided(item: Any, changing: set[str] | None = None) -> Any:
    """A statement or expression whose quotients by constants are `divided`, in a loop those by what does not change, too."""
    made = with_parts(item, partial(_divided, changing=changing))
    if isinstance(made, Apply) and made.function == "div" and made.dtype in (F32, F64):
        x, y = made.args
        known = isinstance(y, Const) if changing is None else _stays(y, changing) and not _stays(x, changing)
        if known and not _is_power_of_2(y):
            return apply("divided", x, y)
    return made


def _is_power_of_2(e: Expr) -> bool:
    """By which LLVM multiplies anyway."""
    return isinstance(e, Const) and math.isfinite(e.value) and abs(math.frexp(e.value)[0]) == 0.5


__all__ = ["LEAST", "hoisted", "with_invariants"]
