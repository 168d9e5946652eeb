"""Units of LLVM text become object code, here and in helper processes."""

from __future__ import annotations

import ctypes

import pytest

from flowc.codegen import emission
from flowc.codegen.emission import Emission, Unit
from flowc.codegen.objects import LoadedProgram, pack, unpack


def unit(number: int) -> Unit:
    """f0 adds 0, f1 adds 1 by calling f0, and so on."""
    before = f"declare i64 @f{number - 1}(i64)\n" if number else ""
    call = f"%y = call i64 @f{number - 1}(i64 %x)" if number else "%y = add i64 %x, 0"
    return Unit(f"f{number}", f'{before}define i64 @"f{number}"(i64 %x) {{\n  {call}\n  %z = add i64 %y, {number}\n  ret i64 %z\n}}\n')


def total(codes: dict[str, bytes], name: str = "f7") -> int:
    loaded = LoadedProgram(pack(list(codes.values())), (name,))
    return int(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.addresses[name])(100))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The units that this process emits itself."""
    emitted: list[str] = []
    emit = emission.emit
    monkeypatch.setattr(emission, "emit", lambda unit, *rest: emitted.append(unit.name) or emit(unit, *rest))
    return emitted


@pytest.mark.parametrize("helpers", [0, 1, 2])
def test_units_call_each_other_whoever_emits_them(helpers: int, monkeypatch: pytest.MonkeyPatch, here: list[str]) -> None:
    monkeypatch.setattr(emission, "helpers", lambda kernels: helpers)
    with Emission(2, 256, 8) as line:
        for number in range(8):
            line.add(unit(number))
        codes = line.finish()
    assert list(codes) == [f"f{n}" for n in range(8)]
    assert total(codes) == 100 + sum(range(8))
    if not helpers:
        assert here == [*(f"f{n}" for n in range(1, 8)), "f0"], "the longest first, and f0 is the shortest"


def test_a_helper_gives_the_same_code(monkeypatch: pytest.MonkeyPatch, here: list[str]) -> None:
    monkeypatch.setattr(emission, "helpers", lambda kernels: 1)
    with Emission(2, 256, 1) as line:
        line.add(unit(0))
        while not line._codes:  # nobody else takes it
            line._threads[0].join(0.01)
            assert line._threads[0].is_alive()
        codes = line.finish()
    assert here == []
    assert codes["f0"] == emission.emit(unit(0), 2, 256)


@pytest.mark.parametrize("command", ["exit()", "import sys; sys.stdout.write('no answer'); sys.stdout.flush()", "while True: pass"])
def test_what_a_helper_does_not_emit_is_emitted_here(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emission, "helpers", lambda kernels: 1)
    monkeypatch.setattr(emission, "COMMAND", command)
    with Emission(2, 256, 8) as line:
        if command.startswith("while"):
            line._helpers[0].kill()  # in the middle of its work
        for number in range(8):
            line.add(unit(number))
        assert total(line.finish()) == 100 + sum(range(8))


def test_without_an_interpreter_to_start_all_is_emitted_here(monkeypatch: pytest.MonkeyPatch, here: list[str]) -> None:
    monkeypatch.setattr(emission, "helpers", lambda kernels: 1)
    monkeypatch.setattr(emission.sys, "executable", "/nowhere/python")
    with Emission(2, 256, 8) as line:
        for number in range(8):
            line.add(unit(number))
        assert total(line.finish()) == 100 + sum(range(8))
    assert len(here) == 8


def test_what_llvm_refuses_is_raised_and_no_process_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emission, "helpers", lambda kernels: 1)
    with pytest.raises(RuntimeError, match="parsing error"), Emission(2, 256, 8) as line:
        line.add(Unit("f", "define i64 @f(i64 %x) { ret i64 %nothing }"))
        line.finish()
    assert [helper.poll() is not None for helper in line._helpers] == [True]
    assert not any(thread.is_alive() for thread in line._threads)


def test_an_interrupted_translation_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emission, "helpers", lambda kernels: 2)
    with pytest.raises(KeyboardInterrupt), Emission(2, 256, 8) as line:
        line.add(unit(0))
        raise KeyboardInterrupt
    assert all(helper.poll() is not None for helper in line._helpers)
    assert not any(thread.is_alive() for thread in line._threads)


def test_helpers_are_started_where_there_are_cores_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, kernels, expected in [(1, 100, 0), (2, 3, 0), (2, 4, 1), (2, 100, 1), (8, 100, 2)]:
        monkeypatch.setattr(emission.os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)), raising=False)
        assert emission.helpers(kernels) == expected


def test_a_unit_may_go_by_another_name() -> None:
    renamed = unit(3).called({"f3": "other"})
    assert '@"other"' in renamed.text and '@"f3"' not in renamed.text
    assert unit(3).called({"f4": "other"}) == unit(3)


def test_archives_give_back_their_members() -> None:
    members = [b"", b"x", b"\x7fELF" * 100, b"!<arch>\n"]
    assert unpack(pack(members)) == members
    assert unpack(b"\x7fELF") == [b"\x7fELF"]
    for damaged in (pack(members)[:-1], pack(members)[:-50], pack(members).replace(b"`\n", b"  ")):
        with pytest.raises(ValueError, match="archive of object code is damaged"):
            unpack(damaged)
