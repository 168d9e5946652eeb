"""LLVM code for the functions of `intrinsics`: each Python function there has here its typed signatures and the code that replaces a call.

    quotient(i, n)   ->   sdiv i64 %i, %n

Imported only when something compiles, by `functions`, which has the rest of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import ConcreteTemplate, signature

from flowc.codegen import fourier, intrinsics, scalars, tile
from flowc.codegen.barrier import barrier_text
from flowc.codegen.claims import first_claim_text, next_claim_text
from flowc.codegen.clock import clock_text
from flowc.codegen.fourier_text import function_name
from flowc.codegen.numba_target import AbstractTemplate, Pointer, lower_registry, type_named, typing_registry
from flowc.codegen.tile_text import tile_name
from flowc.ir.primitives import MOST_AHEAD

i1, i32, i64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)

BUFFERS = ("out", "a", "b", *tile.AHEAD[:MOST_AHEAD])  # of primitives: their parameters that are buffers
no_table = ir.Constant(i64.as_pointer(), None)

Emitter = Callable[[Any, Any], Any]


def emit(function: Callable[..., Any], result: str, *arguments: str) -> Callable[[Emitter], Emitter]:
    """The decorated `(builder, args) -> value` stands for a call of `function` with arguments of the named types."""
    sig = signature(type_named(result), *(type_named(a) for a in arguments))

    def register(code: Emitter) -> Emitter:
        CASES.setdefault(function, []).append(sig)

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            value = code(builder, args)
            return context.get_dummy_value() if value is None else value

        lower_registry.lower(function, *sig.args)(lower)
        return code

    return register


CASES: dict[Any, list[Any]] = {}


def publish() -> None:
    """Give the typing registry one template per function, after all its signatures are known."""
    for function, cases in CASES.items():
        typing_registry.register_global(function, types.Function(type(function.__name__, (ConcreteTemplate,), {"key": function, "cases": cases})))
    CASES.clear()


# LLVM types and small pieces

LLVM: dict[Any, Any] = {types.boolean: i1, types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
FLOATS = ("f32", "f64")
ANY_ORDER = ("reassoc", "nsz")
INTS = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
LLVM |= {type_named(name): ir.IntType(int(name[1:])) for name in INTS}


def external(builder: Any, name: str, result: Any, args: Any, text: Callable[[], Any] | None = None) -> Any:
    """Call a function of the C library, or one whose LLVM text is linked later."""
    if text is not None:
        builder.module.flowc_texts[name] = text
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    function.attributes.add("nounwind")
    return builder.call(function, list(args))


def _intrinsic(name: str, builder: Any, args: Any, flags: tuple[str, ...] = ()) -> Any:
    kind = args[0].type
    suffix = {"float": "f32", "double": "f64"}.get(str(kind), str(kind))
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(args)), f"llvm.{name}.{suffix}")
    return builder.call(function, list(args), fastmath=flags)


# scalars


def _scalar_emitters() -> None:
    for dtype in FLOATS:
        for function, name in ((scalars.floor, "floor"), (scalars.ceil, "ceil"), (scalars.trunc, "trunc"), (scalars.rint, "rint"),
                               (scalars.sqrt, "sqrt"), (scalars.absolute, "fabs"), (scalars.copysign, "copysign")):  # fmt: skip
            operands = [dtype] * (2 if name == "copysign" else 1)
            emit(function, dtype, *operands)(partial(_intrinsic, name))
        for function, name in ((scalars.minimum, "minimum"), (scalars.maximum, "maximum")):
            emit(function, dtype, dtype, dtype)(partial(_nan_aware, name))
        emit(scalars.larger, dtype, dtype, dtype)(_larger)
        emit(scalars.muladd, dtype, dtype, dtype, dtype)(partial(_intrinsic, "fmuladd"))
        emit(scalars.fmod, dtype, dtype, dtype)(lambda builder, args: builder.frem(*args))
        emit(scalars.isnan, "bool", dtype)(lambda builder, args: builder.fcmp_unordered("uno", args[0], args[0]))
        emit(scalars.isinf, "bool", dtype)(
            lambda builder, args: builder.fcmp_ordered("==", _intrinsic("fabs", builder, args), ir.Constant(args[0].type, float("inf"))))
        emit(scalars.add_any_order, dtype, dtype, dtype)(_add_any_order)
    for dtype in INTS:
        order = "icmp_signed" if dtype[0] == "i" else "icmp_unsigned"
        for function, sign in ((scalars.minimum, "<"), (scalars.maximum, ">")):
            emit(function, dtype, dtype, dtype)(partial(_extreme, order, sign))
        emit(scalars.absolute, dtype, dtype)(_absolute if dtype[0] == "i" else lambda builder, args: args[0])
        emit(scalars.isnan, "bool", dtype)(lambda builder, args: i1(0))
        emit(scalars.isinf, "bool", dtype)(lambda builder, args: i1(0))
        emit(scalars.add_any_order, dtype, dtype, dtype)(lambda builder, args: builder.add(*args))
        for function in (scalars.floor, scalars.ceil, scalars.trunc, scalars.rint):
            emit(function, dtype, dtype)(lambda builder, args: args[0])
    for dtype in (*INTS, "bool"):
        emit(scalars.invert, dtype, dtype)(lambda builder, args: builder.not_(args[0]))
    for dtype in (*INTS, *FLOATS, "bool"):
        emit(scalars.select, dtype, "bool", dtype, dtype)(lambda builder, args: builder.select(*args))
    emit(scalars.minimum, "bool", "bool", "bool")(lambda builder, args: builder.and_(*args))
    emit(scalars.maximum, "bool", "bool", "bool")(lambda builder, args: builder.or_(*args))
    emit(scalars.half, "f32", "f32")(_half)
    emit(scalars.half, "f32", "f64")(_half)
    for dtype in INTS:
        convert = "sitofp" if dtype[0] == "i" else "uitofp"
        emit(scalars.half, "f32", dtype)(partial(_whole_to_half, convert))
    emit(scalars.half, "f32", "bool")(partial(_whole_to_half, "uitofp"))
    emit(scalars.bits, "i32", "f32")(lambda builder, args: builder.bitcast(args[0], i32))
    emit(scalars.from_bits, "f32", "i32")(lambda builder, args: builder.bitcast(args[0], ir.FloatType()))
    emit(scalars.bits_f64, "i64", "f64")(lambda builder, args: builder.bitcast(args[0], i64))
    emit(scalars.from_bits_f64, "f64", "i64")(lambda builder, args: builder.bitcast(args[0], ir.DoubleType()))


def _nan_aware(name: str, builder: Any, args: Any) -> Any:
    """LLVM's own, which a loop over a running extreme vectorises with; the sign of a zero among zeros is left open."""
    return _intrinsic(name, builder, args, ("nsz",))


