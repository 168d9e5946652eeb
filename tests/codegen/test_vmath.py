"""Transcendental functions: documented accuracy, special values, vector code, and equal bits in NumPy and compiled code."""

from __future__ import annotations

import math
import os
import re
from contextlib import nullcontext
from decimal import Decimal, getcontext

import numpy as np
import pytest

from flowc.codegen import build, intrinsics, vmath, vmath_f64
from flowc.codegen.wishes import with_wishes
from flowc.ir.op import OPS
from tests.codegen.accuracy import EXACT, Map, documented, error, error_over, map_text, processor
from tests.codegen.programs import same_bits

RNG = np.random.default_rng(0)
TABLE = documented()
F64 = [name for name, row in TABLE.items() if row.f64 is not None and name in EXACT]
LIBRARY = [name for name, row in TABLE.items() if row.f64 is None]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 88.72, 88.73, -87.4, -103, -104, 89, 89.41, 89.42, 1e6, -1e30]
PROCESSORS = {  # name, features, bytes of a vector; the first two without a fused multiply-add
    "generic": ("x86-64", "", 16),
    "avx": ("x86-64", "+avx", 32),
    "avx2": ("haswell", "+avx2,+fma,+avx", 32),
    "avx512": ("skylake-avx512", "+avx512f,+avx512dq,+avx512vl,+avx512bw,+avx2,+fma,+avx", 64),
}


def every_exponent(dtype: type, each: int) -> np.ndarray:
    """`each` arguments of every exponent and sign: subnormal numbers, infinities and NaN are among them."""
    bits, kind = (23, np.uint32) if dtype is np.float32 else (52, np.uint64)
    exponents = np.arange(1 << (9 if bits == 23 else 12), dtype=kind).repeat(each) << kind(bits)
    fractions = RNG.integers(0, 1 << bits, exponents.size, dtype=np.uint64).astype(kind)
    fractions[::each] = 0
    return (exponents | fractions).view(dtype)


def points(dtype: type) -> np.ndarray:
    wide = 110 if dtype is np.float32 else 760
    return np.concatenate([
        every_exponent(dtype, 50 if dtype is np.float32 else 10), RNG.uniform(-wide, wide, 30000), RNG.normal(size=30000), RNG.uniform(-1e-3, 1e-3, 9000),
        np.linspace(-10, 10, 20001), np.arange(-300, 300) * (math.pi / 4), SPECIAL,
    ]).astype(dtype)  # fmt: skip


with np.errstate(all="ignore"):
    POINTS, POINTS_F64 = points(np.float32), points(np.float64)


def test_the_page_lists_every_function_that_kernels_may_call() -> None:
    assert set(TABLE) == {*intrinsics.MATH, "pow"} - {"floordiv"}
    for name in LIBRARY:
        assert not hasattr(vmath_f64, f"{name}_f64") or name == "mod", name


def test_documented_errors_keep_the_bounds() -> None:
    for name, row in TABLE.items():
        assert row.f32 <= (2 if name in ("exp", "log") else 4), name


@pytest.mark.parametrize("name", EXACT)
@np.errstate(all="ignore")
def test_values_are_as_accurate_as_documented(name: str) -> None:
    assert error(Map(f"{name}(x[i])", "f32")(POINTS), EXACT[name](POINTS.astype(np.float64))) <= TABLE[name].f32


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_the_documented_error_is_the_largest_of_all_arguments(name: str) -> None:
    """Over all 2**32 of them, some minutes for each function, where FLOWC_EVERY_ARGUMENT is set; else over one in 61."""
    assert error_over(name, 1 if os.environ.get("FLOWC_EVERY_ARGUMENT") else 61) <= TABLE[name].f32
    with processor("x86-64", ""):
        assert error_over(name, 61) <= TABLE[name].f32


@pytest.mark.parametrize("name", F64)
@np.errstate(all="ignore")
def test_values_of_f64_are_as_accurate_as_documented(name: str) -> None:
    wide = np.longdouble
    exact = EXACT[name](POINTS_F64.astype(wide)) if name != "erf" else np.vectorize(math.erf)(POINTS_F64)
    slack = 1.0 if name == "erf" else 0.0  # the C library's own
    assert error(Map(f"{name}(x[i])", "f64")(POINTS_F64), exact) <= TABLE[name].f64 + slack  # type: ignore[operator]


