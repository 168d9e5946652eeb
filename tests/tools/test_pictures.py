"""The pictures of examples/README.md are those that the examples give now."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import pictures
from flowc import config
from flowc.viz.draw import can_draw

README = pictures.ROOT / "examples" / "README.md"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("example", pictures.GRAPHS)
def test_a_graphs_picture_was_drawn_from_the_text_that_flowc_writes_now(example):
    text = pictures.graph_file(example).read_text()
    assert text.endswith(pictures.mark(example)), f"python tools/pictures.py {example}"


@pytest.mark.skipif(not can_draw(), reason="no Graphviz is installed")
@pytest.mark.parametrize("example", pictures.GRAPHS)
def test_a_graphs_picture_is_the_same_byte_for_byte_where_the_same_graphviz_draws_it(example, tmp_path, monkeypatch):
    kept = pictures.graph_file(example).read_text()
    monkeypatch.setattr(pictures, "FOLDER", tmp_path)
    pictures.graph(example)
    drawn = pictures.graph_file(example).read_text()
    version = re.compile(r"graphviz version (\S+)")
    if version.search(kept)[1] == version.search(drawn)[1]:
        assert kept == drawn, f"python tools/pictures.py {example}"


@pytest.mark.parametrize("example", pictures.GRAPHS)
def test_a_graphs_picture_is_well_formed_and_shows_every_box(example):
    root = ET.parse(pictures.graph_file(example)).getroot()
    titles = {element.text for element in root.iter(f"{SVG}title")}
    boxes = re.findall(r'^\s*"?([^\s"\[]+)"? \[label=', pictures.drawn(example, ".dot"), re.MULTILINE)
    assert root.tag == f"{SVG}svg" and boxes and set(boxes) <= titles


@pytest.mark.skipif(not can_draw(), reason="no Graphviz is installed")
def test_a_picture_is_drawn_into_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pictures, "FOLDER", tmp_path / "pictures")
    monkeypatch.setattr(sys, "argv", ["pictures.py", "linear_regressor"])
    assert pictures.main() == 0
    (file,) = (tmp_path / "pictures").iterdir()
    assert file.read_text().endswith(pictures.mark("linear_regressor")) and capsys.readouterr().out.strip() == str(file)


def test_an_example_that_there_is_not_is_told():
    done = subprocess.run([sys.executable, "tools/pictures.py", "none"], cwd=pictures.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "there is no example none; there are linear_regression" in done.stderr


@pytest.fixture(scope="module")
def values():
    """`values(example)`: what an example ends with; each one runs once."""
    known = {}

    def ran(example):
        if example not in known:
            with config.override(backend="cpu"):
                known[example] = pictures.ran(example)
        return known[example]

    return ran


@pytest.mark.slow
@pytest.mark.parametrize("example", pictures.PLOTS)
def test_a_plot_was_drawn_from_the_figures_that_the_example_gives_now(example, values):
    told = pictures.description(pictures.plot_file(example).read_text())
    now = pictures.told(example, values(example))
    assert list(told) == list(now) == list(pictures.PLOTS[example][1])
    for name, figures in told.items():  # training adds up roundings in the order of the machine's vectors
        np.testing.assert_allclose(now[name], figures, atol=0.02 * np.abs(figures).max(), err_msg=f"python tools/pictures.py {example}")


@pytest.mark.slow
@pytest.mark.parametrize("example", pictures.PLOTS)
def test_a_plot_is_drawn_the_same_twice_and_says_what_from(example, values):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    text = pictures.plotted(example, values(example))
    assert text == pictures.plotted(example, values(example))
    assert pictures.description(text) == pictures.told(example, values(example))
    root = ET.fromstring(text)
    kept = ET.parse(pictures.plot_file(example)).getroot()
    assert sum(1 for _ in root.iter(f"{SVG}image")) == sum(1 for _ in kept.iter(f"{SVG}image"))


# the page


def test_the_readme_shows_every_example_and_every_picture():
    text = README.read_text()
    examples = {path.name for path in README.parent.glob("*.py")}
    linked = set(re.findall(r"\]\(([^)#]+)\)", text))
    assert examples <= linked
    assert {f"pictures/{path.name}" for path in pictures.FOLDER.glob("*")} == {link for link in linked if link.startswith("pictures/")}
    assert [link for link in linked if "://" not in link and not (README.parent / link).exists()] == []


def test_every_picture_belongs_to_an_example():
    expected = {pictures.graph_file(example) for example in pictures.GRAPHS} | {pictures.plot_file(example) for example in pictures.PLOTS}
    assert set(pictures.FOLDER.iterdir()) == expected
