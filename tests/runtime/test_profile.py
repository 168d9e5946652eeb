"""Profiles: what a kernel does is counted exactly, kernels are measured on copies, and the table says it all. No times are asserted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import flowc.ops  # noqa: F401
from flowc.config import override
from flowc.ir.dims import Sym
from flowc.ir.loops import Alloc, Buffer, Const, For, If, Kernel, Let, Load, Store, Var, apply, index, select
from flowc.ir.text import parse_function
from flowc.ir.types import F32, I64
from flowc.lower.count import LONG, MOST_LANES, count
from flowc.lower.program import plan
from flowc.runtime import executable as executable_module
from flowc.runtime import limits as limits_module
from flowc.runtime.limits import Limits
from flowc.runtime.profile import KernelProfile, Profile, profile
from flowc.transforms.pipeline import optimize
from tests.runtime.step import STEP, arguments

B = Sym.named("b")


def kernels(text):
    return plan(optimize(parse_function(text))).kernels


def counted(text, **extents):
    (kernel,) = kernels(text)
    return count(kernel, extents)


def test_a_map_counts_a_load_a_store_and_its_functions_for_each_element():
    found = counted(
        """def f(x: f32[b, 10]):
    a: f32[b, 10] = mul(x, 2.0)
    y: f32[b, 10] = tanh(a)
    return y
""",
        b=7,
    )
    assert (found.flops, found.loads, found.stores) == (2 * 70, 70, 70)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (64, 32, 48), (129, 67, 33), (3, 500, 10)])
def test_a_product_counts_two_operations_for_each_multiply_add(m, k, n):
    found = counted(f"def f(x: f32[b, {k}], w: f32[{k}, {n}]):\n    y: f32[b, {n}] = matmul(x, w)\n    return y\n", b=m)
    assert found.flops == 2 * m * k * n


def test_a_product_stores_each_element_of_its_result_at_least_once():
    found = counted("def f(x: f32[b, 40], w: f32[40, 24]):\n    y: f32[b, 24] = matmul(x, w)\n    return y\n", b=13)
    assert found.written["y_out"] >= 13 * 24 and found.read["x"] >= 13 * 40 and found.read["w"] >= 40 * 24


@pytest.mark.parametrize("b", [1, 9, 1000, 20011])
def test_a_reduction_counts_an_addition_for_each_element_and_the_joining_of_its_chunks(b):
    found = counted("def f(x: f32[b, 10]):\n    s: f32 = reduce_sum(x, axis=(0, 1))\n    return s\n", b=b)
    assert found.read["x"] == 10 * b
    assert 10 * b <= found.flops <= 10 * b + 64


CONVOLUTION = """def f(x: f32[b, 14, 14, 8], w: f32[5, 5, 8, 16]):
    y: f32[b, 14, 14, 16] = conv2d(x, w, strides=(1, 1), padding="SAME")
    return y
