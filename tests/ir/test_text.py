import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowc.ops  # noqa: F401  (fills the table of ops)
from flowc.errors import TextError
from flowc.ir.dims import Sym
from flowc.ir.function import Builder
from flowc.ir.interpret import interpret
from flowc.ir.text import parse_function, parse_module, print_function
from flowc.ir.types import BOOL, F16, F32, F64, I32, I64, U8, TensorType
from flowc.ir.verify import verify


def round_trip(text: str) -> None:
    assert str(verify(parse_function(text))) == text


@pytest.mark.parametrize(
    "text",
    [
        "def f(x: f32[b, 2], W: f32[2]):\n    Layer.h: f32[b, 2] = mul(x, W)\n    v0: f32[b, 2] = mul(Layer.h, 2.0)\n    return v0\n",
        "def f(x: f32):\n    return x\n",
        "def f(x: f32[b]):\n    return\n",
        "def f(x: f32[b], w: f32[b]):\n    v0: f32[b] = add(w, x)\n    w[...] = v0\n    return x, v0\n",
        "def f(x: f32[b, 4]):\n    v0: f32[b] = reduce_sum(x, axis=(1,))\n    return v0\n",
        "def f(x: f32[b]):\n    v0: f64[b] = cast(x, dtype=f64)\n    return v0\n",
        "def f(x: i32[b]):\n    v0: i32[b] = add(x, -3)\n    return v0\n",
        'def f(x: f32[b]):\n    v0: f32[b] = minimum(x, f32("inf"))\n    v1: f32[b] = maximum(v0, f32("-inf"))\n    return v1\n',
        "def f(x: f32[b]):\n    v0: f32[b] = add(x, -0.0)\n    v1: f32[b] = mul(v0, 1e-30)\n    return v1\n",
        "def f(c: bool[b], x: f32[b]):\n    v0: f32[b] = where(c, x, f32(0.0))\n    return v0\n",
        "def f(x: f32):\n    c0: f32[2] = constant([1.5, -0.0])\n    v0: f32[2] = mul(x, c0)\n    return v0, f64(2.5)\n",
        "def f(x: f32[b, 4]):\n    v0: f32[4*b] = reshape(x, shape=(4*b,))\n    return v0\n",
        "def f(x: f32[(h + 1)//2]):\n    v0: f32[(h + 1)//2] = neg(x)\n    return v0\n",
        "def f():\n    v0: i32 = dim(value=2*b + 1, dtype=i32)\n    return v0\n",
    ],
)
def test_the_text_of_a_function_parses_back(text):
    round_trip(text)


def test_large_constants_keep_their_bits():
    b = Builder("f")
    array = np.random.default_rng(0).normal(size=(20, 7)).astype(np.float32)
    f = b.finish([b.apply("neg", b.constant(array))])
    np.testing.assert_array_equal(interpret(parse_function(str(f)), [])[0], -array)
    assert "constant(...)" in print_function(f, elide=True)


def test_an_empty_constant_and_nan_parse_back():
    b = Builder("f")
    f = b.finish([b.constant(np.zeros((0, 3), np.float32)), b.constant(np.float32([np.nan, np.inf])), b.constant(np.nan, F64)])
    g = parse_function(str(f))
    assert str(g) == str(f)
    assert interpret(g, [])[0].shape == (0, 3)


def test_a_module_prints_its_functions_before_main():
    text = (
        "def k0(x: f32[b]):\n    v0: f32[b] = neg(x)\n    v1: f32[b] = exp(v0)\n    return v0, v1\n\n"
        "def main(x: f32[b]):\n    v0: (f32[b], f32[b]) = k0(x)\n    v1: f32[b] = item(v0, index=1)\n    return v1\n"
    )
    round_trip(text)
    assert list(parse_module(text)) == ["k0", "main"]
    assert interpret(parse_function(text), [np.float32([0.0])])[0].tolist() == [1.0]


def test_types_of_unknown_rank_parse_back():
    round_trip("def f(x: f32[...]):\n    v0: f32[...] = neg(x)\n    return v0\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(x: f32[b]):\n    v0: f32[b] = nothing(x)\n    return v0", "IR text, line 2, in f: no op nothing"),
        ("def f(x: f32[b]):\n    v0: f32 = neg(x)\n    return v0", "v0 is f32[b], not f32"),
        ("def f(x: f32[b]):\n    v0: f32[b] = neg(y)\n    return v0", "y is not defined"),
        ("def f(x: f32[b]):\n    v0: f32[b] = neg(x)\n    v0: f32[b] = exp(x)\n    return v0", "v0 is defined twice"),
        ("def f(x: f32[b]):\n    v0: f32[b] = neg(x)", "no `return`"),
        ("def f(x):\n    return x", "a param needs a type"),
        ("def f(x: float99):\n    return x", "not a type"),
        ("def f(x: f32):\n    if x: pass\n    return x", "neither"),
        ("def f(x: f32)\n    return x", "IR text, line 1"),
        ("x = 1", "only `def` may stand here"),
        ("", "no `def` in it"),
        ("def f():\n    return 1.0", "a plain number needs another operand"),
    ],
)
def test_text_that_does_not_parse_names_the_line(text, message):
    with pytest.raises(TextError) as caught:
        parse_function(text)
    assert message in str(caught.value)


# random Functions

DTYPES = (F16, F32, F64, I32, I64, U8, BOOL)
SHAPES = st.lists(st.one_of(st.integers(0, 3), st.sampled_from([Sym.named("b"), Sym.named("c"), Sym.named("b") * 2 + 1])), max_size=3).map(tuple)


@st.composite
def functions(draw):
    b = Builder(draw(st.sampled_from(["f", "main", "loss"])))
    shape = draw(SHAPES)
    dtype = draw(st.sampled_from(DTYPES))
    pool = [b.param(f"p{i}", TensorType(dtype, shape)) for i in range(draw(st.integers(1, 3)))]
    binary = ["logical_and", "logical_xor", "equal"] if dtype is BOOL else ["add", "mul", "maximum", "sub"]
    for serial in range(draw(st.integers(0, 8))):
        name = draw(st.one_of(st.none(), st.sampled_from(["a.x", "a.y", "Layer.h", "v3", "c0", "z"])))
        kind = draw(st.integers(0, 3))
        same = [n for n in pool if n.type == pool[0].type]
        x = draw(st.sampled_from(same))
        if kind == 0:
            whole = st.integers(0, 200) if dtype is U8 else st.integers(-9, 9)
            number = draw(st.booleans() if dtype is BOOL else whole if dtype.is_int else st.floats(width=16))
            other = b.constant(np.asarray(number), dtype)
            new = b.apply(draw(st.sampled_from(binary)), x, other, name=name)
        elif kind == 1:
            new = b.apply(draw(st.sampled_from(binary)), x, draw(st.sampled_from(same)), name=name)
        elif kind == 2:
            new = b.apply("cast", x, dtype=draw(st.sampled_from(DTYPES)), name=name)
        else:
            new = b.apply("expand_dims", x, axis=(draw(st.integers(0, len(shape))),), name=f"{name or 'n'}_{serial}")
        pool.append(new)
    updates = [(p, draw(st.sampled_from([n for n in pool if n.type == p.type]))) for p in b.params if draw(st.booleans())]
    return b.finish(draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3)), updates)


@settings(max_examples=150, deadline=None)
@given(functions())
def test_a_random_function_prints_and_parses_back(f):
    text = str(verify(f))
    assert str(verify(parse_function(text))) == text
