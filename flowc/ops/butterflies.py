"""Fourier transforms of a few numbers, written out: sums and products of loop IR expressions, without loops.

    s = Straight("x_")
    s.real([Term(Var(f"in{j}", F32)) for j in range(16)])     ->   9 complex numbers; s.made: x_0 = in0 + in8, x_1 = in0 - in8, ...

By halves (J. Cooley and J. Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965), and of real numbers half of the
frequencies only (H. Sorensen et al., "Real-valued fast Fourier transform algorithms", 1987). What is known to be zero takes no operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flowc.ir.loops import Expr, Let, Var


class Term(NamedTuple):
    """A value, or what is missing to zero."""

    value: Expr
    negative: bool = False


Part = Term | None  # None is zero
Number = tuple[Part, Part]  # complex: its real and its imaginary part


class Straight:
    """Sums and products as `Let`s named after `name`; zeros and signs cost nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made: list[Let] = []

    def named(self, value: Expr, negative: bool = False) -> Term:
        self.made.append(Let(f"{self.name}{len(self.made)}", value))
        return Term(Var(self.made[-1].name, value.dtype), negative)

    def add(self, x: Part, y: Part) -> Part:
        if x is None or y is None:
            return x or y
        if x.negative == y.negative:
            return self.named(x.value + y.value, x.negative)
        return self.named(y.value - x.value if x.negative else x.value - y.value)

    def plus(self, x: Number, y: Number) -> Number:
        return self.add(x[0], y[0]), self.add(x[1], y[1])

    def minus(self, x: Number, y: Number) -> Number:
        return self.plus(x, (minus(y[0]), minus(y[1])))

    def scaled(self, x: Part, by: float) -> Part:
        if x is None or by == 0:
            return None
        return Term(x.value, x.negative != (by < 0)) if abs(by) == 1 else self.named(x.value * abs(by), x.negative != (by < 0))

    def turned(self, x: Number, part: int, of: int) -> Number:
        """`x` times exp(2 pi i part / of)."""
        eighth = 8 * part / of % 8
        c, s = (0.0 if abs(v) < 1e-9 else v for v in (math.cos(math.tau * part / of), math.sin(math.tau * part / of)))
        if eighth % 2 == 1:  # both are the same but for their signs: one product for each part
            root = math.sqrt(0.5)
            real = self.add(self._signed(x[0], c), self._signed(x[1], -s))
            return self.scaled(real, root), self.scaled(self.add(self._signed(x[0], s), self._signed(x[1], c)), root)
        c, s = (float(round(v)) if eighth % 2 == 0 else v for v in (c, s))
        return (
            self.add(self.scaled(x[0], c), self.scaled(x[1], -s)),
            self.add(self.scaled(x[0], s), self.scaled(x[1], c)),
        )

    def _signed(self, x: Part, by: float) -> Part:
        return x if by > 0 else minus(x)

    def complex(self, x: Sequence[Number], sign: int) -> list[Number]:
        """`X[k] = sum over j of x[j] exp(sign 2 pi i j k / n)`."""
        n = len(x)
        if n == 1:
            return list(x)
        even, odd = self.complex(x[0::2], sign), self.complex(x[1::2], sign)
        turned = [self.turned(o, sign * k, n) for k, o in enumerate(odd)]
        return [*map(self.plus, even, turned), *map(self.minus, even, turned)]

    def real(self, x: Sequence[Part]) -> list[Number]:
        """The frequencies 0 to n/2 of real numbers: `X[k] = sum over j of x[j] exp(-2 pi i j k / n)`; the others are their conjugates."""
        n = len(x)
        if n == 1:
            return [(x[0], None)]
        even, odd = self.real(x[0::2]), self.real(x[1::2])
        found: list[Number] = [(None, None)] * (n // 2 + 1)
        for k in range(n // 4 + 1):
            turned = self.turned(odd[k], -k, n)
            found[n // 2 - k] = conjugate(self.minus(even[k], turned))
            found[k] = self.plus(even[k], turned)
        return found

    def to_real(self, x: Sequence[Number]) -> list[Part]:
        """`n` times the real numbers whose frequencies 0 to n/2 are `x`."""
        n = 2 * (len(x) - 1)
        if n == 0:
            return [x[0][0]]
        mirrored = [conjugate(x[n // 2 - k]) for k in range(n // 4 + 1)]
        even = [self.plus(x[k], mirrored[k]) for k in range(n // 4 + 1)]
        odd = [self.turned(self.minus(x[k], mirrored[k]), k, n) for k in range(n // 4 + 1)]
        if n == 2:
            return [even[0][0], odd[0][0]]
        return [part for pair in zip(self.to_real(even), self.to_real(odd), strict=True) for part in pair]


def minus(x: Part) -> Part:
    return None if x is None else Term(x.value, not x.negative)


def conjugate(x: Number) -> Number:
    return x[0], minus(x[1])


__all__ = ["Number", "Part", "Straight", "Term", "conjugate", "minus"]
