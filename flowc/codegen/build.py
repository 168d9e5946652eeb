"""Generated source -> object code, through Numba's front end and one run of LLVM.

    def k0(tid, nthreads, x, n): ...
    def program(tid, nthreads, args):                             ->   object code with the C function
        k0(tid, nthreads, pointer_f32(args, 1), extent(args, 2))       void program(int64, int64, int64 *)

Steps: parse (`source`), translate every function into one LLVM module (`numba_target`), link the tiles, the barrier and the transcendentals
that are called, optimise once, emit. `objects` loads the result; only this module and what it imports needs Numba.
"""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from flowc.codegen.host import target_machine, triple
from flowc.codegen.objects import LoadedProgram, load
from flowc.codegen.source import TypedFunction, typed_functions

if TYPE_CHECKING:
    from flowc.codegen.cache import Cache

Signatures = Mapping[str, Sequence[str]]
Flags = Mapping[str, Any] | None

compilations = 0  # programs compiled by this process
_lock = threading.Lock()


def compile_source(text: str, signatures: Signatures, file: str = "<generated>", flags: Flags = None) -> bytes:
    """Object code of generated source.

    text: the file's content; one function is called `program`. signatures: for each function the types of its parameters: `i64`, `f32*`;
    marks after the star: `!` is written to, `&` may alias another parameter (an entry that passes one slot twice says so by itself).
    file: the name for error messages. flags: `level` (optimisation, default 3), `vector_width` (bits that
    loops prefer, default the machine's). Raises what Numba raises for source that it cannot type.
    """
    global compilations
    with _lock:
        module = translate(text, signatures, file, flags)
        machine = target_machine(int((flags or {}).get("level", 3)))
        optimise(module, machine, int((flags or {}).get("level", 3)))
        code: bytes = machine.emit_object(module)
        compilations += 1
    return code


def llvm_text(text: str, signatures: Signatures, flags: Flags = None, optimised: bool = True) -> str:
    """The LLVM text of generated source, for reading and for tests."""
    with _lock:
        module = translate(text, signatures, "<generated>", flags)
        if optimised:
            optimise(module, target_machine(), 3)
    return str(module)


def translate(text: str, signatures: Signatures, file: str, flags: Flags) -> Any:
    """Generated source as one linked LLVM module, not yet optimised."""
    import llvmlite.binding as llvm

    from flowc.codegen import emitters  # noqa: F401 (registers the intrinsics)
    from flowc.codegen.numba_target import Translator

    functions = typed_functions(text, signatures, file)
    collecting = gc.isenabled()
    gc.disable()  # Numba makes many small objects that live until the end; looking through them again and again is a tenth of the time
    translator = Translator("flowc")
    try:
        with translator.lock():
            for item in functions:
                if item.copies:
                    translator.translate_form(item, partial(_attributes, item=item))
                else:
                    _attributes(translator.translate(item.function, item.arguments, item.result), item)
    finally:
        translator.forget()
        if collecting:
            gc.enable()
    module = llvm.parse_assembly(_with_attributes(_interleaved(translator.text()), flags))
    for part in translator.texts():
        module.link_in(llvm.parse_assembly(_with_attributes(part, flags)))
    for function in module.functions:
        if not function.is_declaration and function.name != "program":
            function.linkage = "internal"
    return module


def _attributes(function: Any, item: TypedFunction) -> None:
    """A kernel stays a function of its own, where LLVM can use that its pointers do not alias; a scalar function is inlined."""
    pointers = any("*" in a for a in item.arguments)
    function.attributes.add("nounwind")
    if item.name != "program":
        function.attributes.add("noinline" if pointers else "alwaysinline")


_DEFINITION = re.compile(r"^(define [^\n]*\))([^()\n]*)$", re.MULTILINE)


