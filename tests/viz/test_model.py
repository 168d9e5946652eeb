"""What is drawn of a Graph: which boxes, in which scopes, and what is linked."""

from collections import Counter

import networkx
import pytest

import flowc as tf
from flowc.errors import GraphError
from flowc.viz import diagram, tree_text
from flowc.viz.model import Box, Diagram, Kind, Link, LinkKind
from tests.viz.graphs import noisy, regression


@pytest.fixture
def drawn():
    return diagram(regression()[0])


def links(drawn, kind):
    return {(s.name, t.name): link.label for s, t, link in drawn.links() if link.kind is kind}


def test_scopes_nest_and_bear_their_full_names(drawn):
    assert list(drawn.scopes.successors(""))[:2] == ["Model", "Loss"]
    assert list(drawn.scopes.successors("Model")) == ["Model/Inner"]
    assert networkx.is_arborescence(drawn.scopes)


def test_every_box_stands_in_the_scope_of_its_name(drawn):
    assert {b.name for b in drawn.by_scope()["Model/Inner"]} == {"Model/Inner/MatMul", "Model/Inner/y"}
    for name, box in drawn.boxes.nodes(data="box"):
        assert box.scope in drawn.scopes
        assert name == box.scope or not box.scope or name.startswith(box.scope + "/")


def test_kinds_are_told_apart(drawn):
    kinds = {name: box.kind for name, box in drawn.boxes.nodes(data="box")}
    assert kinds["Model/x"] is Kind.PLACEHOLDER
    assert kinds["Model/W"] is Kind.VARIABLE
    assert kinds["Model/W/Assign"] is Kind.INIT
    assert kinds["Model/Inner/MatMul"] is Kind.OP
    assert kinds["Loss/mul/y"] is Kind.CONSTANT
    assert kinds["gradients/Model/Inner/MatMul_grad"] is Kind.GRADIENT
    assert kinds["Adam"] is Kind.OPTIMIZER


def test_random_ops_outside_of_initializers_have_a_kind_of_their_own():
    drawn = diagram(noisy()[0])
    assert [name for name, box in drawn.boxes.nodes(data="box") if box.kind is Kind.RANDOM] == ["noise/RandomUniform"]


def test_lines_bear_the_type_of_what_flows(drawn):
    data = links(drawn, LinkKind.DATA)
    assert data["Model/x", "Model/Inner/MatMul"] == "f32[b, 3]"
    assert data["Model/W", "Model/Inner/MatMul"] == "f32[3, 1]"
    assert data["Model/Inner/MatMul", "Model/Inner/y"] == "f32[b, 1]"


def test_reading_a_variable_is_folded_into_it(drawn):
    assert "Model/W/read" not in drawn.boxes
    assert drawn.box("Model/W").lines == ("W", "f32[3, 1]")


def test_an_initial_value_is_one_box_that_says_how_it_is_drawn(drawn):
    assert drawn.box("Model/W/Assign").lines == ("W/Assign", "truncated_normal")
    assert drawn.box("Model/b/Assign").lines == ("b/Assign", "[0.0]")
    assert ("Model/W/Assign", "Model/W") in links(drawn, LinkKind.UPDATE)


def test_the_gradient_of_a_node_is_one_box_and_gradients_are_linked_backwards(drawn):
    assert drawn.box("gradients/Loss/loss_grad").count > 1
    data = links(drawn, LinkKind.DATA)
    assert ("gradients/Loss/Square_grad", "gradients/Loss/sub_grad") in data
    assert ("gradients/Model/Inner/MatMul_grad", "Adam/update_Model/W") in data


def test_an_update_keeps_its_slots_and_writes_its_variable(drawn):
    lines = drawn.box("Adam/update_Model/W").lines
    assert lines[0] == "update_Model/W" and "keeps Model/W/Adam: f32[3, 1]" in lines
    assert ("Adam/update_Model/W", "Model/W") in links(drawn, LinkKind.UPDATE)
    assert not any("Adam" in name for name in drawn.boxes if name.startswith("Model/"))


def test_scopes_of_gradients_and_of_the_optimizer_are_marked(drawn):
    kinds = dict(drawn.scopes.nodes(data="kind"))
    assert kinds["gradients/Model/Inner"] is Kind.GRADIENT
    assert kinds["Adam"] is Kind.OPTIMIZER
    assert kinds["Model"] is None


