"""A nest's names never meet the user's: operands, symbols and what is fused after it may be called anything."""

import numpy as np
import pytest

import flowc.ops  # noqa: F401  (fills the op table)
from flowc import config
from flowc.ir.dims import Sym
from flowc.ir.function import Builder
from flowc.ir.interpret import interpret
from flowc.ir.types import F32, TensorType
from flowc.runtime.executable import build


def product(names, symbol):
    """relu(x @ w + bias) with the given names."""
    b = Builder("main")
    x = b.param(names[0], TensorType(F32, (Sym.named(symbol), 7)))
    w, bias = b.param(names[1], TensorType(F32, (7, 5))), b.param(names[2], TensorType(F32, (5,)))
    return b.finish([b.apply("relu", b.apply("add", b.apply("matmul", x, w), bias))])


@pytest.mark.parametrize(
    ("names", "symbol"),
    [
        (("unit", "row_block", "column_block"), "batch"),
        (("batch", "out", "i"), "j"),
        (("a", "b", "begin"), "unit"),
        (("matmul_out", "relu_out", "at"), "row_block"),
    ],
)
def test_operands_and_symbols_named_like_loops_change_nothing(names, symbol):
    f = product(names, symbol)
    g = np.random.default_rng(1)
    args = [g.standard_normal(s).astype(np.float32) for s in ((13, 7), (7, 5), (5,))]
    with config.override(backend="python"):
        (found,) = build(f).run([a.copy() for a in args])
    np.testing.assert_allclose(found, interpret(f, args)[0], rtol=1e-5, atol=1e-5)


def test_workspaces_named_like_an_operand_change_nothing():
    b = Builder("main")
    x, w = b.param("matmul_out_packed", TensorType(F32, (9, 7))), b.param("matmul_out", TensorType(F32, (5, 7)))
    f = b.finish([b.apply("matmul", x, w, transpose_b=True)])
    args = [np.random.default_rng(2).standard_normal(s).astype(np.float32) for s in ((9, 7), (5, 7))]
    with config.override(backend="python"):
        (found,) = build(f).run([a.copy() for a in args])
    np.testing.assert_allclose(found, args[0] @ args[1].T, rtol=1e-5, atol=1e-5)


def test_an_image_named_image_can_be_convolved():
    b = Builder("main")
    x, w = b.param("image", TensorType(F32, (Sym.named("row"), 4, 5, 2))), b.param("channel_block", TensorType(F32, (3, 3, 2, 3)))
    f = b.finish([b.apply("conv2d", x, w)])
    args = [np.random.default_rng(3).standard_normal(s).astype(np.float32) for s in ((2, 4, 5, 2), (3, 3, 2, 3))]
    with config.override(backend="python"):
        (found,) = build(f).run([a.copy() for a in args])
    np.testing.assert_allclose(found, interpret(f, args)[0], rtol=1e-4, atol=1e-5)
