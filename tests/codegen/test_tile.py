"""The register tile: values, and that nothing outside is read or written."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from flowc.codegen import build, tile
from flowc.codegen.objects import load
from tests.codegen.programs import both, call, kernel_text, run, signatures, table

RNG = np.random.default_rng(0)
NUMBERS = ("out_at", "a_at", "b_at", "rows", "columns", "outer", "inner", "out_row", "a_row", "a_outer", "a_inner", "b_outer", "b_inner", "accumulate")


def body(dtype: str, mr: int, nv: int) -> str:
    return f"tile_{dtype}({mr}, {nv}, out, out_at, a, a_at, b, b_at, {', '.join(NUMBERS[3:])})"


def matmul_body(mr: int, width: int, nv: int) -> str:
    return f"""
for i in range(0, m, {mr}):
    for j in range(0, n, {width}):
        tile_f32({mr}, {nv}, c, i * n + j, a, i * k, b, j, min({mr}, m - i), min({width}, n - j), 1, k, n, k, 0, 1, 0, n, 0)
"""


class Guarded:
    """An array between NaN canaries; an untouched canary keeps its bits, and a read one shows in the result."""

    def __init__(self, values: np.ndarray, zone: int = 64) -> None:
        self.zone = zone
        self.whole = np.full(values.size + 2 * zone, np.nan, values.dtype)
        self.inside = self.whole[zone : zone + values.size]
        self.inside[:] = values.ravel()

    def intact(self) -> bool:
        return bool(np.isnan(self.whole[: self.zone]).all() and np.isnan(self.whole[-self.zone :]).all())


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_every_tail_is_right_and_touches_nothing_outside(dtype: str) -> None:
    numpy_type = {"f32": np.float32, "f64": np.float64}[dtype]
    lanes, mr, nv = tile.lanes(dtype), 3, 2
    sample = {"out": np.zeros(1, numpy_type), "a": np.zeros(1, numpy_type), "b": np.zeros(1, numpy_type)}
    numbers = dict.fromkeys(NUMBERS, 0)
    program = load(build.compile_source(kernel_text(body(dtype, mr, nv), sample, numbers), signatures(sample, numbers)))
    for rows in (1, 2, 3):
        for columns in (1, lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes):
            for inner, accumulate in ((0, 0), (0, 1), (1, 0), (5, 1)):
                a, b = Guarded(RNG.normal(size=(rows, inner)).astype(numpy_type)), Guarded(RNG.normal(size=(inner, columns)).astype(numpy_type))
                out = Guarded(RNG.normal(size=(rows, columns)).astype(numpy_type))
                before = out.inside.copy().reshape(rows, columns)
                numbers = {"out_at": 0, "a_at": 0, "b_at": 0, "rows": rows, "columns": columns, "outer": 1, "inner": inner, "out_row": columns, "a_row": inner,
                           "a_outer": 0, "a_inner": 1, "b_outer": 0, "b_inner": columns, "accumulate": accumulate}  # fmt: skip
                call(program, table({"out": out.inside, "a": a.inside, "b": b.inside}, numbers))
                want = a.inside.reshape(rows, inner).astype(np.float64) @ b.inside.reshape(inner, columns).astype(np.float64) + accumulate * before
                np.testing.assert_allclose(out.inside.reshape(rows, columns), want, rtol=1e-5, atol=1e-5)
                assert out.intact()
                assert a.intact()
                assert b.intact()


def test_all_strides_as_in_the_python_form() -> None:
    """A convolution's shape: two nested sums, rows of `a` that overlap, offsets everywhere."""
    lanes = tile.lanes("f32")
    numbers = {"out_at": 3, "a_at": 2, "b_at": 5, "rows": 4, "columns": lanes + 3, "outer": 3, "inner": 4, "out_row": lanes + 10, "a_row": 2, "a_outer": 9,
               "a_inner": 1, "b_outer": 5 * (lanes + 4), "b_inner": lanes + 4, "accumulate": 1}  # fmt: skip
    a, b, out = (RNG.normal(size=n).astype(np.float32) for n in (64, 800, 200))
    compiled, plain = both(body("f32", 5, 2), lambda: {"out": out.copy(), "a": a, "b": b}, **numbers)
    np.testing.assert_allclose(compiled["out"], plain["out"], rtol=2e-6, atol=2e-6)
    assert (compiled["out"] != out).sum() == 4 * (lanes + 3)


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (7, 5, 3), (13, 33, 17), (24, 64, 40)])
def test_a_product_of_tiles_is_the_matrix_product(m: int, n: int, k: int) -> None:
    mr, nv = tile.tile_shape("f32")
    a, b = RNG.normal(size=(m, k)).astype(np.float32), RNG.normal(size=(k, n)).astype(np.float32)
    arrays = {"a": a, "b": b, "c": np.full((m, n), np.nan, np.float32)}
    run(matmul_body(mr, nv * tile.lanes("f32"), nv), arrays, m=m, n=n, k=k)
    np.testing.assert_allclose(arrays["c"], a @ b, rtol=1e-4, atol=1e-4)


def test_nan_in_an_operand_reaches_its_row_only() -> None:
    a = np.ones((3, 4), np.float32)
    a[1, 2] = np.nan
    arrays = {"a": a, "b": np.ones((4, 5), np.float32), "c": np.zeros((3, 5), np.float32)}
    run(matmul_body(4, tile.lanes("f32"), 1), arrays, m=3, n=5, k=4)
    assert np.isnan(arrays["c"]).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(arrays["c"]).any(axis=1).tolist() == [False, True, False]


def test_kernels_share_one_function_per_shape() -> None:
    arrays = {name: np.zeros(4, np.float32) for name in "abc"}
    numbers = {"m": 1, "n": 1, "k": 1}
    two = matmul_body(4, 16, 1) + matmul_body(4, 16, 1)
    text = build.llvm_text(kernel_text(two, arrays, numbers), signatures(arrays, numbers))
    assert text.count("define internal void @flowc_tile_") + text.count("define internal fastcc void @flowc_tile_") == 1


@pytest.mark.parametrize("features", ["", "+avx,+avx2,+fma"])
def test_machines_with_narrower_vectors_compile_the_same_source(features: str) -> None:
    code = (
        "import numpy as np\n"
        "from tests.codegen.test_tile import test_a_product_of_tiles_is_the_matrix_product as check, tile\n"
        f"assert tile.lanes('f32') == {8 if features else 4}\n"
        "check(13, 33, 17)\n"
    )
    import os
    import platform

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("names features of x86")
    environment = {**os.environ, "FLOWC_CPU": "x86-64", "FLOWC_CPU_FEATURES": features}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