def test_control_edges_are_links_of_their_own_kind():
    control = links(diagram(noisy()[0]), LinkKind.CONTROL)
    assert ("count", "y") in control


def test_a_full_diagram_has_a_box_for_every_node():
    graph, _ = regression()
    full = diagram(graph, full=True)
    assert list(full.boxes) and set(full.boxes) == {n.name for n in graph.nodes}
    assert ("Model/W", "Model/W/read") in links(full, LinkKind.DATA)
    edges = {(s, t) for s, t in full.boxes.edges()}
    for node in graph.nodes:
        for operand in node.inputs:
            assert (operand.name, node.name) in edges or (node.name, operand.name) in edges


def test_only_some_nodes_are_drawn_where_that_is_asked_for():
    graph, made = regression()
    y = made["y"].node
    drawn = diagram(graph, only={y, *y.inputs, *(i for n in y.inputs for i in n.inputs), *(i for n in y.inputs for m in n.inputs for i in m.inputs)})
    assert "Model/Inner/y" in drawn.boxes and "Model/W/Assign" in drawn.boxes
    assert not any(name.startswith(("Loss", "gradients", "Adam")) for name in drawn.boxes)


def test_an_assignment_outside_of_an_optimizer_has_a_kind_of_its_own():
    v = tf.Variable(1.0, name="v")
    tf.assign(v, v * 2.0, name="double")
    drawn = diagram(tf.get_default_graph())
    assert drawn.box("double").kind is Kind.ASSIGNMENT
    assert ("double", "v") in links(drawn, LinkKind.UPDATE)


def test_a_hand_written_gradient_step_is_drawn_without_an_optimizer():
    v = tf.Variable(1.0, name="v")
    (slope,) = tf.gradients(v * v, [v])
    tf.assign_sub(v, 0.1 * slope, name="step")
    kinds = Counter(box.kind for _, box in diagram(tf.get_default_graph()).boxes.nodes(data="box"))
    assert kinds[Kind.GRADIENT] >= 1 and Kind.OPTIMIZER not in kinds


def test_an_empty_graph_gives_an_empty_diagram():
    drawn = diagram(tf.Graph())
    assert len(drawn.boxes) == 0 and tree_text(drawn) == ""


def test_a_node_opens_no_scope_though_others_bear_its_name():
    full = diagram(regression()[0], full=True)
    assert "Model/W" in full.boxes and "Model/W" not in full.scopes
    assert "Model/W/Adam/Initializer" in full.scopes and full.scopes.has_edge("Model", "Model/W/Adam/Initializer")


def test_large_diagrams_get_a_layout_with_limits():
    from flowc.viz.dot import LARGE, dot_source

    x = tf.placeholder(tf.float32, [2], name="x")
    for _ in range(LARGE + 1):
        x = x + 1.0
    assert "splines=line" in dot_source(diagram(tf.get_default_graph()))
    knot = Diagram("few boxes, many lines")
    for i in range(30):
        knot.add_box(Box(f"n{i}", Kind.OP, "", (f"n{i}",)))
    for i in range(30):
        for j in range(i):
            knot.add_link(f"n{j}", f"n{i}", Link(LinkKind.DATA))
    assert "splines=line" in dot_source(knot)
    assert "splines=line" not in dot_source(diagram(noisy()[0]))


def test_a_cycle_of_control_edges_is_refused_with_its_nodes():
    a = tf.constant(1.0, name="a")
    b = tf.add(a, 1.0, name="b")
    tf.add(b, 1.0, name="c")
    graph = tf.get_default_graph()
    graph.by_name["a"].control = (graph.by_name["c"],)
    with pytest.raises(GraphError, match="control edges form a cycle: a -> b -> c -> a"):
        diagram(graph)


def test_a_control_edge_to_a_later_node_alone_is_no_cycle():
    tf.constant(1.0, name="a")
    tf.constant(2.0, name="b")
    graph = tf.get_default_graph()
    graph.by_name["a"].control = (graph.by_name["b"],)
    assert ("b", "a") in links(diagram(graph), LinkKind.CONTROL)
