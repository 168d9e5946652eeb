"""The threads of a run: every thread enters the same program with its own number, and the run ends when all have come back.

    run(entry, address_of_table, 2)      # void entry(int64 tid, int64 nthreads, int64 *table)

The caller is thread 0. Workers are daemon threads that sit in native code without the interpreter's lock: they spin on a word of their own,
run what is asked, and after a few milliseconds of nothing go to sleep on a condition variable. Starting a run on awake workers costs half a
microsecond, a barrier between kernels about the same; waking a sleeper costs what the system takes for it (50 us to milliseconds).

A program's table has the address of the pool's control block in slot 0 (`control_block()`), where its barriers meet. Runs on one thread do
not touch the pool at all. Runs on several from several Python threads take turns. A child process after a fork starts with a fresh pool in
the same place. The native part is LLVM text; it is assembled once and kept beside the compiled programs.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

from flowc.codegen.barrier import ARGS, CONDITION, ENTRY, MUTEX, NTHREADS, PARKED, STOP, WORKER_WORDS, WORKERS, YIELD_SPINS, pause

MOST = 256  # threads that a pool can have
IDLE_SPINS = 20_000  # pauses before a worker goes to sleep: one to three milliseconds

_lock = threading.Lock()
_control = (ctypes.c_int64 * (WORKERS + WORKER_WORDS * MOST + 16))()
_base = (ctypes.addressof(_control) + 127) // 128 * 128
_native: Any = None  # the loaded native functions, once needed
_workers: list[threading.Thread] = []


def control_block() -> int:
    """The address that slot 0 of every table must hold; it never changes."""
    return _base


def alone() -> Callable[[int, int], None]:
    """The native function by which `run` enters a program on one thread: `alone()(entry, args)`, for callers that count nanoseconds."""
    return (_native or _start()).alone  # type: ignore[no-any-return]


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


def text() -> str:
    """LLVM text of the native part.

    flowc_alone(entry, args); flowc_dispatch(control, entry, args, nthreads): publishes a run, takes part, waits for the others;
    flowc_work(control, tid): a worker's life; flowc_prepare(control): makes the mutex and the condition variable.
    """
    call, declaration = pause()
    word = "getelementptr i64, ptr %control, i64"
    return f"""
{declaration}
declare i32 @sched_yield()
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)

define void @flowc_alone(ptr %entry, ptr %args) {{
  call void %entry(i64 0, i64 1, ptr %args)
  ret void
}}

define void @flowc_prepare(ptr %control) {{
  %mutex = {word} {MUTEX}
  %condition = {word} {CONDITION}
  %a = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %b = call i32 @pthread_cond_init(ptr %condition, ptr null)
  ret void
}}

define void @flowc_wake(ptr %control) {{
  %parked_at = {word} {PARKED}
  %parked = load atomic i64, ptr %parked_at seq_cst, align 8
  %some = icmp ne i64 %parked, 0
  br i1 %some, label %wake, label %done
wake:
  %mutex = {word} {MUTEX}
  %condition = {word} {CONDITION}
  %a = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = call i32 @pthread_cond_broadcast(ptr %condition)
  %c = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}}

