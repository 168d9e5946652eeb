"""Profiles: what a kernel does is counted exactly, kernels are measured on copies, and the table says it all. No times are asserted."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import flowc.ops  # noqa: F401
from flowc.codegen.cpu import print_program
from flowc.config import override
from flowc.ir.dims import Sym
from flowc.ir.loops import Alloc, Buffer, Const, For, If, Kernel, Let, Load, Store, Var, apply, index, select
from flowc.ir.text import parse_function
from flowc.ir.types import F32, I64
from flowc.lower.count import LONG, MOST_LANES, count
from flowc.lower.program import plan
from flowc.runtime import executable as executable_module
from flowc.runtime import limits as limits_module
from flowc.runtime import threads as pool
from flowc.runtime.limits import Limits
from flowc.runtime.profile import Bounds, KernelProfile, Profile, Timed, kernel_profile, profile
from flowc.structs import replace
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
    """But for the weights' rows that lie in the padding: 2, 1, 0, ... of 5."""
    with override(convolution="direct"):
        assert counted(CONVOLUTION, b=3).flops == 2 * 3 * (14 * 5 - 6) * 14 * 16 * 5 * 8


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
LIMITS = Limits(2, 8e10, 2e10, {"f32": 8e9, "f64": 4e9})
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


@pytest.fixture
def in_probes(monkeypatch):
    """The arrays that probes work on, as they are made."""
    kept = []
    monkeypatch.setattr(limits_module, "address", lambda array: kept.append(array) or array.__array_interface__["data"][0])
    return kept


def run(probe, threads):
    pool.run(probe.entry, probe.table, threads)


def apart(values):
    """What two threads leave: their parts, and behind each so much room that no cache line has elements of both."""
    assert limits_module.APART * values.itemsize >= 128
    return np.tile(np.concatenate([values, np.zeros(limits_module.APART, values.dtype)]), 2)


@pytest.mark.parametrize(("name", "dtype", "expected"), [("exp", "f32", np.exp), ("div", "f64", lambda x: x / x[::-1]), ("pow", "f32", lambda x: x ** x[::-1])])
def test_a_function_is_measured_by_applying_it(in_probes, name, dtype, expected):
    probe = limits_module.applying(name, dtype, 2)
    run(probe, 2)
    x, out = in_probes
    assert out.dtype == {"f32": np.float32, "f64": np.float64}[dtype] and probe.amount == 2 * limits_module.APPLICATIONS * len(x)
    np.testing.assert_allclose(out, apart(expected(x)), rtol=1e-5)  # each thread its own part


def test_every_long_function_can_be_measured():
    for name in sorted(LONG):
        run(limits_module.applying(name, "f32", 1), 1)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_single_operations_are_measured_by_products_and_sums(in_probes, dtype):
    probe = limits_module.singles(dtype, 2)
    run(probe, 2)
    x, out = in_probes
    value = limits_module.MIXED.format("x", "x.dtype.type")
    assert len(re.findall(r" [*+] ", value)) == limits_module.SINGLE
    assert probe.amount == limits_module.SINGLE * limits_module.SINGLES * 2 * len(x)
    np.testing.assert_allclose(out, apart(eval(value)), rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("read", "written"), [(0, 0), (4000, 4000), (4000, 40), (40, 4000), (0, 4), (4, 0), (12, 8)])
def test_a_probe_of_memory_reads_and_writes_what_it_says(read, written, threads):
    x, out = limits_module.arrays(read, written, threads)
    x[:] = np.arange(len(x))
    out[:] = -1.0
    run(limits_module.moving(x, out, read, written, 3), threads)
    r, w = read // 4, written // 4
    both = min(r, w)
    np.testing.assert_array_equal(out[:both], 0.5 * x[:both])
    assert (out[both:w] == 0.5).all()
    assert out[w : w + 32 * threads : 32].sum() == x[both:r].sum()  # each thread adds up its share of the rest


def test_a_kernel_is_held_against_the_slower_of_moving_and_computing():
    kernel = replace(FAST, seconds=0.0, bound="", of_limit=0.0)
    assert kernel.timed(2e-3, {"memory": 1e-3, "arithmetic": 5e-4}) == replace(FAST, seconds=2e-3)
    assert kernel.timed(2e-3, {}) == replace(kernel, seconds=2e-3)


