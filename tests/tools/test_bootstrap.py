"""tools/bootstrap.py: what it makes, when it makes it again, and what it says where something is missing. No network, no pip."""

from __future__ import annotations

import ast
import builtins
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bootstrap

SCRIPT = Path(bootstrap.__file__)
# A process of its own whose installer is a stub: it notes its start and its end in a file, between which it waits for a signal file.
CHILD = """
import os, sys
sys.path.insert(0, {tools!r})
import bootstrap

def make(root, lock):
    os.makedirs(os.path.join(root, ".venv", "bin"))
    os.symlink(sys.executable, os.path.join(root, ".venv", "bin", "python"))

def fill(root, lock):
    with open(os.path.join(root, "log"), "a") as log:
        log.write("begin\\n")
    print("filling", flush=True)
    sys.stdin.readline()
    with open(os.path.join(root, "log"), "a") as log:
        log.write("end\\n")

bootstrap.prepare({root!r}, make, fill)
print("ready", flush=True)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "clone"
    (root / "examples").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (root / "examples" / "digits_demo.py").write_text("")
    return root


def make(root: str, lock: int) -> None:
    folder = Path(root, ".venv", "bin")
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)


class Installer:
    """Stands in for pip: counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, root: str, lock: int) -> None:
        self.calls += 1


def start(root: Path) -> subprocess.Popen[str]:
    code = CHILD.format(tools=str(SCRIPT.parent), root=str(root))
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_start_installs_nothing(clone: Path) -> None:
    fill = Installer()
    bootstrap.prepare(str(clone), make, fill)
    bootstrap.prepare(str(clone), make, fill)
    assert fill.calls == 1
    assert bootstrap.is_ready(str(clone))


def test_an_environment_whose_installation_failed_is_made_anew(clone: Path) -> None:
    def fail(root: str, lock: int) -> None:
        Path(root, ".venv", "half").write_text("")
        raise bootstrap.Missing("no network")

    with pytest.raises(bootstrap.Missing, match="no network"):
        bootstrap.prepare(str(clone), make, fail)
    assert not bootstrap.is_ready(str(clone))
    bootstrap.prepare(str(clone), make, Installer())
    assert bootstrap.is_ready(str(clone))
    assert not (clone / ".venv" / "half").exists()


def test_an_environment_without_a_python_is_made_anew(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / "half").write_text("")
    bootstrap.prepare(str(clone), make, Installer())
    assert not (clone / ".venv" / "half").exists()


def test_the_users_own_environment_is_completed_and_kept(clone: Path) -> None:
    make(str(clone), 0)
    (clone / ".venv" / "mine").write_text("")
    fill = Installer()
    bootstrap.prepare(str(clone), make, fill)
    assert fill.calls == 1
    assert (clone / ".venv" / "mine").exists()


def test_a_changed_pyproject_installs_again_into_the_same_environment(clone: Path) -> None:
    fill = Installer()
    bootstrap.prepare(str(clone), make, fill)
    (clone / ".venv" / "kept").write_text("")
    (clone / "pyproject.toml").write_text('[project]\nname = "y"\n')
    bootstrap.prepare(str(clone), make, fill)
    assert fill.calls == 2
    assert (clone / ".venv" / "kept").exists()


def test_a_clone_that_was_moved_makes_its_environment_anew(clone: Path) -> None:
    bootstrap.prepare(str(clone), make, Installer())
    (clone / ".venv" / "old").write_text("")
    moved = clone.rename(clone.with_name("moved"))
    fill = Installer()
    bootstrap.prepare(str(moved), make, fill)
    assert fill.calls == 1
    assert not (moved / ".venv" / "old").exists()


def test_an_environment_whose_python_went_away_is_made_anew(clone: Path) -> None:
    bootstrap.prepare(str(clone), make, Installer())
    python = clone / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(clone / "nowhere")
    assert not bootstrap.is_ready(str(clone))
    bootstrap.prepare(str(clone), make, Installer())
    assert bootstrap.is_ready(str(clone))


