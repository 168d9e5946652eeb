"""What a workload is: a program to time, who takes part, which answers prove that the right thing was computed, and the marks to reach.

    WORKLOADS["matmul/64"].contestants   ->   ("flowc.compile", "numpy", "torch", "jax"), the baseline first

Standard library only, for the command line reads the `catalogue` of them. A worker does so after the import that it times.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Mark:
    """What flowc is to reach on a workload.

    figure: `step` (time of a step), `cold` and `warm` (process start to first step), `memory` (the peak), or one of a program's own figures.
    Against a peer: at least `bound` times better than it; else at most `bound` seconds, or at least `bound` for a program's own figure.
    """

    figure: str
    bound: float
    against: str = ""


class Kind(Enum):
    """How a workload is measured."""

    ALONE = "alone"  # a process for each contestant: its beginning, its steps, its memory
    TOGETHER = "together"  # one process per contestant serves the whole group: steps only
    START = "start"  # fresh processes up to their first step, and nothing else


@dataclass(frozen=True)
class Workload:
    """One program to time.

    `group`: what the command line calls it together with its like. `case`: the file in `cases/` that makes it; `task` and `size` are what
    that file needs to know: a training `step`, the same on `arrays` or in a `loop` of its own, `forward`, `evaluate`. `answers`: at the
    start and after each further three steps, to the relative `tolerance`; where dropout draws differ the one at the start alone; a number
    stands for so many of the case's own `reference`. A training step must in `proof_steps` steps bring its loss below `bound`.
    """

    name: str
    title: str
    group: str
    case: str
    contestants: tuple[str, ...]
    answers: tuple[float, ...] | int
    tolerance: float = 1e-4
    task: str = "step"
    proof_steps: int = 0
    bound: float = float("inf")
    marks: tuple[Mark, ...] = ()
    size: dict[str, Any] = field(default_factory=dict)
    kind: Kind = Kind.ALONE
    patience_s: float = 300.0

    @property
    def baseline(self) -> str:
        """The contestant that the others are compared with."""
        return self.contestants[0]

    @property
    def answer_count(self) -> int:
        return self.answers if isinstance(self.answers, int) else len(self.answers)

    @property
    def trains(self) -> bool:
        """Whether steps change what later ones compute."""
        return self.answer_count > 1 or self.proof_steps > 0

    def expected(self) -> tuple[float, ...]:
        """The answers that every contestant must give."""
        return self.module().reference(self) if isinstance(self.answers, int) else self.answers  # type: ignore[no-any-return]

    def make(self) -> Any:
        """The data, the same in every process."""
        return self.module().make(self)

    def builder(self, contestant: str) -> Callable[[Any, Workload, Any], Any]:
        """How a contestant writes it: (library, workload, data) -> Program."""
        found: Callable[[Any, Workload, Any], Any] = self.module().BUILDERS[contestant]
        return found

    def module(self) -> Any:
        """The case's file, imported now."""
        return importlib.import_module(f"benchmarks.cases.{self.case}")
