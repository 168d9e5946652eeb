"""Numbers as words: seconds with their unit, ratios, megabytes, and columns that line up.

    duration(0.0402)   ->   "40.2 ms"
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


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


def megabytes(kilobytes: int) -> str:
    """`80 MB`; a dash for nothing."""
    return f"{kilobytes / 1024:.0f} MB" if kilobytes else "-"


def figure_text(value: Any) -> str:
    """A program's own figure."""
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The values between which the middle half lies; the extremes when there are fewer than four."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines: the first column to the left, numbers to the right."""
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))) for cells in rows]


def barred(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as a Markdown table, the first one its head."""
    head, *body = [f"| {' | '.join(cells)} |" for cells in rows]
    return [head, "|" + "---|" * len(rows[0]), *body]
