"""Extents: an int, or a `Sym`, an integer polynomial over named symbols in normal form.

    b = Sym.named("b");  (b * 784) // 28 == b * 28;  str(b * 2 + 1) == "2*b + 1"

Two extents are equal exactly when their normal forms are. A quotient that does not come out even stays a `//` atom, and
`broadcast(b, c)` is the extent of two operands whose extents are not yet known to be equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Union

Dim = Union[int, "Sym"]
Shape = tuple[Dim, ...]
Atom = Union[str, "Call"]
Monomial = tuple[Atom, ...]


class Call:
    """An atom that is a function of extents: `floordiv(a, b)`, `min(a, b)`, `max(a, b)` or `broadcast(a, b)`."""

    __slots__ = ("_hash", "args", "function")

    def __init__(self, function: str, args: Shape) -> None:
        self.function = function
        self.args = args
        self._hash = hash((function, args))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.function == other.function and self.args == other.args

    def __str__(self) -> str:
        if self.function == "floordiv":
            return f"{_wrapped(self.args[0])}//{_wrapped(self.args[1])}"
        return f"{self.function}({', '.join(map(str, self.args))})"


def _wrapped(dim: Dim) -> str:
    text = str(dim)
    return text if text.replace("_", "").isalnum() else f"({text})"


def _atom_key(atom: Atom) -> tuple[int, str]:
    return (0, atom) if isinstance(atom, str) else (1, str(atom))


class Sym:
    """An integer polynomial over symbols that is not a plain int. Made by arithmetic on `Sym.named(name)`."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        ordered = sorted(terms.items(), key=lambda term: (-len(term[0]), [_atom_key(a) for a in term[0]]))
        self.terms: tuple[tuple[Monomial, int], ...] = tuple(ordered)
        self._hash = hash(self.terms)

    @staticmethod
    def named(name: str) -> Sym:
        return Sym({(name,): 1})

    @property
    def name(self) -> str | None:
        """The symbol's name where this is one plain symbol, else None."""
        if len(self.terms) == 1:
            monomial, coefficient = self.terms[0]
            if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], str):
                return monomial[0]
        return None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sym) and self.terms == other.terms

    def __add__(self, other: Dim) -> Dim:
        return _sum(self, other, 1)

    def __radd__(self, other: int) -> Dim:
        return _sum(self, other, 1)

    def __sub__(self, other: Dim) -> Dim:
        return _sum(self, other, -1)

    def __rsub__(self, other: int) -> Dim:
        return _sum(-1 * self, other, 1)

    def __neg__(self) -> Dim:
        return -1 * self

    def __mul__(self, other: Dim) -> Dim:
        product: dict[Monomial, int] = {}
        for left, p in self.terms:
            for right, q in _terms(other).items():
                monomial = tuple(sorted(left + right, key=_atom_key))
                product[monomial] = product.get(monomial, 0) + p * q
        return _normal(product)

    def __rmul__(self, other: int) -> Dim:
        return self * other

    def __floordiv__(self, other: Dim) -> Dim:
        return floordiv(self, other)

    def __rfloordiv__(self, other: int) -> Dim:
        return floordiv(other, self)

    def __str__(self) -> str:
        parts: list[str] = []
        for monomial, coefficient in self.terms:
            factors = [str(a) if isinstance(a, str) or a.function != "floordiv" else f"({a})" for a in monomial]
            if len(self.terms) == 1 and coefficient == 1 and len(monomial) == 1:
                return str(monomial[0])
            size = abs(coefficient)
            text = "*".join(([str(size)] if size != 1 or not factors else []) + factors)
            parts.append(text if not parts and coefficient > 0 else f"- {text}" if coefficient < 0 else f"+ {text}")
        joined = " ".join(parts)
        return "-" + joined[2:] if joined.startswith("- ") else joined

    __repr__ = __str__


def _terms(dim: Dim) -> dict[Monomial, int]:
    if isinstance(dim, Sym):
        return dict(dim.terms)
    return {(): int(dim)} if dim else {}


def _normal(terms: Mapping[Monomial, int]) -> Dim:
    kept = {monomial: coefficient for monomial, coefficient in terms.items() if coefficient}
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    return Sym(kept)


def _sum(left: Dim, right: Dim, sign: int) -> Dim:
    total = _terms(left)
    for monomial, coefficient in _terms(right).items():
        total[monomial] = total.get(monomial, 0) + sign * coefficient
    return _normal(total)


