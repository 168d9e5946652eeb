from flowc.transforms.expand import expand
from tests.transforms.checking import check, unchanged


def test_a_mean_becomes_a_sum_and_a_quotient():
    check(
        expand,
        "def f(x: f32[b, 4]):\n    m: f32[b] = reduce_mean(x, axis=(1,))\n    return m",
        "def f(x: f32[b, 4]):\n    v0: f32[b] = reduce_sum(x, axis=(1,))\n    m: f32[b] = div(v0, 4.0)\n    return m",
    )


def test_the_mean_over_an_open_extent_divides_by_the_extent():
    check(
        expand,
        "def f(x: f32[b, 4]):\n    m: f32[4] = reduce_mean(x, axis=(0,))\n    return m",
        "def f(x: f32[b, 4]):\n    v0: f32[4] = reduce_sum(x, axis=(0,))\n    v1: f32 = dim(value=b, dtype=f32)\n    m: f32[4] = div(v0, v1)\n    return m",
    )


def test_primitive_ops_stay():
    unchanged(expand, "def f(x: f32[b, 4]):\n    v0: f32[b] = reduce_sum(x, axis=(1,))\n    return v0")
