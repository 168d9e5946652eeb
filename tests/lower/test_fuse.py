"""Fusion and placement: what becomes one kernel, what stays apart and why, and which memory is used twice."""

from __future__ import annotations

import pytest

import flowc.ops  # noqa: F401
from flowc.ir.function import Function
from flowc.ir.text import parse_function
from flowc.lower.program import Program, plan
from flowc.transforms.fuse import LARGEST, fuse
from flowc.transforms.records import Records, expect_fused


def fused(text: str) -> tuple[Function, Records]:
    records = Records()
    return fuse(parse_function(text), records), records


def planned(text: str) -> Program:
    return plan(fused(text)[0])


def kernels(module: Function) -> list[list[str]]:
    return [[n.op.name for n in k.nodes if n.op.name != "constant"] for k in module.callees()]


def test_an_elementwise_chain_is_one_kernel() -> None:
    module, records = fused(
        """def f(x: f32[b, 3], y: f32[3]):
        H.a: f32[b, 3] = add(x, y)
        H.t: f32[b, 3] = tanh(H.a)
        H.m: f32[b, 3] = mul(H.t, H.a)
        return H.m
    """
    )
    assert kernels(module) == [["add", "tanh", "mul"]]
    assert expect_fused(module, records, "H").startswith("k0")
    assert records.of("fused")


def test_a_reduction_takes_in_its_producers_and_what_follows_it() -> None:
    module, _ = fused(
        """def f(x: f32[b, 3], y: f32[b, 3]):
        d: f32[b, 3] = sub(x, y)
        s: f32[b, 3] = square(d)
        r: f32[b] = reduce_sum(s, axis=(1,))
        q: f32[b] = sqrt(r)
        return q
    """
    )
    assert kernels(module) == [["sub", "square", "reduce_sum", "sqrt"]]


def test_softmax_is_one_kernel_of_rows() -> None:
    module, _ = fused(
        """def f(x: f32[b, 9]):
        m: f32[b, 1] = reduce_max(x, axis=(1,), keepdims=True)
        s: f32[b, 9] = sub(x, m)
        e: f32[b, 9] = exp(s)
        t: f32[b, 1] = reduce_sum(e, axis=(1,), keepdims=True)
        p: f32[b, 9] = div(e, t)
        return p
    """
    )
    assert kernels(module) == [["reduce_max", "sub", "exp", "reduce_sum", "div"]]


def test_bias_and_relu_follow_the_matrix_product_in_its_kernel() -> None:
    module, _ = fused(
        """def f(x: f32[b, 4], w: f32[4, 8], c: f32[8]):
        m: f32[b, 8] = matmul(x, w)
        a: f32[b, 8] = add(m, c)
        r: f32[b, 8] = relu(a)
        return r
    """
    )
    assert kernels(module) == [["matmul", "add", "relu"]]


def test_several_results_leave_one_kernel() -> None:
    module, _ = fused(
        """def f(x: f32[n], m: f32[n], v: f32[n]):
        a: f32[n] = mul(m, 0.9)
        c: f32[n] = mul(x, 0.1)
        m1: f32[n] = add(a, c)
        s: f32[n] = square(x)
        d: f32[n] = mul(s, 0.001)
        e: f32[n] = mul(v, 0.999)
        v1: f32[n] = add(d, e)
        q: f32[n] = sqrt(v1)
        u: f32[n] = div(m1, q)
        return m1, v1, u
    """
    )
    assert len(module.callees()) == 1
    assert len(module.callees()[0].results) == 3


def test_movement_takes_in_the_map_before_it() -> None:
    module, _ = fused(
        """def f(x: f32[b, 3]):
        e: f32[b, 3] = exp(x)
        t: f32[3, b] = transpose(e, perm=(1, 0))
        s: f32[3, b] = add(t, 1.0)
        return s
    """
    )
    assert kernels(module) == [["exp", "transpose", "add"]]


def test_values_wanted_elsewhere_keep_a_map_and_its_movement_apart() -> None:
    module, records = fused(
        """def f(x: f32[b, 3]):
        e: f32[b, 3] = exp(x)
        t: f32[3, b] = transpose(e, perm=(1, 0))
        return e, t
    """
    )
    assert kernels(module) == [["exp"], ["transpose"]]
    assert any("used elsewhere" in d.reason for d in records.of("kept"))


def test_a_matrix_product_reads_its_operands_from_memory() -> None:
    module, records = fused(
        """def f(x: f32[b, 4], w: f32[4, 8]):
        H.e: f32[b, 4] = exp(x)
        H.m: f32[b, 8] = matmul(H.e, w)
        return H.m
    """
    )
    assert kernels(module) == [["exp"], ["matmul"]]
    with pytest.raises(AssertionError, match="reads its operands from memory"):
        expect_fused(module, records, "H")


