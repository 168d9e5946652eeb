"""The linear regression step over flowc's tracing API: a pure function of the parameters, compiled.

build("linear", data).steps(10)
"""

from __future__ import annotations

from typing import Any

import numpy as np

import flowc

from .program import Program, Unsupported
from .workloads import WORKLOADS, Data


def build(workload: str, data: Data) -> Program:
    """Returns the compiled step of (W, b, x, y); raises Unsupported for any other workload."""
    if workload != "linear":
        raise Unsupported("measured for the linear regression step only")
    rate = WORKLOADS[workload].rate

    def loss(parameters: tuple[Any, Any], x: Any, y: Any) -> Any:
        W, b = parameters
        return flowc.reduce_sum((W * x + b - y) ** 2)

    @flowc.compile
    def step(W: Any, b: Any, x: Any, y: Any) -> tuple[Any, Any]:
        _, (of_W, of_b) = flowc.value_and_grad(loss)((W, b), x, y)
        return W - rate * of_W, b - rate * of_b

    W, b = data.start["W"], data.start["b"]
    x, y = (np.asarray(part, np.float32) for part in data.batches[0])

    def steps(count: int) -> None:
        nonlocal W, b
        for _ in range(count):
            W, b = step(W, b, x, y)

    def current_loss() -> float:
        return float(np.sum((W * x + b - y) ** 2))

    return Program(steps, current_loss)
