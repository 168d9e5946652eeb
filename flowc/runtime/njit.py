"""A compiled program as a Numba function, for users' own `@numba.njit` loops.

    step = flowc.compile(loss_and_gradient).njit
    @numba.njit
    def train(w, x, steps):
        for _ in range(steps):
            value, gradient = step(w, x)
            w = w - 0.1 * gradient

The wrapper is generated: it checks shapes, makes the results and the workspace, fills the table and calls the program on one thread.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from flowc.ir.dims import Call, Dim, Sym
from flowc.ir.node import Node
from flowc.ir.types import TensorType
from flowc.lower.program import Program

if TYPE_CHECKING:
    from flowc.runtime.executable import Executable


def wrap(executable: Executable) -> Any:
    """The Numba function of a compiled program: arrays and numbers in, one array or number, or a tuple of them, out.

    Params with a rank take arrays of that rank, any strides, of their dtype or one that casts to it; rank 0 takes numbers. Numba's
    TypingError tells of a rank or dtype that does not fit when the caller is compiled, ValueError of a shape when it runs. Programs that
    update a param are refused: Numba functions here are pure.
    """
    import numba

    if executable.backend != "cpu":
        raise ValueError(f"{executable.f.name} was built with FLOWC_BACKEND={executable.backend}: only compiled programs have a Numba function")
    if executable.f.updates:
        raise ValueError(f"{executable.f.name} updates its params and has no form as a Numba function")
    text, constants = wrapper_source(executable)
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    namespace: dict[str, Any] = {"np": np, "entry": prototype(executable.entry)}
    namespace |= {f"constant{p.position}": _flat(executable.program.constants[p.position]) for p in executable.program.results if p.kind == "constant"}
    namespace |= {f"read{i}": _reader(param.tensor) for i, param in enumerate(executable.f.params)}
    exec(compile(text, f"<flowc njit {executable.f.name}>", "exec"), namespace)
    function = numba.njit(namespace["call"], error_model="numpy")
    function.flowc_keep = (executable, constants)  # the code and the constants live as long as the function
    return function


def _flat(constant: Node) -> np.ndarray:
    return np.ascontiguousarray(constant.attrs["value"].array).reshape(-1)


def _reader(param: TensorType) -> Any:
    """A function for Numba code that turns an array into what the program may read through a pointer to the param's dtype.

    The program gets an address alone, so an array of another dtype or rank has to be cast, or refused, before.
    """
    from numba.core import errors, types
    from numba.extending import overload
    from numba.np.numpy_support import as_dtype, from_dtype

    target = param.dtype.numpy

    def read(value):  # type: ignore[no-untyped-def]  # Numba wants the same annotations here as on the lambdas: none
        raise TypeError("for Numba code only")

    @overload(read)
    def implementation(value):  # type: ignore[no-untyped-def]
        if not (isinstance(value, types.Array) and value.ndim == param.rank and can_cast(as_dtype(value.dtype), target)):
            raise errors.TypingError(f"{value} is given for {param}")
        if value.dtype == from_dtype(target):
            return lambda value: np.ascontiguousarray(value)
        return lambda value: np.ascontiguousarray(value).astype(target)

    return read


def can_cast(given: np.dtype, target: np.dtype) -> bool:
    """Whether a whole array may be cast without a look at its values: floats take all numbers, integers no floats, truth values no numbers."""
    return np.can_cast(given, target, "same_kind") or (target.kind in "iu" and given.kind in "iu")


def wrapper_source(executable: Executable) -> tuple[str, list[np.ndarray]]:
    """The wrapper's source, and the constant arrays whose addresses it holds."""
    program, slots = executable.program, executable.slots
    f = executable.f
    names = [f"arg{i}" for i in range(len(f.params))]
    lines = [f"def call({', '.join(names)}):"]
    add = lines.append
    bound: set[str] = set()
    checks: list[str] = []
    for i, (name, param) in enumerate(zip(names, f.params, strict=True)):
        dtype = f"np.{param.tensor.dtype.long_name if not param.tensor.dtype.is_bool else 'bool_'}"
        if param.tensor.rank == 0:
            add(f"    {name}_array = np.empty(1, {dtype})")
            add(f"    {name}_array[0] = {name}")
            continue
        add(f"    {name}_array = read{i}({name})")
        for axis, dim in enumerate(param.tensor.dims):
            symbol = dim.name if isinstance(dim, Sym) else None
            if symbol is not None and symbol not in bound:
                bound.add(symbol)
                add(f"    {dim_source(dim)} = {name}.shape[{axis}]")
            else:
                checks.append(f"    if {name}.shape[{axis}] != {dim_source(dim)}:")
                checks.append(f'        raise ValueError("{f.name}: param {param.name} is {param.type}, the array has another shape")')
    lines += checks
    add(f"    table = np.zeros({executable.layout.table_size}, np.int64)")
    add("    size = 64")
    constants: list[np.ndarray] = []
    for position, slot in enumerate(program.slots):
        sizes = [f"({dim_source(size)}) * {dtype.size}" for dtype, size in slot.values]
        biggest = sizes[0] if len(set(sizes)) == 1 else f"max({', '.join(sorted(set(sizes)))})"
        add(f"    slot{position} = size")
        add(f"    size += ({biggest} + 63) // 64 * 64")
    add("    arena = np.empty(size, np.uint8)")
    add("    base = arena.ctypes.data // 64 * 64")
    done: set[int] = set()
    for place in program.places:
        where = slots[id(place)]
        if where in done:
            continue
        done.add(where)
        match place.kind:
            case "param":
                add(f"    table[{where}] = {names[place.position]}_array.ctypes.data")
            case "slot":
                add(f"    table[{where}] = base + slot{place.position}")
            case "constant":
                array = _flat(program.constants[place.position])
                constants.append(array)
                add(f"    table[{where}] = {array.ctypes.data}")
            case "result":
                add(f"    result{place.position} = np.empty({dim_source(place.size)}, np.{place.dtype.long_name if not place.dtype.is_bool else 'bool_'})")
                add(f"    table[{where}] = result{place.position}.ctypes.data")
    for position, name in enumerate(program.extents):
        add(f"    table[{executable.layout.first_extent + position}] = extent_{name}")
    add("    entry(0, 1, table.ctypes.data)")
    # Numba frees an array after its last use, and an address is none: without this line all of them would be gone before the program runs
    add(f"    table[0] = {' + '.join(['arena.size', *(f'{name}_array.size' for name in names)])}")
    results = [_result(program, i, names) for i in range(len(f.results))]
    add(f"    return {results[0] if len(results) == 1 else '(' + ', '.join(results) + ')' if results else 'None'}")
    return "\n".join(lines) + "\n", constants


