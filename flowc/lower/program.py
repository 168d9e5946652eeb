"""Programs: a Module's `main` as a list of kernel runs over places in memory, with barriers between runs that depend on each other."""

from __future__ import annotations

from functools import cached_property

from flowc.ir.dims import Dim, Sym, symbols
from flowc.ir.function import Function
from flowc.ir.loops import Barrier, Comment, For, Kernel, Let
from flowc.ir.node import Node
from flowc.ir.op import Kind
from flowc.lower.kernel import is_costly
from flowc.lower.memory import Place, Planner, Slot, source
from flowc.lower.schedule_cpu import schedule
from flowc.structs import Struct

ACCESS = 6  # an element read or written, in multiply-adds of a product, which are 80 to a nanosecond (AVX2)
SHARED_WORK = 400_000  # multiply-adds of a product, or what takes as long: 5 microseconds of one thread; below, meeting costs more than it brings
FUNCTION = 45  # an element of a transcendental function


class Step(Struct, eq=False):
    """One kernel run: where each of its buffers lies; `barrier`: threads meet before it; `call`: its node in `main`."""

    kernel: Kernel
    places: tuple[Place, ...]
    barrier: bool
    call: Node

    @cached_property
    def products(self) -> list[tuple[Dim, ...]]:
        """For each contraction the sizes of its result and operands."""
        return [(n.tensor.size, *(operand.tensor.size for operand in n.inputs[:2])) for n in self._contractions]

    @cached_property
    def light_work(self) -> Dim:
        """The work but for contractions: what is read and written, and the functions that take many operations."""
        function: Function = self.call.attrs["function"]
        total: Dim = 0
        for place in self.places:
            total = total + place.size * ACCESS
        for node in function.nodes:
            if is_costly(node):
                total = total + node.tensor.size * FUNCTION
        return total

    @cached_property
    def _contractions(self) -> list[Node]:
        function: Function = self.call.attrs["function"]
        return [node for node in function.nodes if node.op.kind is Kind.CONTRACT]

    @property
    def is_shared(self) -> bool | Sym:
        """Whether all threads of a run share the kernel; where that depends on extents, the work, from SHARED_WORK on.

        All must enter it where its work is not known before, and where there is something outside parallel loops.
        """
        loose = any(not isinstance(s, Let | Comment | Barrier | For) or (isinstance(s, For) and s.kind != "parallel") for s in self.kernel.body)
        work = self.light_work
        return True if loose or self._contractions else work if isinstance(work, Sym) else work >= SHARED_WORK


class Program(Struct, eq=False):
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
    def shared(self) -> list[bool | Sym]:
        """`Step.is_shared` of each step; the threads of a run of one kernel were chosen for it."""
        return [True] if len(self.steps) == 1 else [step.is_shared for step in self.steps]

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
