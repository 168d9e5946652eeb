"""Which form a convolution takes, and from which batch on."""

from __future__ import annotations

from typing import Any

import pytest

from flowc import config
from flowc.ir.dims import Dim, Sym
from flowc.ir.loops import NestPlan
from flowc.ir.op import OPS, Nest
from flowc.ir.types import F32, F64, DType, TensorType
from flowc.ops import transformed
from flowc.ops.fourier import Fourier
from flowc.ops.windows import window_axes
from flowc.ops.winograd import FewTiles, Winograd

B, H = Sym.named("b"), Sym.named("h")


def choice(
    window: tuple[int, int] = (5, 5), sizes: tuple[Dim, Dim] = (28, 28), channels: tuple[Dim, Dim] = (32, 64), dtype: DType = F32,
    summed: Dim | None = 32, strides: tuple[int, int] = (1, 1), batch: Dim = B,
) -> transformed.Choice | None:  # fmt: skip
    return transformed.chosen(window_axes("conv2d", sizes, window, strides, "SAME"), channels, dtype, batch, summed)


def chosen(**given: Any) -> transformed.Method | None:
    found = choice(**given)
    return None if found is None else found.method


def test_small_windows_are_winograds_large_ones_fouriers() -> None:
    assert isinstance(chosen(), Winograd) and isinstance(chosen(window=(3, 3)), Winograd) and isinstance(chosen(window=(7, 7)), Fourier)
    assert isinstance(chosen(sizes=(14, 14)), Fourier), "the image is one tile"
    assert isinstance(chosen(sizes=(14, 14), window=(3, 3)), Winograd)
    assert isinstance(chosen(summed=65), Fourier), "Winograd's error would be too large"
    assert isinstance(chosen(window=(5, 9)), Fourier)


@pytest.mark.parametrize(
    "other",
    [{"window": (1, 1)}, {"channels": (1, 32)}, {"channels": (32, Sym.named("c"))}, {"sizes": (2, 2)}, {"dtype": F64}, {"sizes": (H, 28)},
     {"strides": (1, 2)}, {"window": (17, 17)}],
    ids=str,
)  # fmt: skip
def test_elsewhere_the_sum_is_direct(other: dict) -> None:
    assert chosen(**other) is None


def test_what_a_batch_costs_whatever_its_size_counts_more_in_small_ones() -> None:
    assert isinstance(chosen(sizes=(14, 14), batch=1), FewTiles) and isinstance(chosen(sizes=(14, 14), batch=32), Fourier)
    assert chosen(sizes=(14, 14), batch=1, summed=None) is None
    assert chosen(window=(3, 3), sizes=(7, 7), batch=1) is None and isinstance(chosen(window=(3, 3), sizes=(7, 7), batch=256), Winograd)
    assert isinstance(chosen(window=(3, 3), sizes=(14, 14), batch=32), Winograd) and chosen(window=(3, 3), sizes=(14, 14), batch=32, summed=None) is None


def test_loops_for_both_are_made_where_small_batches_would_take_much_longer() -> None:
    for other, least in (({"sizes": (14, 14)}, 9), ({"window": (3, 3), "sizes": (14, 14)}, 1), ({"window": (3, 3)}, 1), ({"window": (7, 7)}, 1)):
        found = choice(**other)
        assert found is not None and found.least == least
    found = choice(sizes=(14, 14))
    assert found is not None and found.few is not None and found.few.most == 8 and isinstance(found.method, Fourier)
    found = choice(sizes=(14, 14), summed=None)
    assert found is not None and found.least == 4 and found.few is None, "small gradients to a filter are summed directly"
    found = choice(sizes=(14, 14), channels=(80, 64), summed=80)
    assert found is not None and found.least == 4 and found.few is None, "so many channels are not Winograd's"
    with config.override(convolution="winograd"):
        found = choice(sizes=(4, 4), window=(3, 3))
        assert found is not None and found.least == 1, "as asked for"


def test_the_setting_turns_it_off_or_asks_for_one() -> None:
    with config.override(convolution="direct"):
        assert chosen() is None and chosen(window=(7, 7)) is None
    with config.override(convolution="winograd"):
        assert isinstance(chosen(summed=1000), Winograd) and isinstance(chosen(sizes=(14, 14)), Winograd)
        assert chosen(window=(7, 7)) is None
    with config.override(convolution="fourier"):
        assert isinstance(chosen(), Fourier)


def test_an_unknown_setting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWC_CONVOLUTION", "fast")
    with pytest.raises(ValueError, match="FLOWC_CONVOLUTION='fast': one of auto, direct, fourier, winograd is expected"):
        config._read_environment()


def nest(batch: Dim) -> NestPlan:
    lowering = OPS["conv2d"].lowering
    assert isinstance(lowering, Nest)
    types = [TensorType(F32, (batch, 14, 14, 32)), TensorType(F32, (5, 5, 32, 64))]
    attrs = OPS["conv2d"].complete({"padding": "SAME"})
    result = OPS["conv2d"].result_type(tuple(types), attrs)
    assert isinstance(result, TensorType)
    plan = lowering.build(["x", "f"], "out", types, result, attrs)
    assert isinstance(plan, NestPlan)
    return plan


def test_a_known_batch_has_one_way_and_an_unknown_one_both() -> None:
    small, large, unknown = nest(1), nest(64), nest(Sym.named("b"))
    assert "Winograd" in small.how and "Fourier" not in small.how
    assert "Fourier" in large.how and "register tiles" not in large.how
    assert "Fourier" in unknown.how and "for fewer than 9 images Winograd" in unknown.how
    assert len(unknown.statements) == len(small.statements) + len(large.statements)
