"""The entry written without Numba, and kernels that several programs share."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from flowc.codegen import build
from flowc.codegen.cache import Cache
from flowc.codegen.entry import entry_unit
from flowc.codegen.objects import load
from tests.codegen.programs import call, table

HEAD = '"""Generated."""\n\nfrom flowc.codegen.intrinsics import barrier, extent, f32, lower_bound, pointer_f32, upper_bound\n\n\n'
SIGNATURES = {"double": ("i64", "i64", "f32*", "f32*!", "i64"), "fill": ("i64", "i64", "f32*!"), "meet": ("i64", "i64", "f32*", "f32*!", "i64", "i64*"),
              "program": ("i64", "i64", "i64*")}  # fmt: skip
DOUBLE = """def double(tid, nthreads, x, out, b):
    # double (model.py:4)
    for i in range(lower_bound(b * {times}, tid, nthreads), upper_bound(b * {times}, tid, nthreads)):
        out[i] = x[i] * f32(2.0)


"""
RENAMED = DOUBLE.replace("double(", "twice(").replace("x[", "h[").replace(", x,", ", h,")
FILL = "def fill(tid, nthreads, out):\n    for i in range(3):\n        out[i] = f32(0.5)\n\n\n"
MEET = """def meet(tid, nthreads, x, out, b, args):
    for i in range(lower_bound(b, tid, nthreads), upper_bound(b, tid, nthreads)):
        out[i] = x[i]
    barrier(tid, nthreads, args)
    for i in range(lower_bound(b, tid, nthreads), upper_bound(b, tid, nthreads)):
        out[b + i] = out[b - 1 - i] + x[i]


"""
ENTRY = """def program(tid, nthreads, args):
    b = extent(args, 4)
    fill(tid, nthreads, pointer_f32(args, 1))
    barrier(tid, nthreads, args)
    double(tid, nthreads, pointer_f32(args, 1), pointer_f32(args, 2), b)
    barrier(tid, nthreads, args)
    meet(tid, nthreads, pointer_f32(args, 2), pointer_f32(args, 3), b, args)
"""
TEXT = HEAD + FILL + DOUBLE.format(times=1) + MEET + ENTRY


def run(code: bytes) -> list[list[float]]:
    arrays = {"x": np.zeros(3, np.float32), "y": np.zeros(3, np.float32), "z": np.zeros(6, np.float32)}
    call(load(code), table(arrays, {"b": 3}))
    return [a.tolist() for a in arrays.values()]


def symbols(text: str) -> dict[str, str]:
    from flowc.codegen.source import typed_functions

    return build._symbols(typed_functions(text, SIGNATURES, "<test>"), None)


def test_the_entry_does_what_numba_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert entry_unit(TEXT, SIGNATURES, symbols(TEXT)) is not None
    expected = [[0.5] * 3, [1.0] * 3, [1.0] * 3 + [2.0] * 3]
    assert run(build.compile_source(TEXT, SIGNATURES)) == expected
    monkeypatch.setattr("flowc.codegen.entry.entry_unit", lambda *_: None)
    assert run(build.compile_source(TEXT, SIGNATURES)) == expected


def test_threads_meet_in_the_entry() -> None:
    from flowc.runtime import threads

    b = 4096
    entry = ENTRY.replace("    fill(tid, nthreads, pointer_f32(args, 1))\n", "")
    code = load(build.compile_source(HEAD + DOUBLE.format(times=1) + MEET + entry, SIGNATURES))
    x, y, z = np.full(b, 0.5, np.float32), np.zeros(b, np.float32), np.zeros(2 * b, np.float32)
    words = table({"x": x, "y": y, "z": z}, {"b": b})
    words[0] = threads.control_block()
    for _ in range(50):
        y[:] = z[:] = 0
        threads.run(code.entry, words.ctypes.data, 2)
        np.testing.assert_array_equal(z[b:], 2.0)


SHARED = FILL.replace("3)", "lower_bound(3, tid, nthreads), upper_bound(3, tid, nthreads))")
TEAMS = HEAD.replace(" f32,", " f32, mark,") + DOUBLE.format(times=1) + SHARED + """def program(tid, nthreads, args):
    b = extent(args, 4)
    team_0 = nthreads if b * 6 + 3 >= 400000 else 1
    team_1 = nthreads if b * 6 // 2 - 1 >= 400000 else 1
    mark(args, 3, tid * 4 + 0)
    double(tid, team_0, pointer_f32(args, 1), pointer_f32(args, 2), b)
    mark(args, 3, tid * 4 + 1)
    barrier(tid, max(team_0, team_1), args)
    double(tid, team_1, pointer_f32(args, 2), pointer_f32(args, 1), b)
    barrier(tid, team_1, args)
    fill(tid, 1, pointer_f32(args, 2))
