#!/usr/bin/env python3
"""Measures flowc against its peers, each contestant in its own process, turn and turn about.

WHAT is one or more of these groups (default: steps), `all`, or single workloads such as cnn or matmul/64:
  steps        a training step of linear regression (lists through a session, arrays through flowc.compile), of a 2-20-1 network,
               of softmax regression and of the MNIST network (batch 128, Adam, dropout)
  forward      the MNIST network without its gradient, batches of 128 and 1
  transformer  a transformer block, forward and training step
  loops        many steps in one compiled call, the data resident
  evaluate     loss and accuracy of 10 000 images at once: time and memory
  start        fresh processes up to their first step, with empty and with full caches
  matmul       matrix products, squares and the shapes of these programs
  elementwise  elementwise chains and reductions of rows, 1 000 to 10 million elements, and flowc's kernels against the machine's limit
  growth       10 to 1000 layers, batches of 1 to 10 000: time to compile, time of a step, memory

The contestants: flowc (TensorFlow 1 names), flowc.compile (tracing API), NumPy, and whichever of TensorFlow in graph mode, JAX, PyTorch,
torch.compile, PyTensor and ONNX Runtime is installed in the peers' environment.

  python3 tools/bench.py --install-peers .peers          once; about 3 GB
  python3 tools/bench.py                                 the training steps, some minutes
  python3 tools/bench.py linear softmax --quick --against jax
  python3 tools/bench.py all --json all.json             everything, more than an hour
  python3 tools/bench.py --from all.json --markdown      the tables of README.md and docs/benchmarks.md, from what was kept
  python3 tools/bench.py viz                             how long drawing takes, beside its marks (viz --help)

Before each chunk of a peer's steps comes a chunk of flowc's, and the ratio is taken from such neighbours, because the
machine's speed drifts. Times are medians over the rounds with the middle half beside them. The first step counts building, and
compiling where it waits for that: cold is a process with an empty cache, warm a second process with the same cache. All that is
timed later is compiled, and growth counts until that is so. A start counts the interpreter
and NumPy's import, not what the benchmark itself imports and computes for its data. A contestant whose answers are not those
of the workload gets no number.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.measure import Result

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

PEERS_FOLDER = ROOT / ".peers"
NEEDS_NUMPY = "needs NumPy: python3 tools/bootstrap.py test makes the project's environment, which this command then uses by itself"


def project_python() -> Path:
    """The interpreter that runs flowc: the project's environment where it is made, else the one running this."""
    inside = ROOT / ".venv" / "bin" / "python"
    return inside if inside.exists() else Path(sys.executable)


def names(known: Sequence[str], kind: str, shown: Sequence[str] = ()) -> Callable[[str], list[str]]:
    """A command-line type: `a,b` becomes ["a", "b"] when all are known; the message for others lists `shown`, by default what is known."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"no {kind} {name!r}; there are {', '.join(shown or known)}")
        return chosen

    return parse


def count(text: str) -> int:
    """A command-line type: a whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from benchmarks.catalogue import GROUPS, WORKLOADS
    from benchmarks.contestants import CONTESTANTS

    peers = [name for name, contestant in CONTESTANTS.items() if contestant.package != "flowc"]
    p = argparse.ArgumentParser(prog="bench.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = names(["all", *GROUPS, *WORKLOADS], "workload", [*GROUPS, "all", "linear", "matmul/64", "and so on"])
    p.add_argument("what", nargs="*", metavar="WHAT", type=what, help="groups or workloads, see above")
    p.add_argument("--install-peers", type=Path, metavar="DIR", help="make the peers' environment in DIR with pip, then stop")
    p.add_argument("--peers", type=Path, metavar="DIR", default=PEERS_FOLDER, help="the peers' environment (default: .peers in the clone)")
    p.add_argument("--against", type=names(peers, "contestant"), default=peers, metavar="A,B", help="only these beside flowc")
    p.add_argument("--rounds", type=count, default=9, metavar="N", help="alternating rounds per workload (default: 9)")
    p.add_argument("--quick", action="store_true", help="3 rounds of short chunks: to see that all works, not to quote")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write every figure of every round to FILE")
    p.add_argument("--from", type=Path, nargs="+", metavar="FILE", dest="kept", help="measure nothing: show what --json has written")
    p.add_argument("--markdown", action="store_true", help="write the tables into README.md and docs/benchmarks.md")
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
    """The interpreter for each contestant that is there, with one line said for each that is missing; flowc always takes part."""
    from benchmarks.contestants import CONTESTANTS
    from benchmarks.install import environment_python, installed_version

    found = {name: project_python() for name, contestant in CONTESTANTS.items() if contestant.package == "flowc"}
    python = environment_python(peers)
    if not python.exists() and not all(CONTESTANTS[name].is_ours for name in wanted):
        progress(f"no peers' environment in {peers}: flowc runs alone; --install-peers {peers} makes one")
    for name in wanted:
        package = CONTESTANTS[name].package
        if CONTESTANTS[name].is_ours:
            found[name] = project_python()
        elif python.exists() and installed_version(python, package) is not None:
            found[name] = python
        elif python.exists():
            progress(f"{name}: {package} is not installed in {peers}, left out")
    return found


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
    from benchmarks.catalogue import WORKLOADS
    from benchmarks.pages import write_pages
    from benchmarks.records import load, machine_line, versions_line
    from benchmarks.report import tables

    try:
        results, found = measured(chosen) if chosen.kept is None else load(chosen.kept)
        print("\n\n".join([*(table.plain() for table in tables(results)), f"{machine_line(found)}\n{versions_line(results)}"]))
        if chosen.markdown:
            for page in write_pages(ROOT, results, found):
                progress(f"wrote {page.relative_to(ROOT)}")
    except ValueError as error:
        progress(f"bench.py: {error}")
        return 2
    return 0 if all(r.is_sound for r in results if r.contestant == WORKLOADS[r.workload].baseline) else 1


def measured(chosen: argparse.Namespace) -> tuple[list[Result], dict[str, Any]]:
    """The results of what the command line asks for, and the machine."""
    from benchmarks.catalogue import WORKLOADS
    from benchmarks.records import as_json, machine
    from benchmarks.rounds import Plan, measure

    found = machine()
    if found["load_before"] > 0.5 * (os.cpu_count() or 1):
        progress(f"the machine is busy (load {found['load_before']}): ratios hold better than times")
    rounds, chunk_s, starts = (min(chosen.rounds, 3), 0.05, 1) if chosen.quick else (chosen.rounds, 0.25, 3)
    plan = Plan(interpreters(chosen.peers.absolute(), chosen.against), rounds, chunk_s, starts, progress)
    wanted = {name for part in chosen.what for name in part} or {"steps"}
    picked = [w for w in WORKLOADS.values() if {"all", w.group, w.name} & wanted]
    results: list[Result] = []
    for group in dict.fromkeys(w.group for w in picked):
        for some in measure([w for w in picked if w.group == group], plan):
            results += some
            if chosen.json is not None:  # after each workload, so that an interrupted comparison leaves what it has
                settings = {"rounds": rounds, "chunk_s": chunk_s, "workloads": [w.name for w in picked]}
                chosen.json.write_text(as_json(results, found, settings) + "\n")
    return results, found


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
