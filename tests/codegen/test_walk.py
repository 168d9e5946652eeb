"""The one walk over the syntax tree gives what Numba's own way gives, and knows what it cannot do."""

from __future__ import annotations

import ast
from collections.abc import Callable

import numpy as np
import pytest

from flowc.codegen import build, numba_target
from flowc.codegen.source import typed_functions
from flowc.codegen.walk import NotPlain, Walk
from tests.codegen.programs import kernel_text, run, run_python, signatures

BODIES = {
    "a loop with a sum": "total = f32(0.0)\nfor i in range(n):\n    total = total + x[i] * f32(2.0)\n    total += x[i]\nout[0] = total",
    "nested loops": "for i in range(2):\n    for j in range(n // 2):\n        out[i * (n // 2) + j] = x[j] - f32(1.5)",
    "branches": "for i in range(n):\n    if x[i] > f32(0.0) and i != 2:\n        y = x[i]\n    else:\n        y = -x[i]\n    out[i] = y",
    "only one branch": "for i in range(n):\n    y = x[i]\n    if not (y < f32(1.0)) or i == 0:\n        y = f32(7.0)\n    out[i] = y",
    "guarded loads": "for i in range(n):\n    out[i] = x[i - 1] if i > 0 else f32(0.0)\n    if i < n - 1 and x[i + 1] > f32(0.0):\n        out[i] += x[i + 1]",
    "a while loop": "i = n - 1\nwhile i >= 0:\n    out[i] = x[n - 1 - i]\n    i = i - 1",
    "a changed parameter": "n = n - 1\nout[n] = x[n]\nout[0] = f32(n)",
    "whole numbers": "for i in range(n):\n    out[i] = f32((i * 7 - 10) // 3) + f32((i * 7 - 10) % 3) + f32(-i) + f32((i << 2) ^ 3 | 1 & ~i)",
    "divisions of narrow numbers": "a = i32(7)\nfor i in range(1, n):\n    out[i] = f32(a // i) + f32(u32(7) % u32(4)) + f32(a) / f32(i)",
    "mixed types": "for i in range(n):\n    out[i] = f32(f64(x[i]) + 0.1) * f32(i + 1) + f32(i > 1) - f32(u32(5) >> u32(1))",
    "a local array": "s = local_f32(6)\nfor i in range(n):\n    s[i] = x[i]\nfor i in range(n):\n    out[i] = s[n - 1 - i]",
    "functions": "for i in range(n):\n    out[i] = maximum(x[i], min(f32(i), f32(2.0))) + exp(x[i]) + abs(x[i]) + sqrt(f32(i))",
    "an int as a condition": "for i in range(n):\n    if i & 1:\n        out[i] = x[i]\n    else:\n        out[i] = f32(9.0)",
}


