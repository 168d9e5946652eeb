from flowc.transforms.fold import fold
from tests.transforms.checking import check, unchanged


def test_an_application_of_constants_is_computed_once():
    check(
        fold,
        "def f(x: f32[b]):\n    v0: f32 = mul(f32(2.0), f32(3.0))\n    v1: f32[b] = add(x, v0)\n    return v1",
        "def f(x: f32[b]):\n    v1: f32[b] = add(x, 6.0)\n    return v1",
    )


def test_equal_elements_become_the_broadcast_of_one():
    check(
        fold,
        "def f(x: f32[2]):\n    c0: f32[2] = constant([0.5, 0.5])\n    v0: f32[2] = mul(x, c0)\n    return v0",
        "def f(x: f32[2]):\n    v0: f32[2] = broadcast_to(f32(0.5), shape=(2,))\n    v1: f32[2] = mul(x, v0)\n    return v1",
    )


def test_zeros_of_both_signs_are_not_equal_elements():
    unchanged(fold, "def f(x: f32[2]):\n    c0: f32[2] = constant([0.0, -0.0])\n    v0: f32[2] = mul(x, c0)\n    return v0")


def test_a_large_result_is_left_to_the_run():
    unchanged(
        fold,
        "def f(x: f32):\n    c0: f32[2] = constant([1.0, 2.0])\n    v0: f32[40000] = tile(c0, multiples=(20000,))\n"
        "    v1: f32[40000] = mul(x, v0)\n    return v1",
    )


def test_a_division_by_zero_folds_to_what_numpy_gives_without_a_warning(recwarn):
    check(
        fold,
        "def f(x: f32):\n    v0: f32 = div(f32(1.0), f32(0.0))\n    v1: f32 = minimum(x, v0)\n    return v1",
        'def f(x: f32):\n    v1: f32 = minimum(x, f32("inf"))\n    return v1',
    )
    assert not recwarn.list


def test_what_depends_on_a_param_stays():
    unchanged(fold, "def f(x: f32[b]):\n    v0: f32[b] = mul(x, 2.0)\n    v1: f32[b] = mul(v0, 3.0)\n    return v1")
