"""Fourier transforms written out, against NumPy's, and how many operations they take."""

from __future__ import annotations

import numpy as np
import pytest

from flowc.codegen.butterflies import Number, Part, Straight, Term
from flowc.lower.count import TRANSFORM_OPERATIONS


class Counted:
    """Plain numbers; operations are counted."""

    def __init__(self) -> None:
        self.sums = self.products = 0

    def add(self, x: float, y: float) -> float:
        self.sums += 1
        return x + y

    def sub(self, x: float, y: float) -> float:
        self.sums += 1
        return x - y

    def times(self, x: float, by: float) -> float:
        assert by > 0, "signs cost nothing"
        self.products += 1
        return x * by


def part(x: Part) -> float:
    return 0.0 if x is None else -x.value if x.negative else x.value


def number(x: Number) -> complex:
    return complex(part(x[0]), part(x[1]))


def drawn(n: int, zeros: frozenset[int], seed: int) -> tuple[np.ndarray, list[Part]]:
    """Numbers, and terms for those that are not zero."""
    values = np.array([0 if j in zeros else v for j, v in enumerate(np.random.default_rng(seed).normal(size=n))])
    return values, [None if j in zeros else Term(float(v)) for j, v in enumerate(values)]


ZEROS = [frozenset[int](), frozenset({0, 1}), frozenset(range(5, 16)), frozenset(range(1, 16)), frozenset(range(16))]


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("zeros", ZEROS, ids=len)
def test_of_complex_numbers(n: int, zeros: frozenset[int]) -> None:
    (real, reals), (imaginary, imaginaries) = drawn(n, zeros, 1), drawn(n, zeros, 2)
    found = Straight(Counted()).complex(list(zip(reals, imaginaries, strict=True)))
    np.testing.assert_allclose([number(x) for x in found], np.fft.fft(real + 1j * imaginary), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("zeros", ZEROS, ids=len)
def test_of_real_numbers_and_back(n: int, zeros: frozenset[int]) -> None:
    values, terms = drawn(n, zeros, 3)
    s = Straight(Counted())
    found = s.real(terms)
    np.testing.assert_allclose([number(x) for x in found], np.fft.rfft(values), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose([part(x) for x in s.to_real(found)], n * values, rtol=1e-12, atol=1e-12)


def test_zeros_and_quarters_of_a_turn_take_no_operations() -> None:
    arithmetic = Counted()
    Straight(arithmetic).real([Term(1.0), *[None] * 15])
    assert arithmetic.sums == arithmetic.products == 0, "the only number is every frequency"
    Straight(arithmetic).complex([(Term(1.0), None)] * 4)
    assert (arithmetic.sums, arithmetic.products) == (6, 0)


@pytest.mark.parametrize("kind", ["real", "complex", "to_real"])
def test_the_operations_of_sixteen_numbers_are_counted(kind: str) -> None:
    arithmetic = Counted()
    s = Straight(arithmetic)
    if kind == "real":
        s.real([Term(1.0)] * 16)
    elif kind == "complex":
        s.complex([(Term(1.0), Term(1.0))] * 16)
    else:
        s.to_real([(Term(1.0), None if k in (0, 8) else Term(1.0)) for k in range(9)])
    assert arithmetic.sums + arithmetic.products == TRANSFORM_OPERATIONS[kind]
