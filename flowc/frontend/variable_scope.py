"""Variable scopes and `get_variable`: variables that are shared by name.

    with tf.variable_scope("layer", reuse=tf.AUTO_REUSE):
        W = tf.get_variable("W", [784, 10])        # layer/W, the same Variable at each call

A variable scope prefixes the names of `get_variable`; beside it, it opens a name scope, which names everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from flowc.errors import DTypeError, GraphError, ShapeError, user_location
from flowc.frontend.convert import as_dtype_checked, has_tensor
from flowc.frontend.scope import Graph, GraphKeys, get_default_graph
from flowc.frontend.shape import TensorShape
from flowc.frontend.variable import Variable


class Reuse(Enum):
    """`AUTO_REUSE`: take the variable where it exists, else make it."""

    AUTO_REUSE = 1


AUTO_REUSE = Reuse.AUTO_REUSE


class VariableScope:
    """What `get_variable` goes by inside a scope: the names' prefix, reuse, the default initializer, regularizer and dtype."""

    def __init__(self, reuse: Any = False, name: str = "", initializer: Any = None, regularizer: Any = None, dtype: Any = None, original: str = "") -> None:
        self.reuse = reuse
        self.name = name
        self.initializer = initializer
        self.regularizer = regularizer
        self.dtype = dtype
        self.original_name_scope = original

    def reuse_variables(self) -> None:
        """From here on, `get_variable` finds variables and makes none."""
        self.reuse = True

    def set_initializer(self, initializer: Any) -> None:
        self.initializer = initializer

    def set_regularizer(self, regularizer: Any) -> None:
        self.regularizer = regularizer

    def get_variable(self, name: str, *arguments: Any, **options: Any) -> Variable:
        with _as_current(self):
            return get_variable(name, *arguments, **options)

    def global_variables(self) -> list[Variable]:
        return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, self.name + "/" if self.name else None)

    def trainable_variables(self) -> list[Variable]:
        return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, self.name + "/" if self.name else None)


def get_variable_scope() -> VariableScope:
    """The current variable scope of the default graph."""
    return _scope_of(get_default_graph())


def _scope_of(graph: Graph) -> VariableScope:
    if graph.variable_scope is None:
        graph.variable_scope = VariableScope()
    return graph.variable_scope


@contextmanager
def _as_current(scope: VariableScope) -> Iterator[VariableScope]:
    graph = get_default_graph()
    before = _scope_of(graph)
    graph.variable_scope = scope
    try:
        yield scope
    finally:
        graph.variable_scope = before


@contextmanager
def variable_scope(
    name_or_scope: Any = None,
    default_name: str | None = None,
    values: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    caching_device: Any = None,
    partitioner: Any = None,
    custom_getter: Any = None,
    reuse: Any = None,
    dtype: Any = None,
    use_resource: Any = None,
    constraint: Any = None,
    auxiliary_name_scope: bool = True,
) -> Iterator[VariableScope]:
    """A scope for variables and, of the same name made unique, for nodes.

    name_or_scope: a name below the current scope, a VariableScope to go back to, or None for `default_name` made unique.
    reuse: True to find variables only, AUTO_REUSE to find or make them, None to go on as the surrounding scope does.
    """
    graph = get_default_graph()
    before = _scope_of(graph)
    if isinstance(name_or_scope, VariableScope):
        full, short = name_or_scope.name, name_or_scope.name.rpartition("/")[2]
        start = name_or_scope
    else:
        if name_or_scope is None:
            if default_name is None:
                raise GraphError("variable_scope needs a name or a default_name", location=user_location())
            short = _unique_variable_scope(graph, before, default_name)
        else:
            short = str(name_or_scope).rstrip("/")
        full = f"{before.name}/{short}" if before.name and short else short or before.name
        start = before
        graph.scope_counts[full] = graph.scope_counts.get(full, 0) + 1
    wanted = reuse if reuse is not None else start.reuse
    if before.reuse is True and reuse is None:
        wanted = True
    with graph.name_scope(short) if auxiliary_name_scope and short else _no_scope(graph) as name_scope:
        scope = VariableScope(
            wanted, full, initializer or start.initializer, regularizer or start.regularizer,
            dtype or start.dtype, name_scope,
        )  # fmt: skip
        graph.variable_scope = scope
        try:
            yield scope
        finally:
            graph.variable_scope = before