def _add_any_order(builder: Any, args: Any) -> Any:
    """A product joins the sum in one instruction, where the processor has it; LLVM's leave to contract would depend on what stands around."""
    total, term = args
    if getattr(term, "opname", "") == "fmul":
        return _intrinsic("fmuladd", builder, (*term.operands, total), ANY_ORDER)
    return builder.fadd(total, term, flags=ANY_ORDER)


def _larger(builder: Any, args: Any) -> Any:
    """As it is everywhere but in a loop that takes the largest of many, which `walk` writes."""
    x, y = args
    return builder.select(builder.fcmp_ordered(">", y, x), y, x)


def _extreme(order: str, sign: str, builder: Any, args: Any) -> Any:
    return builder.select(getattr(builder, order)(sign, *args), *args)


def _half(builder: Any, args: Any) -> Any:
    return builder.fpext(builder.fptrunc(args[0], ir.HalfType()), ir.FloatType())


def _whole_to_half(convert: str, builder: Any, args: Any) -> Any:
    return builder.fpext(getattr(builder, convert)(args[0], ir.HalfType()), ir.FloatType())


def _absolute(builder: Any, args: Any) -> Any:
    return builder.select(builder.icmp_signed("<", args[0], args[0].type(0)), builder.neg(args[0]), args[0])


# local arrays


def _local_emitters() -> None:
    for dtype, function in scalars.LOCALS.items():
        _local_emitter(dtype, function)


