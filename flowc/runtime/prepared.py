"""Prepared calls: a compiled program with its variables' addresses in place, for one set of shapes; a call is feeds in, results out.

    call = executable.prepare([x, y, W, b], fed=2)
    results = call(xs, ys)                                      # arrays of exactly those shapes and dtypes
    entry = call.entry(Form().leaf(0, CONVERT).leaf(1), 2)      # for a desk: native code then runs it for lists, too

Where native calls cannot be used (another back end, an unknown interpreter), `Executable.run` does the same, slower.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowc.runtime import desks, native
from flowc.runtime.arena import address
from flowc.runtime.blocks import Blocks
from flowc.runtime.desks import ARRAY, LIST, RECORD_WORDS
from flowc.runtime.sharing import Sharing

if TYPE_CHECKING:
    from flowc.runtime.executable import Executable

STAGED = 16384  # bytes up to which a feed that has to be converted is converted by native code
HELD_WORK = 20_000.0  # estimated operations, some microseconds, below which giving up the interpreter's lock costs more than it brings
MOST_LEAVES = 1000  # feeds or results with which a call is native: some live on the stack


class Form:
    """What arguments must look like, in the words that `filling.fill` reads; each method adds a piece, in order, and returns the form."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.leaves: list[tuple[int, int]] = []  # places in `words` of leaves, as positions until the record is known
        self.keep: list[Any] = []

    def same(self, value: Any) -> Form:
        """This very object."""
        self.keep.append(value)
        self.words += (desks.SAME, id(value))
        return self

    def leaf(self, position: int, accepts: int = ARRAY) -> Form:
        """The fed param at `position`. accepts: ARRAY, CONVERT, FLOAT, INT of `desks`, together."""
        self.leaves.append((len(self.words) + 1, position))
        self.words += (desks.LEAF, 0, accepts)
        return self

    def list(self, count: int) -> Form:
        """A list whose items have the next `count` forms."""
        self.words += (desks.LIST_OF, count)
        return self

    def tuple(self, count: int) -> Form:
        """A tuple whose items have the next `count` forms."""
        self.words += (desks.TUPLE_OF, count)
        return self

    def dict(self, keys: Sequence[Any]) -> Form:
        """A dict of these keys in this order; their items have the next forms."""
        self.keep += keys
        self.words += (desks.DICT_OF, len(keys), *(id(k) for k in keys))
        return self


class Entry:
    """What a desk holds: a form of arguments, the call that takes them, and how its results are packed. owner: keeps the call alive."""

    def __init__(
        self, call: Prepared, form: Form, arguments: int, pack: int, items: Sequence[int], function: Callable[[list[Any]], Any] | None, owner: Any = None
    ) -> None:
        self.keep = (form.keep, function, call if owner is None else None)
        words = list(form.words)
        for place, position in form.leaves:
            words[place] = call.leaf_address(position)
        self.form = np.array(words, np.int64)
        head = (call.record_address, id(self if owner is None else owner), arguments, address(self.form), pack, id(function), len(items), *items)
        self.words = np.array(head, np.int64)


def desk(entries: Sequence[Entry], guard_at: int | None = None, guard: int = 0, pauses: bool = True) -> np.ndarray:
    """Words for the attribute `desk`: the entries are tried in turn while the word at address `guard_at`, if one is given, is `guard`.

    pauses: not while native calls are paused (`native.pause`).
    """
    paused_at = address(native.paused if pauses else _ALWAYS)
    guards = (paused_at, address(_ALWAYS) if guard_at is None else guard_at, guard)
    return np.array([*guards, id(_FEED_DICT), 0, len(entries), *(address(e.words) for e in entries)], np.int64)


_FEED_DICT = "feed_dict"  # as in every call that names it: the interpreter keeps one such string


