"""Loops: a prepared call, data and a number of steps become that many runs in a few native calls.

    loop = Loop(call, [Data(0, xs), keep], Batches(len(xs), 10, seed=3))
    loop.run(1000)               # results of the last step; loop.run(1000, every=10): each result's values at steps 10, 20, ...

Each native call takes about CHUNK seconds, then Python looks for Ctrl-C. Runs on other back ends are single calls; the results are the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc.runtime import desks, looping, threads
from flowc.runtime.arena import address
from flowc.runtime.prepared import Prepared
from flowc.runtime.slices import Sliced
from flowc.structs import Struct

CHUNK = 0.02  # seconds that one native call takes
MOST_CHOSEN = 1 << 20  # row numbers that are worked out at once


class Batches:
    """Which rows each step gets. count: rows of the data; size: of a batch.

    In order, the first batch again after the last whole one; with a `seed`, each pass over the data in another random order; with `rows`
    (whole numbers, [steps, size]) those. Rows of a pass that fill no batch are left out of it.
    """

    def __init__(self, count: int, size: int, seed: int | None = None, rows: np.ndarray | None = None) -> None:
        self.count, self.size = count, size
        self.rows = rows
        self.random = None if seed is None else np.random.default_rng(seed)
        self.step = 0
        self._ready = np.empty((0, size), np.int64)

    @property
    def is_in_order(self) -> bool:
        return self.rows is None and self.random is None

    def take(self, steps: int) -> np.ndarray:
        """The rows of the next steps, [steps, size]."""
        begin, self.step = self.step, self.step + steps
        if self.rows is not None:
            return self.rows[begin : self.step]
        per_pass = self.count // self.size
        if self.random is None:
            starts = np.arange(begin, self.step) % per_pass * self.size
            return starts[:, None] + np.arange(self.size)
        passes = max(0, -(-(steps - len(self._ready)) // per_pass))
        orders = np.tile(np.arange(self.count), (passes, 1))
        orders = self.random.permuted(orders, axis=1, out=orders)[:, : per_pass * self.size]
        found = np.concatenate([self._ready, orders.reshape(-1, self.size)])
        self._ready = found[steps:]
        return found[:steps]


class Data(Struct, eq=False):
    """A fed param that gets a batch of the rows of `array` at every step."""

    array: np.ndarray


class Loop:
    """Runs of one call. feeds: for each fed param an array that stays the same, or Data; batches: None where nothing is Data."""

    def __init__(self, call: Prepared | Sliced, feeds: Sequence[np.ndarray | Data], batches: Batches | None = None) -> None:
        self.call, self.feeds, self.batches = call, feeds, batches

    def run(self, steps: int, every: int | None = None) -> list[Any]:
        """Results of the last step; with `every` arrays of each result at each `every`th step, [steps // every, ...]."""
        if isinstance(self.call, Prepared) and self.call.is_native:
            return _NativeLoop(self, self.call).run(steps, every)
        kept: list[list[Any]] = []
        results: list[Any] = []
        for step in range(1, steps + 1):
            chosen = None if self.batches is None else self.batches.take(1)[0]
            results = self.call(*[f.array[chosen] if isinstance(f, Data) else f for f in self.feeds])
            if every is not None and step % every == 0:
                kept.append(results)
        if every is None:
            return results
        empty = [np.empty((0, *shape), dtype) for shape, dtype in self.call.result_types]
        return [np.stack([k[i] for k in kept]) if kept else empty[i] for i in range(len(empty))]


class _NativeLoop:
    """The words that native code reads for one run of a Loop, and the memory they point to."""

    def __init__(self, loop: Loop, call: Prepared) -> None:
        self.call, self.batches = call, loop.batches
        self.record, self.table, slots, result_slots = call.copy()
        self.results = [np.zeros(shape, dtype) for shape, dtype in call.result_types]
        for slot, result in zip(result_slots, self.results, strict=True):
            self.table[slot] = address(result)
        self.keep: list[Any] = [loop.feeds]
        data = []
        for slot, value in zip(slots, loop.feeds, strict=True):
            if isinstance(value, Data):
                assert self.batches is not None
                row = int(np.prod(value.array.shape[1:], dtype=np.int64)) * value.array.itemsize
                gathered = np.empty(0 if self.batches.is_in_order else max(row * self.batches.size, 8), np.uint8)
                self.keep.append(gathered)
                data.append((slot, address(value.array), row, address(gathered)))
            else:
                self.table[slot] = address(value)
        self.data = np.array(data, np.int64)
        self.words = np.zeros(looping.LOOP_WORDS, np.int64)
        self.words[looping.RECORD] = address(self.record)
        self.words[looping.CONTROL] = threads.control_block()
        self.words[looping.DATA], self.words[looping.DATA_COUNT] = address(self.data), len(data)
        if self.batches is not None:
            self.words[looping.BATCH], self.words[looping.ROWS] = self.batches.size, self.batches.count

    def run(self, steps: int, every: int | None) -> list[Any]:
        kept = [np.empty((steps // every, *r.shape), r.dtype) for r in self.results] if every is not None else []
        rows = np.array([(address(r), address(k), r.nbytes) for r, k in zip(self.results, kept, strict=bool(kept))], np.int64)
        self.words[looping.EVERY] = self.words[looping.LEFT] = every if every is not None else steps + 1
        self.words[looping.KEPT], self.words[looping.KEPT_COUNT] = address(rows), len(kept)
        done, chunk = 0, 1
        while done < steps:
            count = min(chunk, steps - done)
            begin = time.perf_counter()
            self._run(count)
            taken = time.perf_counter() - begin
            done += count
            chunk = max(1, min(int(count * CHUNK / max(taken, 1e-9)), 16 * count))
            if self.batches is not None and not self.batches.is_in_order:
                chunk = max(1, min(chunk, MOST_CHOSEN // self.batches.size))
        return kept if every is not None else [r if r.ndim else r[()] for r in self.results]

    def _run(self, steps: int) -> None:
        if self.batches is not None and not self.batches.is_in_order:
            chosen = np.ascontiguousarray(self.batches.take(steps), np.int64)
            self.words[looping.CHOSEN] = address(chosen)
        executable = self.call.executable
        with executable.lock:
            if self.record[desks.GENERATION] != executable.arena.generation:
                self.record[desks.GENERATION] = executable.place_slots(self.table, self.call.binding.offsets)
            threads.loop(self.words, looping.THREADS, steps, self.call.binding.threads)
