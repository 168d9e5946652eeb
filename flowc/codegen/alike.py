"""Kernels that differ in names and numbers only -> one function with a parameter for each number that differs, and what each kernel gives for it.

    def k0(x, out):                                                     def alike_k0(x, out, literal_0, literal_1):
        for i in range(32): out[i] = x[i] * f32(0.5)          ->            for i in range(literal_0): out[i] = x[i] * literal_1
    def k1(dx, dw):
        for j in range(64): dw[j] = dx[j] * f32(0.25)               k0: (32, f32(0.5)), k1: (64, f32(0.25))

Layers of one kind give kernels of one form, and translating a kernel costs more than all else, so each form is translated once. `build` then writes
the function's LLVM text once for each kernel with the numbers in the place of the parameters, before anything is optimised: the code of each
is what it would be without this. Where numbers only say how many iterations threads share, or which random numbers are drawn, code is made once,
and each kernel calls it. The file that users read keeps every kernel whole.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Sequence

from flowc.structs import Struct

# numbers that must stay literals: the shape of a tile, the size of a local array, the step of a loop
_TOKEN = re.compile(
    r"(?P<kept>#[^\n]*|\"[^\"\n]*\"|'[^'\n]*'|\btile_\w+\(\s*\d+\s*,\s*\d+|\blocal_\w+\(\s*\d+|,\s*\d+\)\s*:)"
    r"|\b(?P<dtype>[iu](?:8|16|32|64)|f32|f64)\((?P<typed>-?\d[\d.]*(?:e[+-]?\d+)?)\)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<whole>(?<![\w.])\d{1,18}(?![\w.]))"
)
_FIXED = frozenset(keyword.kwlist) | frozenset(dir(builtins))


class Form(Struct):
    """A kernel without its own names and numbers. numbers: (place in the text, dtype, text of the number) in order; used: the names that stand
    in it, of those that the file shares between functions."""

    key: str
    numbers: tuple[tuple[tuple[int, int], str, str], ...]
    used: frozenset[str]


def form(text: str, fixed: Iterable[str]) -> Form:
    """The form of a function's text; `fixed`: the names that the file shares between functions."""
    fixed = frozenset(fixed)
    names: dict[str, str] = {}
    used: set[str] = set()
    numbers: list[tuple[tuple[int, int], str, str]] = []

    def canonical(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "kept":
            return "" if match[0].startswith("#") else match[0]
        if kind == "name":
            name = match[0]
            if name in fixed:
                used.add(name)
                return name
            return name if name in _FIXED else names.setdefault(name, f"${len(names)}")
        dtype = match["dtype"] or "i64"
        numbers.append((match.span(), dtype, match["typed"] or match[0]))
        return f"?{dtype if match['dtype'] else ''}"

    key = _TOKEN.sub(canonical, text)
    return Form(key, tuple(numbers), frozenset(used))


class Shared(Struct):
    """One function for several kernels. names: the kernels'; text: its source; dtypes: of the parameters that it has more; numbers: for each
    kernel the texts of their values; once: these only say how many iterations threads share, and which random numbers: the code needs not know
    them, and serves all kernels."""

    names: tuple[str, ...]
    text: str
    dtypes: tuple[str, ...]
    numbers: tuple[tuple[str, ...], ...]
    once: bool = False


def share(name: str, kernels: Sequence[str], texts: Sequence[str], forms: Sequence[Form], prefix: str) -> Shared:
    """The function `name` for kernels of one form. prefix: what names of parameters begin with; no text has it."""
    first = forms[0].numbers
    differ = [i for i in range(len(first)) if len({f.numbers[i][2] for f in forms}) > 1]
    known: dict[tuple[str, ...], str] = {}  # numbers that are equal in every kernel are one parameter
    pieces, end = [], 0
    for i in differ:
        (start, stop), dtype, _ = first[i]
        values = (dtype, *(f.numbers[i][2] for f in forms))
        pieces += [texts[0][end:start], known.setdefault(values, f"{prefix}{len(known)}")]
        end = stop
    body = "".join([*pieces, texts[0][end:]])
    head = re.compile(r"def\s+\w+\(([^)]*)\)")
    body = head.sub(lambda m: f"def {name}({', '.join([m[1], *known.values()])})", body, count=1)
    numbers = tuple(zip(*(v[1:] for v in known), strict=True)) if known else ((),) * len(forms)
    cheap = all(first[i][1] == "u64" or texts[0][: first[i][0][0]].endswith(("lower_bound(", "upper_bound(")) for i in differ)
    once = cheap and len(set(numbers)) == len(numbers)  # equal kernels have one name in a cache, and would be written twice
    return Shared(tuple(kernels), body, tuple(v[0] for v in known), numbers, once)
