"""Functions taken apart into what has rows and what needs them all: by text, op by op, and that both parts together mean the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import flowc.ops  # noqa: F401
from flowc.ir.function import Function
from flowc.ir.interpret import interpret
from flowc.ir.text import parse_function
from flowc.transforms.pipeline import optimize
from flowc.transforms.rows import Split, split
from tests.lower.functions import arguments, functions


def taken_apart(text: str) -> Split:
    found = split(parse_function(text))
    assert found is not None
    return found


def test_what_has_rows_is_one_function_and_the_rest_reads_its_last_values():
    found = taken_apart("""def f(x: f32[b, 784], w: f32[784, 10], t: f32[b]):
    h: f32[b, 10] = matmul(x, w)
    v0: f32[b, 10] = relu(h)
    v1: f32[b] = reduce_max(v0, axis=(1,))
    v2: f32[b] = sub(v1, t)
    v3: f32 = reduce_sum(v2)
    return v3, w
""")
    assert str(found.rows) == """def f_rows(x: f32[b, 784], w: f32[784, 10], t: f32[b]):
    h: f32[b, 10] = matmul(x, w)
    v0: f32[b, 10] = relu(h)
    v1: f32[b] = reduce_max(v0, axis=(1,))
    v2: f32[b] = sub(v1, t)
    return v2
"""
    assert str(found.rest) == """def f_rest(x: f32[b, 784], w: f32[784, 10], t: f32[b], rows_0: f32[b]):
    v0: f32 = reduce_sum(rows_0)
    return v0, w
"""
    assert found.params == ((0, True), (1, False), (2, True)) and found.symbol == "b"


def test_updates_and_what_they_need_are_the_rests():
    found = taken_apart("""def f(x: f32[b, 3], w: f32[3, 3]):
    h: f32[b, 3] = matmul(x, w)
    v0: f32[3, 3] = matmul(x, h, transpose_a=True)
    v1: f32[3, 3] = sub(w, v0)
    w[...] = v1
    return h
""")
    assert [n.op.name for n in found.rows.nodes] == ["matmul"]
    assert [n.op.name for n in found.rest.nodes] == ["matmul", "sub"] and len(found.rest.updates) == 1


HAVE = {
    "map with a broadcast operand": "v: f32[b, 4, 6, 2] = add(x, w)",
    "map of two": "v: f32[b, 4, 6, 2] = mul(x, x)",
    "reduction over other axes": "v: f32[b, 2] = reduce_sum(x, axis=(1, -2))",
    "product": "v: f32[b, 4, 6, 3] = matmul(x, u)",
    "batched product": "v: f32[b, 4, 6, 6] = matmul(x, x, transpose_b=True)",
    "convolution": "v: f32[b, 4, 6, 5] = conv2d(x, k)",
    "pooling": "v: f32[b, 2, 3, 2] = max_pool(x, ksize=(2, 2), strides=(2, 2), padding=\"VALID\")",
    "reshape": "v: f32[b, 48] = reshape(x, shape=(b, 48))",
    "transposition behind the first axis": "v: f32[b, 2, 4, 6] = transpose(x, perm=(0, 3, 1, 2))",
    "padding behind the first axis": "v: f32[b, 4, 6, 4] = pad(x, paddings=((0, 0), (0, 0), (0, 0), (1, 1)))",
    "slice behind the first axis": "v: f32[b, 4, 6, 1] = slice(x, begin=(None, None, None, 1), end=(None, None, None, 2), stride=(1, 1, 1, 1))",
    "concatenation along another axis": "v: f32[b, 4, 6, 4] = concat(x, x, axis=3)",
    "places of extremes": "v: i64[b, 6, 2] = argmax(x, axis=1)",
    "rows looked up": "v: f32[b, 3] = gather(u, i)",
    "one hot": "v: f32[b, 3] = one_hot(i, depth=3)",
}
HAVE_NOT = {
    "map that broadcasts to the first axis": "v: f32[b, b] = add(s, t)",
    "reduction over the batch": "v: f32[4, 6, 2] = reduce_sum(x, axis=(0,))",
    "transposed product": "v: f32[b, b] = matmul(p, p, transpose_b=True)",
    "product over the batch": "v: f32[3, 3] = matmul(p, p, transpose_a=True)",
    "transposition": "v: f32[3, b] = transpose(p, perm=(1, 0))",
    "reversed batch": "v: f32[b, 3] = reverse(p, axis=(0,))",
    "slice of the batch": "v: f32[b, 3] = slice(p, begin=(None, None), end=(None, None), stride=(-1, 1))",
    "running sum along the batch": "v: f32[b, 3] = cumsum(p, axis=0)",
    "concatenation along the batch": "v: f32[2*b, 3] = concat(p, p, axis=0)",
    "rows looked up in the batch": "v: f32[b, 3] = gather(p, i)",
    "random draws": "v: f32[b, 3] = random_uniform(n, p, shape=(b, 3), seed=1, dtype=f32)",
}
HEAD = "def f(x: f32[b, 4, 6, 2], w: f32[2], u: f32[2, 3], k: f32[3, 3, 2, 5], i: i32[b], p: f32[b, 3], s: f32[b, 1], t: f32[1, b], n: u64):\n"


@pytest.mark.parametrize("line", HAVE.values(), ids=list(HAVE))
def test_rows_of_these_depend_on_the_same_rows(line: str):
    f = parse_function(f"{HEAD}    {line}\n    return v\n")
    found = split(f)
    assert found is not None and len(found.rows.nodes) == 1 and not found.rest.nodes
    args = arguments(f, 5, 0)
    args[4] %= 2
    args[0], args[5] = args[0] + np.arange(5).reshape(5, 1, 1, 1), args[5] + 1  # rows differ
    args = [a.astype(p.tensor.dtype.numpy) for a, p in zip(args, f.params, strict=True)]
    (whole,) = interpret(f, args)
    for row in range(5):
        (one,) = interpret(found.rows, [args[position][row : row + 1] if has else args[position] for position, has in found.params])
        np.testing.assert_allclose(one[0], whole[row], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("line", HAVE_NOT.values(), ids=list(HAVE_NOT))
def test_rows_of_these_do_not(line: str):
    try:
        f = parse_function(f"{HEAD}    {line}\n    return v\n")
    except Exception as error:
        pytest.fail(f"{line}: {error}")
    assert split(f) is None


def test_what_knows_the_size_of_the_batch_needs_it_whole():
    assert split(parse_function("def f(x: f32[b, 3]):\n    v0: f32 = dim(value=b, dtype=f32)\n    v1: f32[b, 3] = mul(x, v0)\n    return v1\n")) is None


def both(f: Function, args: list[np.ndarray], size: int) -> list[np.ndarray] | None:
    """What the two parts give for slices of `size` rows."""
    found = split(f)
    if found is None:
        return None
    batch = next(args[position].shape[0] for position, has in found.params if has)
    parts = []
    for begin in range(0, batch, size):
        parts.append(interpret(found.rows, [args[p][begin : begin + size] if has else args[p] for p, has in found.params]))
    return interpret(found.rest, [*args, *(np.concatenate(pieces) for pieces in zip(*parts, strict=True))])


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(functions(steps=12), st.integers(2, 7), st.integers(1, 3), st.integers(0, 2**16))
def test_both_parts_mean_what_the_function_means(f: Function, b: int, size: int, seed: int):
    f = optimize(f, until="resimplify")
    args = arguments(f, b, seed)
    found = both(f, args, size)
    if found is not None:
        for got, want in zip(found, interpret(f, args), strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5 * max(1.0, float(np.max(np.abs(want[np.isfinite(want)]), initial=0.0))))
