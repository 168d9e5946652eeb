"""Sessions: they keep the variables' values and run parts of a graph.

    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        _, value = sess.run([train, loss], feed_dict={x: xs, y: ys})

A run's signature (what is fetched, what is fed) is worked out once: extraction, converters, the packing of results. For each set of
fed shapes it holds a prepared call: a compiled program with its arrays. Variables' arrays stay where they are; programs write into them.
The next run like one that went well is native code's alone (`runtime.caller`): `Session.run` below is entered for what is new, or wrong.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from flowc.config import settings
from flowc.errors import FeedError, GraphError, Location, UninitializedError, user_location, warn
from flowc.frontend.convert import is_column_against_row
from flowc.frontend.feeds import Converter, check_shapes, converter
from flowc.frontend.fetches import Fetches, add_fetches, title
from flowc.frontend.scope import Graph, get_default_graph, sessions
from flowc.frontend.tensor import Tensor
from flowc.frontend.variable import Variable
from flowc.ir.function import Function
from flowc.ir.node import Node
from flowc.runtime import native, recorder
from flowc.runtime.desks import ARRAY, CONVERT, FUNCTION, GUARD
from flowc.runtime.interim import Interim
from flowc.runtime.prepared import Entry, Form, Prepared, desk
from flowc.runtime.slices import Sliced
from flowc.transforms.extract import Extraction, extract
from flowc.transforms.specialize import Specializer

Array = np.ndarray
_LIST = object()  # in a signature's key: fetches came as a list
_MOST_ENTRIES = 16  # runs that native code knows of one session
_KEPT_CALLS = 64  # sets of fed shapes for which a plan keeps a prepared call
_building = threading.RLock()  # threads that first run a graph at once build its programs once
_GROWTHS_TO_WARN = 4  # nodes added by one line between runs, so many times in a row, are a loop


class Signature:
    """What one set of fetches and feeds of a graph comes to; sessions on the graph share it, and its executables."""

    def __init__(self, graph: Graph, fetches: Fetches, feeds: list[Node]) -> None:
        self.graph = graph
        self.fetches = fetches
        self.extraction: Extraction = extract(fetches.targets, feeds)
        self.specializer = Specializer(self.extraction.function)
        self.executables: dict[Any, Any] = {}
        self.converters: list[Converter] = [converter(n) for n in self.extraction.feeds]
        self.pack = fetches.packer(self.extraction.fetches)
        self.flat = fetches.flat(self.extraction.fetches)

    def executable(self, shapes: list[tuple[int, ...]]) -> Any:
        """The executable for fed shapes: one per family of shapes."""
        from flowc.runtime.executable import build

        with _building:
            key, function = self.specializer.specialize(shapes)
            found = self.executables.get(key)
            if found is None:
                _warn_of_columns_against_rows(self.graph, function)
                seeded = self.graph.seed is not None or bool(self.graph.op_seeds)  # who gives a seed wants the same bits again
                found = self.executables[key] = build(function, answers_early=not seeded)
            return found


class Plan:
    """A Signature inside one session. `calls` maps fed shapes to calls; empty until every variable that is read has a value."""

    __slots__ = ("calls", "converters", "pack", "signature")

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.converters = signature.converters
        self.pack = signature.pack
        self.calls: dict[tuple[tuple[int, ...], ...], Prepared | Sliced | Interim] = {}

    def convert(self, feed_dict: Mapping[Any, Any] | None) -> list[Array]:
        """What is fed as arrays."""
        if feed_dict is None:
            return []
        _check_is_mapping(feed_dict)
        return [convert(value) for convert, value in zip(self.converters, feed_dict.values(), strict=True)]


def _check_is_mapping(feed_dict: Any) -> None:
    if not isinstance(feed_dict, Mapping):
        raise FeedError(f"feed_dict is a dict from tensors to values, not {type(feed_dict).__name__}", location=user_location())


class Session(native.Desk):
    """Runs parts of `graph` (by default the default graph) and keeps its variables' values. A context manager that closes itself.

    >>> import flowc as tf
    >>> with tf.Graph().as_default(), tf.Session() as sess:
    ...     x, total = tf.placeholder(tf.float32, [None]), tf.Variable(0.0)
    ...     add = total.assign_add(tf.reduce_sum(x))
    ...     sess.run(total.initializer)
    ...     [sess.run(add, {x: values}).item() for values in ([1, 2], [3, 4, 5])]
    [3.0, 15.0]
    """

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        self.graph: Graph = graph or get_default_graph()
        self._nodes = self.graph.nodes
        self._seen = len(self._nodes)
        self._growths: dict[Location, int] = {}
        self._plans: dict[Any, Plan] = {}
        self._values: dict[Node, Array] = {}
        self._initialized: set[Node] = set()
        self._counter: Array | None = None
        self._contexts: list[Any] = []
        self._closed = False
        self.desk = None
        self._entries: dict[Any, Entry] = {}

    def run(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None, options: Any = None, run_metadata: Any = None) -> Any:
        """The values of `fetches` (a tensor, operation, variable, name, or a nest of lists, tuples and dicts of them) in the same nest.

        feed_dict: arrays, lists or numbers for tensors (or their names), of any dtype that casts to theirs. Operations give None, scalars
        NumPy scalars. FeedError, FetchError, UninitializedError and ShapeError tell what does not fit; a run that fails changes nothing.
        options with FULL_TRACE fill `run_metadata` with the times of the run's kernels.
        """
        if run_metadata is not None or recorder.active:
            return self._run_traced(fetches, feed_dict, options, run_metadata)
        if len(self._nodes) != self._seen:
            self._note_growth()
        try:
            if fetches.__class__ is list:
                plan = self._plans[(_LIST, tuple(fetches), *(feed_dict or ()))]
            else:
                plan = self._plans[(fetches, *(feed_dict or ()))]
        except (KeyError, TypeError):
            plan = self._plan(fetches, feed_dict)
        fed = plan.convert(feed_dict)
        call = self.call(plan, fed)
        results = call(*fed)
        self.wrote(plan)
        if isinstance(call, Prepared) and call.is_native:
            self._remember(fetches, feed_dict, fed, plan, call)
        return plan.pack(results)

    def run_loop(
        self, fetches: Any, steps: int, feed_dict: Mapping[Any, Any] | None = None, data: Mapping[Any, Any] | None = None, batch_size: int | None = None,
        shuffle: bool | int | None = None, rows: Any = None, every: int | None = None,
    ) -> Any:  # fmt: skip
        """`run(fetches, ...)` `steps` times in one compiled call: the last run's values, and every variable as that many runs would leave it.

        feed_dict: what is fed to every step alike. data: arrays for tensors, of which each step is fed `batch_size` rows: slices in order, the
        first again after the last whole one; with `shuffle`, a seed or True (the graph's), each pass over the data in another random order;
        with `rows`, whole numbers of shape [steps, batch_size], those. Rows of a pass that fill no batch are left out of it.
        every: values are stacked, those of each `every`th step, [steps // every, ...]. Ctrl-C stops between steps; what they did stays done.
        Raises what `run` raises, and FeedError for arguments that do not fit.
        """
        from flowc.frontend.loops import session_loop

        return session_loop(self, fetches, steps, feed_dict, data, batch_size, shuffle, rows, every)

    def _run_traced(self, fetches: Any, feed_dict: Mapping[Any, Any] | None, options: Any, run_metadata: Any) -> Any:
        """A run through the traced program, where it is asked for: with FULL_TRACE, or inside `flowc.profile`."""
        from flowc.frontend.step_stats import is_traced

        wanted = run_metadata is not None and is_traced(options)
        if not wanted and not recorder.active:
            return self.run(fetches, feed_dict)
        with recorder.recording() as recording:
            plan = self._plan(fetches, feed_dict)
            fed = plan.convert(feed_dict)
            call = self.call(plan, fed)
            with call.executable.lock:
                results = recording.launch(f"run of {title(plan.signature.fetches.targets)}", call.executable, [*fed, *call.args[len(fed) :]])
                if call.counter is not None:
                    call.counter += 1
            self.wrote(plan)
            values = plan.pack(results)
        if wanted:
            run_metadata.take(recording.run)
        return values

    def executable(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
        """The compiled program that `run` uses for these arguments: `.source`, `.source_path`, `.kernels`, `.module`, `.records`."""
        plan = self._plan(fetches, feed_dict)
        fed = plan.convert(feed_dict)
        check_shapes(plan.signature.extraction.feeds, fed)
        return plan.signature.executable([array.shape for array in fed])

    # working out a run

    def _plan(self, fetches: Any, feed_dict: Any) -> Plan:
        if self._closed:
            raise GraphError("the session is closed", location=user_location())
        feeds = self._feed_nodes(feed_dict or {})
        resolved = Fetches(self.graph, fetches)
        key = (resolved.key, tuple(feeds), settings())
        signatures = self.graph.signatures
        with _building:
            signature = signatures.get(key)
            if signature is None:
                signature = signatures[key] = Signature(self.graph, resolved, feeds)
        plan = self._plans.get(key)  # of a nest with lists or dicts inside, which has no shorter key
        if plan is None:
            plan = self._plans[key] = Plan(signature)
        try:
            short = (_LIST, tuple(fetches), *(feed_dict or ())) if fetches.__class__ is list else (fetches, *(feed_dict or ()))
            self._plans[short] = plan
        except TypeError:
            pass
        return plan

    def _feed_nodes(self, feed_dict: Mapping[Any, Any]) -> list[Node]:
        _check_is_mapping(feed_dict)
        nodes: dict[Node, Any] = {}
        for key in feed_dict:
            try:
                item = self.graph.as_graph_element(key)
            except GraphError as error:
                raise FeedError(f"a key of feed_dict cannot be used: {error.what}", error.detail, user_location(), error.locations) from None
            if not isinstance(item, Tensor):
                raise FeedError(f"{item.name} is an operation: only tensors can be fed", repr(item.node), user_location())
            if item.node in nodes:
                raise FeedError(f"{item.name} is fed twice", repr(item.node), user_location())
            nodes[item.node] = key
        return list(nodes)

    def call(self, plan: Plan, fed: list[Array], compiled: bool = False) -> Prepared | Sliced | Interim:
        """The prepared call of a plan for fed arrays. compiled: none that NumPy answers."""
        found = plan.calls.get(tuple([array.shape for array in fed]))
        if found is None:
            return self._first_call(plan, fed, compiled)
        if isinstance(found, Interim) and (compiled or found.is_over()):
            return self._first_call(plan, fed, True)
        return found

    def wrote(self, plan: Plan) -> None:
        """Note that a run has ended well: what it writes has a value now."""
        self._initialized.update(plan.signature.extraction.writes)

    def _first_call(self, plan: Plan, fed: list[Array], compiled: bool) -> Any:
        """A prepared call for the shapes of `fed`, once all that is read has a value."""
        extraction = plan.signature.extraction
        check_shapes(extraction.feeds, fed)
        for variable in extraction.variables:
            if variable in extraction.reads and variable not in self._initialized:
                raise UninitializedError(
                    f"variable {variable.name} has no value yet: run tf.global_variables_initializer() first",
                    f"{variable.name}: {variable.type}", user_location(), ((f"{variable.name} made at", variable.loc),),
                )  # fmt: skip
        executable = plan.signature.executable([array.shape for array in fed])
        rest = [self._place(v) for v in extraction.variables]
        counter = self._run_counter() if extraction.uses_counter else None
        if counter is not None:
            rest.append(counter)
        if len(plan.calls) >= _KEPT_CALLS:
            plan.calls.clear()
        call = plan.calls[tuple([array.shape for array in fed])] = executable.prepare(fed + rest, len(fed), counter, compiled)
        return call

    # what native code knows

    def _remember(self, fetches: Any, feed_dict: Mapping[Any, Any] | None, fed: list[Array], plan: Plan, call: Prepared) -> None:
        """Put a run on the desk: native code does the next one like it."""
        form = Form()
        try:
            add_fetches(form, fetches)
        except TypeError:
            return
        arguments = 2 if feed_dict is not None else 1
        if type(feed_dict) is dict:
            form.dict(list(feed_dict))
            for position in range(len(feed_dict)):
                form.leaf(position, ARRAY | CONVERT)
        elif feed_dict is not None:
            return
        key = (*form.words, *[array.shape for array in fed])
        if key in self._entries:
            return
        pack, items = plan.signature.flat or (FUNCTION, list(range(call.results)))
        if len(self._entries) >= _MOST_ENTRIES:
            self._entries.pop(next(iter(self._entries)))
        self._entries[key] = call.entry(form, arguments, pack, items, plan.pack)
        native.fast(Session, "run")
        self.desk = desk(list(self._entries.values()), native.size_address(self._nodes), self._seen)

    def _place(self, variable: Node) -> Array:
        """The variable's array in this session, made when first needed; it is never replaced."""
        found = self._values.get(variable)
        if found is None:
            shape = variable.tensor.dims
            found = self._values[variable] = np.empty(tuple(int(d) for d in shape), variable.tensor.dtype.numpy)  # type: ignore[arg-type]
        return found

    def _run_counter(self) -> Array:
        """The counter of random draws: from 0 where the graph has a seed, else from where the system's entropy puts it."""
        if self._counter is None:
            seeded = self.graph.seed is not None or self.graph.op_seeds
            self._counter = np.array(0 if seeded else int.from_bytes(os.urandom(8), "little") >> 2, np.uint64)
        return self._counter

    def restart_draws(self) -> None:
        """Count runs from 0 again: random draws are those of a seeded graph's first run."""
        self._run_counter()[...] = 0

    def _note_growth(self) -> None:
        """Warn where one line has added nodes between runs several times: a loop that builds graph."""
        first = self._nodes[self._seen].loc
        self._seen = len(self._nodes)
        if self.desk is not None:
            self.desk[GUARD] = self._seen
        if first is None:
            return
        count = self._growths[first] = self._growths.get(first, 0) + 1
        if count == _GROWTHS_TO_WARN:
            warn(
                f"the graph grows between runs: this line has added nodes {count} times, and each run of new nodes is compiled anew; "
                "build the graph once, before the loop",
                first,
            )

    # variables' values

    def load(self, variable: Variable, value: Any) -> None:
        """Set a variable's value, without a run. FeedError where it does not fit."""
        array = converter(variable.node)(value)
        check_shapes([variable.node], [array])
        self._place(variable.node)[...] = array
        self._initialized.add(variable.node)

    def is_initialized(self, variable: Variable) -> bool:
        return variable.node in self._initialized

    # as the default session

    def make_callable(self, fetches: Any, feed_list: Iterable[Any] | None = None, accept_options: bool = False) -> Callable[..., Any]:
        """A function of the values of `feed_list` that runs `fetches`."""
        keys = list(feed_list or ())
        return lambda *values: self.run(fetches, dict(zip(keys, values, strict=True)))

    @contextmanager
    def as_default(self) -> Any:
        """Inside the block, `tensor.eval()` and `operation.run()` use this session."""
        sessions.append(self)
        try:
            yield self
        finally:
            sessions.remove(self)

    def __enter__(self) -> Session:
        graph, session = self.graph.as_default(), self.as_default()
        graph.__enter__()
        session.__enter__()
        self._contexts.append((graph, session))
        return self

    def __exit__(self, *error: Any) -> None:
        graph, session = self._contexts.pop()
        session.__exit__(None, None, None)
        graph.__exit__(None, None, None)
        self.close()

    def close(self) -> None:
        """Forget the values; a closed session runs nothing."""
        self._closed = True
        self.desk = None
        self._entries.clear()
        self._plans.clear()
        self._values.clear()
        self._initialized.clear()

    @property
    def graph_def(self) -> Graph:
        return self.graph

    @property
    def sess_str(self) -> str:
        return ""

    def list_devices(self) -> list[str]:
        return ["/job:localhost/replica:0/task:0/device:CPU:0"]


class InteractiveSession(Session):
    """A Session that is the default one from the start."""

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        self._default_graph = graph.as_default() if graph is not None else None
        if self._default_graph is not None:
            self._default_graph.__enter__()
        sessions.append(self)

    def __enter__(self) -> InteractiveSession:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        super().close()
        if self in sessions:
            sessions.remove(self)
        if self._default_graph is not None:
            self._default_graph.__exit__(None, None, None)
            self._default_graph = None


def get_default_session() -> Session | None:
    """The innermost default session."""
    return sessions[-1] if sessions else None


def _warn_of_columns_against_rows(graph: Graph, function: Function) -> None:
    """The check that was made when the graph was built, for shapes that only the run has told."""
    for node in function.nodes:
        if node.op.name in ("sub", "squared_difference") and node.loc not in graph.warned and is_column_against_row(*node.inputs):
            graph.warned.add(node.loc)
            x, y = node.inputs
            warn(
                f"{node.op.name}: {x.name} {x.type} against {y.name} {y.type} broadcasts to a matrix of all pairs, which is hardly ever "
                "meant in a loss: give both the same shape, with tf.squeeze or tf.reshape",
                node.loc,
            )
