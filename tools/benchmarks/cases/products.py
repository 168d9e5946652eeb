"""Matrix products: squares from 64 to 2048 and the shapes of the four programs and their gradients.

    matmul/100x784x10          (100, 784) @ (784, 10)
    matmul/784x100x10.ta       the first operand lies transposed, as in the gradient to W
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..digit_like import weighted
from ..program import Program, repeated
from ..workload import Workload

Operands = tuple[np.ndarray, np.ndarray]


def make(workload: Workload) -> Operands:
    """Positive operands, so that no result is small beside its terms; they lie as the size says, transposed or not."""
    m, k, n, ta, tb = (workload.size[name] for name in ("m", "k", "n", "ta", "tb"))
    rng = np.random.RandomState(4)
    x = rng.uniform(0.5, 1, (k, m) if ta else (m, k)).astype(np.float32)
    y = rng.uniform(0.5, 1, (n, k) if tb else (k, n)).astype(np.float32)
    return x, y


def reference(workload: Workload) -> tuple[float, ...]:
    """The product in float64."""
    x, y = (operand.astype(np.float64) for operand in make(workload))
    return (weighted((x.T if workload.size["ta"] else x) @ (y.T if workload.size["tb"] else y)),)


def in_flowc_compile(flowc: Any, workload: Workload, data: Operands) -> Program:
    x, y = data
    product = flowc.compile(lambda x, y: flowc.matmul(x, y, transpose_a=workload.size["ta"], transpose_b=workload.size["tb"]))
    return repeated(lambda: product(x, y), weighted)


def in_numpy(numpy: Any, workload: Workload, data: Operands) -> Program:
    x, y = data[0].T if workload.size["ta"] else data[0], data[1].T if workload.size["tb"] else data[1]
    return repeated(lambda: x @ y, weighted)


def in_torch(torch: Any, workload: Workload, data: Operands) -> Program:
    x, y = (torch.from_numpy(operand) for operand in data)
    x, y = x.T if workload.size["ta"] else x, y.T if workload.size["tb"] else y

    def step() -> Any:
        with torch.inference_mode():
            return x @ y

    return repeated(step, lambda result: weighted(result.numpy()))


def in_jax(jax: Any, workload: Workload, data: Operands) -> Program:
    ta, tb = workload.size["ta"], workload.size["tb"]
    x, y = (jax.numpy.asarray(operand) for operand in data)
    product = jax.jit(lambda x, y: (x.T if ta else x) @ (y.T if tb else y))
    return repeated(lambda: jax.block_until_ready(product(x, y)), lambda result: weighted(np.asarray(result)))


BUILDERS = {"flowc.compile": in_flowc_compile, "numpy": in_numpy, "torch": in_torch, "jax": in_jax}
