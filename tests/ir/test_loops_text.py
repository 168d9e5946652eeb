import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowc.ops  # noqa: F401  (fills the table of ops)
from flowc.errors import Location, TextError
from flowc.ir import loops
from flowc.ir.dims import Sym
from flowc.ir.loops import Alloc, Apply, Buffer, Cast, Comment, Const, For, If, Kernel, Let, Load, Select, Store, Var
from flowc.ir.loops_text import parse_kernel, parse_kernels, print_kernel, show
from flowc.ir.text import parse_function
from flowc.ir.types import BOOL, F32, F64, I32, I64, U32
from flowc.lower.schedule_cpu import schedule
from flowc.transforms.autodiff import value_and_grad
from flowc.transforms.pipeline import optimize

KERNEL = """\
def k0(x: f32[10*b], out: f32[b], s: inout(f32[4]), spare: out(f64[2]), part: workspace(f32[64]), b: i64):
    # model.py:41
    for i in parallel(b):
        acc: f32 = -inf
        tmp: f32[64]
        common: shared(f32[32])
        for j in vector(2, 10):
            v = x[10 * i + j] if j < 5 and i > 2 else 0.0
            tmp[j] = v * 2.0
            acc += max(v, 0.5)
            acc *= 1.5
            acc = max(acc, -v)
            w = f32(1.0)
            if not j > 3:
                s[j % 4] = min(s[j % 4], 0.1)
            else:
                s[0] *= f32(i)
        out[i] = acc
    barrier()
    for i in serial(3):
        pass
"""


def test_a_kernel_prints_as_it_was_written():
    assert print_kernel(parse_kernel(KERNEL)) == KERNEL
    assert str(parse_kernel(KERNEL)) == KERNEL


def test_roles_follow_from_the_stores_unless_stated():
    k = parse_kernel(KERNEL)
    assert [(b.name, b.role) for b in k.buffers] == [("x", "in"), ("out", "out"), ("s", "inout"), ("spare", "out"), ("part", "workspace")]
    assert k.extents == ("b",) and k.buffers[0].size == Sym.named("b") * 10


def test_a_loop_says_how_many_iterations_are_done_again():
    text = "def k(x: f32[n], n: i64):\n    for i in serial(n + 2, again=2):\n        x[max(i - 2, 0)] = 0.0\n"
    (kernel,) = parse_kernels(text)
    assert kernel.body[0].again == 2 and print_kernel(kernel) == text
    with pytest.raises(TextError, match="a loop has no keyword but again=n"):
        parse_kernels(text.replace("again=2", "more=2"))


def test_a_tile_prints_as_one_call():
    names = "out_at a_at b_at rows columns outer inner out_row a_row a_outer a_inner b_unit b_column b_outer b_inner"
    parts = ", ".join(f"{n}={i}" for i, n in enumerate(names.split()))
    text = f"def k(a: f32[n], c: f32[n], b: f32[n], n: i64):\n    tile(out=c, a=a, b=b, {parts}, accumulate=False, dtype=f32, block=(8, 32))\n"
    assert print_kernel(parse_kernel(text)) == text
    assert [b.role for b in parse_kernel(text).buffers] == ["in", "out", "in"]
    several = text.replace("block=(8, 32)", "block=(8, 32), count=4, out_step=n, a_step=2, b_step=3")
    assert print_kernel(parse_kernel(several)) == several
    ahead = text.replace("block=(8, 32)", "block=(8, 32), ahead=[a, b], ahead_at=n * 2, ahead_row=3")
    assert print_kernel(parse_kernel(ahead)) == ahead


@pytest.mark.parametrize("kind", ["real", "complex", "to_real"])
def test_a_transform_prints_as_one_call(kind):
    parts = ", ".join(f"{n}={i}" for i, n in enumerate(("out_at", "out_step", "out_part", "a_at", "a_step", "a_part", "first", "count", "lanes")))
    text = f"def k(a: f32[n], c: f32[n], n: i64):\n    fourier_{kind}(out=c, a=a, {parts}, dtype=f32)\n"
    parsed = parse_kernel(text)
    assert print_kernel(parsed) == text and [b.role for b in parsed.buffers] == ["in", "out"]


def test_several_kernels_parse_in_order():
    text = "def k0(x: f32[1]):\n    x[0] = 1.0\n\ndef k1(x: f32[1]):\n    x[0] = 2.0\n"
    assert [k.name for k in parse_kernels(text)] == ["k0", "k1"]


def test_comments_keep_their_place_and_line():
    body = (Comment("", Location("/home/user/model.py", 41, "build")), For("i", Const(0, I64), Const(3, I64), "serial", (Comment("nothing"),)))
    k = Kernel("k", (), (), body, ("one note",))
    assert str(k) == "def k():\n    # one note\n    # model.py:41\n    for i in serial(3):\n        # nothing\n        pass\n"
    assert str(parse_kernel(str(k))) == str(k)


