"""From a user's Graph to its diagram: what each node is, what is folded into which box, and what is linked.

    gradients/loss/pow_grad/Mul, gradients/loss/pow_grad/Pow, ...   ->   one box `gradients/loss/pow_grad`
    GradientDescent/update_W/...                                    ->   one box `GradientDescent/update_W`, which writes W
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from flowc.errors import GraphError
from flowc.ir.function import CONSTANT
from flowc.ir.graph import Graph
from flowc.ir.node import Node
from flowc.ir.op import Effect
from flowc.ir.types import TensorType
from flowc.transforms.autodiff import partner
from flowc.viz.model import Box, Diagram, Kind, Link, LinkKind, Types, short_value, tells_its_op

_GRADIENTS = re.compile(r"(?:^|.*/)gradients(?:_\d+)?(?=/)")
_UPDATES = re.compile(r"(.+?)/update(?=_|$)")
_SAVERS = re.compile(r"(?:^|.*/)save(?:_\d+)?(?=/)")


def of_graph(graph: Graph, full: bool, title: str, only: Collection[Node] | None, types: Types) -> Diagram:
    """The diagram of a Graph; `full`: a box for every node; `only`: the nodes to draw, with what initializes their variables."""
    cycle = graph.cycle()
    if cycle:
        raise GraphError(f"control edges form a cycle: {' -> '.join(n.name for n in cycle)}", location=cycle[0].loc)
    return _Drawing(graph, full, only, types).draw(title)


class Roles:
    """What each node of a Graph is for: which are initial values, gradients, an optimizer's, a saver's.

    optimizers: scopes in which variables are updated; initial: for each node that serves initial values only, the variables' assigns;
    saved: the nodes in scopes named `save`, as TensorFlow's Saver names its own, whose values nothing outside of them uses.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users: dict[Node, list[Node]] = {n: [] for n in graph.nodes}
        for node in graph.nodes:
            for operand in dict.fromkeys((*node.inputs, *node.control)):
                self.users[operand].append(node)
        variables = getattr(graph, "variables", {})
        self.trainable = {n for n, v in variables.items() if v.trainable}
        self.assigns = {v.initializer_node for v in variables.values()} or {n for n in graph.nodes if n.op.name == "assign" and n.name.endswith("/Assign")}
        self.initial = self._initial()
        found = [_UPDATES.match(n.name) for n in graph.nodes if n.op.effect in (Effect.WRITE, Effect.GROUP) and n not in self.assigns]
        self.optimizers = tuple(dict.fromkeys(match.group(1) for match in found if match))
        self.saved = self._saved()

    def _saved(self) -> set[Node]:
        scopes: dict[str, list[Node]] = {}
        for node in self.graph.nodes:
            if match := _SAVERS.match(node.name):
                scopes.setdefault(match.group(), []).append(node)
        return {n for scope, nodes in scopes.items() if all(u.name.startswith(f"{scope}/") for n in nodes for u in self.users[n]) for n in nodes}

    def _initial(self) -> dict[Node, Node]:
        """Each node that only serves initial values, with the assign that it serves first."""
        serves: dict[Node, Node] = {}
        for node in reversed(self.graph.nodes):
            users = self.users[node]
            if node in self.assigns:
                serves[node] = node
            elif node.op.effect is Effect.VARIABLE:
                continue
            elif users and all(u in serves for u in users):
                serves[node] = serves[users[0]]
            elif not users and node.control and node.op.effect is Effect.GROUP and all(c in self.assigns for c in node.control):
                serves[node] = node
        return serves

    def optimizer(self, name: str) -> str | None:
        """The optimizer scope that a name belongs to."""
        return next((s for s in self.optimizers if name == s or name.startswith(f"{s}/")), None)

    def slot_of(self, variable: Node) -> list[Node]:
        """The optimizer's nodes that use a variable which nobody else uses; empty for any other variable."""
        if variable in self.trainable:
            return []
        users = [u for u in self._uses(variable) if u not in self.initial]
        return users if users and all(self.optimizer(u.name) for u in users) else []

    def _uses(self, variable: Node) -> list[Node]:
        found: list[Node] = []
        for user in self.users[variable]:
            found += self.users[user] if user.op.effect is Effect.READ else [user]
        return found

    def kind(self, node: Node) -> Kind:
        if node in self.saved:
            return Kind.SAVER
        if node.op.name.endswith("_summary"):
            return Kind.SUMMARY
        if node.op.effect is Effect.VARIABLE:
            return Kind.OPTIMIZER if self.slot_of(node) else Kind.VARIABLE
        if node.op.effect is Effect.READ and self.slot_of(node.inputs[0]):
            return Kind.OPTIMIZER
        if node.op.effect is Effect.FEED:
            return Kind.PLACEHOLDER
        if node in self.initial:
            return Kind.INIT
        if is_gradient(node.name):
            return Kind.GRADIENT
        if self.optimizer(node.name):
            return Kind.OPTIMIZER
        if node.op is CONSTANT:
            return Kind.CONSTANT
        if node.op.effect is Effect.WRITE:
            return Kind.ASSIGNMENT
        return Kind.RANDOM if node.op.random else Kind.OP


