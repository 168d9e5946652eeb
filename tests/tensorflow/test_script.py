"""Scripts run as they are: command line, exit codes, and errors by the user's lines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import flowc.tensorflow
from flowc.tensorflow.script import run_script


@pytest.fixture(autouse=True)
def _uninstalled() -> Iterator[None]:
    yield
    flowc.tensorflow.uninstall()


def script(folder: Path, text: str, name: str = "model.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_script_sees_its_command_line_and_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script(tmp_path, "value = 7\n", "beside.py")
    path = script(
        tmp_path,
        "import sys, beside, pickle\n"
        "class Thing: pass\n"
        "print(__name__, sys.argv[1:], sys.argv[0] == __file__, beside.value, type(pickle.loads(pickle.dumps(Thing()))) is Thing)\n",
    )
    before = sys.argv[:], sys.path[:], sys.modules["__main__"]
    assert run_script(path, ["a", "-b"]) == 0
    assert capsys.readouterr().out == "__main__ ['a', '-b'] True 7 True\n"
    assert (sys.argv, sys.path, sys.modules["__main__"]) == before
    sys.modules.pop("beside")


@pytest.mark.parametrize(
    ("ending", "code", "shown"),
    [
        ("", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('enough')", 1, "enough\n"),
        ("raise KeyboardInterrupt", 130, "flowc run: interrupted\n"),
    ],
)
def test_exit_codes_are_those_of_python(tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str, code: int, shown: str) -> None:
    assert run_script(script(tmp_path, f"import sys\n{ending}\n")) == code
    assert capsys.readouterr().err == shown


def test_a_script_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script("nowhere.py") == 2
    assert capsys.readouterr().err == "flowc run: nowhere.py: No such file or directory\n"


def test_an_error_of_flowc_is_its_own_lines_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script(
        tmp_path,
        "import tensorflow as tf\n"
        "x = tf.placeholder(tf.float32, [None, 20], name='x')\n"
        "y = tf.matmul(x, tf.zeros([30, 1]))\n",
    )
    assert run_script(path) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("ShapeError: matmul")
    assert "20" in lines[0]
    assert "30" in lines[0]
    assert lines[1].startswith("  MatMul = matmul(x: f32[b, 20]")
    assert lines[2].startswith("  model.py:3:  y = tf.matmul(x, tf.zeros([30, 1]))")
    assert not any("Traceback" in line or "flowc/" in line for line in lines)


def test_an_error_in_a_run_shows_the_way_there_without_flowcs_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script(
        tmp_path,
        "import tensorflow as tf\n"
        "x = tf.placeholder(tf.float32, [], name='x')\n"
        "def train(session):\n"
        "    session.run(x * 2.0)\n"
        "train(tf.Session())\n",
    )
    assert run_script(path) == 1
    shown = capsys.readouterr().err
    assert "session.run(x * 2.0)" in shown
    assert "train(tf.Session())" in shown
    assert "FeedError" in shown
    assert "frontend" not in shown
    assert "script.py" not in shown


def test_another_error_is_shown_as_python_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script(tmp_path, "def f():\n    return 1 / 0\nf()\n")
    assert run_script(path) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):\n")
    assert shown.endswith("ZeroDivisionError: division by zero\n")
    assert "script.py" not in shown
    assert "return 1 / 0" in shown


def test_a_syntax_error_is_shown_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script(script(tmp_path, "x = = 1\n")) == 1
    assert "SyntaxError" in capsys.readouterr().err


def test_flags_and_app_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script(
        tmp_path,
        "import tensorflow as tf\n"
        "tf.flags.DEFINE_integer('steps', 10, 'Steps.')\n"
        "tf.app.flags.DEFINE_bool('verbose', False, 'Talk.')\n"
        "FLAGS = tf.app.flags.FLAGS\n"
        "tf.logging.set_verbosity(tf.logging.ERROR)\n"
        "def main(argv):\n"
        "    print(FLAGS.steps, FLAGS.verbose, argv[1:])\n"
        "    return 4\n"
        "if __name__ == '__main__':\n"
        "    tf.app.run()\n",
    )
    assert run_script(path, ["--steps=3", "--verbose", "rest"]) == 4
    assert capsys.readouterr().out == "3 True ['rest']\n"


def test_a_program_runs_unchanged_as_import_flowc_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "import tensorflow as tf\n"
        "W = tf.Variable([.3], tf.float32)\n"
        "b = tf.Variable([-.3], tf.float32)\n"
        "x = tf.placeholder(tf.float32)\n"
        "y = tf.placeholder(tf.float32)\n"
        "loss = tf.reduce_sum(tf.square(W * x + b - y))\n"
        "train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)\n"
        "sess = tf.Session()\n"
        "sess.run(tf.global_variables_initializer())\n"
        "for i in range(1000):\n"
        "    assert sess.run(train, {x: [1, 2, 3, 4], y: [0, -1, -2, -3]}) is None\n"
        "print(sess.run([W, b]))\n"
    )
    assert run_script(script(tmp_path, text)) == 0
    as_tensorflow = capsys.readouterr().out
    assert run_script(script(tmp_path, text.replace("import tensorflow", "import flowc"))) == 0
    assert capsys.readouterr().out == as_tensorflow
    assert as_tensorflow == "[array([-0.9999969], dtype=float32), array([0.9999908], dtype=float32)]\n"


def test_a_script_reads_its_own_logs_with_tensorboards_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    path = script(
        tmp_path,
        "import sys\n"
        "import tensorflow as tf\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "with tf.Session() as sess, tf.summary.FileWriter(sys.argv[1]) as writer:\n"
        "    writer.add_summary(sess.run(tf.summary.scalar('x', 2.5)), 3)\n"
        "print([(s.step, s.value) for s in EventAccumulator(sys.argv[1]).Reload().Scalars('x')])\n",
    )
    code = "import sys; from flowc.cli import main; sys.exit(main(['run', *sys.argv[1:]]))"  # a process of its own: TensorBoard decides once
    done = subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path / "logs")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[(3, 2.5)]\n"), done.stderr


def test_the_sign_for_tensorboard_goes_with_flowc(tmp_path: Path) -> None:
    flowc.tensorflow.install()
    assert "tensorboard.compat.notf" in sys.modules
    flowc.tensorflow.uninstall()
    assert "tensorboard.compat.notf" not in sys.modules
