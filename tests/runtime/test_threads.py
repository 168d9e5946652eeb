"""Runs on several threads."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from flowc.codegen import build
from flowc.codegen.barrier import PARKED
from flowc.runtime import threads

TEXT = """from flowc.codegen.intrinsics import *


def square(tid, nthreads, x, y, n):
    for i in range(lower_bound(n, tid, nthreads), upper_bound(n, tid, nthreads)):
        y[i] = x[i] * x[i] + f32(0.1)


def reverse(tid, nthreads, y, out, n):
    for i in range(lower_bound(n, tid, nthreads), upper_bound(n, tid, nthreads)):
        out[i] = sin(y[n - 1 - i]) + out[i]


def program(tid, nthreads, args):
    n = extent(args, 4)
    square(tid, nthreads, pointer_f32(args, 1), pointer_f32(args, 2), n)
    barrier(tid, nthreads, args)
    reverse(tid, nthreads, pointer_f32(args, 2), pointer_f32(args, 3), n)
    barrier(tid, nthreads, args)
"""
SIGNATURES = {
    "square": ("i64", "i64", "f32*", "f32*!", "i64"),
    "reverse": ("i64", "i64", "f32*", "f32*!", "i64"),
    "program": ("i64", "i64", "i64*"),
}


class Case:
    """A program whose second kernel reads what other threads wrote in the first."""

    def __init__(self, n: int) -> None:
        self.program = build.compile_cached(TEXT, SIGNATURES)
        self.x = np.linspace(-2, 2, n).astype(np.float32)
        self.y, self.out = np.zeros_like(self.x), np.zeros_like(self.x)
        places = (threads.control_block(), self.x.ctypes.data, self.y.ctypes.data, self.out.ctypes.data, n)
        self.table = (ctypes.c_int64 * 5)(*places)

    def run(self, nthreads: int) -> np.ndarray:
        self.y[:], self.out[:] = 0, 0
        self.again(nthreads)
        return self.out.copy()

    def again(self, nthreads: int) -> None:
        threads.run(self.program.entry, ctypes.addressof(self.table), nthreads)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000, 4099])
def test_any_number_of_threads_gives_the_same_bits(n: int) -> None:
    case = Case(n)
    one = case.run(1)
    for nthreads in (2, 3, 4):
        assert case.run(nthreads).tobytes() == one.tobytes()
    assert n < 2 or one.any()


CLAIMS = """from flowc.codegen.intrinsics import *


def count(tid, nthreads, times, who, n, rounds, args):
    for again in range(rounds):
        for i in claimed(n, tid, nthreads, args):
            times[i] = times[i] + f32(1.0)
            who[i] = f32(tid)
        for j in claimed(n, tid, nthreads, args):
            times[j] = times[j] + f32(1.0)
        barrier(tid, nthreads, args)
        for k in claimed(n, tid, nthreads, args):
            times[k] = times[k] + f32(1.0)


def slow(tid, nthreads, times, who, n, rounds, args):
    for i in claimed(n, tid, nthreads, args):
        who[i] = f32(tid)
        if tid == 0:
            for j in range(rounds):
                times[0] = sin(times[0])


def program(tid, nthreads, args):
    {which}(tid, nthreads, pointer_f32(args, 1), pointer_f32(args, 2), extent(args, 3), extent(args, 4), args)
