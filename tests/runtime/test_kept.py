"""Programs found by the Function that they compute."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from flowc import config
from flowc.codegen import build as codegen
from flowc.codegen.cache import Cache
from flowc.ir.function import Builder
from flowc.ir.text import parse_function
from flowc.ir.types import F32
from flowc.runtime import kept
from flowc.runtime.executable import Executable, build

ROOT = Path(__file__).parents[2]
STEP = """
def step(x: f32[b, 3], w: f32[3], t: f32[3]):
    ramp: f32[3] = constant([1.0, 2.0, 4.0])
    y: f32[b, 3] = mul(x, w)
    z: f32[b, 3] = softplus(y)
    loss: f32 = reduce_sum(z)
    rows: f32[b] = reduce_sum(z, axis=(1,))
    new: f32[3] = sub(w, ramp)
    w[...] = new
    t[...] = w
    return loss, rows, ramp, t, x
"""


@pytest.fixture
def folder(tmp_path: Path):
    """A cache of its own for unchecked builds, in a process that has compiled nothing yet."""
    codegen._programs.clear()
    with config.override(cache_dir=tmp_path / "cache", verify=False):
        yield Cache()


def again(text: str = STEP) -> Executable:
    """The executable as a later process builds it."""
    codegen._programs.clear()
    return build(parse_function(text))


def run(executable: Executable, rows: int = 5) -> list[np.ndarray]:
    x = np.linspace(-2, 2, 3 * rows, dtype=np.float32).reshape(rows, 3)
    w, t = np.float32([1, 2, 3]), np.float32([7, 8, 9])
    return [*executable.run([x, w, t]), w, t]


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no pass may run, and nothing may be compiled."""
    from flowc.transforms import pipeline

    monkeypatch.setattr(pipeline, "optimize", lambda *_, **__: pytest.fail("a pass ran"))
    monkeypatch.setattr(codegen, "compile_source", lambda *_, **__: pytest.fail("something was compiled"))


def test_a_later_build_runs_no_pass_and_gives_the_same_bits(folder: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {rows: run(build(parse_function(STEP)), rows) for rows in (1, 5, 400)}
    forbid(monkeypatch)
    executable = again()
    for rows, values in expected.items():
        for value, other in zip(values, run(executable, rows), strict=True):
            np.testing.assert_array_equal(value, other)
            assert (value.dtype, value.shape) == (other.dtype, other.shape)


def test_what_the_compiler_knew_is_worked_out_when_asked_for(folder: Cache) -> None:
    first = build(parse_function(STEP))
    executable = again()
    assert "_optimized" not in executable.__dict__
    assert executable.source == first.source
    assert [str(d) for d in executable.records] == [str(d) for d in first.records]
    assert [k.name for k in executable.kernels] == [k.name for k in first.kernels]
    assert executable.source_path == first.source_path
    assert Path(executable.source_path).read_text() == executable.source


def test_a_kept_layout_is_the_one_that_was_made(folder: Cache) -> None:
    first, second = build(parse_function(STEP)).layout, again().layout
    for name in ("rows", "first_extent", "extents", "pieces", "results", "copies", "light_work", "products"):
        assert getattr(first, name) == getattr(second, name)
    for one, other in zip(first.constants, second.constants, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_large_constants_of_the_function_are_not_written_again(folder: Cache) -> None:
    values = np.arange(100_000, dtype=np.float32)
    import base64

    text = f'def fill(w: f32[100000]):\n    v: f32[100000] = constant("{base64.b64encode(values.tobytes()).decode()}")\n    w[...] = v\n    return'
    build(parse_function(text))
    (file,) = [f for f in folder.folder.iterdir() if f.suffix == ".run"]
    assert file.stat().st_size < 1000
    w = np.zeros(100_000, np.float32)
    again(text).run([w])
    np.testing.assert_array_equal(w, values)


def test_constants_of_other_values_make_another_program(folder: Cache) -> None:
    texts = [STEP, STEP.replace("4.0", "5.0"), STEP.replace("softplus", "relu"), STEP.replace("3]", "2]").replace(", 4.0", "")]
    assert len({kept.key(parse_function(text)) for text in texts}) == 4
    zeros = ", ".join(["0.0"] * 69)  # more than are written out in text
    large = [f"def f(w: f32[70]):\n    v: f32[70] = constant([{zeros}, {last}])\n    w[...] = v\n    return" for last in ("0.0", "-0.0", "1.0")]
    assert len({kept.key(parse_function(text)) for text in large}) == 3


@pytest.mark.parametrize("kind", [".run", ".o"])
@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: b"", lambda whole: whole[:-1] + bytes([whole[-1] ^ 1])])
def test_a_damaged_file_counts_as_absent(folder: Cache, kind: str, damage: object) -> None:
    expected = run(build(parse_function(STEP)))
    (file,) = [f for f in folder.folder.iterdir() if f.suffix == kind]
    whole = file.read_bytes()
    file.write_bytes(damage(whole))  # type: ignore[operator]
    for value, other in zip(expected, run(again()), strict=True):
        np.testing.assert_array_equal(value, other)
    assert file.read_bytes() == whole


