"""Functions through the CUDA schedule and printer, run by Numba's simulator: `python -m tests.codegen.cuda_simulation` prints JSON, case -> fault.

NUMBA_ENABLE_CUDASIM=1 must be set before Numba is imported, so this runs in a process of its own.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

import flowc.ops  # noqa: F401  (fills the op table)
from flowc.codegen.cuda import print_launches
from flowc.ir.dims import Sym, substitute
from flowc.ir.function import Builder, Function
from flowc.ir.interpret import bind_extents, interpret
from flowc.ir.node import Node, resolve
from flowc.ir.types import BOOL, F32, F64, I32, U64, TensorType, as_dtype
from flowc.lower.schedule_cuda import schedule
from flowc.transforms.pipeline import optimize
from tests.codegen.simulator import steady

# Python's math raises where CUDA's gives NaN or infinity, and has no f32: the simulator gets NumPy's instead
MATH = SimpleNamespace(
    exp=np.exp, log=np.log, expm1=np.expm1, log1p=np.log1p, tanh=np.tanh, sqrt=np.sqrt, sin=np.sin, cos=np.cos, tan=np.tan, asin=np.arcsin,
    acos=np.arccos, atan=np.arctan, atan2=np.arctan2, sinh=np.sinh, cosh=np.cosh, erf=lambda x: type(x)(math.erf(x)), floor=np.floor,
    ceil=np.ceil, trunc=np.trunc, pow=np.power, fabs=np.fabs, fmod=np.fmod, copysign=np.copysign, isnan=np.isnan, isinf=np.isinf,
)  # fmt: skip
SIZES = (1, 31, 32, 33, 257)


def launch(f: Function, operands: list[np.ndarray], extents: dict[str, int]) -> tuple[np.ndarray, ...]:
    """The results of one kernel Function."""
    from numba import cuda

    launches = schedule(f)
    text = print_launches(launches).text
    namespace: dict[str, Any] = {}
    exec(compile(text, f"<{f.name}>", "exec"), namespace)
    if "math" in namespace:
        namespace["math"] = MATH
    buffers = launches[0].kernel.buffers
    memory = [np.ascontiguousarray(x).reshape(-1) for x in operands]
    memory += [np.full(int(substitute(b.size, extents)), 77).astype(b.dtype.numpy) for b in buffers[len(memory) :]]
    for step in launches:
        blocks = int(substitute(step.blocks, extents))
        if blocks:
            kernel = cuda.jit(namespace[step.kernel.name])
            kernel[blocks, step.threads](*memory, *(extents[e] for e in step.kernel.extents))
    shapes = [tuple(int(substitute(d, extents)) for d in r.tensor.dims) for r in f.results]
    return tuple(m.reshape(shape) for m, shape in zip(memory[len(operands) :], shapes, strict=False))


def run(f: Function, args: list[np.ndarray]) -> list[np.ndarray]:
    """Results and updates of a Function whose kernels run in the simulator; views and single elements of calls are NumPy's."""
    module = optimize(f)
    extents = bind_extents([p.type for p in module.params], [a.shape for a in args])
    values: dict[Node, Any] = dict(zip(module.params, args, strict=True))
    for node in module.nodes:
        operands = [values[n] for n in node.inputs]
        if node.op.name == "call":
            values[node] = launch(node.attrs["function"], operands, extents)
        else:
            values[node] = node.op.eval(*operands, **resolve(node.attrs, extents))
    return [values[n] for n in module.outputs]


def compare(f: Function, args: list[np.ndarray]) -> None:
    for node, got, want in zip(f.outputs, run(f, args), interpret(f, args), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype, node.name
        scale = max(1.0, float(np.max(np.abs(want[np.isfinite(want)]), initial=0.0)))
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6 * scale, err_msg=f"{node.name}\n{f}")


def compute(make: Callable[..., Any], *arrays: np.ndarray, symbolic: bool = True) -> None:
    """Compare for `make(b, *params) -> node or nodes`; the first extent of every first operand is a symbol."""
    b = Builder("main")
    lead = arrays[0].shape[0] if symbolic and arrays[0].ndim and arrays[0].shape[0] > 1 else None
    params = []
    for i, a in enumerate(arrays):
        shape = tuple(Sym.named("n") if d == lead and place == 0 else d for place, d in enumerate(a.shape))
        params.append(b.param(f"x{i}", TensorType(as_dtype(a.dtype), shape)))
    made = make(b, *params)
    compare(b.finish(made if isinstance(made, tuple) else (made,)), list(arrays))


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# cases: each is one behaviour, on several sizes