"""


def claims(which: str, n: int, rounds: int, nthreads: int) -> tuple[np.ndarray, np.ndarray]:
    kinds = ("i64", "i64", "f32*!", "f32*!", "i64", "i64", "i64*")
    program = build.compile_cached(CLAIMS.replace("{which}", which), {"count": kinds, "slow": kinds, "program": ("i64", "i64", "i64*")})
    times, who = np.zeros(max(n, 1), np.float32), np.full(max(n, 1), -1, np.float32)
    table = (ctypes.c_int64 * 5)(threads.control_block(), times.ctypes.data, who.ctypes.data, n, rounds)
    threads.run(program.entry, ctypes.addressof(table), nthreads)
    return times[:n], who[:n]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 16, 1001])
@pytest.mark.parametrize("nthreads", [1, 2, 3, 5])
def test_threads_claim_each_iteration_once(n: int, nthreads: int) -> None:
    rounds = 50
    for _ in range(3):  # what a run before has left behind does not matter
        times, who = claims("count", n, rounds, nthreads)
        assert (times == 3 * rounds).all() and ((who >= 0) & (who < nthreads)).all()


def test_claims_do_not_mind_runs_on_other_numbers_of_threads_between() -> None:
    for i in range(60):
        assert (claims("count", 37, 1 + i % 3, 1 + i % 4)[0] == 3 * (1 + i % 3)).all()


def test_what_a_slow_thread_leaves_others_claim() -> None:
    _, who = claims("slow", 64, 200_000, 2)  # each of thread 0's takes milliseconds, the other's nothing
    assert (who[32:] == 1).all() and (who[:32] == 1).sum() >= 16


def test_thousands_of_short_runs_all_end_and_none_is_lost() -> None:
    case = Case(2)
    case.run(1)
    step = case.out.copy()
    case.out[:] = 0
    for _ in range(10_000):
        case.again(2)
    expected = np.zeros_like(step)
    for _ in range(10_000):
        expected += step
    assert case.out.tobytes() == expected.tobytes()


def test_runs_that_change_their_number_of_threads() -> None:
    case = Case(100)
    one = case.run(1)
    for i in range(300):
        assert case.run(1 + i % 4).tobytes() == one.tobytes()


def test_sleeping_workers_are_woken() -> None:
    case = Case(100)
    one = case.run(2)
    pool = threads._word(PARKED)
    for _ in range(5):
        for _ in range(20_000):  # until every worker has gone to sleep
            if pool.value == len(threads._workers):
                break
            os.sched_yield()
            threading.Event().wait(0.001)
        assert pool.value == len(threads._workers)
        assert case.run(2).tobytes() == one.tobytes()


def test_several_python_threads_may_run_at_once() -> None:
    cases = [Case(500) for _ in range(4)]
    one = cases[0].run(1).tobytes()
    wrong: list[int] = []

    def work(case: Case, nthreads: int) -> None:
        for i in range(200):
            if case.run(nthreads).tobytes() != one:
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(case, 1 + i % 3)) for i, case in enumerate(cases)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_number_of_threads_that_cannot_be_is_refused() -> None:
    case = Case(3)
    for nthreads in (0, -1, 257):
        with pytest.raises(ValueError, match="1 to 256 threads"):
            case.again(nthreads)


def test_a_system_that_gives_no_more_threads_still_runs_the_program() -> None:
    code = """
        case = Case(50)
        want = case.run(1).tobytes()
        def refuse(thread):
            raise RuntimeError("can't start new thread")
        start, threading.Thread.start = threading.Thread.start, refuse
        print(case.run(3).tobytes() == want, len(threads._workers))
        threading.Thread.start = start
        print(case.run(3).tobytes() == want, len(threads._workers))
    """
    assert in_process(code) == "True 0\nTrue 2\n"


def in_process(code: str) -> str:
    """What a fresh process prints; it must end well, and soon."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    full = "from tests.runtime.test_threads import *\n" + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", full], capture_output=True, text=True, timeout=60, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_process_runs_with_threads_of_its_own() -> None:
    code = """
        import warnings
        warnings.simplefilter("ignore")
        case = Case(50)
        want = case.run(2).tobytes()
        child = os.fork()
        if child == 0:
            os._exit(0 if case.run(2).tobytes() == want and case.run(3).tobytes() == want else 1)
        status = os.waitpid(child, 0)[1]
        print(status, case.run(2).tobytes() == want)
    """
    assert in_process(code) == "0 True\n"


def test_the_interpreter_ends_while_workers_spin_or_sleep() -> None:
    assert in_process("Case(50).run(3)\nprint('end')") == "end\n"
    assert in_process("Case(50).run(3)\nthreading.Event().wait(0.1)\nprint('end')") == "end\n"


def test_the_interpreter_ends_while_another_thread_still_runs() -> None:
    code = """
        case = Case(50)
        def forever():
            while True:
                case.run(2)
        threading.Thread(target=forever, daemon=True).start()
        threading.Event().wait(0.05)
        print("end")
    """
    assert in_process(code) == "end\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_worker_leaves_the_callers_processor() -> None:
    code = """
        case = Case(200_000)
        want = case.run(2).tobytes()
        (worker,) = threads._workers
        here, *others = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {here})                         # the calling thread
        allowed = os.sched_getaffinity(worker.native_id)
        os.sched_setaffinity(worker.native_id, {here})
        assert case.run(2).tobytes() == want                    # nowhere else to go
        os.sched_setaffinity(worker.native_id, allowed)
        for _ in range(3):
            assert case.run(2).tobytes() == want
        place = open(f"/proc/self/task/{worker.native_id}/stat").read().rpartition(")")[2].split()[36]
        print(int(place) != here, os.sched_getaffinity(worker.native_id) == allowed)
    """
    assert in_process(code) == "True True\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_leaves_everything_usable() -> None:
    code = """
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with interrupts ignored
        case = Case(200_000)
        want = case.run(2).tobytes()
        hits = 0
        for _ in range(5):
            timer = threading.Timer(0.02, lambda: os.kill(os.getpid(), signal.SIGINT))
            timer.start()
            try:
                for _ in range(100_000):
                    case.again(2)
            except KeyboardInterrupt:
                hits += 1
            timer.join()
            assert case.run(2).tobytes() == want
        print(hits)
    """
    assert signal.SIGINT
    assert in_process(code) == "5\n"
