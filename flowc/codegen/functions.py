"""LLVM code of the functions of floats: `vmath`, `vmath_f64` and `philox`, compiled from their Python text, and what the C library has beside them.

    exp(x[i])   ->   call float @exp_f32(float %x);   define float @exp_f32(float %x) alwaysinline { ... }

Importing it registers them, and all of `emitters` with them: what a compiler imports.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from flowc.codegen import host, intrinsics, philox, vmath, vmath_f64
from flowc.codegen.emitters import CASES, LLVM, emit, external, publish
from flowc.codegen.numba_target import Translator, type_named
from flowc.codegen.source import TypedFunction, typed_functions
from flowc.structs import replace

Text = Callable[[], tuple[str, dict[str, Any]]]  # writes a function's LLVM text and says what it calls

# y * 2**n in one instruction: LLVM's types of y and of its bits, its name for the type, and what becomes n of the bits of `vmath.WHOLE` + n
POWERS = {
    "scaled": ("float", "i32", "f32", f"sub i32 %bits, {vmath.WHOLE.view(np.int32)}"),
    "scaled_f64": ("double", "i64", "f64", "trunc i64 %bits to i32"),
}


def _translated(item: TypedFunction) -> Text:
    @cache
    def text() -> tuple[str, dict[str, Any]]:
        translator = Translator()
        function = translator.translate(item, callable_by_later=False)
        function.attributes.add("alwaysinline")
        function.attributes.add("nounwind")
        function.linkage = "linkonce_odr"
        return str(translator.module), translator.module.flowc_texts

    return text


def _for_this_machine(name: str, plain: Text) -> tuple[str, dict[str, Any]]:
    """With vectors of 512 bits, `llvm.ldexp` is one instruction on a vector; elsewhere it is a call of the C library for each number."""
    if name not in POWERS or host.vector_bytes() < 64:
        return plain()
    kind, whole, suffix, count = POWERS[name]
    return f"""
declare {kind} @llvm.ldexp.{suffix}.i32({kind}, i32)

define linkonce_odr {kind} @{name}({kind} %y, {kind} %whole) alwaysinline nounwind {{
  %bits = bitcast {kind} %whole to {whole}
  %n = {count}
  %scaled = call {kind} @llvm.ldexp.{suffix}.i32({kind} %y, i32 %n)
  ret {kind} %scaled
}}
""", {}


def _library_functions() -> None:
    """Register the functions of `vmath`, `vmath_f64` and `philox`; what they call among themselves is linked with them."""
    for module in (vmath, vmath_f64, philox):
        signatures = {name: f.__annotations__ for name, f in vars(module).items() if getattr(f, "__module__", "") == module.__name__}
        arguments = {name: [kind for parameter, kind in a.items() if parameter != "return"] for name, a in signatures.items()}
        file = str(module.__file__)
        for item in typed_functions(Path(file).read_text(encoding="utf-8"), arguments, file):
            item = replace(item, result=signatures[item.name]["return"])
            text = partial(_for_this_machine, item.name, _translated(item))

            def call(builder: Any, args: Any, item: TypedFunction = item, text: Any = text) -> Any:
                return external(builder, item.name, LLVM[type_named(item.result)], args, text)

            emit(item.function, item.result, *item.arguments)(call)
            public = intrinsics.MATH.get(item.name.removesuffix("_f32").removesuffix("_f64"))
            if public is None and item.name.startswith("power_"):
                public = intrinsics.power
            if item.name == "philox":
                public = intrinsics.philox
            if public is not None:
                emit(public, item.result, *item.arguments)(call)


def _c_library() -> None:
    """The functions of f64 that `vmath_f64` has not."""
    done = {(f, case.args[0]) for f, cases in CASES.items() for case in cases}
    for name, function in {**intrinsics.MATH, "pow": intrinsics.power}.items():
        if (function, types.float64) not in done:
            emit(function, "f64", *["f64"] * (2 if name in ("atan2", "pow") else 1))(partial(_library_call, name))


def _library_call(name: str, builder: Any, args: Any) -> Any:
    return external(builder, name, ir.DoubleType(), args)


_library_functions()
_c_library()
publish()
