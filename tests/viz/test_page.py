"""The page: what is inside it. How it behaves in a browser: test_page_in_browser.py and test_page_by_keys.py."""

import re
import subprocess
import sys

import pytest

from flowc.viz.model import Box, Diagram, Kind, Link, LinkKind, diagram
from flowc.viz.page import Stage, page
from tests.viz.graphs import noisy, regression
from tests.viz.pages import compiled_stages, data_of, elements, marked, regression_page

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
    assert "tf.reduce_mean" in data_of(regression_page())["lines"][boxes["Loss/loss"]["where"]]


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
    program = "import hashlib; from tests.viz.pages import regression_page; print(hashlib.sha256(regression_page().encode()).hexdigest())"
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


def test_stages_go_from_the_graph_over_the_passes_to_the_kernels():
    found = [s["name"] for s in data_of(page(compiled_stages()))["stages"]]
    assert (found[0], found[1].split(", ")[0]) == ("graph", "extract")
    assert found[-2:] == ["fuse", "kernels"]
    assert ", ".join(found[1:-2]).split(", ") == ["extract", "tidy", "stabilize", "expand", "simplify", "fold", "resimplify"]


def test_a_pass_that_changes_nothing_is_joined_to_the_stage_before():
    graph, _ = regression()
    text = page([Stage("first", diagram(graph)), Stage("second", diagram(graph))])
    assert [s["name"] for s in data_of(text)["stages"]] == ["first, second"]


def test_the_stage_to_show_first_is_found_among_joined_ones():
    graph, _ = regression()
    other, _ = noisy()
    text = page([Stage("first", diagram(graph)), Stage("second", diagram(other)), Stage("third", diagram(other))], first="third")
    assert data_of(text)["first"] == 1


def test_what_is_equal_in_several_stages_is_written_once():
    found = elements(page(compiled_stages()))
    assert found["stage-1"]["new"]
    assert len(found["stage-2"]["new"]) < len(found["stage-2"]["boxes"]) / 2
    assert set(found[f"stage-{len(found['data']['stages']) - 1}"]) == {"as", "closed"}


def test_kernels_bring_their_generated_source_and_their_loops():
    data = data_of(page(compiled_stages()))
    kernels = [s[0] for s in data["stages"][-1]["scopes"] if s[3] == "kernel"]
    assert kernels == [k["name"] for k in data["kernels"]["kernels"]] == list(data["texts"])
    for name, texts in data["texts"].items():
        assert [heading for heading, _ in texts] == ["generated Numba source", "loops"]
        assert all(text.startswith(f"def {name}(") for _, text in texts)


def test_kernels_tell_their_operations_and_bytes_for_the_sizes_of_the_run():
    data = data_of(page(compiled_stages(batch=8)))
    (kernel,) = [k for k in data["kernels"]["kernels"] if "matmul_Mul" in k["name"]]
    assert list(data["kernels"]["extents"].values()) == [8]
    assert kernel["read"] == 4 * (8 * 3 + 3 + 1 + 8 + 1)  # x, W, b, the target and a factor
    assert kernel["flops"] > 2 * 8 * 3
    assert "seconds" not in kernel


def test_a_node_of_every_stage_tells_its_kernel_and_the_decisions_about_it():
    data = data_of(page(compiled_stages()))
    told = data["kernels"]
    for stage in data["stages"]:
        (matmul,) = (b for b in stage["boxes"] if b["id"].replace("/", ".").endswith("Model.Inner.MatMul"))
        (key,) = matmul["keys"]
        assert "matmul" in told["kernels"][told["made"][str(key)][0]]["name"]
        assert any("Model.Inner.MatMul" in told["decisions"][n] for n in told["notes"][str(key)])


def test_every_line_between_two_kernels_has_a_reason():
    data = data_of(page(compiled_stages()))
    names = [k["name"] for k in data["kernels"]["kernels"]]
    boxes, links = data["stages"][-1]["boxes"], data["stages"][-1]["links"]
    pairs = {(boxes[s]["scope"], boxes[t]["scope"]) for s, t, kind, _ in links if kind == "data"}
    between = {(a, b) for a, b in pairs if a != b and a in names and b in names}
    assert between
    assert between <= {(names[a], names[b]) for a, b, *_ in data["kernels"]["apart"]}
    assert all(reason for *_, reason in data["kernels"]["apart"])


