"""Compiled functions: values, shapes and builds, containers, gradients of functions, what they show, and their errors."""

# ruff: noqa: F821, UP037 - the names of symbols in annotations are no forward references

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest

import flowc
from flowc import config
from flowc.errors import DTypeError, FeedError, FlowcError, GraphError, ShapeError

W = np.array([[1.0, -2.0], [0.5, 3.0], [2.0, 1.0]], np.float32)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)


# values and builds


def test_a_plain_function_of_arrays_is_compiled() -> None:
    @flowc.compile
    def loss(w, x):
        """The loss."""
        return flowc.mean(flowc.sum(x * w[:, 0], axis=1) ** 2)

    value = loss(W, rows(5))
    np.testing.assert_allclose(value, np.mean((rows(5) @ W[:, 0]) ** 2), rtol=1e-5)
    assert type(value) is np.float32
    assert (loss.__name__, loss.__doc__) == ("loss", "The loss.")


def test_without_declared_shapes_every_shape_is_built_once() -> None:
    double = flowc.compile(lambda x: x * 2.0)
    for count in (3, 4, 3, 4):
        np.testing.assert_array_equal(double(rows(count)), rows(count) * 2)
    assert double.compilations == 2


def test_a_declared_symbol_serves_all_batches_in_at_most_two_builds() -> None:
    @flowc.compile
    def score(w: flowc.f32[3, 2], x: flowc.f32["batch", 3]):
        return flowc.sum(x, 1) * flowc.sum(w)

    for count in (1, 10, 100, 1000, 1, 10):
        np.testing.assert_allclose(score(W, rows(count)), rows(count).sum(1) * W.sum(), rtol=1e-4, atol=1e-5)
    assert score.compilations <= 2
    assert "f32[batch, 3]" in score.ir("trace")


def test_the_batch_option_makes_the_first_axis_symbolic() -> None:
    @flowc.compile(batch=("x", "y"))
    def error(w, x, y):
        return flowc.mean((x["rows"] * w - y) ** 2)

    for count in (2, 5, 9):
        expected = np.mean((rows(count) * W[0, 0] - rows(count)[::-1]) ** 2)
        np.testing.assert_allclose(error(float(W[0, 0]), {"rows": rows(count)}, rows(count)[::-1]), expected, rtol=1e-5)
    assert error.compilations == 1


def test_types_may_be_given_to_compile() -> None:
    by_place = flowc.compile(lambda x, y: x + y, flowc.f32["n"], flowc.f32["n"])
    by_name = flowc.compile(lambda x, y: x + y, shapes={"x": flowc.f64["n"], "y": flowc.f64["n"]})

    @flowc.compile(flowc.f32["n"])
    def decorated(x):
        return x * 2.0

    assert by_place([1, 2], [3.5, 4.5]).tolist() == [4.5, 6.5]
    assert by_name([1, 2], [3.5, 4.5]).dtype == np.float64
    assert decorated([1.0]).dtype == np.float32


def test_a_symbol_in_an_annotation_needs_no_quotes_where_annotations_are_text() -> None:
    @flowc.compile
    def double(x: flowc.f32[rows_of_x, 3]):
        return x * 2.0

    assert (double(rows(2)).shape, double(rows(4)).shape) == ((2, 3), (4, 3))
    assert double.compilations == 1
    assert "x: f32[rows_of_x, 3]" in double.ir("trace")


def test_a_float64_array_is_taken_as_the_declared_float32() -> None:
    @flowc.compile
    def double(x: flowc.f32["n"]):
        return x * 2.0

    assert double(np.array([0.1, 0.2])).dtype == np.float32
    assert double(np.arange(3)).tolist() == [0.0, 2.0, 4.0]