def elementwise_chains() -> None:
    for n in SIZES:
        compute(lambda b, x: b.apply("relu", b.apply("tanh", b.apply("mul", x, x))), numbers(n))
    compute(lambda b, x: b.apply("sigmoid", b.apply("neg", x)), numbers(3, 5))


def static_extents() -> None:
    compute(lambda b, x: b.apply("square", x), numbers(33), symbolic=False)
    compute(lambda b, x: b.apply("reduce_sum", b.apply("square", x)), numbers(7, 9), symbolic=False)


def several_results_of_one_kernel() -> None:
    compute(lambda b, x: (b.apply("exp", x), b.apply("square", b.apply("exp", x))), numbers(33))


def broadcasting() -> None:
    for n in (2, 33):
        compute(lambda b, x, y: b.apply("relu", b.apply("add", x, y)), numbers(n, 5), numbers(5))
        compute(lambda b, x, y, z: b.apply("mul", b.apply("sub", x, y), z), numbers(n, 7), numbers(n, 1), numbers(1, 7))
    compute(lambda b, x, s: b.apply("mul", x, s), numbers(33), np.float32(2.5).reshape(()))


def row_reductions() -> None:
    for n in SIZES:
        compute(lambda b, x: (b.apply("reduce_sum", b.apply("square", x), axis=(1,)), b.apply("reduce_max", x, axis=(1,), keepdims=True)), numbers(2, n))
    compute(lambda b, x: b.apply("reduce_mean", x, axis=(1, 2)), numbers(2, 5, 7))
    compute(lambda b, x: (b.apply("reduce_sum", x, axis=(1,)), b.apply("reduce_min", x, axis=(1,))), numbers(3, 33))


def rows_whose_length_is_a_symbol() -> None:
    for n in (33, 257):
        b = Builder("main")
        x = b.param("x", TensorType(F32, (2, Sym.named("n"))))
        compare(b.finish((b.apply("softmax", x, axis=-1),)), [numbers(2, n)])


def softmax_of_rows() -> None:
    for n in SIZES:
        compute(lambda b, x: b.apply("softmax", x, axis=-1), numbers(2, n))
    compute(lambda b, x: b.apply("log_softmax", x, axis=-1), 100 * numbers(3, 33))


def a_normalised_row_has_two_levels_of_reductions() -> None:
    def make(b: Builder, x: Node) -> Node:
        centred = b.apply("sub", x, b.apply("reduce_mean", x, axis=(1,), keepdims=True))
        variance = b.apply("reduce_mean", b.apply("square", centred), axis=(1,), keepdims=True)
        return b.apply("mul", centred, b.apply("rsqrt", variance))

    compute(make, numbers(3, 33))


def column_reductions() -> None:
    for n in (2, 31, 65, 257):
        compute(lambda b, x: b.apply("reduce_sum", b.apply("square", x), axis=(0,)), numbers(n, 5))
    compute(lambda b, x: b.apply("reduce_max", x, axis=(0, 1)), numbers(33, 5, 7))
    compute(lambda b, x: b.apply("sqrt", b.apply("reduce_sum", b.apply("square", x), axis=(0,), keepdims=True)), numbers(257, 33))


def reductions_of_the_middle() -> None:
    compute(lambda b, x: b.apply("reduce_sum", x, axis=(1,)), numbers(3, 33, 5))
    compute(lambda b, x: b.apply("reduce_mean", x, axis=(0, 2)), numbers(3, 5, 7))


def full_reductions() -> None:
    for n in (1, 33, 4099):
        compute(lambda b, x: b.apply("reduce_sum", b.apply("square", x)), numbers(n))
    compute(lambda b, x, y: b.apply("reduce_mean", b.apply("squared_difference", x, y)), numbers(33, 5), numbers(33, 5))
    compute(lambda b, x: (b.apply("exp", x), b.apply("reduce_sum", b.apply("exp", x))), numbers(257))
    compute(lambda b, x: b.apply("reduce_max", x, axis=None, keepdims=True), numbers(33, 3, 2))
    compute(lambda b, x: b.apply("reduce_sum", x), numbers(257, 17), symbolic=False)


