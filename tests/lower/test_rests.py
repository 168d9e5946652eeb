"""Sums over rows that are no whole number of vectors: kernels by text, before and after."""

from __future__ import annotations

import numpy as np
import pytest

from flowc.ir.interpret import interpret
from flowc.ir.text import parse_function
from flowc.lower.rests import SPLIT, with_rests
from flowc.runtime.executable import build
from tests.codegen.programs import same_bits
from tests.lower.rewriting import rewritten


def test_the_rest_of_a_row_is_a_sum_of_its_own() -> None:
    before = """
        for row in parallel(n):
            total: f32 = 0.0
            largest: f32 = -inf
            for j in serial(1000):
                v = x[1000 * row + j]
                total += v
                largest = larger(largest, v)
            out[row] = total + largest
    """
    after = """
    for row in parallel(n):
        total: f32 = 0.0
        largest: f32 = -inf
        for j in serial(960):
            v = x[1000 * row + j]
            total += v
            largest = larger(largest, v)
        total_rest: f32 = 0.0
        largest_rest: f32 = -inf
        for j_rest in serial(40):
            v_rest = x[1000 * row + (j_rest + 960)]
            total_rest += v_rest
            largest_rest = larger(largest_rest, v_rest)
        total += total_rest
        largest = larger(largest, largest_rest)
        out[row] = total + largest
    """
    assert rewritten(with_rests, before) == after.strip("\n").rstrip()


def test_the_rest_of_a_loop_that_applies_functions_is_as_small_as_can_be() -> None:
    text = rewritten(with_rests, "total: f32 = 0.0\nfor j in serial(1000):\n    total += exp(x[j])\nout[0] = total")
    assert "for j in serial(992)" in text and "for j_rest in serial(8)" in text
    whole = "total: f32 = 0.0\nfor j in serial(992):\n    total += exp(x[j])"
    assert rewritten(with_rests, whole) == "\n".join(f"    {line}" for line in whole.splitlines())


def test_names_that_are_taken_stay_as_they_are() -> None:
    text = rewritten(with_rests, "total_rest = x[0]\ntotal: f32 = 0.0\nfor j in serial(300):\n    total += x[j] * total_rest\nout[0] = total")
    assert "total_rest_1: f32 = 0.0" in text and "total_rest_1 += x[j_rest + 256] * total_rest" in text


@pytest.mark.parametrize(
    "body",
    [
        "total: f32 = 0.0\nfor j in serial(1024):\n    total += x[j]",  # no rest
        f"total: f32 = 0.0\nfor j in serial({SPLIT[0] - 1}):\n    total += x[j]",
        f"total: f32 = 0.0\nfor j in serial({SPLIT[-1] + 1}):\n    total += x[j]",
        "total: f32 = 0.0\nfor j in serial(n):\n    total += x[j]",
        "total: f32 = 0.0\nfor j in serial(3, 1000):\n    total += x[j]",
        "total: f32 = x[0]\nfor j in serial(1000):\n    total += x[j]",  # its start would be added twice
        "total: f32 = 0.0\nfor j in serial(1000):\n    total += x[j]\n    out[j] = total",  # a running sum
        "total: f32 = 0.0\nfor j in serial(1000):\n    total = x[j]",  # no sum: the last one
        "total: f32 = 0.0\nfor j in serial(1000):\n    if x[j] < 0.0:\n        total += x[j]",
        "for j in vector(1000):\n    out[j] = x[j]",
    ],
)
def test_other_loops_stay(body: str) -> None:
    assert rewritten(with_rests, body) == "\n".join(f"    {line}" for line in body.splitlines())


@pytest.mark.parametrize("columns", [SPLIT[0], 300, 1000, 2049, SPLIT[-1]])
def test_every_row_has_the_same_bits_wherever_it_stands_and_agrees_with_the_interpreter(columns: int) -> None:
    f = parse_function(f"""def f(x: f32[r, {columns}]):
        s: f32[r, 1] = reduce_sum(x, axis=(1,), keepdims=True)
        m: f32[r] = reduce_max(x, axis=(1,))
        p: f32[r] = reduce_prod(x, axis=(1,))
        d: f32[r, {columns}] = sub(x, s)
        q: f32[r] = reduce_sum(d, axis=(1,))
        return s, m, p, q
    """)
    x = np.tile(1.0 + 0.01 * np.random.default_rng(0).standard_normal(columns, np.float32), (37, 1)).astype(np.float32)
    got = build(f).run([x])
    for mine, theirs in zip(got, interpret(f, [x]), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-3 * columns)
        assert same_bits(mine, np.broadcast_to(mine[:1], mine.shape).copy())
    x[5, -1] = np.nan
    with np.errstate(all="ignore"):
        assert all(np.isnan(result[5]).all() and not np.isnan(np.delete(result, 5, 0)).any() for result in build(f).run([x]))
