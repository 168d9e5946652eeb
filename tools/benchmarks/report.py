"""Results as tables: plain for the terminal, Markdown for the pages that show them.

    tables([...])   ->   [Table("softmax step, batch 100", [["", "median step", ...], ["flowc", "75.8 us", ...]], ...)]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .catalogue import WORKLOADS
from .contestants import CONTESTANTS
from .marks import verdicts
from .measure import First, Result
from .words import aligned, barred, duration, figure_text, megabytes, quartiles, short
from .workload import Kind, Workload

COLUMNS = ("", "median step", "middle half", "of flowc's", "first step", "import", "start to step", "peak memory")
Found = Mapping[str, Result]


@dataclass
class Table:
    """Rows of cells under a title, the first one the head; lines that follow them."""

    title: str
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)

    def plain(self) -> str:
        body = aligned(self.rows) if len(self.rows) > 1 else []
        return "\n".join([self.title, *("  " + line for line in (*body, *self.notes))])

    def markdown(self) -> str:
        head, *body = self.rows
        return "\n".join(barred([[head[0] or self.title, *head[1:]], *body]))


def tables(results: Sequence[Result]) -> list[Table]:
    """What the terminal shows: a table for each workload, one for each group that is a list of sizes."""
    found = []
    for group, members in by_group(results).items():
        kind = WORKLOADS[next(iter(members))].kind
        if group == "growth":
            found += growth_tables(members)
        elif kind is Kind.TOGETHER:
            found.append(table_of_sizes(group, members))
        elif kind is Kind.START:
            found.append(table_of_starts(members))
        else:
            found += [table_of_workload(WORKLOADS[name], here) for name, here in members.items()]
    return found


def by_group(results: Sequence[Result]) -> dict[str, dict[str, dict[str, Result]]]:
    """Group -> workload -> contestant -> result, in the order measured; of what was measured twice the later one."""
    found: dict[str, dict[str, dict[str, Result]]] = {}
    for result in results:
        found.setdefault(WORKLOADS[result.workload].group, {}).setdefault(result.workload, {})[result.contestant] = result
    return found


def problems(here: Found) -> list[str]:
    """Contestants without a trustworthy number, with their reasons."""
    return [f"{CONTESTANTS[name].title}: {result.problem or 'not measured'}" for name, result in here.items() if not result.is_sound]


def table_of_workload(workload: Workload, here: Found) -> Table:
    """A line for each contestant; then what came of the marks."""
    rows = [list(COLUMNS), *(row(result) for result in here.values() if result.is_sound)]
    return Table(workload.title, rows, [*problems(here), *(f"mark: {verdict}" for verdict in verdicts(workload, here))])


def row(result: Result) -> list[str]:
    """One contestant's cells under COLUMNS."""
    assert result.median_s is not None
    low, high = quartiles(result.step_s)
    return [
        CONTESTANTS[result.contestant].title,
        duration(result.median_s),
        f"{duration(low)} - {duration(high)}",
        ratio_text(result),
        *(cold_and_warm(result, part) for part in ("first_step_s", "import_s", "start_to_step_s")),
        megabytes(result.peak_kb),
    ]


def cold_and_warm(result: Result, part: str) -> str:
    """Seconds of one part of the beginning: `cold / warm` where both were measured."""
    found = [f"{getattr(first, part):.2f}" for first in (result.cold, result.warm) if isinstance(first, First)]
    return " / ".join(found) + " s" if found else "-"


def ratio_text(result: Result) -> str:
    """The ratio to the baseline, `1` for the baseline itself, `-` where there is none."""
    if result.contestant == WORKLOADS[result.workload].baseline:
        return "1"
    return "-" if result.ratio is None else f"{short(result.ratio)}x"


def step_text(result: Result | None) -> str:
    """A step's time, and in brackets how many times the baseline's it is; why there is none in one word."""
    if result is None:
        return ""
    if result.median_s is None:
        return "wrong" if result.proof else "-"
    is_baseline = result.contestant == WORKLOADS[result.workload].baseline
    return duration(result.median_s) + ("" if is_baseline or result.ratio is None else f" ({ratio_text(result)})")


SHORTEST_S = 0.05  # of compiling: less is not seen in a table
STARTS = "process start to first step, cold / warm cache (in brackets until all is compiled, where that is later); memory until then"