def test_erf_of_f64_against_its_series() -> None:
    getcontext().prec = 60
    x = np.concatenate([RNG.uniform(0, 0.9, 150), RNG.uniform(0.9, 3, 60)])
    exact = []
    for value in x.tolist():
        square, term, total = Decimal(value) ** 2, Decimal(value), Decimal(value)
        for n in range(1, 120):
            term *= -square / n
            total += term / (2 * n + 1)
        exact.append(np.longdouble(str(total * 2 / Decimal("3.14159265358979323846264338327950288419716939937510582097494").sqrt())))
    assert error(Map("erf(x[i])", "f64")(x), np.array(exact)) <= TABLE["erf"].f64  # type: ignore[operator]


@pytest.mark.parametrize("features", ["generic", "avx2", "host"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@np.errstate(all="ignore")
def test_compiled_code_gives_the_bits_of_the_python_text(dtype: str, features: str) -> None:
    """On the host whichever it is: one with vectors of 512 bits has another instruction for y * 2**n."""
    x = POINTS if dtype == "f32" else POINTS_F64[(np.abs(POINTS_F64) > 1e-250) | (POINTS_F64 == 0)]  # `muladd` of tiny f64: see there
    module = vmath if dtype == "f32" else vmath_f64
    with nullcontext() if features == "host" else processor(*PROCESSORS[features][:2]):
        for name in EXACT if dtype == "f32" else F64:
            assert same_bits(Map(f"{name}(x[i])", dtype)(x), getattr(module, f"{name}_{dtype}")(x)), name


@np.errstate(all="ignore")
def test_one_scalar_gives_the_bits_of_the_array() -> None:
    for name in EXACT:
        function = getattr(vmath, name + "_f32")
        one = np.array([function(x) for x in POINTS[-40:]])
        assert same_bits(one, function(POINTS[-40:])), name


# two operands


def meshed(dtype: type) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(over="ignore"):
        special = np.array([*SPECIAL, 2, -2, 3, -3, 0.5, -0.5, 16777216, 16777217, 2.5, 1e38, 5e-39, 1.7014118e38], dtype)
    x, y = (a.ravel() for a in np.meshgrid(special, special))
    return x, y


@np.errstate(all="ignore")
def test_powers_are_rounded_once_and_special_values_as_in_numpy() -> None:
    x, y = meshed(np.float32)
    x = np.concatenate([x, RNG.uniform(0, 50, 20000), np.exp(RNG.uniform(-80, 80, 20000)), RNG.uniform(-9, 0, 500)]).astype(np.float32)
    y = np.concatenate([y, RNG.uniform(-20, 20, 20000), RNG.uniform(-3, 3, 20000), RNG.integers(-9, 9, 500)]).astype(np.float32)
    got = Map("power(x[i], y[i])", "f32", ("x", "y"))(x, y)
    assert error(got, np.power(x.astype(np.float64), y.astype(np.float64))) <= TABLE["pow"].f32
    assert same_bits(got, vmath.power_f32(x, y))


def in_c(x: float, y: float) -> float:
    """C's pow, which Python's own follows but for errors."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf
    except ValueError:
        if x == 0:
            return -math.inf if math.copysign(1, x) < 0 and y % 2 == 1 else math.inf
        return math.nan


@np.errstate(all="ignore")
def test_powers_of_special_values_are_those_of_c() -> None:
    """The whole table of annex F of the C standard."""
    special = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 7.5, -7.5, math.inf, -math.inf, math.nan, 1e-40, -1e-40]
    x, y = (a.ravel() for a in np.meshgrid(np.array(special, np.float32), np.array(special, np.float32)))
    exact = np.array([in_c(float(a), float(b)) for a, b in zip(x, y, strict=True)])
    assert error(Map("power(x[i], y[i])", "f32", ("x", "y"))(x, y), exact) <= TABLE["pow"].f32


@np.errstate(all="ignore")
def test_angles_and_remainders_of_two_operands() -> None:
    a, b = meshed(np.float32)
    dense = every_exponent(np.float32, 50)
    x, y = np.concatenate([a, dense, RNG.normal(size=20000)]).astype(np.float32), np.concatenate([b, RNG.permutation(dense), RNG.normal(size=20000)])
    y = y.astype(np.float32)
    angle = Map("atan2(x[i], y[i])", "f32", ("x", "y"))(x, y)
    assert error(angle, np.arctan2(x.astype(np.float64), y.astype(np.float64))) <= TABLE["atan2"].f32
    np.testing.assert_array_equal(Map("mod(x[i], y[i])", "f32", ("x", "y"))(x, y), np.mod(x, y))
    np.testing.assert_array_equal(vmath.fmod_f32(x, y), np.fmod(x, y))
    assert (np.signbit(vmath.fmod_f32(x, y)) == np.signbit(np.fmod(x, y)))[np.isfinite(np.fmod(x, y))].all()


@pytest.mark.parametrize("features", ["generic", "avx2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@np.errstate(all="ignore")
def test_quotients_by_a_common_divisor(dtype: type, features: str) -> None:
    """Special values as NumPy's; where no part of the reciprocal times x is below the normal numbers, correct but for one quotient in a million."""
    a, b = meshed(dtype)
    dense = every_exponent(dtype, 50 if dtype is np.float32 else 10)
    x, y = np.concatenate([a, dense, RNG.normal(size=90000)]).astype(dtype), np.concatenate([b, RNG.permutation(dense), RNG.normal(size=90000)]).astype(dtype)
    name, exact = ("f32", x.astype(np.float64) / y) if dtype is np.float32 else ("f64", x.astype(np.longdouble) / y)
    with processor(*PROCESSORS[features][:2]):
        got = Map("divided(x[i], y[i])", name, ("x", "y"))(x, y)
        if dtype is np.float32:
            assert same_bits(got, vmath.divided_f32(x, y))
    documented_error = getattr(TABLE["divided"], name)
    assert error(got, exact) <= documented_error
    if features == "avx2":
        usual = np.abs(exact) > (1e-30 if dtype is np.float32 else 1e-290)
        assert error(got[usual], exact[usual]) <= 0.5001
        assert np.count_nonzero((got != x / y)[usual & np.isfinite(exact)]) <= 2


# vector code


def calls(name: str) -> str:
    return {"pow": "power(x[i], y[i])", **{n: f"{n}(x[i], y[i])" for n in ("atan2", "mod", "divided")}}.get(name, f"{name}(x[i])")


@pytest.mark.parametrize("features", ["generic", "avx2", "avx512"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_loops_are_vectorised_at_the_width_of_the_processor(features: str, dtype: str) -> None:
    processor_name, switches, bytes_ = PROCESSORS[features]
    widest = bytes_ // (4 if dtype == "f32" else 8)
    kind = "float" if dtype == "f32" else "double"
    with processor(processor_name, switches):
        for name in TABLE if dtype == "f32" else F64:
            text = map_text(calls(name), dtype, ("x", "y") if "y" in calls(name) else ("x",))
            kernel = text[text.index("@k0(") : text.index("\n}", text.index("@k0("))]
            lanes = max(int(n) for n in re.findall(rf"store <(\d+) x {kind}>", kernel) or [0])
            assert lanes == widest or name == "mod" and 2 * lanes == widest, name  # which computes in f64
            called = re.findall(r"call [^\n]*@([\w.]+)\(", kernel)
            assert all(c.startswith("llvm.") for c in called), (name, called)
            assert any(c.endswith(f"v{lanes}{dtype}") for c in called), (name, called)
    # and what LLVM leaves to the C library is known by name
    if features == "avx2" and dtype == "f64":
        for name in LIBRARY:
            assert re.search(rf"@{name if name != 'mod' else 'k0'}\b", map_text(calls(name), dtype, ("x", "y") if "y" in calls(name) else ("x",)))


LONG = "x[i] / f32(3.0)" + " * x[i] / f32(3.0)" * 12


@pytest.mark.parametrize(("call", "vectors"), [("exp(x[i])", 2), ("x[i] / f32(3.0)", 4), (LONG, 1)])
def test_loops_over_functions_take_two_vectors_at_a_time_and_brief_ones_four(call: str, vectors: int) -> None:
    with processor(*PROCESSORS["avx2"][:2]):
        text = map_text(call, "f32")
    body = text[text.index("vector.body:") : text.index("middle.block:")]
    assert body.count("store <8 x float>") == vectors


def test_a_brief_loop_that_stores_no_element_of_an_array_is_left_to_llvm() -> None:
    loop = """define void @"k"(float* %"x", i64 %"n") {{
entry:
  br label %"again"
again:
  store float 0x0, float* {place}
  br label %"again"
}}"""
    assert with_wishes(loop.format(place='%"sum"')) == loop.format(place='%"sum"')
    assert "interleave.count" in with_wishes(loop.format(place='%".7"'))


ROWS = """from math import inf

from flowc.codegen.intrinsics import add_any_order, f32, larger, maximum, pointer_f32


def k(tid, nthreads, x, out):
    for i in range(tid, nthreads):
        total = f32({start})
        for j in range({n}):
            total = {join}(total, x[i * {n} + j])
        out[i] = total


def program(tid, nthreads, args):
    k(tid, nthreads, pointer_f32(args, 1), pointer_f32(args, 2))
"""
ROWS_SIGNATURES = {"k": ("i64", "i64", "f32*", "f32*!"), "program": ("i64", "i64", "i64*")}


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_power_of_two_is_one_instruction_where_vectors_have_one(dtype: str) -> None:
    with processor(*PROCESSORS["avx512"][:2]):
        wide = map_text("exp(x[i])", dtype)
    with processor(*PROCESSORS["avx2"][:2]):
        narrow = map_text("exp(x[i])", dtype)
    assert f"llvm.ldexp.v{16 if dtype == 'f32' else 8}{dtype}" in wide and "ldexp" not in narrow


def test_nothing_that_a_loop_over_numbers_leaves_undefined_is_read() -> None:
    """The loop takes NaN for any number; LLVM knows nothing of what is read after it, and elsewhere the larger of two promises nothing."""
    with processor(*PROCESSORS["avx2"][:2]):
        running = build.llvm_text(ROWS.format(start="-inf", join="larger", n=1000), ROWS_SIGNATURES)
        elements = map_text("larger(x[i], x[i] * f32(2.0))", "f32")
    assert "load <8 x float>" in running and "fcmp uno" not in running
    stored = re.search(r"store float (%\S+), ptr", running)
    assert stored is not None and re.search(rf'{re.escape(stored[1])} = (tail )?call float asm "", "=\w,0"\(float', running)
    assert "nnan" not in elements and "llvm.maximum" not in elements


@pytest.mark.parametrize(("start", "join"), [("0.0", "add_any_order"), ("-inf", "maximum"), ("-inf", "larger")])
@pytest.mark.parametrize(("n", "cut"), [(100, True), (250, True), (20, True), (45, True), (112, False), (1000, False)])
def test_a_brief_reduction_of_some_vectors_has_no_rest_that_is_joined_a_second_time(start: str, join: str, n: int, cut: bool) -> None:
    with processor(*PROCESSORS["avx2"][:2]):
        text = build.llvm_text(ROWS.format(start=start, join=join, n=n), ROWS_SIGNATURES)
    assert ("masked.load" in text) == cut
    if cut:  # no loop is left: whole vectors, and one that is cut off, for a row or for some at a time
        rows = text.count("call <8 x float> @llvm.masked.load")
        assert rows == 1 if n > 64 else rows
        assert text.count("<8 x float>, ptr") == rows * (n // 8)


@pytest.mark.parametrize("cpu", sorted(PROCESSORS))
@pytest.mark.parametrize("n", [16, 32, 48, 64])
def test_a_sum_of_few_vectors_is_not_taken_apart_into_single_elements(cpu: str, n: int) -> None:
    with processor(*PROCESSORS[cpu][:2]):
        text = build.llvm_text(ROWS.format(start="0.0", join="add_any_order", n=n), ROWS_SIGNATURES)
    assert "load <" in text and "load float" not in text
    assert "masked.load" not in text or n == 48  # which is three vectors


def test_a_few_applications_of_a_function_are_one_cut_off_vector() -> None:
    rows = ROWS.replace("x[i * {n} + j]", "exp(x[i * {n} + j])").replace("f32, larger", "exp, f32, larger").format(start="0.0", join="add_any_order", n=12)
    with processor(*PROCESSORS["avx512"][:2]):
        text = build.llvm_text(rows, ROWS_SIGNATURES)
    assert "llvm.masked.load" in text and "load float" not in text


def test_a_long_sum_and_the_loop_around_it_stay_loops() -> None:
    """A load that goes through a row step by step is one that a processor fetches ahead for; a load of its own for each vector is not."""
    with processor(*PROCESSORS["avx2"][:2]):
        text = build.llvm_text(ROWS.format(start="0.0", join="add_any_order", n=960), ROWS_SIGNATURES)
    assert text.count("load <8 x float>") == 4 and "load float" not in text


SCALED = """from flowc.codegen.intrinsics import f32, pointer_f32


def k(tid, nthreads, x, out):
    for i in range(tid, nthreads):
        for j in range({n}):
            {place}[i * {n} + j] = x[i * {n} + j] * f32(0.3)


def program(tid, nthreads, args):
    k(tid, nthreads, pointer_f32(args, 1), pointer_f32(args, 2))
"""


@pytest.mark.parametrize(("features", "n", "place", "cut"), [
    ("avx512", 100, "out", True), ("avx512", 250, "out", True), ("avx512", 96, "out", False), ("avx512", 300, "out", False),
    ("avx512", 100, "x", False), ("avx2", 100, "out", False),
])  # fmt: skip
def test_a_brief_loop_that_stores_cuts_its_last_vector_off_where_that_costs_nothing(features: str, n: int, place: str, cut: bool) -> None:
    """Not where vectors are stored in part slowly, nor where the loop reads what it has just stored."""
    with processor(*PROCESSORS[features][:2]):
        text = build.llvm_text(SCALED.format(n=n, place=place), {**ROWS_SIGNATURES, "k": ("i64", "i64", "f32*!", "f32*!")})
    assert ("masked.store" in text) == cut
    if cut:
        assert text.count("store <16 x float>") == n // 16 and "store float" not in text


JOINED = """from flowc.codegen.intrinsics import f32, local_f32, pointer_f32


def k(tid, nthreads, x, out):
    sums = local_f32({n})
    for j in range({n}):
        sums[j] = f32(0.0)
    for i in range(tid, nthreads):
        for j in range({n}):
            sums[j] = sums[j] + x[i * {n} + j]
    for j in range({n}):
        out[j] = sums[j]


def program(tid, nthreads, args):
    k(tid, nthreads, pointer_f32(args, 1), pointer_f32(args, 2))
"""


@pytest.mark.parametrize("n", [8, 16, 32])
def test_a_few_elements_that_are_stored_become_vectors_before_the_loop_is_taken_apart(n: int) -> None:
    """LLVM would keep one element in each register, over all iterations of the loop around."""
    with processor(*PROCESSORS["avx2"][:2]):
        text = build.llvm_text(JOINED.format(n=n), ROWS_SIGNATURES)
    assert "fadd <8 x float>" in text and "fadd float" not in text


def test_a_sum_of_products_multiplies_and_adds_in_one_instruction() -> None:
    text = ROWS.replace("x[i * {n} + j])", "x[i * {n} + j] * x[i * {n} + j])").format(start="0.0", join="add_any_order", n=1000)
    with processor(*PROCESSORS["avx2"][:2]):
        found = build.llvm_text(text, ROWS_SIGNATURES)
    assert found.count("call reassoc nsz <8 x float> @llvm.fmuladd.v8f32") >= 4 and " fmul " not in found


@pytest.mark.parametrize("features", ["generic", "avx"])
@np.errstate(all="ignore")
def test_processors_without_a_fused_multiply_add_keep_the_bounds(features: str) -> None:
    with processor(*PROCESSORS[features][:2]):
        for name in EXACT:
            assert error(Map(f"{name}(x[i])", "f32")(POINTS), EXACT[name](POINTS.astype(np.float64))) <= TABLE[name].f32, name


def test_every_elementwise_function_of_floats_is_on_the_page() -> None:
    text = " ".join(op.lowering.text for op in OPS.values() if op.kind.value == "map" and isinstance(getattr(op.lowering, "text", None), str))
    used = set(re.findall(r"\b([a-z]\w*)\(", text)) - {"max", "min", "abs", "select", "sqrt", "floor", "ceil", "round", "isnan", "isinf", "trunc"}
    assert used <= set(TABLE), used - set(TABLE)
