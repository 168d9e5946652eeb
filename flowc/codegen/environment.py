"""What beside a program decides its code: versions, the processor, and flowc's own files by content.

    environment()      "0.68.1", "0.50.0", ..., "znver3", "+avx2,...", hash of the code generator's files     -> source to object code
    compiler()         the same and the hash of every file from the IR to the printers                         -> Function to object code

To read 80 files and to ask LLVM for the processor takes as long as all else in a warm start. So the answer is kept in the cache folder
under a stamp, which costs a look at the files' sizes and times and at what the system says of the processor. A file that has
changed gives another stamp, and then everything is read again; a copy of flowc at another place or time gives another stamp and the same answer.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from typing import Any

from flowc.codegen.host import VARIABLES, host

_HERE = os.path.dirname(os.path.abspath(__file__))
_FLOWC = os.path.dirname(_HERE)
# the files of this room that decide what object code a source becomes; the printers decide the source, which is in the key itself
PARTS = (
    "alike", "barrier", "build", "butterflies", "claims", "clock", "emission", "emitters", "entry", "fourier", "fourier_text", "functions", "host",
    "intrinsics", "libraries", "numba_target", "philox", "scalars", "source", "tile", "tile_parts", "tile_text", "types", "vector_text", "vmath",
    "vmath_f64", "walk", "wishes",
)  # fmt: skip
AGREED = "ir/primitives.py"  # and this one, which says what libraries and their callers agree on
# what decides, with them, which source and which layout a Function becomes
ROOMS = ("ir", "ops", "transforms", "lower", "codegen")
ALONE = ("runtime/layout.py",)
# what the system says of a processor that changes with its kind alone, not from core to core or from minute to minute
_PROCESSOR = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU implementer", "CPU variant", "CPU part", "CPU revision")


def environment() -> str:
    """What beside the source decides the object code."""
    return _kept()[0]


def compiler() -> str:
    """What beside the Function decides the program."""
    return _kept()[1]


@cache
def _kept() -> tuple[str, str]:
    from flowc.codegen.cache import Cache

    stamp, cache = _stamp(), Cache()
    data = None if stamp is None else cache.read(stamp, ".stamp")
    if data is not None:
        first, second = data.decode().split("\0")
        return first, second
    found = _environment(), _compiler()
    if stamp is not None:
        cache.keep(stamp, ".stamp", "\0".join(found).encode())
    return found


def _environment() -> str:
    import llvmlite
    import llvmlite.binding as llvm

    version = b"".join(_read(os.path.join(place, "_version.py")) for place in _places("numba")).decode()
    files = [*(os.path.join(_HERE, f"{part}.py") for part in PARTS), os.path.join(_FLOWC, AGREED)]
    return "\n".join([version, llvmlite.__version__, str(llvm.llvm_version_info), *host(), _content(files)])


def _compiler() -> str:
    return f"{_environment()}\n{sys.implementation.cache_tag}\n{_content(_files())}"


def _files() -> list[str]:
    folders = [os.path.join(_FLOWC, room) for room in ROOMS]
    files = [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder)) if name.endswith(".py")]
    return [*files, *(os.path.join(_FLOWC, name) for name in ALONE)]


def _content(files: list[str]) -> str:
    hashed = hashlib.sha256()
    for file in files:
        hashed.update(os.path.basename(file).encode() + b"\0" + _read(file) + b"\0")
    return hashed.hexdigest()


def _read(file: str) -> bytes:
    with open(file, "rb") as content:
        return content.read()


def _places(package: str) -> list[str]:
    """The folders of a package, which is found but not imported; importlib.metadata would cost as much as all the rest."""
    from importlib.util import find_spec

    spec = find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def _stamp() -> str | None:
    """The name under which the answer is kept; None where the system says nothing of the processor, so that only LLVM knows."""
    processor = _processor()
    if processor is None:
        return None
    parts: list[Any] = [sys.version, processor, *(os.environ.get(name) for name in VARIABLES)]
    for room in ROOMS:
        with os.scandir(os.path.join(_FLOWC, room)) as entries:
            parts += sorted((e.name, (found := e.stat()).st_size, found.st_mtime_ns) for e in entries if e.name.endswith(".py"))
    versions = [os.path.join(place, "_version.py") for name in ("numba", "llvmlite") for place in _places(name)]
    for file in (*(os.path.join(_FLOWC, name) for name in ALONE), *versions):
        found = os.stat(file)
        parts.append((file, found.st_size, found.st_mtime_ns))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:40]


def _processor() -> str | None:
    """What /proc/cpuinfo says of the first core."""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            data = b""
            while b"\n\n" not in data and (more := file.read(8192)):
                data += more
    except OSError:
        return None
    lines = [line.split(":", 1) for line in data.decode(errors="replace").split("\n\n", 1)[0].splitlines()]
    known = [f"{name.strip()}:{value[0].strip()}" for name, *value in lines if value and name.strip() in _PROCESSOR]
    return "\n".join(known) or None