def test_a_layout_without_its_object_code_counts_as_absent(folder: Cache) -> None:
    build(parse_function(STEP))
    for file in folder.folder.glob("*.o"):
        file.unlink()
    before = codegen.compilations
    again()
    assert codegen.compilations == before + 1


def test_another_compiler_finds_nothing(folder: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    build(parse_function(STEP))
    monkeypatch.setattr(kept, "compiler", lambda: "another")
    assert kept.find(parse_function(STEP)) is None


def test_checked_builds_run_every_pass(folder: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    build(parse_function(STEP))
    with config.override(verify=True):
        assert "_optimized" in again().__dict__


def test_info_and_clear_know_layouts_and_stamps(folder: Cache) -> None:
    build(parse_function(STEP))
    assert {f.suffix for f in folder.folder.iterdir()} >= {".o", ".py", ".run"}
    assert folder.info().programs == 1
    assert folder.info().bytes == sum(f.stat().st_size for f in folder.folder.iterdir())
    assert folder.clear() == 1
    assert not list(folder.folder.iterdir())


WARM = textwrap.dedent("""
    import sys
    import numpy
    before = set(sys.modules)
    import flowc as tf
    x = tf.placeholder(tf.float32, [None, 3])
    w = tf.Variable(tf.ones([3]))
    loss = tf.reduce_sum(tf.square(x * w))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train, {x: [[1, 2, 3]]})
        value = session.run(loss, {x: [[1, 2, 3]]})
    heavy = [m for m in ("numba", "llvmlite", "flowc.transforms.fuse", "flowc.lower.program", "flowc.codegen.source", "networkx") if m in sys.modules]
    slow = ("dataclasses", "pathlib", "concurrent.futures", "logging", "fractions", "difflib")
    print(repr(float(value)), *heavy, *(m for m in slow if m in sys.modules and m not in before))
""")


def test_a_warm_start_imports_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWC_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("FLOWC_VERIFY", "0")
    outputs = [subprocess.run([sys.executable, "-c", WARM], check=True, capture_output=True, text=True, cwd=ROOT).stdout.split() for _ in range(2)]
    assert outputs[0][0] == outputs[1][0]
    assert "numba" in outputs[0]
    assert outputs[1][1:] == []


def test_another_way_to_convolve_is_another_program(folder: Cache) -> None:
    text = """def f(x: f32[b, 16, 16, 16], w: f32[3, 3, 16, 16]):
    y: f32[b, 16, 16, 16] = conv2d(x, w, strides=(1, 1), padding="SAME")
    return y
"""
    codes, tiles = [], []
    for convolution in ("auto", "direct", "auto"):
        with config.override(convolution=convolution):
            executable = again(text)
        codes.append(executable._object.name)
        tiles.append("tiles_f32(" in executable.source)  # several products at once: Winograd's, shown as it was compiled
    assert codes[0] == codes[2] != codes[1] and tiles == [True, False, True]


def weighted(values: np.ndarray) -> Executable:
    """Sums of rows of `x` times a table of constants, as a later process builds them."""
    codegen._programs.clear()
    b = Builder("f")
    x = b.param("x", F32["b", values.size])
    y = b.apply("mul", x, b.constant(values, name="table"))
    return build(b.finish([b.apply("reduce_sum", y, axis=(1,)), b.apply("reduce_sum", b.apply("relu", y), axis=(1,))]))


def test_large_constants_with_other_values_find_the_program_and_compute_with_their_own(folder: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (np.random.default_rng(seed).standard_normal(40_000).astype(np.float32) for seed in (1, 2))
    x = np.random.default_rng(3).standard_normal((2, 40_000)).astype(np.float32)
    weighted(first).run([x])
    forbid(monkeypatch)
    for got, wanted in zip(weighted(second).run([x]), (x * second, np.maximum(x * second, 0)), strict=True):
        np.testing.assert_allclose(got, wanted.sum(axis=1), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.arange(40_000, dtype=np.float32), np.full(40_000, 2, np.float32)),  # of one value: a pass writes it into the code
        (np.full(40_000, 2, np.float32), np.full(40_000, 3, np.float32)),
        (np.float32([1, 2]), np.float32([1, 3])),
    ],
)
def test_constants_that_passes_compute_with_are_part_of_the_name(folder: Cache, before: np.ndarray, after: np.ndarray) -> None:
    weighted(before)
    x = np.ones((1, after.size), np.float32)
    assert weighted(after).run([x])[0][0] == after.sum()


def test_no_pass_computes_with_a_large_constant(folder: Cache) -> None:
    b = Builder("f")
    total = b.apply("reduce_sum", b.constant(np.arange(40_000, dtype=np.float32)), axis=(0,))
    assert "reduce_sum" in str(build(b.finish([total])).module)
