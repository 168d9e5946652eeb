"""Elementwise chains and reductions of rows on a thousand to ten million elements, beside what the machine allows.

    chain/1k         relu(x * a + b) * x - c: memory decides
    activation/1k    x * sigmoid(x) + tanh(x): arithmetic decides
    row_sum/1k       sums of rows;   row_softmax, row_norm   rows in, rows out

flowc's programs say how far they are from the limit: each kernel's time against that of moving its bytes and of its operations, measured
in turn with it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..digit_like import weighted
from ..program import Program, repeated
from ..workload import Workload

EPSILON = 1e-5


def make(workload: Workload) -> np.ndarray:
    """Normal draws, as rows."""
    rng = np.random.default_rng(5)
    return rng.standard_normal((workload.size["rows"], workload.size["columns"]), np.float32)


def formula(name: str, m: Any) -> Any:
    """The function of x in a module `m` of NumPy's names (`m.sigmoid` and `m.softmax` beside them)."""

    def norm(x: Any) -> Any:
        centred = x - m.mean(x, axis=1, keepdims=True)
        return centred / m.sqrt(m.mean(centred * centred, axis=1, keepdims=True) + EPSILON)

    def softmax(x: Any) -> Any:
        powers = m.exp(x - m.max(x, axis=1, keepdims=True))
        return powers / m.sum(powers, axis=1, keepdims=True)

    return {
        "chain": lambda x: m.maximum(x * 1.5 + 0.25, 0.0) * x - 0.75,
        "activation": lambda x: x / (1.0 + m.exp(-x)) + m.tanh(x),
        "row_sum": lambda x: m.sum(x, axis=1),
        "row_softmax": softmax,
        "row_norm": norm,
    }[name]


def reference(workload: Workload) -> tuple[float, ...]:
    """The formula in float64."""
    return (weighted(formula(workload.size["formula"], np)(make(workload).astype(np.float64))),)


def in_flowc_compile(flowc: Any, workload: Workload, data: np.ndarray) -> Program:
    function = flowc.compile(formula(workload.size["formula"], flowc))

    def figures() -> dict[str, Any]:
        """The kernels of one call against the limit."""
        from flowc.runtime.profile import profile

        plan = function._inspected()
        found = profile(plan.executable, plan.latest.args, runs=15)
        slowest = found.sorted("time")[0]
        best = sum(kernel.of_limit * kernel.seconds for kernel in found.kernels)
        return {"of_limit": best / found.seconds, "seconds": found.seconds, "bound": slowest.bound, "gbs": slowest.gbs, "threads": found.threads}

    program = repeated(lambda: function(data), weighted)
    return Program(program.steps, program.answer, figures)


def in_numpy(numpy: Any, workload: Workload, data: np.ndarray) -> Program:
    function = formula(workload.size["formula"], numpy)
    return repeated(lambda: function(data), weighted)


def in_jax(jax: Any, workload: Workload, data: np.ndarray) -> Program:
    function = jax.jit(formula(workload.size["formula"], jax.numpy))
    x = jax.numpy.asarray(data)
    return repeated(lambda: jax.block_until_ready(function(x)), lambda result: weighted(np.asarray(result)))


def in_torch(torch: Any, workload: Workload, data: np.ndarray, compiled: bool = False) -> Program:
    F = torch.nn.functional
    plain = {
        "chain": lambda x: torch.relu(x * 1.5 + 0.25) * x - 0.75,
        "activation": lambda x: F.silu(x) + torch.tanh(x),
        "row_sum": lambda x: x.sum(1),
        "row_softmax": lambda x: torch.softmax(x, 1),
        "row_norm": lambda x: F.layer_norm(x, x.shape[1:], eps=EPSILON),
    }[workload.size["formula"]]
    function, x = torch.compile(plain) if compiled else plain, torch.from_numpy(data)

    def step() -> Any:
        with torch.inference_mode():
            return function(x)

    return repeated(step, lambda result: weighted(result.numpy()))


BUILDERS = {
    "flowc.compile": in_flowc_compile,
    "numpy": in_numpy,
    "jax": in_jax,
    "torch": in_torch,
    "torch.compile": partial(in_torch, compiled=True),
}
