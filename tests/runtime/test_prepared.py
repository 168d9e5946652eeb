"""Prepared calls and the desk: which values native code takes, what it makes of them, and that it neither leaks nor keeps what it should not."""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

from flowc.config import override
from flowc.ir.text import parse_function
from flowc.runtime import native, prepared
from flowc.runtime.desks import ARRAY, CONVERT, FLOAT, FUNCTION, INT, ONE, TUPLE
from flowc.runtime.executable import build
from flowc.runtime.native import Desk, fast
from flowc.runtime.prepared import Form, desk

DOUBLE = "def f(x: f32[n, m]):\n    y: f32[n, m] = mul(x, 2.0)\n    return y\n"
ROW = "def f(x: f32[n]):\n    y: f32[n] = mul(x, 2.0)\n    return y\n"
NUMBER = "def f(x: {0}):\n    y: {0} = add(x, x)\n    return y\n"
NO = object()


class Door(Desk):
    """An object with a native method, and what the Python method was called with."""

    def __call__(self, *args, **kwargs):
        return NO


fast(Door, "__call__")


def door(text, arrays, form, arguments=1, **packing):
    found = Door()
    call = build(parse_function(text)).prepare(arrays, len(arrays))
    found.entries = [call.entry(form, arguments, **(packing or {"pack": ONE, "items": [0]}))]
    found.desk = desk(found.entries)
    return found


@pytest.fixture
def doubled():
    """Doubles what casts to float32 [2, 3]."""
    return door(DOUBLE, [np.zeros((2, 3), np.float32)], Form().leaf(0, ARRAY | CONVERT))


VALUES = np.array([[1, 2, 3], [4, 5, 6]])
UNALIGNED = np.frombuffer(b"\0" + VALUES.astype(np.float32).tobytes(), np.float32, offset=1).reshape(2, 3)


@pytest.mark.parametrize(
    "value",
    [VALUES.astype(np.float32), VALUES.astype(np.float64), VALUES, VALUES.astype(np.int32), VALUES.astype(np.uint8), [[1, 2, 3], [4, 5, 6]],
     [(1.0, 2, 3), [4, 5.0, np.float64(6)]], ([1, np.float32(2), 3], (4, 5, 6)), np.asfortranarray(VALUES, np.float32), VALUES.T.copy().T,
     np.repeat(VALUES, 2, axis=1)[:, ::2].astype(np.float32), UNALIGNED, VALUES[::-1].copy()[::-1]],
)  # fmt: skip
def test_arrays_and_lists_are_taken_whatever_their_dtype_and_strides(doubled, value):
    answer = doubled(value)
    assert answer.dtype == np.float32 and answer.tolist() == [[2, 4, 6], [8, 10, 12]]


@pytest.mark.parametrize(
    "value",
    [VALUES[:1], VALUES.T, VALUES[None], VALUES.astype(">f4"), VALUES.astype(np.float16), VALUES.astype(complex), VALUES.astype(object), [[1, 2, 3], [4, 5]],
     [[1, 2, 3]], [[1, 2, 3], 4], [[1, 2, 3], [4, 5, "6"]], [[1, 2, 3], [4, 5, True]], [[1, 2, 3], [4, 5, None]], [[1, 2, 3], [4, 5, 10**400]],
     [[1, 2, 3], [4, 5, 2**60 + 1]], [[1, 2, 3], [4, 5, 1e39]], np.full((2, 3), 1e39), np.full((2, 3), 2**60 + 1), 1.0, "text", None,
     VALUES.astype(np.float32).view(np.matrix)],
)  # fmt: skip
def test_what_is_not_taken_over_exactly_is_left_to_python(doubled, value):
    assert doubled(value) is NO
    assert not sys.exc_info()[0]
    assert doubled(VALUES).tolist() == [[2, 4, 6], [8, 10, 12]]


def test_infinity_and_nan_are_taken(doubled):
    np.testing.assert_array_equal(doubled([[np.inf, -np.inf, np.nan], [0, 1, 2]]), [[np.inf, -np.inf, np.nan], [0, 2, 4]])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_arrays_without_elements(shape):
    empty = door(DOUBLE, [np.zeros(shape, np.float32)], Form().leaf(0, ARRAY | CONVERT))
    assert empty(np.zeros(shape)).shape == empty([[]] * shape[0]).shape == shape