def _local_emitter(dtype: str, function: Callable[..., Any]) -> None:
    pointer = type_named(dtype + "*")

    class LocalTemplate(AbstractTemplate):
        """`local_f32(8)`: the size is a literal."""

        key = function
        prefer_literal = True

        def generic(self, args: Any, kws: Any) -> Any:
            return signature(pointer, args[0]) if len(args) == 1 and isinstance(args[0], types.IntegerLiteral) else None

    typing_registry.register_global(function, types.Function(LocalTemplate))

    @lower_registry.lower(function, types.IntegerLiteral)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_value_type(pointer).pointee
        with builder.goto_entry_block():  # not `alloca_once`, which also stores zeros into it: LLVM would take them apart, number by number
            array = builder.alloca(ir.ArrayType(element, sig.args[0].literal_value))
        array.align = 64
        return builder.bitcast(array, element.as_pointer())


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


@lower_registry.lower_cast(Pointer, Pointer)
def _as_aliased(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:
    return value


@lower_registry.lower(operator.getitem, Pointer, types.int64)
def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    place = builder.gep(args[0], [args[1]], inbounds=True)
    if sig.args[0].half:
        return builder.fpext(builder.load(place), ir.FloatType())
    return context.unpack_value(builder, sig.return_type, place)


@lower_registry.lower(operator.setitem, Pointer, types.int64, types.Any)
def _store(context: Any, builder: Any, sig: Any, args: Any) -> None:
    place = builder.gep(args[0], [args[1]], inbounds=True)
    if sig.args[0].half:
        builder.store(builder.fptrunc(args[2], ir.HalfType()), place)
    else:
        context.pack_value(builder, sig.args[0].dtype, args[2], place)


def _pointer_emitters() -> None:
    for dtype, function in intrinsics.POINTERS.items():

        def code(builder: Any, args: Any, dtype: str = dtype) -> Any:
            kind = type_named(dtype)
            element = ir.HalfType() if dtype == "f16" else ir.IntType(8) if kind == types.boolean else LLVM[kind]
            return builder.inttoptr(_slot(builder, args), element.as_pointer())

        emit(function, dtype + "*", "i64*", "i64")(code)


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
    """n * tid / nthreads, with tid no more than nthreads; no division when there is one thread (the answer is n * tid then)."""
    product = builder.mul(n, builder.select(builder.icmp_signed("<", tid, nthreads), tid, nthreads))
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


def _barrier_text() -> Any:
    return barrier_text(), {}


@emit(intrinsics.barrier, "", "i64", "i64", "i64*")
def _barrier(builder: Any, args: Any) -> None:
    _, nthreads, table = args
    with builder.if_then(builder.icmp_signed(">", nthreads, i64(1)), likely=False):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [i64, i64]), "flowc_barrier")
        builder.module.flowc_texts["flowc_barrier"] = _barrier_text
        builder.call(function, [nthreads, builder.load(table)])


def _claim(builder: Any, n: Any, tid: Any, nthreads: Any, table: Any, name: str, text: Callable[[], Any], alone: Any) -> Any:
    """What the function of that name gives to one of several threads; `alone` for a thread by itself."""
    with builder.if_else(builder.icmp_signed(">", nthreads, i64(1))) as (several, one):
        with several:
            given = external(builder, name, i64, [n, tid, nthreads, builder.load(table)], text)
            several_block = builder.block
        with one:
            one_block = builder.block
    phi = builder.phi(i64)
    phi.add_incoming(given, several_block)
    phi.add_incoming(alone, one_block)
    return phi


def _next_claim_text() -> Any:
    return next_claim_text(), {}


def _first_claim_text() -> Any:
    return first_claim_text(), {"flowc_barrier": _barrier_text, "flowc_next_claim": _next_claim_text}


@emit(intrinsics.first_claim, "i64", "i64", "i64", "i64", "i64*")
def _first_claim(builder: Any, args: Any) -> Any:
    n, tid, nthreads, table = args
    alone = builder.select(builder.icmp_signed("==", tid, i64(0)), i64(0), n)
    return _claim(builder, n, tid, nthreads, table, "flowc_first_claim", _first_claim_text, alone)


@emit(intrinsics.next_claim, "i64", "i64", "i64", "i64", "i64", "i64*")
def _next_claim(builder: Any, args: Any) -> Any:
    claim, n, tid, nthreads, table = args
    return _claim(builder, n, tid, nthreads, table, "flowc_next_claim", _next_claim_text, builder.add(claim, i64(1)))


