"""`flowc viz` and `flowc ir --diff`: every form and option, and one clear line, exit code 2 and no file for what cannot be used."""

import json
import os
import sys

import pytest

from flowc.viz import draw as drawing
from tests.viz.pages import data_of

needs_graphviz = pytest.mark.skipif(not drawing.can_draw(), reason="no Graphviz here")

LAYERS = """
    import tensorflow as tf
    x = h = tf.placeholder(tf.float32, [None, 4], name="x")
    for i in range(5):
        with tf.name_scope("Layer%d" % (i + 1)):
            h = tf.nn.relu(tf.matmul(h, tf.Variable(tf.zeros([4, 4]), name="W")))
    loss = tf.reduce_mean(h, name="loss")
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    """
CYCLE = """
    import tensorflow as tf
    a = tf.constant(1.0, name="a")
    b = tf.add(a, 1.0, name="b")
    c = tf.add(b, 1.0, name="c")
    a.op.node.control = (c.op.node,)
    """


@pytest.fixture
def layers(script):
    return script(LAYERS, "layers.py")


# forms


@pytest.mark.parametrize(("suffix", "start"), [
    (".html", "<!DOCTYPE html>"), (".HTML", "<!DOCTYPE html>"), (".dot", "digraph flowc {"), (".gv", "digraph flowc {"), (".json", "{\n"),
    (".txt", "sub/y   "), pytest.param(".svg", "<?xml", marks=needs_graphviz),
])  # fmt: skip
def test_the_suffix_says_the_form(flowc, training, tmp_path, suffix, start):
    code, out, _ = flowc("viz", training, "-o", f"graph{suffix}")
    assert code == 0 and out.startswith(f"graph{suffix}: ")
    text = (tmp_path / f"graph{suffix}").read_text()
    assert text.startswith(start)


@needs_graphviz
@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_pictures_are_drawn(flowc, training, tmp_path, suffix, start):
    assert flowc("viz", training, "-o", f"graph{suffix}")[0] == 0
    assert (tmp_path / f"graph{suffix}").read_bytes().startswith(start)


def test_without_a_file_there_is_a_page_named_after_the_script(flowc, training, tmp_path):
    assert flowc("viz", training)[1].startswith("model.html: ")
    assert flowc("viz", f"{training}:loss")[1].startswith("model.loss.html: ")
    assert flowc("viz", f"{training}:Model/y")[1].startswith("model.Model.y.html: ")
    assert data_of((tmp_path / "model.html").read_text())["title"] == "model.py"
    assert flowc("viz", training)[0] == 0, "a page of flowc's is written anew"


def test_a_page_of_somebody_else_s_is_left_alone(flowc, training, tmp_path):
    (tmp_path / "model.html").write_text("<p>mine</p>")
    code, out, err = flowc("viz", training)
    assert (code, out, err) == (2, "", "flowc viz: model.html is there already and is no page of flowc's: say with -o where to draw\n")
    assert (tmp_path / "model.html").read_text() == "<p>mine</p>"
    assert flowc("viz", training, "-o", "model.html")[0] == 0


def test_a_dash_prints_the_tree_and_writes_nothing(flowc, training, tmp_path):
    code, out, _ = flowc("viz", training, "-o", "-")
    assert code == 0 and "\nModel/\n  x  placeholder  f32[b, 3]  -> gradients\n" in out
    assert "\naside, drawn in with --all\n" in out and [p.name for p in tmp_path.iterdir()] == ["model.py"]
    assert "GradientDescent/" in flowc("viz", training, "-o", "-", "--all")[1]


def test_arguments_of_the_script_come_after_two_dashes(flowc, script):
    path = script("import sys\nimport tensorflow as tf\ny = tf.zeros([len(sys.argv[1])], name=sys.argv[1].strip('-'))\n")
    assert flowc("viz", path, "-o", "-", "--", "--seven")[1] == "seven  constant  all 0.0 f32[7]\n"
    assert flowc("ir", path, "--level", "graph", "--", "abc")[1].startswith("abc: f32[3]")


# options


