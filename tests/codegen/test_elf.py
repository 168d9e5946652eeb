"""Object code placed in memory without LLVM."""

from __future__ import annotations

import ctypes
import platform
import sys

import pytest

from flowc.codegen.elf import Image, Unplaceable
from flowc.codegen.objects import LoadedProgram, assemble

pytestmark = pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="LLVM's loader is used here")

TEXT = """
@table = internal constant [4 x double] [double 1.0, double 2.0, double 4.0, double 8.0]
@text = internal constant [6 x i8] c"flowc\\00"
@pointers = internal constant [2 x ptr] [ptr @table, ptr @text]
@total = internal global double 0.0
declare i64 @strlen(ptr)
declare double @cos(double)

define double @at(i64 %i) {
  %place = getelementptr [4 x double], ptr @table, i64 0, i64 %i
  %value = load volatile double, ptr %place
  ret double %value
}
define i64 @length() {
  %slot = getelementptr [2 x ptr], ptr @pointers, i64 0, i64 1
  %text = load volatile ptr, ptr %slot
  %n = call i64 @strlen(ptr %text)
  ret i64 %n
}
define double @cosine(double %x) {
  %y = call double @cos(double %x)
  %z = call double @at(i64 1)
  %product = fmul double %y, %z
  ret double %product
}
define double @add(double %x) {
  %old = load volatile double, ptr @total
  %new = fadd double %old, %x
  store volatile double %new, ptr @total
  ret double %new
}
define internal void @hidden() noinline {
  ret void
}
"""


@pytest.fixture(scope="module")
def code() -> bytes:
    return assemble(TEXT)


def test_code_reads_constants_pointers_and_the_c_library(code: bytes) -> None:
    image = Image([code])
    at = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)(image.address("at"))
    assert [at(i) for i in range(4)] == [1.0, 2.0, 4.0, 8.0]
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(image.address("length"))() == 5
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(image.address("cosine"))(0.0) == 2.0


def test_code_writes_to_memory_of_its_own(code: bytes) -> None:
    images = [Image([code]), Image([code])]
    first, second = (ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(image.address("add")) for image in images)
    assert [first(1.5), first(2.0), second(8.0), first(0.5)] == [1.5, 3.5, 8.0, 4.0]


def test_only_what_others_may_call_has_an_address(code: bytes) -> None:
    image = Image([code])
    assert image.address("at")
    assert image.address("hidden") == image.address("nowhere") == 0


def test_machine_code_cannot_be_written(code: bytes) -> None:
    image = Image([code])
    with open("/proc/self/maps") as maps:
        rights = [line.split()[1] for line in maps if int(line.split("-")[0], 16) == image.base]
    assert rights == ["r-xp"]


def test_memory_goes_with_the_image_unless_it_is_permanent(code: bytes) -> None:
    def mapped(base: int) -> bool:
        with open("/proc/self/maps") as maps:
            return any(int(line.split("-")[0], 16) <= base < int(line.split("-")[1].split()[0], 16) and " r-xp " in line for line in maps)

    image = Image([code])
    base = image.base
    assert mapped(base)
    del image
    assert not mapped(base)
    image = Image([code], permanent=True)
    base = image.base
    del image
    assert mapped(base)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda code: b"", "not a whole object file"),
        (lambda code: b"#!" + code[2:], "not object code for x86-64"),
        (lambda code: code[: len(code) // 2], "not a whole object file|not object code|no symbols"),
        (lambda code: code.replace(b"strlen", b"strlan"), "the process has no function strlan"),
    ],
    ids=["empty", "foreign", "half", "unknown function"],
)
def test_what_cannot_be_placed_is_said(code: bytes, change: object, reason: str) -> None:
    with pytest.raises(Unplaceable, match=reason):
        Image([change(code)])  # type: ignore[operator]


def test_a_function_of_the_library_as_data_is_left_to_llvm() -> None:
    code = assemble("declare i64 @strlen(ptr)\n@f = internal constant ptr @strlen\ndefine i64 @length(ptr %x) {\n"
                    " %f = load volatile ptr, ptr @f\n %n = call i64 %f(ptr %x)\n ret i64 %n\n}")  # fmt: skip
    with pytest.raises(Unplaceable, match="the address of strlen as data"):
        Image([code])
    loaded = LoadedProgram(code, ("length",))
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p)(loaded.addresses["length"])(b"flowc") == 5


def test_a_missing_entry_is_named(code: bytes) -> None:
    with pytest.raises(ValueError, match="no function nowhere"):
        LoadedProgram(code, ("at", "nowhere"))
