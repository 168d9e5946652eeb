"""Interim answers: while another process compiles a program, NumPy runs it node by node, where the first result is there earlier so.

    call = interim(executable, [x, y, W, b], fed=2)      # None where waiting for the compiled program is better
    results = call(xs, ys)                               # as Prepared's, to the last bits
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

    is_native = False

    def __init__(self, executable: Executable, args: Sequence[np.ndarray], fed: int, counter: np.ndarray | None) -> None:
        self.executable, self.args, self.fed, self.counter = executable, list(args), fed, counter
        self.results = len(executable.f.results)
        self._seconds = 0.0

    def is_over(self) -> bool:
        """Whether the executable has a better call now, or will have one before this has answered."""
        return self._seconds > BRIEF or self.executable.is_ready

    @property
    def result_types(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        """The shape and dtype of each result."""
        return self.executable.result_types(self.args)

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
    last = {operand: node for node in f.nodes for operand in node.inputs}
    seconds = 0.0
    live = most = 0

    def bytes_of(node: Node) -> int:
        return int(substitute(node.tensor.size, extents)) * node.tensor.dtype.size  # type: ignore[arg-type]

    params = set(f.params)
    for node in f.nodes:
        size = bytes_of(node)
        products, scratch = _contraction(node, extents)
        seconds += NODE + products / PRODUCTS + size / BYTES
        live += size
        most = max(most, live + scratch)
        live -= sum(bytes_of(operand) for operand in set(node.inputs) if last[operand] is node and operand not in params)
    return seconds, most


def _contraction(node: Node, extents: Mapping[str, int]) -> tuple[float, int]:
    """The multiply-adds of a product of matrices or of a convolution, and the bytes of the windows that NumPy copies for it."""

    def size(dim: Dim) -> int:
        return int(substitute(dim, extents))  # type: ignore[arg-type]

    x = node.inputs[0].tensor if node.inputs else None
    if node.op.name == "matmul" and x is not None:
        return float(size(node.tensor.size) * size(x.dims[-2 if node.attrs["transpose_a"] else -1])), 0
    if node.op.name not in _CONVOLUTIONS:
        return 0.0, 0
    filter, places = (([*node.inputs, node])[i].tensor for i in _CONVOLUTIONS[node.op.name])
    products = size(places.size) * size(filter.size) // max(size(filter.dims[-1]), 1)
    return float(products), products // max(size(filter.dims[-1]), 1) * filter.dtype.size


# which of a node's operands, or behind them the result, are the filter, and what has an element for each place of a window
_CONVOLUTIONS = {"conv2d": (1, 2), "conv2d_input_grad": (0, 1), "conv2d_filter_grad": (3, 1)}

__all__ = ["Interim", "estimate", "interim"]