"""


@pytest.mark.parametrize("b", [100, 100_000, 200_000])
@pytest.mark.parametrize("numba", [False, True])
def test_a_kernels_team_follows_its_work(b: int, numba: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowc.runtime import threads

    assert entry_unit(TEAMS, SIGNATURES, symbols(TEAMS)) is not None
    if numba:
        monkeypatch.setattr("flowc.codegen.entry.entry_unit", lambda *_: None)
    code = load(build.compile_source(TEAMS, SIGNATURES))
    for _ in range(20):
        x, y, times = np.full(b, 0.5, np.float32), np.zeros(b, np.float32), np.zeros(8, np.int64)
        words = table({"x": x, "y": y, "z": times}, {"b": b})
        words[0] = threads.control_block()
        threads.run(code.entry, words.ctypes.data, 2)
        np.testing.assert_array_equal(x, 2.0)
        np.testing.assert_array_equal(y[3:], 1.0)
        assert y[:3].tolist() == [0.5] * 3 and 0 < times[0] < times[1] and 0 < times[4] < times[5] and not times[2:4].any()


@pytest.mark.parametrize(
    "other",
    [
        "    fill(tid, nthreads, pointer_f32(args, 1 + 0))",
        "    fill(nthreads, tid, pointer_f32(args, 1), 3)",
        "    fill(tid, nthreads, args)\n    c = 3",
        "    barrier(nthreads, tid, args)",
        "    barrier(tid, 1 % nthreads, args)",
        "    n = nthreads if args >= 3 else 1",
        "    n = nthreads if tid < 3 else 1",
        "    unknown(tid)",
        "    for i in range(3):\n        fill(tid, nthreads, pointer_f32(args, 1))",
    ],
)
def test_anything_else_is_left_to_numba(other: str) -> None:
    assert entry_unit(f"{HEAD}{FILL}def program(tid, nthreads, args):\n{other}\n", SIGNATURES, {"fill": "fill"}) is None


def test_an_entry_without_kernels_needs_no_numba() -> None:
    code = "import sys; from flowc.codegen.build import compile_source; "
    code += "compile_source('def program(tid, nthreads, args):\\n    pass\\n', {'program': ('i64', 'i64', 'i64*')}); print('numba' in sys.modules)"
    code = code.replace("'def program", "'\\n\\ndef program")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "False\n"


# kernels of several programs


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of kernels that are translated from here on."""
    names: list[str] = []
    real = build.translated

    def spy(functions):
        names.extend(kernel.name for item in functions for kernel in (item.copies or (item,)))
        return real(functions)

    monkeypatch.setattr(build, "translated", spy)
    return names


def program(kernel: str, name: str) -> str:
    return HEAD + FILL + kernel + f"""def program(tid, nthreads, args):
    b = extent(args, 4)
    fill(tid, nthreads, pointer_f32(args, 1))
    barrier(tid, nthreads, args)
    {name}(tid, nthreads, pointer_f32(args, 1), pointer_f32(args, 2), b)
"""


def test_a_kernel_that_another_program_had_is_not_translated_again(tmp_path: Path, translated: list[str]) -> None:
    cache = Cache(tmp_path)
    build.compile_source(TEXT, SIGNATURES, cache=cache)
    assert translated == ["fill", "double", "meet"]
    translated.clear()
    signatures = SIGNATURES | {"twice": SIGNATURES["double"]}
    code = build.compile_source(program(RENAMED.format(times=1), "twice"), signatures, cache=cache)
    assert translated == []
    assert run(code) == [[0.5] * 3, [1.0] * 3, [0.0] * 6]
    build.compile_source(program(DOUBLE.format(times=2), "double"), SIGNATURES, cache=cache)
    assert translated == ["double"]


def test_other_types_flags_and_bodies_are_other_kernels() -> None:
    from flowc.codegen.source import typed_functions

    def name(text: str, signatures: dict[str, tuple[str, ...]], flags: dict[str, int] | None = None) -> str:
        return build._symbols(typed_functions(text, signatures, "<test>"), flags)["double"]

    text = HEAD + DOUBLE.format(times=1)
    aliased = SIGNATURES | {"double": ("i64", "i64", "f32*&", "f32*!&", "i64")}
    names = [name(text, SIGNATURES), name(text, SIGNATURES, {"level": 3}), name(text, aliased), name(text.replace("2.0", "3.0"), SIGNATURES),
             name(text.replace("* f32", "+ f32"), SIGNATURES)]  # fmt: skip
    assert len(set(names)) == 5
    assert name(text.replace("model.py:4", "model.py:5"), SIGNATURES) == names[0]


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("f32,", "f32 as f64, f32,") + DOUBLE.format(times=1),
        HEAD + "n = 3\n\n\n" + DOUBLE.format(times=1),
        HEAD + FILL + DOUBLE.format(times=1).replace("    #", "    fill(tid, nthreads, out)\n    #"),
    ],
    ids=["a name that means something else", "a name of the file's own", "a kernel that calls another"],
)
def test_a_kernel_whose_text_does_not_say_all_is_nobody_elses(text: str) -> None:
    assert symbols(text) == {}


def test_a_damaged_kernel_is_compiled_again(tmp_path: Path, translated: list[str]) -> None:
    cache = Cache(tmp_path)
    build.compile_source(TEXT, SIGNATURES, cache=cache)
    translated.clear()
    file = tmp_path / f"{symbols(TEXT)['meet'].removeprefix('flowc_kernel_')}.kernel"
    file.write_bytes(file.read_bytes()[:-1])
    build.compile_source(TEXT, SIGNATURES, cache=cache)
    assert translated == ["meet"]


WARM = textwrap.dedent("""
    import sys
    from flowc.codegen.build import compile_source
    from flowc.codegen.cache import Cache
    from tests.codegen.test_entry import SIGNATURES, TEXT, run
    print(run(compile_source(TEXT, SIGNATURES, cache=Cache({folder!r}))), "numba" in sys.modules)
""")


def test_a_program_of_known_kernels_is_made_without_numba(tmp_path: Path) -> None:
    build.compile_source(TEXT, SIGNATURES, cache=Cache(tmp_path))
    done = subprocess.run([sys.executable, "-c", WARM.format(folder=str(tmp_path))], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == f"{[[0.5] * 3, [1.0] * 3, [1.0] * 3 + [2.0] * 3]} False\n"
