"""Programs compiled by another process, which leaves them in the cache folder, while this one goes on.

    job = request(f, "auto", folder)    # None where this process has to compile it itself
    job.is_over()                       # whether the other process is done with it
    job.wait()                          # until it is; then the program is in the folder, or could not be compiled there

The process imports Numba while the first Functions come, compiles the last one first (a program that starts runs its initializers before it
trains), and ends when nothing has come for a while. Where this process ends first, what it has asked for is still finished, and the next process
finds it. This process starts no thread for all that and imports neither Numba nor LLVM, so its children and its end have nothing to do with it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator

from flowc.codegen import ahead
from flowc.config import override
from flowc.ir.function import Function
from flowc.ir.packed import pack, unpack

COMMAND = "from flowc.runtime.background import serve; serve()"
STAYING_AWAY = "from flowc.codegen.cache import Cache; Cache.makes_folder = False"  # a folder that is removed meanwhile is not to come back
IDLE = 5.0  # seconds without a request after which the process ends: what it has imported takes 100 MB
PATIENCE = 60  # seconds that it goes on at most when nobody is there any more
NICE = 5  # how far it stands back while others want the processors: a first step of the MNIST network in NumPy takes 0.5 s beside it, else 0.9 s
PIPE = 1 << 20  # bytes that wait for it: more than common Functions have, so nobody waits until it has started

_HEAD = struct.Struct("=QQ")  # before each Function: how many bytes it has, and its number


class Job:
    """A Function on its way, until the other process has said that it is done, or is gone."""

    def __init__(self, service: _Service) -> None:
        self._service: _Service | None = service

    @property
    def ended(self) -> bool:
        """Whether that is known here already."""
        return self._service is None

    def is_over(self) -> bool:
        """Whether there is nothing to wait for; costs a system call while there is."""
        if (service := self._service) is not None:
            service.listen(self, 0.0)
        return self.ended

    def wait(self) -> None:
        """Return once it is over."""
        while (service := self._service) is not None:
            service.listen(self, None)

    def end(self) -> None:
        self._service = None


class _Service:
    """The other process, and the jobs that it has not ended yet, by number."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process, self.input, self.output = process, process.stdin, process.stdout
        self.owner = os.getpid()
        self.jobs: dict[int, Job] = {}
        self.count = 0
        self.unread = b""
        self.lock = threading.Lock()  # of who listens

    def send(self, message: bytes) -> Job:
        """Raises OSError where the process is gone."""
        self.input.write(_HEAD.pack(len(message), self.count) + message)
        self.input.flush()
        job = self.jobs[self.count] = Job(self)
        self.count += 1
        return job

    def listen(self, job: Job, patience: float | None) -> None:
        """Take note of what has ended, waiting for some answer for so many seconds; None: as long as it takes, unless the job ends before."""
        if os.getpid() != self.owner:  # a child: the answers are for its parent
            return self.lost()
        if not self.lock.acquire(blocking=patience is None):
            return  # another thread listens
        try:
            if job.ended or not select.select([self.output], [], [], patience)[0]:
                return
            answer = os.read(self.output.fileno(), 1 << 12)
            if not answer:
                return self.lost()
            *lines, self.unread = (self.unread + answer).split(b"\n")
            for line in lines:
                self.jobs.pop(int(line)).end()
        finally:
            self.lock.release()

    def lost(self) -> None:
        """Nothing more will come."""
        for job in self.jobs.values():
            job.end()
        self.jobs.clear()


_service: _Service | None = None
_lock = threading.Lock()  # of who asks


