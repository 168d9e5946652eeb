"""Programs that another process compiles, and the answers of NumPy until they are there."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import flowc
from flowc import config
from flowc.codegen import ahead
from flowc.codegen import build as codegen
from flowc.ir.packed import pack
from flowc.ir.text import parse_function
from flowc.runtime import background, interim
from flowc.runtime.executable import build
from flowc.runtime.interim import Interim
from flowc.runtime.prepared import Prepared

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(ahead.cores() == 1, reason="with one processor every program is compiled before its first run")


@pytest.fixture
def early(tmp_path: Path):
    """Settings as users have them, with a cache of its own."""
    codegen._programs.clear()
    with config.override(cache_dir=tmp_path / "cache", verify=False, deterministic=False):
        yield tmp_path / "cache"


def scores(x, w):
    return flowc.tanh(x @ w) * 2.0, flowc.sum(x)


ARRAYS = np.float32([[1, 2, -0.5], [0.25, -3, 4]]), np.float32([[0.5, 1], [2, -1], [0.1, 0.2]])


def exact():
    x, w = (a.astype(np.float64) for a in ARRAYS)
    return np.tanh(x @ w) * 2, x.sum()


def test_first_calls_of_a_compiled_function_do_not_wait_and_later_ones_are_compiled(early):
    f = flowc.compile(scores)
    first = f(*ARRAYS)
    plan = f._inspected()
    assert isinstance(plan.latest, Interim)
    flowc.wait_until_compiled()
    assert plan.executable.is_ready
    later = f(*ARRAYS)
    assert isinstance(plan.latest, Prepared)
    for got in (first, later):
        for value, wanted in zip(got, exact(), strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-6)
            assert value.dtype == np.float32 and type(value) in (np.ndarray, np.float32)
    assert f.compilations == 1 and list(early.glob("*.run"))


def training(graph):
    """The loss and the step of a small regression with a variable of momentum, and what is fed."""
    with graph.as_default():
        x, y = flowc.placeholder(flowc.float32, [None, 3]), flowc.placeholder(flowc.float32, [None])
        w = flowc.Variable(np.float32([0.5, -1, 2]))
        loss = flowc.reduce_mean(flowc.square(flowc.reduce_sum(x * w, axis=1) - y))
        step = flowc.train.MomentumOptimizer(0.05, 0.9).minimize(loss)
        start = flowc.global_variables_initializer()
    rng = np.random.default_rng(3)
    return start, step, loss, w, {x: rng.standard_normal((8, 3)).astype(np.float32), y: rng.standard_normal(8).astype(np.float32)}


def trained(steps, between=None):
    graph = flowc.Graph()
    start, step, loss, w, feeds = training(graph)
    session = flowc.Session(graph=graph)
    session.run(start)
    losses = []
    for number in range(steps):
        if number == between:
            flowc.wait_until_compiled()
        losses.append(session.run([loss, step], feeds)[0])
    return losses, session.run(w), session, [loss, step], feeds


def test_a_session_trains_on_across_the_change(early):
    losses, weights, session, fetches, feeds = trained(6, between=3)
    call = session.call(session._plan(fetches, feeds), [*feeds.values()])
    assert isinstance(call, Prepared)
    with config.override(deterministic=True):
        wanted, wanted_weights, *_ = trained(6)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)
    np.testing.assert_allclose(weights, wanted_weights, rtol=1e-5)
    assert losses[-1] < losses[0]


def test_random_draws_go_on_across_the_change(early):
    def draws(between):
        with flowc.Graph().as_default(), flowc.Session() as session:
            uniform = flowc.random_uniform([4])
            session.restart_draws()
            found = []
            for number in range(4):
                if number == between:
                    flowc.wait_until_compiled()
                found.append(session.run(uniform))
            assert isinstance(session.call(session._plan(uniform, None), []), Prepared)
            return np.array(found)

    across = draws(2)
    with config.override(deterministic=True):
        np.testing.assert_array_equal(across, draws(None))
    assert len(np.unique(across)) == 16


def test_a_loop_of_steps_is_a_compiled_one(early):
    graph = flowc.Graph()
    start, step, loss, _, feeds = training(graph)
    session = flowc.Session(graph=graph)
    session.run(start)
    early_loss = session.run([loss, step], feeds)[0]
    looped = session.run_loop([loss, step], 5, feeds)[0]
    with config.override(deterministic=True):
        wanted, *_ = trained(6)
    np.testing.assert_allclose([early_loss, looped], [wanted[0], wanted[5]], rtol=1e-5)
    assert isinstance(session.call(session._plan([loss, step], feeds), [*feeds.values()]), Prepared)


@pytest.mark.parametrize("seed", ["graph", "op"])
def test_who_gives_a_seed_gets_compiled_runs_only(early, seed):
    with flowc.Graph().as_default(), flowc.Session() as session:
        if seed == "graph":
            flowc.set_random_seed(7)
        x = flowc.placeholder(flowc.float32, [3])
        y = x + flowc.random_uniform([3], seed=7 if seed == "op" else None)
        feeds = {x: np.zeros(3, np.float32)}
        session.run(y, feeds)
        assert isinstance(session.call(session._plan(y, feeds), [*feeds.values()]), Prepared)


def test_deterministic_checked_and_other_back_ends_ask_nobody(early, monkeypatch):
    monkeypatch.setattr(background, "request", lambda *_: pytest.fail("a program is asked for"))
    text = "def f(x: f32[3]):\n    y: f32[3] = sinh(x)\n    return y"
    for changes in ({"deterministic": True}, {"verify": True}, {"backend": "interpret"}, {"backend": "python"}):
        with config.override(**changes):
            (y,) = build(parse_function(text), answers_early=True).run([np.float32([0, 1, 2])])
            np.testing.assert_allclose(y, np.sinh([0, 1, 2]), rtol=1e-6)
    build(parse_function(text)).run([np.float32([0, 1, 2])])  # nor does who does not say that NumPy may answer


def test_a_loop_of_a_new_program_is_compiled_here(early, monkeypatch):
    asked = []
    monkeypatch.setattr(background, "request", lambda f, *_: asked.append(f))
    state, _ = flowc.run_loop(lambda x: (x * 0.5 + 0.125, x), np.float32([1, 2]), 3)
    np.testing.assert_allclose(state, [0.34375, 0.46875], rtol=1e-6)
    assert not any(f.nodes for f in asked), "what reads the state afterwards is a program, too"


def test_a_run_that_takes_long_is_not_made_twice(early, monkeypatch):
    monkeypatch.setattr(interim, "BRIEF", 0.0)
    f = flowc.compile(lambda x: flowc.cosh(x) - 1.0)
    x = np.float32([0.5, 1.5])
    f(x)
    plan = f._inspected()
    assert isinstance(plan.latest, Interim)
    np.testing.assert_allclose(f(x), np.cosh(np.float64(x)) - 1, rtol=1e-5)
    assert isinstance(plan.latest, Prepared)


def test_waiting_for_a_program_leaves_other_threads_their_settings(early, monkeypatch, tmp_path):
    f = flowc.compile(lambda x: flowc.expm1(x) - 2.0)
    f(np.float32([0.5, 1.5]))
    executable = f._inspected().executable
    job, seen = executable._job, []
    monkeypatch.setattr(job, "wait", lambda wait=job.wait: (seen.append(config.settings()), wait()))
    with config.override(cache_dir=tmp_path / "another"):
        here = config.settings()
        assert executable.layout.results and executable.is_ready
        assert seen == [here] and config.settings() is here
    assert not (tmp_path / "another").exists(), "the program is kept where it was asked for"


def test_a_process_that_goes_away_leaves_the_program_to_this_one(early):
    f = flowc.compile(lambda x: flowc.atan(x) * 3.0)
    x = np.float32([0.5, 1.5])
    f(x)
    os.killpg(background._service.process.pid, signal.SIGKILL)
    flowc.wait_until_compiled()
    before = codegen.compilations
    np.testing.assert_allclose(f(x), np.arctan(np.float64(x)) * 3, rtol=1e-6)
    assert isinstance(f._inspected().latest, Prepared) and codegen.compilations == before + 1
    g = flowc.compile(lambda x: flowc.asin(x) * 3.0)  # and another process starts
    g(x / 2)
    assert isinstance(g._inspected().latest, Interim)
    flowc.wait_until_compiled()
    g(x / 2)
    assert isinstance(g._inspected().latest, Prepared) and codegen.compilations == before + 1


def test_a_child_compiles_for_itself(early):
    f = flowc.compile(lambda x: flowc.log1p(x) * 5.0)
    x = np.float32([0.5, 1.5])
    f(x)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            f(x)
            ready = isinstance(f._inspected().latest, Prepared)
            os.write(write, b"ready" if ready and np.allclose(f(x), np.log1p(x) * 5, rtol=1e-5) else b"not")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 16) == b"ready"
    flowc.wait_until_compiled()  # whose answer the child has not taken
    f(x)
    assert isinstance(f._inspected().latest, Prepared)


def test_errors_are_those_of_a_compiled_run_and_change_nothing(early):
    with flowc.Graph().as_default(), flowc.Session() as session:
        v, x = flowc.Variable(np.float32([1, 2])), flowc.placeholder(flowc.float32, [None])
        add = v.assign_add(x)
        with pytest.raises(flowc.errors.FailedPreconditionError, match="has no value yet"):
            session.run(add, {x: [1, 1]})
        session.run(v.initializer)
        session.run(add, {x: [1, 1]})
        with pytest.raises(flowc.FlowcError):
            session.run(add, {x: [1, 1, 1]})
        np.testing.assert_array_equal(session.run(v), [2, 3])


# how long NumPy takes, and how much memory


def estimated(text, **extents):
    return interim.estimate(parse_function(text), extents)


def test_a_product_of_matrices_counts_its_multiplications():
    seconds, memory = estimated("def f(x: f32[b, 300], w: f32[200, 300]):\n    y: f32[b, 200] = matmul(x, w, transpose_b=True)\n    return y", b=1000)
    assert seconds == pytest.approx(1000 * 200 * 300 / interim.PRODUCTS + 4 * 1000 * 200 / interim.BYTES + interim.NODE)
    assert memory == 4 * 1000 * 200


@pytest.mark.parametrize("op, inputs", [
    ("conv2d", "x, w"), ("conv2d_input_grad", "w, y, x"), ("conv2d_filter_grad", "x, y, w"),
])  # fmt: skip
def test_a_convolution_counts_its_multiplications_and_the_windows_that_are_copied(op, inputs):
    results = {"conv2d": "f32[b, 8, 8, 6]", "conv2d_input_grad": "f32[b, 8, 8, 2]", "conv2d_filter_grad": "f32[5, 5, 2, 6]"}
    text = f"""def f(x: f32[b, 8, 8, 2], w: f32[5, 5, 2, 6], y: f32[b, 8, 8, 6]):
    r: {results[op]} = {op}({inputs}, strides=(1, 1), padding="SAME")
    return r"""
    seconds, memory = estimated(text, b=10)
    products, windows = 10 * 8 * 8 * 6 * 5 * 5 * 2, 4 * 10 * 8 * 8 * 5 * 5 * 2
    sizes = {"conv2d": 10 * 8 * 8 * 6, "conv2d_input_grad": 10 * 8 * 8 * 2, "conv2d_filter_grad": 5 * 5 * 2 * 6}
    assert seconds == pytest.approx(products / interim.PRODUCTS + 4 * sizes[op] / interim.BYTES + interim.NODE)
    assert memory == windows + 4 * sizes[op]


def test_values_count_while_they_are_needed():
    lines = "".join(f"    v{i + 1}: f32[n] = tanh(v{i})\n" for i in range(20))
    assert estimated(f"def f(v0: f32[n]):\n{lines}    return v20", n=1000)[1] == 2 * 4000
    assert estimated(f"def f(v0: f32[n]):\n{lines}    return v20, v1, v2", n=1000)[1] == 4 * 4000, "results stay"
    lines += "".join(f"    s{i}: f32[n] = add(v{i}, v20)\n" for i in range(1, 20))
    assert estimated(f"def f(v0: f32[n]):\n{lines}    return {', '.join(f's{i}' for i in range(1, 20))}", n=1000)[1] > 20 * 4000


@pytest.mark.parametrize("what", ["time", "memory"])
def test_what_would_take_too_long_or_too_much_is_compiled_first_and_here(early, monkeypatch, what):
    monkeypatch.setattr(background, "request", lambda *_: pytest.fail("a program is asked for"))
    monkeypatch.setattr(interim, *(("LONGEST", 1e-9) if what == "time" else ("MEMORY", 0)))
    f = flowc.compile(lambda x: flowc.exp(x) * (7.0 if what == "time" else 9.0))
    f(np.ones(3, np.float32))
    assert isinstance(f._inspected().latest, Prepared)


# processes


PROGRAM = """
import sys
import numpy as np
import flowc as tf
x, w = tf.placeholder(tf.float32, [None, 2]), tf.Variable(np.float32([[1], [2]]))
y = tf.nn.sigmoid(tf.matmul(x, w))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    print(session.run(y, {x: [[1, 2], [3, -4]]}).ravel().tolist())
print("numba" in sys.modules, "llvmlite.binding" in sys.modules)
"""


def run(folder: Path, program: str = PROGRAM, **variables: str) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("FLOWC_VERIFY", "FLOWC_DETERMINISTIC")}
    environment |= {"FLOWC_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT), **variables}
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=True)
    assert not found.stderr
    return found.stdout.splitlines()


@pytest.mark.slow
def test_a_cold_process_imports_no_compiler_and_what_it_asked_for_is_there_for_the_next_one(tmp_path):
    folder = tmp_path / "cache"
    values, imported = run(folder)
    np.testing.assert_allclose(eval(values), [1 / (1 + np.exp(-5.0)), 1 / (1 + np.exp(5.0))], rtol=1e-6)
    assert imported.startswith("False")
    for _ in range(600):  # the other process ends by itself
        if len(list(folder.glob("*.run"))) == 2:
            break
        time.sleep(0.1)
    programs = sorted(folder.glob("*.run"))
    assert len(programs) == 2, "the initializer's and the run's"
    values_again, _ = run(folder, FLOWC_DETERMINISTIC="1")
    np.testing.assert_allclose(eval(values_again), eval(values), rtol=1e-6)
    assert sorted(folder.glob("*.run")) == programs, "both were found"


@pytest.mark.slow
def test_the_other_process_does_all_that_was_asked_for_when_nobody_reads_its_answers(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("FLOWC_VERIFY", "FLOWC_DETERMINISTIC")} | {"FLOWC_CACHE_DIR": str(folder)}
    process = subprocess.Popen([sys.executable, "-c", background.COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT)
    service = background._Service(process)
    service.output.close()
    for op in ("sinh", "cosh", "tan"):
        f = parse_function(f"def f(x: f32[3]):\n    y: f32[3] = {op}(x)\n    return y")
        service.send(pickle.dumps(("auto", str(folder), pack(f))))
    for _ in range(600):  # all are compiled before it knows that nothing more will come
        if len(list(folder.glob("*.run"))) == 3:
            break
        time.sleep(0.1)
    assert len(list(folder.glob("*.run"))) == 3
    service.input.close()
    assert process.wait(60) == 0


@pytest.mark.slow
def test_a_cache_folder_that_is_removed_does_not_come_back(tmp_path):
    import shutil

    folder = tmp_path / "cache"
    run(folder, PROGRAM + "\nimport shutil\nshutil.rmtree(" + repr(str(folder)) + ")")
    shutil.rmtree(folder, ignore_errors=True)
    time.sleep(3)
    assert not folder.exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_no_reason_to_fail(tmp_path):
    (tmp_path / "file").write_text("")
    environment = {k: v for k, v in os.environ.items() if k not in ("FLOWC_VERIFY", "FLOWC_DETERMINISTIC")}
    environment |= {"FLOWC_CACHE_DIR": str(tmp_path / "file" / "cache"), "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(eval(found.stdout.splitlines()[0]), [1 / (1 + np.exp(-5.0)), 1 / (1 + np.exp(5.0))], rtol=1e-6)
    assert "cannot keep compiled programs" in found.stderr