def divide(left: Dim, right: Dim) -> Dim | None:
    """The exact quotient where every term of `left` divides by the single term `right`, else None."""
    divisor = _terms(right)
    if len(divisor) != 1:
        return 1 if left == right and divisor else None
    ((by, q),) = divisor.items()
    quotient: dict[Monomial, int] = {}
    for monomial, p in _terms(left).items():
        rest = list(monomial)
        for atom in by:
            if atom not in rest:
                return None
            rest.remove(atom)
        if p % q:
            return None
        quotient[tuple(rest)] = p // q
    return _normal(quotient)


def floordiv(left: Dim, right: Dim) -> Dim:
    """`left // right`, exact where it comes out even."""
    if right == 0:
        raise ZeroDivisionError("an extent divided by zero")
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    exact = divide(left, right)
    return exact if exact is not None else Sym({(Call("floordiv", (left, right)),): 1})


def ceildiv(left: Dim, right: int) -> Dim:
    """`left / right` rounded up."""
    return left if right == 1 else floordiv(left + (right - 1), right)


def broadcast(left: Dim, right: Dim) -> Dim | None:
    """The extent of two operands side by side: equal, or one of them 1; None where two known extents differ.

    Where a symbol meets a different extent the answer is not known yet: a known extent other than 1 wins, and two
    different symbols give the atom `broadcast(left, right)`, which `specialize` resolves.
    """
    if left == right or right == 1:
        return left
    if left == 1:
        return right
    if isinstance(left, int) and isinstance(right, int):
        return None
    if isinstance(left, int) or isinstance(right, int):
        return unify(left, right)
    return Sym({(Call("broadcast", (left, right)),): 1})


_assumed: ContextVar[set[tuple[Dim, Dim]] | None] = ContextVar("assumed", default=None)


def unify(left: Dim, right: Dim) -> Dim | None:
    """The extent of two that must be equal: the known one where one is known; None where they cannot be equal.

    What is not certain (a symbol against another extent) is noted for the surrounding `assumptions`.
    """
    if left == right:
        return left
    if isinstance(left - right, int):
        return None
    noted = _assumed.get()
    if noted is not None:
        noted.add((left, right))
    return right if isinstance(right, int) else left


@contextmanager
def assumptions() -> Iterator[set[tuple[Dim, Dim]]]:
    """Collects the pairs of extents that inference inside the block takes to be equal: `specialize` checks them for every new shape."""
    noted: set[tuple[Dim, Dim]] = set()
    token = _assumed.set(noted)
    try:
        yield noted
    finally:
        _assumed.reset(token)


def minimum(left: Dim, right: Dim) -> Dim:
    """The smaller extent; an atom where it is not known which."""
    return _extreme("min", left, right)


def maximum(left: Dim, right: Dim) -> Dim:
    """The larger extent; an atom where it is not known which."""
    return _extreme("max", left, right)


def _extreme(function: str, left: Dim, right: Dim) -> Dim:
    difference = left - right
    if isinstance(difference, int):
        return left if (difference <= 0) == (function == "min") else right
    return Sym({(Call(function, (left, right)),): 1})


def product(dims: Shape) -> Dim:
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def symbols(dim: Dim) -> set[str]:
    """The names of the symbols that an extent depends on."""
    found: set[str] = set()
    if isinstance(dim, Sym):
        for monomial, _ in dim.terms:
            for atom in monomial:
                if isinstance(atom, str):
                    found.add(atom)
                else:
                    for inner in atom.args:
                        found |= symbols(inner)
    return found


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """`dim` with symbols replaced; ints for all of them give an int (ValueError where a broadcast does not fit)."""
    if not isinstance(dim, Sym):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        term: Dim = coefficient
        for atom in monomial:
            term = term * _substitute_atom(atom, values)
        total = total + term
    return total


def _substitute_atom(atom: Atom, values: Mapping[str, Dim]) -> Dim:
    if isinstance(atom, str):
        return values[atom] if atom in values else Sym.named(atom)
    left, right = (substitute(inner, values) for inner in atom.args)
    if atom.function == "floordiv":
        return floordiv(left, right)
    if atom.function in ("min", "max"):
        return _extreme(atom.function, left, right)
    joined = broadcast(left, right)
    if joined is None:
        raise ValueError(f"extents {left} and {right} do not broadcast")
    return joined
