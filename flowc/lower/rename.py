"""An op's own loop nest, with names unlike all others of its kernel.

    for image in parallel(n): ...          in a kernel with a buffer `image`   ->   for image_1 in parallel(n): ...

A nest names its loops without knowing what else the kernel holds: the user's names of operands and symbols, what is fused after it. So it
is built with stand-ins for those (`$0`, `$out`, `$b`), which no name of its own can equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowc.ir import loop_walks
from flowc.ir.dims import Dim, Sym, substitute, symbols
from flowc.ir.function import Function
from flowc.ir.loops import NestPlan
from flowc.ir.node import Node
from flowc.ir.op import Nest
from flowc.ir.types import TensorType
from flowc.structs import fields, replace

_NAMES = {"var", "name", "buffer", "out", "a", "b"}  # the fields of expressions and statements that are names of variables or buffers


def symbol_names(f: Function) -> set[str]:
    """The symbols in the types of a Function's values: the extents of its kernel."""
    types = [n.type for n in (*f.params, *f.nodes) if isinstance(n.type, TensorType)]
    return {s for t in types for dim in t.dims for s in symbols(dim)}


def nest_plan(root: Node, operands: Sequence[str], out: str, unique: Callable[[str], str], for_threads: bool = False) -> NestPlan:
    """The loops of a node whose lowering is a Nest, over these buffers; `unique` gives each of its variables and workspaces a name.

    for_threads: those for a GPU.
    """
    lowering = root.op.lowering
    assert isinstance(lowering, Nest)
    build = lowering.build_for_threads if for_threads and lowering.build_for_threads is not None else lowering.build
    types = [n.tensor for n in root.inputs]
    extents = {s for t in (*types, root.tensor) for dim in t.dims for s in symbols(dim)}
    stand_ins: dict[str, Dim] = {s: Sym.named(f"${s}") for s in extents}
    attrs = {name: _attribute(value, stand_ins) for name, value in root.attrs.items()}
    buffers = [f"${i}" for i in range(len(operands))]
    made = build(list(buffers), "$out", [t.substitute(stand_ins) for t in types], root.tensor.substitute(stand_ins), attrs)
    plan = made if isinstance(made, NestPlan) else NestPlan(tuple(made))
    names = {**dict(zip(buffers, operands, strict=True)), "$out": out, **{f"${s}": s for s in extents}}
    for name in dict.fromkeys((*(name for name, _, _ in plan.workspaces), *loop_walks.bound(plan.statements))):
        names[name] = unique(name.replace("$out", out))
    back: dict[str, Dim] = {f"${s}": Sym.named(s) for s in extents}
    workspaces = tuple((names[name], dtype, substitute(size, back)) for name, dtype, size in plan.workspaces)
    return NestPlan(tuple(renamed(s, names) for s in plan.statements), workspaces, plan.how)


def _attribute(value: Any, stand_ins: Mapping[str, Dim]) -> Any:
    if isinstance(value, Sym):
        return substitute(value, stand_ins)
    return tuple(_attribute(v, stand_ins) for v in value) if isinstance(value, tuple) else value


def renamed(item: Any, names: Mapping[str, str]) -> Any:
    """A statement or expression with other names, in all that is in it."""
    made = loop_walks.with_parts(item, lambda part: renamed(part, names))
    changed = {field: names[old] for field in _NAMES.intersection(fields(made)) if (old := getattr(made, field)) in names}
    return replace(made, **changed) if changed else made
