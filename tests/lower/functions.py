"""Random Functions, drawn by hypothesis: a few dozen ops over shapes with a symbolic batch `b`, all well defined on any input."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import flowc.ops  # noqa: F401  (fills the op table)
from flowc.ir.dims import Dim, Sym, product
from flowc.ir.function import Builder, Function
from flowc.ir.node import Node
from flowc.ir.types import F32, TensorType

B = Sym.named("b")
# continuous and well conditioned at any size of argument, so that two orders of a sum stay close through a chain
UNARY = ("neg", "relu", "tanh", "square", "abs", "sigmoid", "softplus")
BINARY = ("add", "sub", "mul", "maximum", "minimum", "squared_difference")
REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_mean")
SHAPES: tuple[tuple[Dim, ...], ...] = ((B, 5), (B, 3, 4), (B,), (5,), (3, 4), (), (1, 5), (B, 1), (B, 17))


class Maker:
    """Draws one Function."""

    def __init__(self, draw: Any, steps: int) -> None:
        self.draw = draw
        self.b = Builder("main")
        self.values: list[Node] = [self.b.param(f"x{i}", TensorType(F32, draw(st.sampled_from(SHAPES)))) for i in range(draw(st.integers(1, 4)))]
        self.params = list(self.values)
        for _ in range(steps):
            made = getattr(self, draw(st.sampled_from(("unary", "unary", "binary", "binary", "binary", "reduce", "reduce", "move", "choose", "composite"))))()
            if made is not None:
                self.values.append(made)

    def pick(self) -> Node:
        # recent values more often, so that chains get long
        at = min(self.draw(st.integers(0, 2 * len(self.values))), len(self.values) - 1)
        return self.values[at]

    def unary(self) -> Node:
        return self.b.apply(self.draw(st.sampled_from(UNARY)), self.pick())

    def binary(self) -> Node | None:
        x, y = self.pick(), self.pick()
        return self.b.apply(self.draw(st.sampled_from(BINARY)), x, y) if _broadcast(x, y) else None

    def choose(self) -> Node | None:
        x, y = self.pick(), self.pick()
        if not _broadcast(x, y):
            return None
        return self.b.apply("where", self.b.apply("greater", x, y), self.b.apply("sub", x, y), self.b.apply("sub", y, x))

    def reduce(self) -> Node | None:
        x = self.pick()
        if x.tensor.rank == 0:
            return None
        axes = self.draw(st.sets(st.integers(0, x.tensor.rank - 1), min_size=1))
        return self.b.apply(self.draw(st.sampled_from(REDUCTIONS)), x, axis=tuple(sorted(axes)), keepdims=self.draw(st.booleans()))

    def composite(self) -> Node | None:
        x = self.pick()
        return self.b.apply(self.draw(st.sampled_from(("softmax", "log_softmax"))), x, axis=-1) if x.tensor.rank else None

    def move(self) -> Node | None:
        x = self.pick()
        rank = x.tensor.rank
        match self.draw(st.sampled_from(("transpose", "reshape", "expand", "slice", "pad", "concat", "reverse"))):
            case "transpose" if rank > 1:
                return self.b.apply("transpose", x, perm=tuple(self.draw(st.permutations(range(rank)))))
            case "reshape" if rank > 1:
                return self.b.apply("reshape", x, shape=(-1,))
            case "expand":
                return self.b.apply("expand_dims", x, axis=(self.draw(st.integers(0, rank)),))
            case "slice" if rank and isinstance(x.tensor.dims[-1], int) and x.tensor.dims[-1] > 2:
                whole = (None,) * (rank - 1)
                begin, stride = (*whole, self.draw(st.integers(0, 1))), (*whole, self.draw(st.integers(1, 2)))
                return self.b.apply("slice", x, begin=begin, end=(*whole, None), stride=stride)
            case "pad" if rank:
                return self.b.apply("pad", x, paddings=((0, 0),) * (rank - 1) + ((self.draw(st.integers(0, 2)), 1),), value=0.5)
            case "concat" if rank:
                return self.b.apply("concat", x, x, axis=self.draw(st.integers(0, rank - 1)))
            case "reverse" if rank:
                return self.b.apply("reverse", x, axis=(0,))
        return None

    def finish(self) -> Function:
        results = self.draw(st.lists(st.sampled_from(self.values), min_size=1, max_size=3))
        updates = []
        for param in self.params:
            same = [v for v in self.values if v.type == param.type and v is not param]
            if same and self.draw(st.booleans()):
                updates.append((param, self.draw(st.sampled_from(same))))
        return self.b.finish(results, updates)


def _broadcast(x: Node, y: Node) -> bool:
    """Whether two values broadcast to something of bounded size."""
    left, right = x.tensor.dims, y.tensor.dims
    pairs = list(zip(reversed(left), reversed(right), strict=False))
    if not all(p == q or 1 in (p, q) for p, q in pairs):
        return False
    size = product(tuple(p if q == 1 else q for p, q in pairs))
    return not isinstance(size, Sym) or all(len(m) <= 1 for m, _ in size.terms)


@st.composite
def functions(draw: Any, steps: int = 12) -> Function:
    return Maker(draw, draw(st.integers(1, steps))).finish()


def arguments(f: Function, b: int, seed: int) -> list[np.ndarray]:
    """Random arrays for the params, with the batch `b`."""
    rng = np.random.default_rng(seed)
    arrays = []
    for param in f.params:
        shape = tuple(d if isinstance(d, int) else b for d in param.tensor.dims)
        arrays.append(rng.standard_normal(shape).astype(param.tensor.dtype.numpy))
    return arrays
