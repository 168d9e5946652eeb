"""A strict reader of Chrome traces for the tests: what Google's "Trace Event Format" asks of the events that flowc writes.

    check_trace(json.loads(text));   spans(trace, "kernel")
"""

from __future__ import annotations

from typing import Any

NUMBER = (int, float)


def spans(trace: dict[str, Any], category: str) -> list[dict[str, Any]]:
    """The spans of a category, by their starts."""
    return sorted((e for e in trace["traceEvents"] if e["ph"] == "X" and e["cat"] == category), key=lambda e: e["ts"])


def check_trace(trace: dict[str, Any]) -> None:
    """Every event has its fields, every track a name, and spans of a track lie inside or beside each other."""
    assert trace["displayTimeUnit"] in ("ms", "ns")
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = {}
    named = set()
    for event in trace["traceEvents"]:
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int) and isinstance(event["name"], str) and isinstance(event["args"], dict)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name") and isinstance(event["args"]["name"], str)
            if event["name"] == "thread_name":
                named.add((event["pid"], event["tid"]))
            continue
        assert event["ph"] == "X" and isinstance(event["cat"], str)
        assert isinstance(event["ts"], NUMBER) and isinstance(event["dur"], NUMBER) and event["ts"] >= 0 and event["dur"] >= 0
        tracks.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    assert tracks and set(tracks) == named
    for found in tracks.values():
        open_ends: list[float] = []
        for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
            while open_ends and open_ends[-1] <= start + 1e-4:  # microseconds, rounded in the text
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1] + 1e-4
            open_ends.append(end)
