"""Functions as bytes for another process."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

import flowc.ops  # noqa: F401 (Functions are made of them)
from flowc.ir.function import Builder
from flowc.ir.node import LARGE
from flowc.ir.packed import pack, unpack
from flowc.ir.text import parse_function
from flowc.ir.types import F32, F64
from flowc.ir.verify import verify
from tests.ir.test_text import functions

IN_ANOTHER_PROCESS = """
import sys
import flowc.ops
from flowc.ir.packed import unpack
f = unpack(sys.stdin.buffer.read())
used = {n.tensor.dims: n for n in (*f.params, *f.nodes)}     # extents are found by their hash
assert all(used[n.tensor.dims] for n in f.params)
from flowc.ir.dims import Sym
assert f.params[0].tensor.dims[0] == Sym.named("b") and f.params[0].tensor.dims[0] in {Sym.named("b")}
print(f, end="")
"""


@settings(max_examples=150, deadline=None)
@given(functions())
def test_a_random_function_comes_back_as_it_was(f):
    assert str(verify(unpack(pack(f)))) == str(f)


def test_functions_that_call_others_come_back_and_share_what_they_call():
    f = with_calls()
    found = unpack(pack(f))
    assert str(found) == str(f)
    assert len(found.callees()) == 1


def test_another_process_with_other_hashes_of_strings_reads_the_same_function():
    f = parse_function("def f(x: f32[b, 4], n: f32[b//2 + 1]):\n    y: f32[2*b, 2] = reshape(x, shape=(2*b, 2))\n    return y")
    for seed in ("1", "2"):
        process = subprocess.run(
            [sys.executable, "-c", IN_ANOTHER_PROCESS], input=pack(f), stdout=subprocess.PIPE, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        )
        assert process.stdout.decode() == str(f)


@pytest.mark.parametrize("make", [np.zeros, np.ones], ids=["zeros", "ones"])
def test_a_large_constant_of_equal_elements_keeps_them(make):
    array = make((LARGE // 8 + 1,), np.float64)
    value = unpack(pack(with_constant(array, F64))).nodes[0].attrs["value"]
    assert value.is_uniform and value.array.dtype == np.float64
    np.testing.assert_array_equal(value.array, array)


def test_a_large_constant_of_other_elements_leaves_them_behind():
    array = np.random.default_rng(0).random((300, 400), np.float32)
    data = pack(with_constant(array, F32))
    value = unpack(data).nodes[0].attrs["value"]
    assert len(data) < 1000
    assert value.array.shape == (300, 400) and value.array.dtype == np.float32
    assert not value.is_uniform, "passes make one number of equal elements"


def test_a_small_constant_keeps_its_bits():
    array = np.array([0.0, -0.0, np.nan, np.inf, 1e-45], np.float32)
    value = unpack(pack(with_constant(array, F32))).nodes[0].attrs["value"]
    assert value.array.tobytes() == array.tobytes()


def test_a_deep_function_takes_no_deep_recursion():
    b = Builder("deep")
    x = b.param("x", F32[3])
    for _ in range(5000):
        x = b.apply("tanh", x)
    f = b.finish([x])
    assert len(unpack(pack(f)).nodes) == 5000


def with_constant(array, dtype):
    b = Builder("f")
    x = b.param("x", dtype[array.shape])
    return b.finish([b.apply("add", x, b.constant(array))])


def with_calls():
    from flowc.transforms.pipeline import optimize

    text = "def f(x: f32[b, 4], w: f32[4]):\n    y: f32[b, 4] = mul(x, w)\n    s: f32[b] = reduce_sum(y, axis=(1,))\n    return s"
    f = optimize(parse_function(text))
    assert f.callees()
    return f