def test_bools_are_taken_as_numbers():
    assert door(ROW, [np.zeros(2, np.float32)], Form().leaf(0, ARRAY | CONVERT))(np.array([True, False])).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("dtype", "accepts", "values", "refused"),
    [("f32", FLOAT, [1.5, np.float32(1.5), np.float64(1.5)], [1, True, np.float16(1.5), np.array(1.5), 1e39]),
     ("f64", FLOAT, [1.5, np.float32(1.5), np.float64(1.5)], [1]),
     ("f32", ARRAY | CONVERT, [1.5, np.float64(1.5), np.array(1.5), np.array(1.5, np.float32)], [True, "1.5", [1.5]]),
     ("i32", INT, [7, -7, 2**31 - 1, -(2**31)], [7.0, True, 2**31, -(2**31) - 1, 10**30, np.int32(7)]),
     ("i32", ARRAY, [np.array(7, np.int32)], [7, np.array(7)])],
)  # fmt: skip
def test_numbers(dtype, accepts, values, refused):
    numpy = {"f32": np.float32, "f64": np.float64, "i32": np.int32}[dtype]
    number = door(NUMBER.format(dtype), [np.zeros((), numpy)], Form().leaf(0, accepts))
    for value in values:
        with np.errstate(over="ignore"):
            want = np.array(value).astype(numpy) + np.array(value).astype(numpy)
        answer = number(value)
        assert type(answer) is numpy and answer == want
    for value in refused:
        assert number(value) is NO


def test_large_arrays_are_read_where_they_lie_and_not_converted():
    x = np.arange(100_000, dtype=np.float32)
    large = door(ROW, [x], Form().leaf(0, ARRAY | CONVERT))
    assert large(x)[-1] == 2 * 99_999
    assert large(x.astype(np.float64)) is NO and large(np.zeros((100_000, 2), np.float32)[:, 0]) is NO


def test_a_dtype_read_from_a_file_is_the_same_dtype(doubled):
    import pickle

    value = pickle.loads(pickle.dumps(VALUES.astype(np.float32)))
    value = value.view(np.dtype("f4", metadata={"from": "a file"}))
    assert doubled(value).tolist() == [[2, 4, 6], [8, 10, 12]]


SUM = "def f(x: f32[n], y: f32[n]):\n    a: f32[n] = add(x, y)\n    b: f32 = reduce_sum(a)\n    return a, b\n"
PAIR = [np.zeros(2, np.float32)] * 2
X, Y = np.array([1, 2], np.float32), np.array([3, 4], np.float32)


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [(Form().dict(["a", "b"]).leaf(0).leaf(1), {"a": X, "b": Y},
      [{"b": Y, "a": X}, {"a": X}, {"a": X, "b": Y, "c": Y}, {"a": X, "c": Y}, {1: X, 2: Y}, [X, Y]]),
     (Form().list(2).leaf(0).leaf(1), [X, Y], [(X, Y), [X], [X, Y, Y], [X, 1], X]),
     (Form().tuple(2).leaf(0).tuple(2).leaf(1).same(None), (X, (Y, None)), [(X, Y), (X, (Y,)), (X, (Y, 0)), (X, [Y, None])])],
)  # fmt: skip
def test_nests_are_matched(form, good, bad):
    nest = door(SUM, PAIR, form, pack=TUPLE, items=[0, -1, 1])
    for _ in range(2):
        a, nothing, b = nest(good)
        assert a.tolist() == [4, 6] and nothing is None and b == 10
    for value in bad:
        assert nest(value) is NO


def test_equal_texts_are_the_same_key():
    key = "".join(["layer", " ", "1"])
    assert door(ROW, PAIR[:1], Form().dict(["layer 1"]).leaf(0))({key: X}).tolist() == [2, 4]


def test_a_function_packs_what_has_no_plain_form():
    packed = door(SUM, PAIR, Form().leaf(0).leaf(1), 2, pack=FUNCTION, items=[0, 1], function=lambda results: {"sum": results[1]})
    assert packed(X, Y) == {"sum": 10}


