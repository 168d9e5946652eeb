"""Gradients against central finite differences in float64, of the first and of the second order, and over unknown ranks."""

import numpy as np

from flowc.ir.expr import Emitter, Expr
from flowc.ir.graph import Graph
from flowc.ir.op import OPS
from flowc.ir.types import F64, TensorType, as_dtype
from flowc.ops.inference import no_gradient
from flowc.transforms.autodiff import backprop
from tests.ops.cases import NAMES, Program, cotangents, each, evaluate, sample, types_of

STOPS = {"stop_gradient"}  # a gradient of none is what it is for
DIFFERENTIABLE = [n for n in NAMES if n not in STOPS and not OPS[n].random and OPS[n].operands]
STEP = 1e-6


def of_floats(name, number):
    op, arrays, attrs = sample(name, number)
    return op.result_type(types_of(arrays), attrs).dtype is F64 and any(a.dtype == np.float64 and a.size for a in arrays)


def passes_gradient(name, number):
    return of_floats(name, number) and OPS[name].vjp is not no_gradient


def directions(g, arrays):
    """A random change of every float operand."""
    return [g.standard_normal(a.shape) if a.dtype == np.float64 else None for a in arrays]


def moved(arrays, along, by):
    return [a if u is None else a + by * u for a, u in zip(arrays, along, strict=True)]


@each(DIFFERENTIABLE, of_floats)
def test_the_gradient_is_the_limit_of_differences(name, number):
    op, arrays, attrs = sample(name, number)
    y = evaluate(op, arrays, attrs)
    g = np.random.default_rng(7)
    program = Program()
    operands = program.params(types_of(arrays))
    (ct,) = program.params((TensorType(F64, y.shape),))
    pieces = cotangents(op, program.e, operands, program.apply(op, operands, attrs), ct, attrs)
    assert len(pieces) == len(arrays)
    ct_value = g.standard_normal(y.shape)
    given = [(i, p) for i, p in enumerate(pieces) if p is not None]
    values = dict(zip([i for i, _ in given], program.run([p for _, p in given], [*arrays, ct_value]), strict=True))
    for i, value in values.items():
        assert value.shape == arrays[i].shape and value.dtype == arrays[i].dtype
    for i, array in enumerate(arrays):
        if array.dtype != np.float64 or (name == "softmax_cross_entropy" and i == 1):
            continue
        for _ in range(2):
            along = [u if j == i else None for j, u in enumerate(directions(g, arrays))]
            up, down = (evaluate(op, tuple(moved(arrays, along, s * STEP)), attrs) for s in (1, -1))
            wanted = np.sum((up - down) / (2 * STEP) * ct_value)
            found = np.sum(values[i] * along[i]) if i in values else 0.0
            np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)


@each(DIFFERENTIABLE, passes_gradient)
def test_the_gradient_of_the_gradient_is_the_limit_of_differences(name, number):
    op, arrays, attrs = sample(name, number)
    y = evaluate(op, arrays, attrs)
    g = np.random.default_rng(11)
    program = Program()
    operands = program.params(types_of(arrays))
    (ct,) = program.params((TensorType(F64, y.shape),))
    pieces = [p for p in cotangents(op, program.e, operands, program.apply(op, operands, attrs), ct, attrs) if p is not None]
    weights = [g.standard_normal(p.shape) for p in pieces]
    total = None
    for piece, weight in zip(pieces, weights, strict=True):
        term = program.e.reduce_sum(piece * program.e.constant(weight))
        total = term if total is None else total + term
    floats = [x for x in (*operands, ct) if x.dtype is F64]
    nodes = list(program.b.nodes)
    slopes = backprop([*(x.node for x in (*operands, ct)), *nodes], [total.node], [x.node for x in floats], None, lambda node: program.e.apply)
    args = [*arrays, g.standard_normal(y.shape)]
    found_of = [(x, s) for x, s in zip(floats, slopes, strict=True) if s is not None]
    values = program.run([Expr(program.e, s) for _, s in found_of], args)
    frozen = 1 if name == "softmax_cross_entropy" else None  # its gradient takes labels to be probabilities, which differences leave
    along = [None if i == frozen else u for i, u in enumerate(directions(g, args))]
    up, down = (program.run([total], moved(args, along, s * STEP))[0] for s in (1, -1))
    change = {id(x): u for x, u in zip((*operands, ct), along, strict=True) if u is not None}
    found = sum(float(np.sum(v * change[id(x)])) for (x, _), v in zip(found_of, values, strict=True) if id(x) in change)
    np.testing.assert_allclose(found, (up - down) / (2 * STEP), rtol=2e-5, atol=1e-6)


