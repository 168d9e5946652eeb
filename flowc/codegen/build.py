"""Generated source -> object code, through Numba's front end and LLVM.

    def k0(tid, nthreads, x, n): ...
    def program(tid, nthreads, args):                             ->   object code with the C function
        k0(tid, nthreads, pointer_f32(args, 1), extent(args, 2))       void program(int64, int64, int64 *)

Steps: parse (`source`), look for kernels that other programs have left in the cache, translate the others into LLVM text (`numba_target`), write
the entry (`entry`), optimise and emit each with the barrier and the transcendentals that it calls (`emission`). `objects` loads
the result.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from flowc.codegen.libraries import expect
from flowc.codegen.objects import LoadedProgram, load, pack
from flowc.structs import Struct, replace

if TYPE_CHECKING:
    from flowc.codegen.cache import Cache
    from flowc.codegen.emission import Unit
    from flowc.codegen.source import TypedFunction

Signatures = Mapping[str, Sequence[str]]
Flags = Mapping[str, Any] | None

compilations = 0  # programs compiled by this process
_lock = threading.Lock()


def compile_source(text: str, signatures: Signatures, file: str = "<generated>", flags: Flags = None, cache: Cache | None = None) -> bytes:
    """Object code of generated source: what `objects.load` takes.

    text: the file's content; one function is called `program`. signatures: for each function the types of its parameters: `i64`, `f32*`;
    marks after the star: `!` is written to, `&` may alias another parameter (an entry that passes one slot twice says so by itself).
    file: the name for error messages. flags: `level` (optimisation, default 2), `vector_width` (bits that
    loops prefer, default the machine's). cache: where kernels are found that other programs have too, and kept for them.
    Raises what Numba raises for source that it cannot type.
    """
    global compilations
    from flowc.codegen.emission import Emission
    from flowc.codegen.entry import entry_unit
    from flowc.codegen.source import typed_functions

    expect(text)
    with _lock, Emission(*_flags(flags), kernels=len(signatures) - 1) as emission:  # helpers start while the text is read
        functions = typed_functions(text, signatures, file)
        symbols = _symbols(functions, flags)
        entry = entry_unit(text, signatures, symbols)
        kept: dict[str, bytes] = {}
        several: set[str] = set()
        if entry is None:
            symbols = {}
        else:
            emission.add(entry)
            functions = [item for item in functions if item.name != entry.name]
            if cache is not None:
                read = {symbol: cache.read(symbol.removeprefix(_KERNEL), ".kernel") for symbol in symbols.values()}
                kept = {symbol: code for symbol, code in read.items() if code is not None}
                functions = [left for item in functions if (left := _without(item, {n for n, symbol in symbols.items() if symbol in kept}))]
        for unit in translated(functions):
            unit = unit.called(symbols)
            emission.add(unit)
            several.update(unit.names if unit.others else ())
        codes = emission.finish()
        if cache is not None:
            for symbol in (codes.keys() & symbols.values()) - several:  # code of several kernels is no single one's
                cache.keep(symbol.removeprefix(_KERNEL), ".kernel", codes[symbol])
        compilations += 1
    return pack([*codes.values(), *kept.values()])


_KERNEL = "flowc_kernel_"  # the name of a kernel's code, where programs share it, is this and its name in the cache


def _flags(flags: Flags) -> tuple[int, int]:
    """Level of optimisation, width of vectors in bits."""
    from flowc.codegen.host import vector_bytes

    return int((flags or {}).get("level", 2)), int((flags or {}).get("vector_width", 8 * vector_bytes()))


def _symbols(functions: Sequence[TypedFunction], flags: Flags) -> dict[str, str]:
    """For each kernel the name of its code, which says what the kernel does; none where a kernel's own text does not say that."""
    from flowc.codegen.environment import environment

    kernels = [kernel for item in functions if item.name != "program" for kernel in (item.copies or (item,))]
    if not all(kernel.identity for kernel in kernels):
        return {}
    rest = f"\0{sorted((flags or {}).items())}\0{environment()}"
    return {kernel.name: _KERNEL + sha256(f"{kernel.identity}{rest}".encode()).hexdigest()[:40] for kernel in kernels}


def _without(item: TypedFunction, names: set[str]) -> TypedFunction | None:
    """What of a function is left to translate where some kernels' code is there; None for nothing."""
    if item.copies:
        left = tuple(kernel for kernel in item.copies if kernel.name not in names)
        return replace(item, copies=left) if left else None
    return None if item.name in names else item


def llvm_text(text: str, signatures: Signatures, flags: Flags = None, optimised: bool = True) -> str:
    """The LLVM text of generated source, for reading and for tests."""
    from flowc.codegen.emission import linked, optimise
    from flowc.codegen.host import target_machine
    from flowc.codegen.source import typed_functions

    level, width = _flags(flags)
    with _lock:
        module = linked(list(translated(typed_functions(text, signatures, "<generated>"))), width, ["program"])
        if optimised:
            optimise(module, target_machine(level), level)
    return str(module)


def translated(functions: Sequence[TypedFunction]) -> Iterator[Unit]:
    """Functions as LLVM text, each as soon as it is there; Numba is imported for the first."""
    if not functions:
        return
    from flowc.codegen import functions as _registered  # noqa: F401 (what generated source may call)
    from flowc.codegen.numba_target import Translator

    translator = Translator()
    try:
        with translator.lock():
            for item in functions:
                yield from translator.translate_unit(item, partial(_attributes, item=item))
    finally:
        translator.forget()


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's search for cycles: a compiler makes many small objects that live until the end, beside all of Numba's.

    Looking through them again and again is a tenth of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _attributes(function: Any, item: TypedFunction) -> None:
    """A kernel stays a function of its own, where LLVM can use that its pointers do not alias; a scalar function is inlined."""
    pointers = any("*" in a for a in item.arguments)
    function.attributes.add("nounwind")
    if item.name != "program":
        function.attributes.add("noinline" if pointers else "alwaysinline")


class Compiled(Struct, eq=False):
    """A program ready to be called. entry: the address of `void program(int64 tid, int64 nthreads, int64 *args)`, valid while this lives;
    name: in the cache; source_path: the generated file, or `<flowc ...>` where no folder could be written to; code: the object code."""

    __slots__ = ("__weakref__",)

    entry: int
    name: str
    source_path: str
    code: bytes
    loaded: LoadedProgram


_programs: WeakValueDictionary[str, Any] = WeakValueDictionary()


def find_compiled(name: str, cache: Cache) -> Compiled | None:
    """The program of a name that `flowc.codegen.cache.key` gave, from this process or from the disk; None where it has to be compiled."""
    known: Compiled | None = _programs.get(f"{cache.place}/{name}")
    if known is not None:
        return known
    code = cache.read(name)
    return None if code is None else _loaded(name, code, cache.source_path(name), cache)


def compile_cached(text: str, signatures: Signatures, flags: Flags = None, cache: Cache | None = None) -> Compiled:
    """The program of generated source, from this process, from the disk cache, or compiled and kept there. Arguments as `compile_source`."""
    from flowc.codegen.cache import Cache, key

    cache = Cache() if cache is None else cache
    name = key(text, signatures, flags)
    found = find_compiled(name, cache)
    if found is not None:
        return found
    path = cache.source_path(name)
    code = compile_source(text, signatures, path, flags, cache)
    if not cache.write(name, text, code):
        path = f"<flowc {name}>"
    return _loaded(name, code, path, cache)


def _loaded(name: str, code: bytes, path: str, cache: Cache) -> Compiled:
    loaded = load(code)
    program = _programs[f"{cache.place}/{name}"] = Compiled(loaded.entry, name, path, code, loaded)
    return program


def load_python(text: str, file: str = "<generated>") -> Callable[..., None]:
    """The entry of generated source as a plain Python function `program(tid, nthreads, args)`; `args` is a list of flat arrays and numbers."""
    namespace: dict[str, Any] = {"__name__": "flowc_generated", "__file__": file}
    exec(compile(text, file, "exec"), namespace)
    entry: Callable[..., None] = namespace["program"]
    return entry
