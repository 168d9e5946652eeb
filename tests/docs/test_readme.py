"""The README shows what is so: its programs run, and print what it says."""

import re

import pytest

from flowc.cli import main
from flowc.viz.draw import can_draw
from tests.docs.markdown import ROOT, check

README = ROOT / "README.md"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_program_and_command_prints_what_the_readme_shows(update_golden):
    check(README, update_golden)


def test_every_file_that_the_readme_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert {"docs/architecture.md", "LICENSE"} <= set(links)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


@pytest.mark.skipif(not can_draw(), reason="no Graphviz here")
def test_the_picture_is_the_one_that_flowc_viz_draws_now(tmp_path, update_golden):
    kept = ROOT / "docs" / "digits.svg"
    drawn = kept if update_golden else tmp_path / "digits.svg"
    assert main(["viz", "examples/digits_demo.py", "-o", str(drawn)]) == 0
    then, now = kept.read_text(), drawn.read_text()
    if _graphviz(then) == _graphviz(now):
        assert then == now, "flowc viz examples/digits_demo.py -o docs/digits.svg"
    for element in ("title", "text"):  # another Graphviz puts things elsewhere, and says the same
        assert sorted(re.findall(rf"<{element}[^>]*>([^<]*)</{element}>", then)) == sorted(re.findall(rf"<{element}[^>]*>([^<]*)</{element}>", now))


def _graphviz(svg):
    return re.search(r"graphviz version (\S+)", svg)[1]


def test_the_place_of_the_measured_table_is_marked():
    text = README.read_text()
    assert text.index("<!-- bench -->") < text.index("<!-- /bench -->")
