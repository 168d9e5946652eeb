"""Fourier transforms written out as expressions, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from flowc.ir.loops import Apply, Const, Let, Var
from flowc.ir.types import F64
from flowc.ops.butterflies import Number, Part, Straight, Term


class Found:
    """The values of what was made, by NumPy over its statements."""

    def __init__(self, known: dict[str, float], made: list[Let]) -> None:
        self.known, self.operations = dict(known), 0
        for let in made:
            self.known[let.name] = self.value(let.value)

    def value(self, e: object) -> float:
        match e:
            case Var(name=name):
                return self.known[name]
            case Const(value=number):
                return float(number)
            case Apply(function=function, args=(left, right)):
                self.operations += 1
                a, b = self.value(left), self.value(right)
                return {"add": a + b, "sub": a - b, "mul": a * b}[function]
        raise AssertionError(e)

    def part(self, x: Part) -> float:
        return 0.0 if x is None else -self.value(x.value) if x.negative else self.value(x.value)

    def number(self, x: Number) -> complex:
        return complex(self.part(x[0]), self.part(x[1]))


def named(values: np.ndarray, zeros: frozenset[int], name: str) -> tuple[dict[str, float], list[Part]]:
    """Terms for values, none for those that are zero."""
    terms: list[Part] = [None if j in zeros else Term(Var(f"{name}{j}", F64)) for j in range(len(values))]
    return {f"{name}{j}": float(v) for j, v in enumerate(values) if j not in zeros}, terms


ZEROS = [frozenset[int](), frozenset({0, 1}), frozenset(range(5, 16)), frozenset(range(1, 16)), frozenset(range(16))]


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("zeros", ZEROS, ids=len)
def test_of_complex_numbers(n: int, zeros: frozenset[int]) -> None:
    g = np.random.default_rng(n)
    parts = [np.array([0 if j in zeros else g.normal() for j in range(n)]) for _ in range(2)]
    (known, reals), (more, imaginaries) = named(parts[0], zeros, "a"), named(parts[1], zeros, "b")
    for sign, transform in ((-1, np.fft.fft), (1, lambda x: np.fft.ifft(x) * n)):
        s = Straight("t")
        numbers = s.complex(list(zip(reals, imaginaries, strict=True)), sign)
        found = Found(known | more, s.made)
        np.testing.assert_allclose([found.number(x) for x in numbers], transform(parts[0] + 1j * parts[1]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("zeros", ZEROS, ids=len)
def test_of_real_numbers_and_back(n: int, zeros: frozenset[int]) -> None:
    values = np.array([0 if j in zeros else v for j, v in enumerate(np.random.default_rng(n).normal(size=n))])
    known, terms = named(values, zeros, "a")
    s = Straight("t")
    numbers = s.real(terms)
    assert len(numbers) == n // 2 + 1
    back = s.to_real(numbers)
    found = Found(known, s.made)
    np.testing.assert_allclose([found.number(x) for x in numbers], np.fft.rfft(values), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose([found.part(x) for x in back], n * values, rtol=1e-12, atol=1e-12)


def test_zeros_and_turns_by_quarters_take_no_operations() -> None:
    known, terms = named(np.ones(16), frozenset(range(1, 16)), "a")
    s = Straight("t")
    s.real(terms)
    assert s.made == []  # the only number is every frequency
    known, terms = named(np.ones(4), frozenset(), "a")
    s = Straight("t")
    s.complex([(x, None) for x in terms], -1)
    assert Found(known, s.made).operations == 6


def test_sixteen_complex_numbers_take_144_sums() -> None:
    """And 24 products: the three turns by an eighth two each, the six others of the last stage, less one, four each... what radix 2 needs."""
    parts = [named(np.ones(16), frozenset(), name) for name in "ab"]
    s = Straight("t")
    s.complex(list(zip(parts[0][1], parts[1][1], strict=True)), -1)
    sums = sum(isinstance(let.value, Apply) and let.value.function in ("add", "sub") for let in s.made)
    assert (sums, len(s.made) - sums) == (148, 28)