def test_arrays_that_are_not_contiguous_or_of_another_byte_order_are_read_right() -> None:
    f = flowc.compile(lambda x: x * 1.0)
    swapped = np.arange(6, dtype=">f4").reshape(2, 3)
    np.testing.assert_array_equal(f(swapped), swapped)
    np.testing.assert_array_equal(f(np.arange(6.0, dtype=np.float32).reshape(2, 3).T), np.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(f(np.arange(9.0, dtype=np.float32)[::3]), [0.0, 3.0, 6.0])


def test_python_numbers_take_the_arrays_float_type() -> None:
    scale = flowc.compile(lambda x, k: x * k)
    assert scale(np.ones(2, np.float64), 0.1).tolist() == [0.1, 0.1]
    assert scale(np.ones(2, np.float32), 0.1).dtype == np.float32
    assert scale(2.0, 3.0) == 6.0
    assert scale(2.0, 4.0) == 8.0
    assert scale(np.ones(2, np.float32), np.float64(0.5)).dtype == np.float32


def test_default_arguments_and_keywords() -> None:
    @flowc.compile
    def f(x, k=2.0, *, shift=1.0):
        return x * k + shift

    x = np.ones(2, np.float32)
    assert f(x).tolist() == [3.0, 3.0]
    assert f(x, shift=0.0).tolist() == [2.0, 2.0]
    assert f(k=5.0, x=x).tolist() == [6.0, 6.0]


# containers


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Layer:
    w: Any
    b: Any
    kind: str = "dense"


def test_containers_go_in_and_come_out() -> None:
    @flowc.compile
    def f(params, pair, layers):
        return {"sum": params["a"] + pair.left, "pair": Pair(pair.right, None), "layers": [Layer(layer.w * layer.b, 1.0, layer.kind) for layer in layers]}

    ones = np.ones(2, np.float32)
    out = f({"a": ones}, Pair(ones * 2, ones * 3), [Layer(ones * 4, 0.5), Layer(ones * 6, 0.5, "last")])
    assert out["sum"].tolist() == [3.0, 3.0]
    assert isinstance(out["pair"], Pair)
    assert out["pair"].left.tolist() == [3.0, 3.0]
    assert out["pair"].right is None
    assert [(layer.w.tolist(), layer.kind) for layer in out["layers"]] == [([2.0, 2.0], "dense"), ([3.0, 3.0], "last")]


def test_a_static_argument_stays_a_python_value() -> None:
    traced = []

    @flowc.compile(static=("power", "training"))
    def f(x, power, training=False):
        traced.append((power, training))
        return x**power if training else x * power

    assert f(2.0, 3, True) == 8.0
    assert f(2.0, 3) == 6.0
    assert f(5.0, 3) == 15.0
    assert f(2.0, 3, training=True) == 8.0
    assert traced == [(3, True), (3, False)]


def test_strings_and_functions_are_static_by_themselves() -> None:
    @flowc.compile
    def f(x, activation, mode):
        return activation(x) if mode == "on" else x

    assert f(-1.0, flowc.relu, "on") == 0.0
    assert f(-1.0, flowc.relu, "off") == -1.0


def test_results_that_are_one_value_do_not_share_memory() -> None:
    first, second = flowc.compile(lambda x: (x + 1.0, x + 1.0))(np.zeros(3, np.float32))
    first[0] = 9.0
    assert second.tolist() == [1.0, 1.0, 1.0]


def test_an_argument_that_is_returned_is_a_copy() -> None:
    x = np.zeros(3, np.float32)
    y = flowc.compile(lambda x: x)(x)
    y[0] = 1.0
    assert x.tolist() == [0.0, 0.0, 0.0]


# gradients


def test_grad_gives_the_gradient_of_the_first_argument() -> None:
    def loss(w, x):
        return flowc.sum(w * w * x)

    w, x = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_allclose(flowc.grad(loss)(w, x), 2 * w * x)
    np.testing.assert_allclose(flowc.grad(loss, wrt=1)(w, x), w * w)
    np.testing.assert_allclose(flowc.grad(loss, wrt="x")(w, x=x), w * w)
    both = flowc.grad(loss, wrt=(0, "x"))(w, x)
    np.testing.assert_allclose(both[0], 2 * w * x)
    np.testing.assert_allclose(both[1], w * w)


def test_value_and_grad_of_a_compiled_function_of_containers() -> None:
    @flowc.compile
    def loss(params: dict, x: flowc.f32["batch", 3]):
        return flowc.mean((flowc.sum(x * params["w"], 1) + params["b"]) ** 2)

    params = {"w": W[:, 0], "b": 0.5}
    step = flowc.value_and_grad(loss)
    for count in (4, 7):
        value, slopes = step(params, rows(count))
        residual = rows(count) @ W[:, 0] + 0.5
        np.testing.assert_allclose(value, np.mean(residual**2), rtol=1e-5)
        np.testing.assert_allclose(slopes["b"], np.mean(2 * residual), rtol=1e-4)
        np.testing.assert_allclose(slopes["w"], (2 * residual[:, None] * rows(count)).mean(0), rtol=1e-4)
    assert step.compilations == 1


def test_grad_of_grad_of_grad() -> None:
    cube = flowc.compile(lambda x: x**4)
    first = flowc.grad(cube)
    second = flowc.grad(first)
    assert [first(2.0), second(2.0), flowc.grad(second)(2.0)] == [32.0, 48.0, 48.0]


def test_grad_inside_a_traced_function() -> None:
    def energy(x):
        return flowc.sum(x * x * x)

    @flowc.compile
    def step(x, rate):
        return x - rate * flowc.grad(energy)(x)

    np.testing.assert_allclose(step(np.array([1.0, 2.0]), 0.1), [0.7, 0.8])
    penalty = flowc.grad(lambda x: flowc.sum(flowc.grad(energy)(x) ** 2))
    np.testing.assert_allclose(penalty(np.array([1.0, 2.0])), [36.0, 288.0])


def test_two_arguments_that_are_one_value_stay_two() -> None:
    @flowc.compile
    def f(x):
        return flowc.grad(lambda a, b: a * b * b)(x, x)

    assert f(3.0) == 9.0


def test_an_outer_variable_is_a_constant_for_the_inner_gradient() -> None:
    def outer(x):
        return x * flowc.grad(lambda y: x * y * y)(x)

    assert flowc.grad(outer)(2.0) == 24.0  # x * 2 * x * x = 2 x**3


def test_a_gradient_that_nothing_depends_on_is_zeros() -> None:
    np.testing.assert_array_equal(flowc.grad(lambda x, y: flowc.sum(y))(np.ones(3), np.ones(2)), np.zeros(3))


def test_has_aux_hands_something_along() -> None:
    def loss(w):
        return flowc.sum(w * w), {"largest": flowc.max(w)}

    slope, aux = flowc.grad(loss, has_aux=True)(np.array([1.0, 3.0]))
    assert (slope.tolist(), aux["largest"]) == ([2.0, 6.0], 3.0)
    (value, aux), slope = flowc.value_and_grad(loss, has_aux=True)(np.array([1.0, 3.0]))
    assert (value, aux["largest"], slope.tolist()) == (10.0, 3.0, [2.0, 6.0])


def test_a_compiled_function_in_another_becomes_part_of_it() -> None:
    @flowc.compile
    def half(x):
        return x * 0.5

    whole = flowc.compile(lambda x: half(x) + half(x * 3.0))
    assert whole(2.0) == 4.0
    assert half.compilations == 0
    assert "half.mul" in whole.ir("trace")


def test_a_compiled_function_takes_tensors_of_a_graph() -> None:
    half = flowc.compile(lambda x: x * 0.5)
    x = flowc.placeholder(flowc.float32, [2])
    with flowc.Session() as session:
        assert session.run(half(x), {x: [2, 4]}).tolist() == [1.0, 2.0]


# random draws


def test_random_draws_follow_from_seed_and_count() -> None:
    @flowc.compile
    def noise(step):
        return flowc.random.normal([4], seed=3, count=step)

    np.testing.assert_array_equal(noise(1), noise(1))
    assert not np.array_equal(noise(1), noise(2))
    assert noise.compilations == 1


@pytest.mark.parametrize("backend", ["cpu", "python", "interpret"])
def test_random_draws_need_no_count_beside_other_arguments(backend) -> None:
    with config.override(backend=backend):
        noisy = flowc.compile(lambda x: x + 2 * flowc.random.normal([3], seed=1))
        still = flowc.compile(lambda: flowc.random.normal([3], seed=1))()
        np.testing.assert_array_equal(noisy(np.zeros(3, np.float32)), 2 * still)
        np.testing.assert_array_equal(noisy(np.ones(3, np.float32)), 1 + 2 * still)


def test_the_gradient_of_one_row_that_a_number_names() -> None:
    with config.override(backend="python"):
        last = flowc.grad(lambda x: flowc.sum(flowc.gather(x, 2) ** 2))
        np.testing.assert_array_equal(last(np.full((3, 2), 3, np.float32)), [[0, 0], [0, 0], [6, 6]])


def test_random_draws_without_a_seed_are_an_error() -> None:
    with pytest.raises(FlowcError, match="a seed is needed"):
        flowc.compile(lambda x: x + flowc.random.uniform([2]))(1.0)


# what it shows


def test_ir_shows_the_function_after_each_pass() -> None:
    @flowc.compile
    def f(x: flowc.f32["n"]):
        return flowc.sum(flowc.exp(x) * 1.0)

    assert "mul" in f.ir("trace")
    assert "mul" not in f.ir("simplify")
    assert f.ir(after="fuse") == f.ir()
    assert f.ir().count("def ") >= 2
    with pytest.raises(ValueError, match="no pass 'fuze'; there are trace, "):
        f.ir("fuze")


def test_what_was_never_called_and_is_not_declared_cannot_be_shown() -> None:
    with pytest.raises(ShapeError, match="f has not been called yet"):
        flowc.compile(lambda x: x, name="f").ir()


def test_source_and_explain() -> None:
    f = flowc.compile(lambda x: flowc.exp(x) + 1.0, flowc.f32["n"], name="plus")
    assert "exp" in f.source
    assert f.explain().startswith("plus: 1 kernel")


# errors


def test_if_on_an_argument_is_an_error_with_the_line() -> None:
    def f(x):
        return x if x > 0.0 else -x

    with pytest.raises(FlowcError, match="no truth value") as caught:
        flowc.compile(f)(1.0)
    assert caught.value.location.text == "return x if x > 0.0 else -x"


def test_a_gradient_of_what_is_no_scalar_is_an_error() -> None:
    with pytest.raises(ShapeError, match=r"grad of <lambda>: the result is f64\[2\]; a gradient is taken of a scalar"):
        flowc.grad(lambda x: x * 2.0)(np.ones(2))
    with pytest.raises(ShapeError, match="the result is a tuple"):
        flowc.grad(lambda x: (x, x))(1.0)


def test_a_gradient_by_what_is_no_float_is_an_error() -> None:
    with pytest.raises(DTypeError, match=r"argument n|argument 0 is i32"):
        flowc.grad(lambda n: flowc.cast(n, flowc.f32))(3)
    with pytest.raises(TypeError, match="there is no argument 2 to differentiate by"):
        flowc.grad(lambda x: x, wrt=2)(1.0)


def test_an_array_that_is_not_what_is_declared_is_an_error() -> None:
    @flowc.compile
    def f(x: flowc.f32["n", 3], y: flowc.f32["n"], k: flowc.i32[()] = 1):
        return x + flowc.sum(y)

    with pytest.raises(ShapeError, match=r"f: argument x is f32\[2, 2\], and f32\[n, 3\] is declared"):
        f(np.ones((2, 2), np.float32), np.ones(2, np.float32))
    with pytest.raises(ShapeError, match="f: extent n is 2 in x and 3 in y"):
        f(np.ones((2, 3), np.float32), np.ones(3, np.float32))
    with pytest.raises(DTypeError, match=r"argument k is f64, and i32 is declared"):
        f(np.ones((2, 3), np.float32), np.ones(2, np.float32), 0.5)


def test_an_argument_that_is_no_array_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match=r"argument options\['a'\] is a object, .* static=\('options',\)"):
        flowc.compile(lambda options: 1.0, name="f")({"a": object()})
    with pytest.raises(DTypeError, match="argument x is an array of complex128"):
        flowc.compile(lambda x: x)(np.ones(2, complex))
    with pytest.raises(TypeError, match="f has no parameter 'z'; there are x"):

        @flowc.compile(static=("z",))
        def f(x):
            return x


def test_a_variable_in_a_compiled_function_is_an_error() -> None:
    with pytest.raises(GraphError, match="counter makes a variable"):
        flowc.compile(lambda x: x + flowc.Variable(1.0), name="counter")(1.0)


def test_what_is_returned_must_be_arrays() -> None:
    with pytest.raises(FlowcError, match=r"f returns result\['a'\], which is no array"):
        flowc.compile(lambda x: {"a": object()}, name="f")(1.0)


def test_shapes_that_do_not_match_name_both_lines() -> None:
    def f(x, y):
        return x + y

    with pytest.raises((ShapeError, FeedError)) as caught:
        flowc.compile(f)(np.ones(2), np.ones(3))
    assert caught.value.location.text == "return x + y"
