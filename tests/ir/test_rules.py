import pytest

import flowc.ops  # noqa: F401  (fills the table of ops)
from flowc.ir.rules import Rule, RuleSet, rewrite
from tests.transforms.checking import check, parse, unchanged


def by(*rules: Rule):
    table = RuleSet(rules)
    return lambda f: rewrite(f, [table.rewrite])


def test_a_name_stands_for_any_operand_and_a_repeated_one_for_the_same():
    square = by(Rule("mul(x, x)", "square(x)"))
    check(square, "def f(a: f32):\n    v0: f32 = mul(a, a)\n    return v0", "def f(a: f32):\n    v0: f32 = square(a)\n    return v0")
    unchanged(square, "def f(a: f32, b: f32):\n    v0: f32 = mul(a, b)\n    return v0")


@pytest.mark.parametrize("application", ["mul(x, 1.0)", "mul(1.0, x)"])
@pytest.mark.parametrize("dtype", ["f32", "f64", "i32"])
def test_a_number_matches_in_every_dtype_and_either_order(application, dtype):
    text = application.replace("1.0", "1") if dtype == "i32" else application
    check(by(Rule("mul(x, 1.0)", "x")), f"def f(x: {dtype}[n]):\n    v0: {dtype}[n] = {text}\n    return v0", f"def f(x: {dtype}[n]):\n    return x")


def test_the_order_matters_where_the_op_does_not_commute():
    unchanged(by(Rule("sub(x, 1.0)", "x")), "def f(x: f32):\n    v0: f32 = sub(1.0, x)\n    return v0")


def test_zeros_of_different_sign_do_not_match():
    unchanged(by(Rule("add(x, -0.0)", "x")), "def f(x: f32):\n    v0: f32 = add(x, 0.0)\n    return v0")


def test_a_truth_value_is_no_number():
    unchanged(by(Rule("equal(x, 1)", "x")), "def f(x: bool[n]):\n    v0: bool[n] = equal(x, True)\n    return v0")


def test_a_broadcast_constant_matches_as_its_number():
    check(
        by(Rule("mul(x, 1.0)", "x")),
        "def f(x: f32[2, 3]):\n    v0: f32[2, 3] = broadcast_to(f32(1.0), shape=(2, 3))\n    v1: f32[2, 3] = mul(x, v0)\n    return v1",
        "def f(x: f32[2, 3]):\n    return x",
    )


def test_a_rewrite_that_would_change_the_type_does_not_happen():
    unchanged(
        by(Rule("mul(x, 1.0)", "x")),
        "def f(x: f32[3]):\n    v0: f32[2, 3] = broadcast_to(f32(1.0), shape=(2, 3))\n    v1: f32[2, 3] = mul(x, v0)\n    return v1",
    )


def test_attributes_bind_and_are_demanded():
    rule = by(Rule("reduce_sum(neg(x), axis=a, keepdims=False)", "neg(reduce_sum(x, axis=a))"))
    before = "def f(x: f32[2, 3]):\n    v0: f32[2, 3] = neg(x)\n    v1: f32[2] = reduce_sum(v0, axis=(1,))\n    return v1"
    check(rule, before, "def f(x: f32[2, 3]):\n    v0: f32[2] = reduce_sum(x, axis=(1,))\n    v1: f32[2] = neg(v0)\n    return v1")
    unchanged(rule, before.replace("(1,))", "(1,), keepdims=True)").replace("v1: f32[2]", "v1: f32[2, 1]"))


def test_a_guard_decides():
    even = by(Rule("mul(x, y)", "square(x)", lambda bound: bound["x"] is bound["y"]))
    unchanged(even, "def f(x: f32, y: f32):\n    v0: f32 = mul(x, y)\n    return v0")


def test_the_first_rule_that_fits_wins_and_results_are_rewritten_again():
    rules = by(Rule("exp(x)", "neg(neg(x))"), Rule("neg(neg(x))", "x"), Rule("exp(x)", "tanh(x)"))
    f = "def f(x: f32):\n    v0: f32 = exp(x)\n    return v0"
    assert str(rules(parse(f))) == "def f(x: f32):\n    return x\n"


def test_a_replacement_with_a_name_that_the_pattern_lacks_is_refused():
    with pytest.raises(TypeError, match="y does not stand in the pattern"):
        RuleSet([Rule("neg(x)", "y")])
    with pytest.raises(TypeError, match="the pattern is no application"):
        RuleSet([Rule("x", "x")])
