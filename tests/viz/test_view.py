"""What part of a diagram is drawn: what stands aside, what is closed, what is one stack."""

import networkx
import pytest

import flowc as tf
from flowc.errors import GraphError
from flowc.ir.text import parse_function
from flowc.transforms.pipeline import optimize
from flowc.viz import View, diagram, view
from flowc.viz.model import AUXILIARY, Box, Diagram, Kind, Link, LinkKind
from tests.viz.graphs import layers, noisy, regression, summarized


@pytest.fixture
def whole():
    return diagram(regression()[0])


def boxes(drawn):
    return dict(drawn.boxes.nodes(data="box"))


def stubs(drawn, name):
    return [stub.text for stub in drawn.box(name).stubs]


# what stands aside


def test_what_serves_training_stands_aside_each_group_as_one_box(whole):
    drawn = view(whole, View())
    groups = {name: box.lines for name, box in boxes(drawn).items() if box.aside}
    assert set(groups) == {"gradients/", "Adam/", "initial values"}
    assert groups["Adam/"] == ("Adam", "learning_rate = 0.01, beta1 = 0.9", "beta2 = 0.999, epsilon = 1e-08", "updates 2 variables")
    assert groups["initial values"] == ("initial values", "2 variables")
    assert not [b for b in boxes(drawn).values() if b.kind in AUXILIARY and not b.aside]
    assert "gradients" not in drawn.scopes


def test_no_line_goes_to_what_stands_aside(whole):
    drawn = view(whole, View())
    assert [edge for edge in drawn.boxes.edges() if any(drawn.box(end).aside for end in edge)] == []


def test_a_stub_says_what_attaches_and_which_way(whole):
    drawn = view(whole, View())
    assert stubs(drawn, "Model/W") == ["← truncated_normal", "← Adam", "→ gradients"]
    assert stubs(drawn, "Model/x") == ["→ gradients"]
    assert stubs(drawn, "Model/Inner/MatMul") == []


def test_zeros_of_any_size_are_told_by_their_value():
    tf.Variable(tf.zeros([784, 10]), name="W")
    v = tf.Variable(tf.ones([3]), name="v")
    tf.identity(v)
    drawn = view(diagram(tf.get_default_graph()), View())
    assert stubs(drawn, "W") == ["← all 0.0"] and stubs(drawn, "v") == ["← [1.0, 1.0, 1.0]"]


def test_all_draws_everything_in(whole):
    drawn = view(whole, View(all=True))
    assert set(drawn.boxes) == set(whole.boxes) and not [b for b in boxes(drawn).values() if b.stubs or b.aside]
    assert set(drawn.scopes) == set(whole.scopes)


def test_summaries_and_a_saver_stand_aside():
    drawn = view(diagram(summarized()), View())
    groups = {name: (box.kind, box.lines) for name, box in boxes(drawn).items() if box.aside}
    assert groups["summaries"] == (Kind.SUMMARY, ("summaries", "2 values"))
    assert groups["save/"] == (Kind.SAVER, ("save", "1 operation"))
    assert stubs(drawn, "loss") == ["→ summaries"] and "← save" in stubs(drawn, "v")


def test_a_scope_of_the_user_s_called_save_is_no_saver():
    with tf.name_scope("save"):
        x = tf.placeholder(tf.float32, [2], name="x")
    tf.tanh(x, name="y")
    drawn = view(diagram(tf.get_default_graph()), View())
    assert "save/x" in drawn.boxes and drawn.box("save/x").kind is Kind.PLACEHOLDER


def test_where_all_would_stand_aside_nothing_does():
    tf.Variable(1.0, name="v")
    tf.summary.scalar("told", tf.constant(1.0, name="c"))
    whole = diagram(tf.get_default_graph(), only=[n for n in tf.get_default_graph().nodes if n.op.name == "scalar_summary"])
    assert set(view(whole, View()).boxes) == set(whole.boxes) != set()


