"""Native code of the pool of threads (`flowc.codegen.words`): publish a run, take part in it, wait for the others; a worker's life.

    flowc_dispatch(control, entry, args, 3)     # threads 0, 1, 2 enter the program; back when all have left it

`control` is the control block, whose places `codegen.barrier` names.
"""

from __future__ import annotations

from flowc.codegen.barrier import (
    ARGS,
    CALLER_CPU,
    CAN_MOVE,
    CONDITION,
    ENTRY,
    MUTEX,
    NTHREADS,
    PARKED,
    STOP,
    WORKER_WORDS,
    WORKERS,
    YIELD_SPINS,
)  # fmt: skip
from flowc.codegen.words import add_sequential, enter, load, load_acquire, load_sequential, spin, stack, store, store_release, store_sequential
from flowc.runtime.cpython import (
    pthread_cond_broadcast,
    pthread_cond_init,
    pthread_cond_wait,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    sched_getaffinity,
    sched_getcpu,
    sched_setaffinity,
    sched_yield,
)

IDLE_SPINS = 20_000  # pauses before a worker goes to sleep: one to three milliseconds
PROCESSORS = 16  # words of a set of processors: 1024 of them
DONE = WORKER_WORDS // 2  # of a worker's words: the epoch that it has done; word 0: the one that it is asked for


def flowc_alone(entry, args) -> int:
    """Run a program on the calling thread."""
    enter(entry, 0, 1, args)
    return 0


def flowc_prepare(control) -> int:
    """Make the mutex and the condition variable."""
    pthread_mutex_init(control + 8 * MUTEX, 0)
    pthread_cond_init(control + 8 * CONDITION, 0)
    return 0


def flowc_wake(control) -> int:
    """Wake the workers that sleep."""
    if load_sequential(control, PARKED) != 0:
        pthread_mutex_lock(control + 8 * MUTEX)
        pthread_cond_broadcast(control + 8 * CONDITION)
        pthread_mutex_unlock(control + 8 * MUTEX)
    return 0


def worker_words(control, tid):
    return control + 8 * (WORKERS + WORKER_WORDS * tid)


def flowc_dispatch(control, entry, args, nthreads) -> int:
    """Run a program on the calling thread and on the workers 1 to nthreads - 1."""
    store(control, ENTRY, entry)
    store(control, ARGS, args)
    store(control, NTHREADS, nthreads)
    if load(control, CAN_MOVE) != 0:
        store(control, CALLER_CPU, sched_getcpu())
    for tid in range(1, nthreads):
        worker = worker_words(control, tid)
        store_sequential(worker, 0, load(worker, 0) + 1)
    flowc_wake(control)
    enter(entry, 0, nthreads, args)
    for tid in range(1, nthreads):
        worker = worker_words(control, tid)
        wait_for(worker + 8 * DONE, load(worker, 0))
    return 0


def wait_for(at, wanted):
    """Spin until the word there has a value; let others run after a while."""
    count = 0
    while load_acquire(at, 0) != wanted:
        spin()
        count += 1
        if count == YIELD_SPINS:
            sched_yield()
            count = 0


def flowc_work(control, tid) -> int:
    """A worker: do what is asked until it is told to stop."""
    worker = worker_words(control, tid)
    while 1:
        seen = load(worker, DONE)
        if await_request(control, worker, seen) == 0:
            return 0
        asked = load_acquire(worker, 0)
        if load(control, CAN_MOVE) != 0 and sched_getcpu() == load(control, CALLER_CPU):
            leave(load(control, CALLER_CPU))
        enter(load(control, ENTRY), tid, load(control, NTHREADS), load(control, ARGS))
        store_release(worker, DONE, asked)


def leave(processor):
    """Go to another processor than the caller's, where there is one.

    The system wakes a thread where its waker is. Both then spin in turns of a millisecond, until its balancing parts them some time later.
    """
    allowed = stack(PROCESSORS)
    others = stack(PROCESSORS)
    for i in range(PROCESSORS):
        store(allowed, i, 0)
    if sched_getaffinity(0, 8 * PROCESSORS, allowed) < 0:
        return 0
    some = 0
    for i in range(PROCESSORS):
        word = load(allowed, i)
        if i == processor >> 6:
            word = word - (word & (1 << (processor & 63)))
        store(others, i, word)
        some = some | word
    if some != 0 and sched_setaffinity(0, 8 * PROCESSORS, others) == 0:
        sched_setaffinity(0, 8 * PROCESSORS, allowed)
    return 0


def await_request(control, worker, seen):
    """Spin, then sleep, until another epoch than the one seen is asked for; 0 where the worker is to stop."""
    count = 0
    while load_acquire(worker, 0) == seen:
        if load_acquire(control, STOP) != 0:
            return 0
        spin()
        count += 1
        if count > IDLE_SPINS:
            sleep(control, worker, seen)
            count = 0
    return 1


def sleep(control, worker, seen):
    """Wait on the condition variable; the mutex is held between the look and the wait, so no call to wake is missed."""
    pthread_mutex_lock(control + 8 * MUTEX)
    add_sequential(control, PARKED, 1)
    while load_sequential(worker, 0) == seen and load_sequential(control, STOP) == 0:
        pthread_cond_wait(control + 8 * CONDITION, control + 8 * MUTEX)
    add_sequential(control, PARKED, -1)
    pthread_mutex_unlock(control + 8 * MUTEX)
