#!/usr/bin/env python3
"""Measures flowc against its peers: four training steps, each contestant in its own process, turn and turn about.

The steps: linear   linear regression fed Python lists, gradient descent
           two_layer   2-20-1 network, batch 10, gradient descent
           softmax   784x10, batch 100, hand-written cross-entropy
           cnn   the MNIST network, batch 128, Adam, dropout

The contestants: flowc (TensorFlow 1 names), flowc.compile (tracing API; linear only), and whichever of TensorFlow in
graph mode, JAX, PyTorch, torch.compile and PyTensor is installed in the peers' environment.

  python3 tools/bench.py --install-peers .peers    once; about 3 GB
  python3 tools/bench.py                           everything, some minutes
  python3 tools/bench.py --quick --workloads linear,softmax --against jax
  python3 tools/bench.py viz                       how long drawing takes, beside its marks (viz --help)

Before each chunk of a peer's steps comes a chunk of flowc's, and the ratio is taken from such neighbours, because the
machine's speed drifts. Times are medians over the rounds with the middle half beside them. The first step counts building
and compiling: cold is a process with an empty cache, warm a second process with the same cache. A contestant whose losses
are not those of the workload gets no number.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.measure import First, Result
    from benchmarks.processes import WorkerProcess

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

PEERS_FOLDER = ROOT / ".peers"
NEEDS_NUMPY = "needs NumPy: python3 tools/bootstrap.py test makes the project's environment, which this command then uses by itself"


def project_python() -> Path:
    """The interpreter that runs flowc: the project's environment where it is made, else the one running this."""
    inside = ROOT / ".venv" / "bin" / "python"
    return inside if inside.exists() else Path(sys.executable)


def names(known: Sequence[str], kind: str) -> Callable[[str], list[str]]:
    """A command-line type: `a,b` becomes ["a", "b"] when all are known."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"no {kind} {name!r}; there are {', '.join(known)}")
        return chosen

    return parse


def count(text: str) -> int:
    """A command-line type: a whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    workloads = ["linear", "two_layer", "softmax", "cnn"]
    peers = ["flowc.compile", "tensorflow", "jax", "torch", "torch.compile", "pytensor"]
    p = argparse.ArgumentParser(prog="bench.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--install-peers", type=Path, metavar="DIR", help="make the peers' environment in DIR with pip, then stop")
    p.add_argument("--peers", type=Path, metavar="DIR", default=PEERS_FOLDER, help="the peers' environment (default: .peers in the clone)")
    p.add_argument("--workloads", type=names(workloads, "workload"), default=workloads, metavar="A,B", help="only these steps")
    p.add_argument("--against", type=names(peers, "contestant"), default=peers, metavar="A,B", help="only these beside flowc")
    p.add_argument("--rounds", type=count, default=9, metavar="N", help="alternating rounds per workload (default: 9)")
    p.add_argument("--quick", action="store_true", help="3 rounds of short chunks: to see that all works, not to quote")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write every figure of every round to FILE")
    p.add_argument("--markdown", action="store_true", help="print tables for the README instead of the terminal's")
    return p


def progress(line: str) -> None:
    """One line of progress, on standard error so that standard output holds the result alone."""
    print(line, file=sys.stderr, flush=True)


def install(folder: Path) -> int:
    """Makes the peers' environment; 1 when not one peer could be installed."""
    from benchmarks.install import install_peers

    try:
        versions = install_peers(folder.resolve(), progress)
    except OSError as error:
        progress(f"bench.py: {error}")
        return 1
    there = [f"{peer} {version}" for peer, version in versions.items() if version]
    progress(f"installed: {', '.join(there) or 'nothing'}; use it with --peers {folder}")
    return 0 if there else 1


def interpreters(peers: Path, wanted: Sequence[str]) -> dict[str, Path]:
    """The interpreter for each contestant that is there, with one line said for each that is missing."""
    from benchmarks.contestants import CONTESTANTS
    from benchmarks.install import environment_python, installed_version

    found = {"flowc": project_python()}
    python = environment_python(peers)
    if not python.exists() and set(wanted) - {"flowc.compile"}:
        progress(f"no peers' environment in {peers}: flowc runs alone; --install-peers {peers} makes one")
    for name in wanted:
        package = CONTESTANTS[name].package
        if package == "flowc":
            found[name] = project_python()
        elif python.exists() and installed_version(python, package) is not None:
            found[name] = python
        elif python.exists():
            progress(f"{name}: {package} is not installed in {peers}, left out")
    return found


