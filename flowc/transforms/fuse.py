"""Fusion: groups of nodes that become one kernel each. A Function of ops turns into a Module of calls.

    def main(x: f32[b, 20], w: f32[20, 5]):          def k0_Relu(x: f32[b, 20], w: f32[20, 5]):
        t: f32[b, 5] = matmul(x, w)            ->        t: f32[b, 5] = matmul(x, w)
        r: f32[b, 5] = relu(t)                           r: f32[b, 5] = relu(t)
        return r                                         return r

One forward sweep: each node joins the group of one of its operands where that group can also compute it, else opens its own. What a
group computes is one of four forms (`groups.Form`), and `refuses` says which node may not join which form; lowering relies on exactly these
rules. Every decision is a `Decision` record: what joins what, and for every value that goes from one kernel to another why.
"""

from __future__ import annotations

from collections.abc import Iterable

from flowc.ir.dims import Dim, Shape, product
from flowc.ir.function import CONSTANT, PARAM, Builder, Function, is_anonymous
from flowc.ir.node import Node
from flowc.ir.op import OPS, Element, Kind
from flowc.transforms.borders import Borders
from flowc.transforms.by_image import refuses_reader, taken_by_image
from flowc.transforms.groups import (
    Form,
    Group,
    is_free,
    is_nest,
    is_pointwise,
    is_reduction,
    is_view,
    nest_behind,
    reduction_axes,
    squeezed,
    trailing,
)
from flowc.transforms.records import Decision, Records

SMALL_ROW = 4096  # elements: a single row up to this size may be swept several times by one thread
LARGEST = 64  # nodes of a kernel: compiling takes longer than in proportion to a kernel's size, and its values leave the registers long before