@emit(intrinsics.mark, "", "i64*", "i64", "i64")
def _mark(builder: Any, args: Any) -> None:
    table, slot, place = args
    buffer = builder.inttoptr(builder.load(builder.gep(table, [slot])), table.type)
    now = external(builder, "flowc_clock", i64, [], lambda: (clock_text(), {}))
    builder.store(now, builder.gep(buffer, [place]))


# register tiles, Fourier transforms


def _primitive(function: Callable[..., Any], dtype: str, parameters: tuple[str, ...], code: Callable[[Any, dict[str, Any]], None]) -> None:
    """A function of buffers (`BUFFERS`) and of whole numbers; `code` gets the values by name, the buffers from where `.._at` says."""
    element = type_named(dtype)
    kinds = [types.int64 if name not in BUFFERS else None for name in parameters]

    class PrimitiveTemplate(AbstractTemplate):
        """Pointers and whole numbers."""

        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) != len(kinds):
                return None
            for given, kind in zip(args, kinds, strict=True):
                fits = isinstance(given, (types.Integer, types.Boolean))
                if kind is None:
                    fits = isinstance(given, Pointer) and given.dtype == element and not given.half
                if not fits:
                    return None
            return signature(types.none, *(given if kind is None else kind for given, kind in zip(args, kinds, strict=True)))

    typing_registry.register_global(function, types.Function(PrimitiveTemplate))

    @lower_registry.lower(function, types.VarArg(types.Any))
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = dict(zip(parameters, args, strict=True))
        places = {name: value[name.rstrip("0123456789") + "_at"] for name in BUFFERS if name in value}
        code(builder, value | {name: builder.gep(value[name], [at], inbounds=True) for name, at in places.items()})
        return context.get_dummy_value()


def _table(builder: Any, numbers: list[Any]) -> Any:
    """The address of an array of these numbers."""
    with builder.goto_entry_block():
        table = builder.alloca(ir.ArrayType(i64, len(numbers)))
    for place, number in enumerate(numbers):
        builder.store(number, builder.gep(table, [i64(0), i64(place)], inbounds=True))
    return builder.bitcast(table, i64.as_pointer())


def _tile_emitters(function: Callable[..., Any], dtype: str, parameters: tuple[str, ...]) -> None:
    def code(builder: Any, value: dict[str, Any]) -> None:
        value = dict.fromkeys(tile.SEVERAL, i64(0)) | {"count": i64(1)} | value
        pointers = [value[name] for name in ("out", "a", "b")]
        numbers = [value[name] for name in tile.PARAMETERS[6:-1]]
        adds = builder.icmp_signed("!=", value["accumulate"], i64(0))
        several = [value[name] for name in tile.SEVERAL]
        ahead = no_table
        if "ahead_row" in value:
            ahead = _table(builder, [*(builder.ptrtoint(value[name], i64) for name in tile.AHEAD[:MOST_AHEAD]), value["ahead_row"]])
        kind = ir.FunctionType(ir.VoidType(), [p.type for p in pointers] + [i64] * len(numbers) + [i1] + [i64] * len(several) + [no_table.type])
        callee = cgutils.get_or_insert_function(builder.module, kind, tile_name(dtype))  # of the library: resolved when the program is loaded
        callee.attributes.add("nounwind")
        builder.call(callee, [*pointers, *numbers, adds, *several, ahead])

    _primitive(function, dtype, parameters, code)


def _fourier_emitter(kind: str) -> None:
    def code(builder: Any, value: dict[str, Any]) -> None:
        args = [value["out"], value["a"], *(value[name] for name in fourier.PARAMETERS if name not in ("out", "a", "out_at", "a_at"))]
        external(builder, function_name(kind), ir.VoidType(), args)  # of the library

    _primitive(fourier.FUNCTIONS[kind], "f32", fourier.PARAMETERS, code)


for _dtype, _one, _many in (("f32", tile.tile_f32, tile.tiles_f32), ("f64", tile.tile_f64, tile.tiles_f64)):
    _tile_emitters(_one, _dtype, tile.PARAMETERS)
    _tile_emitters(_many, _dtype, (*tile.PARAMETERS, *tile.SEVERAL))
_tile_emitters(tile.tile_ahead_f32, "f32", (*tile.PARAMETERS, *tile.AHEAD))
for _kind in fourier.FUNCTIONS:
    _fourier_emitter(_kind)
_pointer_emitters()
_local_emitters()
_scalar_emitters()
