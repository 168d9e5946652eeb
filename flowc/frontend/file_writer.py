"""`tf.summary.FileWriter`: puts summaries, the graph and what is known of runs into an event file that TensorBoard shows.

    with tf.summary.FileWriter("/tmp/logs", sess.graph) as writer:
        writer.add_summary(sess.run(merged), step)          # tensorboard --logdir /tmp/logs

Every file starts with the version of its format; TensorBoard reads all event files of a folder as one run.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import suppress
from typing import Any, ClassVar

from flowc.errors import FlowcError, GraphError, user_location, warn
from flowc.frontend.events import EventFile, event
from flowc.frontend.graph_def import graph_def as encoded_graph
from flowc.frontend.protos import Event, SessionLog, Summary, TaggedRunMetadata
from flowc.frontend.scope import Graph
from flowc.frontend.step_stats import RunMetadata
from flowc.transforms.extract import dotted


class FileWriter:
    """Writes to a new event file in `logdir`, which is made where it is not there, and first the `graph` where one is given.

    Events wait until there are `max_queue` of them, or for `flush_secs` at most; `flush`, `close` and the program's end write what waits.
    Whatever is written can be read, also where the process is killed. The file's name ends in `filename_suffix`. Several threads may share
    a writer. FlowcError names a folder or file that cannot be written.

    >>> import tempfile, flowc as tf
    >>> with tempfile.TemporaryDirectory() as logs, tf.summary.FileWriter(logs) as writer:
    ...     writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="accuracy", simple_value=0.5)]), global_step=7)
    ...     writer.flush()
    ...     file = writer.path
    ...     [(event.step, value.tag, value.simple_value) for event in tf.train.summary_iterator(file) for value in event.summary.value]
    [(7, 'accuracy', 0.5)]
    """

    def __init__(
        self,
        logdir: str | os.PathLike[str],
        graph: Graph | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        graph_def: Any = None,
        filename_suffix: str | None = None,
        session: Any = None,
    ) -> None:
        try:
            self._directory = os.fspath(logdir)
        except TypeError:
            raise FlowcError(f"FileWriter: logdir is a path, not {logdir!r}", location=user_location()) from None
        self._suffix = filename_suffix or ""
        self._most = max(1, int(max_queue))
        self._seconds = flush_secs
        self._clock: threading.Timer | None = None  # flushes what waits too long
        self._runs: set[str] = set()
        self._graph: Graph | None = None  # the one that was added last: its names are those that the graph page knows
        self._open()
        chosen = graph if graph is not None else graph_def if graph_def is not None else getattr(session, "graph", None)
        if chosen is not None:
            self.add_graph(chosen)

    def _open(self) -> None:
        self._file = EventFile(self._directory, self._suffix)
        self._at_end = weakref.finalize(self, self._file.close)

    def get_logdir(self) -> str:
        return self._directory

    @property
    def path(self) -> str:
        """The event file."""
        return self._file.path

    # adding

    def add_summary(self, summary: bytes | Summary, global_step: Any = None) -> None:
        """Add what a fetched summary gave (bytes), or a `tf.Summary`, at a step."""
        self._add(event(time.time(), _step(global_step), summary=_serialized(summary, Summary, "add_summary", "the bytes that session.run(summary) gives")))

    def add_graph(self, graph: Any, global_step: Any = None, graph_def: Any = None) -> None:
        """Add a graph as it is now."""
        chosen = graph if graph is not None else graph_def
        if not isinstance(chosen, Graph):
            raise GraphError(f"add_graph takes a graph, not {chosen!r}", location=user_location())
        self._add(event(time.time(), _step(global_step), graph_def=encoded_graph(chosen)))
        self._graph = chosen

    def add_event(self, event: bytes | Event) -> None:
        """Add a `tf.Event`, or one that is serialized."""
        self._add(_serialized(event, Event, "add_event", "a tf.Event or its bytes"))

    def add_session_log(self, session_log: bytes | SessionLog | None = None, global_step: Any = None) -> None:
        """Add a `tf.SessionLog`, by default that a session starts: then TensorBoard forgets what it has of this and later steps."""
        log = SessionLog(status=SessionLog.START) if session_log is None else session_log
        self._add(event(time.time(), _step(global_step), session_log=_serialized(log, SessionLog, "add_session_log", "a tf.SessionLog")))

    def add_run_metadata(self, run_metadata: RunMetadata | bytes, tag: str, global_step: Any = None) -> None:
        """Add a `tf.RunMetadata` under a tag: the times in its `step_stats`, as far as it has any. GraphError for a tag that is taken."""
        if tag in self._runs:
            raise GraphError(f"add_run_metadata: the tag {tag!r} was used before", location=user_location())
        told = _under_graph_names(run_metadata, self._graph) if isinstance(run_metadata, RunMetadata) else run_metadata
        message = TaggedRunMetadata(tag=tag, run_metadata=_serialized(told, RunMetadata, "add_run_metadata", "a tf.RunMetadata"))
        self._runs.add(tag)
        self._add(event(time.time(), _step(global_step), tagged_run_metadata=message.SerializeToString()))

    def _add(self, message: bytes) -> None:
        if self._file.closed:
            warn(f"the FileWriter on {self._directory} is closed: nothing is added; `reopen` it first")
            return
        if self._file.append(message) >= self._most:
            self.flush()
        elif self._clock is None or not self._clock.is_alive():
            self._clock = threading.Timer(self._seconds, _flush_late, (self._file,))
            self._clock.daemon = True  # the program's end does not wait for it, and writes what waits itself
            self._clock.start()

    # the file

    def flush(self) -> None:
        """Write what waits."""
        self._file.flush()
        self._stop_clock()

    def close(self) -> None:
        """Write what waits and close the file; a second time does nothing."""
        self._at_end.detach()
        self._stop_clock()
        self._file.close()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def reopen(self) -> None:
        """After `close`: go on in a new file of the same folder."""
        if self._file.closed:
            self._open()

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _flush_late(file: EventFile) -> None:
    with suppress(FlowcError):  # what cannot be written waits on, and the next flush of the program's own says so
        file.flush()


def _step(value: Any) -> int | None:
    """A step as a number; None where none is given."""
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, FlowcError):
        raise FlowcError(f"global_step is a whole number, not {value!r}", "run a step that is a tensor first", user_location()) from None


def _serialized(value: Any, kind: type[Any], function: str, expected: str) -> bytes:
    """The bytes of a message of a kind; FlowcError for anything else."""
    serialized = value.SerializeToString() if isinstance(value, kind) else value
    if not isinstance(serialized, bytes):
        raise FlowcError(f"{function} takes {expected}, not {value!r}", location=user_location())
    return serialized


def _under_graph_names(metadata: RunMetadata, graph: Graph | None) -> RunMetadata:
    """The metadata with each kernel under the name in the graph of the last node that it computes, so that the graph page shows its time there."""
    names = {dotted(node.name): node.name for node in graph.nodes} if graph else {}
    told = RunMetadata()
    told.CopyFrom(metadata)
    for device, device_told in zip(metadata.step_stats.dev_stats, told.step_stats.dev_stats, strict=True):
        for kernel, kernel_told in zip(device.node_stats, device_told.node_stats, strict=True):
            last = kernel.nodes[-1] if kernel.nodes else kernel.node_name
            kernel_told.node_name = names.get(last, last)
    return told


class FileWriterCache:
    """One FileWriter for each folder, for parts of a program that do not know each other."""

    _writers: ClassVar[dict[str, FileWriter]] = {}
    _lock = threading.Lock()

    @classmethod
    def get(cls, logdir: str | os.PathLike[str]) -> FileWriter:
        """The folder's writer, made where there is none yet."""
        with cls._lock:
            key = os.path.abspath(os.fspath(logdir))
            if key not in cls._writers:
                cls._writers[key] = FileWriter(logdir)
            return cls._writers[key]

    @classmethod
    def clear(cls) -> None:
        """Close the writers and forget them."""
        with cls._lock:
            for writer in cls._writers.values():
                writer.close()
            cls._writers.clear()
