"""Kernels that differ in names alone run one function: the layers of a deep network are compiled once.

    def k0(tid, nthreads, x, W):          def k1(tid, nthreads, h, W_1):
        for i in range(10):         and       for j in range(10):              ->  k1 runs k0
            W[i] = x[i]                           W_1[j] = h[j]

Only texts that agree once all names are struck out are compared closely, so that programs without such kernels pay next to nothing.
"""

from __future__ import annotations

import ast
import re

_NAME = re.compile(r"[A-Za-z_]\w*")
_COMMENT = re.compile(r"^ *#.*\n?", re.MULTILINE)


class SharedFunctions:
    """The functions printed so far, by what they do."""

    def __init__(self) -> None:
        self._first: dict[object, tuple[str, str] | None] = {}  # what is cheap to compare -> name and text; None once its form is known
        self._forms: dict[object, str] = {}  # types and form -> name

    def find(self, name: str, types: tuple[str, ...], text: str) -> str:
        """The name of the function to run for this one: its own, or that of an earlier one with the same types that does the same."""
        key = (types, _NAME.sub("", _COMMENT.sub("", text)))
        if key not in self._first:
            self._first[key] = (name, text)
            return name
        first = self._first[key]
        if first is not None:
            self._forms[types, form(first[1])] = first[0]
            self._first[key] = None
        return self._forms.setdefault((types, form(text)), name)


def form(text: str) -> str:
    """A function's code with its name left out and the names that it binds numbered: what it does, whatever it calls its values."""
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.FunctionDef)
    definition.name = "_"
    nodes = list(ast.walk(definition))
    bound = {n.arg for n in nodes if isinstance(n, ast.arg)} | {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    numbers: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.arg):
            node.arg = numbers.setdefault(node.arg, f"${len(numbers)}")
        elif isinstance(node, ast.Name) and node.id in bound:
            node.id = numbers.setdefault(node.id, f"${len(numbers)}")
    return ast.dump(definition)
