"""What ops mean at the edges: NaN, infinities, indices outside, empty axes; and shapes with symbols as a user reads them."""

import numpy as np
import pytest

import flowc.ops  # noqa: F401  (fills the table)
from flowc.ir.op import OPS
from flowc.ir.types import F32, I32, TensorType
from tests.ops.cases import evaluate

NAN, INF = np.float32(np.nan), np.float32(np.inf)


def value(name, *arrays, **attrs):
    op = OPS[name]
    return evaluate(op, tuple(np.asarray(a) for a in arrays), op.complete(attrs))


def f32(*numbers):
    return np.array(numbers, np.float32)


def shape_of(name, *types, **attrs):
    op = OPS[name]
    return str(op.result_type(types, op.complete(attrs)))


def test_relu_and_maximum_keep_nan():
    np.testing.assert_array_equal(value("relu", f32(-1, NAN, 2)), f32(0, NAN, 2))
    np.testing.assert_array_equal(value("maximum", f32(1, NAN), f32(NAN, 1)), f32(NAN, NAN))


def test_sigmoid_and_softplus_do_not_overflow():
    with np.errstate(over="raise"):
        np.testing.assert_array_equal(value("sigmoid", f32(-1000, 1000)), f32(0, 1))
        np.testing.assert_array_equal(value("softplus", f32(-1000, 1000)), f32(0, 1000))


def test_argmax_takes_the_first_of_equals_and_nan_before_all():
    assert value("argmax", f32(1, 3, 3)) == 1
    assert value("argmax", f32(1, NAN, 3, NAN)) == 1
    assert value("argmin", f32(1, NAN, 0)) == 1


def test_a_reduction_of_nothing_gives_what_changes_nothing():
    empty = np.zeros((2, 0), np.float32)
    np.testing.assert_array_equal(value("reduce_sum", empty, axis=(1,)), f32(0, 0))
    np.testing.assert_array_equal(value("reduce_max", empty, axis=(1,)), f32(-INF, -INF))


def test_the_largest_number_is_found_beside_nan():
    assert value("reduce_largest", f32(1, NAN, 3, 2)) == 3
    assert value("reduce_largest", f32(-INF, NAN, INF)) == INF


def test_softmax_of_huge_values_is_finite():
    np.testing.assert_array_equal(value("softmax", f32(1e38, 0, -1e38)), f32(1, 0, 0))
    np.testing.assert_array_equal(value("log_softmax", f32(1e4, 0)), f32(0, -1e4))


def test_logsumexp_of_infinities_is_not_nan():
    assert value("logsumexp", f32(-INF, -INF)) == -INF
    assert value("logsumexp", f32(INF, 0)) == INF


def test_cross_entropies_of_huge_logits_are_exact():
    assert value("softmax_cross_entropy", f32(1e4, 0), f32(0, 1)) == 1e4
    assert value("sparse_softmax_cross_entropy", f32(1e4, 0), np.array(1)) == 1e4
    np.testing.assert_array_equal(value("sigmoid_cross_entropy", f32(1e4, -1e4), f32(0, 0)), f32(1e4, 0))


def test_a_label_that_is_no_class_gives_nan():
    np.testing.assert_array_equal(value("sparse_softmax_cross_entropy", np.zeros((2, 2), np.float32), np.array([2, -1])), f32(NAN, NAN))


def test_gather_outside_reads_zero_and_writes_nowhere():
    np.testing.assert_array_equal(value("gather", f32(1, 2), np.array([-1, 1, 2])), f32(0, 2, 0))
    np.testing.assert_array_equal(value("gather_grad", f32(5, 6, 7), np.array([-1, 1, 2]), f32(1, 2)), f32(0, 6))


def test_gather_grad_adds_up_repeated_indices():
    np.testing.assert_array_equal(value("gather_grad", f32(1, 2, 4), np.array([1, 0, 1]), f32(0, 0)), f32(2, 5))


def test_round_takes_halves_to_even_and_mod_has_the_divisors_sign():
    np.testing.assert_array_equal(value("round", f32(0.5, 1.5, -2.5)), f32(0, 2, -2))
    np.testing.assert_array_equal(value("mod", f32(-7, 7), f32(3, -3)), f32(2, -2))


def test_an_exclusive_cumsum_starts_at_zero_and_skips_the_last_even_beside_infinity():
    np.testing.assert_array_equal(value("cumsum", f32(1, 2, INF), exclusive=True), f32(0, 1, 3))


@pytest.mark.parametrize("name", ["reduce_mean", "logsumexp", "softmax", "gelu", "leaky_relu", "softplus", "erf", "rsqrt", "reciprocal"])
def test_float32_stays_float32(name):
    assert value(name, f32(0.5, 1.5)).dtype == np.float32


@pytest.mark.parametrize(
    ("name", "types", "attrs", "text"),
    [
        ("reshape", (F32["b", 784],), {"shape": (-1, 28, 28, 1)}, "f32[b, 28, 28, 1]"),
        ("reshape", (F32["b", 7, 7, 64],), {"shape": (-1, 3136)}, "f32[b, 3136]"),
        ("reshape", (F32["b", 3],), {"shape": (-1,)}, "f32[3*b]"),
        ("slice", (F32["b", 5],), {"begin": (1,), "end": (None,), "stride": (1,)}, "f32[max(b - 1, 0), 5]"),
        ("slice", (F32["b", 5],), {"begin": (None,), "end": (10,), "stride": (1,)}, "f32[min(10, b), 5]"),
        ("slice", (F32["b", 5],), {"begin": (3,), "end": (4,), "stride": (1,)}, "f32[1, 5]"),
        ("slice", (F32["b", 5],), {"begin": (-1,), "end": (None,), "stride": (1,)}, "f32[1, 5]"),
        ("slice", (F32["b", 5],), {"begin": (None,), "end": (None,), "stride": (2,)}, "f32[(b + 1)//2, 5]"),
        ("slice", (F32["b", 5],), {"begin": (None,), "end": (None,), "stride": (-1,)}, "f32[b, 5]"),
        ("concat", (F32["b", 3], F32["c", 3]), {"axis": 0}, "f32[b + c, 3]"),
        ("tile", (F32["b", 3],), {"multiples": (2, 1)}, "f32[2*b, 3]"),
        ("pad", (F32["b"],), {"paddings": ((1, 2),)}, "f32[b + 3]"),
        ("stack", (F32["b"], F32["b"]), {"axis": 1}, "f32[b, 2]"),
        ("gather", (F32["v", 64], I32["b", "t"]), {}, "f32[b, t, 64]"),
        ("one_hot", (I32["b"],), {"depth": 10}, "f32[b, 10]"),
        ("reduce_sum", (TensorType(F32, None),), {}, "f32"),
        ("reduce_mean", (TensorType(F32, None),), {}, "f32"),
        ("sum_to", (TensorType(F32, None), F32["b", 3]), {}, "f32[b, 3]"),
    ],
)
def test_shapes_with_symbols_read_as_one_would_write_them(name, types, attrs, text):
    assert shape_of(name, *types, **attrs) == text


@pytest.mark.parametrize(
    ("name", "title"),
    [("add", "Add"), ("div", "truediv"), ("reduce_mean", "Mean"), ("reduce_sum", "Sum"), ("argmax", "ArgMax"), ("placeholder", "Placeholder"),
     ("variable", "Variable"), ("softmax", "Softmax"), ("log_softmax", "LogSoftmax"), ("reshape", "Reshape"), ("greater_equal", "GreaterEqual")],
)  # fmt: skip
def test_titles_are_the_names_that_tensorflow_gives(name, title):
    assert OPS[name].title == title
