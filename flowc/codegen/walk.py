"""One walk over a function's syntax tree: Numba says what each operation's type is and writes its LLVM code.

    out[i] = x[i] * f32_0        ->   typing: float32 * float32 is float32;   lowering: %.12 = fmul float %.10, 0x3FE0000000000000

Numba's own way to a typed function (bytecode, control flow graph, SSA form, types by propagation until nothing changes, liveness) is for any
Python. Generated source is loops, branches and assignments over values whose types follow in one pass from top to bottom, so the walk asks
Numba's typing context and its target context for one operation after the other. It takes a fifth of the time. `NotPlain` says that a
function is not of this kind; `numba_target` then goes Numba's own way, which also words the errors.
"""

from __future__ import annotations

import ast
import builtins
import operator
import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

BINARY: dict[type[ast.operator], Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
    ast.LShift: operator.lshift, ast.RShift: operator.rshift,
}  # fmt: skip
COMPARED: dict[type[ast.cmpop], Any] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_TRUTHS = frozenset(COMPARED.values())
UNARY: dict[type[ast.unaryop], Any] = {ast.USub: operator.neg, ast.Not: operator.not_, ast.Invert: operator.invert, ast.UAdd: operator.pos}

# how inline assembly names a register of floats; "" where that is not known
REGISTER = {"x86_64": "x", "amd64": "x", "aarch64": "w", "arm64": "w"}.get(platform.machine().lower(), "")

Typed = tuple[Any, Any]  # Numba's type, LLVM's value


class NotPlain(Exception):
    """The function has a statement, a name or an operation that one pass cannot type; the text says which."""


