"""Numba as a front end only: one typed Python function becomes one plain C function in LLVM's language.

    k0 of (int64, int64, pointer f32, int64)   ->   define void @k0(i64, i64, float* noalias, i64) { ... }

What Numba adds around a function by default is what costs time, so none of it is used: no dispatcher, no wrapper for Python or C, no
runtime (allocation, exceptions), no library and no LLVM pass per function. A calling convention of our own returns values directly, and
contexts of our own load only the declarations that kernels need. Numba is imported when this module is, that is, when something compiles.

`walk` translates what is plain, as all printed kernels are: the 22 kernels of the CNN's training step take 0.3 s of processor time (Zen 3), a
fifth of what Numba's passes below take for them, which are left for what one walk cannot type and for the wording of errors. Importing
Numba takes 0.35 s, these contexts 0.03 (0.19 for Numba's own).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from llvmlite import ir
from numba.core import callconv, cgutils, compiler, cpu, errors, funcdesc, lowering, postproc, targetconfig, typed_passes, types, untyped_passes
from numba.core.compiler_lock import global_compiler_lock
from numba.core.datamodel import models, register_default
from numba.core.imputils import Registry as LowerRegistry
from numba.core.ir_utils import build_definitions
from numba.core.ssa import reconstruct_ssa
from numba.core.typeconv import Conversion
from numba.core.typing import BaseContext as TypingBase
from numba.core.typing import templates
from numba.core.typing.templates import AbstractTemplate, make_concrete_template, signature

from flowc.codegen.emission import Unit
from flowc.codegen.walk import NotPlain, Walk

if TYPE_CHECKING:
    from flowc.codegen.source import TypedFunction

# types


class Pointer(types.Type):
    """The address of elements of one dtype. `aliased`: another parameter of the same kernel may point to the same elements.

    `half`: the elements are f16 in memory; loaded, they are f32, as all values of f16 are in compiled code.
    """

    def __init__(self, dtype: types.Type, aliased: bool = False, half: bool = False) -> None:
        self.dtype = dtype
        self.aliased = aliased
        self.half = half
        super().__init__(f"{'aliased' if aliased else 'pointer'}({'float16' if half else dtype})")

    def can_convert_to(self, typingctx: Any, other: types.Type) -> Any:
        return Conversion.safe if isinstance(other, Pointer) and (other.dtype, other.half) == (self.dtype, self.half) else None


@register_default(Pointer)
class PointerModel(models.PrimitiveModel):
    """An address is an LLVM pointer to the element as it lies in memory."""

    def __init__(self, dmm: Any, fe_type: Pointer) -> None:
        element = ir.HalfType() if fe_type.half else dmm.lookup(fe_type.dtype).get_data_type()
        super().__init__(dmm, fe_type, element.as_pointer())


SCALARS: dict[str, types.Type] = {
    "bool": types.boolean, "i8": types.int8, "i16": types.int16, "i32": types.int32, "i64": types.int64,
    "u8": types.uint8, "u16": types.uint16, "u32": types.uint32, "u64": types.uint64, "f16": types.float32, "f32": types.float32, "f64": types.float64,
}  # fmt: skip


def type_named(name: str) -> Any:
    """The type that a signature names: `f32`; `f32*` a pointer; marks after the star: `!` is written to, `&` may alias; "" no result."""
    if name == "":
        return types.void
    dtype, star, marks = name.partition("*")
    if dtype not in SCALARS or not set(marks) <= set("!&"):
        raise TypeError(f"{name!r} is not a type of generated source")
    return Pointer(SCALARS[dtype], "&" in marks, dtype == "f16") if star else SCALARS[dtype]


# calling convention


class PlainCallConv(callconv.BaseCallConv):
    """Arguments and results as C has them; a function that could raise does not compile."""

    def _make_call_helper(self, builder: Any) -> None:
        return None

    def return_value(self, builder: Any, retval: Any) -> None:
        if isinstance(builder.function.function_type.return_type, ir.VoidType):
            builder.ret_void()
        else:
            builder.ret(retval)

    def return_user_exc(self, builder: Any, exc: Any, exc_args: Any = None, loc: Any = None, func_name: Any = None) -> None:
        raise errors.UnsupportedError(f"generated source may not raise ({exc.__name__ if exc else 'an exception'})", loc=loc)

    def return_status_propagate(self, builder: Any, status: Any) -> None:
        """Numba asks for this after every call, in a branch that is never taken."""

    def _return_errcode_raw(self, builder: Any, code: Any) -> None:
        raise errors.UnsupportedError("generated source may not raise or return None beside a value")

    def return_native_none(self, builder: Any) -> None:
        builder.ret_void()

    def get_function_type(self, restype: types.Type, argtypes: Sequence[types.Type]) -> ir.FunctionType:
        result = ir.VoidType() if restype == types.void else self.context.get_return_type(restype)
        return ir.FunctionType(result, list(self._get_arg_packer(argtypes).argument_types))

    def decorate_function(self, fn: ir.Function, args: Sequence[str], fe_argtypes: Sequence[types.Type], noalias: bool = False) -> None:
        self._get_arg_packer(fe_argtypes).assign_names(self.get_arguments(fn), list(args))
        for argument, kind in zip(fn.args, fe_argtypes, strict=True):
            if isinstance(kind, Pointer) and not kind.aliased:
                argument.add_attribute("noalias")

    def get_arguments(self, func: ir.Function) -> Any:
        return func.args

    def call_function(self, builder: Any, callee: Any, resty: types.Type, argtys: Any, args: Any, attrs: Any = None) -> tuple[Any, Any]:
        value = builder.call(callee, list(self._get_arg_packer(argtys).as_arguments(builder, args)))
        false, true = cgutils.false_bit, cgutils.true_bit
        status = callconv.Status(callconv.RETCODE_OK, true, false, false, false, false, false, None)
        if resty == types.void:
            return status, self.context.get_dummy_value()
        return status, self.context.get_returned_value(builder, resty, value)


# contexts

typing_registry = templates.Registry()
lower_registry = LowerRegistry("flowc")


class KernelTyping(TypingBase):
    """Types of what kernels may use: Numba's builtins, `math`, and flowc's intrinsics.

    Numba looks for new declarations at every call that it types and tries every form of an operator again; both are done once here.
    """

    def __init__(self) -> None:
        self.complete = False
        self.resolved: dict[Any, Any] = {}
        self.transient: set[Any] = set()  # functions of the program that is being compiled; their meaning ends with it
        super().__init__()

    def refresh(self) -> None:
        if not self.complete:
            super().refresh()

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        if kws or func in self.transient or getattr(func, "typing_key", None) in self.transient:
            return super().resolve_function_type(func, args, kws)
        key = (func, args)
        found = self.resolved.get(key)
        if found is None:
            found = super().resolve_function_type(func, args, kws)
            if found is not None:
                self.resolved[key] = found
        return found

    def _load_builtins(self) -> None:
        """Numba's declarations, but for those of strings, lists, arrays and the like, which are Python text for its default target to compile."""
        from numba.core.typing import builtins  # noqa: F401 (it registers itself)

        overloads = (templates._OverloadFunctionTemplate, templates._OverloadAttributeTemplate, templates._IntrinsicTemplate)
        known, plain = templates.builtin_registry, templates.Registry()
        plain.functions = [f for f in known.functions if not issubclass(f, overloads)]
        plain.attributes = [a for a in known.attributes if not issubclass(a, overloads)]
        plain.globals = [(g, t) for g, t in known.globals if not any(issubclass(x, overloads) for x in getattr(t, "templates", ()))]
        self.install_registry(plain)

    def load_additional_registries(self) -> None:
        from numba.core.typing import mathdecl

        self.install_registry(mathdecl.registry)
        self.install_registry(typing_registry)


