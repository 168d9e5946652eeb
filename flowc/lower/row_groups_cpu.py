"""CPU loops over rows with several sweeps: groups of rows, in which each sweep is one row behind the sweep before it.

    s = reduce_sum(x);  y = x / s   ->   for group in parallel: for step in group: sum row `step`, divide row `step - 1` by its sum, which is done

So no row waits for the last additions of its own sweep: a processor adds up one row while it divides another.
"""

from __future__ import annotations

from collections.abc import Callable

from flowc.ir import loops
from flowc.ir.dims import Dim, Shape, ceildiv, minimum, product
from flowc.ir.loops import Alloc, Const, For, If, Let, Load, Statement, Store, Var, extent
from flowc.ir.node import Node
from flowc.ir.types import F16, I64
from flowc.lower.element import ZERO, Index, hint, unravel
from flowc.lower.kernel import KernelBuilder, is_full, levels, spread
from flowc.transforms.groups import is_reduction, squeezed

GROUP = 16  # rows, at most, that go through their sweeps one after the other
SHARES, FEWEST = 4, 11  # groups of about the same size for threads to share, as many or a multiple; rows of one, where there are so many
GROUPED = range(17, 2049)  # elements of such a row: of fewer, loops are most of the code to compile; more would leave the innermost cache between sweeps


def in_groups(k: KernelBuilder, folds: list[Node], domain: Shape, axes: tuple[int, ...], row_shape: Shape) -> bool:
    """Whether rows go in groups: several sweeps over rows that are neither very short nor very long."""
    level = levels(k.f)
    sweeps = max(*(level[n] for n in folds), *(level[r] + 1 for r in k.f.results if is_full(r, domain, squeezed(row_shape))), 0)
    width, count = product(tuple(domain[a] for a in axes)), product(row_shape)
    return sweeps > 1 and isinstance(width, int) and width in GROUPED and count != 1 and not any(n.tensor.dtype is F16 for n in folds)


