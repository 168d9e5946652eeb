"""What fast kernels must not lose: any size, any memory order, the smallest numbers, NaN and infinity, any number of threads."""

import numpy as np
import pytest

import flowc
from flowc import config
from flowc.runtime import executable

RNG = np.random.default_rng(11)
BATCHES = (0, 1, 2, 3, 7, 8, 9, 16, 17, 31, 97, 128, 131)


def softmax_step(x, w, b, labels):
    logits = x @ w + b
    loss = flowc.mean(flowc.logsumexp(logits, axis=1) - flowc.sum(flowc.softmax(logits) * labels, axis=1))
    return loss, flowc.relu(logits)


def block(x, w, v):
    h = flowc.layer_norm(x)
    return x + flowc.gelu(flowc.softmax(h @ w) @ v), flowc.max(h, axis=1)


def value(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def softmax_arguments(batch, k=17, n=10):
    labels = np.eye(n, dtype=np.float32)[RNG.integers(0, n, batch)]
    return value(batch, k), value(k, n), value(n), labels


def block_arguments(batch, k=33):
    return value(batch, k), value(k, 5), value(5, k)


PROGRAMS = {"softmax": (softmax_step, softmax_arguments, ("x", "labels")), "block": (block, block_arguments, ("x",))}


def results(function, args, batch, backend="cpu", threads=1):
    with config.override(backend=backend, threads=threads):
        return [np.asarray(r) for r in flowc.compile(function, batch=batch)(*args)]


@pytest.fixture
def always_shared(monkeypatch):
    """Every run takes all threads, however small it is."""
    monkeypatch.setattr(executable, "PARALLEL_WORK", -1.0)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_any_batch_gives_the_interpreters_values_and_the_same_bits_on_any_number_of_threads(program, batch, always_shared):
    function, make, symbolic = PROGRAMS[program]
    args = make(batch)
    with np.errstate(invalid="ignore", divide="ignore"):
        want = results(function, args, symbolic, "interpret")
    one, two, three = (results(function, args, symbolic, threads=n) for n in (1, 2, 3))
    for w, a, b, c in zip(want, one, two, three, strict=True):
        np.testing.assert_allclose(a, w, rtol=2e-5, atol=2e-6)
        assert a.tobytes() == b.tobytes() == c.tobytes()


@pytest.mark.parametrize("k", [1, 2, 13, 64])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 67])
def test_any_width_of_a_product_and_its_gradients(k, n):
    x, w = value(19, k), value(k, n)

    def loss(x, w):
        return flowc.sum(flowc.tanh(x @ w))

    slope = 1 - np.tanh(x.astype(np.float64) @ w) ** 2
    to_x, to_w = flowc.compile(flowc.grad(loss, wrt=(0, 1)))(x, w)
    np.testing.assert_allclose(to_x, slope @ w.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_w, x.T @ slope, rtol=1e-4, atol=1e-5)


ORDERS = {
    "Fortran": np.asfortranarray,
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "a part": lambda x: np.pad(x, ((1, 2), (3, 1)))[1:-2, 3:-1],
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape),
    "read only": lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
    "big endian": lambda x: x.astype(">f4"),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
@pytest.mark.parametrize("program", PROGRAMS)
def test_any_order_in_memory_is_the_same_feed(program, order):
    function, make, symbolic = PROGRAMS[program]
    x, *rest = make(23)
    f = flowc.compile(function, batch=symbolic)
    want = [np.asarray(r).tobytes() for r in f(x, *rest)]
    for _ in range(3):  # native calls take over from the second
        assert [np.asarray(r).tobytes() for r in f(order(x), *rest)] == want


def test_the_smallest_numbers_are_not_flushed_to_zero():
    x = (np.arange(1, 68) * np.float32(1e-45)).astype(np.float32)
    doubled, total, largest = flowc.compile(lambda x: (x * 2.0, flowc.sum(x), flowc.max(x)))(x)
    assert np.array_equal(doubled, x * np.float32(2)) and total == x.sum(dtype=np.float64).astype(np.float32) and largest == x[-1]
    w = np.full((67, 20), 0.5, np.float32)
    product = flowc.compile(lambda x, w: x @ w)(x.reshape(1, -1) * np.float32(4), w)
    np.testing.assert_array_equal(product, np.full((1, 20), (2 * x.astype(np.float64)).sum().astype(np.float32)))


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 6, 22])
def test_nan_and_infinity_stay_in_their_rows(special, row):
    x, w, v = block_arguments(23)
    x[row, 5] = special
    found, extreme = flowc.compile(block, batch=("x",))(x, w, v)
    others = np.arange(23) != row
    assert np.isfinite(found[others]).all() and np.isfinite(extreme[others]).all()
    assert np.isnan(found[row]).any() and np.isnan(extreme[row])
    product = flowc.compile(lambda x, w: x @ w, batch=("x",))(x, w)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(np.isnan(product), np.isnan(x @ w))
    assert np.isfinite(product[others]).all()
