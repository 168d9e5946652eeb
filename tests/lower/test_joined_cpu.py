"""Several nests in one loop over images: by text, against the interpreter, and on a GPU one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowc import config
from flowc.ir.dims import Sym
from flowc.ir.function import Builder, Function
from flowc.ir.interpret import interpret
from flowc.ir.loops_text import print_kernel
from flowc.ir.node import Node
from flowc.ir.text import parse_function
from flowc.ir.types import F32, TensorType
from flowc.lower import schedule_cuda
from flowc.runtime.executable import build
from flowc.transforms.by_image import IMAGE
from flowc.transforms.pipeline import optimize
from flowc.transforms.records import Records
from tests.codegen.programs import same_bits
from tests.lower.test_random_functions import PHASES, run
from tests.lower.test_random_functions import agree as agree_with
from tests.lower.test_reduce_cpu import agree, normal, text

POOL = "ksize=(2, 2), strides=(2, 2), padding='SAME'"
WIDE = "ksize=(3, 3), strides=(2, 2), padding='SAME'"


def pooled_conv(size: int = 8, channels: int = 5, pool: str = POOL, dtype: str = "f32", batch: str = "b") -> str:
    """A convolution with bias and relu, pooled, and the places of the maxima."""
    small, large = (f"[{batch}, {n}, {n}, {channels}]" for n in (-(-size // 2), size))
    body = (f"h: {dtype}{large} = conv2d(x, w); k: {dtype}{large} = add(h, c); r: {dtype}{large} = relu(k); y: {dtype}{small} = max_pool(r, {pool}); "
            f"m: bool{small} = greater(y, 0.0); at: u8{small} = max_pool_place(r, {pool})")  # fmt: skip
    return text(body, f"x: {dtype}[{batch}, {size}, {size}, 1], w: {dtype}[3, 3, 1, {channels}], c: {dtype}[{channels}]", "y, m, at")


def pooled_conv_args(batch: int, size: int = 8, channels: int = 5, dtype: type = np.float32) -> list[np.ndarray]:
    return [normal(*shape).astype(dtype) for shape in ((batch, size, size, 1), (3, 3, 1, channels), (channels,))]


def spread_gradient(size: int = 8, channels: int = 5, follow: str = "") -> str:
    """The gradient of a pool, and of the convolution before it to its filter."""
    small = -(-size // 2)
    body = (f"d: f32[b, {size}, {size}, {channels}] = max_pool_spread(at, ct, height={size}, width={size}, {POOL}); "
            f"g: f32[3, 3, 1, {channels}] = conv2d_filter_grad(x, d, w); n: f32[3, 3, 1, {channels}] = sub(w, g){follow}")  # fmt: skip
    places = f"at: u8[b, {small}, {small}, {channels}], ct: f32[b, {small}, {small}, {channels}]"
    return text(body, f"{places}, x: f32[b, {size}, {size}, 1], w: f32[3, 3, 1, {channels}]", "n")


def spread_args(batch: int, size: int = 8, channels: int = 5) -> list[np.ndarray]:
    small = -(-size // 2)
    places = np.random.default_rng(3).integers(0, 2 if size % 2 == 0 else 1, (batch, small, small, channels)).astype(np.uint8)
    return [places, normal(batch, small, small, channels), normal(batch, size, size, 1), normal(3, 3, 1, channels)]


def only_kernel(program: str) -> str:
    (kernel,) = build(parse_function(program)).kernels
    return print_kernel(kernel)


def kernel_names(program: str) -> list[str]:
    return [k.name for k in build(parse_function(program)).kernels]


def test_a_pool_is_computed_from_the_two_rows_that_a_convolution_has_just_made() -> None:
    kernel = only_kernel(pooled_conv())
    assert "r_part: f32[80]" in kernel, "two rows of 8 pixels with 5 channels"
    assert kernel.count("parallel(") == 2, "the padded images, then one loop for all three nests"
    (loop,) = kernel.split("in parallel(b * 4):")[1:]
    assert loop.index("in serial(2):") < loop.index("tile(") < loop.index("y_out[") < loop.index("at_out[")


@pytest.mark.parametrize("batch", [0, 1, 2, 7])
@pytest.mark.parametrize(("size", "pool"), [(8, POOL), (7, POOL), (8, WIDE), (9, WIDE), (1, POOL), (2, POOL)])
@pytest.mark.parametrize("channels", [1, 33])
def test_what_is_pooled_at_once_is_what_is_pooled_from_memory(batch: int, size: int, pool: str, channels: int) -> None:
    agree(pooled_conv(size, channels, pool), *pooled_conv_args(batch, size, channels))


def test_windows_that_share_rows_or_have_padding_are_pooled_from_a_whole_image() -> None:
    for size, pool in ((7, POOL), (8, WIDE)):
        assert f"r_part: f32[{size * size * 5}]" in only_kernel(pooled_conv(size, pool=pool))


def test_many_channels_are_made_panel_by_panel_and_so_not_row_by_row() -> None:
    assert f"r_part: f32[{8 * 8 * 200}]" in only_kernel(pooled_conv(channels=200))
    agree(pooled_conv(channels=200), *pooled_conv_args(3, channels=200))


def test_doubles_and_known_batches_are_joined_too() -> None:
    agree(pooled_conv(dtype="f64"), *pooled_conv_args(3, dtype=np.float64))
    agree(pooled_conv(batch="3"), *pooled_conv_args(3))
    assert len(kernel_names(pooled_conv(dtype="f64"))) == len(kernel_names(pooled_conv(batch="3"))) == 1


def test_nan_comes_through() -> None:
    args = pooled_conv_args(2)
    args[0][0, 3, 3, 0], args[0][1, 0, 0, 0] = np.nan, np.inf
    with np.errstate(all="ignore"):
        agree(pooled_conv(), *args)


def test_a_filters_gradient_takes_each_image_from_where_it_has_just_been_spread() -> None:
    kernel = only_kernel(spread_gradient())
    assert "d_part: f32[320]" in kernel
    (turn,) = kernel.split("for image_1 in serial(")[1:]
    assert turn.index("d_part[") < turn.index("tile(")


@pytest.mark.parametrize("batch", [0, 1, 3, 20])
@pytest.mark.parametrize(("size", "channels"), [(8, 5), (7, 5), (8, 33), (1, 1)])
def test_a_gradient_by_images_is_that_from_memory(batch: int, size: int, channels: int) -> None:
    agree(spread_gradient(size, channels), *spread_args(batch, size, channels))


@pytest.mark.parametrize(("program", "args"), [(pooled_conv(), pooled_conv_args(7)), (spread_gradient(), spread_args(19))])
def test_any_number_of_threads_gives_the_same_bits(program: str, args: list[np.ndarray]) -> None:
    found = []
    for threads in (1, 2, 3):
        with config.override(threads=threads):
            found.append(build(parse_function(program)).run([a.copy() for a in args]))
    for other in found[1:]:
        assert all(same_bits(a, b) for a, b in zip(found[0], other, strict=True))


def test_pools_of_the_same_images_are_one_loop() -> None:
    body = f"y: f32[b, 4, 4, 3] = max_pool(x, {POOL}); at: u8[b, 4, 4, 3] = max_pool_place(x, {POOL}); a: f32[b, 4, 4, 3] = avg_pool(x, {POOL})"
    program = text(body, "x: f32[b, 8, 8, 3]", "y, at, a")
    assert only_kernel(program).count("parallel(") == 1
    agree(program, normal(5, 8, 8, 3))


def test_pools_with_windows_of_other_sizes_share_each_image() -> None:
    body = f"y: f32[b, 4, 4, 3] = max_pool(x, {POOL}); a: f32[b, 2, 2, 3] = avg_pool(x, ksize=(4, 4), strides=(4, 4), padding='VALID')"
    program = text(body, "x: f32[b, 8, 8, 3]", "y, a")
    assert "in parallel(b):" in only_kernel(program)
    agree(program, normal(5, 8, 8, 3))


def test_what_a_joined_nest_reads_of_other_kernels_has_a_reason() -> None:
    program = spread_gradient().replace("conv2d_filter_grad(x, d, w)", "conv2d_filter_grad(z, d, w)").replace(
        "    d: f32", "    z: f32[b, 8, 8, 1] = tanh(x)\n    d: f32")  # fmt: skip
    records = Records()
    optimize(parse_function(program), records=records)
    assert [r.reason for r in records.of("fused") if "image" in r.reason] == ["conv2d_filter_grad takes one image after the other"]
    assert [r.reason for r in records.of("kept")] == ["conv2d_filter_grad reads its operands from memory"]
    agree(program, *spread_args(3))


@pytest.mark.parametrize(
    "program",
    [
        pooled_conv().replace("return y", "return r, y"),  # wanted by the caller
        pooled_conv().replace("    return", "    s: f32[b, 8, 8, 5] = conv2d(r, v)\n    return").replace("return y", "return s, y").replace(
            "w: f32[3, 3, 1, 5]", "w: f32[3, 3, 1, 5], v: f32[3, 3, 5, 5]"),  # wanted by a convolution, which reads rows around each
        pooled_conv(size=300, channels=IMAGE // 300**2 // 4 + 1),  # too large for a cache
        spread_gradient(follow="; q: f32[b, 8, 8, 5] = tanh(d)").replace("return n", "return n, q"),
    ],
    ids=["result", "convolution", "large", "sweep"],
)  # fmt: skip
def test_images_that_are_wanted_elsewhere_or_large_go_through_memory(program: str) -> None:
    assert len(kernel_names(program)) > 1 and not any("conv2d_max_pool" in name or "spread_conv2d" in name for name in kernel_names(program))


OVERLAPPING = "ksize=(3, 3), strides=(1, 1), padding='SAME'"


def test_a_pixel_that_lies_in_windows_of_several_rows_gets_them_all() -> None:
    """As many rows of windows as of pixels, but each row of pixels reads the rows around its own, too."""
    body = f"ct: f32[b, 6, 6, 3] = conv2d(x, w); d: f32[b, 6, 6, 3] = avg_pool_grad(ct, like, {OVERLAPPING})"
    program = text(body, "x: f32[b, 6, 6, 1], w: f32[3, 3, 1, 3], like: f32[b, 6, 6, 3]", "d")
    assert len(kernel_names(program)) == 1
    agree(program, normal(4, 6, 6, 1), normal(3, 3, 1, 3), normal(4, 6, 6, 3))


def test_a_nest_that_reads_two_values_of_one_kernel_reads_them_from_memory() -> None:
    body = (f"h: f32[b, 6, 6, 3] = conv2d(x, w); r: f32[b, 6, 6, 3] = relu(h); t: f32[b, 6, 6, 3] = tanh(h); "
            f"d: f32[b, 6, 6, 3] = avg_pool_grad(r, t, {OVERLAPPING})")  # fmt: skip
    program = text(body, "x: f32[b, 6, 6, 1], w: f32[3, 3, 1, 3]", "d")
    agree(program, normal(4, 6, 6, 1), normal(3, 3, 1, 3))


def test_no_nest_overwrites_what_another_one_reads() -> None:
    """The old value is added in the convolution's loops, the new one comes from the pool's; in one nest's loops the update is made in place."""
    body = (f"h: f32[1, 4, 4, 3] = conv2d(x, w); r: f32[1, 4, 4, 3] = add(h, c); t: f32[1, 4, 4, 3] = avg_pool(r, {POOL.replace('2, 2', '1, 1')}); "
            "u: f32[1, 4, 4, 3] = add(t, {}); c[...] = u")  # fmt: skip
    params = "x: f32[1, 4, 4, 1], w: f32[1, 1, 1, 3], c: f32[1, 4, 4, 3]"
    assert "inout" not in only_kernel(text(body.format("t"), params, "t"))
    apart = body.replace("add(h, c)", "add(h, h)").format("c")
    assert "c: inout(" in only_kernel(text(apart, params, "t"))
    for program in (text(body.format("t"), params, "t"), text(apart, params, "t")):
        f, args = parse_function(program), [normal(1, 4, 4, 1), normal(1, 1, 1, 3), normal(1, 4, 4, 3)]
        given = [a.copy() for a in args]
        found = [*build(f).run(given), given[2]]
        for mine, wanted in zip(found, interpret(f, args), strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("program", [pooled_conv(), spread_gradient()])
def test_a_gpu_runs_the_nests_one_after_the_other(program: str) -> None:
    (call,) = (n for n in optimize(parse_function(program)).nodes if n.op.name == "call")
    launches = schedule_cuda.schedule(call.attrs["function"])
    names = [b.name for b in launches[0].kernel.buffers]
    assert len(launches) >= 3 and len(set(names)) == len(names)
    assert all([b.name for b in launch.kernel.buffers] == names for launch in launches)
    (made,) = (name for name in names if name.endswith("_part"))
    assert sum(f"{made}[" in print_kernel(launch.kernel) for launch in launches) >= 2, "one makes it, others read it"


@st.composite
def networks(draw: st.DrawFn) -> Function:
    """Images through convolutions, pools, what spreads over windows, sweeps and gradients to filters; any of these may be a result."""
    b, size, channels = Builder("f"), draw(st.integers(1, 9)), draw(st.sampled_from([1, 3, 17]))
    x = b.param("x", TensorType(F32, (Sym.named("b"), size, size, channels)))
    images, others = [x], []

    def pool(v: Node) -> dict:
        window = draw(st.integers(1, min(3, v.tensor.dims[1])))
        return {"ksize": (window, window), "strides": (draw(st.integers(1, 3)),) * 2, "padding": draw(st.sampled_from(["SAME", "VALID"]))}

    for number in range(draw(st.integers(2, 9))):
        v = images[-1] if draw(st.booleans()) else draw(st.sampled_from(images))
        height, width, depth = v.tensor.dims[1:]
        kind = draw(st.sampled_from(["conv", "conv", "bias", "relu", "max", "mean", "mean back", "spread", "gradient"]))
        if kind == "conv":
            w = b.param(f"w{number}", TensorType(F32, (3, 3, depth, draw(st.sampled_from([1, 5, 33])))))
            images.append(b.apply("tanh", b.apply("conv2d", v, w)) if draw(st.booleans()) else b.apply("conv2d", v, w))
        elif kind == "bias":
            images.append(b.apply("add", v, b.param(f"c{number}", TensorType(F32, (depth,)))))
        elif kind == "relu":
            images.append(b.apply("relu", v))
        elif kind in ("max", "mean"):
            images.append(b.apply("max_pool" if kind == "max" else "avg_pool", v, **pool(v)))
        elif kind == "mean back":
            attrs = pool(v)
            y = b.apply("avg_pool", v, **attrs)
            turn = b.param(f"t{number}", TensorType(F32, (3, 3, depth, depth)))
            images.append(b.apply("avg_pool_grad", b.apply("conv2d", y, turn), v, **attrs))
        elif kind == "spread":
            attrs = pool(v)
            place, y = b.apply("max_pool_place", v, **attrs), b.apply("max_pool", v, **attrs)
            images.append(b.apply("max_pool_spread", place, b.apply("tanh", y), height=height, width=width, **attrs))
        else:
            w = b.param(f"w{number}", TensorType(F32, (3, 3, channels, depth)))
            if v.tensor.dims[1:3] == x.tensor.dims[1:3]:
                others.append(b.apply("conv2d_filter_grad", x, v, w))
    made = [*images[1:], *others] or [b.apply("relu", x)]
    return b.finish(draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True)))


def check_network(f: Function, batch: int, seed: int) -> None:
    g = np.random.default_rng(seed)
    args = [(g.standard_normal([batch if isinstance(d, Sym) else d for d in p.tensor.dims]) * 0.5).astype(np.float32) for p in f.params]
    want = interpret(f, args)
    one, many = (run(f, args, "cpu", threads) for threads in (1, 3))
    agree_with(f, one, want)
    assert all(same_bits(a, b) for a, b in zip(one, many, strict=True))


@settings(max_examples=15, deadline=None, phases=PHASES)
@given(networks(), st.integers(1, 9), st.integers(0, 2**16))
def test_networks_mean_what_their_ops_mean(f: Function, batch: int, seed: int) -> None:
    check_network(f, batch, seed)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, phases=PHASES)
@given(networks(), st.integers(1, 9), st.integers(0, 2**16))
def test_many_networks_mean_what_their_ops_mean(f: Function, batch: int, seed: int) -> None:
    check_network(f, batch, seed)
