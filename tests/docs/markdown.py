"""Code blocks of Markdown pages, run in order: Python against the `text` block that follows, `$ flowc ...` against its output.

    check(path, update=False)     # AssertionError where a page shows what is not so; update rewrites the page instead
"""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowc.cli import main
from flowc.frontend import scope

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    """One fenced block; start, end: where its content stands in the page."""

    language: str
    text: str
    start: int
    end: int


def blocks(page: str) -> list[Block]:
    return [Block(m.group(1), m.group(2), m.start(2), m.end(2)) for m in _BLOCK.finditer(page)]


def run_page(path: Path, space: dict[str, Any] | None = None) -> list[tuple[Block, str]]:
    """Run every block; the blocks that show outputs, each with what it ought to show. Python blocks share one namespace."""
    page = path.read_text()
    space = space if space is not None else {"__name__": "__main__"}
    expected: list[tuple[Block, str]] = []
    printed = ""
    for block in blocks(page):
        if block.language == "python":
            scope.sessions.clear()
            scope.reset_default_graph()
            lines = page[: block.start].count("\n")
            out = io.StringIO()
            with redirect_stdout(out):
                exec(compile("\n" * lines + block.text, str(path), "exec"), space)
            printed = out.getvalue()
        elif block.language == "text":
            expected.append((block, printed.rstrip("\n") + "\n"))
        elif block.language == "console":
            expected.append((block, _console(block.text)))
    return expected


def _console(text: str) -> str:
    """The block as it ought to be: each command with its output."""
    shown = []
    for line in text.splitlines():
        if line.startswith("$ "):
            program, *arguments = shlex.split(line[2:])
            assert program == "flowc", line
            out = io.StringIO()
            with redirect_stdout(out):
                assert main(arguments) == 0, line
            shown.append(f"{line}\n{out.getvalue()}")
    return "".join(shown)


def check(path: Path, update: bool = False, space: dict[str, Any] | None = None) -> None:
    """Every output that the page shows is what comes out; `update` writes it into the page."""
    outputs = run_page(path, space)
    if update:
        page = path.read_text()
        for block, found in reversed(outputs):
            page = page[: block.start] + found + page[block.end :]
        path.write_text(page)
        return
    for block, found in outputs:
        assert block.text == found
