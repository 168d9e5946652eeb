"""Scalar text: the lowering of an elementwise op, written as one Python expression, becomes a loop IR expression over its operands' values.

    scalar("max(x, 0.0) * y", {"x": Var("a", F32), "y": Var("b", F32)})   ->   max(a, 0.0) * b, in f32
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache

from flowc.ir.loops import Expr, Operand, apply, cast, lift, select
from flowc.ir.types import DTYPES


@cache
def _tree(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


_BIN: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow",
    ast.BitAnd: "bitand", ast.BitOr: "bitor", ast.BitXor: "bitxor", ast.LShift: "shl", ast.RShift: "shr",
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne", ast.And: "and", ast.Or: "or",
}  # fmt: skip


def scalar(text: str, names: Mapping[str, Expr]) -> Expr:
    """The expression that `text` writes over `names`: arithmetic, comparisons, `a if c else b`, FUNCTIONS, `f32(x)`.

    A number takes the dtype of its neighbour, so `max(x, 0.0)` serves every float dtype.
    """
    result = _parse(_tree(text), names)
    if not isinstance(result, Expr):
        raise TypeError(f"{text!r} is a plain number and has no dtype")
    return result


def _parse(tree: ast.expr, names: Mapping[str, Expr]) -> Operand:
    """One syntax tree; a plain number stays one until it meets a neighbour."""
    match tree:
        case ast.Constant(value=bool() | int() | float() as number):
            return number
        case ast.Name():
            if tree.id not in names:
                raise KeyError(f"no value named {tree.id} in scalar text")
            return names[tree.id]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.UnaryOp(op=op, operand=operand):
            name = {ast.USub: "neg", ast.Not: "not", ast.Invert: "invert"}[type(op)]
            return apply(name, _expr(_parse(operand, names)))
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _joined(_BIN[type(op)], _parse(left, names), _parse(right, names))
        case ast.BoolOp(op=op, values=values):
            total = _parse(values[0], names)
            for value in values[1:]:
                total = _joined(_BIN[type(op)], total, _parse(value, names))
            return total
        case ast.IfExp(test=test, body=yes, orelse=no):
            return select(_expr(_parse(test, names)), _parse(yes, names), _parse(no, names))
        case ast.Call(func=ast.Name(id=name), args=args):
            operands = [_parse(a, names) for a in args]
            if name in DTYPES:
                (x,) = operands
                return cast(x, DTYPES[name]) if isinstance(x, Expr) else lift(x, DTYPES[name])
            if name == "select":
                return select(_expr(operands[0]), operands[1], operands[2])
            if len(operands) == 2 and name != "philox":
                return _joined(name, operands[0], operands[1])
            return apply(name, *(_expr(x) for x in operands))
    raise TypeError(f"scalar text may not hold {ast.unparse(tree)}")


def _joined(name: str, left: Operand, right: Operand) -> Expr:
    if not isinstance(left, Expr):
        left = lift(left, _expr(right).dtype)
    return apply(name, left, lift(right, left.dtype))


def _expr(x: Operand) -> Expr:
    if not isinstance(x, Expr):
        raise TypeError(f"{x!r} has no neighbour to take a dtype from")
    return x