class Fuser:
    """The sweep over one Function."""

    def __init__(self, f: Function, records: Records) -> None:
        self.f = f
        self.records = records
        self.position = {n: i for i, n in enumerate((*f.params, *f.nodes))}
        self.users = f.users()
        self.group_of: dict[Node, Group] = {}
        self.groups: dict[Group, None] = {}  # in the order in which they were opened
        self.escaping = set(f.outputs)
        self.scalars: Group | None = None
        self.borders = Borders()

    def run(self) -> Function:
        for node in self.f.nodes:
            if node.op is CONSTANT:
                continue
            if is_view(node) and self.is_inner_view(node):
                self.try_join(node)  # where it is refused, it stays in main as a view of the operand's memory
            elif not self.stays_in_main(node):
                self.place(node)
        return self.assemble()

    def stays_in_main(self, node: Node) -> bool:
        """A view of something that lies in memory needs no kernel, a copyable index op is copied where it is used."""
        if is_free(node) and self.only_pointwise_users(node):
            return True
        return is_view(node)

    def is_inner_view(self, node: Node) -> bool:
        """A view that only adds or drops extents of 1 joins its operand's kernel; any other one is a view of memory."""
        (operand,) = node.inputs[:1]
        return operand in self.group_of and squeezed(node.tensor.dims) == squeezed(operand.tensor.dims)

    def only_pointwise_users(self, node: Node) -> bool:
        users = self.users[node]
        return bool(users) and node not in self.escaping and all(is_pointwise(u) and not is_view(u) or is_reduction(u) for u in users)

    # joining

    def place(self, node: Node) -> None:
        if not (self.join_images(node) if is_nest(node) else self.try_join(node)):
            self.open(node)

    def try_join(self, node: Node) -> bool:
        """Put `node` into the group of one of its operands; False where all refuse.

        MAP groups come last: another group may absorb them, but not they another one. Else the latest comes first.
        """

        def turn(operand: Node) -> tuple[bool, int]:
            group = self.group_of.get(operand)
            return group is not None and group.form is Form.MAP, -self.position[operand]

        for operand in sorted(set(node.inputs), key=turn):
            group = self.group_of.get(operand)
            if group is None:
                continue
            reason = self.refuses(group, node)
            if reason is None and self.would_cycle(group, node):
                reason = "another operand depends on the group's result"
            if reason is None:
                self.join(group, node, operand)
                self.absorb(group, node)
                return True
            self.borders.refused[operand, node] = reason
        return False

    def join_images(self, node: Node) -> bool:
        """Put a nest into the kernel that makes the images which it reads, or into one that reads them, too: into one loop over images."""
        for operand in node.inputs:
            self.borders.refused[operand, node] = f"{node.op.name} reads its operands from memory"
        for images in taken_by_image(node):
            made_by = self.group_of.get(images)
            groups = [self.group_of[n] for n in (images, *self.users[images]) if n in self.group_of]
            for group in dict.fromkeys(groups):
                outside = [n for n in self.users[images] if self.group_of.get(n) is not group] if group is made_by else None
                reason = refuses_reader(group, node, images, outside, images in self.escaping)
                if reason is None and len(group.members) >= LARGEST:
                    reason = f"the kernel computes {LARGEST} nodes already"
                if reason is None and self.would_cycle(group, node):
                    reason = "another operand depends on the group's result"
                if reason is None:
                    group.images = images
                    group.nests.append(node)
                    self.add(group, node)
                    saved = _bytes(images) if group is made_by else 0
                    self.records.add(Decision("fused", "fuse", (images.name, node.name), f"{node.op.name} takes one image after the other", saved))
                    return True
                self.borders.refused[images, node] = reason
        return False

    def open(self, node: Node) -> None:
        if is_nest(node):
            group = Group(Form.NEST, node.tensor.dims, nests=[node])
        elif is_reduction(node):
            group = Group(Form.REDUCE, node.inputs[0].tensor.dims, axes=reduction_axes(node))
        elif product(node.tensor.dims) != 1:
            group = Group(Form.MAP, node.tensor.dims)
        elif self.scalars is not None and len(self.scalars.members) < LARGEST and not self.would_cycle(self.scalars, node):
            group = self.scalars
        else:
            group = self.scalars = Group(Form.MAP, node.tensor.dims)
        self.groups[group] = None
        self.add(group, node)

    def add(self, group: Group, node: Node) -> None:
        """Make `node` a member."""
        self.group_of[node] = group
        group.members.append(node)
        group.first, group.last = min(group.first, self.position[node]), max(group.last, self.position[node])

    def join(self, group: Group, node: Node, operand: Node) -> None:
        if is_reduction(node) and group.form is Form.MAP:
            group.form, group.domain, group.axes = Form.REDUCE, node.inputs[0].tensor.dims, reduction_axes(node)
        elif group.form is Form.MAP and node.op.kind is not Kind.MAP:
            group.domain = node.tensor.dims
        elif group.form is Form.REDUCE and self.needs_second_sweep(group, node):
            group.form = Form.ROWS
        self.add(group, node)
        saved: Dim = 0 if operand in self.escaping else _bytes(operand)
        self.records.add(Decision("fused", "fuse", (operand.name, node.name), f"{node.op.name} joins a {group.form.value} kernel", saved))

    def absorb(self, group: Group, node: Node) -> None:
        """Other operands of `node` that are MAP groups over the same domain are computed in the same sweep."""
        for operand in dict.fromkeys(node.inputs):
            other = self.group_of.get(operand)
            if other is None or other is group:
                continue
            reason = self.refuses_group(group, other, operand, node)
            if reason is not None:
                self.borders.refused.setdefault((operand, node), reason)
                continue
            for member in other.members:
                self.add(group, member)
            group.members.sort(key=self.position.__getitem__)
            del self.groups[other]
            self.records.add(
                Decision("fused", "fuse", (operand.name, node.name), "computed in the same sweep", 0 if operand in self.escaping else _bytes(operand))
            )

    # what may join what

    def refuses_group(self, group: Group, other: Group, operand: Node, node: Node) -> str | None:
        """Why the group's kernel cannot compute another group in its own sweep; None where it can. `operand`: what its `node` reads of it."""
        domain = nest_behind(group.members)[node].tensor.dims if len(group.nests) > 1 else group.domain
        if other is self.scalars:
            return "single numbers have a kernel of their own"
        if other.form is not Form.MAP:
            return f"a {other.form.value} kernel has a sweep of its own"
        if len(group.members) + len(other.members) > LARGEST:
            return f"one kernel computes at most {LARGEST} nodes"
        if squeezed(other.domain) != squeezed(domain) or other.domain != operand.tensor.dims:
            return f"it sweeps {list(map(str, domain))}, not {list(map(str, other.domain))}"
        if group.form is Form.ROWS:
            return "every sweep over a row would compute it again"
        if group.form is Form.REDUCE and squeezed(operand.tensor.dims) != squeezed(group.domain):
            return "it is of another shape than what is reduced"
        if group.form is Form.MAP and any(squeezed(m.tensor.dims) != squeezed(group.domain) for m in (*other.members, *group.members)):
            return "the values have different shapes"
        for nest in group.nests:
            if any(self.group_of.get(n) is other for n in nest.inputs):
                return f"{nest.op.name} reads its operands from memory"
        if self.merge_would_cycle(group, other):
            return "one needs the other through a third kernel"
        return None

    def refuses(self, group: Group, node: Node) -> str | None:
        """Why `node` cannot be computed by the group's kernel; None where it can."""
        if len(group.members) >= LARGEST:
            return f"the kernel computes {LARGEST} nodes already"
        if is_reduction(node):
            return self.refuses_reduction(group, node)
        if not is_pointwise(node):
            return f"{node.op.name} has no element form"
        match group.form:
            case Form.MAP:
                return self.refuses_map(group, node)
            case Form.NEST:
                return self.refuses_after_nest(group, node)
            case Form.REDUCE | Form.ROWS:
                return self.refuses_row(group, node)

    def refuses_same_shape(self, group: Group, node: Node, domain: Shape) -> str | None:
        if squeezed(node.tensor.dims) != squeezed(domain):
            return f"shapes differ: {node.tensor} after {list(map(str, domain))}"
        if node.op.kind is not Kind.MAP and not is_view(node):
            return f"{node.op.name} reads other indices"
        inside = [n for n in node.inputs if self.group_of.get(n) is group]
        if any(squeezed(n.tensor.dims) != squeezed(domain) for n in inside):
            return "an operand is broadcast"
        return None

    def refuses_after_nest(self, group: Group, node: Node) -> str | None:
        nests = nest_behind(group.members)
        behind = {nests[n] for n in node.inputs if n in nests}
        if len(behind) > 1:
            return "the operands are made in different loops"
        if group.images in node.inputs and len(group.nests) > 1:
            return "of the images there is one at a time"
        return self.refuses_same_shape(group, node, next(iter(behind)).tensor.dims if behind else group.domain)

    def refuses_map(self, group: Group, node: Node) -> str | None:
        reason = self.refuses_same_shape(group, node, group.domain)
        if reason is None:
            return None
        if node.op.kind is Kind.MAP or is_view(node):
            return reason
        # movement after a map: the kernel then sweeps the moved shape, so nothing else may be wanted of it
        if not self.closed_but_for(group, node):
            return "the values are used elsewhere too"
        form = node.op.lowering
        assert isinstance(form, Element)
        if form.repeats or form.free:
            return "elements would be computed more than once"
        if form.guarded and len(group.members) > 1:
            return f"{node.op.name} guards its reads"
        return None

    def refuses_reduction(self, group: Group, node: Node) -> str | None:
        source = node.inputs[0]
        if self.group_of.get(source) is not group:
            return "the reduced operand is not the group's"
        axes = reduction_axes(node)
        if group.form is Form.MAP:
            if source.tensor.dims != group.domain:
                return "the group sweeps another shape"
            if any(squeezed(m.tensor.dims) != squeezed(group.domain) for m in group.members if m in self.escaping or self.used_outside(m, group, node)):
                return "the group has results of another shape"
            return None
        if group.form is Form.NEST:
            return "a reduction cannot follow a loop nest"
        if source.tensor.dims != group.domain or axes != group.axes:
            return "reduces another shape or other axes"
        if self.depends_on_reduction(group, source):
            return None if self.rows_possible(group) else "a second sweep over everything is no gain"
        return None

    def refuses_row(self, group: Group, node: Node) -> str | None:
        if node.op.kind is not Kind.MAP and not is_view(node) and not is_free(node):
            return f"{node.op.name} reads other indices"
        full = node.tensor.dims == group.domain
        if squeezed(node.tensor.dims) == group.reduced and not full:
            inside = [n for n in node.inputs if self.group_of.get(n) is group]
            if any(squeezed(n.tensor.dims) != group.reduced for n in inside):
                return "an operand has another shape"
            return None
        if not full:
            return f"{node.tensor} is neither the row's nor the result's shape"
        if is_view(node):
            return "a view of the swept shape"
        if not self.needs_second_sweep(group, node):
            return None
        if not self.rows_possible(group):
            return "a second sweep over everything is no gain"
        inside = [n for n in node.inputs if self.group_of.get(n) is group]
        for operand in inside:
            if operand.tensor.dims != group.domain and not _keeps_rows(operand.tensor.dims, group):
                return "an operand is broadcast along the rows"
        return None

    def needs_second_sweep(self, group: Group, node: Node) -> bool:
        if node.tensor.dims != group.domain or squeezed(node.tensor.dims) == group.reduced:
            return False
        return any(self.group_of.get(n) is group and self.depends_on_reduction(group, n) for n in node.inputs)

    def depends_on_reduction(self, group: Group, node: Node) -> bool:
        stack, seen = [node], set()
        while stack:
            n = stack.pop()
            if n in seen or self.group_of.get(n) is not group:
                continue
            if is_reduction(n):
                return True
            seen.add(n)
            stack.extend(n.inputs)
        return False

    def rows_possible(self, group: Group) -> bool:
        if not trailing(group.axes, group.domain):
            return False
        if group.reduced:
            return True
        size = product(group.domain)
        return isinstance(size, int) and size <= SMALL_ROW

    def closed_but_for(self, group: Group, node: Node) -> bool:
        return all(m not in self.escaping and all(u is node or self.group_of.get(u) is group for u in self.users[m]) for m in group.members)

    def used_outside(self, member: Node, group: Group, but: Node) -> bool:
        return any(u is not but and self.group_of.get(u) is not group for u in self.users[member])

    # cycles

    def would_cycle(self, group: Group, node: Node) -> bool:
        """Whether an operand of `node` outside the group depends on the group."""
        return self.depends([n for n in node.inputs if self.group_of.get(n) is not group], group)

    def merge_would_cycle(self, group: Group, other: Group) -> bool:
        outside_group = [n for m in group.members for n in m.inputs if self.group_of.get(n) not in (group, other)]
        outside_other = [n for m in other.members for n in m.inputs if self.group_of.get(n) not in (group, other)]
        return self.depends(outside_group, other) or self.depends(outside_other, group)

    def depends(self, nodes: Iterable[Node], group: Group) -> bool:
        """Whether any of `nodes` needs a member of `group`: a walk over operands, whole groups at a time."""
        stack, seen_nodes, seen_groups = list(nodes), set(), set()
        while stack:
            node = stack.pop()
            if node in seen_nodes:
                continue
            seen_nodes.add(node)
            owner = self.group_of.get(node)
            if owner is group:
                return True
            if owner is None:
                stack.extend(n for n in node.inputs if self.position[n] >= group.first)
            elif id(owner) not in seen_groups:
                seen_groups.add(id(owner))
                if owner.last >= group.first:
                    stack.extend(n for m in owner.members for n in m.inputs)
        return False

    # the Module

    def assemble(self) -> Function:
        b = Builder(self.f.name)
        new: dict[Node, Node] = {p: b.param(p.name, p.type, p.loc) for p in self.f.params}
        done: set[int] = set()
        order: list[Node | Group] = []
        visiting: list[tuple[Node, bool]] = [(r, False) for r in reversed(self.f.outputs)]
        while visiting:  # depth first over groups and single nodes, operands first, without recursion
            node, ready = visiting.pop()
            if node.op is PARAM:
                continue
            owner = self.group_of.get(node)
            key = id(owner) if owner is not None else id(node)
            if ready:
                if key not in done:
                    done.add(key)
                    order.append(owner if owner is not None else node)
                continue
            if key in done:
                continue
            visiting.append((node, True))
            needed = node.inputs if owner is None else tuple(n for m in owner.members for n in self.needs(m, owner))
            visiting.extend((n, False) for n in sorted(set(needed), key=lambda n: -self.position[n]))
        serial = 0
        for item in order:
            if isinstance(item, Node):
                with b.origin(item):
                    given = None if is_anonymous(item) else item.name
                    new[item] = b.apply(item.op, *(new[n] for n in item.inputs), name=given, **item.attrs)
            else:
                self.emit_call(b, item, new, serial)
                serial += 1
        return b.finish((new[r] for r in self.f.results), ((new[p], new[v]) for p, v in self.f.updates))

    def needs(self, member: Node, group: Group) -> list[Node]:
        """What a member reads from outside its group, through copied index ops."""
        found: list[Node] = []
        for n in member.inputs:
            if self.group_of.get(n) is group:
                continue
            if is_free(n) and self.group_of.get(n) is None:
                found.extend(self.needs(n, group) if n.inputs else [])
            else:
                found.append(n)
        return found

    def emit_call(self, b: Builder, group: Group, new: dict[Node, Node], serial: int) -> None:
        wanted = [m for m in group.members if m in self.escaping or any(self.group_of.get(u) is not group for u in self.users[m])]
        views = [m for m in wanted if is_view(m) and self.group_of.get(m.inputs[0]) is group]
        results = [m for m in group.members if m not in views and (m in wanted or any(_viewed(v) is m for v in views))]
        kernel, inputs = self.kernel(group, results, f"k{serial}_{_short(group, results)}")
        self.borders.record(group.members, kernel.name, self.records)
        call = b.apply(OPS["call"], *(new[n] for n in inputs), function=kernel)
        for position, member in enumerate(results):
            with b.origin(member):
                given = None if is_anonymous(member) else member.name
                new[member] = b.apply(OPS["item"], call, index=position, name=given)
        for view in views:  # not stored a second time: a view of what is
            self.show(b, view, new)

    def show(self, b: Builder, view: Node, new: dict[Node, Node]) -> Node:
        """A view in `main` of a result of a kernel."""
        if view not in new:
            source = self.show(b, view.inputs[0], new)
            with b.origin(view):
                new[view] = b.apply(view.op, source, name=None if is_anonymous(view) else view.name, **view.attrs)
        return new[view]

    def kernel(self, group: Group, results: list[Node], name: str) -> tuple[Function, list[Node]]:
        inner = Builder(name)
        inputs: dict[Node, Node] = {}
        inside: dict[Node, Node] = {}

        in_memory = {n for nest in group.nests for n in nest.inputs}  # a nest reads its operands from buffers, numbers too

        def resolve(node: Node) -> Node:
            if node in inside:
                return inside[node]
            if node.op is CONSTANT and node.tensor.shape == () and node not in in_memory:
                return inner.apply(CONSTANT, **node.attrs)
            if is_free(node) and self.group_of.get(node) is None:
                copied = inner.apply(node.op, *(resolve(n) for n in node.inputs), **node.attrs)
                return copied
            if node not in inputs:
                inputs[node] = inner.param(_identifier(node.name), node.type, node.loc)
            return inputs[node]

        for member in group.members:
            operands = tuple(resolve(n) for n in member.inputs)
            with inner.origin(member):
                given = None if is_anonymous(member) else member.name
                inside[member] = inner.apply(member.op, *operands, name=given, **member.attrs)
        return inner.finish([inside[r] for r in results]), list(inputs)


