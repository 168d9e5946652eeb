"""Each unstable form in text, and the gradients that are built from it by value: finite and right where TensorFlow gives NaN."""

import numpy as np
import pytest

from flowc.ir.interpret import interpret
from flowc.transforms.autodiff import value_and_grad
from flowc.transforms.pipeline import optimize
from flowc.transforms.records import Records
from flowc.transforms.stabilize import RULES, stabilize
from tests.transforms.checking import assert_same_values, check, parse, unchanged

EXAMPLES = {
    "log(softmax(x, axis=a))": ("v0: f32[b, 4] = softmax(x); v1: f32[b, 4] = log(v0)", "v0: f32[b, 4] = log_softmax(x)"),
    "log(reduce_sum(exp(x), axis=a, keepdims=k))": (
        "v0: f32[b, 4] = exp(x); v1: f32[b] = reduce_sum(v0, axis=(1,)); v2: f32[b] = log(v1)",
        "v0: f32[b] = logsumexp(x, axis=(1,))",
    ),
    "log(sigmoid(x))": (
        "v0: f32[b, 4] = sigmoid(x); v1: f32[b, 4] = log(v0)",
        "v0: f32[b, 4] = neg(x); v1: f32[b, 4] = softplus(v0); v2: f32[b, 4] = neg(v1)",
    ),
    "log(sub(1.0, sigmoid(x)))": (
        "v0: f32[b, 4] = neg(x); v1: f32[b, 4] = sigmoid(v0); v2: f32[b, 4] = log(v1)",  # 1 - sigmoid(x) has become sigmoid(-x)
        "v0: f32[b, 4] = neg(x); v1: f32[b, 4] = neg(v0); v2: f32[b, 4] = softplus(v1); v3: f32[b, 4] = neg(v2)",
    ),
    "log1p(neg(sigmoid(x)))": (
        "v0: f32[b, 4] = sigmoid(x); v1: f32[b, 4] = neg(v0); v2: f32[b, 4] = log1p(v1)",
        "v0: f32[b, 4] = softplus(x); v1: f32[b, 4] = neg(v0)",
    ),
    "sub(1.0, sigmoid(x))": (
        "v0: f32[b, 4] = sigmoid(x); v1: f32[b, 4] = sub(1.0, v0)",
        "v0: f32[b, 4] = neg(x); v1: f32[b, 4] = sigmoid(v0)",
    ),
    "log(add(1.0, exp(x)))": ("v0: f32[b, 4] = exp(x); v1: f32[b, 4] = add(v0, 1.0); v2: f32[b, 4] = log(v1)", "v0: f32[b, 4] = softplus(x)"),
    "log1p(exp(x))": ("v0: f32[b, 4] = exp(x); v1: f32[b, 4] = log1p(v0)", "v0: f32[b, 4] = softplus(x)"),
    "exp(log_softmax(x, axis=a))": ("v0: f32[b, 4] = log_softmax(x); v1: f32[b, 4] = exp(v0)", "v0: f32[b, 4] = softmax(x)"),
}


def written(body: str, params: str = "x: f32[b, 4]") -> str:
    lines = [line.strip() for line in body.split(";")]
    return f"def f({params}):\n" + "".join(f"    {line}\n" for line in lines) + f"    return {lines[-1].split(':')[0]}\n"


@pytest.mark.parametrize("rule", RULES.rules, ids=str)
def test_each_rule_does_what_its_example_says(rule):
    before, after = EXAMPLES[rule.pattern]
    check(stabilize, written(before), written(after))


def test_each_replacement_is_recorded_with_its_reason():
    records = Records()
    stabilize(parse(CROSS_ENTROPY), records)
    (decision,) = records
    assert (decision.kind, decision.rule, decision.nodes) == ("rewritten", "stabilize", ("l",))
    assert decision.reason == "log(s) is computed as log_softmax(x)"


def test_a_quotient_of_exponentials_is_a_softmax():
    check(
        stabilize,
        written("v0: f32[b, 4] = exp(x); v1: f32[b, 1] = reduce_sum(v0, axis=(1,), keepdims=True); v2: f32[b, 4] = div(v0, v1)"),
        written("v0: f32[b, 4] = softmax(x, axis=1)"),
    )


def shifted(reduction, axis, of):
    return written(f"m: f32{of} = {reduction}(x, axis={axis}, keepdims=True); d: f32[b, 4] = sub(x, m); v0: f32[b, 4] = exp(d); "
                   "v1: f32[b, 1] = reduce_sum(v0, axis=(1,), keepdims=True); v2: f32[b, 4] = div(v0, v1)")  # fmt: skip


def test_what_a_softmax_subtracts_itself_is_not_subtracted_before():
    check(stabilize, shifted("reduce_max", "(1,)", "[b, 1]"), written("v0: f32[b, 4] = softmax(x, axis=1)"))


@pytest.mark.parametrize(("reduction", "axis", "of"), [("reduce_min", "(1,)", "[b, 1]"), ("reduce_max", "(0,)", "[1, 4]")])
def test_another_number_that_is_subtracted_before_a_softmax_stays(reduction, axis, of):
    kept = written(f"m: f32{of} = {reduction}(x, axis={axis}, keepdims=True); d: f32[b, 4] = sub(x, m); v0: f32[b, 4] = softmax(d, axis=1)")
    check(stabilize, shifted(reduction, axis, of), kept)


