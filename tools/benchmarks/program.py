"""What a contestant gives for one workload: a way to run N steps and a number that shows what they computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Unsupported(Exception):
    """The contestant cannot express this workload; the message says what it lacks."""


@dataclass(frozen=True)
class Program:
    """`steps(count)` runs that many steps and returns when their results are there; `answer()` is the loss on the held rows of a
    training step, a weighted sum of the result otherwise.

    `figures()`: what else the contestant knows about itself after the steps, as numbers by name.
    """

    steps: Callable[[int], None]
    answer: Callable[[], float]
    figures: Callable[[], dict[str, Any]] = dict


def repeated(step: Callable[[], Any], answer: Callable[[Any], float]) -> Program:
    """A program whose steps are all the same and change nothing: `answer` makes the number from a step's result."""

    def steps(count: int) -> None:
        for _ in range(count):
            step()

    return Program(steps, lambda: answer(step()))
