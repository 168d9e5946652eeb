"""Structs: classes whose annotations are their fields, as a dataclass's are, and which cost a starting process next to nothing.

    class Row(Struct):
        slot: int
        kind: str = "param"
                                  Row(3)                           ->   Row(slot=3, kind='param')
                                  replace(Row(3), slot=4)          ->   Row(slot=4, kind='param')

`dataclass` writes the text of six methods and compiles it for every class, half a millisecond each, and flowc has forty in the path of a first step: a
third of all that it did until then. Structs share their methods but for `__init__`, which is compiled when the first struct of a class is
made. Fields are slots. Structs cannot be changed and are equal where their fields are; `frozen=False` and `eq=False` behind the name of the
base say otherwise, in the words of `dataclass`, and subclasses follow. `__post_init__` runs last. What else an object is to hold a class
names in `__slots__`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, dataclass_transform

T = TypeVar("T")
_NONE: Any = object()  # no default


class _Factory:
    """A default that is made for each struct."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], T]) -> T:
    """The default of a field whose value each struct makes for itself: a list, a dict."""
    return _Factory(default_factory)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class StructType(type):
    """Makes the classes of structs: annotations become slots, and what is written behind them becomes defaults."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], frozen: bool | None = None, eq: bool | None = None) -> StructType:
        own = [field for field, type in body.get("__annotations__", {}).items() if "ClassVar" not in str(type)]
        defaults = [body.pop(field, _NONE) for field in own]
        cached = ("__dict__",) if any(isinstance(value, cached_property) for value in body.values()) else ()
        body |= {"__slots__": (*own, *cached, *body.get("__slots__", ())), "__init__": _first_init}
        if eq is False:
            body |= {"__eq__": object.__eq__, "__hash__": object.__hash__}
        if frozen is False:
            body |= {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
            if eq is not False:
                body.setdefault("__hash__", None)
        cls: Any = super().__new__(mcs, name, bases, body)
        known = [(field, cls.__dict__[field].__set__, default) for field, default in zip(own, defaults, strict=True)]
        cls._known = (*getattr(cls, "_known", ()), *known)
        names = tuple([field for field, *_ in cls._known])
        cls.__match_args__ = names  # type: ignore[misc]
        cls._values = attrgetter(*names) if names else _nothing
        return cls  # type: ignore[no-any-return]


def _nothing(struct: object) -> tuple[()]:
    return ()


def _first_init(self: Any, *args: Any, **kwargs: Any) -> None:
    cls = self.__class__
    cls.__init__ = _init(cls)
    cls.__init__(self, *args, **kwargs)


def _init(cls: Any) -> Any:
    """The `__init__` of a class: its fields are the parameters."""
    names: dict[str, Any] = {"_NONE": _NONE}
    params, lines = ["self"], []
    for name, setter, default in cls._known:
        names |= {f"set_{name}": setter, f"default_{name}": default.make if isinstance(default, _Factory) else default}
        made = isinstance(default, _Factory)
        params.append(name if default is _NONE else f"{name}={'_NONE' if made else f'default_{name}'}")
        lines.append(f"    set_{name}(self, {f'default_{name}() if {name} is _NONE else {name}' if made else name})")
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()")
    exec(f"def __init__({', '.join(params)}):\n" + "\n".join(lines or ["    pass"]), names)
    return names["__init__"]


class Struct(metaclass=StructType):
    """The base of structs."""

    __match_args__: ClassVar[tuple[str, ...]]
    _known: ClassVar[tuple[tuple[str, Any, Any], ...]]  # of each field the name, the slot's setter, the default
    _values: ClassVar[Any]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a {self.__class__.__name__} cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {self.__class__.__name__} cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        if self.__class__ is not other.__class__:
            return NotImplemented
        values = self.__class__._values
        return values(self) == values(other)  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        return hash(self.__class__._values(self))

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({', '.join([f'{name}={getattr(self, name)!r}' for name in fields(self)])})"

    def __reduce__(self) -> tuple[Any, ...]:
        return self.__class__, tuple([getattr(self, name) for name in fields(self)])


S = TypeVar("S", bound=Struct)


def fields(struct: Struct | type[Struct]) -> tuple[str, ...]:
    """The names of the fields, in order."""
    return struct.__match_args__


def replace(struct: S, **changes: Any) -> S:
    """The struct with other values for some fields."""
    return struct.__class__(**{name: getattr(struct, name) for name in fields(struct)} | changes)