@each(DIFFERENTIABLE)
def test_the_gradient_is_written_without_knowing_ranks(name, number):
    op, arrays, attrs = sample(name, number)
    graph = Graph()
    e = Emitter(lambda op, inputs, attrs: graph.add(op, inputs, attrs, graph.unique_name(op.title)))
    operands = [e.wrap(graph.add(OPS["placeholder"], (), {"dtype": as_dtype(a.dtype), "shape": None}, f"p{i}")) for i, a in enumerate(arrays)]
    y = Expr(e, e.apply(op, tuple(x.node for x in operands), attrs))
    ct = e.wrap(graph.add(OPS["placeholder"], (), {"dtype": y.dtype, "shape": None}, "ct"))
    for piece, operand in zip(cotangents(op, e, operands, y, ct, attrs), operands, strict=True):
        assert piece is None or piece.dtype is operand.dtype


def test_a_product_with_zeros_has_the_gradient_of_the_others():
    program = Program()
    x = np.array([[2.0, 0.0, 5.0], [0.0, 0.0, 3.0]])
    (p,) = program.params(types_of((x,)))
    op, attrs = OPS["reduce_prod"], OPS["reduce_prod"].complete({"axis": (1,)})
    y = program.apply(op, [p], attrs)
    (found,) = program.run(cotangents(op, program.e, [p], y, program.e.ones_like(y), attrs), [x])
    np.testing.assert_array_equal(found, [[0.0, 10.0, 0.0], [0.0, 0.0, 0.0]])


def test_equal_maxima_share_the_gradient():
    program = Program()
    x = np.array([3.0, 1.0, 3.0])
    (p,) = program.params(types_of((x,)))
    op, attrs = OPS["reduce_max"], OPS["reduce_max"].complete({})
    y = program.apply(op, [p], attrs)
    (found,) = program.run(cotangents(op, program.e, [p], y, program.e.ones_like(y), attrs), [x])
    np.testing.assert_array_equal(found, [0.5, 0.0, 0.5])


def test_the_gradient_of_a_cross_entropy_stays_finite_at_huge_logits():
    program = Program()
    logits, labels = np.array([[1e30, -1e30, 0.0]], np.float32), np.array([[0.0, 1.0, 0.0]], np.float32)
    p, q = program.params(types_of((logits, labels)))
    op = OPS["softmax_cross_entropy"]
    y = program.apply(op, [p, q], {})
    to_logits, _ = cotangents(op, program.e, [p, q], y, program.e.ones_like(y), {})
    np.testing.assert_array_equal(program.run([to_logits], [logits, labels])[0], [[1.0, -1.0, 0.0]])


def test_the_gradient_of_relu_at_zero_and_of_nan_is_zero():
    program = Program()
    x = np.array([0.0, np.nan, 2.0])
    (p,) = program.params(types_of((x,)))
    op = OPS["relu"]
    y = program.apply(op, [p], {})
    (found,) = program.run(cotangents(op, program.e, [p], y, program.e.ones_like(y), {}), [x])
    np.testing.assert_array_equal(found, [0.0, 0.0, 1.0])


def test_the_power_of_a_negative_base_has_a_gradient_to_the_base_and_none_to_the_exponent():
    program = Program()
    x, exponent = np.array([-1.5, 2.0]), np.array(2.0)
    p, q = program.params(types_of((x, exponent)))
    y = program.apply(OPS["pow"], [p, q], {})
    to_base, to_exponent = program.run(cotangents(OPS["pow"], program.e, [p, q], y, program.e.ones_like(y), {}), [x, exponent])
    np.testing.assert_array_equal(to_base, [-3.0, 4.0])
    np.testing.assert_allclose(to_exponent, 4 * np.log(2.0))


def test_the_cotangent_of_a_broadcast_operand_is_summed_down_and_of_an_equal_one_is_passed_on():
    program = Program()
    p, q = program.params((F64["b", 3], F64[3]))
    y = program.apply(OPS["add"], [p, q], {})
    ct = program.params((F64["b", 3],))[0]
    to_p, to_q = cotangents(OPS["add"], program.e, [p, q], y, ct, {})
    assert to_p.node is ct.node
    assert to_q.node.op.name == "sum_to" and to_q.type == F64[3]
