"""Profiles: a compiled program and its arguments become, for each kernel, its time, what it moved and computed, and how close that is to the machine's limit.

    found = profile(executable, args, runs=20)      # measured many times, on copies
    found = profile_of(launches)                    # of runs that were made anyway, traced
    print(found.table())

To be measured, each kernel is compiled once more in a program of its own over the same table, a short kernel in one that calls it many times;
the programs then run one after the other, as the step runs them, with the whole step between the rounds. The machine's limit is measured in
the same rounds (`limits`): the time of a kernel that moves as many bytes, from where they lie, and computes nothing, or of the operations at
the rates that they reach alone, whichever is more. Everything runs on copies: neither the caller's arrays nor the variables change.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowc import __version__
from flowc.codegen.build import Compiled, compile_cached
from flowc.codegen.cpu import print_program
from flowc.ir.dims import substitute
from flowc.ir.function import Function, is_anonymous
from flowc.lower.count import Count, count
from flowc.lower.memory import Place
from flowc.lower.program import Program, Step
from flowc.runtime import threads as pool
from flowc.runtime.arena import address
from flowc.runtime.blocks import blank
from flowc.runtime.limits import CALLS, Limits, Probe, applying, arrays, measure, moving, products, singles
from flowc.structs import replace

if TYPE_CHECKING:
    from flowc.runtime.executable import Executable
    from flowc.runtime.traced import Launch

SHORTEST = 50e-6  # seconds: a program that takes less is run several times for one measurement
MOST_REPEATS = 100
BRIEF = 20e-6  # seconds: a kernel that takes less is measured by a program of many calls, in which the launch does not count
WARMED = 1e-3  # seconds: a program that takes less is run once more before each measurement
RESOLUTION = 0.02  # of a launch: what a kernel takes beyond it is not told from nothing below that
SORTS = ("time", "flops", "bytes")
WIDEST_NAME = 44


@dataclass(frozen=True)
class KernelProfile:
    """One kernel of the step.

    seconds: the median of its runs, without the launch, 0 where that is too short to be told; flops: floating operations, a multiply-add
    counted twice; read, written: bytes, each element once however often it is loaded; threads: that had work; bound: `memory` or
    `arithmetic`, what it would wait for at best; of_limit: the time that the machine's limit allows, as a share of the time it takes;
    lines: the user's; after_barrier: whether threads meet before it.
    """

    name: str
    seconds: float
    flops: int
    read: int
    written: int
    threads: int
    bound: str = ""
    of_limit: float = 0.0
    nodes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    after_barrier: bool = False

    def timed(self, seconds: float, best: Mapping[str, float]) -> KernelProfile:
        """The same with its time. best: seconds that the machine allows, by what the kernel would wait for; empty where that was not measured."""
        if not best or not (self.flops or self.bytes) or seconds <= 0:
            return dataclasses.replace(self, seconds=seconds)
        bound = max(best, key=lambda what: best[what])
        return dataclasses.replace(self, seconds=seconds, bound=bound, of_limit=best[bound] / seconds)

    @property
    def bytes(self) -> int:
        return self.read + self.written

    @property
    def gbs(self) -> float:
        """GB a second; 0 for a kernel too short to be timed, as `gflops`."""
        return _rate(self.bytes, self.seconds)

    @property
    def gflops(self) -> float:
        """Thousand million floating operations a second."""
        return _rate(self.flops, self.seconds)


@dataclass(frozen=True)
class Profile:
    """A step, kernel by kernel in the order of the program.

    seconds: the median of the whole compiled step, without the launch; launch: seconds that entering a program takes; threads: of the run;
    load: the system's load average when the measurement began; limits: None where they were not measured; traced: of runs as they were made.
    """

    kernels: tuple[KernelProfile, ...]
    seconds: float
    launch: float
    threads: int
    runs: int
    extents: dict[str, int] = field(default_factory=dict)
    load: float | None = None
    limits: Limits | None = None
    traced: bool = False

    def sorted(self, by: str = "time") -> list[KernelProfile]:
        """The kernels, most first, by `time`, `flops` or `bytes`. ValueError for another word."""
        if by not in SORTS:
            raise ValueError(f"kernels are sorted by {', '.join(SORTS)}, not by {by!r}")
        keys = {"time": lambda k: k.seconds, "flops": lambda k: k.flops, "bytes": lambda k: k.bytes}
        return sorted(self.kernels, key=keys[by], reverse=True)

    def share(self, kernel: KernelProfile) -> float:
        """The part of all kernels' time that one takes."""
        return kernel.seconds / max(sum(k.seconds for k in self.kernels), 1e-12)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts, seconds and bytes, for JSON."""
        kernels = [{**asdict(k), "gbs": k.gbs, "gflops": k.gflops, "share": self.share(k)} for k in self.kernels]
        names = ("seconds", "launch", "threads", "runs", "extents", "load", "traced")
        whole = {name: getattr(self, name) for name in names}
        return {**whole, "limits": None if self.limits is None else asdict(self.limits), "kernels": kernels}

    def table(self, by: str = "time") -> str:
        """A line for each kernel, then the totals against the whole step."""
        heads = ("kernel", "time", "share", "GB/s", "GFLOP/s", "of limit", "threads", "lines")
        rows = [heads]
        for k in self.sorted(by):
            limit = f"{100 * k.of_limit:.0f} % {k.bound}" if k.bound else "-"
            name = k.name if len(k.name) <= WIDEST_NAME else k.name[: WIDEST_NAME - 3] + "..."
            share = f"{100 * self.share(k):.1f} %"
            rates = (_number(k.gbs), _number(k.gflops)) if k.seconds else ("-", "-")
            rows.append((name, _time(k.seconds), share, *rates, limit, str(k.threads), _places(k.lines)))
        together = sum(k.seconds for k in self.kernels)
        flops, moved = sum(k.flops for k in self.kernels), sum(k.bytes for k in self.kernels)
        for name, seconds in (("all kernels", together), ("the whole step", self.seconds)):
            rows.append((name, _time(seconds), "", _number(_rate(moved, seconds)), _number(_rate(flops, seconds)), "", str(self.threads), ""))
        widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
        lines = []
        for row in rows:
            cells = [cell.ljust(width) if i in (0, 5, 7) else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
            lines.append("  ".join(cells).rstrip())
        lines.insert(len(lines) - 2, "")
        return "\n".join([*lines, "", *self._notes(flops, moved)]) + "\n"

    def _notes(self, flops: int, moved: int) -> list[str]:
        runs = f"{self.runs} run{'' if self.runs == 1 else 's'}" if self.traced else f"{self.runs} alternating runs, {_time(self.launch)} of launch taken off"
        work = f"{flops / 1e9:.3g} GFLOP and {moved / 1e6:.3g} MB a step; medians of {runs}"
        notes = [work]
        if self.limits is not None:
            peak = ", ".join(f"{value / 1e9:.0f} GFLOP/s {dtype}" for dtype, value in self.limits.arithmetic.items())
            near, far = self.limits.near / 1e9, self.limits.memory / 1e9
            threads = f"{self.limits.threads} thread{'' if self.limits.threads == 1 else 's'}"
            notes.append(f"measured limit of {threads}: {peak}; {far:.3g} GB/s from memory, {near:.3g} GB/s from the innermost cache")
        if self.load is not None:
            cores = os.cpu_count() or 1
            busy = "; other work slows what is measured" if self.load > 0.5 * cores else ""
            notes.append(f"load average {self.load:.2f} on {cores} cores when it began{busy}")
        return notes


def heading(title: str, found: Profile) -> str:
    """`loss: 3 kernels, b=64, 1 thread`."""
    count = len(found.kernels)
    extents = "".join(f", {name}={value}" for name, value in found.extents.items())
    return f"{title}: {count} kernel{'' if count == 1 else 's'}{extents}, {found.threads} thread{'' if found.threads == 1 else 's'}"


def report(title: str, found: Profile, by: str = "time") -> str:
    """A heading and the table."""
    return f"{heading(title, found)}\n\n{found.table(by)}" if found.kernels else f"{heading(title, found)}\n"


def write(file: str | os.PathLike[str], model: str, measured: Iterable[tuple[str, Profile]]) -> None:
    """Profiles with their titles as JSON, for `flowc viz --profile` and others: {"flowc": version, "model": ..., "programs": [{"title": ...}]}."""
    programs = [{"title": title, **found.as_dict()} for title, found in measured]
    Path(file).write_text(json.dumps({"flowc": __version__, "model": model, "programs": programs}, indent=1) + "\n", encoding="utf-8")


def profile_of(launches: Sequence[Launch]) -> Profile:
    """The Profile of traced runs of one program at the same extents: medians over the runs."""
    first = launches[0]
    if first.executable.backend == "interpret":
        return Profile((), statistics.median(1e-9 * (each.end - each.begin) for each in launches), 0.0, 1, len(launches), traced=True)
    spans = [each.spans() for each in launches]
    whole = [1e-9 * (each[-1][1] - each[0][0]) if each else 0.0 for each in spans]
    entering = [1e-9 * (each.end - each.begin) - seconds for each, seconds in zip(launches, whole, strict=True)]
    kernels = []
    for number, step in enumerate(first.executable.program.steps):
        seconds = statistics.median(1e-9 * (each[number][1] - each[number][0]) for each in spans)
        counted = count(step.kernel, first.extents)
        kernels.append(kernel_profile(step, counted, first.extents, first.threads).timed(seconds, {}))
    return Profile(tuple(kernels), statistics.median(whole), statistics.median(entering), first.threads, len(launches), first.extents, traced=True)


def profile(executable: Executable, args: Sequence[np.ndarray], runs: int = 20, threads: int | None = None, limits: bool = True) -> Profile:
    """Measure each kernel of a compiled program on copies of `args`, C-contiguous arrays of the params' exact dtypes.

    runs: measurements of each kernel, their median counts; threads: as many as a run at these extents takes, or exactly so many;
    limits: measure the machine's too. ValueError where the program is not compiled, or for no runs. Holds the executable's lock.
    """
    if executable.backend != "cpu":
        raise ValueError(f"{executable.f.name} was built for the back end {executable.backend}: only compiled programs have kernels to measure")
    if runs < 1 or (threads is not None and threads < 1):
        raise ValueError("at least one run on at least one thread is measured")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    program = executable.program
    empty_program = _alone(program, ())
    with executable.lock:
        table = _Table(executable, args)
        used = table.threads if threads is None else threads
        extents = dict(table.extents)
        counts = [count(step.kernel, extents) for step in program.steps]
        kernels = [kernel_profile(step, counted, extents, used) for step, counted in zip(program.steps, counts, strict=True)]
        empty = Timed(empty_program.entry, table.address, keep=empty_program)
        alone = [_timed(program, step, table.address, used, empty) for step in program.steps]
        bounds = Bounds(kernels, counts, [_dtype(step) for step in program.steps], alone, used) if limits else None
        times = _measure(table, [empty, *alone, *(bounds.probes.values() if bounds else ()), Timed(executable.entry, table.address)], used, runs)
    launch, own, rest, whole = times[0], times[1 : 1 + len(alone)], times[1 + len(alone) : -1], times[-1]
    if len(alone) == 1:  # the step is its kernel, which many calls measure more closely
        whole = own[0]
    best = bounds.seconds(rest) if bounds else [{} for _ in alone]
    found = tuple(kernel.timed(seconds, each) for kernel, seconds, each in zip(kernels, own, best, strict=True))
    return Profile(found, whole, launch, used, runs, extents, load, measure(used) if limits else None)


@dataclass(frozen=True)
class Timed:
    """A program that is timed. amount: how often a run of it does what the time is asked of; keep: what must live as long."""

    entry: int
    table: int
    amount: float = 1
    keep: object = None


def _timed(program: Program, step: Step, table: int, threads: int, empty: Timed) -> Timed:
    """One kernel alone, called many times by one program where it is brief."""
    compiled = _alone(program, (replace(step, barrier=False),))
    single = Timed(compiled.entry, table, keep=compiled)
    for timed in (empty, single):
        _seconds(timed, threads, 1)  # memory is touched for the first time
    if _seconds(single, threads, 3) - _seconds(empty, threads, 3) > BRIEF:
        return single
    compiled = _alone(program, (replace(step, barrier=False),), CALLS)
    return Timed(compiled.entry, table, CALLS, compiled)


def _dtype(step: Step) -> str:
    """The dtype that a kernel computes in."""
    return "f64" if any(b.dtype.name == "f64" for b in step.kernel.buffers) else "f32"


class Bounds:
    """The probes that kernels are held against, measured in turn with them, and what follows from their times."""

    def __init__(self, kernels: Sequence[KernelProfile], counts: Sequence[Count], dtypes: Sequence[str], alone: Sequence[Timed], threads: int) -> None:
        self.kernels, self.counts, self.dtypes = kernels, counts, dtypes
        self.calls = [int(each.amount) for each in alone]
        self.probes: dict[tuple[object, ...], Timed] = {}
        x, out = arrays(max((k.read for k in kernels), default=0), max((k.written for k in kernels), default=0), threads)
        for kernel, counted, dtype, calls in zip(kernels, counts, dtypes, self.calls, strict=True):
            for moved in ((kernel.read, kernel.written), (0, 0)):
                self._add((*moved, calls), partial(moving, x, out, *moved, calls))
            for make in (products, singles):
                self._add((make, dtype), partial(make, dtype, threads))
            for name in counted.calls:
                self._add((name, dtype), partial(applying, name, dtype, threads))

    def _add(self, key: tuple[object, ...], make: Callable[[], Probe]) -> None:
        if key not in self.probes:
            probe = make()
            self.probes[key] = Timed(probe.entry, probe.table, probe.amount, probe)

    def seconds(self, measured: Sequence[float]) -> list[dict[str, float]]:
        """For each kernel the time that it would take at best, by what it would wait for. measured: seconds of one of what each probe does."""
        one = dict(zip(self.probes, measured, strict=True))
        best = []
        for kernel, counted, dtype, calls in zip(self.kernels, self.counts, self.dtypes, self.calls, strict=True):
            product = one[products, dtype]  # which some processors have fewer units for than for sums and products together
            computing = max(counted.products * product, counted.slots * min(product, one[singles, dtype]))
            computing += sum(n * one[name, dtype] for name, n in counted.calls.items())
            best.append({"memory": one[kernel.read, kernel.written, calls], "arithmetic": one[0, 0, calls] + computing})
        return best


class _Table:
    """A table of its own for one set of arguments, with copies of what a run writes to."""

    def __init__(self, executable: Executable, args: Sequence[np.ndarray]) -> None:
        binding = executable.binding(args)
        self.table = binding.table.copy()
        self.address = address(self.table)
        self.threads, self.extents = binding.threads, binding.extents
        self.copies: list[tuple[np.ndarray, np.ndarray]] = []
        self.keep: list[Any] = [binding]
        program = executable.program
        written = {id(p) for step in program.steps for p, b in zip(step.places, step.kernel.buffers, strict=True) if b.role != "in"}
        for place in program.places:
            slot = executable.slots[id(place)]
            if place.kind == "param":
                array = args[place.position]
                if id(place) in written:
                    copy = array.copy()
                    self.copies.append((copy, array))
                    array = copy
            elif place.kind == "result":
                array = blank(binding.result_shapes[place.position], place.dtype.numpy)
            else:
                continue
            self.keep.append(array)
            self.table[slot] = address(array)
        executable.place_slots(self.table, binding.offsets)

    def restore(self) -> None:
        """Params as the caller gave them."""
        for copy, array in self.copies:
            copy[...] = array


def _alone(program: Program, steps: tuple[Step, ...], times: int = 1) -> Compiled:
    """Some steps of a program, so many times, as a program of their own over the same table."""
    printed = print_program(replace(program, steps=steps), times=times)
    return compile_cached(printed.text, printed.signatures)


def _measure(table: _Table, timed: Sequence[Timed], threads: int, runs: int) -> list[float]:
    """For each program the median seconds of what it does once, without the launch; for the first, the empty one, of its launch.

    They take turns in their order; params are restored before the first and the last. A run before each measurement wakes the threads, and
    brings what is used into the caches that it fits.
    """
    empty, last = timed[0], len(timed) - 1
    repeats: list[int] = []
    warming: list[Timed] = []
    times: list[list[float]] = [[] for _ in timed]
    for turn in range(-1, runs):
        for position, each in enumerate(timed):
            if position in (0, last):
                table.restore()
            if turn < 0:  # memory is touched for the first time; then how often to run
                _seconds(each, threads, 1)
                once = _seconds(each, threads, 1)
                repeats.append(max(1, min(MOST_REPEATS, int(SHORTEST / max(once, 1e-9)))))
                warming.append(each if once < WARMED else empty)
            else:
                _seconds(warming[position], threads, 1)
                times[position].append(_seconds(each, threads, repeats[position]))
    launch, *others = (statistics.median(each) for each in times)
    return [launch, *(max(seconds - launch, 1e-9) / each.amount for seconds, each in zip(others, timed[1:], strict=True))]


def _seconds(timed: Timed, threads: int, repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        pool.run(timed.entry, timed.table, threads)
    return (time.perf_counter() - begin) / repeats


def kernel_profile(step: Step, counted: Count, extents: dict[str, int], threads: int) -> KernelProfile:
    """What a kernel does at some extents, not yet timed."""
    kernel = step.kernel
    read = written = 0
    for buffer, place in zip(kernel.buffers, step.places, strict=True):
        size = _size(place, extents)
        read += min(size, counted.read.get(buffer.name, 0)) * buffer.dtype.size
        written += min(size, counted.written.get(buffer.name, 0)) * buffer.dtype.size
    function: Function = step.call.attrs["function"]
    nodes = tuple(dict.fromkeys(n.name for n in function.nodes if not is_anonymous(n)))
    lines = tuple(dict.fromkeys(n.loc.short for n in function.nodes if n.loc is not None))
    took_part = min(threads, counted.iterations)
    return KernelProfile(kernel.name, 0.0, counted.flops, read, written, took_part, nodes=nodes, lines=lines, after_barrier=step.barrier)


def _size(place: Place, extents: dict[str, int]) -> int:
    return int(substitute(place.size, extents))  # type: ignore[arg-type]


def _beyond(launch: float, seconds: float) -> float:
    return seconds - launch if seconds - launch > RESOLUTION * launch else 0.0


def _rate(amount: float, seconds: float) -> float:
    return amount / seconds / 1e9 if seconds > 0 else 0.0


def _time(seconds: float) -> str:
    if seconds <= 0:
        return "~ 0 us"
    return f"{seconds * 1e3:.3f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.2f} us"


def _number(value: float) -> str:
    return f"{value:.1f}"


def _places(lines: Sequence[str]) -> str:
    """`cnn.py:15, 17, 20`: a file's name once for its lines."""
    by_file: dict[str, list[int]] = {}
    for line in lines:
        file, _, number = line.rpartition(":")
        by_file.setdefault(file, []).append(int(number))
    return ", ".join(f"{file}:{', '.join(map(str, sorted(numbers)))}" for file, numbers in by_file.items())


__all__ = ["KernelProfile", "Profile", "heading", "profile", "profile_of", "report", "write"]
