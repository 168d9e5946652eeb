"""Reductions on the CPU: which loops they become, and their values at sizes around chunks, blocks and tiles, for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import flowc.ops  # noqa: F401
from flowc.config import override
from flowc.ir.interpret import interpret
from flowc.ir.loop_walks import children
from flowc.ir.loops import For, Statement
from flowc.ir.text import parse_function
from flowc.lower.program import plan
from flowc.lower.reduce_cpu import BLOCK, LEAST_ROWS
from flowc.lower.row_groups_cpu import GROUP, GROUPED
from flowc.lower.sweep_cpu import TILE
from flowc.runtime import executable as executable_module
from flowc.runtime.executable import build
from flowc.transforms.pipeline import optimize

RNG = np.random.default_rng(5)


def text(body: str, params: str, result: str) -> str:
    return f"def f({params}):\n    " + body.replace("; ", "\n    ") + f"\n    return {result}\n"


def kernel_text(program: str) -> str:
    (kernel,) = plan(optimize(parse_function(program))).kernels
    return str(kernel)


def depth(statements: tuple[Statement, ...]) -> int:
    return max((isinstance(s, For) + max((depth(c) for c in children(s)), default=0) for s in statements), default=0)


def agree(program: str, *args: np.ndarray, rtol: float = 2e-5, atol: float = 1e-4) -> None:
    """Compiled on one thread and on three, to the last bit, and the interpreter, within rounding."""
    f = parse_function(program)
    runs = []
    for threads in (1, 3):
        with override(threads=threads), pytest.MonkeyPatch.context() as patch:
            patch.setattr(executable_module, "PARALLEL_WORK", -1.0)
            runs.append(build(f).run([a.copy() for a in args]))
    with np.errstate(all="ignore"):
        want = interpret(f, args)
    for one, many, exact in zip(*runs, want, strict=True):
        assert one.tobytes() == many.tobytes()
        np.testing.assert_allclose(one, exact, rtol=rtol, atol=atol)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


# sums over everything and over columns

ALL = text("y: f32 = reduce_sum(x); m: f32 = reduce_max(x)", "x: f32[r, 10]", "y, m")


def test_a_reduction_of_everything_sweeps_memory_in_one_loop() -> None:
    for kernel in plan(optimize(parse_function(ALL))).kernels:
        assert depth(kernel.body) == 2  # chunks, elements


def test_a_broadcast_operand_keeps_the_loops_of_its_shape() -> None:
    (kernel,) = plan(optimize(parse_function(text("p: f32[r, 10] = mul(x, w); y: f32 = reduce_sum(p)", "x: f32[r, 10], w: f32[10]", "y")))).kernels
    assert depth(kernel.body) == 3


@pytest.mark.parametrize("rows", [0, 1, 7, 820, 5003])
def test_everything_is_reduced_at_sizes_around_the_chunks(rows: int) -> None:
    agree(ALL, normal(rows, 10))


@pytest.mark.parametrize("columns", [1, 3, 1000, BLOCK, BLOCK + 1, 2 * BLOCK + 77])
def test_columns_are_reduced_at_sizes_around_blocks_and_chunks(columns: int) -> None:
    program = text("y: f32[c] = reduce_sum(x, axis=(0,)); m: f32[c] = reduce_max(x, axis=(0,))", "x: f32[r, c]", "y, m")
    static = program.replace("[r, c]", f"[r, {columns}]").replace("[c]", f"[{columns}]")
    for rows in (0, 1, LEAST_ROWS, 2 * LEAST_ROWS + 1):
        agree(program, normal(rows, columns))
        agree(static, normal(rows, columns))


def test_columns_of_two_axes_and_what_follows_them() -> None:
    agree(text("y: f32[c, 7] = reduce_sum(x, axis=(0,)); z: f32[c, 7] = tanh(y)", "x: f32[r, c, 7]", "z"), normal(301, 37, 7))
    agree(text("y: f32[5] = reduce_sum(x, axis=(0, 1)); z: f32[5] = mul(y, 2.0)", "x: f32[r, c, 5]", "z"), normal(211, 33, 5), atol=1e-3)


def test_an_extreme_in_memory_stands_second_so_that_it_is_stored_plainly() -> None:
    source = build(parse_function(text("y: f32[300] = reduce_max(x, axis=(0,))", "x: f32[r, 300]", "y"))).source
    assert "y_part[base + j_1] = maximum(x_, y_part[base + j_1])" in source


def test_columns_with_nan_have_nan_extremes() -> None:
    x = normal(500, 40)
    x[3, 5] = x[499, 6] = np.nan
    agree(text("y: f32[40] = reduce_max(x, axis=(0,)); z: f32[40] = reduce_min(x, axis=(0,))", "x: f32[r, 40]", "y, z"), x)


# rows

SOFTMAX = text("y: f32[r, C] = softmax(x, axis=-1)", "x: f32[r, C]", "y")


def test_a_softmax_takes_each_exponential_once() -> None:
    kernel = kernel_text(SOFTMAX.replace("C", "100"))
    assert kernel.count("exp(") == 1
    assert kernel.count("y_out[") == 3  # the exponential is written there, read again, and overwritten


def test_a_value_waits_in_no_buffer_that_is_read() -> None:
    """The updated variable's buffer holds the old value until the last sweep."""
    program = text("p: f32[r, 9] = softmax(w, axis=-1); q: f32[r, 9] = mul(p, w); w[...] = q", "w: f32[r, 9]", "").replace("return \n", "return\n")
    f = parse_function(program.replace("    return\n", "    return w\n"))
    w = normal(50, 9)
    want = interpret(f, [w.copy()])[1]
    got = w.copy()
    build(f).run([got])
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 10, 16, 31, 100, 1031])
def test_rows_of_every_length(columns: int) -> None:
    x = normal(37, columns)
    x[1] = 1000 * x[1]
    for op in ("softmax(x, axis=-1)", "log_softmax(x, axis=-1)"):
        agree(text(f"y: f32[r, C] = {op}", "x: f32[r, C]", "y").replace("C", str(columns)), x)
    agree(text("y: f32[r] = logsumexp(x, axis=(1,))", f"x: f32[r, {columns}]", "y"), x)
    agree(text("y: f32[r] = logsumexp(x, axis=(1,))", "x: f32[r, c]", "y"), x)


