"""The page: what is inside it always, and how it behaves where there is a Chromium to open it."""

import json
import re
import shutil
import subprocess
import sys

import pytest

import flowc as tf
from flowc.viz.model import Box, Diagram, Kind, Link, LinkKind, diagram
from flowc.viz.page import Stage, page
from flowc.viz.stages import stages
from tests.viz.graphs import regression

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1400,900", "--virtual-time-budget=3000",
]  # fmt: skip


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL).group(1))


def regression_page():
    graph, _ = regression()
    return page([Stage("graph", diagram(graph))], "regression")


# what is inside


def test_the_data_holds_every_box_link_and_scope():
    graph, _ = regression()
    drawn = diagram(graph)
    stage = data_of(page([Stage("graph", drawn)]))["stages"][0]
    assert [b["id"] for b in stage["boxes"]] == list(drawn.boxes)
    assert len(stage["links"]) == drawn.boxes.number_of_edges()
    assert {s[0] for s in stage["scopes"]} == set(drawn.scopes) - {""}


def test_scopes_come_after_the_scopes_around_them():
    seen = {""}
    for name, parent, *_ in data_of(regression_page())["stages"][0]["scopes"]:
        assert parent in seen
        seen.add(name)


def test_a_box_tells_its_nodes_with_op_type_attributes_and_operands():
    boxes = {b["id"]: b for b in data_of(regression_page())["stages"][0]["boxes"]}
    name, op, type, attrs, inputs, control = boxes["Loss/loss"]["nodes"][0]
    assert (name, op, type, inputs, control) == ("Loss/loss", "reduce_mean", "f32", ["Loss/mul"], [])
    assert "axis" in dict(attrs) or attrs == []
    assert boxes["Loss/loss"]["where"].startswith("graphs.py:")
    assert "tf.reduce_mean" in boxes["Loss/loss"]["text"]


def test_a_gradient_box_names_its_forward_box():
    boxes = data_of(regression_page())["stages"][0]["boxes"]
    by_name = {b["id"]: b for b in boxes}
    assert boxes[by_name["gradients/Loss/loss_grad"]["partner"]]["id"] == "Loss/loss"


def test_nothing_is_fetched_from_anywhere():
    text = regression_page()
    assert not re.search(r"https?://|//[a-z]+\.[a-z]+/|\bsrc=|\bhref=|@import|url\((?!#)", text)
    assert "default-src 'none'" in text


def test_the_layout_library_comes_with_its_licence():
    assert "Copyright (c) 2012-2014 Chris Pettitt" in regression_page()


def test_the_same_graph_gives_the_same_bytes():
    assert regression_page() == regression_page()


def test_the_same_graph_gives_the_same_bytes_in_other_processes():
    program = "import hashlib; from tests.viz.test_page import regression_page; print(hashlib.sha256(regression_page().encode()).hexdigest())"
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != ""


def strange():
    drawn = Diagram("<b>&\"title\"")
    drawn.add_scope("</script><s>", "")
    drawn.add_box(Box("</script><s>/<img src=x onerror=alert(1)>", Kind.OP, "</script><s>", ("<img src=x onerror=alert(1)>", "\u2028{{script}}")))
    drawn.add_box(Box('a"&b', Kind.CONSTANT, "", ('a"&b',)))
    drawn.add_link('a"&b', "</script><s>/<img src=x onerror=alert(1)>", Link(LinkKind.DATA, "<f32>"))
    return page([Stage("graph", drawn)], drawn.title)


def test_names_with_markup_stay_names():
    text = strange()
    assert "<img" not in text
    assert "</script><s>" not in text
    assert "<title>&lt;b&gt;&amp;&quot;title&quot;</title>" in text
    boxes = data_of(text)["stages"][0]["boxes"]
    assert [b["lines"][0] for b in boxes] == ["<img src=x onerror=alert(1)>", 'a"&b']
    assert boxes[0]["lines"][1] == "\u2028{{script}}"


def test_a_page_without_stages_is_refused():
    with pytest.raises(ValueError, match="at least one stage"):
        page([])


def compiled_stages():
    from flowc.cli.subject import GraphRun

    graph, made = regression()
    run = GraphRun(graph, "train", [made["train"].node], {made["x"].node: (8, 3), graph.by_name["Loss/target"]: (8, 1)})
    return stages(run.function(), diagram(graph))


