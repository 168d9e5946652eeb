"""CPU schedules: a kernel Function becomes loops, by its form.

    map      for i in parallel: every member at index i (`sweep_cpu`)
    reduce   rows:    for row in parallel: for r: acc += x;  then what has the reduced shape (all reductions: `reduce_cpu`)
             columns: for chunk in parallel: for r in chunk: for j in vector: part[j] += x;  barrier;  for j in parallel: join the parts
             full:    the same with one column
    rows     for row in parallel: one inner loop per level of reductions, then what uses them
             rows of up to 2048: for group in parallel: for step in group: the inner loop of each level, each one row behind the level before
             with functions, more than 512: the same with one inner loop for all levels
    nest     the op's own loops, then what is computed at each index of the result

Chunks depend on extents only, never on the number of threads, so any number of threads gives the same bits.
"""

from __future__ import annotations

from flowc.ir.function import Function
from flowc.ir.loops import Barrier, Buffer, Kernel
from flowc.ir.node import Node
from flowc.lower.element import hint
from flowc.lower.epilogue import attach
from flowc.lower.invariants import with_invariants
from flowc.lower.joined_cpu import joined
from flowc.lower.kernel import KernelBuilder, begin, finish
from flowc.lower.reduce_cpu import reduce
from flowc.lower.rename import nest_plan
from flowc.lower.rests import with_rests
from flowc.lower.sweep_cpu import sweep
from flowc.transforms.groups import is_nest, is_reduction


def schedule(f: Function, in_place: dict[int, int] | None = None) -> Kernel:
    """The loops of a kernel Function. `in_place` maps a result's position to the param whose buffer it overwrites."""
    k = begin(f, in_place or {})
    nests = [n for n in f.nodes if is_nest(n)]
    folds = [n for n in f.nodes if is_reduction(n)]
    if len(nests) > 1:
        joined(k, nest)
    elif nests:
        nest(k, nests[0])
    elif folds:
        reduce(k, folds)
    else:
        sweep(k, list(f.results))
    return with_rests(with_invariants(finish(k)))


def nest(k: KernelBuilder, root: Node) -> None:
    """The root's own loops; what follows it is computed where its elements are final, or in a sweep after them."""
    elements = k.elements
    operands = [elements.names[n] for n in root.inputs]
    out = k.result_names.get(root)
    if out is None:
        out = elements.unique(f"{hint(root)}_out")
    plan = nest_plan(root, operands, out, elements.unique)
    k.how = plan.how
    statements = list(plan.statements)
    k.workspaces.extend(Buffer(name, dtype, size, "workspace") for name, dtype, size in plan.workspaces)
    top = elements.scopes[-1].statements
    results = [r for r in k.f.results if r is not root]
    if not results:
        top.extend(statements)
        return
    attached = attach(k, root, out, statements, results, keep=root in k.result_names)
    if attached is not None:
        top.extend(attached)
        return
    if root not in k.result_names:
        k.workspaces.append(Buffer(out, root.tensor.dtype, root.tensor.size, "workspace"))
    top.extend(statements)
    top.append(Barrier())
    elements.names[root] = out
    sweep(k, results)


__all__ = ["schedule"]
