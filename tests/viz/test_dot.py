"""DOT text, the files written from it, and a Graph as text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowc.viz import DrawingError, View, diagram, dot_source, graph_text, write
from flowc.viz import draw as drawing
from flowc.viz.looks import LOOKS, PALETTES
from flowc.viz.model import Kind
from tests.viz.graphs import noisy, regression

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def source():
    return dot_source(diagram(regression()[0], title="regression <3>"))


def test_a_graph_gives_the_dot_text_that_is_kept(golden):
    golden(HERE / "golden" / "regression.dot", dot_source(diagram(regression()[0], title="regression")))


def test_the_same_graph_gives_the_same_bytes(source):
    assert dot_source(diagram(regression()[0], title="regression <3>")) == source


def test_the_bytes_do_not_depend_on_the_order_of_hashes():
    code = "from tests.viz.graphs import regression; from flowc.viz import *; print(dot_source(diagram(regression()[0])))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=HERE.parents[1], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_scopes_are_nested_clusters_with_full_names(source):
    assert source.index("cluster_Model {") < source.index('"cluster_Model/Inner" {')
    assert 'label="Model/Inner"' in source


def test_looks_differ_by_kind(source):
    def line(name):
        return next(text for text in source.splitlines() if text.strip().startswith(f'"{name}" ['))

    assert "shape=cylinder" in line("Model/W")
    assert "shape=invhouse" in line("Model/x")
    assert "shape=note" in line("Model/W/Assign")
    assert "shape=ellipse" in line("Loss/mul/y")
    assert "shape=octagon" in line("Adam/update_Model/W")


def test_every_kind_has_a_look_and_colours_of_its_own():
    assert len({(look.shape, look.style) for look in LOOKS.values()}) == len(LOOKS) == len(Kind)
    for palette in PALETTES.values():
        assert len(set(palette.kinds.values())) == len(palette.kinds) == len(Kind)


def test_control_edges_are_dashed():
    (line,) = [text for text in dot_source(diagram(noisy()[0])).splitlines() if text.strip().startswith("count -> y")]
    assert "style=dashed" in line


def test_gradients_are_drawn_from_the_bottom_up(source):
    assert '\t"gradients/Loss/sub_grad" -> "gradients/Loss/Square_grad" [' in source
    assert '\t"gradients/Loss/Square_grad" -> "gradients/Loss/sub_grad" [' not in source
    assert "dir=back" in source


def test_the_legend_names_every_kind_that_occurs_and_the_title_is_escaped(source):
    for word in ("placeholder", "variable", "constant", "operation", "gradient", "optimizer", "initial value", "regression &lt;3&gt;"):
        assert word in source
    assert "random (hexagon)" not in source
    assert "random (hexagon)" in dot_source(diagram(noisy()[0]))


def test_a_dot_file_needs_no_program(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    path = write(diagram(noisy()[0]), tmp_path / "graph.dot")
    assert path.read_text().startswith("digraph flowc {")


def test_a_picture_without_graphviz_says_what_to_install_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(DrawingError, match=r"a \.svg needs Graphviz: install its `dot` program .* or `pip install pygraphviz`"):
        write(diagram(noisy()[0]), tmp_path / "graph.svg")
    assert list(tmp_path.iterdir()) == []


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(DrawingError, match=r"must end in one of \.html, \.svg, \.png, \.pdf, \.dot, \.gv, \.json, \.txt"):
        write(diagram(noisy()[0]), tmp_path / "graph.jpeg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not drawing.can_draw(), reason="no Graphviz here")
@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_pictures_are_drawn_where_there_is_graphviz(tmp_path, capfd, suffix, start):
    assert write(diagram(noisy()[0]), tmp_path / f"graph{suffix}").read_bytes().startswith(start)
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not drawing.can_draw(), reason="no Graphviz here")
def test_an_svg_names_every_box_and_is_the_same_each_time(tmp_path):
    drawn = diagram(regression()[0])
    first, second = (write(drawn, tmp_path / name, View(all=True)).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second
    text = first.decode()
    assert all(f"<title>{name}</title>" in text for name in drawn.boxes)


def test_the_graph_as_text_has_every_node_once_under_its_scope():
    graph, _ = regression()
    text = graph_text(graph)
    assert len([line for line in text.splitlines() if " = " in line]) == len(graph)
    assert "  Inner/\n    MatMul: f32[b, 1] = matmul(Model/x, Model/W/read)" in text
    assert "# graphs.py:" in text
