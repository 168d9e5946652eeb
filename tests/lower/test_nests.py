"""Ops with loops of their own, compiled: what their NumPy meaning is, with what follows them fused in, for any number of threads."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

import flowc.ops  # noqa: F401  (fills the op table)
from flowc import config
from flowc.ir.dims import Sym
from flowc.ir.function import Builder
from flowc.ir.interpret import interpret
from flowc.ir.loops_text import print_kernel
from flowc.ir.types import F32, F64, U8, U64, TensorType
from flowc.lower import schedule_cuda
from flowc.runtime.executable import build

B = Sym.named("b")
CONV = {"strides": (1, 1), "padding": "SAME"}
POOL = {"ksize": (2, 2), "strides": (2, 2), "padding": "SAME"}

# op, operands' types, attrs; b is 5
CASES = [
    ("matmul", [(B, 70), (70, 260)], {}),
    ("matmul", [(B, 33), (40, 33)], {"transpose_b": True}),
    ("matmul", [(B, 33), (B, 40)], {"transpose_a": True}),
    ("matmul", [(B, 2, 9, 7), (2, 7, 19)], {}),
    ("conv2d", [(B, 9, 11, 3), (3, 2, 3, 17)], CONV),
    ("conv2d_input_grad", [(3, 2, 3, 17), (B, 9, 11, 17), (B, 9, 11, 3)], CONV),
    ("conv2d_input_grad", [(3, 2, 3, 5), (B, 5, 6, 5), (B, 9, 11, 3)], {"strides": (2, 2), "padding": "SAME"}),
    ("conv2d_filter_grad", [(B, 9, 11, 3), (B, 9, 11, 17), (3, 2, 3, 17)], CONV),
    ("conv2d_filter_grad", [(B, 9, 11, 9), (B, 9, 11, 17), (3, 2, 9, 17)], CONV),
    ("max_pool", [(B, 9, 11, 3)], POOL),
    ("avg_pool", [(B, 9, 11, 3)], POOL),
    ("avg_pool_grad", [(B, 5, 6, 3), (B, 9, 11, 3)], POOL),
]


def arguments(shapes, dtype):
    g = np.random.default_rng(4)
    return [g.standard_normal([5 if d is B else d for d in s]).astype(dtype.numpy) for s in shapes]


WIDER = [(*CASES[i], F64) for i in (0, 4, 7, 8, 10)]
ALL = [(*case, F32) for case in CASES] + WIDER


@pytest.mark.parametrize(("name", "shapes", "attrs", "dtype"), ALL, ids=[f"{n}-{i}-{d}" for i, (n, _, _, d) in enumerate(ALL)])
def test_compiled_nests_with_a_fused_relu_mean_what_numpy_means(name, shapes, attrs, dtype):
    b = Builder("main")
    params = [b.param(f"p{i}", TensorType(dtype, s)) for i, s in enumerate(shapes)]
    f = b.finish([b.apply("relu", b.apply(name, *params, **attrs))])
    args = arguments(shapes, dtype)
    (wanted,) = interpret(f, args)
    found = []
    for threads in (1, 2):
        with config.override(backend="cpu", threads=threads):
            found += build(f).run([a.copy() for a in args])
    np.testing.assert_allclose(found[0], wanted, rtol=1e-4, atol=1e-4)
    assert found[0].tobytes() == found[1].tobytes(), "the number of threads changes no bit"


THIN = [((B, k), (k, n), {}) for k in (1, 2, 4) for n in (5, 20, 70)]
LINES = [((b, m), (b, 1), {"transpose_a": True}) for b in (B, 1, 0) for m in (4, 20, 63, 64, 65, 130, Sym.named("m"))]


@pytest.mark.parametrize(("x", "y", "attrs"), THIN + LINES, ids=str)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_products_of_a_few_lines_with_a_bias_mean_what_numpy_means(x, y, attrs, dtype):
    b = Builder("main")
    left, right = b.param("x", TensorType(dtype, x)), b.param("y", TensorType(dtype, y))
    product = b.apply("matmul", left, right, **attrs)
    bias = b.param("c", TensorType(dtype, (product.tensor.dims[1],)))
    sum = b.apply("add", product, bias)
    f = b.finish([b.apply("relu", sum), b.apply("greater", sum, b.constant(0.0, dtype))])
    args = arguments([[70 if d is not B and not isinstance(d, int) else d for d in s] for s in (x, y, bias.tensor.dims)], dtype)
    wanted = interpret(f, args)
    found = []
    for threads in (1, 2):
        with config.override(backend="cpu", threads=threads):
            found.append(build(f).run([a.copy() for a in args]))
    np.testing.assert_allclose(found[0][0], wanted[0], rtol=1e-4, atol=1e-4)
    assert (found[0][1] == wanted[1]).all()
    assert [a.tobytes() for a in found[0]] == [a.tobytes() for a in found[1]]


def test_a_bias_after_a_product_of_a_few_lines_costs_no_division():
    b = Builder("main")
    x, y, c = b.param("x", TensorType(F32, (B, 2))), b.param("y", TensorType(F32, (2, 20))), b.param("c", TensorType(F32, (20,)))
    f = b.finish([b.apply("add", b.apply("matmul", x, y), c)])
    with config.override(backend="cpu"):
        (kernel,) = build(f).kernels
    assert "//" not in print_kernel(kernel) and "%" not in print_kernel(kernel)


def updated(rows, columns):
    """A gradient that joins a mean, which moves a variable: `w - 0.1 (0.9 m + x^T ct)`, and the mean."""
    b = Builder("main")
    x, ct, m, w = (b.param(name, F32[shape]) for name, shape in zip("xcmw", ((B, rows), (B, columns), (rows, columns), (rows, columns)), strict=True))
    mean = b.apply("add", b.apply("mul", m, b.constant(np.float32(0.9))), b.apply("matmul", x, ct, transpose_a=True))
    return b.finish([mean, b.apply("sub", w, b.apply("mul", mean, b.constant(np.float32(0.1))))])


def test_what_an_update_reads_from_memory_is_fetched_while_its_gradient_is_summed():
    f = updated(1100, 1000)
    executable = build(f)
    text = print_kernel(executable.kernels[0])
    assert "ahead=[m, w], ahead_at=" in text and "ahead_row=1000" in text and "tile_ahead_f32(" in executable.source
    args = arguments([(B, 1100), (B, 1000), (1100, 1000), (1100, 1000)], F32)
    for got, want in zip(executable.run([a.copy() for a in args]), interpret(f, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(100, 100), (Sym.named("n"), 1000)])
def test_what_may_be_in_a_cache_is_not_fetched(rows, columns):
    assert "ahead" not in build(updated(rows, columns)).source


def test_compiled_max_pool_grad_gives_each_cotangent_to_the_first_maximum():
    b = Builder("main")
    x, ct = b.param("x", TensorType(F32, (B, 9, 11, 3))), b.param("ct", TensorType(F32, (B, 5, 6, 3)))
    y = b.apply("max_pool", x, **POOL)
    f = b.finish([b.apply("max_pool_grad", x, y, ct, **POOL)])
    args = [np.round(a) for a in arguments([(B, 9, 11, 3), (B, 5, 6, 3)], F32)]
    with config.override(backend="cpu"):
        (found,) = build(f).run([a.copy() for a in args])
    np.testing.assert_array_equal(found, interpret(f, args)[0])


@pytest.mark.parametrize("name", ["random_uniform", "random_normal", "truncated_normal"])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_compiled_code_draws_the_bits_that_numpy_draws(name, dtype):
    b = Builder("main")
    run = b.param("run", TensorType(U64, ()))
    f = b.finish([b.apply(name, run, shape=(7, 301), seed=2**63 + 1, dtype=dtype)])
    args = [np.asarray(2**33 + 7, np.uint64)]
    with config.override(backend="cpu"):
        (found,) = build(f).run(args)
    assert found.tobytes() == interpret(f, args)[0].tobytes()


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_random_numbers_of_any_count_are_drawn_in_groups_and_one_by_one_on_a_gpu(size, dtype):
    """A core draws the words of a group in vectors; a GPU's thread those of one place of the stream."""
    b = Builder("main")
    run, like = b.param("run", TensorType(U64, ())), b.param("like", TensorType(F32, (B,)))
    f = b.finish([b.apply("random_normal", run, like, seed=3, dtype=dtype)])
    args = [np.asarray(11, np.uint64), np.zeros(size, np.float32)]
    with config.override(backend="cpu"):
        program = build(f)
        (found,) = program.run(args)
    assert found.tobytes() == interpret(f, args)[0].tobytes()
    assert "for place in vector(16)" in print_kernel(program.kernels[0])
    (launch,) = schedule_cuda.schedule(f)
    assert "place" not in print_kernel(launch.kernel)


