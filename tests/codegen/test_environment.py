"""What decides the code beside the program, and the stamp under which the answer is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowc import config
from flowc.codegen import environment
from flowc.codegen.cache import Cache

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path):
    """A cache folder of its own, and a process that has not asked yet."""
    environment._kept.cache_clear()
    with config.override(cache_dir=tmp_path / "cache"):
        yield Cache()
    environment._kept.cache_clear()


def test_it_names_versions_processor_and_the_code_generator() -> None:
    import llvmlite
    import numba

    from flowc.codegen.host import host

    for part in (numba.__version__, llvmlite.__version__, host()[0]):
        assert part in environment.environment()
        assert part in environment.compiler()


def test_every_file_that_takes_part_in_compiling_is_counted() -> None:
    code = "import sys; from flowc.codegen import build, functions, source; print(*(m for m in sys.modules if m.startswith('flowc.')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    used = {m.removeprefix("flowc.codegen.") for m in done.stdout.split() if m.startswith("flowc.codegen.")}
    loads_only = {"objects", "elf", "ahead"}
    assert used - loads_only <= set(environment.PARTS)
    others = {m.removeprefix("flowc.").replace(".", "/") + ".py" for m in done.stdout.split() if m.startswith("flowc.ir.")}
    assert others - {"ir/shown.py"} == {environment.AGREED}


def test_every_file_from_function_to_layout_is_counted() -> None:
    code = "import sys; from flowc.runtime import layout; import flowc.transforms.pipeline, flowc.lower.program, flowc.codegen.cpu; "
    code += "print(*(m for m in sys.modules if m.startswith('flowc.')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    used = {m.removeprefix("flowc.").replace(".", "/") + ".py" for m in done.stdout.split() if m.startswith("flowc.") and m.count(".") > 1}
    counted = {str(Path(file).relative_to(ROOT / "flowc")) for file in environment._files()}
    assert used - counted == set()


def test_the_answer_is_found_under_its_stamp(folder: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    first = environment.environment(), environment.compiler()
    assert [f.suffix for f in folder.folder.iterdir()] == [".stamp"]
    environment._kept.cache_clear()
    monkeypatch.setattr(environment, "_environment", lambda: pytest.fail("read again"))
    assert (environment.environment(), environment.compiler()) == first


def test_a_damaged_answer_is_worked_out_again(folder: Cache) -> None:
    first = environment.compiler()
    (file,) = folder.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    environment._kept.cache_clear()
    assert environment.compiler() == first


def test_without_a_word_on_the_processor_nothing_is_kept(folder: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_processor", lambda: None)
    assert environment.compiler()
    assert not folder.folder.exists()


def test_what_tests_say_of_the_processor_is_part_of_the_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment._stamp()
    monkeypatch.setenv("FLOWC_CPU", "x86-64-v3")
    assert environment._stamp() != before


ASK = "from flowc.codegen import environment; print(environment.environment() + '|' + environment.compiler() + '|' + environment.__file__)"


def test_a_changed_file_gives_another_answer_and_a_copy_the_same(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "flowc", tmp_path / "flowc", ignore=shutil.ignore_patterns("__pycache__"))
    variables = {**os.environ, "FLOWC_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def ask() -> list[str]:
        done = subprocess.run([sys.executable, "-c", ASK], check=True, capture_output=True, text=True, cwd=tmp_path, env=variables)
        return done.stdout.removesuffix("\n").split("|")

    objects, programs, file = ask()
    assert file.startswith(str(tmp_path))
    assert (objects, programs) == (environment.environment(), environment.compiler())
    fuse = tmp_path / "flowc" / "transforms" / "fuse.py"
    fuse.write_text(fuse.read_text() + "\n")
    assert ask()[0] == objects  # the source says what fusion did
    assert ask()[1] != programs
    tile = tmp_path / "flowc" / "codegen" / "tile.py"
    tile.write_text(tile.read_text() + "\n")
    assert ask()[0] != objects
