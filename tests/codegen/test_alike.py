"""Kernels of one form: found in spite of names and numbers, translated once, and compiled to what each would be alone."""

from __future__ import annotations

import numpy as np
import pytest

from flowc.codegen import alike, build
from flowc.codegen.objects import LoadedProgram, load
from flowc.codegen.source import typed_functions
from tests.codegen import programs

HEAD = "from flowc.codegen.intrinsics import extent, f32, i64, maximum, minimum, pointer_f32, u32\n\n"


def scale(name: str, x: str, out: str, stop: str, factor: str) -> str:
    return f"def {name}({x}, {out}):\n    # {name}\n    for i in range({stop}):\n        {out}[i] = {x}[i] * f32({factor}) + f32(1.0)\n\n"


def program(*calls: str) -> str:
    return "def program(tid, nthreads, args):\n" + "".join(f"    {call}\n" for call in calls)


def call(name: str, x: int, out: int) -> str:
    return f"{name}(pointer_f32(args, {x}), pointer_f32(args, {out}))"


def run(compiled: LoadedProgram, arrays: list[np.ndarray]) -> None:
    programs.call(compiled, programs.table({str(i): a for i, a in enumerate(arrays)}, {}))


KERNEL, ENTRY = ("f32*", "f32*!"), ("i64", "i64", "i64*")


def test_names_comments_and_numbers_do_not_tell_forms_apart() -> None:
    one, two = scale("k0", "x", "out", "8", "0.5"), scale("k1", "dx", "dw", "64", "-2e-05")
    assert alike.form(one, ["f32"]).key == alike.form(two, ["f32"]).key


@pytest.mark.parametrize(
    "other",
    [
        "def k1(x, out):\n    for i in range(8):\n        out[i] = x[i] * u32(1) + f32(1.0)\n",
        "def k1(x, out):\n    for i in range(8):\n        out[i] = out[i] * f32(0.5) + f32(1.0)\n",
        "def k1(x, out):\n    for i in range(8):\n        out[i] = x[i] / f32(0.5) + f32(1.0)\n",
        "def k1(x, out):\n    for i in range(8):\n        out[i] = x[i] * maximum + f32(1.0)\n",
        "def k1(x, out):\n    for i in range(0, 8, 2):\n        out[i] = x[i] * f32(0.5) + f32(1.0)\n",
        'def k1(x, out):\n    for i in range(8):\n        out[i] = x[i] * f32("inf") + f32(1.0)\n',
    ],
)
def test_another_type_name_or_operator_is_another_form(other: str) -> None:
    fixed = ["f32", "u32", "maximum"]
    assert alike.form(scale("k0", "x", "out", "8", "0.5"), fixed).key != alike.form(other, fixed).key


@pytest.mark.parametrize("line", ["tile_f32({0}, 2, out)", "scratch = local_f32({0})", "for i in range(0, n, {0}):\n    pass"])
def test_numbers_that_must_stay_literals_belong_to_the_form(line: str) -> None:
    fixed = ["tile_f32", "local_f32"]
    assert alike.form(line.format(4), fixed).key != alike.form(line.format(8), fixed).key


def test_a_form_has_parameters_for_the_numbers_that_differ_only() -> None:
    text = HEAD + scale("k0", "x", "out", "8", "0.5") + scale("k1", "y", "z", "16", "0.25") + program(call("k0", 1, 2), call("k1", 3, 4))
    form, entry = typed_functions(text, {"k0": KERNEL, "k1": KERNEL, "program": ENTRY}, "x")
    assert (form.arguments, entry.name) == ((*KERNEL, "i64", "f32"), "program")
    assert [(c.function.__name__, c.numbers) for c in form.copies] == [("k0", (8, np.float32(0.5))), ("k1", (16, np.float32(0.25)))]


def test_kernels_of_one_form_do_what_each_says() -> None:
    kernels = [scale("k0", "x", "out", "8", "0.5"), scale("k1", "literal_0", "z", "16", "-3e-05"), scale("k2", "y", "z", "16", "16777216.0")]
    text = HEAD + "".join(kernels) + program(call("k0", 1, 2), call("k1", 1, 3), call("k2", 1, 4))
    compiled = load(build.compile_source(text, {"k0": KERNEL, "k1": KERNEL, "k2": KERNEL, "program": ENTRY}))
    x = np.linspace(-3, 3, 16, dtype=np.float32)
    outs = [np.zeros(16, np.float32) for _ in range(3)]
    run(compiled, [x, *outs])
    np.testing.assert_array_equal(outs[0], np.where(np.arange(16) < 8, x * np.float32(0.5) + np.float32(1), 0))
    np.testing.assert_array_equal(outs[1], x * np.float32(-3e-05) + np.float32(1))
    np.testing.assert_array_equal(outs[2], x * np.float32(16777216.0) + np.float32(1))


