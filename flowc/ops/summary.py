"""Ops that tell of values: summaries for TensorBoard. None of them reaches a Function: a run computes their operands, and the session
puts the results together to bytes (`flowc.frontend.summary`).

    s = scalar_summary(loss, tag="loss")        # fetched: a serialized Summary;   not fetched: nothing at all
"""

from __future__ import annotations

from typing import Any

from flowc.errors import DTypeError, ShapeError
from flowc.ir.op import REQUIRED, Effect, Kind, Op, define
from flowc.ir.types import F16, F32, F64, U8, DType, TensorType, Type
from flowc.ops.inference import shape_text

STRING = DType("string", "string", 1)
"""Of constant text, and of what a summary gives: serialized bytes. No other op takes them."""
_GIVEN = TensorType(STRING, ())


def _never(*operands: Any, **attrs: Any) -> Any:
    raise AssertionError("what a summary tells of is extracted; it is never run itself")


def _numbers(op: str, x: Type) -> TensorType:
    assert isinstance(x, TensorType)
    if not (x.dtype.is_float or x.dtype.is_int):
        raise DTypeError(f"{op}: {x.dtype} is no type of numbers")
    return x


def _scalar(x: Type, tag: str) -> Type:
    shape = _numbers("scalar_summary", x).shape
    if shape is not None and shape != ():
        raise ShapeError(f"scalar_summary: one number is expected, not a tensor of shape {shape_text(shape)}")
    return _GIVEN


def _image(x: Type, tag: str, max_outputs: int) -> Type:
    kind = _numbers("image_summary", x)
    if kind.dtype not in (U8, F16, F32, F64):
        raise DTypeError(f"image_summary: an image is u8 (0 to 255) or of floats, not {kind.dtype}")
    shape = kind.shape
    if shape is not None and (len(shape) != 4 or (isinstance(shape[3], int) and shape[3] not in (1, 3, 4))):
        raise ShapeError(f"image_summary: images have shape [count, height, width, 1, 3 or 4], not {shape_text(shape)}")
    return _GIVEN


def _histogram(x: Type, tag: str) -> Type:
    _numbers("histogram_summary", x)
    return _GIVEN


def _constant(text: tuple[str, ...], shape: tuple[int, ...]) -> Type:
    return TensorType(STRING, shape)


def _text(x: Type, tag: str) -> Type:
    if not isinstance(x, TensorType) or x.dtype is not STRING:
        raise DTypeError(f"text_summary: constant text is expected, not {x}")
    return _GIVEN


def _merge(*summaries: Type) -> Type:
    if not summaries or any(s != _GIVEN for s in summaries):
        raise DTypeError("merge_summary: one or more summaries are expected")
    return _GIVEN


def _summary(name: str, operands: tuple[str, ...], doc: str, infer: Any, attrs: dict[str, Any], title: str = "") -> Op:
    # As of a group, nothing but edges comes to `extract`.
    return define(Op(name, Kind.OPAQUE, operands, doc, _never, infer=infer, attrs=attrs, title=title, effect=Effect.GROUP))


scalar_summary = _summary("scalar_summary", ("x",), "One number under a tag.", _scalar, {"tag": REQUIRED})
image_summary = _summary("image_summary", ("x",), "The first `max_outputs` images.", _image, {"tag": REQUIRED, "max_outputs": 3})
histogram_summary = _summary("histogram_summary", ("x",), "How often values fall into each of the buckets.", _histogram, {"tag": REQUIRED})
text_constant = _summary("text_constant", (), "Strings, of any shape.", _constant, {"text": REQUIRED, "shape": ()}, "Const")
text_summary = _summary("text_summary", ("x",), "Constant text, of any shape.", _text, {"tag": REQUIRED}, "TensorSummaryV2")
merge_summary = _summary("merge_summary", ("*summaries",), "Several summaries as one.", _merge, {})
