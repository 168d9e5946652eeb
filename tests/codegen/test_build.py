"""Generated source to object code."""

from __future__ import annotations

import numpy as np
import pytest

from flowc.codegen import build
from tests.codegen.programs import both, kernel_text, run, same_bits, signatures

RNG = np.random.default_rng(0)


def llvm(body: str, arrays: dict[str, np.ndarray], **numbers: int) -> str:
    return build.llvm_text(kernel_text(body, arrays, numbers), signatures(arrays, numbers))


def test_a_kernel_compiled_and_as_plain_python_gives_the_same_bits() -> None:
    body = """
for i in range(lower_bound(n, tid, nthreads), upper_bound(n, tid, nthreads)):
    total = f32(0.0)
    for j in range(10):
        total = total + x[i * 10 + j] * f32(0.3)
    out[i] = total if total > f32(0.0) else f32(-1.5)
"""
    x = RNG.normal(size=70).astype(np.float32)
    compiled, plain = both(body, lambda: {"x": x.copy(), "out": np.zeros(7, np.float32)}, n=7)
    assert same_bits(compiled["out"], plain["out"])
    assert compiled["out"].any()


def test_loops_with_a_start_a_step_and_no_iterations() -> None:
    body = """
for i in range(3, n, 2):
    out[i] = i
for i in range(5, 2):
    out[i] = 99
for i in range(n):
    for j in range(i, n):
        out[j] = out[j] + 1
"""
    compiled, plain = both(body, lambda: {"out": np.zeros(9, np.int64)}, n=9)
    assert same_bits(compiled["out"], plain["out"])


def test_branches_guard_their_loads() -> None:
    body = """
for i in range(n):
    out[i] = x[i - 2] if i >= 2 and i < 5 else f32(7.0)
"""
    compiled, plain = both(body, lambda: {"x": np.arange(3, dtype=np.float32), "out": np.zeros(8, np.float32)}, n=8)
    assert same_bits(compiled["out"], plain["out"])
    assert compiled["out"].tolist() == [7, 7, 0, 1, 2, 7, 7, 7]


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64])
def test_every_dtype_is_loaded_and_stored(dtype: type) -> None:
    arrays = {"x": np.array([0, 1, 1, 0], dtype), "out": np.zeros(4, dtype)}
    run("for i in range(4):\n    out[i] = x[3 - i]", arrays)
    assert arrays["out"].tolist() == arrays["x"][::-1].tolist()


def test_truth_values_compute_and_are_stored_as_bytes() -> None:
    body = """
for i in range(n):
    out[i] = (x[i] > f32(0.0)) and not (x[i] > f32(1.0))
"""
    compiled, plain = both(body, lambda: {"x": np.array([-1, 0.5, 2, np.nan], np.float32), "out": np.ones(4, np.bool_)}, n=4)
    assert compiled["out"].tolist() == plain["out"].tolist() == [False, True, False, False]


