"""Ops of the Graph level: placeholders, variables and what is done to them. None of them reaches a Function: `extract` turns
them into params, results and updates.

    W = variable(dtype=f32, shape=(2, 20));  r = read(W);  assign(W, value)
"""

from __future__ import annotations

from typing import Any

from flowc.errors import DTypeError, ShapeError
from flowc.ir import dims
from flowc.ir.dims import Shape
from flowc.ir.op import EMPTY, REQUIRED, Effect, Kind, Op, define
from flowc.ir.types import U64, TensorType, Type
from flowc.ops.constructors import first_dtype
from flowc.ops.inference import no_gradient, shape_text


def _never(*operands: Any, **attrs: Any) -> Any:
    raise AssertionError("an op of the Graph level is extracted, never run")


def _stated(dtype: Any, shape: Shape | None) -> Type:
    return TensorType(dtype, shape)


placeholder = define(
    Op(
        "placeholder", Kind.OPAQUE, (), "A value that each run is fed.", _never,
        infer=_stated, attrs={"dtype": REQUIRED, "shape": None}, effect=Effect.FEED,
    )
)  # fmt: skip

run_counter = define(
    Op("run_counter", Kind.OPAQUE, (), "How many runs the session has made: the counter of random draws.", _never,
       infer=lambda: TensorType(U64, ()), effect=Effect.FEED)
)  # fmt: skip

variable = define(
    Op(
        "variable", Kind.OPAQUE, (), "A place that keeps a value between runs.", _never,
        infer=_stated, attrs={"dtype": REQUIRED, "shape": REQUIRED}, title="Variable", effect=Effect.VARIABLE,
    )
)  # fmt: skip

read = define(
    Op(
        "read", Kind.OPAQUE, ("variable",), "The value of a variable at this place of the run.", _never,
        dtype=first_dtype, shape=lambda v: v.shape, rank_free=True, vjp=lambda e, x, y, ct: ct, title="read", effect=Effect.READ,
    )
)  # fmt: skip


def _assign(name: str, doc: str, title: str) -> Op:
    def infer(variable: Type, value: Type) -> Type:
        assert isinstance(variable, TensorType) and isinstance(value, TensorType)
        if variable.dtype is not value.dtype:
            raise DTypeError(f"{name}: the variable is {variable.dtype} and the value {value.dtype}")
        if variable.shape is not None and value.shape is not None:
            pairs = zip(variable.shape, value.shape, strict=False)
            if len(variable.shape) != len(value.shape) or any(dims.unify(p, q) is None for p, q in pairs):
                raise ShapeError(f"{name}: the variable has shape {shape_text(variable.shape)} and the value {shape_text(value.shape)}")
        return variable

    return define(Op(name, Kind.OPAQUE, ("variable", "value"), doc, _never, infer=infer, vjp=no_gradient, title=title, effect=Effect.WRITE))


assign = _assign("assign", "Set a variable; the result is the new value.", "Assign")
assign_add = _assign("assign_add", "Add to a variable; the result is the new value.", "AssignAdd")
assign_sub = _assign("assign_sub", "Subtract from a variable; the result is the new value.", "AssignSub")

group = define(
    Op("group", Kind.OPAQUE, (), "Nothing but control edges: it is done when what stands before it is done.", _never,
       infer=lambda: EMPTY, title="group_deps", effect=Effect.GROUP)
)  # fmt: skip
