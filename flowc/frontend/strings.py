"""Text as tensors: constants of strings, which `tf.summary.text` tells of and a run gives back. flowc computes with numbers only.

    note = tf.constant(["first", "second"])
    tf.summary.text("note", note);   sess.run(note)         # array([b"first", b"second"], dtype=object)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.errors import DTypeError, ShapeError, user_location
from flowc.frontend.convert import emit
from flowc.frontend.scope import Graph
from flowc.frontend.tensor import Tensor
from flowc.ir.node import Node


def is_text(node: Node) -> bool:
    """Whether a node is a constant of strings."""
    return node.op.name == "text_constant"


def strings(value: Any) -> np.ndarray | None:
    """Strings, bytes, nests and arrays of them, and text tensors as an array of str; None for what is none of these."""
    if isinstance(value, Tensor):
        return _array(value.node.attrs["text"], value.node.attrs["shape"]) if is_text(value.node) else None
    if isinstance(value, list | tuple):
        parts = [strings(part) for part in value]
        if not parts or any(part is None for part in parts):
            return None
        if len({part.shape for part in parts if part is not None}) > 1:
            raise ShapeError("strings in lists of different lengths are no tensor", f"{value!r}", user_location())
        return np.stack([part for part in parts if part is not None])
    items = np.asarray(value, object).reshape(-1).tolist() if isinstance(value, np.ndarray) else [value]
    if not items or not all(isinstance(item, str | bytes) for item in items):
        return None
    return _array([item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item) for item in items], np.shape(value))


def _array(items: Any, shape: Any) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array.reshape(shape)


def text_constant(value: Any, name: str | None = None, graph: Graph | None = None) -> Tensor:
    """A constant of strings. DTypeError where `value` is made of something else."""
    array = strings(value)
    if array is None:
        raise DTypeError("strings are expected", f"{value!r}", user_location())
    return emit("text_constant", (), name or "Const", graph, text=tuple(array.reshape(-1).tolist()), shape=array.shape)


def value_of(node: Node) -> Any:
    """What a run gives for a text constant: bytes, or an array of them, as TensorFlow does."""
    items = [text.encode("utf-8", "surrogateescape") for text in node.attrs["text"]]
    return _array(items, node.attrs["shape"]) if node.attrs["shape"] else items[0]


__all__ = ["is_text", "strings", "text_constant", "value_of"]
