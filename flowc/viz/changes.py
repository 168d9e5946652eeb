"""What became of a program's nodes from one stage to the next: new, gone, rewritten, merged into another.

    e = exp(x); s = add(e, 1); Log = log(s)     ->     Log = softplus(x)        Log is rewritten; e and s merged into it

A node that is gone merged into another where that one is computed like it (a common subexpression), or where all that read it now is
that one, or reads that one in its place. What nothing of the new stage stands for is gone for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flowc.ir.function import CONSTANT, PARAM
from flowc.ir.node import Node
from flowc.ir.op import Effect
from flowc.ir.text import attribute_text
from flowc.viz.identity import Identity


@dataclass(frozen=True)
class Said:
    """What a stage says of a node: how it is computed, of what (by number), its type, and what must run before it (by name).

    values: the operands that are read, not only asked for their shape; given: a param, a constant, or what only a Graph has: placeholders,
    variables, reads and writes, which have other forms in a Function.
    """

    op: str
    attrs: tuple[tuple[str, str], ...]
    operands: tuple[int, ...]
    values: frozenset[int]
    type: str
    control: tuple[str, ...]
    given: bool


@dataclass
class Changes:
    """Numbers of nodes; merged: those of nodes that are gone, with the numbers of those they merged into."""

    added: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    rewritten: set[int] = field(default_factory=set)
    merged: dict[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.rewritten)


def said(nodes: Iterable[Node], identity: Identity) -> dict[int, Said]:
    """For each node's number what the stage says of it."""
    found: dict[int, Said] = {}
    for node in nodes:
        number = identity(node)
        if number not in found:
            attrs = tuple((k, _text(node, k, v)) for k, v in node.attrs.items())
            operands = identity.operands(node)
            last = len(node.op.operands) - 1  # a starred operand's place stands for all of its operands
            values = frozenset(n for i, n in enumerate(operands) if min(i, last) not in node.op.like)
            given = node.op in (PARAM, CONSTANT) or node.op.effect is not Effect.NONE
            found[number] = Said(node.op.name, attrs, operands, values, str(node.type), tuple(n.name for n in node.control), given)
    return found


def _text(node: Node, key: str, value: object) -> str:
    return str(value.key) if node.op is CONSTANT and key == "value" else attribute_text(value)  # type: ignore[attr-defined]


def passed(before: Mapping[int, Said], after: Mapping[int, Said]) -> Changes:
    """What a pass did: a node is rewritten where it is computed by another op, or with other attributes."""
    changes = Changes(set(after) - set(before), set(before) - set(after))
    for number in (n for n in after if n in before):
        old, new = before[number], after[number]
        if not old.given and (old.op, old.attrs) != (new.op, new.attrs):
            changes.rewritten.add(number)
    _merge(before, after, changes, _pair(before, after, changes))
    return changes


def compared(before: Mapping[int, Said], after: Mapping[int, Said]) -> Changes:
    """How two programs differ: a node of both is rewritten where anything that is written of it differs."""
    rewritten = {number for number in after if number in before and before[number] != after[number]}
    return Changes(set(after) - set(before), set(before) - set(after), rewritten)


def _pair(before: Mapping[int, Said], after: Mapping[int, Said], changes: Changes) -> dict[int, int]:
    """Nodes without names whose attributes are spelled otherwise now: the same op in the same place of the same reader is one node."""
    pairs: dict[int, int] = {}
    stack = [(n, n) for n in after if n in before]
    while stack:
        old, new = stack.pop()
        one, other = before[old], after[new]
        if one.op == other.op and len(one.operands) == len(other.operands):
            for was, now in zip(one.operands, other.operands, strict=True):
                if was in changes.gone and now in changes.added and before[was].op == after[now].op and not after[now].given:
                    changes.gone.remove(was)
                    changes.added.remove(now)
                    changes.rewritten.add(now)
                    stack.append((was, now))
                    pairs[was] = now
    return pairs


def _merge(before: Mapping[int, Said], after: Mapping[int, Said], changes: Changes, pairs: Mapping[int, int]) -> None:
    alike = {(new.op, new.attrs, new.operands): number for number, new in reversed(list(after.items())) if not new.given}
    users: dict[int, list[int]] = {}
    for number, old in before.items():
        for operand in old.values:
            users.setdefault(operand, []).append(number)
    become = changes.merged
    for number, old in before.items():
        if number in changes.gone:
            same = alike.get((old.op, old.attrs, tuple(become.get(n, pairs.get(n, n)) for n in old.operands)))
            if same is not None:
                become[number] = same
    for number in reversed(list(before)):
        if number in changes.gone and number not in become:
            places = {_place(number, user, before, after, changes) for user in users.get(number, ())}
            if len(places) == 1 and (place := places.pop()) is not None:
                become[number] = place


def _place(number: int, user: int, before: Mapping[int, Said], after: Mapping[int, Said], changes: Changes) -> int | None:
    """What stands for a node that is gone where `user` read it: the user itself if that is computed otherwise now."""
    if user in changes.gone:
        return changes.merged.get(user)
    if user not in after:
        return None
    if user in changes.rewritten:
        return user
    old, new = before[user].operands, after[user].operands
    if len(old) != len(new):
        return None
    now = new[old.index(number)]
    return now if now in after and not after[now].given else None
