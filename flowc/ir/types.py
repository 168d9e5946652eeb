"""Types of values: `f32[b, 784]` is a `TensorType`; a dtype knows its IR name, its NumPy dtype and TensorFlow's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from flowc.ir.dims import Dim, Shape, product, substitute
from flowc.structs import Struct


class DType(Struct, eq=False):
    """An element type; there is one of each. `name` is the IR's (`f32`), `long_name` TensorFlow's and NumPy's (`float32`)."""

    name: str
    long_name: str
    size: int

    @property
    def numpy(self) -> np.dtype:
        return np.dtype(self.long_name)

    @property
    def is_float(self) -> bool:
        return self.name[0] == "f"

    @property
    def is_int(self) -> bool:
        return self.name[0] in "iu"

    @property
    def is_bool(self) -> bool:
        return self.name == "bool"

    # TensorFlow's spellings, for user code
    @property
    def is_floating(self) -> bool:
        return self.is_float

    @property
    def is_integer(self) -> bool:
        return self.is_int

    @property
    def as_numpy_dtype(self) -> type:
        return self.numpy.type

    @property
    def base_dtype(self) -> DType:
        return self

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"flowc.{self.long_name}"

    def __reduce__(self) -> tuple[object, ...]:
        return as_dtype, (self.name,)

    def __getitem__(self, shape: object) -> TensorType:
        """`f32["batch", 784]`: a type; strings name symbolic extents, `None` an extent of its own symbol is not allowed here."""
        from flowc.ir.dims import Sym

        dims = shape if isinstance(shape, tuple) else (shape,)
        out: list[Dim] = []
        for dim in dims:
            if isinstance(dim, str) and dim.isidentifier():
                out.append(Sym.named(dim))
            elif isinstance(dim, Sym) or (isinstance(dim, int) and not isinstance(dim, bool) and dim >= 0):
                out.append(dim)
            else:
                raise TypeError(f"{self.name}[...]: an extent is a whole number or the name of a symbol, not {dim!r}")
        return TensorType(self, tuple(out))


BOOL = DType("bool", "bool", 1)
I8, I16, I32, I64 = (DType(f"i{8 * n}", f"int{8 * n}", n) for n in (1, 2, 4, 8))
U8, U16, U32, U64 = (DType(f"u{8 * n}", f"uint{8 * n}", n) for n in (1, 2, 4, 8))
F16, F32, F64 = (DType(f"f{8 * n}", f"float{8 * n}", n) for n in (2, 4, 8))

DTYPES: dict[str, DType] = {d.name: d for d in (BOOL, I8, I16, I32, I64, U8, U16, U32, U64, F16, F32, F64)}
_BY_LONG_NAME = {d.long_name: d for d in DTYPES.values()}

FLOATS = (F16, F32, F64)
INTS = (I8, I16, I32, I64, U8, U16, U32, U64)
NUMBERS = FLOATS + INTS
ALL = (BOOL, *NUMBERS)


def as_dtype(value: object) -> DType:
    """The dtype of a DType, a NumPy dtype or type, a Python scalar type, or a name in either spelling; TypeError otherwise."""
    if isinstance(value, DType):
        return value
    if isinstance(value, str):
        found = DTYPES.get(value) or _BY_LONG_NAME.get(value)
        if found is not None:
            return found
    elif value is float:
        return F32
    elif value is int:
        return I32
    elif value is bool:
        return BOOL
    try:
        found = _BY_LONG_NAME.get(np.dtype(value).name)  # type: ignore[call-overload]
    except TypeError:
        found = None
    if found is None:
        raise TypeError(f"{value!r} is not a dtype that flowc has; there are {', '.join(_BY_LONG_NAME)}")
    return found


class TensorType(Struct):
    """dtype and shape; `shape` is None only in a Graph, where even the rank may be unknown."""

    dtype: DType
    shape: Shape | None

    @property
    def dims(self) -> Shape:
        """The shape of a value whose rank is known."""
        assert self.shape is not None, "the rank is not known yet"
        return self.shape

    @property
    def rank(self) -> int:
        return len(self.dims)

    @property
    def size(self) -> Dim:
        """The number of elements."""
        return product(self.dims)

    @property
    def is_scalar(self) -> bool:
        return self.shape == ()

    def with_shape(self, shape: Iterable[Dim] | None) -> TensorType:
        return TensorType(self.dtype, None if shape is None else tuple(shape))

    def substitute(self, values: Mapping[str, Dim]) -> TensorType:
        return self if self.shape is None else TensorType(self.dtype, tuple(substitute(d, values) for d in self.shape))

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.dtype}[...]"
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]" if self.shape else str(self.dtype)

    __repr__ = __str__


class TupleType(Struct):
    """The type of a node with several results (a call), or with none (a group of operations)."""

    items: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))}{',' if len(self.items) == 1 else ''})"

    __repr__ = __str__


Type = TensorType | TupleType
