"""The compiled tiles: machine code of `tile_text`, made once for a machine, kept beside the compiled programs, loaded once by a process.

    require(code)      # loads flowc_tile_f32 if the object code calls it, so that a program with it can be linked

The text is emitted as it is, without LLVM's passes: it is written in its final form, and they would take longer than all the rest.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from flowc.codegen.elf import provided

if TYPE_CHECKING:
    from concurrent.futures import Future

    from flowc.codegen.cache import Cache

NAMES = {dtype: f"flowc_tile_{dtype}" for dtype in ("f32", "f64")}  # as `tile_text.tile_name`, which a warm start does not import

_lock = threading.Lock()
_compiling: dict[str, Future[bytes]] = {}
_loaded: dict[str, Any] = {}  # kept: programs call into them


def expect(source: str) -> None:
    """Begin to compile, in the background, the tiles that generated source calls."""
    for dtype in NAMES:
        if (f"tile_{dtype}(" in source or f"tiles_{dtype}(" in source or f"tile_ahead_{dtype}(" in source) and _kept(dtype) is None:
            _compiled(dtype)


def require(code: bytes) -> None:
    """Load the tiles that object code calls; programs loaded later find them by name."""
    for dtype, name in NAMES.items():
        if name not in _loaded and name.encode() in code:
            from flowc.codegen.objects import LoadedProgram  # which loads programs through this file

            ready = _kept(dtype) or _compiled(dtype).result()
            with _lock:
                if name not in _loaded:
                    library = LoadedProgram(ready, (name,), permanent=True)
                    provided[name] = library.addresses[name]
                    _loaded[name] = library


def _name(dtype: str) -> str:
    from flowc.codegen.cache import key

    return key(f"tiles of {dtype}", {})  # which holds the text's own generator by content


@cache
def _kept(dtype: str) -> bytes | None:
    """Object code of the tiles of one dtype, from the disk cache; None where this process has to compile it."""
    from flowc.codegen.cache import Cache

    return Cache().read(_name(dtype))


def keep(dtype: str) -> None:
    """Have the tiles of one dtype in the disk cache."""
    if _kept(dtype) is None:
        from flowc.codegen.cache import Cache

        _write(dtype, Cache())


def _write(dtype: str, folder: Cache) -> bytes:
    from flowc.codegen.tile_text import tile_text

    text = tile_text(dtype)
    code = _emit(text)
    folder.write(_name(dtype), f"# The register tiles of {dtype}, in LLVM's language.\n" + "".join(f"# {line}\n" for line in text.splitlines()), code)
    return code


def _compiled(dtype: str) -> Future[bytes]:
    """Object code of the tiles of one dtype, from the process that compiles ahead, or from a thread that compiles it now."""
    from concurrent.futures import Future

    from flowc.codegen import ahead
    from flowc.codegen.cache import Cache

    with _lock:
        found = _compiling.get(dtype)
        if found is not None:
            return found
        found = _compiling[dtype] = Future()
    folder = Cache()

    def compile() -> None:
        try:
            ahead.wait(f"tiles of {dtype}")
            found.set_result(folder.read(_name(dtype)) or _write(dtype, folder))
        except BaseException as error:
            found.set_exception(error)
            raise

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