@contextmanager
def _no_scope(graph: Graph) -> Iterator[str]:
    yield graph.name_stack


def _unique_variable_scope(graph: Graph, parent: VariableScope, name: str) -> str:
    prefix = f"{parent.name}/" if parent.name else ""
    unique, count = name, 0
    while prefix + unique in graph.scope_counts:
        count += 1
        unique = f"{name}_{count}"
    return unique


def variable_op_scope(values: Any, name_or_scope: Any, default_name: str | None = None, **options: Any) -> Any:
    """The older spelling of `variable_scope`."""
    return variable_scope(name_or_scope, default_name, values, **options)


def get_variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    collections: Any = None,
    caching_device: Any = None,
    partitioner: Any = None,
    validate_shape: bool = True,
    use_resource: Any = None,
    custom_getter: Any = None,
    constraint: Any = None,
) -> Variable:
    """The variable of this name in the current variable scope: made, or found where the scope reuses.

    initializer: a function of shape and dtype, a tensor or an array; None takes the scope's, else glorot_uniform (zeros for ints and bools).
    GraphError where it exists and the scope does not reuse, or does not exist and the scope only reuses.
    """
    graph = get_default_graph()
    scope = _scope_of(graph)
    full = f"{scope.name}/{name}" if scope.name else name
    found = graph.named_variables.get(full)
    wanted = None if dtype is None and scope.dtype is None else as_dtype_checked(dtype or scope.dtype)
    if found is not None:
        return _reused(found, full, scope, shape, wanted)
    if scope.reuse is True:
        raise GraphError(
            f"variable {full} does not exist, or was not made by get_variable", "the scope has reuse=True; did you mean reuse=tf.AUTO_REUSE?", user_location()
        )
    chosen = initializer if initializer is not None else scope.initializer
    value = _initial(graph, full, shape, wanted, chosen)
    with graph.name_scope(None):
        variable = Variable(value, trainable, collections, validate_shape, name=full, dtype=wanted if not callable(value) else None)
    graph.named_variables[full] = variable
    penalty = regularizer or scope.regularizer
    if penalty is not None:
        with graph.name_scope(full + "/Regularizer/"):
            loss = penalty(variable)
        if loss is not None:
            graph.add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)
    return variable


def _reused(found: Variable, full: str, scope: VariableScope, shape: Any, dtype: Any) -> Variable:
    place = ((f"{full} made at", found.node.loc),)
    if scope.reuse not in (True, AUTO_REUSE):
        raise GraphError(
            f"variable {full} already exists", "to share it, set reuse=True or reuse=tf.AUTO_REUSE in the variable_scope", user_location(), place
        )
    if shape is not None and not found.shape.is_compatible_with(shape):
        raise ShapeError(f"variable {full} has shape {found.shape}, {TensorShape(shape)} is asked for", repr(found.node), user_location(), place)
    if dtype is not None and dtype is not found.dtype:
        raise DTypeError(f"variable {full} is {found.dtype}, {dtype} is asked for", repr(found.node), user_location(), place)
    return found


def _initial(graph: Graph, full: str, shape: Any, dtype: Any, initializer: Any) -> Any:
    from flowc.frontend import initializers
    from flowc.ir.types import F32

    if initializer is not None and (has_tensor(initializer) or not callable(initializer)):
        return initializer
    if shape is None:
        raise ShapeError(f"get_variable: variable {full} needs a shape", location=user_location())
    kind = dtype or F32
    if initializer is None:
        initializer = initializers.glorot_uniform() if kind.is_float else initializers.zeros()
    if isinstance(initializer, type):
        initializer = initializer()
    extents = TensorShape(shape).as_list()
    if None in extents:
        raise ShapeError(f"get_variable: variable {full} needs a known shape, not {TensorShape(shape)}", location=user_location())
    return lambda: initializer(extents, dtype=kind)
