"""The names that generated source imports: what a kernel may call beside arithmetic and loops.

    def k0(tid, nthreads, x, out, b):
        for i in range(lower_bound(b, tid, nthreads), upper_bound(b, tid, nthreads)):
            out[i] = exp(x[i])

Every name is a plain Python function here, with NumPy arrays standing for pointers and NumPy scalars for typed numbers, so a generated
file runs as plain Python. When it is compiled, `emitters` replaces the functions of this file by LLVM code, and the functions of `vmath` and
`philox` are themselves compiled. Importing this module does not import Numba.
"""

# ruff: noqa: F401 (this file is the list of names)
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.codegen import vmath, vmath_f64
from flowc.codegen.clock import mark
from flowc.codegen.fourier import fourier_complex_f32, fourier_real_f32, fourier_to_real_f32
from flowc.codegen.philox import philox
from flowc.codegen.scalars import (
    absolute,
    add_any_order,
    ceil,
    copysign,
    floor,
    fmod,
    invert,
    isinf,
    isnan,
    larger,
    local_bool,
    local_f32,
    local_f64,
    local_i8,
    local_i16,
    local_i32,
    local_i64,
    local_u8,
    local_u16,
    local_u32,
    local_u64,
    maximum,
    minimum,
    rint,
    select,
    sqrt,
    trunc,
)  # fmt: skip
from flowc.codegen.tile import tile_ahead_f32, tile_f32, tile_f64, tiles_f32, tiles_f64
from flowc.codegen.types import f16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64


def _pointer(dtype: str) -> Callable[[Any, int], Any]:
    def pointer(args: Any, slot: int) -> Any:
        """The buffer whose address stands in slot `slot` of the argument table."""
        return args[slot]

    pointer.__name__ = pointer.__qualname__ = f"pointer_{dtype}"
    return pointer


POINTERS = {dtype: _pointer(dtype) for dtype in ("bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f16", "f32", "f64")}
pointer_bool, pointer_i8, pointer_i16, pointer_i32, pointer_i64 = (POINTERS[d] for d in ("bool", "i8", "i16", "i32", "i64"))
pointer_u8, pointer_u16, pointer_u32, pointer_u64 = (POINTERS[d] for d in ("u8", "u16", "u32", "u64"))
pointer_f16, pointer_f32, pointer_f64 = (POINTERS[d] for d in ("f16", "f32", "f64"))


def extent(args: Any, slot: int) -> int:
    """The whole number in slot `slot` of the argument table."""
    return int(args[slot])


def barrier(tid: int, nthreads: int, args: Any) -> None:
    """All threads of the run meet, at the control block whose address is in slot 0. One thread alone goes straight on."""


def lower_bound(n: int, tid: int, nthreads: int) -> int:
    """Where thread `tid`'s share of `range(n)` starts; shares differ by at most one, and threads beyond `nthreads` have none."""
    return n * min(tid, nthreads) // nthreads


def upper_bound(n: int, tid: int, nthreads: int) -> int:
    """Where thread `tid`'s share of `range(n)` ends."""
    return n * min(tid + 1, nthreads) // nthreads


def claimed(n: int, tid: int, nthreads: int, args: Any) -> range:
    """The iterations of `range(n)` that thread `tid` does: all threads meet, then each claims one after the other, of its own share and,
    when that is done, of what others have left. `source` makes a loop over it one of `first_claim` and `next_claim`; plain Python has one share.
    """
    return range(lower_bound(n, tid, nthreads), upper_bound(n, tid, nthreads))


def first_claim(n: int, tid: int, nthreads: int, args: Any) -> int:
    """All threads meet; then the first iteration of `range(n)` that thread `tid` claims, or `n`."""
    return next(iter(claimed(n, tid, nthreads, args)), n)


def next_claim(claim: int, n: int, tid: int, nthreads: int, args: Any) -> int:
    """The iteration that thread `tid` claims after `claim`, or `n`."""
    return claim + 1 if claim + 1 < upper_bound(n, tid, nthreads) else n


# index arithmetic: operands are not negative, divisors positive


def quotient(i: int, n: int) -> int:
    """`i // n` for i >= 0, n > 0: one instruction, without the cases that Python's floor division distinguishes."""
    return i // n


def remainder(i: int, n: int) -> int:
    """`i % n` for i >= 0, n > 0."""
    return i % n


# functions of f32 and f64 under one name: through `vmath` and `vmath_f64`, or the C library where they have none


def _by_dtype(name: str, library: Callable[..., Any] | None) -> Callable[..., Any]:
    narrow: Callable[..., Any] = getattr(vmath, f"{name}_f32")
    wide: Callable[..., Any] = library or getattr(vmath_f64, f"{name}_f64")

    def function(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            dtype = np.asarray(args[0]).dtype
            if dtype == np.float16:
                return np.float16(narrow(*(np.float32(a) for a in args)))
            return narrow(*args) if dtype == np.float32 else wide(*args)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of f32 or f64."
    return function


# the C library's functions for f64, as NumPy has them; None where `vmath_f64` has its own
LIBRARY: dict[str, Callable[..., Any] | None] = {
    **dict.fromkeys(("exp", "log", "expm1", "log1p", "tanh", "sigmoid", "erf", "sinh", "cosh", "mod", "floordiv", "divided")),
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
}  # fmt: skip
MATH: dict[str, Callable[..., Any]] = {name: _by_dtype(name, library) for name, library in LIBRARY.items()}
exp, log, expm1, log1p, tanh, sigmoid = (MATH[n] for n in ("exp", "log", "expm1", "log1p", "tanh", "sigmoid"))
sin, cos, tan, erf, asin, acos, atan = (MATH[n] for n in ("sin", "cos", "tan", "erf", "asin", "acos", "atan"))
sinh, cosh, atan2, mod, floordiv, divided = (MATH[n] for n in ("sinh", "cosh", "atan2", "mod", "floordiv", "divided"))


def power(x: Any, y: Any) -> Any:
    """x**y of two f32, f64 or whole numbers (y >= 0 then; modulo the dtype's range)."""
    with np.errstate(all="ignore"):
        if isinstance(x, np.float16):
            return np.float16(vmath.power_f32(np.float32(x), np.float32(y)))
        return vmath.power_f32(x, y) if isinstance(x, np.float32) else x**y