class Prepared(native.Desk):
    """A call of one executable for one set of shapes: arrays of the fed params in, a list of results out; fresh arrays, NumPy scalars.

    counter: the array behind one of the params that is not fed; every run adds one to it.
    """

    def __init__(self, executable: Executable, args: Sequence[np.ndarray], fed: int, counter: np.ndarray | None = None) -> None:
        self.executable = executable
        self.args = list(args)
        self.fed = fed
        self.counter = counter
        self.results = len(executable.f.results)
        self.is_native = executable.backend == "cpu" and not native.unsupported() and max(fed, self.results) <= MOST_LEAVES
        if self.is_native:
            with executable.lock:
                self._lay_out()
            everything = Form()
            for position in range(fed):
                everything.leaf(position)
            self._everything = Entry(self, everything, fed, LIST, range(self.results), None, owner=self)
            native.fast(Prepared, "__call__")
            self.desk = desk([self._everything], pauses=False)

    def __call__(self, *arrays: np.ndarray) -> list[Any]:
        """Run on C-contiguous arrays of the fed params' exact shapes and dtypes."""
        if not self.is_native:
            results = self.executable.run([*arrays, *self.args[self.fed :]])
            if self.counter is not None:
                self.counter += 1
            return results
        if self._record[desks.GENERATION] == self.executable.arena.generation:
            raise AssertionError("arrays have the form that the call expects")
        self.place()
        return self(*arrays)

    def entry(
        self, form: Form, arguments: int, pack: int = LIST, items: Sequence[int] = (), function: Callable[[list[Any]], Any] | None = None
    ) -> Entry:
        """An entry for a desk. pack: ONE, LIST, TUPLE or FUNCTION of `desks`; items: for each place the result's position, -1 for None."""
        return Entry(self, form, arguments, pack, items, function)

    def leaf_address(self, position: int) -> int:
        return address(self._leaves) + 8 * desks.LEAF_WORDS * position

    @property
    def record_address(self) -> int:
        return address(self._record)

    def place(self) -> None:
        """Write the arena's addresses into the table: a run with larger extents has moved it."""
        with self.executable.lock:
            self._record[desks.GENERATION] = self.executable.place_slots(self.table, self.binding.offsets)

    @property
    def result_types(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        """The shape and dtype of each result."""
        return self.executable.result_types(self.args)

    def copy(self) -> tuple[np.ndarray, np.ndarray, list[int], list[int]]:
        """A record and a table of their own for the same program and variables, and the slots there of the fed params and of the results."""
        record, table = self._record.copy(), self.table.copy()
        record[desks.TABLE] = address(table)
        return record, table, self._leaf_slots, self._result_slots

    # memory

    def _lay_out(self) -> None:
        """The record, and the table of addresses: the binding's with places of its own behind it for what no kernel reads or writes."""
        executable, own_layout = self.executable, self.executable.layout
        assert isinstance(executable.lock, native.Lock)
        self.binding = binding = executable.binding(self.args)
        self._keep: list[Any] = []
        table = [int(word) for word in binding.table]

        def own(value: int = 0) -> int:
            table.append(value)
            return len(table) - 1

        param_slots = dict(own_layout.param_slots)
        for position, array in enumerate(self.args):
            if position not in param_slots:
                param_slots[position] = own()
            table[param_slots[position]] = address(array) if position >= self.fed else 0
        leaves = [self._leaf(param_slots[i], array) for i, array in enumerate(self.args[: self.fed])]
        result_slots, results, sizes = [], [], []
        for i, (result, shape) in enumerate(zip(own_layout.results, binding.result_shapes, strict=True)):
            slot = own_layout.own_slot(i)
            result_slots.append(own() if slot is None else slot)
            results.append(self._result(result_slots[i], shape, result.dtype.numpy, table))
            sizes.append(math.prod(shape) * result.dtype.size)
        before = [(result_slots[i], param_slots[p], sizes[i]) for i, p in own_layout.param_results]
        after = [(result_slots[i], row.slot, sizes[i]) for i, row in own_layout.copied_results]
        copies = [(position, own_layout.rows[row]) for position, row in own_layout.copies]
        targets = [(param_slots[position], row.slot, self.args[position].nbytes) for position, row in copies]
        if any(row.kind == "param" for _, row in copies):  # variables that swap their values
            between = [own(address(self._memory(size))) for _, _, size in targets]
            after += [(middle, source, size) for middle, (_, source, size) in zip(between, targets, strict=True)]
            targets = [(target, middle, size) for middle, (target, _, size) in zip(between, targets, strict=True)]
        after += targets
        self._leaf_slots, self._result_slots = [leaf[desks.SLOT] for leaf in leaves], result_slots
        self.table = np.array(table, np.int64)
        self._leaves = self._words(leaves)
        enter = self._enter = Sharing(executable.entry, address(self.table), binding.threads)
        mode = desks.POOL if binding.threads > 1 else desks.RELEASE if binding.work > HELD_WORK else desks.HOLD
        record = {
            desks.LOCK: executable.lock.address, desks.MODE: mode, desks.ENTER: executable.entry, desks.TABLE: address(self.table),
            desks.DISPATCH: id(enter), desks.GENERATION_AT: executable.arena.generation_at, desks.GENERATION: binding.generation,
            desks.COUNTER: 0 if self.counter is None else address(self.counter), desks.LEAVES: address(self._leaves), desks.LEAF_COUNT: self.fed,
            desks.RESULTS: address(self._words(results)), desks.RESULT_COUNT: len(results),
            desks.BEFORE: address(self._words([(len(before),), *before])), desks.AFTER: address(self._words([(len(after),), *after])),
        }  # fmt: skip
        self._record = np.array([record[i] for i in range(RECORD_WORDS)], np.int64)

    def _leaf(self, slot: int, array: np.ndarray) -> tuple[int, ...]:
        dims = self._words([array.shape])
        staged = address(self._memory(array.nbytes)) if array.nbytes <= STAGED else 0
        self._keep.append(array.dtype)
        return slot, id(array.dtype), array.dtype.num, array.ndim, address(dims), staged, 0

    def _result(self, slot: int, shape: tuple[int, ...], dtype: np.dtype, table: list[int]) -> tuple[int, ...]:
        if not shape:
            table[slot] = address(self._memory(8))
        self._keep.append(dtype)
        blocks = Blocks.of(math.prod(shape) * dtype.itemsize)
        self._keep.append(blocks)
        places = 0 if blocks is None else address(blocks.places)
        return slot, id(dtype), len(shape), address(self._words([shape])), table[slot] if not shape else 0, places

    def _words(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """Words one after the other, kept as long as this call."""
        found = np.array([word for row in rows for word in row] or [0], np.int64)
        self._keep.append(found)
        return found

    def _memory(self, size: int) -> np.ndarray:
        found = np.zeros(max(size, 8), np.uint8)
        self._keep.append(found)
        return found


_ALWAYS = np.zeros(1, np.int64)
