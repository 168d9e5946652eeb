"""Random draws as nodes. A node's draws depend on its seed, the session's count of runs and the element's place, on nothing else.

    tf.set_random_seed(1);  tf.random_normal([2, 3], stddev=0.1)

The seed comes from the op's seed where it has one, else from the graph's seed and the node's name: another node added to the graph
changes no draw. Without any seed, sessions start from different counts.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flowc.errors import DTypeError, user_location
from flowc.frontend.array_ops import shape_source
from flowc.frontend.convert import as_dtype_checked, binary, convert, emit, graph_of
from flowc.frontend.scope import Graph, get_default_graph
from flowc.frontend.static import extents
from flowc.frontend.tensor import Tensor
from flowc.ir.types import F32, DType


def set_random_seed(seed: int) -> None:
    """The seed of the default graph, for random nodes that are made from now on."""
    get_default_graph().seed = int(seed)


def node_seed(graph: Graph, seed: Any, name: str) -> int:
    """The 63-bit seed of a random node called `name`: equal op seeds give equal draws, else the name tells nodes apart."""
    if seed is not None:
        graph.op_seeds = True
    text = f"{graph.seed}|{int(seed)}" if seed is not None else f"{graph.seed}|name|{name}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def draw(op: str, shape: Any, dtype: DType, seed: Any, title: str, graph: Graph) -> Tensor:
    """A node of standard draws: in [0, 1), or with mean 0 and standard deviation 1."""
    name = graph.full_name(title) + "/"
    source = shape_source(shape)
    inputs = [graph.tensor(graph.run_counter())] + ([] if source is None else [graph.tensor(source)])
    dims = None if source is not None else extents(shape, f"{op}: the shape")
    return emit(op, inputs, name, graph, shape=dims, seed=node_seed(graph, seed, name[:-1]), dtype=dtype)


def _scaled(op: str, title: str, node_title: str, shape: Any, mean: Any, stddev: Any, dtype: Any, seed: Any, name: str | None) -> Tensor:
    kind = as_dtype_checked(dtype)
    if not kind.is_float:
        raise DTypeError(f"{title}: {kind} is no float type", location=user_location())
    graph = graph_of(shape, mean, stddev)
    with graph.name_scope(name or title) as scope:
        value = draw(op, shape, kind, seed, node_title, graph)
        scaled = binary("mul", value, convert(stddev, kind, "stddev", graph), "mul")
        return binary("add", scaled, convert(mean, kind, "mean", graph), scope)


def random_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = F32, seed: Any = None, name: str | None = None) -> Tensor:
    """Draws from the normal distribution."""
    return _scaled("random_normal", "random_normal", "RandomStandardNormal", shape, mean, stddev, dtype, seed, name)


def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = F32, seed: Any = None, name: str | None = None) -> Tensor:
    """Draws from the normal distribution, with those beyond two standard deviations drawn again."""
    return _scaled("truncated_normal", "truncated_normal", "TruncatedNormal", shape, mean, stddev, dtype, seed, name)


def random_uniform(shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = F32, seed: Any = None, name: str | None = None) -> Tensor:
    """Draws from [minval, maxval), evenly; ints where `dtype` is one (then maxval must be given)."""
    kind = as_dtype_checked(dtype)
    graph = graph_of(shape, minval, maxval)
    if maxval is None:
        if not kind.is_float:
            raise DTypeError("random_uniform of ints needs maxval", location=user_location())
        maxval = 1.0
    with graph.name_scope(name or "random_uniform") as scope:
        low, high = convert(minval, kind, "min", graph), convert(maxval, kind, "max", graph)
        if kind.is_float:
            value = draw("random_uniform", shape, kind, seed, "RandomUniform", graph)
            return binary("add", binary("mul", value, binary("sub", high, low, "sub"), "mul"), low, scope)
        return _integers(graph, shape, low, high, kind, seed, scope)


def _integers(graph: Graph, shape: Any, low: Tensor, high: Tensor, kind: DType, seed: Any, scope: str) -> Tensor:
    from flowc.ir.types import F64

    unit = emit("cast", (draw("random_uniform", shape, F32, seed, "RandomUniformInt", graph),), None, dtype=F64)
    span = emit("cast", (binary("sub", high, low, "sub"),), None, dtype=F64)
    steps = emit("cast", (emit("floor", (binary("mul", unit, span, "mul"),)),), None, dtype=kind)
    return binary("add", steps, low, scope)


def random_shuffle(value: Any, seed: Any = None, name: str | None = None) -> Any:
    """Not supported: DTypeError with the user's line."""
    raise DTypeError("random_shuffle is not supported: shuffle with numpy.random.permutation and feed the result", location=user_location())


def multinomial(*arguments: Any, **options: Any) -> Any:
    """Not supported: DTypeError with the user's line."""
    raise DTypeError("multinomial is not supported: draw with numpy.random.choice and feed the result", location=user_location())


def random_crop(*arguments: Any, **options: Any) -> Any:
    """Not supported: DTypeError with the user's line."""
    raise DTypeError("random_crop is not supported: crop with NumPy and feed the result", location=user_location())