def is_gradient(name: str) -> bool:
    return partner(name) is not None or _GRADIENTS.match(name) is not None


class _Drawing:
    """One drawing of one Graph."""

    def __init__(self, graph: Graph, full: bool, only: Collection[Node] | None, types: Types) -> None:
        self.graph = graph
        self.full = full
        self.types = types
        self.roles = Roles(graph)
        self.kinds = {n: self.roles.kind(n) for n in graph.nodes}
        self.update_scopes = {f"{s}/update_{n.name}" for s in self.roles.optimizers for n in graph.nodes if n.op.effect is Effect.VARIABLE}
        drawn = [n for n in graph.nodes if only is None or n in only or self.initializes(n, only)]
        self.places = {n: n.name if full else self.place(n) for n in drawn}
        self.names = {n.name for n in graph.nodes}
        self.pulled = {p for n, p in self.places.items() for i in n.inputs if self.kinds[i] is Kind.GRADIENT and self.places.get(i) != p}

    def draw(self, title: str) -> Diagram:
        drawn = Diagram(title, types=self.types)
        members: dict[str, list[Node]] = {}
        for node, name in self.places.items():
            if name is not None:
                members.setdefault(name, []).append(node)
        nodes_only = self.names.difference(self.roles.optimizers)
        for name, nodes in members.items():
            box = self.box(name, nodes)
            drawn.open_scopes(box.scope, "/", nodes_only)
            drawn.add_box(box)
        for scope in drawn.scopes:
            drawn.scopes.nodes[scope]["kind"] = self.scope_kind(scope)
        for node in self.places:
            self.link(drawn, node)
        return drawn

    def initializes(self, node: Node, only: Collection[Node]) -> bool:
        """Whether a node serves the initial value of a variable that is drawn."""
        assign = self.roles.initial.get(node)
        return assign is not None and bool(assign.inputs) and assign.inputs[0] in only

    # boxes

    def place(self, node: Node) -> str | None:
        """The name of the box that a node is folded into; None for what a folded diagram leaves out."""
        if node.op.effect is Effect.READ:
            return self.place(node.inputs[0])
        if node.op.name == "run_counter":
            return None
        if node.op.effect is Effect.VARIABLE:
            users = self.roles.slot_of(node)
            places = {self.optimizer_place(u.name) for u in users}
            return node.name if not users else places.pop() if len(places) == 1 else self.roles.optimizer(users[0].name)
        if node in self.roles.initial:
            assign = self.roles.initial[node]
            if assign.op.effect is Effect.GROUP or self.roles.slot_of(assign.inputs[0]):
                return None
            return assign.name
        if self.kinds[node] is Kind.GRADIENT and partner(node.name):
            return node.scope
        if self.kinds[node] is Kind.OPTIMIZER:
            return self.optimizer_place(node.name)
        return node.name

    def optimizer_place(self, name: str) -> str:
        scope = name
        while scope:
            if scope in self.update_scopes:
                return scope
            scope = scope.rpartition("/")[0]
        return self.roles.optimizer(name) or name

    def box(self, name: str, nodes: Sequence[Node]) -> Box:
        first = next((n for n in nodes if n.name == name), nodes[0])
        kind = self.kinds[first] if name == first.name else self.kinds[nodes[-1]]
        if kind in (Kind.GRADIENT, Kind.OPTIMIZER) and not self.full:
            lines = self.folded_lines(name, kind, nodes)
        else:
            lines = self.node_lines(first, nodes)
        scope = self.scope(name)
        lines = (name.removeprefix(f"{scope}/"), *lines)
        return Box(name, kind, scope, lines, len(nodes), where=first.loc.short if first.loc else "", nodes=tuple(nodes))

    def scope(self, name: str) -> str:
        """The scope that a box stands in: names of nodes are no scopes, but for the optimizers'."""
        if name in self.roles.optimizers:
            return name
        if name in self.update_scopes and not self.full:
            return self.roles.optimizer(name) or ""
        scope = name.rpartition("/")[0]
        while scope in self.names and scope not in self.roles.optimizers:
            scope = scope.rpartition("/")[0]
        return scope

    def node_lines(self, node: Node, nodes: Sequence[Node]) -> tuple[str, ...]:
        """What a box says below its name."""
        kind = self.kinds[node]
        if kind is Kind.INIT and not self.full:
            return (self.initial_value(node, nodes),)
        if node.op is CONSTANT:
            value = short_value(node.attrs["value"].array)
            return (value,) if value else (self.types.label(node),)
        if kind in (Kind.VARIABLE, Kind.PLACEHOLDER) or node.op.effect is Effect.VARIABLE:
            return (self.types.label(node),)
        said = [] if tells_its_op(node.name.rpartition("/")[2], node.op) else [node.op.name]
        if not self.roles.users[node] and isinstance(node.type, TensorType):
            said.append(self.types.label(node))
        return tuple(said)

    def initial_value(self, assign: Node, nodes: Sequence[Node]) -> str:
        drawn = next((n.op.name for n in nodes if n.op.random), None)
        if drawn is not None:
            return drawn
        value = assign.inputs[1]
        if value.op.name == "broadcast_to" and value.inputs[0].op is CONSTANT:  # zeros and ones of some size
            return f"all {short_value(value.inputs[0].attrs['value'].array)}"
        return (short_value(value.attrs["value"].array) or "constant") if value.op is CONSTANT else value.op.name

    def folded_lines(self, name: str, kind: Kind, nodes: Sequence[Node]) -> tuple[str, ...]:
        said = []
        if kind is Kind.OPTIMIZER:
            numbers = [n for n in nodes if n.op is CONSTANT and n.tensor.shape == () and name in self.roles.optimizers]
            said += [f"{n.name.rpartition('/')[2]} = {short_value(n.attrs['value'].array)}" for n in numbers[:4]]
            slots = [n for n in nodes if n.op.effect is Effect.VARIABLE]
            said += [f"keeps {n.name}: {n.type}" for n in slots[:4]]
        work = sum(n.op is not CONSTANT and n.op.effect in (Effect.NONE, Effect.WRITE) for n in nodes)
        return (*said, f"{work} operation{'' if work == 1 else 's'}") if work else tuple(said)

    def scope_kind(self, scope: str) -> Kind | None:
        if is_gradient(f"{scope}/"):
            return Kind.GRADIENT
        if (match := _SAVERS.match(f"{scope}/")) and any(n.name.startswith(f"{match.group()}/") for n in self.roles.saved):
            return Kind.SAVER
        return Kind.OPTIMIZER if scope and self.roles.optimizer(scope) else None

    # links

    def link(self, drawn: Diagram, node: Node) -> None:
        target = self.places[node]
        if target is None:
            return
        like = self.shape_operands(node)
        for position, operand in enumerate(node.inputs):
            source = self.places.get(operand)
            if source is None or source == target or self.is_of_its_optimizer(source, target):
                continue
            if node.op.effect is Effect.WRITE and position == 0:
                drawn.add_link(target, source, self.types.link(LinkKind.UPDATE, node))
            elif position not in like:
                drawn.add_link(source, target, self.types.link(LinkKind.DATA, operand))
            elif self.full or self.kinds[node] not in (Kind.GRADIENT, Kind.OPTIMIZER) or self.starts_gradient(operand, target):
                drawn.add_link(source, target, self.types.link(LinkKind.SHAPE, operand))
        for before in node.control:
            source = self.places.get(before)
            if source is not None and source != target:
                drawn.add_link(source, target, Link(LinkKind.CONTROL))

    def starts_gradient(self, operand: Node, target: str) -> bool:
        """Whether a gradient begins here: at the node that it is the gradient of."""
        return partner(f"{target}/x") == operand.name and target not in self.pulled

    def is_of_its_optimizer(self, source: str, target: str) -> bool:
        """A folded optimizer's settings go to all of its updates: no line says that."""
        return not self.full and source in self.roles.optimizers and target.startswith(f"{source}/")

    @staticmethod
    def shape_operands(node: Node) -> set[int]:
        """The operands of which only the shape matters."""
        last = len(node.op.operands) - 1
        found = set()
        for position in node.op.like:
            if node.op.variadic and position == last:
                found |= set(range(position, len(node.inputs)))
            else:
                found.add(position)
        return found
