"""`flowc.profile`: what runs inside a `with` block, kernel by kernel; as a table, as a Chrome trace, or for `flowc viz`.

    with flowc.profile() as p:
        loss(w, x, y)
    print(p)                                    # a table for each program
    p.export_chrome_trace("trace.json")         # for chrome://tracing or Perfetto
    p.save("profile.json")                      # for flowc viz --profile
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from flowc.errors import FlowcError, user_location
from flowc.frontend.step_stats import save
from flowc.runtime.chrome import chrome_trace
from flowc.runtime.profile import SORTS, Profile, profile_of, report
from flowc.runtime.recorder import Recorder, programs


class profile:
    """Records each call of a compiled function and each `session.run` inside a `with` block, of all threads.

    trace: a file for the Chrome trace, written when the block ends. `start` and `stop` do without a block.

    Calls go through a second program with clocks around its kernels, which is built first: so the first call's build takes longer, and each
    call's way to the program. The kernels' times are those of the runs themselves, in nanoseconds. Calls of `.njit` are not seen.

    >>> import numpy as np, flowc
    >>> double = flowc.compile(lambda x: 2 * x)
    >>> with flowc.profile() as p:
    ...     for _ in range(3):
    ...         y = double(np.ones(4, np.float32))
    >>> [(title, found.runs, [kernel.name for kernel in found.kernels]) for title, found in p.programs()]
    [('lambda_', 3, ['k0_mul'])]
    """

    def __init__(self, trace: str | os.PathLike[str] | None = None) -> None:
        self._trace = trace
        self._recorder = Recorder()
        if trace is not None and not Path(trace).resolve().parent.is_dir():
            raise FlowcError(f"{os.fspath(trace)} cannot be written: there is no folder {Path(trace).resolve().parent}", location=user_location())

    def start(self) -> Self:
        """Record from now on. RuntimeError where it does already."""
        self._recorder.start()
        return self

    def stop(self) -> None:
        """Record no more, and write the trace where one was asked for."""
        self._recorder.stop()
        if self._trace is not None:
            self.export_chrome_trace(self._trace)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: Any) -> None:
        self.stop()

    # what was found

    def programs(self) -> list[tuple[str, Profile]]:
        """For each program that ran, at each set of extents, a title and its figures: medians over its runs."""
        return [(title, profile_of(launches)) for title, launches in programs(self._recorder.runs)]

    def table(self, by: str = "time") -> str:
        """The programs' kernels, most first by `time`, `flops` or `bytes`. ValueError for another word."""
        if by not in SORTS:
            raise ValueError(f"kernels are sorted by {', '.join(SORTS)}, not by {by!r}")
        return "\n".join(report(title, found, by) for title, found in self.programs()) or "nothing was run\n"

    def __str__(self) -> str:
        return self.table().rstrip("\n")

    def chrome_trace(self) -> dict[str, Any]:
        """Every call, its building, its kernels and their threads, as Chrome's trace format has it."""
        return chrome_trace(self._recorder.runs, self._recorder.begin)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the Chrome trace. FlowcError where the file cannot be written."""
        try:
            Path(path).write_text(json.dumps(self.chrome_trace()) + "\n", encoding="utf-8")
        except OSError as error:
            raise FlowcError(f"{os.fspath(path)} cannot be written: {error.strerror}", location=user_location()) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the figures as JSON, as `flowc bench --json` does; `flowc viz --profile` reads it. FlowcError where the file cannot be written."""
        save(path, self.programs())


__all__ = ["profile"]
