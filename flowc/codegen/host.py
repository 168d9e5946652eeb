"""What the host's processor has: its name, its features, and how many numbers a vector register holds. Needs llvmlite, not Numba."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

VARIABLES = ("FLOWC_CPU", "FLOWC_CPU_FEATURES")  # override what is found, for tests of other widths


@cache
def host() -> tuple[str, str]:
    """(CPU name, feature string) as LLVM spells them."""
    import llvmlite.binding as llvm

    name = os.environ.get(VARIABLES[0]) or llvm.get_host_cpu_name()
    features = os.environ.get(VARIABLES[1])
    if features is None:
        try:
            features = llvm.get_host_cpu_features().flatten()
        except RuntimeError:  # LLVM knows no features for this kind of processor
            features = ""
    return name, features


@cache
def vector_bytes() -> int:
    """Bytes in a vector register: 64 with AVX-512, 32 with AVX, else 16. A wrong answer costs speed only."""
    features = set(host()[1].split(","))
    if "+avx512f" in features:
        return 64
    return 32 if "+avx" in features else 16


@cache
def registers() -> int:
    """Vector registers that the processor names: 32 with AVX-512 and on ARM, else 16. A wrong answer costs speed only."""
    return 32 if vector_bytes() == 64 or triple().startswith(("aarch64", "arm64")) else 16


@cache
def fused() -> bool:
    """Whether a product and a sum are one instruction, rounded once. A wrong answer costs plain Python the last bits of compiled code, nothing else."""
    return "+fma" in host()[1].split(",") or triple().startswith(("aarch64", "arm64"))


@cache
def triple() -> str:
    import llvmlite.binding as llvm

    return llvm.get_process_triple()


@cache
def initialize() -> None:
    """Make LLVM ready to write and to load machine code for this machine."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def target_machine(level: int = 2) -> Any:
    """A new LLVM target machine for this host; an execution engine takes ownership of the one that it is given."""
    import llvmlite.binding as llvm

    initialize()
    name, features = host()
    # code that lies anywhere as one piece, so that distances within it are short: what `elf` places
    relocation, model = ("pic", "small") if triple().startswith("x86_64") else ("default", "jitdefault")
    return llvm.Target.from_triple(triple()).create_target_machine(cpu=name, features=features, opt=level, reloc=relocation, codemodel=model, jit=True)

