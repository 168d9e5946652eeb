"""Programs: a Module's `main` as a list of kernel runs over places in memory, with barriers between runs that depend on each other."""

from __future__ import annotations

from dataclasses import dataclass

from flowc.ir.dims import Dim, symbols
from flowc.ir.function import Function
from flowc.ir.loops import Kernel
from flowc.ir.node import Node
from flowc.ir.op import Kind
from flowc.lower.memory import Place, Planner, Slot, source
from flowc.lower.schedule_cpu import schedule


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel run: where each of its buffers lies; `barrier`: threads meet before it; `call`: its node in `main`."""

    kernel: Kernel
    places: tuple[Place, ...]
    barrier: bool
    call: Node

    def work(self) -> tuple[list[Dim], list[tuple[Dim, ...]]]:
        """What one run costs, to choose a number of threads by: the sizes of what it reads and writes, and for each contraction those of its
        result and operands."""
        function: Function = self.call.attrs["function"]
        contractions = [n for n in function.nodes if n.op.kind is Kind.CONTRACT]
        return [p.size for p in self.places], [(n.tensor.size, *(operand.tensor.size for operand in n.inputs[:2])) for n in contractions]


@dataclass(frozen=True, eq=False)
class Program:
    """What the printer prints and the executable runs.

    places: every place but slots shared by several values appears once; extents: symbols in the order of the argument table;
    results: for each result of main its place; copies: (param position, place) for updates that could not be made in place.
    """

    main: Function
    steps: tuple[Step, ...]
    places: tuple[Place, ...]
    slots: tuple[Slot, ...]
    constants: tuple[Node, ...]
    extents: tuple[str, ...]
    results: tuple[Place, ...]
    copies: tuple[tuple[int, Place], ...]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        return tuple(step.kernel for step in self.steps)


def plan(main: Function) -> Program:
    """Kernels, places and barriers for a fused Module."""
    planner = Planner(main)
    steps: list[Step] = []
    places: dict[int, Place] = {}
    pending_reads: set[tuple[str, int]] = set()
    pending_writes: set[tuple[str, int]] = set()
    items: dict[Node, dict[int, Node]] = {}
    for node in main.nodes:
        if node.op.name == "item":
            items.setdefault(node.inputs[0], {})[node.attrs["index"]] = node
    for number, call in enumerate(planner.calls):
        function: Function = call.attrs["function"]
        made = items.get(call, {})
        allowed = {r: p for r, p in planner.pairs.get(call, {}).items() if r in made and planner.direct.get(made[r]) is source(call.inputs[p])}
        kernel = schedule(function, allowed)
        outputs = iter([made.get(r) for r in range(len(function.results)) if r not in allowed])
        given: list[Place] = [planner.place(operand, number) for operand in call.inputs]
        for buffer in kernel.buffers[len(given) :]:
            item = next(outputs) if buffer.role == "out" else None
            if item is not None:
                given.append(planner.place(item, number))
            else:
                given.append(planner.slot(buffer.dtype, buffer.size, number, number))
        reads, writes = set(), set()
        for buffer, place in zip(kernel.buffers, given, strict=True):
            key = (place.kind, place.position)
            places.setdefault(id(place), place)
            if buffer.role in ("in", "inout"):
                reads.add(key)
            if buffer.role != "in":
                writes.add(key)
        barrier = not (writes.isdisjoint(pending_reads) and writes.isdisjoint(pending_writes) and reads.isdisjoint(pending_writes))
        if barrier:
            pending_reads, pending_writes = set(), set()
        pending_reads |= reads
        pending_writes |= writes
        steps.append(Step(kernel, tuple(given), barrier, call))
    results = tuple(planner.place(r, len(steps)) for r in main.results)
    copies = []
    new_values = dict(main.updates)
    for position, param in enumerate(main.params):
        value = new_values.get(param, param)
        if planner.direct.get(source(value)) is not param and source(value) is not param:
            copies.append((position, planner.place(value, len(steps))))
    for place in (*results, *(p for _, p in copies)):
        places.setdefault(id(place), place)
    used = {s for p in (*main.params, *main.results) for s in _symbols(p)} | {s for step in steps for s in step.kernel.extents}
    used |= {s for step in steps for p in step.places for s in symbols(p.size)}
    return Program(main, tuple(steps), tuple(places.values()), tuple(planner.slots), tuple(planner.constants), tuple(sorted(used)), results, tuple(copies))


def _symbols(node: Node) -> set[str]:
    return {s for d in node.tensor.dims for s in symbols(d)}