def test_a_number_that_a_nest_reads_lies_in_memory_and_one_that_a_formula_reads_stands_in_the_code() -> None:
    module, _ = fused(
        """def f(x: f32[3]):
        r: f32[3] = random_normal(u64(7), shape=(3,), seed=1)
        s: f32[3] = mul(r, 2.0)
        t: f32[3] = add(s, x)
        return t
    """
    )
    (kernel,) = module.callees()
    assert [p.type.dtype.name for p in kernel.params] == ["u64", "f32"]  # type: ignore[union-attr]
    assert [n.op.name for n in kernel.nodes if n.op.name != "constant"] == ["random_normal", "mul", "add"]
    assert any(n.op.name == "constant" for n in kernel.nodes)


def test_fusing_never_makes_two_kernels_wait_for_each_other() -> None:
    module, _ = fused(
        """def f(x: f32[b, 4], w: f32[4, 4]):
        a: f32[b, 4] = exp(x)
        m: f32[b, 4] = matmul(a, w)
        s: f32[b, 4] = add(a, m)
        return s
    """
    )
    assert kernels(module) == [["exp"], ["matmul", "add"]]


def test_a_reshape_of_memory_is_no_kernel() -> None:
    module, _ = fused(
        """def f(x: f32[b, 4], w: f32[2, 2]):
        r: f32[2*b, 2] = reshape(x, shape=(-1, 2))
        m: f32[2*b, 2] = matmul(r, w)
        return m
    """
    )
    assert kernels(module) == [["matmul"]]


def test_what_is_added_to_a_product_is_computed_in_its_kernel_though_it_comes_later() -> None:
    module, _ = fused(
        """def f(x: f32[b, 4], ct: f32[b, 8], m: f32[4, 8], w: f32[4, 8]):
        g: f32[4, 8] = matmul(x, ct, transpose_a=True)
        d: f32[4, 8] = mul(m, 0.9)
        a: f32[4, 8] = add(d, g)
        s: f32[4, 8] = mul(a, 0.1)
        u: f32[4, 8] = sub(w, s)
        m[...] = a
        w[...] = u
        return
    """
    )
    assert kernels(module) == [["matmul", "mul", "add", "mul", "sub"]]


def test_a_kernel_ends_where_it_computes_too_much() -> None:
    lines = "\n".join(f"        x{i + 1}: f32[n] = tanh(x{i})" for i in range(LARGEST + 1))
    module, records = fused(f"def f(x0: f32[n]):\n{lines}\n        return x{LARGEST + 1}\n")
    assert [len(kernel) for kernel in kernels(module)] == [LARGEST, 1]
    assert [d.reason for d in records.decisions if d.kind == "kept"] == ["the kernel computes 64 nodes already"]


def test_an_update_overwrites_its_variable_in_place() -> None:
    program = planned(
        """def f(w: f32[n], g: f32[n]):
        u: f32[n] = mul(g, 0.1)
        v: f32[n] = sub(w, u)
        w[...] = v
        return
    """
    )
    assert not program.slots and not program.copies
    assert sorted(b.role for b in program.kernels[0].buffers) == ["in", "inout"]


def test_an_update_that_other_elements_are_read_for_is_not_made_in_place() -> None:
    program = planned(
        """def f(w: f32[n]):
        r: f32[n] = reverse(w, axis=(0,))
        w[...] = r
        return
    """
    )
    assert len(program.copies) == 1


def test_variables_that_swap_are_copied_after_the_run() -> None:
    program = planned(
        """def f(v: f32[n], w: f32[n]):
        v[...] = w
        w[...] = v
        return
    """
    )
    assert len(program.copies) == 2


def test_memory_of_dead_values_is_used_again() -> None:
    layers = "\n".join(f"        m{i + 1}: f32[b, 4] = matmul(m{i}, w)" for i in range(10))
    program = planned(f"def f(m0: f32[b, 4], w: f32[4, 4]):\n{layers}\n        return m10\n")
    assert len(program.steps) == 10
    assert len(program.slots) == 2


def test_a_barrier_stands_only_between_kernels_that_depend_on_each_other() -> None:
    program = planned(
        """def f(x: f32[b, 4], w: f32[4, 4], y: f32[b, 4]):
        a: f32[b, 4] = matmul(x, w)
        c: f32[b, 4] = matmul(y, w)
        d: f32[b, 4] = matmul(a, w)
        return c, d
    """
    )
    by_result = {step.call.attrs["function"].results[0].name: step.barrier for step in program.steps}
    assert by_result["d"]
    assert sum(by_result.values()) == 1
