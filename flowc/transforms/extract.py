"""Extraction: what one run of a Graph needs, as a pure Function. Effects end here.

    x = placeholder, W = variable, y = x * read(W), s = assign_sub(W, y)
    extract([y, s], [x])    # def main(x, W):  y = mul(x, W); v0 = sub(W, y); W[...] = v0; return y, v0

A reverse sweep from the fetches over inputs and control edges, cut at fed nodes, finds what is live; a forward sweep in creation order
turns reads into the variable's value at that place, and writes into updates that land together at the end of the run.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence

from flowc.errors import FeedError, FetchError
from flowc.ir.function import Builder, Function
from flowc.ir.node import Node, describe
from flowc.ir.op import Effect
from flowc.ir.types import TensorType
from flowc.structs import Struct

_LOWERED = {"assign": None, "assign_add": "add", "assign_sub": "sub"}


class Extraction(Struct, eq=False):
    """A Function and how its params and results belong to the Graph.

    function's params are `feeds`, then `variables`, then the run counter where `uses_counter`. reads: variables whose old value matters;
    writes: variables that take a new value, in the order of `function.updates`; fetches: for each fetch the position of its result
    (equal nodes share one), None for an operation that has no value.
    """

    function: Function
    feeds: tuple[Node, ...]
    variables: tuple[Node, ...]
    reads: frozenset[Node]
    writes: tuple[Node, ...]
    uses_counter: bool
    fetches: tuple[int | None, ...]


def extract(fetches: Sequence[Node], feeds: Sequence[Node], name: str = "main") -> Extraction:
    """The Function that computes `fetches` from `feeds` (nodes of one Graph, each fed once) and the variables' values.

    FeedError names a placeholder that is needed and not fed; FetchError a fetch that is a variable's place and no value.
    """
    live = _live(fetches, set(feeds))
    feeds = tuple(dict.fromkeys(feeds))
    fed = set(feeds)
    variables = tuple(v for v in live if v.op.effect is Effect.VARIABLE and v not in fed)
    counter = next((n for n in live if n.op.effect is Effect.FEED and n.op.name == "run_counter" and n not in fed), None)

    b = Builder(name, lenient=True)
    value: dict[Node, Node] = {}
    for node in (*feeds, *variables):
        value[node] = b.param(identifier(node.name), node.type, node.loc)
    if counter is not None:
        value[counter] = b.param("run", counter.type)
    current = {v: value[v] for v in (*variables, *(f for f in feeds if f.op.effect is Effect.VARIABLE))}
    written: dict[Node, None] = {}

    for node in live:
        if node in value or node.op.effect is Effect.GROUP:
            continue
        if node.op.effect is Effect.READ:
            value[node] = current[node.inputs[0]]
        elif node.op.effect is Effect.WRITE:
            variable = node.inputs[0]
            if variable in fed:
                raise FeedError(f"variable {variable.name} is fed and written in one run", f"{node.name} = {describe(node.op, node.inputs)}", node.loc)
            current[variable] = value[node] = _written(b, node, current[variable], value[node.inputs[1]])
            written[variable] = None
        else:
            plain = dotted(node.name)
            new = b.copy(node, tuple([value[n] for n in node.inputs]), plain, node.loc)
            b.rename(new, plain)
            value[node] = new

    results: dict[Node, int] = {}
    positions: list[int | None] = []
    for fetch in fetches:
        if fetch.op.effect is Effect.GROUP and fetch not in fed or not isinstance(fetch.type, TensorType):
            positions.append(None)
        else:
            positions.append(results.setdefault(value[fetch], len(results)))
    f = b.finish(results, ((value[v], current[v]) for v in written))
    used = {n for node in f.nodes for n in node.inputs} | set(f.outputs)
    reads = frozenset(v for v in variables if value[v] in used)
    return Extraction(f, feeds, variables, reads, tuple(written), counter is not None, tuple(positions))


def _live(fetches: Sequence[Node], fed: set[Node]) -> list[Node]:
    """Every node that the fetches need, in creation order; FeedError at a placeholder that nobody feeds."""
    wanted_by: dict[Node, Node] = {}
    for fetch in fetches:
        if not isinstance(fetch, Node):
            raise FetchError(f"{fetch!r} is not a node of a graph")
        stack = [fetch]
        while stack:
            node = stack.pop()
            if node in wanted_by:
                continue
            wanted_by[node] = fetch
            if node in fed:
                continue
            if node.op.effect is Effect.FEED and node.op.name != "run_counter":
                raise FeedError(f"placeholder {node.name} is not fed, and {fetch.name} needs it", f"{node.name}: {node.type} = {node.op.name}()", node.loc)
            stack.extend(node.inputs)
            stack.extend(node.control)
    return sorted(wanted_by, key=lambda n: n.serial)


def _written(b: Builder, node: Node, before: Node, operand: Node) -> Node:
    op = _LOWERED[node.op.name]
    if op is None:
        return operand
    new = b.apply(op, before, operand, name=dotted(node.name), loc=node.loc)
    b.rename(new, dotted(node.name))
    return new


def dotted(name: str) -> str:
    """A Graph's name as a Function's: `Hidden-Layer/MatMul` is `Hidden_Layer.MatMul`."""
    return ".".join(_plain(part) for part in name.split("/"))


def identifier(name: str) -> str:
    """A Graph's name as a param's: one plain identifier, `HiddenLayer_Variable`."""
    return _plain(name)


def _plain(part: str) -> str:
    if part.isascii() and part.isidentifier() and not keyword.iskeyword(part):
        return part
    part = re.sub(r"[^A-Za-z0-9_]", "_", part) or "_"
    if part[0].isdigit():
        part = "_" + part
    return part + "_" if keyword.iskeyword(part) else part
