import numpy as np
import pytest

from flowc.ir.interpret import interpret
from flowc.ir.text import parse_function
from flowc.runtime.executable import build
from flowc.transforms.simplify import RULES, simplify
from tests.transforms.checking import check, unchanged

X = "x: f32[b, 4]"
T = "f32[b, 4]"
IMAGES, MASK, POOL = "f32[b, 5, 6, 2]", "bool[b, 5, 6, 2]", "ksize=(3, 3), strides=(2, 2), padding='SAME'"
POOLED = f"y: f32[b, 3, 3, 2] = max_pool(x, {POOL})"


def one(params: str, body: str, result: str) -> str:
    """A `def` of lines `name: type = ...` separated by `;`."""
    lines = "".join(f"    {line.strip()}\n" for line in body.split(";") if line.strip())
    return f"def f({params}):\n{lines}    return {result}\n"


# pattern of the rule -> (before, after); every rule of the table stands here
EXAMPLES = {
    "identity(x)": (one(X, f"v0: {T} = identity(x)", "v0"), one(X, "", "x")),
    "stop_gradient(x)": (one(X, f"v0: {T} = stop_gradient(x)", "v0"), one(X, "", "x")),
    "mul(x, 1.0)": (one(X, f"v0: {T} = mul(1.0, x)", "v0"), one(X, "", "x")),
    "div(x, 1.0)": (one(X, f"v0: {T} = div(x, 1.0)", "v0"), one(X, "", "x")),
    "floordiv(x, 1)": (one("x: i32[b]", "v0: i32[b] = floordiv(x, 1)", "v0"), one("x: i32[b]", "", "x")),
    "sub(x, 0.0)": (one(X, f"v0: {T} = sub(x, 0.0)", "v0"), one(X, "", "x")),
    "add(x, -0.0)": (one(X, f"v0: {T} = add(x, -0.0)", "v0"), one(X, "", "x")),
    "add(x, 0)": (one("x: i32[b]", "v0: i32[b] = add(0, x)", "v0"), one("x: i32[b]", "", "x")),
    "mul(x, -1.0)": (one(X, f"v0: {T} = mul(x, -1.0)", "v0"), one(X, f"v0: {T} = neg(x)", "v0")),
    "div(x, -1.0)": (one(X, f"v0: {T} = div(x, -1.0)", "v0"), one(X, f"v0: {T} = neg(x)", "v0")),
    "div(1.0, x)": (one(X, f"v0: {T} = div(1.0, x)", "v0"), one(X, f"v0: {T} = reciprocal(x)", "v0")),
    "mul(x, x)": (one(X, f"v0: {T} = mul(x, x)", "v0"), one(X, f"v0: {T} = square(x)", "v0")),
    "neg(neg(x))": (one(X, f"v0: {T} = neg(x); v1: {T} = neg(v0)", "v1"), one(X, "", "x")),
    "add(x, neg(y))": (one(f"{X}, y: {T}", f"v0: {T} = neg(y); v1: {T} = add(v0, x)", "v1"), one(f"{X}, y: {T}", f"v0: {T} = sub(x, y)", "v0")),
    "sub(x, neg(y))": (one(f"{X}, y: {T}", f"v0: {T} = neg(y); v1: {T} = sub(x, v0)", "v1"), one(f"{X}, y: {T}", f"v0: {T} = add(x, y)", "v0")),
    "mul(neg(x), neg(y))": (
        one(f"{X}, y: {T}", f"v0: {T} = neg(x); v1: {T} = neg(y); v2: {T} = mul(v0, v1)", "v2"),
        one(f"{X}, y: {T}", f"v0: {T} = mul(x, y)", "v0"),
    ),
    "div(neg(x), neg(y))": (
        one(f"{X}, y: {T}", f"v0: {T} = neg(x); v1: {T} = neg(y); v2: {T} = div(v0, v1)", "v2"),
        one(f"{X}, y: {T}", f"v0: {T} = div(x, y)", "v0"),
    ),
    "square(neg(x))": (one(X, f"v0: {T} = neg(x); v1: {T} = square(v0)", "v1"), one(X, f"v0: {T} = square(x)", "v0")),
    "square(abs(x))": (one(X, f"v0: {T} = abs(x); v1: {T} = square(v0)", "v1"), one(X, f"v0: {T} = square(x)", "v0")),
    "abs(neg(x))": (one(X, f"v0: {T} = neg(x); v1: {T} = abs(v0)", "v1"), one(X, f"v0: {T} = abs(x)", "v0")),
    "abs(abs(x))": (one(X, f"v0: {T} = abs(x); v1: {T} = abs(v0)", "v1"), one(X, f"v0: {T} = abs(x)", "v0")),
    "cos(neg(x))": (one(X, f"v0: {T} = neg(x); v1: {T} = cos(v0)", "v1"), one(X, f"v0: {T} = cos(x)", "v0")),
    "pow(x, 1.0)": (one(X, f"v0: {T} = pow(x, 1.0)", "v0"), one(X, "", "x")),
    "pow(x, 2.0)": (one(X, f"v0: {T} = pow(x, 2.0)", "v0"), one(X, f"v0: {T} = square(x)", "v0")),
    "pow(x, -1.0)": (one(X, f"v0: {T} = pow(x, -1.0)", "v0"), one(X, f"v0: {T} = reciprocal(x)", "v0")),
    "reciprocal(sqrt(x))": (one(X, f"v0: {T} = sqrt(x); v1: {T} = reciprocal(v0)", "v1"), one(X, f"v0: {T} = rsqrt(x)", "v0")),
    "relu(relu(x))": (one(X, f"v0: {T} = relu(x); v1: {T} = relu(v0)", "v1"), one(X, f"v0: {T} = relu(x)", "v0")),
    "maximum(x, x)": (one(X, f"v0: {T} = maximum(x, x)", "v0"), one(X, "", "x")),
    "minimum(x, x)": (one(X, f"v0: {T} = minimum(x, x)", "v0"), one(X, "", "x")),
    "logical_not(logical_not(x))": (one("x: bool[b]", "v0: bool[b] = logical_not(x); v1: bool[b] = logical_not(v0)", "v1"), one("x: bool[b]", "", "x")),
    "logical_and(x, x)": (one("x: bool[b]", "v0: bool[b] = logical_and(x, x)", "v0"), one("x: bool[b]", "", "x")),
    "logical_or(x, x)": (one("x: bool[b]", "v0: bool[b] = logical_or(x, x)", "v0"), one("x: bool[b]", "", "x")),
    "logical_and(x, True)": (one("x: bool[b]", "v0: bool[b] = logical_and(x, True)", "v0"), one("x: bool[b]", "", "x")),
    "logical_or(x, False)": (one("x: bool[b]", "v0: bool[b] = logical_or(False, x)", "v0"), one("x: bool[b]", "", "x")),
    "where(c, x, x)": (one(f"c: bool[b, 4], {X}", f"v0: {T} = where(c, x, x)", "v0"), one(f"c: bool[b, 4], {X}", "", "x")),
    "where(True, x, y)": (one(f"{X}, y: {T}", f"v0: {T} = where(bool(True), x, y)", "v0"), one(f"{X}, y: {T}", "", "x")),
    "where(False, x, y)": (one(f"{X}, y: {T}", f"v0: {T} = where(bool(False), x, y)", "v0"), one(f"{X}, y: {T}", "", "y")),
    "where(logical_not(c), x, y)": (
        one(f"c: bool[b, 4], {X}, y: {T}", f"v0: bool[b, 4] = logical_not(c); v1: {T} = where(v0, x, y)", "v1"),
        one(f"c: bool[b, 4], {X}, y: {T}", f"v0: {T} = where(c, y, x)", "v0"),
    ),
    "concat(x, axis=a)": (one(X, f"v0: {T} = concat(x, axis=0)", "v0"), one(X, "", "x")),
    "where(greater(x, 0.0), max_pool_grad(x, y, d, ksize=k, strides=s, padding=p), 0.0)": (
        one(f"x: {IMAGES}", f"{POOLED}; v0: {IMAGES} = max_pool_grad(x, y, y, {POOL}); m: {MASK} = greater(x, 0.0); "
                            f"v1: {IMAGES} = where(m, v0, f32(0.0))", "v1"),
        one(f"x: {IMAGES}", f"{POOLED}; v0: bool[b, 3, 3, 2] = greater(y, 0.0); v1: f32[b, 3, 3, 2] = where(v0, y, f32(0.0)); "
                            f"v2: {IMAGES} = max_pool_grad(x, y, v1, {POOL})", "v2"),
    ),
    "reduce_sum(max_pool_grad(x, y, d, ksize=k, strides=s, padding=p), axis=a, keepdims=m)": (
        one(f"x: {IMAGES}", f"{POOLED}; v0: {IMAGES} = max_pool_grad(x, y, y, {POOL}); v1: f32[2] = reduce_sum(v0, axis=(0, 1, 2))", "v1"),
        one(f"x: {IMAGES}", f"{POOLED}; v0: f32[2] = reduce_sum(y, axis=(0, 1, 2))", "v0"),
    ),
    "neg(mul(x, c))": (one(X, f"v0: {T} = mul(x, 3.0); v1: {T} = neg(v0)", "v1"), one(X, f"v0: f32 = neg(f32(3.0)); v1: {T} = mul(x, v0)", "v1")),
    "mul(neg(x), c)": (one(X, f"v0: {T} = neg(x); v1: {T} = mul(v0, 3.0)", "v1"), one(X, f"v0: f32 = neg(f32(3.0)); v1: {T} = mul(x, v0)", "v1")),
    "neg(div(x, c))": (one(X, f"v0: {T} = div(x, 3.0); v1: {T} = neg(v0)", "v1"), one(X, f"v0: f32 = neg(f32(3.0)); v1: {T} = div(x, v0)", "v1")),
    "neg(div(c, x))": (one(X, f"v0: {T} = div(3.0, x); v1: {T} = neg(v0)", "v1"), one(X, f"v0: f32 = neg(f32(3.0)); v1: {T} = div(v0, x)", "v1")),
}
MATMULS = [rule for rule in RULES.rules if rule.pattern.startswith("matmul")]


