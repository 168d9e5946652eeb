"""Sweeps over operands whose axes stand in another order go tile by tile; others line by line."""

from __future__ import annotations

import pytest

import flowc.ops  # noqa: F401
from flowc.ir.text import parse_function
from flowc.lower.program import plan
from flowc.transforms.pipeline import optimize


def loops(result: str, call: str) -> str:
    (kernel,) = plan(optimize(parse_function(f"def f(x: f32[b, 40, 50]):\n    y: {result} = {call}\n    z: {result} = exp(y)\n    return z\n"))).kernels
    return str(kernel)


@pytest.mark.parametrize(
    ("result", "perm"),
    [("f32[b, 50, 40]", (0, 2, 1)), ("f32[50, 40, b]", (2, 1, 0)), ("f32[40, 50, b]", (1, 2, 0))],
)
def test_transposed_operands_are_read_in_tiles(result: str, perm: tuple[int, ...]) -> None:
    text = loops(result, f"transpose(x, perm={perm})")
    assert "for tile in parallel(" in text and "for rows in " in text


@pytest.mark.parametrize(
    ("result", "call"),
    [
        ("f32[40, b, 50]", "transpose(x, perm=(1, 0, 2))"),  # lines stay lines
        ("f32[b, 40, 50]", "reverse(x, axis=(2,))"),
        ("f32[b, 40, 52]", "pad(x, paddings=((0, 0), (0, 0), (1, 1)))"),
        ("f32[b, 40, 20]", "slice(x, begin=(None, None, 3), end=(None, None, 23), stride=(1, 1, 1))"),
    ],
)
def test_other_movements_are_read_in_lines(result: str, call: str) -> None:
    assert "tile" not in loops(result, call)