X, INDEX, N = Var("x", F32), Var("i", I64), Var("n", U32)


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (X * 2.0 + 1.0, "x * 2.0 + 1.0"),
        (X * (X + 1.0), "x * (x + 1.0)"),
        (Const(0.1, F32), "f32(0.1)"),
        (Const(0.1, F64), "f64(0.1)"),
        (Const(7, I64), "7"),
        (Const(7, I32), "i32(7)"),
        (Const(True, BOOL), "True"),
        (Const(float("nan"), F32), "f32(nan)"),
        (Apply("max", (X, Const(-0.0, F32)), F32), "max(x, -0.0)"),
        (Apply("neg", (Const(1.0, F32),), F32), "-f32(1.0)"),
        (Cast(F32, INDEX), "f32(i)"),
        (Cast(F32, Const(1, I64)), "f32(i64(1))"),
        (Select(X > 0.0, X, Const(0.0, F32)), "x if x > 0.0 else 0.0"),
        (Apply("shl", (N, Const(3, U32)), U32), "n << 3"),
        (loops.extent(Sym.named("b") * 2 + 1), "2 * b + 1"),
        (loops.apply("sigmoid", X), "sigmoid(x)"),
        (Apply("and", (X > 0.0, Apply("not", (X < 1.0,), BOOL)), BOOL), "x > 0.0 and (not x < 1.0)"),
    ],
)
def test_expressions_read_like_python(expr, text):
    assert show(expr) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def k(x: f32[1]):\n    x[0] = y", "kernel text, line 2, in k: no expression of the loop IR: y"),
        ("def k(x: f32[1]):\n    y[0] = 1.0", "neither a register nor a buffer's element"),
        ("def k(x: f32[1]):\n    v = 1.5", "a literal with no neighbour"),
        ("def k(x: f32):\n    pass", "neither a buffer `f32[n]` nor an extent `i64`"),
        ("def k(x: f32[1]):\n    while True: pass", "no statement of the loop IR"),
        ("def k(x: f32[1]):\n    tile(out=x)", "tile without a"),
        ("def k(x: f32[1]):\n    fourier_real(out=x)", "transform without a"),
        ("def k(x: f32[1])\n    pass", "kernel text, line 1"),
        ("x = 1", "only `def` may stand here"),
    ],
)
def test_text_that_does_not_parse_names_the_line(text, message):
    with pytest.raises(TextError) as caught:
        parse_kernel(text)
    assert message in str(caught.value)


def test_the_kernels_of_a_training_step_print_and_parse_back():
    loss = parse_function(
        "def loss(x: f32[b, 4], w: f32[4], y: f32[b, 4]):\n"
        "    z: f32[b, 4] = mul(x, w)\n    p: f32[b, 4] = softmax(z)\n    l: f32[b, 4] = log(p)\n    m: f32[b, 4] = mul(y, l)\n"
        "    r: f32 = reduce_mean(m)\n    return r"
    )
    kernels = [schedule(f) for f in optimize(value_and_grad(loss, (1,))).callees()]
    assert kernels
    for kernel in kernels:
        assert print_kernel(parse_kernel(print_kernel(kernel))) == print_kernel(kernel)


# random kernels

FLOATS = st.floats(width=32, allow_nan=False)
SCALARS = st.recursive(
    st.one_of(st.just(X), FLOATS.map(lambda v: Const(v, F32)), st.integers(0, 9).map(lambda k: Load("a", Const(k, I64), F32))),
    lambda inner: st.one_of(
        st.builds(lambda n, p, q: Apply(n, (p, q), F32), st.sampled_from(["add", "sub", "mul", "div", "min", "max", "pow"]), inner, inner),
        st.builds(lambda n, p: Apply(n, (p,), F32), st.sampled_from(["neg", "exp", "abs"]), inner),
        st.builds(lambda p, q, r, s: Select(Apply("lt", (p, q), BOOL), r, s), inner, inner, inner, inner),
        st.builds(lambda p: Cast(F32, Cast(F64, p)), inner),
    ),
    max_leaves=8,
)
STORES = st.builds(lambda v, c, i: Store("out", Const(i, I64), v, c), SCALARS, st.sampled_from([None, "add", "mul", "min", "max"]), st.integers(0, 9))
BODIES = st.lists(
    st.one_of(STORES, SCALARS.map(lambda v: Let("t", v)), st.builds(lambda s, v: If(Apply("gt", (v, X), BOOL), (s,), (s,)), STORES, SCALARS)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(BODIES, st.sampled_from(["serial", "parallel", "vector", "unroll", "block", "thread"]))
def test_a_random_kernel_prints_and_parses_back(body, kind):
    loop = For("i", Const(0, I64), Var("b", I64), kind, tuple(body))
    k = Kernel("k", (Buffer("a", F32, 10), Buffer("out", F32, 10, "out")), ("b",), (Alloc("x", F32, Const(0.5, F32)), loop))
    text = print_kernel(k)
    assert print_kernel(parse_kernel(text)) == text
