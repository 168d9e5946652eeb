"""What is drawn of Functions and Modules."""

import flowc.ops  # noqa: F401  (fills the table)
from flowc.ir.text import parse_function
from flowc.transforms.autodiff import grad
from flowc.transforms.pipeline import optimize
from flowc.viz import diagram
from flowc.viz.model import Kind, LinkKind

TEXT = """
def loss(x: f32[b, 2], W: f32[2, 5]):
    Layer.mm: f32[b, 5] = matmul(x, W)
    Layer.h: f32[b, 5] = relu(Layer.mm)
    v0: f32[b, 5] = mul(Layer.h, 2.0)
    total: f32 = reduce_sum(v0)
    return total
"""


def test_params_are_placeholders_and_the_result_is_marked():
    drawn = diagram(parse_function(TEXT))
    assert drawn.box("x").kind is Kind.PLACEHOLDER and drawn.box("x").lines == ("x", "f32[b, 2]")
    assert drawn.box("total").result and "f32" in drawn.box("total").lines
    assert {b.name for b in drawn.by_scope()["Layer"]} == {"Layer.mm", "Layer.h"}


def test_numbers_stand_inside_the_application():
    assert diagram(parse_function(TEXT)).box("v0").lines == ("mul(·, 2.0)",)


def test_kernels_of_a_module_are_scopes():
    module = optimize(parse_function(TEXT))
    drawn = diagram(module)
    kernels = [k.name for k in module.callees()]
    assert list(drawn.scopes.successors("")) == kernels
    assert drawn.scopes.nodes[kernels[0]]["label"] == f"kernel {kernels[0]}"
    assert drawn.boxes.number_of_nodes() >= 4
    crossing = [(s.scope, t.scope) for s, t, link in drawn.links() if s.scope != t.scope]
    assert ("", kernels[0]) in crossing


def test_an_updated_param_is_a_variable_and_its_new_value_is_written_to_it():
    drawn = diagram(parse_function("def step(w: f32[3], g: f32[3]):\n    new: f32[3] = sub(w, g)\n    w[...] = new\n    return\n"))
    assert drawn.box("w").kind is Kind.VARIABLE
    assert [(s.name, t.name) for s, t, link in drawn.links() if link.kind is LinkKind.UPDATE] == [("new", "w")]


def test_gradient_nodes_are_told_apart():
    drawn = diagram(grad(parse_function(TEXT), (1,)))
    found = [box.name for _, box in drawn.boxes.nodes(data="box") if box.kind is Kind.GRADIENT]
    assert "gradients.Layer.mm_grad.MatMul" in found or "gradients.Layer.mm_grad.MatMul_1" in found


def test_a_constant_result_and_a_param_that_is_returned_are_drawn():
    drawn = diagram(parse_function("def f(x: f32[2]):\n    c: f32[2] = constant([1.0, 2.0])\n    return x, c\n"))
    assert drawn.box("c").kind is Kind.CONSTANT and drawn.box("c").result
