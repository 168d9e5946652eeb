"""The README shows what is so: its programs run, and print what it says."""

import re

import pytest

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


def test_the_picture_is_the_one_that_flowc_viz_draws_now():
    from flowc.cli.model import load
    from flowc.viz import diagram

    text = (ROOT / "docs" / "digits.svg").read_text()
    drawn = diagram(load("examples/digits_demo.py").graph)
    titles = set(re.findall(r"<title>([^<]*)</title>", text))
    assert set(drawn.boxes) <= titles, "flowc viz examples/digits_demo.py -o docs/digits.svg"
    assert {f"cluster_{scope}" for scope in drawn.scopes if scope} <= titles


def test_the_place_of_the_measured_table_is_marked():
    text = README.read_text()
    assert text.index("<!-- bench -->") < text.index("<!-- /bench -->")