def start_text(result: Result | None) -> str:
    """Cold and warm start, and the peak of memory."""
    if result is None or not result.is_sound:
        return ""
    found = []
    for first in (result.cold, result.warm):
        if isinstance(first, First):
            later = f" ({first.start_to_step_s + first.compiling_s:.2f})" if first.compiling_s > SHORTEST_S else ""
            found.append(f"{first.start_to_step_s:.2f}{later}")
    return f"{' / '.join(found)} s, {megabytes(result.peak_kb)}"


def matrix(head: str, members: Mapping[str, Found], text: Callable[[Result | None], str]) -> list[list[str]]:
    """A row for each workload, a column for each contestant that has a number anywhere."""
    names = [name for name in CONTESTANTS if any(name in here and here[name].is_sound for here in members.values())]
    rows = [[head, *(CONTESTANTS[name].title for name in names)]]
    return rows + [[WORKLOADS[workload].title, *(text(here.get(name)) for name in names)] for workload, here in members.items()]


def table_of_starts(members: Mapping[str, Found]) -> Table:
    """Process start to first step."""
    notes = [f"{WORKLOADS[name].title}: {line}" for name, here in members.items() for line in (*problems(here), *marks_of(name, here))]
    return Table(STARTS, matrix("", members, start_text), notes)


def table_of_sizes(group: str, members: Mapping[str, Found]) -> Table:
    """A line for each workload: the steps' times with their ratios, the baseline's own figures, and what came of the marks."""
    baselines = {name: here.get(WORKLOADS[name].baseline) for name, here in members.items()}
    figures = list(dict.fromkeys(figure for own in baselines.values() if own is not None for figure in own.figures))
    head, *body = matrix(group, members, step_text)
    rows = [[*head, *figures, "marks"]]
    for cells, (name, here) in zip(body, members.items(), strict=True):
        own = baselines[name]
        met = [verdict.met for verdict in verdicts(WORKLOADS[name], here)]
        outcome = "-" if not met or None in met else "met" if all(met) else "missed"
        rows.append([*cells, *(figure_text(own.figures.get(figure)) if own is not None else "-" for figure in figures), outcome])
    return Table(group, rows, [f"{name}, {line}" for name, here in members.items() for line in problems(here)])


def marks_of(name: str, here: Found) -> list[str]:
    return [f"mark: {verdict}" for verdict in verdicts(WORKLOADS[name], here)]


# growth


def growth_tables(members: Mapping[str, Found]) -> list[Table]:
    """For each series how the first step, the step and memory grow; the last row is the exponent over the larger half of the sizes."""
    found = []
    series: dict[str, dict[str, Found]] = {}
    for name, here in members.items():
        series.setdefault(name.partition("/")[0], {})[name] = here
    for family, those in series.items():
        size = "depth" if family == "deep" else "batch"
        for what, text, value in (
            ("building, compiling and the first step", lambda r: cold_and_warm(r, "compiled_s"), lambda r: r.cold.compiled_s),
            ("a step", lambda r: duration(r.median_s), lambda r: r.median_s),
            ("peak memory", lambda r: megabytes(r.peak_kb), lambda r: r.peak_kb),
        ):
            rows = matrix(f"{what}, by {size}", those, lambda r, text=text: text(r) if r is not None and r.is_sound else "-")
            for cells, name in zip(rows[1:], those, strict=True):
                cells[0] = str(WORKLOADS[name].size[size])
            names = [name for name in CONTESTANTS if any(name in here and here[name].is_sound for here in those.values())]
            points = {
                name: [(WORKLOADS[w].size[size], value(here[name])) for w, here in those.items() if name in here and here[name].is_sound] for name in names
            }
            rows.append(["grows with the power", *(exponent_text(points[name]) for name in names)])
            found.append(Table(rows[0][0], rows, [f"{name}, {line}" for name, here in those.items() for line in problems(here)] if what == "a step" else []))
    return found


def exponent_text(points: Sequence[tuple[float, float]]) -> str:
    """The slope of the logarithms over the larger half of the sizes, at least three of them; a dash for fewer points."""
    last = points[-max(3, len(points) // 2) :]
    if len(last) < 3:
        return "-"
    x, y = [math.log(size) for size, _ in last], [math.log(value) for _, value in last]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
    return f"{slope:.2f}"