def test_a_kernel_of_a_form_is_optimised_as_it_would_be_alone() -> None:
    one, two = scale("k0", "x", "out", "8", "0.5"), scale("k1", "y", "z", "24", "0.25")
    alone = build.llvm_text(HEAD + two + program(call("k1", 1, 2)), {"k1": KERNEL, "program": ENTRY})
    both = build.llvm_text(HEAD + one + two + program(call("k0", 1, 2), call("k1", 1, 2)), {"k0": KERNEL, "k1": KERNEL, "program": ENTRY})

    def body(text: str) -> int:
        start = next(i for i, line in enumerate(text.splitlines()) if line.startswith("define") and "@k1(" in line)
        lines = text.splitlines()[start:]
        return lines.index("}")

    assert body(alone) == body(both)


def spread(name: str, stop: str, step: str = "1") -> str:
    return f"def {name}(tid, nthreads, x, out):\n    for i in range(lower_bound({stop}, tid, nthreads), upper_bound({stop}, tid, nthreads)):\n" \
           f"        out[i] = x[i] * f32({step}.5)\n\n"  # fmt: skip


def spread_program(*kernels: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    names = [f"k{i}" for i in range(len(kernels))]
    calls = [f"{name}(tid, nthreads, pointer_f32(args, 1), pointer_f32(args, {2 + i}))" for i, name in enumerate(names)]
    head = "from flowc.codegen.intrinsics import f32, lower_bound, pointer_f32, upper_bound\n\n"
    return head + "".join(kernels) + program(*calls), {**dict.fromkeys(names, ("i64", "i64", "f32*", "f32*!")), "program": ENTRY}


def test_code_that_needs_not_know_its_numbers_is_made_once() -> None:
    """Each kernel calls it with its own."""
    text, types = spread_program(spread("k0", "8"), spread("k1", "16"), spread("k2", "11"))
    form, _ = typed_functions(text, types, "x")
    (unit,) = build.translated([form])
    assert form.once and unit.names == ("k0", "k1", "k2") and unit.text.count("fmul") == 1
    x, outs = np.linspace(-3, 3, 16, dtype=np.float32), [np.zeros(16, np.float32) for _ in range(3)]
    run(load(build.compile_source(text, types)), [x, *outs])
    for out, stop in zip(outs, (8, 16, 11), strict=True):
        np.testing.assert_array_equal(out, np.where(np.arange(16) < stop, x * np.float32(1.5), 0))


@pytest.mark.parametrize("kernels", [(spread("k0", "8", "1"), spread("k1", "8", "2")), (spread("k0", "8"), spread("k1", "8"), spread("k2", "9"))])
def test_code_that_is_better_for_its_numbers_and_equal_code_are_made_as_ever(kernels: tuple[str, ...]) -> None:
    text, types = spread_program(*kernels)
    form, _ = typed_functions(text, types, "x")
    assert not form.once and len(list(build.translated([form]))) == len(kernels)
    build.compile_source(text, types)


def test_one_kernel_that_writes_over_its_input_is_no_copy_of_another_that_does_not() -> None:
    text = HEAD + scale("k0", "x", "out", "8", "0.5") + scale("k1", "x", "out", "8", "0.5") + program(call("k0", 1, 2), call("k1", 2, 2))
    functions = typed_functions(text, {"k0": KERNEL, "k1": KERNEL, "program": ENTRY}, "x")
    assert [f.name for f in functions] == ["k0", "k1", "program"]


def test_errors_name_the_line_of_the_file() -> None:
    wrong = [f"def {name}(x, out):\n    for i in range({stop}):\n        out[i] = x[x]\n\n" for name, stop in (("k0", 3), ("k1", 4))]
    with pytest.raises(Exception, match="line 5"):
        build.compile_source(HEAD + "".join(wrong) + program(call("k0", 1, 2)), {"k0": KERNEL, "k1": KERNEL, "program": ENTRY}, "generated.py")


@pytest.mark.parametrize("operator", ["//", "%"])
def test_whole_division_rounds_down_and_is_zero_where_there_is_no_quotient(operator: str) -> None:
    text = "from flowc.codegen.intrinsics import pointer_i64\n\ndef k0(x, y, out):\n    for i in range(9):\n"
    text += f"        out[i] = x[i] {operator} y[i]\n\n"
    text += "def program(tid, nthreads, args):\n    k0(pointer_i64(args, 1), pointer_i64(args, 2), pointer_i64(args, 3))\n"
    least = np.iinfo(np.int64).min
    x = np.array([7, -7, 7, -7, 5, least, 0, 6, -6], np.int64)
    y = np.array([2, 2, -2, -2, 0, -1, 3, 3, 3], np.int64)
    out = np.zeros(9, np.int64)
    run(load(build.compile_source(text, {"k0": ("i64*", "i64*", "i64*!"), "program": ENTRY})), [x, y, out])
    expected = [0 if b == 0 or (a == least and b == -1) else (a // b if operator == "//" else a % b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    assert out.tolist() == expected


def test_functions_whose_names_come_from_a_star_import_are_not_compared() -> None:
    text = "from flowc.codegen.intrinsics import *\n\ndef k0(x, y):\n    y[0] = exp(x[0])\n\ndef k1(x, y):\n    y[0] = log(x[0])\n\n"
    text += program(call("k0", 1, 2), call("k1", 1, 3))
    functions = typed_functions(text, {"k0": KERNEL, "k1": KERNEL, "program": ENTRY}, "x")
    assert [f.name for f in functions] == ["k0", "k1", "program"]