def test_a_kernel_stays_whole_unless_it_serves_training_only():
    f = parse_function("""
def step(x: f32[b, 2], W: f32[2, 5]):
    Layer.mm: f32[b, 5] = matmul(x, W)
    Layer.h: f32[b, 5] = relu(Layer.mm)
    gradients.Layer.h_grad.Mul: f32[b, 5] = mul(Layer.h, Layer.h)
    gradients.Layer.mm_grad.MatMul: f32[2, 5] = matmul(x, gradients.Layer.h_grad.Mul, transpose_a=True)
    GradientDescent.update_W.mul: f32[2, 5] = mul(gradients.Layer.mm_grad.MatMul, 0.1)
    GradientDescent.update_W.sub: f32[2, 5] = sub(W, GradientDescent.update_W.mul)
    W[...] = GradientDescent.update_W.sub
    return Layer.h
""")
    drawn = view(diagram(optimize(f)), View())
    kernels = [s for s in drawn.scopes if s]
    assert len(kernels) == 1 and any(box.kind is Kind.GRADIENT for box in drawn.by_scope()[kernels[0]])
    assert drawn.box("training kernels").aside and "← training kernels" in " ".join(stubs(drawn, "W")).replace("↔", "←")


# which scopes are open


def test_depth_closes_the_scopes_below_it(whole):
    none, one = view(whole, View(depth=0)), view(whole, View(depth=1))
    assert set(none.scopes) == {""} and {"Model/", "Loss/"} <= set(none.boxes)
    assert set(one.scopes) == {"", "Model", "Loss"} and "Model/Inner/" in one.boxes
    assert one.box("Model/Inner/").kind is Kind.SCOPE and one.box("Model/Inner/").lines == ("Model/Inner", "matmul, add")


def test_lines_to_and_from_a_closed_scope_are_joined(whole):
    drawn = view(whole, View(depth=0, all=True))
    links = {(s, t, link.kind): link for s, t, link in drawn.boxes.edges(data="link")}
    assert len(links) == drawn.boxes.number_of_edges()
    assert links["Model/", "Loss/", LinkKind.DATA].label == "f32[b, 1]"
    assert links["Model/", "gradients/", LinkKind.DATA].label.endswith(" tensors")
    crossing = [link for s, t, link in whole.boxes.edges(data="link") if s.startswith("Model/") and t.startswith("gradients/")]
    assert links["Model/", "gradients/", LinkKind.DATA].bytes == sum(link.bytes for link in crossing if link.kind is LinkKind.DATA) > 0


def test_a_picture_opens_only_as_many_scopes_as_stay_readable():
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [2], name="x")
    for scope, count in (("few", 3), ("many", 200)):
        with tf.name_scope(scope):
            for _ in range(count):
                x = tf.tanh(x)
    drawn = view(diagram(tf.get_default_graph()), View())
    assert "few" in drawn.scopes and "many/" in drawn.boxes
    assert drawn.notes == ("1 scope is closed: --depth N opens more, --scope NAME shows one",)
    assert "many" in view(diagram(tf.get_default_graph()), View().unlimited()).scopes
    assert "many" in view(diagram(tf.get_default_graph()), View(depth=1)).scopes


def test_a_crowd_is_cut_into_parts():
    drawn = Diagram("many")
    for i in range(10_000):
        drawn.add_box(Box(f"n{i}", Kind.OP, "", (f"n{i}",)))
        if i:
            drawn.add_link(f"n{i - 1}", f"n{i}", Link(LinkKind.DATA, "f32"))
    found = view(drawn, View())
    assert len(found.boxes) == 80 and sum(box.count for box in boxes(found).values()) == 10_000
    assert networkx.is_directed_acyclic_graph(found.boxes)


# series


def test_like_layers_are_one_stack_with_their_count():
    drawn = view(diagram(layers(6)), View())
    stack = drawn.box("Layer1 … Layer6/")
    assert stack.stack == 6 and stack.lines == ("Layer1 … Layer6", "6 alike", "2 variables, matmul, add, relu")
    assert "Layer3" not in drawn.scopes
    assert {(s, t) for s, t in drawn.boxes.edges()} >= {("x", "Layer1 … Layer6/"), ("Layer1 … Layer6/", "Loss/sub")}


def test_three_like_layers_are_drawn_each():
    assert {"Layer1", "Layer2", "Layer3"} <= set(view(diagram(layers(3)), View()).scopes)


def test_a_layer_that_differs_is_no_part_of_the_stack():
    graph = layers(5)
    with tf.name_scope("Layer6"):
        tf.tanh(graph.get_tensor_by_name("x:0"))
    drawn = view(diagram(graph), View())
    assert drawn.box("Layer1 … Layer5/").stack == 5 and "Layer6" in drawn.scopes


