"""The files that are written: DOT's looks, valid SVG with addresses, pictures that can be read without fonts, text and JSON."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import networkx
import pytest

import flowc as tf
from flowc.viz import View, diagram, dot_source, json_text, tree_text, view, write
from flowc.viz import draw as drawing
from flowc.viz.dot import line_width, size_text
from flowc.viz.model import Types
from tests.viz.graphs import layers, noisy, regression, summarized

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
needs_graphviz = pytest.mark.skipif(not drawing.can_draw(), reason="no Graphviz here")


@pytest.fixture(scope="module")
def part():
    return view(diagram(regression()[0], title="regression"), View())


# DOT


def test_lines_are_wider_the_more_bytes_they_carry():
    types = Types({"b": 1000})
    x = tf.placeholder(tf.float32, [None, 1000], name="x")
    tf.reduce_mean(tf.tanh(x, name="t"), axis=1, name="m") + 1.0
    source = dot_source(diagram(tf.get_default_graph(), types=types))
    widths = dict(re.findall(r'\t(\w+ -> \w+) \[.*?penwidth=([\d.]+)', source))
    assert float(widths["x -> t"]) > float(widths["m -> add"]) >= 0.8
    assert "4 MB" in source and "thicker line: more bytes, for b = 1000" in source


@pytest.mark.parametrize(("size", "width"), [(0, 0.8), (100, 0.8), (1000, 1.3), (10**6, 2.8), (10**15, 4.5)])
def test_a_line_is_as_wide_as_its_bytes_are_many_up_to_a_limit(size, width):
    assert line_width(size) == width


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (12_845_056, "12.8 MB"), (3 * 10**9, "3 GB")])
def test_bytes_are_told_in_few_characters(size, text):
    assert size_text(size) == text


def test_extents_that_are_equal_in_a_run_bear_one_name():
    x, y = tf.placeholder(tf.float32, [None, 2], name="x"), tf.placeholder(tf.float32, [None, 2], name="y")
    tf.add(x, y, name="sum") * 2.0
    labels = {link.label for _, _, link in diagram(tf.get_default_graph(), types=Types({"b": 7, "b1": 7})).links()}
    assert labels == {"f32[b, 2]", "f32"}
    assert "f32[broadcast(b, b1), 2]" in {link.label for _, _, link in diagram(tf.get_default_graph()).links()}


def test_scopes_bear_full_names_however_long():
    name = "a_scope_with_a_name_that_goes_on_and_on" * 3
    with tf.name_scope(name), tf.name_scope("inner"):
        tf.zeros([2], name="z")
    assert f'label="{name}/inner"' in dot_source(diagram(tf.get_default_graph())) or f"label={name}/inner" in dot_source(diagram(tf.get_default_graph()))


def test_the_legend_tells_of_stubs_stacks_and_closed_scopes():
    source = dot_source(view(diagram(layers(5, optimizer=tf.train.GradientDescentOptimizer(0.1))), View(depth=0)))
    for word in ("series of like scopes (stack)", "closed scope (folder)", "pills: →"):
        assert word in source
    plain = dot_source(view(diagram(noisy()[0]), View(all=True)))
    assert "stack" not in plain and "pills" not in plain and "assignment (parallelogram)" in plain


def test_a_dark_diagram_has_the_same_boxes_in_other_colours(part):
    light, dark = dot_source(part), dot_source(part, "dark")
    without = [re.sub(r'"#[0-9a-f]+"|COLOR="[^"]*"', "", text) for text in (light, dark)]
    assert light != dark and without[0] == without[1] and 'bgcolor="#ffffff"' in light and 'bgcolor="#11171c"' in dark


def test_what_writes_upwards_leaves_the_layout_alone():
    v = tf.Variable(1.0, name="v")
    tf.assign(v, v * 2.0, name="double")
    (line,) = [text for text in dot_source(diagram(tf.get_default_graph())).splitlines() if text.strip().startswith("double -> v ")]
    assert "constraint=false" in line and "arrowhead=diamond" in line


# the same bytes


PROGRAM = """
import hashlib, sys
from tests.viz.graphs import regression, layers
import flowc as tf
from flowc.viz import View, diagram, write
for name, graph in (("a", regression()[0]), ("b", layers(5, optimizer=tf.train.AdamOptimizer(0.1)))):
    for how in (View(), View(all=True)):
        for suffix in sys.argv[2:]:
            print(hashlib.sha256(write(diagram(graph), f"{sys.argv[1]}/{name}{suffix}", how).read_bytes()).hexdigest())
