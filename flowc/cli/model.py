"""Scripts as models: run a script until it trains, and find in it what a command is to look at.

    model = load("softmax.py", [])        # up to the first run that trains; that run itself is not made
    choose(model, "loss")                 # [GraphRun of the tensor that the script calls `loss`]
    subjects("softmax.py:loss")           # both in one

Until then the script runs as `flowc run` runs it, with its output on stderr. Runs of a session that train nothing (initializers,
evaluations) are made, initializers only when a later run needs them.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from flowc import config
from flowc.cli.subject import CompiledFunction, GraphRun, InputError, Subject, reachable
from flowc.errors import FlowcError
from flowc.frontend import scope
from flowc.frontend.feeds import converter
from flowc.frontend.fetches import Fetches, title
from flowc.frontend.scope import Graph
from flowc.frontend.session import Session
from flowc.frontend.tensor import Operation, Tensor
from flowc.frontend.trace import Compiled
from flowc.frontend.variable import Variable
from flowc.ir.node import Node
from flowc.ir.op import Effect
from flowc.tensorflow.script import as_main, read_source, report
from flowc.viz.graphs import is_gradient


@dataclass
class Model:
    """A script that has been run. names: its global names; runs: what its sessions were asked for, initializers left out, each once;
    stopped: the line at which it was about to train, None where it came to its end."""

    file: str
    names: dict[str, Any] = field(default_factory=dict)
    runs: list[GraphRun] = field(default_factory=list)
    stopped: str | None = None

    @property
    def graph(self) -> Graph | None:
        """The graph that the script is about: that of its last run, else the default graph, else one that it names."""
        candidates = [run.graph for run in reversed(self.runs)] + [scope.get_default_graph()] + [g for g in self.names.values() if isinstance(g, Graph)]
        return next((g for g in candidates if len(g)), None)


class Reached(BaseException):
    """The script is about to train. No Exception, so that scripts do not catch it."""


class Probe:
    """Stands in for `Session.run` while a script runs; `whole` lets every run happen."""

    def __init__(self, model: Model, whole: bool) -> None:
        self.model = model
        self.whole = whole
        self.pending: list[Callable[[], Any]] = []
        self.original = Session.run
        self.known: set[Any] = set()

    def __enter__(self) -> Probe:
        probe = self

        def run(session: Session, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
            return probe.run(session, fetches, feed_dict)

        Session.run = run  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        Session.run = self.original  # type: ignore[method-assign]

    def run(self, session: Session, fetches: Any, feed_dict: Any) -> Any:
        if session._closed or not isinstance(feed_dict or {}, Mapping):
            return self.original(session, fetches, feed_dict)  # which says what is wrong
        resolved = Fetches(session.graph, fetches)
        nodes = session._feed_nodes(feed_dict or {})
        values = {n: converter(n)(v) for n, v in zip(nodes, (feed_dict or {}).values(), strict=True)}
        fed = {n: v.shape for n, v in values.items()}
        live = reachable(resolved.targets, fed)
        writes = {n for n in live if n.op.effect is Effect.WRITE}
        initializing = bool(writes) and writes <= {v.initializer_node for v in session.graph.variables.values()}
        if initializing and not self.whole:
            self.pending.append(lambda: self.original(session, fetches, feed_dict))
            return resolved.packer([None] * len(resolved.targets))([])
        if not initializing:
            self.note(session.graph, resolved, values)
            if writes and any(is_gradient(n.name) for n in live) and not self.whole:
                raise Reached
        if self.whole:
            return self.original(session, fetches, feed_dict)
        with config.override(backend="interpret"):
            for initialize in self.pending:
                initialize()
            self.pending.clear()
            return self.original(session, fetches, feed_dict)

    def note(self, graph: Graph, resolved: Fetches, values: dict[Node, np.ndarray]) -> None:
        key = (resolved.key, tuple(values))
        if key not in self.known:
            self.known.add(key)
            fed = {node: value.shape for node, value in values.items()}
            self.model.runs.append(GraphRun(graph, title(resolved.targets), resolved.targets, fed, values))


def subjects(spec: str, args: Sequence[str] = (), whole: bool = False) -> list[Subject]:
    """What `MODEL.py[:NAME]` is about: see `choose`."""
    file, name = split(spec)
    return choose(load(file, args, whole), name)


def load(path: str, args: Sequence[str] = (), whole: bool = False) -> Model:
    """Run the script at `path`. InputError for a file that cannot be read or a script that fails (with the user's lines)."""
    try:
        source = read_source(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if not Path(path).is_file():
        raise InputError(f"{path} is no file")
    scope.sessions.clear()
    scope.reset_default_graph()
    model = Model(path)
    try:
        with redirect_stdout(sys.stderr), as_main(path, args) as module, Probe(model, whole):
            model.names = module.__dict__
            exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except Reached as reached:
        model.stopped = _line_in(path, reached.__traceback__)
    except SystemExit as stop:
        if stop.code not in (None, 0):
            raise InputError(f"{path} exits with {stop.code!r} before it builds a model") from None
    except SyntaxError as error:
        raise InputError(f"{path} is no Python script: line {error.lineno}: {error.msg}") from None
    except Exception as error:
        raise InputError(f"{path} fails:\n{report(_from_script(error, path))}") from None
    cycle = model.graph.cycle() if model.graph is not None else []
    if cycle:
        place = f" ({cycle[0].loc.short})" if cycle[0].loc is not None else ""
        raise InputError(f"{path}: control edges form a cycle, so nothing can run first: {' -> '.join(n.name for n in cycle)}{place}")
    return model


def _from_script(error: Exception, path: str) -> Exception:
    """The error with its traceback from the script's first line on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    return error.with_traceback(trace) if trace is not None else error


def _line_in(path: str, trace: TracebackType | None) -> str | None:
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{Path(path).name}:{line}" if line else None


def split(spec: str) -> tuple[str, str | None]:
    """`model.py:loss` as the file and the name; a file whose name holds a colon is found as it is."""
    if Path(spec).exists() or ":" not in spec:
        return spec, None
    file, found, name = spec.partition(".py:")
    if found:
        return file + ".py", name or None
    file, _, name = spec.rpartition(":")
    return file, name or None


def choose(model: Model, name: str | None) -> list[Subject]:
    """What to look at, by its name in the script or its node's name; without a name what the script is about.

    That is the run at which it was about to train; else its last run that is no initializer; else, for a graph that is never run,
    everything that nothing else uses; and without any graph, its compiled functions. InputError where there is nothing.
    """
    if name is not None:
        return [_named(model, name)]
    if model.stopped:
        return [model.runs[-1]]
    graph = model.graph
    if graph is not None:
        return [of_graph(model, graph)]
    compiled = list(dict.fromkeys(v for v in model.names.values() if isinstance(v, Compiled)))
    ready = [c for c in compiled if c._last is not None or c.signature.sample() is not None]
    if not compiled:
        raise InputError(f"{model.file} builds no graph and has no compiled function")
    return [CompiledFunction(c) for c in ready or compiled[:1]]


def of_graph(model: Model, graph: Graph) -> GraphRun:
    """The run that stands for a graph."""
    seen = [run for run in model.runs if run.graph is graph]
    if seen:
        return seen[-1]
    used = {operand for node in graph.nodes for operand in (*node.inputs, *node.control)}
    initial = {v.initializer_node for v in graph.variables.values()}
    unused = [n for n in graph.nodes if n not in used and n.op.effect is not Effect.VARIABLE]
    ends = [n for n in unused if n not in initial and not (n.control and initial.issuperset(n.control))]
    ends = [n for n in ends if not is_gradient(n.name)] or ends  # a gradient that nothing takes: to an input, say
    return _with_shapes(model, graph, ends or graph.nodes[-1:], title(ends or graph.nodes[-1:]))


def _with_shapes(model: Model, graph: Graph, targets: Sequence[Node], title: str) -> GraphRun:
    """A run that was not seen, with the shapes that others have fed to the placeholders that it needs."""
    told = {node: shape for run in model.runs if run.graph is graph for node, shape in run.fed.items()}
    values = {node: value for run in model.runs if run.graph is graph for node, value in run.values.items()}
    needed = reachable(targets, {})
    fed = {n: s for n, s in told.items() if n in needed and n.op.effect is Effect.FEED}
    return GraphRun(graph, title, targets, fed, {n: values[n] for n in fed})


def _named(model: Model, name: str) -> Subject:
    found = model.names.get(name)
    if isinstance(found, Compiled):
        return CompiledFunction(found)
    if isinstance(found, Graph):
        if not len(found):
            raise InputError(f"{model.file}: the graph {name} is empty")
        return of_graph(model, found)
    if isinstance(found, Tensor | Operation | Variable):
        return _with_shapes(model, found.graph, Fetches(found.graph, found).targets, name)
    graph = model.graph
    if graph is not None and name in graph.by_name:
        return _with_shapes(model, graph, [graph.by_name[name]], name)
    if graph is not None:
        try:
            return _with_shapes(model, graph, Fetches(graph, name).targets, name)
        except FlowcError:
            pass
    raise InputError(_unknown(model, name, found, graph))


def _unknown(model: Model, name: str, found: Any, graph: Graph | None) -> str:
    known = [k for k, v in model.names.items() if isinstance(v, Compiled | Graph | Tensor | Operation | Variable)]
    near = difflib.get_close_matches(name, dict.fromkeys([*known, *(graph.by_name if graph else ())]), n=3, cutoff=0.5)
    what = f"is a {type(found).__name__}, no tensor, operation, graph or compiled function" if name in model.names else "is not there"
    hint = f"; near: {', '.join(near)}" if near else f"; there are {', '.join(known[:12])}" if known else ""
    late = f" (the script was stopped where it trains, {model.stopped}; --whole runs it to its end)" if model.stopped else ""
    return f"{model.file}: {name} {what}{hint}{late}"