def test_stages_go_from_the_graph_to_the_kernels():
    found = data_of(page(compiled_stages()))["stages"]
    assert found[0]["name"] == "graph"
    assert found[1]["name"].split(", ")[0] == "extract"
    assert found[-1]["name"] == "kernels"


def test_a_pass_that_changes_nothing_is_joined_to_the_stage_before():
    one = Stage("first", diagram(regression()[0]))
    assert [s["name"] for s in data_of(page([one, Stage("second", one.diagram)]))["stages"]] == ["first, second"]


def test_kernels_bring_their_loops_and_their_source():
    kernels = [s for s in data_of(page(compiled_stages()))["stages"][-1]["scopes"] if s[4]]
    assert kernels
    for name, _, label, _, texts in kernels:
        assert label == f"kernel {name}"
        assert [heading for heading, _ in texts] == ["loops", "generated Numba source"]
        assert all(text.startswith(f"def {name}(") for _, text in texts)


def test_a_node_of_the_graph_tells_its_kernel_and_the_decisions_about_it():
    found = data_of(page(compiled_stages()))["stages"]
    matmul = next(b for b in found[0]["boxes"] if b["id"] == "Model/Inner/MatMul")
    assert matmul["kernel"] in {s[0] for s in found[-1]["scopes"]}
    assert any("Model.Inner.MatMul" in note for note in matmul["notes"])


def test_fusing_nodes_into_kernels_adds_and_removes_none():
    *_, before, last = data_of(page(compiled_stages()))["stages"]
    assert {k for b in last["boxes"] for k in b["keys"]} <= {k for b in before["boxes"] for k in b["keys"]}


def test_equal_nodes_have_equal_keys_in_all_stages():
    found = data_of(page(compiled_stages()))["stages"]
    keys = [{b["id"].rpartition("/")[2]: b["keys"] for b in stage["boxes"]} for stage in found[1:]]
    assert keys[0]["Model.Inner.y"] == keys[-1]["Model.Inner.y"]


# the command

SCRIPT = """
import tensorflow as tf
with tf.name_scope("Model"):
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    W = tf.Variable(tf.zeros([3, 1]), name="W")
    y = tf.matmul(x, W, name="y")
loss = tf.reduce_mean(tf.square(y), name="loss")
train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(SCRIPT)
    (tmp_path / "other.py").write_text(SCRIPT.replace("tf.square(y)", "tf.abs(y)"))
    return tmp_path


def test_viz_writes_a_page_with_every_stage(model):
    from flowc.cli import main

    assert main(["viz", "model.py", "-o", "model.html"]) == 0
    data = data_of((model / "model.html").read_text())
    assert data["title"] == "model.py"
    assert (data["stages"][0]["name"], data["stages"][-1]["name"]) == ("graph", "kernels")


def test_viz_of_a_level_shows_that_stage_first_and_a_theme_if_asked(model):
    from flowc.cli import main

    assert main(["viz", "model.py", "--level", "module", "--dark", "-o", "model.html"]) == 0
    data = data_of((model / "model.html").read_text())
    assert data["stages"][data["first"]]["name"] == "kernels"
    assert data["theme"] == "dark"


def test_viz_compares_two_programs(model):
    from flowc.cli import main

    assert main(["viz", "model.py", "--diff", "other.py", "-o", "both.html"]) == 0
    data = data_of((model / "both.html").read_text())
    assert [s["name"] for s in data["stages"]] == ["model.py", "other.py"]
    assert data["compared"] is True


@pytest.mark.parametrize(
    ("argv", "said"), [(["--diff", "other.py"], "--diff draws a page: -o FILE.html"), (["--diff", "none.py", "-o", "x.html"], "none.py: No such file")]
)
def test_a_comparison_that_cannot_be_made_writes_nothing(model, capsys, argv, said):
    from flowc.cli import main

    assert main(["viz", "model.py", *argv]) == 2
    assert said in capsys.readouterr().err
    assert not list(model.glob("*.html"))


# in a browser

in_browser = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


def opened(tmp_path, text, address="", script=""):
    """The document after Chromium has opened the page, with a script of the test's run at its end."""
    file = tmp_path / "page.html"
    file.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"{file.as_uri()}{address}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def shown(document):
    """The ids of what is drawn, those of open scopes apart."""
    groups = re.findall(r'<g class="item ([^"]*)"[^>]* data-id="([^"]*)"', document)
    return {name for _, name in groups}, {name for look, name in groups if " open" in f" {look}"}


