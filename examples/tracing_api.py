"""New code without a graph: plain functions of arrays, compiled, differentiated, and called inside a Numba loop.

    python examples/tracing_api.py
"""

import numba
import numpy as np

import flowc


@flowc.compile
def loss(w: flowc.f32["features"], x: flowc.f32["batch", "features"], y: flowc.f32["batch"]):
    """Mean of log(1 + exp(-y <x, w>)): logistic regression, labels -1 and 1."""
    margins = y * flowc.sum(x * w, axis=1)
    return flowc.mean(flowc.log(1 + flowc.exp(-margins)))


value_and_gradient = flowc.value_and_grad(loss)

rng = np.random.default_rng(0)
truth = rng.normal(size=5).astype(np.float32)
x = rng.normal(size=(500, 5)).astype(np.float32)
y = np.sign(x @ truth).astype(np.float32)
w = np.zeros(5, np.float32)

print(f"loss at the start: {loss(w, x, y):.4f}")
value, gradient = value_and_gradient(w, x, y)
print("gradient:", np.round(gradient, 3))
print(loss.ir(after="fuse"))

step = value_and_gradient.njit  # a Numba function


@numba.njit
def train(w, x, y, steps):
    value = np.float32(0)
    for _ in range(steps):
        value, gradient = step(w, x, y)
        w = w - np.float32(0.5) * gradient
    return w, value


w, value = train(w, x, y, 1000)
print(f"loss after 1000 steps in a Numba loop: {value:.4f}")
print(f"right: {np.mean(np.sign(x @ w) == y):.1%}")