"""


def test_the_same_graph_gives_the_same_bytes_in_every_form_and_process(tmp_path):
    suffixes = [".html", ".dot", ".json", ".txt", *([".svg"] if drawing.can_draw() else [])]
    runs = []
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / seed), *suffixes]
        runs.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE))
    found = [run.communicate()[0] for run in runs]
    assert found[0] == found[1] and len(set(found[0].split())) > len(suffixes)


# SVG and PDF


@pytest.fixture(params=["dot", "pygraphviz"])
def program(request, monkeypatch):
    """Each of the programs that draw, where it is there."""
    if request.param == "dot" and shutil.which("dot") is None or request.param == "pygraphviz" and importlib.util.find_spec("pygraphviz") is None:
        pytest.skip(f"no {request.param} here")
    if request.param == "pygraphviz":
        monkeypatch.setattr(drawing.shutil, "which", lambda name: None)
    return request.param


@pytest.mark.parametrize("how", [View(), View(all=True), View(depth=0), View(scope="Model/Inner")])
def test_an_svg_is_xml_with_a_title_an_id_and_an_address_for_every_box_and_scope(program, how):
    part = view(diagram(regression()[0], title="<regression> & co"), how)
    text = drawing.encoded(part, ".svg")
    tree = ElementTree.fromstring(text)
    assert b"<!DOCTYPE" not in text and tree.tag == f"{SVG}svg"
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(set(ids)) == len(ids)
    names = {*part.boxes, *(f"{scope}/" for scope in part.scopes if scope)}
    assert names <= set(ids)
    titles = {element.text for element in tree.iter(f"{SVG}title")}
    assert set(part.boxes) <= titles
    links = {element.get(LINK) for element in tree.iter(f"{SVG}a")}
    assert {f"#{name.replace(' ', '%20')}" for name in names} <= links
    targets = {link.removeprefix("#").replace("%20", " ") for link in links if link and link.startswith("#")}
    assert targets <= set(ids)


@pytest.mark.parametrize(("theme", "paper"), [("light", "#ffffff"), ("dark", "#11171c")])
def test_names_of_scopes_lie_above_the_lines_of_an_svg_with_an_edge_of_paper(program, part, theme, paper):
    tree = ElementTree.fromstring(drawing.encoded(part, ".svg", theme))
    *_, last = tree.find(f"{SVG}g")
    assert last.get("class") == "scopes" and last.get("stroke") == paper
    assert {"Model", "Model/Inner", "Loss", "stands aside"} == {text.text for text in last}
    clusters = [group for group in tree.iter(f"{SVG}g") if group.get("class") == "cluster"]
    assert len(clusters) == 4 and not [text for group in clusters for text in group.iter(f"{SVG}text")]


def test_ids_of_an_svg_are_the_names_of_boxes_whatever_these_are(program):
    """Graphviz numbers the links within a box like TensorFlow does variables: those of `v` had the id of what `v_1` has."""
    v, w = tf.Variable([1.0, 2.0], name="v"), tf.Variable([1.0, 2.0], name="v")
    product = tf.add(tf.multiply(v, w, name="a_v"), tf.identity(w, name="edge1"), name="graph0")
    tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(product, name="clust1"))
    part = view(diagram(tf.get_default_graph()), View())
    ids = [element.get("id") for element in ElementTree.fromstring(drawing.encoded(part, ".svg")).iter() if element.get("id")]
    assert {"v", "v_1", "a_v", "edge1", "graph0", "clust1"} <= set(ids) and len(set(ids)) == len(ids)


def test_a_pdf_says_nothing_of_when_it_was_drawn(program, part):
    drawn = drawing.encoded(part, ".pdf")
    assert re.findall(rb"Date \(D:(\d*)[^)]*\)", drawn) == [b"19700101000000"]
    start = int(drawn.split(b"startxref")[1].split()[0])
    assert drawn[start : start + 4] == b"xref", "what a PDF says of its places still holds"


def test_a_stub_links_to_the_group_that_it_stands_for(program, part):
    tree = ElementTree.fromstring(drawing.encoded(part, ".svg"))
    box = next(element for element in tree.iter(f"{SVG}g") if element.get("id") == "Model/W")
    assert [a.get(LINK) for a in box.iter(f"{SVG}a")] == ["#Model/W", "#initial%20values", "#Adam/", "#gradients/"]


@needs_graphviz
def test_text_of_an_svg_is_told_in_the_shipped_font_whatever_the_machine_has(part):
    assert b'font-family="DejaVu Sans,Verdana,sans-serif"' in drawing.encoded(part, ".svg")
    assert (ROOT / "flowc" / "viz" / "fonts" / "DejaVuSans.ttf").stat().st_size < 100_000


def can_hide_fonts():
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/etc/fonts"]
    return shutil.which("unshare") is not None and Path("/etc/fonts").is_dir() and subprocess.run(command, capture_output=True).returncode == 0


@needs_graphviz
def test_pictures_are_the_same_on_a_machine_with_no_fonts(tmp_path):
    if not can_hide_fonts():
        pytest.skip("the fonts of this machine cannot be hidden")
    script = "import sys; from flowc.viz import *; from tests.viz.graphs import regression; [write(diagram(regression()[0]), f) for f in sys.argv[1:]]"
    files = {name: [str(tmp_path / f"{name}{suffix}") for suffix in (".svg", ".png")] for name in ("with", "without")}
    hidden = "for folder in /etc/fonts /usr/share/fonts /usr/local/share/fonts /usr/share/fontconfig; do [ ! -d $folder ] || mount -t tmpfs none $folder; done"
    subprocess.run([sys.executable, "-c", script, *files["with"]], cwd=ROOT, check=True)
    subprocess.run(["unshare", "-rm", "sh", "-c", f'{hidden}; exec "$0" "$@"', sys.executable, "-c", script, *files["without"]], cwd=ROOT, check=True)
    for one, other in zip(files["with"], files["without"], strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()


def test_the_font_that_pictures_take_draws_letters_and_no_boxes(program):
    """A letter that the font has not is drawn as a box with its number in it, the same for all; ours differ."""
    pictures = {drawing.render(f'digraph {{ bgcolor="white" node [fontname="DejaVu Sans" shape=plaintext] a [label="{c}"] }}', ".png") for c in "aWβ→∇"}
    assert len(pictures) == 5


# the chain of programs


def test_dot_is_asked_first_then_pygraphviz(monkeypatch):
    asked = []
    monkeypatch.setattr(drawing, "_with_dot", lambda source, form: asked.append("dot") or b"<svg >")
    monkeypatch.setattr(drawing, "_with_pygraphviz", lambda source, form: asked.append("pygraphviz") or b"<svg >")
    for there in ("/usr/bin/dot", None):
        monkeypatch.setattr(drawing.shutil, "which", lambda name, there=there: there)
        monkeypatch.setattr(drawing, "find_spec", lambda name: object())
        drawing.render("digraph {}", ".svg")
    assert asked == ["dot", "pygraphviz"]


def test_a_dot_program_that_fails_is_told_in_one_line(monkeypatch, tmp_path):
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho no memory >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(drawing.DrawingError, match=r"^dot cannot draw svg: Command .* returned non-zero exit status 3") as caught:
        drawing.render("digraph {}", ".svg")
    assert "\n" not in str(caught.value)


@needs_graphviz
def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("FONTCONFIG_FILE", "/mine.conf")
    drawing.render("digraph { a }", ".svg")
    assert os.environ["FONTCONFIG_FILE"] == "/mine.conf"
    monkeypatch.delenv("FONTCONFIG_FILE")
    drawing.render("digraph { a }", ".svg")
    assert "FONTCONFIG_FILE" not in os.environ


# text and JSON


def test_json_is_a_graph_that_networkx_reads_back(tmp_path):
    whole = diagram(regression()[0], title="regression")
    told = json.loads(write(whole, tmp_path / "graph.json", View(all=True)).read_text())
    graph = networkx.node_link_graph(told, edges="edges")
    assert set(graph) == set(whole.boxes) and graph.number_of_edges() == whole.boxes.number_of_edges()
    assert graph.nodes["Model/W"]["kind"] == "variable" and graph.nodes["Model/W"]["members"][0]["op"] == "variable"
    assert graph.edges["Model/x", "Model/Inner/MatMul", 0] == {"kind": "data", "type": "f32[b, 3]", "bytes": 12}
    assert {"id": "Model/Inner", "parent": "Model", "label": "Model/Inner", "kind": None} in told["scopes"]


def test_json_tells_of_groups_stubs_and_stacks():
    told = json.loads(json_text(view(diagram(layers(5, optimizer=tf.train.GradientDescentOptimizer(0.1))), View())))
    by_id = {box["id"]: box for box in told["nodes"]}
    assert by_id["gradients/"]["aside"] and by_id["Layer1 … Layer5/"]["stack"] == 5
    assert {"group": "gradients/", "kind": "gradient", "text": "→ gradients"} in by_id["Layer1 … Layer5/"]["stubs"]


def test_the_tree_says_what_each_box_is_its_type_and_what_attaches():
    assert tree_text(view(diagram(noisy()[0]), View())) == (
        "x                    placeholder     f32[4]\n"
        "noise/min            constant        0.0 f32\n"
        "noise/max            constant        1.0 f32\n"
        "noise/RandomUniform  random_uniform  f32[4]\n"
        "noise/sub            sub             f32\n"
        "noise/mul            mul             f32[4]\n"
        "noise                add             f32[4]\n"
        "v                    variable        f32      <- 0.0\n"
        "count/value          constant        1.0 f32\n"
        "count                assign_add      f32\n"
        "y                    add             f32[4]\n"
        "aside, drawn in with --all\n"
        "  initial values  initial value  1 variable\n"
    )


def test_scopes_of_the_tree_are_indented_under_their_full_names():
    text = tree_text(view(diagram(regression()[0]), View()))
    assert "\n  Model/Inner/\n    MatMul  matmul  f32[b, 1]\n    y       add     f32[b, 1]\n" in text


@pytest.mark.parametrize("graph", [lambda: regression()[0], lambda: layers(12, optimizer=tf.train.AdamOptimizer(0.1)), summarized])
@pytest.mark.parametrize("how", [View(limit=0), View(limit=0, all=True, stacks=False)])
def test_no_line_of_a_tree_is_longer_than_100_columns(graph, how):
    text = tree_text(view(diagram(graph()), how))
    assert max(len(line) for line in text.splitlines()) <= 100 and text.isascii()


def test_long_names_and_deep_scopes_go_on_in_the_next_line():
    with tf.name_scope("/".join(["deep"] * 60)):
        tf.zeros([2], name="a_name_that_is_long" * 10)
    text = tree_text(view(diagram(tf.get_default_graph()), View(limit=0)))
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "a_name_that_is_long" * 10 in re.sub(r"\s", "", text)


# files


def test_a_file_that_is_there_is_replaced_whole_and_what_is_no_file_is_written_to(tmp_path):
    target = tmp_path / "graph.txt"
    target.write_text("before" * 1000)
    write(diagram(noisy()[0]), target)
    assert "before" not in target.read_text() and sorted(tmp_path.iterdir()) == [target]
    assert drawing.save(b"text", "/dev/null") == Path("/dev/null")


def test_a_name_without_a_suffix_is_a_page(tmp_path):
    assert write(diagram(noisy()[0]), tmp_path / "graph").read_text().startswith("<!DOCTYPE html>")