"""


def test_a_convolution_counts_two_operations_for_each_weight_and_output_element():
    with override(convolution="direct"):
        assert counted(CONVOLUTION, b=3).flops == 2 * 3 * 14 * 14 * 16 * 5 * 5 * 8


def test_a_convolution_by_tiles_counts_what_it_saves():
    assert counted(CONVOLUTION, b=30).flops < 30 * 14 * 14 * 16 * 5 * 5 * 8


def kernel_of(*body, size=B * 10):
    return Kernel("k", (Buffer("x", F32, size), Buffer("y", F32, size, "out")), ("b",), body)


def test_what_every_trip_computes_alike_counts_once():
    text = "def f(x: f32[b, 20]):\n    s: f32[b, 1] = reduce_sum(x, axis=(1,), keepdims=True)\n    r: f32[b, 1] = sqrt(s)\n    y: f32[b, 20] = div(x, r)\n"
    found = counted(f"{text}    return y\n", b=7)
    assert found.calls == {"sqrt": 7, "div": 140} and found.flops == 7 + 140 + 140


def test_a_loop_within_bounds_that_change_is_counted_index_by_index():
    """A triangle: for each i the elements up to i."""
    i, j = Var("i", I64), Var("j", I64)
    total = Var("s", F32)
    inner = For("j", index(0), i, "serial", (Store("s", None, Load("x", j, F32), "add"),))
    found = count(kernel_of(For("i", index(0), Var("b", I64), "parallel", (Alloc("s", F32, Const(0.0, F32)), inner, Store("y", i, total)))), {"b": 100})
    assert (found.flops, found.loads, found.stores, found.iterations) == (4950, 4950, 100, 100)


def test_a_bound_may_come_through_a_let():
    i, j, stop = Var("i", I64), Var("j", I64), Var("stop", I64)
    bound = Let("stop", apply("min", i + 3, Var("b", I64)))
    body = For("i", index(0), Var("b", I64), "parallel", (bound, For("j", i, stop, "serial", (Store("y", j, Load("x", j, F32)),))))
    found = count(kernel_of(body), {"b": 10})
    assert found.loads == found.stores == 8 * 3 + 2 + 1


def test_a_condition_on_indices_is_decided_and_one_on_data_counts_the_costlier_side():
    i = Var("i", I64)
    value = Load("x", i, F32)
    even = If((i % 2).eq(0), (Store("y", i, value),), (Store("y", i, value * 2.0 + 1.0),))
    positive = If(value > 0.0, (Store("y", i, value),), (Store("y", i, value * 2.0 + 1.0),))
    of_indices = count(kernel_of(For("i", index(0), Var("b", I64), "serial", (even,))), {"b": 11})
    of_data = count(kernel_of(For("i", index(0), Var("b", I64), "serial", (positive,))), {"b": 11})
    assert of_indices.flops == 2 * 5 and of_data.flops == 11 * (1 + 2)


def test_a_guarded_load_counts_once():
    i = Var("i", I64)
    guarded = select(i > 0, Load("x", i - 1, F32), 0.0)
    assert count(kernel_of(For("i", index(0), Var("b", I64), "serial", (Store("y", i, guarded),))), {"b": 8}).loads == 8


def test_a_very_long_loop_is_estimated_closely():
    i, j = Var("i", I64), Var("j", I64)
    inner = For("j", index(0), i % 10, "serial", (Store("y", j, Load("x", j, F32)),))
    trips = 40 * MOST_LANES
    found = count(kernel_of(For("i", index(0), Var("b", I64), "serial", (inner,))), {"b": trips})
    assert found.loads == pytest.approx(4.5 * trips, rel=0.01)


def test_an_empty_batch_does_nothing():
    found = counted("def f(x: f32[b, 10]):\n    y: f32[b, 10] = tanh(x)\n    return y\n", b=0)
    assert (found.flops, found.loads, found.stores) == (0, 0, 0)


@pytest.fixture(scope="module")
def measured():
    with override(backend="cpu", threads=2):
        executable = executable_module.build(STEP)
        args = arguments(64)
        before = [a.copy() for a in args]
        found = profile(executable, args, runs=2, limits=False)
    return executable, args, before, found


def test_a_profile_has_a_line_for_every_kernel_in_the_program_s_order(measured):
    executable, _, _, found = measured
    assert [k.name for k in found.kernels] == [k.name for k in executable.kernels]
    assert found.extents == {"b": 64} and found.runs == 2 and found.seconds > 0 and all(k.seconds > 0 for k in found.kernels)


def test_profiling_changes_no_argument(measured):
    _, args, before, _ = measured
    for now, then in zip(args, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_the_executable_still_runs_as_before(measured):
    executable, _, before, _ = measured
    args = [a.copy() for a in before]
    with override(backend="cpu", threads=2):
        (loss,) = executable.run(args)
    x, w, y = before
    np.testing.assert_allclose(loss, np.square(x @ w - y).sum(), rtol=1e-4)
    np.testing.assert_allclose(args[1], w - 0.01 * (x.T @ (x @ w - y)), rtol=1e-3, atol=1e-4)


def test_bytes_are_those_of_the_places_each_element_once(measured):
    _, _, _, found = measured
    first = found.kernels[0]
    assert first.read >= 4 * (64 * 30 + 30 * 17) and first.written >= 4 * 64 * 17
    assert found.kernels[0].flops >= 2 * 64 * 30 * 17


def test_a_number_of_threads_may_be_asked_for():
    with override(backend="cpu", threads=2):
        found = profile(executable_module.build(STEP), arguments(64), runs=1, threads=2, limits=False)
    assert found.threads == 2 and max(k.threads for k in found.kernels) == 2


@pytest.mark.parametrize("backend", ["interpret", "python"])
def test_only_compiled_programs_are_measured(backend):
    with override(backend=backend):
        executable = executable_module.build(STEP)
    with pytest.raises(ValueError, match=f"step was built for the back end {backend}"):
        profile(executable, arguments(4))


def test_no_runs_are_refused(measured):
    with pytest.raises(ValueError, match="at least one run"):
        profile(measured[0], measured[1], runs=0)


def test_large_results_and_results_that_are_params_have_a_place():
    f = parse_function("def f(x: f32[b, 100]):\n    y: f32[b, 100] = tanh(x)\n    return y, x\n")
    with override(backend="cpu", threads=1):
        found = profile(executable_module.build(f), [np.ones((50, 100), np.float32)], runs=1, limits=False)
    assert [(k.flops, k.read, k.written) for k in found.kernels] == [(5000, 20000, 20000)]


SLOW = KernelProfile("k1_slow", 3e-3, 6_000_000, 8_000, 4_000, 2, "arithmetic", 0.25, ("a",), ("model.py:12", "model.py:3"))
FAST = KernelProfile("k0_fast", 1e-3, 100, 4_000_000, 2_000_000, 1, "memory", 0.5, ("b",), ("model.py:4",))
LIMITS = Limits(2, ((1000, 8e10), (1_000_000, 2e10)), {"f32": 8e9, "f64": 4e9})
MADE = Profile((FAST, SLOW), 5e-3, 2e-6, 2, 7, {"b": 3}, 0.25, LIMITS)


def test_the_table_is_slowest_first_with_totals_and_notes():
    lines = MADE.table().splitlines()
    assert "\n".join(lines[:-1]) == (
        "kernel              time   share  GB/s  GFLOP/s  of limit         threads  lines\n"
        "k1_slow         3.000 ms  75.0 %   0.0      2.0  25 % arithmetic        2  model.py:3, 12\n"
        "k0_fast         1.000 ms  25.0 %   6.0      0.0  50 % memory            1  model.py:4\n"
        "\n"
        "all kernels     4.000 ms           1.5      1.5                         2\n"
        "the whole step  5.000 ms           1.2      1.2                         2\n"
        "\n"
        "0.006 GFLOP and 6.01 MB a step; medians of 7 alternating runs, 2.00 us of launch taken off\n"
        "measured limit of 2 threads: 8 GFLOP/s f32, 4 GFLOP/s f64; 20 GB/s from memory, 80 GB/s from the innermost cache"
    )
    assert lines[-1].startswith("load average 0.25 on ")


def test_a_kernel_too_short_to_be_timed_has_no_rates():
    short = replace(SLOW, seconds=0.0, bound="", of_limit=0.0)
    line = replace(MADE, kernels=(short,)).table().splitlines()[1]
    assert line.split() == ["k1_slow", "~", "0", "us", "0.0", "%", "-", "-", "-", "2", "model.py:3,", "12"]


@pytest.mark.parametrize(("by", "first"), [("time", "k1_slow"), ("flops", "k1_slow"), ("bytes", "k0_fast")])
def test_kernels_are_sorted_by_time_operations_or_bytes(by, first):
    assert MADE.sorted(by)[0].name == first


def test_another_order_is_refused():
    with pytest.raises(ValueError, match="time, flops, bytes"):
        MADE.sorted("name")


def test_a_profile_is_plain_data_for_json():
    found = json.loads(json.dumps(MADE.as_dict()))
    assert found["kernels"][1]["gflops"] == pytest.approx(2.0) and found["limits"]["threads"] == 2 and found["extents"] == {"b": 3}


def test_bandwidth_between_measured_sizes_lies_between_theirs():
    assert LIMITS.bandwidth(10) == 8e10 and LIMITS.bandwidth(1e9) == 2e10 == LIMITS.memory
    assert 2e10 < LIMITS.bandwidth(30_000) < 8e10


def test_a_function_is_measured_by_applying_it(monkeypatch):
    for name, value in {"APPLIED": 7, "APPLICATIONS": 2, "TIMES": 2}.items():
        monkeypatch.setattr(limits_module, name, value)
    kept = []
    monkeypatch.setattr(limits_module, "address", lambda array: kept.append(array) or array.__array_interface__["data"][0])
    for name, dtype, expected in (("exp", "f32", np.exp), ("div", "f64", lambda x: x / x[::-1]), ("pow", "f32", lambda x: x ** x[::-1])):
        kept.clear()
        assert limits_module.function_rate.__wrapped__(name, dtype, 2) > 0
        x, out = kept
        assert out.dtype == {"f32": np.float32, "f64": np.float64}[dtype]
        np.testing.assert_allclose(out, np.tile(expected(x), 2), rtol=1e-5)  # each thread its own part


def test_every_long_function_can_be_measured(monkeypatch):
    monkeypatch.setattr(limits_module, "TIMES", 1)
    monkeypatch.setattr(limits_module, "APPLICATIONS", 1)
    assert all(limits_module.function_rate.__wrapped__(name, "f32", 1) > 0 for name in sorted(LONG))


def test_the_time_to_compute_is_that_of_single_operations_and_of_each_function_alone(monkeypatch):
    monkeypatch.setattr(limits_module, "function_rate", lambda name, dtype, threads: {"exp": 1e9, "div": 2e9}[name])
    assert LIMITS.computing(4_000_000, {"exp": 1_000_000, "div": 1_000_000}, "f32") == pytest.approx(2 * 4e6 / LIMITS.arithmetic["f32"] + 1e-3 + 5e-4)


def test_long_functions_are_counted_by_name_and_the_others_as_instructions():
    found = counted(
        "def f(x: f32[b, 3], y: f32[3]):\n    s: f32[b, 3] = sigmoid(x)\n    d: f32[b, 3] = div(s, y)\n    r: f32[b, 3] = sub(d, x)\n    return r\n", b=5
    )
    assert (found.flops, found.slots, found.calls) == (45, 15, {"sigmoid": 15, "div": 15})
    product = counted("def f(x: f32[b, 40], w: f32[40, 24]):\n    y: f32[b, 24] = matmul(x, w)\n    return y\n", b=13)
    assert product.slots == 13 * 40 * 24 == product.flops // 2


def test_the_limits_are_measured_by_kernels_that_compute_what_they_say(monkeypatch):
    for name, value in {"TOUCHED": (1200, 12_000), "TRAFFIC": 24_000, "PRODUCTS": 3, "TIMES": 2}.items():
        monkeypatch.setattr(limits_module, name, value)
    kept = []
    monkeypatch.setattr(limits_module, "address", lambda array: kept.append(array) or array.__array_interface__["data"][0])
    found = limits_module.measure.__wrapped__(2)
    assert [touched for touched, _ in found.speeds] == [1200, 12_000] and all(speed > 0 for _, speed in found.speeds)
    assert set(found.arithmetic) == {"f32", "f64"} and min(found.arithmetic.values()) > 0
    triad, _, product, _ = (kept[i : i + 3] for i in range(0, len(kept), 3))
    assert len(kept) == 12 and (triad[2] == 1.0 + 0.5 * 2.0).all()
    assert (product[2] == 2 * 3 * limits_module.DEPTH * 0.5 * 0.25).all()  # both threads' tiles, two measurements of three products
