"""Run a TensorFlow 1 script as it is: `run_script("model.py", ["data/"])` is what `flowc run model.py data/` does.

The script sees the `sys.argv`, `sys.path[0]` and `__main__` that `python model.py data/` gives it, with `import tensorflow`
answered by flowc. What it raises is shown by the user's lines.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType, TracebackType

from flowc.errors import FlowcError, Location
from flowc.tensorflow import install

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
INTERRUPTED = 130
"""The exit code of a script that Ctrl-C has ended, as a shell reports it."""


def run_script(path: str | os.PathLike[str], args: Sequence[str] = ()) -> int:
    """Run the script at `path` with `args`; its exit code, as Python itself would give it (2 where the file cannot be read).

    What the script raises is printed on stderr, flowc's own errors without the lines of flowc that led to them.
    """
    file = os.fspath(path)
    try:
        source = read_source(file)
    except OSError as error:
        print(f"flowc run: {file}: {error.strerror}", file=sys.stderr)
        return 2
    try:
        with as_main(file, args) as module:
            exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
        return 0
    except SystemExit as stop:
        return _exit_code(stop)
    except KeyboardInterrupt:
        print("flowc run: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        sys.stdout.flush()
        print(report(error), file=sys.stderr)
        return 1


def read_source(file: str) -> bytes:
    """A script's text; OSError where the file cannot be read."""
    with open(file, "rb") as stream:
        return stream.read()


@contextmanager
def as_main(file: str, args: Sequence[str] = ()) -> Iterator[ModuleType]:
    """Inside, the process is as `python file args` makes it, with `import tensorflow` answered by flowc; the new `__main__`."""
    install()
    before = sys.argv, sys.path[:], sys.modules.get("__main__")
    module = ModuleType("__main__")
    module.__file__ = file
    module.__dict__["__builtins__"] = __builtins__
    sys.argv = [file, *args]
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    sys.modules["__main__"] = module
    try:
        yield module
    finally:
        sys.argv, sys.path[:] = before[0], before[1]
        if before[2] is not None:
            sys.modules["__main__"] = before[2]


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code
    print(stop.code, file=sys.stderr)
    return 1


def report(error: BaseException) -> str:
    """What to print of an error that a script has raised.

    flowc's errors: the user's frames alone, and none at all where the error names that very line itself. Others: as Python prints
    them, from the script's first frame on.
    """
    frames = _without_runner(error.__traceback__)
    if not isinstance(error, FlowcError):
        return "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    summary = [frame for frame in traceback.extract_tb(frames) if not os.path.abspath(frame.filename).startswith(_PACKAGE)]
    text = f"{type(error).__name__}: {error}"
    place = error.location
    if not summary or (len(summary) == 1 and isinstance(place, Location) and (place.file, place.line) == (summary[0].filename, summary[0].lineno)):
        return text
    return "".join(["Traceback (most recent call last):\n", *traceback.format_list(summary), text])


def _without_runner(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that is not this file's."""
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames
