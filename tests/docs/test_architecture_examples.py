"""docs/architecture.md shows what is so: its code runs and prints what the page says, and it names every file and every pass."""

import re
from contextlib import contextmanager

from flowc import config
from flowc.frontend import scope
from flowc.ir.op import OPS
from flowc.transforms import pipeline
from tests.docs.markdown import ROOT, blocks, check
from tests.ops.samples import SAMPLES

PAGE = ROOT / "docs" / "architecture.md"


@contextmanager
def restored(cache):
    """What the page adds to the compiler (an op, its samples, two passes) is taken out again."""
    passes, ops, samples = pipeline.PASSES, dict(OPS), dict(SAMPLES)
    try:
        with config.override(verify=True, backend="cpu", cache_dir=cache):
            yield
    finally:
        pipeline.PASSES = passes
        for table, before in ((OPS, ops), (SAMPLES, samples)):
            for name in set(table) - set(before):
                del table[name]
        scope.sessions.clear()
        scope.reset_default_graph()


def test_every_program_and_command_prints_what_the_page_shows(monkeypatch, tmp_path, update_golden):
    monkeypatch.chdir(ROOT)
    for update in (True, True, False) if update_golden else (False,):  # outputs that show lines of the page move them
        with restored(tmp_path):
            check(PAGE, update, {"__name__": "__main__"})
            assert "log_cosh" in OPS and "name_leaks" in pipeline.names(), "the page defines an op and a pass"
    assert "log_cosh" not in OPS and "log_cosh" not in SAMPLES and "name_leaks" not in pipeline.names()


def test_the_page_shows_every_level_and_every_output_is_there():
    page = PAGE.read_text()
    found = blocks(page)
    assert all(block.text.strip() for block in found)
    commands = [line for block in found if block.language == "console" for line in block.text.splitlines() if line.startswith("$ ")]
    for level in ("graph", "module", "kernel", "source"):
        assert any(f"--level {level}" in command for command in commands)


def test_the_page_has_a_line_for_every_file_and_for_no_other():
    listed, room = [], ""
    for line in PAGE.read_text().splitlines():
        if heading := re.match(r"### `(flowc/.*?)`", line):
            room = heading[1]
        elif line.startswith("## "):
            room = ""
        elif room and (item := re.match(r"- `([\w.]+\.py)`: \S", line)):
            listed.append(room + item[1])
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "flowc").rglob("*.py")]
    assert sorted(listed) == sorted(files)


def test_the_page_lists_the_passes_in_their_order():
    _, _, rest = PAGE.read_text().partition("| pass | what it does |\n|---|---|\n")
    assert tuple(re.findall(r"^\| `(\w+)` \|", rest.partition("\n\n")[0], re.MULTILINE)) == pipeline.names()


def test_every_file_that_the_page_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", PAGE.read_text())
    assert links and all((PAGE.parent / link).exists() for link in links)