@pytest.mark.parametrize("rule", [r for r in RULES.rules if r not in MATMULS], ids=str)
def test_each_rule_does_what_its_example_says(rule):
    check(simplify, *EXAMPLES[rule.pattern])


def test_where_the_largest_of_a_window_is_positive_is_what_its_own_place_says():
    """Ties, zeros, NaN and infinities, windows that overlap and windows that do not; a cotangent that is no number stays where it was."""
    g = np.random.default_rng(0)
    x = g.integers(-2, 3, (4, 5, 6, 2)).astype(np.float32)
    x[1, 2, 3], x[2, 0, 0], x[3] = np.nan, np.inf, -np.inf
    for pool, size in ((POOL, 3), ("ksize=(2, 2), strides=(2, 2), padding='VALID'", (2, 3)), ("ksize=(3, 2), strides=(1, 1), padding='SAME'", (5, 6))):
        height, width = (size, size) if isinstance(size, int) else size
        small = f"f32[b, {height}, {width}, 2]"
        text = one(f"x: {IMAGES}, d: {small}", f"y: {small} = max_pool(x, {pool}); v0: {IMAGES} = max_pool_grad(x, y, d, {pool}); "
                                               f"m: {MASK} = greater(x, 0.0); v1: {IMAGES} = where(m, v0, f32(0.0))", "v1")  # fmt: skip
        f = parse_function(text)
        d = g.standard_normal((4, height, width, 2)).astype(np.float32)
        d[0, 0, 0], d[1, 1, 1, 0] = np.nan, -np.inf
        better = simplify(f)
        assert better.nodes[-1].op.name == "max_pool_grad"
        for program in (interpret(better, [x, d])[0], build(f).run([x, d])[0]):
            np.testing.assert_array_equal(program, interpret(f, [x, d])[0])


