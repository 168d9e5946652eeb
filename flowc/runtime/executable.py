"""Executables: a specialized Function, compiled, with its memory.

    executable = build(f)
    loss, = executable.run([x, w])       # fresh arrays; params with an update are overwritten in place

One table of addresses and extents is all that crosses into the program. What depends on extents (offsets, table, number of threads) is a
`Binding`, made once for each set of extents and kept. A run needs the machine code and its `Layout`, which a warm start has from the
disk (`kept`); Module, kernels, source and records are then worked out when somebody asks for them.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

import flowc.ops  # noqa: F401 (Functions are made of them)
from flowc.config import override, settings
from flowc.ir.dims import Sym, substitute
from flowc.ir.function import Function
from flowc.ir.interpret import bind_extents, interpret
from flowc.ir.shown import Shown
from flowc.ir.types import TensorType
from flowc.runtime import native
from flowc.runtime.arena import Arena, address
from flowc.runtime.blocks import blank
from flowc.runtime.layout import Layout, Row, layout
from flowc.structs import Struct

if TYPE_CHECKING:
    from flowc.ir.loops import Kernel
    from flowc.lower.program import Program
    from flowc.runtime.background import Job
    from flowc.runtime.interim import Interim
    from flowc.runtime.prepared import Prepared
    from flowc.runtime.slices import Sliced
    from flowc.runtime.traced import TracedExecutable
    from flowc.transforms.records import Records
    from flowc.transforms.rows import Split

builds = 0
"""How many executables this process has built: tests count with it."""

PARALLEL_WORK = 1_000_000.0  # estimated work (`Layout.work`) of a run below which a second thread costs more than it brings: some 12 microseconds
KEPT_BINDINGS = 16  # sets of extents whose memory is kept


class Binding(Struct, frozen=False, eq=False):
    """What one set of extents comes to. `table` holds addresses and extents; `offsets` says where in the arena each slot begins, and after
    the last one the whole size; `generation`: the arena's when the table was filled."""

    extents: dict[str, int]
    table: np.ndarray
    work: float  # an estimate of the operations of a run
    threads: int
    offsets: list[int]
    generation: int
    result_shapes: list[tuple[int, ...]]


AHEAD = {
    "native": "from flowc.runtime import native; native.keep()",
    **{name: f"from flowc.codegen import libraries; libraries.keep({name!r})" for name in ("tiles of f32", "Fourier transforms")},
}
"""What nearly every program needs once it is compiled (`flowc.codegen.ahead`)."""


def build(f: Function, answers_early: bool = False) -> Executable:
    """The executable of a specialized Function. Settings decide whether it is compiled, interpreted, or run as plain Python."""
    global builds
    builds += 1
    return Executable(f, answers_early)


