"""Compiled functions inside the user's own Numba loops: `.njit` of functions and of their gradients."""

from __future__ import annotations

import numba
import numpy as np
import pytest

import flowc
from flowc.config import override


@flowc.compile(shapes={"w": flowc.f32[4, 2], "x": flowc.f32["batch", 4]})
def loss(w, x):
    return flowc.mean((x @ w) ** 2)


@pytest.fixture
def w():
    return np.random.default_rng(1).standard_normal((4, 2)).astype(np.float32)


@pytest.fixture
def x():
    return np.random.default_rng(2).standard_normal((6, 4)).astype(np.float32)


def slope(w, x):
    """The gradient of `loss`, worked out by hand."""
    product = x @ w
    return 2 * x.T @ product / product.size


def test_gradient_descent_in_a_numba_loop(w, x):
    step, value = flowc.value_and_grad(loss).njit, loss.njit

    @numba.njit
    def train(w, x, steps):
        for _ in range(steps):
            _, gradient = step(w, x)
            w = w - np.float32(0.05) * gradient
        return w, value(w, x)

    trained, at_the_end = train(w, x, 20)
    expected = w
    for _ in range(20):
        expected = expected - 0.05 * slope(expected, x)
    np.testing.assert_allclose(trained, expected, rtol=1e-4, atol=1e-6)
    assert at_the_end == pytest.approx(float(np.mean((x @ expected) ** 2)), rel=1e-4)


@pytest.mark.parametrize("batch", [1, 5, 33])
def test_any_batch(w, batch):
    x = np.random.default_rng(batch).standard_normal((batch, 4)).astype(np.float32)
    assert loss.njit(w, x) == pytest.approx(float(np.mean((x @ w) ** 2)), rel=1e-5)


@pytest.mark.parametrize("view", [np.asfortranarray, lambda x: np.repeat(x, 2, 0)[::2], lambda x: x[::-1].copy()[::-1]])
def test_arrays_of_any_strides(w, x, view):
    assert loss.njit(w, view(x)) == pytest.approx(float(np.mean((x @ w) ** 2)), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float64", "int64", "int8", "bool"])
def test_arrays_of_other_dtypes_are_converted(w, x, dtype):
    other = (x * 3).astype(dtype)
    assert loss.njit(w, other) == pytest.approx(float(np.mean((other.astype(np.float64) @ w) ** 2)), rel=1e-5)


def test_floats_are_not_cut_off_to_integers():
    doubled = flowc.compile(lambda n: n * 2, flowc.i32["n"]).njit
    assert doubled(np.arange(3)).tolist() == [0, 2, 4]
    with pytest.raises(numba.TypingError, match=r"array\(float64, 1d, C\) is given for i32\[n\]"):
        doubled(np.array([1.5]))


@pytest.mark.parametrize("shape", [(6,), (6, 4, 3)])
def test_arrays_of_another_rank_are_refused(w, shape):
    with pytest.raises(numba.TypingError, match=r"is given for f32\[batch, 4\]"):
        loss.njit(w, np.zeros(shape, np.float32))


def test_arrays_of_another_shape_are_refused(w):
    with pytest.raises(ValueError, match="another shape"):
        loss.njit(w, np.zeros((6, 5), np.float32))


def test_an_interpreted_function_has_no_numba_function():
    with override(backend="interpret"), pytest.raises(ValueError, match="FLOWC_BACKEND=interpret: only compiled programs"):
        flowc.compile(lambda x: x * 2, flowc.f32[3]).njit


def test_the_memory_of_a_call_lives_until_its_program_has_run():
    @flowc.compile
    def chain(x, w):
        h = flowc.tanh(x @ w)
        return flowc.tanh(h @ w) @ w, flowc.sum(h, axis=0)

    x = 0.1 * np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)  # large enough for freed memory to go back to the system
    expected = chain(x, x)
    for given in (x, x.T.copy().T, x.astype(np.float64)):  # the last two are copied on the way
        for _ in range(3):
            for got, wanted in zip(chain.njit(given, given), expected, strict=True):
                np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_a_result_that_does_not_depend_on_the_arguments_is_an_array_of_its_own():
    known = flowc.compile(lambda x: (flowc.sum(x), np.float32([[1, 2, 3]])), flowc.f32[2]).njit
    first = known(np.ones(2, np.float32))[1]
    first[:] = 9
    assert known(np.ones(2, np.float32))[1].tolist() == [[1, 2, 3]]


def test_symbols_may_bear_the_names_of_the_generated_function():
    @flowc.compile(shapes={"x": flowc.f32["size", "table"], "y": flowc.f32["arena", "arg0"], "z": flowc.f32["slot0", "np"]})
    def f(x, y, z):
        return flowc.sum(flowc.softmax(x)), x[:, :2] + y[0, 0], flowc.sum(z)

    x, y, z = np.random.default_rng(4).random((5, 3), np.float32), np.ones((4, 2), np.float32), np.ones((6, 7), np.float32)
    for got, wanted in zip(f.njit(x, y, z), f(x, y, z), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
