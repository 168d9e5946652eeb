"""Marks against what was measured.

    verdicts(WORKLOADS["softmax"], {"flowc": result, "jax": result})   ->   [Verdict(mark="2.5x as fast as jax", found=2.78)]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .contestants import CONTESTANTS
from .measure import Result
from .words import duration, figure_text, short
from .workload import Mark, Workload

SECONDS = {"step": "a step", "cold": "cold start to first step", "warm": "warm start to first step"}


@dataclass(frozen=True)
class Verdict:
    """What came of a mark: `found` in the mark's own unit, None where it was not measured."""

    workload: Workload
    mark: Mark
    found: float | None

    @property
    def met(self) -> bool | None:
        """Whether the mark is reached; None where that is not known."""
        if self.found is None:
            return None
        at_most = not self.mark.against and self.mark.figure in SECONDS
        return self.found <= self.mark.bound if at_most else self.found >= self.mark.bound

    @property
    def outcome(self) -> str:
        return "not measured" if self.met is None else "met" if self.met else "missed"

    def __str__(self) -> str:
        mark, found = self.mark, self.found
        if mark.against:
            kinds = {"step": f"{mark.bound:g}x as fast as", "cold": f"cold start {mark.bound:g}x as fast as", "memory": f"1/{mark.bound:g} of the memory of"}
            return f"{kinds[mark.figure]} {CONTESTANTS[mark.against].title}: {'-' if found is None else short(found) + 'x'}, {self.outcome}"
        if mark.figure in SECONDS:
            return f"{SECONDS[mark.figure]} in at most {duration(mark.bound)}: {'-' if found is None else duration(found)}, {self.outcome}"
        return f"{mark.figure} at least {mark.bound:.3g}: {figure_text(found)}, {self.outcome}"


def verdicts(workload: Workload, results: Mapping[str, Result]) -> list[Verdict]:
    """Each mark of a workload against the results by contestant."""
    return [Verdict(workload, mark, judged(mark, workload, results)) for mark in workload.marks]


def judged(mark: Mark, workload: Workload, results: Mapping[str, Result]) -> float | None:
    """The figure that a mark is about: how many times better than the peer, or the baseline's own seconds or figure."""
    own, peer = results.get(workload.baseline), results.get(mark.against)
    if own is None or not own.is_sound or (mark.against and (peer is None or not peer.is_sound)):
        return None
    match mark.figure:
        case "step":
            return own.median_s if peer is None else peer.ratio
        case "cold" | "warm":
            ours, theirs = getattr(own, mark.figure), peer and getattr(peer, mark.figure)
            if ours is None or peer is not None and theirs is None:
                return None
            return ours.start_to_step_s if theirs is None else theirs.start_to_step_s / ours.start_to_step_s  # type: ignore[no-any-return]
        case "memory":
            return None if peer is None else peer.peak_kb / own.peak_kb
    return own.figures.get(mark.figure)
