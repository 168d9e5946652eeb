"""Numba's CUDA simulator, made sound and quicker: `steady()` once, before kernels run.

As it comes, threads that ask for a shared array at the same moment may each get one of their own (a dictionary is looked at and
filled without a lock), and the thread that watches over barriers polls, which takes the interpreter away from those that compute.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np


class Meeting:
    """A barrier of the threads of a block that are still alive."""

    def __init__(self, threads: int) -> None:
        self.live = threads
        self.waiting = 0
        self.round = 0
        self.changed = threading.Condition()

    def wait(self) -> None:
        with self.changed:
            self.waiting += 1
            mine = self.round
            self._open_if_all_wait()
            self.changed.wait_for(lambda: self.round != mine)

    def leave(self) -> None:
        """For a thread that ends: nobody waits for it from now on."""
        with self.changed:
            self.live -= 1
            self._open_if_all_wait()

    def _open_if_all_wait(self) -> None:
        if self.waiting and self.waiting == self.live:
            self.waiting = 0
            self.round += 1
            self.changed.notify_all()


def steady() -> None:
    """Give the simulator a lock for shared arrays, and barriers on which threads sleep."""
    from numba.core import types
    from numba.cuda.simulator import kernel, kernelapi
    from numba.np.numpy_support import as_dtype

    lock = threading.Lock()

    def shared_array(self: Any, shape: Any, dtype: Any) -> np.ndarray:
        caller = sys._getframe(1)
        place = caller.f_code.co_filename, caller.f_lineno  # as in the simulator: a line is an array
        with lock:
            if place not in self._allocations:
                self._allocations[place] = np.empty(shape, as_dtype(dtype) if isinstance(dtype, types.Type) else dtype)
            return self._allocations[place]

    def run(self: Any, grid_point: tuple[int, ...], *args: Any) -> None:
        meeting = self.meeting = Meeting(int(np.prod(self._block_dim)))

        def compute() -> None:
            try:
                self._f(*args)
            finally:
                meeting.leave()

        threads = [kernel.BlockThread(compute, self, grid_point, point, self._debug) for point in np.ndindex(*self._block_dim)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for thread in threads:
            if thread.exception:
                raise thread.exception[0].with_traceback(thread.exception[1])

    kernelapi.FakeCUDAShared.array = shared_array
    kernel.BlockManager.run = run
    kernel.BlockThread.syncthreads = lambda self: self._manager.meeting.wait()
