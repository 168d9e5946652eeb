"""A pass over kernels by text: the body before, and after."""

from __future__ import annotations

from collections.abc import Callable

from flowc.ir.loops import Kernel
from flowc.ir.loops_text import parse_kernel, print_kernel

HEAD = "def k(x: f32[n], y: f32[n], out: f32[n], n: i64):\n"


def rewritten(change: Callable[[Kernel], Kernel], body: str) -> str:
    """The body of a kernel over x, y and out of n elements, after the pass."""
    lines = body.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    text = HEAD + "".join(f"    {line[indent:]}\n" for line in lines)
    assert print_kernel(parse_kernel(text)).rstrip() == text.rstrip(), "the test's text is as it is printed"
    return print_kernel(change(parse_kernel(text))).removeprefix(HEAD).rstrip()