@pytest.mark.parametrize("axes", ["(0,)", "(0, 1)", "(1, 3)", "(3,)"])
def test_sums_over_parts_of_windows_stay(axes):
    kept = [d for i, d in enumerate(("b", "5", "6", "2")) if str(i) not in axes]
    unchanged(simplify, one(f"x: {IMAGES}", f"{POOLED}; v0: {IMAGES} = max_pool_grad(x, y, y, {POOL}); "
                                            f"v1: f32[{', '.join(kept)}] = reduce_sum(v0, axis={axes})", "v1"))  # fmt: skip


@pytest.mark.parametrize(
    ("operand", "flag", "shape_x", "shape_y"),
    [(0, False, "4, b", "4, 5"), (0, True, "b, 4", "4, 5"), (1, False, "b, 4", "5, 4"), (1, True, "b, 4", "4, 5")],
)
def test_a_transposed_operand_of_matmul_becomes_a_flag(operand, flag, shape_x, shape_y):
    name = ("transpose_a", "transpose_b")[operand]
    turned = ("x", "y")[operand]
    shape = (shape_x, shape_y)[operand]
    back = ", ".join(reversed(shape.split(", ")))
    args = ("v0, y", "x, v0")[operand]
    params = f"x: f32[{shape_x}], y: f32[{shape_y}]"
    before = one(params, f"v0: f32[{back}] = transpose({turned}, perm=(1, 0)); v1: f32[b, 5] = matmul({args}, {name}={flag})", "v1")
    after = one(params, f"v0: f32[b, 5] = matmul(x, y, {name}={not flag})", "v0")
    check(simplify, before, after)