def test_a_run_tells_the_extents_and_ranks(flowc, script, tmp_path):
    path = script("""
        import tensorflow as tf
        x, y = tf.placeholder(tf.float32, name="x"), tf.placeholder(tf.float32, [None, 2], name="y")
        v = tf.Variable([[1.0], [2.0]], name="v")
        loss = tf.reduce_mean(tf.matmul(x * y, v, name="product"), name="loss")
        train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        sess = tf.Session()
        sess.run(tf.global_variables_initializer())
        sess.run(train, {x: [[1, 2]] * 50, y: [[1, 2]] * 50})
        """)
    assert flowc("viz", path, "-o", "graph.dot")[0] == 0
    text = (tmp_path / "graph.dot").read_text()
    assert "x -> mul [label=\" f32[n0, 2] \" edgetooltip=\"x → mul: f32[n0, 2], 400 bytes\" penwidth=1.1]" in text or "400 bytes" in text
    assert "f32[...]" not in text


def test_depth_scope_around_and_all_choose_what_is_drawn(flowc, layers, tmp_path):
    def drawn(*options):
        assert flowc("viz", layers, "-o", "graph.json", *options)[0] == 0
        return {box["id"] for box in json.loads((tmp_path / "graph.json").read_text())["nodes"]}

    assert {"Layer1 … Layer5/", "gradients/", "x", "loss"} <= drawn()
    assert drawn("--scope", "Layer2") == {"Layer2/MatMul", "Layer2/Relu", "Layer2/W", "Layer1/", "Layer3/", "gradients/", "GradientDescent/", "initial values"}
    assert {"loss", "Layer5/Relu"} < drawn("--around", "loss", "--radius", "1") < drawn("--around", "loss")
    assert any(name.startswith("gradients/Layer") for name in drawn("--all"))
    assert "GradientDescent/update_Layer1/W/ApplyGradientDescent" in drawn("--full")
    assert "Loss/" not in drawn("--depth", "0") and "Layer1 … Layer5/" in drawn("--depth", "0")


@needs_graphviz
def test_dark_and_light_are_for_pictures_too(flowc, training, tmp_path):
    for theme, paper in (("--dark", "#11171c"), ("--light", "#ffffff")):
        assert flowc("viz", training, "-o", "graph.svg", theme)[0] == 0
        assert paper in (tmp_path / "graph.svg").read_text()
    assert flowc("viz", training, "-o", "plain.svg")[0] == 0
    assert (tmp_path / "plain.svg").read_text() == (tmp_path / "graph.svg").read_text()


@pytest.mark.parametrize(("options", "part"), [
    (("--level", "graph"), '"Model/x" -> "Model/y"'), (("--level", "function"), "Model_x ->"),
    (("--level", "module"), 'label="kernel k0_'), (("--level", "kernel"), "in parallel("),
    (("--after", "trace"), "reduce_mean"), (("--after", "simplify"), "reduce_sum"), (("--after", "fuse"), "kernel k0_"),
])  # fmt: skip
def test_every_level_and_pass_can_be_drawn(flowc, training, tmp_path, options, part):
    assert flowc("viz", f"{training}:loss", "-o", "graph.dot", *options)[0] == 0
    assert part in (tmp_path / "graph.dot").read_text()


@pytest.mark.parametrize(("options", "name"), [
    ((), "graph"), (("--level", "function"), "extract"), (("--level", "module"), "fuse"), (("--level", "kernel"), "loops"), (("--after", "fuse"), "fuse"),
    (("--after", "simplify"), "simplify"), (("--after", "trace"), "extract"),
])  # fmt: skip
def test_a_page_opens_at_the_level_or_pass_that_is_asked_for(flowc, training, tmp_path, options, name):
    assert flowc("viz", training, *options)[0] == 0
    data = data_of((tmp_path / "model.html").read_text())
    assert name in data["stages"][data["first"]]["name"].split(", ")


