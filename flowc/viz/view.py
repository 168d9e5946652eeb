"""From a whole diagram to the part that is drawn: what stands aside, which scopes are closed, which like scopes are one stack.

    view(diagram(graph), View(depth=1))     ->    a Diagram again, in which a closed scope is one box

Gradients, optimizers, initial values, summaries and savers stand aside by default: each group is one box without lines, and a stub on
every box that it attaches to, because otherwise they tie everything to everything. Four and more like scopes (Layer1, Layer2, ...) are a stack.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from flowc.errors import GraphError
from flowc.ir.function import CONSTANT
from flowc.ir.op import Effect
from flowc.viz.model import AUXILIARY, Box, Diagram, Kind, Link, LinkKind, Stub

PICTURE = 150  # boxes up to which scopes are opened in a picture where no depth is asked for
SERIES = 4  # like scopes from this many on are one stack
CROWD = 400  # children of an open scope beyond which a picture cuts them into parts
_LOOSE = {
    Kind.GRADIENT: "gradients in scopes",
    Kind.OPTIMIZER: "optimizer state",
    Kind.INIT: "initial values",
    Kind.SUMMARY: "summaries",
    Kind.SAVER: "saver",
}
_KINDS = {kind.value for kind in (Kind.VARIABLE, Kind.PLACEHOLDER, *AUXILIARY)}  # told by these words instead of their ops
_STUB_ORDER = (Kind.INIT, Kind.SAVER, Kind.OPTIMIZER, Kind.GRADIENT, Kind.SUMMARY)


@dataclass(frozen=True)
class View:
    """What part of a diagram is drawn, and how much of it.

    depth: levels of scopes that are open, by default as many as stay readable; scope: only what is in it, and what that is linked to;
    around, radius: only what is at most `radius` lines away from a box, node or scope; all: nothing stands aside;
    stacks: like scopes are one; limit: boxes up to which scopes are opened where no depth is given, 0 for no limit.
    """

    depth: int | None = None
    scope: str = ""
    around: str = ""
    radius: int = 2
    all: bool = False
    stacks: bool = True
    limit: int = PICTURE

    def unlimited(self) -> View:
        """The same without a limit to what is open: for text, which takes any length."""
        return replace(self, limit=0)

    def whole(self) -> View:
        """The same part with everything in it: for a page, which closes and sets aside by itself."""
        return replace(self, depth=None, all=True, stacks=False, limit=0)


def view(whole: Diagram, how: View) -> Diagram:
    """The part of a diagram to draw. GraphError for a scope or a node that is not there, ValueError for a negative depth or radius."""
    if how.depth is not None and how.depth < 0 or how.radius < 0:
        raise ValueError(f"depth and radius are counts, not {min(how.depth or 0, how.radius)}")
    scope = _scope_named(whole, how.scope) if how.scope else ""
    kept = set(whole.boxes)
    if how.around:
        centre = _boxes_named(whole, how.around)
        kept = _near(whole, centre, how.radius)
        if any(whole.box(name).kind in AUXILIARY for name in centre):
            how = replace(how, all=True)
    if scope and whole.scopes.nodes[scope]["kind"] in AUXILIARY:
        how = replace(how, all=True)
    return _Part(whole, how, scope, kept).draw()


# names that the user gives


def _scope_named(whole: Diagram, name: str) -> str:
    plain = name.rstrip("/")
    for found in (plain, plain.replace("/", ".")):  # below the graph, names have dots
        if found in whole.scopes and found:
            return found
    raise GraphError(f"no scope {name!r}{_hint(plain, [s for s in whole.scopes if s], 'a graph without scopes')}")


def _boxes_named(whole: Diagram, name: str) -> set[str]:
    """The boxes that a name means: a box, a node that is folded into one, or all in a scope."""
    plain = name.removesuffix(":0").rstrip("/")
    homes = {node.name: box.name for _, box in whole.boxes.nodes(data="box") for node in box.nodes}
    for found in (plain, plain.replace("/", ".")):
        if found in whole.boxes:
            return {found}
        if found in homes:
            return {homes[found]}
        if found in whole.scopes and found:
            return {box for box in whole.boxes if found in _ancestors(whole, whole.box(box).scope)}
    raise GraphError(f"no node {name!r}{_hint(plain, [*whole.boxes, *homes], 'an empty graph')}")


def _hint(name: str, known: Collection[str], none: str) -> str:
    near = get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0.5)
    shown = near or list(dict.fromkeys(known))[:8]
    return f"; near: {', '.join(near)}" if near else f"; there are {', '.join(shown)}" if shown else f": {none}"


def _near(whole: Diagram, centre: Collection[str], radius: int) -> set[str]:
    """The boxes at most `radius` lines away, whichever way the lines run."""
    found, edge = set(centre), set(centre)
    for _ in range(radius):
        edge = {other for box in edge for other in (*whole.boxes.successors(box), *whole.boxes.predecessors(box))} - found
        found |= edge
    return found


def _ancestors(whole: Diagram, scope: str) -> list[str]:
    """A scope and those around it, the outermost first; without the root."""
    found: list[str] = []
    while scope:
        found.append(scope)
        scope = next(iter(whole.scopes.predecessors(scope)))
    return found[::-1]


# the part


@dataclass(eq=False)
class _Scope:
    """A scope of the part: what is in it, and whether it is drawn as one box. id: the name of that box."""

    id: str
    label: str
    kind: Kind | None
    parent: _Scope | None
    boxes: list[Box] = field(default_factory=list)
    scopes: list[_Scope] = field(default_factory=list)
    open: bool = True
    stack: int = 0
    signature: str = ""

    @property
    def size(self) -> int:
        return len(self.boxes) + len(self.scopes)

    def every_box(self) -> Iterable[Box]:
        yield from self.boxes
        for inner in self.scopes:
            yield from inner.every_box()


class _Part:
    """One view of one diagram. kept: the boxes that it may show."""

    def __init__(self, whole: Diagram, how: View, scope: str, kept: Collection[str]) -> None:
        self.whole = whole
        self.how = how
        self.within = scope
        self.notes: list[str] = []
        self.groups: dict[str, tuple[Kind, str]] = {}  # what stands aside: kind and label
        self.group = {} if how.all else self.set_aside(kept)
        self.outside: dict[str, str] = {}  # boxes beyond the scope, each with the name of what stands for it
        main = [name for name in whole.boxes if name in kept and name not in self.group]
        if scope:
            main = self.inside(main)
        self.root = self.tree(main)
        if how.stacks and not how.around:
            self.series(self.root)
        self.close()
        self.places = self.place_all(self.root)

    # what stands aside

    def set_aside(self, kept: Collection[str]) -> dict[str, str]:
        """For each box that stands aside its group; empty where nothing else would be left."""
        boxes = [self.whole.box(name) for name in self.whole.boxes if name in kept]
        kernels = self.kernels_of_training(boxes)
        found = {}
        for box in boxes:
            kind = box.kind if box.kind in AUXILIARY else self.kind_by_users(box)
            around = _ancestors(self.whole, box.scope)
            kernel = next((s for s in around if self.is_kernel(s)), None)
            if kernel is not None and kernel not in kernels or kind is None and kernel is None:
                continue
            top = next((s for s in around if self.whole.scopes.nodes[s]["kind"] in AUXILIARY), None)
            if kernel is not None:
                group, kind, label = "training kernels", Kind.GRADIENT, "training kernels"
            elif top is not None:
                group, kind, label = f"{top}/", self.whole.scopes.nodes[top]["kind"], self.whole.scopes.nodes[top]["label"]
            else:
                assert kind is not None
                group = label = _LOOSE[kind]
            self.groups[group] = (kind, label)
            found[box.name] = group
        if len(found) == len(boxes):
            self.groups.clear()
            return {}
        return found

    def is_kernel(self, scope: str) -> bool:
        return str(self.whole.scopes.nodes[scope]["label"]).startswith("kernel ")

    def kernels_of_training(self, boxes: Iterable[Box]) -> set[str]:
        """The kernels that hold nothing else: others stay whole."""
        found: dict[str, bool] = {}
        for box in boxes:
            for scope in filter(self.is_kernel, _ancestors(self.whole, box.scope)):
                found[scope] = found.get(scope, True) and (box.kind in AUXILIARY or box.kind is Kind.CONSTANT)
        return {scope for scope, only in found.items() if only}

    def kind_by_users(self, box: Box) -> Kind | None:
        """A variable that only an optimizer uses is its state."""
        if box.kind is not Kind.VARIABLE:
            return None
        others = {self.whole.box(name).kind for name in (*self.whole.boxes.successors(box.name), *self.whole.boxes.predecessors(box.name))}
        return Kind.OPTIMIZER if Kind.OPTIMIZER in others and others <= set(AUXILIARY) else None

    # only one scope

    def inside(self, main: Iterable[str]) -> list[str]:
        """The boxes in the scope; those outside that they are linked to are noted with what stands for them."""
        path = _ancestors(self.whole, self.within)
        chosen = []
        for name in main:
            around = _ancestors(self.whole, self.whole.box(name).scope)
            if self.within in around:
                chosen.append(name)
            else:
                beyond = next((s for s in around if s not in path), None)
                self.outside[name] = name if beyond is None else f"{beyond}/"
        return chosen

    # the tree

    def tree(self, main: Iterable[str]) -> _Scope:
        root = _Scope("", "", None, None)
        scopes = {"": root}

        def enter(name: str) -> _Scope:
            if name not in scopes:
                data = self.whole.scopes.nodes[name]
                parent = enter(next(iter(self.whole.scopes.predecessors(name))) if name != self.within else "")
                scopes[name] = _Scope(f"{name}/", data["label"], data["kind"], parent)
                parent.scopes.append(scopes[name])
            return scopes[name]

        boxes = [self.whole.box(name) for name in main]
        wanted = {scope for box in boxes for scope in _ancestors(self.whole, box.scope)}
        for scope in self.whole.scopes:  # in the order of the whole
            if scope in wanted and (not self.within or self.within in _ancestors(self.whole, scope)):
                enter(scope)
        for box in boxes:
            enter(box.scope).boxes.append(box)
        return root

    def series(self, scope: _Scope) -> None:
        """Like scopes, and the like boxes of an optimizer, become stacks."""
        for inner in scope.scopes:
            self.series(inner)
        alike: dict[str, list[_Scope]] = {}
        for inner in scope.scopes:
            alike.setdefault(f"{_without_number(inner.label)}|{_signature(inner)}", []).append(inner)
        for members in alike.values():
            if len(members) >= SERIES and not (scope.parent is None and self.within):
                made = _gathered(scope, members, f"{members[0].label} … {members[-1].label}")
                made.stack, made.open, made.kind = len(members), False, members[0].kind
        updates: dict[str, list[Box]] = {}
        for box in scope.boxes:
            if box.kind is Kind.OPTIMIZER:
                updates.setdefault(f"{re.sub(r'[0-9]+', '#', box.name)}|{_ops_of(box)}", []).append(box)
        for boxes in updates.values():
            if len(boxes) >= SERIES:
                made = _cut_out(scope, boxes)
                made.stack, made.kind = len(boxes), Kind.OPTIMIZER

    def close(self) -> None:
        """Close the scopes below the depth, or those that would be too much; cut crowds into parts."""
        level = list(self.root.scopes)
        drawn, depth, shut = self.root.size, 0, 0
        if self.within:  # the scope that was asked for is open
            level = [inner for scope in level for inner in scope.scopes]
            drawn += sum(scope.size for scope in self.root.scopes)
        while level:
            following: list[_Scope] = []
            for scope in sorted(level, key=lambda s: s.size):
                if scope.stack:
                    continue
                if self.how.depth is not None:
                    scope.open = depth < self.how.depth
                elif self.how.limit:
                    scope.open = drawn + scope.size <= self.how.limit
                shut += not scope.open
                if scope.open:
                    drawn += scope.size
                    following += scope.scopes
            level, depth = following, depth + 1
        if shut and self.how.depth is None:
            self.notes.append(f"{shut} scope{'s are' if shut > 1 else ' is'} closed: --depth N opens more, --scope NAME shows one")
        if self.how.limit:
            self.cut(self.root)

    def cut(self, scope: _Scope) -> None:
        for inner in scope.scopes:
            if inner.open:
                self.cut(inner)
        if len(scope.boxes) > CROWD:
            size = max(40, -(-len(scope.boxes) // 80))
            boxes = list(scope.boxes)
            for start in range(0, len(boxes), size):
                _cut_out(scope, boxes[start : start + size])

    # the result

    def place_all(self, root: _Scope) -> dict[str, str]:
        """For each box of the part what is drawn for it: itself, or the scope or stack that is closed over it."""
        found: dict[str, str] = {}
        stack: list[tuple[_Scope, str]] = [(root, "")]
        while stack:
            scope, shut = stack.pop()
            shut = shut or ("" if scope.open else scope.id)
            for box in scope.boxes:
                found[box.name] = shut or box.name
            stack += [(inner, shut) for inner in scope.scopes]
        return found

    def draw(self) -> Diagram:
        links, stubs, used = self.links()
        drawn = Diagram(self.whole.title, types=self.whole.types, notes=tuple(self.notes))
        self.fill(drawn, self.root, "", stubs)
        for name in self.outside:
            place = self.outside[name]
            if place in used and place not in drawn.boxes:
                members = [self.whole.box(n) for n, p in self.outside.items() if p == place]
                lines = (place.removesuffix("/"), *(_content(members, 1) if place.endswith("/") else members[0].lines[1:]))
                drawn.add_box(Box(place, Kind.OUTSIDE, "", lines, sum(b.count for b in members), nodes=tuple(n for b in members for n in b.nodes)))
        for (source, target, sort), said in links.items():
            drawn.boxes.add_edge(source, target, link=Link(sort, _joined_label(said), sum(link.bytes for link in said)))
        attached = {stub.group for found in stubs.values() for stub in found}
        for group, (kind, label) in self.groups.items():
            if group in attached or not self.within and not self.how.around:
                drawn.add_box(self.group_box(group, kind, label))
        return drawn

    def fill(self, drawn: Diagram, scope: _Scope, parent: str, stubs: dict[str, list[Stub]]) -> None:
        for box in scope.boxes:
            drawn.add_box(replace(box, scope=parent, stubs=_ordered(stubs.get(box.name, ()))))
        for inner in scope.scopes:
            if inner.open:
                name = inner.id.removesuffix("/")
                drawn.add_scope(name, parent, inner.kind, inner.label)
                self.fill(drawn, inner, name, stubs)
            else:
                boxes = list(inner.every_box())
                nodes = tuple(n for b in boxes for n in b.nodes)
                kind = inner.kind or Kind.SCOPE
                alike = [f"{inner.stack} alike"] if inner.stack else []
                said = _content(boxes, inner.stack or 1) if inner.scopes or not inner.stack else boxes[0].lines[1:]
                lines = (inner.label, *alike, *said)
                seen = _ordered(stubs.get(inner.id, ()))
                drawn.add_box(Box(inner.id, kind, parent, lines, sum(b.count for b in boxes), nodes=nodes, stack=inner.stack, stubs=seen))

    def links(self) -> tuple[dict[tuple[str, str, LinkKind], list[Link]], dict[str, list[Stub]], set[str]]:
        """The lines between what is drawn, the stubs, and the names that lines end at."""
        lines: dict[tuple[str, str, LinkKind], list[Link]] = {}
        stubs: dict[str, list[Stub]] = {}
        used: set[str] = set()
        for source, target, link in self.whole.boxes.edges(data="link"):
            ends = [self.places.get(name) for name in (source, target)]
            for (here, there), arrow in ((((ends[0]), target), "→"), ((ends[1], source), "←")):
                if here is not None and there in self.group:
                    self.attach(stubs.setdefault(here, []), arrow, self.group[there], self.whole.box(there), folded=here.endswith("/"))
            if None in ends and self.outside:
                ends = [end or self.outside.get(name) for end, name in zip(ends, (source, target), strict=True)]
                if source in self.outside and target in self.outside:
                    continue
            if ends[0] is not None and ends[1] is not None and ends[0] != ends[1]:
                used |= {ends[0], ends[1]}
                lines.setdefault((ends[0], ends[1], link.kind), []).append(link)
        return lines, stubs, used

    def attach(self, stubs: list[Stub], arrow: str, group: str, other: Box, folded: bool) -> None:
        kind, label = self.groups[group]
        if kind is Kind.INIT and not folded and len(other.lines) > 1:
            label = other.lines[1]  # the initial value itself
        for position, stub in enumerate(stubs):
            if stub.group == group and stub.text[2:] == label:
                both = arrow if stub.text[0] == arrow else "↔"
                stubs[position] = replace(stub, text=f"{both} {label}")
                return
        stubs.append(Stub(group, kind, f"{arrow} {label}"))

    def group_box(self, group: str, kind: Kind, label: str) -> Box:
        members = [self.whole.box(name) for name, g in self.group.items() if g == group]
        names = {box.name for box in members}
        written = {t for s, t, link in self.whole.boxes.edges(names, data="link") if link.kind is LinkKind.UPDATE and t not in names}
        settings = [line for box in members for line in box.lines[1:] if kind is Kind.OPTIMIZER and re.match(r"\w+ = ", line)]
        said = [", ".join(settings[start : start + 2]) for start in range(0, len(settings), 2)]
        if kind is Kind.INIT:
            said.append(_count(len(written), "variable"))
        elif kind is Kind.OPTIMIZER and written:
            said.append(f"updates {_count(len(written), 'variable')}")
        elif all(box.kind is Kind.VARIABLE for box in members):
            said.append(_count(len(members), "variable"))
        elif kind is Kind.SUMMARY:
            said.append(_count(sum(n.op.name != "merge_summary" for b in members for n in b.nodes), "value"))
        else:
            said.append(_count(_work(members), "operation"))
        nodes = tuple(n for b in members for n in b.nodes)
        return Box(group, kind, "", (label, *said), sum(b.count for b in members), nodes=nodes, aside=True)


def _joined_label(links: list[Link]) -> str:
    """What is said of several lines drawn as one: `60 × f32[64, 64]`."""
    labels = {link.label for link in links}
    if len(links) == 1 or labels == {""}:
        return links[0].label
    return f"{len(links)} × {links[0].label}" if len(labels) == 1 else f"{len(links)} tensors"


def _gathered(scope: _Scope, members: list[_Scope], label: str) -> _Scope:
    """Put some inner scopes into one of their own, where the first of them stood."""
    made = _Scope(f"{label}/", label, None, scope, scopes=members)
    at = scope.scopes.index(members[0])
    scope.scopes = [s for s in scope.scopes[:at] if s not in members] + [made] + [s for s in scope.scopes[at:] if s not in members]
    for member in members:
        member.parent = made
    return made


def _cut_out(scope: _Scope, boxes: list[Box]) -> _Scope:
    """Put some boxes into a closed scope of their own."""
    label = f"{boxes[0].lines[0]} … {boxes[-1].lines[0]}"
    made = _Scope(f"{scope.id}{label}/", label, None, scope, boxes=boxes, open=False)
    chosen = {box.name for box in boxes}
    scope.boxes = [box for box in scope.boxes if box.name not in chosen]
    scope.scopes.append(made)
    return made


def _without_number(label: str) -> str:
    """`Layer12` and `Layer` are alike, and so are `block_3_conv` and `block_conv`."""
    return re.sub(r"[_.-]?\d+(\D*)$", r"\1", label)


def _signature(scope: _Scope) -> str:
    """What is in a scope, by kinds and ops."""
    if not scope.signature:
        parts = [f"{box.kind.value}:{_ops_of(box)}" for box in scope.boxes] + [f"{{{_signature(s)}}}{s.stack}" for s in scope.scopes]
        scope.signature = ";".join(sorted(parts))
    return scope.signature


def _ops_of(box: Box) -> str:
    return ",".join(n.op.name for n in box.nodes)


def _work(boxes: Iterable[Box]) -> int:
    """How many operations there are, constants and reads of variables not counted."""
    return sum(n.op is not CONSTANT and n.op.effect in (Effect.NONE, Effect.WRITE) for b in boxes for n in b.nodes)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _content(boxes: list[Box], share: int) -> list[str]:
    """What a closed scope says of what is in it (of one of a stack's like scopes): the ops, or where these are many how many."""
    counts = Counter(b.kind.value if b.kind.value in _KINDS and (b.count > 1 or b.kind not in AUXILIARY) else b.nodes[0].op.name for b in boxes if b.nodes)
    counts.pop("constant", None)
    said = []
    for name, count in counts.items():
        each = count // share
        said.append(name if each <= 1 else f"{each} {name}s" if name in _KINDS else f"{each} {name}")
    if not said or len(said) > 6:
        return [_count(_work(boxes), "operation")]
    lines = [said[0]]
    for part in said[1:]:
        if len(lines[-1]) + len(part) > 28:
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    return lines


def _ordered(stubs: Iterable[Stub]) -> tuple[Stub, ...]:
    return tuple(sorted(stubs, key=lambda stub: _STUB_ORDER.index(stub.kind)))
