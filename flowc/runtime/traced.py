"""Traced runs: the same program with a clock read around every kernel tells, for each thread, when it entered and left each kernel.

    results, launch = executable.traced.launch(args)
    launch.times[0, 2]       # thread 0 in the third kernel: nanoseconds of time.perf_counter_ns at its start and its end

It is a program of its own, compiled when it is first asked for; the program that other runs use knows nothing of it. Reading the clock
costs some 25 ns. A thread's time in a kernel counts its waits at barriers inside the kernel, not at those between kernels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from flowc.config import override
from flowc.runtime.arena import address
from flowc.runtime.executable import Binding, Executable
from flowc.structs import Struct


class Launch(Struct, eq=False):
    """One run of a compiled program. begin, end: nanoseconds when it was entered and left; times: i64[thread, kernel, 2], 0 where a thread had no part."""

    executable: Executable
    extents: dict[str, int]
    begin: int
    end: int
    times: np.ndarray

    @property
    def threads(self) -> int:
        return len(self.times)

    def spans(self) -> list[tuple[int, int]]:
        """For each kernel when the first thread entered it and when the last one left it."""
        there = self.times[self.times[:, :1, 0].reshape(-1) > 0] if self.times.size else self.times
        return [(int(there[:, kernel, 0].min()), int(there[:, kernel, 1].max())) for kernel in range(self.times.shape[1])]


class TracedExecutable(Executable):
    """An executable whose runs are told in Launches; those of a back end without compiled programs have no kernels."""

    is_kept = False

    def __init__(self, executable: Executable) -> None:
        self.plain = executable
        if executable.backend != "interpret":
            self._optimized, self.program = executable._optimized, executable.program
        with override(backend=executable.backend):
            super().__init__(executable.f)

    @cached_property
    def _printed(self) -> Any:
        from flowc.codegen.cpu import print_program

        return print_program(self.program, traced=True)

    @property
    def table_size(self) -> int:
        return super().table_size + 1

    def launch(self, args: Sequence[np.ndarray]) -> tuple[list[np.ndarray], Launch]:
        """What `run` gives, and when everything happened. One call at a time."""
        self._times = np.zeros((1, 0, 2), np.int64)
        extents: dict[str, int] = {}
        begin = time.perf_counter_ns()
        results = self.run(args)
        end = time.perf_counter_ns()
        if self.backend != "interpret":
            extents = dict(self.binding(args).extents)
            begin, end = self._entered
        return results, Launch(self.plain, extents, begin, end, self._times)

    def _launch(self, binding: Binding, args: Sequence[np.ndarray], out: list[Any]) -> None:
        self._times = np.zeros((binding.threads, len(self.program.steps), 2), np.int64)
        binding.table[self.table_size - 1] = address(self._times)
        begin = time.perf_counter_ns()
        super()._launch(binding, args, out)
        self._entered = (begin, time.perf_counter_ns())

    def _python_table(self, binding: Binding, args: Sequence[np.ndarray], out: list[Any]) -> list[Any]:
        table = super()._python_table(binding, args, out)
        table[self.table_size - 1] = self._times.reshape(-1)
        return table


__all__ = ["Launch", "TracedExecutable"]
