"""Walks over loop IR: what statements hold, look at and make, whatever their form.

    used(body)     ->   {"i", "n", "total"}            # variables and registers that any expression in it looks at
    bound(body)    ->   "i", "total"                   # those that its loops, `Let`s and `Alloc`s make

`with_parts` is the step of every rewriting walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flowc.ir.loops import Alloc, Apply, Cast, Expr, For, If, Let, Load, Select, Statement, Store, Tile, Transform, Var
from flowc.structs import fields, replace


def children(statement: Statement) -> tuple[tuple[Statement, ...], ...]:
    """The bodies inside a statement."""
    if isinstance(statement, For):
        return (statement.body,)
    return (statement.body, statement.orelse) if isinstance(statement, If) else ()


def expressions(statement: Statement) -> Iterator[Expr]:
    """The expressions that stand directly in a statement."""
    match statement:
        case For():
            yield from (statement.start, statement.stop)
        case Let():
            yield statement.value
        case Alloc(init=Expr() as init):
            yield init
        case Store():
            yield from (statement.value,) if statement.index is None else (statement.index, statement.value)
        case If():
            yield statement.condition
        case Tile() | Transform():
            yield from (value for name in fields(statement) if isinstance(value := getattr(statement, name), Expr))


def operands(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside one."""
    match expr:
        case Load():
            return (expr.index,)
        case Apply():
            return expr.args
        case Select():
            return (expr.condition, expr.yes, expr.no)
        case Cast():
            return (expr.x,)
    return ()


def names(expr: Expr) -> set[str]:
    """The variables and registers that an expression looks at."""
    found = {expr.name} if isinstance(expr, Var) else set()
    return found.union(*(names(inner) for inner in operands(expr)))


def loads(expr: Expr) -> Iterator[Load]:
    """Where an expression looks at buffers."""
    if isinstance(expr, Load):
        yield expr
    for inner in operands(expr):
        yield from loads(inner)


def reads(expr: Expr) -> bool:
    """Whether an expression looks at a buffer."""
    return any(True for _ in loads(expr))


def walk(body: Iterable[Statement]) -> Iterator[Statement]:
    """The statements of a body and of all bodies in it."""
    for s in body:
        yield s
        for inner in children(s):
            yield from walk(inner)


def used(body: Iterable[Statement]) -> set[str]:
    """The variables and registers that statements look at."""
    return {name for s in walk(body) for e in expressions(s) for name in names(e)}


def bound(body: Iterable[Statement]) -> Iterator[str]:
    """The variables and registers that a body makes, once for each statement that does."""
    for s in walk(body):
        match s:
            case For():
                yield s.var
            case Let() | Alloc():
                yield s.name


def with_parts(item: Any, change: Callable[[Any], Any]) -> Any:
    """A statement or expression with `change` made to each one directly in it; the same object where that changes nothing."""
    changed = {}
    for field in fields(item):
        old = getattr(item, field)
        if isinstance(old, Expr):
            new: Any = change(old)
        elif isinstance(old, tuple) and old and isinstance(old[0], Expr | Statement):
            new = tuple(change(part) for part in old)
            if all(a is b for a, b in zip(new, old, strict=True)):
                continue
        else:
            continue
        if new is not old:
            changed[field] = new
    return replace(item, **changed) if changed else item
