"""From a Function to the stages of a page: the Function, what each pass made of it, and the kernels with their loops and source.

    page(stages(f, diagram(graph)), "model.py")      # a timeline: graph, extract, tidy, stabilize, ..., kernels
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowc import config
from flowc.ir.function import Function
from flowc.ir.node import Node
from flowc.transforms.pipeline import optimize
from flowc.transforms.records import Decision
from flowc.viz.model import Diagram, diagram
from flowc.viz.page import Stage


def stages(f: Function, graph: Diagram | None = None, title: str = "") -> list[Stage]:
    """The stages of a specialized Function, `graph` before them if there is one. Nothing is compiled."""
    from flowc.runtime.executable import build

    with config.override(backend="interpret"):
        program = build(f)
    module = program.module
    kernels = _kernels(module)
    notes = _notes(program.records)
    seen = [("extract" if graph is not None else "function", f)]
    optimize(f, on_pass=lambda name, result: seen.append((name, result)))
    seen[-1] = ("kernels", module)  # as the program runs it
    found = [Stage("graph", graph, kernels, notes)] if graph is not None else []
    found += [Stage(name, diagram(function, title=title), kernels, notes) for name, function in seen[:-1]]
    return [*found, Stage("kernels", diagram(module, title=title), kernels, notes, _texts(program), _aliases(module))]


def _kernels(module: Function) -> dict[str, str]:
    """For each node of the kernels the kernels that compute it."""
    found: dict[str, list[str]] = {}
    for kernel in module.callees():
        for node in kernel.nodes:
            found.setdefault(node.name, []).append(kernel.name)
    return {name: ", ".join(dict.fromkeys(names)) for name, names in found.items()}


def _aliases(module: Function) -> dict[Node, Node]:
    """For the params of kernels what they are given, for what calls give the kernels' results."""
    found: dict[Node, Node] = {}
    for node in module.nodes:
        inner = node.attrs.get("function")
        if isinstance(inner, Function):
            for param, operand in zip(inner.params, node.inputs, strict=True):
                found.setdefault(param, operand)
        elif node.op.name == "item" and isinstance(called := node.inputs[0].attrs.get("function"), Function):
            found[node] = called.results[node.attrs["index"]]
    return found


def _notes(records: Iterable[Decision]) -> dict[str, list[str]]:
    """For each node what was decided about it."""
    found: dict[str, list[str]] = {}
    for decision in records:
        for name in dict.fromkeys(decision.nodes):
            found.setdefault(name, []).append(" ".join(str(decision).split()))
    return found


def _texts(program: Any) -> dict[str, list[tuple[str, str]]]:
    """For each kernel its loops and its generated source."""
    from flowc.ir.loops_text import print_kernel

    functions = {part.partition("(")[0]: part for part in str(program.source).split("\n\n\ndef ")[1:]}
    found: dict[str, list[tuple[str, str]]] = {}
    for kernel in program.kernels:
        texts = [("loops", print_kernel(kernel).rstrip())]
        if kernel.name in functions:
            texts.append(("generated Numba source", "def " + functions[kernel.name].rstrip()))
        found[kernel.name] = texts
    return found
