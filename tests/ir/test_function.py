import numpy as np
import pytest

import flowc.ops  # noqa: F401  (fills the table of ops)
from flowc.errors import GraphError, ShapeError, VerifyError
from flowc.ir.function import Builder, Function, inline, rebuild
from flowc.ir.graph import Graph
from flowc.ir.interpret import interpret
from flowc.ir.node import Node
from flowc.ir.op import OPS
from flowc.ir.text import parse_function
from flowc.ir.types import F32, F64, I32
from flowc.ir.verify import verify


def test_equal_applications_are_one_node():
    b = Builder("f")
    x = b.param("x", F32["n"])
    assert b.apply("exp", x) is b.apply("exp", x)
    assert b.apply("add", x, x) is not b.apply("mul", x, x)


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (np.float32(1), np.float64(1)), (True, 1), ([1.0], 1.0)])
def test_constants_of_different_bytes_dtype_or_shape_are_two(one, other):
    b = Builder("f")
    assert b.constant(one) is not b.constant(other)


def test_nan_is_one_constant():
    b = Builder("f")
    assert b.constant(np.nan, F32) is b.constant(np.nan, F32)


def test_what_no_result_needs_is_dropped():
    b = Builder("f")
    x = b.param("x", F32["n"])
    b.apply("exp", x)
    assert [n.op.name for n in b.finish([b.apply("neg", x)]).nodes] == ["neg"]


def test_a_result_of_another_builder_is_refused():
    one, other = Builder("f"), Builder("g")
    x = other.param("x", F32[2])
    with pytest.raises(GraphError, match="f: x was not made by this builder"):
        one.finish([x])


def test_rebuild_carries_names_and_locations():
    f = parse_function("def f(x: f32[n]):\n    Layer.a: f32[n] = neg(x)\n    Layer.b: f32[n] = exp(Layer.a)\n    return Layer.b")
    g = rebuild(f, lambda b, node, inputs: b.apply("tanh", *inputs) if node.op.name == "exp" else None)
    assert [(n.op.name, n.name) for n in g.nodes] == [("neg", "Layer.a"), ("tanh", "Layer.b")]


def test_inlining_copies_the_body():
    f = parse_function("def f(x: f32[n]):\n    v0: f32[n] = neg(x)\n    return v0")
    b = Builder("g")
    y = b.param("y", F32["n"])
    (out,) = inline(b, f, [b.apply("exp", y)])
    assert str(b.finish([out])) == "def g(y: f32[n]):\n    v0: f32[n] = exp(y)\n    v1: f32[n] = neg(v0)\n    return v1\n"


def test_interpretation_gives_results_then_updates_and_checks_extents():
    f = parse_function("def f(x: f32[n], w: f32[n]):\n    v0: f32[n] = sub(w, x)\n    w[...] = v0\n    return x")
    assert [v.tolist() for v in interpret(f, [np.float32([1, 2]), np.float32([5, 5])])] == [[1.0, 2.0], [4.0, 3.0]]
    with pytest.raises(ShapeError, match="extent n is 2 and 3"):
        interpret(f, [np.float32([1, 2]), np.float32([5, 5, 5])])


# verification


def broken(f: Function, **changes) -> Function:
    fields = {"name": f.name, "params": f.params, "nodes": f.nodes, "results": f.results, "updates": f.updates}
    return Function(**{**fields, **changes})


F = parse_function("def f(x: f32[n], y: f32[n]):\n    a: f32[n] = add(x, y)\n    z: f32[n] = neg(a)\n    return z")


def test_a_sound_function_is_returned():
    assert verify(F) is F


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": F.nodes[::-1]}, "z uses a, which does not stand before it"),
        ({"nodes": F.nodes[:1]}, "result z is not a node of it"),
        ({"params": F.params[:1]}, "a uses y"),
        ({"params": (F.params[0], F.nodes[0])}, "a stands among the params"),
        ({"nodes": (*F.nodes, Node(OPS["exp"], (F.nodes[0],), {}, F.nodes[0].type, "a"))}, "two nodes are named a"),
        ({"nodes": (*F.nodes, Node(OPS["exp"], (F.nodes[0],), {}, F64["n"], "w"))}, "w = exp\\(a: f32\\[n\\]\\) is f32\\[n\\], not f64\\[n\\]"),
        ({"nodes": (*F.nodes, Node(OPS["placeholder"], (), {"dtype": F32, "shape": ()}, F32[1], "w"))}, "op placeholder may not stand in a Function"),
        ({"updates": ((F.nodes[0], F.nodes[1]),)}, "update of a, which is not a param"),
    ],
)
def test_each_fault_is_named(changes, message):
    with pytest.raises(VerifyError, match=f"f after fuse: .*{message}"):
        verify(broken(F, **changes), "fuse")


# the Graph


def test_names_are_made_unique_as_tensorflow_does():
    g = Graph()
    assert [g.unique_name(n) for n in ("Variable", "Variable", "variable", "a/MatMul", "a/MatMul", "Variable_1")] == [
        "Variable", "Variable_1", "variable_2", "a/MatMul", "a/MatMul_1", "Variable_1_1",
    ]  # fmt: skip
    with pytest.raises(GraphError, match="not a valid name"):
        g.unique_name("a b")


def test_equal_graph_nodes_stay_two_and_operands_of_another_graph_are_refused():
    g, other = Graph(), Graph()
    x = g.add(OPS["placeholder"], (), {"dtype": F32, "shape": (2,)}, "x")
    assert g.add(OPS["neg"], (x,), {}, "a") is not g.add(OPS["neg"], (x,), {}, "b")
    with pytest.raises(GraphError, match="neg: operand x belongs to another graph"):
        other.add(OPS["neg"], (x,), {}, "c")


def test_a_misfit_names_the_application_and_the_lines():
    g = Graph()
    x = g.add(OPS["placeholder"], (), {"dtype": F32, "shape": (2,)}, "x")
    y = g.add(OPS["placeholder"], (), {"dtype": F32, "shape": (3,)}, "y")
    with pytest.raises(ShapeError) as caught:
        g.add(OPS["add"], (x, y), {}, "Layer/add")
    text = str(caught.value)
    assert "Layer/add = add(x: f32[2], y: f32[3])" in text
    assert text.count("test_function.py:") == 3


def test_symbols_of_a_graph_are_its_own():
    g = Graph()
    g.claim_symbol("b1")
    assert [str(g.fresh_symbol("b")) for _ in range(3)] == ["b", "b2", "b3"]
    assert I32["n"].shape != F32["m"].shape
