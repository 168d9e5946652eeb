"""One frozen record of settings, read from the environment: `config.settings().threads`.

    FLOWC_THREADS=1 FLOWC_BACKEND=interpret python model.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flowc.structs import Struct, replace

BACKENDS = ("cpu", "interpret", "python")
CONVOLUTIONS = ("auto", "direct", "fourier", "winograd")


class Settings(Struct):
    """What can be set from outside.

    threads: worker threads of a run, the calling one counted; backend: `cpu` (compiled), `interpret` (NumPy, node by node) or
    `python` (the generated source run as plain Python: slow, for tests); verify: check the IR between passes;
    cache_dir: where generated source and object code are kept; convolution: `auto` (with fewer multiplications where that is faster and
    its error within 1e-5 of the largest result), `direct` (never), `winograd` or `fourier` (wherever there is such a form); memory: bytes of
    intermediate values from which a run whose rows are independent of each other computes some of them at a time; deterministic: compile a program
    before its first run; else NumPy may answer the first runs meanwhile, whose last bits differ from those of the later ones.
    """

    threads: int
    backend: str
    verify: bool
    cache_dir: str | os.PathLike[str]
    convolution: str = "auto"
    memory: int = 128 << 20
    deterministic: bool = False


def _read_environment() -> Settings:
    environment = os.environ
    backend = environment.get("FLOWC_BACKEND", "cpu")
    if backend not in BACKENDS:
        raise ValueError(f"FLOWC_BACKEND={backend!r}: one of {', '.join(BACKENDS)} is expected")
    convolution = environment.get("FLOWC_CONVOLUTION", "auto")
    if convolution not in CONVOLUTIONS:
        raise ValueError(f"FLOWC_CONVOLUTION={convolution!r}: one of {', '.join(CONVOLUTIONS)} is expected")
    memory = _bytes("FLOWC_MEMORY", environment.get("FLOWC_MEMORY") or "128M")
    threads_text = environment.get("FLOWC_THREADS", "")
    if threads_text:
        if not threads_text.isdigit() or int(threads_text) < 1:
            raise ValueError(f"FLOWC_THREADS={threads_text!r}: a positive whole number is expected")
        threads = int(threads_text)
    else:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    folder = environment.get("FLOWC_CACHE_DIR")
    if not folder:
        folder = os.path.join(environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "flowc")
    verify, deterministic = (environment.get(f"FLOWC_{name}", "") not in ("", "0") for name in ("VERIFY", "DETERMINISTIC"))
    return Settings(threads, backend, verify, folder, convolution, memory, deterministic)


def _bytes(name: str, text: str) -> int:
    """A number of bytes: `64M`, `2G`, `1000000`."""
    digits = text[:-1] if text[-1:] in _SCALES else text
    if not digits.isdigit():
        raise ValueError(f"{name}={text!r}: a number of bytes is expected, such as 64M or 2G")
    return int(digits) << _SCALES.get(text[-1], 0)


_SCALES = {"K": 10, "M": 20, "G": 30}
_current: Settings | None = None


def settings() -> Settings:
    """The settings in force; read from the environment at the first call."""
    global _current
    if _current is None:
        _current = _read_environment()
    return _current


@contextmanager
def override(**changes: Any) -> Iterator[Settings]:
    """Settings changed inside a `with` block.

    >>> from flowc import config
    >>> with config.override(backend="interpret"):
    ...     config.settings().backend
    'interpret'
    """
    global _current
    before = settings()
    _current = replace(before, **changes)
    try:
        yield _current
    finally:
        _current = before