def test_integer_division_follows_numpy_and_division_by_zero_gives_zero() -> None:
    values = np.array([-7, 7, -7, 7, 5], np.int64)
    divisors = np.array([2, -2, -2, 2, 0], np.int64)
    arrays = {"x": values, "y": divisors, "q": np.zeros(5, np.int64), "r": np.zeros(5, np.int64)}
    run("for i in range(5):\n    q[i] = x[i] // y[i]\n    r[i] = x[i] % y[i]", arrays)
    with np.errstate(divide="ignore"):
        assert arrays["q"].tolist() == (values // divisors).tolist()
        assert arrays["r"].tolist() == (values % divisors).tolist()


def test_constants_keep_their_bits() -> None:
    arrays = {"out": np.zeros(5, np.float32)}
    run('out[0] = f32(0.1)\nout[1] = f32("inf")\nout[2] = f32(-0.0)\nout[3] = f32(0.0)\nout[4] = f32("nan")', arrays)
    assert same_bits(arrays["out"], np.array([0.1, np.inf, -0.0, 0.0, np.nan], np.float32))


def test_products_and_sums_are_not_fused() -> None:
    x = (1 + RNG.integers(1, 2**20, 64) * 2.0**-23).astype(np.float32)
    arrays = {"x": x, "out": np.zeros(64, np.float32)}
    run("for i in range(64):\n    out[i] = x[i] * x[i] - x[i]", arrays)
    assert same_bits(arrays["out"], x * x - x)


def test_nan_and_infinity_are_not_assumed_away() -> None:
    arrays = {"x": np.array([np.nan, np.inf, 1], np.float32), "out": np.zeros(3, np.float32)}
    run("for i in range(3):\n    out[i] = x[i] - x[i] + (f32(1.0) if x[i] != x[i] else f32(0.0)) * f32(0.0)", arrays)
    assert np.isnan(arrays["out"]).tolist() == [True, True, False]


def test_pointers_do_not_alias_unless_marked() -> None:
    arrays = {"x": np.zeros(4, np.float32), "out": np.zeros(4, np.float32)}
    text = kernel_text("for i in range(n):\n    out[i] = x[i] * f32(2.0)", arrays, {"n": 4})
    plain = build.llvm_text(text, signatures(arrays, {"n": 4}), optimised=False)
    marked = build.llvm_text(text, {**signatures(arrays, {"n": 4}), "k0": ("i64", "i64", "f32*&", "f32*!&", "i64")}, optimised=False)
    assert plain.count("noalias") == 3  # both buffers, and the table of the entry
    assert marked.count("noalias") == 1


def test_an_entry_that_passes_one_slot_twice_marks_the_alias_itself() -> None:
    arrays = {"x": np.zeros(4, np.float32), "out": np.zeros(4, np.float32)}
    text = kernel_text("for i in range(n):\n    out[i] = x[i] * f32(2.0)", arrays, {"n": 4}).replace("pointer_f32(args, 2)", "pointer_f32(args, 1)")
    assert build.llvm_text(text, signatures(arrays, {"n": 4}), optimised=False).count("noalias") == 1


def test_elementwise_loops_become_vector_code() -> None:
    arrays = {"x": np.zeros(4, np.float32), "out": np.zeros(4, np.float32)}
    assert " x float>" in llvm("for i in range(n):\n    out[i] = maximum(x[i], f32(0.0)) * f32(2.0)", arrays, n=4)


def test_sums_in_any_order_become_vector_code_and_plain_ones_keep_their_order() -> None:
    arrays = {"x": np.zeros(4, np.float32), "out": np.zeros(4, np.float32)}
    loop = "total = f32(0.0)\nfor i in range(n):\n    total = {}\nout[0] = total"
    assert "vector.reduce.fadd" in llvm(loop.format("add_any_order(total, x[i])"), arrays, n=4)
    assert "reassoc" not in llvm(loop.format("total + x[i]"), arrays, n=4)


def test_object_code_needs_nothing_of_numba() -> None:
    arrays = {"x": np.zeros(4, np.float32), "out": np.zeros(4, np.float32)}
    code = build.compile_source(kernel_text("for i in range(n):\n    out[i] = exp(x[i]) / x[i]", arrays, {"n": 4}), signatures(arrays, {"n": 4}))
    assert b"NRT" not in code
    assert b"numba" not in code
    assert b"Py" not in code


def test_a_program_counts_as_one_compilation() -> None:
    before = build.compilations
    run("out[0] = 1", {"out": np.zeros(1, np.int64)})
    assert build.compilations == before + 1


def test_a_function_without_a_signature_is_refused() -> None:
    with pytest.raises(KeyError, match="program"):
        build.compile_source("def program(tid, nthreads, args):\n    pass\n", {})


def test_a_signature_of_another_length_is_refused() -> None:
    with pytest.raises(TypeError, match="has 3 parameters, its signature 2"):
        build.compile_source("def program(tid, nthreads, args):\n    pass\n", {"program": ("i64", "i64")})


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError, match="'f99\\*' is not a type"):
        build.compile_source("def program(tid, nthreads, args):\n    pass\n", {"program": ("i64", "i64", "f99*")})


def test_source_that_does_not_type_does_not_spoil_what_comes_after() -> None:
    arrays = {"out": np.zeros(1, np.int64)}
    with pytest.raises(Exception, match="missing"):
        run("out[0] = missing(3)", arrays)
    run("out[0] = 3", arrays)
    assert arrays["out"][0] == 3