def _viewed(node: Node) -> Node:
    """What a view of a view, and so on, shows."""
    while is_view(node):
        node = node.inputs[0]
    return node


def _keeps_rows(shape: Shape, group: Group) -> bool:
    """Whether an operand with 1 in place of the reduced axes lines up with the rows."""
    if len(shape) != len(group.domain):
        return not shape or squeezed(shape) == ()
    return all(d == 1 if i in group.axes else d == group.domain[i] for i, d in enumerate(shape)) or all(d == 1 for d in shape)


def _bytes(node: Node) -> Dim:
    """Bytes of a value."""
    return node.tensor.size * node.tensor.dtype.size


def _identifier(name: str) -> str:
    return name.replace(".", "_")


def _short(group: Group, results: list[Node]) -> str:
    """A readable ending for a kernel's name: its nest or reduction, and what it ends in."""
    leads = group.nests or [m for m in group.members if is_reduction(m)][:1]
    last = results[-1] if results else group.members[-1]
    parts = [lead.op.name for lead in leads]
    tail = last.op.name if is_anonymous(last) else last.name.rpartition(".")[2]
    if tail.lower() not in parts:
        parts.append(tail)
    return _identifier("_".join(parts))


def fuse(f: Function, records: Records | None = None) -> Function:
    """The Module in which each fused group is a `call` of a Function of its own."""
    return Fuser(f, records if records is not None else Records()).run()


__all__ = ["fuse"]
