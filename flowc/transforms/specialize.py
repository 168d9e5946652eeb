"""Specialization: a Function of feeds of any rank and extent becomes one with every type known, good for a whole family of shapes.

    def main(x: f32[...], y: f32[b]):   shapes (4,), (4,)   ->   def main(x: f32[b], y: f32[b]):

Only what changes code is bound: rank, which unknown extents are equal, which are 1. So batches of 10, 100 and 10 000 share one Function.
Where that cannot be typed (a reshape that fits one batch size only) the extents themselves are bound.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from flowc.config import settings
from flowc.errors import FeedError, FlowcError, ShapeError
from flowc.ir import dims
from flowc.ir.dims import Call, Dim, Sym
from flowc.ir.function import Builder, Function, rebuild
from flowc.ir.node import Node, map_dims
from flowc.ir.reserved import unreserved
from flowc.ir.types import TensorType, Type
from flowc.ir.verify import verify
from flowc.structs import Struct, field
from flowc.transforms.autodiff import inline_calls

Shapes = tuple[tuple[int, ...], ...]


def pattern(f: Function, shapes: Sequence[Sequence[int]]) -> Hashable:
    """The facts about params' shapes that change code: rank, which unknown extents are 1, and which are equal.

    shapes: of the first params, in order; params beyond them must have known extents. FeedError where one cannot be its param's.
    """
    groups: dict[int, int] = {}
    facts: list[tuple[int, ...]] = []
    for param, shape in zip(f.params, shapes, strict=False):
        declared = param.tensor.shape
        if declared is None:
            facts.append(tuple(1 if extent == 1 else groups.setdefault(extent, 2 + len(groups)) for extent in shape))
            continue
        if len(declared) != len(shape) or any(isinstance(d, int) and d != extent for d, extent in zip(declared, shape, strict=True)):
            raise FeedError(f"a value of shape {list(shape)} for {param.name}: {param.type}", location=param.loc)
        facts.append(
            tuple(
                0 if isinstance(d, int) else 1 if extent == 1 else groups.setdefault(extent, 2 + len(groups))
                for d, extent in zip(declared, shape, strict=True)
            )
        )
    return tuple(facts)


def specialize(f: Function, shapes: Sequence[Sequence[int]]) -> Function:
    """`f` with all types known, for every call whose shapes have the pattern of `shapes`. ShapeError where they do not fit together."""
    return Specializer(f).specialize(shapes)[1]


class _Special(Struct, frozen=False):
    """One answer: the Function, and the pairs of extents that must turn out equal for it to be right."""

    function: Function
    assumed: frozenset[tuple[Dim, Dim]] = frozenset()

    def fits(self, shapes: Sequence[Sequence[int]]) -> bool:
        if not self.assumed:
            return True
        extents: dict[str, Dim] = {}
        for param, shape in zip(self.function.params, shapes, strict=False):
            for dim, extent in zip(param.tensor.dims, shape, strict=True):
                if isinstance(dim, Sym) and dim.name is not None:
                    extents[dim.name] = extent
        return all(dims.substitute(left, extents) == dims.substitute(right, extents) for left, right in self.assumed)


class Specializer(Struct, frozen=False):
    """The specializations of one Function: each is made once."""

    f: Function
    symbolic: dict[Hashable, _Special | None] = field(default_factory=dict)
    concrete: dict[Shapes, _Special] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.f.callees():
            b = Builder(self.f.name, lenient=True)
            params = [b.param(p.name, p.type, p.loc) for p in self.f.params]
            outputs = inline_calls(b, Function(self.f.name, self.f.params, self.f.nodes, self.f.outputs), params)
            new = dict(zip(self.f.params, params, strict=True))
            count = len(self.f.results)
            self.f = b.finish(outputs[:count], [(new[p], v) for (p, _), v in zip(self.f.updates, outputs[count:], strict=True)])

    def specialize(self, shapes: Sequence[Sequence[int]]) -> tuple[Hashable, Function]:
        """The key that tells specializations apart, and the one for `shapes` (of the first params; the others have known types).

        ShapeError where the shapes do not fit together, FeedError where one is not its param's.
        """
        key = pattern(self.f, shapes)
        if key not in self.symbolic:
            self.symbolic[key] = _symbolic(self.f, shapes)
        special = self.symbolic[key]
        if special is not None and special.fits(shapes):
            return key, special.function
        exact = tuple(tuple(shape) for shape in shapes)
        if exact not in self.concrete:
            self.concrete[exact] = _concrete(self.f, exact)
        return ("concrete", exact), self.concrete[exact].function


def _symbolic(f: Function, shapes: Sequence[Sequence[int]]) -> _Special | None:
    """The specialization that keeps extents open; None where inference needs to know them."""
    types, values = _open_types(f, shapes)
    if any(not symbols <= set(values) for symbols in _attribute_symbols(f).values()):
        return None
    try:
        with dims.assumptions() as assumed:
            special = _retyped(f, types, values)
    except FlowcError:
        return None
    known = {name for p in special.params for d in p.tensor.dims for name in dims.symbols(d)}
    for node in special.nodes:
        if not _settled(node.type, known):
            return None
    if any(p.type != v.type for p, v in special.updates):
        return None
    if any(not dims.symbols(d) <= known or _has_broadcast(d) for pair in assumed for d in pair):
        return None
    return _Special(_checked(special), frozenset(assumed))


def _concrete(f: Function, shapes: Shapes) -> _Special:
    """The specialization for exactly these extents. ShapeError where they do not fit."""
    types: dict[Node, Type] = {}
    values: dict[str, Dim] = {}
    for param, shape in zip(f.params, shapes, strict=False):
        types[param] = TensorType(param.tensor.dtype, shape)
        for dim, extent in zip(param.tensor.shape or (), shape, strict=False):
            solved = _solve(dim, extent)
            if solved is not None:
                values.setdefault(*solved)
    for node, symbols in _attribute_symbols(f).items():
        missing = symbols - set(values)
        if missing:
            raise ShapeError(f"{node.op.name}: extent {min(missing)} does not follow from what is fed", node.name, node.loc)
    special = _retyped(f, types, values)
    for param, value in special.updates:
        if param.type != value.type:
            raise ShapeError(f"assign: variable {param.name} is {param.type}, the value {value.type}", location=value.loc)
    return _Special(_checked(special))


def _checked(special: Function) -> Function:
    return verify(special, "specialize") if settings().verify else special


def _open_types(f: Function, shapes: Sequence[Sequence[int]]) -> tuple[dict[Node, Type], dict[str, Dim]]:
    """Params' types with one symbol per class of equal unknown extents, and what each symbol of `f` becomes."""
    names: dict[int, str] = {}
    for param, shape in zip(f.params, shapes, strict=False):
        for dim, extent in zip(param.tensor.shape or (), shape, strict=False):
            name = unreserved(dim.name) if isinstance(dim, Sym) and dim.name is not None else None
            if name is not None and extent != 1 and extent not in names and name not in names.values():
                names[extent] = name
    serial = 0
    types: dict[Node, Type] = {}
    values: dict[str, Dim] = {}
    for param, shape in zip(f.params, shapes, strict=False):
        declared: Sequence[Dim | None] = param.tensor.shape if param.tensor.shape is not None else [None] * len(shape)
        new: list[Dim] = []
        for known, extent in zip(declared, shape, strict=True):
            if isinstance(known, int):
                new.append(known)
                continue
            if extent != 1 and extent not in names:
                while f"n{serial}" in names.values():
                    serial += 1
                names[extent] = f"n{serial}"
            new.append(1 if extent == 1 else Sym.named(names[extent]))
            if known is not None and known.name is not None:
                values.setdefault(known.name, new[-1])
        types[param] = TensorType(param.tensor.dtype, tuple(new))
    return types, values


