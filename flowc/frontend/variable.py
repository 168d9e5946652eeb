"""Variables: places that keep a value between the runs of a session.

    W = tf.Variable(tf.zeros([784, 10]), name="W")
    # nodes: W (the place), W/Assign (the initializer), W/read (the value at the start of a run)

The value itself lives in each Session.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowc.errors import GraphError, ShapeError, user_location
from flowc.frontend.convert import as_dtype_checked, convert
from flowc.frontend.scope import Graph, GraphKeys, get_default_graph
from flowc.frontend.shape import TensorShape
from flowc.frontend.tensor import Operand, Operation, Tensor, evaluate
from flowc.ir.node import Node
from flowc.ir.types import DType


class Variable(Operand):
    """A place for a value, initialised from `initial_value`: a tensor, number, list, array, or a function that gives one.

    dtype: None takes the initial value's; a dtype in second place, as in `tf.Variable([.3], tf.float32)`, is taken as the dtype.
    DTypeError, ShapeError and GraphError where the initial value cannot be used.
    """

    __slots__ = ("__weakref__", "graph", "initial", "initializer_node", "node", "save_slice", "snapshot_node", "trainable")

    def __init__(
        self,
        initial_value: Any = None,
        trainable: Any = True,
        collections: Iterable[str] | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        expected_shape: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        use_resource: Any = None,
        **others: Any,
    ) -> None:
        if isinstance(trainable, DType):
            trainable, dtype = True, dtype or trainable
        if initial_value is None:
            raise GraphError("a variable needs an initial value", location=user_location())
        wanted = None if dtype is None else as_dtype_checked(dtype)
        initial = initial_value
        graph = initial.graph if isinstance(initial, Tensor | Variable) else get_default_graph()
        self.graph: Graph = graph
        self.trainable = bool(trainable)
        control, graph.control = graph.control, ()  # an initializer depends on nothing but its own value
        try:
            with graph.name_scope(name or "Variable") as scope:
                if callable(initial):
                    with graph.name_scope("Initializer"):
                        initial = initial()
                value = convert(initial, wanted, "initial_value", graph)
                shape = value.dims
                if shape is None or not all(isinstance(d, int) for d in shape):
                    place = ((f"{value.node.name} made at", value.node.loc),)
                    raise ShapeError(f"a variable needs a known shape; its initial value has {value.shape}", repr(value.node), user_location(), place)
                self._finish(scope, value, shape)
        finally:
            graph.control = control
        graph.add_to_collections([GraphKeys.GLOBAL_VARIABLES] if collections is None else collections, self)
        if self.trainable:
            graph.add_to_collection(GraphKeys.TRAINABLE_VARIABLES, self)

    def _finish(self, scope: str, value: Tensor, shape: tuple[Any, ...]) -> None:
        graph = self.graph
        self.initial: Tensor = value
        self.node: Node = graph.create("variable", (), {"dtype": value.dtype, "shape": shape}, scope)
        graph.variables[self.node] = self
        with graph.name_scope(scope):
            self.initializer_node: Node = graph.create("assign", (self.node, value.node), name="Assign")
            self.snapshot_node: Node = graph.create("read", (self.node,), name="read")

    # what it is

    @property
    def name(self) -> str:
        return self.node.name + ":0"

    @property
    def op(self) -> Operation:
        return self.graph.operation(self.node)

    @property
    def dtype(self) -> DType:
        return self.node.tensor.dtype

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self.node.tensor.shape)

    def get_shape(self) -> TensorShape:
        return self.shape

    @property
    def device(self) -> str:
        return ""

    @property
    def initializer(self) -> Operation:
        """The operation that sets the initial value."""
        return self.graph.operation(self.initializer_node)

    @property
    def initial_value(self) -> Tensor:
        return self.initial

    def as_graph_element(self) -> Tensor:
        """The place's own tensor: what feeds and fetches of this variable stand for."""
        return self.graph.tensor(self.node)

    # its value

    def as_tensor(self) -> Tensor:
        """The value as an operand: at the start of the run, or after the control dependencies in force."""
        return self.read_value() if self.graph.control else self.graph.tensor(self.snapshot_node)

    def value(self) -> Tensor:
        return self.as_tensor()

    def read_value(self) -> Tensor:
        """A fresh read, at this place of the run."""
        return self.graph.tensor(self.graph.create("read", (self.node,), name=self._sub_name("read")))

    def initialized_value(self) -> Tensor:
        """The initial value, for other variables' initial values. In one run both see the same draw of a random one; a later run draws anew."""
        return self.initial

    def _sub_name(self, part: str) -> str:
        return self.graph.unique_name(f"{self.node.name}/{part}") + "/"

    def eval(self, session: Any = None, feed_dict: Any = None) -> Any:
        """The value in `session`, by default the default session."""
        return evaluate(self.graph.tensor(self.node), feed_dict, session)

    def load(self, value: Any, session: Any = None) -> None:
        """Set the value in a session, without adding to the graph."""
        from flowc.frontend.scope import sessions

        (session or sessions[-1]).load(self, value)

    # changing it

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Tensor:
        """A tensor that sets the variable to `value` when it is run; its value is the new one."""
        return self._written("assign", value, name or "Assign")

    def assign_add(self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Tensor:
        return self._written("assign_add", delta, name or "AssignAdd")

    def assign_sub(self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Tensor:
        return self._written("assign_sub", delta, name or "AssignSub")

    def _written(self, op: str, value: Any, name: str) -> Tensor:
        graph = self.graph
        with graph.name_scope(name) as scope:
            operand = value if isinstance(value, Tensor) else convert(value, self.dtype, "value", graph)
            return graph.tensor(graph.create(op, (self.node, operand.node), name=scope))

    def set_shape(self, shape: Any) -> None:
        self.shape.assert_is_compatible_with(shape)

    def __iter__(self) -> Any:
        return iter(self.as_tensor())

    def __str__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype.long_name}_ref>"

    __repr__ = __str__


def as_variable(value: Any) -> Variable:
    """A Variable from itself or from its place's or its value's tensor; GraphError for anything else."""
    if isinstance(value, Variable):
        return value
    if isinstance(value, Tensor):
        node = value.node.inputs[0] if value.node.op.name == "read" else value.node
        if node in value.graph.variables:
            return value.graph.variables[node]
    raise GraphError(f"{value!r} is not a variable", location=user_location())


def assign(ref: Any, value: Any, validate_shape: bool | None = None, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Set a variable; as `Variable.assign`."""
    return as_variable(ref).assign(value, name=name)


def assign_add(ref: Any, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    return as_variable(ref).assign_add(value, name=name)


def assign_sub(ref: Any, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    return as_variable(ref).assign_sub(value, name=name)


# collections of variables


def global_variables(scope: str | None = None) -> list[Variable]:
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def all_variables() -> list[Variable]:
    """The older name of `global_variables`."""
    return global_variables()


def trainable_variables(scope: str | None = None) -> list[Variable]:
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def local_variables(scope: str | None = None) -> list[Variable]:
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


def variables_initializer(var_list: Iterable[Variable], name: str = "init") -> Operation:
    """An operation that sets each variable to its initial value."""
    from flowc.frontend.flow import group

    return group(*(v.initializer for v in var_list), name=name)


def global_variables_initializer() -> Operation:
    """An operation that sets every variable of the default graph, made so far, to its initial value."""
    return variables_initializer(global_variables())


def initialize_all_variables() -> Operation:
    """The older name of `global_variables_initializer`."""
    return global_variables_initializer()


def local_variables_initializer() -> Operation:
    return variables_initializer(local_variables())


def is_variable_initialized(ref: Any, name: str | None = None) -> Any:
    raise GraphError("is_variable_initialized is not supported: use session.is_initialized(variable)", location=user_location())
