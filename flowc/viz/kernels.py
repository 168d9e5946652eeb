"""From a Program to the diagram of its loops: kernels, loops and branches are scopes, statements are boxes, memory is where lines begin and end.

    for i in parallel(b):               ->    the scope `for i in parallel(b)` with the boxes `x_ = x[i]` and `out[i] = ...`,
        x_ = x[i]                             a line from the memory x to the first, from there to the second, from there to the memory out
        out[i] = max(x_, 0.0)
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from flowc.ir.loop_walks import expressions, operands
from flowc.ir.loops import Alloc, Barrier, Buffer, Comment, Expr, For, If, Kernel, Let, Load, Statement, Store, Tile, Transform, Var
from flowc.ir.loops_text import KernelPrinter
from flowc.lower.program import Program
from flowc.viz.model import Box, Diagram, Kind, Link, LinkKind, Types

_COLUMNS = 44  # of a statement in a box


def of_program(program: Program, title: str, types: Types) -> Diagram:
    """The diagram of a Program's kernels; lines between kernels say which memory of one another one reads."""
    drawn = Diagram(title, types=types)
    written: dict[tuple[str, int], str] = {}  # for each place in memory the box that wrote it last
    updated = {program.main.params.index(param) for param, _ in program.main.updates}
    for step in program.steps:
        scope = step.kernel.name
        while scope in drawn.scopes:
            scope += "'"
        body = _Body(drawn, step.kernel, scope)
        for buffer, place in zip(step.kernel.buffers, step.places, strict=True):
            key = (place.kind, place.position)
            name = body.memory(buffer, _memory_kind(place.kind, place.position in updated, buffer), place.kind == "result")
            if buffer.role in ("in", "inout") and key in written:
                drawn.add_link(written[key], name, Link(LinkKind.DATA, f"{buffer.dtype}[{buffer.size}]", _bytes(buffer, types)))
        body.run(step.kernel.body, scope)
        for buffer, place in zip(step.kernel.buffers, step.places, strict=True):
            if buffer.role != "in":
                written[place.kind, place.position] = body.homes[buffer.name]
    return drawn


def _memory_kind(place: str, updated: bool, buffer: Buffer) -> Kind:
    if place == "constant":
        return Kind.CONSTANT
    return Kind.PLACEHOLDER if place == "param" and not updated and buffer.role == "in" else Kind.VARIABLE


def _bytes(buffer: Buffer, types: Types) -> int:
    return buffer.dtype.size * types.count(buffer.size)


class _Body:
    """The statements of one kernel. homes: for each buffer, variable and register the box that it comes from."""

    def __init__(self, drawn: Diagram, kernel: Kernel, scope: str) -> None:
        self.drawn = drawn
        self.scope = scope
        self.printer = KernelPrinter(kernel)
        self.homes: dict[str, str] = {}
        self.count = 0
        self.last: str | None = None
        drawn.add_scope(scope, "", None, f"kernel {kernel.name}")

    def memory(self, buffer: Buffer, kind: Kind, result: bool) -> str:
        name = f"{self.scope}/{buffer.name}"
        role = "" if buffer.role == "in" else buffer.role
        lines = (buffer.name, f"{buffer.dtype}[{buffer.size}]", *([role] if role else []))
        self.drawn.add_box(Box(name, kind, self.scope, lines, result=result))
        self.homes[buffer.name] = name
        return name

    def run(self, body: Iterable[Statement], scope: str) -> None:
        for statement in body:
            if isinstance(statement, Comment):
                continue
            text = next(iter(self.printer.statement(statement, "")))
            self.count += 1
            name = f"{scope}/{self.count}"
            if isinstance(statement, For):
                self.drawn.add_scope(name, scope, None, text.rstrip(":"))
                self.homes.pop(statement.var, None)  # the index is no value that flows
                self.run(statement.body, name)
            elif isinstance(statement, If):
                self.drawn.add_scope(name, scope, None, text.rstrip(":"))
                self.run(statement.body, name)
                if statement.orelse:
                    self.drawn.add_scope(f"{name}'", scope, None, f"else of {text.rstrip(':')}")
                    self.run(statement.orelse, f"{name}'")
            else:
                self.box(statement, text, name, scope)

    def box(self, statement: Statement, text: str, name: str, scope: str) -> None:
        kind = Kind.ASSIGNMENT if isinstance(statement, Store) and statement.index is not None or isinstance(statement, Tile | Transform) else Kind.OP
        lines = textwrap.wrap(text, _COLUMNS, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or [text]
        self.drawn.add_box(Box(name, kind, scope, tuple(lines)))
        for source, type in self.reads(statement):
            self.drawn.add_link(self.homes[source], name, Link(LinkKind.DATA, type))
        match statement:
            case Let() | Alloc():
                self.homes[statement.name] = name
            case Store() if statement.index is None:
                self.homes[statement.buffer] = name
            case Store():
                self.drawn.add_link(name, self.homes[statement.buffer], Link(LinkKind.UPDATE))
            case Tile() | Transform():
                self.drawn.add_link(name, self.homes[statement.out], Link(LinkKind.UPDATE))
            case Barrier() if self.last is not None:
                self.drawn.add_link(self.last, name, Link(LinkKind.CONTROL))
        if self.last is not None and self.is_barrier(self.last) and not isinstance(statement, Barrier):
            self.drawn.add_link(self.last, name, Link(LinkKind.CONTROL))
        self.last = name

    def is_barrier(self, name: str) -> bool:
        return self.drawn.box(name).lines[0].startswith("barrier(")

    def reads(self, statement: Statement) -> Iterator[tuple[str, str]]:
        """What a statement reads that comes from a box, with its type: variables, registers and memory."""
        stack = list(expressions(statement))[::-1]
        while stack:
            expr: Expr = stack.pop()
            if isinstance(expr, Var) and expr.name in self.homes:
                yield expr.name, str(expr.dtype)
            elif isinstance(expr, Load) and expr.buffer in self.homes:
                yield expr.buffer, str(expr.dtype)
            stack += operands(expr)[::-1]
        if isinstance(statement, Store) and statement.combine is not None and statement.index is None:
            yield statement.buffer, ""
        if isinstance(statement, Tile | Transform):
            yield from ((buffer, str(statement.dtype)) for buffer in ((statement.a, statement.b) if isinstance(statement, Tile) else (statement.a,)))
