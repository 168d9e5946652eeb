"""The CUDA printer: launches of loop IR kernels become one Python source file for Numba's CUDA compiler, or its simulator.

    def k0_relu(x, relu_out, b):
        block_id = i64(cuda.blockIdx.x)
        thread_id = i64(cuda.threadIdx.x)
        i = block_id * 128 + thread_id
        if i < b * 20:
            relu_out[i] = _maximum_f32(x[i], f32(0.0))

Kernels are plain functions: whoever compiles them chooses how (`cuda.compile` to PTX, `cuda.jit` for the simulator). The few functions that
CUDA's `math` lacks stand in the file as device functions, which Numba inlines, so that nothing links against anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowc.codegen.printer import SourcePrinter
from flowc.ir.loops import Alloc, Apply, For, Kernel, Load, Store, Tile, Transform
from flowc.ir.types import I64, DType
from flowc.lower.schedule_cuda import Launch
from flowc.structs import Struct

# loop IR function -> name in Python's math, which the CUDA compiler knows for f32 and f64
MATH = {
    "exp": "exp", "log": "log", "expm1": "expm1", "log1p": "log1p", "tanh": "tanh", "sqrt": "sqrt", "sin": "sin", "cos": "cos", "tan": "tan",
    "asin": "asin", "acos": "acos", "atan": "atan", "atan2": "atan2", "sinh": "sinh", "cosh": "cosh", "erf": "erf", "floor": "floor",
    "ceil": "ceil", "trunc": "trunc", "pow": "pow", "abs": "fabs",
}  # fmt: skip

# device functions, for each dtype {t} that needs them. min and max: NaN where either is NaN; larger: the first then. rint: halves to even, as NumPy rounds.
# floordiv, mod: as NumPy's npy_divmod, where the modulus takes the divisor's sign.
HELPERS = {
    "min": "def {name}(x, y):\n    return x if x < y or x != x else y",
    "max": "def {name}(x, y):\n    return x if x > y or x != x else y",
    "larger": "def {name}(x, y):\n    return y if y > x else x",
    "sigmoid": "def {name}(x):\n    return {t}(1.0) / ({t}(1.0) + {t}(math.exp(-x)))",
    "round": (
        "def {name}(x):\n"
        "    low = {t}(math.floor(x))\n"
        "    rest = x - low\n"
        "    odd = low * {t}(0.5) != {t}(math.floor(low * {t}(0.5)))\n"
        "    return low + {t}(1.0) if rest > {t}(0.5) or (rest == {t}(0.5) and odd) else low"
    ),
    "mod": (
        "def {name}(x, y):\n"
        "    rest = {t}(math.fmod(x, y))\n"
        "    if rest == {t}(0.0):\n"
        "        return {t}(math.copysign({t}(0.0), y))\n"
        "    return rest + y if (y < {t}(0.0)) != (rest < {t}(0.0)) else rest"
    ),
    "floordiv": (
        "def {name}(x, y):\n"
        "    if y == {t}(0.0):\n"
        "        return x / y\n"
        "    rest = {t}(math.fmod(x, y))\n"
        "    quotient = (x - rest) / y\n"
        "    if rest != {t}(0.0) and (y < {t}(0.0)) != (rest < {t}(0.0)):\n"
        "        quotient = quotient - {t}(1.0)\n"
        "    if quotient == {t}(0.0):\n"
        "        return {t}(math.copysign({t}(0.0), x / y))\n"
        "    low = {t}(math.floor(quotient))\n"
        "    return low + {t}(1.0) if quotient - low > {t}(0.5) else low"
    ),
    # Philox4x32-10 (J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), as flowc.codegen.philox
    "philox": (
        "def {name}(key, counter, index, lane):\n"
        "    mask, half = u64(0xFFFFFFFF), u64(32)\n"
        "    c0, c1, c2, c3 = counter & mask, counter >> half, index & mask, index >> half\n"
        "    k0, k1 = key & mask, key >> half\n"
        "    for _ in range(10):\n"
        "        p0 = c0 * u64(0xD2511F53)\n"
        "        p1 = c2 * u64(0xCD9E8D57)\n"
        "        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & mask, (p0 >> half) ^ c3 ^ k1, p0 & mask\n"
        "        k0 = (k0 + u64(0x9E3779B9)) & mask\n"
        "        k1 = (k1 + u64(0xBB67AE85)) & mask\n"
        "    low = c0 if lane == 0 else c1\n"
        "    high = c2 if lane == 2 else c3\n"
        "    return u32(low if lane < 2 else high)"
    ),
}


class CudaSource(Struct):
    """A generated file. signatures: for each kernel its parameters' types ("f32*", "f32*!" where written, "u8*" of truth values, "i64")."""

    text: str
    signatures: dict[str, tuple[str, ...]]


