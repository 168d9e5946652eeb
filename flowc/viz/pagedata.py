"""Stages as the JSON that a page holds: what is equal in several stages is written once, and each stage can be read when it is shown.

    data: title, stages with counts of what they change, ops      stage-0: scopes, boxes, links      kernels: figures, notes, reasons

A box is [name, scope, kind, lines, where, result, keys, nodes], a node [name, op, type, attributes, operands, control]. A stage names
its boxes by their number in the order in which all stages bring new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowc.ir.function import CONSTANT, Function
from flowc.ir.node import Node, Value
from flowc.ir.op import OPS, REQUIRED, Effect
from flowc.ir.op import Kind as OpKind
from flowc.ir.text import attribute_text
from flowc.transforms.autodiff import partner
from flowc.viz.changes import Changes, Said, compared, passed, said
from flowc.viz.identity import Identity
from flowc.viz.model import Box, Diagram, Kind, short_value

if TYPE_CHECKING:
    from flowc.transforms.records import Decision
    from flowc.viz.page import Stage

_LONGEST = 160  # characters of an attribute or a source line that are kept
_FAMILIES = {
    OpKind.MAP: "elementwise", OpKind.REDUCE: "reduction", OpKind.INDEX: "moves elements", OpKind.CONTRACT: "product", OpKind.OPAQUE: "loop nest of its own",
    OpKind.COMPOSITE: "composite",
}  # fmt: skip


class PageData:
    """The data of a page; stages are added in order."""

    def __init__(self, are_compared: bool) -> None:
        self.are_compared = are_compared
        self.identity = Identity()
        self.stages: list[dict[str, Any]] = []
        self.names: list[list[str]] = []
        self.pool: dict[str, int] = {}
        self.lines: dict[str, str] = {}
        self.ops: dict[str, str] = {}
        self.decisions: list[Decision] = []
        self.kernels: dict[str, dict[str, Any]] = {}
        self.texts: dict[str, Sequence[tuple[str, str]]] = {}
        self.makers: dict[int, list[str]] = {}
        self.extents: dict[str, int] = {}
        self.sizes: Mapping[str, int] = {}
        self._before: tuple[Diagram, list[Box], dict[int, Said]] | None = None

    def add(self, stage: Stage) -> None:
        """A stage; one that changes nothing is joined to the one before."""
        self.identity.same(stage.aliases)
        self.decisions += stage.decisions
        self.texts.update(stage.texts)
        self.extents = {**stage.extents, **self.extents}
        if stage.figures is not None:
            self.extents.update(stage.figures.extents)
            self.sizes = stage.figures.extents
        if self._before is None or stage.diagram is not self._before[0]:
            self._add_diagram(stage)
        elif not stage.closed:
            self.names[-1].append(stage.name)
        else:
            self.stages.append({**self.stages[-1], "as": len(self.stages) - 1, "closed": stage.closed, "change": None})
            self.names.append([stage.name])
        self._add_kernels(stage)

    def _add_diagram(self, stage: Stage) -> None:
        drawn = stage.diagram
        boxes = [box for _, box in drawn.boxes.nodes(data="box")]
        now = said((n for box in boxes for n in box.nodes), self.identity)
        change = None
        if self._before is not None:
            _, old_boxes, before = self._before
            found = compared(before, now) if self.are_compared else passed(before, now)
            if not found and not stage.texts and not self.are_compared and len(boxes) == len(old_boxes):
                self.names[-1].append(stage.name)
                return
            change = self._change(found, old_boxes, boxes)
        self._before = (drawn, boxes, now)
        self.names.append([stage.name])
        self.stages.append(self._stage(stage, boxes, change))

    def number_of(self, name: str) -> int:
        """The number of the stage with this name, among others or alone; 0 where there is none."""
        return next((i for i, names in enumerate(self.names) if name in names), 0)

    # what is written

    def head(self) -> dict[str, Any]:
        stages = [
            {"name": ", ".join(names), "change": _counts(stage["change"]), "kernels": sum(s[3] == "kernel" for s in stage["scopes"])}
            for names, stage in zip(self.names, self.stages, strict=True)
        ]
        return {"stages": stages, "kinds": [kind.value for kind in Kind], "ops": self.ops, "lines": self.lines, "extents": self.extents}

    def parts(self) -> list[tuple[str, Any]]:
        """The other elements by name."""
        written = [(f"stage-{i}", {"as": s["as"], "closed": s["closed"]} if "as" in s else s) for i, s in enumerate(self.stages)]
        return [*written, ("kernels", self._kernels()), ("texts", self.texts)]

    def _kernels(self) -> dict[str, Any]:
        numbers = {name: i for i, name in enumerate(self.kernels)}
        notes: dict[int, list[int]] = {}
        apart = []
        for i, decision in enumerate(self.decisions):
            for key in dict.fromkeys(map(self.identity.named, decision.nodes)):
                if key is not None:
                    notes.setdefault(key, []).append(i)
            if decision.kernels:
                apart.append([*(numbers[k] for k in decision.kernels), *decision.nodes, decision.reason])
        made = {key: [numbers[k] for k in kernels] for key, kernels in self.makers.items()}
        told = [_told(d) for d in self.decisions]
        return {"kernels": list(self.kernels.values()), "extents": self.sizes, "made": made, "decisions": told, "notes": notes, "apart": apart}

    # parts of a stage

    def _stage(self, stage: Stage, boxes: Sequence[Box], change: dict[str, Any] | None) -> dict[str, Any]:
        drawn = stage.diagram
        place = {box.name: index for index, box in enumerate(boxes)}
        new: list[Any] = []
        numbers = [self._pooled(self._box(box), new) for box in boxes]
        labels: dict[str, int] = {}
        links = [[place[s], place[t], link.kind.value, labels.setdefault(link.label, len(labels))] for s, t, link in drawn.boxes.edges(data="link")]
        home = {node.name: place[box.name] for box in boxes for node in box.nodes}
        pairs = [[i, found] for i, box in enumerate(boxes) if (found := _forward(box, home)) is not None]
        return {
            "scopes": _scopes(drawn), "new": new, "boxes": numbers, "links": links, "labels": list(labels), "pairs": pairs, "change": change,
            "closed": stage.closed,
        }  # fmt: skip

    def _pooled(self, record: list[Any], new: list[Any]) -> int:
        key = repr(record)
        if key not in self.pool:
            self.pool[key] = len(self.pool)
            new.append(record)
        return self.pool[key]

    def _box(self, box: Box) -> list[Any]:
        if box.where and box.where not in self.lines:
            self.lines[box.where] = next((n.loc.text[:_LONGEST] for n in box.nodes if n.loc and n.loc.short == box.where), "")
        keys = list(dict.fromkeys(self.identity(n) for n in box.nodes))
        for node in box.nodes:
            self.ops.setdefault(node.op.name, _family(node))
        return [
            box.name, box.scope, list(Kind).index(box.kind), list(box.lines), box.where, int(box.result), keys, [_node(n) for n in box.nodes],
        ]  # fmt: skip

    def _change(self, found: Changes, before: Sequence[Box], boxes: Sequence[Box]) -> dict[str, Any]:
        """Which boxes are new and rewritten, which of those before are gone, and into which of these some of them merged, by number."""
        places: dict[int, int] = {}
        for index, box in enumerate(boxes):
            for node in box.nodes:
                places.setdefault(self.identity(node), index)
        gone = [i for i, box in enumerate(before) if box.kind is not Kind.INIT and self._all(box, found.gone)]  # those run at another time
        merged = {}
        for i in gone:
            into = {places[found.merged[k]] for n in before[i].nodes if (k := self.identity(n)) in found.merged and found.merged[k] in places}
            if len(into) == 1:
                merged[i] = into.pop()
        rewritten = [i for i, box in enumerate(boxes) if any(self.identity(n) in found.rewritten for n in box.nodes)]
        return {"added": [i for i, b in enumerate(boxes) if self._all(b, found.added)], "rewritten": rewritten, "gone": gone, "merged": merged}

    def _all(self, box: Box, numbers: set[int]) -> bool:
        return bool(box.nodes) and all(self.identity(n) in numbers for n in box.nodes)

    def _add_kernels(self, stage: Stage) -> None:
        """The kernels that the stage's figures tell of, and which nodes each of them computes."""
        for figures in stage.figures.kernels if stage.figures is not None else ():
            self.kernels[figures["name"]] = figures
        if self.kernels and not self.makers:
            for _, box in stage.diagram.boxes.nodes(data="box"):
                if box.scope in self.kernels:
                    for node in box.nodes:
                        self.makers.setdefault(self.identity(node), []).append(box.scope)


