"""Kernels that differ in names alone run one function: the layers of a deep network are compiled once.

    def k0(tid, nthreads, x, W):          def k1(tid, nthreads, h, W_1):
        for i in range(10):         and       for j in range(10):              ->  k1 runs k0
            W[i] = x[i]                           W_1[j] = h[j]

Only texts that agree once all names are struck out are compared closely, so that programs without such kernels pay next to nothing.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"\b[A-Za-z_]\w*")
_HEAD = re.compile(r"def (\w+)\(([^)]*)\)")
_BOUND = re.compile(r"^ *(?:for (\w+) in |(\w+) (?:[^\w\s=<>!(]{0,2})= )", re.MULTILINE)
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
    """A printed function's code with its name left out and the names that it binds numbered: what it does, whatever it calls its values."""
    head, code = _HEAD.match(text), _COMMENT.sub("", text)
    assert head is not None
    bound = {*_NAME.findall(head[2]), *(a or b for a, b in _BOUND.findall(code))}
    numbers: dict[str, str] = {}
    return _NAME.sub(lambda m: numbers.setdefault(m[0], f"${len(numbers)}") if m[0] in bound else m[0], code.replace(head[1], "_", 1))
