"""LLVM code for the functions of `intrinsics`: each Python function there has here its typed signatures and the code that replaces a call.

    quotient(i, n)   ->   sdiv i64 %i, %n

Imported only when something compiles.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from flowc.codegen import intrinsics, tile
from flowc.codegen.barrier import barrier_text
from flowc.codegen.numba_target import AbstractTemplate, Pointer, lower_registry, type_named, typing_registry
from numba.core.typing.templates import ConcreteTemplate, signature

i1, i32, i64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
ARGUMENTS = type_named("i64*")

Emitter = Callable[[Any, Any], Any]


def emit(function: Callable[..., Any], result: str, *arguments: str) -> Callable[[Emitter], Emitter]:
    """The decorated `(builder, args) -> value` stands for a call of `function` with arguments of the named types."""
    sig = signature(type_named(result), *(type_named(a) for a in arguments))

    def register(code: Emitter) -> Emitter:
        _cases.setdefault(function, []).append(sig)

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            value = code(builder, args)
            return context.get_dummy_value() if value is None else value

        lower_registry.lower(function, *sig.args)(lower)
        return code

    return register


_cases: dict[Any, list[Any]] = {}


def publish() -> None:
    """Give the typing registry one template per function, after all its signatures are known."""
    for function, cases in _cases.items():
        typing_registry.register_global(function, types.Function(type(function.__name__, (ConcreteTemplate,), {"key": function, "cases": cases})))
    _cases.clear()


# buffers


@typing_registry.register_global(operator.getitem)
class LoadTemplate(AbstractTemplate):
    """`pointer[i]`."""

    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Pointer) and isinstance(args[1], types.Integer):
            return signature(args[0].dtype, args[0], types.int64)
        return None


@typing_registry.register_global(operator.setitem)
class StoreTemplate(AbstractTemplate):
    """`pointer[i] = value`."""

    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Pointer) and isinstance(args[1], types.Integer):
            return signature(types.none, args[0], types.int64, args[0].dtype)
        return None


@lower_registry.lower(operator.getitem, Pointer, types.int64)
def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.unpack_value(builder, sig.return_type, builder.gep(args[0], [args[1]], inbounds=True))


@lower_registry.lower(operator.setitem, Pointer, types.int64, types.Any)
def _store(context: Any, builder: Any, sig: Any, args: Any) -> None:
    context.pack_value(builder, sig.args[0].dtype, args[2], builder.gep(args[0], [args[1]], inbounds=True))


def _pointer_emitters() -> None:
    for dtype, function in intrinsics.POINTERS.items():

        def code(builder: Any, args: Any, dtype: str = dtype) -> Any:
            kind = type_named(dtype)
            element = ir.IntType(8) if kind == types.boolean else _LLVM[kind]
            return builder.inttoptr(_slot(builder, args), element.as_pointer())

        emit(function, dtype + "*", "i64*", "i64")(code)


_LLVM = {t: ir.IntType(t.bitwidth) for t in (types.int8, types.int16, types.int32, types.int64, types.uint8, types.uint16, types.uint32, types.uint64)}
_LLVM |= {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


def _slot(builder: Any, args: Any) -> Any:
    return builder.load(builder.gep(args[0], [args[1]], inbounds=True))


@emit(intrinsics.extent, "i64", "i64*", "i64")
def _extent(builder: Any, args: Any) -> Any:
    return _slot(builder, args)


# index arithmetic


@emit(intrinsics.quotient, "i64", "i64", "i64")
def _quotient(builder: Any, args: Any) -> Any:
    return builder.udiv(*args)


@emit(intrinsics.remainder, "i64", "i64", "i64")
def _remainder(builder: Any, args: Any) -> Any:
    return builder.urem(*args)


def _share(builder: Any, n: Any, tid: Any, nthreads: Any) -> Any:
    """n * tid / nthreads without a division when there is one thread (tid is 0 or 1 then, and the answer n * tid)."""
    product = builder.mul(n, tid)
    with builder.if_else(builder.icmp_signed("==", nthreads, i64(1)), likely=True) as (alone, shared):
        with alone:
            alone_block = builder.block
        with shared:
            divided = builder.udiv(product, nthreads)
            shared_block = builder.block
    phi = builder.phi(i64)
    phi.add_incoming(product, alone_block)
    phi.add_incoming(divided, shared_block)
    return phi


@emit(intrinsics.lower_bound, "i64", "i64", "i64", "i64")
def _lower_bound(builder: Any, args: Any) -> Any:
    return _share(builder, *args)


@emit(intrinsics.upper_bound, "i64", "i64", "i64", "i64")
def _upper_bound(builder: Any, args: Any) -> Any:
    n, tid, nthreads = args
    return _share(builder, n, builder.add(tid, i64(1)), nthreads)


# threads


@emit(intrinsics.barrier, "", "i64", "i64", "i64*")
def _barrier(builder: Any, args: Any) -> None:
    _, nthreads, table = args
    with builder.if_then(builder.icmp_signed(">", nthreads, i64(1)), likely=False):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [i64, i64]), "flowc_barrier")
        builder.module.flowc_texts["flowc_barrier"] = barrier_text
        builder.call(function, [nthreads, builder.load(table)])


# register tiles


def _tile_emitters(function: Callable[..., Any], dtype: str) -> None:
    pointer, scalar = type_named(dtype), types.int64
    kinds = [scalar if name not in ("out", "a", "b") else None for name in tile.PARAMETERS]

    class TileTemplate(AbstractTemplate):
        """Two literals (the tile's shape), then pointers and whole numbers."""

        key = function
        prefer_literal = True

        def generic(self, args: Any, kws: Any) -> Any:
            shape, rest = args[:2], args[2:]
            if len(rest) != len(kinds) or not all(isinstance(s, types.IntegerLiteral) for s in shape):
                return None
            if not all(isinstance(a, Pointer) and a.dtype == pointer if kind is None else isinstance(a, (types.Integer, types.Boolean)) for a, kind in zip(rest, kinds, strict=True)):
                return None
            return signature(types.none, *shape, *(a if kind is None else kind for a, kind in zip(rest, kinds, strict=True)))

    typing_registry.register_global(function, types.Function(TileTemplate))

    @lower_registry.lower(function, types.VarArg(types.Any))
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows, vectors = (a.literal_value for a in sig.args[:2])
        value = dict(zip(tile.PARAMETERS, args[2:], strict=True))
        pointers = [builder.gep(value[name], [value[name + "_at"]], inbounds=True) for name in ("out", "a", "b")]
        numbers = [value[name] for name in tile.PARAMETERS[6:-1]]
        adds = builder.icmp_signed("!=", value["accumulate"], i64(0))
        kind = ir.FunctionType(ir.VoidType(), [p.type for p in pointers] + [i64] * len(numbers) + [i1])
        name = tile.tile_name(dtype, rows, vectors)
        builder.module.flowc_texts[name] = lambda: tile.tile_text(dtype, rows, vectors)
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [*pointers, *numbers, adds])
        return context.get_dummy_value()


_tile_emitters(tile.tile_f32, "f32")
_tile_emitters(tile.tile_f64, "f64")
_pointer_emitters()
publish()
