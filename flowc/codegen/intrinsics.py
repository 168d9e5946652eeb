"""The names that generated source imports: what a kernel may call beside arithmetic and loops.

    def k0(tid, nthreads, x, out, b):
        for i in range(lower_bound(b, tid, nthreads), upper_bound(b, tid, nthreads)):
            out[i] = exp(x[i])

Every name is a plain Python function here, with NumPy arrays standing for pointers and NumPy scalars for typed numbers, so a generated
file runs as plain Python. When it is compiled, `emitters` replaces the functions of this file by LLVM code, and the functions of `vmath` and
`philox` are themselves compiled. Importing this module does not import Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.codegen.tile import tile_f32, tile_f64

# dtypes: a number of that type

i8, i16, i32, i64 = np.int8, np.int16, np.int32, np.int64
u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64
f32, f64 = np.float32, np.float64


def _pointer(dtype: str) -> Callable[[Any, int], Any]:
    def pointer(args: Any, slot: int) -> Any:
        """The buffer whose address stands in slot `slot` of the argument table."""
        return args[slot]

    pointer.__name__ = pointer.__qualname__ = f"pointer_{dtype}"
    return pointer


POINTERS = {dtype: _pointer(dtype) for dtype in ("bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64")}
pointer_bool, pointer_i8, pointer_i16, pointer_i32, pointer_i64 = (POINTERS[d] for d in ("bool", "i8", "i16", "i32", "i64"))
pointer_u8, pointer_u16, pointer_u32, pointer_u64, pointer_f32, pointer_f64 = (POINTERS[d] for d in ("u8", "u16", "u32", "u64", "f32", "f64"))


def extent(args: Any, slot: int) -> int:
    """The whole number in slot `slot` of the argument table."""
    return int(args[slot])


def barrier(tid: int, nthreads: int, args: Any) -> None:
    """All threads of the run meet, at the control block whose address is in slot 0. One thread alone goes straight on."""


def lower_bound(n: int, tid: int, nthreads: int) -> int:
    """Where thread `tid`'s share of `range(n)` starts; shares differ by at most one."""
    return n * tid // nthreads


def upper_bound(n: int, tid: int, nthreads: int) -> int:
    """Where thread `tid`'s share of `range(n)` ends."""
    return n * (tid + 1) // nthreads


# index arithmetic: operands are not negative, divisors positive


def quotient(i: int, n: int) -> int:
    """`i // n` for i >= 0, n > 0: one instruction, without the cases that Python's floor division distinguishes."""
    return i // n


def remainder(i: int, n: int) -> int:
    """`i % n` for i >= 0, n > 0."""
    return i % n
