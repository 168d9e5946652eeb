"""Winograd's minimal filtering F(m x m, r x r): its matrices, and their products with values as statements.

    f = form(4, 3)                        # Form: back [4, 6], filter [6, 3], data [6, 6], exact fractions
    made, results = combine(f.data, values, "t")      # `Let`s, and six expressions: each a sum of the values

The matrices are Toom and Cook's for the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity (S. Winograd, "Arithmetic Complexity of Computations",
1980). A product through them rounds more than a direct sum: `FORMS` holds the sizes whose largest error stays within 1e-5 of the largest
result, up to a number of channels (tests/ops/test_winograd.py measures it).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from flowc.ir.dims import Dim
from flowc.ir.loops import Expr, Let, Load, Statement, Store, Var, index
from flowc.ir.types import DType
from flowc.ops.tiles import var, vector
from flowc.structs import Struct

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS = tuple(Fraction(p) for p in ("0", "1", "-1", "2", "-2", "1/2", "-1/2"))
FORMS = {5: ((4, 64),), 3: ((4, 128),)}  # filter size -> (results in a row of a tile, channels summed over up to which its error is small)
ASKED = {5: 4, 3: 6}  # the same where FLOWC_CONVOLUTION=winograd asks for it, whatever the channels


class Form(Struct):
    """F(m x m, r x r): its matrices act on the left of a column. `back` is A^T [m, n], `filter` G [n, r], `data` B^T [n, n]."""

    m: int
    r: int
    back: Matrix
    filter: Matrix
    data: Matrix

    @property
    def n(self) -> int:
        return self.m + self.r - 1


@cache
def form(m: int, r: int) -> Form:
    """The matrices of F(m, r) by Toom and Cook: polynomials at m + r - 2 points and infinity."""
    n = m + r - 1
    points = POINTS[: n - 1]
    back = tuple((*(p**i for p in points), Fraction(int(i == m - 1))) for i in range(m))
    filter_rows = []
    data_rows = []
    for j, p in enumerate(points):
        others = [q for i, q in enumerate(points) if i != j]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        filter_rows.append(tuple(p**i / scale for i in range(r)))
        data_rows.append((*_polynomial(others), Fraction(0)))
    filter_rows.append((*(Fraction(0),) * (r - 1), Fraction(1)))
    data_rows.append(_polynomial(points))
    return Form(m, r, back, tuple(filter_rows), tuple(data_rows))


def _polynomial(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Coefficients, the constant first, of the product of (x - root)."""
    found = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *found], [*(root * c for c in found), Fraction(0)]
        found = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(found)


def form_of(window: tuple[int, int], summed: Dim | None, whatever: bool) -> Form | None:
    """The form for a window, None where there is none. `summed`: channels that a sum runs over, None where it runs over places; whatever: also
    where so many of them make its error large."""
    r = window[0]
    if r != window[1] or r not in FORMS:
        return None
    if whatever:
        return form(ASKED[r], r)
    return next((form(m, r) for m, most in FORMS[r] if summed is None or (isinstance(summed, int) and summed <= most)), None)


# linear combinations as statements


def combine(matrix: Matrix, values: Sequence[Expr], name: str) -> tuple[list[Statement], list[Expr]]:
    """The rows of `matrix` times `values`; what rows share is computed once, in `Let`s named after `name`.

    The points come in pairs p and -p. So two columns that differ by signs alone become a sum and a difference of their values, and of two
    rows that do, one is the sum of an even and an odd part and the other their difference.
    """
    made: list[Statement] = []

    def named(value: Expr) -> Expr:
        made.append(Let(f"{name}{len(made)}", value))
        return Var(f"{name}{len(made) - 1}", value.dtype)

    columns = [[row[j] for row in matrix] for j in range(len(values))]
    terms: list[tuple[list[Fraction], Expr]] = []
    waiting = list(range(len(values)))
    while waiting:
        j = waiting.pop(0)
        other = next((k for k in waiting if _differ_by_signs(columns[j], columns[k])), None)
        if other is None:
            terms.append((columns[j], values[j]))
            continue
        waiting.remove(other)
        same = [c if c == d else Fraction(0) for c, d in zip(columns[j], columns[other], strict=True)]
        opposite = [c if c != d else Fraction(0) for c, d in zip(columns[j], columns[other], strict=True)]
        terms += [(same, named(values[j] + values[other])), (opposite, named(values[j] - values[other]))]
    rows: list[list[tuple[Fraction, Expr]]] = [[(column[i], x) for column, x in terms if column[i]] for i in range(len(matrix))]
    results: list[Expr | None] = [None] * len(rows)
    for i, row in enumerate(rows):
        if results[i] is not None:
            continue
        twin = next((k for k in range(i + 1, len(rows)) if _are_twins(row, rows[k])), None)
        if twin is None:
            results[i] = named(_sum(row))
            continue
        signs = {id(x): c for c, x in rows[twin]}
        even = named(_sum([(c, x) for c, x in row if signs[id(x)] == c]))
        odd = named(_sum([(c, x) for c, x in row if signs[id(x)] != c]))
        results[i], results[twin] = named(even + odd), named(even - odd)
    return made, [r for r in results if r is not None]


def _differ_by_signs(x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
    """Whether two columns pair: equal magnitudes, some entries equal and some opposite."""
    if any(abs(a) != abs(b) for a, b in zip(x, y, strict=True)):
        return False
    signs = {a == b for a, b in zip(x, y, strict=True) if a}
    return signs == {True, False}


def _are_twins(row: Sequence[tuple[Fraction, Expr]], other: Sequence[tuple[Fraction, Expr]]) -> bool:
    """Whether two rows are an even and an odd part, added and subtracted."""
    if [id(x) for _, x in row] != [id(x) for _, x in other] or any(abs(a) != abs(b) for (a, _), (b, _) in zip(row, other, strict=True)):
        return False
    return {a == b for (a, _), (b, _) in zip(row, other, strict=True)} == {True, False} and len(row) > 2


def _sum(terms: Sequence[tuple[Fraction, Expr]]) -> Expr:
    """The sum of coefficient times value, those of 1 first: no product is made for them."""
    total: Expr | None = None
    for c, x in sorted(terms, key=lambda term: abs(term[0]) != 1):
        if total is None:
            total = x if c == 1 else x * float(c)
        elif c == -1:
            total = total - x
        else:
            total = total + (x if c == 1 else x * float(c))
    assert total is not None, "every row of these matrices has an entry"
    return total


def transform(
    matrix: Matrix, source: tuple[str, Expr, Expr], target: tuple[str, Expr, Expr], lanes: Expr, lane: str, dtype: DType
) -> Statement:  # fmt: skip
    """`target[i] = sum over j of matrix[i, j] * source[j]`, for `lanes` neighbours at once: (buffer, where it begins, from one to the next)."""
    buffer, start, step = source
    loads = [Let(f"{lane}_in{j}", Load(buffer, start + index(j) * step + var(lane), dtype)) for j in range(len(matrix[0]))]
    made, results = combine(matrix, [Var(let.name, dtype) for let in loads], f"{lane}_t")
    out, begin, apart = target
    stores = [Store(out, begin + index(i) * apart + var(lane), value) for i, value in enumerate(results)]
    return vector(lane, lanes, *loads, *made, *stores)


def transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


__all__ = ["Form", "Matrix", "combine", "form", "form_of", "transform", "transposed"]
