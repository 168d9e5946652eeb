"""Restricted Python over machine words -> LLVM text: for the runtime's own native code, which speaks with C and with the interpreter.

    def size_of_both(a, b):                       define internal i64 @size_of_both(i64 %a, i64 %b) {
        if load(a, 1) != load(b, 1):     ->         ...
            return 0                                %5 = call i64 @flowc... ; PyList_Size through the table of addresses
        return PyList_Size(a) + PyList_Size(b)

Every value is a 64-bit word, an address or a whole number, but for the doubles that C functions and the intrinsics below take and give. Statements:
assignment to a name, `if`, `while`, `for i in range(...)`, `break`, `continue`, `return`, calls. A function without `return` gives 0; a
parameter annotated `float` is a double.
Addresses of C functions and types stand in one table, `flowc_known`, that the loader fills: no address is baked into object code, which is
kept on disk. Generated kernels go through Numba (`numba_target`) instead: they have typed buffers, and may take longer to translate.
"""

from __future__ import annotations

import ast
import inspect
import re
import struct
from types import ModuleType
from typing import Any

from flowc.codegen.barrier import pause
from flowc.structs import Struct

_LLVM = {"int": "i32", "double": "double", "void": "void", "Py_ssize_t": "i64", "int64_t": "i64"}


class Extern(Struct):
    """A C function that native code calls. types: of its parameters, and of its result, as LLVM spells them."""

    name: str
    types: tuple[str, ...]
    result: str

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.name} is called by native code only")


class Known(Struct):
    """An address that the loader knows: of a type, of an object that lives as long as the process."""

    name: str

    def __index__(self) -> int:
        raise TypeError(f"{self.name} is known to native code only")


def extern(prototype: str) -> Extern:
    """The C function of a declaration such as `int PyDict_Next(PyObject *dict, Py_ssize_t *at, PyObject **key, PyObject **value)`."""
    result, name, parameters = re.fullmatch(r"(\w+ ?\*?)\s*(\w+)\((.*)\)", prototype).groups()  # type: ignore[union-attr]
    types = tuple(_c_type(p) for p in parameters.split(",") if p.strip() not in ("", "void"))
    return Extern(name, types, _c_type(result))


def _c_type(declaration: str) -> str:
    words = declaration.replace("const", "").split()
    return "i64" if "*" in declaration else _LLVM[words[0]]


# intrinsics: name -> (types of arguments, type of the result, LLVM lines over {0}, {1}... that leave the result in {r}; {n} is unique)

_AT = "  %p{n} = inttoptr i64 {0} to ptr\n  %q{n} = getelementptr {type}, ptr %p{n}, i64 {1}\n"


def _reading(type: str, convert: str) -> str:
    return _AT.replace("{type}", type) + f"  %v{{n}} = load {type}, ptr %q{{n}}, align {_SIZE[type]}\n  {{r}} = {convert.replace('{type}', type)}\n"


def _writing(type: str, convert: str) -> str:
    return _AT.replace("{type}", type) + f"  %v{{n}} = {convert}\n  store {type} %v{{n}}, ptr %q{{n}}, align {_SIZE[type]}\n"


