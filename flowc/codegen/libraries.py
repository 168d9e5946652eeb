"""Machine code that programs share: register tiles and Fourier transforms, made once for a machine, kept beside the compiled programs, and loaded
once by a process.

    require(code)      # loads flowc_tile_f32 if the object code calls it, so that a program with it can be linked

The texts are emitted as they are, without LLVM's passes: they are written in their final form, and passes would take longer than all the rest.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from flowc.codegen.elf import provided

if TYPE_CHECKING:
    from concurrent.futures import Future

    from flowc.codegen.cache import Cache


class Library(NamedTuple):
    """functions: those that object code calls, named here so that a warm start does not import who writes them; calls: how generated source does."""

    functions: tuple[str, ...]
    calls: tuple[str, ...]


LIBRARIES = {
    **{f"tiles of {t}": Library((f"flowc_tile_{t}",), (f"tile_{t}(", f"tiles_{t}(", f"tile_ahead_{t}(")) for t in ("f32", "f64")},
    "Fourier transforms": Library(tuple(f"flowc_fourier_{kind}_f32" for kind in ("real", "complex", "to_real")), ("fourier_",)),
}

_lock = threading.Lock()
_compiling: dict[str, Future[bytes]] = {}
_loaded: dict[str, Any] = {}  # kept: programs call into them


def expect(source: str) -> None:
    """Begin to compile, in the background, the libraries that generated source calls."""
    for name, library in LIBRARIES.items():
        if any(call in source for call in library.calls) and _kept(name) is None:
            _compiled(name)


def require(code: bytes) -> None:
    """Load the libraries that object code calls; programs loaded later find their functions by name."""
    for name, library in LIBRARIES.items():
        if name not in _loaded and any(function.encode() in code for function in library.functions):
            from flowc.codegen.objects import LoadedProgram  # which loads programs through this file

            ready = _kept(name) or _compiled(name).result()
            with _lock:
                if name not in _loaded:
                    loaded = LoadedProgram(ready, library.functions, permanent=True)
                    provided.update({function: loaded.addresses[function] for function in library.functions})
                    _loaded[name] = loaded


def _key(name: str) -> str:
    from flowc.codegen.cache import key

    return key(name, {})  # which holds the text's own generator by content


@cache
def _kept(name: str) -> bytes | None:
    """Object code of a library, from the disk cache; None where this process has to compile it."""
    from flowc.codegen.cache import Cache

    return Cache().read(_key(name))


def keep(name: str) -> None:
    """Have a library in the disk cache."""
    if _kept(name) is None:
        from flowc.codegen.cache import Cache

        _write(name, Cache())


def text_of(name: str) -> str:
    """A library in LLVM's language."""
    if name == "Fourier transforms":
        from flowc.codegen.fourier_text import library_text

        return library_text()
    from flowc.codegen.tile_text import tile_text

    return tile_text(name.removeprefix("tiles of "))


def _write(name: str, folder: Cache) -> bytes:
    text = text_of(name)
    code = _emit(text)
    folder.write(_key(name), f"# {name}, in LLVM's language.\n" + "".join(f"# {line}\n" for line in text.splitlines()), code)
    return code


def _compiled(name: str) -> Future[bytes]:
    """Object code of a library, from the process that compiles ahead, or from a thread that compiles it now."""
    from concurrent.futures import Future

    from flowc.codegen import ahead
    from flowc.codegen.cache import Cache

    with _lock:
        found = _compiling.get(name)
        if found is not None:
            return found
        found = _compiling[name] = Future()
    folder = Cache()

    def compile() -> None:
        try:
            ahead.wait(name)
            found.set_result(folder.read(_key(name)) or _write(name, folder))
        except BaseException as error:
            found.set_exception(error)
            raise

    threading.Thread(target=compile, name="flowc-library", daemon=True).start()
    return found


def _after_fork() -> None:
    """A child has no thread that would finish what was being compiled."""
    global _lock
    _lock = threading.Lock()
    for name in [n for n, code in _compiling.items() if not code.done()]:
        del _compiling[name]


os.register_at_fork(after_in_child=_after_fork)


def _emit(text: str) -> bytes:
    import llvmlite.binding as llvm

    from flowc.codegen.host import target_machine

    machine = target_machine(3)
    module = llvm.parse_assembly(text, llvm.create_context())  # the shared context is for one thread at a time
    code: bytes = machine.emit_object(module)
    return code
