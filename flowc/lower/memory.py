"""Memory: every value of a Module's `main` gets a place; places in the arena are reused when their values are dead.

param 0, param 1        the caller's arrays (feeds, variables); updates overwrite them in place where that is safe
result 0                a fresh array of the caller's
constant                an array that belongs to the program
slot 3                  a piece of the arena; its size is the largest of the values that live there one after the other
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from heapq import heappop, heappush

from flowc.ir.dims import Dim
from flowc.ir.function import CONSTANT, PARAM, Function
from flowc.ir.node import Node
from flowc.ir.op import Kind
from flowc.ir.types import DType
from flowc.structs import Struct, field
from flowc.transforms.groups import is_nest, is_reduction, is_view, nest_behind, reduction_axes, squeezed


class Place(Struct, frozen=False, eq=False):
    """Where a value lies. kind: param, result, constant or slot; `position` counts within the kind."""

    kind: str
    position: int
    dtype: DType
    size: Dim
    node: Node | None = None


class Slot(Struct, frozen=False):
    """A piece of the arena: the (dtype, size) of each value that lives there."""

    values: list[tuple[DType, Dim]] = field(default_factory=list)


def source(node: Node) -> Node:
    """The node whose memory a view shares."""
    while node.op is not PARAM and is_view(node):
        node = node.inputs[0]
    return node


def in_place_pairs(main: Function) -> dict[Node, dict[int, int]]:
    """For each call: result position -> param position of the callee whose buffer it may overwrite, for updates of main's params.

    Safe when every other reader of the old value runs earlier, and inside the kernel each element of it is read before, and only
    for, the element that replaces it.
    """
    step = {n: i for i, n in enumerate(main.nodes)}
    readers, copied = _readers(main), _copied(main)
    result_sources = {source(r) for r in main.results}
    pairs: dict[Node, dict[int, int]] = {}
    taken: set[Node] = set()
    for param, value in main.updates:
        item = source(value)
        if item.op.name != "item" or item in taken or item in result_sources or item.tensor.dtype is not param.tensor.dtype:
            continue
        call = item.inputs[0]
        if param in copied or any(step[r] > step[call] for r in readers.get(param, ()) if r is not call):
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
    readers, copied = _readers(main), _copied(main)
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
        if param not in copied and all(step[n] < step[call] for n in readers.get(param, ())):
            direct[item] = param
    return direct


def _readers(main: Function) -> dict[Node, list[Node]]:
    """The calls that read a value's memory."""
    readers: dict[Node, list[Node]] = {}
    for node in main.nodes:
        if node.op.name == "call":
            for operand in node.inputs:
                readers.setdefault(source(operand), []).append(node)
    return readers


def _copied(main: Function) -> set[Node]:
    """Values that become the new value of a param that is not themselves."""
    return {owner for param, value in main.updates if (owner := source(value)) is not param}


def reads_own_element_only(f: Function, param: Node, result: Node) -> bool:
    """Whether a kernel reads `param` only at the element that `result` then takes, or wholly before it writes any."""
    domain = squeezed(result.tensor.dims)
    if squeezed(param.tensor.dims) != domain:
        return False
    users = f.users()[param]
    nests = nest_behind(f.nodes)
    reading = {nests[n] for n in (*users, *dependents(f, users)) if n in nests}
    if len(set(nests.values())) > 1 and reading != {nests.get(result)}:  # other loops may still be under way, or not have begun
        return False
    folds = [n for n in f.nodes if is_reduction(n)]
    if folds:
        swept = folds[0].inputs[0].tensor.dims
        kept = [d for i, d in enumerate(swept) if i not in reduction_axes(folds[0]) and d != 1]
        if not dependents(f, folds).isdisjoint(folds):
            return False
        if kept and squeezed(swept) == domain:
            return False
        if kept and any(squeezed(u.tensor.dims) != domain for u in users):
            return False
        if not kept and squeezed(swept) == domain and domain != ():
            return False
    for user in users:
        if is_nest(user):
            if any(n is param for i, n in enumerate(user.inputs) if i not in user.op.like):
                return False
            continue
        if not folds and not (user.op.kind is Kind.MAP or is_view(user)):
            return False
        if not folds and squeezed(user.tensor.dims) != domain:
            return False
    return not any(n.op.kind is Kind.INDEX and not is_view(n) and squeezed(n.tensor.dims) == domain for n in dependents(f, [param]))