def test_of_two_starts_at_once_one_installs_and_the_other_waits(clone: Path) -> None:
    first = start(clone)
    assert line_of(first) == "filling"
    second = start(clone)
    assert second.stderr is not None
    assert "waiting for it" in second.stderr.readline()
    out, _ = first.communicate("\n", timeout=60)
    assert out.strip() == "ready"
    out, _ = second.communicate(timeout=60)
    assert out.strip() == "ready"  # without "filling"
    assert (clone / "log").read_text() == "begin\nend\n"


def test_the_lock_of_a_killed_start_is_free_and_its_environment_made_anew(clone: Path) -> None:
    killed = start(clone)
    assert line_of(killed) == "filling"
    killed.kill()
    killed.communicate(timeout=60)
    assert (clone / ".venv").exists()
    assert not bootstrap.is_ready(str(clone))
    next_one = start(clone)
    out, error = next_one.communicate("\n", timeout=60)
    assert out.split() == ["filling", "ready"]
    assert "making it anew" in error


def test_a_program_that_outlives_its_start_keeps_the_lock(clone: Path) -> None:
    import fcntl

    with bootstrap.locked(str(clone)) as lock:
        survivor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    with open(clone / bootstrap.LOCK) as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        survivor.communicate(b"\n", timeout=60)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_programs_are_run_with_the_lock_and_without_misleading_settings(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    with bootstrap.locked(str(clone)) as lock:
        code = f"import os; os.fstat({lock}); print(os.environ.get('PIP_TARGET')); raise SystemExit(3)"
        status, output = bootstrap.run_quietly([sys.executable, "-c", code], str(clone), lock)
    assert (status, output.strip()) == (3, "None")


# What is missing


def test_the_script_parses_as_python_3_6() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13)])
def test_an_old_python_is_named_with_what_is_needed(version: tuple[int, ...]) -> None:
    with pytest.raises(bootstrap.Missing, match=rf"Python 3\.11 or later is needed; this is 3\.{version[1]} "):
        bootstrap.check_python(version, "posix")


def test_a_platform_without_posix_is_refused() -> None:
    with pytest.raises(bootstrap.Missing, match="Linux or macOS"):
        bootstrap.check_python((3, 11), "nt")


def without(*names: str) -> Callable[[str], bool]:
    return lambda name: name not in names


def test_a_python_without_venv_names_the_package_to_install(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "has_module", without("venv"))
    with pytest.raises(bootstrap.Missing, match=r"no `venv` module(.|\n)*apt install python3\.\d+-venv"):
        bootstrap.prepare(str(clone))


def test_a_python_without_ensurepip_and_pip_names_the_package_to_install(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "has_module", without("ensurepip"))
    monkeypatch.setattr(bootstrap, "own_pip_version", lambda: (20, 3))
    with pytest.raises(bootstrap.Missing, match=r"neither the `ensurepip` module nor a pip of 22\.3"):
        bootstrap.prepare(str(clone))


def test_a_python_without_ensurepip_uses_its_own_pip_from_outside(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "has_module", without("ensurepip"))
    monkeypatch.setattr(bootstrap, "own_pip_version", lambda: (23, 0))
    bootstrap.prepare(str(clone), fill=Installer())
    python = str(clone / ".venv" / "bin" / "python")
    assert os.access(python, os.X_OK)
    assert bootstrap.pip_command(str(clone / ".venv")) == [sys.executable, "-m", "pip", "--python", python]


def scripted(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, str]) -> list[list[str]]:
    """Has programs answer in turn as given, and returns the list that their command lines go to."""
    commands: list[list[str]] = []
    waiting = iter(answers)

    def answer(command: list[str], root: str, lock: int) -> tuple[int, str]:
        commands.append(command)
        return next(waiting)

    monkeypatch.setattr(bootstrap, "run_quietly", answer)
    return commands