def _with_attributes(text: str, flags: Flags) -> str:
    """LLVM prefers 256-bit vectors on many processors that have 512; say what width is wanted."""
    from flowc.codegen.host import vector_bytes

    width = int((flags or {}).get("vector_width", 8 * vector_bytes()))
    marked = _DEFINITION.sub(lambda m: f"{m[1]} #0 {m[2]}", text)
    return f'{marked}\nattributes #0 = {{ "prefer-vector-width"="{width}" }}\n'


_BRANCH = re.compile(r'^  br (?:i1 [^,]+, )?label %"([^"]+)"(?:, label %"([^"]+)")?')
_FUNCTION_OF_FLOATS = re.compile(r'call (?:float|double) @"?\w+_f(?:32|64)"?\(')


def _interleaved(text: str) -> str:
    """LLVM text in which innermost loops that call a function of `vmath` take two vectors at a time.

    Such a function is one long chain of operations, each waiting for the one before. LLVM leaves so long a loop alone, and a processor cannot look
    far enough ahead to begin the next chain. A loop is a branch to a block that stands before it.
    """
    result: list[str] = []
    blocks: dict[str, int] = {}
    end = 0  # of the last loop
    for line in text.splitlines():
        branch = _BRANCH.match(line)
        if line.startswith("define"):
            blocks, end = {}, len(result)
        elif line.endswith(":"):
            blocks[line[:-1].strip('"')] = len(result)
        elif branch is not None and (back := [blocks[name] for name in branch.groups() if name in blocks]):
            if back[0] >= end and any(_FUNCTION_OF_FLOATS.search(inside) for inside in result[back[0] :]):
                line += f", !llvm.loop !{_LOOP}"
            end = len(result)
        result.append(line)
    return "\n".join([*result, f"!{_LOOP} = distinct !{{!{_LOOP}, !{_LOOP + 1}}}", f'!{_LOOP + 1} = !{{!"llvm.loop.interleave.count", i32 2}}'])


_LOOP = 900_000  # the number of the loops' metadata, beyond those of any module


def optimise(module: Any, machine: Any, level: int) -> None:
    """LLVM's standard pipeline, once over the whole module."""
    import llvmlite.binding as llvm

    module.triple = triple()
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = options.slp_vectorization = level > 1
    options.loop_interleaving = options.loop_unrolling = level > 1
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


@dataclass(frozen=True, eq=False)
class Compiled:
    """A program ready to be called. entry: the address of `void program(int64 tid, int64 nthreads, int64 *args)`, valid while this lives;
    source_path: the generated file, or `<flowc ...>` where no folder could be written to; code: the object code."""

    entry: int
    source_path: str
    code: bytes
    loaded: LoadedProgram = field(repr=False)


_programs: WeakValueDictionary[str, Any] = WeakValueDictionary()


def compile_cached(text: str, signatures: Signatures, flags: Flags = None, cache: Cache | None = None) -> Compiled:
    """The program of generated source, from this process, from the disk cache, or compiled and kept there. Arguments as `compile_source`."""
    from flowc.codegen.cache import Cache, key

    cache = Cache() if cache is None else cache
    name = key(text, signatures, flags)
    known = _programs.get(f"{cache.folder}/{name}")
    if known is not None:
        return known  # type: ignore[no-any-return]
    path = str(cache.source_path(name))
    code = cache.read(name)
    if code is None:
        code = compile_source(text, signatures, path, flags)
        if not cache.write(name, text, code):
            path = f"<flowc {name}>"
    loaded = load(code)
    program = Compiled(loaded.entry, path, code, loaded)
    _programs[f"{cache.folder}/{name}"] = program
    return program


def load_python(text: str, file: str = "<generated>") -> Callable[..., None]:
    """The entry of generated source as a plain Python function `program(tid, nthreads, args)`; `args` is a list of flat arrays and numbers."""
    namespace: dict[str, Any] = {"__name__": "flowc_generated", "__file__": file}
    exec(compile(text, file, "exec"), namespace)
    entry: Callable[..., None] = namespace["program"]
    return entry
