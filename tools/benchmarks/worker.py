"""A process that holds one contestant and one workload and does what it is told, one JSON line in, one JSON line out.

    python -m benchmarks.worker tensorflow softmax
    < {"do": "first"}               > {"import_s": 3.1, "data_s": 0.01, "build_s": 0.1, "first_step_s": 0.05, "versions": {...}}
    < {"do": "run", "steps": 500}   > {"seconds": 0.21}
    < {"do": "memory"}              > {"peak_kb": 501234}
    < {"do": "prove"}               > {"trace": [23.6, 4.01], "steps": 1000, "loss": 0.04}
    < {"do": "quit"}

A command that fails answers {"error": "..."} and the process goes on. Whatever the peer prints goes to standard error.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
import traceback
from typing import Any, TextIO


class Worker:
    """One contestant on one workload; nothing is imported before `first`."""

    def __init__(self, contestant: str, workload: str) -> None:
        self.contestant, self.workload = contestant, workload
        self.steps_done = 0

    def first(self) -> dict[str, Any]:
        """Imports the peer, builds the program and runs its first step; seconds of each, of making the data between, and versions."""
        from .contestants import CONTESTANTS

        contestant = CONTESTANTS[self.contestant]
        before = time.perf_counter()
        __import__(contestant.imported)
        self.builder = contestant.load()
        imported = time.perf_counter()
        from .workloads import WORKLOADS

        self.data = WORKLOADS[self.workload].make()
        made = time.perf_counter()
        self.program = self.builder(self.workload, self.data)
        built = time.perf_counter()
        self.program.steps(1)
        stepped = time.perf_counter()
        self.steps_done = 1
        return {
            "import_s": imported - before,
            "data_s": made - imported,
            "build_s": built - made,
            "first_step_s": stepped - built,
            "versions": versions(contestant.package),
        }

    def run(self, steps: int) -> dict[str, Any]:
        """Runs a few steps to wake what sleeps, then times `steps` of them."""
        self.program.steps(max(1, steps // 20))
        start = time.perf_counter()
        self.program.steps(steps)
        seconds = time.perf_counter() - start
        self.steps_done += steps + max(1, steps // 20)
        return {"seconds": seconds}

    def memory(self) -> dict[str, Any]:
        """The most memory that this process has held, in kB (Linux counts ru_maxrss so)."""
        return {"peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}

    def prove(self) -> dict[str, Any]:
        """The losses of a fresh program at the start and after three steps, and of the timed one after enough steps."""
        from .workloads import WORKLOADS

        workload = WORKLOADS[self.workload]
        fresh = self.builder(self.workload, self.data)
        trace = [fresh.loss()]
        for _ in workload.trace[1:]:
            fresh.steps(3)
            trace.append(fresh.loss())
        missing = workload.proof_steps - self.steps_done
        if missing > 0:
            self.program.steps(missing)
            self.steps_done += missing
        return {"trace": trace, "steps": self.steps_done, "loss": self.program.loss()}


def versions(package: str) -> dict[str, str]:
    """What takes part in the timing: Python, NumPy and the peer, with the compiler packages that lie beside it."""
    found = {"python": platform.python_version()}
    for name in (package, "numpy", "numba", "llvmlite", "jaxlib"):
        # What was imported counts: it need not be what is installed.
        version = getattr(sys.modules.get(name), "__version__", None)
        try:
            found[name] = importlib.metadata.version(name) if version is None else str(version)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def serve(worker: Any, commands: TextIO, answers: TextIO) -> None:
    """Reads commands until `quit` or the end of the input; every command gets exactly one answer."""
    for line in commands:
        command = json.loads(line)
        name = command.pop("do")
        if name == "quit":
            return
        try:
            if name not in ("first", "run", "memory", "prove"):
                raise ValueError(f"no command {name!r}")
            answer = getattr(worker, name)(**command)
        except Exception as error:  # a peer may raise anything, and the answer must say what
            traceback.print_exc()
            kind = type(error).__name__
            reason = str(error).split("\n")[0]
            answer = {"error": f"not expressed: {reason}" if kind == "Unsupported" else f"{kind}: {reason}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Keeps the real standard output for answers and points the file descriptor, which peers write to, at standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(Worker(sys.argv[1], sys.argv[2]), sys.stdin, answers)


if __name__ == "__main__":
    main()
