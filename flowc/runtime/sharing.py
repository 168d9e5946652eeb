"""How many threads a program's runs take, as it turns out: all that were chosen for it, or one while others need the processors.

    enter = Sharing(entry, address_of_table, 2)
    enter()                              # threads.run(entry, table, 2), or on one thread for a while

Threads of a run wait for each other by spinning. Where another program takes one of their processors, every meeting waits for the system to
give it back, some milliseconds, and a run on two threads may take four times as long as on one. Results do not depend on the number of
threads, so it may change from run to run. A run that slows down is tried on one thread; where that is faster, the next ones stay there for a
tenth of a second, then longer, before sharing is tried again.
"""

from __future__ import annotations

from time import perf_counter_ns

from flowc.runtime import threads

LONG = 20_000_000  # ns: of runs so long the system's time slices are a small part
SLOWER = 1.5  # times the best time, from where a run is worth a look
MOST_COUNTED = 4  # times the best time, as which longer runs count
GAIN = 0.8  # times the shared time, below which one thread is better
WAKING = 2  # shared runs that say nothing: workers start, or wake up
FIRST, AGAIN = 8, 5  # shared runs before one thread is tried: at first, and after a time on one thread
ANYWAY = 128  # shared runs after which it is tried in any case: the trial before may have met another program
LEAST_ALONE, MOST_ALONE = 100_000_000, 2_000_000_000  # ns on one thread before sharing is tried again


class Sharing:
    """The entry of one program over one table. choose, learn: what a call does before and after its run."""

    def __init__(self, entry: int, table: int, nthreads: int) -> None:
        self.entry, self.table, self.nthreads = entry, table, nthreads
        self.shared = 0.0  # ns of a run on all threads, the latest runs counted most
        self.best = float("inf")
        self.runs = 0  # on all threads since they were last taken
        self.patience = FIRST
        self.look = FIRST  # runs from one look at slow ones to the next: doubled until one thread is found faster
        self.is_trial = False
        self.alone = 0  # ns left on one thread
        self.period = LEAST_ALONE

    def __call__(self) -> None:
        count = self.choose()
        begin = perf_counter_ns()
        threads.run(self.entry, self.table, count)
        self.learn(count, perf_counter_ns() - begin)

    def choose(self) -> int:
        """Threads of the next run."""
        return 1 if self.is_trial or self.alone > 0 else self.nthreads

    def learn(self, count: int, ns: int) -> None:
        """Note that a run on `count` threads took `ns` nanoseconds."""
        if count > 1:
            self.runs += 1
            if self.runs <= WAKING:
                return
            self.best = min(self.best, ns)
            counted = min(ns, MOST_COUNTED * self.best)  # one slow run says nothing
            self.shared = counted if self.runs == WAKING + 1 else 0.75 * self.shared + 0.25 * counted
            is_look = self.runs % self.look == 0
            looks_slow = is_look and self.shared > SLOWER * self.best
            if is_look:
                self.look = min(2 * self.look, ANYWAY) if looks_slow else FIRST
            if self.best < LONG and (looks_slow or self.runs == self.patience or self.runs % ANYWAY == 0):
                self.is_trial = True
        elif self.is_trial:
            self.is_trial = False
            if ns < GAIN * self.shared:
                self.alone = self.period
                self.period = min(2 * self.period, MOST_ALONE)
                self.look = FIRST
            else:
                self.period = LEAST_ALONE
        else:
            self.alone -= ns
            if self.alone <= 0:
                self.runs, self.patience = 0, AGAIN


__all__ = ["Sharing"]
