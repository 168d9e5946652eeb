"""What a peer gives for one workload: a way to run N steps and a way to read the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class Unsupported(Exception):
    """The peer cannot express this workload; the message says what it lacks."""


@dataclass(frozen=True)
class Program:
    """`steps(count)` runs that many training steps and returns when their results are there; `loss()` is taken on the held rows."""

    steps: Callable[[int], None]
    loss: Callable[[], float]