def dependents(f: Function, roots: Iterable[Node]) -> set[Node]:
    """The nodes that need one of `roots`; a root is among them only where it needs another one."""
    reached, found = set(roots), set()
    for node in f.nodes:
        if not reached.isdisjoint(node.inputs):
            reached.add(node)
            found.add(node)
    return found


class Planner:
    """Gives places to the values of `main`, step by step."""

    def __init__(self, main: Function) -> None:
        self.main = main
        self.slots: list[Slot] = []
        self.free = FreeSlots()
        self.busy: list[tuple[int, int]] = []  # (the step after which it is free, slot): a heap
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
        """A piece of the arena for a value that lives from step `first` to step `last`; steps are asked for in their order."""
        while self.busy and self.busy[0][0] < first:
            self.free.give(heappop(self.busy)[1])
        wanted = size * dtype.size
        position = self.free.take(wanted)
        if position is None:
            position = len(self.slots)
            self.slots.append(Slot())
        self.slots[position].values.append((dtype, size))
        self.free.note(position, wanted)
        heappush(self.busy, (last, position))
        return Place("slot", position, dtype, size, node)


class FreeSlots:
    """The slots that hold nothing now, found by the sizes in bytes of what they have held.

    A slot that has held as many bytes fits best; then for a known size the one whose largest value is nearest, else one that has held a
    symbolic size; then any. Of equal ones the first. Each question takes as long as there are different sizes, not slots.
    """

    def __init__(self) -> None:
        self.is_free: list[bool] = []
        self.held: list[set[Dim]] = []  # by slot: sizes
        self.by_size: dict[Dim, list[int]] = {}  # heaps of slots that have held a size; some may be busy
        self.by_most: dict[int, list[int]] = {}  # by the largest size, of slots with known sizes only
        self.symbolic: list[int] = []
        self.sizes: list[int] = []  # the keys of by_most in order

    def note(self, position: int, size: Dim) -> None:
        """A slot, new or just taken, holds a value of `size`."""
        if position == len(self.held):
            self.held.append(set())
            self.is_free.append(False)
        self.held[position].add(size)

    def give(self, position: int) -> None:
        """A slot holds nothing any more."""
        self.is_free[position] = True
        known = [size for size in self.held[position] if isinstance(size, int)]
        for size in self.held[position]:
            heappush(self.by_size.setdefault(size, []), position)
        if len(known) < len(self.held[position]):
            heappush(self.symbolic, position)
            return
        if (most := max(known)) not in self.by_most:
            self.by_most[most] = []
            self.sizes.insert(bisect_left(self.sizes, most), most)
        heappush(self.by_most[most], position)

    def take(self, wanted: Dim) -> int | None:
        """The free slot that fits `wanted` bytes best, from now on busy; None where there is none."""
        found = self._first(self.by_size.get(wanted, []))
        if found is None and isinstance(wanted, int):
            for size in sorted(self.sizes, key=lambda size: abs(size - wanted)):
                found = self._first(self.by_most[size])
                if found is not None:
                    break
        if found is None:
            found = self._first(self.symbolic)
        if found is None:
            found = next((first for size in self.sizes if (first := self._first(self.by_most[size])) is not None), None)
        if found is not None:
            self.is_free[found] = False
        return found

    def _first(self, heap: list[int]) -> int | None:
        """The first slot of a heap that is still free."""
        while heap and not self.is_free[heap[0]]:
            heappop(heap)
        return heap[0] if heap else None
