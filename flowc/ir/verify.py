"""Verification: a Function that keeps the IR's rules, checked between passes.

Names are unique, operands stand before their users, attrs are complete, and every node's type is what its op infers.
"""

from __future__ import annotations

from flowc.errors import FlowcError, VerifyError
from flowc.ir.function import PARAM, Function
from flowc.ir.node import Node, describe
from flowc.ir.op import Effect


def verify(f: Function, after: str = "") -> Function:
    """`f` itself where it is sound; VerifyError naming the node, and the pass (`after`), where it is not."""
    where = f"{f.name}{f' after {after}' if after else ''}"
    names: set[str] = set()
    known: set[Node] = set()
    for param in f.params:
        if param.op is not PARAM:
            raise VerifyError(f"{where}: {param.name} stands among the params and is none")
        _take(names, param, where)
        known.add(param)
    for node in f.nodes:
        _take(names, node, where)
        for operand in node.inputs:
            if operand not in known:
                raise VerifyError(f"{where}: {node.name} uses {operand.name}, which does not stand before it")
        _check_type(node, where)
        known.add(node)
    for result in f.outputs:
        if result not in known:
            raise VerifyError(f"{where}: result {result.name} is not a node of it")
    for param, value in f.updates:
        if param not in f.params:
            raise VerifyError(f"{where}: update of {param.name}, which is not a param")
        if param.type != value.type:
            raise VerifyError(f"{where}: update of {param.name}: {param.type} by {value.name}: {value.type}")
    for inner in f.callees():
        verify(inner, after)
    return f


def _take(names: set[str], node: Node, where: str) -> None:
    if node.name in names:
        raise VerifyError(f"{where}: two nodes are named {node.name}")
    names.add(node.name)


def _check_type(node: Node, where: str) -> None:
    if node.op is PARAM or node.op.effect is not Effect.NONE:
        raise VerifyError(f"{where}: {node.name}: op {node.op.name} may not stand in a Function")
    try:
        wanted = node.op.result_type(tuple(n.type for n in node.inputs), node.op.complete(node.attrs))
    except FlowcError as error:
        raise VerifyError(f"{where}: {node.name} = {describe(node.op, node.inputs)}: {error.what}") from error
    if wanted != node.type:
        raise VerifyError(f"{where}: {node.name} = {describe(node.op, node.inputs)} is {wanted}, not {node.type}")