@pytest.mark.parametrize(
    "body",
    [
        f"v0: {T} = mul(x, 0.0)",  # NaN and infinities
        f"v0: {T} = add(x, 0.0)",  # -0.0 + 0.0 is 0.0
        f"v0: {T} = sub(0.0, x)",  # 0.0 - 0.0 is 0.0, not -0.0
        f"v0: {T} = div(x, x)",
        f"v0: {T} = sub(x, x)",
        f"v0: {T} = pow(x, 0.5)",
        f"v0: {T} = maximum(x, 0.0)",
        f"v0: {T} = div(x, 3.0)",
        f"v0: {T} = mul(x, 1.0000001)",
    ],
)
def test_what_is_not_exact_for_every_float_stays(body):
    unchanged(simplify, one(X, body, "v0"))


def test_a_factor_that_broadcasts_the_other_operand_stays():
    unchanged(simplify, one("x: f32, b0: f32[4]", "c0: f32[4] = constant([1.0, 2.0, 1.0, 1.0]); v0: f32[4] = mul(x, c0)", "v0"))


def test_ones_that_spread_the_operand_become_one_broadcast():
    params = "x: f32[4], y: f32[b]"
    before = one(params, f"v0: {T} = broadcast_to(f32(1.0), shape=(b, 4)); v1: {T} = mul(x, v0)", "v1")
    check(simplify, before, one(params, f"v0: {T} = broadcast_to(x, shape=(b, 4))", "v0"))


