"""What every program of a machine needs is compiled once, by another process, while the first program is on its way.

    begin({"native": "from flowc.runtime import native; native.keep()", "f32": "..."})     # a process that runs these one after the other
    wait("native")                                                                         # until that one has run, or the process is gone

The process writes to the cache folder, and whoever waits looks there again. What the process could not do, for whatever reason, is done by
who needs it.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flowc.config import settings

_lock = threading.Lock()
_process: subprocess.Popen[str] | None = None
_ahead: set[str] | None = None  # what the process has still to do; None before there is one


def python(command: str, **options: Any) -> subprocess.Popen[Any] | None:
    """Another interpreter with the packages of this one; None where the system has no more processes.

    Without `site`, which takes as long as all that a helper imports; so packages that are found by other ways than the path are named.
    """
    places = [*sys.path, *(str(Path(file).parents[depth]) for file, depth in ((__file__, 2), (_file_of("llvmlite"), 1)))]
    program = f"import sys; sys.path[:] = {places!r}; {command}"
    try:
        return subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)
    except (OSError, TypeError, ValueError):  # no interpreter to start, no more processes here
        return None


def _file_of(package: str) -> str:
    """Where a package is, which need not be imported for that."""
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, f"{package} is installed with flowc"
    return spec.origin


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin(commands: Mapping[str, str]) -> None:
    """Start the one process that runs `commands`, unless there has been one, or there is but one processor."""
    global _ahead, _process
    with _lock:
        if _ahead is not None or cores() == 1:
            return
        _ahead = set(commands)
        steps = "; ".join(f"{command}; print({name!r}, flush=True)" for name, command in commands.items())
        # NumPy's own threads would spin on processors that are needed
        environment = {**os.environ, "FLOWC_CACHE_DIR": os.path.abspath(settings().cache_dir), "OPENBLAS_NUM_THREADS": "1"}
        _process = python(steps, stdin=subprocess.DEVNULL, text=True, env=environment)
        atexit.register(_stop)


def wait(name: str) -> None:
    """Return when the process has run the command of this name, or will not run it."""
    global _process
    with _lock:
        while _ahead and name in _ahead and _process is not None:
            assert _process.stdout is not None
            line = _process.stdout.readline()
            _ahead.discard(line.strip())
            if not line or not _ahead:
                _end(_process)
                _process = None


def _end(process: subprocess.Popen[str]) -> None:
    with process:  # closes the pipe, waits
        process.kill()


def _stop() -> None:
    """At exit: nobody needs what is not there yet."""
    if _process is not None:
        _end(_process)


def _after_fork() -> None:
    """A child leaves the process to its parent."""
    global _lock, _process
    _lock, _process = threading.Lock(), None


os.register_at_fork(after_in_child=_after_fork)
