"""Which convolutions are computed in a transformed form, with fewer multiplications, and from which batch on.

    chosen(axes, channels, F32, batch, summed=32)   ->   a Choice of Fourier(...) or Winograd(...), or None where the direct sum is as good

Both forms turn tiles of images and the filter into numbers that are multiplied one by one, summed over channels: matrix products. Small windows
and many channels are Winograd's; windows of 7 x 7 and more, and images that fill one tile, are Fourier's. What each takes is estimated.
"""

from __future__ import annotations

import math

from flowc.config import settings
from flowc.ir.dims import Dim
from flowc.ir.loops import NestPlan, Statement
from flowc.ir.types import F32, DType
from flowc.ops import direct
from flowc.ops.fourier import Fourier
from flowc.ops.tiles import Spaces
from flowc.ops.windows import WindowAxis, known
from flowc.ops.winograd import FewTiles, Winograd
from flowc.ops.winograd_form import form_of
from flowc.structs import Struct, replace

Axes = tuple[WindowAxis, WindowAxis]  # rows and columns
Method = Fourier | Winograd | FewTiles
LEAST_CHANNELS = 8  # below, the transforms cost more than the products
LEAST_GAIN = 1.25  # from which it pays; the estimates are rough
SUPPOSED_IMAGES = 64  # of a batch that is known at run time only
WORST = 2.0  # how much longer than a direct sum one image may take, before loops for both are worth compiling


class Choice(Struct):
    """A form, and the smallest batch for it: where the batch is known at run time only, smaller ones take the form `few`, or are summed directly."""

    method: Method
    least: int
    few: FewTiles | None = None


def direct_products(axes: Axes) -> int:
    """Multiplications of the direct sum, for each image and pair of channels."""
    rows, columns = axes
    return known(rows.places) * known(columns.places) * known(rows.window) * known(columns.window)


def chosen(axes: Axes, channels: tuple[Dim, Dim], dtype: DType, batch: Dim, summed: Dim | None, often_few: bool = True) -> Choice | None:
    """What to convolve in; None for the direct sum. `summed`: channels that a sum runs over, None for the gradient to a filter; often_few: whether
    small batches are worth loops of their own, which take half as long again to compile as a direct sum."""
    wanted = settings().convolution
    numbers = [n for axis in axes for n in (axis.size, axis.window, axis.places, axis.before)] + list(channels)
    if wanted == "direct" or dtype is not F32 or not all(isinstance(n, int) for n in numbers) or min(map(known, channels)) < LEAST_CHANNELS:
        return None
    if any((axis.stride, axis.dilation) != (1, 1) for axis in axes):
        return None
    rows, columns = axes
    is_gradient, pair = summed is None, (known(channels[0]), known(channels[1]))
    found: list[Method] = []
    few: FewTiles | None = None
    if wanted != "fourier" and (form := form_of((known(rows.window), known(columns.window)), summed, wanted == "winograd")) is not None:
        winograd = Winograd(form, (known(rows.places), known(columns.places)), pair)
        found.append(winograd)
        few = winograd.few if not is_gradient and (often_few or isinstance(batch, int)) else None
    if wanted != "winograd" and (fourier := Fourier.of(axes, pair)) is not None:
        found.append(fourier)
    if few is not None and isinstance(batch, int) and batch <= few.most:
        found.append(few)
    if not found:
        return None
    images = max(batch, 1) if isinstance(batch, int) else SUPPOSED_IMAGES
    direct = direct_products(axes)
    costs = {method: method.cost + method.batch_cost(is_gradient) / images for method in found}
    best = min(found, key=lambda method: costs[method])
    if wanted != "auto":
        return Choice(best, 1)
    if direct < LEAST_GAIN * costs[best]:
        return None
    return Choice(best, 1) if isinstance(batch, int) else _with_few(best, best.batch_cost(is_gradient), few, direct)


def _with_few(best: Method, once: float, few: FewTiles | None, direct: int) -> Choice:
    """What smaller batches than those that `best` is chosen for take, if it would take much longer. once: its cost of a batch, whatever its size."""
    if few is not None and direct < LEAST_GAIN * (few.cost + few.batch_cost(is_gradient=False)):
        few = None
    small, small_once = (direct, 0) if few is None else (few.cost, few.batch_cost(is_gradient=False))
    if once + best.cost <= WORST * (small + small_once):
        return Choice(best, 1)
    least = math.ceil((once - small_once) / (small - best.cost)) if small > best.cost else math.inf
    if few is None:
        return Choice(best, int(least))
    images = int(min(least - 1, few.most))
    return Choice(best, images + 1, replace(few, most=images))


def by_batch(batch: Dim, small: NestPlan, choice: Choice, statements: list[Statement], workspaces: Spaces) -> NestPlan:
    """The statements of the chosen form for batches that are large enough, `small` for smaller ones."""
    large = NestPlan(tuple(statements), tuple(workspaces), choice.method.how)
    return large if isinstance(batch, int) or choice.least <= 1 else direct.by_batch(batch, choice.least, small, large)


__all__ = ["Choice", "by_batch", "chosen"]
