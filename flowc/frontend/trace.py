"""The tracing API: a plain function of arrays becomes a compiled one.

    @flowc.compile
    def loss(w: flowc.f32[784, 10], x: flowc.f32["batch", 784]):
        return flowc.mean((x @ w) ** 2)

    loss(w, x)           # NumPy in, NumPy out; any batch, one build
    loss.ir("fuse"), loss.source, loss.explain(), loss.njit, loss.compilations

The function runs once on tensors in a graph of its own; what it returns is extracted, specialized for the shapes' pattern and built.
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flowc.errors import FlowcError, GraphError, ShapeError, user_location
from flowc.frontend.arguments import Argument, Signature, add_argument
from flowc.frontend.containers import Structure, flatten
from flowc.frontend.convert import convert, is_tensor
from flowc.frontend.scope import Graph, get_default_graph
from flowc.ir.dims import symbols
from flowc.ir.function import Function
from flowc.ir.shown import Shown
from flowc.ir.types import TensorType
from flowc.runtime import native, recorder
from flowc.runtime.arena import plain
from flowc.runtime.desks import FUNCTION, LAST, LIST, ONE, TUPLE
from flowc.runtime.executable import Executable, build
from flowc.runtime.interim import Interim
from flowc.runtime.prepared import Entry, Form, Prepared, desk
from flowc.runtime.slices import Sliced
from flowc.structs import Struct, field
from flowc.transforms.extract import Extraction, extract, identifier
from flowc.transforms.pipeline import names as pass_names
from flowc.transforms.pipeline import optimize
from flowc.transforms.specialize import Specializer

__all__ = ["Compiled", "compile"]


KEPT_CALLS = 64  # sets of shapes whose prepared calls a compiled function keeps
MOST_ENTRIES = 16  # forms of arguments that native code knows of one compiled function


class TraceGraph(Graph):
    """The graph of one tracing: inside it, compiled functions become part of the one that calls them."""


class Trace(Struct, frozen=False, eq=False):
    """One tracing: a Function for arguments of one structure and one set of declared types.

    places: for each leaf of the answer the position of its result; structure: the answer's.
    """

    extraction: Extraction
    specializer: Specializer
    places: tuple[int, ...]
    structure: Structure
    executables: dict[Any, Plan] = field(default_factory=dict)


class Plan(Struct, frozen=False, eq=False):
    """What runs for one pattern of shapes: arguments to arrays, the Executable, its results to the answer."""

    function: Function
    executable: Executable
    dtypes: tuple[np.dtype, ...]
    places: tuple[int, ...]
    structure: Structure
    uses_counter: bool
    calls: dict[Any, Prepared | Sliced | Interim] = field(default_factory=dict)
    latest: Prepared | Sliced | Interim | None = None
    counter: np.ndarray = field(default_factory=lambda: np.zeros((), np.uint64))

    __slots__ = ("pack",)

    def __post_init__(self) -> None:
        # the commonest answers, a row of different results in their order, and one result, need no rebuilding
        leaves = all(child.kind == "leaf" for child in self.structure.children)
        in_order = self.places == tuple(range(len(self.function.results)))
        kinds = {"leaf": ONE, tuple: TUPLE, list: LIST}
        self.pack = kinds.get(self.structure.kind, FUNCTION) if leaves and in_order else FUNCTION

    def run(self, leaves: Sequence[Any]) -> Any:
        arrays = [plain(np.asarray(leaf), dtype) for leaf, dtype in zip(leaves, self.dtypes, strict=True)]
        shapes = tuple([a.shape for a in arrays])
        call = self.calls.get(shapes)
        over = isinstance(call, Interim) and call.is_over()
        if call is None or over:
            if len(self.calls) >= KEPT_CALLS:
                self.calls.pop(next(iter(self.calls)))
            rest = [self.counter] if self.uses_counter else []
            counter = self.counter if self.uses_counter else None
            call = self.calls[shapes] = self.executable.prepare([*arrays, *rest], len(arrays), counter, compiled=over)
        results = call(*arrays)
        self.latest = call
        return self.answer(results)

    def answer(self, results: list[np.ndarray]) -> Any:
        """Results in the structure of the function's answer."""
        if self.pack == TUPLE:
            return tuple([result if result.ndim else result[()] for result in results])
        if self.structure.kind == "leaf":
            return _value(results[self.places[0]])
        taken: set[int] = set()
        values = []
        for place in self.places:
            values.append(_value(results[place]) if place not in taken else np.array(results[place])[()])
            taken.add(place)
        return self.structure.unflatten(values)


