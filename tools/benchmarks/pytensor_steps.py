"""The training steps in PyTensor: one function per workload whose updates write the shared parameters.

    build("linear", data).steps(10)

PyTensor has no convolution over channels since its `nnet` package was taken out, so the CNN is not expressed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from .program import Program, Unsupported
from .workloads import WORKLOADS, Data


def build(workload: str, data: Data) -> Program:
    """Returns the workload's step in PyTensor's default mode; raises Unsupported for the CNN."""
    if workload == "cnn":
        raise Unsupported("PyTensor has no convolution over channels")
    pytensor.config.floatX = "float32"
    rate = np.float32(WORKLOADS[workload].rate)
    rank = 1 if workload == "linear" else 2
    x, y = (pt.TensorType("float32", (None,) * rank)(name) for name in ("x", "y"))
    p = {name: pytensor.shared(value, name) for name, value in data.start.items()}
    loss = LOSSES[workload](p, x, y)
    gradients = pytensor.grad(loss, list(p.values()))
    updates = [(value, value - rate * gradient) for value, gradient in zip(p.values(), gradients, strict=True)]
    step = pytensor.function([x, y], [], updates=updates)
    step.trust_input = True  # the batches have the right type already, and checking it takes longer than the small steps
    batches = [(np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in [*data.batches, data.held]]
    held = batches.pop()

    def steps(count: int) -> None:
        for i in range(count):
            step(*batches[i % len(batches)])

    return Program(steps, lambda: float(pytensor.function([x, y], loss)(*held)))


def linear_loss(p: dict[str, Any], x: Any, y: Any) -> Any:
    """Summed squares of W x + b - y; one parameter row over all points is said through its broadcast first axis."""
    return pt.sum((p["W"][0] * x + p["b"][0] - y) ** 2)


def two_layer_loss(p: dict[str, Any], x: Any, y: Any) -> Any:
    """2-20-1 with relu, mean square."""
    hidden = pt.maximum(x @ p["W1"] + p["b1"], np.float32(0))
    return pt.mean((hidden @ p["W2"] + p["b2"] - y) ** 2)


def softmax_loss(p: dict[str, Any], x: Any, y: Any) -> Any:
    """The hand-written cross-entropy, log of softmax, as in the user's program."""
    predicted = pt.special.softmax(x @ p["W"] + p["b"], axis=1)
    return pt.mean(-pt.sum(y * pt.log(predicted), axis=1))


LOSSES = {"linear": linear_loss, "two_layer": two_layer_loss, "softmax": softmax_loss}