NORM = text(
    "m: f32[r, 1] = reduce_mean(x, axis=(1,), keepdims=True); d: f32[r, C] = sub(x, m); q: f32[r, C] = mul(d, d); "
    "v: f32[r, 1] = reduce_mean(q, axis=(1,), keepdims=True); e: f32[r, 1] = add(v, 1e-05); s: f32[r, 1] = sqrt(e); y: f32[r, C] = div(d, s)",
    "x: f32[r, C]", "y",
)  # fmt: skip


def test_each_sweep_over_short_rows_is_one_row_behind_the_sweep_before_it() -> None:
    """So that no row waits for another's last additions."""
    kernel = kernel_text(SOFTMAX.replace("C", "200"))
    assert kernel.count("for group in parallel(") == 1 and kernel.count("for step in serial(first, last + 2)") == 1
    (planned,) = plan(optimize(parse_function(SOFTMAX.replace("C", "100")))).kernels
    assert planned.how == f"rows in groups of {GROUP}, each sweep one row behind the one before it"  # as `flowc explain` says
    the_largest, the_sum, the_quotients = (kernel.index(line) for line in ("if step < last:", "row = step - 1\n", "row_1 = step - 2\n"))
    assert the_largest < kernel.index("larger(") < the_sum < kernel.index("exp(") < the_quotients < kernel.index(" / ")


def test_what_only_numbers_of_the_row_are_computed_from_waits_nowhere() -> None:
    kernel = kernel_text(NORM.replace("C", "100"))
    assert "reduce_sum_of" not in kernel
    both = text("s: f32[r, 1] = reduce_sum(x, axis=(1,), keepdims=True); m: f32[r, 1] = mul(s, 0.1); d: f32[r, 100] = sub(x, m); "
                "q: f32[r, 1] = reduce_sum(d, axis=(1,), keepdims=True); e: f32[r, 100] = add(d, s); y: f32[r, 100] = div(e, q)",
                "x: f32[r, 100]", "y, s")  # fmt: skip
    assert " s_of[" in kernel_text(both) and " m_of[" in kernel_text(both)
    agree(both, 1.0 + 0.1 * normal(2 * GROUP + 3, 100))


@pytest.mark.parametrize("columns", [10, GROUPED[-1] + 1, "c"])
def test_other_rows_and_rows_with_one_sweep_go_alone(columns: int | str) -> None:
    for program in (SOFTMAX.replace("C", str(columns)), text("y: f32[r] = reduce_sum(x, axis=(1,))", "x: f32[r, 100]", "y")):
        assert "group" not in kernel_text(program) and "for row in parallel(" in kernel_text(program)


