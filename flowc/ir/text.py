"""IR text: a Function or Module prints as restricted Python, and that text parses back.

    def loss(x: f32[b, 2], W: f32[2, 20]):
        HiddenLayer.mm: f32[b, 20] = matmul(x, W)
        v0: f32[b, 20] = mul(HiddenLayer.mm, 2.0)
        W[...] = W
        return v0

Scalar constants stand inside the application; one whose dtype is that of the first other operand is a plain literal, another is
`f32(1.0)`. `W[...] = value` before `return` is an update. In a Module each kernel is a `def` of its own, before `main`.
"""

from __future__ import annotations

import ast
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowc.errors import TextError
from flowc.ir import dims
from flowc.ir.dims import Dim, Sym
from flowc.ir.function import CONSTANT, Builder, Function, is_made_up
from flowc.ir.node import Node, Value
from flowc.ir.op import OPS, REQUIRED
from flowc.ir.types import DTYPES, DType, TensorType, TupleType, Type

_INLINE_ELEMENTS = 64
_DIM_FUNCTIONS = {"broadcast": dims.broadcast, "min": dims.minimum, "max": dims.maximum}


# printing


def print_function(f: Function, elide: bool = False) -> str:
    """The text of `f` and, before it, of the Functions that it calls. `elide` shortens large constants (then it does not parse)."""
    done: set[int] = set()
    blocks: list[str] = []

    def visit(function: Function) -> None:
        if id(function) in done:
            return
        done.add(id(function))
        for inner in function.callees():
            visit(inner)
        blocks.append(_print_one(function, elide))

    visit(f)
    return "\n\n".join(blocks) + "\n"


def _print_one(f: Function, elide: bool) -> str:
    lines = [f"def {f.name}({', '.join(f'{p.name}: {p.type}' for p in f.params)}):"]
    for node in f.nodes:
        if not _is_inline(node):
            lines.append(f"    {node.name}: {node.type} = {application(node, elide)}")
    lines += [f"    {p.name}[...] = {_operand(v, None)}" for p, v in f.updates]
    lines.append(f"    return {', '.join(_operand(r, None) for r in f.results)}".rstrip())
    return "\n".join(lines)


def _is_inline(node: Node) -> bool:
    return node.op is CONSTANT and node.tensor.shape == ()


def application(node: Node, elide: bool = False) -> str:
    """`matmul(x, W, transpose_b=True)`: a node's right-hand side."""
    if node.op is CONSTANT:
        return f"constant({_array_text(node.attrs['value'].array, elide)})"
    lead = next((n.tensor.dtype for n in node.inputs if not _is_inline(n) and isinstance(n.type, TensorType)), None)
    parts = [_operand(n, lead) for n in node.inputs]
    name = node.op.name
    for key, value in node.attrs.items():
        if key == "function" and isinstance(value, Function):
            if name == "call":
                name = value.name
            else:
                parts.append(f"function={value.name}")
        elif node.op.attrs.get(key, REQUIRED) is REQUIRED or not _same(value, node.op.attrs[key]):
            parts.append(f"{key}={attribute_text(value)}")
    return f"{name}({', '.join(parts)})"


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _operand(node: Node, lead: DType | None) -> str:
    if not _is_inline(node):
        return node.name
    array = node.attrs["value"].array
    dtype = node.tensor.dtype
    literal = _number(array[()])
    if dtype is lead and not literal.startswith('"'):
        return literal
    return f"{dtype}({literal})"


def _number(x: Any) -> str:
    if isinstance(x, np.bool_ | bool):
        return str(bool(x))
    if isinstance(x, np.floating):
        if not np.isfinite(x):
            return f'"{float(x)}"'
        return repr(float(str(x)))  # the shortest digits that give the same bits in the value's own dtype
    return str(int(x))


def _array_text(array: np.ndarray, elide: bool) -> str:
    dtype = DTYPES[{d.long_name: n for n, d in DTYPES.items()}[array.dtype.name]]
    if array.ndim == 0:
        return f"{dtype}({_number(array[()])})"
    if 0 < array.size <= _INLINE_ELEMENTS:
        return _nested(array)
    if elide:
        return "..."
    return f'"{binascii.b2a_base64(array.tobytes(), newline=False).decode()}"'


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return _number(array[()])
    return f"[{', '.join(_nested(a) for a in array)}]"