def test_a_page_of_a_part_holds_that_part(flowc, layers, tmp_path):
    assert flowc("viz", layers, "--scope", "Layer2")[0] == 0
    (stage,) = data_of((tmp_path / "layers.html").read_text())["stages"]
    assert {"Layer2/MatMul", "Layer1/", "Layer3/"} <= {box["id"] for box in stage["boxes"]} and "Layer4/" not in {box["id"] for box in stage["boxes"]}


@pytest.mark.parametrize(("options", "address"), [
    ((), ""), (("--all",), "aside=0"), (("--depth", "0"), "open="), (("--depth", "1", "--all"), "aside=0&open=Model%2F%7Cgradients%2F%7CGradientDescent%2F"),
])  # fmt: skip
def test_a_page_opens_with_all_drawn_in_or_at_a_depth_where_that_is_asked_for(flowc, training, tmp_path, options, address):
    assert flowc("viz", training, *options)[0] == 0
    assert data_of((tmp_path / "model.html").read_text())["address"] == address


def test_a_compiled_function_is_drawn_at_its_levels(flowc, compiled, tmp_path):
    assert flowc("viz", f"{compiled}:loss", "-o", "f.dot")[0] == 0
    assert "Tanh" in (tmp_path / "f.dot").read_text()
    assert "[b, n]" in flowc("viz", f"{compiled}:loss", "-o", "-", "--level", "module")[1]


# a pass as a diff


def test_ir_diff_shows_the_lines_that_a_pass_takes_and_gives(flowc, training):
    code, out, _ = flowc("ir", f"{training}:loss", "--diff", "expand")
    lines = out.splitlines()
    assert code == 0 and lines[:2] == ["--- loss after stabilize", "+++ loss after expand"]
    assert any(line.startswith("-") and "reduce_mean" in line for line in lines) and any(line.startswith("+") and "reduce_sum" in line for line in lines)
    assert "\033" not in out


def test_ir_diff_of_a_pass_that_changes_nothing_says_so(flowc, training):
    assert flowc("ir", f"{training}:loss", "--diff", "resimplify") == (0, "loss: resimplify changes nothing\n", "building\n")


def test_ir_diff_has_colours_on_a_terminal_only_and_not_where_the_user_wants_none(flowc, training, monkeypatch):
    from flowc.cli import commands

    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert not commands.colours()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert commands.colours()
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
        assert not commands.colours()
        monkeypatch.delenv(name)
    monkeypatch.setattr(commands, "colours", lambda: True)
    out = flowc("ir", f"{training}:loss", "--diff", "expand")[1]
    assert "\033[31m-" in out and "\033[32m+" in out and out.startswith("\033[1m--- loss after stabilize\033[0m\n")


# what cannot be used

BAD = {
    "no graph": (["empty.py", "-o", "x.html"], "empty.py builds no graph and has no compiled function"),
    "an unknown name": (["model.py:lost", "-o", "x.dot"], "model.py: lost is not there; near: loss"),
    "an unknown pass": (["model.py", "-o", "x.dot", "--after", "fuze"], "no pass 'fuze'; there are trace, tidy, stabilize, expand, simplify, fold, "),
    "a pass at another level": (["model.py", "-o", "x.dot", "--after", "fold", "--level", "kernel"], "--after shows the function level; the level "),
    "no folder to write to": (["model.py", "-o", "none/x.dot"], "none/x.dot cannot be written: "),
    "a folder as the file": (["model.py", "-o", "folder.dot"], "folder.dot cannot be written: it is a folder"),
    "an unknown suffix": (["model.py", "-o", "x.jpeg"], "DrawingError: x.jpeg: the file's name must end in one of .html, .svg, .png, "),
    "an unknown scope": (["model.py", "-o", "x.dot", "--scope", "Modle"], "GraphError: no scope 'Modle'; near: Model"),
    "an unknown scope of a page": (["model.py", "--scope", "Modle"], "GraphError: no scope 'Modle'; near: Model"),
    "an unknown node": (["model.py", "-o", "-", "--around", "Model/z"], "GraphError: no node 'Model/z'; near: Model/"),
    "a negative depth": (["model.py", "-o", "x.dot", "--depth", "-1"], "--depth is a count from 0, not -1"),
    "a depth that is no number": (["model.py", "-o", "x.dot", "--depth", "deep"], "--depth is a count from 0, not deep"),
    "a negative radius": (["model.py", "-o", "x.dot", "--around", "loss", "--radius", "-1"], "--radius is a count from 0, not -1"),
    "a radius around nothing": (["model.py", "-o", "x.dot", "--radius", "1"], "--radius says how far --around NODE goes"),
    "a scope without a name": (["model.py", "-o", "x.dot", "--scope", "/"], "--scope wants a name"),
    "a scope and a node": (["model.py", "-o", "x.dot", "--scope", "Model", "--around", "loss"], "--scope and --around both say what part is drawn"),
    "a cycle of control edges": (["cycle.py", "-o", "x.svg"], "cycle.py: control edges form a cycle, so nothing can run first: a -> b -> c -> a (cycle.py:3)"),
    "several functions": (["functions.py", "-o", "x.dot"], "functions.py has several compiled functions: loss, "),
    "a function's graph": (["functions.py:loss", "-o", "x.dot", "--level", "graph"], "loss is a compiled function and keeps no graph"),
    "no Python": (["broken.py", "-o", "x.dot"], "broken.py is no Python script: line 1: "),
    "a diff that is no page": (["model.py", "--diff", "model.py", "-o", "x.svg"], "--diff draws a page: -o FILE.html"),
}


