"""Convolutions and pools: `eval` against the definition, the loops against `eval`, types and errors."""

import itertools

import numpy as np
import pytest

from flowc.config import override
from flowc.errors import ShapeError
from flowc.ir import loop_walks, loops
from flowc.ir.dims import Sym
from flowc.ir.op import OPS
from flowc.ir.text import parse_function
from flowc.ir.types import F32, U8, TensorType, as_dtype
from flowc.lower.count import count
from flowc.lower.program import plan
from flowc.ops.direct import ACROSS, ALONG, LEAST_IMAGES
from flowc.runtime.executable import build
from flowc.transforms.pipeline import optimize
from tests.loop_evaluator import run_nest, traced_nest

CONV = ("conv2d", "conv2d_input_grad", "conv2d_filter_grad")
NESTS = ("max_pool", "max_pool_place", "max_pool_spread", "max_pool_take", "avg_pool", "avg_pool_grad")
POOLS = (*NESTS, "max_pool_grad", "max_pool_gather")  # the last two are made of others


# the definitions, an element at a time


def places(size, window, stride, dilation, padding):
    """(number of windows, rows of padding before the first element), as TensorFlow documents them."""
    reach = (window - 1) * dilation + 1
    if padding == "VALID":
        return -(-(size - reach + 1) // stride), 0
    count = -(-size // stride)
    return count, max((count - 1) * stride + reach - size, 0) // 2


def windows(x_shape, window, strides, padding, dilations=(1, 1)):
    """For each window (row, column), the real elements in it: (offset, place) pairs of (row, column)."""
    axes = [places(n, k, s, d, padding) for n, k, s, d in zip(x_shape[1:3], window, strides, dilations, strict=True)]
    for place in itertools.product(*(range(many) for many, _ in axes)):
        found = []
        for offset in itertools.product(*(range(k) for k in window)):
            at = tuple(p * s + o * d - before for p, s, o, d, (_, before) in zip(place, strides, offset, dilations, axes, strict=True))
            if all(0 <= a < n for a, n in zip(at, x_shape[1:3], strict=True)):
                found.append((offset, at))
        yield place, found


def result_shape(x_shape, window, strides, padding, channels, dilations=(1, 1)):
    return (x_shape[0], *(places(n, k, s, d, padding)[0] for n, k, s, d in zip(x_shape[1:3], window, strides, dilations, strict=True)), channels)


def defined_conv2d(x, f, strides, padding, dilations):
    y = np.zeros(result_shape(x.shape, f.shape[:2], strides, padding, f.shape[3], dilations), np.float64)
    for (row, column), elements in windows(x.shape, f.shape[:2], strides, padding, dilations):
        for offset, (i, j) in elements:
            y[:, row, column] += x[:, i, j].astype(np.float64) @ f[offset].astype(np.float64)
    return y


def defined_grads(x, f, ct, strides, padding, dilations):
    to_x, to_f = np.zeros(x.shape), np.zeros(f.shape)
    for (row, column), elements in windows(x.shape, f.shape[:2], strides, padding, dilations):
        for offset, (i, j) in elements:
            to_x[:, i, j] += ct[:, row, column].astype(np.float64) @ f[offset].astype(np.float64).T
            to_f[offset] += x[:, i, j].astype(np.float64).T @ ct[:, row, column].astype(np.float64)
    return to_x, to_f


GEOMETRIES = [
    # images, filter, strides, padding, dilations
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), "SAME", (1, 1)),
    ((2, 5, 7, 3), (3, 3, 3, 5), (1, 1), "SAME", (1, 1)),
    ((2, 5, 7, 3), (3, 3, 3, 5), (1, 1), "VALID", (1, 1)),
    ((1, 6, 5, 1), (5, 5, 1, 17), (1, 1), "SAME", (1, 1)),
    ((2, 4, 4, 2), (2, 4, 2, 3), (1, 1), "SAME", (1, 1)),
    ((2, 3, 17, 2), (1, 1, 2, 18), (1, 1), "SAME", (1, 1)),
    ((1, 7, 6, 2), (3, 2, 2, 3), (2, 2), "SAME", (1, 1)),
    ((1, 7, 8, 2), (3, 2, 2, 3), (2, 3), "VALID", (1, 1)),
    ((1, 5, 5, 2), (1, 1, 2, 3), (3, 2), "SAME", (1, 1)),
    ((1, 7, 7, 1), (2, 2, 1, 2), (3, 3), "SAME", (1, 1)),
    ((1, 7, 9, 2), (3, 2, 2, 3), (1, 1), "SAME", (2, 3)),
    ((1, 8, 9, 1), (2, 3, 1, 2), (2, 1), "VALID", (2, 2)),
    ((19, 3, 2, 1), (2, 2, 1, 2), (1, 1), "SAME", (1, 1)),
    ((1, 2, 16, 1), (1, 3, 1, 33), (1, 1), "SAME", (1, 1)),
    ((9, 5, 4, 8), (3, 3, 8, 19), (1, 1), "SAME", (1, 1)),  # from here on across images, where there is padding
    ((30, 6, 5, 4), (5, 5, 4, 3), (2, 1), "SAME", (1, 1)),
    ((8, 4, 6, 11), (3, 2, 11, 7), (1, 1), "VALID", (1, 1)),
    ((57, 2, 1, 8), (4, 3, 8, 5), (1, 2), "SAME", (1, 1)),
]
IDS = ["-".join("x".join(map(str, p)) if isinstance(p, tuple) else p for p in g) for g in GEOMETRIES]


