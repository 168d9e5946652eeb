"""Kernel text: loop IR prints as restricted Python, and that text parses back (`print_kernel(parse_kernel(text)) == text`).

    def k0(x: f32[10*b], out: f32[b], b: i64):
        for i in parallel(b):
            # model.py:41
            acc: f32 = 0.0
            for j in serial(10):
                acc += max(x[10*i + j], 0.0)
            out[i] = acc

A buffer that is stored to has the role out, another in; where that is not so the type says it: `inout(f32[b])`. A whole number is an
i64; any other literal takes its neighbour's dtype, or that of the place it is stored to, or says it: `f32(1.0)`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from flowc.errors import TextError
from flowc.ir.loop_walks import children
from flowc.ir.loops import (
    FUNCTIONS,
    INFIX,
    Alloc,
    Apply,
    Barrier,
    Buffer,
    Cast,
    Comment,
    Const,
    Expr,
    For,
    If,
    Kernel,
    Let,
    Load,
    Select,
    Statement,
    Store,
    Tile,
    Transform,
    Var,
    function_dtype,
    lift,
)  # fmt: skip
from flowc.ir.primitives import TRANSFORMS
from flowc.ir.text import parse_dim
from flowc.ir.types import BOOL, DTYPES, I64, DType
from flowc.structs import fields

_OPERATORS: dict[str, ast.AST] = {
    "add": ast.Add(), "sub": ast.Sub(), "mul": ast.Mult(), "div": ast.Div(), "floordiv": ast.FloorDiv(), "mod": ast.Mod(), "bitand": ast.BitAnd(),
    "bitor": ast.BitOr(), "bitxor": ast.BitXor(), "shl": ast.LShift(), "shr": ast.RShift(), "lt": ast.Lt(), "le": ast.LtE(), "gt": ast.Gt(),
    "ge": ast.GtE(), "eq": ast.Eq(), "ne": ast.NotEq(), "and": ast.And(), "or": ast.Or(), "neg": ast.USub(), "not": ast.Not(), "invert": ast.Invert(),
}  # fmt: skip
_FUNCTION_OF = {type(operator): name for name, operator in _OPERATORS.items()}
_AUGMENTED = {"add": "+=", "mul": "*="}
_COMMENT = re.compile(r"^(\s*)#\s?(.*)$")
_ROLES = {"input": "in", "out": "out", "inout": "inout", "workspace": "workspace"}
_COMMENT_CALL = "__comment__"
assert set(INFIX) <= set(_OPERATORS)


# printing


def print_kernel(kernel: Kernel) -> str:
    """The text of one kernel, ending with a newline."""
    return KernelPrinter(kernel).text()


class KernelPrinter:
    """Writes one kernel, or its statements one by one."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.dtypes: dict[str, DType] = {b.name: b.dtype for b in kernel.buffers}

    def text(self) -> str:
        k = self.kernel
        stored = set(_stored(k.body))
        params = [f"{b.name}: {_buffer_type(b, stored)}" for b in k.buffers] + [f"{e}: i64" for e in k.extents]
        lines = [f"def {k.name}({', '.join(params)}):"]
        lines += [f"    # {note}".rstrip() for note in k.notes]
        lines += self.body(k.body, "    ")
        return "\n".join(lines) + "\n"

    def body(self, body: Sequence[Statement], indent: str) -> list[str]:
        lines = [line for statement in body for line in self.statement(statement, indent)]
        return lines if any(not isinstance(s, Comment) for s in body) else [*lines, f"{indent}pass"]

    def statement(self, statement: Statement, indent: str) -> Iterator[str]:
        match statement:
            case For():
                start = [] if isinstance(statement.start, Const) and statement.start.value == 0 else [show(statement.start, I64)]
                again = [f"again={statement.again}"] if statement.again else []
                yield f"{indent}for {statement.var} in {statement.kind}({', '.join([*start, show(statement.stop, I64), *again])}):"
                yield from self.body(statement.body, indent + "    ")
            case Let():
                yield f"{indent}{statement.name} = {show(statement.value)}"
            case Alloc():
                self.dtypes[statement.name] = statement.dtype
                type = str(statement.dtype) if statement.size is None else f"{statement.dtype}[{statement.size}]"
                type = f"shared({type})" if statement.shared else type
                yield f"{indent}{statement.name}: {type}" + ("" if statement.init is None else f" = {show(statement.init, statement.dtype)}")
            case Store():
                yield indent + self.store(statement)
            case If():
                yield f"{indent}if {show(statement.condition)}:"
                yield from self.body(statement.body, indent + "    ")
                if statement.orelse:
                    yield f"{indent}else:"
                    yield from self.body(statement.orelse, indent + "    ")
            case Barrier():
                yield f"{indent}barrier()"
            case Comment():
                place = statement.loc.short if statement.loc is not None else ""
                yield f"{indent}# {'  '.join(part for part in (statement.text, place) if part)}".rstrip()
            case Tile():
                hidden = (*(SEVERAL if statement.is_single else ()), *(() if statement.ahead else AHEAD))
                shown = [name for name in fields(Tile) if name not in hidden]
                parts = [f"{name}={_tile_value(getattr(statement, name))}" for name in shown]
                yield f"{indent}tile({', '.join(parts)})"
            case Transform():
                parts = [f"{name}={_tile_value(getattr(statement, name))}" for name in fields(Transform) if name != "kind"]
                yield f"{indent}fourier_{statement.kind}({', '.join(parts)})"
            case _:
                raise TypeError(f"{statement!r} is no statement of the loop IR")

    def store(self, statement: Store) -> str:
        place = statement.buffer if statement.index is None else f"{statement.buffer}[{show(statement.index, I64)}]"
        value = show(statement.value, self.dtypes.get(statement.buffer))
        if statement.combine is None:
            return f"{place} = {value}"
        if statement.combine in _AUGMENTED:
            return f"{place} {_AUGMENTED[statement.combine]} {value}"
        return f"{place} = {statement.combine}({place}, {value})"


