"""Native code of loops (`flowc.codegen.words`): many runs of one program in one call, batches taken from data that stays where it is.

    flowc_loop(loop, 1000)      # a thousand times: addresses of the batch's rows into the table, the program, what is to be kept

Called without the interpreter's lock, under that of the executable. The words of a loop are named below; `loop` writes them.
"""

from __future__ import annotations

from flowc.codegen.words import copy_bytes, enter, i32_at, load, put_i32, store
from flowc.runtime.caller import finish, run_copies
from flowc.runtime.desks import BEFORE, ENTER, TABLE
from flowc.runtime.spmd import flowc_dispatch

# a loop: its record; threads, and the control block of their pool; the fed data; rows of a batch and of the data; where the next batch begins;
# the rows' numbers, or 0 where batches are slices in order; every how many steps results are kept, and how many are still to go; the results
RECORD, THREADS, CONTROL, DATA, DATA_COUNT, BATCH, ROWS, NEXT, CHOSEN, EVERY, LEFT, KEPT, KEPT_COUNT, LOOP_WORDS = range(14)
# fed data: its slot in the table; where it lies; bytes of a row; memory for the rows of a batch
DATA_SLOT, DATA_AT, ROW_BYTES, GATHERED, DATA_WORDS = range(5)
# a result that is kept: where the program writes it; where the next one goes; bytes
KEPT_FROM, KEPT_AT, KEPT_BYTES, KEPT_WORDS = range(4)


def flowc_loop(loop, steps) -> int:
    """Run `steps` steps of a loop."""
    record = load(loop, RECORD)
    table = load(record, TABLE)
    entry = load(record, ENTER)
    threads = load(loop, THREADS)
    for step in range(steps):
        feed(loop, table, step)
        run_copies(record, BEFORE)
        if threads == 1:
            enter(entry, 0, 1, table)
        else:
            flowc_dispatch(load(loop, CONTROL), entry, table, threads)
        finish(record)
        keep(loop)
    return 0


def feed(loop, table, step):
    """The next batch's addresses into the table: of a slice of the data, or of a copy of the chosen rows."""
    count = load(loop, DATA_COUNT)
    if count == 0:
        return 0
    batch = load(loop, BATCH)
    chosen = load(loop, CHOSEN)
    if chosen != 0:
        chosen = chosen + 8 * batch * step
        for i in range(count):
            gather(load(loop, DATA) + 8 * DATA_WORDS * i, table, chosen, batch)
        return 0
    first = load(loop, NEXT)
    if first + batch > load(loop, ROWS):  # rows that fill no batch are left out
        first = 0
    store(loop, NEXT, first + batch)
    for i in range(count):
        data = load(loop, DATA) + 8 * DATA_WORDS * i
        store(table, load(data, DATA_SLOT), load(data, DATA_AT) + first * load(data, ROW_BYTES))
    return 0


def gather(data, table, chosen, batch):
    """Copy the chosen rows to the memory of a batch."""
    size = load(data, ROW_BYTES)
    source = load(data, DATA_AT)
    target = load(data, GATHERED)
    if size == 4:  # by far the most common short rows: no call for each
        for i in range(batch):
            put_i32(target, i, i32_at(source, load(chosen, i)))
    elif size == 8:
        for i in range(batch):
            store(target, i, load(source, load(chosen, i)))
    else:
        for i in range(batch):
            copy_bytes(target + i * size, source + load(chosen, i) * size, size)
    store(table, load(data, DATA_SLOT), target)


def keep(loop):
    """Every so many steps, add the results to what is kept of earlier ones."""
    left = load(loop, LEFT) - 1
    if left != 0:
        store(loop, LEFT, left)
        return 0
    store(loop, LEFT, load(loop, EVERY))
    for i in range(load(loop, KEPT_COUNT)):
        kept = load(loop, KEPT) + 8 * KEPT_WORDS * i
        copy_bytes(load(kept, KEPT_AT), load(kept, KEPT_FROM), load(kept, KEPT_BYTES))
        store(kept, KEPT_AT, load(kept, KEPT_AT) + load(kept, KEPT_BYTES))
    return 0
