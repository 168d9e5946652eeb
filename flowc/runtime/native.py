"""The runtime's native code: assembled once, kept beside the compiled programs, loaded once; and methods of Python classes made of it.

    library().address("flowc_dispatch")                        # of a C function of `spmd`
    class Session(Desk): ...
    fast(Session, "run")                                       # from now on `session.run(...)` enters `caller.flowc_call`

A method so replaced keeps its documentation and signature. The Python function that it was, from now on the class's attribute `in_python`, is
called for all that native code does not take.
Native calls read fields of CPython's and NumPy's objects. `unsupported()` says where these are not as expected: then nothing is replaced.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import struct
import sys
import threading
import weakref
from functools import cache
from typing import Any

import numpy as np

from flowc.runtime import fields as c

EXPORTS = ("flowc_call", "flowc_alone", "flowc_dispatch", "flowc_work", "flowc_prepare", "flowc_wake", "flowc_loop")
_SOURCES = ("caller", "filling", "spmd", "looping", "desks", "fields", "cpython", "../codegen/words")
_lock = threading.Lock()
_kept: list[Any] = []  # definitions of methods, which the interpreter points to for ever
_IN_PYTHON = sys.intern("in_python")


paused = np.zeros(1, np.int64)
"""How many tracings and recorders there are, for which every call has to pass through Python."""


def pause(by: int = 1) -> None:
    """Let calls of sessions and compiled functions pass through Python, until the same is asked for with -1."""
    with _lock:
        paused[0] += by


class Desk:
    """An object whose calls native code looks up: `desk` is an int64 array in the layout of `desks`, or is not there."""

    __slots__ = ("desk",)
    desk: np.ndarray | None


def size_address(items: list[Any]) -> int:
    """The address of a list's length."""
    return id(items) + 8 * c.LIST_SIZE


class Library:
    """The loaded code. address(name): of an exported function."""

    def __init__(self) -> None:
        from flowc.codegen.objects import LoadedProgram

        loaded = LoadedProgram(keep(), (*EXPORTS, "flowc_known", "flowc_names"), permanent=True)
        self._loaded = loaded
        self._addresses = loaded.addresses
        word = ctypes.CFUNCTYPE(ctypes.c_int64)
        names = ctypes.string_at(word(self._addresses["flowc_names"])()).decode().split()
        self._known = (ctypes.c_int64 * len(names)).from_address(word(self._addresses["flowc_known"])())
        found = _known_addresses()
        for i, name in enumerate(names):
            self._known[i] = found(name)

    def address(self, name: str) -> int:
        return self._addresses[name]


def keep() -> bytes:
    """The native code's object code, from the disk cache, from the process that compiles ahead, or assembled now and kept there."""
    from flowc.codegen.cache import Cache, key

    folder, name = Cache(), key("\n".join(map(_text, _SOURCES)), {})
    code = folder.read(name)
    if code is None:
        from flowc.codegen import ahead

        ahead.wait("native")
        code = folder.read(name)
    if code is None:
        text, code = _assembled()
        folder.write(name, "# The runtime's native code, in LLVM's language.\n" + "".join(f"# {line}\n" for line in text.splitlines()), code)
    return code


def _text(source: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), f"{source}.py"), encoding="utf-8") as file:
        return file.read()


def _assembled() -> tuple[str, bytes]:
    """LLVM text and object code of the native code's modules, which are not imported where the code is in the cache."""
    from flowc.codegen.objects import assemble
    from flowc.codegen.words import llvm_text
    from flowc.runtime import caller, filling, looping, spmd

    text = llvm_text(caller, filling, spmd, looping)
    return text, assemble(text)


@cache
def _library() -> Library:
    return Library()


def library() -> Library:
    """The library of this process, loaded when first needed."""
    with _lock:
        return _library()


def _known_addresses() -> Any:
    """A function from the name of a C function, type or object to its address; 0 for one that there is not."""
    objects: dict[str, Any] = {
        "PyArray_Type": np.ndarray, "PyFloat_Type": float, "PyLong_Type": int, "PyList_Type": list, "PyTuple_Type": tuple, "PyDict_Type": dict,
        "PyUnicode_Type": str, "NumPyFloat32": np.float32, "NumPyFloat64": np.float64, "Py_None": None, "in_python": _IN_PYTHON,
    }  # fmt: skip
    # places in NumPy's table of functions, which only ever grows
    numpy_functions = {"PyArray_NewFromDescr": 94, "PyArray_Scalar": 60, "PyArray_SetBaseObject": 282}
    process = ctypes.CDLL(None)

    def find(name: str) -> int:
        if name in objects:
            return id(objects[name])
        if name in numpy_functions:
            return _numpy_table()[numpy_functions[name]]
        try:
            function = getattr(ctypes.pythonapi if name.startswith("Py") else process, name)
        except AttributeError:
            return 0
        return ctypes.cast(function, ctypes.c_void_p).value or 0

    return find


def _numpy_table() -> Any:
    from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return (ctypes.c_int64 * 362).from_address(pointer(_multiarray_umath._ARRAY_API, None))


