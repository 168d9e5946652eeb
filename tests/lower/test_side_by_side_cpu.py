"""All sweeps over a row in one loop: by text, and against the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from flowc import config
from flowc.ir.text import parse_function
from flowc.lower.side_by_side_cpu import ELEMENTS, FEWEST_ROWS, MOST_ROWS
from flowc.runtime.executable import build
from tests.codegen.programs import same_bits
from tests.lower.test_reduce_cpu import agree, kernel_text, normal, text

C = 700
SOFTMAX = text(f"y: f32[r, {C}] = softmax(x, axis=-1)", f"x: f32[r, {C}]", "y")


def test_each_sweep_is_one_row_behind_the_sweep_before_it_in_the_same_loop() -> None:
    kernel = kernel_text(SOFTMAX)
    (loop,) = kernel.split("for j_3 in serial(672):")[1:]
    assert kernel.count("for row in parallel") == 0 and "all sweeps in one loop" in build(parse_function(SOFTMAX)).kernels[0].how
    body = loop[: loop.index("_rest")]
    assert body.index("divided(line[") < body.index("exp(") < body.index("line[j_3] = ") < body.index("larger("), "a line is taken before it is left anew"
    for row in ("step", "step - 1", "step - 2"):
        assert f"max(min({row}, last - 1), first)" in kernel


@pytest.mark.parametrize("rows", [0, 1, 2, 3, FEWEST_ROWS + 1, 2 * FEWEST_ROWS, MOST_ROWS + 1, 2 * MOST_ROWS + 7])
@pytest.mark.parametrize("columns", [ELEMENTS[0], 700, 1024, ELEMENTS[-1]])
def test_any_number_of_rows_and_threads_gives_the_same_bits(rows: int, columns: int) -> None:
    x = normal(rows, columns)
    x[1:2], x[2:3, :1], x[3:4, -1:] = -np.inf, np.nan, np.inf
    program = SOFTMAX.replace(str(C), str(columns))
    with np.errstate(all="ignore"):
        agree(program, x)
        found = []
        for threads in (1, 3):
            with config.override(threads=threads):
                found += build(parse_function(program)).run([x])
    assert same_bits(*found)


def test_rows_of_the_same_numbers_give_the_same_bits_wherever_they_stand() -> None:
    x = np.tile(normal(1, C), (3 * MOST_ROWS, 1))
    (found,) = build(parse_function(SOFTMAX)).run([x])
    assert same_bits(found, np.tile(found[:1], (len(x), 1)))


def test_results_of_every_sweep_and_of_the_row() -> None:
    """Elements that the first sweep stores, numbers of the row, and a value that two later sweeps need and that therefore is computed again."""
    body = (f"e: f32[r, {C}] = exp(x); s: f32[r, 1] = reduce_sum(e, axis=(1,), keepdims=True); p: f32[r, {C}] = div(e, s); "
            f"m: f32[r, 1] = reduce_max(p, axis=(1,), keepdims=True); q: f32[r, {C}] = sub(p, m); z: f32[r, {C}] = mul(q, e)")  # fmt: skip
    for results in ("e, s, z, m", "p", "z, s", "q"):
        agree(text(body, f"x: f32[r, {C}]", results), normal(MOST_ROWS + 9, C))


def test_rows_of_two_axes_and_what_every_row_takes() -> None:
    body = (f"h: f32[r, 3, {C}] = add(x, w); s: f32[r, 3, {C}] = softmax(h, axis=-1); t: f32[r, 3] = reduce_sum(x, axis=(2,)); "
            f"u: f32[r, 3, 1] = expand_dims(t, axis=(2,)); y: f32[r, 3, {C}] = mul(s, u)")  # fmt: skip
    agree(text(body, f"x: f32[r, 3, {C}], w: f32[{C}]", "y"), normal(13, 3, C), normal(C))


@pytest.mark.parametrize(
    "program",
    [
        text(f"s: f32[r, 1] = reduce_sum(x, axis=(1,), keepdims=True); y: f32[r, {C}] = div(x, s)", f"x: f32[r, {C}]", "y"),  # no function is applied
        SOFTMAX.replace("f32", "f16"),
        SOFTMAX.replace(str(C), str(ELEMENTS[0] - 1)),
        SOFTMAX.replace(str(C), "c"),
    ],
)
def test_other_rows_have_a_loop_for_each_sweep(program: str) -> None:
    assert "line" not in kernel_text(program)
