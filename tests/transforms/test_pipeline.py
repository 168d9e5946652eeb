import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowc.config import override
from flowc.ir.function import Builder
from flowc.ir.interpret import interpret
from flowc.ir.types import F32
from flowc.transforms.autodiff import value_and_grad
from flowc.transforms.expand import expand
from flowc.transforms.fold import fold
from flowc.transforms.pipeline import PASSES, names, optimize
from flowc.transforms.simplify import simplify
from flowc.transforms.stabilize import stabilize
from tests.transforms.checking import assert_same_values, parse

NETWORK = """
    def loss(x: f32[b, 4], w: f32[4], y: f32[b, 4]):
        Layer.z: f32[b, 4] = mul(x, w)
        Layer.h: f32[b, 4] = relu(Layer.z)
        p: f32[b, 4] = softmax(Layer.h)
        l: f32[b, 4] = log(p)
        m: f32[b, 4] = mul(y, l)
        s: f32[b] = reduce_sum(m, axis=(1,))
        n: f32[b] = neg(s)
        r: f32 = reduce_mean(n)
        return r
"""


@pytest.fixture(autouse=True)
def verified():
    with override(verify=True):
        yield


def test_the_passes_run_in_order_and_each_is_seen():
    seen = []
    optimize(parse(NETWORK), on_pass=lambda name, f: seen.append(name))
    assert tuple(seen) == names() == tuple(name for name, _ in PASSES)


def test_until_stops_after_a_pass():
    f = optimize(parse(NETWORK), until="stabilize")
    assert "log_softmax" in [n.op.name for n in f.nodes]
    assert "reduce_mean" not in [n.op.name for n in optimize(parse(NETWORK), until="expand").nodes]


def test_an_unknown_pass_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no pass fusion; there are tidy, stabilize, expand"):
        optimize(parse(NETWORK), until="fusion")


def test_values_and_gradients_are_kept_by_each_pass():
    f = value_and_grad(parse(NETWORK), (0, 1))
    for name in names():
        if name not in ("fuse",):
            assert_same_values(f, optimize(f, until=name), rtol=1e-4)


def test_optimizing_twice_changes_nothing_more():
    f = optimize(value_and_grad(parse(NETWORK), (1,)), until="resimplify")
    assert str(simplify(fold(simplify(expand(f))))) == str(f)


# random Functions: every pass keeps every value, NaN, infinities and signs of zero included

UNARY = ("neg", "exp", "log", "tanh", "abs", "square", "sqrt", "reciprocal", "relu", "sigmoid", "identity", "softplus", "zeros_like", "softmax", "log_softmax")
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0])


@st.composite
def functions(draw):
    b = Builder("f")
    params = [b.param("x", F32["b", 4]), b.param("c", F32[4]), b.param("k", F32["b", 1])]
    pool = list(params)
    for _ in range(draw(st.integers(1, 10))):
        kind = draw(st.integers(0, 5))
        x = draw(st.sampled_from(pool))
        if kind == 0:
            new = b.apply(draw(st.sampled_from(UNARY)), x)
        elif kind == 1:
            new = b.apply(draw(st.sampled_from(BINARY)), x, draw(st.sampled_from(pool)))
        elif kind == 2:
            pair = (x, b.constant(draw(NUMBERS), F32))
            new = b.apply(draw(st.sampled_from(BINARY)), *(pair if draw(st.booleans()) else pair[::-1]))
        elif kind == 3:
            new = b.apply("broadcast_like", x, params[0]) if x.tensor.rank <= 2 and x.tensor.dims[-1] in (1, 4) else x
        elif kind == 4:
            new = b.apply("sum_to", x, draw(st.sampled_from(params[1:]))) if x.type == params[0].type else b.apply("expand_dims", x, axis=(0,))
        else:
            new = b.apply(draw(st.sampled_from(["reduce_sum", "reduce_max", "reduce_mean"])), x, axis=(-1,), keepdims=True)
        if new.tensor.rank <= 3:
            pool.append(new)
    return b.finish([pool[-1], draw(st.sampled_from(pool))])


ARRAYS = [
    np.float32([[0.0, -0.0, 1.5, -2.0], [np.inf, 3.0, -np.inf, 1.0], [np.nan, 1.0, 2.0, 0.5]]),
    np.float32([1.0, -1.0, 0.0, 2.0]),
    np.float32([[1.0], [-0.0], [2.0]]),
]


@settings(max_examples=120, deadline=None)
@given(functions(), st.sampled_from([simplify, fold, expand]))
def test_a_pass_keeps_the_values_of_random_functions(f, transform):
    for wanted, got in zip(interpret(f, ARRAYS), interpret(transform(f), ARRAYS), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
        if transform is not expand and not any(n.op.name.startswith(("reduce", "sum")) for n in f.nodes):
            np.testing.assert_array_equal(np.signbit(got[wanted == 0]), np.signbit(wanted[wanted == 0]))


@settings(max_examples=60, deadline=None)
@given(functions())
def test_stabilizing_keeps_finite_values_of_random_functions(f):
    arrays = [np.float32([[0.1, -0.3, 1.5, -2.0]] * 3), np.float32([1.0, -1.0, 0.25, 2.0]), np.float32([[1.0], [-0.5], [2.0]])]
    for wanted, got in zip(interpret(f, arrays), interpret(stabilize(f), arrays), strict=True):
        sound = np.isfinite(wanted) & (np.abs(wanted) < 1e4)
        np.testing.assert_allclose(got[sound], wanted[sound], rtol=1e-3, atol=1e-4)
