"""The disk cache: object code and the source it came from, by a hash of everything that decides what the code is.

    ~/.cache/flowc/3f2a...c1.py     the generated source
    ~/.cache/flowc/3f2a...c1.o      header with a checksum over name and code, then object code

Files are written under another name and renamed, so processes may share the folder. A file that is damaged, truncated or foreign, another
program's too, counts as absent. A folder that cannot be written to costs one warning; programs are then compiled for the process alone.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from flowc.codegen.host import host

# the files of this room that decide what object code a source becomes; the printers decide the source, which is in the key itself
_PARTS = ("alike", "barrier", "build", "emitters", "host", "intrinsics", "numba_target", "philox", "scalars", "source", "tile", "types", "vmath", "vmath_f64")
_MAGIC = b"flowc object 2\n"
_warned = False


class CacheInfo(NamedTuple):
    """folder; programs: compiled programs in it; bytes: what they and their sources take."""

    folder: Path
    programs: int
    bytes: int


@cache
def environment() -> str:
    """What beside the source decides the object code: versions, processor, and flowc's own code generator by content."""
    from importlib.util import find_spec

    import llvmlite
    import llvmlite.binding as llvm

    numba = find_spec("numba")  # found, not imported; importlib.metadata would cost as much as all the rest
    places = list(numba.submodule_search_locations or ()) if numba is not None else []
    version = "".join((Path(p) / "_version.py").read_text(encoding="utf-8") for p in places)
    own = hashlib.sha256()
    for part in _PARTS:
        own.update((Path(__file__).parent / f"{part}.py").read_bytes() + b"\0")
    return "\n".join([version, llvmlite.__version__, str(llvm.llvm_version_info), *host(), own.hexdigest()])


def key(text: str, signatures: Mapping[str, Sequence[str]], flags: Mapping[str, Any] | None = None) -> str:
    """The name of a program in the cache. Comment lines do not count: they say where in the user's file an op stands, and lines move."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    parts = [code, repr(sorted((k, tuple(v)) for k, v in signatures.items())), repr(sorted((flags or {}).items())), environment()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def _checksum(name: str, code: bytes) -> bytes:
    """Of object code kept under a name: the file of one program, copied over another's, is seen."""
    return hashlib.sha256(name.encode() + b"\0" + code).digest()


class Cache:
    """One folder. folder: None means the one of the settings in force (FLOWC_CACHE_DIR, XDG_CACHE_HOME, ~/.cache/flowc)."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is None:
            from flowc.config import settings

            folder = settings().cache_dir
        self.folder = Path(folder)

    def source_path(self, name: str) -> Path:
        return self.folder / f"{name}.py"

    def read(self, name: str) -> bytes | None:
        """The object code of a program, or None where there is none that is whole."""
        try:
            data = (self.folder / f"{name}.o").read_bytes()
        except OSError:
            return None
        head = len(_MAGIC) + 32
        code = data[head:]
        whole = data.startswith(_MAGIC) and data[len(_MAGIC) : head] == _checksum(name, code)
        return code if whole else None

    def write(self, name: str, text: str, code: bytes) -> bool:
        """Keep a program; False, with one warning in the life of the process, where the folder cannot be written to."""
        global _warned
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._replace(f"{name}.py", text.encode())
            self._replace(f"{name}.o", _MAGIC + _checksum(name, code) + code)
        except OSError as error:
            if not _warned:
                _warned = True
                warnings.warn(f"flowc cannot keep compiled programs in {self.folder}: {error}", RuntimeWarning, stacklevel=2)
            return False
        return True

    def _replace(self, file: str, data: bytes) -> None:
        import tempfile

        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            os.replace(temporary, self.folder / file)
        except OSError:
            os.unlink(temporary)
            raise

    def info(self) -> CacheInfo:
        """What the folder holds."""
        files = self._files()
        return CacheInfo(self.folder, sum(f.suffix == ".o" for f in files), sum(f.stat().st_size for f in files))

    def clear(self) -> int:
        """Remove every program; the number that were there. Files of others in the folder stay."""
        files = self._files()
        for file in files:
            file.unlink(missing_ok=True)
        return sum(f.suffix == ".o" for f in files)

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [f for f in self.folder.iterdir() if (f.suffix in (".o", ".py") and len(f.stem) == 40) or (f.name.startswith(".") and f.suffix == ".tmp")]


def cache_info() -> CacheInfo:
    """What the cache of the settings in force holds."""
    return Cache().info()


def cache_clear() -> int:
    """Empty the cache of the settings in force; the number of programs that it held."""
    return Cache().clear()
