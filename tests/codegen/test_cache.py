"""The disk cache of compiled programs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

from flowc.codegen import build, cache
from flowc.codegen.cache import Cache
from tests.codegen.programs import call, table

TEXT = """from flowc.codegen.intrinsics import *


def k0(tid, nthreads, out):
    out[0] = {value}


def program(tid, nthreads, args):
    k0(tid, nthreads, pointer_i64(args, 1))
"""
SIGNATURES = {"k0": ("i64", "i64", "i64*!"), "program": ("i64", "i64", "i64*")}


def answer(program: build.Compiled) -> int:
    arrays = {"out": np.zeros(1, np.int64)}
    call(program.loaded, table(arrays, {}))
    return int(arrays["out"][0])


@pytest.fixture
def folder(tmp_path: Path) -> Cache:
    """A cache of its own; programs of this process are forgotten, as in a new process."""
    build._programs.clear()
    return Cache(tmp_path / "cache")


def test_a_program_is_compiled_once_in_a_process(folder: Cache) -> None:
    before = build.compilations
    first = build.compile_cached(TEXT.format(value=3), SIGNATURES, cache=folder)
    second = build.compile_cached(TEXT.format(value=3), SIGNATURES, cache=folder)
    assert first is second
    assert build.compilations == before + 1
    assert answer(first) == 3


def test_a_later_process_finds_the_object_code(folder: Cache) -> None:
    build.compile_cached(TEXT.format(value=4), SIGNATURES, cache=folder)
    before = build.compilations
    build._programs.clear()
    assert answer(build.compile_cached(TEXT.format(value=4), SIGNATURES, cache=folder)) == 4
    assert build.compilations == before


def test_the_source_lies_beside_the_object_code(folder: Cache) -> None:
    program = build.compile_cached(TEXT.format(value=5), SIGNATURES, cache=folder)
    assert Path(program.source_path).read_text() == TEXT.format(value=5)
    assert Path(program.source_path).with_suffix(".o").exists()


def test_source_signatures_and_flags_each_make_another_key() -> None:
    keys = {
        cache.key("a", {}),
        cache.key("b", {}),
        cache.key("a", {"k0": ("i64",)}),
        cache.key("a", {"k0": ("f32",)}),
        cache.key("a", {}, {"level": 1}),
    }
    assert len(keys) == 5
    assert cache.key("a", {}) in keys


def test_comments_do_not_make_another_key() -> None:
    assert cache.key("x = 1\n    # model.py:41\ny = 2", {}) == cache.key("x = 1\ny = 2", {})


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"something else",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    ],
    ids=["truncated", "empty", "foreign", "flipped in the code", "flipped in the checksum"],
)
def test_a_damaged_file_is_compiled_again(folder: Cache, damage: object) -> None:
    program = build.compile_cached(TEXT.format(value=6), SIGNATURES, cache=folder)
    file = Path(program.source_path).with_suffix(".o")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))  # type: ignore[operator]
    del program
    build._programs.clear()
    before = build.compilations
    assert answer(build.compile_cached(TEXT.format(value=6), SIGNATURES, cache=folder)) == 6
    assert build.compilations == before + 1
    assert file.read_bytes() == whole


def test_a_whole_file_of_another_program_is_not_taken(folder: Cache) -> None:
    programs = [build.compile_cached(TEXT.format(value=value), SIGNATURES, cache=folder) for value in (60, 61)]
    first, second = (Path(p.source_path).with_suffix(".o") for p in programs)
    second.write_bytes(first.read_bytes())
    del programs
    build._programs.clear()
    assert answer(build.compile_cached(TEXT.format(value=61), SIGNATURES, cache=folder)) == 61


def test_a_folder_that_cannot_be_written_to_warns_once_and_programs_still_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_warned", False)
    (tmp_path / "file").write_text("not a folder")
    blocked = Cache(tmp_path / "file")
    with pytest.warns(RuntimeWarning, match="cannot keep compiled programs"):
        program = build.compile_cached(TEXT.format(value=7), SIGNATURES, cache=blocked)
    assert answer(program) == 7
    assert program.source_path.startswith("<flowc ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert answer(build.compile_cached(TEXT.format(value=8), SIGNATURES, cache=blocked)) == 8


def test_info_counts_and_clear_removes_what_is_ours(folder: Cache) -> None:
    assert folder.info().programs == 0
    for value in (1, 2):
        build.compile_cached(TEXT.format(value=value), SIGNATURES, cache=folder)
    (folder.folder / "notes.txt").write_text("mine")
    info = folder.info()
    assert (info.folder, info.programs) == (folder.folder, 2)
    assert info.bytes > 1000
    assert folder.clear() == 2
    assert [f.name for f in folder.folder.iterdir()] == ["notes.txt"]


def test_the_settings_name_the_folder(tmp_path: Path) -> None:
    from flowc import config

    with config.override(cache_dir=tmp_path / "here"):
        assert cache.cache_info().folder == tmp_path / "here"
        assert cache.cache_clear() == 0


WARM = textwrap.dedent("""
    import sys, ctypes
    sys.path.insert(0, {root!r})
    from flowc.codegen import build
    from flowc.codegen.cache import Cache
    from tests.codegen.test_cache import TEXT, SIGNATURES, answer
    program = build.compile_cached(TEXT.format(value=9), SIGNATURES, cache=Cache({folder!r}))
    print(answer(program), build.compilations, "numba" in sys.modules)
""")


def test_a_warm_start_does_not_import_numba(folder: Cache) -> None:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", WARM.format(root=root, folder=str(folder.folder))]
    outputs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(2)]
    assert outputs == [["9", "1", "True"], ["9", "0", "False"]]


def test_processes_that_compile_the_same_at_once_do_not_disturb_each_other(folder: Cache) -> None:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", WARM.format(root=root, folder=str(folder.folder))]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [p.communicate()[0].split()[0] for p in processes] == ["9"] * 3
    assert folder.info().programs == 1
    assert not [f for f in folder.folder.iterdir() if f.suffix == ".tmp"]