def _buffer_type(buffer: Buffer, stored: set[str]) -> str:
    type = f"{buffer.dtype}[{buffer.size}]"
    usual = "out" if buffer.name in stored else "in"
    return type if buffer.role == usual else f"{'input' if buffer.role == 'in' else buffer.role}({type})"


def _stored(body: Iterable[Statement]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, Store):
            yield statement.buffer
        elif isinstance(statement, Tile | Transform):
            yield statement.out
        for inner in children(statement):
            yield from _stored(inner)


SEVERAL = ("count", "out_step", "a_step", "b_step")  # of a Tile: not shown where it is one product
AHEAD = ("ahead", "ahead_at", "ahead_row")  # not shown where there is nothing to fetch


def _tile_value(value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return f"[{', '.join(value)}]"
    return show(value) if isinstance(value, Expr) else str(value)


def show(expr: Expr, expected: DType | None = None) -> str:
    """The text of one expression; `expected` is the dtype that a bare literal would take where it stands."""
    return ast.unparse(_tree(expr, expected))


def _tree(expr: Expr, expected: DType | None = None) -> ast.expr:
    match expr:
        case Const():
            literal = _literal(expr)
            plain = expr.dtype is expected or (expected is None and expr.dtype in (I64, BOOL))
            return literal if plain else _call(expr.dtype.name, literal)
        case Var():
            return ast.Name(expr.name)
        case Load():
            return ast.Subscript(ast.Name(expr.buffer), _tree(expr.index, I64))
        case Cast():
            return _call(expr.dtype.name, _tree(expr.x, None) if not isinstance(expr.x, Const) else _call(expr.x.dtype.name, _literal(expr.x)))
        case Select():
            yes, no = _pair(expr.yes, expr.no)
            return ast.IfExp(_tree(expr.condition), yes, no)
        case Apply(function=name, args=(x,)) if name in _OPERATORS:
            # -1.0 is a literal, so the negation of one is written -f32(1.0)
            inner = _call(x.dtype.name, _literal(x)) if isinstance(x, Const) and not x.dtype.is_bool else _tree(x)
            return ast.UnaryOp(_OPERATORS[name], inner)  # type: ignore[arg-type]
        case Apply(function=name, args=(x, y)):
            left, right = _pair(x, y)
            operator = _OPERATORS.get(name)
            if isinstance(operator, ast.boolop):
                return ast.BoolOp(operator, [left, right])
            if isinstance(operator, ast.cmpop):
                return ast.Compare(left, [operator], [right])
            if isinstance(operator, ast.operator):
                return ast.BinOp(left, operator, right)
            return _call(name, left, right)
        case Apply():
            return _call(expr.function, *(_tree(a) for a in expr.args))
    raise TypeError(f"{expr!r} is no expression of the loop IR")


def _pair(left: Expr, right: Expr) -> tuple[ast.expr, ast.expr]:
    """Two neighbours: a literal takes its dtype from the other."""
    if isinstance(left, Const) and not isinstance(right, Const):
        return _tree(left, right.dtype), _tree(right)
    return _tree(left), _tree(right, left.dtype)


def _call(name: str, *args: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name), list(args), [])


