"""Object code -> machine code in memory, placed by flowc itself, so that a warm start imports no compiler.

    image = Image(object_bytes)            # an ELF relocatable file for x86-64, as `host.target_machine` emits it
    image.address("program")               # where the function begins

An object file is sections, symbols, and places where the distance to a symbol is still to be written. Sections go into one piece of
memory, one after the other; distances are written; functions of the C library are reached through a jump of our own, since they may lie
farther away than a distance of 32 bits reaches. Then the memory becomes executable and can no longer be written. `Unplaceable` says that
a file holds something else: then LLVM's own loader has to take it.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
import weakref
from functools import cache
from typing import Any, NamedTuple

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_RELOCATABLE, _X86_64 = 1, 62  # kind of file, machine
_SYMBOLS, _RELOCATIONS, _NO_BITS = 2, 4, 8  # kinds of sections
_ALLOCATED = 2  # flag of a section that the program needs in memory
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


class Image:
    """Machine code in memory for as long as this object lives, or for good where it is `permanent`."""

    def __init__(self, code: bytes, permanent: bool = False) -> None:
        if sys.platform != "linux":
            raise Unplaceable("made for Linux")
        try:
            self._place(code)
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise Unplaceable(f"not a whole object file: {error}") from None
        if not permanent:
            # at the end of the process all memory goes anyway, and threads may still be inside
            weakref.finalize(self, _library().munmap, self.base, self.size).atexit = False

    def _place(self, code: bytes) -> None:
        magic, kind, machine, *_, sections_at, _, _, _, _, section_size, count, _ = _HEADER.unpack_from(code)
        if magic[:6] != b"\x7fELF\x02\x01" or (kind, machine, section_size) != (_RELOCATABLE, _X86_64, _SECTION.size):
            raise Unplaceable("not object code for x86-64")
        sections = [Section(*_SECTION.unpack_from(code, sections_at + i * _SECTION.size)) for i in range(count)]
        symbols_in = next((s for s in sections if s.kind == _SYMBOLS), None)
        if symbols_in is None:
            raise Unplaceable("no symbols")
        symbols = list(_SYMBOL.iter_unpack(code[symbols_in.offset : symbols_in.offset + symbols_in.size]))
        names = sections[symbols_in.link].offset

        def name(symbol: tuple[int, ...]) -> str:
            begin = names + symbol[0]
            return code[begin : code.index(b"\0", begin)].decode()

        places: dict[int, int] = {}
        end = 0
        for number, section in enumerate(sections):
            if section.flags & _ALLOCATED and section.size:
                end = -(-end // max(section.align, 1)) * max(section.align, 1)
                places[number] = end
                end += section.size
        external = [i for i, s in enumerate(symbols) if i and s[3] == 0]
        stubs = {i: -(-end // 16) * 16 + 16 * n for n, i in enumerate(external)}
        end = max(end, 1, *(at + 16 for at in stubs.values()))
        self.size = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
        image = bytearray(self.size)
        for number, begin in places.items():
            section = sections[number]
            if section.kind != _NO_BITS:
                image[begin : begin + section.size] = code[section.offset : section.offset + section.size]
        for i, at in stubs.items():
            image[at : at + 16] = _STUB + struct.pack("<Q", _external(name(symbols[i])))
        library = _library()
        base = library.mmap(None, self.size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        if base is None or base == ctypes.c_void_p(-1).value:
            raise Unplaceable("no memory")
        self.base = int(base)
        try:
            targets = [places[s[3]] + s[4] if s[3] in places else None for s in symbols]
            for section in sections:
                if section.kind == _RELOCATIONS and section.info in places:
                    begin = places[section.info]
                    for offset, info, addend in _RELOCATION.iter_unpack(code[section.offset : section.offset + section.size]):
                        kind, target = info & 0xFFFFFFFF, targets[info >> 32]
                        if target is None and kind == _CALL:
                            target = stubs.get(info >> 32)
                        if target is None:
                            raise Unplaceable(f"the address of {name(symbols[info >> 32])} as data")
                        if kind in (_DISTANCE, _CALL):
                            struct.pack_into("<i", image, begin + offset, target + addend - begin - offset)
                        elif kind == _ABSOLUTE:
                            struct.pack_into("<Q", image, begin + offset, self.base + target + addend)
                        else:
                            raise Unplaceable(f"relocation {kind}")
            ctypes.memmove(self.base, (ctypes.c_char * self.size).from_buffer(image), self.size)
            if library.mprotect(self.base, self.size, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
                raise Unplaceable("memory here cannot be made executable")
        except BaseException:
            library.munmap(self.base, self.size)
            raise
        self._functions = {name(s): self.base + t for s, t in zip(symbols, targets, strict=True) if t is not None and s[1] >> 4}

    def address(self, name: str) -> int:
        """Where a function begins; 0 where the file has no such function that others may call."""
        return self._functions.get(name, 0)
