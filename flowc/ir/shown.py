"""How a Graph, a Function and what is compiled from them show themselves in a notebook: `class Graph(Shown)` has what IPython asks for.

    graph           # in a notebook: the page to explore; where a notebook shows no pages, the picture
    print(graph)    # the tree of scopes

The room that draws stands below this one, so it is not imported here: `flowc/__init__.py`, above all rooms, says where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

find_drawer: Callable[[], Any] | None = None
"""Gives the module that draws, `flowc.viz.notebook`, imported when it is first asked for."""


def drawer() -> Any:
    assert find_drawer is not None, "flowc/__init__.py sets it"
    return find_drawer()


class Shown:
    """What IPython looks for. A form that cannot be had (no Graphviz, shapes not known yet) is None: IPython then takes another one."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        return drawer().html(self)  # type: ignore[no-any-return]

    def _repr_svg_(self) -> str | None:
        return drawer().svg(self)  # type: ignore[no-any-return]
