"""Lowerings against `eval`: scalar text, elements at an index, folds and nests, evaluated one by one in plain Python; and `expand`."""

import itertools

import numpy as np
import pytest

from flowc.ir import loops
from flowc.ir.loops import Var
from flowc.ir.op import OPS, ArgFold, Element, Fold, Kind, Nest, Scalar
from flowc.ir.scalar_text import scalar
from flowc.ir.types import I64, as_dtype
from flowc.ops.inference import normal_axes
from tests.ops.cases import NAMES, Program, each, evaluate, sample, symbolic, types_of
from tests.ops.evaluate import Place, Run


def of_kind(lowering):
    return [n for n in NAMES if isinstance(OPS[n].lowering, lowering)]


def close(found, wanted):
    np.testing.assert_allclose(np.asarray(found, wanted.dtype), wanted, rtol=2e-5, atol=1e-6)


@each(of_kind(Scalar))
def test_scalar_text_computes_what_eval_does(name, number):
    op, arrays, attrs = sample(name, number, "float32")
    wanted = evaluate(op, arrays, attrs)
    types = types_of(arrays)
    numbers = {k: loops.lift(v, types[0].dtype) for k, v in attrs.items() if isinstance(v, float)}
    expression = scalar(op.lowering.over(attrs), {**numbers, **{n: Var(n, t.dtype) for n, t in zip(op.operands, types, strict=True)}})
    assert expression.dtype is op.result_type(types, attrs).dtype
    found = [
        Run(dict(zip(op.operands, elements, strict=True))).value(expression)
        for elements in zip(*(a.ravel() for a in np.broadcast_arrays(*arrays)), strict=True)
    ]
    close(np.reshape(found, wanted.shape), wanted)


@each(of_kind(Scalar))
def test_scalar_text_keeps_nan_and_infinity_as_eval_does(name, number):
    op, arrays, attrs = sample(name, number, "float32")
    if number or any(a.dtype != np.float32 for a in arrays):
        return
    special = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0], np.float32)
    grids = [g.ravel() for g in np.meshgrid(*[special] * len(arrays))]
    wanted = evaluate(op, tuple(grids), attrs)
    types = types_of(tuple(grids))
    numbers = {k: loops.lift(v, types[0].dtype) for k, v in attrs.items() if isinstance(v, float)}
    expression = scalar(op.lowering.over(attrs), {**numbers, **{n: Var(n, t.dtype) for n, t in zip(op.operands, types, strict=True)}})
    with np.errstate(all="ignore"):
        found = [Run(dict(zip(op.operands, elements, strict=True))).value(expression) for elements in zip(*grids, strict=True)]
    close(found, wanted)


@each(of_kind(Element))
@pytest.mark.parametrize("open_extents", [False, True], ids=["known", "symbols"])
def test_the_element_at_each_index_is_the_one_of_eval(name, number, open_extents):
    op, arrays, attrs = sample(name, number, "float32")
    wanted = evaluate(op, arrays, attrs)
    types, extents = symbolic(arrays) if open_extents else (types_of(arrays), {})
    result = op.result_type(types, attrs)
    index = tuple(Var(f"i{k}", I64) for k in range(wanted.ndim))
    expression = op.lowering.value(lambda i, at: Place(i, tuple(at), types[i].dtype), index, types, result, attrs)
    assert expression.dtype is result.dtype
    found = np.zeros_like(wanted)
    for place in itertools.product(*map(range, wanted.shape)):
        found[place] = Run({**extents, **{f"i{k}": np.int64(v) for k, v in enumerate(place)}}, arrays).value(expression)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", [n for n in of_kind(Element) if OPS[n].lowering.pure_view])
def test_a_pure_view_keeps_the_order_of_elements(name):
    op, arrays, attrs = sample(name, 0, "float32")
    np.testing.assert_array_equal(evaluate(op, arrays, attrs).ravel(), arrays[0].ravel())


def _limit(name, dtype):
    low, high = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return dtype.type(low if name == "lowest" else high)


@each([*of_kind(Fold), *of_kind(ArgFold)])
def test_a_fold_over_the_axes_is_the_reduction(name, number):
    op, arrays, attrs = sample(name, number, "float32")
    (x,) = arrays
    wanted = evaluate(op, arrays, attrs)
    axes = normal_axes(name, attrs["axis"], x.ndim)
    kept = [i for i in range(x.ndim) if i not in axes]
    lines = np.transpose(x, [*kept, *axes]).reshape(wanted.size, -1)
    dtype = as_dtype(x.dtype)
    found = []
    for line in lines:
        run = Run({})
        names = {n: Var(n, dtype) for n in ("acc", "best", "x")}
        if isinstance(op.lowering, ArgFold):
            better = scalar(op.lowering.better, names)
            best = 0
            for i, element in enumerate(line):
                run.names.update(best=line[best], x=element)
                best = i if run.value(better) else best
            found.append(best)
            continue
        init = op.lowering.init
        run.names["acc"] = _limit(init, x.dtype) if isinstance(init, str) else x.dtype.type(init)
        combine = scalar(op.lowering.combine, names)
        for element in line:
            run.names["x"] = element
            run.names["acc"] = run.value(combine)
        found.append(run.names["acc"])
    close(np.reshape(found, wanted.shape), wanted)


@each([n for n in of_kind(Nest) if n in ("cumsum", "gather_grad")])
@pytest.mark.parametrize("open_extents", [False, True], ids=["known", "symbols"])
def test_a_nest_fills_the_result_with_what_eval_gives(name, number, open_extents):
    op, arrays, attrs = sample(name, number, "float32")
    wanted = evaluate(op, arrays, attrs)
    types, extents = symbolic(arrays) if open_extents else (types_of(arrays), {})
    result = op.result_type(types, attrs)
    names = [f"in{i}" for i in range(len(arrays))]
    statements = op.lowering.build(names, "out", types, result, attrs)
    assert statements[0].kind == "parallel"
    buffers = {n: a.ravel().copy() for n, a in zip(names, arrays, strict=True)}
    run = Run(extents, (), {**buffers, "out": np.full(wanted.size, 99, wanted.dtype)})
    run.run(statements)
    close(run.buffers["out"].reshape(wanted.shape), wanted)


@each([n for n in NAMES if OPS[n].kind is Kind.COMPOSITE])
@pytest.mark.parametrize("open_extents", [False, True], ids=["known", "symbols"])
def test_the_expansion_of_a_composite_is_what_eval_gives(name, number, open_extents):
    op, arrays, attrs = sample(name, number, "float32")
    types = symbolic(arrays)[0] if open_extents else types_of(arrays)
    program = Program()
    operands = program.params(types)
    result = op.expand(program.e, *operands, **attrs)
    assert result.type == op.result_type(types, attrs)
    wanted = evaluate(op, arrays, attrs)
    close(program.run([result], arrays)[0], wanted)


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].kind is Kind.COMPOSITE and OPS[n].like])
def test_an_expansion_reads_no_element_of_a_like_operand(name):
    op, arrays, attrs = sample(name, 0, "float32")
    program = Program()
    operands = program.params(symbolic(arrays)[0])
    result = op.expand(program.e, *operands, **attrs)
    f = program.b.finish([result.node])
    read = {n for node in f.nodes if not node.op.like for n in node.inputs}
    starred = next((i for i, o in enumerate(op.operands) if o.startswith("*")), len(operands))
    for place in op.like:
        for operand in operands[place:] if place == starred else operands[place : place + 1]:
            assert operand.node not in read
