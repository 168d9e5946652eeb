"""How far compiled functions are from exact values: documented bounds, exact values in f64 (or wider), errors in units in the last place.

    worst = error(got, exact)                 # of f32 results against f64 values; infinite where a special value or a zero's sign is wrong
    documented()["exp"].f32                   # 1.03, from docs/functions.md
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowc.codegen import build, host
from flowc.codegen.objects import LoadedProgram, load
from tests.codegen.programs import kernel_text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "functions.md"
BLOCK = 1 << 22  # arguments that are looked at together


def sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


EXACT: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp, "log": np.log, "expm1": np.expm1, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": sigmoid, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "erf": np.vectorize(math.erf, otypes=[np.float64]), "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the table in docs/functions.md. f32, f64: the largest errors in ulp; f64 is None where the C library computes it."""

    f32: float
    f64: float | None


def documented() -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        if line.startswith("| `") and len(cells) == 4:
            f32, f64 = (float(c.split()[0]) if c[0].isdigit() else None for c in cells[1:3])
            assert f32 is not None
            rows[cells[0].strip("`")] = Row(f32, f64)
    return rows


def error(got: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units in the last place of `got`'s dtype; infinite where NaN, infinity or the sign of a zero is wrong."""
    with np.errstate(all="ignore"):
        want = exact.astype(got.dtype)
    finite = np.isfinite(want) & np.isfinite(got)
    same = finite | (got == want) | (np.isnan(got) & np.isnan(want))
    signs = (got != 0) | (want != 0) | (np.signbit(got) == np.signbit(want))
    if not (same & signs).all():
        return math.inf
    unit = np.spacing(np.abs(want[finite])).astype(exact.dtype)
    return float((np.abs(got[finite].astype(exact.dtype) - exact[finite]) / unit).max(initial=0))


@contextmanager
def processor(name: str, features: str) -> Iterator[None]:
    """Compile for another processor than the host's inside a `with` block."""
    patch = pytest.MonkeyPatch()
    cached = (host.host, host.vector_bytes, host.fused)
    try:
        patch.setenv("FLOWC_CPU", name)
        patch.setenv("FLOWC_CPU_FEATURES", features)
        for function in cached:
            function.cache_clear()
        yield
    finally:
        patch.undo()
        for function in cached:
            function.cache_clear()


def map_text(call: str, dtype: str, operands: tuple[str, ...] = ("x",), optimised: bool = True) -> str:
    """The LLVM text of a kernel that applies `call`, written over `x[i]`, to every element."""
    text, signatures = _map_source(call, dtype, operands)
    return build.llvm_text(text, signatures, optimised=optimised)


def _map_source(call: str, dtype: str, operands: tuple[str, ...]) -> tuple[str, dict[str, tuple[str, ...]]]:
    zero = np.zeros(1, np.float32 if dtype == "f32" else np.float64)
    text = kernel_text(f"for i in range(n):\n    out[i] = {call}", {**dict.fromkeys(operands, zero), "out": zero}, {"n": 1})
    kernel = ("i64", "i64", *[f"{dtype}*"] * len(operands), f"{dtype}*!", "i64")
    return text, {"k0": kernel, "program": ("i64", "i64", "i64*")}


class Map:
    """A compiled function over arrays: `Map("exp(x[i])", "f32")(x)`. May be called from several threads."""

    def __init__(self, call: str, dtype: str, operands: tuple[str, ...] = ("x",)) -> None:
        self.program: LoadedProgram = load(build.compile_source(*_map_source(call, dtype, operands)))
        self.entry = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(self.program.entry)

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        out = np.empty_like(arrays[0])
        table = np.array([0, *(a.ctypes.data for a in arrays), out.ctypes.data, out.size], np.int64)
        self.entry(0, 1, table.ctypes.data)
        return out


def error_over(name: str, step: int, workers: int = 2) -> float:
    """The largest error of a compiled f32 function over every `step`-th of the 2**32 arguments."""
    compiled, exact = Map(f"{name}(x[i])", "f32"), _exact_in_native_code(name)

    def block(start: int) -> float:
        x = np.arange(start, min(start + BLOCK * step, 1 << 32), step, dtype=np.uint64).astype(np.uint32).view(np.float32)
        with np.errstate(all="ignore"):
            return error(compiled(x), exact(x.astype(np.float64)))

    with ThreadPoolExecutor(workers) as pool:
        return max(pool.map(block, range(0, 1 << 32, BLOCK * step)))


def _exact_in_native_code(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The C library's function without the interpreter's lock; NumPy has no erf and Python's takes minutes for 2**32 arguments."""
    if name != "erf":
        return EXACT[name]
    import numba

    @numba.njit(nogil=True)
    def erf(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = math.erf(x[i])
        return out

    return erf  # type: ignore[no-any-return]
