"""Programs for tests: one kernel over a few buffers, run compiled and as plain Python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np

from flowc.codegen import build
from flowc.codegen.objects import LoadedProgram, load

SHORT = {"float16": "f16", "float32": "f32", "float64": "f64", "bool": "bool"} | {f"{s}int{n}": f"{s or 'i'}{n}" for s in ("", "u") for n in (8, 16, 32, 64)}


def short(array: np.ndarray) -> str:
    return SHORT[array.dtype.name]


def kernel_text(body: str, arrays: dict[str, np.ndarray], numbers: dict[str, int]) -> str:
    """A generated file with one kernel; `body` is written over the names of the buffers and numbers."""
    names = [*arrays, *numbers]
    places = [f"pointer_{short(a)}(args, {i + 1})" for i, a in enumerate(arrays.values())]
    places += [f"extent(args, {i + 1 + len(arrays)})" for i in range(len(numbers))]
    lines = "\n".join("    " + line for line in body.strip("\n").splitlines())
    return (
        "from flowc.codegen.intrinsics import *\n\n\n"
        f"def k0(tid, nthreads, {', '.join(names)}):\n{lines}\n\n\n"
        f"def program(tid, nthreads, args):\n    k0(tid, nthreads, {', '.join(places)})\n"
    )


def signatures(arrays: dict[str, np.ndarray], numbers: dict[str, int]) -> dict[str, tuple[str, ...]]:
    return {
        "k0": ("i64", "i64", *(short(a) + "*!" for a in arrays.values()), *("i64" for _ in numbers)),
        "program": ("i64", "i64", "i64*"),
    }


def table(arrays: dict[str, np.ndarray], numbers: dict[str, int]) -> np.ndarray:
    return np.array([0, *(a.ctypes.data for a in arrays.values()), *numbers.values()], np.int64)


def call(program: LoadedProgram, arguments: np.ndarray) -> None:
    word = ctypes.c_int64
    ctypes.CFUNCTYPE(None, word, word, word)(program.entry)(0, 1, arguments.ctypes.data)


def run(body: str, arrays: dict[str, np.ndarray], **numbers: int) -> None:
    """Compile and run; results are in the arrays."""
    text = kernel_text(body, arrays, numbers)
    call(load(build.compile_source(text, signatures(arrays, numbers))), table(arrays, numbers))


def run_python(body: str, arrays: dict[str, np.ndarray], **numbers: int) -> None:
    """Run the same file as plain Python."""
    build.load_python(kernel_text(body, arrays, numbers))(0, 1, [0, *arrays.values(), *numbers.values()])


def both(body: str, make: Callable[[], dict[str, np.ndarray]], **numbers: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The arrays after the compiled run and after the plain Python run."""
    compiled, plain = make(), make()
    run(body, compiled, **numbers)
    run_python(body, plain, **numbers)
    return compiled, plain


def same_bits(x: np.ndarray, y: np.ndarray) -> bool:
    """Equal to the last bit, where any NaN equals any other."""
    nan = np.isnan(x) & np.isnan(y) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    return bool(((x.view(f"u{x.itemsize}") == y.view(f"u{y.itemsize}")) | nan).all())
