"""Nests that go through images one after the other, and which of them one loop can hold.

    r = relu(conv2d(x, w));  y = max_pool(r)    # one loop over images: what goes from one to the other is an image, or a few of its rows

What a nest does image by image, its op's record says (`flowc.ir.op.Images`).
"""

from __future__ import annotations

from collections.abc import Sequence

from flowc.ir.dims import product
from flowc.ir.node import Node
from flowc.ir.op import Images, Nest
from flowc.transforms.groups import Form, Group

IMAGE = 1 << 18  # bytes of an image that goes from one nest to another: it stays in the second cache, and on a thread's stack


def images_of(node: Node) -> Images | None:
    """What a node's nest does image by image."""
    lowering = node.op.lowering
    if not isinstance(lowering, Nest) or lowering.images is None:
        return None
    return lowering.images([n.tensor for n in node.inputs], node.tensor, dict(node.attrs))


def taken_by_image(node: Node) -> list[Node]:
    """The operands that a node's nest reads image by image."""
    found = images_of(node)
    return [node.inputs[i] for i in found.reads] if found is not None else []


def makes_images(node: Node) -> bool:
    found = images_of(node)
    return found is not None and found.makes


def refuses_reader(group: Group, node: Node, images: Node, outside: Sequence[Node] | None, escapes: bool) -> str | None:
    """Why a nest that reads `images` one by one cannot stand in the loop over images of a group; None where it can.

    outside: where the group makes the images, who reads them without being of the group; None where it only reads them, too. escapes: whether they are
    a result of the program.
    """
    if group.form is not Form.NEST or not all(map(makes_images, group.nests)):
        return _from_memory(node)
    if group.images not in (None, images) or any(n is not images and n in group.members for n in node.inputs):
        return "the kernel has other images in hand"
    if outside is None:
        return None if makes_images(node) and all(images in nest.inputs for nest in group.nests) else _from_memory(node)
    size = product(images.tensor.dims[1:])
    if not isinstance(size, int) or size * images.tensor.dtype.size > IMAGE:
        return "an image is not known to fit into a cache"
    if escapes or not all(images in taken_by_image(n) for n in outside) or (len(outside) > 1 and not all(map(makes_images, outside))):
        return "the images are wanted elsewhere, too"
    return None


def _from_memory(node: Node) -> str:
    return f"{node.op.name} reads its operands from memory"


__all__ = ["IMAGE", "images_of", "makes_images", "refuses_reader", "taken_by_image"]