def conv_case(name, geometry, dtype):
    x_shape, f_shape, strides, padding, dilations = geometry
    attrs = {"strides": strides, "padding": padding, "dilations": dilations}
    g = np.random.default_rng(5)
    x, f = g.standard_normal(x_shape).astype(dtype), g.standard_normal(f_shape).astype(dtype)
    y = defined_conv2d(x, f, **attrs)
    ct = g.standard_normal(y.shape).astype(dtype)
    if name == "conv2d":
        return [x, f], attrs, y
    to_x, to_f = defined_grads(x, f, ct, **attrs)
    return ([f, ct, x], attrs, to_x) if name == "conv2d_input_grad" else ([x, ct, f], attrs, to_f)


def symbolic(arrays, axes=range(4)):
    """Every extent above 1 of these axes as a symbol of its own length."""
    extents = {f"n{n}": n for a in arrays for n in a.shape if n > 1}
    shapes = [tuple(Sym.named(f"n{n}") if n > 1 and axis in axes else n for axis, n in enumerate(a.shape)) for a in arrays]
    return [TensorType(as_dtype(a.dtype), shape) for a, shape in zip(arrays, shapes, strict=True)], extents


def tiles(statements):
    found = [s for s in statements if isinstance(s, loops.Tile)]
    return found + [t for s in statements for inner in loop_walks.children(s) for t in tiles(inner)]


@pytest.mark.parametrize("name", CONV)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=IDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_the_loops_follow_the_definition_of_convolution(name, geometry, dtype):
    arrays, attrs, wanted = conv_case(name, geometry, dtype)
    value = OPS[name].eval(*arrays, **attrs)
    assert value.dtype == dtype and value.flags.c_contiguous
    np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-4)
    found, times, _ = traced_nest(OPS[name], arrays, attrs)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert (times == 1).all(), "each element is written once"


@pytest.mark.parametrize("name", CONV)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=IDS)
def test_the_loops_of_convolution_take_extents_at_run_time(name, geometry):
    arrays, attrs, wanted = conv_case(name, geometry, "float32")
    np.testing.assert_allclose(run_nest(OPS[name], arrays, attrs, *symbolic(arrays)), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CONV)
def test_half_precision_convolves_in_plain_loops(name):
    arrays, attrs, wanted = conv_case(name, GEOMETRIES[1], "float16")
    found, _, statements = traced_nest(OPS[name], arrays, attrs)
    np.testing.assert_allclose(found, wanted, rtol=4e-3, atol=4e-3)
    assert not tiles(statements)


@pytest.mark.parametrize("name", CONV)
def test_an_empty_batch_gives_nothing_or_zeros(name):
    arrays, attrs, _ = conv_case(name, GEOMETRIES[1], "float32")
    empty = [a[:0] if a.shape[0] == 2 else a for a in arrays]
    value = OPS[name].eval(*empty, **attrs)
    np.testing.assert_array_equal(run_nest(OPS[name], empty, attrs), value)
    assert not value.any()


@pytest.mark.parametrize("name", CONV)
def test_strides_of_one_become_register_tiles(name):
    arrays, attrs, _ = conv_case(name, GEOMETRIES[1], "float32")
    assert len(tiles(traced_nest(OPS[name], arrays, attrs)[2])) == 1


