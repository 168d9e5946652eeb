"""Kernels that differ in names alone run one function."""

from __future__ import annotations

import numpy as np
import pytest

import flowc.ops  # noqa: F401
from flowc.codegen.shared import SharedFunctions, form
from flowc.ir.interpret import interpret
from flowc.ir.text import parse_function
from flowc.runtime.executable import build

FIRST = """def k0(tid, nthreads, x, out, b):
    # relu (model.py:1)
    for i in range(lower_bound(b, tid, nthreads), upper_bound(b, tid, nthreads)):
        t = x[i] * f32(2.0)
        out[i] = maximum(t, f32(0.0))
"""
TYPES = ("i64", "i64", "f32*", "f32*!", "i64")
RENAMED = """def k1(tid, nthreads, h_1, h_2, n):
    # relu (model.py:2)
    for j in range(lower_bound(n, tid, nthreads), upper_bound(n, tid, nthreads)):
        doubled = h_1[j] * f32(2.0)
        h_2[j] = maximum(doubled, f32(0.0))
"""


def test_names_and_comments_make_no_difference():
    assert form(FIRST) == form(RENAMED)
    functions = SharedFunctions()
    assert functions.find("k0", TYPES, FIRST) == "k0"
    assert functions.find("k1", TYPES, RENAMED) == "k0"


@pytest.mark.parametrize("change", [("2.0", "3.0"), ("maximum", "minimum"), ("x[i]", "out[i]"), ("b, tid", "b, nthreads"), ("t, f32(0.0)", "f32(0.0), t")])
def test_what_a_kernel_does_makes_a_difference(change):
    functions = SharedFunctions()
    functions.find("k0", TYPES, FIRST)
    assert functions.find("k1", TYPES, FIRST.replace("k0", "k1").replace(*change)) == "k1"


@pytest.mark.parametrize(("one", "other"), [("inf", "nan"), ("f32(1e-05)", "f32(1e-06)"), ("x[i] - b", "b - x[i]"), ("k_1[i]", "x[i]")])
def test_names_that_the_kernel_does_not_bind_are_what_they_are(one, other):
    assert form(FIRST.replace("f32(2.0)", one)) != form(FIRST.replace("f32(2.0)", other))


def test_types_make_a_difference():
    functions = SharedFunctions()
    functions.find("k0", TYPES, FIRST)
    assert functions.find("k1", ("i64", "i64", "f64*", "f32*!", "i64"), FIRST) == "k1"


def test_layers_of_one_shape_are_compiled_once():
    layers = "".join(f"    m{i}: f32[b, 6] = matmul({f'h{i - 1}' if i else 'x'}, w{i})\n    h{i}: f32[b, 6] = tanh(m{i})\n" for i in range(5))
    params = ", ".join(f"w{i}: f32[6, 6]" for i in range(5))
    network = parse_function(f"def network(x: f32[b, 6], {params}):\n{layers}    return h4\n")
    executable = build(network)
    assert len(executable.kernels) == 5
    assert executable.source.count("def k") == 1
    rng = np.random.default_rng(0)
    args = [rng.standard_normal((3, 6)).astype(np.float32), *(rng.standard_normal((6, 6)).astype(np.float32) for _ in range(5))]
    np.testing.assert_allclose(executable.run(args)[0], interpret(network, args)[0], rtol=1e-4, atol=1e-6)
