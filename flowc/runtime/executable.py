"""Executables: a specialized Function, compiled, with its memory.

    executable = build(f)
    loss, = executable.run([x, w])       # fresh arrays; params with an update are overwritten in place

One table of addresses and extents is all that crosses into the program. What depends on extents (offsets, table, number of threads) is a
`Binding`, made once for each set of extents and kept.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from flowc.config import settings
from flowc.ir.dims import Sym, substitute
from flowc.ir.function import Function
from flowc.ir.interpret import bind_extents, interpret
from flowc.ir.loops import Kernel
from flowc.lower.program import Program, plan
from flowc.runtime.arena import Arena, address
from flowc.transforms.pipeline import optimize
from flowc.transforms.records import Records, expect_fused

if TYPE_CHECKING:
    from flowc.runtime.prepared import Prepared

builds = 0
"""How many executables this process has built: tests count with it."""

PARALLEL_WORK = 2_000_000.0  # estimated work (`Step.work`) of a run below which a second thread costs more than it brings: 25 microseconds
SMALL_RESULT = 4096  # bytes up to which a result is copied out of the binding's own memory
KEPT_BINDINGS = 16  # sets of extents whose memory is kept


@dataclass(eq=False)
class Binding:
    """What one set of extents comes to. `table` holds addresses and extents; `offsets` says where in the arena each slot begins, and after
    the last one the whole size; `keep` keeps alive what the table points to; `generation`: the arena's when the table was filled."""

    extents: dict[str, int]
    table: Any
    table_address: int
    threads: int
    offsets: list[int]
    generation: int
    keep: list[Any]
    result_shapes: list[tuple[int, ...]]
    staged: list[np.ndarray | None]  # for each result: the binding's own array where the result is small


def build(f: Function) -> Executable:
    """The executable of a specialized Function. Settings decide whether it is compiled, interpreted, or run as plain Python."""
    global builds
    builds += 1
    return Executable(f)


