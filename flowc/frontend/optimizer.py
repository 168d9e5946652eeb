"""What all optimizers share: gradients of a loss, slot variables, and one operation that applies an update to every variable.

    train = tf.train.AdamOptimizer(1e-3).minimize(loss)    # the operation `Adam`; running it gives None
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flowc.errors import GraphError, user_location
from flowc.frontend.array_ops import fill
from flowc.frontend.convert import convert
from flowc.frontend.flow import group
from flowc.frontend.gradients import gradients
from flowc.frontend.math import cast
from flowc.frontend.scope import Graph, GraphKeys
from flowc.frontend.tensor import Operation, Tensor
from flowc.frontend.variable import Variable
from flowc.ir.types import DType


class Optimizer:
    """The base of all optimizers. A subclass names its slots and gives the new values of a variable and of its slots.

    learning_rate and the other settings: numbers, scalar tensors (a placeholder too) or functions without arguments that give one.
    """

    GATE_NONE, GATE_OP, GATE_GRAPH = 0, 1, 2

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        if not name:
            raise GraphError("an optimizer needs a name", location=user_location())
        self._name = name
        self._settings = settings
        self._slots: dict[str, dict[Any, Variable]] = {}

    def get_name(self) -> str:
        return self._name

    def get_slot_names(self) -> list[str]:
        return sorted(self._slots)

    def get_slot(self, var: Any, name: str) -> Variable | None:
        """The variable that keeps slot `name` of `var`; None before `apply_gradients` has made it, or where there is no such slot."""
        return self._slots.get(name, {}).get(var)

    def variables(self) -> list[Variable]:
        """Every variable that the optimizer has made."""
        return [slot for table in self._slots.values() for slot in table.values()]

    def minimize(
        self,
        loss: Any,
        global_step: Any = None,
        var_list: Iterable[Any] | None = None,
        gate_gradients: int = GATE_OP,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        name: str | None = None,
        grad_loss: Any = None,
    ) -> Operation:
        """`compute_gradients` and `apply_gradients` in one: an operation that makes one step and whose run gives None.

        GraphError where there is no variable, or no gradient for any.
        """
        pairs = self.compute_gradients(loss, var_list, gate_gradients, aggregation_method, colocate_gradients_with_ops, grad_loss)
        if all(gradient is None for gradient, _ in pairs):
            names = ", ".join(v.op.name for _, v in pairs)
            raise GraphError(
                "No gradients provided for any variable: the loss does not depend on one through ops that have a gradient",
                f"minimize({convert(loss).name}) over {names}",
                user_location(),
            )
        return self.apply_gradients(pairs, global_step, name)

    def compute_gradients(
        self,
        loss: Any,
        var_list: Iterable[Any] | None = None,
        gate_gradients: int = GATE_OP,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> list[tuple[Tensor | None, Any]]:
        """Pairs (gradient, variable) of `loss`, a float tensor, for `var_list` (by default the graph's trainable variables)."""
        loss = convert(loss() if callable(loss) else loss)
        variables = list(loss.graph.get_collection(GraphKeys.TRAINABLE_VARIABLES) if var_list is None else var_list)
        if not variables:
            raise GraphError("No variables to optimize: the graph has no trainable variable", f"loss {loss!r}", user_location())
        found = gradients(loss, variables, None if grad_loss is None else [grad_loss])
        return list(zip(found, variables, strict=True))

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]], global_step: Any = None, name: str | None = None) -> Operation:
        """An operation that applies gradients to their variables (those with gradient None are left alone) and counts `global_step` up.

        GraphError where there is no pair, or none with a gradient.
        """
        pairs = list(grads_and_vars)
        if not pairs:
            raise GraphError("No variables provided: apply_gradients has no pairs", location=user_location())
        wanted = [(convert(gradient, v.dtype), v) for gradient, v in pairs if gradient is not None]
        if not wanted:
            names = ", ".join(v.op.name for _, v in pairs)
            raise GraphError(f"No gradients provided for any variable: {names}", location=user_location())
        graph: Graph = wanted[0][1].graph
        with graph.as_default(), graph.control_dependencies(None):
            self._create(graph, [v for _, v in wanted])
            with graph.name_scope(name or self._name) as scope:
                self._prepare()
                updates: list[Any] = []
                for gradient, v in wanted:
                    with graph.name_scope(f"update_{v.op.name}"):
                        updates += self._apply(gradient, v)
                updates += self._finish(graph)
                if global_step is None:
                    return group(*updates, name=scope)
                with graph.control_dependencies([group(*updates, name="update")]):
                    step = global_step.assign_add(1, name=scope)
                return step.op

    # for subclasses

    def _create(self, graph: Graph, variables: Sequence[Any]) -> None:
        """Make the slots of `variables`."""

    def _apply(self, gradient: Tensor, v: Any) -> list[Any]:
        """The operations that update `v` and its slots."""
        raise AssertionError("an optimizer says how it applies a gradient")

    def _finish(self, graph: Graph) -> list[Any]:
        """Updates that are made once, after those of all variables."""
        return []

    def _prepare(self) -> None:
        """Turn the settings into tensors, under the optimizer's scope."""
        values = {key: value() if callable(value) else value for key, value in self._settings.items()}
        self._tensors = {key: convert(value, None if isinstance(value, Tensor) else "f32", name=key) for key, value in values.items()}

    def _setting(self, key: str, v: Any) -> Tensor:
        """A setting as a scalar of `v`'s dtype."""
        return in_dtype(self._tensors[key], v.dtype)

    def _slot(self, v: Any, key: str, initial: float = 0.0) -> Variable:
        """The slot `key` of `v`, made filled with `initial` and named `<v>/<optimizer>` where there is none yet."""
        table = self._slots.setdefault(key, {})
        if v not in table:
            table[v] = slot_variable(v, self._name, lambda: fill(v.get_shape().as_list(), convert(initial, v.dtype)))
        return table[v]


def in_dtype(value: Any, dtype: DType) -> Tensor:
    """A tensor or variable's value in `dtype`: itself where it has it."""
    tensor = convert(value)
    return tensor if tensor.dtype is dtype else cast(tensor, dtype)


def slot_variable(v: Any, name: str, initial: Callable[[], Any]) -> Variable:
    """A variable named `<variable scope>/<v>/<name>`, not trainable: what an optimizer keeps for `v`."""
    graph: Graph = v.graph
    surrounding = graph.variable_scope.name if graph.variable_scope is not None else ""
    full = "/".join(part for part in (surrounding, v.op.name, name) if part)
    with graph.name_scope(None):
        return Variable(initial, trainable=False, name=full, dtype=v.dtype)