class RowGroups:
    """A parallel loop over groups of rows, and in it one over steps: at each, every sweep goes over a row, one row behind the sweep before it.

    What a sweep finds waits in local arrays, an element for each row of the group.
    """

    def __init__(self, k: KernelBuilder, domain: Shape, axes: tuple[int, ...], row_shape: Shape) -> None:
        self.k, self.row_shape = k, row_shape
        self.row_dims = tuple(1 if i in axes else d for i, d in enumerate(domain))
        self.group, self.step = k.var("group"), k.var("step")
        self.size = GROUP
        self.lines: dict[Node, str] = {}  # elements of a row that wait, as numbers of the row do
        k.elements.open()
        self._begin()
        self.found: dict[Node, str] = {}
        self.sweeps: list[tuple[Var, tuple[Statement, ...]]] = []  # finished: each one's row and statements
        self.here: list[Node] | None = None  # the reductions of the sweep under way

    def _begin(self) -> None:
        """How many groups there are, and the first row of one and the first behind it."""
        self.k.how = f"rows in groups of {GROUP}, each sweep one row behind the one before it"
        rows = product(self.row_shape)
        self._divide(minimum(ceildiv(rows, SHARES * GROUP) * SHARES, ceildiv(rows, FEWEST)))

    def _divide(self, count: Dim) -> None:
        """So many groups, whose sizes differ by one row at the most."""
        elements, rows = self.k.elements, extent(product(self.row_shape))
        self.groups = elements.let("groups", extent(count), elements.scopes[-2])
        self.first = elements.let("first", self.group * rows // self.groups, elements.scopes[-1])
        self.last = elements.let("last", (self.group + Const(1, I64)) * rows // self.groups, elements.scopes[-1])

    def _row(self) -> Var:
        """The row of the next sweep."""
        return self.k.var("row") if self.sweeps else self.step

    def sweep(self, here: list[Node], stores: list[Node], body: Callable[[Index], None]) -> None:
        """body(index) for each row, which finds the reductions `here` and stores `stores`."""
        used = self._below([*(x for n in here for x in n.inputs), *stores])
        if self.here is not None:
            self._end([n for n in used if n not in self.found and n not in self.here])
        elements = self.k.elements
        elements.open()
        scope = elements.scopes[-1]
        self.row = self._row()
        flat = len(self.row_shape) == 1
        self.index: Index = (self.row,) if flat else tuple(elements.let("i", e, scope) for e in unravel(self.row, self.row_shape))
        self._give(used)
        body(self.index)
        self.here = here

    def finish(self, results: list[Node]) -> None:
        """Stores results with one number for each row, at the end of the last sweep."""
        self._give(self._below(results, reductions=True))
        self.k.elements.store((self.k.result_names[r], r, spread(self.index, r.tensor.dims)) for r in results)

    def _give(self, used: list[Node]) -> None:
        """Reads what waits for the row."""
        elements = self.k.elements
        for n in used:
            place = spread(self.index, n.tensor.dims)
            if n in self.found and elements.key(n, place) not in elements.scopes[-1].memo:
                value = Load(self.found[n], self.row - self.first, n.tensor.dtype)
                elements.give(n, place, elements.let(hint(n), value, elements.scopes[-1]))

    def _end(self, ahead: list[Node]) -> None:
        """Ends a sweep: what it found waits, but for what goes into `ahead` alone: numbers of the row that the next sweep uses."""
        assert self.here is not None
        elements = self.k.elements
        self._give(self._below([x for n in ahead for x in n.inputs], reductions=True))
        for n in (*(n for n in self.here if not self._goes_into(n, ahead)), *ahead):
            self.found[n] = name = elements.unique(f"{hint(n).rstrip('_')}_of")
            elements.scopes[-2].statements.append(Alloc(name, n.tensor.dtype, size=self.size))
            value = elements.value(n, spread(self.index, n.tensor.dims))
            elements.scopes[-1].statements.append(Store(name, self.row - self.first, value))
        self.sweeps.append((self.row, elements.close()))

    def _below(self, nodes: list[Node], reductions: bool = False) -> list[Node]:
        """What has one number for each row and is known before a sweep over the rows' elements, where `nodes` are computed from it.

        Finished reductions, and what follows from them alone; reductions: of these, only what has been computed.
        """
        elements = self.k.elements
        found: set[Node] = set()
        seen: set[Node] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node in seen or node in elements.names or node in elements.ahead or node in self.lines:
                continue
            seen.add(node)
            follows = not reductions and node.tensor.dims == self.row_dims and node.tensor.dtype is not F16
            if is_reduction(node) or node in self.found or follows:
                found.add(node)
            else:
                waiting.extend(node.inputs)
        return [n for n in self.k.f.nodes if n in found]

    def _goes_into(self, node: Node, ahead: list[Node]) -> bool:
        """Whether nothing needs a number of the row but what is computed from it first."""
        users = self.k.f.users()
        seen, waiting = {node}, [node]
        while waiting:
            number = waiting.pop()
            if number in self.k.f.results:
                return False
            more = [u for u in users[number] if u not in ahead and u not in seen]
            if any(u.tensor.dims != self.row_dims for u in more):
                return False
            seen.update(more)
            waiting += more
        return True

    def close(self) -> list[Statement]:
        elements = self.k.elements
        self.sweeps.append((self.row, elements.close()))
        behind = len(self.sweeps) - 1
        steps: list[Statement] = []
        for number, (row, statements) in enumerate(self.sweeps):
            started, left = loops.apply("le", self.first, row), loops.apply("lt", row, self.last)
            if number:
                steps.append(Let(row.name, self.step - Const(number, I64)))
            steps.append(If(left if number == 0 else started if number == behind else loops.apply("and", started, left), statements))
        elements.scopes[-1].statements.append(For(self.step.name, self.first, self.last + Const(behind, I64), "serial", tuple(steps)))
        return [For(self.group.name, ZERO, self.groups, "parallel", elements.close())]


__all__ = ["GROUP", "GROUPED", "RowGroups", "in_groups"]
