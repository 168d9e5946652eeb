import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowc.ir import dims
from flowc.ir.dims import Sym, assumptions, broadcast, ceildiv, divide, floordiv, substitute, symbols, unify
from flowc.ir.text import parse_dim

NAMES = ("b", "c", "h")
LEAVES = st.one_of(st.integers(-5, 9), st.sampled_from([Sym.named(n) for n in NAMES]))
POLYNOMIALS = st.recursive(LEAVES, lambda inner: st.builds(lambda p, q, k: [p + q, p - q, p * q][k], inner, inner, st.integers(0, 2)), max_leaves=6)
VALUES = st.fixed_dictionaries({n: st.integers(1, 12) for n in NAMES})


def at(dim, values):
    return substitute(dim, values)


@given(POLYNOMIALS, POLYNOMIALS, VALUES)
def test_arithmetic_means_arithmetic_of_the_extents(p, q, values):
    assert at(p + q, values) == at(p, values) + at(q, values)
    assert at(p - q, values) == at(p, values) - at(q, values)
    assert at(p * q, values) == at(p, values) * at(q, values)


@given(POLYNOMIALS, POLYNOMIALS, POLYNOMIALS)
def test_normal_forms_make_equal_extents_equal(p, q, r):
    assert p + q == q + p and p * q == q * p
    assert (p + q) + r == p + (q + r) and (p * q) * r == p * (q * r)
    assert p * (q + r) == p * q + p * r
    assert p - p == 0 and p * 0 == 0 and hash(p + q) == hash(q + p)


@given(POLYNOMIALS, st.integers(1, 7), VALUES)
def test_a_quotient_is_the_quotient_of_the_extents(p, k, values):
    assert at(floordiv(p, k), values) == at(p, values) // k
    assert at(ceildiv(p, k), values) == -(-at(p, values) // k)
    assert floordiv(p * k, k) == p


@given(POLYNOMIALS, POLYNOMIALS, VALUES)
def test_extremes_are_those_of_the_extents(p, q, values):
    assert at(dims.minimum(p, q), values) == min(at(p, values), at(q, values))
    assert at(dims.maximum(p, q), values) == max(at(p, values), at(q, values))


@given(POLYNOMIALS, POLYNOMIALS, st.integers(1, 4))
def test_the_text_of_an_extent_parses_back(p, q, k):
    import ast

    for dim in (p, floordiv(p, k) + q, dims.minimum(p, q), dims.maximum(p, floordiv(q, k)) * 2):
        assert parse_dim(ast.parse(str(dim), mode="eval").body, ValueError) == dim


def test_extents_print_as_they_are_written():
    b, h = Sym.named("b"), Sym.named("h")
    assert str(b * 2 + 1) == "2*b + 1"
    assert str(b * 784 // 28) == "28*b"
    assert str((h + 1) // 2) == "(h + 1)//2"
    assert str(((h + 1) // 2) * b) == "b*((h + 1)//2)"
    assert str(b - 3) == "b - 3" and str(0 - b) == "-b"


def test_division_that_does_not_come_out_is_none():
    b = Sym.named("b")
    assert divide(b * 6, 4) is None and divide(b * 6, 3) == b * 2 and divide(b + 1, b) is None and divide(b + 1, b + 1) == 1
    with pytest.raises(ZeroDivisionError):
        floordiv(b, 0)


def test_broadcasting_follows_numpy_where_it_is_known():
    b, c = Sym.named("b"), Sym.named("c")
    assert broadcast(3, 3) == 3 and broadcast(1, b) == b and broadcast(b, 1) == b and broadcast(3, 4) is None
    assert broadcast(b, 4) == 4 and broadcast(b, b) == b
    joined = broadcast(b, c)
    assert substitute(joined, {"b": 1, "c": 7}) == 7
    with pytest.raises(ValueError, match="do not broadcast"):
        substitute(joined, {"b": 2, "c": 3})


def test_what_is_taken_to_be_equal_is_noted():
    b, c = Sym.named("b"), Sym.named("c")
    with assumptions() as noted:
        assert unify(b, 4) == 4 and unify(b, c) == b and unify(b, b) == b and unify(b, b + 1) is None and unify(3, 4) is None
    assert noted == {(b, 4), (b, c)}
    assert unify(b, 5) == 5
    assert noted == {(b, 4), (b, c)}


def test_symbols_are_found_inside_calls():
    b, c = Sym.named("b"), Sym.named("c")
    assert symbols((b + 1) // 2 + dims.minimum(c, 4)) == {"b", "c"}
