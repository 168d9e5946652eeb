"""Runs that threads share are left to one thread while that is faster, and shared again once it is not."""

import numpy as np

import flowc
from flowc.runtime import executable, threads
from flowc.runtime.sharing import ANYWAY, FIRST, LEAST_ALONE, LONG, MOST_ALONE, Sharing


def play(sharing, times, ns):
    """The threads of the runs in the next `ns` nanoseconds; times(count): nanoseconds of a run on so many threads."""
    counts = []
    while ns > 0:
        count = sharing.choose()
        counts.append(count)
        sharing.learn(count, times(count))
        ns -= times(count)
    return counts


def quiet(count):
    return 600_000 if count == 2 else 1_000_000


def busy(count):
    return 4_000_000 if count == 2 else 1_000_000


def test_on_a_quiet_machine_a_run_in_a_hundred_is_tried_alone_and_all_others_are_shared():
    counts = play(Sharing(0, 0, 2), quiet, 10**9)
    assert counts.index(1) == FIRST and counts.count(1) == 1 + counts.count(2) // ANYWAY


def test_on_a_busy_machine_few_runs_are_shared():
    counts = play(Sharing(0, 0, 2), busy, 10**10)
    assert counts.count(2) < 0.01 * len(counts)
    assert busy(2) * counts.count(2) < 0.03 * 10**10


def test_a_run_that_becomes_slow_goes_to_one_thread_and_comes_back():
    sharing = Sharing(0, 0, 2)
    play(sharing, quiet, 10**8)
    assert set(play(sharing, busy, 10**8)[2 * FIRST + 2 :]) == {1}
    play(sharing, busy, 10**9)
    later = play(sharing, quiet, 3 * MOST_ALONE)
    assert later[-1000:].count(1) <= 1000 // ANYWAY + 1
    assert sharing.period == LEAST_ALONE


def test_runs_that_slow_down_on_any_number_of_threads_are_seldom_tried_alone():
    """As after a rest, when another program's data is in the caches: one thread is slower still."""
    sharing = Sharing(0, 0, 2)
    play(sharing, quiet, 10**8)
    counts = play(sharing, lambda count: 3 * quiet(count), 10**9)
    assert counts.count(1) <= 3 + 2 * len(counts) // ANYWAY


def test_one_slow_run_changes_nothing():
    sharing = Sharing(0, 0, 2)
    play(sharing, quiet, 10**8)
    sharing.learn(2, 30_000_000)
    counts = play(sharing, quiet, 10**8)
    assert counts.count(1) <= 2


def test_workers_that_have_to_wake_up_do_not_count():
    """After a time on one thread they sleep: the first shared run is slow on a quiet machine as well."""
    sharing, alone = Sharing(0, 0, 2), 9  # alone: runs since the last shared one
    for _ in range(400):
        count = sharing.choose()
        sharing.learn(count, 2_000_000 if count == 2 and alone > 3 else quiet(count))
        alone = 0 if count == 2 else alone + 1
    assert sharing.choose() == 2 and sharing.period == LEAST_ALONE


def test_long_runs_are_always_shared():
    assert set(play(Sharing(0, 0, 2), lambda count: LONG, 10**10)) == {2}


def test_a_program_takes_it_and_its_results_stay_the_same(monkeypatch):
    monkeypatch.setattr(executable, "PARALLEL_WORK", -1.0)
    counts = []
    real = threads.run

    def spy(entry, table, count):
        counts.append(count)
        return real(entry, table, count)

    monkeypatch.setattr(threads, "run", spy)
    x = np.linspace(-1, 1, 4000, dtype=np.float32)
    with flowc.config.override(threads=2):
        f = flowc.compile(lambda x: flowc.sum(flowc.tanh(x) * 3.0))
        found = {f(x).tobytes() for _ in range(30)}
    assert len(found) == 1 and {1, 2} <= set(counts)
