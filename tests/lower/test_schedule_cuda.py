"""CUDA schedules: which launches a kernel Function becomes, and the loop IR of a small one."""

import pytest

import flowc.ops  # noqa: F401  (fills the op table)
from flowc.errors import FlowcError
from flowc.ir.dims import substitute
from flowc.ir.function import Builder
from flowc.ir.loop_walks import children, operands
from flowc.ir.loops import Alloc, Apply, Const, For, Let, Load, Statement
from flowc.ir.loops_text import parse_kernel
from flowc.ir.op import OPS, Nest
from flowc.ir.types import F32, I64
from flowc.lower.schedule_cuda import Launch, schedule
from flowc.structs import replace
from flowc.transforms.pipeline import optimize


def launches(make, *types) -> tuple[Launch, ...]:
    b = Builder("main")
    (kernel,) = optimize(b.finish([make(b, *(b.param(f"x{i}", t) for i, t in enumerate(types)))])).callees()
    return schedule(kernel)


def reduce(axis, *shape, op="reduce_sum") -> tuple[Launch, ...]:
    return launches(lambda b, x: b.apply(op, b.apply("exp", x), axis=axis), F32[shape])


def test_a_map_is_one_guarded_thread_for_each_element():
    (step,) = launches(lambda b, x: b.apply("relu", b.apply("exp", x)), F32["b", 20])
    assert str(step.kernel) == """def k0_relu(x0: f32[20*b], relu_out: f32[20*b], b: i64):
    for block_id in block((20*b + 127)//128):
        for thread_id in thread(128):
            i = block_id * 128 + thread_id
            if i < 20 * b:
                x0_ = x0[i]
                exp_ = exp(x0_)
                relu = max(exp_, 0.0)
                relu_out[i] = relu
""".replace("(20*b + 127)//128", "(20 * b + 127) // 128").replace(":\n    for block_id", ":\n    # v0, v1\n    for block_id", 1)


def test_blocks_cover_every_element_for_any_extent():
    (step,) = launches(lambda b, x: b.apply("exp", x), F32["b", 20])
    assert [substitute(step.blocks, {"b": b}) for b in (0, 1, 6, 7, 64)] == [0, 1, 1, 2, 10]


def test_trailing_axes_are_a_block_for_each_row():
    (step,) = reduce((1,), "b", 1000)
    assert (str(step.blocks), step.threads) == ("b", 256)
    (step,) = reduce((1, 2), 7, 3, 5)
    assert (step.blocks, step.threads) == (7, 32)


def test_a_softmax_of_rows_is_one_launch():
    (step,) = launches(lambda b, x: b.apply("softmax", x, axis=-1), F32["b", 10])
    assert str(step.blocks) == "b"


def test_leading_axes_are_parts_and_a_launch_that_joins_them():
    parts, join = reduce((0,), "b", 20)
    assert [b.name for b in parts.kernel.buffers if b.role == "workspace"] == ["reduce_sum_part"]
    assert substitute(parts.blocks, {"b": 100_000}) == 10  # 64 parts of 20 columns
    assert join.blocks == 1


def test_few_leading_rows_need_no_parts():
    assert len(reduce((0,), 100, 20)) == 1


def test_a_full_reduction_is_parts_and_one_block_that_joins_them():
    parts, join = reduce(None, "b", 20)
    assert [substitute(parts.blocks, {"b": b}) for b in (0, 1, 1000, 10**6)] == [1, 1, 10, 256]
    assert (join.blocks, join.threads) == (1, 256)


def test_a_small_full_reduction_is_one_block():
    (step,) = reduce(None, 64, 60)
    assert step.blocks == 1


def test_axes_in_the_middle_are_a_thread_for_each_result():
    (step,) = reduce((1,), "b", 7, 20)
    assert substitute(step.blocks, {"b": 32}) == 5


def test_launches_of_one_schedule_have_the_same_buffers():
    parts, join = reduce(None, "b", 20)
    assert parts.kernel.buffers == join.kernel.buffers
    assert parts.kernel.name != join.kernel.name


@pytest.mark.parametrize("axis", [None, (0,), (1,)])
@pytest.mark.parametrize("op", ["reduce_sum", "reduce_max", "argmax"])
def test_kernel_text_parses_back(op, axis):
    axis = (axis or (0,))[0] if op == "argmax" else axis
    for step in reduce(axis, "b", 20, op=op):
        assert str(parse_kernel(str(step.kernel))) == str(step.kernel)


def walk(statements: tuple[Statement, ...]):
    for s in statements:
        yield s
        for inner in children(s):
            yield from walk(inner)


def test_shared_memory_belongs_to_the_block():
    (step,) = reduce((1,), "b", 100)
    (block,) = (s for s in step.kernel.body if isinstance(s, For))
    shared = [s for s in walk(step.kernel.body) if isinstance(s, Alloc) and s.shared]
    assert shared and all(s in block.body for s in shared)


def test_each_parallel_loop_of_a_nest_is_a_launch():
    (step,) = launches(lambda b, x, w: b.apply("relu", b.apply("matmul", x, w)), F32["b", 20], F32[20, 33])[:1]
    assert not any(isinstance(s, For) and s.kind == "parallel" for s in walk(step.kernel.body))


def test_a_thread_holds_no_transformed_tiles():
    """Half a megabyte is all that a thread of a GPU can have of its own: a convolution is a sum there."""
    for window in (3, 7):
        made = launches(lambda b, x, w: b.apply("conv2d", x, w), F32["n", 28, 28, 16], F32[window, window, 16, 16])
        arrays = [s.size for launch in made for s in walk(launch.kernel.body) if isinstance(s, Alloc) and s.size is not None]
        assert sum(arrays) <= 4096


def test_a_nest_that_cannot_be_spread_is_refused_with_its_line(monkeypatch):
    def build(inputs, out, types, result, attrs):
        return (Let("stop", Load(inputs[0], Const(0, I64), I64)),)

    monkeypatch.setitem(OPS, "cumsum", replace(OPS["cumsum"], lowering=Nest(build)))
    with pytest.raises(FlowcError, match="cumsum: the CUDA back end cannot spread this loop nest over threads: a Let stands beside its parallel loops"):
        launches(lambda b, x: b.apply("cumsum", x, axis=0), F32["b"])


def test_index_arithmetic_has_64_bits():
    def dtypes(e):
        yield e.dtype
        for inner in operands(e):
            yield from dtypes(inner)

    (step,) = reduce((1,), "b", 100)
    lets = [s for s in walk(step.kernel.body) if isinstance(s, Let) and isinstance(s.value, Apply) and s.name == "r"]
    assert lets and {d for s in lets for d in dtypes(s.value)} == {I64}


def test_extents_of_unused_buffers_are_arguments_too():
    for step in reduce(None, "b", 20):
        assert step.kernel.extents == ("b",)