def _value(array: np.ndarray) -> Any:
    return array if array.ndim else array[()]


class Compiled(Shown, native.Desk):
    """A compiled function. Called inside another traced function, or with tensors, it becomes part of that graph.

    `compilations` counts the builds: one per pattern of shapes. Errors: those of the ops, with the user's line; FeedError and
    ShapeError for arrays that do not fit what is declared; TypeError for arguments that are no arrays.
    """

    def __init__(self, function: Callable[..., Any], signature: Signature, name: str | None = None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.signature = signature
        self.name = identifier(name or re.sub(r"[<>]", "", getattr(function, "__name__", "compiled")))
        self.compilations = 0
        self._building = threading.RLock()  # threads that call at once build once
        self._traces: dict[Any, Trace] = {}
        self._plans: dict[Any, Plan] = {}  # by what _quick_key makes of positional arguments
        self._last: Plan | None = None
        self.desk = None
        self._entries: dict[Any, tuple[Entry, Plan]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The answer for these arguments. Native code (`runtime.caller`) gives it for arguments like those of an earlier call."""
        if not kwargs and not self.signature.static and not native.paused[0]:
            leaves: list[Any] = []
            plan = self._plans.get(_quick_key(args, leaves))
            if plan is not None:
                return self._run(plan, leaves, args)
        return self._call(args, kwargs)

    def _run(self, plan: Plan, leaves: Sequence[Any], args: tuple[Any, ...] | None) -> Any:
        """Run a plan, and put it on the desk if positional arguments were all there was."""
        self._last = plan
        if self.desk is not None:
            self.desk[LAST] = -1
        answer = plan.run(leaves)
        if args is not None and isinstance(plan.latest, Prepared) and plan.latest.is_native:
            self._remember(plan, plan.latest, args)
        return answer

    def _remember(self, plan: Plan, call: Prepared, args: tuple[Any, ...]) -> None:
        form = Form()
        names = self.signature.positional(len(args))
        if not all(add_argument(form, value, name in self.signature.declared, name in self.signature.static) for name, value in zip(names, args, strict=True)):
            return
        key = (*form.words, *(call.args[position].shape for position in range(call.fed)))
        if key in self._entries:
            return
        if len(self._entries) >= MOST_ENTRIES:
            self._entries.pop(next(iter(self._entries)))
        entry = call.entry(form, len(args), plan.pack, range(call.results), plan.answer)
        self._entries[key] = entry, plan
        native.fast(Compiled, "__call__")
        self.desk = desk([e for e, _ in self._entries.values()])
        self.desk[LAST] = len(self._entries) - 1

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<flowc.compile {self.name}{inspect.signature(self.function)}: {self.compilations} compilations>"

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(get_default_graph(), TraceGraph) or _holds_tensor((args, kwargs)):
            return self._inlined(args, kwargs)
        if recorder.active:
            return self._call_recorded(args, kwargs)
        arguments, rebuild = self.signature.bind(self.name, args, kwargs)
        plan = self._plan(arguments, rebuild)
        leaves: list[Any] = []
        key = _quick_key(args, leaves)
        if key is not None and not kwargs and [np.shape(leaf) for leaf in leaves] == [a.shape for a in arguments]:
            self._plans[key] = plan
        return self._run(plan, [a.value for a in arguments], None if kwargs else args)

    def _call_recorded(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call inside `flowc.profile`: through the traced program."""
        with recorder.recording() as recording:
            arguments, rebuild = self.signature.bind(self.name, args, kwargs)
            self._last = plan = self._plan(arguments, rebuild)
            arrays = [plain(np.asarray(a.value), dtype) for a, dtype in zip(arguments, plan.dtypes, strict=True)]
            with plan.executable.lock:
                results = recording.launch(self.name, plan.executable, [*arrays, plan.counter] if plan.uses_counter else arrays)
                if plan.uses_counter:
                    plan.counter += 1
            return plan.answer(results)

    def _inlined(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        scope = self.name.strip("_") or "compiled"
        with get_default_graph().name_scope(scope):
            return self.function(*args, **kwargs)

    def _plan(self, arguments: Sequence[Argument], rebuild: Structure) -> Plan:
        key = (rebuild, tuple(a.type for a in arguments))
        with self._building:
            trace = self._traces.get(key)
            if trace is None:
                trace = self._traces[key] = self._trace(arguments, rebuild)
            special, f = trace.specializer.specialize([a.shape for a in arguments])
            plan = trace.executables.get(special)
            if plan is None:
                self.compilations += 1
                dtypes = tuple(a.type.dtype.numpy for a in arguments)
                plan = Plan(f, build(f, answers_early=True), dtypes, trace.places, trace.structure, trace.extraction.uses_counter)
                trace.executables[special] = plan
            return plan

    def _trace(self, arguments: Sequence[Argument], rebuild: Structure) -> Trace:
        """Run the function once on placeholders."""
        graph = TraceGraph()
        with graph.as_default(), tracing():
            for dim in (d for a in arguments for d in a.type.dims):
                for name in symbols(dim):
                    graph.claim_symbol(name)
            feeds = [graph.create("placeholder", (), {"dtype": a.type.dtype, "shape": a.type.shape}, a.name) for a in arguments]
            args, kwargs = self.signature.arguments(rebuild.unflatten([graph.tensor(node) for node in feeds]))
            answer = self.function(*args, **kwargs)
            if graph.variables:
                made = next(iter(graph.variables.values()))
                raise GraphError(
                    f"{self.name} makes a variable: a compiled function takes what it needs as arguments and returns what it changes",
                    repr(made), made.node.loc,
                )  # fmt: skip
            leaves, structure = flatten(answer, is_tensor)
            outputs = [self._output(leaf, path, graph) for leaf, path in zip(leaves, structure.paths("result"), strict=True)]
        extraction = extract(outputs, feeds, self.name)
        places = tuple(place for place in extraction.fetches if place is not None)
        return Trace(extraction, Specializer(extraction.function), places, structure)

    def _output(self, leaf: Any, path: str, graph: Graph) -> Any:
        try:
            tensor = convert(leaf, graph=graph)
        except FlowcError as error:
            raise type(error)(f"{self.name} returns {path}, which is no array: {error.what}", location=_definition(self.function)) from None
        if tensor.graph is not graph:
            raise GraphError(f"{self.name} returns a tensor of another graph as {path}", repr(tensor.node), tensor.node.loc)
        return tensor.node

    # looking inside

    def _inspected(self) -> Plan:
        """The plan of the last call; where there was none yet, that of the declared types."""
        if self.desk is not None and self.desk[LAST] >= 0:
            return list(self._entries.values())[self.desk[LAST]][1]
        if self._last is None:
            bound = self.signature.sample()
            if bound is None:
                raise ShapeError(
                    f"{self.name} has not been called yet and its shapes are not all declared",
                    f"call it once, or annotate every argument: def {self.name}(x: flowc.f32[\"batch\", 784])",
                    user_location(),
                )  # fmt: skip
            self._last = self._plan(*bound)
        return self._last

    def ir(self, after: str | None = None) -> str:
        """The IR text of the last call's pattern: after a pass (`fuse`), after `trace` (nothing done yet), by default after all."""
        f = self._inspected().function
        if after == "trace":
            return str(f)
        if after is not None and after not in pass_names():
            raise ValueError(f"no pass {after!r}; there are trace, {', '.join(pass_names())}")
        return str(optimize(f, until=after))

    @property
    def source(self) -> str:
        """The generated Python source of the last call's pattern."""
        return self._inspected().executable.source

    def explain(self) -> str:
        """What the compiler decided, one line per decision."""
        executable = self._inspected().executable
        count = len(executable.kernels)
        lines = [f"{self.name}: {count} kernel{'' if count == 1 else 's'}"]
        return "\n".join(lines + [f"  {decision}" for decision in executable.records])

    @property
    def njit(self) -> Any:
        """A Numba function of the same arguments, flat and positional, for loops under `@numba.njit`."""
        return self._inspected().executable.njit()


@contextmanager
def tracing() -> Iterator[None]:
    """While a function is run to trace it: compiled functions that it calls are then entered in Python."""
    native.pause()
    try:
        yield
    finally:
        native.pause(-1)


def _quick_key(value: Any, leaves: list[Any]) -> Any:
    """A key that tells structures, shapes and dtypes apart, with the leaves beside it; None for values that need a closer look."""
    kind = type(value)
    if kind is np.ndarray:
        leaves.append(value)
        return value.shape, value.dtype
    if kind is float or (kind is int and -(2**31) <= value < 2**31):
        leaves.append(value)
        return kind
    if kind is tuple or kind is list:
        parts: list[Any] = [kind]
        items = value
    elif kind is dict:
        parts = [kind, *value]
        items = value.values()
    else:
        return None
    for item in items:
        part = _quick_key(item, leaves)
        if part is None:
            return None
        parts.append(part)
    return tuple(parts)


def _holds_tensor(nest: Any) -> bool:
    return any(is_tensor(leaf) for leaf in flatten(nest, is_tensor)[0])


def _definition(function: Callable[..., Any]) -> Any:
    from flowc.errors import Location

    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None else Location(code.co_filename, code.co_firstlineno, "")


def compile(
    function: Any = None,
    /,
    *types: TensorType,
    shapes: Mapping[str, TensorType] | Sequence[TensorType] | None = None,
    batch: Iterable[str] = (),
    static: Iterable[str] = (),
    name: str | None = None,
) -> Any:
    """Compile a function of arrays; as a decorator, with or without options.

    Arguments are NumPy arrays, numbers, and dicts, lists, tuples and dataclasses of them; so is the answer. Their types come from
    annotations (`x: flowc.f32["batch", 784]`), from `types` or `shapes` in the order of the parameters or by name, or else from the call:
    then every new shape is traced and built anew, except for the first axis of the arguments named in `batch`, which is one symbol.
    static: names of arguments that stay Python values (flags, sizes); a new value is traced anew. Strings, None and functions are so
    by themselves. name: the IR function's.

    >>> import numpy as np, flowc
    >>> @flowc.compile
    ... def distance(x: flowc.f32["n"], y: flowc.f32["n"]):
    ...     return flowc.sqrt(flowc.sum((x - y) ** 2))
    >>> distance(np.array([3, 0]), np.array([0, 4]))
    np.float32(5.0)
    >>> distance(np.zeros(9), np.ones(9)), distance.compilations
    (np.float32(3.0), 1)
    """
    if isinstance(function, TensorType):
        types, function = (function, *types), None
    declared = shapes if shapes is not None else types
    options = (declared, (batch,) if isinstance(batch, str) else tuple(batch), (static,) if isinstance(static, str) else tuple(static))

    def decorate(function: Callable[..., Any]) -> Compiled:
        if isinstance(function, Compiled):
            function = function.function
        return Compiled(function, Signature.of(function, *options), name)

    return decorate if function is None else decorate(function)


