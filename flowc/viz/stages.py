"""From a Function to the stages of a page: the Function, what each pass made of it, and the kernels with their loops and source.

    page(stages(f, diagram(graph)), "model.py")      # a timeline: graph, extract, tidy, stabilize, ..., fuse, kernels
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flowc.codegen.cpu import print_program
from flowc.ir.function import Function
from flowc.ir.loops_text import print_kernel
from flowc.ir.node import Node
from flowc.lower.program import Program, plan
from flowc.transforms.pipeline import optimize
from flowc.transforms.records import Records
from flowc.viz.figures import Figures, counted
from flowc.viz.model import Diagram, diagram
from flowc.viz.page import Stage


def stages(
    f: Function,
    graph: Diagram | None = None,
    title: str = "",
    extents: Mapping[str, int] | None = None,
    measured: Callable[[Sequence[str]], Figures] | None = None,
) -> list[Stage]:
    """The stages of a specialized Function, `graph` before them if there is one. Nothing is compiled.

    extents: sizes for which bytes and operations are counted, 1 where one is not told; measured: gives the figures, times among them,
    of the kernels with these names instead.
    """
    records = Records()
    seen = [("extract" if graph is not None else "function", f)]
    module = optimize(f, on_pass=lambda name, result: seen.append((name, result)), records=records)
    program = plan(module)
    *passes, (last, _) = seen
    figures = counted(program, extents or {}) if measured is None else measured([kernel.name for kernel in program.kernels])
    drawn = diagram(module, title=title)
    found = [Stage("graph", graph, extents=extents or {})] if graph is not None else []
    for index, (name, function) in enumerate(passes):
        same = index > 0 and _equal(function, passes[index - 1][1])
        found.append(Stage(name, found[-1].diagram if same else diagram(function, title=title)))
    found.append(Stage(last, drawn, _aliases(module), list(records), _texts(program), figures))
    return [*found, Stage("kernels", drawn, closed=True)]


def _equal(f: Function, g: Function) -> bool:
    """Whether two Functions say the same, node by node: a pass that found nothing to do."""
    if len(f.nodes) != len(g.nodes) or len(f.params) != len(g.params):
        return False
    pairs = dict(zip(f.params, g.params, strict=True))
    for x, y in zip(f.nodes, g.nodes, strict=True):
        if x.op is not y.op or x.name != y.name or x.type != y.type or x.attrs != y.attrs or tuple(pairs[n] for n in x.inputs) != y.inputs:
            return False
        pairs[x] = y
    return all(pairs[a] is b for a, b in zip(f.outputs, g.outputs, strict=True))


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


def _texts(program: Program) -> dict[str, list[tuple[str, str]]]:
    """For each kernel its generated source and its loops."""
    functions = {part.partition("(")[0]: part for part in print_program(program).text.split("\n\n\ndef ")[1:]}
    found: dict[str, list[tuple[str, str]]] = {}
    for kernel in program.kernels:
        texts = [("loops", print_kernel(kernel).rstrip())]
        if kernel.name in functions:
            texts.insert(0, ("generated Numba source", "def " + functions[kernel.name].rstrip()))
        found[kernel.name] = texts
    return found
