"""What every program of a machine needs is compiled by another process while the first program is on its way."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flowc.codegen import ahead

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has begun nothing, on a machine of two processors."""
    monkeypatch.setattr(ahead, "_ahead", None)
    monkeypatch.setattr(ahead, "_process", None)
    monkeypatch.setattr(ahead, "cores", lambda: 2)


def test_waiting_ends_when_the_command_has_run(tmp_path: Path) -> None:
    ahead.begin({"one": f"open({str(tmp_path / 'one')!r}, 'w').close()", "two": f"open({str(tmp_path / 'two')!r}, 'w').close()"})
    ahead.wait("one")
    assert (tmp_path / "one").exists()
    ahead.wait("two")
    assert (tmp_path / "two").exists()
    assert ahead._process is None


@pytest.mark.parametrize("command", ["raise SystemExit", "import os; os._exit(3)", "this is no Python"])
def test_waiting_ends_with_the_process_too(command: str) -> None:
    ahead.begin({"one": command, "two": "pass"})
    ahead.wait("one")
    ahead.wait("two")
    assert ahead._process is None


def test_nobody_waits_for_what_was_not_begun() -> None:
    ahead.wait("one")
    ahead.begin({"one": "import time; time.sleep(600)"})
    ahead.wait("two")
    process = ahead._process
    assert process is not None and process.poll() is None
    ahead._stop()
    assert process.poll() is not None


def test_there_is_one_process_and_none_on_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "cores", lambda: 1)
    ahead.begin({"one": "pass"})
    assert ahead._process is None
    monkeypatch.setattr(ahead, "cores", lambda: 2)
    ahead.begin({"one": "pass"})
    first = ahead._process
    ahead.begin({"two": "pass"})
    assert ahead._process is first
    ahead.wait("one")


def test_where_no_process_can_be_started_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    ahead.begin({"one": "pass"})
    ahead.wait("one")


FIRST = textwrap.dedent("""
    import sys
    import numpy as np
    import flowc as tf
    from flowc.codegen import ahead, objects, libraries
    made = []
    assemble, emit = objects.assemble, libraries._emit
    objects.assemble = lambda *text: made.append("assembled") or assemble(*text)
    libraries._emit = lambda text: made.append("emitted") or emit(text)
    if sys.argv[1] == "fails":
        ahead.python = lambda *command, **options: None
    ahead.cores = lambda: 2
    x = tf.placeholder(tf.float32, [None, 40])
    with tf.Session() as session:
        value = session.run(tf.matmul(x, tf.constant(np.eye(40, dtype=np.float32))), {x: np.ones((3, 40), np.float32)})
    print(value.sum(), *sorted(made))
""")


@pytest.mark.parametrize(("how", "here"), [("helps", []), ("fails", ["assembled", "emitted"])])
def test_a_first_program_leaves_the_library_to_the_process_or_makes_it_itself(how: str, here: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "FLOWC_CACHE_DIR": str(tmp_path), "FLOWC_BACKEND": "cpu", "FLOWC_VERIFY": "0"}
    done = subprocess.run([sys.executable, "-c", FIRST, how], check=True, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.split() == ["120.0", *here]
    assert done.stderr == ""