def test_the_time_to_compute_is_that_of_a_call_of_single_operations_and_of_each_function_alone():
    text = "def f(x: f32[100, 8]):\n    e: f32[100, 8] = exp(x)\n    a: f32[100, 8] = add(e, x)\n    y: f32[100, 8] = div(a, e)\n    return y\n"
    with override(backend="cpu", threads=1):
        executable = executable_module.build(parse_function(text))
        found = kernel_profile(executable.program.steps[0], counted(text), {}, 1)
    bounds = Bounds([found], [counted(text)], ["f32"], [Timed(0, 0, 64)], 1)
    seconds = {
        (3200, 3200, 64): 1e-6, (0, 0, 64): 1e-9, (limits_module.products, "f32"): 3e-10, (limits_module.singles, "f32"): 2e-10,
        ("exp", "f32"): 1e-8, ("div", "f32"): 1e-9,
    }  # fmt: skip
    (best,) = bounds.seconds([seconds[key] for key in bounds.probes])
    assert best == {"memory": 1e-6, "arithmetic": pytest.approx(1e-9 + 800 * (2e-10 + 1e-8 + 1e-9))}


def test_a_brief_kernel_is_measured_by_many_calls_and_is_the_step_where_it_is_alone():
    f = parse_function("def f(x: f32[b]):\n    y: f32[b] = mul(x, 2.0)\n    return y\n")
    with override(backend="cpu", threads=1):
        executable = executable_module.build(f)
        found = profile(executable, [np.ones(100, np.float32)], runs=3)
    (kernel,) = found.kernels
    assert kernel.seconds == found.seconds and kernel.bound in ("memory", "arithmetic") and kernel.of_limit > 0


def test_a_program_may_go_through_its_steps_several_times():
    f = parse_function("def f(x: f32[b]):\n    y: f32[b] = add(x, 1.0)\n    return y\n")
    once, thrice = (print_program(plan(optimize(f)), times=times).text for times in (1, 3))
    (call,) = [line for line in once.splitlines() if line.startswith("    k0")]
    assert thrice == once.replace(call, "\n".join([call] * 3))
    assert print_program(replace(plan(optimize(f)), steps=()), times=3).text.endswith("    pass\n")


def test_long_functions_are_counted_by_name_and_the_others_as_instructions():
    found = counted(
        "def f(x: f32[b, 3], y: f32[3]):\n    s: f32[b, 3] = sigmoid(x)\n    d: f32[b, 3] = div(s, y)\n    r: f32[b, 3] = sub(d, x)\n    return r\n", b=5
    )
    assert (found.flops, found.slots, found.calls) == (45, 15, {"sigmoid": 15, "div": 15})
    product = counted("def f(x: f32[b, 40], w: f32[40, 24]):\n    y: f32[b, 24] = matmul(x, w)\n    return y\n", b=13)
    assert product.slots == product.products == 13 * 40 * 24 == product.flops // 2


def test_products_are_counted_among_the_instructions():
    found = counted("def f(x: f32[b]):\n    p: f32[b] = mul(x, x)\n    s: f32[b] = add(p, x)\n    r: f32[b] = maximum(s, 0.5)\n    return r\n", b=7)
    assert (found.slots, found.products) == (21, 7)
    rows = counted("def f(x: f32[b, 300]):\n    s: f32[b, 1] = reduce_sum(x, axis=(1,), keepdims=True)\n    y: f32[b, 300] = div(x, s)\n    return y\n", b=3)
    assert (rows.slots, rows.products) == (3 * (300 + 1) + 3 * 300 * 3, 3 * 300 * 3), "an addition for each element, one for the rest, and quotients"


@pytest.mark.parametrize("b", [1, 40, 100])
def test_rows_that_are_gone_through_once_more_are_no_work(b):
    """All sweeps in one loop repeat a row at either end of a group."""
    found = counted("def f(x: f32[b, 700]):\n    y: f32[b, 700] = softmax(x, axis=-1)\n    return y\n", b=b)
    assert found.calls == {"exp": 700 * b} and found.written["y_out"] == 700 * b


def test_the_limits_of_the_machine_are_rates(monkeypatch, in_probes):
    for name, value in {"FAR": 24_000, "PRODUCTS": 3, "TIMES": 2}.items():
        monkeypatch.setattr(limits_module, name, value)
    found = limits_module.measure.__wrapped__(2)
    assert found.near > 0 and found.memory > 0
    assert set(found.arithmetic) == {"f32", "f64"} and min(found.arithmetic.values()) > 0
    x, out, *_ = in_probes
    assert (out[:2000] == 0.5 * x[:2000]).all()
    product = in_probes[4:7]
    assert (product[2] == 2 * 3 * limits_module.DEPTH * 0.5 * 0.25).all()  # both threads' tiles, two measurements of three products
