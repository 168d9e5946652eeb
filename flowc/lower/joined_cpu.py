"""Kernels of several nests that go through the same images: one loop over images in which one nest makes what the others read.

    for unit in parallel(b*28): h[unit*896 + ...] = ...        for part in parallel(b*14):
    for unit in parallel(b*14): y[unit*448 + ...] = max(h...)      h: f32[1792]                         # two rows, in the first cache
                                                          ->       for turn in serial(2): unit = part*2 + turn; h[unit*896 - part*1792 + ...] = ...
                                                                   unit = part; y[unit*448 + ...] = max(h[...])

`ByImage` says of a nest's loop how it goes through images. Where all loops go through the rows in order, a part is the rows that one iteration of
those that read wants; else it is an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowc.ir.dims import product
from flowc.ir.loop_walks import children, expressions, loads, walk, with_parts
from flowc.ir.loops import Alloc, Barrier, Expr, For, Let, Load, Statement, Store, Tile, Transform, Var, extent, index
from flowc.ir.node import Node
from flowc.ir.types import I64
from flowc.lower.element import ZERO
from flowc.lower.kernel import KernelBuilder
from flowc.lower.stages import Stages
from flowc.structs import replace
from flowc.transforms.groups import is_nest

Body = tuple[Statement, ...]


def joined(k: KernelBuilder, nest: Callable[[KernelBuilder, Node], None]) -> None:
    """The loops of all nests. nest(k, root): fills in those of one."""
    stages, bodies = Stages(k), []
    for stage in stages.all:
        stage.k.elements.open()
        nest(stage.k, stage.root)
        bodies.append(stage.k.elements.close())
    k.how = "; ".join(stage.k.how for stage in stages.all if stage.k.how)
    top = k.elements.scopes[-1].statements
    assert len(stages.made) <= 1, "fusion lets one value go from nest to nest"
    images = _Images(k, *next(iter(stages.made.items()), (None, "")))
    found = images.in_loop(bodies) or images.in_parts(bodies)
    if found is not None:
        top.extend(found)
        return
    k.workspaces.extend(stages.workspaces())
    for number, body in enumerate(bodies):
        top.extend((*([Barrier()] if number else []), *body))


class _Images:
    """The images that go from the first nest to the others, if they do, as a part at a time."""

    def __init__(self, k: KernelBuilder, made: Node | None, buffer: str) -> None:
        self.k, self.made, self.buffer = k, made, buffer

    def in_parts(self, bodies: Sequence[Body]) -> list[Statement] | None:
        """All nests in one parallel loop; None where one does not go through images in its last loop alone."""
        loops = [_last(body) for body in bodies]
        if any(loop is None or (self.buffer and self._is_used(body[:-1])) for loop, body in zip(loops, bodies, strict=True)):
            return None
        orders = [loop.order for loop in loops if loop is not None and loop.order is not None]
        reading = orders[1:] if self.made is not None else orders
        each = reading[0].each
        if not all(order.by_rows and order.each % each == 0 for order in orders) or any(order.each != each for order in reading):
            each = 1
        part = self.k.var("part")
        body: list[Statement] = []
        for loop, order in zip(loops, orders, strict=True):
            assert loop is not None
            body.extend(self._turns(loop, part, order.each // each))
        batch = next(n for n in self.k.f.nodes if is_nest(n)).tensor.dims[0]
        inside = For(part.name, ZERO, extent(batch) * each, "parallel", (*self._space(each), *self._moved(body, part, each)))
        before = [s for b in bodies for s in b[:-1]]
        return [*before, *([Barrier()] if before and not isinstance(before[-1], Barrier) else []), inside]

    def in_loop(self, bodies: Sequence[Body]) -> list[Statement] | None:
        """Where the second nest has a serial loop over images: each is made at the beginning of its turn."""
        if self.made is None or len(bodies) != 2:
            return None
        maker = _last(bodies[0])
        loops = [s for s in walk(bodies[1]) if isinstance(s, For) and s.kind == "serial" and s.order is not None]
        if maker is None or maker.order is None or self._is_used(bodies[0][:-1]) or len(loops) != 1:
            return None
        (loop,) = loops
        image = Var(loop.var, I64)
        made = self._turns(maker, image, maker.order.each)
        new = replace(loop, order=None, body=(*self._space(1), *self._moved((*made, *loop.body), image, 1)))
        after = tuple(_replaced(s, loop, new) for s in bodies[1])
        if self._is_used(s for s in after if new not in tuple(walk((s,)))):
            return None
        before = list(bodies[0][:-1])
        return [*before, *([Barrier()] if before and not isinstance(before[-1], Barrier) else []), *after]

    def _space(self, each: int) -> list[Statement]:
        """Room for a part of what is made."""
        if self.made is None:
            return []
        size = product(self.made.tensor.dims[1:])
        assert isinstance(size, int) and size % each == 0
        return [Alloc(self.buffer, self.made.tensor.dtype, size=size // each)]

    def _turns(self, loop: For, part: Var, count: int) -> list[Statement]:
        """The iterations of a parallel loop that are a part's."""
        if count == 1:
            return [Let(loop.var, part), *loop.body]
        turn = self.k.var("turn")
        return [For(turn.name, ZERO, index(count), "serial", (Let(loop.var, part * count + turn), *loop.body))]

    def _moved(self, body: Sequence[Statement], part: Var, each: int) -> list[Statement]:
        """With what is made counted from the part's beginning on."""
        if self.made is None:
            return list(body)
        size = product(self.made.tensor.dims[1:])
        assert isinstance(size, int)
        begin = part * (size // each)
        return [_moved(s, self.buffer, begin) for s in body]

    def _is_used(self, body: Any) -> bool:
        return any(_uses(s, self.buffer) for s in walk(body))


def _last(body: Body) -> For | None:
    """A parallel loop over images that a body ends in, if it does."""
    last = body[-1] if body else None
    return last if isinstance(last, For) and last.kind == "parallel" and last.order is not None else None


def _uses(statement: Statement, buffer: str) -> bool:
    """Whether a statement itself looks at a buffer, or writes to it."""
    match statement:
        case Store() if statement.buffer == buffer:
            return True
        case Tile() | Transform() if buffer in (statement.out, statement.a) or (isinstance(statement, Tile) and statement.b == buffer):
            return True
    return any(load.buffer == buffer for e in expressions(statement) for load in loads(e))


def _moved(item: Any, buffer: str, by: Expr) -> Any:
    """A statement or expression with places in `buffer` so much nearer to its beginning."""
    made = with_parts(item, lambda part: _moved(part, buffer, by))
    match made:
        case Load() if made.buffer == buffer:
            return replace(made, index=made.index - by)
        case Store() if made.buffer == buffer and made.index is not None:
            return replace(made, index=made.index - by)
        case Tile() | Transform():
            changed = {f"{name}_at": getattr(made, f"{name}_at") - by for name in ("out", "a", "b") if getattr(made, name, None) == buffer}
            return replace(made, **changed) if changed else made
    return made


def _replaced(statement: Statement, old: Statement, new: Statement) -> Statement:
    if statement is old:
        return new
    return with_parts(statement, lambda part: _replaced(part, old, new) if isinstance(part, Statement) else part) if children(statement) else statement


__all__ = ["joined"]
