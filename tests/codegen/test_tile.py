"""The register tile: values, and that nothing outside is read or written."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from flowc.codegen import build, tile, tile_parts, tile_text, vector_text
from flowc.codegen.objects import LoadedProgram, load
from tests.codegen.programs import both, call, kernel_text, same_bits, signatures, table

RNG = np.random.default_rng(0)
NUMBERS = [name for name in tile.PARAMETERS if name not in ("out", "a", "b")]


def body(dtype: str) -> str:
    return f"tile_{dtype}({', '.join(tile.PARAMETERS)})"


def plain(m: int, n: int, k: int, dtype: str = "f32", **given: int) -> dict[str, int]:
    """The numbers of a whole product, row by row."""
    unit = 64 // {"f32": 4, "f64": 8}[dtype]
    numbers = {"out_at": 0, "a_at": 0, "b_at": 0, "rows": m, "columns": n, "outer": 1, "inner": k, "out_row": n, "a_row": k, "a_outer": 0, "a_inner": 1,
               "b_unit": unit, "b_column": 1, "b_outer": 0, "b_inner": n, "accumulate": 0}  # fmt: skip
    return numbers | given


class Guarded:
    """An array between NaN canaries; an untouched canary keeps its bits, and a read one shows in the result."""

    def __init__(self, values: np.ndarray, zone: int = 64) -> None:
        self.zone = zone
        self.whole = np.full(values.size + 2 * zone, np.nan, values.dtype)
        self.inside = self.whole[zone : zone + values.size]
        self.inside[:] = values.ravel()

    def intact(self) -> bool:
        return bool(np.isnan(self.whole[: self.zone]).all() and np.isnan(self.whole[-self.zone :]).all())


@cache
def compiled(dtype: str) -> LoadedProgram:
    sample = {name: np.zeros(1, {"f32": np.float32, "f64": np.float64}[dtype]) for name in ("out", "a", "b")}
    numbers = dict.fromkeys(NUMBERS, 0)
    return load(build.compile_source(kernel_text(body(dtype), sample, numbers), signatures(sample, numbers)))


def check(m: int, n: int, k: int, dtype: str = "f32", transpose_a: bool = False, transpose_b: bool = False, accumulate: int = 0) -> None:
    """One product between guard zones against NumPy's in float64."""
    numpy_type = {"f32": np.float32, "f64": np.float64}[dtype]
    x, y = RNG.normal(size=(m, k)).astype(numpy_type), RNG.normal(size=(k, n)).astype(numpy_type)
    a, b = Guarded(x.T if transpose_a else x), Guarded(y.T if transpose_b else y)
    out = Guarded(RNG.normal(size=(m, n)).astype(numpy_type))
    before = out.inside.reshape(m, n).astype(np.float64)
    numbers = plain(m, n, k, dtype, accumulate=accumulate)
    if transpose_a:
        numbers |= {"a_row": 1, "a_inner": m}
    if transpose_b:
        numbers |= {"b_unit": numbers["b_unit"] * k, "b_column": k, "b_inner": 1}
    call(compiled(dtype), table({"out": out.inside, "a": a.inside, "b": b.inside}, numbers))
    want = x.astype(np.float64) @ y.astype(np.float64) + accumulate * before
    scale = {"f32": 1e-6, "f64": 1e-14}[dtype] * (k + 1)
    np.testing.assert_allclose(out.inside.reshape(m, n), want, rtol=scale, atol=scale)
    assert out.intact() and a.intact() and b.intact()


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("accumulate", [0, 1])
def test_every_tail_is_right_and_touches_nothing_outside(dtype: str, accumulate: int) -> None:
    lanes, most = vector_text.lanes(dtype), tile_parts.most_rows()
    for rows in range(1, most + 2):
        for columns in (1, lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes, 2 * lanes + 3):
            for inner in (0, 1, 5, 9):
                check(rows, columns, inner, dtype, accumulate=accumulate)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("shape", [
    (1, 40, 19), (3, 70, 8), (7, 33, 17), (8, 16, 16), (9, 17, tile_text.STRETCH + 1), (tile_text.MOST_ROWS + 3, 24, 12), (2, 300, 1030),
    (13, tile_text.MOST_UNITS * 16 + 5, 2 * tile_text.STRETCH), (11, 1, 10), (1, 1, 1), (129, 129, 40),
])  # fmt: skip
def test_products_of_every_form(shape: tuple[int, int, int], transpose_a: bool, transpose_b: bool) -> None:
    """Few rows that sweep, copies of the right operand, several stretches, blocks and parts."""
    check(*shape, transpose_a=transpose_a, transpose_b=transpose_b)
    check(*shape, transpose_a=transpose_a, transpose_b=transpose_b, accumulate=1)