define void @flowc_dispatch(ptr %control, ptr %entry, ptr %args, i64 %nthreads) {{
start:
  %entry_at = {word} {ENTRY}
  %args_at = {word} {ARGS}
  %nthreads_at = {word} {NTHREADS}
  store ptr %entry, ptr %entry_at, align 8
  store ptr %args, ptr %args_at, align 8
  store i64 %nthreads, ptr %nthreads_at, align 8
  br label %publish
publish:
  %w = phi i64 [ 1, %start ], [ %w.next, %publish ]
  %w.words = mul i64 %w, {WORKER_WORDS}
  %w.place = add i64 %w.words, {WORKERS}
  %request = {word} %w.place
  %old = load atomic i64, ptr %request monotonic, align 8
  %new = add i64 %old, 1
  store atomic i64 %new, ptr %request seq_cst, align 8
  %w.next = add i64 %w, 1
  %w.more = icmp slt i64 %w.next, %nthreads
  br i1 %w.more, label %publish, label %enter
enter:
  call void @flowc_wake(ptr %control)
  call void %entry(i64 0, i64 %nthreads, ptr %args)
  br label %join
join:
  %j = phi i64 [ 1, %enter ], [ %j.next, %joined ]
  %j.words = mul i64 %j, {WORKER_WORDS}
  %j.place = add i64 %j.words, {WORKERS}
  %j.request = {word} %j.place
  %j.done_place = add i64 %j.place, {WORKER_WORDS // 2}
  %j.done = {word} %j.done_place
  %wanted = load atomic i64, ptr %j.request monotonic, align 8
  br label %wait
wait:
  %count = phi i64 [ 0, %join ], [ %more, %again ], [ 0, %yield ]
  %reached = load atomic i64, ptr %j.done acquire, align 8
  %there = icmp eq i64 %reached, %wanted
  br i1 %there, label %joined, label %spin
spin:
  {call}
  %more = add i64 %count, 1
  %long = icmp eq i64 %more, {YIELD_SPINS}
  br i1 %long, label %yield, label %again
again:
  br label %wait
yield:
  %ignored = call i32 @sched_yield()
  br label %wait
joined:
  %j.next = add i64 %j, 1
  %j.more = icmp slt i64 %j.next, %nthreads
  br i1 %j.more, label %join, label %done
done:
  ret void
}}

define void @flowc_work(ptr %control, i64 %tid) {{
start:
  %words = mul i64 %tid, {WORKER_WORDS}
  %place = add i64 %words, {WORKERS}
  %request = {word} %place
  %done_place = add i64 %place, {WORKER_WORDS // 2}
  %done = {word} %done_place
  %entry_at = {word} {ENTRY}
  %args_at = {word} {ARGS}
  %nthreads_at = {word} {NTHREADS}
  %stop_at = {word} {STOP}
  %parked_at = {word} {PARKED}
  %mutex = {word} {MUTEX}
  %condition = {word} {CONDITION}
  br label %idle
idle:
  %seen = load atomic i64, ptr %done monotonic, align 8
  br label %look
look:
  %count = phi i64 [ 0, %idle ], [ %more, %spin ], [ 0, %woken ]
  %asked = load atomic i64, ptr %request acquire, align 8
  %new = icmp ne i64 %asked, %seen
  br i1 %new, label %work, label %nothing
nothing:
  %stop = load atomic i64, ptr %stop_at acquire, align 8
  %stopping = icmp ne i64 %stop, 0
  br i1 %stopping, label %leave, label %rest
rest:
  {call}
  %more = add i64 %count, 1
  %tired = icmp sgt i64 %more, {IDLE_SPINS}
  br i1 %tired, label %park, label %spin
spin:
  br label %look
park:
  %p1 = call i32 @pthread_mutex_lock(ptr %mutex)
  %p2 = atomicrmw add ptr %parked_at, i64 1 seq_cst
  br label %check
check:
  %now = load atomic i64, ptr %request seq_cst, align 8
  %still = icmp eq i64 %now, %seen
  %halt = load atomic i64, ptr %stop_at seq_cst, align 8
  %going = icmp eq i64 %halt, 0
  %sleep = and i1 %still, %going
  br i1 %sleep, label %asleep, label %wake
asleep:
  %p3 = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %check
wake:
  %p4 = atomicrmw sub ptr %parked_at, i64 1 seq_cst
  %p5 = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %woken
woken:
  br label %look
work:
  %entry = load ptr, ptr %entry_at, align 8
  %args = load ptr, ptr %args_at, align 8
  %nthreads = load i64, ptr %nthreads_at, align 8
  call void %entry(i64 %tid, i64 %nthreads, ptr %args)
  store atomic i64 %asked, ptr %done release, align 8
  br label %idle
leave:
  ret void
}}
"""


class _Native:
    """The native functions as ctypes callables."""

    def __init__(self) -> None:
        from flowc.codegen.cache import Cache, key
        from flowc.codegen.objects import LoadedProgram, assemble

        source, cache = text(), Cache()
        name = key(source, {})
        code = cache.read(name)
        if code is None:
            code = assemble(source)
            cache.write(name, "# The threads of a run, in LLVM's language.\n" + "".join(f"# {line}\n" for line in source.splitlines()), code)
        names = ("flowc_alone", "flowc_dispatch", "flowc_work", "flowc_prepare", "flowc_wake")
        self.loaded = LoadedProgram(code, names, permanent=True)
        word = ctypes.c_int64
        address = ctypes.c_void_p  # an argument of this type takes half the time of an integer's
        prototypes = ((address, address), (address, address, address, word), (word, word), (word,), (word,))
        self.alone, self.dispatch, self.work, self.prepare, self.wake = (
            ctypes.CFUNCTYPE(None, *words)(self.loaded.addresses[name]) for name, words in zip(names, prototypes, strict=True))  # fmt: skip


def _word(place: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(_base + 8 * place)


def _start() -> _Native:
    """Load the native part."""
    global _native
    with _lock:
        if _native is None:
            native = _Native()
            native.prepare(_base)
            os.register_at_fork(after_in_child=_after_fork)
            atexit.register(_stop)
            _native = native
    assert isinstance(_native, _Native)
    return _native


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
    _native.prepare(_base)