def print_launches(launches: Sequence[Launch]) -> CudaSource:
    """The source of the launches' kernels, one function each. Equal launches give equal text."""
    printer = Printer()
    signatures: dict[str, tuple[str, ...]] = {}
    blocks: list[str] = []
    for launch in launches:
        kernel = launch.kernel
        if kernel.name not in signatures:
            signatures[kernel.name] = signature(kernel)
            blocks.append(printer.kernel(kernel))
    helpers = [printer.helper(function, dtype) for function, dtype in sorted(printer.helpers)]
    imports = ["import math"] if printer.math or any("math." in text for text in helpers) else []
    if printer.constants:
        imports.append(f"from math import {', '.join(sorted(printer.constants))}")
    imports = [*imports, ""] if imports else []
    imports.append("from numba import cuda")
    if printer.used:
        imports.append(f"from numpy import {', '.join(f'{LONG_NAMES[name]} as {name}' for name in sorted(printer.used))}")
    header = "\n".join([f'"""Generated by flowc: {len(signatures)} CUDA kernel{"s" if len(signatures) > 1 else ""}."""', "", *imports])
    return CudaSource("\n\n\n".join([header, *helpers, *blocks]) + "\n", signatures)


LONG_NAMES = {
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "u8": "uint8", "u16": "uint16", "u32": "uint32",
    "u64": "uint64", "f16": "float16", "f32": "float32", "f64": "float64",
}  # fmt: skip


def signature(kernel: Kernel) -> tuple[str, ...]:
    """The types of a kernel's parameters: a pointer for each buffer, then the extents."""
    return (*(f"{_memory_dtype(b.dtype)}*{'' if b.role == 'in' else '!'}" for b in kernel.buffers), *("i64" for _ in kernel.extents))


class Printer(SourcePrinter):
    """Prints kernels; remembers which dtypes, device functions and math functions they use."""

    def __init__(self) -> None:
        super().__init__()
        self.helpers: set[tuple[str, str]] = set()
        self.math = False

    def kernel(self, kernel: Kernel) -> str:
        return self.define(kernel.name, [*(b.name for b in kernel.buffers), *kernel.extents], kernel.body)

    def helper(self, function: str, dtype: str) -> str:
        text = HELPERS[function].format(name=_helper_name(function, dtype), t=dtype)
        for name in ("u32", "u64"):
            if f"{name}(" in text:
                self.use(name)
        # not a nested call: the text becomes part of the kernel, so that a kernel compiles without a device and needs no linking
        return f'@cuda.jit(device=True, inline="always")\n{text}'

    def loop(self, s: For, depth: int) -> None:
        if s.kind not in ("block", "thread"):
            self.plain_loop(s, self.bounds(s), depth)
            return
        # the launch has exactly `stop` blocks (threads), so the loop is its own index and its body stands beside it
        self.line(depth, f"{s.var} = {self.use('i64')}(cuda.{s.kind}Idx.x)")
        self.body(s.body, depth)

    def array(self, s: Alloc) -> str:
        return f"cuda.{'shared' if s.shared else 'local'}.array({s.size}, {self.use(_memory_dtype(s.dtype))})"

    def load(self, e: Load) -> str:
        return f"({super().load(e)} != 0)" if e.dtype.is_bool else super().load(e)

    def store(self, s: Store, depth: int) -> None:
        if s.index is not None and s.value.dtype.is_bool:
            assert s.combine is None, "truth values join by `and` and `or`"
            self.line(depth, f"{s.buffer}[{self.index(s.index)}] = {self.use('u8')}({self.index(s.value)})")
        else:
            super().store(s, depth)

    def barrier(self) -> str:
        return "cuda.syncthreads()"

    def tile(self, s: Tile, depth: int) -> None:
        raise TypeError("a CUDA schedule writes tiles as scalar loops")

    def transform(self, s: Transform, depth: int) -> None:
        raise TypeError("a CUDA schedule has no transformed convolutions")

    def call(self, e: Apply) -> str:
        args = ", ".join(self.index(a) for a in e.args)
        dtype = e.args[0].dtype
        if e.function in ("isnan", "isinf"):
            self.math = True
            return f"math.{e.function}({args})"
        if e.function == "invert":
            return f"{self.use(dtype.name)}(~{self.expr(e.args[0])})"
        if not dtype.is_float and e.function != "philox":
            return self.whole(e, args, dtype)
        if e.function in MATH:
            self.math = True
            return f"{self.use(e.dtype.name)}(math.{MATH[e.function]}({args}))"
        self.helpers.add((e.function, dtype.name))
        self.use(dtype.name)
        return f"{_helper_name(e.function, dtype.name)}({args})"

    def whole(self, e: Apply, args: str, dtype: DType) -> str:
        """Functions of whole numbers (and min and max of truth values)."""
        match e.function:
            case "min" | "max" if dtype.is_bool:
                return f"({self.expr(e.args[0])} {'and' if e.function == 'min' else 'or'} {self.expr(e.args[1])})"
            case "min" | "max" | "abs":
                text = f"{e.function}({args})"
            case "pow":
                text = f"{self.expr(e.args[0])} ** {self.expr(e.args[1])}"
            case "floor" | "ceil" | "round" | "trunc":
                return self.expr(e.args[0])
            case _:
                raise TypeError(f"{e.function} of {dtype} has no CUDA form")
        return text if dtype is I64 and e.function != "pow" else f"{self.use(dtype.name)}({text})"


def _memory_dtype(dtype: DType) -> str:
    """Truth values are bytes in memory: Numba has no pointers to them on a device."""
    return "u8" if dtype.is_bool else dtype.name


def _helper_name(function: str, dtype: str) -> str:
    """A name that no node's can be: TensorFlow's names do not begin with an underscore."""
    return f"_{function}" if function == "philox" else f"_{function}_{dtype}"
