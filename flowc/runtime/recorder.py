"""Recording what runs: while a Recorder is active, calls of compiled programs go through traced programs and are kept as Runs.

    recorder = Recorder()
    recorder.start()
    ...                             # sessions and compiled functions ask `active` and make their calls under `recording()`
    recorder.stop()
    recorder.runs[0].launch         # the times of its kernels

A call that is not recorded looks at `active`, and that is all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flowc.runtime import native
from flowc.structs import Struct, replace

if TYPE_CHECKING:
    import numpy as np

    from flowc.runtime.executable import Executable
    from flowc.runtime.traced import Launch

active: tuple[Recorder, ...] = ()
"""The recorders that are running, of all threads."""

_lock = threading.Lock()


class Run(Struct, eq=False):
    """One call from the user's program. begin, ready, end: nanoseconds of time.perf_counter_ns when it began, when the program was there
    to be entered, and when the answer was; built: whether the program had to be made; thread, thread_name: the caller's."""

    title: str
    launch: Launch
    begin: int
    ready: int
    end: int
    built: bool
    thread: int
    thread_name: str


class Recorder:
    """runs: in the order in which they ended; begin: nanoseconds when it was started."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.begin = 0

    def start(self) -> None:
        """Record from now on, the runs of all threads. RuntimeError where it runs already."""
        global active
        with _lock:
            if self in active:
                raise RuntimeError("it is running already")
            self.begin = self.begin or time.perf_counter_ns()
            active = (*active, self)
            native.pause()

    def stop(self) -> None:
        """Record no more; a second time does nothing."""
        global active
        with _lock:
            if self in active:
                active = tuple(recorder for recorder in active if recorder is not self)
                native.pause(-1)


class Recording:
    """One call on its way; `launch` makes the run itself."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._begin = time.perf_counter_ns()

    def launch(self, title: str, executable: Executable, args: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What `executable.run(args)` gives. The caller holds the executable's lock."""
        built = "traced" not in vars(executable)
        traced = executable.traced
        ready = time.perf_counter_ns()
        results, launch = traced.launch(args)
        caller = threading.current_thread()
        self.run = Run(title, launch, self._begin, ready, launch.end, built, caller.native_id or 0, caller.name)
        return results


@contextmanager
def recording() -> Iterator[Recording]:
    """Around one call: when it ends well, the active recorders get its Run."""
    recorders, call = active, Recording()
    yield call
    if call.run is not None:
        call.run = replace(call.run, end=time.perf_counter_ns())
        for recorder in recorders:
            recorder.runs.append(call.run)


def programs(runs: Sequence[Run]) -> list[tuple[str, list[Launch]]]:
    """The launches of each program, by title, kernels and extents, in the order in which they first ran."""
    found: dict[Any, tuple[str, list[Launch]]] = {}
    for run in runs:
        executable = run.launch.executable
        text = str(executable.f) if executable.backend == "interpret" else executable.source
        key = (run.title, text, tuple(run.launch.extents.items()), run.launch.threads)
        found.setdefault(key, (run.title, []))[1].append(run.launch)
    return list(found.values())


__all__ = ["Recorder", "Recording", "Run", "active", "programs", "recording"]
