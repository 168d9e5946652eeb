"""Convolution at frequencies: its loops against the definition, whatever the image, the batch and the channels, and how exact it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from flowc import config
from flowc.ir.dims import Sym, substitute
from flowc.ir.function import Builder
from flowc.ir.op import OPS
from flowc.ir.text import parse_function
from flowc.ir.types import F32, TensorType
from flowc.lower.program import plan
from flowc.ops.fourier import Circle, Fourier
from flowc.ops.frequencies import Seen
from flowc.ops.transformed import LEAST_GAIN
from flowc.ops.windows import window_axes, window_axis
from flowc.runtime.executable import Executable, build
from flowc.transforms.pipeline import optimize
from tests.loop_evaluator import traced_nest
from tests.ops.test_conv_pool import conv_case, tiles
from tests.ops.test_winograd import CONV, values

BATCHED = {"conv2d": (True, False), "conv2d_input_grad": (False, True, True), "conv2d_filter_grad": (True, True, False)}


@pytest.fixture(autouse=True)
def _asked() -> Iterator[None]:
    with config.override(convolution="fourier"):
        yield


@pytest.mark.parametrize(
    ("size", "window", "padding", "expected"),
    [
        (14, 5, "SAME", Circle(5, 14, Seen(2, 14), Seen(0, 14))),  # 2 zeros come round, as those before and those after
        (15, 5, "SAME", Circle(5, 12, Seen(0, 16), Seen(0, 12))),  # one pixel more, and the padding would have to be 1 wide
        (16, 5, "VALID", Circle(5, 12, Seen(0, 16), Seen(0, 12))),
        (11, 4, "VALID", Circle(4, 8, Seen(0, 11), Seen(0, 8))),
        (40, 7, "SAME", Circle(7, 10, Seen(0, 16), Seen(0, 10))),
        (9, 15, "SAME", Circle(15, 9, Seen(7, 9), Seen(0, 9))),
        (9, 16, "SAME", Circle(16, 1, Seen(0, 16), Seen(0, 1))),
        (20, 16, "SAME", Circle(16, 1, Seen(0, 16), Seen(0, 1))),
        (20, 17, "SAME", None),
    ],
)
def test_an_image_fits_into_a_tile_where_only_its_padding_comes_round(size: int, window: int, padding: str, expected: Circle | None) -> None:
    assert Circle.of(window_axis("conv2d", size, window, 1, 1, padding)) == expected


def typed(arrays: list[np.ndarray], batched: tuple[bool, ...]) -> list[TensorType]:
    return [TensorType(F32, (Sym.named("n"), *a.shape[1:]) if batch else a.shape) for a, batch in zip(arrays, batched, strict=True)]


def compiled(name: str, arrays: list[np.ndarray], attrs: dict) -> Executable:
    """With the batch known at run time."""
    b = Builder(name)
    operands = [b.param(f"x{i}", type) for i, type in enumerate(typed(arrays, BATCHED[name]))]
    return build(b.finish([b.apply(name, *operands, **attrs)]))


@pytest.mark.parametrize("name", CONV)
@pytest.mark.parametrize("batch", [1, 9])
def test_the_loops_follow_the_definition(name: str, batch: int) -> None:
    """As their own meaning, element by element: one image by Winograd's few tiles, or the direct sum, more of them by frequencies."""
    arrays, attrs, wanted = conv_case(name, ((batch, 13, 14, 8), (5, 5, 8, 9), (1, 1), "SAME", (1, 1)), "float32")
    with config.override(convolution="auto"):
        found, times, statements = traced_nest(OPS[name], arrays, attrs, typed(arrays, BATCHED[name]), {"n": batch})
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=(1e-5 if batch == 1 and name == "conv2d" else 2e-6) * np.abs(wanted).max())
    assert (times == 1).all(), "each element is written once, whichever way"
    is_gradient = name != "conv2d"
    assert sum(not t.is_single for t in tiles(statements)) == (1 if is_gradient else 2) and any(t.is_single for t in tiles(statements)) == is_gradient


GEOMETRIES = [
    # images, filter, padding
    ((5, 14, 14, 8), (5, 5, 8, 16), "SAME"),
    ((13, 14, 14, 32), (5, 5, 32, 64), "SAME"),  # blocks of channels, groups of tiles
    ((3, 12, 13, 33), (4, 5, 33, 40), "VALID"),  # an even window, blocks that zeros fill
    ((2, 20, 17, 9), (7, 7, 9, 8), "SAME"),  # tiles overlap
    ((2, 13, 40, 8), (5, 9, 8, 17), "SAME"),  # along one axis
    ((1, 23, 31, 70), (9, 7, 70, 10), "VALID"),
    ((2, 24, 24, 8), (13, 13, 8, 8), "SAME"),
    ((2, 3, 2, 8), (3, 3, 8, 8), "SAME"),  # does not pay, but is asked for
]


