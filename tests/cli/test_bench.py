"""`flowc bench`: the table of a run's kernels, where its arguments come from, and one clear line for what cannot be measured. No times are asserted."""

import json
import re

import numpy as np
import pytest

from flowc import config
from flowc.cli import bench as bench_module
from flowc.cli.bench import _of_compiled, _of_run
from flowc.cli.model import choose, load
from flowc.runtime import profile as profile_module
from flowc.runtime.limits import Limits


@pytest.fixture(autouse=True)
def limits_that_need_no_measuring(monkeypatch):
    monkeypatch.setattr(profile_module, "measure", lambda threads: Limits(threads, 1e11, 1e10, {"f32": 1e11, "f64": 5e10}))


UNFED = """
    import tensorflow as tf
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    w = tf.Variable(tf.ones([3, 4]), name="w")
    y = tf.matmul(x, w, name="y")
    """

TWO_FEEDS = """
    import tensorflow as tf
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    t = tf.placeholder(tf.float32, [None, 4], name="t")
    w = tf.Variable(tf.ones([3, 4]), name="w")
    loss = tf.reduce_sum(tf.square(tf.matmul(x, w) - t))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(train, {x: [[1, 2, 3]] * 5, t: [[0, 1, 0, 1]] * 5})
    """


def of_run(path, **extents):
    (subject,) = choose(load(path), None)
    return _of_run(subject, extents)


def test_bench_prints_a_line_for_each_kernel_of_the_run_and_the_totals(flowc, training):
    code, out, err = flowc("bench", training, "--runs", "2")
    kernels = re.findall(r"^def (k\d+_\w+)", flowc("ir", training, "--level", "source")[1], re.MULTILINE)
    lines = out.splitlines()
    assert code == 0 and "building" in err
    assert lines[0] == f"run of GradientDescent: {len(kernels)} kernels, b=4, 1 thread"
    assert lines[2].split() == ["kernel", "time", "share", "GB/s", "GFLOP/s", "of", "limit", "threads", "lines"]
    assert sorted(line.split()[0] for line in lines[3 : 3 + len(kernels)]) == sorted(kernels)
    assert lines[4 + len(kernels)].startswith("all kernels ") and lines[5 + len(kernels)].startswith("the whole step ")
    assert "model.py:7" in out and "medians of 2 alternating runs" in out and "load average" in out


def test_the_script_s_own_feeds_and_the_variables_initial_values_are_measured(training):
    f, (x, w) = of_run(training)
    assert [p.name for p in f.params] == ["Model_x", "Model_W"]
    np.testing.assert_array_equal(x, np.array([[1, 2, 3]] * 4, np.float32))
    np.testing.assert_array_equal(w, np.zeros((3, 1), np.float32))


def test_extents_that_were_fed_alike_change_together(script):
    _, (x, t, w) = of_run(script(TWO_FEEDS), b=7)
    assert (x.shape, t.shape, w.shape) == ((7, 3), (7, 4), (3, 4))
    np.testing.assert_array_equal(x, np.array([[1, 2, 3]] * 7, np.float32))


def test_a_graph_that_is_never_run_takes_its_extents_from_the_command_line(flowc, script):
    path = script(UNFED)
    assert flowc("bench", path, "--extent", "b=6", "--runs", "1")[1].startswith("run of y: 1 kernel, b=6, 1 thread\n")
    _, (x, w) = of_run(path, b=6)
    assert x.shape == (6, 3) and 0 <= x.min() < x.max() <= 1 and (w == 1).all()


def test_a_compiled_function_is_measured_for_its_last_call_or_the_extents_that_are_given(flowc, compiled, script):
    code, out, _ = flowc("bench", f"{compiled}:loss", "--extent", "n=4", "--extent", "b=9", "--runs", "1")
    assert code == 0 and out.startswith("loss: ") and "b=9" in out and "n=4" in out
    called = script(
        """
        import flowc, numpy as np
        @flowc.compile
        def double(x):
            return x * 2.0
        double(np.arange(5, dtype=np.float32))
        """
    )
    (subject,) = choose(load(called), None)
    _, (x,) = _of_compiled(subject, {})
    np.testing.assert_array_equal(x, np.arange(5, dtype=np.float32))


def test_the_figures_go_into_a_file(flowc, training, tmp_path):
    assert flowc("bench", training, "--runs", "1", "--json", tmp_path / "k.json")[0] == 0
    found = json.loads((tmp_path / "k.json").read_text())
    (program,) = found["programs"]
    assert found["model"] == training and program["title"] == "run of GradientDescent" and program["runs"] == 1
    product = max(program["kernels"], key=lambda k: k["read"])
    assert product["flops"] > 0 and product["read"] >= 4 * (4 * 3 + 3) and "model.py:7" in product["lines"] and product["seconds"] >= 0


def test_operations_may_come_first(flowc, training, tmp_path):
    out = flowc("bench", training, "--runs", "1", "--sort", "flops", "--json", tmp_path / "k.json")[1]
    (program,) = json.loads((tmp_path / "k.json").read_text())["programs"]
    most = max(program["kernels"], key=lambda k: k["flops"])
    assert out.splitlines()[3].split()[0] == most["name"]


def test_threads_are_a_setting_of_this_command_only(flowc, training, monkeypatch):
    seen = []
    original = bench_module.profile
    monkeypatch.setattr(bench_module, "profile", lambda *args: seen.append(config.settings().threads) or original(*args))
    before = config.settings().threads
    assert flowc("bench", training, "--runs", "1", "--threads", "3")[0] == 0
    assert seen == [3] and config.settings().threads == before


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (UNFED, (), "placeholder x: f32[b, 3] is fed by no run that was seen: give its size, --extent b=N"),
        (UNFED, ("--extent", "q=3"), "no extent is called q: there is b"),
        (UNFED, ("--extent", "b=3", "--json", "nowhere/k.json"), "nowhere/k.json cannot be written"),
        ("import tensorflow as tf\nx = tf.placeholder(tf.float32, name='x')\ny = x * 2.0\n", (), "x, whose shape is not known: no run that was seen feeds it"),
        ("import flowc\n@flowc.compile\ndef f(x: flowc.f32['b', 2]):\n    return x + 1.0\n", (), "has not been passed yet: give its size, --extent b=N"),
        ("import flowc\n@flowc.compile\ndef f(x):\n    return x + 1.0\n", (), "f has not been called yet"),
        ("x = 1\n", (), "builds no graph and has no compiled function"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_code_2(flowc, script, text, arguments, message):
    code, out, err = flowc("bench", script(text), *arguments)
    assert code == 2 and out == "" and err.startswith("flowc bench: ") and message in err and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--runs", "0"), ("--runs", "x"), ("--threads", "-1"), ("--extent", "b"), ("--extent", "b=0"), ("--sort", "name")])
def test_wrong_options_are_refused_with_code_2(flowc, training, arguments):
    code, _, err = flowc("bench", training, *arguments)
    assert code == 2 and f"argument {arguments[0]}: " in err


def test_without_the_compiler_there_is_nothing_to_measure(flowc, training):
    with config.override(backend="interpret"):
        code, _, err = flowc("bench", training)
    assert (code, err.splitlines()[-1]) == (2, "flowc bench: FLOWC_BACKEND is interpret: only compiled programs have kernels to measure")