def arrays() -> dict[str, np.ndarray]:
    return {"x": np.float32([0.5, -1, 2, 0, -3.5, 4]), "out": np.zeros(6, np.float32)}


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of functions that a walk has translated."""
    names: list[str] = []
    real = Walk.function

    def spy(self, tree, *rest):
        real(self, tree, *rest)
        names.append(tree.name)

    monkeypatch.setattr(Walk, "function", spy)
    return names


def numbas_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotPlain("asked to")

    monkeypatch.setattr(Walk, "function", refuse)


@pytest.mark.parametrize("name", BODIES)
def test_a_walk_gives_the_bits_of_numbas_own_way_and_of_python(name: str, monkeypatch: pytest.MonkeyPatch, walked: list[str]) -> None:
    by_walk, by_numba, by_python = arrays(), arrays(), arrays()
    run(BODIES[name], by_walk, n=6)
    assert "k0" in walked
    numbas_own(monkeypatch)
    run(BODIES[name], by_numba, n=6)
    run_python(BODIES[name], by_python, n=6)
    np.testing.assert_array_equal(by_walk["out"], by_numba["out"])
    np.testing.assert_array_equal(by_walk["out"], by_python["out"])


def walk(body: str, result: str = "") -> None:
    """Walk over one kernel of a file."""
    text = kernel_text(body, arrays(), {"n": 6})
    (item,) = [f for f in typed_functions(text, signatures(arrays(), {"n": 6}), "<test>") if f.name == "k0"]
    translator = numba_target.Translator()
    translator.begin("test")
    kinds = [numba_target.type_named(name) for name in item.arguments]
    descriptor = numba_target.funcdesc.ExternalFunctionDescriptor("k0", numba_target.type_named(result), tuple(kinds))
    descriptor.args = tuple(a.arg for a in item.tree.args.args)
    function = translator.target.declare_function(translator.module, descriptor)
    names = {**item.function.__globals__, "text": "no number"}
    with translator.target.push_code_library(translator.library):
        Walk(translator.typing, translator.target, numba_target.INSTRUCTIONS, names).function(item.tree, function, kinds, numba_target.type_named(result))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = 1\ny = f32(1.0)", "y is int64 and float32"),
        ("out[0] = y", "y has no value here"),
        ("if n > 1:\n    y = x[0]\nout[0] = y", "y has no value here"),
        ("missing(n)", "missing of"),
        ("out[0] = f32(text)", "a value of unicode_type"),
        ("out[0] = x[n:]", "Slice"),
        ("for i in range(n):\n    continue\nfor i in range(n, 0, -1):\n    pass", "For"),
        ("y = f32(1.0) if n > 0 else 2", "float32 or int64"),
        ("if n > 0:\n    return", "a return in a branch"),
        ("return\nout[0] = x[0]", "statements after a return"),
        ("return n", "a return of another kind"),
        ("y = 'text'", "the constant 'text'"),
        ("if x[0]:\n    pass", "a condition of type float32"),
        ("y = out.size", "Attribute"),
        ("a, b = n, n", "Assign"),
    ],
)
def test_what_is_not_plain_is_left_to_numba(body: str, reason: str) -> None:
    with pytest.raises(NotPlain, match=reason):
        walk(body)


def test_errors_are_numbas_with_the_line() -> None:
    with pytest.raises(Exception, match=r"sqrt[\s\S]*generated.py"):
        build.compile_source(kernel_text("out[0] = sqrt(x)", arrays(), {"n": 6}), signatures(arrays(), {"n": 6}), "generated.py")


def test_a_name_that_is_bound_once_needs_no_place_in_the_frame() -> None:
    text = build.llvm_text(kernel_text("y = x[0] * f32(2.0)\nout[0] = y + y", arrays(), {"n": 6}), signatures(arrays(), {"n": 6}), optimised=False)
    assert "alloca" not in text


def test_every_kernel_of_a_training_step_is_plain(walked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    import flowc as tf
    from flowc import config

    refused: list[str] = []
    real: Callable[..., None] = Walk.function

    def spy(self: Walk, tree: ast.FunctionDef, *rest: object) -> None:
        try:
            real(self, tree, *rest)
        except Exception:
            refused.append(tree.name)
            raise

    monkeypatch.setattr(Walk, "function", spy)
    build._programs.clear()
    with config.override(cache_dir=tmp_path), tf.Graph().as_default():
        x, y = tf.placeholder(tf.float32, [None, 64]), tf.placeholder(tf.float32, [None, 3])
        image = tf.reshape(x, [-1, 8, 8, 1])
        h = tf.nn.relu(tf.nn.conv2d(image, tf.Variable(tf.truncated_normal([3, 3, 1, 4])), [1, 1, 1, 1], "SAME"))
        h = tf.nn.max_pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
        logits = tf.matmul(tf.nn.dropout(tf.reshape(h, [-1, 64]), 0.5), tf.Variable(tf.zeros([64, 3])))
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y))
        train = tf.train.AdamOptimizer(0.01).minimize(loss)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(train, {x: np.ones((5, 64)), y: np.eye(3)[[0, 1, 2, 0, 1]]})
    assert len(walked) > 8
    assert refused == []