class Walk:
    """The body of one function. typing, target: Numba's contexts; instructions: (operator, type of both operands) -> what writes it at once."""

    def __init__(self, typing: Any, target: Any, instructions: dict[tuple[Any, Any], Callable[..., Any]], names: dict[str, Any]) -> None:
        self.typing, self.target, self.instructions = typing, target, instructions
        self.names = names  # the file's own: functions, constants
        self.values: dict[str, Typed] = {}  # of names that are bound once, while they can be used
        self.slots: dict[str, Typed] = {}  # of the others: where in the frame
        self.known: dict[str, Typed] = {}  # constants of the file
        self.bound: dict[str, int] = {}
        self.running: set[str] = set()  # names that the loop at hand makes the largest number of many

    def function(self, tree: ast.FunctionDef, function: ir.Function, arguments: list[Any], result: Any) -> None:
        """Write the body of an LLVM function that is declared. result: its type, none for no value."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.bound[node.id] = self.bound.get(node.id, 0) + 1
        self.result = result
        self.frame = ir.IRBuilder(function.append_basic_block("entry"))
        self.builder = ir.IRBuilder(function.append_basic_block("body"))
        given = self.target.call_conv.decode_arguments(self.builder, arguments, function)
        for argument, kind, value in zip(tree.args.args, arguments, given, strict=True):
            if argument.arg in self.bound:
                self.bound[argument.arg] += 1
                self.bind(argument.arg, (kind, value))
            else:
                self.values[argument.arg] = kind, value
        self.block(tree.body)
        if not self.builder.block.is_terminated:
            if result != types.none:
                raise NotPlain("a path without a result")
            self.builder.ret_void()
        self.frame.position_at_end(function.blocks[0])  # after what lowerings have put there
        self.frame.branch(function.blocks[1])

    # statements

    def block(self, statements: list[ast.stmt]) -> None:
        before = set(self.values)
        for statement in statements:
            if self.builder.block.is_terminated:
                raise NotPlain("statements after a return")
            self.statement(statement)
        for name in self.values.keys() - before:  # what is bound in a block once is known in that block only
            del self.values[name]

    def statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign([ast.Name(name)], ast.Call(ast.Name("larger"), [ast.Name(held), value], [])) if name == held and name in self.slots and REGISTER:
                self.run(name, self.value(value))
            case ast.Assign([ast.Name(name)], value):
                self.bind(name, self.value(value))
            case ast.Assign([ast.Subscript(array, index)], value):
                self.store(self.value(array), self.value(index), self.value(value))
            case ast.AugAssign(ast.Name(name), op, value):
                self.bind(name, self.apply(BINARY[type(op)], self.name(name), self.value(value)))
            case ast.AugAssign(ast.Subscript(array, index), op, value):
                place, at = self.value(array), self.value(index)
                self.store(place, at, self.apply(BINARY[type(op)], self.load(place, at), self.value(value)))
            case ast.Expr(ast.Call() as call):
                self.value(call)
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case ast.If(test, body, otherwise):
                self.branch(test, body, otherwise)
            case ast.While(test, body, []):
                self.loop(test, body)
            case ast.Return(value):
                self.give(value)
            case _:
                raise NotPlain(type(statement).__name__)

    def bind(self, name: str, value: Typed) -> None:
        if self.bound[name] == 1:
            self.values[name] = value
            return
        kind, given = value
        if name not in self.slots:
            self.slots[name] = kind, self.frame.alloca(given.type, name=name)
        known, place = self.slots[name]
        if known != kind:
            raise NotPlain(f"{name} is {known} and {kind}")
        self.builder.store(given, place)

    def run(self, name: str, value: Typed) -> None:
        """`name = larger(name, value)`. LLVM makes vectors of a loop of these only where what they give for NaN is undefined; `settle` ends that."""
        kind, number = value
        if self.slots[name][0] != kind or not isinstance(kind, types.Float):
            raise NotPlain(f"{name} is no running number")
        held, flags = self.builder.load(self.slots[name][1]), ("nnan", "nsz")
        self.bind(name, (kind, self.builder.select(self.builder.fcmp_ordered(">", number, held, flags=flags), number, held, flags=flags)))
        self.running.add(name)

    def settle(self) -> None:
        """After a loop: what its running numbers hold is, from here on, what the registers hold, for NaN some number.

        No instruction, but one that LLVM cannot look into. A `freeze` it would push into the loop, which then takes three times as long.
        """
        for name in sorted(self.running):
            place = self.slots[name][1]
            value = self.builder.load(place)
            self.builder.store(self.builder.asm(ir.FunctionType(value.type, [value.type]), "", f"={REGISTER},0", [value], False), place)
        self.running.clear()

    def branch(self, test: ast.expr, body: list[ast.stmt], otherwise: list[ast.stmt]) -> None:
        condition, append = self.truth(test), self.builder.append_basic_block
        yes, no, after = append(), append() if otherwise else None, append()
        self.builder.cbranch(condition, yes, no or after)
        for start, statements in ((yes, body), (no, otherwise)):
            if start is not None:
                self.builder.position_at_end(start)
                self.block(statements)
                if self.builder.block.is_terminated:
                    raise NotPlain("a return in a branch")
                self.builder.branch(after)
        self.builder.position_at_end(after)

    def loop(self, test: ast.expr, body: list[ast.stmt]) -> None:
        append = self.builder.append_basic_block
        head, inside, after = append(), append(), append()
        self.builder.branch(head)
        self.builder.position_at_end(head)
        self.builder.cbranch(self.truth(test), inside, after)
        self.builder.position_at_end(inside)
        self.block(body)
        if self.builder.block.is_terminated:
            raise NotPlain("a return in a loop")
        self.builder.branch(head)
        self.builder.position_at_end(after)
        self.settle()

    def give(self, value: ast.expr | None) -> None:
        if value is None and self.result == types.none:
            self.builder.ret_void()
        elif value is not None and self.result != types.none:
            self.builder.ret(self.cast(self.value(value), self.result))
        else:
            raise NotPlain("a return of another kind than the signature's")

    # expressions

    def value(self, tree: ast.expr) -> Typed:
        match tree:
            case ast.Name(name):
                return self.name(name)
            case ast.Constant(value):
                return self.constant(value)
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)) if type(value) is not bool:
                return self.constant(-value)
            case ast.UnaryOp(op, operand):
                return self.apply(UNARY[type(op)], self.value(operand))
            case ast.BinOp(left, op, right):
                return self.apply(BINARY[type(op)], self.value(left), self.value(right))
            case ast.Compare(left, [op], [right]) if type(op) in COMPARED:
                return self.apply(COMPARED[type(op)], self.value(left), self.value(right))
            case ast.BoolOp(op, values):
                return self.both(isinstance(op, ast.And), values)
            case ast.IfExp(test, yes, no):
                return self.either(test, yes, no)
            case ast.Subscript(array, index):
                return self.load(self.value(array), self.value(index))
            case ast.Call(ast.Name(name), arguments, []):
                return self.call(name, arguments)
        raise NotPlain(type(tree).__name__)

    def name(self, name: str) -> Typed:
        found = self.values.get(name) or self.known.get(name)
        if found is not None:
            return found
        if name in self.slots:
            kind, place = self.slots[name]
            return kind, self.builder.load(place)
        if name in self.bound or name not in self.names:
            raise NotPlain(f"{name} has no value here")
        value = self.names[name]
        kind = self.kind(value)
        found = self.known[name] = kind, self.target.get_constant_generic(self.builder, kind, value)
        return found

    def known_type(self, value: Any) -> Any:
        try:
            return self.typing.resolve_value_type(value)
        except ValueError as error:
            raise NotPlain(str(error)) from None

    def kind(self, value: Any) -> Any:
        found = types.unliteral(self.known_type(value))
        if not isinstance(found, types.Number | types.Boolean):
            raise NotPlain(f"a value of {found}")
        return found

    def constant(self, value: object) -> Typed:
        if type(value) is int and -(2**63) <= value < 2**63:
            return types.int64, ir.Constant(ir.IntType(64), value)
        if type(value) is float:
            return types.float64, ir.Constant(ir.DoubleType(), value)
        if type(value) is bool:
            return types.boolean, ir.Constant(ir.IntType(1), value)
        raise NotPlain(f"the constant {value!r}")

    def apply(self, op: Any, *operands: Typed) -> Typed:
        """An operator."""
        kinds = tuple(kind for kind, _ in operands)
        if len(operands) == 2 and kinds[0] == kinds[1]:
            write = self.instructions.get((op, kinds[0]))
            if write is not None:
                value = write(self.builder, operands[0][1], operands[1][1])
                return types.boolean if op in _TRUTHS else kinds[0], value
        signature = self.typing.resolve_function_type(op, kinds, {})
        if signature is None:
            raise NotPlain(f"{op.__name__} of {kinds}")
        given = [self.cast(operand, kind) for operand, kind in zip(operands, signature.args, strict=True)]
        return signature.return_type, self.target.get_function(op, signature)(self.builder, given)

    def call(self, name: str, arguments: list[ast.expr]) -> Typed:
        if name in self.values or name in self.bound:
            raise NotPlain(f"{name} is no function of the file")
        callee = self.names.get(name, getattr(builtins, name, None))
        function = self.known_type(callee)
        given = [self.value(a) for a in arguments]
        # the size of a local array and the shape of a tile are part of the function that is called
        literal = any(getattr(template, "prefer_literal", False) for template in getattr(function, "templates", ()))
        kinds = tuple(types.literal(a.value) if literal and isinstance(a, ast.Constant) else kind for a, (kind, _) in zip(arguments, given, strict=True))
        signature = self.typing.resolve_function_type(function, kinds, {})
        if signature is None or len(signature.args) != len(given) or signature.recvr is not None:
            raise NotPlain(f"{name} of {kinds}")
        values = [value if kind == wanted else self.cast((types.unliteral(kind), value), wanted)
                  for (_, value), kind, wanted in zip(given, kinds, signature.args, strict=True)]  # fmt: skip
        return signature.return_type, self.target.get_function(function, signature)(self.builder, values)

    def load(self, array: Typed, index: Typed) -> Typed:
        return self.apply(operator.getitem, array, index)

    def store(self, array: Typed, index: Typed, value: Typed) -> None:
        signature = self.typing.resolve_setitem(array[0], index[0], value[0])
        if signature is None:
            raise NotPlain(f"setitem of {array[0]}")
        function = self.typing.resolve_value_type(operator.setitem)
        values = [self.cast(given, kind) for given, kind in zip((array, index, value), signature.args, strict=True)]
        self.target.get_function(function, signature)(self.builder, values)

    def truth(self, tree: ast.expr) -> Any:
        kind, value = self.value(tree)
        if isinstance(kind, types.Integer):
            kind, value = self.apply(operator.ne, (kind, value), (kind, ir.Constant(value.type, 0)))
        if kind != types.boolean:
            raise NotPlain(f"a condition of type {kind}")
        return value

    def both(self, all_of: bool, values: list[ast.expr]) -> Typed:
        """`and` and `or` of truth values: the later ones are looked at only where they matter."""
        append = self.builder.append_basic_block
        after, coming = append(), list[tuple[Any, Any]]()
        for number, tree in enumerate(values):
            value = self.truth(tree)
            coming.append((value, self.builder.block))
            if number < len(values) - 1:
                further = append()
                self.builder.cbranch(value, *((further, after) if all_of else (after, further)))
                self.builder.position_at_end(further)
        self.builder.branch(after)
        self.builder.position_at_end(after)
        return types.boolean, self.joined(coming)

    def either(self, test: ast.expr, *values: ast.expr) -> Typed:
        append = self.builder.append_basic_block
        starts, after = (append(), append()), append()
        self.builder.cbranch(self.truth(test), *starts)
        coming, kinds = list[tuple[Any, Any]](), []
        for start, tree in zip(starts, values, strict=True):
            self.builder.position_at_end(start)
            kind, value = self.value(tree)
            kinds.append(kind)
            coming.append((value, self.builder.block))
            self.builder.branch(after)
        if kinds[0] != kinds[1]:
            raise NotPlain(f"{kinds[0]} or {kinds[1]}")
        self.builder.position_at_end(after)
        return kinds[0], self.joined(coming)

    def joined(self, coming: list[tuple[Any, Any]]) -> Any:
        phi = self.builder.phi(coming[0][0].type)
        for value, block in coming:
            phi.add_incoming(value, block)
        return phi

    def cast(self, value: Typed, kind: Any) -> Any:
        own, given = value
        return given if own == kind else self.target.cast(self.builder, given, own, kind)