@pytest.mark.parametrize(("op", "rows", "columns"), [("conv2d", 24, 30), ("conv2d_input_grad", 24, 30), ("conv2d_filter_grad", 24, 24)])
def test_sums_leave_out_rows_of_padding_and_those_over_places_columns_too(op, rows, columns):
    """A window of 5 has 24 elements inside over the 6 places of a row of 6; a tile's places in a row share the columns of their windows."""
    x, filter, ct = "f32[3, 6, 6, 8]", "f32[5, 5, 8, 16]", "f32[3, 6, 6, 16]"
    operands = {"conv2d": "x, f", "conv2d_input_grad": "f, ct, x", "conv2d_filter_grad": "x, ct, f"}[op]
    result = {"conv2d": ct, "conv2d_input_grad": x, "conv2d_filter_grad": filter}[op]
    f = parse_function(f"def main(x: {x}, f: {filter}, ct: {ct}):\n    y: {result} = {op}({operands})\n    return y\n")
    with override(convolution="direct"):
        (kernel,) = plan(optimize(f)).kernels
    assert count(kernel, {}).flops - (3 * 25 * 8 * 16 if op == "conv2d_filter_grad" else 0) == 2 * 3 * rows * columns * 8 * 16  # the batch's parts join


@pytest.mark.parametrize(("op", "rows", "columns"), [("conv2d", 24, 24), ("conv2d_input_grad", 24, 24)])
def test_sums_across_images_leave_out_columns_of_padding_too(op, rows, columns):
    x, filter, ct = f"f32[{LEAST_IMAGES}, 6, 6, 8]", "f32[5, 5, 8, 16]", f"f32[{LEAST_IMAGES}, 6, 6, 16]"
    operands, result = {"conv2d": ("x, f", ct), "conv2d_input_grad": ("f, ct, x", x)}[op]
    f = parse_function(f"def main(x: {x}, f: {filter}, ct: {ct}):\n    y: {result} = {op}({operands})\n    return y\n")
    with override(convolution="direct"):
        (kernel,) = plan(optimize(f)).kernels
    assert count(kernel, {}).flops == 2 * LEAST_IMAGES * rows * columns * 8 * 16
    assert not any("padded" in buffer.name for buffer in kernel.buffers), "no image is copied"


