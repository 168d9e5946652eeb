"""Learning rates that change with the global step, and gradients that are cut to size.

    step = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.1, step, 1000, 0.96, staircase=True)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowc.errors import GraphError, user_location
from flowc.frontend.array_ops import where
from flowc.frontend.convert import convert, graph_of
from flowc.frontend.math import (
    add_n,
    cast,
    exp,
    floor,
    less_equal,
    maximum,
    minimum,
    pow,
    reduce_sum,
    sqrt,
    square,
)
from flowc.frontend.scope import Graph, GraphKeys, get_default_graph, name_scope
from flowc.frontend.tensor import Tensor
from flowc.frontend.variable import Variable
from flowc.ir.types import I64

# the global step


def get_global_step(graph: Graph | None = None) -> Variable | None:
    """The graph's variable that counts training steps; None where there is none."""
    found = (graph or get_default_graph()).get_collection(GraphKeys.GLOBAL_STEP)
    return found[0] if found else None


def create_global_step(graph: Graph | None = None) -> Variable:
    """Make the global step, an i64 variable `global_step` that starts at 0. GraphError where there is one."""
    graph = graph or get_default_graph()
    if get_global_step(graph) is not None:
        raise GraphError("the graph has a global step already: use get_global_step", location=user_location())
    with graph.as_default(), graph.name_scope(None):
        collections = [GraphKeys.GLOBAL_VARIABLES, GraphKeys.GLOBAL_STEP]
        return Variable(0, trainable=False, collections=collections, name="global_step", dtype=I64)


def get_or_create_global_step(graph: Graph | None = None) -> Variable:
    """The graph's global step, made where there is none."""
    found = get_global_step(graph)
    return found if found is not None else create_global_step(graph)


def global_step(sess: Any, global_step_tensor: Any) -> int:
    """The global step's value in a session."""
    return int(sess.run(global_step_tensor))


# decays


def exponential_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False, name: str | None = None
) -> Tensor:
    """`learning_rate * decay_rate ** (global_step / decay_steps)`, the exponent rounded down with `staircase`."""
    with name_scope(name or "ExponentialDecay", values=[global_step]):
        rate, progress = _progress(learning_rate, global_step, decay_steps, staircase)
        return rate * pow(convert(decay_rate, rate.dtype), progress)


def natural_exp_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False, name: str | None = None
) -> Tensor:
    """`learning_rate * exp(-decay_rate * global_step / decay_steps)`."""
    with name_scope(name or "NaturalExpDecay", values=[global_step]):
        rate, progress = _progress(learning_rate, global_step, decay_steps, staircase)
        return rate * exp(-convert(decay_rate, rate.dtype) * progress)


def inverse_time_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False, name: str | None = None
) -> Tensor:
    """`learning_rate / (1 + decay_rate * global_step / decay_steps)`."""
    with name_scope(name or "InverseTimeDecay", values=[global_step]):
        rate, progress = _progress(learning_rate, global_step, decay_steps, staircase)
        return rate / (convert(decay_rate, rate.dtype) * progress + 1.0)


def polynomial_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    end_learning_rate: Any = 0.0001,
    power: Any = 1.0,
    cycle: bool = False,
    name: str | None = None,
) -> Tensor:
    """`(learning_rate - end) * (1 - min(step, decay_steps) / decay_steps) ** power + end`; GraphError for `cycle`, which is not supported."""
    if cycle:
        raise GraphError("polynomial_decay: cycle=True is not supported", location=user_location())
    with name_scope(name or "PolynomialDecay", values=[global_step]):
        rate, progress = _progress(learning_rate, global_step, decay_steps, False)
        end = convert(end_learning_rate, rate.dtype)
        return (rate - end) * pow(1.0 - minimum(progress, 1.0), convert(power, rate.dtype)) + end


def _progress(learning_rate: Any, global_step: Any, decay_steps: Any, staircase: bool) -> tuple[Tensor, Tensor]:
    """The learning rate as a tensor, and `global_step / decay_steps` in its dtype."""
    if global_step is None:
        raise GraphError("a learning rate that decays needs a global_step", location=user_location())
    rate = convert(learning_rate, name="learning_rate")
    progress = cast(convert(global_step), rate.dtype) / cast(convert(decay_steps), rate.dtype)
    return rate, floor(progress) if staircase else progress


def piecewise_constant(x: Any, boundaries: Sequence[Any], values: Sequence[Any], name: str | None = None) -> Tensor:
    """values[0] where `x <= boundaries[0]`, values[i] where `boundaries[i - 1] < x <= boundaries[i]`, else the last one.

    GraphError where there is not one value more than there are boundaries.
    """
    if len(boundaries) != len(values) - 1:
        raise GraphError(
            f"piecewise_constant: {len(boundaries)} boundaries and {len(values)} values; one value more than boundaries is expected",
            location=user_location(),
        )
    with name_scope(name or "PiecewiseConstant", values=[x]):
        x = convert(x)
        found = convert(values[-1])
        for boundary, value in reversed(list(zip(boundaries, values[:-1], strict=True))):
            found = where(less_equal(x, boundary), convert(value, found.dtype), found)
        return found


# clipping


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """`t * clip_norm / max(norm, clip_norm)`: t cut to an l2 norm (along `axes`, by default all) of at most `clip_norm`."""
    t = convert(t)
    with t.graph.name_scope(name or "clip_by_norm"):
        norm = sqrt(reduce_sum(square(t)) if axes is None else reduce_sum(square(t), axes, keepdims=True))
        return t * clip_norm / maximum(norm, clip_norm)


def global_norm(t_list: Sequence[Any], name: str | None = None) -> Tensor:
    """The l2 norm of all tensors of the list together; None among them counts nothing. GraphError where the list holds no tensor."""
    given = [convert(t) for t in t_list if t is not None]
    if not given:
        raise GraphError("global_norm: the list holds no tensor", location=user_location())
    with given[0].graph.name_scope(name or "global_norm"):
        return sqrt(add_n([reduce_sum(square(t)) for t in given]))


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Tensor | None], Tensor]:
    """Each t times `clip_norm / max(global_norm, clip_norm)`, and the global norm. None stays None."""
    norm = global_norm(t_list, name) if use_norm is None else convert(use_norm)
    with graph_of(norm).name_scope(name or "clip_by_global_norm"):
        scale = clip_norm / maximum(norm, clip_norm)
        return [None if t is None else convert(t) * scale for t in t_list], norm


__all__ = [
    "clip_by_global_norm",
    "clip_by_norm",
    "create_global_step",
    "exponential_decay",
    "get_global_step",
    "get_or_create_global_step",
    "global_norm",
    "global_step",
    "inverse_time_decay",
    "natural_exp_decay",
    "piecewise_constant",
    "polynomial_decay",
]
