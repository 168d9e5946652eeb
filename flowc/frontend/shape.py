"""Static shapes as TensorFlow shows them: unknown extents are None, though flowc knows each by its symbol.

    x.get_shape().as_list()  ->  [None, 784]        x.shape[0].value  ->  None        int(x.shape[1])  ->  784
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

from flowc.errors import ShapeError, user_location
from flowc.ir.dims import Dim, Shape, Sym, floordiv, product


class Dimension:
    """One extent. `value` is an int, or None where it is known by its symbol only; `dim` is either."""

    __slots__ = ("dim",)

    def __init__(self, dim: Dim | None) -> None:
        self.dim = dim.dim if isinstance(dim, Dimension) else dim

    @property
    def value(self) -> int | None:
        return self.dim if isinstance(self.dim, int) else None

    def __int__(self) -> int:
        if not isinstance(self.dim, int):
            raise ShapeError("the extent is not known before a run", f"int(Dimension({self.dim}))", user_location())
        return self.dim

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        other_dim = other.dim if isinstance(other, Dimension) else other
        return self.dim is not None and self.dim == other_dim

    def __hash__(self) -> int:
        return hash(self.dim)

    def _combined(self, other: Any, function: Any, swapped: bool = False) -> Dimension:
        other_dim = other.dim if isinstance(other, Dimension) else other
        if self.dim is None or other_dim is None:
            return Dimension(None)
        return Dimension(function(other_dim, self.dim) if swapped else function(self.dim, other_dim))

    def __add__(self, other: Any) -> Dimension:
        return self._combined(other, operator.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dimension:
        return self._combined(other, operator.sub)

    def __rsub__(self, other: Any) -> Dimension:
        return self._combined(other, operator.sub, swapped=True)

    def __mul__(self, other: Any) -> Dimension:
        return self._combined(other, operator.mul)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Dimension:
        return self._combined(other, floordiv)

    def __lt__(self, other: Any) -> bool:
        return int(self) < int(other)

    def __le__(self, other: Any) -> bool:
        return int(self) <= int(other)

    def __gt__(self, other: Any) -> bool:
        return int(self) > int(other)

    def __ge__(self, other: Any) -> bool:
        return int(self) >= int(other)

    def __str__(self) -> str:
        return "?" if self.value is None else str(self.value)

    def __repr__(self) -> str:
        return f"Dimension({self.value})"


class TensorShape:
    """A static shape; `dims` None where not even the rank is known."""

    __slots__ = ("extents",)

    def __init__(self, dims: Any) -> None:
        self.extents: tuple[Dim | None, ...] | None
        if dims is None:
            self.extents = None
        elif isinstance(dims, TensorShape):
            self.extents = dims.extents
        elif isinstance(dims, Iterable):
            self.extents = tuple(d.dim if isinstance(d, Dimension) else d if d is None or isinstance(d, Sym) else int(d) for d in dims)
        else:
            self.extents = (int(dims),)

    @property
    def symbolic(self) -> Shape | None:
        """The extents with symbols, for ops; None where the rank is unknown."""
        return None if self.extents is None else tuple(d for d in self.extents if d is not None)

    @property
    def ndims(self) -> int | None:
        return None if self.extents is None else len(self.extents)

    rank = ndims

    @property
    def dims(self) -> list[Dimension] | None:
        return None if self.extents is None else [Dimension(d) for d in self.extents]

    def as_list(self) -> list[int | None]:
        """The extents, None for unknown ones. ValueError where the rank is unknown."""
        return [d if isinstance(d, int) else None for d in self._known()]

    def num_elements(self) -> int | None:
        if self.extents is None or any(not isinstance(d, int) for d in self.extents):
            return None
        size = product(self.extents)  # type: ignore[arg-type]
        return size if isinstance(size, int) else None

    def is_fully_defined(self) -> bool:
        return self.extents is not None and all(isinstance(d, int) for d in self.extents)

    def assert_is_compatible_with(self, other: Any) -> None:
        if not self.is_compatible_with(other):
            raise ShapeError(f"shapes {self} and {TensorShape(other)} are not compatible", location=user_location())

    def is_compatible_with(self, other: Any) -> bool:
        theirs = TensorShape(other).extents
        if self.extents is None or theirs is None:
            return True
        pairs = zip(self.extents, theirs, strict=False)
        return len(self.extents) == len(theirs) and all(p == q for p, q in pairs if isinstance(p, int) and isinstance(q, int))

    def concatenate(self, other: Any) -> TensorShape:
        """The extents of both, one after the other; unknown rank where either's is."""
        theirs = TensorShape(other).extents
        return TensorShape(None if self.extents is None or theirs is None else (*self.extents, *theirs))

    def merge_with(self, other: Any) -> TensorShape:
        """What both know together; ShapeError where they contradict."""
        self.assert_is_compatible_with(other)
        theirs = TensorShape(other).extents
        if self.extents is None or theirs is None:
            return TensorShape(theirs if self.extents is None else self.extents)
        return TensorShape([q if isinstance(q, int) else p for p, q in zip(self.extents, theirs, strict=True)])

    def with_rank(self, rank: int) -> TensorShape:
        """Itself, or unknown extents of that rank; ShapeError for another rank."""
        return self.merge_with([None] * rank)

    def _known(self) -> tuple[Dim | None, ...]:
        if self.extents is None:
            raise ShapeError("the rank is not known before a run", "TensorShape(None)", user_location())
        return self.extents

    def __len__(self) -> int:
        return len(self._known())

    def __iter__(self) -> Iterator[Dimension]:
        return iter([Dimension(d) for d in self._known()])

    def __getitem__(self, place: Any) -> Any:
        if self.extents is None:
            return TensorShape(None) if isinstance(place, slice) else Dimension(None)
        return TensorShape(self.extents[place]) if isinstance(place, slice) else Dimension(self.extents[place])

    def __bool__(self) -> bool:
        return self.extents is not None

    def __add__(self, other: Any) -> TensorShape:
        return self.concatenate(other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorShape | tuple | list) and other is not None:
            return NotImplemented
        theirs = TensorShape(other).extents
        if self.extents is None or theirs is None:
            return self.extents is theirs
        shown = [tuple(d if isinstance(d, int) else None for d in extents) for extents in (self.extents, theirs)]
        return shown[0] == shown[1]

    def __hash__(self) -> int:
        return hash(self.extents)

    def __str__(self) -> str:
        if self.extents is None:
            return "<unknown>"
        shown = ", ".join(str(Dimension(d)) for d in self.extents)
        return f"({shown},)" if len(self.extents) == 1 else f"({shown})"

    def __repr__(self) -> str:
        if self.extents is None:
            return "TensorShape(None)"
        return f"TensorShape([{', '.join(repr(Dimension(d)) for d in self.extents)}])"
