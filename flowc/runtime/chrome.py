"""Runs as a Chrome trace: JSON that chrome://tracing and Perfetto open, with a track for each thread.

    {"traceEvents": [{"ph": "X", "name": "k0_matmul", "ts": 12.5, "dur": 3.1, "pid": 7, "tid": 7, "args": {"flops": 30000, ...}}, ...]}

The format is that of Google's "Trace Event Format": `X` is a span, `M` names a process or a thread, times are microseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from flowc import __version__
from flowc.runtime.profile import KernelProfile, profile_of
from flowc.runtime.recorder import Run

Event = dict[str, Any]


def chrome_trace(runs: Sequence[Run], begin: int) -> dict[str, Any]:
    """The trace of some runs; its times count from `begin`, nanoseconds of time.perf_counter_ns.

    On the caller's track: the whole call, in it what building took, the program, its kernels and its waits at barriers; on a track for each
    worker thread its part of the kernels. A kernel's figures are those of all threads together.
    """
    process = os.getpid()
    kernels: dict[Any, tuple[KernelProfile, ...]] = {}
    spans: list[Event] = []
    names: dict[int, str] = {}
    for run in runs:
        key = (id(run.launch.executable), tuple(run.launch.extents.items()))
        if key not in kernels:
            kernels[key] = profile_of([run.launch]).kernels
        names[run.thread] = run.thread_name
        for worker in range(1, run.launch.threads):
            names[worker] = f"flowc-{worker}"
        for name, category, thread, start, stop, args in _spans(run, kernels[key]):
            spans.append(span(name, category, process, thread, (start - begin) / 1e3, (stop - start) / 1e3, args))
    heads = [named("process", process, 0, f"flowc {process}"), *(named("thread", process, thread, name) for thread, name in names.items())]
    return document(heads + spans)


def _spans(run: Run, kernels: Sequence[KernelProfile]) -> Iterator[tuple[str, str, int, int, int, Event]]:
    """(name, category, thread, start, stop, args) of all that happened in a run. Worker threads are numbered from 1."""
    launch = run.launch
    yield run.title, "call", run.thread, run.begin, run.end, {"extents": launch.extents, "threads": launch.threads}
    if run.built:
        yield f"build {run.title}", "build", run.thread, run.begin, run.ready, {}
    yield f"program of {run.title}", "program", run.thread, launch.begin, launch.end, {"kernels": len(kernels)}
    for worker, times in enumerate(launch.times.tolist()):
        thread, before = worker or run.thread, 0
        for kernel, (start, stop) in zip(kernels, times, strict=True):
            if not start:  # a thread that the system did not start
                continue
            if launch.threads > 1 and before and kernel.after_barrier:
                yield "wait for the other threads", "barrier", thread, before, start, {}
            yield kernel.name, "kernel", thread, start, stop, _told(kernel)
            before = stop


def _told(kernel: KernelProfile) -> Event:
    return {"flops": kernel.flops, "bytes_read": kernel.read, "bytes_written": kernel.written, "computes": list(kernel.nodes), "lines": list(kernel.lines)}


# the format


def span(name: str, category: str, process: int, thread: int, start: float, duration: float, args: Event) -> Event:
    """A complete event; start and duration in microseconds."""
    return {"ph": "X", "name": name, "cat": category, "pid": process, "tid": thread, "ts": start, "dur": duration, "args": args}


def named(what: str, process: int, thread: int, name: str) -> Event:
    """The name of a `process` or a `thread`."""
    return {"ph": "M", "name": f"{what}_name", "pid": process, "tid": thread, "args": {"name": name}}


def document(events: Sequence[Event]) -> dict[str, Any]:
    """The whole file."""
    return {"traceEvents": list(events), "displayTimeUnit": "ns", "otherData": {"writer": f"flowc {__version__}"}}


__all__ = ["chrome_trace", "document", "named", "span"]
