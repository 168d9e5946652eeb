"""Fourier transforms of a few numbers, written out: sums and products, without loops.

    s = Straight(arithmetic)
    s.real([Term("%x0"), ..., Term("%x15")])     ->   9 complex numbers, made by arithmetic.add("%x0", "%x8"), arithmetic.sub("%x0", "%x8"), ...

By halves (J. Cooley and J. Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965), and of real numbers half of the
frequencies only (H. Sorensen et al., "Real-valued fast Fourier transform algorithms", 1987). Zeros and signs take no operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Arithmetic(Protocol):
    """Whatever the numbers are."""

    def add(self, x: Any, y: Any) -> Any: ...

    def sub(self, x: Any, y: Any) -> Any: ...

    def times(self, x: Any, by: float) -> Any: ...


class Term(NamedTuple):
    """A value, or what is missing to zero."""

    value: Any
    negative: bool = False


Part = Term | None  # None is zero
Number = tuple[Part, Part]  # complex: its real and its imaginary part


class Straight:
    """Transforms by an arithmetic."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self.arithmetic = arithmetic

    def complex(self, x: Sequence[Number]) -> list[Number]:
        """`X[k] = sum over j of x[j] exp(-2 pi i j k / n)`, n a power of two."""
        n = len(x)
        if n == 1:
            return list(x)
        even, odd = self.complex(x[0::2]), self.complex(x[1::2])
        turned = [self.turned(o, -k, n) for k, o in enumerate(odd)]
        return [*map(self.plus, even, turned), *map(self.less, even, turned)]

    def real(self, x: Sequence[Part]) -> list[Number]:
        """The frequencies 0 to n/2 of real numbers; the others are their conjugates."""
        n = len(x)
        if n == 1:
            return [(x[0], None)]
        even, odd = self.real(x[0::2]), self.real(x[1::2])
        found: list[Number] = [(None, None)] * (n // 2 + 1)
        for k in range(n // 4 + 1):
            turned = self.turned(odd[k], -k, n)
            found[n // 2 - k] = _conjugate(self.less(even[k], turned))
            found[k] = self.plus(even[k], turned)
        return found

    def to_real(self, x: Sequence[Number]) -> list[Part]:
        """`n` times the real numbers whose frequencies 0 to n/2 are `x`."""
        n = 2 * (len(x) - 1)
        if n == 0:
            return [x[0][0]]
        even: list[Number] = []
        odd: list[Number] = []
        for k in range(n // 4 + 1):
            if 2 * k == n // 2:  # its own mirror: the imaginary parts of the sum cancel, and so do the real ones of the difference
                total: Number = self._sum(x[k][0], x[k][0]), None
                difference: Number = None, self._sum(x[k][1], x[k][1])
            else:
                mirrored = _conjugate(x[n // 2 - k])
                total, difference = self.plus(x[k], mirrored), self.less(x[k], mirrored)
            even.append(total)
            odd.append(self.turned(difference, k, n))
        if n == 2:
            return [even[0][0], odd[0][0]]
        return [part for pair in zip(self.to_real(even), self.to_real(odd), strict=True) for part in pair]

    def plus(self, x: Number, y: Number) -> Number:
        return self._sum(x[0], y[0]), self._sum(x[1], y[1])

    def less(self, x: Number, y: Number) -> Number:
        return self.plus(x, (_minus(y[0]), _minus(y[1])))

    def turned(self, x: Number, part: int, of: int) -> Number:
        """`x` times exp(2 pi i part / of)."""
        eighth = 8 * part / of % 8
        c, s = math.cos(math.tau * part / of), math.sin(math.tau * part / of)
        if eighth % 2 == 0:
            c, s = round(c), round(s)
        if eighth % 2 == 1:  # both are the same but for their signs: one product for each part
            real, imaginary = self._sum(_signed(x[0], c), _signed(x[1], -s)), self._sum(_signed(x[0], s), _signed(x[1], c))
            return self._scaled(real, math.sqrt(0.5)), self._scaled(imaginary, math.sqrt(0.5))
        return self._sum(self._scaled(x[0], c), self._scaled(x[1], -s)), self._sum(self._scaled(x[0], s), self._scaled(x[1], c))

    def _sum(self, x: Part, y: Part) -> Part:
        if x is None or y is None:
            return x or y
        if x.negative == y.negative:
            return Term(self.arithmetic.add(x.value, y.value), x.negative)
        return Term(self.arithmetic.sub(y.value, x.value) if x.negative else self.arithmetic.sub(x.value, y.value))

    def _scaled(self, x: Part, by: float) -> Part:
        if x is None or by == 0:
            return None
        return Term(x.value if abs(by) == 1 else self.arithmetic.times(x.value, abs(by)), x.negative != (by < 0))


def _signed(x: Part, by: float) -> Part:
    return x if by > 0 else _minus(x)


def _minus(x: Part) -> Part:
    return None if x is None else Term(x.value, not x.negative)


def _conjugate(x: Number) -> Number:
    return x[0], _minus(x[1])


__all__ = ["Arithmetic", "Number", "Part", "Straight", "Term"]