@pytest.mark.parametrize(
    ("params", "before", "after"),
    [
        ("x: f32[b, 4], y: f32[4]", "v0: f32[4] = sum_to(x, y)", "v0: f32[4] = reduce_sum(x, axis=(0,))"),
        ("x: f32[b, 4], y: f32[b, 1]", "v0: f32[b, 1] = sum_to(x, y)", "v0: f32[b] = reduce_sum(x, axis=(1,)); v1: f32[b, 1] = expand_dims(v0, axis=(1,))"),
        ("x: f32[4], y: f32[b, 4]", "v0: f32[b, 4] = broadcast_like(x, y)", "v0: f32[b, 4] = broadcast_to(x, shape=(b, 4))"),
        ("x: f32[b, 4], y: f32[4*b]", "v0: f32[4*b] = reshape_like(x, y)", "v0: f32[4*b] = reshape(x, shape=(4*b,))"),
        ("y: f32[b, 4]", "v0: f32[b, 4] = zeros_like(y)", "v0: f32[b, 4] = broadcast_to(f32(0.0), shape=(b, 4))"),
        ("y: f32[b, 4]", "v0: f32 = size_of(y, axis=(0,))", "v0: f32 = dim(value=b, dtype=f32)"),
        ("x: f32[b, 4]", "v0: f32[b, 4, 1] = expand_dims(x, axis=(2,))", "v0: f32[b, 4, 1] = expand_dims(x, axis=(2,))"),
        (
            "x: f32[b, 4]",
            "v0: f32[4*b] = reshape(x, shape=(-1,)); v1: f32[b, 2, 2] = reshape(v0, shape=(-1, 2, 2))",
            "v0: f32[b, 2, 2] = reshape(x, shape=(b, 2, 2))",
        ),
        ("x: f32[b, 4]", "v0: f32[4, b] = transpose(x); v1: f32[4, b] = neg(v0)", "v0: f32[4, b] = transpose(x, perm=(1, 0)); v1: f32[4, b] = neg(v0)"),
        (
            "x: f32[b, 4], w: f32[4, 12]",
            "m: f32[b, 12] = matmul(x, w); n: f32[b, 12] = neg(m);"
            "s: f32[b, 6] = slice(n, begin=(None, 6), end=(None, None), stride=(1, 1)); v0: f32[b, 2, 3] = reshape(s, shape=(b, 2, 3))",
            "m: f32[b, 12] = matmul(x, w); n: f32[b, 12] = neg(m); v1: f32[b, 4, 3] = reshape(n, shape=(b, 4, 3));"
            "v0: f32[b, 2, 3] = slice(v1, begin=(None, 2, None), end=(None, 4, None), stride=(1, 1, 1))",
        ),
        ("x: f32[b, 1, 4]", "v0: f32[1, b, 4] = transpose(x, perm=(1, 0, 2))", "v0: f32[1, b, 4] = reshape(x, shape=(1, b, 4))"),
        ("x: f32[b, 4], c: f32[4]", "v0: f32[b, 4] = broadcast_to(c, shape=(b, 4)); v1: f32[b, 4] = add(x, v0)", "v1: f32[b, 4] = add(x, c)"),
        (
            "c: f32[4]",
            "v0: f32[b, 4] = broadcast_to(c, shape=(b, 4)); v1: f32[b, 4] = exp(v0)",
            "v0: f32[4] = exp(c); v1: f32[b, 4] = broadcast_to(v0, shape=(b, 4))",
        ),
        ("x: f32[b, 1]", "v0: f32[b] = reduce_sum(x, axis=(-1,))", "v0: f32[b] = squeeze(x, axis=(1,))"),
        ("x: f32[b, 4]", "v0: f32 = reduce_max(x)", "v0: f32 = reduce_max(x, axis=(0, 1))"),
        ("x: f32[b, 4]", "v0: f64[b, 4] = cast(x, dtype=f64); v1: i32[b, 4] = cast(v0, dtype=i32)", "v0: i32[b, 4] = cast(x, dtype=i32)"),
        ("x: f32[b, 4]", "v0: f32[b, 4] = div(x, 8.0)", "v0: f32[b, 4] = mul(x, 0.125)"),
        ("x: f32[b, 4]", "v0: f32[b, 4] = pow(x, 0.0)", "v0: f32[b, 4] = broadcast_to(f32(1.0), shape=(b, 4))"),
    ],
)  # fmt: skip
def test_shapes_movements_and_broadcasts_take_their_simplest_form(params, before, after):
    if "b, 4)" in after and "[b" not in params:
        params += ", other: f32[b]"
    result = before.split(";")[-1].split(":")[0].strip()
    got = after.split(";")[-1].split(":")[0].strip()
    check(simplify, one(params, before, result), one(params, after, got))


