"""A transformer block (pre-norm, 4 heads, width 256, GELU of 4 times the width) on 8 sequences of 128.

    x = x + attention(norm(x)) @ Wo + bo,    x = x + gelu(norm(x) @ W1 + b1) @ W2 + b2

The training step is gradient descent on the mean square of the difference to a target.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..digit_like import weighted
from ..program import Program, repeated
from ..training import Data, Parameters, gradient_descent_in_jax, gradient_descent_in_torch
from ..workload import Workload

RATE = 0.1
BATCH, LENGTH, WIDTH, HEADS = 8, 128, 256, 4
EPSILON = 1e-5


def make(workload: Workload) -> Data:
    """Two batches of normal draws; weights of deviation 1/sqrt(rows), scales near 1, biases near 0."""
    rng = np.random.RandomState(3)
    shapes = {
        "scale1": (WIDTH,), "shift1": (WIDTH,), "Wqkv": (WIDTH, 3 * WIDTH), "bqkv": (3 * WIDTH,), "Wo": (WIDTH, WIDTH), "bo": (WIDTH,),
        "scale2": (WIDTH,), "shift2": (WIDTH,), "W1": (WIDTH, 4 * WIDTH), "b1": (4 * WIDTH,), "W2": (4 * WIDTH, WIDTH), "b2": (WIDTH,),
    }  # fmt: skip
    start = {name: (rng.standard_normal(shape) * (0.1 if len(shape) == 1 else shape[0] ** -0.5)).astype(np.float32) for name, shape in shapes.items()}
    start["scale1"] += 1
    start["scale2"] += 1
    shape = (2, BATCH, LENGTH, WIDTH)
    x, y = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    batches = list(zip(x, y, strict=True))
    return Data(start, batches, batches[0])


def in_flowc_compile(flowc: Any, workload: Workload, data: Data) -> Program:
    """The block and its step as functions of parameters and arrays."""

    def block(p: Any, x: Any) -> Any:
        def heads(value: Any) -> Any:
            return flowc.transpose(flowc.reshape(value, [BATCH, LENGTH, HEADS, WIDTH // HEADS]), [0, 2, 1, 3])

        h = flowc.layer_norm(x, p["scale1"], p["shift1"], epsilon=EPSILON)
        q, k, v = (heads(part) for part in flowc.split(h @ p["Wqkv"] + p["bqkv"], 3, axis=-1))
        scores = flowc.matmul(q, k, transpose_b=True) * (WIDTH // HEADS) ** -0.5
        mixed = flowc.reshape(flowc.transpose(flowc.softmax(scores) @ v, [0, 2, 1, 3]), [BATCH, LENGTH, WIDTH])
        x = x + mixed @ p["Wo"] + p["bo"]
        h = flowc.layer_norm(x, p["scale2"], p["shift2"], epsilon=EPSILON)
        return x + flowc.gelu(h @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]

    def loss(p: Any, x: Any, y: Any) -> Any:
        return flowc.mean((block(p, x) - y) ** 2)

    if workload.task == "forward":
        forward = flowc.compile(block)
        return repeated(lambda: forward(data.start, data.held[0]), weighted)

    @flowc.compile
    def step(p: Any, x: Any, y: Any) -> Any:
        slopes = flowc.value_and_grad(loss)(p, x, y)[1]
        return {name: value - RATE * slopes[name] for name, value in p.items()}

    parameters, batches = dict(data.start), data.batches
    current = flowc.compile(loss)

    def steps(count: int) -> None:
        nonlocal parameters
        for i in range(count):
            parameters = step(parameters, *batches[i % len(batches)])

    return Program(steps, lambda: float(current(parameters, *data.held)))


def in_jax(jax: Any, workload: Workload, data: Data) -> Program:
    jnp = jax.numpy

    def norm(x: Any, scale: Any, shift: Any) -> Any:
        mean = jnp.mean(x, -1, keepdims=True)
        variance = jnp.mean((x - mean) ** 2, -1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * scale + shift

    def block(p: Parameters, x: Any) -> Any:
        h = norm(x, p["scale1"], p["shift1"])
        q, k, v = (part.reshape(BATCH, LENGTH, HEADS, -1).transpose(0, 2, 1, 3) for part in jnp.split(h @ p["Wqkv"] + p["bqkv"], 3, -1))
        weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) * (WIDTH // HEADS) ** -0.5)
        x = x + (weights @ v).transpose(0, 2, 1, 3).reshape(BATCH, LENGTH, WIDTH) @ p["Wo"] + p["bo"]
        h = norm(x, p["scale2"], p["shift2"])
        return x + jax.nn.gelu(h @ p["W1"] + p["b1"], approximate=False) @ p["W2"] + p["b2"]

    if workload.task == "forward":
        parameters, run = jax.tree.map(jnp.array, data.start), jax.jit(block)
        return repeated(lambda: np.asarray(run(parameters, data.held[0])), weighted)
    return gradient_descent_in_jax(jax, lambda p, x, y: jnp.mean((block(p, x) - y) ** 2), data, RATE)


def in_torch(torch: Any, workload: Workload, data: Data, compiled: bool = False) -> Program:
    F = torch.nn.functional

    def block(p: Parameters, x: Any) -> Any:
        h = F.layer_norm(x, (WIDTH,), p["scale1"], p["shift1"], EPSILON)
        q, k, v = (part.view(BATCH, LENGTH, HEADS, -1).transpose(1, 2) for part in (h @ p["Wqkv"] + p["bqkv"]).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v)
        x = x + mixed.transpose(1, 2).reshape(BATCH, LENGTH, WIDTH) @ p["Wo"] + p["bo"]
        h = F.layer_norm(x, (WIDTH,), p["scale2"], p["shift2"], EPSILON)
        return x + F.gelu(h @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]

    if workload.task == "forward":
        fixed = {name: torch.from_numpy(value) for name, value in data.start.items()}
        run = torch.compile(block) if compiled else block

        def step() -> Any:
            with torch.inference_mode():
                return run(fixed, torch.from_numpy(data.held[0])).numpy()

        return repeated(step, weighted)
    return gradient_descent_in_torch(torch, lambda p, x, y: F.mse_loss(block(p, x), y), data, RATE, compiled)


BUILDERS = {
    "flowc.compile": in_flowc_compile,
    "jax": in_jax,
    "torch": in_torch,
    "torch.compile": partial(in_torch, compiled=True),
}
