"""The user's Graph: names, scopes, control dependencies and collections, by TensorFlow 1's rules.

    with tf.name_scope("layer"):
        y = x * 2.0        # the node `layer/mul`, with its constant `layer/mul/y`

Name scopes name nodes; variable scopes name what `get_variable` makes, and open a name scope of the same name beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flowc.errors import GraphError, user_location
from flowc.ir import graph as ir
from flowc.ir.node import Node
from flowc.ir.op import Op
from flowc.ir.types import TensorType
from flowc.ops import OPS

if TYPE_CHECKING:
    from flowc.frontend.tensor import Operation, Tensor
    from flowc.frontend.variable import Variable
    from flowc.frontend.variable_scope import VariableScope


class GraphKeys:
    """Names of the usual collections."""

    GLOBAL_VARIABLES = "variables"
    VARIABLES = "variables"
    LOCAL_VARIABLES = "local_variables"
    MODEL_VARIABLES = "model_variables"
    TRAINABLE_VARIABLES = "trainable_variables"
    SUMMARIES = "summaries"
    QUEUE_RUNNERS = "queue_runners"
    MOVING_AVERAGE_VARIABLES = "moving_average_variables"
    REGULARIZATION_LOSSES = "regularization_losses"
    WEIGHTS = "weights"
    BIASES = "biases"
    ACTIVATIONS = "activations"
    UPDATE_OPS = "update_ops"
    LOSSES = "losses"
    SAVERS = "savers"
    GLOBAL_STEP = "global_step"
    TRAIN_OP = "train_op"
    INIT_OP = "init_op"


class Graph(ir.Graph):
    """An append-only graph with names, scopes and collections; `with graph.as_default():` makes it the one that functions append to."""

    def __init__(self) -> None:
        super().__init__()
        self.collections: dict[str, list[Any]] = {}
        self.name_stack = ""  # the current name scope with a trailing slash, or empty
        self.control: tuple[Node, ...] = ()
        self.finalized = False
        self.op_seeds = False  # whether any random op has a seed of its own
        self.variables: dict[Node, Variable] = {}
        self.named_variables: dict[str, Variable] = {}  # those of get_variable, by name
        self.variable_scope: VariableScope | None = None
        self.scope_counts: dict[str, int] = {}
        self.signatures: dict[Any, Any] = {}  # what sessions have worked out, by fetches and feeds
        self.warned: set[Any] = set()  # lines that have been warned about
        self._tensors: dict[Node, Tensor] = {}
        self._operations: dict[Node, Operation] = {}

    # nodes

    def create(self, op: Op | str, inputs: Iterable[Node] = (), attrs: Mapping[str, Any] | None = None, name: str | None = None) -> Node:
        """Append a node named `name` (by default the op's title) in the current scope, after the current control dependencies.

        A name that ends in a slash is taken as it is: that of a scope that has been opened for this node.
        """
        if self.finalized:
            raise GraphError("the graph is finalized and takes no more nodes", location=user_location())
        record = OPS[op] if isinstance(op, str) else op
        inputs = tuple(inputs)
        control = tuple(n for n in self.control if n not in inputs)
        return self.add(record, inputs, attrs or {}, self.full_name(name or record.title), control)

    def full_name(self, name: str) -> str:
        return name[:-1] if name.endswith("/") else self.unique_name(self.name_stack + name)

    def run_counter(self) -> Node:
        """The graph's one node for the counter of runs, made when first needed."""
        found = self.by_name.get("flowc.run_counter")
        if found is None:
            found = self.add(OPS["run_counter"], (), {}, self.unique_name("flowc.run_counter"))
        return found

    def tensor(self, node: Node) -> Tensor:
        """The Tensor of a node: one and the same for all callers."""
        found = self._tensors.get(node)
        if found is None:
            from flowc.frontend.tensor import Tensor

            found = self._tensors[node] = Tensor(self, node)
        return found

    def operation(self, node: Node) -> Operation:
        """The Operation of a node: one and the same for all callers."""
        found = self._operations.get(node)
        if found is None:
            from flowc.frontend.tensor import Operation

            found = self._operations[node] = Operation(self, node)
        return found

    def finalize(self) -> None:
        """Take no more nodes from now on."""
        self.finalized = True

    @property
    def version(self) -> int:
        return len(self.nodes)

    # looking up

    def get_operations(self) -> list[Operation]:
        return [self.operation(n) for n in self.nodes]

    def get_operation_by_name(self, name: str) -> Operation:
        return self.operation(self._named(name, name))

    def get_tensor_by_name(self, name: str) -> Tensor:
        """The Tensor named `loss:0`."""
        node_name, colon, place = name.partition(":")
        if not colon:
            raise GraphError(f"{name!r} names an operation; its tensor is {name + ':0'!r}", location=user_location())
        node = self._named(node_name, name)
        if place != "0" or not isinstance(node.type, TensorType):
            raise GraphError(f"there is no tensor {name!r}: {node_name} has {'one result' if place != '0' else 'no value'}", location=user_location())
        return self.tensor(node)

    def _named(self, name: str, shown: str) -> Node:
        node = self.by_name.get(name)
        if node is None:
            import difflib

            near = difflib.get_close_matches(name, self.by_name, 3)
            hint = f"; near: {', '.join(near)}" if near else ""
            raise GraphError(f"the graph has no node named {shown!r}{hint}", location=user_location())
        return node

    def as_graph_element(self, item: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Tensor | Operation:
        """A Tensor or Operation of this graph from itself, a Variable or a name."""
        from flowc.frontend.tensor import Operation, Tensor

        if isinstance(item, str):
            return self.get_tensor_by_name(item) if ":" in item else self.get_operation_by_name(item)
        if hasattr(item, "as_graph_element"):
            item = item.as_graph_element()
        if not isinstance(item, Tensor | Operation):
            raise GraphError(f"{item!r} is neither a tensor nor an operation", location=user_location())
        if item.graph is not self:
            raise GraphError(f"{item.name} is not an element of this graph", repr(item.node), user_location(), ((f"{item.node.name} made at", item.node.loc),))
        return item

    # collections

    def add_to_collection(self, name: str, value: Any) -> None:
        self.collections.setdefault(name, []).append(value)

    def add_to_collections(self, names: Iterable[str], value: Any) -> None:
        for name in (names,) if isinstance(names, str) else dict.fromkeys(names):
            self.add_to_collection(name, value)

    def get_collection(self, name: str, scope: str | None = None) -> list[Any]:
        """A copy of the collection; with `scope` (a regular expression) the items whose names match it from the start."""
        items = list(self.collections.get(name, []))
        if not scope:
            return items
        import re

        return [item for item in items if hasattr(item, "name") and re.match(scope, item.name)]

    def get_collection_ref(self, name: str) -> list[Any]:
        return self.collections.setdefault(name, [])

    def get_all_collection_keys(self) -> list[str]:
        return [k for k, items in self.collections.items() if items]

    def clear_collection(self, name: str) -> None:
        self.collections.pop(name, None)

    # scopes

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """Inside the block, functions append to this graph."""
        _graphs.append(self)
        try:
            yield self
        finally:
            _graphs.remove(self)

    @contextmanager
    def name_scope(self, name: str | None) -> Iterator[str]:
        """Inside, names start with `name/`, made unique; a name that ends in a slash goes back into that scope; None or "": the top."""
        before = self.name_stack
        if not name:
            self.name_stack = ""
        elif name.endswith("/"):
            self.name_stack = name
        else:
            self.name_stack = self.unique_name(before + name) + "/"
        try:
            yield self.name_stack
        finally:
            self.name_stack = before

    def get_name_scope(self) -> str:
        return self.name_stack.rstrip("/")

    @contextmanager
    def control_dependencies(self, inputs: Iterable[Any] | None) -> Iterator[None]:
        """Nodes made inside run after `inputs` (operations, tensors, variables); None drops the surrounding dependencies."""
        before = self.control
        if inputs is None:
            self.control = ()
        else:
            added = [self.as_graph_element(item).node for item in inputs]
            self.control = tuple(dict.fromkeys((*before, *added)))
        try:
            yield
        finally:
            self.control = before

    @contextmanager
    def device(self, name: Any) -> Iterator[None]:
        """Accepted and without effect: flowc places the work itself."""
        yield


class ThreadStack(threading.local):
    """A stack of which every thread has its own, as in TensorFlow: what is the default in one is not in another."""

    def __init__(self) -> None:
        self._items: list[Any] = []

    def append(self, item: Any) -> None:
        self._items.append(item)

    def remove(self, item: Any) -> None:
        self._items.remove(item)

    def clear(self) -> None:
        self._items.clear()

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, position: int) -> Any:
        return self._items[position]


_graphs = ThreadStack()
_default = Graph()
sessions = ThreadStack()
"""Sessions that are the default one, innermost last."""


def get_default_graph() -> Graph:
    """The graph that functions append to."""
    return _graphs[-1] if _graphs else _default  # type: ignore[no-any-return]


def reset_default_graph() -> None:
    """Start a new default graph. GraphError inside `with graph.as_default()`."""
    global _default
    if _graphs:
        raise GraphError("reset_default_graph inside `with graph.as_default()`", location=user_location())
    _default = Graph()


def name_scope(name: str | None = None, default_name: str | None = None, values: Any = None) -> Any:
    """As `Graph.name_scope` on the default graph; `default_name` serves where `name` is None."""
    return _graph_of(values).name_scope(name if name is not None else default_name)


def op_scope(values: Any, name: str | None, default_name: str | None = None) -> Any:
    """The older spelling of `name_scope`."""
    return name_scope(name, default_name, values)


def _graph_of(values: Any) -> Graph:
    for value in values or ():
        graph = getattr(value, "graph", None)
        if isinstance(graph, Graph):
            return graph
    return get_default_graph()


def control_dependencies(inputs: Iterable[Any] | None) -> Any:
    """As `Graph.control_dependencies` on the default graph."""
    return get_default_graph().control_dependencies(inputs)


def device(name: Any) -> Any:
    """Accepted and without effect."""
    return get_default_graph().device(name)


def add_to_collection(name: str, value: Any) -> None:
    get_default_graph().add_to_collection(name, value)


def get_collection(name: str, scope: str | None = None) -> list[Any]:
    return get_default_graph().get_collection(name, scope)


def get_collection_ref(name: str) -> list[Any]:
    return get_default_graph().get_collection_ref(name)