@pytest.mark.parametrize(
    "body",
    [
        "v0: f32[b, 4, 1] = expand_dims(x, axis=(2,))",
        "v0: f32[4, b] = transpose(x, perm=(1, 0))",
        "v0: f32[b] = reduce_sum(x, axis=(1,))",
        "v0: i32[b, 4] = cast(x, dtype=i32)",
    ],
)
def test_movements_that_move_something_stay(body):
    unchanged(simplify, one(X, body, "v0"))


MATMUL = "m: f32[b, 12] = matmul(x, w)"


@pytest.mark.parametrize(
    "body",
    [
        # the source would not be stored otherwise
        "m: f32[b, 12] = sin(y); s: f32[b, 6] = slice(m, begin=(None, 6), end=(None, 12), stride=(1, 1)); v0: f32[b, 2, 3] = reshape(s, shape=(b, 2, 3))",
        # the slice begins within a part, the parts do not fill the source, steps, two axes, a reshape of another axis as well
        f"{MATMUL}; s: f32[b, 6] = slice(m, begin=(None, 2), end=(None, 8), stride=(1, 1)); v0: f32[b, 2, 3] = reshape(s, shape=(b, 2, 3))",
        f"{MATMUL}; s: f32[b, 10] = slice(m, begin=(None, 0), end=(None, 10), stride=(1, 1)); v0: f32[b, 2, 5] = reshape(s, shape=(b, 2, 5))",
        f"{MATMUL}; s: f32[b, 6] = slice(m, begin=(None, 0), end=(None, 12), stride=(1, 2)); v0: f32[b, 2, 3] = reshape(s, shape=(b, 2, 3))",
        f"{MATMUL}; s: f32[b, 6] = slice(m, begin=(None, 0), end=(None, 6), stride=(1, 1)); v0: f32[2*b, 3] = reshape(s, shape=(2*b, 3))",
        f"{MATMUL}; s: f32[b, 6] = slice(m, begin=(None, 6), end=(None, 12), stride=(1, 1)); v0: f32[b, 6, 1] = expand_dims(s, axis=(2,))",
    ],
)
def test_slices_that_a_shape_does_not_split_evenly_stay(body):
    unchanged(simplify, one("x: f32[b, 4], w: f32[4, 12], y: f32[b, 12]", body, "v0"))


@pytest.mark.parametrize("source", ["sin(y)", "matmul(x, w)"])
def test_what_comes_before_a_slice_may_be_deep_and_have_many_paths(source):
    """Two to the power of the lines, each looked at once; and more lines than Python's stack is deep."""
    lines = "".join(f"m{i + 1}: f32[b, 12] = add(m{i}, m{i}); " for i in range(3000))
    sliced = "s: f32[b, 6] = slice(m3000, begin=(None, 6), end=(None, 12), stride=(1, 1)); v0: f32[b, 2, 3] = reshape(s, shape=(b, 2, 3))"
    found = simplify(parse_function(one("x: f32[b, 4], w: f32[4, 12], y: f32[b, 12]", f"m0: f32[b, 12] = {source}; {lines}{sliced}", "v0")))
    assert found.results[0].op.name == ("slice" if source.startswith("matmul") else "reshape")


def test_names_and_locations_survive():
    check(
        simplify,
        one(X, f"v0: {T} = neg(x); Layer.out: {T} = neg(v0); Layer.two: {T} = mul(Layer.out, Layer.out)", "Layer.two"),
        one(X, f"Layer.two: {T} = square(x)", "Layer.two"),
    )