def test_gradients_and_updates_of_a_series_are_stacks_too():
    drawn = view(diagram(layers(6, optimizer=tf.train.GradientDescentOptimizer(0.1))), View(all=True))
    stacks = {box.lines[0]: box.stack for box in boxes(drawn).values() if box.stack}
    assert stacks == {
        "Layer1 … Layer6": 6, "gradients/Layer6 … gradients/Layer1": 6,
        "update_Layer1/W … update_Layer6/W": 6, "update_Layer1/b … update_Layer6/b": 6,
    }  # fmt: skip


def test_stacks_are_opened_where_that_is_asked_for():
    assert "Layer3" in view(diagram(layers(6)), View(stacks=False)).scopes


# one scope, or what is near


def test_a_scope_is_drawn_with_what_it_is_linked_to():
    drawn = view(diagram(layers(6)), View(scope="Layer3"))
    assert set(drawn.scopes) == {"", "Layer3"}
    assert {name: box.kind for name, box in boxes(drawn).items() if not box.scope and not box.aside} == {"Layer2/": Kind.OUTSIDE, "Layer4/": Kind.OUTSIDE}
    assert ("Layer2/", "Layer3/MatMul") in drawn.boxes.edges()
    assert drawn.box("Layer2/").lines == ("Layer2", "2 variables, matmul, add, relu")


def test_a_scope_inside_another_is_linked_to_its_neighbours_there(whole):
    drawn = view(whole, View(scope="Model/Inner/"))
    assert {name for name, box in boxes(drawn).items() if box.kind is Kind.OUTSIDE} == {"Model/x", "Model/W", "Model/b", "Loss/"}


def test_an_auxiliary_scope_can_be_drawn_alone(whole):
    drawn = view(whole, View(scope="gradients/Loss"))
    assert "gradients/Loss/loss_grad" in drawn.boxes and {"Loss/", "gradients/Model/"} <= set(drawn.boxes)


def test_around_a_node_are_those_within_the_radius(whole):
    near = {r: {n for n, b in boxes(view(whole, View(around="Loss/loss", radius=r))).items() if not b.aside} for r in (0, 1, 2)}
    assert near == {0: {"Loss/loss"}, 1: {"Loss/loss", "Loss/mul"}, 2: {"Loss/loss", "Loss/mul", "Loss/Square", "Loss/mul/y"}}


def test_around_finds_a_node_that_is_folded_and_a_scope(whole):
    assert "Model/W" in view(whole, View(around="Model/W/read", radius=0)).boxes
    assert {"Model/Inner/MatMul", "Model/Inner/y"} <= set(view(whole, View(around="Model/Inner", radius=0)).boxes)
    assert "gradients/Loss/loss_grad" in view(whole, View(around="gradients/Loss/loss_grad", radius=1)).boxes


def test_names_of_the_graph_are_understood_below_it():
    f = parse_function("def f(x: f32[2]):\n    Layer.a: f32[2] = tanh(x)\n    Layer.b: f32[2] = exp(Layer.a)\n    y: f32[2] = neg(Layer.b)\n    return y\n")
    assert set(view(diagram(f), View(around="Layer/b", radius=1)).boxes) == {"Layer.a", "Layer.b", "y"}
    assert set(view(diagram(f), View(scope="Layer/")).scopes) == {"", "Layer"}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (View(scope="Modle"), "no scope 'Modle'; near: Model"),
        (View(scope="zzz"), "no scope 'zzz'; there are Model, Model/Inner, Loss"),
        (View(around="Loss/los"), "no node 'Loss/los'; near: Loss/loss"),
    ],
)
def test_an_unknown_name_is_refused_with_what_is_near(whole, how, said):
    with pytest.raises(GraphError) as caught:
        view(whole, how)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("how", [View(depth=-1), View(around="Loss/loss", radius=-2)])
def test_a_negative_count_is_refused(whole, how):
    with pytest.raises(ValueError, match=r"depth and radius are counts, not -[12]"):
        view(whole, how)


def test_a_view_of_nothing_is_nothing():
    assert len(view(diagram(tf.Graph()), View()).boxes) == 0
    with pytest.raises(GraphError, match="no scope 'x': a graph without scopes"):
        view(diagram(noisy()[0]), View(scope="x"))