@pytest.mark.parametrize("shape", [(B, 8, 10, 3), (B, 8, 10, 19), (B, 9, 11, 3)])
def test_what_follows_the_gradient_of_a_pool_is_computed_where_a_window_is_written(shape):
    """All elements of a window in one loop over the channels, with what has an element for each channel, and the gradient itself where it is wanted."""
    small = (B, -(-shape[1] // 2), -(-shape[2] // 2), shape[3])
    b = Builder("main")
    place, ct, scale = (b.param(name, TensorType(*t)) for name, t in (("place", (U8, small)), ("ct", (F32, small)), ("scale", (F32, shape[3:]))))
    grad = b.apply("max_pool_spread", place, ct, height=shape[1], width=shape[2], **POOL)
    f = b.finish([b.apply("mul", b.apply("tanh", grad), scale), grad])
    args = arguments([shape, small, shape[3:]], F32)
    args[0] = interpret(placed(shape), [np.round(args[0])])[0]
    with config.override(backend="cpu"):
        program = build(f)
        found = program.run([a.copy() for a in args])
    if shape[1:3] == (8, 10):
        (loop,) = [lines for lines in print_kernel(program.kernels[0]).split("for c in vector")[1:] if "spread_out[" in lines]
        assert loop.count("spread_out[") == 4 and "//" not in loop, "places are worked out before the loop"
    for mine, wanted in zip(found, interpret(f, args), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)


def placed(shape):
    b = Builder("placed")
    return b.finish([b.apply("max_pool_place", b.param("x", TensorType(F32, shape)), **POOL)])


@pytest.mark.parametrize(("cpu", "features"), [("haswell", "+avx,+avx2,+fma"), ("x86-64", "")])
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")
def test_tiles_and_transforms_are_whole_on_processors_with_narrower_vectors(cpu, features):
    script = (
        "import numpy as np, flowc.ops\n"
        "from flowc.ir.function import Builder\n"
        "from flowc.ir.types import F32, TensorType\n"
        "from flowc.runtime.executable import build\n"
        "b = Builder('main')\n"
        "x, w = b.param('x', TensorType(F32, (13, 7))), b.param('w', TensorType(F32, (7, 61)))\n"
        "args = [np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((13, 7), (7, 61))]\n"
        "(found,) = build(b.finish([b.apply('matmul', x, w)])).run(args)\n"
        "np.testing.assert_allclose(found, args[0] @ args[1], rtol=1e-5, atol=1e-5)\n"
        "from flowc.ir.op import OPS\n"
        "from flowc import config\n"
        "for convolution, images in (('fourier', 9), ('winograd', 9), ('winograd', 1)):\n"
        "    b = Builder('conv')\n"
        "    x, w = b.param('x', TensorType(F32, (images, 14, 14, 9))), b.param('w', TensorType(F32, (5, 5, 9, 17)))\n"
        "    args = [np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((images, 14, 14, 9), (5, 5, 9, 17))]\n"
        "    with config.override(convolution=convolution):\n"
        "        executable = build(b.finish([b.apply('conv2d', x, w, padding='SAME')]))\n"
        "    assert convolution.title() in executable.kernels[0].how\n"
        "    wanted = OPS['conv2d'].eval(*args, **OPS['conv2d'].complete({'padding': 'SAME'}))\n"
        "    np.testing.assert_allclose(executable.run(args)[0], wanted, rtol=1e-4, atol=1e-4 if convolution == 'fourier' else 1e-5 * np.abs(wanted).max())\n"
    )
    environment = {**os.environ, "FLOWC_CPU": cpu, "FLOWC_CPU_FEATURES": features}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
