"""Images in tiles: what convolutions share that transform a tile before they multiply.

    tiles = Tiles((4, 4), batch, places=(14, 14))       # 16 tiles of an image, each of 4 x 4 results
    for t in ...: tile_image, tile_y, tile_x            # `places_of`: which image, and where its results begin

Tiles of pixels overlap by a window less one, and reach beyond the image by its padding.
"""

from __future__ import annotations

from flowc.ir.dims import Dim, Shape, ceildiv, floordiv, maximum, minimum
from flowc.ir.loops import Expr, Let, Statement, index
from flowc.ir.types import F32
from flowc.ops.tiles import ZERO, unit, var
from flowc.ops.windows import known
from flowc.structs import Struct


class Images(Struct):
    """Images in a buffer: their extents, how many channels they have, and how many rows and columns of zeros are thought before each."""

    buffer: str
    extents: tuple[int, int]
    channels: int
    before: tuple[int, int]

    @classmethod
    def of(cls, buffer: str, shape: Shape, before: tuple[Dim, Dim]) -> Images:
        """Of a shape [batch, height, width, channels] that is known but for the batch."""
        height, width, channels, above, left = (known(n) for n in (*shape[1:], *before))
        return cls(buffer, (height, width), channels, (above, left))


class Channels(Struct):
    """`count` channels of images, from `first` on, `most` at the most."""

    images: Images
    first: Expr
    count: Expr
    most: int

    @classmethod
    def all_of(cls, images: Images) -> Channels:
        return cls(images, ZERO, index(images.channels), images.channels)


def divided(count: Dim, most: int, fewest: int, least: int = 1) -> tuple[Dim, Dim]:
    """(tiles in a group, groups): groups of at most `most`, and for a small batch smaller ones, `fewest` groups where each has at least `least`."""
    size = minimum(most, maximum(ceildiv(count, fewest), least))
    return size, floordiv(count + size - 1, size)


def pitch(size: int) -> int:
    """From one matrix of `size` elements to the next: a line of the cache more, or all would fall on the same places of it."""
    return size + unit(F32)


class Tiles:
    """The tiles of a batch of images: `count` of them, `each` of an image, with `apart` rows and columns of results."""

    def __init__(self, apart: tuple[int, int], batch: Dim, places: tuple[int, int]) -> None:
        self.apart, self.places = apart, places
        self.rows, self.columns = (-(-p // m) for p, m in zip(places, apart, strict=True))
        self.each = self.rows * self.columns
        self.count = batch * self.each

    def places_of(self, number: Expr) -> list[Statement]:
        """Names for the place of a tile: its image, and the first row and column of its results."""
        within = var("tile_number") % self.each
        return [
            Let("tile_number", number), Let("tile_image", var("tile_number") // self.each),
            Let("tile_y", within // self.columns * self.apart[0]), Let("tile_x", within % self.columns * self.apart[1]),
        ]  # fmt: skip


__all__ = ["Channels", "Images", "Tiles", "divided", "pitch"]
