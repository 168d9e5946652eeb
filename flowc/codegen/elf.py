"""Object code -> machine code in memory, placed by flowc itself, so that a warm start imports no compiler.

    image = Image([k0, k1, entry])         # ELF relocatable files for x86-64, as `host.target_machine` emits them
    image.address("program")               # where the function begins

An object file is sections, symbols, and places where the distance to a symbol is still to be written. Sections go into one piece of
memory, one after the other; distances are written; functions of the C library are reached through a jump of our own, since they may lie
farther away than a distance of 32 bits reaches. Then the memory becomes executable and can no longer be written, but for the pages of
what the code itself writes to. `Unplaceable` says that a file holds something else: then LLVM's own loader has to take it.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_RELOCATABLE, _X86_64 = 1, 62  # kind of file, machine
_SYMBOLS, _RELOCATIONS, _NO_BITS = 2, 4, 8  # kinds of sections
_WRITTEN, _ALLOCATED = 1, 2  # flags of a section: the program writes to it; needs it in memory
_ABSOLUTE, _DISTANCE, _CALL = 1, 2, 4  # R_X86_64_64, R_X86_64_PC32, R_X86_64_PLT32
_STUB = b"\xff\x25\x02\x00\x00\x00\x90\x90"  # jump to the address in the eight bytes that follow


class Unplaceable(Exception):
    """The object file holds something that is not placed here; the text says what."""


class Section(NamedTuple):
    """A header: the section's name (as its place in the names), kind, flags, bytes in the file, partner, more, alignment."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


@cache
def _library() -> Any:
    """The C library and all that the process has loaded with it."""
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    library.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    library.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return library


provided: dict[str, int] = {}
"""Functions that object code may call beside those of the C library: their addresses by name."""


def _external(name: str) -> int:
    """The address of a function that the process has already."""
    if name in provided:
        return provided[name]
    try:
        return ctypes.cast(getattr(_library(), name), ctypes.c_void_p).value or 0
    except AttributeError:
        raise Unplaceable(f"the process has no function {name}") from None


class _Object:
    """One object file, read. places: where in the image each of its sections in memory begins."""

    def __init__(self, code: bytes) -> None:
        magic, kind, machine, *_, sections_at, _, _, _, _, section_size, count, _ = _HEADER.unpack_from(code)
        if magic[:6] != b"\x7fELF\x02\x01" or (kind, machine, section_size) != (_RELOCATABLE, _X86_64, _SECTION.size):
            raise Unplaceable("not object code for x86-64")
        self.code = code
        self.sections = [Section(*_SECTION.unpack_from(code, sections_at + i * _SECTION.size)) for i in range(count)]
        table = next((s for s in self.sections if s.kind == _SYMBOLS), None)
        if table is None:
            raise Unplaceable("no symbols")
        self.symbols = list(_SYMBOL.iter_unpack(code[table.offset : table.offset + table.size]))
        self._names = self.sections[table.link].offset
        self.places: dict[int, int] = {}

    def name(self, symbol: int) -> str:
        begin = self._names + self.symbols[symbol][0]
        return self.code[begin : self.code.index(b"\0", begin)].decode()

    def lay_out(self, end: int, written: bool) -> int:
        """Places from `end` on for the sections that the program writes to, or for the others; the new end."""
        for number, section in enumerate(self.sections):
            if section.flags & _ALLOCATED and section.size and bool(section.flags & _WRITTEN) == written:
                self.places[number] = end = -(-end // max(section.align, 1)) * max(section.align, 1)
                end += section.size
        return end

    def names(self) -> list[str]:
        """What others may call or read."""
        return [self.name(i) for i, s in enumerate(self.symbols) if s[1] >> 4 and s[3]]

    def public(self) -> dict[str, int]:
        """Where in the image lies what others may call."""
        return {self.name(i): self.places[s[3]] + s[4] for i, s in enumerate(self.symbols) if s[1] >> 4 and s[3] in self.places}

    def missing(self) -> list[int]:
        """Symbols that the file uses and does not have."""
        return [i for i, s in enumerate(self.symbols) if i and s[3] == 0]


class Image:
    """Machine code of object files in memory for as long as this object lives, or for good where it is `permanent`."""

    def __init__(self, objects: Sequence[bytes], permanent: bool = False) -> None:
        if sys.platform != "linux":
            raise Unplaceable("made for Linux")
        try:
            self._place([_Object(code) for code in objects])
        except (struct.error, IndexError, ValueError) as error:
            raise Unplaceable(f"not a whole object file: {error}") from None
        if not permanent:
            # at the end of the process all memory goes anyway, and threads may still be inside
            weakref.finalize(self, _library().munmap, self.base, self.size).atexit = False

    def _place(self, files: list[_Object]) -> None:
        end, public = 0, dict[str, int]()
        for file in files:
            end = file.lay_out(end, written=False)
        called = {file.name(i) for file in files for i in file.missing()} - {name for file in files for name in file.names()}
        stubs: dict[str, int] = {}
        for name in sorted(called):
            stubs[name] = end = -(-end // 16) * 16
            end += 16
        executable = end = -(-max(end, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        for file in files:
            end = file.lay_out(end, written=True)
            public |= file.public()
        self.size = -(-max(end, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        image = bytearray(self.size)
        for name, at in stubs.items():
            image[at : at + 16] = _STUB + struct.pack("<Q", _external(name))
        library = _library()
        base = library.mmap(None, self.size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        if base is None or base == ctypes.c_void_p(-1).value:
            raise Unplaceable("no memory")
        self.base = int(base)
        try:
            for file in files:
                self._write(file, image, public, stubs)
            ctypes.memmove(self.base, (ctypes.c_char * self.size).from_buffer(image), self.size)
            if library.mprotect(self.base, executable, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
                raise Unplaceable("memory here cannot be made executable")
        except BaseException:
            library.munmap(self.base, self.size)
            raise
        self._functions = {name: self.base + at for name, at in public.items()}

    def _write(self, file: _Object, image: bytearray, public: Mapping[str, int], stubs: Mapping[str, int]) -> None:
        """A file's sections, and in them the distances to what they use."""
        for number, begin in file.places.items():
            section = file.sections[number]
            if section.kind != _NO_BITS:
                image[begin : begin + section.size] = file.code[section.offset : section.offset + section.size]
        targets = [file.places[s[3]] + s[4] if s[3] in file.places else None for s in file.symbols]
        for symbol in file.missing():
            targets[symbol] = public.get(file.name(symbol))
        for section in file.sections:
            if section.kind != _RELOCATIONS or section.info not in file.places:
                continue
            begin = file.places[section.info]
            for offset, info, addend in _RELOCATION.iter_unpack(file.code[section.offset : section.offset + section.size]):
                kind, target = info & 0xFFFFFFFF, targets[info >> 32]
                if target is None and kind == _CALL:
                    target = stubs.get(file.name(info >> 32))
                if target is None:
                    raise Unplaceable(f"the address of {file.name(info >> 32)} as data")
                if kind in (_DISTANCE, _CALL):
                    struct.pack_into("<i", image, begin + offset, target + addend - begin - offset)
                elif kind == _ABSOLUTE:
                    struct.pack_into("<Q", image, begin + offset, self.base + target + addend)
                else:
                    raise Unplaceable(f"relocation {kind}")

    def address(self, name: str) -> int:
        """Where a function begins; 0 where the files have no such function that others may call."""
        return self._functions.get(name, 0)
