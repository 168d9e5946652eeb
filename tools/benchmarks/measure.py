"""Alternating rounds: workers that answer `run` become medians per step, and ratios to the baseline from neighbouring chunks.

    flowc 0.20 s | jax 0.21 s | flowc 0.20 s | torch 0.19 s | flowc ...     one round; ratio of jax = its chunk / the flowc chunk before it

The machine's speed drifts; two neighbouring chunks see the same machine, so their ratio holds where the times alone do not.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from .processes import WorkerFailed
from .workload import Workload


class Asked(Protocol):
    """Anything that answers commands as a worker does."""

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """One command, one answer."""
        ...


@dataclass
class First:
    """Seconds of a process's beginning: the import, the first step with building before it, and all from the process's start; then what is left to
    compile, where a first step does without."""

    import_s: float
    first_step_s: float
    start_to_step_s: float
    compiling_s: float = 0.0

    @property
    def compiled_s(self) -> float:
        """Building, compiling and the first step."""
        return self.first_step_s + self.compiling_s


def middle(firsts: Sequence[First]) -> First:
    """The median of each part."""
    return First(*(statistics.median(getattr(first, part.name) for first in firsts) for part in fields(First)))


@dataclass
class Result:
    """All that was found about one contestant on one workload; `problem` says why a number is missing or not to be trusted."""

    contestant: str
    workload: str
    step_s: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    steps_per_chunk: int = 0
    cold: First | None = None
    warm: First | None = None
    peak_kb: int = 0
    proof: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    problem: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether something was measured that can be trusted."""
        return self.problem is None and (bool(self.step_s) or self.cold is not None)

    @property
    def median_s(self) -> float | None:
        """Median seconds per step over the rounds; None when nothing trustworthy was timed."""
        return statistics.median(self.step_s) if self.step_s and self.problem is None else None

    @property
    def ratio(self) -> float | None:
        """Median over the rounds of this contestant's time divided by the baseline's: above 1 the baseline is faster."""
        return statistics.median(self.ratios) if self.ratios and self.problem is None else None


def calibrate(worker: Asked, chunk_s: float) -> int:
    """The number of steps that takes about `chunk_s` seconds, found by growing runs, which also wake the worker."""
    steps = 1
    while True:
        seconds = worker.ask("run", steps=steps)["seconds"]
        wanted = max(1, int(steps * chunk_s / max(seconds, 1e-9)))
        if wanted <= 2 * steps:
            return wanted
        steps = min(wanted, 20 * steps)


def alternate(
    workers: Mapping[str, Asked], results: Mapping[str, Result], baseline: str, rounds: int, chunk_s: float, say: Callable[[str], None],
    settle_s: float = 0.0,
) -> None:  # fmt: skip
    """Times `rounds` rounds into `results`; a worker that fails gets its problem written down and the others go on.

    Before each peer's chunk comes one of the baseline, which that peer's ratio is taken from. Without a baseline peers only take turns.
    settle_s: seconds of rest before each chunk, in which the threads of the contestant before stop spinning.
    """
    alive = dict(workers)

    def chunk(name: str) -> float | None:
        result = results[name]
        time.sleep(settle_s)
        try:
            per_step: float = alive[name].ask("run", steps=result.steps_per_chunk)["seconds"] / result.steps_per_chunk
        except WorkerFailed as error:
            drop(name, error)
            return None
        result.step_s.append(per_step)
        return per_step

    def drop(name: str, error: WorkerFailed) -> None:
        results[name].problem = str(error)
        say(f"  {name}: {error}")
        del alive[name]

    for name in list(alive):
        try:
            results[name].steps_per_chunk = calibrate(alive[name], chunk_s)
        except WorkerFailed as error:
            drop(name, error)
    for _ in range(rounds):
        peers = [name for name in alive if name != baseline]
        if not peers and baseline in alive:
            chunk(baseline)
        for name in peers:
            before = chunk(baseline) if baseline in alive else None
            after = chunk(name)
            if before is not None and after is not None:
                results[name].ratios.append(after / before)


def doubt(workload: Workload, proof: Mapping[str, Any]) -> str | None:
    """Why these answers show that another program was measured than the workload's; None when they fit."""
    for place, (expected, found) in enumerate(zip(workload.expected(), proof["trace"], strict=True)):
        if not math.isclose(expected, found, rel_tol=workload.tolerance):
            return f"wrong program: the answer after {3 * place} steps is {found:.7g}, the others have {expected:.7g}"
    if not proof["answer"] <= workload.bound:
        return f"wrong program: the loss after {proof['steps']} steps is {proof['answer']:.4g}, not below {workload.bound:g}"
    return None
