"""Results into the pages that show them: what stands between two marks of README.md and docs/benchmarks.md is written anew.

    <!-- bench -->
    | median step (times flowc's) | flowc | ...
    <!-- /bench -->
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .measure import Result
from .records import Machine, machine_line, versions_line
from .report import STARTS, Table, by_group, growth_tables, matrix, start_text, step_text, table_of_sizes
from .words import barred

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
PROGRAMS = ("steps", "forward", "transformer", "loops", "evaluate")


def programs_markdown(results: Sequence[Result], found: Machine) -> str:
    """For the README: each program's step with its ratio to flowc's, then process starts and memory."""
    groups = by_group(results)
    programs = {name: here for group in PROGRAMS for name, here in groups.get(group, {}).items()}
    parts = []
    if programs:
        parts.append(barred(matrix("median time (times flowc's)", programs, step_text)))
    if "start" in groups:
        parts.append(barred(matrix(STARTS, groups["start"], start_text)))
    return "\n\n".join(["\n".join(part) for part in parts] + [measured_line(results, found)])


def parts_markdown(results: Sequence[Result], found: Machine) -> str:
    """For docs/benchmarks.md: matrix products, elementwise chains and rows, growth."""
    groups = by_group(results)
    sections = []
    for group, heading in (("matmul", "Matrix products"), ("elementwise", "Elementwise chains and rows"), ("growth", "Growth")):
        if group in groups:
            here = growth_tables(groups[group]) if group == "growth" else [without_marks(table_of_sizes(group, groups[group]))]
            sections.append("\n\n".join([f"## {heading}", *(table.markdown() for table in here)]))
    return "\n\n".join([*sections, measured_line(results, found)])


def without_marks(table: Table) -> Table:
    """What flowc is to reach is for its makers."""
    return Table(table.title, [row[:-1] for row in table.rows])


def measured_line(results: Sequence[Result], found: Machine) -> str:
    return f"Measured {machine_line(found)}; {versions_line(results)}."


def write(page: Path, text: str) -> None:
    """Put `text` between the marks of a page. ValueError where it has none."""
    old = page.read_text()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the tables: {BEGIN} and {END}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def write_pages(root: Path, results: Sequence[Result], found: Machine) -> list[Path]:
    """The pages that were written: each one only where results belong on it."""
    groups: Mapping[str, object] = by_group(results)
    written = []
    for name, belong, text in (
        ("README.md", (*PROGRAMS, "start"), programs_markdown),
        ("docs/benchmarks.md", ("matmul", "elementwise", "growth"), parts_markdown),
    ):
        those = [r for r in results if any(r.workload in here for group, here in groups.items() if group in belong)]  # type: ignore[operator]
        if those:
            write(root / name, text(those, found))
            written.append(root / name)
    return written
