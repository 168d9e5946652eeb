"""The compiled tiles: machine code of `tile_text`, made once for a machine, kept beside the compiled programs, loaded once by a process.

    require(code)      # loads flowc_tile_f32 if the object code calls it, so that a program with it can be linked

The text is emitted as it is, without LLVM's passes: it is written in its final form, and they would take longer than all the rest.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import Any

from flowc.codegen.elf import provided

NAMES = {dtype: f"flowc_tile_{dtype}" for dtype in ("f32", "f64")}  # as `tile_text.tile_name`, which a warm start does not import

_lock = threading.Lock()
_compiling: dict[str, Future[bytes]] = {}
_loaded: dict[str, Any] = {}  # kept: programs call into them


def expect(source: str) -> None:
    """Begin to compile, in the background, the tiles that generated source calls."""
    for dtype in NAMES:
        if f"tile_{dtype}(" in source or f"tiles_{dtype}(" in source:
            _code(dtype)


def require(code: bytes) -> None:
    """Load the tiles that object code calls; programs loaded later find them by name."""
    for dtype, name in NAMES.items():
        if name not in _loaded and name.encode() in code:
            from flowc.codegen.objects import LoadedProgram  # which loads programs through this file

            ready = _code(dtype).result()
            with _lock:
                if name not in _loaded:
                    library = LoadedProgram(ready, (name,), permanent=True)
                    provided[name] = library.addresses[name]
                    _loaded[name] = library


def _code(dtype: str) -> Future[bytes]:
    """Object code of the tiles of one dtype, from the disk cache or from a thread that compiles it now."""
    from flowc.codegen.cache import Cache, key

    with _lock:
        found = _compiling.get(dtype)
        if found is not None:
            return found
        found = _compiling[dtype] = Future()
    cache = Cache()
    name = key(f"tiles of {dtype}", {})  # which holds the text's own generator by content
    kept = cache.read(name)
    if kept is not None:
        found.set_result(kept)
        return found

    def compile() -> None:
        from flowc.codegen.tile_text import tile_text

        try:
            text = tile_text(dtype)
            code = _emit(text)
        except BaseException as error:
            found.set_exception(error)
            raise
        cache.write(name, f"# The register tiles of {dtype}, in LLVM's language.\n" + "".join(f"# {line}\n" for line in text.splitlines()), code)
        found.set_result(code)

    threading.Thread(target=compile, name="flowc-tiles", daemon=True).start()
    return found


def _after_fork() -> None:
    """A child has no thread that would finish what was being compiled."""
    global _lock
    _lock = threading.Lock()
    for dtype in [d for d, code in _compiling.items() if not code.done()]:
        del _compiling[dtype]


os.register_at_fork(after_in_child=_after_fork)


def _emit(text: str) -> bytes:
    import llvmlite.binding as llvm

    from flowc.codegen.host import target_machine

    machine = target_machine(3)
    module = llvm.parse_assembly(text, llvm.create_context())  # the shared context is for one thread at a time
    code: bytes = machine.emit_object(module)
    return code
