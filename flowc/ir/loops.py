"""Loop IR: what a kernel does, as loops, loads, stores and typed scalar expressions. CPU and CUDA differ by loop kinds only.

    def k0(x: f32[10*b], out: f32[10*b], b: i64):
        for i in parallel(b):
            for j in vector(10):
                out[i*10 + j] = max(x[i*10 + j], 0.0)

Buffers are flat: an index is one i64 expression. Expressions build by Python arithmetic and fold what is constant.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from flowc.errors import Location
from flowc.ir.dims import Call, Dim, Sym
from flowc.ir.types import BOOL, I64, U32, DType
from flowc.structs import Struct

# expressions


class Expr:
    """A typed scalar. Arithmetic makes bigger expressions; Python numbers take the other operand's dtype."""

    __slots__ = ()
    dtype: DType

    def __add__(self, other: Operand) -> Expr:
        return binary("add", self, other)

    def __radd__(self, other: Operand) -> Expr:
        return binary("add", lift(other, self.dtype), self)

    def __sub__(self, other: Operand) -> Expr:
        return binary("sub", self, other)

    def __rsub__(self, other: Operand) -> Expr:
        return binary("sub", lift(other, self.dtype), self)

    def __mul__(self, other: Operand) -> Expr:
        return binary("mul", self, other)

    def __rmul__(self, other: Operand) -> Expr:
        return binary("mul", lift(other, self.dtype), self)

    def __truediv__(self, other: Operand) -> Expr:
        return binary("div", self, other)

    def __floordiv__(self, other: Operand) -> Expr:
        return binary("floordiv", self, other)

    def __mod__(self, other: Operand) -> Expr:
        return binary("mod", self, other)

    def __lt__(self, other: Operand) -> Expr:
        return binary("lt", self, other)

    def __le__(self, other: Operand) -> Expr:
        return binary("le", self, other)

    def __gt__(self, other: Operand) -> Expr:
        return binary("gt", self, other)

    def __ge__(self, other: Operand) -> Expr:
        return binary("ge", self, other)

    def __and__(self, other: Operand) -> Expr:
        return binary("and", self, other)

    def __or__(self, other: Operand) -> Expr:
        return binary("or", self, other)

    def eq(self, other: Operand) -> Expr:
        return binary("eq", self, other)

    def ne(self, other: Operand) -> Expr:
        return binary("ne", self, other)


Operand = Expr | int | float | bool


class Const(Expr, Struct, eq=False):
    value: bool | int | float
    dtype: DType


class Var(Expr, Struct, eq=False):
    """A loop's index, a `Let`'s name, an extent, or a register made by `Alloc`."""

    name: str
    dtype: DType


class Load(Expr, Struct, eq=False):
    """`buffer[index]`."""

    buffer: str
    index: Expr
    dtype: DType


class Apply(Expr, Struct, eq=False):
    """`function(args)`, one of FUNCTIONS."""

    function: str
    args: tuple[Expr, ...]
    dtype: DType


class Select(Expr, Struct, eq=False):
    """`yes if condition else no`; only the chosen side is loaded from, so a condition may guard an index."""

    condition: Expr
    yes: Expr
    no: Expr

    @property
    def dtype(self) -> DType:  # type: ignore[override]
        return self.yes.dtype


class Cast(Expr, Struct, eq=False):
    """`dtype(x)`, as NumPy's astype does."""

    dtype: DType
    x: Expr


_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_LOGIC = {"and": "and", "or": "or"}
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%"}
_BITS = {"bitand": "&", "bitor": "|", "bitxor": "^", "shl": "<<", "shr": ">>"}
INFIX = {**_ARITHMETIC, **_COMPARE, **_LOGIC, **_BITS}