def _result(program: Program, position: int, names: list[str]) -> str:
    node, place = program.main.results[position], program.results[position]
    match place.kind:
        case "param":
            flat = f"{names[place.position]}_array"
            flat = f"{flat}.copy().reshape(-1)"
        case "result":
            flat = f"result{place.position}" + ("" if place.position == position else ".copy()")
        case "constant":
            flat = f"constant{place.position}.copy()"
        case _:
            raise ValueError(f"result {node.name} has no place of its own")
    if node.tensor.rank == 0:
        return f"{flat}[0]"
    shape = ", ".join(dim_source(d) for d in node.tensor.dims)
    return f"{flat}.reshape(({shape},))"


def dim_source(dim: Dim) -> str:
    """An extent as Python source; the symbol `size` is `extent_size` there, apart from the wrapper's own names."""
    if not isinstance(dim, Sym):
        return str(dim)
    terms = []
    for monomial, coefficient in dim.terms:
        factors = [str(coefficient)] if coefficient != 1 or not monomial else []
        for atom in monomial:
            if isinstance(atom, Call):
                left, right = (dim_source(a) for a in atom.args)
                factors.append(f"(({left}) // ({right}))" if atom.function == "floordiv" else f"{atom.function}({left}, {right})")
            else:
                factors.append(f"extent_{atom}")
        terms.append("*".join(factors))
    return " + ".join(terms)
