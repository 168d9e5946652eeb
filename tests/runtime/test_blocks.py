"""Memory of large results is used again, and never while somebody can see it."""

import gc
import threading

import numpy as np
import pytest

import flowc
from flowc.runtime.blocks import LEAST, MOST, Blocks

N = LEAST // 4
X = np.arange(N, dtype=np.float32)


@pytest.fixture
def double():
    f = flowc.compile(lambda x: x * 2.0)
    f(X)  # the call that prepares it goes through Python
    return f


def test_a_dropped_result_gives_its_memory_to_the_next(double):
    places = set()
    for _ in range(20):
        places.add(double(X).ctypes.data)
    assert len(places) <= 2


def test_a_result_begins_with_a_cache_line(double):
    held = [double(X) for _ in range(2)]
    assert all(y.ctypes.data % 64 == 0 and y.base is not None and y.base.nbytes == y.nbytes + 63 for y in held)


def test_a_result_that_replaces_another_takes_turns(double):
    places, y = set(), None
    for _ in range(20):
        y = double(X)
        places.add(y.ctypes.data)
        np.testing.assert_array_equal(y, 2 * X)
    assert len(places) == 2


def test_results_that_are_held_stay_as_they_are(double):
    held = [double(X + i) for i in range(6)]
    assert len({h.ctypes.data for h in held}) == 6
    for i, result in enumerate(held):
        np.testing.assert_array_equal(result, 2 * (X + i))


VIEWS = {"slice": lambda y: y[5:9], "memoryview": memoryview, "reshape": lambda y: y.reshape(2, -1), "transpose": lambda y: y.T}


@pytest.mark.parametrize("keep", VIEWS.values(), ids=list(VIEWS))
def test_what_refers_to_a_result_keeps_its_memory(double, keep):
    kept = keep(double(X))
    want = np.array(kept)
    for i in range(6):
        double(X + i)
    np.testing.assert_array_equal(np.array(kept), want)


def test_a_result_can_be_written_and_outlives_its_program():
    f = flowc.compile(lambda x: x + 1.0)
    f(X)
    y = f(X)
    del f
    gc.collect()
    y += 1
    np.testing.assert_array_equal(y, X + 2)
    assert y.flags.c_contiguous and y.flags.aligned and y.flags.writeable


def test_a_result_may_be_the_next_argument(double):
    y = double(X)
    for _ in range(5):
        y = double(y)
    np.testing.assert_array_equal(y, 64 * X)


def test_programs_share_the_blocks_of_a_size_and_small_results_have_none(double):
    other = flowc.compile(lambda x: x - 1.0)
    other(X)
    a, b, c = double(X), other(X), double(X)
    np.testing.assert_array_equal(b, X - 1)
    np.testing.assert_array_equal(a, c)
    assert Blocks.of(LEAST - 1) is None and Blocks.of(MOST + 1) is None and Blocks.of(LEAST) is Blocks.of(LEAST)


def test_several_results_of_one_size_have_places_of_their_own():
    f = flowc.compile(lambda x: (x + 1.0, x + 2.0, x + 3.0))
    for _ in range(4):
        results = f(X)
    for i, r in enumerate(results):
        np.testing.assert_array_equal(r, X + i + 1)


def test_threads_never_share_a_block(double):
    wrong = []

    def work(i):
        for _ in range(50):
            y = double(X + i)
            if not np.array_equal(y, 2 * (X + i)):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