@pytest.mark.parametrize("strides", ["1, 1", "2, 1"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_batch_known_at_run_time_has_loops_for_few_images_and_for_many_with_the_same_bits(dtype, strides):
    """An image's result is the same in any batch."""
    text = f"def main(x: {dtype}[b, 7, 6, 8], f: {dtype}[3, 3, 8, 20]):\n    y: {dtype}[b, RESULT, 20] = conv2d(x, f, strides=({strides}))\n    return y\n"
    with override(convolution="direct"):
        program = build(parse_function(text.replace("RESULT", "7, 6" if strides == "1, 1" else "4, 6")))
    (kernel,) = program.kernels
    assert kernel.how.startswith(f"{ACROSS}; for fewer than {LEAST_IMAGES} images {ALONG}")
    rng = np.random.default_rng(4)
    x, filter = (rng.standard_normal(shape).astype(dtype.replace("f", "float")) for shape in ((61, 7, 6, 8), (3, 3, 8, 20)))
    whole = program.run([x, filter])[0]
    np.testing.assert_allclose(whole, defined_conv2d(x, filter, tuple(map(int, strides.split(", "))), "SAME", (1, 1)), rtol=1e-4, atol=1e-4)
    for images in (0, 1, LEAST_IMAGES - 1, LEAST_IMAGES, 28, 29, 56):
        np.testing.assert_array_equal(program.run([x[:images], filter])[0], whole[:images])


@pytest.mark.parametrize(("x", "filter", "attrs"), [
    ("f32[b, 7, 6, 8]", "f32[3, 3, 8, 20]", 'padding="VALID"'),  # nothing to leave out
    ("f32[b, 7, 6, 6]", "f32[3, 3, 6, 20]", ""),  # lines of a window are short
    ("f32[7, 7, 6, 8]", "f32[3, 3, 8, 20]", ""),  # few images
])  # fmt: skip
def test_other_sums_run_along_rows(x, filter, attrs):
    batch, shape = x[4:].split(",")[0], "5, 4" if attrs else "7, 6"
    text = f"def main(x: {x}, f: {filter}):\n    y: f32[{batch}, {shape}, 20] = conv2d(x, f, {attrs})\n    return y\n"
    with override(convolution="direct"):
        (kernel,) = plan(optimize(parse_function(text))).kernels
    assert kernel.how == ALONG


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("convolution", ["direct", "winograd", "fourier"])
@pytest.mark.parametrize(("operand", "at"), [(0, (0, 0, 3, 1)), (0, (1, 13, 13, 0)), (1, (0, 0, 1, 1)), (1, (2, 4, 1, 1)), (2, (1, 13, 0, 2))])
@pytest.mark.parametrize("batch", [2, LEAST_IMAGES])
@np.errstate(all="ignore")
def test_no_nan_or_infinity_is_lost(operand, at, batch, convolution, bad):
    """Whatever it takes part in is not finite. Direct sums of a pixel that is none give no more such results; elsewhere the zeros of the padding,
    and the other pixels of a tile, may meet it as well."""
    arrays = [np.ones(shape, np.float32) for shape in ((batch, 14, 14, 8), (5, 5, 8, 16), (batch, 14, 14, 16))]
    arrays[operand][at] = bad
    x, filter, ct = (f"f32[{', '.join(map(str, a.shape))}]" for a in arrays)
    lines = f"y: {ct} = conv2d(x, f); g: {x} = conv2d_input_grad(f, ct, x); d: {filter} = conv2d_filter_grad(x, ct, f); return y, g, d".split("; ")
    f = parse_function(f"def main(x: {x}, f: {filter}, ct: {ct}):\n" + "".join(f"    {line}\n" for line in lines))
    with override(convolution=convolution):
        found = build(f).run(arrays)
    geometry = ((1, 1), "SAME", (1, 1))
    for got, wanted in zip(found, (defined_conv2d(*arrays[:2], *geometry), *defined_grads(*arrays, *geometry)), strict=True):
        lost, more = np.isfinite(got) & ~np.isfinite(wanted), ~np.isfinite(got) & np.isfinite(wanted)
        assert not lost.any()
        assert not more.any() or operand != 0 or convolution != "direct"


def test_no_padding_copies_no_image():
    arrays, attrs, _ = conv_case("conv2d", GEOMETRIES[2], "float32")
    _, _, statements = traced_nest(OPS["conv2d"], arrays, attrs)
    assert len(statements) == 1 and tiles(statements)[0].a == "x0"


def test_a_window_of_one_makes_one_row_of_the_whole_image():
    arrays, attrs, _ = conv_case("conv2d", GEOMETRIES[5], "float32")
    (tile,) = tiles(traced_nest(OPS["conv2d"], arrays, attrs)[2])
    assert tile.block[0] == 16, "51 places in 4 tiles"


# pools

POOL_GEOMETRIES = [
    # images, window, strides, padding
    ((1, 1, 1, 1), (1, 1), (1, 1), "SAME"),
    ((2, 4, 6, 3), (2, 2), (2, 2), "SAME"),
    ((2, 4, 6, 3), (2, 2), (2, 2), "VALID"),
    ((1, 5, 7, 2), (2, 2), (2, 2), "SAME"),
    ((1, 5, 7, 2), (2, 2), (2, 2), "VALID"),
    ((2, 7, 5, 3), (3, 2), (2, 1), "VALID"),
    ((1, 7, 5, 2), (3, 3), (2, 2), "SAME"),
    ((1, 6, 6, 2), (3, 3), (3, 3), "VALID"),
    ((1, 7, 7, 1), (3, 3), (3, 3), "SAME"),
    ((1, 8, 7, 1), (2, 2), (3, 3), "VALID"),
    ((1, 8, 7, 1), (1, 2), (2, 3), "SAME"),
    ((1, 7, 6, 2), (5, 4), (1, 1), "SAME"),
    ((1, 5, 6, 2), (5, 6), (1, 1), "VALID"),
    ((1, 10, 5, 1), (5, 5), (5, 5), "SAME"),
]
POOL_IDS = ["-".join("x".join(map(str, p)) if isinstance(p, tuple) else p for p in g) for g in POOL_GEOMETRIES]


def pool_case(name, geometry, dtype, x=None):
    x_shape, window, strides, padding = geometry
    attrs = {"ksize": window, "strides": strides, "padding": padding}
    g = np.random.default_rng(8)
    x = g.integers(-3, 4, x_shape).astype(dtype) if x is None else x  # many equal elements: the first one counts
    y_shape = result_shape(x_shape, window, strides, padding, x_shape[3])
    ct, v = g.standard_normal(y_shape).astype(dtype), g.standard_normal(x_shape).astype(dtype)
    largest, mean, gathered, place = (np.zeros(y_shape) for _ in range(4))
    to_max, to_mean = np.zeros(x_shape), np.zeros(x_shape)
    for (row, column), elements in windows(x_shape, window, strides, padding):
        mean[:, row, column] = sum(x[:, i, j].astype(np.float64) for _, (i, j) in elements) / len(elements)
        for _, (i, j) in elements:
            to_mean[:, i, j] += ct[:, row, column] / np.float64(len(elements))
        for n, c in itertools.product(range(x_shape[0]), range(x_shape[3])):
            line = np.array([x[n, i, j, c] for _, (i, j) in elements])
            first = int(np.argmax(line))
            (up, left), (i, j) = elements[first]
            place[n, row, column, c] = up * window[1] + left
            largest[n, row, column, c] = line[first]
            gathered[n, row, column, c] = v[n, i, j, c]
            to_max[n, i, j, c] += ct[n, row, column, c]
    y, at = largest.astype(dtype), place.astype(np.uint8)
    sizes = {"height": x_shape[1], "width": x_shape[2]}
    return {
        "max_pool": ([x], attrs, largest), "max_pool_grad": ([x, y, ct], attrs, to_max), "max_pool_gather": ([x, y, v], attrs, gathered),
        "max_pool_place": ([x], attrs, place), "max_pool_spread": ([at, ct], {**attrs, **sizes}, to_max),
        "max_pool_take": ([at, v], {**attrs, **sizes}, gathered),
        "avg_pool": ([x], attrs, mean), "avg_pool_grad": ([ct, x], attrs, to_mean),
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("geometry", POOL_GEOMETRIES, ids=POOL_IDS)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_numpy_and_the_loops_follow_the_definition_of_pooling(name, geometry, dtype):
    arrays, attrs, wanted = pool_case(name, geometry, dtype)
    tolerance = {"float16": 4e-3, "float32": 1e-5, "float64": 1e-12}[dtype]
    value = OPS[name].eval(*arrays, **attrs)
    assert value.dtype == ("uint8" if name == "max_pool_place" else dtype)
    np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=tolerance)
    if name in NESTS:
        np.testing.assert_allclose(run_nest(OPS[name], arrays, attrs), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NESTS)
@pytest.mark.parametrize("geometry", POOL_GEOMETRIES, ids=POOL_IDS)
def test_the_loops_of_pooling_take_extents_at_run_time(name, geometry):
    arrays, attrs, wanted = pool_case(name, geometry, "float32")
    axes = (0, 3) if name in ("max_pool_spread", "max_pool_take") else range(4)  # whose attributes say how high and wide the images are
    np.testing.assert_allclose(run_nest(OPS[name], arrays, attrs, *symbolic(arrays, axes)), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["max_pool_spread", "avg_pool_grad"])
@pytest.mark.parametrize("geometry", POOL_GEOMETRIES, ids=POOL_IDS)
def test_each_element_of_a_pools_gradient_is_written_once(name, geometry):
    arrays, attrs, _ = pool_case(name, geometry, "float32")
    assert (traced_nest(OPS[name], arrays, attrs)[1] == 1).all()


@pytest.mark.parametrize("geometry", POOL_GEOMETRIES, ids=POOL_IDS)
@pytest.mark.parametrize("name", ["max_pool", "max_pool_place", "max_pool_grad", "max_pool_gather"])
def test_nan_is_the_maximum_of_its_window_and_takes_its_gradient(name, geometry):
    g = np.random.default_rng(2)
    x = g.integers(-3, 4, geometry[0]).astype(np.float32)
    x[g.random(x.shape) < 0.2] = np.nan
    arrays, attrs, wanted = pool_case(name, geometry, "float32", x)
    np.testing.assert_allclose(OPS[name].eval(*arrays, **attrs), wanted, rtol=1e-5, atol=1e-6)
    if name in NESTS:
        np.testing.assert_allclose(run_nest(OPS[name], arrays, attrs), wanted, rtol=1e-5, atol=1e-6)


def test_windows_of_minus_infinity_give_their_gradient_to_a_real_element():
    x = np.full((1, 3, 3, 1), -np.inf, np.float32)
    attrs = {"ksize": (3, 3), "strides": (2, 2), "padding": "SAME"}
    y = OPS["max_pool"].eval(x, **attrs)
    ct = np.ones_like(y)
    value = OPS["max_pool_grad"].eval(x, y, ct, **attrs)
    assert value.sum() == ct.sum()
    place = run_nest(OPS["max_pool_place"], [x], attrs)
    np.testing.assert_array_equal(run_nest(OPS["max_pool_spread"], [place, ct], {**attrs, "height": 3, "width": 3}), value)


def test_whole_numbers_have_maxima():
    x = np.arange(-20, 5, dtype=np.int32).reshape(1, 5, 5, 1)[:, ::-1]
    attrs = {"ksize": (3, 3), "strides": (2, 2), "padding": "SAME"}
    value = OPS["max_pool"].eval(x, **attrs)
    assert value.dtype == np.int32
    np.testing.assert_array_equal(run_nest(OPS["max_pool"], [x], attrs), value)


def test_windows_that_share_nothing_need_no_scratch_memory():
    types = [TensorType(dtype, (Sym.named("b"), 7, 7, 8)) for dtype in (U8, F32)]
    attrs = {"ksize": (2, 2), "strides": (2, 2), "padding": "VALID", "height": 14, "width": 14}
    plan = OPS["max_pool_spread"].lowering.build(["place", "ct"], "out", types, TensorType(F32, (Sym.named("b"), 14, 14, 8)), attrs)
    assert not plan.workspaces and len(plan.statements) == 1


# types and errors


def typed(name, *shapes, **attrs):
    return OPS[name].result_type(tuple(TensorType(F32, s) for s in shapes), OPS[name].complete(attrs))


B, H = Sym.named("b"), Sym.named("h")


@pytest.mark.parametrize(
    ("attrs", "wanted"),
    [
        ({}, "f32[b, h, 28, 8]"),
        ({"strides": (2, 2)}, "f32[b, (h + 1)//2, 14, 8]"),
        ({"padding": "VALID"}, "f32[b, h - 4, 24, 8]"),
        ({"padding": "VALID", "strides": (2, 2)}, "f32[b, ((h - 5)//2) + 1, 12, 8]"),
        ({"padding": "VALID", "dilations": (2, 2)}, "f32[b, h - 8, 20, 8]"),
    ],
)
def test_extents_of_a_convolution_stay_symbolic(attrs, wanted):
    assert str(typed("conv2d", (B, H, 28, 3), (5, 5, 3, 8), **attrs)) == wanted


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "message"),
    [
        ("conv2d", ((2, 5, 5, 3), (3, 3, 4, 8)), {}, "conv2d: input has 3 channels, filter wants 4"),
        ("conv2d", ((5, 5, 3), (3, 3, 3, 8)), {}, r"conv2d: the input has shape \[5, 5, 3\], \[batch, height, width, channels\] is expected"),
        ("conv2d", ((2, 5, 5, 3), (3, 3, 8)), {}, r"conv2d: the filter is f32\[3, 3, 8\], \[height, width, channels in, channels out\] is expected"),
        ("conv2d", ((2, 5, 5, 3), (3, 3, 3, 8)), {"padding": "same"}, "conv2d: padding is 'same', 'SAME' or 'VALID' is expected"),
        ("conv2d", ((2, 5, 5, 3), (3, 3, 3, 8)), {"strides": (0, 1)}, r"conv2d: strides \[0, 1\], two positive numbers are expected"),
        ("conv2d", ((2, 2, 5, 3), (3, 3, 3, 8)), {"padding": "VALID"}, "conv2d: a window of 3 does not fit into an extent of 2"),
        ("conv2d_input_grad", ((3, 3, 3, 8), (2, 4, 5, 8), (2, 5, 5, 3)), {}, "conv2d_input_grad: the cotangent and the convolution have shapes"),
        ("conv2d_filter_grad", ((2, 5, 5, 3), (2, 5, 5, 7), (3, 3, 3, 8)), {}, "conv2d_filter_grad: the cotangent and the convolution have shapes"),
        ("max_pool", ((5, 5),), {"ksize": (2, 2), "strides": (2, 2), "padding": "SAME"}, r"max_pool: the input has shape \[5, 5\]"),
        ("avg_pool", ((2, 5, 5, 1),), {"ksize": (6, 2), "strides": (2, 2), "padding": "VALID"}, "avg_pool: a window of 6 does not fit into an extent of 5"),
        ("avg_pool_grad", ((2, 2, 2, 1), (2, 5, 5, 1)), {"ksize": (2, 2), "strides": (2, 2), "padding": "SAME"}, "the cotangent and the pooled images"),
    ],
)
def test_operands_that_do_not_fit_are_an_error(name, shapes, attrs, message):
    with pytest.raises(ShapeError, match=message):
        typed(name, *shapes, **attrs)
