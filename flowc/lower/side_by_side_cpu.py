"""CPU loops over rows with several sweeps, all of them in one loop: each sweep is one row behind the sweep before it.

    s = reduce_sum(x);  y = x / s   ->   for group in parallel: for step in group: row = step, behind = step - 1, inside the group
                                             for j: total += x[row, j]; y[behind, j] = x[behind, j] / s_of[behind]

A processor loads what one sweep sums up while it computes what another does, so a softmax takes little longer than its exponentials. At
the first and last steps of a group a sweep has no row yet, or none any more: then it repeats the first or the last one, whose results are
stored once more. What is not known yet is 0, and what comes of it is overwritten in the next step; so no result may lie in an operand's place.
"""

from __future__ import annotations

from flowc.ir import loops
from flowc.ir.dims import Shape, ceildiv, maximum, minimum, product
from flowc.ir.loops import Alloc, Const, For, Let, Statement, Store, Var, lift
from flowc.ir.node import Node
from flowc.ir.op import ArgFold
from flowc.ir.types import F16, I64
from flowc.lower.element import ZERO
from flowc.lower.kernel import KernelBuilder, Lines, is_costly, levels
from flowc.lower.rename import renamed
from flowc.lower.row_groups_cpu import RowGroups
from flowc.transforms.groups import is_reduction

MOST_ROWS, FEWEST_ROWS = 64, 16  # of a group: of the steps of a small one too many repeat a row
ENOUGH = 4  # groups for threads to share, of rows for so many
ELEMENTS = range(513, 2049)  # of a row: sweeps over fewer overlap as they are; more would leave the innermost cache


def side_by_side(k: KernelBuilder, folds: list[Node], domain: Shape, axes: tuple[int, ...], again: list[Node]) -> bool:
    """Whether all sweeps of rows in groups go in one loop: where one applies functions, which leave time for what the others load.

    Every value is a float, a sweep one loop, and no result in an operand's place. again: costly values that a later sweep needs, too: which is the
    next one, and no other.
    """
    operands = {k.elements.names[p] for p in k.f.params}
    width, dtypes = product(tuple(domain[a] for a in axes)), {n.tensor.dtype for n in (*k.f.params, *k.f.nodes)}
    return (
        len(axes) == 1 and width in ELEMENTS and operands.isdisjoint(k.result_names.values())
        and any(is_costly(n) for n in k.f.nodes) and not any(isinstance(n.op.lowering, ArgFold) for n in folds)
        and all(dtype.is_float and dtype is not F16 for dtype in dtypes) and _wait_for_the_next(k, again)
    )  # fmt: skip


class SideBySide(RowGroups):
    """As `RowGroups`, with the sweeps' loops made one."""

    def __init__(self, k: KernelBuilder, domain: Shape, axes: tuple[int, ...], row_shape: Shape) -> None:
        super().__init__(k, domain, axes, row_shape)
        (self.width,) = (domain[a] for a in axes)

    def _begin(self) -> None:
        self.k.how = "rows in groups, all sweeps in one loop, each one row behind the one before it"
        self.size = MOST_ROWS
        rows = product(self.row_shape)
        self._divide(minimum(maximum(ceildiv(rows, 2 * MOST_ROWS) * 2, ENOUGH), ceildiv(rows, FEWEST_ROWS)))

    def _row(self) -> Var:
        return self.k.var("row")

    def lines_of(self, early: list[Node]) -> Lines:
        """Where the sweep under way leaves values over its row, and where it takes those that the sweep before has left."""
        taken, self.lines = self.lines, {}
        assert isinstance(self.width, int), "rows in groups have a known number of elements"
        for node in early:
            self.lines[node] = name = self.k.elements.unique("line")
            self.k.elements.scopes[-2].statements.append(Alloc(name, node.tensor.dtype, size=self.width))
        return Lines(dict(self.lines), taken)

    def close(self) -> list[Statement]:
        elements = self.k.elements
        self.sweeps.append((self.row, elements.close()))
        one, behind = Const(1, I64), len(self.sweeps) - 1
        before: list[Statement] = []
        inside: list[Statement] = []
        after: list[Statement] = []
        j = self.k.var("j")
        for number, (row, statements) in enumerate(self.sweeps):
            place = loops.apply("max", loops.apply("min", self.step - Const(number, I64), self.last - one), self.first)
            at = next(n for n, s in enumerate(statements) if isinstance(s, For))
            loop = statements[at]
            assert isinstance(loop, For)
            before += [Let(row.name, place), *statements[:at]]
            inside = [*renamed(loop, {loop.var: j.name}).body, *inside]  # the last sweep first: it takes what the one before it is about to replace
            after += statements[at + 1 :]
            width = loop.stop
        scope = elements.scopes[-1].statements
        arrays = [s for s in scope if isinstance(s, Alloc) and s.name in self.found.values()]
        i = self.k.var("i")
        zeros = tuple(Store(array.name, i, lift(0, array.dtype)) for array in arrays)
        scope.append(For(i.name, ZERO, Const(self.size, I64), "vector", zeros))
        steps = (*before, For(j.name, ZERO, width, "serial", tuple(inside)), *after)
        scope.append(For(self.step.name, self.first, self.last + Const(behind, I64), "serial", steps, again=behind))
        return [For(self.group.name, ZERO, self.groups, "parallel", elements.close())]


def _wait_for_the_next(k: KernelBuilder, nodes: list[Node]) -> bool:
    """Whether no sweep but the next one needs these values again."""
    level, users = levels(k.f), k.f.users()
    return all(level[u] <= level[n] + 1 for n in nodes for u in _elements_from(n, users))


def _elements_from(node: Node, users: dict[Node, list[Node]]) -> list[Node]:
    """What is computed from a value, element by element."""
    found: list[Node] = []
    open_nodes = [node]
    while open_nodes:
        for user in users[open_nodes.pop()]:
            if not is_reduction(user) and user not in found:
                found.append(user)
                open_nodes.append(user)
    return found


__all__ = ["SideBySide", "side_by_side"]
