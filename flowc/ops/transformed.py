"""Which convolutions are computed in a transformed form, with fewer multiplications, and from which batch on.

    chosen(axes, channels, F32, summed=32)   ->   Fourier(...), Winograd(...), or None where the direct sum is as good

Both forms turn tiles of images and the filter into numbers that are multiplied one by one, summed over channels: matrix products. Small windows
and many channels are Winograd's; windows of 7 x 7 and more, and images that fill one tile, are Fourier's. What each takes is estimated.
"""

from __future__ import annotations

from flowc.config import settings
from flowc.ir import dims
from flowc.ir.dims import Dim
from flowc.ir.loops import Barrier, For, NestPlan, Statement, extent
from flowc.ir.types import F32, DType
from flowc.ops.fourier import Fourier
from flowc.ops.image_tiles import Spaces
from flowc.ops.windows import WindowAxis, known
from flowc.ops.winograd import Winograd, form_of
from flowc.structs import replace

Axes = tuple[WindowAxis, WindowAxis]  # rows and columns
LEAST_CHANNELS = 8  # below, the transforms cost more than the products
LEAST_GAIN = 1.25  # from which it pays; the estimates are rough


def direct_products(axes: Axes) -> int:
    """Multiplications of the direct sum, for each image and pair of channels."""
    rows, columns = axes
    return known(rows.places) * known(columns.places) * known(rows.window) * known(columns.window)


def chosen(axes: Axes, channels: tuple[Dim, Dim], dtype: DType, summed: Dim | None) -> Fourier | Winograd | None:
    """The form to convolve in; None for the direct sum. `summed`: channels that a sum runs over, None where it runs over places."""
    wanted = settings().convolution
    numbers = [n for axis in axes for n in (axis.size, axis.window, axis.places, axis.before)] + list(channels)
    if wanted == "direct" or dtype is not F32 or not all(isinstance(n, int) for n in numbers) or min(map(known, channels)) < LEAST_CHANNELS:
        return None
    if any((axis.stride, axis.dilation) != (1, 1) for axis in axes):
        return None
    rows, columns = axes
    found: list[Fourier | Winograd] = []
    if wanted != "fourier" and (form := form_of((known(rows.window), known(columns.window)), summed, wanted == "winograd")) is not None:
        found.append(Winograd(form, (known(rows.places), known(columns.places))))
    if wanted != "winograd" and (fourier := Fourier.of(axes, (known(channels[0]), known(channels[1])))) is not None:
        found.append(fourier)
    best = min(found, key=lambda method: method.cost, default=None)
    return best if best is not None and (wanted != "auto" or direct_products(axes) >= LEAST_GAIN * best.cost) else None


def by_batch(
    batch: Dim, axes: Axes, direct: NestPlan, method: Fourier | Winograd, statements: list[Statement], workspaces: Spaces
) -> NestPlan:  # fmt: skip
    """The statements of `method` for batches that are large enough, `direct` for smaller ones: loops that are not used have no iterations."""
    least = method.least_images(direct_products(axes))
    by_method = NestPlan(tuple(statements), tuple(workspaces), method.how)
    if isinstance(batch, int) or least <= 1:
        return direct if isinstance(batch, int) and batch < least else by_method
    few = dims.minimum(dims.floordiv(least - 1, dims.maximum(batch, 1)), 1)
    plans = _where(few, direct), _where(1 - few, by_method)
    return NestPlan(
        (*plans[0].statements, *plans[1].statements), (*plans[0].workspaces, *plans[1].workspaces),
        f"{method.how}; for fewer than {least} images {direct.how}",
    )  # fmt: skip


def _where(flag: Dim, plan: NestPlan) -> NestPlan:
    """A plan that does nothing, and needs no memory, where `flag` is 0, and is as it was where that is 1."""

    def part(s: Statement) -> Statement:
        assert isinstance(s, For | Barrier), "all else stands in parallel loops"
        return replace(s, stop=s.stop * extent(flag)) if isinstance(s, For) else s

    return replace(plan, statements=tuple(map(part, plan.statements)), workspaces=tuple((name, dtype, size * flag) for name, dtype, size in plan.workspaces))


__all__ = ["by_batch", "chosen"]
