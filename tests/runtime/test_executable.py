"""Executables: runs, updates in place, threads, sizes at the edges, prepared calls, Numba functions, and the cache between processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flowc.ops  # noqa: F401
from flowc.config import override
from flowc.ir.function import Function
from flowc.ir.interpret import interpret
from flowc.ir.text import parse_function
from flowc.runtime import executable as executable_module
from flowc.runtime.executable import build

NETWORK = parse_function(
    """def network(x: f32[b, 30], w: f32[30, 17], c: f32[17], y: f32[b, 17]):
    m: f32[b, 17] = matmul(x, w)
    a: f32[b, 17] = add(m, c)
    r: f32[b, 17] = tanh(a)
    p: f32[b, 17] = softmax(r, axis=-1)
    d: f32[b, 17] = sub(p, y)
    s: f32[b, 17] = square(d)
    loss: f32 = reduce_sum(s)
    columns: f32[17] = reduce_sum(d, axis=(0,))
    best: i64[b] = argmax(p, axis=1)
    g: f32[30, 17] = matmul(x, d, transpose_a=True)
    u: f32[30, 17] = mul(g, 0.01)
    w1: f32[30, 17] = sub(w, u)
    w[...] = w1
    return loss, columns, best
"""
)


def arguments(f: Function, b: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = [tuple(d if isinstance(d, int) else b for d in p.tensor.dims) for p in f.params]
    return [(0.1 * rng.standard_normal(s)).astype(np.float32) for s in shapes]  # small: tanh must not saturate into ties


def compiled(f: Function, args: list[np.ndarray], threads: int) -> list[np.ndarray]:
    own = [a.copy() for a in args]
    with override(threads=threads, backend="cpu"):
        results = build(f).run(own)
    return [*results, *(own[f.params.index(p)] for p, _ in f.updates)]


@pytest.mark.parametrize("b", [0, 1, 2, 7, 13, 64, 1000])
def test_results_agree_with_the_interpreter_at_every_batch(b: int) -> None:
    args = arguments(NETWORK, b)
    for got, want in zip(compiled(NETWORK, args, 1), interpret(NETWORK, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executable_module, "PARALLEL_WORK", 0.0)
    args = arguments(NETWORK, 3001)
    for one, many in zip(compiled(NETWORK, args, 1), compiled(NETWORK, args, threads), strict=True):
        assert one.tobytes() == many.tobytes()


def test_results_of_two_runs_are_arrays_of_their_own() -> None:
    f = parse_function("def f(x: f32[n]):\n    y: f32[n] = mul(x, 2.0)\n    return y, x, y\n")
    program = build(f)
    x = np.ones(3, np.float32)
    first = program.run([x])
    second = program.run([x + 1])
    assert [r.tolist() for r in first] == [[2, 2, 2], [1, 1, 1], [2, 2, 2]]
    first[0][:] = 9
    assert first[2].tolist() == [2, 2, 2] and second[0].tolist() == [4, 4, 4]


def test_variables_that_swap_keep_both_values() -> None:
    f = parse_function("def f(v: f32[2], w: f32[2]):\n    v[...] = w\n    w[...] = v\n    return v\n")
    v, w = np.array([1, 2], np.float32), np.array([3, 4], np.float32)
    (old,) = build(f).run([v, w])
    assert v.tolist() == [3, 4] and w.tolist() == [1, 2] and old.tolist() == [1, 2]


def test_nan_and_infinity_propagate_as_in_numpy() -> None:
    f = parse_function(
        """def f(x: f32[n], y: f32[n]):
        a: f32[n] = maximum(x, y)
        b: f32[n] = relu(x)
        c: f32 = reduce_max(x)
        d: f32[n] = mul(x, 0.0)
        e: f32[n] = exp(x)
        return a, b, c, d, e
    """
    )
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, 3.0], np.float32)
    for got, want in zip(build(f).run([x, x[::-1].copy()]), interpret(f, [x, x[::-1]]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_runs_of_all_extents_share_one_arena() -> None:
    program = build(NETWORK)
    small, large = arguments(NETWORK, 5), arguments(NETWORK, 500)
    calls = {b: program.prepare(args, fed=0) for b, args in ((5, small), (500, large))}
    want = {b: interpret(NETWORK, args) for b, args in ((5, small), (500, large))}
    for b in (5, 500, 5):
        args = {5: small, 500: large}[b]
        w = args[1].copy()
        for got, expected in zip(calls[b](), want[b], strict=False):
            np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-4)
        args[1][...] = w
    assert program.arena.generation <= 2


def test_the_numba_function_of_a_program_runs_inside_a_users_loop() -> None:
    import numba

    f = parse_function(
        """def value_and_gradient(w: f32[3], x: f32[n, 3]):
        p: f32[n, 3] = mul(x, w)
        loss: f32 = reduce_sum(p)
        g: f32[3] = reduce_sum(x, axis=(0,))
        return loss, g
    """
    )
    step = build(f).njit()

    @numba.njit
    def descend(w, x, steps):
        loss = np.float32(0)
        for _ in range(steps):
            loss, gradient = step(w, x)
            w = w - np.float32(0.5) * gradient
        return loss, w

    w, x = np.ones(3, np.float32), np.arange(12, dtype=np.float32).reshape(4, 3)
    loss, new = descend(w, x, 2)
    after_one = w - 0.5 * x.sum(0)
    assert loss == pytest.approx(float((x * after_one).sum()))
    np.testing.assert_allclose(new, w - x.sum(0))
    with pytest.raises(ValueError, match="another shape"):
        step(np.ones(4, np.float32), x)


_CHILD = """
import json, sys, time
import numpy as np
import flowc as tf
x = tf.placeholder(tf.float32, [None, 4])
W = tf.Variable(tf.ones([4, 2]))
loss = tf.reduce_sum(tf.square(tf.matmul(x, W)))
train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
sess = tf.Session()
sess.run(tf.global_variables_initializer())
for b in (1, 10, 100, 1000):
    sess.run(train, {x: np.full((b, 4), 1e-3)})
numba = "numba" in sys.modules
from flowc.codegen import build
print(json.dumps([build.compilations, numba, float(sess.run(loss, {x: np.ones((2, 4))}))]))
"""


def child(cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "FLOWC_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path), "FLOWC_BACKEND": "cpu"}
    return subprocess.Popen([sys.executable, "-c", _CHILD], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report(process: subprocess.Popen[str]) -> list[float]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def test_a_second_process_loads_what_the_first_compiled_without_numba(tmp_path: Path) -> None:
    first, second = report(child(tmp_path)), report(child(tmp_path))
    assert 2 <= first[0] <= 3, "the initializer, and the step for batch 1 and for all other batches"
    assert second[:2] == [0, False] and second[2] == first[2]


def test_two_processes_at_once_share_a_cache(tmp_path: Path) -> None:
    processes = [child(tmp_path), child(tmp_path)]
    one, other = report(processes[0]), report(processes[1])
    assert one[2] == other[2]
    assert report(child(tmp_path))[0] == 0


def test_a_damaged_cache_is_built_anew(tmp_path: Path) -> None:
    first = report(child(tmp_path))
    for file in tmp_path.glob("*.o"):
        file.write_bytes(file.read_bytes()[:-100])
    again = report(child(tmp_path))
    assert again[0] == first[0] and again[2] == first[2]
    for file in tmp_path.glob("*.o"):
        file.write_bytes(b"something else")
    assert report(child(tmp_path))[0] == first[0]