def _retyped(f: Function, types: Mapping[Node, Type], values: Mapping[str, Dim]) -> Function:
    """`f` with new params' types and symbols, everything inferred again."""

    def visit(b: Builder, node: Node, inputs: tuple[Node, ...]) -> Node | None:
        attrs = {k: map_dims(v, lambda d: dims.substitute(d, values)) for k, v in node.attrs.items()}
        return None if attrs == node.attrs else b.apply(node.op, *inputs, **attrs)

    return rebuild(f, visit, types=types)


def _attribute_symbols(f: Function) -> dict[Node, set[str]]:
    """The symbols that nodes' attributes hold."""
    found: dict[Node, set[str]] = {}

    def note(dim: Dim) -> Dim:
        symbols.update(dims.symbols(dim))
        return dim

    for node in f.nodes:
        symbols: set[str] = set()
        for value in node.attrs.values():
            map_dims(value, note)
        if symbols:
            found[node] = symbols
    return found


def _settled(type: Type, known: set[str]) -> bool:
    types = (type,) if isinstance(type, TensorType) else type.items
    return all(t.shape is not None and all(dims.symbols(d) <= known and not _has_broadcast(d) for d in t.shape) for t in types)


def _has_broadcast(dim: Dim) -> bool:
    if not isinstance(dim, Sym):
        return False
    calls = [atom for monomial, _ in dim.terms for atom in monomial if isinstance(atom, Call)]
    return any(call.function == "broadcast" or any(_has_broadcast(a) for a in call.args) for call in calls)


def _solve(dim: Dim, extent: int) -> tuple[str, int] | None:
    """The symbol's name and extent where `dim == extent` is linear in one symbol and comes out even."""
    if not isinstance(dim, Sym):
        return None
    terms: dict[tuple[object, ...], int] = dict(dim.terms)
    constant = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((monomial, factor),) = terms.items()
    if len(monomial) != 1 or not isinstance(monomial[0], str) or (extent - constant) % factor:
        return None
    return monomial[0], (extent - constant) // factor