def start(
    name: str, workload: str, python: Path, scratch: Path, stack: contextlib.ExitStack
) -> tuple[WorkerProcess, dict[str, str], First]:
    """Starts a worker and lets it make its first step; returns it with the answer and the seconds since the process began,
    less those that went into making the workload's data."""
    from benchmarks.measure import First
    from benchmarks.processes import WorkerProcess, worker_environment

    began = time.perf_counter()
    command = [str(python), "-m", "benchmarks.worker", name, workload]
    worker = stack.enter_context(WorkerProcess(command, worker_environment(scratch, ROOT), ROOT / "tools"))
    answer = worker.ask("first")
    whole = time.perf_counter() - began - answer["data_s"]
    return worker, answer["versions"], First(answer["import_s"], answer["build_s"] + answer["first_step_s"], whole)


def measure_workload(workload: str, pythons: dict[str, Path], rounds: int, chunk_s: float) -> list[Result]:
    """Results of every contestant on one workload, each in a process of its own with empty caches."""
    from benchmarks.contestants import BASELINE, CONTESTANTS
    from benchmarks.measure import Result, alternate, doubt
    from benchmarks.processes import WorkerFailed
    from benchmarks.workloads import WORKLOADS

    results = {name: Result(name, workload) for name in pythons if workload in CONTESTANTS[name].only}
    progress(f"{WORKLOADS[workload].title}: {', '.join(results)}")
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, result in results.items():
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowc-bench-")))
            try:
                if CONTESTANTS[name].package == "flowc":
                    with contextlib.ExitStack() as once:
                        _, _, result.cold = start(name, workload, pythons[name], scratch, once)
                    workers[name], result.versions, result.warm = start(name, workload, pythons[name], scratch, stack)
                else:
                    workers[name], result.versions, result.cold = start(name, workload, pythons[name], scratch, stack)
            except WorkerFailed as error:
                result.problem = str(error)
                progress(f"  {name}: {error}")
        alternate(workers, results, BASELINE, rounds, chunk_s, progress)
        for name, worker in workers.items():
            result = results[name]
            if result.problem is not None:
                continue
            try:
                result.peak_kb = worker.ask("memory")["peak_kb"]
                result.proof = worker.ask("prove")
                result.problem = doubt(WORKLOADS[workload], result.proof)
            except WorkerFailed as error:
                result.problem = str(error)
            if result.problem is not None:
                progress(f"  {name}: {result.problem}")
    return list(results.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison; 0 when flowc has a trustworthy number on every workload."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["viz"]:
        return subprocess.call([str(project_python()), "-m", "benchmarks.viz", *given[1:]], cwd=ROOT / "tools")
    chosen = parser().parse_args(arguments)
    if chosen.install_peers is not None:
        return install(chosen.install_peers)
    try:
        import numpy  # noqa: F401
    except ImportError:
        inside = project_python()
        if inside == Path(sys.executable):
            progress(f"bench.py {NEEDS_NUMPY}")
            return 2
        return subprocess.call([str(inside), __file__, *(sys.argv[1:] if arguments is None else arguments)])
    from benchmarks.contestants import BASELINE
    from benchmarks.report import as_json, machine, machine_line, markdown, table, versions_line

    found = machine()
    if found["load_before"] > 0.5 * (os.cpu_count() or 1):
        progress(f"the machine is busy (load {found['load_before']}): ratios hold better than times")
    rounds, chunk_s = (min(chosen.rounds, 3), 0.05) if chosen.quick else (chosen.rounds, 0.25)
    pythons = interpreters(chosen.peers.absolute(), chosen.against)
    results = []
    for workload in chosen.workloads:
        results += measure_workload(workload, pythons, rounds, chunk_s)
        if chosen.json is not None:  # after each workload, so that an interrupted comparison leaves what it has
            settings = {"rounds": rounds, "chunk_s": chunk_s, "workloads": chosen.workloads}
            chosen.json.write_text(as_json(results, found, settings) + "\n")
    if chosen.markdown:
        print(markdown(results, found))
    else:
        print(f"{table(results)}\n\n{machine_line(found)}\n{versions_line(results)}")
    return 0 if all(r.median_s is not None for r in results if r.contestant == BASELINE) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