def test_fusing_nodes_into_kernels_adds_and_removes_none():
    fused = data_of(page(compiled_stages()))["stages"][-2]
    assert (fused["change"]["added"], fused["change"]["gone"]) == ([], [])


def test_stages_mark_what_they_add_rewrite_and_merge():
    found = data_of(page(compiled_stages()))["stages"]
    by_name = {name: (stage, found[i - 1]) for i, stage in enumerate(found) for name in stage["name"].split(", ")}
    stage, before = by_name["tidy"]
    assert "gradients.Loss.loss_grad.truediv" in marked(stage, before, "rewritten")
    assert "Loss.loss" in marked(stage, before, "gone")
    merged = marked(stage, before, "merged")
    assert merged["gradients.Loss.loss_grad.ones_like"] == "gradients.Loss.loss_grad.truediv"
    assert set(merged) <= marked(stage, before, "gone")


def test_the_timeline_counts_what_each_stage_changes():
    for stage in data_of(page(compiled_stages()))["stages"]:
        if stage["change"]:
            assert stage["told"] == [len(stage["change"][what]) for what in ("added", "rewritten", "gone", "merged")]


def test_equal_nodes_have_equal_keys_in_all_stages():
    found = data_of(page(compiled_stages()))["stages"]
    keys = [{b["id"].rpartition("/")[2]: b["keys"] for b in stage["boxes"]} for stage in found[1:]]
    assert keys[0]["Model.Inner.y"] == keys[-1]["Model.Inner.y"]


def test_ops_tell_their_families():
    ops = data_of(page(compiled_stages()))["ops"]
    wanted = {"matmul": "product", "reduce_sum": "reduction", "sub": "elementwise", "placeholder": "state and feeds", "truncated_normal": "random"}
    assert {op: ops[op] for op in wanted} == wanted


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
    assert data["stages"][data["first"]]["name"] == "fuse"
    assert data["theme"] == "dark"


def test_viz_compares_two_programs(model):
    from flowc.cli import main

    assert main(["viz", "model.py", "--diff", "other.py", "-o", "both.html"]) == 0
    data = data_of((model / "both.html").read_text())
    assert [s["name"] for s in data["stages"]] == ["model.py", "other.py"]
    assert data["compared"] is True
    second, first = data["stages"][1], data["stages"][0]
    assert (marked(second, first, "added"), marked(second, first, "gone")) >= ({"Abs"}, {"Square"})
    assert marked(second, first, "rewritten") >= {"loss"}
    assert "/".join(["Model", "y"]) not in marked(second, first, "rewritten")


@pytest.mark.parametrize(
    ("argv", "said"), [(["--diff", "other.py"], "--diff draws a page: -o FILE.html"), (["--diff", "none.py", "-o", "x.html"], "none.py: No such file")]
)
def test_a_comparison_that_cannot_be_made_writes_nothing(model, capsys, argv, said):
    from flowc.cli import main

    assert main(["viz", "model.py", *argv]) == 2
    assert said in capsys.readouterr().err
    assert not list(model.glob("*.html"))


UNEQUAL = """
import tensorflow as tf
x, y = tf.placeholder(tf.float32, [None, 2], name="x"), tf.placeholder(tf.float32, [None, 2], name="y")
z = tf.add(x, y, name="z")
"""


def test_sizes_that_no_run_told_are_equal_where_the_program_wants_it(model):
    from flowc.cli import main

    (model / "unequal.py").write_text(UNEQUAL)
    assert main(["viz", "unequal.py:z", "-o", "z.html"]) == 0
    assert data_of((model / "z.html").read_text())["stages"][-1]["name"] == "kernels"


def test_a_graph_that_cannot_be_compiled_is_shown_alone(model, capsys):
    from flowc.cli import main

    (model / "fixed.py").write_text(UNEQUAL.replace("[None, 2]", "None", 1))
    assert main(["viz", "fixed.py:z", "-o", "z.html"]) == 0
    assert [s["name"] for s in data_of((model / "z.html").read_text())["stages"]] == ["graph"]
    assert "the page shows the graph alone: " in capsys.readouterr().err
