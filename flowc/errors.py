"""Errors that name the user's line: what is wrong, which op with its operand types, where the user wrote it.

    ShapeError: matmul: inner dimensions differ, 20 and 30
      OutputLayer/MatMul = matmul(HiddenLayer/Relu: f32[b, 20], OutputLayer/Variable: f32[30, 1])
      model.py:41 in build:  h2 = tf.matmul(h1, W2)
"""

from __future__ import annotations

import linecache
import os
import sys
import warnings
from types import FrameType
from typing import Any

from flowc.structs import Struct

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Location(Struct):
    """One line of the user's program: where a node was made."""

    file: str
    line: int
    function: str

    @property
    def text(self) -> str:
        """The source line itself, stripped; empty where the file is not to be had."""
        return linecache.getline(self.file, self.line).strip()

    @property
    def short(self) -> str:
        """`model.py:41`: the file's base name and the line."""
        return f"{os.path.basename(self.file)}:{self.line}"

    def __str__(self) -> str:
        where = "" if self.function in ("<module>", "") else f" in {self.function}"
        return f"{self.short}{where}:  {self.text}".rstrip()


def _inside_flowc(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith((_PACKAGE, "<frozen importlib"))


def user_location() -> Location | None:
    """The first frame outside flowc, counted from the caller outwards; None where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _inside_flowc(frame):
        frame = frame.f_back
    if frame is None:
        return None
    return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


class FlowcError(Exception):
    """The root of flowc's errors.

    Arguments: `what` is the first line, without the class name; `detail` the op with its operand types; `location` the user's
    line; `locations` further lines worth seeing (the operands' creation), each a pair of a label and a Location.
    """

    def __init__(
        self,
        what: str,
        detail: str | None = None,
        location: Location | None = None,
        locations: tuple[tuple[str, Location | None], ...] = (),
    ) -> None:
        self.what = what
        self.detail = detail
        self.location = location
        self.locations = locations
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.detail:
            lines.append(f"  {self.detail}")
        if self.location is not None:
            lines.append(f"  {self.location}")
        lines += [f"  {label}: {place}" for label, place in self.locations if place is not None]
        return "\n".join(lines)


class InvalidArgumentError(FlowcError, ValueError):
    """What TensorFlow calls an invalid argument: shapes, element types or feeds that do not fit."""


class ShapeError(InvalidArgumentError):
    """Shapes that do not fit together."""


class UndecidedError(ShapeError):
    """The result's rank depends on extents that are not known yet (`squeeze` of `[b, 1]`, where b may be 1).

    `shape` is the result's as a Graph goes on with it (None: of unknown rank), and each run's extents decide. `strict_shape` is the
    result's in a Function, where extents of 1 are known and a symbol is never 1; where it is None, this is an error like any other
    ShapeError.
    """

    shape: Any = None
    strict_shape: Any = None


class DTypeError(InvalidArgumentError, TypeError):
    """Element types that do not fit together."""


class GraphError(FlowcError, ValueError):
    """A graph that is used wrongly: unknown names, elements of another graph, cycles."""


class FeedError(InvalidArgumentError):
    """A feed that is missing or cannot be used."""


class FetchError(FlowcError, ValueError):
    """A fetch that cannot be computed."""


class UninitializedError(FlowcError, RuntimeError):
    """A variable that is read before it has a value."""


class TextError(FlowcError, SyntaxError):
    """IR text that does not parse."""

    __str__ = FlowcError.__str__


class VerifyError(FlowcError, AssertionError):
    """An IR that breaks its own rules: a fault in a pass, never in the user's program."""


class NotFoundError(FlowcError, LookupError):
    """A file, or a name in one, that is not there."""


class OutOfRangeError(FlowcError, StopIteration):
    """An input that has come to its end."""


class NameLookupError(FlowcError, AttributeError):
    """A public name that flowc does not have."""


# TensorFlow's names for the same errors
OpError = FlowcError
FailedPreconditionError = UninitializedError


class FlowcWarning(UserWarning):
    """Something that runs but is likely not meant."""


def warn(what: str, location: Location | None = None) -> None:
    """Emit a FlowcWarning attributed to `location`, by default to the user's current line."""
    place = location or user_location()
    text = what if place is None else f"{what}\n  {place}"
    if place is None:
        warnings.warn(text, FlowcWarning, stacklevel=2)
    else:
        warnings.warn_explicit(text, FlowcWarning, place.file, place.line)