class Executable:
    """A Function ready to run.

    module: the fused Module; program: kernels and places; kernels; source: generated Python; records: every pass's decisions.
    """

    def __init__(self, f: Function) -> None:
        self.f = f
        self.backend = settings().backend
        self.records = Records()
        self.lock = threading.Lock()
        self.arena = Arena()
        self._bindings: OrderedDict[tuple[int, ...], Binding] = OrderedDict()
        self._symbols = _symbol_sources(f)
        self._njit: Any = None
        if self.backend != "interpret":
            self.entry = self._compile()

    # the compiler's products

    @cached_property
    def module(self) -> Function:
        return optimize(self.f, records=self.records)

    @cached_property
    def program(self) -> Program:
        return plan(self.module)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        return self.program.kernels

    @cached_property
    def _printed(self) -> Any:
        from flowc.codegen.cpu import print_program

        return print_program(self.program)

    @property
    def source(self) -> str:
        """The generated Python source."""
        return self._printed.text  # type: ignore[no-any-return]

    def _compile(self) -> Any:
        printed = self._printed
        if self.backend == "python":
            from flowc.codegen.build import load_python

            return load_python(printed.text)
        from flowc.codegen.build import compile_cached

        self._object = compile_cached(printed.text, printed.signatures)
        return self._object.entry

    @property
    def source_path(self) -> str:
        """The generated file, where there is one."""
        return str(self._object.source_path)

    @property
    def slots(self) -> dict[int, int]:
        """For each place of the program (by identity) its slot in the table."""
        return self._printed.slots  # type: ignore[no-any-return]

    @property
    def first_extent(self) -> int:
        return self._printed.first_extent  # type: ignore[no-any-return]

    @property
    def table_size(self) -> int:
        """The slots of the table: the control block's, the places', the extents'."""
        return self.first_extent + len(self.program.extents)

    def expect_fused(self, scope: str) -> str:
        """The one kernel that computes everything in a scope; AssertionError with the reasons where there are several."""
        return expect_fused(self.module, self.records, scope)

    def njit(self) -> Any:
        """The program as a Numba function (see `flowc.runtime.njit`), made once."""
        if self._njit is None:
            from flowc.runtime.njit import wrap

            self._njit = wrap(self)
        return self._njit

    # running

    def extents(self, args: Sequence[np.ndarray]) -> tuple[int, ...]:
        """The symbols' extents, in the order of their names."""
        return tuple([args[i].shape[a] for i, a in self._symbols])

    def binding(self, args: Sequence[np.ndarray]) -> Binding:
        """The memory for the extents of `args`."""
        key = self.extents(args)
        found = self._bindings.get(key)
        if found is None:
            found = self._bindings[key] = self._bind(args)
            if len(self._bindings) > KEPT_BINDINGS:
                self._bindings.popitem(last=False)
        return found

    def run(self, args: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Results for C-contiguous arrays of the params' exact dtypes; updated params are overwritten once all has succeeded."""
        if self.backend == "interpret":
            return self.interpret(args)
        with self.lock:
            binding = self.binding(args)
            for i, slot in self.param_slots:
                binding.table[slot] = address(args[i])
            if binding.generation != self.arena.generation:
                binding.generation = self.place_slots(binding.table, binding.offsets)
            return self.enter(binding, args)

    def prepare(self, args: Sequence[np.ndarray], fed: int) -> Prepared:
        """A caller for args like these: the first `fed` ones vary from call to call, the others are the same arrays each time."""
        from flowc.runtime.prepared import Prepared

        return Prepared(self, args, fed)

    def enter(self, binding: Binding, args: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run with params' addresses in the binding's table: give results a place, run, copy what has to be copied."""
        out: list[Any] = []
        for slot, shape, dtype, staged in self._result_plan(binding):
            if slot is None or staged is not None:
                out.append(staged)
            else:
                fresh = np.empty(shape, dtype)
                binding.table[slot] = address(fresh)
                out.append(fresh)
        for position, param in self._param_results:
            out[position] = args[param].reshape(binding.result_shapes[position]).copy()
        self._launch(binding, args, out)
        for position, place in self._copied_results:
            out[position] = self._read(binding, place, args, out).reshape(binding.result_shapes[position]).copy()
        if self.program.copies:
            values = [(args[i], self._read(binding, place, args, out)) for i, place in self.program.copies]
            if any(place.kind == "param" for _, place in self.program.copies):  # variables that swap their values
                values = [(target, value.copy()) for target, value in values]
            for target, value in values:
                target[...] = value.reshape(target.shape)
        return [staged.copy() if staged is not None and result is staged else result for result, staged in zip(out, binding.staged, strict=True)]

    def _launch(self, binding: Binding, args: Sequence[np.ndarray], out: list[Any]) -> None:
        if self.backend == "python":
            self.entry(0, 1, self._python_table(binding, args, out))
            return
        from flowc.runtime.threads import run

        run(self.entry, binding.table_address, binding.threads)

    # memory

    @cached_property
    def param_slots(self) -> list[tuple[int, int]]:
        slots = self._printed.slots
        return [(p.position, slots[id(p)]) for p in self.program.places if p.kind == "param"]

    @property
    def is_plain(self) -> bool:
        """Whether a run is the program alone: every result small and in its own place, nothing to copy before or after."""
        return not (self._param_results or self._copied_results or self.program.copies)

    @cached_property
    def _param_results(self) -> list[tuple[int, int]]:
        return [(i, p.position) for i, p in enumerate(self.program.results) if p.kind == "param"]

    @cached_property
    def _copied_results(self) -> list[tuple[int, Any]]:
        return [(i, p) for i, p in enumerate(self.program.results) if p.kind not in ("param", "result") or (p.kind == "result" and p.position != i)]

    def _result_plan(self, binding: Binding) -> list[tuple[int | None, tuple[int, ...], np.dtype, np.ndarray | None]]:
        slots = self._printed.slots
        plans = []
        for i, (node, place) in enumerate(zip(self.program.main.results, self.program.results, strict=True)):
            own = place.kind == "result" and place.position == i
            plans.append((slots[id(place)] if own else None, binding.result_shapes[i], node.tensor.dtype.numpy, binding.staged[i] if own else None))
        return plans

    def _bind(self, args: Sequence[np.ndarray]) -> Binding:
        program, printed = self.program, self._printed
        extents = bind_extents([p.type for p in self.f.params], [a.shape for a in args])
        offsets = [0, *itertools.accumulate(program.slot_bytes(extents))]
        self.arena.reserve(offsets[-1])
        table = (ctypes.c_int64 * self.table_size)()
        if self.backend == "cpu":
            from flowc.runtime.threads import control_block

            table[0] = control_block()
        keep: list[Any] = []
        shapes = [tuple(int(substitute(d, extents)) for d in r.tensor.dims) for r in program.main.results]  # type: ignore[arg-type]
        staged: list[np.ndarray | None] = [None] * len(shapes)
        for place in program.places:
            slot = printed.slots[id(place)]
            if place.kind == "constant":
                array = np.ascontiguousarray(program.constants[place.position].attrs["value"].array)
                keep.append(array)
                table[slot] = address(array)
            elif place.kind == "result":
                dtype = place.dtype.numpy
                shape = shapes[place.position]
                if int(np.prod(shape, dtype=np.int64)) * dtype.itemsize <= SMALL_RESULT:
                    own = np.empty(shape, dtype)
                    staged[place.position] = own
                    table[slot] = address(own)
        for position, name in enumerate(program.extents):
            table[printed.first_extent + position] = extents[name]
        work = sum(step.work(extents) for step in program.steps)
        threads = settings().threads if work > PARALLEL_WORK else 1
        generation = self.place_slots(table, offsets)
        return Binding(extents, table, ctypes.addressof(table), threads, offsets, generation, keep, shapes, staged)

    def place_slots(self, table: Any, offsets: Sequence[int]) -> int:
        """Write the slots' addresses into a table; the arena's generation that they belong to."""
        for place in self.program.places:
            if place.kind == "slot":
                table[self.slots[id(place)]] = self.arena.base + offsets[place.position]
        return self.arena.generation

    def _read(self, binding: Binding, place: Any, args: Sequence[np.ndarray], out: list[Any]) -> np.ndarray:
        """The value at a place after a run, flat."""
        if place.kind == "param":
            return args[place.position].reshape(-1)
        if place.kind == "result":
            return out[place.position].reshape(-1)  # type: ignore[no-any-return]
        if place.kind == "constant":
            return self.program.constants[place.position].attrs["value"].array.reshape(-1)  # type: ignore[no-any-return]
        size = int(substitute(place.size, binding.extents))  # type: ignore[arg-type]
        return self.arena.view(binding.offsets[place.position], size * place.dtype.size, place.dtype.numpy)

    def _python_table(self, binding: Binding, args: Sequence[np.ndarray], out: list[Any]) -> list[Any]:
        """The table for plain Python: flat arrays in place of addresses."""
        table: list[Any] = [None] * len(binding.table)
        for place in self.program.places:
            slot = self._printed.slots[id(place)]
            if place.kind == "slot":  # values of several sizes may share it: the whole slot
                begin, end = binding.offsets[place.position : place.position + 2]
                table[slot] = self.arena.view(begin, end - begin, place.dtype.numpy)
            else:
                table[slot] = self._read(binding, place, args, out)
        for position in range(len(self.program.extents)):
            table[self._printed.first_extent + position] = binding.table[self._printed.first_extent + position]
        return table

    @cached_property
    def _rewritten(self) -> Function:
        """The Function after the passes before fusion: what stabilize makes finite is finite here too."""
        return optimize(self.f, until="resimplify")

    def interpret(self, args: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What `run` does, node by node in NumPy."""
        values = interpret(self._rewritten, args)
        count = len(self.f.results)
        places = {p: i for i, p in enumerate(self.f.params)}
        results = [np.array(v) for v in values[:count]]
        new = [np.array(v) for v in values[count:]]
        for (param, _), value in zip(self.f.updates, new, strict=True):
            args[places[param]][...] = value
        return results


def _symbol_sources(f: Function) -> list[tuple[int, int]]:
    """For each symbol of the params, in order of names, a param and an axis that show its extent."""
    sources: dict[str, tuple[int, int]] = {}
    for i, param in enumerate(f.params):
        for axis, dim in enumerate(param.tensor.dims):
            if isinstance(dim, Sym) and dim.name is not None:
                sources.setdefault(dim.name, (i, axis))
    return [sources[name] for name in sorted(sources)]


__all__ = ["Binding", "Executable", "build"]
