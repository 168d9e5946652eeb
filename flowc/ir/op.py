"""The record of an op: everything that flowc knows of it, in one place.

`flowc/ops/` makes one `Op` per op through its constructors (`elementwise`, `reduction`, `movement`, `contraction`, `opaque`);
every level asks the record: `infer` types a node, `eval` is its meaning, `vjp` its gradient, `lowering` its loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from flowc.errors import UndecidedError
from flowc.ir.dims import Dim, Shape
from flowc.ir.types import DType, TensorType, TupleType, Type
from flowc.structs import Struct, field


class Kind(Enum):
    """How an op takes part in fusion."""

    MAP = "map"  # the value at an index depends on the operands at that index (after broadcasting)
    REDUCE = "reduce"  # combines elements along axes
    INDEX = "index"  # moves elements: the value at an index is an operand's value at another index
    CONTRACT = "contract"  # sums products over an index: matmul, convolution
    OPAQUE = "opaque"  # a loop nest of its own, or no kernel at all
    COMPOSITE = "composite"  # written in terms of other ops; `expand` rewrites it before fusion


class Effect(Enum):
    """What an op of the Graph level does besides computing its value; none of these reach a Function."""

    NONE = "none"
    FEED = "feed"  # a placeholder: its value comes from the run
    VARIABLE = "variable"  # a place that keeps a value between runs
    READ = "read"
    WRITE = "write"
    GROUP = "group"  # nothing but control edges


class Scalar(Struct):
    """Lowering of a MAP op: one expression in loop IR text over the operands' names (`"max(x, 0.0)"`).

    A literal takes the dtype of the expression it stands in. Functions are those of `flowc.ir.loops.FUNCTIONS`.
    Attributes that are numbers are names like operands (`"x * alpha"`); a dtype stands in braces (`"{dtype}(x)"`), and `over(attrs)`
    is the text with it filled in.
    """

    text: str

    def over(self, attrs: Mapping[str, Any]) -> str:
        return self.text.format(**attrs) if "{" in self.text else self.text


class Fold(Struct):
    """Lowering of a REDUCE op: start value, and how an element joins: both loop IR text over `acc` and `x`.

    `init` is a number, or "lowest" / "highest" for the dtype's limits (infinities for floats).
    """

    init: float | int | bool | str
    combine: str


class ArgFold(Struct):
    """Lowering of argmax and argmin: the place of the first element is the start; a later element `x` takes over from the best so
    far, `best`, where `better` (loop IR text) holds. `extreme` reduces to the element itself."""

    better: str
    extreme: Fold


class Element(Struct):
    """Lowering by the value at one output index.

    `value(at, index, types, result, attrs)` returns a loop IR expression: `at(i, idx)` loads operand i at a tuple of index
    expressions; `index` is the output index; `types` and `result` are TensorTypes; attrs a dict with extents resolved.
    Extents may be symbols: mix them into index arithmetic with `flowc.ir.loops.extent(dim)`.
    `pure_view`: result and operand share the same order of elements (reshape), so a buffer can serve as both. `free`: reading through
    it costs no more than reading the operand (broadcast_to), so each kernel gets its own copy. `guarded`: it reads its operands
    inside a `select` only (pad, concat), so what it reads must be cheap to write twice. `repeats`: an operand's element can be
    read for several results (tile, gather).
    """

    value: Callable[..., Any]
    pure_view: bool = False
    free: bool = False
    guarded: bool = False
    repeats: bool = False


class Images(Struct):
    """What a nest does image by image, all that is prepared apart: make its result, and read these operands. So another nest can make what it reads,
    or read what it makes, in the same loop."""

    makes: bool
    reads: tuple[int, ...] = ()


class Nest(Struct):
    """Lowering by a loop nest of its own.

    `build(inputs, out, types, result, attrs)` returns the statements that fill the result's buffer: `inputs` are the operands' flat
    buffer names, `out` the result's; `types` and `result` are TensorTypes; attrs a dict. Independent iterations stand in one
    `parallel` For at the top; a `vector` For that stores into the result stays in one line of its last axis. A `loops.NestPlan` instead of
    the statements asks for scratch buffers too. `build_for_threads`: the same for a GPU, where an iteration is a thread, and much less than
    what keeps a core busy; None where `build` will do. `images(types, result, attrs)`: how its loops go by images, where they do.
    """

    build: Callable[..., Any]
    build_for_threads: Callable[..., Any] | None = None
    images: Callable[..., Images | None] | None = None


Lowering = Scalar | Fold | ArgFold | Element | Nest


class Op(Struct, eq=False):
    """One op.

    operands: their names, in order (a name starting with `*` takes any number); attrs: names with default values
    (`REQUIRED` where there is none); dtype, shape: the result's, from the operands' TensorTypes and the attrs; `infer` replaces
    both for ops whose type is a tuple; rank_free: `shape` can answer although an operand's rank is unknown;
    eval: NumPy arrays and attrs to a NumPy array; vjp(e, *operands, y, ct, **attrs): one cotangent per operand (None: no gradient),
    a single one where there is one operand; expand(e, *operands, **attrs): the composite's definition; title: the name that
    TensorFlow gives such nodes (`MatMul`). rows(has, *operands' types, **attrs): whether each row of the result, along its first axis, depends
    on that row alone of the operands that have rows (`has` says of each operand whether it does) and on all of the others; None: it never does.
    work(result, *operands' types, **attrs): multiply-adds that `eval` makes, and elements that it copies for them; None: no more than one of each
    element.
    """

    name: str
    kind: Kind
    operands: tuple[str, ...]
    doc: str
    eval: Callable[..., Any]
    dtype: Callable[..., DType] | None = None
    shape: Callable[..., Shape | None] | None = None
    infer: Callable[..., Type] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    vjp: Callable[..., Any] | None = None
    lowering: Lowering | None = None
    expand: Callable[..., Any] | None = None
    title: str = ""
    effect: Effect = Effect.NONE
    rank_free: bool = False
    random: bool = False
    rows: Callable[..., bool] | None = None
    work: Callable[..., tuple[Dim, Dim]] | None = None
    like: tuple[int, ...] = ()  # operands of which only the shape matters, not the elements (a starred operand's place stands for all of its operands)

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", "".join(part.capitalize() for part in self.name.split("_")))

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def complete(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """attrs with defaults filled in, in the record's order; TypeError for an unknown or a missing one."""
        full = {name: attrs.get(name, default) for name, default in self.attrs.items()}
        if not attrs.keys() <= full.keys():
            raise TypeError(f"{self.name}: no attribute {', '.join(sorted(attrs.keys() - full.keys()))}")
        for value in full.values():
            if value is REQUIRED:
                raise TypeError(f"{self.name}: attribute {', '.join(name for name, value in full.items() if value is REQUIRED)} is missing")
        return full

    def result_type(self, types: tuple[Type, ...], attrs: Mapping[str, Any], lenient: bool = False) -> Type:
        """The type of a node of this op. ShapeError or DTypeError where the operands do not fit.

        `lenient` takes what depends on extents that are not known yet (UndecidedError) as fitting: right in a Graph only.
        """
        if self.infer is not None:
            return self.infer(*types, **attrs)
        assert self.dtype is not None and self.shape is not None
        dtype = self.dtype(*types, **attrs)
        if not self.rank_free and any(isinstance(t, TensorType) and t.shape is None for t in types):
            return TensorType(dtype, None)
        try:
            shape = self.shape(*types, **attrs)
        except UndecidedError as error:
            if not lenient and error.strict_shape is None:
                raise
            shape = error.shape if lenient else error.strict_shape
        return TensorType(dtype, None if shape is None else tuple(shape))

    @property
    def variadic(self) -> bool:
        return bool(self.operands) and self.operands[-1].startswith("*")


REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()

OPS: dict[str, Op] = {}
"""Every op by name; filled by the modules of `flowc.ops` as they define them."""


def define(op: Op) -> Op:
    """Enter an op into the table; a name can be taken once."""
    if op.name in OPS:
        raise ValueError(f"op {op.name} is defined twice")
    OPS[op.name] = op
    return op


EMPTY = TupleType(())
