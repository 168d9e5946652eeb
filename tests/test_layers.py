"""The house keeps its order: imports go only from lower rooms to upper ones, files stay small, modules say what they are."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "flowc"
ROOMS = ("structs", "errors", "config", "ir", "ops", "transforms", "lower", "codegen", "runtime", "frontend", "data", "viz", "tensorflow", "cli")
FILES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str | None:
    """The room of a file; None for `flowc/__init__.py` and `flowc/__main__.py`, which stand above all."""
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return None if first in ("__init__", "__main__") else first


def imported(tree: ast.AST, path: Path) -> list[tuple[int, str]]:
    """(line, room) of every import from flowc, those inside functions too."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT.parent).with_suffix("").parts[: -node.level]
                base = ".".join((*package, base)).rstrip(".")
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "flowc" else [base]
        else:
            continue
        found += [(node.lineno, name.split(".")[1]) for name in names if name.startswith("flowc.")]
    return found


def wrong_arrows(path: Path, source: str) -> list[str]:
    here = room(path)
    if here is None:
        return []
    allowed = ROOMS[: ROOMS.index(here) + 1]
    arrows = imported(ast.parse(source), path)
    return [f"{path.relative_to(ROOT.parent)}:{line} imports flowc.{to} from {here}" for line, to in arrows if to in ROOMS and to not in allowed]


def test_every_file_stands_in_a_room():
    assert {room(p) for p in FILES} - {None} <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_to_the_room_itself_or_an_upper_one(path):
    assert wrong_arrows(path, path.read_text()) == []


def test_an_arrow_the_wrong_way_is_seen():
    assert wrong_arrows(ROOT / "ir" / "node.py", "def f():\n    from flowc.ops import add") == ["flowc/ir/node.py:2 imports flowc.ops from ir"]
    assert wrong_arrows(ROOT / "ir" / "node.py", "from ..lower import nest") == ["flowc/ir/node.py:1 imports flowc.lower from ir"]
    assert wrong_arrows(ROOT / "ops" / "reduce.py", "from flowc import viz") == ["flowc/ops/reduce.py:1 imports flowc.viz from ops"]
    assert wrong_arrows(ROOT / "lower" / "nest.py", "from flowc.ir import loops\nimport flowc.errors") == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_at_most_500_lines_and_open_with_a_docstring(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 500
    assert not source.strip() or ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("module", ["numba", "llvmlite", "networkx", "graphviz"])
def test_heavy_packages_are_imported_when_first_needed(module):
    names = [f"flowc.{'.'.join(p.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')}" for p in FILES if room(p) in ("ir", "ops", "transforms")]
    code = f"import sys, {', '.join(names)}; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, check=False).returncode == 0