def _literal(const: Const) -> ast.expr:
    if const.dtype.is_bool:
        return ast.Constant(bool(const.value))
    if not const.dtype.is_float:
        value = int(const.value)
        return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))
    number = float(const.value)
    if np.isnan(number):
        return ast.Name("nan")
    size = abs(number)
    short = float(str(const.dtype.numpy.type(size))) if np.isfinite(size) else size  # the shortest digits that give the dtype's bits
    literal = ast.Name("inf") if np.isinf(size) else ast.Constant(short)
    return ast.UnaryOp(ast.USub(), literal) if np.signbit(number) else literal


# parsing


def parse_kernel(text: str) -> Kernel:
    """The one kernel that `text` writes. TextError names the line that does not parse."""
    (kernel,) = parse_kernels(text)
    return kernel


def parse_kernels(text: str) -> list[Kernel]:
    """Every kernel of `text`, in order."""
    source = "\n".join(_COMMENT.sub(lambda m: f"{m[1]}{_COMMENT_CALL}({m[2]!r})" if m[1] else "", line) for line in text.splitlines())
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise TextError(f"kernel text, line {error.lineno}: {error.msg}: {(error.text or '').strip()}") from None
    for item in tree.body:
        if not isinstance(item, ast.FunctionDef):
            raise TextError(f"kernel text, line {item.lineno}: only `def` may stand here")
    return [_Parser(item).parse() for item in tree.body if isinstance(item, ast.FunctionDef)]


