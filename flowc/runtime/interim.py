"""Interim answers: while another process compiles a program, NumPy runs it node by node, where the first result is there earlier so.

    call = interim(executable, [x, y, W, b], fed=2)      # None where waiting for the compiled program is better
    results = call(xs, ys)                               # as Prepared's, up to rounding
    call.is_over()                                       # the program is there, or is what the next run should wait for
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowc.config import settings
from flowc.ir.dims import Dim, substitute
from flowc.ir.function import Function
from flowc.ir.interpret import last_users
from flowc.ir.node import Node

if TYPE_CHECKING:
    from flowc.runtime.executable import Executable

BRIEF = 0.05  # seconds: a run that took longer is not made again, since what it would do takes the processors from the compiler
LONGEST = 1.0  # seconds that a run may take by the estimate: compiling takes about as long
NODE = 5e-6  # seconds of any node
PRODUCTS, BYTES = 20e9, 2e9  # a second in NumPy, with a compiler at work beside it: multiply-adds of contractions, bytes of values
MEMORY = 4  # times the memory that a run may take before it is computed in slices


class Interim:
    """A call as `Prepared`, answered by NumPy."""

    def __init__(self, executable: Executable, args: Sequence[np.ndarray], fed: int, counter: np.ndarray | None) -> None:
        self.executable, self.args, self.fed, self.counter = executable, list(args), fed, counter
        self._seconds = 0.0

    def is_over(self) -> bool:
        """Whether the executable has a better call now, or will have one before this has answered."""
        return self._seconds > BRIEF or self.executable.is_ready

    def __call__(self, *arrays: np.ndarray) -> list[Any]:
        """Run on C-contiguous arrays of the fed params' exact shapes and dtypes."""
        begin = time.perf_counter()
        with self.executable.lock:
            results = self.executable.interpret([*arrays, *self.args[self.fed :]])
            if self.counter is not None:
                self.counter += 1
        self._seconds = time.perf_counter() - begin
        return [r if r.ndim else r[()] for r in results]


def interim(executable: Executable, args: Sequence[np.ndarray], fed: int, counter: np.ndarray | None) -> Interim | None:
    """The call until the program is compiled; None where NumPy would take longer than that, or too much memory."""
    f, extents = executable.rewritten, executable.extents_of(args)
    if f.callees():  # loops, whose steps nobody knows
        return None
    seconds, memory = estimate(f, extents)
    return Interim(executable, args, fed, counter) if seconds < LONGEST and memory < MEMORY * settings().memory else None


def estimate(f: Function, extents: Mapping[str, int]) -> tuple[float, int]:
    """Seconds that NumPy takes for a Function, and the most bytes of its values at a time; params are not counted."""

    def known(dim: Dim) -> int:
        return int(substitute(dim, extents))  # type: ignore[arg-type]

    def bytes_of(node: Node) -> int:
        return known(node.tensor.size) * node.tensor.dtype.size

    last, params = last_users(f), set(f.params)
    seconds = 0.0
    live = most = 0
    for node in f.nodes:
        work = node.op.work
        products, copied = (0, 0) if work is None else map(known, work(node.tensor, *(n.tensor for n in node.inputs), **node.attrs))
        size = bytes_of(node)
        seconds += NODE + products / PRODUCTS + size / BYTES
        live += size
        most = max(most, live + copied * node.tensor.dtype.size)
        live -= sum(bytes_of(operand) for operand in set(node.inputs) if last.get(operand) is node and operand not in params)
    return seconds, most


__all__ = ["Interim", "estimate", "interim"]
