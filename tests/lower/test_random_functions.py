"""The four meanings of a program agree: interpreter, fused Module, generated code as plain Python, compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flowc import config
from flowc.ir.function import Function
from flowc.ir.interpret import interpret
from flowc.ir.node import Node
from flowc.ir.verify import verify
from flowc.runtime.executable import build
from flowc.transforms.pipeline import optimize
from flowc.transforms.records import Records
from tests.lower.functions import arguments, functions

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking a compiler's input takes minutes


def agree(f: Function, got: list[np.ndarray], want: list[np.ndarray]) -> None:
    for node, g, w in zip(f.outputs, got, want, strict=True):
        scale = max(1.0, float(np.max(np.abs(w[np.isfinite(w)]), initial=0.0)))
        np.testing.assert_allclose(g, w, rtol=2e-4, atol=2e-5 * scale, err_msg=f"{node.name}\n{f}")
        assert g.shape == w.shape and g.dtype == w.dtype, node.name


def run(f: Function, args: list[np.ndarray], backend: str, threads: int = 1) -> list[np.ndarray]:
    """Results and then the params' new values."""
    own = [a.copy() for a in args]
    with config.override(backend=backend, threads=threads):
        results = build(f).run(own)
    return results + [own[f.params.index(p)] for p, _ in f.updates]


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(functions(), st.integers(2, 7), st.integers(0, 2**16))
def test_the_fused_module_means_what_the_function_means(f: Function, b: int, seed: int) -> None:
    args = arguments(f, b, seed)
    module = optimize(f, on_pass=lambda name, g: verify(g, name) and None)
    agree(f, interpret(module, args), interpret(f, args))


def borders(module: Function) -> set[tuple[str, str]]:
    """The pairs of kernels of which one reads, through views or not, what the other computes."""
    made: dict[Node, set[str]] = {}
    found = set()
    for node in module.nodes:
        behind = set().union(*(made.get(n, set()) for n in node.inputs))
        kernel = node.attrs.get("function")
        made[node] = {kernel.name} if kernel else behind
        found |= {(other, kernel.name) for other in behind} if kernel else set()
    return found


@settings(max_examples=100, deadline=None, phases=PHASES)
@given(functions(steps=20))
def test_wherever_a_kernel_reads_from_another_one_a_record_says_why_they_are_two(f: Function) -> None:
    records = Records()
    module = optimize(f, records=records)
    assert {d.kernels for d in records.of("kept")} == borders(module)
    assert all(d.reason for d in records.of("kept"))


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(functions(), st.integers(2, 7), st.integers(0, 2**16))
def test_generated_code_as_plain_python_means_what_the_function_means(f: Function, b: int, seed: int) -> None:
    args = arguments(f, b, seed)
    agree(f, run(f, args, "python"), interpret(f, args))


@settings(max_examples=12, deadline=None, phases=PHASES)
@given(functions(), st.integers(2, 300), st.integers(0, 2**16))
def test_compiled_code_means_what_the_function_means(f: Function, b: int, seed: int) -> None:
    args = arguments(f, b, seed)
    agree(f, run(f, args, "cpu"), interpret(f, args))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, phases=PHASES)
@given(functions(steps=30), st.integers(2, 300), st.integers(0, 2**16))
def test_compiled_code_means_what_long_functions_mean(f: Function, b: int, seed: int) -> None:
    args = arguments(f, b, seed)
    agree(f, run(f, args, "cpu"), interpret(f, args))
