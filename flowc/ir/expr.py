"""Expressions over nodes: `e.tanh(x) * 2.0`, for gradients and for definitions of composite ops.

An `Emitter` turns each application into a node through one function, so the same `vjp` serves Graph and Function. Python numbers
are weak: they become constants of the dtype of the operand that they meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.ir.dims import Dim, Shape
from flowc.ir.node import Node, Value
from flowc.ir.op import OPS, Op
from flowc.ir.types import DType, TensorType

Apply = Callable[[Op, tuple[Node, ...], dict[str, Any]], Node]
Number = bool | int | float


class Emitter:
    """Makes nodes: `e.add(x, y)`, `e.reduce_sum(x, axis=(0,))`: any op by its name, operands first, attrs by keyword."""

    def __init__(self, apply: Apply) -> None:
        self.apply = apply

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        op = OPS.get(name)
        if op is None:
            raise AttributeError(f"no op {name}")

        def call(*operands: Expr | Number, **attrs: Any) -> Expr:
            dtype = next((x.dtype for x in reversed(operands) if isinstance(x, Expr)), None)  # the last one: `where(condition, x, 0.0)`
            exprs = [x if isinstance(x, Expr) else self.constant(x, dtype) for x in operands]
            return Expr(self, self.apply(op, tuple(x.node for x in exprs), attrs))

        return call

    def wrap(self, node: Node) -> Expr:
        return Expr(self, node)

    def constant(self, value: Any, dtype: DType | None = None) -> Expr:
        """A scalar (or array) constant; `dtype` None takes NumPy's."""
        array = np.asarray(value) if dtype is None else np.asarray(value).astype(dtype.numpy)
        return Expr(self, self.apply(OPS["constant"], (), {"value": Value(array)}))


class Expr:
    """A node with arithmetic; comparison operators give bool tensors. `x.T`-like sugar is left to the ops."""

    __slots__ = ("e", "node")

    def __init__(self, e: Emitter, node: Node) -> None:
        self.e = e
        self.node = node

    @property
    def type(self) -> TensorType:
        return self.node.tensor

    @property
    def dtype(self) -> DType:
        return self.node.tensor.dtype

    @property
    def shape(self) -> Shape | None:
        return self.node.tensor.shape

    @property
    def dims(self) -> tuple[Dim, ...]:
        return self.node.tensor.dims

    def __add__(self, other: Expr | Number) -> Expr:
        return self.e.add(self, other)

    def __radd__(self, other: Number) -> Expr:
        return self.e.add(other, self)

    def __sub__(self, other: Expr | Number) -> Expr:
        return self.e.sub(self, other)

    def __rsub__(self, other: Number) -> Expr:
        return self.e.sub(other, self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return self.e.mul(self, other)

    def __rmul__(self, other: Number) -> Expr:
        return self.e.mul(other, self)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return self.e.div(self, other)

    def __rtruediv__(self, other: Number) -> Expr:
        return self.e.div(other, self)

    def __pow__(self, other: Expr | Number) -> Expr:
        return self.e.pow(self, other)

    def __neg__(self) -> Expr:
        return self.e.neg(self)

    def __gt__(self, other: Expr | Number) -> Expr:
        return self.e.greater(self, other)

    def __ge__(self, other: Expr | Number) -> Expr:
        return self.e.greater_equal(self, other)

    def __lt__(self, other: Expr | Number) -> Expr:
        return self.e.less(self, other)

    def __le__(self, other: Expr | Number) -> Expr:
        return self.e.less_equal(self, other)

    def equals(self, other: Expr | Number) -> Expr:
        """Elementwise equality (`==` stays identity)."""
        return self.e.equal(self, other)
