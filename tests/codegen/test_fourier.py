"""Fourier transforms of 16 numbers: the compiled functions against NumPy, and that nothing outside is read or written."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from flowc.codegen import build, fourier
from flowc.codegen.objects import LoadedProgram, load
from tests.codegen.programs import call, kernel_text, signatures, table
from tests.codegen.test_tile import Guarded

NUMBERS = [name for name in fourier.PARAMETERS if name not in ("out", "a")]


@cache
def compiled(kind: str) -> LoadedProgram:
    sample = {name: np.zeros(1, np.float32) for name in ("out", "a")}
    numbers = dict.fromkeys(NUMBERS, 0)
    text = kernel_text(f"fourier_{kind}_f32({', '.join(fourier.PARAMETERS)})", sample, numbers)
    return load(build.compile_source(text, signatures(sample, numbers)))


def numpys(kind: str, x: np.ndarray) -> np.ndarray:
    """x: [number, lane]; what NumPy makes of it."""
    if kind == "to_real":
        return np.fft.irfft(x, axis=0) * 16
    return np.fft.fft(x, axis=0) if kind == "complex" else np.fft.rfft(x, axis=0)


@pytest.mark.parametrize("kind", fourier.FUNCTIONS)
@pytest.mark.parametrize("lanes", [16, 32, 48, 64])
@pytest.mark.parametrize(("first", "count"), [(0, 16), (2, 14), (0, 5), (15, 1), (7, 0)])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_compiled_function_does_as_numpy(kind: str, lanes: int, first: int, count: int, backwards: bool) -> None:
    """backwards: imaginary parts lie before the real ones."""
    g = np.random.default_rng(first)
    numbers, results = (9 if kind == "to_real" else count), {"real": 9, "complex": 16, "to_real": 16}[kind]
    parts, result_parts = (1 if kind == "real" else 2), (1 if kind == "to_real" else 2)
    a = g.normal(size=(numbers, parts, lanes)).astype(np.float32)
    x = np.zeros((9 if kind == "to_real" else 16, lanes), np.complex128)
    x[0 if kind == "to_real" else first :][:numbers] = a[:, 0] + (1j * a[:, 1] if parts == 2 else 0)
    stored = a[:, ::-1] if backwards and parts == 2 else a
    out = np.zeros((results, result_parts, lanes), np.float32)
    given = {"out_at": 0, "out_step": result_parts * lanes, "out_part": lanes, "a_at": 0, "a_step": parts * lanes, "a_part": lanes,
             "first": first, "count": count, "lanes": lanes}  # fmt: skip
    if backwards and parts == 2:
        given |= {"a_at": lanes, "a_part": -lanes}
    if backwards and result_parts == 2:
        given |= {"out_at": lanes, "out_part": -lanes}
    wanted = numpys(kind, x.real if kind == "real" else x)
    meaning = out.copy()
    fourier.FUNCTIONS[kind](**({"out": meaning.reshape(-1), "a": stored.ravel()} | given))
    guarded_out, guarded_a = Guarded(out), Guarded(stored.copy())
    call(compiled(kind), table({"out": guarded_out.inside, "a": guarded_a.inside}, given))
    assert guarded_out.intact() and guarded_a.intact()
    for found in (meaning, guarded_out.inside.reshape(out.shape)):
        found = found[:, ::-1] if backwards and result_parts == 2 else found
        np.testing.assert_allclose(found[:, 0], wanted.real, rtol=1e-5, atol=1e-5)
        if result_parts == 2:
            np.testing.assert_allclose(found[:, 1], wanted.imag, rtol=1e-5, atol=1e-5)


def test_not_a_number_reaches_every_frequency_of_its_lane() -> None:
    """One of its parts: the other may have nothing to do with it."""
    a = np.ones((16, 16), np.float32)
    a[3, 5] = np.nan
    out = np.zeros((9, 2, 16), np.float32)
    numbers = {"out_at": 0, "out_step": 32, "out_part": 16, "a_at": 0, "a_step": 16, "a_part": 0, "first": 0, "count": 16, "lanes": 16}
    call(compiled("real"), table({"out": out.ravel(), "a": a.ravel()}, numbers))
    found = out.reshape(9, 2, 16)
    assert np.isnan(found[:, :, 5]).any(axis=1).all() and np.isfinite(np.delete(found, 5, axis=2)).all()