def test_without_a_network_pips_reason_is_shown_and_no_traceback(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = "Looking\nWARNING: Retrying after NewConnectionError('refused')\nTraceback (most recent call last):\n  more\n"
    scripted(monkeypatch, (1, output))
    monkeypatch.setattr(bootstrap.prepare, "__defaults__", (make, bootstrap.install))
    assert bootstrap.main(["test"], str(clone)) == 1
    said = capsys.readouterr().err
    assert "no package index was reached (is there a network?)" in said
    assert "NewConnectionError('refused')" in said
    assert "Traceback" not in said


def test_another_failure_of_pip_shows_its_last_lines(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(str(clone), 0)
    scripted(monkeypatch, (1, "\n".join(f"line {number}" for number in range(20)) + "\nERROR: No space left on device\n"))
    with pytest.raises(bootstrap.Missing) as caught:
        bootstrap.install(str(clone), 0)
    text = str(caught.value)
    assert "No space left on device" in text
    assert "line 19" in text
    assert "line 3\n" not in text
    assert "network" not in text


def test_what_only_drawing_needs_may_be_missing(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make(str(clone), 0)
    (clone / "pyproject.toml").write_text('[project]\nname = "x"\n[project.optional-dependencies]\nviz = ["pygraphviz>=2.0"]\n')
    commands = scripted(monkeypatch, (0, ""), (1, "no wheel"))
    bootstrap.install(str(clone), 0)
    assert commands[0][-2:] == ["-e", ".[test]"]
    assert commands[1][-1] == "pygraphviz>=2.0"
    assert "going on without pygraphviz>=2.0" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(path: str, *rest: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(bootstrap.os, "open", refuse)
    assert bootstrap.main(["test"], str(clone)) == 1
    assert f"cannot write in {clone}" in capsys.readouterr().err


def test_a_clone_without_pyproject_is_named(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clone / "pyproject.toml").unlink()
    assert bootstrap.main(["test"], str(clone)) == 1
    assert "is this a whole clone?" in capsys.readouterr().err


def test_a_stop_by_the_keyboard_leaves_no_traceback(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(root: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "prepare", interrupt)
    assert bootstrap.main(["test"], str(clone)) == 130
    assert "begins again" in capsys.readouterr().err


# The command line


def test_commands_run_in_the_environment_with_the_arguments_passed_on(clone: Path) -> None:
    python = str(clone / ".venv" / "bin" / "python")
    assert bootstrap.command_line(str(clone), ["test", "-k", "x"]) == [python, "-m", "pytest", "-k", "x"]
    assert bootstrap.command_line(str(clone), ["demo", "--steps", "5"]) == [python, "examples/digits_demo.py", "--steps", "5"]


def test_a_ready_environment_is_started_without_any_installation(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap.prepare(str(clone), make, Installer())
    started: list[list[str]] = []
    monkeypatch.setattr(bootstrap.os, "execv", lambda path, command: started.append(command))
    monkeypatch.setattr(bootstrap.os, "chdir", lambda path: None)

    def refuse(name: str, *rest: object, **more: object) -> object:
        if name in ("fcntl", "tomllib"):
            raise AssertionError(f"a second start needs no {name}")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    bootstrap.main(["test", "-q"], str(clone))
    assert started == [[str(clone / ".venv" / "bin" / "python"), "-m", "pytest", "-q"]]


def test_an_unknown_command_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["install"]) == 2
    assert "demo|test" in capsys.readouterr().err


def test_help_shows_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "bootstrap.py demo" in said
    assert "bootstrap.py test" in said


def test_the_whole_program_runs_a_command_in_a_made_environment(clone: Path) -> None:
    bootstrap.prepare(str(clone), make, Installer())
    (clone / "examples" / "digits_demo.py").write_text("import os, sys; print(os.getcwd()); print(sys.argv[1:]); sys.exit(7)")
    (clone / "tools").mkdir()
    script = clone / "tools" / "bootstrap.py"
    script.write_text(SCRIPT.read_text())
    done = subprocess.run([sys.executable, str(script), "demo", "a", "-b"], capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stdout.splitlines() == [str(clone), "['a', '-b']"]
