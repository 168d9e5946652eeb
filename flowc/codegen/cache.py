"""The disk cache: object code and the source it came from, by a hash of everything that decides what the code is.

    ~/.cache/flowc/3f2a...c1.py     the generated source
    ~/.cache/flowc/3f2a...c1.o      header with a checksum over name and content, then object code
    ~/.cache/flowc/71ce...f0.kernel the same header, then the object code of one kernel, which any program may have
    ~/.cache/flowc/90d1...7e.run    the same header, then what a run needs of a Function's program beside the code (`flowc.runtime.kept`)
    ~/.cache/flowc/55ab...02.stamp  the same header, then what else decides the code (`flowc.codegen.environment`)

Files are written under another name and renamed, so processes may share the folder. A file that is damaged, truncated or foreign, another
program's too, counts as absent. A folder that cannot be written to costs one warning; programs are then compiled for the process alone.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = (".o", ".py", ".kernel", ".run", ".stamp")
_MAGIC = b"flowc object 3\n"
_warned = False


class CacheInfo(NamedTuple):
    """folder; programs: compiled programs in it; bytes: what they and their sources take."""

    folder: Path
    programs: int
    bytes: int


def key(text: str, signatures: Mapping[str, Sequence[str]], flags: Mapping[str, Any] | None = None) -> str:
    """The name of a program in the cache. Comment lines do not count: they say where in the user's file an op stands, and lines move."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    from flowc.codegen.environment import environment

    parts = [code, repr(sorted((k, tuple(v)) for k, v in signatures.items())), repr(sorted((flags or {}).items())), environment()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def _checksum(file: str, data: bytes) -> bytes:
    """Of what is kept in a file: the file of one program, copied over another's, is seen."""
    return hashlib.sha256(file.encode() + b"\0" + data).digest()


def _headed(file: str, data: bytes) -> bytes:
    return _MAGIC + _checksum(file, data) + data


class Cache:
    """One folder. folder: None means the one of the settings in force (FLOWC_CACHE_DIR, XDG_CACHE_HOME, ~/.cache/flowc)."""

    makes_folder = True  # where there is none; not for processes that may outlive who uses it

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is None:
            from flowc.config import settings

            folder = settings().cache_dir
        self.place = os.fspath(folder)

    @property
    def folder(self) -> Path:
        from pathlib import Path  # 3 ms that a warm start does without

        return Path(self.place)

    def source_path(self, name: str) -> str:
        return self._path(f"{name}.py")

    def _path(self, file: str) -> str:
        return os.path.join(self.place, file)

    def read(self, name: str, kind: str = ".o") -> bytes | None:
        """What is kept under a name, by default the object code of a program; None where there is nothing that is whole."""
        try:
            with open(self._path(f"{name}{kind}"), "rb", buffering=0) as file:
                data = file.read()
        except OSError:
            return None
        head = len(_MAGIC) + 32
        content = data[head:]
        whole = data.startswith(_MAGIC) and data[len(_MAGIC) : head] == _checksum(f"{name}{kind}", content)
        return content if whole else None

    def write(self, name: str, text: str, code: bytes) -> bool:
        """Keep a program; False, with one warning in the life of the process, where the folder cannot be written to."""
        return self._keep({f"{name}.py": text.encode(), f"{name}.o": _headed(f"{name}.o", code)})

    def keep(self, name: str, kind: str, data: bytes) -> bool:
        """Keep what `read(name, kind)` gives back. As `write`."""
        return self._keep({f"{name}{kind}": _headed(f"{name}{kind}", data)})

    def _keep(self, files: Mapping[str, bytes]) -> bool:
        global _warned
        try:
            if self.makes_folder:
                os.makedirs(self.place, exist_ok=True)
            for file, data in files.items():
                self._replace(file, data)
        except OSError as error:
            if not _warned:
                _warned = True
                warnings.warn(f"flowc cannot keep compiled programs in {self.place}: {error}", RuntimeWarning, stacklevel=3)
            return False
        return True

    def _replace(self, file: str, data: bytes) -> None:
        import tempfile

        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.place)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            os.replace(temporary, self._path(file))
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
        return [f for f in self.folder.iterdir() if (f.suffix in _KINDS and len(f.stem) == 40) or (f.name.startswith(".") and f.suffix == ".tmp")]


def cache_info() -> CacheInfo:
    """What the cache of the settings in force holds."""
    return Cache().info()


def cache_clear() -> int:
    """Empty the cache of the settings in force; the number of programs that it held."""
    return Cache().clear()
