"""Nested containers: a value of dicts, lists, tuples and dataclasses becomes its leaves and a hashable structure, and back.

    flatten({"w": a, "b": [c, None]})    # [a, c], structure
    structure.unflatten([1, 2])          # {"w": 1, "b": [2, None]}
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from flowc.structs import Struct

STATIC_TYPES = (str, bytes, type(None), type, range, slice)
"""Values that can be no array: they belong to the structure."""


class Structure(Struct):
    """The shape of a nest. kind: `leaf`, `static` (a Python value kept as it is) or the container's class; keys: its keys or fields."""

    kind: Any
    keys: tuple[Hashable, ...] = ()
    children: tuple[Structure, ...] = ()
    value: Hashable = None

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """The nest with `leaves` at its leaves, in order."""
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.kind == "leaf":
            return next(leaves)
        if self.kind == "static":
            return self.value.value if isinstance(self.value, _Typed) else self.value
        items = [child._build(leaves) for child in self.children]
        if issubclass(self.kind, Mapping):
            return self.kind(zip(self.keys, items, strict=True))
        if _is_dataclass(self.kind):
            return self.kind(**dict(zip(self.keys, items, strict=True)))  # type: ignore[operator, arg-type]
        if hasattr(self.kind, "_fields"):
            return self.kind(*items)
        return self.kind(items)

    @property
    def count(self) -> int:
        """The number of leaves."""
        return 1 if self.kind == "leaf" else sum(child.count for child in self.children)

    def paths(self, prefix: str) -> list[str]:
        """A readable path of each leaf: `params["w"]`, `params[0]`, `state.mean`."""
        if self.kind == "leaf":
            return [prefix]
        dotted = self.kind != "static" and (_is_dataclass(self.kind) or hasattr(self.kind, "_fields"))
        found: list[str] = []
        for key, child in zip(self.keys, self.children, strict=True):
            found += child.paths(f"{prefix}.{key}" if dotted else f"{prefix}[{key!r}]")
        return found


LEAF = Structure("leaf")


def flatten(value: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Structure]:
    """The leaves of `value`, in order, and its structure. Strings, None, types and functions are no leaves: they stay in the structure.

    TypeError where such a value cannot be hashed.
    """
    leaves: list[Any] = []
    return leaves, _flatten(value, leaves, is_leaf)


def _flatten(value: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] | None) -> Structure:
    if is_leaf is not None and is_leaf(value):
        leaves.append(value)
        return LEAF
    kind = type(value)
    if kind in (dict, OrderedDict):
        keys = tuple(value)
        return Structure(kind, keys, tuple(_flatten(value[key], leaves, is_leaf) for key in keys))
    if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        names = getattr(kind, "_fields", range(len(value)))
        return Structure(kind, tuple(names), tuple(_flatten(item, leaves, is_leaf) for item in value))
    if _is_dataclass(kind):
        from dataclasses import fields

        names = tuple(field.name for field in fields(value) if field.init)
        return Structure(kind, names, tuple(_flatten(getattr(value, name), leaves, is_leaf) for name in names))
    if isinstance(value, STATIC_TYPES) or (callable(value) and not hasattr(value, "__array__")):
        return static(value)
    leaves.append(value)
    return LEAF


def _is_dataclass(kind: Any) -> bool:
    """As `dataclasses` says it, which is imported only for a program that has one."""
    return hasattr(kind, "__dataclass_fields__")


def static(value: Any) -> Structure:
    """A Python value as part of the structure; TypeError where it cannot be hashed."""
    hash(value)
    return Structure("static", value=_Typed(value) if isinstance(value, bool | int | float) else value)


class _Typed(Hashable):
    """A number told apart by type as well: 1, 1.0 and True are three static values."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Typed) and type(self.value) is type(other.value) and self.value == other.value