# name -> number of operands; results have the first operand's dtype, but for comparisons, `not` and `is*`, which are bool.
# min and max give NaN where either operand is NaN, as NumPy does; larger gives either of the two there. divided is div by what many have in common.
FUNCTIONS: dict[str, int] = {
    **dict.fromkeys(INFIX, 2),
    **dict.fromkeys(("min", "max", "larger", "pow", "atan2", "divided"), 2),
    **dict.fromkeys(("neg", "not", "abs", "exp", "log", "expm1", "log1p", "tanh", "sigmoid", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan"), 1),
    **dict.fromkeys(("sinh", "cosh", "erf", "floor", "ceil", "round", "trunc", "isnan", "isinf", "invert"), 1),
    "philox": 4,  # philox(key, counter, index, lane): one of the four u32 words at a place of the stream; key, counter, index u64, lane i64
}
# functions that are many instructions, or a call
COSTLY = {name for name, operands in FUNCTIONS.items() if operands == 1} - {
    "neg", "not", "abs", "sqrt", "floor", "ceil", "round", "trunc", "isnan", "isinf", "invert"} | {"pow", "atan2", "mod"}  # fmt: skip
_BOOLEAN = {*_COMPARE, *_LOGIC, "not", "isnan", "isinf"}


def function_dtype(name: str, args: Sequence[Expr]) -> DType:
    """The dtype of an application."""
    return BOOL if name in _BOOLEAN else U32 if name == "philox" else args[0].dtype


def lift(x: Operand, dtype: DType) -> Expr:
    """A Python number as a constant of `dtype`; an expression as it is."""
    if isinstance(x, Expr):
        return x
    return Const(bool(x) if dtype.is_bool else float(x) if dtype.is_float else int(x), dtype)


def binary(name: str, left: Expr, right: Operand) -> Expr:
    """`left name right`, with index arithmetic folded: `i*1`, `i + 0`, `2*3`."""
    right = lift(right, left.dtype)
    if left.dtype is I64 and right.dtype is I64:
        folded = _fold_index(name, left, right)
        if folded is not None:
            return folded
    return Apply(name, (left, right), function_dtype(name, (left, right)))


def _fold_index(name: str, left: Expr, right: Expr) -> Expr | None:
    p = left.value if isinstance(left, Const) else None
    q = right.value if isinstance(right, Const) else None
    match name:
        case "add" | "sub" | "mul" | "floordiv" | "mod" if p is not None and q is not None and not (name in ("floordiv", "mod") and q == 0):
            return Const(getattr(operator, name)(p, q), I64)
        case "min" | "max" if p is not None and q is not None:
            return left if (p <= q) == (name == "min") else right
        case "add" if p == 0:
            return right
        case "add" | "sub" if q == 0:
            return left
        case "mul" if p == 0 or q == 0:
            return Const(0, I64)
        case "mul" if p == 1:
            return right
        case "mul" | "floordiv" if q == 1:
            return left
        case "mod" if q == 1:
            return Const(0, I64)
    return None


def apply(name: str, *args: Expr) -> Expr:
    """`name(args)`, checked against FUNCTIONS."""
    if FUNCTIONS[name] != len(args):
        raise TypeError(f"loop function {name} takes {FUNCTIONS[name]} operands, {len(args)} given")
    return binary(name, *args) if len(args) == 2 else Apply(name, args, function_dtype(name, args))


def select(condition: Expr, yes: Operand, no: Operand) -> Expr:
    if isinstance(condition, Const):
        return lift(yes if condition.value else no, _dtype_of(yes, no))
    dtype = _dtype_of(yes, no)
    return Select(condition, lift(yes, dtype), lift(no, dtype))


def _dtype_of(yes: Operand, no: Operand) -> DType:
    if isinstance(yes, Expr):
        return yes.dtype
    if isinstance(no, Expr):
        return no.dtype
    raise TypeError("neither side of a select has a dtype")


def cast(x: Expr, dtype: DType) -> Expr:
    if x.dtype is dtype:
        return x
    if isinstance(x, Const) and not (dtype.is_int and isinstance(x.value, float)):
        return lift(x.value, dtype)
    return Cast(dtype, x)


def extent(dim: Dim) -> Expr:
    """An extent as an i64 expression; a symbol is the kernel's run-time argument of that name."""
    if not isinstance(dim, Sym):
        return Const(int(dim), I64)
    total: Expr = Const(0, I64)
    for monomial, coefficient in dim.terms:
        term: Expr = Const(coefficient, I64)
        for atom in monomial:
            if isinstance(atom, Call):
                if atom.function == "broadcast":
                    raise ValueError(f"extent {dim} is not resolved")
                factor = apply(atom.function, *(extent(a) for a in atom.args))
            else:
                factor = Var(atom, I64)
            term = term * factor
        total = total + term
    return total


def index(value: int) -> Expr:
    """An i64 constant."""
    return Const(value, I64)


# statements


class Statement(Struct, eq=False):
    pass


class ByImage(Struct):
    """That a loop goes through images one after the other: so many iterations for each. by_rows: each makes, and reads, its share of
    the rows, in order, and no others."""

    each: int
    by_rows: bool


class For(Statement):
    """`for var in kind(start, stop)`.

    kind: serial; parallel (iterations are shared among threads; only at the top of a kernel); vector (independent iterations over
    consecutive elements); unroll; block, thread (CUDA). again: of the iterations so many do once more what others do: they are no work that counts.
    order: what joins the loops of several nests goes by; no part of the text.
    """

    var: str
    start: Expr
    stop: Expr
    kind: str
    body: tuple[Statement, ...]
    again: int = 0
    order: ByImage | None = None


class Let(Statement):
    """`name = value`, once."""

    name: str
    value: Expr


class Alloc(Statement):
    """A register (`size` None) with a start value, or a small array of `size` elements local to the thread, or `shared` by a CUDA block."""

    name: str
    dtype: DType
    init: Expr | None = None
    size: int | None = None
    shared: bool = False


class Store(Statement):
    """`buffer[index] = value`, or with `combine` (add, mul, min, max, larger) `buffer[index] = combine(buffer[index], value)`.

    `index` None stores to a register.
    """

    buffer: str
    index: Expr | None
    value: Expr
    combine: str | None = None


class If(Statement):
    condition: Expr
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...] = ()


class Barrier(Statement):
    """All threads of the run (CPU) or of the block (CUDA) meet."""


class Comment(Statement):
    text: str
    loc: Location | None = None


class Tile(Statement):
    """A register tile of a contraction, the one statement that printers spell as a library primitive.

    out[out_at + i*out_row + j] (+)= sum over r < outer, k < inner of a[a_at + i*a_row + r*a_outer + k*a_inner] * b[b_at + r*b_outer + k*b_inner + p(j)]
    for i < rows, j < columns. With u = 64 bytes of elements, p(j) = j // u * b_unit + j % u * b_column: `b` may lie in panels of u columns (b_column
    is 1), or have its columns far apart (b_unit is u * b_column). `accumulate` adds to what `out` holds.
    """

    out: str
    a: str
    b: str
    out_at: Expr
    a_at: Expr
    b_at: Expr
    rows: Expr
    columns: Expr
    outer: Expr
    inner: Expr
    out_row: Expr
    a_row: Expr
    a_outer: Expr
    a_inner: Expr
    b_unit: Expr
    b_column: Expr
    b_outer: Expr
    b_inner: Expr
    accumulate: Expr
    dtype: DType
    block: tuple[int, int]  # the most rows and columns
    count: Expr = Const(1, I64)  # so many products, each this much further in `out`, `a` and `b`
    out_step: Expr = Const(0, I64)
    a_step: Expr = Const(0, I64)
    b_step: Expr = Const(0, I64)
    ahead: tuple[str, ...] = ()  # at most MOST_AHEAD buffers that are read next, at places as far apart as those of the sums: fetched meanwhile
    ahead_at: Expr = Const(0, I64)
    ahead_row: Expr = Const(0, I64)

    @property
    def is_single(self) -> bool:
        return isinstance(self.count, Const) and self.count.value == 1


class Transform(Statement):
    """The Fourier transform of 16 numbers in each lane: like `Tile` a library primitive.

    out[out_at + k*out_step + p*out_part + lane] = part p of the sum over j < 16 of x[j] exp(-2 pi i j k / 16)
    x[j] = a[a_at + (j - first)*a_step + lane] + i a[a_at + (j - first)*a_step + a_part + lane] for first <= j < first + count, and elsewhere 0

    for lane < lanes, a multiple of 16 and at most 64. Parts are the real (0) and the imaginary (1) one; with both buffers' exchanged this is 16 times
    the inverse. That is kind `complex`. Numbers of kind `real` have no imaginary part, and k ends with 8. Kind `to_real` is 16 times the inverse
    of that, its results are real.
    """

    kind: str
    out: str
    a: str
    out_at: Expr
    out_step: Expr
    out_part: Expr
    a_at: Expr
    a_step: Expr
    a_part: Expr
    first: Expr
    count: Expr
    lanes: Expr
    dtype: DType


class Buffer(Struct, eq=False):
    """A kernel's array argument: `size` elements of `dtype`, flat. role: in, out or inout."""

    name: str
    dtype: DType
    size: Dim
    role: str = "in"


class Kernel(Struct, eq=False):
    """One kernel: buffers, then the extents (i64) that its code uses, then the body; how: the method of its loops, in words, for `flowc explain`."""

    name: str
    buffers: tuple[Buffer, ...]
    extents: tuple[str, ...]
    body: tuple[Statement, ...]
    notes: tuple[str, ...] = ()
    how: str = ""

    def __str__(self) -> str:
        from flowc.ir.loops_text import print_kernel

        return print_kernel(self)


class NestPlan(Struct, eq=False):
    """A loop nest with scratch memory: `workspaces` are (name, dtype, size) of buffers whose content lives within the kernel's run; how: the
    method, where there were several to choose from."""

    statements: tuple[Statement, ...]
    workspaces: tuple[tuple[str, DType, Dim], ...] = ()
    how: str = ""
