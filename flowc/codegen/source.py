"""Generated source as text -> functions ready for the compiler: parsed, loops and constants made cheap to type, signatures read.

    def k0(x, n):                            def k0(x, n):
        for i in range(0, n):                    stop_0 = n
            x[i] = f32(2.0) * x[i]     ->        i = 0
                                                 while i < stop_0:
                                                     x[i] = f32_0 * x[i]
                                                     i += 1

Numba gives every `range` an iterator object and every `f32(2.0)` a call to resolve; a counting loop and a typed global take it a third of the
time, and LLVM sees the plain induction variable at once. Line numbers stay those of the file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flowc.codegen import alike, intrinsics, scalars
from flowc.structs import Struct

CONSTANTS: dict[str, Any] = {
    "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64, "u8": np.uint8, "u16": np.uint16, "u32": np.uint32,
    "u64": np.uint64, "f16": lambda value: np.float32(np.float16(value)), "f32": np.float32, "f64": np.float64,
}  # fmt: skip


class Copy(Struct):
    """A kernel that is another function with numbers for its last parameters. function: stands for it where it is called, its body is empty."""

    function: Callable[..., Any]
    numbers: tuple[Any, ...]
    identity: str = ""

    @property
    def name(self) -> str:
        return self.function.__name__


class TypedFunction(Struct):
    """A function of generated source with the names of its parameters' types, and of its result's.

    copies: the kernels that it was made for, where it is a form that they share (see `alike`); itself it is called nowhere then, or, `once`, by them.
    identity: of a kernel that calls nothing of its own file, text from which its code follows, whatever its names: equal in every program
    that has the same kernel. tree: the function's syntax, where its text is known.
    """

    function: Callable[..., Any]
    arguments: tuple[str, ...]
    result: str = ""
    copies: tuple[Copy, ...] = ()
    identity: str = ""
    tree: ast.FunctionDef | None = None
    once: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__


_CONSTANT = re.compile(rf"""\b({'|'.join(CONSTANTS)})\((-?\d[\d.]*(?:e[+-]?\d+)?|["']-?(?:inf|nan)["'])\)""")


def _with_names(text: str) -> tuple[str, dict[str, Any]]:
    """The file with a name in place of each typed constant, and the constants by name."""
    constants: dict[str, Any] = {}
    names: dict[tuple[type, bytes], str] = {}  # by type and bits

    def name(match: re.Match[str]) -> str:
        value = CONSTANTS[match[1]](ast.literal_eval(match[2]))
        found = names.setdefault((type(value), value.tobytes()), f"{match[1]}_{len(constants)}")
        constants[found] = value
        return found

    return _CONSTANT.sub(name, text), constants


class _Counting:
    """Loops over ranges become counting loops, those over what threads claim loops of claims."""

    def __init__(self, continues: bool) -> None:
        self.continues = continues  # whether there is a `continue` anywhere
        self.stops = 0

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for statement in body:
            for name in ("body", "orelse"):
                inner = getattr(statement, name, None)
                if inner:
                    setattr(statement, name, self.block(inner))
            made += self.loop(statement) if isinstance(statement, ast.For) else (statement,)
        return made

    def loop(self, node: ast.For) -> list[ast.stmt]:
        call, loops = node.iter, ("range", "claimed")
        plain = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in loops and isinstance(node.target, ast.Name)
        if not plain or node.orelse or (self.continues and any(isinstance(n, ast.Continue) for s in node.body for n in ast.walk(s))):
            return [node]
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and isinstance(node.target, ast.Name)
        at: Any = {"lineno": node.lineno, "col_offset": node.col_offset}
        reading, writing, claimed = ast.Load(), ast.Store(), call.func.id == "claimed"
        stop = call.args[0] if claimed or len(call.args) == 1 else call.args[1]
        step: ast.expr = call.args[2] if len(call.args) == 3 else ast.Constant(1, **at)
        if not claimed and (not isinstance(step, ast.Constant) or not isinstance(step.value, int) or step.value <= 0):
            return [node]
        here, target = ast.Name(node.target.id, reading, **at), ast.Name(node.target.id, writing, **at)
        statements: list[ast.stmt] = []
        if not isinstance(stop, ast.Constant):
            limit = f"stop_{self.stops}"
            self.stops += 1
            # before the index, which the bound may mention under another meaning
            statements.append(ast.Assign([ast.Name(limit, writing, **at)], stop, **at))
            stop = ast.Name(limit, reading, **at)
        count: ast.stmt
        if claimed:
            start: ast.expr = ast.Call(ast.Name("first_claim", reading, **at), [stop, *call.args[1:]], [], **at)
            count = ast.Assign([target], ast.Call(ast.Name("next_claim", reading, **at), [here, stop, *call.args[1:]], [], **at), **at)
        else:
            start = ast.Constant(0, **at) if len(call.args) == 1 else call.args[0]
            count = ast.AugAssign(target, ast.Add(), step, **at)
        test = ast.Compare(here, [ast.Lt()], [stop], **at)
        return [*statements, ast.Assign([target], start, **at), ast.While(test, [*node.body, count], [], **at)]


def typed_functions(text: str, signatures: Mapping[str, Sequence[str]], file: str) -> list[TypedFunction]:
    """The functions that `text` defines, in order, with the types that `signatures` gives to their parameters.

    file: the name that tracebacks show. Two parameters of a kernel that the entry gives the same slot are marked as aliases of each other.
    KeyError for a function without a signature, TypeError where its length is not the number of parameters.
    """
    tree = ast.parse(text, file)
    definitions = [item for item in tree.body if isinstance(item, ast.FunctionDef)]
    typed = {item.name: list(signatures[item.name]) for item in definitions}
    for item in definitions:
        if len(typed[item.name]) != len(item.args.args):
            raise TypeError(f"{item.name} has {len(item.args.args)} parameters, its signature {len(typed[item.name])}")
    _mark_aliases(definitions, typed)
    forms = _forms(text, tree, typed)
    identities = _identities(tree, forms, typed)
    shared = _share(text, forms, typed)
    cheaper, constants = _with_names(_with_shared(text, definitions, shared) if shared else text)
    tree = ast.parse(cheaper, file)
    tree.body = _Counting("continue" in text).block(tree.body)
    # Python's own min, max and abs cost Numba a template each that it has to compile
    builtins = {"min": scalars.minimum, "max": scalars.maximum, "abs": scalars.absolute}
    claims = {"first_claim": intrinsics.first_claim, "next_claim": intrinsics.next_claim}
    namespace: dict[str, Any] = {"__name__": "flowc_generated", "__file__": file, **builtins, **claims, **constants}
    exec(compile(tree, file, "exec"), namespace)
    namespace["f16"] = scalars.half  # after the file's own imports
    trees = {item.name: item for item in tree.body if isinstance(item, ast.FunctionDef)}
    result, copied = list[TypedFunction](), {name for group in shared.values() for name in group.names}
    for name, group in shared.items():
        members = [Copy(namespace[member], tuple(CONSTANTS[d](ast.literal_eval(n)) for d, n in zip(group.dtypes, numbers, strict=True)), identities[member])
                   for member, numbers in zip(group.names, group.numbers, strict=True)]  # fmt: skip
        result.append(TypedFunction(namespace[name], (*typed[group.names[0]], *group.dtypes), copies=tuple(members), tree=trees[name], once=group.once))
    rest = [name for name in typed if name not in copied]
    return result + [TypedFunction(namespace[name], tuple(typed[name]), identity=identities.get(name, ""), tree=trees[name]) for name in rest]


def _forms(text: str, tree: ast.Module, typed: dict[str, list[str]]) -> dict[str, tuple[str, alike.Form]]:
    """The text and the form of every kernel; none where the file has names that cannot be known, or text that is no code."""
    lines = text.splitlines()
    shared_names = {name for item in tree.body for name in _bound(item)}
    if "*" in shared_names or '"""' in text.split("\ndef ", 1)[-1]:
        return {}
    forms = {}
    for item in tree.body:
        if isinstance(item, ast.FunctionDef) and any("*" in kind for kind in typed[item.name]) and item.name != "program":
            own = "\n".join(lines[item.lineno - 1 : item.end_lineno])
            forms[item.name] = own, alike.form(own, shared_names - {item.name})
    return forms


def _identities(tree: ast.Module, forms: dict[str, tuple[str, alike.Form]], typed: dict[str, list[str]]) -> dict[str, str]:
    """See `TypedFunction`. Empty where a name of the file's head could mean anything, or the kernel calls its neighbours."""
    known = all(
        isinstance(item, ast.FunctionDef)
        or (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
        or (isinstance(item, ast.ImportFrom) and item.module in ("math", "flowc.codegen.intrinsics") and not any(a.asname for a in item.names))
        for item in tree.body
    )
    return {
        name: "\n".join([form.key, *(number for _, _, number in form.numbers), *typed[name]]) if known and not form.used & (set(typed) - {name}) else ""
        for name, (_, form) in forms.items()
    }


def _share(text: str, forms: dict[str, tuple[str, alike.Form]], typed: dict[str, list[str]]) -> dict[str, alike.Shared]:
    """The forms that several kernels have, by the names of the functions to make for them."""
    groups: dict[tuple[str, ...], list[tuple[str, str, alike.Form]]] = {}
    for name, (own, form) in forms.items():
        groups.setdefault((form.key, *typed[name]), []).append((name, own, form))
    prefix = "literal_"
    while prefix in text:
        prefix += "_"
    result = {}
    for group in groups.values():
        if len(group) > 1:
            names, texts, members = zip(*group, strict=True)
            function = f"alike_{prefix}{names[0]}"
            result[function] = alike.share(function, names, texts, members, prefix)
    return result


def _bound(item: ast.stmt) -> list[str]:
    """The names that a statement of a file gives a meaning."""
    if isinstance(item, ast.ImportFrom | ast.Import):
        return [a.asname or a.name.split(".")[0] for a in item.names]
    if isinstance(item, ast.FunctionDef):
        return [item.name]
    return [n.id for n in ast.walk(item) if isinstance(n, ast.Name)]


def _with_shared(text: str, definitions: list[ast.FunctionDef], shared: dict[str, alike.Shared]) -> str:
    """The file with the shared functions where their first kernels are, so lines stay the same; the kernels themselves come last, empty."""
    lines = text.splitlines()
    first = {group.names[0]: group for group in shared.values()}
    members = {name for group in shared.values() for name in group.names}
    empty = []
    for item in definitions:
        if item.name in members:
            begin, end = item.lineno - 1, item.end_lineno or item.lineno
            blank = [""] * (end - begin)
            lines[begin:end] = first[item.name].text.splitlines() if item.name in first else blank
            empty.append(f"def {item.name}({', '.join(a.arg for a in item.args.args)}): pass")
    return "\n".join([*lines, *empty, ""])


def _mark_aliases(definitions: list[ast.FunctionDef], typed: dict[str, list[str]]) -> None:
    """Add the mark `&` to the types of parameters that receive one slot twice, `k0(pointer_f32(args, 1), pointer_f32(args, 1))`."""
    for definition in definitions:
        if definition.name != "program":  # it alone has the table of addresses
            continue
        for call in ast.walk(definition):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in typed:
                slots = [ast.unparse(a.args[1]) if isinstance(a, ast.Call) and len(a.args) == 2 else None for a in call.args]
                signature = typed[call.func.id]
                for i, slot in enumerate(slots):
                    if slot is not None and slots.count(slot) > 1 and "*" in signature[i] and "&" not in signature[i]:
                        signature[i] += "&"
