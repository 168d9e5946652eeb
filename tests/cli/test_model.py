"""How commands look into scripts: how far they run, and what they show."""

import pytest

from flowc.cli.model import choose, load, split
from flowc.cli.subject import CompiledFunction, InputError


def titles(model, name=None):
    return [subject.title for subject in choose(model, name)]


def test_a_script_runs_up_to_its_first_run_that_trains(training, capsys):
    model = load(training)
    assert model.stopped == "model.py:14"
    assert titles(model) == ["GradientDescent"]
    assert capsys.readouterr() == ("", "building\n")


def test_the_shapes_that_the_run_feeds_are_known(training):
    (run,) = choose(load(training), None)
    assert list(run.fed.values()) == [(4, 3)]
    assert str(run.function().params[0].type) == "f32[b, 3]"


def test_runs_that_train_nothing_are_made_and_initializers_before_them(script):
    path = script("""
        import tensorflow as tf
        v = tf.Variable([1.0, 2.0])
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            size = len(sess.run(v))
            for step in range(size):
                tf.identity(v, name=f"made_{step}")
            sess.run(v.assign(v * 2.0))
            value = sess.run(v)
        """)
    model = load(path)
    assert model.stopped is None
    assert list(model.names["value"]) == [2.0, 4.0]
    assert "made_1" in model.graph.by_name


def test_a_gradient_step_by_hand_counts_as_training(script):
    path = script("""
        import tensorflow as tf
        v = tf.Variable(1.0)
        step = v.assign_sub(0.1 * tf.gradients(v * v, [v])[0])
        sess = tf.Session()
        sess.run(tf.global_variables_initializer())
        try:
            sess.run(step)
        except Exception:
            pass
        after = 1
        """)
    model = load(path)
    assert model.stopped == "model.py:8" and "after" not in model.names


def test_whole_runs_the_script_to_its_end(script):
    path = script("""
        import tensorflow as tf
        v = tf.Variable(1.0)
        train = tf.train.GradientDescentOptimizer(0.25).minimize(v * v)
        sess = tf.Session()
        sess.run(tf.global_variables_initializer())
        sess.run(train)
        value = sess.run(v)
        """)
    model = load(path, whole=True)
    assert model.stopped is None and model.names["value"] == 0.5
    assert [run.title for run in model.runs][:1] == ["GradientDescent"] and len(model.runs) == 2


def test_session_run_is_itself_again_afterwards(training):
    from flowc.frontend.session import Session

    before = Session.run
    load(training)
    assert Session.run is before


def test_a_graph_that_is_never_run_shows_what_nothing_else_uses(script):
    path = script("""
        import tensorflow as tf
        x = tf.placeholder(tf.float32, [3], name="x")
        v = tf.Variable(tf.ones([3]), name="v")
        init = tf.global_variables_initializer()
        y = tf.add(x, v, name="y")
        """)
    assert titles(load(path)) == ["y"]


def test_gradients_that_nothing_uses_are_not_what_a_graph_is_about(script):
    path = script("""
        import tensorflow as tf
        x = tf.placeholder(tf.float32, [3], name="x")
        w = tf.Variable(tf.ones([3]), name="w")
        train = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(w * x))
        """)
    assert titles(load(path)) == ["GradientDescent"]


def test_a_colon_without_a_name_picks_nothing(training):
    assert split(f"{training}:") == (training, None)


def test_a_name_picks_a_tensor_an_operation_a_graph_a_function_or_a_node(training, script, compiled):
    model = load(training)
    assert titles(model, "loss") == ["loss"]
    assert titles(model, "W") == ["W"]
    assert titles(model, "train") == ["train"]
    assert titles(model, "Model/y") == ["Model/y"]
    assert titles(model, "Model/y:0") == ["Model/y:0"]
    graph = script("import tensorflow as tf\ng = tf.Graph()\nwith g.as_default():\n    a = tf.constant(1.0, name='a')\nother = tf.constant(2.0)\n", "graph.py")
    assert titles(load(graph), "g") == ["a"]
    (subject,) = choose(load(compiled), "slope")
    assert isinstance(subject, CompiledFunction)


def test_a_script_without_a_graph_shows_its_compiled_functions(compiled):
    model = load(compiled)
    assert [subject.compiled for subject in choose(model, None)] == [model.names["loss"], model.names["slope"]]


def test_the_script_sees_its_arguments(script):
    assert load(script("import sys\nimport tensorflow as tf\na = tf.constant(1.0)\nseen = sys.argv\n"), ["p", "q"]).names["seen"] == ["model.py", "p", "q"]


def test_a_clean_exit_is_an_end(script):
    assert load(script("import sys\nimport tensorflow as tf\na = tf.constant(1.0, name='a')\nsys.exit(0)\n")).graph is not None


@pytest.mark.parametrize(
    ("spec", "parts"), [("a.py", ("a.py", None)), ("a.py:loss", ("a.py", "loss")), ("d/a.py:x:0", ("d/a.py", "x:0")), ("model:y", ("model", "y"))]
)
def test_a_spec_is_a_file_and_a_name(spec, parts):
    assert split(spec) == parts


def test_an_unknown_name_is_answered_with_near_ones_and_where_the_script_stopped(training):
    with pytest.raises(InputError, match=r"model.py: los is not there; near: loss .*stopped where it trains, model.py:14; --whole"):
        choose(load(training), "los")


def test_a_name_of_something_else_says_what_it_is(training):
    with pytest.raises(InputError, match="numbers is a list, no tensor, operation, graph or compiled function"):
        choose(load(training), "numbers")


def test_a_placeholder_of_unknown_rank_that_no_run_feeds_is_named(script):
    path = script("import tensorflow as tf\nx = tf.placeholder(tf.float32, name='x')\ny = x + 1.0\n")
    (run,) = choose(load(path), "y")
    with pytest.raises(InputError, match="y needs x, whose shape is not known"):
        run.function()