class KernelContext(cpu.CPUContext):
    """Lowering of what kernels may use."""

    complete = False

    def refresh(self) -> None:
        if not self.complete:
            super().refresh()

    def load_additional_registries(self) -> None:
        from numba.cpython import builtins, mathimpl, numbers, rangeobj  # noqa: F401 (they register themselves)

        self.install_registry(mathimpl.registry)
        self.install_registry(lower_registry)

    @property
    def call_conv(self) -> PlainCallConv:
        return PlainCallConv(self)

    def get_abi_sizeof(self, ty: Any) -> int:
        """Numba compiles an empty module to learn the size of a type, for debug information that nobody writes or reads."""
        return 0

    def post_lowering(self, mod: Any, library: Any) -> None:
        """Numba links its runtime here; kernels have none."""


def _floor_division(remainder: bool, builder: Any, x: Any, y: Any) -> Any:
    """Python's `//` or `%` of i64 without branches; 0 where the divisor is 0 or the quotient overflows, as NumPy has it."""
    zero, one = ir.Constant(x.type, 0), ir.Constant(x.type, 1)
    least, minus = ir.Constant(x.type, -(2**63)), ir.Constant(x.type, -1)
    overflow = builder.and_(builder.icmp_signed("==", x, least), builder.icmp_signed("==", y, minus))
    none = builder.or_(builder.icmp_signed("==", y, zero), overflow)
    divisor = builder.select(none, one, y)
    rest = builder.srem(x, divisor)
    below = builder.and_(builder.icmp_signed("!=", rest, zero), builder.icmp_signed("<", builder.xor(rest, divisor), zero))
    if remainder:
        return builder.select(none, zero, builder.add(rest, builder.select(below, divisor, zero)))
    quotient = builder.sdiv(x, divisor)
    return builder.select(none, zero, builder.select(below, builder.sub(quotient, one), quotient))


