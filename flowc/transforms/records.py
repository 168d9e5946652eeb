"""Decision records: what a pass did to which nodes, and why. `flowc explain`, the diagrams and the tests read the same ones."""

from __future__ import annotations

from collections.abc import Iterator

from flowc.ir.dims import Dim
from flowc.ir.function import Function
from flowc.structs import Struct, field


class Decision(Struct):
    """One decision.

    kind: `fused`, `kept` (apart), `rewritten`, `placed`; rule: the pass; nodes: names; saved: bytes that need no memory; kernels: of what is
    kept apart the two, the one that computes the value and the one that reads it.
    """

    kind: str
    rule: str
    nodes: tuple[str, ...]
    reason: str
    saved: Dim = 0
    kernels: tuple[str, ...] = ()

    def __str__(self) -> str:
        gain = f" ({self.saved} bytes kept in registers)" if self.saved else ""
        return f"{self.kind:9} {' -> '.join(self.nodes)}: {self.reason}{gain}"


class Records(Struct, frozen=False):
    """Decisions in the order in which they were taken."""

    decisions: list[Decision] = field(default_factory=list)

    def add(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)

    def of(self, kind: str) -> list[Decision]:
        return [d for d in self.decisions if d.kind == kind]


def kernels_of(module: Function, scope: str) -> dict[str, list[str]]:
    """The kernels that compute nodes of a scope (or a node of that very name), each with the nodes' names."""
    dotted = scope.replace("/", ".")
    found: dict[str, list[str]] = {}
    for kernel in module.callees():
        names = [n.name for n in kernel.nodes if n.name == dotted or n.name.startswith(f"{dotted}.")]
        if names:
            found[kernel.name] = names
    return found


def expect_fused(module: Function, records: Records, scope: str) -> str:
    """The name of the one kernel that computes everything in a scope; AssertionError with the reasons where there are several, or none."""
    kernels = kernels_of(module, scope)
    if len(kernels) == 1:
        return next(iter(kernels))
    if not kernels:
        raise AssertionError(f"no kernel computes anything in {scope}; kernels: {', '.join(k.name for k in module.callees())}")
    names = {n for nodes in kernels.values() for n in nodes}
    reasons = [f"  {d}" for d in records.of("kept") if names & set(d.nodes)]
    parts = [f"  {kernel}: {', '.join(nodes)}" for kernel, nodes in kernels.items()]
    raise AssertionError("\n".join([f"{scope} is computed by {len(kernels)} kernels:", *parts, "because:", *reasons]))
