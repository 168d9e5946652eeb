"""A worker process seen from the side that times: commands become JSON lines to it, its JSON lines become answers.

with WorkerProcess([python, "-m", "benchmarks.worker", "jax", "linear"], environment, folder) as worker:
    worker.ask("run", steps=100)   ->   {"seconds": 0.0012}
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class WorkerFailed(Exception):
    """The worker said that a command failed, or went away; the message is its reason in one line."""


class WorkerProcess:
    """One long-lived worker. It computes only between a question and its answer, so whoever asks decides that only one computes."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, patience_s: float = 300.0) -> None:
        self.complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  closed by close()
        self.patience_s = patience_s
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            text=True,
            env=dict(environment),
            cwd=folder,
        )

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Sends one command and waits for its answer; raises WorkerFailed on an error, an early end, or after `patience_s` seconds."""
        assert self.process.stdin is not None and self.process.stdout is not None
        stopper = threading.Timer(self.patience_s, self.process.kill)
        stopper.start()
        try:
            self.process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except (BrokenPipeError, OSError):
            line = ""
        finally:
            stopper.cancel()
        if not line:
            code = self.process.wait()
            raise WorkerFailed(f"worker ended during {command!r} with status {code}: {self.last_complaint()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def last_complaint(self) -> str:
        """The last line that the worker wrote to standard error."""
        self.complaints.seek(0)
        lines = [line for line in self.complaints.read().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it said nothing"

    def close(self) -> None:
        """Tells the worker to quit, and ends it when it does not."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write('{"do": "quit"}\n')
            self.process.stdin.close()
        except (BrokenPipeError, OSError):
            pass
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.complaints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def worker_environment(scratch: Path, root: Path, flowc_cache: Path | None = None) -> dict[str, str]:
    """The environment of a worker whose first step is cold: every compile cache lies in `scratch`, an empty folder.

    flowc is taken from the source tree at `root` and caches in `flowc_cache` when that is given, for a second, warm process.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION_CACHE")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have their bytecode; a source tree would be parsed at every start
    environment["PYTHONPATH"] = str(root)
    environment["FLOWC_CACHE_DIR"] = str(flowc_cache or scratch / "flowc")
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(scratch / "inductor")
    environment["PYTENSOR_FLAGS"] = f"base_compiledir={scratch / 'pytensor'}"
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    return environment
