"""What notebooks show of graphs, functions and compiled objects, and what `print` prints."""

import html
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import flowc as tf
from flowc.ir.text import parse_function
from flowc.transforms.extract import extract
from flowc.transforms.pipeline import optimize
from flowc.viz import View, diagram, view
from flowc.viz import draw as drawing
from flowc.viz.page import Stage, page
from tests.browser import CHROMIUM
from tests.viz.graphs import layers, regression, summarized
from tests.viz.pages import data_of

FUNCTION = "def f(x: f32[b, 3], W: f32[3, 2]):\n    y: f32[b, 2] = matmul(x, W)\n    return y\n"


def compiled():
    @tf.compile
    def loss(w: tf.f32[3], x: tf.f32[7, 3]):
        return tf.mean(tf.tanh(x * w))

    return loss


def executable():
    _, made = regression()
    sess = tf.Session()
    sess.run(tf.global_variables_initializer())
    return sess.executable(made["y"], {made["x"]: np.ones((2, 3), np.float32)})


THINGS = {
    "graph": lambda: regression()[0],
    "function": lambda: parse_function(FUNCTION),
    "module": lambda: optimize(parse_function(FUNCTION)),
    "compiled function": compiled,
    "executable": executable,
}


def page_in(frame):
    found = re.fullmatch(r'<iframe srcdoc="([^"]*)" title="[^"]*" style="[^"]*"></iframe>', frame)
    return html.unescape(found.group(1))


@pytest.mark.parametrize(("thing", "first", "last"), [
    ("graph", "graph", "graph"), ("function", "function", "kernels"), ("module", "kernels", "kernels"), ("compiled function", "function", "kernels"),
    ("executable", "function", "kernels"),
])  # fmt: skip
def test_a_notebook_shows_the_page_over_all_stages(thing, first, last):
    stages = data_of(page_in(THINGS[thing]()._repr_html_()))["stages"]
    assert stages[0]["name"].split(", ")[0] == first and stages[-1]["name"].split(", ")[-1] == last
    assert stages[0]["boxes"]


@pytest.mark.skipif(not drawing.can_draw(), reason="no Graphviz here")
@pytest.mark.parametrize("thing", THINGS)
def test_where_no_page_can_be_shown_there_is_the_picture(thing):
    assert ElementTree.fromstring(THINGS[thing]()._repr_svg_().encode()).tag.endswith("svg")


def test_without_graphviz_there_is_no_picture_and_no_error(monkeypatch):
    monkeypatch.setattr(drawing.shutil, "which", lambda name: None)
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    assert regression()[0]._repr_svg_() is None


def test_a_compiled_function_whose_shapes_are_not_known_shows_itself_once_it_was_called():
    double = tf.compile(lambda x: x * 2.0)
    assert double._repr_html_() is None and double._repr_svg_() is None
    double(np.ones(3, np.float32))
    assert data_of(page_in(double._repr_html_()))["stages"]


@pytest.mark.parametrize("shapes", [[None, None], [[None], [None]]])
def test_a_function_whose_types_are_not_all_known_shows_itself_alone(shapes):
    x, z = (tf.placeholder(tf.float32, shape) for shape in shapes)
    y = x * z + 1.0
    f = extract([y.node], [x.node, z.node]).function
    assert [s["name"] for s in data_of(page_in(f._repr_html_()))["stages"]] == ["function"]


def test_print_of_a_graph_is_the_tree_of_its_scopes():
    text = str(regression()[0])
    assert "\nLoss/\n  target" in text and "\n  Model/Inner/\n" in text and not text.endswith("\n")
    assert max(map(len, str(layers(30, optimizer=tf.train.AdamOptimizer(0.1))).splitlines())) <= 100


def test_the_echo_of_a_graph_is_short():
    graph, _ = regression()
    assert repr(graph) == f"<Graph: {len(graph)} nodes>" and str(tf.Graph()) == ""


def test_nothing_that_draws_is_imported_before_it_is_asked_for():
    code = "import flowc as tf, sys; tf.zeros([2]); tf.get_default_graph(); sys.exit('flowc.viz.notebook' in sys.modules or 'graphviz' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
class TestInABrowser:
    def test_a_page_shows_the_view_that_it_was_made_with_until_an_address_says_otherwise(self, reader, tmp_path):
        text = page([Stage("graph", diagram(regression()[0]))], address="aside=0&open=gradients/")
        reader.read(tmp_path, text)
        assert reader.items("open") == {"gradients/"} and reader.state() == {"aside": "0", "open": "gradients/"}
        reader.read(tmp_path, text, "#open=Model/")
        assert reader.items("open") == {"Model/"} and "aside" not in reader.state()

    def test_a_page_draws_every_kind_and_sets_summaries_and_savers_aside(self, reader, tmp_path):
        graph = summarized()
        tf.assign_add(graph.get_tensor_by_name("v:0"), 1.0, name="count")
        text = page([Stage("graph", diagram(graph))])
        reader.read(tmp_path, text)
        assert reader.items("k-assignment") == {"count"} and {"*summaries", "save/"} <= reader.items("scope")
        assert not reader.items("box") & {"told", "save/Assign"}
        reader.read(tmp_path, text, "#aside=0&open=save/")
        assert reader.items("k-summary") >= {"told", "spread"} and "save/Assign" in reader.items("k-saver")
        inside = view(diagram(graph), View(scope="save").whole())
        reader.read(tmp_path, page([Stage("graph", inside)]), "#open=save/")
        assert reader.items("k-outside") == {"v"}

    def test_a_notebook_s_frame_draws_the_graph(self, reader, tmp_path):
        file = tmp_path / "notebook.html"
        file.write_text(f"<!DOCTYPE html><body>{regression()[0]._repr_html_()}</body>")
        reader.open(file.as_uri())
        inner = "(document.querySelector('iframe') || {}).contentDocument"
        reader.wait_for(f"{inner} && {inner}.querySelector('html[data-ready]') && 1")
        names = reader.evaluate(f"[...{inner}.querySelectorAll('#camera .item')].map(e => e.dataset.id)")
        assert {"Model/", "Loss/", "Model/x"} <= set(names)
