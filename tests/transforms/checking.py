"""`check(pass, before=..., after=...)`: a pass tested by text, and by value on random operands."""

import textwrap

import numpy as np

import flowc.ops  # noqa: F401  (fills the table of ops)
from flowc.ir.function import Function
from flowc.ir.interpret import interpret
from flowc.ir.text import parse_function
from flowc.ir.verify import verify

EXTENTS = {"b": 3, "c": 4, "n": 5, "n0": 3, "n1": 4}


def parse(text: str) -> Function:
    return verify(parse_function(textwrap.dedent(text)))


def operands(f: Function, seed: int = 0) -> list[np.ndarray]:
    """Random arrays for the params: positive and negative numbers, whole numbers from 0 to 4, truth values."""
    draw = np.random.default_rng(seed)
    arrays = []
    for param in f.params:
        dtype, shape = param.tensor.dtype, param.tensor.substitute(EXTENTS).dims
        if dtype.is_bool:
            arrays.append(draw.integers(0, 2, shape).astype(bool))
        elif dtype.is_int:
            arrays.append(draw.integers(0, 5, shape).astype(dtype.numpy))
        else:
            arrays.append(draw.normal(size=shape).astype(dtype.numpy))
    return arrays


def assert_same_values(f: Function, g: Function, rtol: float = 1e-5) -> None:
    arrays = operands(f)
    for wanted, got in zip(interpret(f, arrays), interpret(g, arrays), strict=True):
        assert wanted.dtype == got.dtype
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=1e-6)


def check(transform, before: str, after: str) -> Function:
    """`transform` makes exactly `after` of `before`, which is sound and has the same values."""
    f = parse(before)
    g = verify(transform(f))
    assert str(g) == str(parse(after))
    assert_same_values(f, g)
    return g


def unchanged(transform, text: str) -> None:
    check(transform, text, text)