class _Parser:
    def __init__(self, tree: ast.FunctionDef) -> None:
        self.tree = tree
        self.names: dict[str, DType] = {}
        self.registers: set[str] = set()

    def fail(self, at: ast.AST, what: str) -> TextError:
        return TextError(f"kernel text, line {getattr(at, 'lineno', '?')}, in {self.tree.name}: {what}: {ast.unparse(at)}")

    def parse(self) -> Kernel:
        found: list[tuple[str, str | None, DType, ast.expr]] = []
        extents: list[str] = []
        for arg in self.tree.args.args:
            match arg.annotation:
                case ast.Name(id="i64"):
                    extents.append(arg.arg)
                    self.names[arg.arg] = I64
                case ast.Call(func=ast.Name(id=word), args=[ast.Subscript(value=ast.Name(id=dtype), slice=size)]) if word in _ROLES and dtype in DTYPES:
                    found.append((arg.arg, _ROLES[word], DTYPES[dtype], size))
                case ast.Subscript(value=ast.Name(id=dtype), slice=size) if dtype in DTYPES:
                    found.append((arg.arg, None, DTYPES[dtype], size))
                case _:
                    raise self.fail(arg, "neither a buffer `f32[n]` nor an extent `i64`")
        self.names.update((name, dtype) for name, _, dtype, _ in found)
        body = self.body(self.tree.body)
        stored = set(_stored(body))
        buffers = [Buffer(n, d, parse_dim(size, self.fail), role or ("out" if n in stored else "in")) for n, role, d, size in found]
        return Kernel(self.tree.name, tuple(buffers), tuple(extents), body)

    def again(self, tree: ast.stmt, keywords: Sequence[ast.keyword]) -> int:
        match keywords:
            case []:
                return 0
            case [ast.keyword(arg="again", value=ast.Constant(value=int() as again))]:
                return again
        raise self.fail(tree, "a loop has no keyword but again=n")

    def body(self, trees: Sequence[ast.stmt]) -> tuple[Statement, ...]:
        return tuple(self.statement(tree) for tree in trees if not isinstance(tree, ast.Pass))

    def statement(self, tree: ast.stmt) -> Statement:
        match tree:
            case ast.For(target=ast.Name(id=var), iter=ast.Call(func=ast.Name(id=kind), args=[*_, _] as bounds, keywords=more)) if len(bounds) <= 2:
                start = Const(0, I64) if len(bounds) == 1 else self.expr(bounds[0], I64)
                stop = self.expr(bounds[-1], I64)
                self.names[var] = I64
                again = self.again(tree, more)
                return For(var, start, stop, kind, self.body(tree.body), again)
            case ast.If():
                return If(self.expr(tree.test, BOOL), self.body(tree.body), self.body(tree.orelse))
            case ast.AnnAssign(target=ast.Name(id=name)):
                return self.alloc(name, tree)
            case ast.AugAssign(op=ast.Add() | ast.Mult() as operator):
                return self.store(tree.target, tree.value, _FUNCTION_OF[type(operator)])
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in self.registers:
                expr = self.expr(value)
                self.names[name] = expr.dtype
                return Let(name, expr)
            case ast.Assign(targets=[target], value=ast.Call(func=ast.Name(id="min" | "max" | "larger" as combine), args=[held, value])) if ast.dump(
                held
            ) == ast.dump(_loaded(target)):
                return self.store(target, value, combine)
            case ast.Assign(targets=[target], value=value):
                return self.store(target, value, None)
            case ast.Expr(value=ast.Call(func=ast.Name(id="barrier"), args=[], keywords=[])):
                return Barrier()
            case ast.Expr(value=ast.Call(func=ast.Name(id="__comment__"), args=[ast.Constant(value=str() as text)])):
                return Comment(text)
            case ast.Expr(value=ast.Call(func=ast.Name(id="tile"), args=[], keywords=keywords)):
                return Tile(**self.primitive(Tile, tree, keywords))
            case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=[], keywords=keywords)) if name.removeprefix("fourier_") in TRANSFORMS:
                return Transform(kind=name.removeprefix("fourier_"), **self.primitive(Transform, tree, keywords))
        raise self.fail(tree, "no statement of the loop IR")

    def alloc(self, name: str, tree: ast.AnnAssign) -> Alloc:
        annotation, shared = tree.annotation, False
        size: int | None = None
        if isinstance(annotation, ast.Call) and isinstance(annotation.func, ast.Name) and annotation.func.id == "shared":
            annotation, shared = annotation.args[0], True
        match annotation:
            case ast.Subscript(value=ast.Name(id=dtype), slice=ast.Constant(value=int() as elements)) if dtype in DTYPES:
                size = elements
            case ast.Name(id=dtype) if dtype in DTYPES:
                self.registers.add(name)
            case _:
                raise self.fail(tree, "neither a register `f32` nor an array `f32[64]`")
        self.names[name] = DTYPES[dtype]
        init = None if tree.value is None else self.expr(tree.value, DTYPES[dtype])
        return Alloc(name, DTYPES[dtype], init, size, shared)

    def store(self, target: ast.expr, value: ast.expr, combine: str | None) -> Store:
        match target:
            case ast.Name(id=name) if name in self.registers:
                return Store(name, None, self.expr(value, self.names[name]), combine)
            case ast.Subscript(value=ast.Name(id=name), slice=index) if name in self.names:
                return Store(name, self.expr(index, I64), self.expr(value, self.names[name]), combine)
        raise self.fail(target, "neither a register nor a buffer's element")

    def primitive(self, kind: type[Tile] | type[Transform], tree: ast.stmt, keywords: Sequence[ast.keyword]) -> dict[str, Any]:
        """The fields of a statement that is printed as a call with keywords."""
        given = {k.arg: k.value for k in keywords if k.arg}
        values: dict[str, Any] = {}
        for name in fields(kind):
            if name not in given:
                if name in (*SEVERAL, *AHEAD, "kind"):
                    continue
                raise self.fail(tree, f"{kind.__name__.lower()} without {name}")
            value = given[name]
            match name:
                case "out" | "a" | "b" | "dtype":
                    assert isinstance(value, ast.Name)
                    values[name] = DTYPES[value.id] if name == "dtype" else value.id
                case "block":
                    values[name] = ast.literal_eval(value)
                case "ahead":
                    assert isinstance(value, ast.List)
                    values[name] = tuple(buffer.id for buffer in value.elts if isinstance(buffer, ast.Name))
                case _:
                    values[name] = self.expr(value)
        return values

    def expr(self, tree: ast.expr, expected: DType | None = None) -> Expr:
        literal = _number(tree)
        if literal is not None:
            dtype = expected or (BOOL if isinstance(literal, bool) else I64 if isinstance(literal, int) else None)
            if dtype is None:
                raise self.fail(tree, "a literal with no neighbour to take a dtype from; write f32(...)")
            return lift(literal, dtype)
        match tree:
            case ast.Name(id=name) if name in self.names:
                return Var(name, self.names[name])
            case ast.Subscript(value=ast.Name(id=name), slice=index) if name in self.names:
                return Load(name, self.expr(index, I64), self.names[name])
            case ast.UnaryOp(op=operator, operand=operand):
                return self.applied(_FUNCTION_OF[type(operator)], self.expr(operand))
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _FUNCTION_OF:
                return self.applied(_FUNCTION_OF[type(operator)], *self.pair(left, right))
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self.applied(_FUNCTION_OF[type(operator)], *self.pair(left, right))
            case ast.BoolOp(op=operator, values=values):
                total = self.expr(values[0], BOOL)
                for value in values[1:]:
                    total = self.applied(_FUNCTION_OF[type(operator)], total, self.expr(value, BOOL))
                return total
            case ast.IfExp(test=test, body=yes, orelse=no):
                return Select(self.expr(test, BOOL), *self.pair(yes, no))
            case ast.Call(func=ast.Name(id=name), args=[x]) if name in DTYPES:
                number = _number(x)
                return Cast(DTYPES[name], self.expr(x)) if number is None else lift(number, DTYPES[name])
            case ast.Call(func=ast.Name(id=name), args=[left, right]) if FUNCTIONS.get(name) == 2:
                return self.applied(name, *self.pair(left, right))
            case ast.Call(func=ast.Name(id=name), args=args) if FUNCTIONS.get(name) == len(args):
                return self.applied(name, *(self.expr(a) for a in args))
        raise self.fail(tree, "no expression of the loop IR")

    def pair(self, left: ast.expr, right: ast.expr) -> tuple[Expr, Expr]:
        if _number(left) is not None and _number(right) is None:
            second = self.expr(right)
            return self.expr(left, second.dtype), second
        first = self.expr(left)
        return first, self.expr(right, first.dtype)

    def applied(self, name: str, *args: Expr) -> Expr:
        return Apply(name, args, function_dtype(name, args))


def _loaded(target: ast.expr) -> ast.expr:
    """A stored place as it looks where it is loaded."""
    return ast.parse(ast.unparse(target), mode="eval").body


def _number(tree: ast.expr) -> bool | int | float | None:
    """The literal that `tree` writes, else None."""
    match tree:
        case ast.Constant(value=bool() | int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name(id="inf" | "nan" as word):
            return float(word)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="inf")):
            return -float("inf")
    return None


