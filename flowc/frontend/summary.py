"""`tf.summary`: nodes that, when they are fetched, give what TensorBoard shows, as serialized bytes.

    tf.summary.scalar("loss", loss)
    merged = tf.summary.merge_all()
    _, text = sess.run([train, merged], feeds)      # text: bytes of a Summary;   writer.add_summary(text, step)

A fetched summary makes the run compute the values that it tells of, like any other fetch; the session's packing of results encodes them.
A run that does not fetch it is the same as without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flowc.errors import DTypeError, GraphError, InvalidArgumentError, ShapeError, user_location
from flowc.frontend import events
from flowc.frontend.convert import convert, emit, graph_of
from flowc.frontend.scope import Graph, GraphKeys, get_default_graph
from flowc.frontend.strings import is_text, strings, text_constant
from flowc.frontend.tensor import Tensor
from flowc.ir.node import Node
from flowc.ops.summary import STRING

# functions of tf.summary


def scalar(name: str, tensor: Any, collections: Any = None, family: str | None = None) -> Tensor:
    """A summary of one number. ShapeError where `tensor` has axes.

    >>> import flowc as tf
    >>> with tf.Graph().as_default(), tf.Session() as sess:
    ...     text = sess.run(tf.summary.scalar("loss", 0.25))
    >>> print(tf.Summary.FromString(text))
    value {
      tag: "loss"
      simple_value: 0.25
    }
    """
    with _scope(name, family, tensor) as (graph, scope, tag):
        value = convert(tensor, None, "values", graph)
        return _collected(emit("scalar_summary", (value,), scope, graph, tag=tag), collections)


def image(name: str, tensor: Any, max_outputs: int = 3, collections: Any = None, family: str | None = None) -> Tensor:
    """A summary of the first `max_outputs` images of [count, height, width, channels], with 1 (grey), 3 (RGB) or 4 (RGBA) channels.

    u8 as they are; floats are scaled image by image as in TensorFlow: without negative values the largest becomes 255; else the largest
    magnitude becomes 127 away from 128. Pixels that are not finite are red (white in grey images). Tags: `name/image` where `max_outputs`
    is 1, else `name/image/0` and so on. ShapeError and DTypeError where it is no such tensor.
    """
    if isinstance(max_outputs, bool) or not isinstance(max_outputs, int | np.integer) or max_outputs < 1:
        raise InvalidArgumentError(f"summary.image: max_outputs is a whole number of at least 1, not {max_outputs!r}", location=user_location())
    with _scope(name, family, tensor) as (graph, scope, tag):
        value = convert(tensor, None, "tensor", graph)
        return _collected(emit("image_summary", (value,), scope, graph, tag=tag, max_outputs=int(max_outputs)), collections)


def histogram(name: str, values: Any, collections: Any = None, family: str | None = None) -> Tensor:
    """A summary of how the elements of `values` are spread. NaN or infinity among them is an InvalidArgumentError after the run."""
    with _scope(name, family, values) as (graph, scope, tag):
        value = convert(values, None, "values", graph)
        return _collected(emit("histogram_summary", (value,), scope, graph, tag=tag), collections)


def text(name: str, tensor: Any, collections: Any = None) -> Tensor:
    """A summary of constant text: strings, lists and arrays of them, or a constant of strings; TensorBoard shows it as Markdown and tables.

    DTypeError where it is none: flowc computes with numbers only, so text cannot come from anything but constants.
    """
    if strings(tensor) is None:
        raise DTypeError("summary.text: strings are expected, or a constant of strings", f"{tensor!r}", user_location())
    with _scope(name, None, tensor) as (graph, scope, tag):
        value = tensor if isinstance(tensor, Tensor) else text_constant(tensor, None, graph)
        return _collected(emit("text_summary", (value,), scope, graph, tag=tag), collections)


def merge(inputs: Any, collections: Any = None, name: str | None = None) -> Tensor:
    """One summary of several. GraphError where they are none, or where two of them have the same tag."""
    items = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    for item in items:
        if not isinstance(item, Tensor) or item.dtype is not STRING:
            raise GraphError(f"summary.merge: summaries are expected, not {item!r}", location=user_location())
    if not items:
        raise GraphError("summary.merge: one or more summaries are expected", location=user_location())
    seen: set[str] = set()
    for node in parts([item.node for item in items]):
        if node.attrs["tag"] in seen:
            raise GraphError(f"summary.merge: the tag {node.attrs['tag']} comes twice", repr(node), user_location(), ((f"{node.name} made at", node.loc),))
        seen.add(node.attrs["tag"])
    graph: Graph = items[0].graph
    with graph.name_scope(name or "Merge"):
        return _collected(emit("merge_summary", items, name, graph), collections or ())


def merge_all(key: str = GraphKeys.SUMMARIES, scope: str | None = None, name: str | None = None) -> Tensor | None:
    """All summaries of the default graph's collection `key` (below `scope`, a regular expression, if given) as one; None if there are none."""
    found = get_default_graph().get_collection(key, scope)
    return merge(found, name=name) if found else None