def empty_reductions_give_the_start_value() -> None:
    b = Builder("main")
    x = b.param("x", TensorType(F32, (Sym.named("n"), 3)))
    f = b.finish((b.apply("reduce_sum", x), b.apply("reduce_max", x, axis=(0,)), b.apply("exp", x), b.apply("reduce_sum", x, axis=(1,))))
    compare(f, [numbers(0, 3)])


def truth_reductions() -> None:
    for axis in ((0,), (1,), None):
        for op, compared in (("reduce_any", "greater"), ("reduce_all", "equal")):
            compute(lambda b, x, axis=axis, op=op, c=compared: b.apply(op, b.apply(c, x, x), axis=axis), numbers(3, 33))


def the_first_largest_wins() -> None:
    ties = np.random.default_rng(1).integers(0, 3, (3, 257)).astype(np.float32)
    for op in ("argmax", "argmin"):
        compute(lambda b, x, op=op: b.apply(op, x, axis=1), ties)
        compute(lambda b, x, op=op: b.apply(op, x, axis=0), ties.T.copy())
        compute(lambda b, x, op=op: b.apply(op, x, axis=0), np.tile(ties.ravel(), 3) if op == "argmax" else ties.ravel())
        compute(lambda b, x, op=op: b.apply(op, x, axis=1), ties.reshape(3, -1, 1).repeat(2, 2))
        compute(lambda b, x, op=op: b.apply(op, x, axis=0, dtype=I32), numbers(1))


def nan_is_the_largest_and_the_smallest() -> None:
    x = numbers(3, 65)
    x[1, 60] = x[1, 40] = x[2, 0] = np.nan
    for op in ("argmax", "argmin", "reduce_max", "reduce_min"):
        one = 1 if op.startswith("arg") else (1,)
        zero = 0 if op.startswith("arg") else (0,)
        compute(lambda b, x, op=op, axis=one: b.apply(op, x, axis=axis), x)
        compute(lambda b, x, op=op, axis=zero: b.apply(op, x, axis=axis), x.T.copy())
    for op in ("argmax", "reduce_max"):
        axis = 0 if op == "argmax" else None
        compute(lambda b, x, op=op, axis=axis: b.apply(op, x, axis=axis), x.ravel())


def nan_and_infinity_keep_through_functions() -> None:
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, 2.5, -0.5, -1e4, 1e4], np.float32)
    for op in ("relu", "exp", "log", "sigmoid", "round", "floor", "sqrt", "tanh", "abs", "is_nan", "is_inf", "sign", "reciprocal", "erf", "softplus"):
        compute(lambda b, x, op=op: b.apply(op, x), special)
    pairs = [g.ravel() for g in np.meshgrid(special, special)]
    for op in ("maximum", "minimum", "div", "floordiv", "mod", "pow"):
        compute(lambda b, x, y, op=op: b.apply(op, x, y), *pairs)


def whole_numbers_and_truth_values() -> None:
    x, y = np.arange(-16, 17, dtype=np.int32), np.tile(np.array([3, -2, 7], np.int32), 11)
    for op in ("add", "mul", "floordiv", "mod", "maximum", "minimum", "less", "not_equal"):
        compute(lambda b, x, y, op=op: b.apply(op, x, y), x, y)
    compute(lambda b, x, y: b.apply("cast", b.apply("logical_xor", b.apply("cast", x, dtype=BOOL), b.apply("greater", x, y)), dtype=F64), x, y)
    compute(lambda b, x: b.apply("reduce_sum", b.apply("abs", x), axis=(0,)), x.reshape(11, 3))


def transposes() -> None:
    for n in (2, 33):
        compute(lambda b, x: b.apply("transpose", b.apply("exp", x), perm=(1, 0)), numbers(n, 17))
    compute(lambda b, x: b.apply("transpose", x, perm=(2, 0, 1)), numbers(3, 5, 7))


def pads_and_concats() -> None:
    for n in (2, 33):
        compute(lambda b, x: b.apply("pad", x, paddings=((1, 0), (0, 2)), value=0.5), numbers(n, 5))
        compute(lambda b, x, y: b.apply("concat", x, y, axis=1), numbers(n, 5), numbers(n, 3))
        compute(lambda b, x: b.apply("concat", x, b.apply("neg", x), axis=0), numbers(n, 5))
    compute(lambda b, x: b.apply("slice", x, begin=(1, 0), end=(None, 5), stride=(2, 2)), numbers(7, 9))
    compute(lambda b, x: b.apply("reverse", x, axis=(0,)), numbers(33))