def keys(*pressed):
    return "".join(f"document.dispatchEvent(new KeyboardEvent('keydown', {{key: {json.dumps(key)}, bubbles: true}}));" for key in pressed).replace(
        "document.dispatchEvent", "document.getElementById('diagram').dispatchEvent"
    )


class TestInABrowser:
    pytestmark = in_browser

    def test_the_page_draws_scopes_boxes_and_lines_and_sets_gradients_aside(self, tmp_path):
        document = opened(tmp_path, regression_page())
        boxes, open_scopes = shown(document)
        assert {"Model/", "Model/Inner/", "Model/W", "Loss/loss", "gradients/", "Adam/"} <= boxes
        assert open_scopes == {"Model/", "Model/Inner/", "Loss/"}
        assert "gradients/Loss/loss_grad" not in boxes
        assert 'data-from="Model/Inner/MatMul" data-to="Model/Inner/y"' in document

    def test_the_address_opens_and_closes_scopes(self, tmp_path):
        boxes, open_scopes = shown(opened(tmp_path, regression_page(), "#open=gradients/|gradients/Loss/"))
        assert open_scopes == {"gradients/", "gradients/Loss/"}
        assert "gradients/Loss/loss_grad" in boxes
        assert "Loss/loss" not in boxes

    def test_a_double_click_opens_a_scope_and_the_address_says_so(self, tmp_path):
        script = """document.querySelector('[data-id="Adam/"] .shape').dispatchEvent(new MouseEvent('dblclick', {bubbles: true}));
            document.body.dataset.hash = decodeURIComponent(location.hash);"""
        document = opened(tmp_path, regression_page(), "", script)
        assert "Adam/" in shown(document)[1]
        assert re.search(r'data-hash="#open=[^"]*Adam/', document)

    def test_the_keyboard_alone_selects_opens_and_traces(self, tmp_path):
        document = opened(tmp_path, regression_page(), "#open=&sel=Loss/", keys("Enter", "t"))
        assert shown(document)[1] == {"Loss/"}
        assert re.search(r'class="item scope[^"]* t-in[^"]*"[^>]* data-id="Model/"', document)

    def test_arrows_go_to_the_next_box(self, tmp_path):
        document = opened(tmp_path, regression_page(), "#sel=Loss/mul", keys("ArrowDown"))
        assert re.search(r'class="item box[^"]*selected[^"]*"[^>]* data-id="Loss/loss"', document)

    @pytest.mark.parametrize(
        ("query", "found"),
        [("op:matmul", {"Model/Inner/MatMul"}), ("Loss/sq", {"Loss/Square"}), ("line:17", {"Loss/loss"}), ("op:variable dtype:f32[1]", {"Model/b"})],
    )
    def test_a_search_marks_what_it_finds(self, tmp_path, query, found):
        document = opened(tmp_path, regression_page(), f"#q={query.replace('/', '%2F').replace(' ', '+')}")
        marked = set(re.findall(r'class="item box[^"]*\bhit\b[^"]*"[^>]* data-id="([^"]*)"', document))
        assert found <= marked
        assert f"{len(re.findall('data-result=', document))} found" in document

    def test_the_panel_tells_of_a_node_and_both_it_and_its_gradient_light_up(self, tmp_path):
        document = opened(tmp_path, regression_page(), "#sel=Loss/loss&aside=0&open=Loss/|gradients/|gradients/Loss/")
        panel = document[document.index('<aside id="panel"') :]
        assert "reduce_mean" in panel and "graphs.py:17" in panel and 'data-goto="gradients/Loss/loss_grad"' in panel
        assert re.search(r'class="item box[^"]*partner[^"]*"[^>]* data-id="gradients/Loss/loss_grad"', document)

    def test_what_is_selected_is_drawn_whatever_scopes_are_closed(self, tmp_path):
        assert "gradients/Loss/loss_grad" in shown(opened(tmp_path, regression_page(), "#open=&sel=gradients/Loss/loss_grad"))[0]

    def test_a_series_of_like_layers_is_one_stack(self, tmp_path):
        tf.reset_default_graph()
        h = tf.placeholder(tf.float32, [None, 4], name="x")
        for i in range(6):
            with tf.name_scope(f"Layer{i + 1}"):
                h = tf.nn.relu(h * 2.0)
        document = opened(tmp_path, page([Stage("graph", diagram(tf.get_default_graph()))]))
        assert "6 alike" in document
        assert "Layer3/" not in shown(document)[0]

    def test_ten_thousand_nodes_open_collapsed(self, tmp_path):
        drawn = Diagram("many")
        for i in range(10_000):
            drawn.add_box(Box(f"n{i}", Kind.OP, "", (f"n{i}", "tanh")))
            if i:
                drawn.add_link(f"n{i - 1}", f"n{i}", Link(LinkKind.DATA, "f32[b]"))
        boxes, _ = shown(opened(tmp_path, page([Stage("graph", drawn)])))
        assert 0 < len(boxes) <= 100

    def test_the_timeline_goes_to_the_kernels_and_opens_their_source(self, tmp_path):
        text = page(compiled_stages())
        count = len(data_of(text)["stages"])
        kernel = next(s[0] for s in data_of(text)["stages"][-1]["scopes"] if s[4])
        document = opened(tmp_path, text, f"#sel={kernel}/", keys(*["]"] * count))
        assert re.search(rf'data-stage="{count - 1}" aria-current="step"', document)
        assert "generated Numba source" in document[document.index('<aside id="panel"') :]

    def test_the_page_lists_what_a_stage_changes(self, tmp_path):
        text = page(compiled_stages())
        document = opened(tmp_path, text, f"#what=1&stage={len(data_of(text)['stages']) - 1}")
        assert "nodes merged into kernels" in document[document.index('<aside id="panel"') :]

    def test_two_programs_are_compared_node_by_node(self, tmp_path):
        tf.reset_default_graph()
        x = tf.placeholder(tf.float32, [4], name="x")
        tf.add(tf.tanh(x, name="old"), 1.0, name="y")
        first = diagram(tf.get_default_graph())
        tf.reset_default_graph()
        x = tf.placeholder(tf.float32, [4], name="x")
        tf.subtract(tf.exp(x, name="new"), 1.0, name="y")
        text = page([Stage("a.py", first), Stage("b.py", diagram(tf.get_default_graph()))], compared=True)
        marked = {}
        for look, stage in (("going", 0), ("added", 1), ("differs", 1)):
            document = opened(tmp_path, text, f"#stage={stage}")
            marked[look] = set(re.findall(rf'class="item box[^"]*\b{look}\b[^"]*"[^>]* data-id="([^"]*)"', document))
        assert marked == {"going": {"old"}, "added": {"new"}, "differs": {"y"}}

    def test_in_print_the_whole_diagram_is_on_the_paper_in_light_colours(self, tmp_path):
        document = opened(tmp_path, regression_page(), "#theme=dark&at=-900,-900,3", "dispatchEvent(new Event('beforeprint'))")
        assert re.search(r'<svg id="diagram"[^>]* viewBox="-10 -10 ', document)
        assert '<g id="camera">' in document
        assert 'data-theme="light"' in document

    def test_boxes_are_coloured_by_their_kernels(self, tmp_path):
        assert 'style="fill:hsl(' not in opened(tmp_path, page(compiled_stages()))
        assert 'style="fill:hsl(' in opened(tmp_path, page(compiled_stages()), "#by=kernel")

    def test_dark_and_light(self, tmp_path):
        assert 'data-theme="dark"' in opened(tmp_path, regression_page(), "#theme=dark")
        assert 'data-theme="light"' in opened(tmp_path, regression_page(), "#theme=dark", keys("d"))

    def test_names_with_markup_are_drawn_as_they_are(self, tmp_path):
        document = opened(tmp_path, strange())
        assert 'data-ready="1"' in document
        assert "&lt;img src=x onerror=alert(1)&gt;" in document