_SIZE = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8}
_WORD = _AT.replace("{type}", "i64")
_PAUSE, _PAUSE_DECLARATION = pause()
INTRINSICS: dict[str, tuple[tuple[str, ...], str, str]] = {
    # words of memory: word number {1} from address {0} on
    "load": (("i64", "i64"), "i64", _reading("i64", "add i64 %v{n}, 0")),
    "store": (("i64", "i64", "i64"), "void", _writing("i64", "add i64 {2}, 0")),
    "load_acquire": (("i64", "i64"), "i64", _WORD + "  {r} = load atomic i64, ptr %q{n} acquire, align 8\n"),
    "load_sequential": (("i64", "i64"), "i64", _WORD + "  {r} = load atomic i64, ptr %q{n} seq_cst, align 8\n"),
    "store_release": (("i64", "i64", "i64"), "void", _WORD + "  store atomic i64 {2}, ptr %q{n} release, align 8\n"),
    "store_sequential": (("i64", "i64", "i64"), "void", _WORD + "  store atomic i64 {2}, ptr %q{n} seq_cst, align 8\n"),
    "add_sequential": (("i64", "i64", "i64"), "i64", _WORD + "  {r} = atomicrmw add ptr %q{n}, i64 {2} seq_cst\n"),
    # elements of arrays
    "i8_at": (("i64", "i64"), "i64", _reading("i8", "sext {type} %v{n} to i64")),
    "u8_at": (("i64", "i64"), "i64", _reading("i8", "zext {type} %v{n} to i64")),
    "i32_at": (("i64", "i64"), "i64", _reading("i32", "sext {type} %v{n} to i64")),
    "f32_at": (("i64", "i64"), "double", _reading("float", "fpext {type} %v{n} to double")),
    "f64_at": (("i64", "i64"), "double", _reading("double", "fadd double %v{n}, -0.0")),
    "put_i8": (("i64", "i64", "i64"), "void", _writing("i8", "trunc i64 {2} to i8")),
    "put_i32": (("i64", "i64", "i64"), "void", _writing("i32", "trunc i64 {2} to i32")),
    "put_f32": (("i64", "i64", "double"), "void", _writing("float", "fptrunc double {2} to float")),
    "put_f64": (("i64", "i64", "double"), "void", _writing("double", "fadd double {2}, -0.0")),
    "to_double": (("i64",), "double", "  {r} = sitofp i64 {0} to double\n"),
    "to_whole": (("double",), "i64", "  {r} = fptosi double {0} to i64\n"),
    "copy_bytes": (("i64", "i64", "i64"), "void", "  %p{n} = inttoptr i64 {0} to ptr\n  %q{n} = inttoptr i64 {1} to ptr\n"
                   "  call void @llvm.memmove.p0.p0.i64(ptr %p{n}, ptr %q{n}, i64 {2}, i1 false)\n"),
    # `words` words on the stack, until the function returns
    "stack": (("i64",), "i64", "  %p{n} = alloca i64, i64 {0}, align 8\n  {r} = ptrtoint ptr %p{n} to i64\n"),
    # the program with that entry on thread {1} of {2} over the table at {3}
    "enter": (("i64", "i64", "i64", "i64"), "void", "  %p{n} = inttoptr i64 {0} to ptr\n  %q{n} = inttoptr i64 {3} to ptr\n"
              "  call void %p{n}(i64 {1}, i64 {2}, ptr %q{n})\n"),
    "spin": ((), "void", f"  {_PAUSE}\n"),
}  # fmt: skip


def _intrinsic(name: str) -> Any:
    def intrinsic(*args: Any) -> Any:
        raise TypeError(f"{name} is called by native code only")

    intrinsic.__name__ = name
    return intrinsic


load: Any = _intrinsic("load")
store: Any = _intrinsic("store")
load_acquire: Any = _intrinsic("load_acquire")
load_sequential: Any = _intrinsic("load_sequential")
store_release: Any = _intrinsic("store_release")
store_sequential: Any = _intrinsic("store_sequential")
add_sequential: Any = _intrinsic("add_sequential")
i8_at: Any = _intrinsic("i8_at")
u8_at: Any = _intrinsic("u8_at")
i32_at: Any = _intrinsic("i32_at")
f32_at: Any = _intrinsic("f32_at")
f64_at: Any = _intrinsic("f64_at")
put_i8: Any = _intrinsic("put_i8")
put_i32: Any = _intrinsic("put_i32")
put_f32: Any = _intrinsic("put_f32")
put_f64: Any = _intrinsic("put_f64")
to_double: Any = _intrinsic("to_double")
to_whole: Any = _intrinsic("to_whole")
copy_bytes: Any = _intrinsic("copy_bytes")
stack: Any = _intrinsic("stack")
enter: Any = _intrinsic("enter")
spin: Any = _intrinsic("spin")


def llvm_text(*modules: ModuleType) -> str:
    """The functions of some modules as LLVM text; one with an annotated result is called from outside.

    Beside them `flowc_known()` gives the address of the table of addresses, and `flowc_names()` that of the names they belong to, a line each.

    SyntaxError with file and line for Python that is not in the subset, a name without a meaning, a wrong number or type of arguments.
    """
    return _Module(modules).text()


class _Module:
    def __init__(self, modules: tuple[ModuleType, ...]) -> None:
        self.functions: dict[str, tuple[ast.FunctionDef, ModuleType]] = {}
        for module in modules:
            for item in ast.parse(inspect.getsource(module)).body:
                if isinstance(item, ast.FunctionDef):
                    self.functions[item.name] = (item, module)
        self.known: dict[str, int] = {}

    def text(self) -> str:
        bodies = [_Function(self, f, module).text() for f, module in self.functions.values()]
        head = [
            _PAUSE_DECLARATION,
            "declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)",
            f"@known = internal global [{max(len(self.known), 1)} x i64] zeroinitializer",
            "define i64 @flowc_known() {\n  %at = ptrtoint ptr @known to i64\n  ret i64 %at\n}",
        ]
        names = "\n".join(self.known).encode()
        head += [
            f'@names = internal constant [{len(names) + 1} x i8] c"{_quoted(names)}\\00"',
            "define i64 @flowc_names() {\n  %at = ptrtoint ptr @names to i64\n  ret i64 %at\n}",
        ]
        return "\n".join([*head, *bodies]) + "\n"

    def address(self, name: str) -> int:
        """The place of a name in the table of addresses."""
        return self.known.setdefault(name, len(self.known))


