"""A training step with a product, a reduction and an update, which several tests of the runtime run."""

import numpy as np

from flowc.ir.text import parse_function

STEP = parse_function(
    """def step(x: f32[b, 30], w: f32[30, 17], y: f32[b, 17]):
    m: f32[b, 17] = matmul(x, w)
    d: f32[b, 17] = sub(m, y)
    s: f32[b, 17] = square(d)
    loss: f32 = reduce_sum(s)
    g: f32[30, 17] = matmul(x, d, transpose_a=True)
    u: f32[30, 17] = mul(g, 0.01)
    w1: f32[30, 17] = sub(w, u)
    w[...] = w1
    return loss
"""
)


def arguments(b):
    """x, w and y for a batch of `b`."""
    rng = np.random.default_rng(5)
    return [rng.random(shape, np.float32) for shape in ((b, 30), (30, 17), (b, 17))]
