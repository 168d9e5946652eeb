"""Borders between kernels: for every value that one kernel computes and another reads, a record that says why they are two.

    borders.refused[e, m] = "matmul reads its operands from memory"       # as fusion goes along, about nodes
    borders.record(members, "k1_matmul", records)                         # k0_exp -> k1_matmul: ... , once the kernels have names
"""

from __future__ import annotations

from collections.abc import Iterable

from flowc.ir.function import CONSTANT
from flowc.ir.node import Node
from flowc.ir.op import Element
from flowc.transforms.records import Decision, Records


class Borders:
    """refused: for a value and the node that reads it, why the node's kernel does not compute the value."""

    def __init__(self) -> None:
        self.refused: dict[tuple[Node, Node], str] = {}
        self._kernel_of: dict[Node, str] = {}

    def record(self, members: Iterable[Node], kernel: str, records: Records) -> None:
        """Records for what a kernel with these nodes reads from those that were recorded before it."""
        members = list(members)
        self._kernel_of.update(dict.fromkeys(members, kernel))
        for member in members:
            for value, reader in dict.fromkeys(border for n in member.inputs for border in self._behind(n, member)):
                other = self._kernel_of[value]
                if other != kernel:
                    records.add(Decision("kept", "fuse", (value.name, member.name), self._reason(value, reader), 0, (other, kernel)))

    def _behind(self, operand: Node, reader: Node) -> list[tuple[Node, Node]]:
        """The values of kernels that are behind an operand, through what no kernel computes, each with what reads it."""
        if operand in self._kernel_of:
            return [(operand, reader)]
        return [border for n in operand.inputs for border in self._behind(n, operand)] if operand.op is not CONSTANT else []

    def _reason(self, value: Node, reader: Node) -> str:
        if reader in self._kernel_of:
            return self.refused[value, reader]
        is_view = isinstance(reader.op.lowering, Element) and reader.op.lowering.pure_view
        return f"{reader.op.name} is {'a view of memory' if is_view else 'computed where it is read'}"