def test_what_is_one_number_for_each_row_is_computed_once_for_it() -> None:
    kernel = kernel_text(NORM.replace("C", "100"))
    assert kernel.count("sqrt(") == 1 and kernel.count(", 100.0)") == 2 and kernel.count(" m_of[") == 3  # written, read by the squares and by the quotients


def test_a_row_of_numbers_that_every_row_takes_is_no_number_of_the_row() -> None:
    """In a square domain they have as many elements."""
    program = text(
        "t: f32[40] = tanh(w); p: f32[40, 40] = mul(x, t); s: f32[40, 1] = reduce_sum(p, axis=(1,), keepdims=True); y: f32[40, 40] = sub(p, s)",
        "x: f32[40, 40], w: f32[40]", "y",
    )  # fmt: skip
    agree(program, normal(40, 40), normal(40))


@pytest.mark.parametrize("rows", [0, 1, 2, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 5])
@pytest.mark.parametrize("columns", [1, 7, 16, GROUPED[0], 32, 45, 48, 100, 300, 1000, GROUPED[-1], GROUPED[-1] + 1])
def test_rows_in_groups_of_every_size(rows: int, columns: int) -> None:
    x = normal(rows, columns)
    x[1:2], x[2:3, :1], x[3:4, -1:] = -np.inf, np.nan, np.inf
    with np.errstate(all="ignore"):
        agree(SOFTMAX.replace("C", "c"), x)
        agree(SOFTMAX.replace("C", str(columns)), x)
        if columns > 1:
            agree(NORM.replace("C", str(columns)), x)


@pytest.mark.parametrize("columns", [5, 24, 100, 300])
def test_a_row_with_nan_becomes_nan_though_its_largest_number_is_taken_out(columns: int) -> None:
    """Wherever NaN stands, and whatever else: alone, beside infinities, in every place."""
    x = normal(columns + 6, columns)
    np.fill_diagonal(x, np.nan)
    x[columns], x[columns + 1], x[columns + 2, 1:], x[columns + 2, 0] = np.nan, -np.inf, -np.inf, np.nan
    x[columns + 3], x[columns + 4, 3], x[columns + 5, 1:4] = np.inf, np.inf, (np.nan, np.inf, -np.inf)
    cross = "l: f32[r] = softmax_cross_entropy(x, y)"
    with np.errstate(all="ignore"):
        for program in (SOFTMAX, LOG_SOFTMAX := SOFTMAX.replace("softmax(", "log_softmax(")):
            agree(program.replace("C", str(columns)), x)
        assert np.isnan(interpret(parse_function(LOG_SOFTMAX.replace("C", str(columns))), [x])[0][: columns + 1]).all()
        agree(text("y: f32[r] = logsumexp(x, axis=(1,))", f"x: f32[r, {columns}]", "y"), x)
        agree(text(cross, f"x: f32[r, {columns}], y: f32[r, {columns}]", "l"), x, np.ones_like(x))


def test_the_gradient_of_a_row_with_nan_is_nan() -> None:
    gradient = text("s: f32[r, 40] = softmax(x, axis=-1); p: f32[r, 40] = mul(s, t); q: f32[r, 1] = reduce_sum(p, axis=(1,), keepdims=True); "
                    "d: f32[r, 40] = sub(t, q); y: f32[r, 40] = mul(s, d)", "x: f32[r, 40], t: f32[r, 40]", "y")  # fmt: skip
    x = normal(3, 40)
    x[1, 7] = np.nan
    agree(gradient, x, normal(3, 40))


def test_numbers_of_a_row_and_elements_that_many_paths_lead_to() -> None:
    """Two to the power of the diamonds, each looked at once."""
    number = "".join(f"a{i}: f32[r, 1] = mul(t{i}, 0.5); b{i}: f32[r, 1] = mul(t{i}, 0.25); t{i + 1}: f32[r, 1] = add(a{i}, b{i}); " for i in range(19))
    row = text(f"t0: f32[r, 1] = reduce_sum(x, axis=(1,), keepdims=True); {number}y: f32[r, 40] = sub(x, t19)", "x: f32[r, 40]", "y")
    agree(row, normal(GROUP + 1, 40))
    elements = number.replace("[r, 1]", "[r, 40]")
    agree(text(f"t0: f32[r, 40] = exp(x); {elements}s: f32[r, 1] = reduce_sum(t19, axis=(1,), keepdims=True); y: f32[r, 40] = div(t19, s)",
               "x: f32[r, 40]", "y"), normal(3, 40))  # fmt: skip