@pytest.fixture
def scripts(training, compiled, script, tmp_path):
    script("x = 1\n", "empty.py")
    script("def f(:\n", "broken.py")
    script(CYCLE, "cycle.py")
    (tmp_path / "folder.dot").mkdir()
    return tmp_path


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_code_2_and_nothing_is_written(flowc, scripts, case):
    before = sorted(scripts.iterdir())
    argv, message = BAD[case]
    code, out, err = flowc("viz", *argv)
    lines = [line for line in err.splitlines() if line != "building"]
    assert (code, out, len(lines)) == (2, "", 1), err
    assert lines[0].startswith(f"flowc viz: {message}")
    assert sorted(scripts.iterdir()) == before


@pytest.mark.parametrize("command", ["ir", "explain", "bench"])
def test_a_cycle_of_control_edges_is_told_by_every_command(flowc, scripts, command):
    code, out, err = flowc(command, "cycle.py")
    assert (code, out, err) == (2, "", f"flowc {command}: cycle.py: control edges form a cycle, so nothing can run first: a -> b -> c -> a (cycle.py:3)\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_told(flowc, training, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "is not writable" in flowc("viz", training, "-o", "locked/x.dot")[2]


def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing(flowc, training, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drawing.os, "replace", full)
    code, out, err = flowc("viz", training, "-o", "x.dot")
    assert (code, out) == (2, "") and err.splitlines()[-1] == "flowc viz: x.dot cannot be written: No space left on device"
    assert [p.name for p in tmp_path.iterdir()] == ["model.py"]


@pytest.mark.parametrize(("argv", "message"), [
    (["--diff", "fuze"], "no pass 'fuze' to show the changes of; there are tidy, "),
    (["--diff", "fold", "--after", "fold"], "--diff shows what a pass changes, --after the whole function after one: one of both"),
])  # fmt: skip
def test_a_diff_that_cannot_be_shown_is_one_line(flowc, training, argv, message):
    code, out, err = flowc("ir", training, *argv)
    assert (code, out) == (2, "") and err.startswith(f"flowc ir: {message}") and err.count("\n") == 1


def test_without_graphviz_a_picture_is_one_line_on_what_to_install_before_the_script_runs(flowc, training, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing.shutil, "which", lambda name: None)
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    code, out, err = flowc("viz", training, "-o", "graph.svg")
    assert (code, out, err) == (
        2, "", "flowc viz: DrawingError: a .svg needs Graphviz: install its `dot` program (apt install graphviz) or `pip install pygraphviz`;"
        " the other forms need neither\n",
    )  # fmt: skip
    assert not (tmp_path / "graph.svg").exists()
    assert flowc("viz", training, "-o", "graph.dot")[0] == 0
