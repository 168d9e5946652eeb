import numpy as np
import pytest

from flowc.errors import DTypeError, ShapeError
from flowc.ir.interpret import interpret
from flowc.ir.node import Node
from flowc.ir.types import I32
from flowc.ir.verify import verify
from flowc.transforms.autodiff import backprop, grad, gradient_name, partner, value_and_grad
from flowc.transforms.extract import extract
from flowc.transforms.simplify import simplify
from flowc.transforms.specialize import specialize
from tests.transforms.checking import operands, parse
from tests.transforms.graphs import Sketch

CHAIN = """
def f(x: f64[b, 4], c: f64[4]):
    Layer.s: f64[b, 4] = add(x, c)
    t: f64[b, 4] = tanh(Layer.s)
    p: f64[b, 4] = mul(t, x)
    z: f64 = reduce_sum(p)
    return z
"""


def numeric(f, arrays, position, step=1e-6):
    found = np.zeros_like(arrays[position])
    for index in np.ndindex(*found.shape):
        pair = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[position][index] += sign * step
            pair.append(interpret(f, moved)[0])
        found[index] = (pair[0] - pair[1]) / (2 * step)
    return found


def test_gradients_agree_with_differences():
    f = parse(CHAIN)
    arrays = operands(f)
    for position, found in enumerate(interpret(verify(grad(f, (0, 1))), arrays)):
        np.testing.assert_allclose(found, numeric(f, arrays, position), rtol=1e-6, atol=1e-8)


def test_value_and_grad_has_the_value_first():
    f = parse(CHAIN)
    arrays = operands(f)
    value, gradient = interpret(value_and_grad(f), arrays)
    assert value == interpret(f, arrays)[0]
    np.testing.assert_array_equal(gradient, interpret(grad(f), arrays)[0])


def test_the_gradient_of_a_gradient():
    f = parse("def f(x: f64):\n    y: f64 = sin(x)\n    return y")
    assert interpret(grad(grad(f)), [np.float64(0.5)])[0] == pytest.approx(-np.sin(0.5))


def test_cotangents_of_several_users_are_added_and_no_zeros_are_made():
    f = parse("def f(x: f32):\n    y: f32 = exp(x)\n    z: f32 = mul(y, x)\n    return z")
    names = [n.op.name for n in grad(f).nodes]
    assert names.count("add") == 1 and "zeros_like" not in names


def test_a_gradient_node_names_its_forward_node():
    g = grad(parse(CHAIN), (1,))
    names = [n.name for n in g.nodes]
    assert "gradients.Layer.s_grad.SumTo" in names
    assert partner("gradients.Layer.s_grad.SumTo") == "Layer.s"


@pytest.mark.parametrize(
    ("name", "forward"),
    [
        ("gradients/HiddenLayer/MatMul_grad/MatMul", "HiddenLayer/MatMul"),
        ("train/gradients_1/MatMul_grad/MatMul_1", "MatMul"),
        ("gradients_1/gradients/x_grad/Mul_grad/Mul", "gradients/x_grad/Mul"),
        ("HiddenLayer/MatMul", None),
        ("gradients/MatMul", None),
    ],
)
def test_partner_finds_the_forward_name(name, forward):
    assert partner(name) == forward


def test_a_param_that_nothing_depends_on_has_a_zero_gradient():
    f = parse("def f(x: f32[b], y: f32[b]):\n    z: f32 = reduce_sum(x)\n    return z")
    assert interpret(grad(f, (1,)), operands(f))[0].tolist() == [0.0] * 3


def test_only_a_float_scalar_can_be_differentiated():
    with pytest.raises(ShapeError, match="is f32\\[b\\]; a gradient is taken of a scalar"):
        grad(parse("def f(x: f32[b]):\n    y: f32[b] = neg(x)\n    return y"))
    with pytest.raises(DTypeError, match="only a float has a gradient"):
        grad(parse("def f(x: i32):\n    y: i32 = neg(x)\n    return y"))
    with pytest.raises(DTypeError, match="param n of f is i32"):
        grad(parse("def f(x: f32, n: i32):\n    return x"), (1,))


# the same on a Graph


def gradients(g: Sketch, targets: list[Node], wrt: list[Node]) -> list[Node | None]:
    def factory(forward: Node):
        def apply(op, inputs, attrs):
            name = g.graph.unique_name(gradient_name(forward.name, op))
            return g.graph.add(op, inputs, attrs, name, loc=forward.loc)

        return apply

    return backprop(list(g.graph.nodes), targets, wrt, None, factory)


def test_a_graph_gets_ordinary_nodes_that_have_gradients_again():
    g = Sketch()
    x = g.placeholder("x", None)
    y = g("mul", g("mul", x, x), x, name="Cube/y")
    (first,) = gradients(g, [y], [x])
    (second,) = gradients(g, [first], [x])
    assert partner(first.name) is not None
    results = interpret(simplify(specialize(extract([first, second], [x]).function, [()])), [np.float32(2.0)])
    assert [float(r) for r in results] == [12.0, 12.0]


def test_a_variable_gets_the_sum_over_its_reads():
    g = Sketch()
    w = g.variable("w", ())
    total = g("add", g("read", w), g("read", w))
    (found,) = gradients(g, [total], [w])
    e = extract([found], [])
    assert interpret(e.function, [np.float32(3.0)] * len(e.variables))[0] == 2.0


def test_stop_gradient_integers_and_missing_paths_give_none():
    g = Sketch()
    x, other = g.placeholder("x", ()), g.placeholder("other", ())
    stopped = g("mul", g("stop_gradient", x), other)
    assert gradients(g, [stopped], [x]) == [None]
    whole = g("cast", x, dtype=I32)
    assert gradients(g, [g("cast", whole, dtype=x.type.dtype)], [x, other]) == [None, None]


def test_an_intermediate_node_can_be_differentiated_with_respect_to():
    g = Sketch()
    x = g.placeholder("x", ())
    h = g("mul", x, x, name="h")
    y = g("exp", h, name="y")
    by_h, by_x = gradients(g, [y], [h, x])
    found = interpret(extract([by_h, by_x], [x]).function, [np.float32(1.0)])
    assert [float(v) for v in found] == pytest.approx([np.e, 2 * np.e], rel=1e-6)


def test_a_given_cotangent_takes_the_place_of_ones():
    g = Sketch()
    x, ct = g.placeholder("x", (3,)), g.placeholder("ct", (3,))
    y = g("square", x)

    def factory(forward: Node):
        return lambda op, inputs, attrs: g.graph.add(op, inputs, attrs, g.graph.unique_name(gradient_name(forward.name, op)))

    (found,) = backprop(list(g.graph.nodes), [y], [x], [ct], factory)
    (value,) = interpret(extract([found], [x, ct]).function, [np.array([1, 2, 3], np.float32), np.array([1, 0, 2], np.float32)])
    assert value.tolist() == [2.0, 0.0, 12.0]