@pytest.mark.parametrize(
    "body",
    [
        "v0: f32[b, 4] = softplus(x); v1: f32[b, 4] = log(v0)",
        "v0: f32[b, 4] = exp(x); v1: f32[b] = reduce_max(v0, axis=(1,)); v2: f32[b] = log(v1)",
        "v0: f32[b, 4] = sigmoid(x); v1: f32[b, 4] = sub(2.0, v0)",
        "v0: f32[b, 4] = softmax(x); v1: f32[b, 4] = div(x, v0); v2: f32[b, 4] = mul(v1, x)",
    ],
)
def test_other_forms_stay(body):
    unchanged(stabilize, written(body))


def test_a_sum_over_rows_does_not_divide_columns():
    unchanged(
        stabilize,
        written("v0: f32[4, 4] = exp(x); v1: f32[4] = reduce_sum(v0, axis=(1,)); v2: f32[4, 4] = div(v0, v1)", "x: f32[4, 4]"),
    )


CROSS_ENTROPY = """
    def loss(x: f32[b, 4], y: f32[b, 4]):
        s: f32[b, 4] = softmax(x)
        l: f32[b, 4] = log(s)
        m: f32[b, 4] = mul(y, l)
        r: f32[b] = reduce_sum(m, axis=(1,))
        q: f32[b] = neg(r)
        z: f32 = reduce_mean(q)
        return z
"""
BY_HAND = """
    def loss(x: f32[b, 4], y: f32[b, 4]):
        e: f32[b, 4] = exp(x)
        t: f32[b, 1] = reduce_sum(e, axis=(1,), keepdims=True)
        s: f32[b, 4] = div(e, t)
        l: f32[b, 4] = log(s)
        m: f32[b, 4] = mul(y, l)
        r: f32[b] = reduce_sum(m, axis=(1,))
        q: f32[b] = neg(r)
        z: f32 = reduce_mean(q)
        return z
"""
WITHOUT_KEPT_AXES = BY_HAND.replace(
    "t: f32[b, 1] = reduce_sum(e, axis=(1,), keepdims=True)", "u: f32[b] = reduce_sum(e, axis=(1,))\n        t: f32[b, 1] = expand_dims(u, axis=(1,))"
)
SHIFTED = BY_HAND.replace(
    "e: f32[b, 4] = exp(x)", "w: f32[b, 1] = reduce_max(x, axis=(1,), keepdims=True)\n        d: f32[b, 4] = sub(x, w)\n        e: f32[b, 4] = exp(d)"
)
LOGISTIC = """
    def loss(x: f32[b, 4], y: f32[b, 4]):
        s: f32[b, 4] = sigmoid(x)
        l: f32[b, 4] = log(s)
        m: f32[b, 4] = mul(y, l)
        o: f32[b, 4] = sub(1.0, y)
        p: f32[b, 4] = sub(1.0, s)
        k: f32[b, 4] = log(p)
        n: f32[b, 4] = mul(o, k)
        t: f32[b, 4] = add(m, n)
        r: f32[b] = reduce_sum(t, axis=(1,))
        q: f32[b] = neg(r)
        z: f32 = reduce_mean(q)
        return z
"""


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


LOGITS = np.array([[500.0, 0.0, -500.0, 1.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, -1000.0, 90.0]], np.float32)
ONE_HOT = np.eye(4, dtype=np.float32)[[0, 2, 0]]


@pytest.mark.parametrize("text", [CROSS_ENTROPY, BY_HAND, WITHOUT_KEPT_AXES, SHIFTED], ids=["softmax", "by hand", "without kept axes", "shifted"])
def test_a_hand_written_cross_entropy_has_a_finite_and_right_gradient_where_probabilities_underflow(text):
    value, gradient = interpret(optimize(value_and_grad(parse(text))), [LOGITS, ONE_HOT])
    wide = LOGITS.astype(np.float64)
    assert value == pytest.approx(np.mean(np.log(np.exp(wide - wide.max(1, keepdims=True)).sum(1)) + wide.max(1) - (wide * ONE_HOT).sum(1)), rel=1e-5)
    np.testing.assert_allclose(gradient, (softmax(wide) - ONE_HOT) / 3, atol=1e-6)


def test_the_unstabilized_gradient_is_nan_there():
    _, gradient = interpret(value_and_grad(parse(CROSS_ENTROPY)), [LOGITS, ONE_HOT])
    assert np.isnan(gradient).any()


def test_a_hand_written_logistic_loss_has_a_finite_and_right_gradient_where_the_sigmoid_saturates():
    value, gradient = interpret(optimize(value_and_grad(parse(LOGISTIC))), [LOGITS, ONE_HOT])
    assert np.isfinite(value)
    np.testing.assert_allclose(gradient, (sigmoid(LOGITS.astype(np.float64)) - ONE_HOT) / 3, atol=1e-6)


def test_the_gradient_of_log_sum_exp_survives_huge_logits():
    text = """
    def f(x: f32[b, 4]):
        e: f32[b, 4] = exp(x)
        t: f32[b] = reduce_sum(e, axis=(1,))
        l: f32[b] = log(t)
        z: f32 = reduce_sum(l)
        return z
    """
    _, gradient = interpret(optimize(value_and_grad(parse(text))), [LOGITS])
    np.testing.assert_allclose(gradient, softmax(LOGITS.astype(np.float64)), atol=1e-6)


@pytest.mark.parametrize("text", [CROSS_ENTROPY, BY_HAND, WITHOUT_KEPT_AXES, LOGISTIC])
def test_ordinary_values_are_as_before(text):
    f = value_and_grad(parse(text.replace("softmax(x)", "softmax(x)")))
    assert_same_values(f, stabilize(f), rtol=1e-4)
    assert_same_values(f, optimize(f), rtol=1e-4)
