"""Results as text: a table for the terminal, Markdown for the README, JSON for keeping.

table([...])    ->   "softmax step, batch 100\\n               median  quartiles    ratio ..."
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .contestants import BASELINE, CONTESTANTS
from .measure import First, Result
from .workloads import WORKLOADS

Machine = dict[str, Any]


def machine() -> Machine:
    """What the numbers were taken on, and when."""
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        "cpu": processor_name(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": platform.platform(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def processor_name(cpuinfo: Path) -> str:
    """The processor's name as Linux gives it, or what Python knows."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine_line(found: Machine) -> str:
    """The machine in one line."""
    load = f"load {found['load_before']} before the start"
    return f"{found['date']}, {found['cpu']}, {found['cores']} cores, {found['memory_gb']} GB, {found['system']}, {load}"


def duration(seconds: float) -> str:
    """Seconds with three significant digits in the unit that reads best: 3.21 us, 40.2 ms, 1.25 s."""
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * scale:
            return f"{short(seconds / scale)} {unit}"
    return f"{short(seconds)} s"


def short(value: float) -> str:
    """A positive number with two or three significant digits and no exponent."""
    if value >= 99.95:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The values between which the middle half lies; the extremes when there are fewer than four."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def cold_and_warm(result: Result, part: str) -> str:
    """Seconds of one part of the beginning: `cold / warm` where a contestant has a cache that was measured both ways."""
    return " / ".join(f"{getattr(first, part):.2f}" for first in (result.cold, result.warm) if isinstance(first, First)) + " s"


def ratio_text(result: Result) -> str:
    """The ratio to the baseline, `1` for the baseline itself, `-` where there is none."""
    if result.contestant == BASELINE:
        return "1"
    return "-" if result.ratio is None else f"{short(result.ratio)}x"


COLUMNS = ("", "median step", "middle half", "of flowc's", "first step", "import", "start to step", "peak memory")


def row(result: Result) -> list[str]:
    """One contestant's cells under COLUMNS."""
    median = result.median_s
    assert median is not None
    low, high = quartiles(result.step_s)
    return [
        CONTESTANTS[result.contestant].title,
        duration(median),
        f"{duration(low)} - {duration(high)}",
        ratio_text(result),
        *(cold_and_warm(result, part) for part in ("first_step_s", "import_s", "start_to_step_s")),
        f"{result.peak_kb / 1024:.0f} MB",
    ]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: the first column to the left, numbers to the right."""
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))) for cells in rows]


def table(results: Sequence[Result]) -> str:
    """One block per workload in the order measured; contestants without a trustworthy number follow with their reason."""
    blocks = []
    for name in dict.fromkeys(result.workload for result in results):
        here = [result for result in results if result.workload == name]
        timed = [result for result in here if result.median_s is not None]
        lines = [WORKLOADS[name].title]
        if timed:
            lines += ["  " + line for line in aligned([COLUMNS, *map(row, timed)])]
        lines += [f"  {CONTESTANTS[r.contestant].title}: {r.problem or 'not measured'}" for r in here if r.median_s is None]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def versions_line(results: Sequence[Result]) -> str:
    """Every version that took part, once; two environments may hold two NumPys, which are both named."""
    found: dict[str, list[str]] = {}
    for result in results:
        for name, version in result.versions.items():
            found.setdefault(name, [])
            if version not in found[name]:
                found[name].append(version)
    return ", ".join(f"{name} {' and '.join(these)}" for name, these in sorted(found.items()))


def markdown(results: Sequence[Result], found: Machine) -> str:
    """Two tables for the README: the step with its ratio to flowc, then the beginnings and memory."""
    names = [name for name in CONTESTANTS if any(r.contestant == name and r.median_s is not None for r in results)]
    at = {(r.workload, r.contestant): r for r in results if r.median_s is not None}
    workloads = list(dict.fromkeys(r.workload for r in results))

    def cells(describe: Any) -> list[str]:
        body = []
        for workload in workloads:
            texts = [describe(at[workload, name]) if (workload, name) in at else "" for name in names]
            body.append(f"| {WORKLOADS[workload].title} | " + " | ".join(texts) + " |")
        return body

    def step(result: Result) -> str:
        assert result.median_s is not None
        ratio = "" if result.contestant == BASELINE or result.ratio is None else f" ({ratio_text(result)})"
        return duration(result.median_s) + ratio

    def beginning(result: Result) -> str:
        return f"{cold_and_warm(result, 'start_to_step_s')}, {result.peak_kb / 1024:.0f} MB"

    head = " | ".join(CONTESTANTS[name].title for name in names)
    rule = "|---|" + "---|" * len(names)
    lines = [f"| median step (times flowc's) | {head} |", rule, *cells(step), ""]
    lines += [f"| process start to first step (cold / warm cache), peak memory | {head} |", rule, *cells(beginning), ""]
    return "\n".join([*lines, f"Measured {machine_line(found)}; {versions_line(results)}."])


def as_json(results: Sequence[Result], found: Machine, settings: dict[str, Any]) -> str:
    """Everything, every round included, so that other figures can be computed later."""
    rows = [{**asdict(r), "median_s": r.median_s, "ratio": r.ratio} for r in results]
    return json.dumps({"machine": found, "settings": settings, "results": rows}, indent=1)