def test_a_row_has_the_same_bits_in_any_block() -> None:
    """An element is one chain in the order of the sum, whatever is computed beside it."""
    x, y = RNG.normal(size=(40, 1100)).astype(np.float32), RNG.normal(size=(1100, 50)).astype(np.float32)
    whole = np.zeros((40, 50), np.float32)
    call(compiled("f32"), table({"out": whole, "a": x, "b": y}, plain(40, 50, 1100)))
    for first, count in ((0, 1), (5, 3), (11, 7), (20, 20)):
        part = np.zeros((count, 50), np.float32)
        call(compiled("f32"), table({"out": part, "a": x[first : first + count], "b": y}, plain(count, 50, 1100)))
        assert same_bits(part, whole[first : first + count])


def test_a_right_operand_may_lie_in_panels() -> None:
    x, y = RNG.normal(size=(20, 30)).astype(np.float32), RNG.normal(size=(30, 40)).astype(np.float32)
    panels = np.full((3, 30, 16), np.nan, np.float32)
    for j in range(40):
        panels[j // 16, :, j % 16] = y[:, j]
    out = np.zeros((20, 40), np.float32)
    call(compiled("f32"), table({"out": out, "a": x, "b": panels}, plain(20, 40, 30, b_unit=30 * 16, b_inner=16)))
    np.testing.assert_allclose(out, x @ y, rtol=1e-4, atol=1e-5)


def test_all_strides_as_in_the_python_form() -> None:
    """A convolution's shape: two nested sums, rows of `a` that overlap, offsets everywhere."""
    numbers = {"out_at": 3, "a_at": 2, "b_at": 5, "rows": 9, "columns": 19, "outer": 3, "inner": 4, "out_row": 24, "a_row": 2, "a_outer": 9, "a_inner": 1,
               "b_unit": 16, "b_column": 1, "b_outer": 80, "b_inner": 20, "accumulate": 1}  # fmt: skip
    a, b, out = (RNG.normal(size=n).astype(np.float32) for n in (64, 800, 300))
    compiled_run, plain_run = both(body("f32"), lambda: {"out": out.copy(), "a": a, "b": b}, **numbers)
    np.testing.assert_allclose(compiled_run["out"], plain_run["out"], rtol=2e-6, atol=2e-6)
    assert (compiled_run["out"] != out).sum() == 9 * 19


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("inner", [1, 4, 7, 8, 19, tile_text.STRETCH + 3])
def test_a_transposed_left_operand_of_several_sums_is_copied_with_all_of_them(dtype: str, inner: int) -> None:
    """As in a convolution's gradient to its filters: rows side by side, terms and sums far apart."""
    rows, columns, outer = 21, tile_text.COLUMNS_TO_COPY + 5, 3
    kind = {"f32": np.float32, "f64": np.float64}[dtype]
    a, b = RNG.normal(size=(outer, inner + 2, rows + 4)).astype(kind), RNG.normal(size=(outer * inner, columns)).astype(kind)
    out = np.zeros((rows, columns), kind)
    numbers = plain(rows, columns, inner, dtype, outer=outer, a_row=1, a_inner=rows + 4, a_outer=(inner + 2) * (rows + 4), b_outer=inner * columns)
    call(compiled(dtype), table({"out": out, "a": a, "b": b}, numbers))
    want = a[:, :inner, :rows].reshape(-1, rows).T.astype(np.float64) @ b
    np.testing.assert_allclose(out, want, rtol=1e-4 if dtype == "f32" else 1e-10, atol=1e-4 if dtype == "f32" else 1e-10)


def test_nan_in_an_operand_reaches_its_row_only() -> None:
    a = np.ones((3, 4), np.float32)
    a[1, 2] = np.nan
    out = np.zeros((3, 5), np.float32)
    call(compiled("f32"), table({"out": out, "a": a, "b": np.ones((4, 5), np.float32)}, plain(3, 5, 4)))
    assert np.isnan(out).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(out).any(axis=1).tolist() == [False, True, False]


def test_the_tiles_are_compiled_once_for_all_programs(tmp_path: Path) -> None:
    """In a new process with an empty cache: the library's object is kept beside the programs, which only name it."""
    code = (
        "import numpy as np, flowc\n"
        "@flowc.compile\n"
        "def f(x: flowc.f32[20, 30], y: flowc.f32[30, 40]): return flowc.matmul(x, y)\n"
        "x, y = np.ones((20, 30), np.float32), np.ones((30, 40), np.float32)\n"
        "assert (f(x, y) == 30).all()\n"
    )
    environment = {**os.environ, "FLOWC_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    kept = sorted(tmp_path.glob("*.o"))
    calling = [f for f in kept if b"flowc_tile_f32" in f.read_bytes()]
    defining = [f for f in calling if b"flowc_part_f32" in f.read_bytes()]
    assert len(defining) == 1 and len(calling) == 2
    before = defining[0].stat().st_mtime_ns
    subprocess.run([sys.executable, "-c", code.replace("40", "41")], check=True, env=environment)
    assert defining[0].stat().st_mtime_ns == before


@pytest.mark.parametrize(("features", "lanes", "most"), [("", 4, 6), ("+avx,+avx2,+fma", 8, 6)])
def test_machines_with_narrower_vectors_compile_the_same_source(features: str, lanes: int, most: int) -> None:
    code = (
        "from tests.codegen.test_tile import check, tile_parts, vector_text\n"
        f"assert (vector_text.lanes('f32'), tile_parts.most_rows()) == ({lanes}, {most})\n"
        "check(13, 33, 17)\ncheck(13, 33, 17, transpose_b=True)\ncheck(2, 33, 17)\n"
    )
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("names features of x86")
    environment = {**os.environ, "FLOWC_CPU": "x86-64", "FLOWC_CPU_FEATURES": features}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.parametrize("rows", [1, 6, 13])
def test_several_products_are_one_call(rows: int) -> None:
    """As many as a reduced-multiplication convolution has places in its window: small, and far apart by any step."""
    a, b, out = (RNG.normal(size=n).astype(np.float32) for n in (3 * rows * 9, 3 * 9 * 20, 3 * rows * 24))
    numbers = plain(rows, 20, 9, out_row=24)
    steps = {"count": 3, "out_step": rows * 24, "a_step": rows * 9, "b_step": 9 * 20}
    text = f"tiles_f32({', '.join((*tile.PARAMETERS, *tile.SEVERAL))})"
    compiled_run, plain_run = both(text, lambda: {"out": out.copy(), "a": a, "b": b}, **numbers, **steps)
    np.testing.assert_allclose(compiled_run["out"], plain_run["out"], rtol=1e-5, atol=1e-5)
    want = a.reshape(3, rows, 9) @ b.reshape(3, 9, 20)
    np.testing.assert_allclose(compiled_run["out"].reshape(3, rows, 24)[:, :, :20], want, rtol=1e-4, atol=1e-5)
    assert (compiled_run["out"].reshape(3, rows, 24)[:, :, 20:] == out.reshape(3, rows, 24)[:, :, 20:]).all()


@pytest.mark.parametrize(("rows", "columns", "inner"), [(1, 1, 1), (12, 32, 4), (23, 40, 97), (128, 70, 128), (150, 64, tile_text.STRETCH + 5), (24, 33, 0)])
def test_what_is_fetched_meanwhile_changes_no_bit(rows: int, columns: int, inner: int) -> None:
    """Nor does it matter whether there is anything at the places that are asked for."""
    a, b, out = (RNG.normal(size=max(n, 1)).astype(np.float32) for n in (rows * inner, inner * columns, rows * columns))
    numbers = plain(rows, columns, inner)
    plain_run, _ = both(body("f32"), lambda: {"out": out.copy(), "a": a, "b": b}, **numbers)
    state = np.zeros(8, np.float32)
    text = f"tile_ahead_f32({', '.join((*tile.PARAMETERS, *tile.AHEAD))})"
    for at, row in ((0, columns), (-(10**6), 10**5)):
        buffers = {"out": out.copy(), "a": a, "b": b, "ahead0": state, "ahead1": state, "ahead2": state}
        found, meaning = both(text, lambda given=buffers: {k: v.copy() for k, v in given.items()}, **numbers, ahead_at=at, ahead_row=row)
        assert same_bits(found["out"], plain_run["out"])
        np.testing.assert_allclose(meaning["out"], found["out"], rtol=1e-4, atol=1e-4)
