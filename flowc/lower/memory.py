"""Memory: every value of a Module's `main` gets a place; places in the arena are reused when their values are dead.

param 0, param 1        the caller's arrays (feeds, variables); updates overwrite them in place where that is safe
result 0                a fresh array of the caller's
constant                an array that belongs to the program
slot 3                  a piece of the arena; its size is the largest of the values that live there one after the other
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from flowc.ir.dims import Dim
from flowc.ir.function import CONSTANT, PARAM, Function
from flowc.ir.node import Node
from flowc.ir.op import Kind, Nest
from flowc.ir.types import DType
from flowc.transforms.fuse import is_reduction, is_view, reduction_axes, squeezed


@dataclass(eq=False)
class Place:
    """Where a value lies. kind: param, result, constant or slot; `position` counts within the kind."""

    kind: str
    position: int
    dtype: DType
    size: Dim
    node: Node | None = None


@dataclass
class Slot:
    """A piece of the arena: the (dtype, size) of each value that lives there, and their bytes."""

    values: list[tuple[DType, Dim]] = field(default_factory=list)
    bytes: set[Dim] = field(default_factory=set)


def source(node: Node) -> Node:
    """The node whose memory a view shares."""
    while node.op is not PARAM and is_view(node):
        node = node.inputs[0]
    return node


def calls_reading(main: Function) -> dict[Node, list[Node]]:
    """For each value in memory the calls that read it."""
    readers: dict[Node, list[Node]] = {}
    for node in main.nodes:
        if node.op.name == "call":
            for operand in node.inputs:
                readers.setdefault(source(operand), []).append(node)
    return readers


def params_becoming(main: Function) -> dict[Node, list[Node]]:
    """For each value in memory the params that it updates."""
    becoming: dict[Node, list[Node]] = {}
    for param, value in main.updates:
        becoming.setdefault(source(value), []).append(param)
    return becoming


def in_place_pairs(main: Function) -> dict[Node, dict[int, int]]:
    """For each call: result position -> param position of the callee whose buffer it may overwrite, for updates of main's params.

    Safe when every other reader of the old value runs earlier, and inside the kernel each element of it is read before, and only
    for, the element that replaces it.
    """
    step = {n: i for i, n in enumerate(main.nodes)}
    readers, becoming = calls_reading(main), params_becoming(main)
    result_sources = {source(r) for r in main.results}
    pairs: dict[Node, dict[int, int]] = {}
    taken: set[Node] = set()
    for param, value in main.updates:
        item = source(value)
        if item.op.name != "item" or item in taken or item in result_sources or item.tensor.dtype is not param.tensor.dtype:
            continue
        call = item.inputs[0]
        others = [r for r in readers.get(param, []) if r is not call]
        if any(step[r] > step[call] for r in others) or any(p is not param for p in becoming.get(param, ())):
            continue
        callee: Function = call.attrs["function"]
        inside = [p for p, operand in zip(callee.params, call.inputs, strict=True) if source(operand) is param]
        if len(inside) > 1:
            continue
        result = callee.results[item.attrs["index"]]
        if inside:
            if not reads_own_element_only(callee, inside[0], result):
                continue
            pairs.setdefault(call, {})[item.attrs["index"]] = callee.params.index(inside[0])
        taken.add(item)
    return pairs


def overwritten(main: Function, pairs: dict[Node, dict[int, int]]) -> dict[Node, Node]:
    """Items of calls that may be written straight into the memory of a param: item -> param. `pairs`: of `in_place_pairs`."""
    step = {n: i for i, n in enumerate(main.nodes)}
    readers, becoming = calls_reading(main), params_becoming(main)
    result_sources = {source(r) for r in main.results}
    direct: dict[Node, Node] = {}
    for param, value in main.updates:
        item = source(value)
        if item.op.name != "item" or item in direct or item in result_sources or item.tensor.dtype is not param.tensor.dtype:
            continue
        call = item.inputs[0]
        if item.attrs["index"] in pairs.get(call, {}):
            position = pairs[call][item.attrs["index"]]
            if source(call.inputs[position]) is param:
                direct[item] = param
            continue
        copied = any(p is not param for p in becoming.get(param, ()))
        if not copied and all(step[n] < step[call] for n in readers.get(param, ())):
            direct[item] = param
    return direct


def reads_own_element_only(f: Function, param: Node, result: Node) -> bool:
    """Whether a kernel reads `param` only at the element that `result` then takes, or wholly before it writes any."""
    domain = squeezed(result.tensor.dims)
    if squeezed(param.tensor.dims) != domain:
        return False
    folds = [n for n in f.nodes if is_reduction(n)]
    if folds:
        swept = folds[0].inputs[0].tensor.dims
        kept = [d for i, d in enumerate(swept) if i not in reduction_axes(folds[0]) and d != 1]
        if len(set(folds)) > 1 and any(_uses(f, a, b) for a in folds for b in folds if a is not b):
            return False
        if kept and squeezed(swept) == domain:
            return False
        if kept and any(squeezed(u.tensor.dims) != domain for u in f.users()[param]):
            return False
        if not kept and squeezed(swept) == domain and domain != ():
            return False
    for user in f.users()[param]:
        if isinstance(user.op.lowering, Nest):
            if any(n is param for i, n in enumerate(user.inputs) if i not in user.op.like):
                return False
            continue
        if not folds and not (user.op.kind is Kind.MAP or is_view(user)):
            return False
        if not folds and squeezed(user.tensor.dims) != domain:
            return False
    return not any(n.op.kind is Kind.INDEX and not is_view(n) and squeezed(n.tensor.dims) == domain and _uses(f, param, n) for n in f.nodes)


def _uses(f: Function, operand: Node, node: Node) -> bool:
    """Whether `node` depends on `operand`."""
    stack, seen = list(node.inputs), set()
    while stack:
        n = stack.pop()
        if n is operand:
            return True
        if n not in seen:
            seen.add(n)
            stack.extend(n.inputs)
    return False


class Planner:
    """Gives places to the values of `main`, step by step."""

    def __init__(self, main: Function) -> None:
        self.main = main
        self.slots: list[Slot] = []
        self.busy: list[tuple[int, int]] = []  # a heap: the step after which a slot is free, its number
        self.free: set[int] = set()
        self.constants: list[Node] = []
        self.place_of: dict[Node, Place] = {}
        self.pairs = in_place_pairs(main)
        self.direct = overwritten(main, self.pairs)
        self.calls = [n for n in main.nodes if n.op.name == "call"]
        self.last_use = self.lifetimes()
        for position, param in enumerate(main.params):
            self.place_of[param] = Place("param", position, param.tensor.dtype, param.tensor.size, param)
        for position, result in enumerate(main.results):
            owner = source(result)
            if owner.op.name == "item" and owner not in self.place_of and owner not in self.direct:
                self.place_of[owner] = Place("result", position, owner.tensor.dtype, owner.tensor.size, owner)
        for item, param in self.direct.items():
            self.place_of[item] = self.place_of[param]

    def lifetimes(self) -> dict[Node, int]:
        last: dict[Node, int] = {}
        for step, call in enumerate(self.calls):
            for operand in call.inputs:
                last[source(operand)] = step
        for output in self.main.outputs:
            last[source(output)] = len(self.calls)
        return last

    def place(self, node: Node, step: int) -> Place:
        """The place of a value that is made at `step` or lies in memory already."""
        owner = source(node)
        found = self.place_of.get(owner)
        if found is None:
            if owner.op is CONSTANT:
                found = Place("constant", len(self.constants), owner.tensor.dtype, owner.tensor.size, owner)
                self.constants.append(owner)
            else:
                found = self.slot(owner.tensor.dtype, owner.tensor.size, step, self.last_use.get(owner, step), owner)
            self.place_of[owner] = found
        return found

    def slot(self, dtype: DType, size: Dim, first: int, last: int, node: Node | None = None) -> Place:
        """A piece of the arena for a value that lives from step `first`, no earlier than that of the slot asked for before, to step `last`: a free one
        of the same size, else any free one."""
        while self.busy and self.busy[0][0] < first:
            self.free.add(heappop(self.busy)[1])
        wanted = size * dtype.size
        same = [i for i in self.free if wanted in self.slots[i].bytes]
        if same:
            position = min(same)
        elif self.free:
            position = min(self.free, key=lambda i: (_distance(self.slots[i], wanted), i))
        else:
            position = len(self.slots)
            self.slots.append(Slot())
        self.free.discard(position)
        heappush(self.busy, (last, position))
        chosen = self.slots[position]
        chosen.values.append((dtype, size))
        chosen.bytes.add(wanted)
        return Place("slot", position, dtype, size, node)


def _distance(slot: Slot, wanted: Dim) -> tuple[int, int]:
    """How badly a value fits a slot: known sizes by their difference, symbolic ones after all known."""
    known = [s for s in slot.bytes if isinstance(s, int)]
    if isinstance(wanted, int) and len(known) == len(slot.bytes):
        return (0, abs(max(known) - wanted))
    return (1, 0 if not isinstance(wanted, int) and len(known) < len(slot.bytes) else 1)
