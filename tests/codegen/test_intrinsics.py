"""What generated source may call: the compiled form against the Python form."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from flowc.codegen import intrinsics
from tests.codegen.programs import both, run, same_bits

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 7.0, -7.0, 1e-40, 3e38]


def pairs(dtype: type) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(SPECIAL, SPECIAL)
    return x.ravel().astype(dtype), y.ravel().astype(dtype)


def test_importing_the_names_does_not_import_numba() -> None:
    code = "import sys, flowc.codegen.intrinsics, flowc.codegen.build; assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["minimum", "maximum"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_of_floats_propagate_nan(name: str, dtype: type) -> None:
    x, y = pairs(dtype)
    make = lambda: {"x": x.copy(), "y": y.copy(), "out": np.zeros_like(x)}
    compiled, plain = both(f"for i in range(n):\n    out[i] = {name}(x[i], y[i])", make, n=x.size)
    assert same_bits(compiled["out"], plain["out"])
    np.testing.assert_array_equal(compiled["out"], getattr(np, name)(x, y))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.uint64])
def test_extremes_of_whole_numbers(dtype: type) -> None:
    x = np.array([1, 200, 3, 0], dtype)
    arrays = {"x": x, "low": np.zeros_like(x), "high": np.zeros_like(x), "size": np.zeros_like(x)}
    run("for i in range(4):\n    low[i] = min(x[i], x[3 - i])\n    high[i] = max(x[i], x[3 - i])\n    size[i] = absolute(x[i])", arrays)
    assert arrays["low"].tolist() == np.minimum(x, x[::-1]).tolist()
    assert arrays["high"].tolist() == np.maximum(x, x[::-1]).tolist()
    assert arrays["size"].tolist() == x.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_and_roots_match_numpy(dtype: type) -> None:
    names = ("floor", "ceil", "trunc", "rint", "sqrt", "absolute", "isnan", "isinf")
    x = np.array(SPECIAL, dtype)
    kinds = {n: np.zeros(x.size, np.bool_ if n.startswith("is") else dtype) for n in names}
    arrays = {"x": x, **{"o_" + n: a for n, a in kinds.items()}}
    run("for i in range(n):\n" + "\n".join(f"    o_{n}[i] = {n}(x[i])" for n in names), arrays, n=x.size)
    with np.errstate(invalid="ignore"):
        for n in names:
            np.testing.assert_array_equal(arrays["o_" + n], getattr(np, n)(x), err_msg=n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "numpy_name"), [("mod", "mod"), ("floordiv", "floor_divide")])
def test_floor_division_and_its_remainder_match_numpy(name: str, numpy_name: str, dtype: type) -> None:
    x, y = pairs(dtype)
    arrays = {"x": x, "y": y, "out": np.zeros_like(x)}
    run(f"for i in range(n):\n    out[i] = {name}(x[i], y[i])", arrays, n=x.size)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(arrays["out"], getattr(np, numpy_name)(x, y))


@pytest.mark.parametrize("name", sorted(intrinsics.MATH))
def test_functions_of_f64_match_the_python_form(name: str) -> None:
    x = np.concatenate([np.array([v for v in SPECIAL if abs(v) < 1e9 or v != v or np.isinf(v)]), np.linspace(-3, 3, 41)])
    count = 2 if name in ("mod", "floordiv", "atan2", "divided") else 1
    arrays = {"x": x, "y": x[::-1].copy(), "out": np.zeros_like(x)}
    run(f"for i in range(n):\n    out[i] = {name}({'x[i], y[i]' if count == 2 else 'x[i]'})", arrays, n=x.size)
    want = [getattr(intrinsics, name)(*pair[:count]) for pair in zip(x, arrays["y"], strict=True)]
    np.testing.assert_allclose(arrays["out"], want, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_powers_match_numpy(dtype: type) -> None:
    arrays = {"x": np.array([2, -3, 7, 0], dtype), "y": np.array([10, 3, 0, 5], dtype), "out": np.zeros(4, dtype)}
    run("for i in range(4):\n    out[i] = power(x[i], y[i])", arrays)
    assert arrays["out"].tolist() == (arrays["x"] ** arrays["y"]).tolist()


def test_index_arithmetic_and_shares() -> None:
    body = """
for i in range(n):
    q[i] = quotient(i, 7)
    r[i] = remainder(i, 7)
    low[i] = lower_bound(100, i, n)
    high[i] = upper_bound(100, i, n)
"""
    make = lambda: {k: np.zeros(23, np.int64) for k in ("q", "r", "low", "high")}
    compiled, plain = both(body, make, n=23)
    for name in compiled:
        assert same_bits(compiled[name], plain[name]), name
    assert compiled["low"][0] == 0
    assert compiled["high"][-1] == 100
    assert (compiled["low"][1:] == compiled["high"][:-1]).all()


def test_bits_of_floats_and_back() -> None:
    from flowc.codegen.scalars import bits, from_bits

    assert int(bits(np.float32(1.0))) == 0x3F800000
    assert float(from_bits(np.int32(0x40000000))) == 2.0


def test_casts_match_numpy() -> None:
    x = np.array([-1.9, 0.0, 1.5, 100.7], np.float32)
    arrays = {"x": x, "i": np.zeros(4, np.int32), "d": np.zeros(4, np.float64), "b": np.array([True, False, True, True]), "f": np.zeros(4, np.float32)}
    run("for k in range(4):\n    i[k] = i32(x[k])\n    d[k] = f64(x[k])\n    f[k] = f32(b[k]) + f32(k)", arrays)
    assert arrays["i"].tolist() == x.astype(np.int32).tolist()
    assert arrays["d"].tolist() == x.astype(np.float64).tolist()
    assert arrays["f"].tolist() == [1, 1, 3, 4]


def test_local_arrays_are_private_scratch() -> None:
    body = """
row = local_f32(4)
for i in range(n):
    for j in range(4):
        row[j] = x[i * 4 + j]
    for j in range(4):
        out[i * 4 + j] = row[3 - j]
"""
    compiled, plain = both(body, lambda: {"x": np.arange(12, dtype=np.float32), "out": np.zeros(12, np.float32)}, n=3)
    assert same_bits(compiled["out"], plain["out"])


def test_selects_take_either_side() -> None:
    body = "for i in range(n):\n    out[i] = select(x[i] > f32(1.0), x[i], f32(-1.0))"
    compiled, plain = both(body, lambda: {"x": np.arange(4, dtype=np.float32), "out": np.zeros(4, np.float32)}, n=4)
    assert compiled["out"].tolist() == plain["out"].tolist() == [-1, -1, 2, 3]


def test_half_precision_is_rounded_at_every_operation() -> None:
    body = """
for i in range(n):
    out[i] = f16(f16(x[i] * f16(0.1)) + f16(i))
    wide[i] = f32(exp(x[i]))
"""
    x = np.linspace(-3, 3, 33).astype(np.float16)
    make = lambda: {"x": x.copy(), "out": np.zeros(33, np.float16), "wide": np.zeros(33, np.float32)}
    compiled, plain = both(body, make, n=33)
    assert same_bits(compiled["out"], plain["out"])
    np.testing.assert_allclose(compiled["wide"], plain["wide"], rtol=1e-3)
    want = x * np.float16(0.1) + np.arange(33).astype(np.float16)
    assert same_bits(compiled["out"], want)