def _instructions() -> dict[tuple[Any, Any], Callable[..., Any]]:
    """(operator, type of both operands) -> what writes the instruction that Numba would."""
    table: dict[tuple[Any, Any], Callable[..., Any]] = {}
    orders = {operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "=="}
    for kind in (types.float32, types.float64):
        table |= {(operator.add, kind): ir.IRBuilder.fadd, (operator.sub, kind): ir.IRBuilder.fsub, (operator.mul, kind): ir.IRBuilder.fmul,
                  (operator.truediv, kind): ir.IRBuilder.fdiv}  # fmt: skip
        table |= {(op, kind): partial(lambda sign, builder, x, y: builder.fcmp_ordered(sign, x, y), sign) for op, sign in orders.items()}
        table[operator.ne, kind] = lambda builder, x, y: builder.fcmp_unordered("!=", x, y)
    whole = types.int64
    for op, name in ((operator.add, "add"), (operator.sub, "sub"), (operator.mul, "mul")):
        table[op, whole] = partial(lambda name, builder, x, y: getattr(builder, name)(x, y, flags=["nsw"]), name)
    table |= {(op, whole): partial(lambda sign, builder, x, y: builder.icmp_signed(sign, x, y), sign) for op, sign in [*orders.items(), (operator.ne, "!=")]}
    table[operator.floordiv, whole] = partial(_floor_division, False)
    table[operator.mod, whole] = partial(_floor_division, True)
    for op in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod):
        in_place = getattr(operator, f"i{op.__name__}")
        table |= {(in_place, kind): write for (known, kind), write in list(table.items()) if known is op}
    return table


INSTRUCTIONS = _instructions()


class KernelLower(lowering.Lower):
    """Into the shared module, without an environment object."""

    def emit_environment_object(self) -> None:
        pass

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        """Arithmetic on two numbers of one type is one instruction; Numba looks for static operands first, and branches where a divisor is 0."""
        left, right = self.fndesc.calltypes[expr].args
        write = INSTRUCTIONS.get((op, left)) if left == right else None
        if write is None:
            return super().lower_binop(resty, expr, op)
        values = [self.context.cast(self.builder, self.loadvar(v.name), self.typeof(v.name), left) for v in (expr.lhs, expr.rhs)]
        return self.context.cast(self.builder, write(self.builder, *values), self.fndesc.calltypes[expr].return_type, resty)

    def storevar(self, value: Any, name: str, argidx: Any = None) -> None:
        """Numbers and addresses need no clean-up of what the variable held."""
        self._alloca_var(name, self.typeof(name))
        if name in self._singly_assigned_vars:
            self._blk_local_varmap[name] = value
        else:
            self.builder.store(value, self.getvar(name))

    def lower(self) -> None:
        self.genlower = None
        self.lower_normal_function(self.fndesc)


