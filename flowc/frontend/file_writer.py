"""`tf.summary.FileWriter`: puts summaries, the graph and what is known of runs into an event file that TensorBoard shows.

    with tf.summary.FileWriter("/tmp/logs", sess.graph) as writer:
        writer.add_summary(sess.run(merged), step)          # tensorboard --logdir /tmp/logs

Every file starts with the version of its format; TensorBoard reads all event files of a folder as one run.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from typing import Any

from flowc.errors import FlowcError, GraphError, user_location, warn
from flowc.frontend import events
from flowc.frontend.app import RunMetadata
from flowc.frontend.events import EventFile, blob, event, integer
from flowc.frontend.graph_def import graph_def as encoded_graph
from flowc.frontend.scope import Graph
from flowc.frontend.summary import Summary
from flowc.transforms.extract import dotted

_START = 1  # SessionLog.START: what TensorBoard drops of later steps when a run begins again


class FileWriter:
    """Writes to a new event file in `logdir`, which is made where it is not there, and first the `graph` where one is given.

    Events wait until there are `max_queue` of them, or until the next one after `flush_secs`; `flush`, `close` and the program's end write what
    waits. Whatever is written can be read, also where the process is killed. FlowcError names a folder or file that cannot be written.
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
        self._runs: set[str] = set()
        self._graph: Graph | None = None  # the one that was added last: its names are those that the graph page knows
        self._open()
        chosen = graph if graph is not None else graph_def if graph_def is not None else getattr(session, "graph", None)
        if chosen is not None:
            self.add_graph(chosen)

    def _open(self) -> None:
        self._file = EventFile(self._directory, self._suffix)
        self._flushed = time.monotonic()
        self._at_end = weakref.finalize(self, self._file.close)

    def get_logdir(self) -> str:
        return self._directory

    # adding

    def add_summary(self, summary: bytes | Summary, global_step: Any = None) -> None:
        """Add what a fetched summary gave (bytes), or a `tf.Summary`, at a step."""
        serialized = summary.SerializeToString() if isinstance(summary, Summary) else summary
        if not isinstance(serialized, bytes):
            raise FlowcError("add_summary takes the bytes that session.run(summary) gives", f"not {summary!r}", user_location())
        self._add(event(time.time(), _step(global_step), summary=serialized))

    def add_graph(self, graph: Any, global_step: Any = None, graph_def: Any = None) -> None:
        """Add a graph as it is now."""
        chosen = graph if graph is not None else graph_def
        if not isinstance(chosen, Graph):
            raise GraphError(f"add_graph takes a graph, not {chosen!r}", location=user_location())
        self._add(event(time.time(), _step(global_step), graph_def=encoded_graph(chosen)))
        self._graph = chosen

    def add_event(self, event: Any) -> None:
        """Add a serialized Event message (bytes), or TensorFlow's own."""
        serialized = event.SerializeToString() if hasattr(event, "SerializeToString") else event
        if not isinstance(serialized, bytes):
            raise FlowcError("add_event takes an Event message or its bytes", f"not {event!r}", user_location())
        self._add(serialized)

    def add_session_log(self, session_log: Any = None, global_step: Any = None) -> None:
        """Note that a session starts: TensorBoard forgets what it has of this and later steps. `session_log` may be a SessionLog's bytes."""
        serialized = session_log if isinstance(session_log, bytes) else integer(1, _START)
        self._add(event(time.time(), _step(global_step), session_log=serialized))

    def add_run_metadata(self, run_metadata: Any, tag: str, global_step: Any = None) -> None:
        """Add a `tf.RunMetadata` under a tag: the times in its `step_stats`, as far as it has any. GraphError for a tag that is taken."""
        if tag in self._runs:
            raise GraphError(f"add_run_metadata: the tag {tag!r} was used before", location=user_location())
        serialized = run_metadata if isinstance(run_metadata, bytes) else _run_metadata(run_metadata, self._graph)
        self._runs.add(tag)
        self._add(event(time.time(), _step(global_step), tagged_run_metadata=blob(1, tag) + blob(2, serialized)))

    def _add(self, message: bytes) -> None:
        if self._file.closed:
            warn(f"the FileWriter on {self._directory} is closed: nothing is added; `reopen` it first")
            return
        if self._file.append(message) >= self._most or time.monotonic() - self._flushed >= self._seconds:
            self.flush()

    # the file

    def flush(self) -> None:
        """Write what waits."""
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what waits and close the file; a second time does nothing."""
        self._at_end.detach()
        self._file.close()

    def reopen(self) -> None:
        """After `close`: go on in a new file of the same folder."""
        if self._file.closed:
            self._open()

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _step(value: Any) -> int | None:
    """A step as a number; None where none is given."""
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, FlowcError):
        raise FlowcError(f"global_step is a whole number, not {value!r}", "run a step that is a tensor first", user_location()) from None


def _run_metadata(metadata: Any, graph: Graph | None) -> bytes:
    """A RunMetadata message of the attributes that TensorFlow's has: `step_stats.dev_stats[].node_stats[]`, times in microseconds."""
    if not isinstance(metadata, RunMetadata):
        raise FlowcError(f"add_run_metadata takes a tf.RunMetadata, not {metadata!r}", location=user_location())
    names = {dotted(node.name): node.name for node in graph.nodes} if graph else {}
    devices = []
    for device in _listed(vars(metadata).get("step_stats"), "dev_stats"):
        nodes = b"".join([events.blob(2, _node_stats(node, names)) for node in _listed(device, "node_stats")])
        devices.append(blob(1, blob(1, vars(device).get("device", "/device:CPU:0")) + nodes))
    return blob(1, b"".join(devices)) if devices else b""


def _listed(owner: Any, name: str) -> list[Any]:
    return list(vars(owner).get(name, ())) if owner is not None else []


def _node_stats(node: Any, names: dict[str, str]) -> bytes:
    """A NodeExecStats, whole microseconds rounded up. A kernel that stands for several `nodes` is told under the last one's name in the graph
    (`names`: from those in the function), so that the graph page shows its time there."""
    known = vars(node)
    name = (known.get("nodes") or (known["node_name"],))[-1]
    times = ("all_start_micros", "op_start_rel_micros", "op_end_rel_micros", "all_end_rel_micros")
    head = blob(1, names.get(name, name)) + b"".join([integer(field, math.ceil(known.get(moment, 0))) for field, moment in enumerate(times, 2)])
    return head + blob(8, known.get("timeline_label", ""))
