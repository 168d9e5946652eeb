"""The blocks that contractions are computed in."""

from __future__ import annotations

import pytest

from flowc.ir.dims import Sym
from flowc.ir.types import F32, F64
from flowc.ops.tiles import ENOUGH_BLOCKS, LEAST_ROWS, MOST_LEFT, MOST_ROWS, block_shape, unit


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("inner", [64, 256, 1024, 3136])
@pytest.mark.parametrize("rows, columns", [(1, 10), (100, 10), (128, 1024), (784, 10), (1024, 1024), (3136, 128), (2048, 2048)])
def test_blocks_are_whole_tiles_and_no_larger_than_the_product(rows: int, columns: int, inner: int, dtype) -> None:
    tall, wide = block_shape(rows, columns, dtype, inner=inner)
    assert 1 <= tall <= min(rows, MOST_ROWS) and (tall == rows or tall % LEAST_ROWS == 0)
    assert wide % unit(dtype) == 0 and wide < columns + unit(dtype)


def test_many_blocks_of_long_sums_leave_room_in_the_second_cache_for_the_right_matrix() -> None:
    def height(rows: int, inner: int, dtype=F32) -> int:
        return block_shape(rows, 1024, dtype, inner=inner)[0]

    long = MOST_LEFT // MOST_ROWS // F32.size
    assert height(2048, long) == MOST_ROWS // 2 and height(2048, long - 1) == MOST_ROWS
    assert height(2048, long // 2, F64) == MOST_ROWS // 2
    assert height(MOST_ROWS, long) == MOST_ROWS, "one block reads the right matrix once"
    assert block_shape(2048, 1024, F32, inner=Sym.named("k"))[0] == block_shape(2048, 1024, F32)[0] == MOST_ROWS


def test_a_product_with_enough_work_has_blocks_for_threads_to_share() -> None:
    tall, wide = block_shape(512, 512, F32, inner=512)
    assert -(-512 // tall) * -(-512 // wide) >= ENOUGH_BLOCKS
