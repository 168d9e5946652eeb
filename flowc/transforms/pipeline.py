"""The compiler's table of contents: every pass over a Function, in order.

optimize(f)                      # all of them
optimize(f, until="stabilize")   # up to and with this one, as `flowc ir --after stabilize` shows
"""

from __future__ import annotations

from collections.abc import Callable

from flowc.config import settings
from flowc.ir.function import Function
from flowc.ir.verify import verify
from flowc.transforms.expand import expand
from flowc.transforms.fold import fold
from flowc.transforms.fuse import fuse
from flowc.transforms.records import Records
from flowc.transforms.simplify import simplify
from flowc.transforms.stabilize import stabilize

Pass = Callable[[Function, Records], Function]


def _plain(transform: Callable[[Function], Function]) -> Pass:
    """A pass that takes no decisions worth a record."""
    return lambda f, records: transform(f)


PASSES: tuple[tuple[str, Pass], ...] = (
    ("tidy", _plain(simplify)),  # one spelling for each form, so that stabilize finds what it looks for
    ("stabilize", stabilize),
    ("expand", _plain(expand)),
    ("simplify", _plain(simplify)),
    ("fold", _plain(fold)),
    ("resimplify", _plain(simplify)),
    ("fuse", fuse),
)


def names() -> tuple[str, ...]:
    """The passes' names, in order."""
    return tuple(name for name, _ in PASSES)


def optimize(f: Function, until: str | None = None, on_pass: Callable[[str, Function], None] | None = None, records: Records | None = None) -> Function:
    """`f` (specialized: all types known) after the passes, the last of them `until`; `on_pass` sees each pass's name and result.

    Verified after each pass where `settings().verify`. ValueError for a name that is no pass.
    """
    if until is not None and until not in names():
        raise ValueError(f"no pass {until}; there are {', '.join(names())}")
    checked = settings().verify
    records = records if records is not None else Records()
    for name, transform in PASSES:
        f = transform(f, records)
        if checked:
            verify(f, name)
        if on_pass is not None:
            on_pass(name, f)
        if name == until:
            break
    return f