@cache
def unsupported() -> str:
    """Why native calls cannot be used with this interpreter, empty where they can."""
    if sys.implementation.name != "cpython" or struct.calcsize("P") != 8:
        return f"{sys.implementation.name} of {8 * struct.calcsize('P')} bits is not known"
    if "t" in sys.abiflags:  # built without a lock of its own, where objects begin with other fields
        return "the interpreter has no lock of its own"
    wrong = [what for what, holds in _expectations() if not holds]
    return f"the layout of {', '.join(wrong)} is not the known one" if wrong else ""


@cache
def counts_references() -> bool:
    """Whether native code can tell that an object belongs to one owner alone."""
    array = np.zeros(1)
    count = ctypes.c_int64.from_address(id(array) + 8 * c.OB_REFERENCES)
    before = count.value
    other = [array, array]
    return before == 1 and count.value == 1 + len(other)


def _expectations() -> list[tuple[str, bool]]:
    """What native code takes for granted, each with whether it is so here."""

    def word(value: Any, i: int) -> int:
        return ctypes.c_int64.from_address(id(value) + 8 * i).value

    def int32(value: Any, i: int) -> int:
        return ctypes.c_int32.from_address(id(value) + 4 * i).value

    def words(address: int, count: int) -> tuple[int, ...]:
        return tuple((ctypes.c_int64 * count).from_address(address))

    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::2]
    double, thing = np.zeros(3), Desk()
    thing.desk = double
    numbers = {np.bool_: c.BOOL, np.uint8: c.UINT8, np.int32: c.INT32, np.int64: c.INT64, np.float32: c.FLOAT32, np.float64: c.FLOAT64}
    order = ctypes.c_int8.from_address(id(double.dtype) + c.DESCR_ORDER).value
    return [
        ("objects", word(double, c.OB_TYPE) == id(np.ndarray)),
        ("lists", word([None] * 7, c.LIST_SIZE) == 7),
        ("slots", word(thing, c.FIRST_SLOT) == id(double)),
        ("floats", ctypes.c_double.from_address(id(x := 0.1) + 8 * c.FLOAT_VALUE).value == x),
        ("NumPy's scalars", ctypes.c_double.from_address(id(y := np.float64(0.3)) + 8 * c.FLOAT_VALUE).value == y
         and ctypes.c_float.from_address(id(z := np.float32(0.3)) + 4 * c.FLOAT32_VALUE).value == z),
        ("arrays", word(array, c.ARRAY_DATA) == array.ctypes.data and int32(array, c.ARRAY_RANK) == 3 and words(word(array, c.ARRAY_DIMS), 3) == array.shape
         and words(word(array, c.ARRAY_STRIDES), 3) == array.strides and word(array, c.ARRAY_DESCR) == id(array.dtype)
         and int32(array, c.ARRAY_FLAGS) & c.PLAIN_FLAGS == 0x100 and int32(double, c.ARRAY_FLAGS) & c.PLAIN_FLAGS == c.PLAIN_FLAGS),
        ("dtypes", order == c.NATIVE_ORDER and all(int32(np.dtype(t), c.DESCR_NUMBER) == np.dtype(t).num == n for t, n in numbers.items())
         and word(np.dtype(np.float32), c.DESCR_KIND) != word(np.dtype(np.int32), c.DESCR_KIND)),
    ]  # fmt: skip


class _MethodDefinition(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


def fast(cls: type[Desk], method: str) -> None:
    """Put native code in the place of a class's method, of one at most; nothing happens where that has been done, or cannot be."""
    if "in_python" in cls.__dict__ or unsupported():
        return
    with _lock:
        if "in_python" in cls.__dict__:
            return
        python = cls.__dict__[method]
        signature = inspect.signature(python)
        text = str(signature.replace(parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()], return_annotation=signature.empty))
        doc = f"{method}{text.replace('(self', '($self', 1)}\n--\n\n{inspect.getdoc(python) or ''}"
        fastcall, keywords = 0x80, 0x2
        definition = _MethodDefinition(method.encode(), _library().address("flowc_call"), fastcall | keywords, doc.encode())
        _kept.append(definition)
        describe = ctypes.pythonapi.PyDescr_NewMethod
        describe.restype, describe.argtypes = ctypes.py_object, (ctypes.py_object, ctypes.c_void_p)
        cls.in_python = python  # type: ignore[attr-defined]
        setattr(cls, method, describe(cls, ctypes.addressof(definition)))


class Lock:
    """A lock that native code can take as well; `address` is C's `PyThread_type_lock`. A context manager."""

    def __init__(self) -> None:
        allocate = ctypes.pythonapi.PyThread_allocate_lock
        allocate.restype, allocate.argtypes = ctypes.c_void_p, ()
        self.address = allocate()
        weakref.finalize(self, _free, self.address).atexit = False

    def __enter__(self) -> None:
        _acquire(self.address, 1)

    def __exit__(self, *error: Any) -> None:
        _release(self.address)


def _c_function(name: str, *types: Any) -> Any:
    """A function of the interpreter, called without its lock: another thread must be able to give up what is waited for."""
    return ctypes.CFUNCTYPE(ctypes.c_int, *types)(ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0)


_acquire = _c_function("PyThread_acquire_lock", ctypes.c_void_p, ctypes.c_int)
_release = _c_function("PyThread_release_lock", ctypes.c_void_p)
_free = _c_function("PyThread_free_lock", ctypes.c_void_p)


def lock() -> Any:
    """A lock for a program: one that native code can take, where it can be used."""
    return threading.Lock() if unsupported() else Lock()
