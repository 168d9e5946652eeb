"""Convolution with fewer multiplications: its matrices, its loops against the definition, when it is chosen, and how exact it is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from flowc import config
from flowc.ir.dims import Sym, substitute
from flowc.ir.function import Builder
from flowc.ir.op import OPS
from flowc.ir.text import parse_function
from flowc.ir.types import F32, F64, TensorType
from flowc.lower.program import plan
from flowc.ops import transformed, winograd, winograd_form
from flowc.runtime.executable import build
from flowc.transforms.pipeline import optimize
from tests.loop_evaluator import traced_nest
from tests.ops.test_conv_pool import conv_case

CONV = ("conv2d", "conv2d_input_grad", "conv2d_filter_grad")


@pytest.fixture
def _asked() -> Iterator[None]:
    with config.override(convolution="winograd"):
        yield


@pytest.mark.parametrize(("m", "r"), [(4, 5), (4, 3), (6, 3), (2, 3)])
def test_the_matrices_give_the_filtering_exactly(m: int, r: int) -> None:
    """In fractions: A^T [(G w) * (B^T d)] is the sliding sum, for unit vectors of w and d, and so for all."""
    f = winograd_form.form(m, r)
    for i in range(r):
        for j in range(f.n):
            weights, data = [f.filter[k][i] for k in range(f.n)], [f.data[k][j] for k in range(f.n)]
            found = [sum((row[k] * weights[k] * data[k] for k in range(f.n)), Fraction(0)) for row in f.back]
            assert found == [Fraction(int(place + i == j)) for place in range(m)]


@pytest.mark.parametrize("matrix", ["back", "filter", "data"])
def test_shared_parts_leave_the_sums_what_they_are(matrix: str) -> None:
    """`combine` against the plain product, by NumPy over the statements that it makes."""
    from flowc.ir.loops import Apply, Const, Var

    rows = getattr(winograd_form.form(4, 5), matrix)
    values = np.random.default_rng(0).normal(size=len(rows[0]))
    made, results = winograd_form.combine(rows, [Var(f"x{j}", F64) for j in range(len(values))], "t")
    known = {f"x{j}": v for j, v in enumerate(values)}
    count = 0

    def value(e: object) -> float:
        nonlocal count
        match e:
            case Var(name=name):
                return float(known[name])
            case Apply(function=function, args=(left, right)):
                count += 1
                a, b = value(left), value(right)
                return {"add": a + b, "sub": a - b, "mul": a * b}[function]
            case Const(value=number):
                return float(number)
        raise AssertionError(e)

    for let in made:
        known[let.name] = value(let.value)
    np.testing.assert_allclose([value(r) for r in results], np.array(rows, float) @ values, rtol=1e-12)
    plain = sum(2 * sum(1 for c in row if c) - 1 for row in rows)
    assert count < plain


GEOMETRIES = [
    # images, filter, strides, padding, dilations
    ((1, 8, 8, 8), (5, 5, 8, 8), (1, 1), "SAME", (1, 1)),
    ((2, 9, 7, 8), (5, 5, 8, 17), (1, 1), "SAME", (1, 1)),
    ((3, 11, 12, 9), (5, 5, 9, 8), (1, 1), "VALID", (1, 1)),
    ((2, 8, 7, 8), (3, 3, 8, 9), (1, 1), "SAME", (1, 1)),
    ((5, 10, 6, 8), (3, 3, 8, 8), (1, 1), "VALID", (1, 1)),
]


@pytest.mark.usefixtures("_asked")
@pytest.mark.parametrize("name", CONV)
@pytest.mark.parametrize("place", [0, 3])
def test_the_loops_follow_the_definition(name: str, place: int) -> None:
    """As their own meaning, element by element, with the batch known at run time."""
    arrays, attrs, wanted = conv_case(name, GEOMETRIES[place], "float32")
    batched = {"conv2d": (True, False), "conv2d_input_grad": (False, True, True), "conv2d_filter_grad": (True, True, False)}[name]
    types = [TensorType(F32, (Sym.named("n"), *a.shape[1:]) if batch else a.shape) for a, batch in zip(arrays, batched, strict=True)]
    found, times, statements = traced_nest(OPS[name], arrays, attrs, types, {"n": GEOMETRIES[place][0][0]})
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    assert (times == 1).all(), "each element is written once"
    assert uses_products(statements)


def compiled(name: str, arrays: list[np.ndarray], attrs: dict) -> np.ndarray:
    """The compiled kernel's result; the batch is a symbol."""
    b = Builder(name)
    operands = [b.param(f"x{i}", TensorType(F32, a.shape)) for i, a in enumerate(arrays)]
    return build(b.finish([b.apply(name, *operands, **attrs)])).run(arrays)[0]


