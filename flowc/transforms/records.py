"""Decision records: what a pass did to which nodes, and why. `flowc explain`, the diagrams and the tests read the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Decision:
    """One decision. kind: `fused`, `kept` (apart), `rewritten`, `placed`; rule: the pass; nodes: names; saved: bytes, symbols counted as 1."""

    kind: str
    rule: str
    nodes: tuple[str, ...]
    reason: str
    saved: int = 0

    def __str__(self) -> str:
        gain = f" ({self.saved} bytes a row kept in registers)" if self.saved else ""
        return f"{self.kind:9} {' -> '.join(self.nodes)}: {self.reason}{gain}"


@dataclass
class Records:
    """Decisions in the order in which they were taken."""

    decisions: list[Decision] = field(default_factory=list)

    def add(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)

    def of(self, kind: str) -> list[Decision]:
        return [d for d in self.decisions if d.kind == kind]
