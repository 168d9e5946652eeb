"""Scalar operations that are one or two instructions, as Python functions over NumPy scalars (or arrays, element by element).

    select(x > f32(0.0), x, f32(0.0))     bits(f32(1.0)) == 0x3F800000

`emitters` holds their LLVM code. Everything here is exact, so the compiled program and plain Python agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.codegen import host


def select(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition holds, else `no`; both are evaluated. Never a branch in machine code, so loops around it vectorise."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    return yes if condition else no


def half(x: Any) -> Any:
    """A number rounded to f16. Compiled code keeps values of f16 as f32 that f16 can hold; every operation on them is rounded so."""
    return np.float16(x)


def muladd(x: Any, y: Any, z: Any) -> Any:
    """x * y + z; rounded once where the processor has an instruction for it, else the product is rounded too.

    Here, products of f64 below 1e-250 may be rounded twice on every processor.
    """
    if not host.fused():
        return x * y + z
    if x.dtype == np.float32:
        total = _sum_to_odd(np.float64(x) * y, np.float64(z))  # the product is exact
        return np.float32(total)
    product, low = _product(x, y)
    high, lower = _sum(z, low)
    top, middle = _sum(product, high)
    plain = x * y + z
    return np.where(np.isfinite(top + middle + lower) & (plain != 0), top + _sum_to_odd(middle, lower), plain)[()]


def _sum(x: Any, y: Any) -> tuple[Any, Any]:
    """The sum and its rounding error (D. Knuth, The Art of Computer Programming, volume 2, 4.2.2)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _product(x: Any, y: Any) -> tuple[Any, Any]:
    """The product of two f64 and its rounding error (T. Dekker, Numerische Mathematik 18, 1971)."""
    total = x * y
    high_x, high_y = ((134217729.0 * v) - ((134217729.0 * v) - v) for v in (x, y))
    low_x, low_y = x - high_x, y - high_y
    return total, low_x * low_y - (((total - high_x * high_y) - low_x * high_y) - high_x * low_y)


def _sum_to_odd(x: Any, y: Any) -> Any:
    """The sum of two f64, towards the neighbour with an odd last bit where it is not exact, so that rounding it again rounds once (S. Boldo and
    G. Melquiond, IEEE Transactions on Computers 57, 2008)."""
    total, error = _sum(x, y)
    places = np.asarray(total).view(np.int64)
    inexact = np.isfinite(error) & (error != 0) & (places & 1 == 0)
    towards = np.where((error > 0) == (total > 0), 1, -1)
    return np.where(inexact, places + towards, places).view(np.float64)[()]


def bits(x: Any) -> Any:
    """The i32 with the bits of an f32."""
    return x.view(np.int32)


def from_bits(i: Any) -> Any:
    """The f32 with the bits of an i32."""
    return i.view(np.float32)


def bits_f64(x: Any) -> Any:
    """The i64 with the bits of an f64."""
    return x.view(np.int64)


def from_bits_f64(i: Any) -> Any:
    """The f64 with the bits of an i64."""
    return i.view(np.float64)


def minimum(x: Any, y: Any) -> Any:
    """The smaller; NaN where either is NaN."""
    return select((x < y) | (x != x), x, y)


def maximum(x: Any, y: Any) -> Any:
    """The larger; NaN where either is NaN."""
    return select((x > y) | (x != x), x, y)


def larger(x: Any, y: Any) -> Any:
    """The larger of two numbers; where one is NaN, either of them: one instruction, where `maximum` is three."""
    return select(y > x, y, x)


def absolute(x: Any) -> Any:
    """|x|; the smallest integer stays what it is."""
    return np.abs(x)


def copysign(x: Any, y: Any) -> Any:
    """|x| with the sign of y."""
    return np.copysign(x, y)


def sqrt(x: Any) -> Any:
    return np.sqrt(x)


def floor(x: Any) -> Any:
    return np.floor(x)


def ceil(x: Any) -> Any:
    return np.ceil(x)


def trunc(x: Any) -> Any:
    return np.trunc(x)


def rint(x: Any) -> Any:
    """The nearest whole number; halves to even."""
    return np.rint(x)


def fmod(x: Any, y: Any) -> Any:
    """The remainder of a division rounded towards zero (C's fmod)."""
    return np.fmod(x, y)


def isnan(x: Any) -> Any:
    return x != x


def isinf(x: Any) -> Any:
    return np.isinf(x)


def invert(x: Any) -> Any:
    """All bits of a whole number, or a truth value, turned over."""
    return ~x


def add_any_order(total: Any, x: Any) -> Any:
    """`total + x` for a running sum whose terms may be added in any order, so that a loop over it vectorises; the sign of a zero is left open,
    and a product x may be rounded together with the sum."""
    return total + x


def _local(dtype: type) -> Callable[[int], Any]:
    def local(size: int) -> Any:
        """A small array of `size` (a literal) elements that only this thread has; it holds nothing of meaning at first."""
        return np.zeros(size, dtype)

    return local


LOCALS: dict[str, Callable[[int], Any]] = {
    "bool": _local(np.bool_), "i8": _local(np.int8), "i16": _local(np.int16), "i32": _local(np.int32), "i64": _local(np.int64), "u8": _local(np.uint8),
    "u16": _local(np.uint16), "u32": _local(np.uint32), "u64": _local(np.uint64),
    "f16": _local(np.float16), "f32": _local(np.float32), "f64": _local(np.float64),
}  # fmt: skip
for _name, _function in LOCALS.items():
    _function.__name__ = _function.__qualname__ = f"local_{_name}"
local_bool, local_i8, local_i16, local_i32, local_i64 = (LOCALS[d] for d in ("bool", "i8", "i16", "i32", "i64"))
local_u8, local_u16, local_u32, local_u64 = (LOCALS[d] for d in ("u8", "u16", "u32", "u64"))
local_f16, local_f32, local_f64 = (LOCALS[d] for d in ("f16", "f32", "f64"))