def gathers() -> None:
    compute(lambda b, x, i: b.apply("gather", x, i, axis=0), numbers(9, 5), np.array([3, 0, 8, 3], np.int32))


def loop_nests() -> None:
    compute(lambda b, x, w: b.apply("relu", b.apply("matmul", x, w)), numbers(5, 20), numbers(20, 33))
    compute(lambda b, x, w: b.apply("matmul", x, w, transpose_a=True), numbers(6, 5), numbers(6, 33))
    compute(lambda b, x: b.apply("square", b.apply("cumsum", x, axis=1)), numbers(5, 9))
    index = np.array([2, 0, 2, 3], np.int32)
    compute(lambda b, ct, i, like: b.apply("gather_grad", ct, i, like, axis=0), numbers(4, 5), index, numbers(6, 5), symbolic=False)


def convolutions_and_pools() -> None:
    compute(lambda b, x, w: b.apply("relu", b.apply("conv2d", x, w)), numbers(2, 5, 5, 2), numbers(3, 3, 2, 4), symbolic=False)
    compute(lambda b, x: b.apply("max_pool", x, ksize=(2, 2), strides=(2, 2), padding="SAME"), numbers(2, 5, 5, 3), symbolic=False)


def random_numbers() -> None:
    for name in ("random_uniform", "random_normal", "truncated_normal"):
        b = Builder("main")
        counter = b.param("run", TensorType(U64, ()))
        f = b.finish((b.apply("square", b.apply(name, counter, shape=(37,), seed=12345678901234567)),))
        compare(f, [np.array(3, np.uint64)])


CASES: dict[str, Callable[[], None]] = {
    c.__name__: c
    for c in (
        elementwise_chains, static_extents, several_results_of_one_kernel, broadcasting, row_reductions, rows_whose_length_is_a_symbol, softmax_of_rows,
        a_normalised_row_has_two_levels_of_reductions, column_reductions, reductions_of_the_middle, full_reductions,
        empty_reductions_give_the_start_value, truth_reductions, the_first_largest_wins, nan_is_the_largest_and_the_smallest,
        nan_and_infinity_keep_through_functions, whole_numbers_and_truth_values, transposes, pads_and_concats, gathers, loop_nests,
        convolutions_and_pools, random_numbers,
    )
}  # fmt: skip


def samples() -> None:
    """Every sample of every op."""
    from tests.ops.cases import NAMES, SAMPLES, sample, types_of

    for name in NAMES:
        for number in range(len(SAMPLES.get(name, ()))):
            op, arrays, attrs = sample(name, number, "float32")
            b = Builder("main")
            params = [b.param(f"x{i}", t) for i, t in enumerate(types_of(arrays))]
            compare(b.finish([b.apply(op, *params, **attrs)]), [np.array(a, order="C") for a in arrays])


def broken() -> None:
    """A kernel that forgets its last thread: what the comparison must see."""
    import flowc.lower.schedule_cuda as module
    from flowc.ir.loops import extent

    module.extent = lambda dim: extent(dim) - 1
    compute(lambda b, x: b.apply("square", x), numbers(33))


def random_functions(seed: int, count: int) -> Iterator[tuple[Function, list[np.ndarray]]]:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as with_seed

    from tests.lower.functions import arguments, functions

    made: list[Function] = []

    @with_seed(seed)
    @settings(max_examples=count, deadline=None, phases=(Phase.generate,), database=None, suppress_health_check=list(HealthCheck))
    @given(functions())
    def collect(f: Function) -> None:
        made.append(f)

    collect()
    for number, f in enumerate(made):
        yield f, arguments(f, 3 + number % 4, number)


def faults(names: list[str]) -> dict[str, str]:
    """For each case what went wrong; empty where nothing did. A name that is a number is the seed of random Functions."""
    found: dict[str, str] = {}
    for name in names:
        try:
            if name.isdigit():
                for f, args in random_functions(int(name), 40):
                    compare(f, args)
            else:
                {**CASES, "samples": samples, "broken": broken}[name]()
            found[name] = ""
        except Exception:
            found[name] = traceback.format_exc()
    return found


if __name__ == "__main__":
    steady()
    warnings.simplefilter("ignore")  # NumPy's words about infinities
    print(json.dumps(faults(sys.argv[1:] or list(CASES))))