@pytest.mark.parametrize("name", CONV)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_the_compiled_loops_follow_the_definition(name: str, geometry: tuple) -> None:
    x, filter, padding = geometry
    arrays, attrs, wanted = conv_case(name, (x, filter, (1, 1), padding, (1, 1)), "float32")
    executable = compiled(name, arrays, attrs)
    assert "Fourier" in executable.kernels[0].how
    np.testing.assert_allclose(executable.run(arrays)[0], wanted, rtol=1e-4, atol=2e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("name", CONV)
def test_any_batch_has_the_same_answer_on_any_number_of_threads(name: str) -> None:
    """From none to several groups of tiles, with one kernel; an image's own results do not depend on those beside it."""
    arrays, attrs, _ = conv_case(name, ((30, 14, 14, 8), (5, 5, 8, 16), (1, 1), "SAME", (1, 1)), "float32")
    executables = {}
    for threads in (1, 3):
        with config.override(threads=threads, convolution="auto"):
            executables[threads] = compiled(name, arrays, attrs)
    whole = executables[1].run(arrays)[0]
    few = 8 if name == "conv2d" else 3  # images by Winograd's tiles, whose error is larger, or summed directly
    for batch in (0, 1, 3, 4, 8, 9, 12, 13, 30):
        some = [a[:batch] if batched else a for a, batched in zip(arrays, BATCHED[name], strict=True)]
        with config.override(threads=3):
            found = executables[3].run(some)[0]
        np.testing.assert_array_equal(found, executables[1].run(some)[0])
        exact = OPS[name].eval(*(a.astype(np.float64) for a in some), **attrs)
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=(1e-5 if batch <= few and name == "conv2d" else 2e-6) * np.abs(exact).max(initial=0))
        if name != "conv2d_filter_grad" and batch > few:
            np.testing.assert_array_equal(found, whole[:batch])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "activations", "unit", "bytes", "offset"])
@pytest.mark.parametrize(("r", "ci", "co", "size"), [(5, 16, 16, 14), (5, 64, 32, 14), (5, 300, 16, 14), (7, 32, 64, 28), (11, 16, 32, 20)])
def test_the_error_is_within_a_millionth_of_the_largest_result(kind: str, r: int, ci: int, co: int, size: int) -> None:
    """For the three products of a layer with He's weights, against sums in float64: ten times less than is asked for."""
    x = values(kind, (8, size, size, ci), 0)
    w = (np.random.default_rng(1).standard_normal((r, r, ci, co)) * np.sqrt(2 / (r * r * ci))).astype(np.float32)
    ct = values("gradient", (8, size, size, co), 2)
    attrs = {"strides": (1, 1), "padding": "SAME", "dilations": (1, 1)}
    for name, arrays in (("conv2d", [x, w]), ("conv2d_input_grad", [w, ct, x]), ("conv2d_filter_grad", [x, ct, w])):
        executable = compiled(name, arrays, attrs)
        assert "Fourier" in executable.kernels[0].how
        exact = OPS[name].eval(*(a.astype(np.float64) for a in arrays), **attrs)
        assert np.abs(executable.run(arrays)[0] - exact).max() <= 1e-6 * np.abs(exact).max(), name


@pytest.mark.parametrize(("op", "workspaces"), [("conv2d", 1), ("conv2d_input_grad", 2), ("conv2d_filter_grad", 1)])
def test_nothing_in_memory_grows_with_the_batch(op: str, workspaces: int) -> None:
    """Transformed weights, the filter turned around, parts of the gradient; of what small batches take nothing is left."""
    override = config.override(convolution="auto")
    x, filter, ct = "f32[b, 14, 14, 32]", "f32[5, 5, 32, 64]", "f32[b, 14, 14, 64]"
    operands = {"conv2d": "x, f", "conv2d_input_grad": "f, ct, x", "conv2d_filter_grad": "x, ct, f"}[op]
    result = {"conv2d": ct, "conv2d_input_grad": x, "conv2d_filter_grad": filter}[op]
    f = parse_function(f"def main(x: {x}, f: {filter}, ct: {ct}):\n    y: {result} = {op}({operands})\n    return y\n")
    with override:
        (kernel,) = plan(optimize(f)).kernels
    assert f"for fewer than {9 if op == 'conv2d' else 4} images" in kernel.how
    sizes = [substitute(buffer.size, {"b": 10_000}) for buffer in kernel.buffers if buffer.role == "workspace"]
    assert sum(size > 0 for size in sizes) == workspaces and all(size < 3_000_000 for size in sizes)


def test_what_it_costs_grows_with_channels_that_leave_no_room_for_tiles() -> None:
    costs = []
    for channels in (32, 64, 256, 512):
        method = Fourier.of(window_axes("conv2d", (14, 14), (5, 5), (1, 1), "SAME"), (channels, channels))
        assert method is not None
        costs.append(method.cost)
    assert costs == sorted(costs) and costs[-1] * LEAST_GAIN > 4900 > costs[0]
    assert Fourier.of(window_axes("conv2d", (14, 14), (5, 5), (1, 1), "SAME"), (513, 32)) is None
