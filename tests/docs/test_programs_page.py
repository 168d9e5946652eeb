"""docs/programs.md shows how the examples are compiled now: what its commands print is what the page has."""

import re

import pytest

from tests.docs.markdown import ROOT, blocks, check

PAGE = ROOT / "docs" / "programs.md"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_command_prints_what_the_page_shows(update_golden):
    check(PAGE, update_golden)


def test_the_page_has_the_generated_source_of_four_programs():
    commands = [line for block in blocks(PAGE.read_text()) for line in block.text.splitlines() if line.startswith("$ ")]
    shown = [command.split()[3] for command in commands if "--level source" in command]
    assert len(set(shown)) == 4 and all((ROOT / example).exists() for example in shown)


def test_every_file_that_the_page_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", PAGE.read_text())
    assert links and all((PAGE.parent / link).exists() for link in links)
