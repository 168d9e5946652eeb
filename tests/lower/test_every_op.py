"""Every sample of every op, from the op table, as kernels for the CPU: what they compute is what `eval` gives.

Samples share programs, a few dozen ops in each: compiling 470 programs of one op would take minutes. Nothing in a program connects two samples.
"""

from __future__ import annotations

import numpy as np
import pytest

from flowc import config
from flowc.errors import FlowcError
from flowc.ir.function import Builder
from flowc.ir.op import OPS
from flowc.runtime.executable import build
from tests.ops.cases import NAMES, evaluate, sample, symbolic, types_of
from tests.ops.samples import SAMPLES

SAMPLED = [(name, number) for name in NAMES for number in range(len(SAMPLES.get(name, ())))]
SHARES = 12


def differences(rows: list[tuple[str, int]], backend: str, dtype: str, open_extents: bool) -> list[str]:
    """What each sample's kernel computes beside what `eval` gives, where they differ."""
    b, args, wanted, results = Builder("main"), [], [], []
    for name, number in rows:
        op, arrays, attrs = sample(name, number, dtype)
        arrays = tuple(np.array(a, order="C") for a in arrays)
        types = symbolic(arrays)[0] if open_extents else types_of(arrays)
        results.append(b.apply(op, *(b.param(f"x{len(args) + i}", t) for i, t in enumerate(types)), **attrs))
        args += arrays
        wanted.append(evaluate(op, arrays, attrs))
    with config.override(backend=backend, threads=1):
        found = build(b.finish(results)).run(args)
    faults = []
    for (name, number), got, expected in zip(rows, found, wanted, strict=True):
        try:
            assert got.dtype == expected.dtype and got.shape == expected.shape
            np.testing.assert_allclose(got, expected, rtol=3e-5 if dtype == "float32" else 1e-10, atol=3e-6 if dtype == "float32" else 1e-12)
        except AssertionError as difference:
            faults.append(f"{name}, sample {number}: {difference}")
    return faults


def takes_symbols(name: str, number: int) -> bool:
    """Whether a sample's attrs leave its extents open."""
    op, arrays, attrs = sample(name, number, "float32")
    try:
        op.result_type(symbolic(arrays)[0], attrs)
    except FlowcError:
        return False
    return True


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_generated_code_of_every_op_as_plain_python_computes_what_eval_does(dtype: str) -> None:
    assert not (faults := differences(SAMPLED, "python", dtype, open_extents=False)), "\n".join(faults)


def test_generated_code_of_every_op_with_symbols_for_extents_computes_what_eval_does() -> None:
    rows = [row for row in SAMPLED if takes_symbols(*row)]
    assert len(rows) > len(SAMPLED) / 2
    assert not (faults := differences(rows, "python", "float32", open_extents=True)), "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", range(SHARES))
def test_compiled_code_of_every_op_computes_what_eval_does(share: int, dtype: str) -> None:
    assert not (faults := differences(SAMPLED[share::SHARES], "cpu", dtype, open_extents=False)), "\n".join(faults)


def test_compiled_code_of_one_sample_of_every_op_computes_what_eval_does() -> None:
    rows = [(name, len(SAMPLES[name]) - 1) for name in NAMES if name in SAMPLES]
    assert {name for name, _ in rows} >= {name for name in NAMES if not OPS[name].random}
    assert not (faults := differences(rows, "cpu", "float32", open_extents=False)), "\n".join(faults)