class SharedModule:
    """Stands for Numba's code library: every function goes to one LLVM module."""

    def __init__(self, module: ir.Module) -> None:
        self.module = module

    def create_ir_module(self, name: str) -> ir.Module:
        return self.module

    def add_linking_library(self, library: Any) -> None:
        pass


class KernelCompiler(compiler.CompilerBase):
    """The passes that plain loops over scalars need, of the thirty that Numba has; none is checked or followed by a clean-up that the next repeats."""

    def _compile_core(self) -> Any:
        state = self.state
        with targetconfig.ConfigStack().enter(state.flags.copy()):
            untyped_passes.TranslateByteCode().run_pass(state)
            untyped_passes.FixupArgs().run_pass(state)
            state.func_ir = reconstruct_ssa(state.func_ir)
            state.func_ir._definitions = build_definitions(state.func_ir.blocks)
            typed_passes.NopythonTypeInference().run_pass(state)
            state.func_ir = typed_passes.PreLowerStripPhis()._strip_phi_nodes(state.func_ir)
            state.func_ir._definitions = build_definitions(state.func_ir.blocks)
            postproc.PostProcessor(state.func_ir).run(emit_dels=False)  # nothing is released at the end of a variable's life
            descriptor = funcdesc.PythonFunctionDescriptor.from_specialized_function(
                state.func_ir, state.typemap, state.return_type, state.calltypes, mangler=lambda name, *_, **__: state.func_id.func_name,
                inline=False, noalias=False, abi_tags=())  # fmt: skip
            with state.targetctx.push_code_library(state.library):
                KernelLower(state.targetctx, state.library, descriptor, state.func_ir, metadata=state.metadata).lower()
        return descriptor

    def define_pipelines(self) -> Any:
        raise AssertionError("the passes run in _compile_core")