@pytest.mark.usefixtures("_asked")
@pytest.mark.parametrize("name", CONV)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_the_compiled_loops_follow_the_definition(name: str, geometry: tuple) -> None:
    arrays, attrs, wanted = conv_case(name, geometry, "float32")
    np.testing.assert_allclose(compiled(name, arrays, attrs), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def values(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    g = np.random.default_rng(seed)
    match kind:
        case "normal":
            drawn = g.standard_normal(shape)
        case "activations":
            drawn = np.maximum(g.standard_normal(shape), 0)
        case "unit":
            drawn = g.random(shape)
        case "bytes":
            drawn = g.integers(0, 256, shape)
        case "offset":
            drawn = 1 + 0.1 * g.standard_normal(shape)
        case _:
            drawn = g.standard_normal(shape) * (g.random(shape) < 0.25) * 1e-3  # a gradient behind a pool and a relu
    return drawn.astype(np.float32)


FEW = [
    # images, filter, padding, how many channels in go together, how many parts of the channels out are enough
    ((1, 8, 8, 8), (5, 5, 8, 16), "SAME", 8, 4),
    ((2, 9, 7, 8), (3, 3, 8, 21), "VALID", 8, 4),
    ((1, 6, 7, 9), (5, 5, 9, 40), "SAME", 4, 1),
    ((3, 7, 5, 11), (5, 5, 11, 18), "SAME", 4, 4),
    ((1, 4, 4, 9), (3, 3, 9, 32), "VALID", 3, 1),
]


@pytest.mark.parametrize("most", [None, 5])
@pytest.mark.parametrize("place", range(len(FEW)))
def test_the_loops_of_few_tiles_follow_the_definition(place: int, most: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the batch known, and known only to be `most` images at the most."""
    images, filter, padding, channels_in, enough = FEW[place]
    arrays, attrs, wanted = conv_case("conv2d", (images, filter, (1, 1), padding, (1, 1)), "float32")
    monkeypatch.setattr(winograd, "ENOUGH", enough)
    monkeypatch.setattr(winograd, "NEAR", channels_in * 64 * 16)

    def only_few(axes: Any, channels: Any, dtype: Any, batch: Any, summed: Any, often_few: bool) -> transformed.Choice:
        form = winograd_form.form_of(filter[:2], None, whatever=True)
        assert form is not None
        method = winograd.Winograd(form, (wanted.shape[1], wanted.shape[2]), channels)
        return transformed.Choice(winograd.FewTiles(method, most or images[0]), 1)

    monkeypatch.setattr(transformed, "chosen", only_few)
    types = None if most is None else [TensorType(F32, (Sym.named("n"), *images[1:])), TensorType(F32, filter)]
    found, times, statements = traced_nest(OPS["conv2d"], arrays, attrs, types, {"n": images[0]})
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    assert (times == 1).all() and uses_products(statements)
    np.testing.assert_allclose(compiled("conv2d", arrays, attrs), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_few_images_and_many_agree_where_the_batch_is_known_at_run_time_only() -> None:
    """One program: up to eight images by few tiles, more by Fourier transforms, none at all."""
    f = parse_function("def main(x: f32[b, 14, 14, 32], f: f32[5, 5, 32, 64]):\n    y: f32[b, 14, 14, 64] = conv2d(x, f, padding='SAME')\n    return y\n")
    program = build(f)
    assert "for fewer than 9 images Winograd" in program.program.steps[0].kernel.how
    g = np.random.default_rng(0)
    x, w = g.standard_normal((20, 14, 14, 32), np.float32), g.standard_normal((5, 5, 32, 64), np.float32)
    wanted = OPS["conv2d"].eval(x, w, strides=(1, 1), padding="SAME", dilations=(1, 1))
    for count in (0, 1, 3, 8, 9, 20):
        np.testing.assert_allclose(program.run([x[:count], w])[0], wanted[:count], atol=1e-5 * np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "activations", "unit", "bytes", "offset"])
@pytest.mark.parametrize(("r", "ci", "co"), [(5, 16, 16), (5, 32, 64), (5, 64, 32), (3, 32, 32), (3, 64, 64), (3, 128, 32), (3, 256, 32)])
def test_the_error_is_within_a_hundred_thousandth_of_the_largest_result(kind: str, r: int, ci: int, co: int) -> None:
    """What `FORMS` promises, for the three products of a layer with He's weights, against sums in float64."""
    x = values(kind, (8, 14, 14, ci), 0)
    w = (np.random.default_rng(1).standard_normal((r, r, ci, co)) * np.sqrt(2 / (r * r * ci))).astype(np.float32)
    ct = values("gradient", (8, 14, 14, co), 2)
    attrs = {"strides": (1, 1), "padding": "SAME", "dilations": (1, 1)}
    for name, arrays in (("conv2d", [x, w]), ("conv2d_input_grad", [w, ct, x]), ("conv2d_filter_grad", [x, ct, w])):
        if winograd_form.form_of((r, r), {"conv2d": ci, "conv2d_input_grad": co}.get(name), whatever=False) is None:
            continue
        exact = OPS[name].eval(*(a.astype(np.float64) for a in arrays), **attrs)
        with config.override(convolution="winograd" if r == 5 else "auto"):  # asked for, 3 x 3 takes the larger form
            found = compiled(name, arrays, attrs)
        assert np.abs(found - exact).max() <= 1e-5 * np.abs(exact).max(), name


def uses_products(statements: tuple) -> bool:
    from tests.ops.test_conv_pool import tiles

    return any(not t.is_single for t in tiles(statements))


@pytest.mark.usefixtures("_asked")
@pytest.mark.parametrize("name", CONV)
def test_an_empty_batch_gives_nothing_or_zeros(name: str) -> None:
    arrays, attrs, _ = conv_case(name, GEOMETRIES[0], "float32")
    empty = [a[:0] if a.shape[0] == 1 else a for a in arrays]
    found, _, _ = traced_nest(OPS[name], empty, attrs)
    np.testing.assert_array_equal(found, OPS[name].eval(*empty, **attrs))


def test_a_small_batch_is_shared_and_a_large_one_fills_its_blocks() -> None:
    f = winograd_form.form(4, 5)
    most = winograd.most_tiles(f, 32)
    few, many, unknown = (winograd.Blocks(f, batch, (14, 14), most) for batch in (1, 128, Sym.named("b")))
    assert (few.most, few.blocks) == (4, 4)
    assert (many.most, many.blocks) == (most, -(-128 * 16 // most)) and unknown.most == most
    assert winograd.Blocks(f, 0, (14, 14), most).blocks == 0


def test_there_is_a_form_where_its_error_is_small_and_more_where_asked_for() -> None:
    form_of = winograd_form.form_of
    assert form_of((5, 5), 64, False) == form_of((5, 5), None, False) == winograd_form.form(4, 5) and form_of((3, 3), 128, False) == winograd_form.form(4, 3)
    assert form_of((5, 5), 65, False) is None and form_of((5, 5), Sym.named("c"), False) is None
    assert form_of((5, 5), 1000, True) == winograd_form.form(4, 5) and form_of((3, 3), 1000, True) == winograd_form.form(6, 3)
    for window in ((1, 1), (5, 3), (7, 7)):
        assert form_of(window, 8, True) is None


@pytest.mark.usefixtures("_asked")
@pytest.mark.parametrize(("op", "workspaces"), [("conv2d", 1), ("conv2d_input_grad", 2), ("conv2d_filter_grad", 1)])
def test_no_images_with_zeros_around_them_go_through_memory(op: str, workspaces: int) -> None:
    """Transformed weights, the filter turned around, parts of the gradient: nothing grows with a large batch."""
    x, filter, ct = "f32[b, 14, 14, 32]", "f32[5, 5, 32, 64]", "f32[b, 14, 14, 64]"
    operands = {"conv2d": "x, f", "conv2d_input_grad": "f, ct, x", "conv2d_filter_grad": "x, ct, f"}[op]
    result = {"conv2d": ct, "conv2d_input_grad": x, "conv2d_filter_grad": filter}[op]
    f = parse_function(f"def main(x: {x}, f: {filter}, ct: {ct}):\n    y: {result} = {op}({operands})\n    return y\n")
    (kernel,) = plan(optimize(f)).kernels
    sizes = [substitute(buffer.size, {"b": 10_000}) for buffer in kernel.buffers if buffer.role == "workspace"]
    assert len(sizes) == workspaces and all(isinstance(size, int) and size < 3_000_000 for size in sizes)