def request(f: Function, convolution: str, folder: str | os.PathLike[str]) -> Job | None:
    """Have a Function compiled into a cache folder; None where no other process can do it. convolution: as in the settings."""
    if ahead.cores() == 1 or os.name != "posix":
        return None
    try:
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return None
        message = pickle.dumps((convolution, os.path.abspath(folder), pack(f)))
    except (OSError, pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return None
    with _lock:
        for _ in range(2):  # the process may have ended since the last request
            if _service is None and not _start(folder):
                return None
            assert _service is not None
            try:
                return _service.send(message)
            except OSError:
                _part()
    return None


def wait_until_compiled() -> None:
    """Return once every program that is being compiled beside this process is there, so that what follows can be timed.

    The first runs of a new program may be answered by NumPy meanwhile; FLOWC_DETERMINISTIC=1 has every program compiled before its first run.
    """
    with _lock:
        pending = [] if _service is None else list(_service.jobs.values())
    for job in pending:
        job.wait()


def _start(folder: str | os.PathLike[str]) -> bool:
    """Start the process, which has in `folder` what all programs need."""
    global _service
    # NumPy's own threads would spin on processors that are needed
    environment = {**os.environ, "FLOWC_CACHE_DIR": os.path.abspath(folder), "OPENBLAS_NUM_THREADS": "1"}
    process = ahead.python(COMMAND, stdin=subprocess.PIPE, env=environment, process_group=0)
    if process is None:
        return False
    _service = _Service(process)
    _widen(_service.input.fileno())
    return True


def _widen(pipe: int) -> None:
    """Give a pipe more room, where the system lets it have that."""
    import fcntl

    try:
        fcntl.fcntl(pipe, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE)
    except OSError:
        return  # then a writer waits until it is read


def _part() -> None:
    """Ask nothing more of the process; it ends when it is done."""
    global _service
    service, _service = _service, None
    if service is None:
        return
    service.lost()
    service.process.returncode = service.process.poll() or 0  # nobody waits for it
    for pipe in (service.input, service.output):
        with contextlib.suppress(OSError):  # something may be left to be written
            pipe.close()


def _after_fork() -> None:
    """A child leaves the process to its parent."""
    global _lock, _service
    _lock, _service = threading.Lock(), None


atexit.register(_part)
os.register_at_fork(after_in_child=_after_fork)


# the other process


def serve() -> None:
    """Its life: Functions from standard input, the numbers of those that are done to standard output."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.nice(NICE)
    os.dup2(2, 1)  # whatever prints must not stand between answers
    from flowc.codegen.cache import Cache
    from flowc.runtime.executable import AHEAD

    Cache.makes_folder = False
    ahead.begin({name: f"{STAYING_AWAY}; {command}" for name, command in AHEAD.items()})
    from flowc.codegen import functions as _imported  # noqa: F401 (Numba takes longest, so it is there before anything is asked for)

    unread, waiting = bytearray(), deque[tuple[int, bytes]]()
    while True:
        if select.select([0], [], [], 0.0 if waiting else IDLE)[0]:
            data = os.read(0, PIPE)
            if not data:  # nobody is there any more, but the next one starts with what is done now
                signal.alarm(PATIENCE)
                break
            unread += data
            waiting.extend(_taken(unread))
        elif waiting:
            number, message = waiting.pop()
            _compile(message)
            with contextlib.suppress(OSError):  # who asked may be gone; what else was asked for is still done
                answers.write(b"%d\n" % number)
        elif not unread:
            return
    while waiting:
        _compile(waiting.pop()[1])


def _taken(unread: bytearray) -> Iterator[tuple[int, bytes]]:
    """The numbers and Functions that are there as a whole, out of what has been read."""
    while len(unread) >= _HEAD.size:
        length, number = _HEAD.unpack_from(unread)
        end = _HEAD.size + length
        if len(unread) < end:
            return
        yield number, bytes(unread[_HEAD.size : end])
        del unread[:end]


def _compile(message: bytes) -> None:
    from flowc.runtime import native
    from flowc.runtime.executable import Executable

    convolution, folder, packed = pickle.loads(message)
    if not os.path.isdir(folder):
        return
    try:
        with override(backend="cpu", deterministic=True, convolution=convolution, cache_dir=folder):
            Executable(unpack(packed))
            native.keep()
    except Exception as error:  # compiled again by who asked, where it can be raised
        print(f"background: {error}", file=sys.stderr)


__all__ = ["Job", "request", "serve", "wait_until_compiled"]
