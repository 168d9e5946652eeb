"""The entry of a program as LLVM text: nothing but calls, so it needs no front end, and kernels that it calls need not be translated anew.

    def program(tid, nthreads, args):
        b = extent(args, 3)                                    define void @program(i64 %tid, i64 %nthreads, ptr %args) {
        k0(tid, nthreads, pointer_f32(args, 1), b)      ->       ... call void @k0(i64 %tid, i64 %nthreads, ptr %p1, i64 %b)
        barrier(tid, nthreads, args)                             ... call void @flowc_barrier(i64 %nthreads, i64 %control)
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from flowc.codegen.barrier import barrier_text
from flowc.codegen.clock import clock_text
from flowc.codegen.emission import Unit

NAME = "program"
_ARITHMETIC: dict[type[ast.operator], str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "sdiv"}  # of numbers that are not negative


class _Other(Exception):
    """The function holds something else than the printer writes."""


def entry_unit(text: str, signatures: Mapping[str, Sequence[str]], symbols: Mapping[str, str]) -> Unit | None:
    """The unit of the entry of a file as `cpu.print_program` writes it; None for any other.

    signatures: of the kernels; symbols: the names of their object code.
    """
    begin = text.find(f"\ndef {NAME}(")
    tree = ast.parse(text[begin:]) if begin >= 0 else ast.Module([], [])
    match tree.body:
        case [ast.FunctionDef() as definition]:
            try:
                return _Writer(definition, signatures, symbols).unit()
            except _Other:
                pass
    return None


class _Writer:
    def __init__(self, definition: ast.FunctionDef, signatures: Mapping[str, Sequence[str]], symbols: Mapping[str, str]) -> None:
        if len(definition.args.args) != 3 or tuple(signatures.get(NAME, ())) != ("i64", "i64", "i64*"):
            raise _Other
        self.body = definition.body
        self.tid, self.nthreads, self.args = (a.arg for a in definition.args.args)
        self.signatures, self.symbols = signatures, symbols
        self.values: dict[str, str] = {self.tid: "i64 %tid", self.nthreads: "i64 %nthreads", self.args: "ptr %args"}
        self.declared: dict[str, str] = {}
        self.lines: list[str] = []
        self.parts: dict[str, None] = {}
        self.barriers = self.names = 0

    def unit(self) -> Unit:
        for statement in self.body:
            self.statement(statement)
        head = [f"define void @{NAME}(i64 %tid, i64 %nthreads, ptr %args) nounwind {{", "  %shared = icmp sgt i64 %nthreads, 1"]
        text = "\n".join([*self.declared.values(), *head, *self.lines, "  ret void", "}", ""])
        return Unit(NAME, text, tuple(self.parts), plain=True)

    def statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Pass():
                pass
            case ast.Assign([ast.Name(name)], ast.Call(ast.Name("extent"), [ast.Name(table), ast.Constant(slot)])) if table == self.args:
                self.values[name] = f"i64 {self.slot('i64', slot)}"
            case ast.Assign([ast.Name(name)], ast.IfExp() as choice):
                self.values[name] = f"i64 {self.number(choice)}"
            case ast.Expr(ast.Call(ast.Name("barrier"), [ast.Name(tid), team, ast.Name(table)])) if (tid, table) == (self.tid, self.args):
                self.barrier(self.number(team))
            case ast.Expr(ast.Call(ast.Name("mark"), [ast.Name(table), ast.Constant(slot), place])) if table == self.args:
                self.mark(slot, self.number(place))
            case ast.Expr(ast.Call(ast.Name(kernel), arguments, [])) if kernel in self.symbols:
                self.call(kernel, arguments)
            case _:
                raise _Other

    def call(self, kernel: str, arguments: list[ast.expr]) -> None:
        given = [self.argument(a) for a in arguments]
        kinds = ["ptr" if "*" in kind else kind for kind in self.signatures[kernel]]
        if kinds != [g.split()[0] for g in given]:
            raise _Other
        symbol = self.symbols[kernel]
        self.declared[symbol] = f'declare void @"{symbol}"({", ".join(kinds)})'
        self.lines.append(f'  call void @"{symbol}"({", ".join(given)})')

    def argument(self, tree: ast.expr) -> str:
        match tree:
            case ast.Name(name) if name in self.values:
                return self.values[name]
            case ast.Constant(int(value)):
                return f"i64 {value}"
            case ast.Call(ast.Name(function), [ast.Name(table), ast.Constant(slot)], []) if table == self.args and function.startswith("pointer_"):
                return f"ptr {self.slot('ptr', slot)}"
        raise _Other

    def slot(self, kind: str, slot: object) -> str:
        """What stands in a slot of the table, read where it is used: thousands of addresses that live on through the whole entry would cost
        LLVM more than all kernels."""
        if not isinstance(slot, int):
            raise _Other
        at = self.result(f"getelementptr i64, ptr %args, i64 {slot}")
        return self.result(f"load {kind}, ptr {at}, align 8")

    def number(self, tree: ast.expr) -> str:
        """The value of an expression over whole numbers."""
        match tree:
            case ast.Name() | ast.Constant():
                kind, value = self.argument(tree).split()
                if kind == "i64":
                    return value
            case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
                return self.result(f"{_ARITHMETIC[type(op)]} i64 {self.number(left)}, {self.number(right)}")
            case ast.IfExp(ast.Compare(left, [ast.GtE()], [right]), yes, no):
                holds = self.result(f"icmp sge i64 {self.number(left)}, {self.number(right)}")
                return self.result(f"select i1 {holds}, i64 {self.number(yes)}, i64 {self.number(no)}")
            case ast.Call(ast.Name("max"), [left, right], []):
                one, other = self.number(left), self.number(right)
                return self.result(f"select i1 {self.result(f'icmp sgt i64 {one}, {other}')}, i64 {one}, i64 {other}")
        raise _Other

    def result(self, operation: str) -> str:
        """The name of what an operation gives."""
        name = f"%v{self.names}"
        self.names += 1
        self.lines.append(f"  {name} = {operation}")
        return name

    def barrier(self, team: str) -> None:
        """Threads meet where there are several."""
        n = self.barriers
        self.barriers += 1
        self.parts[barrier_text()] = None
        self.declared.setdefault("flowc_barrier", "declare void @flowc_barrier(i64, i64)")
        shared = "%shared" if team == "%nthreads" else self.result(f"icmp sgt i64 {team}, 1")
        self.lines += [f"  br i1 {shared}, label %meet{n}, label %go{n}", f"meet{n}:"]
        self.lines += [f"  call void @flowc_barrier(i64 {team}, i64 {self.slot('i64', 0)})", f"  br label %go{n}", f"go{n}:"]

    def mark(self, slot: object, place: str) -> None:
        """The time, into an element of the array in a slot."""
        self.parts[clock_text()] = None
        self.declared.setdefault("flowc_clock", "declare i64 @flowc_clock()")
        at = self.result(f"getelementptr i64, ptr {self.slot('ptr', slot)}, i64 {place}")
        self.lines.append(f"  store i64 {self.result('call i64 @flowc_clock()')}, ptr {at}, align 8")
