"""What innermost loops compute alike in every iteration: kernels by text, before and after."""

from __future__ import annotations

import numpy as np
import pytest

from flowc.ir.interpret import interpret
from flowc.ir.text import parse_function
from flowc.lower.invariants import LEAST, with_invariants
from flowc.runtime.executable import build
from tests.codegen.programs import same_bits
from tests.lower.rewriting import rewritten


def test_a_name_with_one_value_goes_before_the_loop_and_what_is_divided_by_it_is_marked() -> None:
    before = """
        for row in parallel(n):
            total: f32 = 0.0
            for j in vector(1000):
                total += x[1000 * row + j]
            for j_1 in vector(1000):
                mean = total / 1000.0
                rest = x[1000 * row + j_1] - mean
                root = sqrt(total)
                out[1000 * row + j_1] = rest / root
    """
    after = """
    for row in parallel(n):
        total: f32 = 0.0
        for j in vector(1000):
            total += x[1000 * row + j]
        mean = divided(total, 1000.0)
        root = sqrt(total)
        for j_1 in vector(1000):
            rest = x[1000 * row + j_1] - mean
            out[1000 * row + j_1] = divided(rest, root)
    """
    assert rewritten(with_invariants, before) == after.strip("\n").rstrip()


@pytest.mark.parametrize(
    ("loop", "value"),
    [
        (f"vector({LEAST - 1})", "x[i] / f32(n)"),  # short
        ("vector(n)", "x[i] / 4.0"),  # a power of two: a product anyway
        ("vector(n)", "x[i] / y[i]"),  # another divisor each time
        ("vector(n)", "x[i] / y[0]"),  # which the loop may overwrite, for all that is known here
        ("vector(n)", "x[i] // 3.0"),
        ("vector(n)", "3.0 / x[i]"),
    ],
)
def test_other_divisions_stay(loop: str, value: str) -> None:
    assert "divided" not in rewritten(with_invariants, f"for i in {loop}:\n    out[i] = {value}")


@pytest.mark.parametrize("loop", [f"vector({LEAST})", "vector(n)"])
def test_a_long_loop_divides_by_what_stays_through_its_reciprocal(loop: str) -> None:
    assert rewritten(with_invariants, f"for i in {loop}:\n    out[i] = x[i] / f32(n)") == f"    for i in {loop}:\n        out[i] = divided(x[i], f32(n))"


def test_a_quotient_by_a_constant_outside_innermost_loops_goes_through_its_reciprocal_too() -> None:
    before = """
        for row in parallel(n):
            total: f32 = 0.0
            for j in vector(10):
                total += x[10 * row + j]
            if row > 2:
                out[row] = total / 10.0 + total / 8.0
            else:
                out[row] = 10.0 / total
    """
    after = rewritten(with_invariants, before)
    assert "out[row] = divided(total, 10.0) + total / 8.0" in after and "out[row] = 10.0 / total" in after


@pytest.mark.parametrize("loop", ["vector(4)", f"vector({LEAST})", "vector(n)", "parallel(n)", "serial(n)"])
def test_any_loop_divides_by_a_constant_through_its_reciprocal(loop: str) -> None:
    assert rewritten(with_invariants, f"for i in {loop}:\n    out[i] = x[i] / 3.0") == f"    for i in {loop}:\n        out[i] = divided(x[i], 3.0)"


def test_a_name_that_follows_a_changing_one_stays() -> None:
    body = "for i in vector(n):\n    a = x[i]\n    b = a * 2.0\n    out[i] = b"
    assert rewritten(with_invariants, body) == "\n".join(f"    {line}" for line in body.splitlines())


@pytest.mark.parametrize(
    "body",
    [
        "k = n // n\na = y[k]\nout[i] = a",  # a quotient by 0 where there is nothing to do
        "a = f32(n)\nout[i] = a\na = f32(n + 3)\ny[i] = a",  # two values under one name
        "a = y[0]\nout[i] = a",  # which the loop may overwrite
    ],
)
def test_what_could_differ_or_fail_stays(body: str) -> None:
    text = "for i in vector(n):\n" + "\n".join(f"    {line}" for line in body.splitlines())
    assert rewritten(with_invariants, text) == "\n".join(f"    {line}" for line in text.splitlines())


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@np.errstate(all="ignore")
def test_programs_that_divide_by_one_number_agree_with_numpy(dtype: str) -> None:
    """Special values by special divisors, on vectors and what is left over of them."""
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -3.0, 1e-30, 3e38, 7e-39, 1e-45])
    x = np.concatenate([special, np.random.default_rng(3).standard_normal(LEAST + 8)]).astype(dtype.replace("f", "float"))
    f = parse_function(f"def main(x: {dtype}[n], s: {dtype}):\n    y: {dtype}[n] = div(x, s)\n    return y\n")
    program = build(f)
    assert "divided(" in program.source
    for divisor in x[: special.size + 4]:
        agree_with_numpy(x, program.run([x, divisor])[0], interpret(f, [x, divisor])[0])


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("divisor", ["3.0", "-1000.0", "1e-38", "3e38", "1e-45", "0.0", '"inf"', '"nan"'])
@np.errstate(all="ignore")
def test_programs_that_divide_by_a_constant_agree_with_numpy(dtype: str, divisor: str) -> None:
    """Few elements, one number, and special values."""
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -3.0, 1e-30, 3e38, 7e-39, 1e-45, 7.5], dtype.replace("f", "float"))
    f = parse_function(f"""def main(x: {dtype}[12], s: {dtype}):
    y: {dtype}[12] = div(x, {dtype}({divisor}))
    z: {dtype} = div(s, {dtype}({divisor}))
    return y, z
""")
    program = build(f)
    for number in x:
        for got, want in zip(program.run([x, number]), interpret(f, [x, number]), strict=True):
            agree_with_numpy(x, np.atleast_1d(got), np.atleast_1d(want))


def agree_with_numpy(x: np.ndarray, got: np.ndarray, want: np.ndarray) -> None:
    """To the last bit but one, and where results are denormal as closely as they are."""
    normal = np.abs(want) > np.finfo(x.dtype).tiny * 2**60
    whole = ~np.isfinite(want) | (want == 0)
    assert same_bits(got[whole], want[whole])
    np.testing.assert_array_max_ulp(got[~whole & normal], want[~whole & normal], 1)
    np.testing.assert_allclose(got[~whole & ~normal], want[~whole & ~normal], rtol=1e-5, atol=np.finfo(x.dtype).smallest_subnormal)
