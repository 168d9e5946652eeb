"""Sums over rows whose elements are no whole number of vectors: the rest is a sum of its own, which is added last.

    total: f32 = 0.0                               total: f32 = 0.0
    for j in serial(1000):                         for j in serial(960):
        total += x[j]                      ->          total += x[j]
                                                   total_rest: f32 = 0.0
                                                   for j_rest in serial(40):
                                                       total_rest += x[j_rest + 960]
                                                   total += total_rest

LLVM adds a rest to the finished sum: across the lanes of one vector, then again across those of a shorter one, each waiting for the one before.
Two sums that know nothing of each other are added up at the same time, and a short one is a few vectors without a loop, the last cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from flowc.ir.loop_walks import bound, expressions, operands, used, walk, with_parts
from flowc.ir.loops import COSTLY, Alloc, Apply, Const, Expr, For, If, Kernel, Let, Statement, Store, Tile, Transform, Var
from flowc.ir.types import I64
from flowc.lower.kernel import unique_name
from flowc.lower.rename import renamed
from flowc.structs import replace

VECTORS, LEAST_REST = 64, 33  # elements that every machine takes at a time, four vectors of 16; and of a rest, of which sums make two or three vectors
APPLIED, LEAST_APPLIED = 32, 1  # the same of loops that apply functions: two vectors at a time, and one more takes long
SPLIT = range(257, 4097)  # elements of a row: shorter ones become vectors without a loop, and of longer ones a rest is too little


def with_rests(kernel: Kernel) -> Kernel:
    """The kernel with its sums as above."""
    taken = {*(b.name for b in kernel.buffers), *kernel.extents, *bound(kernel.body), *used(kernel.body)}
    return replace(kernel, body=_split(kernel.body, taken))


def _split(body: Sequence[Statement], taken: set[str]) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for s in body:
        match s:
            case For() if any(isinstance(inner, For | Tile | Transform) for inner in walk(s.body)):
                found.append(replace(s, body=_split(s.body, taken)))
            case For():
                found += _parts(s, found, taken)
            case If():
                found.append(replace(s, body=_split(s.body, taken), orelse=_split(s.orelse, taken)))
            case _:
                found.append(s)
    return tuple(found)


def _parts(s: For, before: Iterable[Statement], taken: set[str]) -> list[Statement]:
    """An innermost loop as itself, or as one of whole vectors and one of the rest."""
    count = int(s.stop.value) if isinstance(s.start, Const) and s.start.value == 0 and isinstance(s.stop, Const) else 0
    sums = [inner for inner in s.body if isinstance(inner, Store) and inner.index is None]
    starts = {a.name: a for a in before if isinstance(a, Alloc) and isinstance(a.init, Const)}
    vectors, least = (APPLIED, LEAST_APPLIED) if any(_applies(e) for inner in s.body for e in expressions(inner)) else (VECTORS, LEAST_REST)
    if not (count in SPLIT and count % vectors and sums and all(isinstance(inner, Let | Store) for inner in s.body)):
        return [s]
    if not all(inner.combine is not None and inner.buffer in starts for inner in sums) or {i.buffer for i in sums} & used(s.body):
        return [s]
    whole = (count - least) // vectors * vectors
    names = {name: unique_name(f"{name}_rest", taken) for name in (s.var, *bound(s.body), *(inner.buffer for inner in sums))}
    rest = replace(s, stop=Const(count - whole, I64), body=tuple(_moved(inner, s.var, whole) for inner in s.body))
    allocs = [renamed(starts[inner.buffer], names) for inner in sums]
    joined = [replace(inner, value=Var(names[inner.buffer], starts[inner.buffer].dtype)) for inner in sums]
    return [replace(s, stop=Const(whole, I64)), *allocs, renamed(rest, names), *joined]


def _applies(e: Expr) -> bool:
    """Whether an expression applies a function that is many instructions."""
    return isinstance(e, Apply) and e.function in COSTLY or any(_applies(inner) for inner in operands(e))


def _moved(item: Any, name: str, by: int) -> Any:
    """A statement or expression with `by` added to a variable."""
    if isinstance(item, Var) and item.name == name:
        return item + Const(by, I64)
    return with_parts(item, partial(_moved, name=name, by=by))


__all__ = ["with_rests"]