@contextmanager
def _scope(name: str, family: str | None, value: Any) -> Iterator[tuple[Graph, str, str]]:
    """The graph, the summary's name with a slash, and its tag: as TensorFlow forms them, with `family` in front so that they are shown together."""
    if not isinstance(name, str):
        raise GraphError(f"a summary's name is a string, not {name!r}", location=user_location())
    plain, group = _plain(name), _plain(family) if family else None
    graph = graph_of(value)
    with graph.name_scope(f"{group}/{plain}" if group else plain) as scope:
        yield graph, scope, f"{group}/{scope[:-1]}" if group else scope[:-1]


def _plain(name: str) -> str:
    """`name` as node names can be: other characters become underscores, slashes in front go (summary_op_util.clean_tag)."""
    return re.sub(r"[^-/\w.]", "_", name, flags=re.ASCII).lstrip("/")


def _collected(summary: Tensor, collections: Any) -> Tensor:
    summary.graph.add_to_collections([GraphKeys.SUMMARIES] if collections is None else collections, summary)
    return summary


# from results to bytes


def is_summary(node: Node) -> bool:
    return node.op.name in _ENCODE or node.op.name == "merge_summary"


def parts(nodes: Sequence[Node]) -> list[Node]:
    """Summaries that are no merged ones: those of `nodes`, and of what is merged in them, in order."""
    found: list[Node] = []
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        if node.op.name == "merge_summary":
            stack.extend(reversed(node.inputs))
        else:
            found.append(node)
    return found


def values_of(summary: Node) -> list[Node]:
    """The values that a summary tells of, in the order in which `encoder` takes them; text is known already."""
    return [value for part in parts([summary]) for value in part.inputs if not is_text(value)]


def encoder(summary: Node) -> Callable[[Sequence[np.ndarray]], bytes]:
    """The function from the values of `values_of` to a serialized Summary."""
    steps = []
    place = 0
    for part in parts([summary]):
        steps.append((_ENCODE[part.op.name], part, place))
        place += len(values_of(part))

    def encode(values: Sequence[np.ndarray]) -> bytes:
        return b"".join([one(part, None if one is _text else values[first]) for one, part, first in steps])

    return encode


def _scalar(node: Node, value: Any) -> bytes:
    if value.ndim:
        raise _unfit(ShapeError, node, f"one number is expected, not an array of shape {list(value.shape)}")
    return events.scalar_value(node.attrs["tag"], value)


def _image(node: Node, value: Any) -> bytes:
    if value.ndim != 4 or value.shape[3] not in (1, 3, 4):
        raise _unfit(ShapeError, node, f"images have shape [count, height, width, 1, 3 or 4], not {list(value.shape)}")
    tag, most = node.attrs["tag"], node.attrs["max_outputs"]
    tags = [f"{tag}/image"] if most == 1 else [f"{tag}/image/{i}" for i in range(most)]
    return b"".join([events.image_value(one, pixels(picture)) for one, picture in zip(tags, value, strict=False)])


def pixels(picture: np.ndarray) -> np.ndarray:
    """u8[height, width, channels] of floats (see `image`); u8 as it is. TensorFlow's summary_image_op.cc, NormalizeFloatImage."""
    if picture.dtype == np.uint8:
        return picture
    picture = picture.astype(np.float32) if picture.dtype == np.float16 else picture
    finite = np.isfinite(picture).all(axis=-1)
    known = picture[finite]
    lowest, highest = (known.min(), known.max()) if known.size else (0, 0)
    one = picture.dtype.type
    room, offset = (127, 128) if lowest < 0 else (255, 0)
    largest = max(-lowest, highest) if lowest < 0 else highest
    scale = one(room) / largest if largest >= 1e-6 else one(0)
    result = np.empty(picture.shape, np.uint8)
    result[...] = np.array([255, 0, 0, 255], np.uint8)[: picture.shape[-1]]
    result[finite] = np.minimum(known * scale + one(offset), one(255)).astype(np.uint8)
    return result


def _histogram(node: Node, value: Any) -> bytes:
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        what = "NaN" if np.isnan(value).any() else "infinity"
        raise _unfit(InvalidArgumentError, node, f"{what} is among the values")
    return events.histogram_value(node.attrs["tag"], value)


def _text(node: Node, value: Any) -> bytes:
    (constant,) = node.inputs
    return events.text_value(node.attrs["tag"], constant.attrs["text"], constant.attrs["shape"])


_ENCODE: dict[str, Callable[[Node, Any], bytes]] = {
    "scalar_summary": _scalar, "image_summary": _image, "histogram_summary": _histogram, "text_summary": _text,
}  # fmt: skip


def _unfit(kind: type[InvalidArgumentError], node: Node, why: str) -> InvalidArgumentError:
    return kind(f"summary {node.name}: {why}", repr(node), node.loc)