class Executable(Shown):
    """A Function ready to run.

    answers_early: whether runs may be answered by NumPy while another process compiles the program (`interim`). layout: what runs need beside the
    code; module: the fused Module; program: kernels and places; kernels; source: generated Python; records: every pass's decisions.
    """

    is_kept = True  # whether later processes find the program by its Function

    def __init__(self, f: Function, answers_early: bool = False) -> None:
        self.f = f
        wanted = settings()
        self.backend, self.convolution = wanted.backend, wanted.convolution
        self._folder = wanted.cache_dir
        self._is_checked = wanted.verify or not self.is_kept  # then every pass runs here, and is looked at
        self.answers_early = answers_early and self.backend == "cpu" and not (self._is_checked or wanted.deterministic)
        self.lock = native.lock() if self.backend == "cpu" else threading.Lock()
        self.arena = Arena()
        self._bindings: OrderedDict[tuple[int, ...], Binding] = OrderedDict()
        self._symbols = _symbol_sources(f)
        self._njit: Any = None
        self._object: Any = None  # what was compiled
        self._finishing = threading.Lock()
        self._job: Job | None = None  # while another process compiles it
        self._made: tuple[Layout, Any] | None = None
        if self.backend != "interpret":
            self._made = self._find()
            if not self.answers_early:
                self._finish()

    # the compiler's products

    @property
    def is_ready(self) -> bool:
        """Whether the program is there, so that nobody waits who runs it."""
        job = self._job
        return self._made is not None or (job is not None and job.is_over())

    @property
    def layout(self) -> Layout:
        return self._finish()[0]

    @property
    def entry(self) -> Any:
        """An address, for the back end `python` a function."""
        return self._finish()[1]

    @cached_property
    def _optimized(self) -> tuple[Function, Records]:
        from flowc.transforms.pipeline import optimize
        from flowc.transforms.records import Records

        records = Records()
        return optimize(self.f, records=records), records

    @property
    def module(self) -> Function:
        return self._optimized[0]

    @property
    def records(self) -> Records:
        return self._optimized[1]

    @cached_property
    def program(self) -> Program:
        from flowc.lower.program import plan

        with override(convolution=self.convolution):  # after a warm start it is made when somebody asks for it, whatever holds then
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

    def _find(self) -> tuple[Layout, Any] | None:
        """What an earlier process has left, or another one meanwhile."""
        if self.backend != "cpu" or self._is_checked:
            return None
        from flowc.runtime import kept

        found = kept.find(self.f)
        if found is None:
            return None
        own, self._object = found
        return own, self._object.entry

    def _interim(self, args: Sequence[np.ndarray], fed: int, counter: np.ndarray | None) -> Interim | None:
        """A call that does without the program, while another process compiles it; None where neither is possible, or better."""
        from flowc.runtime import background
        from flowc.runtime.interim import interim

        found = interim(self, args, fed, counter)
        if found is not None and self._job is None:
            self._job = background.request(self.f, self.convolution, self._folder)
        return None if self._job is None else found

    def _finish(self) -> tuple[Layout, Any]:
        """The program, however long it takes."""
        if self._made is None:
            with self._finishing:
                if self._job is not None:
                    self._job.wait()
                if self._made is None:
                    with self._as_wanted():
                        self._made = (self._find() if self._job is not None else None) or self._compile()
                    self._job = None
        return self._made

    def _as_wanted(self) -> AbstractContextManager[object]:
        """The settings that the program was asked for with; they are the whole process's, so they are touched only where they have changed."""
        now = settings()
        same = (now.convolution, now.cache_dir) == (self.convolution, self._folder)
        return nullcontext() if same else override(convolution=self.convolution, cache_dir=self._folder)

    def _compile(self) -> tuple[Layout, Any]:
        if self.backend == "python":
            from flowc.codegen.build import load_python

            return layout(self.program, self._printed), load_python(self.source)
        from flowc.codegen import ahead
        from flowc.codegen.build import compile_cached, uncollected

        ahead.begin(AHEAD)
        with uncollected():
            self._object = compile_cached(self.source, self._printed.signatures)
        made = layout(self.program, self._printed)
        if not self._is_checked:
            from flowc.runtime import kept

            kept.keep(self.f, made, self._object.name)
        return made, self._object.entry

    @property
    def source_path(self) -> str:
        """The generated file, where there is one."""
        self._finish()
        return str(self._object.source_path)

    @property
    def table_size(self) -> int:
        """How many words a run's table has."""
        return self.layout.table_size

    @property
    def slots(self) -> dict[int, int]:
        """For each place of the program (by identity) its slot in the table."""
        return self._printed.slots  # type: ignore[no-any-return]

    def expect_fused(self, scope: str) -> str:
        """The one kernel that computes everything in a scope; AssertionError with the reasons where there are several."""
        from flowc.transforms.records import expect_fused

        return expect_fused(self.module, self.records, scope)

    def njit(self) -> Any:
        """The program as a Numba function (see `flowc.runtime.njit`), made once."""
        if self._njit is None:
            from flowc.runtime.njit import wrap

            self._njit = wrap(self)
        return self._njit

    @cached_property
    def traced(self) -> TracedExecutable:
        """The same program with clocks around its kernels, for runs that tell where their time goes."""
        from flowc.runtime.traced import TracedExecutable

        return TracedExecutable(self)

    # running

    def extents(self, args: Sequence[np.ndarray]) -> tuple[int, ...]:
        """The symbols' extents, in the order of their names."""
        return tuple([args[i].shape[a] for i, a in self._symbols])

    def extents_of(self, args: Sequence[np.ndarray]) -> dict[str, int]:
        """The symbols' extents by name. ShapeError for shapes that contradict each other."""
        return bind_extents([p.type for p in self.f.params], [a.shape for a in args])

    def result_types(self, args: Sequence[np.ndarray]) -> list[tuple[tuple[int, ...], np.dtype]]:
        """The shape and dtype of each result of a run on `args`."""
        return [concrete(r.tensor, self.extents_of(args)) for r in self.f.results]

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
            for i, slot in self.layout.param_slots:
                binding.table[slot] = address(args[i])
            if binding.generation != self.arena.generation:
                binding.generation = self.place_slots(binding.table, binding.offsets)
            return self.enter(binding, args)

    @cached_property
    def parts(self) -> tuple[Split, Executable, Executable] | None:
        """How the Function is taken apart where its rows are independent of each other, and the two parts; None where they are not."""
        from flowc.transforms.rows import split

        found = split(self.rewritten)
        with override(backend=self.backend, convolution=self.convolution):
            return None if found is None else (found, Executable(found.rows), Executable(found.rest))

    def prepare(
        self, args: Sequence[np.ndarray], fed: int, counter: np.ndarray | None = None, compiled: bool = False
    ) -> Prepared | Sliced | Interim:  # fmt: skip
        """A call for args like these: the first `fed` ones vary from run to run, the others are the same arrays each time.

        counter: the one among those that counts the runs; compiled: no interim one.
        """
        if self.answers_early and not (compiled or self.is_ready):
            early = self._interim(args, fed, counter)
            if early is not None:
                return early
        from flowc.runtime.prepared import Prepared

        if self.backend == "cpu" and sum(self.layout.piece_bytes(self.extents_of(args))) > settings().memory:
            from flowc.runtime.slices import sliced

            found = sliced(self, args, fed, counter)
            if found is not None:
                return found
        return Prepared(self, args, fed, counter)

    def enter(self, binding: Binding, args: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run with params' addresses in the binding's table: give results a place, run, copy what has to be copied."""
        out: list[Any] = []
        for i, (shape, result) in enumerate(zip(binding.result_shapes, self.layout.results, strict=True)):
            slot = self.layout.own_slot(i)
            out.append(None if slot is None else blank(shape, result.dtype.numpy))
            if slot is not None:
                binding.table[slot] = address(out[-1])
        for position, param in self.layout.param_results:
            out[position] = args[param].reshape(binding.result_shapes[position]).copy()
        self._launch(binding, args, out)
        for position, row in self.layout.copied_results:
            out[position] = self._read(binding, row, args, out).reshape(binding.result_shapes[position]).copy()
        if self.layout.copies:
            sources = [(args[i], self.layout.rows[row]) for i, row in self.layout.copies]
            values = [(target, self._read(binding, row, args, out)) for target, row in sources]
            if any(row.kind == "param" for _, row in sources):  # variables that swap their values
                values = [(target, value.copy()) for target, value in values]
            for target, value in values:
                target[...] = value.reshape(target.shape)
        return out

    def _launch(self, binding: Binding, args: Sequence[np.ndarray], out: list[Any]) -> None:
        if self.backend == "python":
            self.entry(0, 1, self._python_table(binding, args, out))
            return
        from flowc.runtime.threads import run

        run(self.entry, address(binding.table), binding.threads)

    # memory

    def _bind(self, args: Sequence[np.ndarray]) -> Binding:
        own = self.layout
        extents = self.extents_of(args)
        offsets = [0, *itertools.accumulate(own.piece_bytes(extents))]
        self.arena.reserve(offsets[-1])
        table = np.zeros(self.table_size, np.int64)
        if self.backend == "cpu":
            from flowc.runtime.threads import control_block

            table[0] = control_block()
        shapes = [tuple(int(substitute(d, extents)) for d in r.dims) for r in own.results]  # type: ignore[arg-type]
        for row in own.rows:
            if row.kind == "constant":
                table[row.slot] = address(own.constants[row.position])
        for position, name in enumerate(own.extents):
            table[own.first_extent + position] = extents[name]
        work = own.work(extents)
        threads = settings().threads if work > PARALLEL_WORK else 1
        generation = self.place_slots(table, offsets)
        return Binding(extents, table, work, threads, offsets, generation, shapes)

    def place_slots(self, table: Any, offsets: Sequence[int]) -> int:
        """Write the addresses of the arena's pieces into a table; the arena's generation that they belong to."""
        for slot, piece in self.layout.arena_slots:
            table[slot] = self.arena.base + offsets[piece]
        return self.arena.generation

    def _read(self, binding: Binding, row: Row, args: Sequence[np.ndarray], out: list[Any]) -> np.ndarray:
        """The value in a row after a run, flat."""
        if row.kind == "param":
            return args[row.position].reshape(-1)
        if row.kind == "result":
            return out[row.position].reshape(-1)  # type: ignore[no-any-return]
        if row.kind == "constant":
            return self.layout.constants[row.position].reshape(-1)
        size = int(substitute(row.size, binding.extents))  # type: ignore[arg-type]
        return self.arena.view(binding.offsets[row.position], size * row.dtype.size, row.dtype.numpy)

    def _python_table(self, binding: Binding, args: Sequence[np.ndarray], out: list[Any]) -> list[Any]:
        """The table for plain Python: flat arrays in place of addresses."""
        table: list[Any] = [None] * len(binding.table)
        for row in self.layout.rows:
            if row.kind == "slot":  # values of several sizes may share it: the whole piece
                begin, end = binding.offsets[row.position : row.position + 2]
                table[row.slot] = self.arena.view(begin, end - begin, row.dtype.numpy)
            else:
                table[row.slot] = self._read(binding, row, args, out)
        for slot in range(self.layout.first_extent, self.layout.table_size):
            table[slot] = binding.table[slot]
        return table

    @cached_property
    def rewritten(self) -> Function:
        """The Function after the passes before fusion: what stabilize makes finite is finite here too."""
        from flowc.transforms.pipeline import optimize

        return optimize(self.f, until="resimplify")

    def interpret(self, args: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What `run` does, node by node in NumPy."""
        values = interpret(self.rewritten, args)
        count = len(self.f.results)
        places = {p: i for i, p in enumerate(self.f.params)}
        results = [np.array(v) for v in values[:count]]
        new = [np.array(v) for v in values[count:]]
        for (param, _), value in zip(self.f.updates, new, strict=True):
            args[places[param]][...] = value
        return results


def concrete(type: TensorType, extents: Mapping[str, int]) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and dtype of a type's arrays, its symbols being known."""
    return tuple(int(substitute(d, extents)) for d in type.dims), type.dtype.numpy  # type: ignore[arg-type]


def _symbol_sources(f: Function) -> list[tuple[int, int]]:
    """For each symbol of the params, in order of names, a param and an axis that show its extent."""
    sources: dict[str, tuple[int, int]] = {}
    for i, param in enumerate(f.params):
        for axis, dim in enumerate(param.tensor.dims):
            if isinstance(dim, Sym) and dim.name is not None:
                sources.setdefault(dim.name, (i, axis))
    return [sources[name] for name in sorted(sources)]


__all__ = ["Binding", "Executable", "build"]
