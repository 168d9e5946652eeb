"""Type rules against `eval`: dtype and shape, with known extents and with symbols; the IR text of a one-op Function."""

import numpy as np
import pytest

from flowc.ir.dims import Sym
from flowc.ir.function import Builder
from flowc.ir.interpret import interpret
from flowc.ir.op import OPS
from flowc.ir.text import parse_function
from flowc.ir.types import F32
from flowc.ir.verify import verify
from tests.ops.cases import NAMES, each, evaluate, sample, symbolic, types_of
from tests.ops.samples import SAMPLES


@each(NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_inferred_type_is_the_type_of_the_value(name, number, dtype):
    op, arrays, attrs = sample(name, number, dtype)
    value = evaluate(op, arrays, attrs)
    inferred = op.result_type(types_of(arrays), attrs)
    assert (inferred.shape, inferred.dtype.numpy) == (value.shape, value.dtype)


@each(NAMES)
def test_symbols_for_extents_give_the_same_shape_once_they_are_known(name, number):
    op, arrays, attrs = sample(name, number, "float32")
    types, extents = symbolic(arrays)
    inferred = op.result_type(types, attrs)
    assert inferred.substitute(extents) == op.result_type(types_of(arrays), attrs)


@each(NAMES)
def test_one_symbolic_extent_beside_known_ones_gives_the_same_shape(name, number):
    op, arrays, attrs = sample(name, number, "float32")
    concrete = types_of(arrays)
    for place, operand in enumerate(arrays):
        for axis in range(operand.ndim):
            types, extents = symbolic(arrays)
            dims = list(concrete[place].dims)
            dims[axis] = types[place].dims[axis]
            mixed = (*concrete[:place], concrete[place].with_shape(dims), *concrete[place + 1 :])
            assert op.result_type(mixed, attrs).substitute(extents) == op.result_type(concrete, attrs)


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].operands and n in SAMPLES])
def test_operands_of_unknown_rank_are_taken_as_they_are(name):
    op, arrays, attrs = sample(name, 0, "float32")
    unknown = tuple(t.with_shape(None) for t in types_of(arrays))
    inferred = op.result_type(unknown, attrs, lenient=True)
    known = op.result_type(types_of(arrays), attrs)
    assert inferred.dtype is known.dtype
    assert inferred.shape in (None, known.shape)


def test_symbolic_extents_in_attributes_print_and_parse_back():
    b = Builder("f")
    n = Sym.named("n")
    x = b.param("x", F32["n", 3])
    wide = b.apply("broadcast_to", x, shape=(2, n, 3))
    flat = b.apply("reshape", wide, shape=(2, n * 3))
    part = b.apply("slice", flat, begin=(None, n), end=(-1, n * 2), stride=(1, 1))
    size = b.apply("dim", value=n * 2 + 1, dtype=F32)
    f = verify(b.finish((b.apply("mul", part, size),)))
    assert str(verify(parse_function(str(f)))) == str(f)
    assert f.results[0].type == F32[1, "n"]
    np.testing.assert_array_equal(interpret(f, [np.ones((2, 3), np.float32)])[0], np.full((1, 2), 5.0))


@each(NAMES)
def test_a_one_op_function_prints_and_parses_back(name, number):
    op, arrays, attrs = sample(name, number, "float32")
    b = Builder("f")
    params = [b.param(f"p{i}", t) for i, t in enumerate(types_of(arrays))]
    f = verify(b.finish((b.apply(op, *params, **attrs),)))
    parsed = verify(parse_function(str(f)))
    assert str(parsed) == str(f)
    np.testing.assert_array_equal(interpret(parsed, arrays)[0], interpret(f, arrays)[0])