def _counts(change: Mapping[str, Any] | None) -> list[int] | None:
    """How many boxes are new, rewritten, gone, and of those merged."""
    return None if change is None else [len(change[what]) for what in ("added", "rewritten", "gone", "merged")]


def _scopes(drawn: Diagram) -> list[list[str]]:
    """The scopes below the root, parents before what is in them: name, parent, label, what it is."""
    found: list[list[str]] = []
    stack = [""]
    while stack:
        scope = stack.pop()
        if scope:
            data = drawn.scopes.nodes[scope]
            kind = "kernel" if data["label"].startswith("kernel ") else data["kind"].value if data["kind"] else ""
            found.append([scope, next(drawn.scopes.predecessors(scope)), data["label"], kind])
        stack += reversed(list(drawn.scopes.successors(scope)))
    return found


def _forward(box: Box, home: Mapping[str, int]) -> int | None:
    """The box of the node that a gradient box is the gradient of."""
    for node in box.nodes:
        name = partner(node.name.replace(".", "/") if "/" not in node.name else node.name)
        if name is not None:
            found = home.get(name, home.get(name.replace("/", ".")))
            return None if found == home[node.name] else found
    return None


def _family(node: Node) -> str:
    """What an op does, in a word, for colours."""
    if node.op.effect is not Effect.NONE or node.op.name == "param":
        return "state and feeds"
    if node.op is CONSTANT:
        return "constant"
    return "random" if node.op.random else _FAMILIES[OPS[node.op.name].kind]


def _node(node: Node) -> list[Any]:
    """Name, op, type, attributes, operands and control of a node."""
    attrs = [[key, _attribute(value)] for key, value in node.attrs.items() if _is_told(node, key, value)]
    return [node.name, node.op.name, str(node.type), attrs, [n.name for n in node.inputs], [n.name for n in node.control]]


def _is_told(node: Node, key: str, value: Any) -> bool:
    default = node.op.attrs.get(key, REQUIRED)
    return default is REQUIRED or node.op is CONSTANT or bool(default != value)


def _attribute(value: Any) -> str:
    if isinstance(value, Value):
        return short_value(value.array) or f"{value.array.dtype}, shape {list(value.array.shape)}"
    text = value.name if isinstance(value, Function) else attribute_text(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _told(decision: Decision) -> str:
    return " ".join(str(decision).split())


__all__ = ["PageData"]
