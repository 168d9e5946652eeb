"""Workloads become Results: contestants are started in processes of their own, take turns, prove what they computed, and are ended.

    measure([WORKLOADS["softmax"]], Plan({"flowc": python, "jax": python}, rounds=9, ...))   ->   [Result("flowc", "softmax", ...), ...]
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .contestants import CONTESTANTS
from .measure import First, Result, alternate, doubt, middle
from .processes import WorkerFailed, WorkerProcess, worker_environment
from .workload import Kind, Workload

Say = Callable[[str], None]
ROOT = Path(__file__).resolve().parents[2]
SETTLE_S = 0.25  # OpenMP threads spin for 0.2 s after their last work, and whoever runs beside them is measured too slow


@dataclass(frozen=True)
class Place:
    """A worker and the workload that it is asked about."""

    worker: WorkerProcess
    workload: str

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self.worker.ask(command, workload=self.workload, **arguments)


@dataclass(frozen=True)
class Plan:
    """How long to measure, how many fresh processes to start, and what runs each contestant."""

    pythons: Mapping[str, Path]
    rounds: int
    chunk_s: float
    starts: int
    say: Say


def start_worker(name: str, python: Path, scratch: Path, patience_s: float, stack: contextlib.ExitStack) -> WorkerProcess:
    """A contestant's process, which has imported nothing yet."""
    command = [str(python), "-m", "benchmarks.worker", name]
    environment = {**worker_environment(scratch, ROOT), **dict(CONTESTANTS[name].environment)}
    return stack.enter_context(WorkerProcess(command, environment, ROOT / "tools", patience_s))


def start(name: str, workload: Workload, python: Path, scratch: Path, stack: contextlib.ExitStack) -> tuple[WorkerProcess, dict[str, str], First]:
    """A worker that has made its first step and compiled what that did without; with the versions and the seconds since the process began, less
    those that went into making the workload and its data."""
    began = time.perf_counter()
    worker = start_worker(name, python, scratch, workload.patience_s, stack)
    answer = worker.ask("first", workload=workload.name)
    whole = time.perf_counter() - began - answer["data_s"] - answer["compiling_s"]
    return worker, worker.ask("versions"), First(answer["import_s"], answer["build_s"] + answer["first_step_s"], whole, answer["compiling_s"])


def measure(workloads: Sequence[Workload], plan: Plan) -> Iterator[list[Result]]:
    """Results of the workloads of one group, as they come."""
    match workloads[0].kind:
        case Kind.TOGETHER:
            yield from measure_together(workloads, plan)
        case Kind.START:
            yield from (measure_starts(workload, plan) for workload in workloads)
        case Kind.ALONE:
            yield from (measure_alone(workload, plan) for workload in workloads)


def measure_starts(workload: Workload, plan: Plan) -> list[Result]:
    """Fresh processes up to their first step, turn and turn about: with empty caches, then with what that process left."""
    results = {name: Result(name, workload.name) for name in workload.contestants if name in plan.pythons}
    found: dict[tuple[str, str], list[First]] = {}
    plan.say(f"start of {workload.title}: {', '.join(results)}")
    for _ in range(plan.starts):
        for name, result in results.items():
            if result.problem is not None:
                continue
            with tempfile.TemporaryDirectory(prefix="flowc-bench-") as scratch:
                for when in ("cold", "warm"):
                    with contextlib.ExitStack() as stack:
                        try:
                            worker, result.versions, first = start(name, workload, plan.pythons[name], Path(scratch), stack)
                            result.peak_kb = worker.ask("memory")["peak_kb"]
                            found.setdefault((name, when), []).append(first)
                        except WorkerFailed as error:
                            result.problem = str(error)
                            plan.say(f"  {name}: {error}")
                            break
    for (name, when), firsts in found.items():
        setattr(results[name], when, middle(firsts))
    return list(results.values())


def measure_alone(workload: Workload, plan: Plan) -> list[Result]:
    """Results of every contestant on one workload, each in a process of its own with empty caches; flowc's once more with full ones."""
    results = {name: Result(name, workload.name) for name in workload.contestants if name in plan.pythons}
    plan.say(f"{workload.title}: {', '.join(results)}")
    with contextlib.ExitStack() as stack:
        places: dict[str, Place] = {}
        for name, result in results.items():
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowc-bench-")))
            try:
                if CONTESTANTS[name].package == "flowc":
                    with contextlib.ExitStack() as once:
                        _, _, result.cold = start(name, workload, plan.pythons[name], scratch, once)
                    worker, result.versions, result.warm = start(name, workload, plan.pythons[name], scratch, stack)
                else:
                    worker, result.versions, result.cold = start(name, workload, plan.pythons[name], scratch, stack)
                places[name] = Place(worker, workload.name)
            except WorkerFailed as error:
                result.problem = str(error)
                plan.say(f"  {name}: {error}")
        take_turns(workload, places, results, plan)
        for name, place in places.items():
            with contextlib.suppress(WorkerFailed):
                results[name].peak_kb = place.worker.ask("memory")["peak_kb"]
        prove(workload, places, results, plan.say)
    return list(results.values())


def measure_together(workloads: Sequence[Workload], plan: Plan) -> Iterator[list[Result]]:
    """Results of a group whose workloads share one process per contestant: only steps are timed."""
    with contextlib.ExitStack() as stack:
        workers: dict[str, WorkerProcess] = {}
        for workload in workloads:
            results = {name: Result(name, workload.name) for name in workload.contestants if name in plan.pythons}
            plan.say(workload.title)
            places: dict[str, Place] = {}
            for name, result in results.items():
                if name not in workers or workers[name].process.poll() is not None:
                    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flowc-bench-")))
                    workers[name] = start_worker(name, plan.pythons[name], scratch, workload.patience_s, stack)
                places[name] = Place(workers[name], workload.name)
                try:
                    places[name].ask("first")
                    result.versions = workers[name].ask("versions")
                except WorkerFailed as error:
                    result.problem = str(error)
                    plan.say(f"  {name}: {error}")
                    del places[name]
            take_turns(workload, places, results, plan)
            prove(workload, places, results, plan.say)
            for place in places.values():
                with contextlib.suppress(WorkerFailed):
                    place.ask("close")
            yield list(results.values())


def take_turns(workload: Workload, places: Mapping[str, Place], results: Mapping[str, Result], plan: Plan) -> None:
    """The rounds."""
    alternate(places, results, workload.baseline, plan.rounds, plan.chunk_s, plan.say, SETTLE_S)


def prove(workload: Workload, places: Mapping[str, Place], results: Mapping[str, Result], say: Say) -> None:
    """A contestant whose answers are not the workload's gets a problem in place of its number."""
    for name, place in places.items():
        result = results[name]
        if result.problem is not None:
            continue
        try:
            result.proof = place.ask("prove")
            result.figures = result.proof.pop("figures")
            result.problem = doubt(workload, result.proof)
        except WorkerFailed as error:
            result.problem = str(error)
        if result.problem is not None:
            say(f"  {name}: {result.problem}")