class Translator:
    """Translates functions into LLVM modules; functions translated earlier can be called by later ones."""

    _contexts: tuple[KernelTyping, KernelContext] | None = None

    def __init__(self) -> None:
        if Translator._contexts is None:
            typing = KernelTyping()
            target = KernelContext(typing)
            target.refresh()
            target.error_model = callconv.create_error_model("numpy", target)
            target.complete = typing.complete = True
            Translator._contexts = (typing, target)
        self.typing, self.target = Translator._contexts
        self.translated: list[Callable[..., Any]] = []
        self.scalars: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {}  # what writes a function that its callers inline
        flags: Any = cast(Any, compiler.Flags())
        flags.error_model = "numpy"
        flags.enable_ssa = flags.no_compile = flags.no_rewrites = True
        self.flags = flags

    def begin(self, name: str) -> None:
        """Start a module: what is translated from here on goes there."""
        self.module = self.target.create_module(name)
        self.module.flowc_texts = {}  # name -> function that writes the LLVM text of what the module calls
        self.library = SharedModule(self.module)

    def translate(self, item: TypedFunction, callable_by_later: bool = True) -> ir.Function:
        """The LLVM function for a function, in a module of its own; functions translated later may call it."""
        self.begin(item.name)
        descriptor = self._translate(item)
        if callable_by_later:
            self._publish(item.function, descriptor)
        return self.module.globals[item.name]

    def _translate(self, item: TypedFunction) -> Any:
        """Write a function to the module; Numba's descriptor of it, by which others call it."""
        argument_types, result_type = tuple(type_named(name) for name in item.arguments), type_named(item.result)
        if item.tree is not None:
            descriptor = funcdesc.ExternalFunctionDescriptor(item.name, result_type, argument_types)
            descriptor.args = tuple(a.arg for a in item.tree.args.args)
            function = self.target.declare_function(self.module, descriptor)
            walk = Walk(self.typing, self.target, INSTRUCTIONS, item.function.__globals__)
            try:
                with targetconfig.ConfigStack().enter(self.flags.copy()), self.target.push_code_library(self.library):
                    walk.function(item.tree, function, list(argument_types), result_type)
                return descriptor
            except (NotPlain, errors.NumbaError, NotImplementedError):
                self.begin(item.name)  # without what was written so far
        return compiler.compile_extra(
            self.typing, self.target, item.function, argument_types, result_type, self.flags, {}, library=self.library, pipeline_class=KernelCompiler)

    def _publish(self, function: Callable[..., Any], descriptor: Any) -> None:
        """Make a function known to those that are translated later."""
        self.translated.append(function)
        self.typing.transient.add(function)
        template = make_concrete_template(function.__name__, function, [signature(descriptor.restype, *descriptor.argtypes)])
        self.typing.insert_user_function(function, template)
        self.target.insert_user_function(function, descriptor)

    def translate_unit(self, item: TypedFunction, mark: Callable[[ir.Function], None]) -> list[Unit]:
        """A function as a unit of its own; one that callers inline goes along with them instead; a form becomes a unit for each kernel.

        mark: gives the function its attributes before the text is written.
        """
        if item.copies:
            return self._translate_form(item, mark)
        function = self.translate(item)
        mark(function)
        if "alwaysinline" in function.attributes:
            function.linkage = "linkonce_odr"
            text, calls = str(self.module), self._calls()
            self.scalars[item.name] = lambda: (text, calls)
            return []
        return [Unit(item.name, str(self.module), tuple(self.texts()))]

    def _translate_form(self, item: TypedFunction, mark: Callable[[ir.Function], None]) -> list[Unit]:
        """The kernels of one form: `item` is translated once, and its text written for each kernel with numbers for the last parameters."""
        self.begin(item.name)
        form = self._translate(item)
        function = self.module.globals.pop(item.name)
        mark(function)
        text, head, parts = str(function), str(self.module), tuple(self.texts())
        units = []
        callers = []
        for kernel in item.copies:
            kept = len(item.arguments) - len(kernel.numbers)
            values = [ir.Constant(parameter.type, number.item()) for parameter, number in zip(function.args[kept:], kernel.numbers, strict=True)]
            if item.once:
                callers.append(_caller(kernel.function.__name__, function, function.args[:kept], values))
            else:
                own = text.replace(function.get_reference(), f'@"{kernel.function.__name__}"', 1)
                for parameter, value in zip(function.args[kept:], values, strict=True):
                    # in the head with its type, elsewhere as an operand
                    own = own.replace(f", {parameter}", "", 1).replace(parameter.get_reference(), value.get_reference())
                units.append(Unit(kernel.function.__name__, f"{head}\n{own}", parts))
            descriptor = copy(form)
            descriptor.mangled_name = kernel.function.__name__
            descriptor.args, descriptor.argtypes = form.args[:kept], form.argtypes[:kept]
            self._publish(kernel.function, descriptor)
        if callers:
            name, *others = (kernel.function.__name__ for kernel in item.copies)
            units.append(Unit(name, "\n".join([head, text, *callers]), parts, others=tuple(others)))
        return units

    def _calls(self) -> dict[str, Any]:
        """What the module calls and does not have itself: name -> what writes its LLVM text."""
        return self.module.flowc_texts | {name: write for name, write in self.scalars.items() if name in self.module.globals}  # type: ignore[no-any-return]

    def forget(self) -> None:
        """Drop what Numba keeps about this translator's functions."""
        for function in self.translated:
            self.typing.transient.discard(function)
            self.typing._remove_global(function)
            self.target.remove_user_function(function)
        self.translated.clear()

    def texts(self) -> list[str]:
        """LLVM texts to link: what the module calls, what that calls, and so on."""
        open_names, found = self._calls(), dict[str, str]()
        while open_names:
            name, write = open_names.popitem()
            if name not in found:
                found[name], more = write()
                open_names |= more
        return list(found.values())

    @staticmethod
    def lock() -> Any:
        """Numba's compiler lock: one translation at a time."""
        return global_compiler_lock


def _caller(name: str, function: ir.Function, parameters: Sequence[ir.Argument], values: Sequence[ir.Constant]) -> str:
    """LLVM: a function that calls another one with its own parameters and then these values."""
    own = [f"{p.type} {p.get_reference()}" for p in parameters]
    given = [*own, *(f"{v.type} {v.get_reference()}" for v in values)]
    return f'define void @"{name}"({", ".join(own)}) nounwind\n{{\n  call void {function.get_reference()}({", ".join(given)})\n  ret void\n}}\n'


__all__ = ["AbstractTemplate", "Pointer", "Translator", "lower_registry", "type_named", "typing_registry"]
