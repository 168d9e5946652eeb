"""Object code -> an address that can be called.

    program = load(object_bytes)
    program.entry                      # address of void program(int64 tid, int64 nthreads, int64 *args)

A warm start pays for no compiler: Numba is never imported here, and llvmlite (60 ms of a start, measured) only where `elf` cannot place the
code, as on other processors than x86-64. LLVM's own loader takes it then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowc.codegen.elf import Image, Unplaceable, provided
from flowc.codegen.libraries import require


class LoadedProgram:
    """Machine code in memory for as long as this object lives. entry: the address of `program`.

    permanent: never unloaded, not even when the interpreter takes its modules down: threads may still be inside.
    """

    def __init__(self, code: bytes, names: tuple[str, ...] = ("program",), permanent: bool = False) -> None:
        objects = unpack(code)
        place: Any
        try:
            image = Image(objects, permanent)
            self._kept: Any = image
            place = image.address
        except Unplaceable:
            self._kept = engine, _ = _engine(objects, permanent)
            place = engine.get_function_address
        self.addresses: dict[str, int] = {name: place(name) for name in names}
        if not all(self.addresses.values()):
            raise ValueError(f"the object code has no function {', '.join(n for n, a in self.addresses.items() if not a)}")

    @property
    def entry(self) -> int:
        return self.addresses["program"]


def _engine(objects: list[bytes], permanent: bool) -> tuple[Any, Any]:
    """LLVM's loader, and the object files that it has loaded."""
    import llvmlite.binding as llvm

    from flowc.codegen.host import target_machine

    for name, address in provided.items():
        llvm.add_symbol(name, address)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    files = [llvm.ObjectFileRef.from_data(code) for code in objects]
    for file in files:
        engine.add_object_file(file)
    engine.finalize_object()
    if permanent:
        engine.detach()
    return engine, files


_ARCHIVE, _MEMBER_END = b"!<arch>\n", b"`\n"


def pack(objects: Sequence[bytes]) -> bytes:
    """Object files as one archive, in the format of `ar`."""
    members = []
    for number, code in enumerate(objects):
        head = f"{f'{number}.o/':16}{0:<12}{0:<6}{0:<6}{644:<8}{len(code):<10}".encode() + _MEMBER_END
        members.append(head + code + b"\n" * (len(code) % 2))
    return _ARCHIVE + b"".join(members)


def unpack(code: bytes) -> list[bytes]:
    """The object files of an archive; what is no archive is one object file. ValueError where a member is not whole."""
    if not code.startswith(_ARCHIVE):
        return [code]
    objects, at = [], len(_ARCHIVE)
    while at < len(code):
        head, size = code[at : at + 60], code[at + 48 : at + 58]
        if head[58:] != _MEMBER_END or not size.strip().isdigit() or at + 60 + int(size) > len(code):
            raise ValueError("the archive of object code is damaged")
        objects.append(code[at + 60 : at + 60 + int(size)])
        at += 60 + int(size) + int(size) % 2
    return objects


def load(code: bytes) -> LoadedProgram:
    """Load object code that `build.compile_source` made. RuntimeError or ValueError where it is none."""
    require(code)
    return LoadedProgram(code)


def assemble(text: str) -> bytes:
    """Object code of LLVM text.

    LLVM's first level: the second takes 0.1 s more for the runtime's native code, and its calls are no faster for it.
    """
    import llvmlite.binding as llvm

    from flowc.codegen.host import target_machine

    level = 1
    machine = target_machine(level)
    module = llvm.parse_assembly(text)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code
