"""The threads of a run: every thread enters the same program with its own number, and the run ends when all have come back.

    run(entry, address_of_table, 2)      # void entry(int64 tid, int64 nthreads, int64 *table)

The caller is thread 0. Workers are daemon threads that sit in native code without the interpreter's lock: they spin on a word of their own,
run what is asked, and after a few milliseconds of nothing go to sleep on a condition variable. Starting a run on awake workers costs half a
microsecond, a barrier between kernels about the same; waking a sleeper costs what the system takes for it (50 us to milliseconds).

A program's table has the address of the pool's control block in slot 0 (`control_block()`), where its barriers meet. Runs on one thread do
not touch the pool at all. Runs on several from several Python threads take turns. A child process after a fork starts with a fresh pool in
the same place. The native part is `spmd`.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from typing import Any

import numpy as np

from flowc.codegen.barrier import CAN_MOVE, STOP, WORKER_WORDS, WORKERS
from flowc.runtime.arena import address

MOST = 256  # threads that a pool can have

_lock = threading.Lock()
_control = (ctypes.c_int64 * (WORKERS + WORKER_WORDS * MOST + 16))()
_base = (ctypes.addressof(_control) + 127) // 128 * 128
_native: Any = None  # the loaded native functions, once needed
_workers: list[threading.Thread] = []


def control_block() -> int:
    """The address that slot 0 of every table must hold; it never changes."""
    return _base


def run(entry: int, args: int, nthreads: int) -> None:
    """Run a program to its end. entry: its address; args: the address of its table; nthreads: how many threads share it, 1 to 256."""
    if nthreads == 1:
        (_native or _start()).alone(entry, args)
        return
    if not 1 < nthreads <= MOST:
        raise ValueError(f"a run has 1 to {MOST} threads, not {nthreads}")
    native = _native or _start()
    with _lock:
        if len(_workers) < nthreads - 1:
            nthreads = min(nthreads, 1 + _grow(nthreads - 1))
        if nthreads == 1:
            native.alone(entry, args)
        else:
            native.dispatch(_base, entry, args, nthreads)


def loop(words: np.ndarray, threads_at: int, steps: int, nthreads: int) -> None:
    """Run the steps of a loop (`looping`). words: the loop's; threads_at: the place in them of how many threads each step has."""
    native = _native or _start()
    words[threads_at] = 1
    if nthreads == 1:
        native.loop(address(words), steps)
        return
    with _lock:
        words[threads_at] = min(nthreads, 1 + _grow(nthreads - 1))
        native.loop(address(words), steps)


class _Native:
    """The native functions of `spmd` and `looping` as ctypes callables."""

    def __init__(self) -> None:
        from flowc.runtime.native import library

        loaded = library()
        word = ctypes.c_int64
        address_type = ctypes.c_void_p  # an argument of this type takes half the time of an integer's

        def function(name: str, *types: Any) -> Any:
            return ctypes.CFUNCTYPE(None, *types)(loaded.address(name))

        self.alone = function("flowc_alone", address_type, address_type)
        self.dispatch = function("flowc_dispatch", address_type, address_type, address_type, word)
        self.work = function("flowc_work", word, word)
        self.prepare = function("flowc_prepare", word)
        self.wake = function("flowc_wake", word)
        self.loop = function("flowc_loop", address_type, word)


def _word(place: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(_base + 8 * place)


def _start() -> _Native:
    """Load the native part."""
    global _native
    with _lock:
        if _native is None:
            native = _Native()
            _prepare(native)
            os.register_at_fork(after_in_child=_after_fork)
            atexit.register(_stop)
            _native = native
    assert isinstance(_native, _Native)
    return _native


def _prepare(native: _Native) -> None:
    """A control block that nobody uses becomes ready for use."""
    native.prepare(_base)
    _word(CAN_MOVE).value = hasattr(os, "sched_setaffinity") and hasattr(ctypes.CDLL(None), "sched_getcpu")


def _grow(count: int) -> int:
    """Start workers until there are `count`, or as many as the system allows; how many there are. The lock is held."""
    while len(_workers) < count:
        tid = len(_workers) + 1
        worker = threading.Thread(target=_native.work, args=(_base, tid), name=f"flowc-{tid}", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # no more threads here, or the interpreter is ending: results do not depend on their number
            break
        _workers.append(worker)
    return len(_workers)


def _stop() -> None:
    """At exit: workers leave native code before the interpreter is taken down."""
    if _workers and _lock.acquire(timeout=1.0):  # a run that never ends keeps the lock; its threads die with the process
        _word(STOP).value = 1
        _native.wake(_base)
        for worker in _workers:
            worker.join(1.0)
        _workers.clear()
        _word(STOP).value = 0
        _lock.release()


def _after_fork() -> None:
    """In a child there are no workers, and nobody is in a run."""
    global _lock
    _lock = threading.Lock()
    _workers.clear()
    ctypes.memset(_base, 0, 8 * (WORKERS + WORKER_WORDS * MOST))
    _prepare(_native)