def attribute_text(value: Any) -> str:
    """An attribute as it stands in text: numbers, strings, None, extents (`10*b`), dtypes (`f32`), tuples of these."""
    if isinstance(value, tuple):
        return f"({', '.join(attribute_text(v) for v in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, Sym | DType):
        return str(value)
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, Value):
        return f"constant({value.array.tolist()!r}, {value.array.dtype.name!r})"
    return repr(value)


# parsing


def parse_function(text: str) -> Function:
    """The last `def` of `text`, with calls bound to the `def`s before it. TextError names the line that does not parse.

    >>> from flowc.ir.text import parse_function
    >>> print(parse_function("def f(x: f32[b, 3]):\\n    y: f32[b, 3] = relu(x)\\n    return y"), end="")
    def f(x: f32[b, 3]):
        y: f32[b, 3] = relu(x)
        return y
    """
    return list(parse_module(text).values())[-1]


def parse_module(text: str) -> dict[str, Function]:
    """Every `def` of `text` by name, in order."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise TextError(f"IR text, line {error.lineno}: {error.msg}: {(error.text or '').strip()}") from None
    functions: dict[str, Function] = {}
    for item in tree.body:
        if not isinstance(item, ast.FunctionDef):
            raise TextError(f"IR text, line {item.lineno}: only `def` may stand here")
        functions[item.name] = _Parser(item, functions).parse()
    if not functions:
        raise TextError("IR text: no `def` in it")
    return functions


class _Parser:
    """One `def`."""

    def __init__(self, tree: ast.FunctionDef, functions: Mapping[str, Function]) -> None:
        self.tree = tree
        self.functions = functions
        self.b = Builder(tree.name)
        self.names: dict[str, Node] = {}

    def fail(self, at: ast.AST, what: str) -> TextError:
        return TextError(f"IR text, line {getattr(at, 'lineno', '?')}, in {self.tree.name}: {what}: {ast.unparse(at)}")

    def parse(self) -> Function:
        for arg in self.tree.args.args:
            if arg.annotation is None:
                raise self.fail(arg, "a param needs a type")
            self.names[arg.arg] = self.b.param(arg.arg, self.type(arg.annotation))
        updates: list[tuple[Node, Node]] = []
        for statement in self.tree.body:
            if isinstance(statement, ast.AnnAssign) and statement.value is not None:
                self.assign(statement, statement.value)
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript):
                updates.append((self.lookup(statement.targets[0].value), self.operand(statement.value, None)))
            elif isinstance(statement, ast.Return):
                value = statement.value
                items = [] if value is None else value.elts if isinstance(value, ast.Tuple) else [value]
                return self.b.finish([self.operand(item, None) for item in items], updates)
            else:
                raise self.fail(statement, "neither `name: type = op(...)`, `param[...] = value` nor `return`")
        raise self.fail(self.tree, "no `return`")

    def assign(self, statement: ast.AnnAssign, value: ast.expr) -> None:
        name = self.dotted(statement.target)
        stated = self.type(statement.annotation)
        if not isinstance(value, ast.Call):
            raise self.fail(statement, "the right-hand side is not an application")
        node = self.application(value, stated, name)
        if node.type != stated:
            raise self.fail(statement, f"{name} is {node.type}, not {stated}")
        if name in self.names:
            raise self.fail(statement, f"{name} is defined twice")
        self.names[name] = node

    def application(self, call: ast.Call, stated: Type, name: str) -> Node:
        op_name = self.dotted(call.func)
        given = None if is_made_up(name) else name
        if op_name == "constant":
            assert isinstance(stated, TensorType)
            return self.b.apply(CONSTANT, value=Value(self.array(call.args[0], stated)), name=given)
        attrs = {k.arg: self.attribute(k.value) for k in call.keywords if k.arg}
        if op_name in self.functions and op_name not in OPS:
            attrs["function"] = self.functions[op_name]
            op_name = "call"
        if op_name not in OPS:
            raise self.fail(call, f"no op {op_name}")
        lead = self.lead(call.args)
        return self.b.apply(op_name, *(self.operand(a, lead) for a in call.args), name=given, **attrs)

    def lead(self, args: list[ast.expr]) -> DType | None:
        for arg in args:
            if isinstance(arg, ast.Name | ast.Attribute):
                type = self.lookup(arg).type
                if isinstance(type, TensorType):
                    return type.dtype
        return None

    def operand(self, tree: ast.expr, lead: DType | None) -> Node:
        if isinstance(tree, ast.Name | ast.Attribute):
            return self.lookup(tree)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in DTYPES:
            return self.b.constant(float(ast.literal_eval(tree.args[0])) if _is_text(tree.args[0]) else ast.literal_eval(tree.args[0]), DTYPES[tree.func.id])
        if lead is None:
            raise self.fail(tree, "a plain number needs another operand to take its dtype from; write f32(...)")
        return self.b.constant(ast.literal_eval(tree), lead)

    def lookup(self, tree: ast.expr) -> Node:
        name = self.dotted(tree)
        if name not in self.names:
            raise self.fail(tree, f"{name} is not defined")
        return self.names[name]

    def dotted(self, tree: ast.expr) -> str:
        if isinstance(tree, ast.Name):
            return tree.id
        if isinstance(tree, ast.Attribute):
            return f"{self.dotted(tree.value)}.{tree.attr}"
        raise self.fail(tree, "not a name")

    def array(self, tree: ast.expr, type: TensorType) -> np.ndarray:
        shape = tuple(int(d) for d in type.dims)  # type: ignore[arg-type]
        if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
            return np.frombuffer(binascii.a2b_base64(tree.value), type.dtype.numpy).reshape(shape).copy()
        if isinstance(tree, ast.Call):
            tree = tree.args[0]
        return np.array(_literals(tree), dtype=type.dtype.numpy).reshape(shape)

    def attribute(self, tree: ast.expr) -> Any:
        if isinstance(tree, ast.Tuple):
            return tuple(self.attribute(item) for item in tree.elts)
        if isinstance(tree, ast.Name):
            if tree.id in DTYPES:
                return DTYPES[tree.id]
            return self.functions[tree.id] if tree.id in self.functions else Sym.named(tree.id)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "float":
            return float(ast.literal_eval(tree.args[0]))
        try:
            return ast.literal_eval(tree)
        except ValueError:
            return self.dim(tree)

    def type(self, tree: ast.expr) -> Type:
        if isinstance(tree, ast.Tuple):
            items = [self.type(item) for item in tree.elts]
            return TupleType(tuple(i for i in items if isinstance(i, TensorType)))
        if isinstance(tree, ast.Subscript):
            dtype, index = tree.value, tree.slice
            items_ = index.elts if isinstance(index, ast.Tuple) else [index]
            unknown = isinstance(index, ast.Constant) and index.value is ...
            shape = None if unknown else tuple(self.dim(item) for item in items_)
        else:
            dtype, shape = tree, ()
        if not isinstance(dtype, ast.Name) or dtype.id not in DTYPES:
            raise self.fail(tree, "not a type")
        return TensorType(DTYPES[dtype.id], shape)

    def dim(self, tree: ast.expr) -> Dim:
        return parse_dim(tree, self.fail)


def parse_dim(tree: ast.expr, fail: Any) -> Dim:
    """An extent from its syntax tree: `2*b + 1`, `(h + 1)//2`, `broadcast(b, c)`."""
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return tree.value
    if isinstance(tree, ast.Name):
        return Sym.named(tree.id)
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return 0 - parse_dim(tree.operand, fail)
    if isinstance(tree, ast.BinOp):
        left, right = parse_dim(tree.left, fail), parse_dim(tree.right, fail)
        match tree.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.FloorDiv():
                return dims.floordiv(left, right)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in _DIM_FUNCTIONS and len(tree.args) == 2:
        joined = _DIM_FUNCTIONS[tree.func.id](*(parse_dim(a, fail) for a in tree.args))
        if joined is not None:
            return joined
    raise fail(tree, "not an extent")


def _is_text(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and isinstance(tree.value, str)


def _literals(tree: ast.expr) -> Any:
    """The nest of lists and numbers that `tree` writes; "nan" and "inf" stand for themselves."""
    if isinstance(tree, ast.List):
        return [_literals(item) for item in tree.elts]
    value = ast.literal_eval(tree)
    return float(value) if isinstance(value, str) else value
