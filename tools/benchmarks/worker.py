"""A process that holds one contestant and does what it is told, one JSON line in, one JSON line out.

    python -m benchmarks.worker tensorflow
    < {"do": "first", "workload": "softmax"}               > {"import_s": 3.1, "data_s": 0.01, "build_s": 0.1, "first_step_s": 0.05, "compiling_s": 0.0}
    < {"do": "versions"}                                   > {"python": "3.11.7", "numpy": "2.4.0", ...}
    < {"do": "run", "workload": "softmax", "steps": 500}   > {"seconds": 0.21}
    < {"do": "memory"}                                     > {"peak_kb": 501234}
    < {"do": "prove", "workload": "softmax"}               > {"trace": [23.6, 4.01], "steps": 1000, "answer": 0.04, "figures": {}}
    < {"do": "quit"}

A command that fails answers {"error": "..."} and the process goes on. Whatever the peer prints goes to standard error.

Before the library nothing is imported that a user's program would not: what a contestant itself imports counts as its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, TextIO


class Open:
    """A workload that is ready to run."""

    def __init__(self, workload: Any, data: Any, program: Any, steps_done: int) -> None:
        self.workload = workload
        self.data = data
        self.program = program
        self.steps_done = steps_done


class Worker:
    """One contestant, which is imported by the first `first`."""

    def __init__(self, contestant: str) -> None:
        self.contestant = contestant
        self.library: Any = None
        self.opened: dict[str, Open] = {}

    def first(self, workload: str) -> dict[str, Any]:
        """Imports NumPy and the peer, builds the program and runs its first step; seconds of each, of making the workload and its data between,
        and of what is left to compile after the first step, which is waited for."""
        from .contestants import CONTESTANTS

        contestant = CONTESTANTS[self.contestant]
        before = time.perf_counter()
        if self.library is None:
            self.library = contestant.load()
        imported = time.perf_counter()
        from .catalogue import WORKLOADS

        chosen = WORKLOADS[workload]
        data = chosen.make()
        made = time.perf_counter()
        program = chosen.builder(self.contestant)(self.library, chosen, data)
        built = time.perf_counter()
        program.steps(1)
        stepped = time.perf_counter()
        if contestant.package == "flowc":
            self.library.wait_until_compiled()
        compiled = time.perf_counter()
        self.opened[workload] = Open(chosen, data, program, 1)
        return {
            "import_s": imported - before,
            "data_s": made - imported,
            "build_s": built - made,
            "first_step_s": stepped - built,
            "compiling_s": compiled - stepped,
        }

    def versions(self) -> dict[str, str]:
        """Versions of what takes part in the timing."""
        from .contestants import CONTESTANTS

        return versions(CONTESTANTS[self.contestant].package)

    def run(self, workload: str, steps: int) -> dict[str, Any]:
        """Runs a few steps to wake what sleeps, then times `steps` of them."""
        at = self.opened[workload]
        at.program.steps(max(1, steps // 20))
        start = time.perf_counter()
        at.program.steps(steps)
        seconds = time.perf_counter() - start
        at.steps_done += steps + max(1, steps // 20)
        return {"seconds": seconds}

    def memory(self) -> dict[str, Any]:
        """The most memory that this process has held, in kB. `ru_maxrss` would count what the process that started this one had held."""
        with open("/proc/self/status") as status:
            peak = next(line for line in status if line.startswith("VmHWM:"))
        return {"peak_kb": int(peak.split()[1])}

    def prove(self, workload: str) -> dict[str, Any]:
        """The answers of a program at the start and after three steps, and of the timed one after enough steps.

        Where steps change nothing the timed program answers for both; a training step is built anew.
        """
        at = self.opened[workload]
        chosen, program = at.workload, at.program
        if chosen.trains:
            program = chosen.builder(self.contestant)(self.library, chosen, at.data)
        trace = [program.answer()]
        for _ in range(chosen.answer_count - 1):
            program.steps(3)
            trace.append(program.answer())
        missing = chosen.proof_steps - at.steps_done
        if missing > 0:
            at.program.steps(missing)
            at.steps_done += missing
        return {"trace": trace, "steps": at.steps_done, "answer": at.program.answer(), "figures": at.program.figures()}

    def close(self, workload: str) -> dict[str, Any]:
        """Forgets a workload and its memory."""
        self.opened.pop(workload)
        return {}


def versions(package: str) -> dict[str, str]:
    """What takes part in the timing: Python, NumPy and the peer, with the compiler packages that lie beside it."""
    import importlib.metadata
    import platform

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
            if name not in ("first", "versions", "run", "memory", "prove", "close"):
                raise ValueError(f"no command {name!r}")
            answer = getattr(worker, name)(**command)
        except Exception as error:  # a peer may raise anything, and the answer must say what
            import traceback

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
    serve(Worker(sys.argv[1]), sys.stdin, answers)


if __name__ == "__main__":
    main()
