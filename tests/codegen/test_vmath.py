"""Transcendental functions of f32: accuracy, special values, and equal bits in NumPy and compiled code."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from flowc.codegen import vmath
from tests.codegen.programs import run, same_bits

RNG = np.random.default_rng(0)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 88.72, 88.73, -87.4, -103, -104, 89, 1e6, -1e30]
with np.errstate(invalid="ignore"):
    ANY_BITS = RNG.integers(0, 2**32, 60000, dtype=np.uint64).astype(np.uint32).view(np.float32).astype(np.float64)
POINTS = np.concatenate([
    ANY_BITS, RNG.uniform(-110, 100, 40000), RNG.normal(size=40000),
    RNG.uniform(-1e-3, 1e-3, 10000), np.linspace(-10, 10, 20001), SPECIAL,
]).astype(np.float32)  # fmt: skip


def sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


CASES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "exp": (np.exp, 1.2), "log": (np.log, 1.0), "expm1": (np.expm1, 1.9), "log1p": (np.log1p, 2.0), "tanh": (np.tanh, 3.0), "sigmoid": (sigmoid, 2.5),
    "sin": (np.sin, 1.5), "cos": (np.cos, 1.5), "tan": (np.tan, 3.5), "erf": (np.vectorize(math.erf), 2.0),
}  # fmt: skip


def units_off(got: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units in the last place; infinite where a special value is wrong."""
    with np.errstate(over="ignore"):
        want = exact.astype(np.float32)
    finite = np.isfinite(want) & np.isfinite(got)
    if not (finite | (got == want) | (np.isnan(got) & np.isnan(want))).all():
        return math.inf
    unit = np.maximum(np.spacing(np.abs(want[finite])).astype(np.float64), 2.0**-149)
    return float((np.abs(got[finite].astype(np.float64) - exact[finite]) / unit).max())


@pytest.mark.parametrize("name", CASES)
@np.errstate(all="ignore")
def test_values_are_accurate_and_special_values_as_in_numpy(name: str) -> None:
    exact, limit = CASES[name]
    got = getattr(vmath, name + "_f32")(POINTS)
    assert got.dtype == np.float32
    assert units_off(got, exact(POINTS.astype(np.float64))) <= limit


@pytest.mark.parametrize("name", CASES)
@np.errstate(all="ignore")
def test_compiled_code_gives_the_bits_of_the_python_text(name: str) -> None:
    arrays = {"x": POINTS.copy(), "out": np.zeros_like(POINTS)}
    run(f"for i in range(n):\n    out[i] = {name}(x[i])", arrays, n=POINTS.size)
    assert same_bits(arrays["out"], getattr(vmath, name + "_f32")(POINTS))


@np.errstate(all="ignore")
def test_one_scalar_gives_the_bits_of_the_array() -> None:
    for name in CASES:
        function = getattr(vmath, name + "_f32")
        one = np.array([function(x) for x in POINTS[-40:]])
        assert same_bits(one, function(POINTS[-40:])), name


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "sin", "tan", "erf"])
def test_the_sign_of_zero_is_kept(name: str) -> None:
    got = getattr(vmath, name + "_f32")(np.array([0.0, -0.0], np.float32))
    assert np.signbit(got).tolist() == [False, True]


@np.errstate(all="ignore")
def test_powers_are_rounded_once_and_special_values_as_in_numpy() -> None:
    special = np.array([*SPECIAL, 2, -2, 3, -3, 0.5, -0.5, 16777216, 16777217, 2.5], np.float32)
    x, y = (a.ravel() for a in np.meshgrid(special, special))
    x = np.concatenate([x, RNG.uniform(0, 50, 20000), np.exp(RNG.uniform(-80, 80, 20000)), RNG.uniform(-9, 0, 500)]).astype(np.float32)
    y = np.concatenate([y, RNG.uniform(-20, 20, 20000), RNG.uniform(-3, 3, 20000), RNG.integers(-9, 9, 500)]).astype(np.float32)
    exact = np.power(x.astype(np.float64), y.astype(np.float64))
    arrays = {"x": x, "y": y, "out": np.zeros_like(x)}
    run("for i in range(n):\n    out[i] = power(x[i], y[i])", arrays, n=x.size)
    assert units_off(arrays["out"], exact) <= 0.51
    assert same_bits(arrays["out"], vmath.power_f32(x, y))
    zero = exact == 0
    assert (np.signbit(arrays["out"][zero]) == np.signbit(exact[zero])).all()