def test_an_error_of_the_packing_function_is_raised():
    packed = door(ROW, PAIR[:1], Form().leaf(0), pack=FUNCTION, items=[0], function=lambda results: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        packed(X)


def test_other_numbers_of_arguments_and_keywords_are_left_to_python():
    pair = door(SUM, PAIR, Form().leaf(0).leaf(1), 2, pack=ONE, items=[1])
    assert pair(X, Y) == 10
    for args, named in (((X,), {}), ((X, Y, Y), {}), ((), {"x": X, "y": Y}), ((X, Y), {"z": 1}), ((X,), {"y": Y}), (tuple([X] * 100), {})):
        assert pair(*args, **named) is NO


def test_the_guard_keeps_entries_from_being_tried():
    row = door(ROW, PAIR[:1], Form().leaf(0))
    word = np.zeros(1, np.int64)
    row.desk = desk(row.entries, prepared.address(word), 5)
    assert row(X) is NO
    word[0] = 5
    assert row(X).tolist() == [2, 4]
    row.desk = None
    assert row(X) is NO


def test_results_are_arrays_of_their_own_and_may_be_fed_again():
    row = door(ROW, PAIR[:1], Form().leaf(0))
    first = row(X)
    second = row(first)
    third = row(second)
    assert (first.tolist(), second.tolist(), third.tolist()) == ([2, 4], [4, 8], [8, 16])
    assert first.flags.owndata and first.flags.writeable


def test_a_program_that_reads_an_updated_param_returns_what_it_was():
    text = "def f(x: f32[2], v: f32[2]):\n    w: f32[2] = add(v, x)\n    v[...] = w\n    return v, w\n"
    v = np.zeros(2, np.float32)
    call = build(parse_function(text)).prepare([X, v], 1)
    assert [[r.tolist() for r in call(X)] for _ in range(2)] == [[[0, 0], [1, 2]], [[1, 2], [2, 4]]]
    assert v.tolist() == [2, 4]


def test_variables_that_swap_keep_both_values():
    f = parse_function("def f(v: f32[2], w: f32[2]):\n    v[...] = w\n    w[...] = v\n    return v\n")
    v, w = np.array([1, 2], np.float32), np.array([3, 4], np.float32)
    call = build(f).prepare([v, w], 0)
    assert call()[0].tolist() == [1, 2] and v.tolist() == [3, 4] and w.tolist() == [1, 2]


def test_every_run_adds_one_to_the_counter():
    f = parse_function("def f(c: u64):\n    x: f32[2] = random_uniform(c, shape=(2,), seed=1, dtype=f32)\n    return x\n")
    counter = np.zeros((), np.uint64)
    call = build(f).prepare([counter], 0, counter)
    first, second = call()[0], call()[0]
    assert counter == 2 and first.tolist() != second.tolist()
    counter[...] = 0
    assert call()[0].tolist() == first.tolist()


def test_references_are_given_back(doubled):
    value, listed = VALUES.astype(np.float32), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    kept = (value, listed, listed[0], listed[0][0], value.dtype, np.ndarray, np.float32, None, doubled, doubled.desk, doubled.entries[0])
    pair = door(SUM, PAIR, Form().leaf(0).leaf(1), 2, pack=TUPLE, items=[0, -1, 1, 0])

    def counts():
        return [sys.getrefcount(k) for k in kept]

    doubled(value), pair(X, Y)
    before = counts()
    for _ in range(1000):
        doubled(value), doubled(listed), doubled("refused"), pair(X, Y), pair(X, None)
    assert [after - b for after, b in zip(counts(), before, strict=True) if abs(after - b) > 20] == []


@pytest.mark.parametrize("work", [prepared.HELD_WORK, -1.0])
def test_a_call_dies_with_its_last_reference(work, monkeypatch):
    monkeypatch.setattr(prepared, "HELD_WORK", work)
    gc.disable()
    try:
        call = build(parse_function(ROW)).prepare([X], 1)
        call(X)
        dead = weakref.ref(call)
        fed = np.ones(2, np.float32)
        gone = weakref.ref(fed)
        call(fed)
        del fed
        assert gone() is None
        del call
        assert dead() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("mode", ["held", "released", "pool"])
def test_runs_of_several_threads_at_once_do_not_mix(mode, monkeypatch):
    monkeypatch.setattr(prepared, "HELD_WORK", 1e9 if mode == "held" else -1.0)
    if mode == "pool":
        monkeypatch.setattr("flowc.runtime.executable.PARALLEL_WORK", 0.0)
    with override(threads=2):
        row = door(ROW, [np.zeros(5000, np.float32)], Form().leaf(0, ARRAY | CONVERT))
        wrong = []

        def work(number):
            value = np.full(5000, number, np.float32)
            for _ in range(300):
                if not (row(value) == 2 * number).all():
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
    assert wrong == []


def test_an_interrupt_on_several_threads_is_raised_and_the_lock_given_back(monkeypatch):
    monkeypatch.setattr("flowc.runtime.executable.PARALLEL_WORK", -1.0)
    from flowc.runtime import threads

    real, hits = threads.run, []

    def interrupted(*args):
        hits.append(args)
        if len(hits) == 1:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(threads, "run", interrupted)
    with override(threads=2):
        row = door(ROW, PAIR[:1], Form().leaf(0))
        with pytest.raises(KeyboardInterrupt):
            row(X)
        assert row(X).tolist() == [2, 4] and len(hits) == 2


def test_where_native_calls_cannot_be_used_python_does_the_same(monkeypatch):
    monkeypatch.setattr(native, "unsupported", lambda: "an interpreter of another make")
    call = build(parse_function(SUM)).prepare(PAIR, 2)
    assert not call.is_native
    a, b = call(X, Y)
    assert a.tolist() == [4, 6] and b == 10


def test_what_native_code_takes_for_granted_is_compared_with_the_interpreter(monkeypatch):
    from flowc.runtime import fields

    assert native.unsupported() == ""
    monkeypatch.setattr(fields, "ARRAY_DIMS", fields.ARRAY_STRIDES)
    native.unsupported.cache_clear()
    try:
        assert native.unsupported() == "the layout of arrays is not the known one"
    finally:
        monkeypatch.undo()
        native.unsupported.cache_clear()