def _quoted(text: bytes) -> str:
    return "".join(chr(b) if chr(b).isalnum() or b == ord("_") else f"\\{b:02X}" for b in text)


def _is_exported(f: ast.FunctionDef) -> bool:
    return f.returns is not None


class _Function:
    """One function on its way to LLVM text: variables live in memory first, LLVM makes registers of them."""

    def __init__(self, module: _Module, f: ast.FunctionDef, source: ModuleType) -> None:
        self.module, self.f, self.source = module, f, source
        self.lines: list[str] = []
        self.variables: dict[str, str] = {}
        self.count = 0
        self.open = True  # whether the block that is written has no end yet
        self.loops: list[tuple[str, str]] = []  # of each loop around: where `continue` and `break` go

    def text(self) -> str:
        params = {a.arg: _type_of(a) for a in self.f.args.args}
        self.variables |= params
        for statement in self.f.body:
            self.statement(statement)
        if self.open:
            self.put("  ret i64 0")
        linkage = "" if _is_exported(self.f) else "internal "
        head = f"define {linkage}i64 @{self.f.name}({', '.join(f'{type} %arg.{p}' for p, type in params.items())}) nounwind {{\nentry:"
        places = [f"  %{name}.at = alloca {type}, align 8" for name, type in self.variables.items()]
        places += [f"  store {type} %arg.{p}, ptr %{p}.at, align 8" for p, type in params.items()]
        return "\n".join([head, *places, *self.lines, "}"])

    # pieces of text

    def put(self, line: str) -> None:
        self.lines.append(line)

    def new(self) -> str:
        self.count += 1
        return f"%t{self.count}"

    def label(self, name: str) -> str:
        self.count += 1
        return f"{name}{self.count}"

    def begin(self, label: str) -> None:
        if self.open:
            self.put(f"  br label %{label}")
        self.put(f"{label}:")
        self.open = True

    def leave(self, line: str) -> None:
        """End a block; what follows in the source before the next label cannot be reached."""
        if self.open:
            self.put(line)
        self.open = False

    def fail(self, node: ast.AST, why: str) -> SyntaxError:
        line = getattr(node, "lineno", self.f.lineno)
        return SyntaxError(f"{self.source.__name__}:{line} in {self.f.name}: {why}")

    # statements

    def statement(self, s: ast.stmt) -> None:
        match s:
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(ast.Call()):
                self.call(s.value)  # type: ignore[arg-type]
            case ast.Assign([ast.Name(name)], value):
                self.assign(name, value, s)
            case ast.AugAssign(ast.Name(name), op, value):
                self.assign(name, ast.copy_location(ast.BinOp(ast.copy_location(ast.Name(name, ast.Load()), s), op, value), s), s)
            case ast.Return():
                found, type = self.expression(s.value) if s.value is not None else ("0", "i64")
                if type != "i64":
                    raise self.fail(s, "a function returns a word")
                self.leave(f"  ret i64 {found}")
            case ast.If():
                self.branch(s)
            case ast.While():
                self.loop(s.test, s.body, [])
            case ast.For(ast.Name(name), ast.Call(ast.Name("range"))) if not s.orelse:
                self.counting(name, s)
            case ast.Break() | ast.Continue() if self.loops:
                self.leave(f"  br label %{self.loops[-1][isinstance(s, ast.Break)]}")
            case _:
                raise self.fail(s, f"`{ast.unparse(s).splitlines()[0]}` is no statement of this language")

    def body(self, statements: list[ast.stmt]) -> None:
        for s in statements:
            self.statement(s)

    def assign(self, name: str, value: ast.expr, s: ast.stmt) -> None:
        found, type = self.expression(value)
        if self.variables.setdefault(name, type) != type:
            raise self.fail(s, f"{name} is a {self.variables[name]} elsewhere and a {type} here")
        self.put(f"  store {type} {found}, ptr %{name}.at, align 8")

    def branch(self, s: ast.If) -> None:
        yes, no, end = self.label("then"), self.label("else"), self.label("end")
        self.condition(s.test, yes, no if s.orelse else end)
        self.begin(yes)
        self.body(s.body)
        if s.orelse:
            self.leave(f"  br label %{end}")
            self.begin(no)
            self.body(s.orelse)
        self.begin(end)

    def loop(self, test: ast.expr, body: list[ast.stmt], step: list[ast.stmt]) -> None:
        head, inside, after, end = self.label("head"), self.label("body"), self.label("next"), self.label("end")
        self.begin(head)
        self.condition(test, inside, end)
        self.begin(inside)
        self.loops.append((after, end))
        self.body(body)
        self.loops.pop()
        self.begin(after)
        self.body(step)
        self.leave(f"  br label %{head}")
        self.begin(end)

    def counting(self, name: str, s: ast.For) -> None:
        assert isinstance(s.iter, ast.Call)
        args = s.iter.args
        if not 1 <= len(args) <= 2:
            raise self.fail(s, "range takes a stop, or a start and a stop")
        stop = f"{name}.stop{self.count}"
        self.assign(stop, args[-1], s)
        self.assign(name, args[0] if len(args) == 2 else ast.Constant(0), s)
        test = ast.Compare(ast.Name(name, ast.Load()), [ast.Lt()], [ast.Name(stop, ast.Load())])
        step = ast.AugAssign(ast.Name(name, ast.Store()), ast.Add(), ast.Constant(1))
        self.loop(test, s.body, [ast.copy_location(step, s)])

    # conditions and expressions

    def condition(self, e: ast.expr, yes: str, no: str) -> None:
        """Go on at one of two labels; `and` and `or` evaluate no further than they must."""
        match e:
            case ast.BoolOp(op, values):
                for value in values[:-1]:
                    middle = self.label("and" if isinstance(op, ast.And) else "or")
                    self.condition(value, *((middle, no) if isinstance(op, ast.And) else (yes, middle)))
                    self.begin(middle)
                self.condition(values[-1], yes, no)
            case ast.UnaryOp(ast.Not(), operand):
                self.condition(operand, no, yes)
            case ast.Compare(left, [ast.In()], [ast.Tuple(choices)]):
                tests = [ast.copy_location(ast.Compare(left, [ast.Eq()], [choice]), e) for choice in choices]
                self.condition(ast.copy_location(ast.BoolOp(ast.Or(), tests), e), yes, no)  # type: ignore[arg-type]
            case ast.Compare(left, [op], [right]):
                a, b, type = self.pair(left, right, e)
                kind = _COMPARISONS.get(type_of(op))
                if kind is None:
                    raise self.fail(e, "this comparison is not in this language")
                test = self.new()
                self.put(f"  {test} = {'fcmp ' + kind[1] if type == 'double' else 'icmp ' + kind[0]} {type} {a}, {b}")
                self.leave(f"  br i1 {test}, label %{yes}, label %{no}")
            case _:
                found, type = self.expression(e)
                if type != "i64":
                    raise self.fail(e, "a condition is a word or a comparison")
                test = self.new()
                self.put(f"  {test} = icmp ne i64 {found}, 0")
                self.leave(f"  br i1 {test}, label %{yes}, label %{no}")

    def pair(self, left: ast.expr, right: ast.expr, e: ast.AST) -> tuple[str, str, str]:
        (a, type), (b, other) = self.expression(left), self.expression(right)
        if type != other:
            raise self.fail(e, f"{type} meets {other}")
        return a, b, type

    def expression(self, e: ast.expr) -> tuple[str, str]:
        match e:
            case ast.Constant(value) if isinstance(value, int):
                return str(int(value)), "i64"
            case ast.Constant(value) if isinstance(value, float):
                return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}", "double"
            case ast.Name(name):
                return self.name(name, e)
            case ast.BinOp(left, op, right):
                a, b, type = self.pair(left, right, e)
                kind = _ARITHMETIC.get((type_of(op), type))
                if kind is None:
                    raise self.fail(e, f"this operator is not there for {type}")
                result = self.new()
                self.put(f"  {result} = {kind} {type} {a}, {b}")
                return result, type
            case ast.UnaryOp(ast.USub(), ast.Constant(value)):
                return self.expression(ast.copy_location(ast.Constant(-value), e))  # type: ignore[operator]
            case ast.UnaryOp(ast.USub(), operand):
                return self.expression(ast.copy_location(ast.BinOp(ast.Constant(0), ast.Sub(), operand), e))
            case ast.Call():
                value, type = self.call(e)
                if type == "void":
                    raise self.fail(e, f"{ast.unparse(e.func)} gives nothing")
                return value, type
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(ast.Not()):
                return self.truth(e)
            case ast.IfExp(test, body, orelse):
                return self.choice(test, body, orelse)
        raise self.fail(e, f"`{ast.unparse(e)}` is no expression of this language")

    def truth(self, e: ast.expr) -> tuple[str, str]:
        return self.choice(e, ast.Constant(1), ast.Constant(0))

    def choice(self, test: ast.expr, body: ast.expr, orelse: ast.expr) -> tuple[str, str]:
        name = f"choice{self.count}"
        self.statement(ast.fix_missing_locations(ast.copy_location(ast.If(test, [_assignment(name, body)], [_assignment(name, orelse)]), test)))
        return self.name(name, test)

    def name(self, name: str, e: ast.AST) -> tuple[str, str]:
        if name in self.variables:
            result, type = self.new(), self.variables[name]
            self.put(f"  {result} = load {type}, ptr %{name}.at, align 8")
            return result, type
        value = getattr(self.source, name, None)
        if isinstance(value, Known):
            return self.known(value.name), "i64"
        if isinstance(value, int):
            return str(int(value)), "i64"
        raise self.fail(e, f"{name} has no value here")

    def known(self, name: str) -> str:
        result = self.new()
        self.put(f"  {result} = load i64, ptr getelementptr (i64, ptr @known, i64 {self.module.address(name)}), align 8")
        return result

    def call(self, e: ast.Call) -> tuple[str, str]:
        if not isinstance(e.func, ast.Name) or e.keywords:
            raise self.fail(e, "a function is called by its name, with positional arguments")
        name = e.func.id
        args = [self.expression(a) for a in e.args]
        if name in self.module.functions:
            f = self.module.functions[name][0]
            return self.called(f"@{name}", args, tuple(_type_of(a) for a in f.args.args), "i64", e)
        value = getattr(self.source, name, None)
        if isinstance(value, Extern):
            pointer = self.new()
            self.put(f"  {pointer} = inttoptr i64 {self.known(value.name)} to ptr")
            return self.called(pointer, args, value.types, value.result, e)
        found = INTRINSICS.get(name)
        if found is None:
            raise self.fail(e, f"no function {name}")
        types, result, text = found
        self.check(args, types, e)
        self.count += 1
        register = f"%t{self.count}"
        filled = text.replace("{n}", str(self.count)).replace("{r}", register)
        for i, (argument, _) in enumerate(args):
            filled = filled.replace(f"{{{i}}}", argument)
        self.put(filled.rstrip("\n"))
        return register, result

    def check(self, args: list[tuple[str, str]], types: tuple[str, ...], e: ast.Call) -> None:
        given = tuple(type for _, type in args)
        if given != types:
            raise self.fail(e, f"{ast.unparse(e.func)} takes ({', '.join(types)}), not ({', '.join(given)})")

    def called(self, callee: str, args: list[tuple[str, str]], types: tuple[str, ...], result: str, e: ast.Call) -> tuple[str, str]:
        self.check(args, tuple("i64" if t == "i32" else t for t in types), e)
        passed = []
        for (value, type), wanted in zip(args, types, strict=True):
            if wanted == "i32":
                narrow = self.new()
                self.put(f"  {narrow} = trunc i64 {value} to i32")
                value = narrow
            passed.append(f"{wanted if wanted == 'i32' else type} {value}")
        line = f"call {result} {callee}({', '.join(passed)})"
        if result == "void":
            self.put(f"  {line}")
            return "", "void"
        register = self.new()
        self.put(f"  {register} = {line}")
        if result == "i32":
            wide = self.new()
            self.put(f"  {wide} = sext i32 {register} to i64")
            return wide, "i64"
        return register, result


def _type_of(parameter: ast.arg) -> str:
    return "i64" if parameter.annotation is None else "double"


def type_of(node: ast.AST) -> type:
    return node.__class__


def _assignment(name: str, value: ast.expr) -> ast.stmt:
    return ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), value)


_COMPARISONS: dict[type, tuple[str, str]] = {
    ast.Eq: ("eq", "oeq"), ast.NotEq: ("ne", "une"), ast.Lt: ("slt", "olt"), ast.LtE: ("sle", "ole"), ast.Gt: ("sgt", "ogt"), ast.GtE: ("sge", "oge"),
}  # fmt: skip
_ARITHMETIC: dict[tuple[type, str], str] = {
    (ast.Add, "i64"): "add", (ast.Sub, "i64"): "sub", (ast.Mult, "i64"): "mul", (ast.BitAnd, "i64"): "and", (ast.BitOr, "i64"): "or",
    (ast.LShift, "i64"): "shl", (ast.RShift, "i64"): "ashr", (ast.Add, "double"): "fadd", (ast.Sub, "double"): "fsub", (ast.Mult, "double"): "fmul",
}  # fmt: skip
