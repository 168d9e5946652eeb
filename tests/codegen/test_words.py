"""Restricted Python over machine words: what it means once it is native code, and what it refuses."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from flowc.codegen import words
from flowc.codegen.objects import LoadedProgram, assemble

HEADER = "from flowc.codegen.words import *\nfrom flowc.runtime.cpython import *\n"


def module(tmp_path: Any, source: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module with that source in a file of its own."""
    path = tmp_path / "native_source.py"
    path.write_text(HEADER + source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "native_source", raising=False)
    return __import__("native_source")


@pytest.fixture
def native(tmp_path, monkeypatch):
    """`native(source)(*words)`: the function `f` of the source, called."""
    kept = []

    def compile(source: str) -> Any:
        loaded = LoadedProgram(assemble(words.llvm_text(module(tmp_path, source, monkeypatch))), ("f", "flowc_known", "flowc_names"))
        kept.append(loaded)
        names = ctypes.string_at(ctypes.CFUNCTYPE(ctypes.c_int64)(loaded.addresses["flowc_names"])()).decode().split()
        table = (ctypes.c_int64 * len(names)).from_address(ctypes.CFUNCTYPE(ctypes.c_int64)(loaded.addresses["flowc_known"])())
        for i, name in enumerate(names):
            table[i] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value

        def call(*args: int) -> int:
            return ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(args))(loaded.addresses["f"])(*args)

        return call

    return compile


@pytest.mark.parametrize(
    ("expression", "value"),
    [("a + b * 3", 10 + 3 * 3), ("(a - b) << 2", 28), ("-a >> 1", -5), ("a & 6 | b", 3), ("a == 10 and b < 4", 1), ("a < b or not b", 0),
     ("7 if a > b else 8", 7), ("a in (3, 10)", 1), ("-5 + a", 5), ("b if not a else a", 10)],
)  # fmt: skip
def test_expressions(native, expression, value):
    assert native(f"def f(a, b) -> int:\n    return {expression}\n")(10, 3) == value


def test_loops_branches_and_functions(native):
    source = """
def square(x):
    return x * x


def f(n, limit) -> int:
    total = 0
    for i in range(1, n):
        if i == 3:
            continue
        if i > limit:
            break
        total += square(i)
    while total > 1000:
        total -= 1000
    return total
"""
    assert native(source)(100, 5) == 1 + 4 + 16 + 25
    assert native(source)(100, 20) == (sum(i * i for i in range(21)) - 9) % 1000


def test_and_evaluates_no_further_than_it_must(native):
    source = "def f(p, n) -> int:\n    return n > 0 and load(p, 0) == 7\n"
    assert native(source)(0, 0) == 0  # no word is read at address 0
    memory = np.array([7])
    assert native(source)(memory.ctypes.data, 1) == 1


def test_words_and_numbers_of_several_sizes(native):
    memory = np.zeros(4, np.int64)
    source = """
def half(at, x: float):
    put_f32(at, 2, x * 0.5)


def f(at) -> int:
    put_i8(at, 3, -2)
    store(at, 3, load(at, 2) + i8_at(at, 3) + u8_at(at, 3))
    half(at, to_double(5))
    copy_bytes(at + 20, at + 8, 4)
    put_i32(at, 4, to_whole(f32_at(at, 2) * 10.0))
    return to_whole(f32_at(at, 5) + 0.75)
"""
    memory[2] = 1000
    assert native(source)(memory.ctypes.data) == 3
    assert memory[3] == 1000 - 2 + 254
    assert memory.view(np.float32)[2] == 2.5 and memory.view(np.int32)[4] == 25


def test_memory_on_the_stack(native):
    assert native("def f(n) -> int:\n    s = stack(n)\n    for i in range(n):\n        store(s, i, i)\n    return load(s, n - 1)\n")(100) == 99


def test_c_functions_are_called_through_the_table(native):
    call = native("def f(list) -> int:\n    return PyList_Size(list) * 10 + to_whole(PyLong_AsDouble(PyList_GetItem(list, 1)))\n")
    assert call(id([5, 7, 9])) == 37


@pytest.mark.parametrize(
    ("source", "message"),
    [("def f(a) -> int:\n    with a:\n        pass\n", "native_source:4 in f: `with a:` is no statement"),
     ("def f(a) -> int:\n    return a / 2\n", "native_source:4 in f: this operator is not there for i64"),
     ("def f(a) -> int:\n    return b\n", "native_source:4 in f: b has no value here"),
     ("def f(a) -> int:\n    return load(a)\n", r"native_source:4 in f: load takes \(i64, i64\), not \(i64\)"),
     ("def f(a) -> int:\n    return nothing(a)\n", "native_source:4 in f: no function nothing"),
     ("def f(a) -> int:\n    return a + 1.0\n", "native_source:4 in f: i64 meets double"),
     ("def f(a) -> int:\n    x = 1\n    x = 2.0\n    return a\n", "native_source:5 in f: x is a i64 elsewhere and a double here"),
     ("def f(a) -> int:\n    return store(a, 0, 1)\n", "native_source:4 in f: store gives nothing"),
     ("def f(a) -> int:\n    return [a]\n", r"native_source:4 in f: `\[a\]` is no expression")],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused_with_its_line(tmp_path, monkeypatch, source, message):
    with pytest.raises(SyntaxError, match=message):
        words.llvm_text(module(tmp_path, source, monkeypatch))


def test_native_functions_do_not_run_as_python():
    from flowc.runtime import caller, cpython

    with pytest.raises(TypeError, match="load is called by native code only"):
        caller.item(0, 0, 0)
    with pytest.raises(TypeError, match="Py_IncRef is called by native code only"):
        cpython.Py_IncRef(0)
