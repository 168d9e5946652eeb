"""Fourier transforms of 16 numbers in many lanes. Here their meaning; `fourier_text` writes them for LLVM.

    fourier_complex_f32(out, out_at, out_step, out_part, a, a_at, a_step, a_part, first, count, lanes)

    out[out_at + k*out_step + p*out_part + lane] = part p of the sum over j < 16 of x[j] exp(-2 pi i j k / 16)
    x[j] = a[a_at + (j - first)*a_step + lane] + i a[a_at + (j - first)*a_step + a_part + lane] for first <= j < first + count, and elsewhere 0

for lane < lanes, a multiple of 16 and at most 64. Parts are the real (0) and the imaginary (1) one; with both buffers' exchanged this is 16 times the
inverse. `real` numbers have no imaginary part, and k ends with 8: the rest are conjugates. `to_real` is 16 times the inverse of that: it has real
results, and all nine numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.ir.primitives import KEPT, TRANSFORMED

PARAMETERS = ("out", "out_at", "out_step", "out_part", "a", "a_at", "a_step", "a_part", "first", "count", "lanes")


def _lines(buffer: Any, at: int, step: int, count: int, lanes: int) -> Any:
    """Where the lanes of so many numbers are."""
    return at + np.arange(count)[:, None] * step + np.arange(lanes)


def _found(a: Any, at: int, step: int, part: int, first: int, count: int, lanes: int, is_real: bool) -> Any:
    x = np.zeros((TRANSFORMED, lanes), np.complex128)
    places = _lines(a, at, step, count, lanes)
    x[first : first + count] = a[places] if is_real else a[places] + 1j * a[places + part]
    return x


def _stored(out: Any, at: int, step: int, part: int, x: Any) -> None:
    places = _lines(out, at, step, *x.shape)
    out[places], out[places + part] = x.real, x.imag


def fourier_real_f32(out: Any, out_at: int, out_step: int, out_part: int, a: Any, a_at: int, a_step: int, a_part: int,
                     first: int, count: int, lanes: int) -> None:  # fmt: skip
    """See the module's text; `out` and `a` are f32 buffers and every other argument a whole number."""
    _stored(out, out_at, out_step, out_part, np.fft.fft(_found(a, a_at, a_step, a_part, first, count, lanes, True), axis=0)[:KEPT])


def fourier_complex_f32(out: Any, out_at: int, out_step: int, out_part: int, a: Any, a_at: int, a_step: int, a_part: int,
                        first: int, count: int, lanes: int) -> None:  # fmt: skip
    """See the module's text."""
    _stored(out, out_at, out_step, out_part, np.fft.fft(_found(a, a_at, a_step, a_part, first, count, lanes, False), axis=0))


def fourier_to_real_f32(out: Any, out_at: int, out_step: int, out_part: int, a: Any, a_at: int, a_step: int, a_part: int,
                        first: int, count: int, lanes: int) -> None:  # fmt: skip
    """See the module's text; `out_part`, `first` and `count` mean nothing here."""
    x = _found(a, a_at, a_step, a_part, 0, KEPT, lanes, False)[:KEPT]
    out[_lines(out, out_at, out_step, TRANSFORMED, lanes)] = np.fft.irfft(x, axis=0) * TRANSFORMED


FUNCTIONS = {"real": fourier_real_f32, "complex": fourier_complex_f32, "to_real": fourier_to_real_f32}