def test_rows_of_two_axes_in_groups() -> None:
    agree(text("y: f32[r, 5, 40] = softmax(x, axis=-1)", "x: f32[r, 5, 40]", "y"), normal(11, 5, 40))
    agree(text("y: f32[r, 40, 5] = softmax(x, axis=1)", "x: f32[r, 40, 5]", "y"), normal(11, 40, 5))


@pytest.mark.parametrize("dtype", ["f16", "f64", "i32"])
def test_rows_of_other_dtypes_with_several_sweeps(dtype: str) -> None:
    program = text(
        f"s: {dtype}[r, 1] = reduce_sum(x, axis=(1,), keepdims=True); d: {dtype}[r, 40] = sub(x, s); m: {dtype}[r] = reduce_max(d, axis=(1,))",
        f"x: {dtype}[r, 40]", "d, m",
    )  # fmt: skip
    numpy = {"f16": np.float16, "f64": np.float64, "i32": np.int32}[dtype]
    agree(program, RNG.integers(-8, 8, (GROUP + 3, 40)).astype(numpy))


def test_the_place_of_an_extreme_of_what_a_row_gives() -> None:
    program = text(
        "s: f32[r, 1] = reduce_mean(x, axis=(1,), keepdims=True); d: f32[r, 40] = sub(x, s); q: f32[r, 40] = mul(d, d); "
        "p: i64[r] = argmax(q, axis=1)", "x: f32[r, 40]", "p, q",
    )  # fmt: skip
    agree(program, normal(GROUP + 3, 40))


@pytest.mark.parametrize("dtype", ["f32", "f64", "i32", "u8"])
def test_the_place_of_an_extreme_is_the_first(dtype: str) -> None:
    numpy = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "u8": np.uint8}[dtype]
    x = RNG.integers(0, 5, (60, 41)).astype(numpy)  # many ties
    if dtype[0] == "f":
        x[3, 7] = x[3, 9] = x[5, 40] = np.nan
        x[6], x[7] = -np.inf, np.inf
        x[8], x[8, ::2] = 0.0, -0.0
    for op in ("argmax", "argmin"):
        for extents in (f"{dtype}[r, 41]", f"{dtype}[r, c]"):
            agree(text(f"y: i64[r] = {op}(x, axis=1)", f"x: {extents}", "y"), x)
        agree(text(f"y: i64[c] = {op}(x, axis=0)", f"x: {dtype}[r, c]", "y"), x)


def test_the_place_of_an_extreme_in_memory_is_two_sweeps_and_of_a_computed_value_one() -> None:
    loops = [kernel_text(text(body, "x: f32[r, 50]", "y")).count("for ") for body in (
        "y: i64[r] = argmax(x, axis=1)", "t: f32[r, 50] = tanh(x); y: i64[r] = argmax(t, axis=1)")]  # fmt: skip
    assert loops == [3, 2]


# transposes


@pytest.mark.parametrize("rows", [0, 1, 3, TILE - 1, TILE, TILE + 1, 101])
def test_transposes_at_sizes_around_the_tiles(rows: int) -> None:
    x = normal(rows, 67)
    agree(text("y: f32[67, r] = transpose(x, perm=(1, 0))", "x: f32[r, 67]", "y"), x)
    agree(text("y: f32[67, r] = transpose(x, perm=None); z: f32[67, r] = exp(y)", "x: f32[r, 67]", "z"), x)


@pytest.mark.parametrize("perm", [(0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0), (1, 0, 2)])
def test_transposes_of_three_axes(perm: tuple[int, ...]) -> None:
    names = ("a", "b", "c")
    shape = ", ".join(names[p] for p in perm)
    agree(text(f"y: f32[{shape}] = transpose(x, perm={perm})", "x: f32[a, b, c]", "y"), normal(5, 43, 39))


def test_a_transposed_operand_is_read_in_tiles() -> None:
    kernel = kernel_text(text("t: f32[90, r] = transpose(x, perm=(1, 0)); y: f32[90, r] = add(t, z)", "x: f32[r, 90], z: f32[90, r]", "y"))
    assert "for tile in parallel" in kernel
