"""Object code -> an address that can be called. Needs llvmlite; Numba is not imported here, so a warm start never pays for it.

    program = load(object_bytes)
    program.entry                      # address of void program(int64 tid, int64 nthreads, int64 *args)
"""

from __future__ import annotations

from typing import Any

from flowc.codegen.host import target_machine
from flowc.codegen.tile_library import require


class LoadedProgram:
    """Machine code in memory for as long as this object lives. entry: the address of `program`."""

    def __init__(self, code: bytes, names: tuple[str, ...] = ("program",), permanent: bool = False) -> None:
        import llvmlite.binding as llvm

        self._engine: Any = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
        self._object = llvm.ObjectFileRef.from_data(code)
        self._engine.add_object_file(self._object)
        self._engine.finalize_object()
        self.addresses: dict[str, int] = {name: self._engine.get_function_address(name) for name in names}
        if not all(self.addresses.values()):
            raise ValueError(f"the object code has no function {', '.join(n for n, a in self.addresses.items() if not a)}")
        if permanent:  # never unloaded, not even when the interpreter takes its modules down: threads may still be inside
            self._engine.detach()

    @property
    def entry(self) -> int:
        return self.addresses["program"]


def load(code: bytes) -> LoadedProgram:
    """Load object code that `build.compile_source` made. RuntimeError or ValueError where it is none."""
    require(code)
    return LoadedProgram(code)


def assemble(text: str, level: int = 2) -> bytes:
    """Object code of LLVM text."""
    import llvmlite.binding as llvm

    machine = target_machine(level)
    module = llvm.parse_assembly(text)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code
