"""Expansion: composites become the ops that define them.

    v0: f32[b] = reduce_mean(x, axis=(1,))   ->   v0: f32[b] = reduce_sum(x, axis=(1,));  v1: f32[b] = div(v0, 10.0)
"""

from __future__ import annotations

from typing import Any

from flowc.ir.expr import Emitter
from flowc.ir.function import Builder, Function, rebuild
from flowc.ir.node import Node
from flowc.ir.op import Op


def expand(f: Function) -> Function:
    """`f` without composites."""
    return rebuild(f, lambda b, node, inputs: None if node.op.expand is None else defined(b, node.op, inputs, node.attrs))


def defined(b: Builder, op: Op, inputs: tuple[Node, ...], attrs: Any) -> Node:
    """What `op` is made of, all the way down."""
    if op.expand is None:
        return b.apply(op, *inputs, **attrs)
    e = Emitter(lambda inner, operands, given: defined(b, inner, operands, inner.complete(given)))
    result: Node = op.expand(e, *(e.wrap(n) for n in inputs), **attrs).node
    return result
