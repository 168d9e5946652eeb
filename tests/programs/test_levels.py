"""Every level of the user's training programs: text that parses back to the same thing, and one meaning."""

from __future__ import annotations

import numpy as np
import pytest

from flowc import config
from flowc.ir.interpret import interpret
from flowc.ir.loops_text import parse_kernel, print_kernel
from flowc.ir.text import parse_function
from flowc.ir.verify import verify
from flowc.runtime.executable import build
from flowc.transforms.pipeline import optimize
from tests.programs.graphs import PROGRAMS, Training


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def training(request: pytest.FixtureRequest) -> Training:
    return PROGRAMS[request.param]()


def test_the_function_prints_and_parses_back_before_and_after_every_pass(training: Training) -> None:
    texts = [str(training.function())]
    optimize(training.function(), on_pass=lambda name, f: texts.append(str(f)))
    for text in texts:
        assert str(verify(parse_function(text))) == text


def test_what_a_parsed_function_computes_is_what_the_function_computes(training: Training) -> None:
    f = training.function()
    args = _arguments(training)
    for got, wanted in zip(interpret(parse_function(str(f)), args), interpret(f, args), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_the_module_prints_and_parses_back(training: Training) -> None:
    module = training.executable().module
    again = parse_function(str(module))
    assert str(again) == str(module) and len(again.callees()) == len(module.callees()) > 0


def test_every_kernel_prints_and_parses_back(training: Training) -> None:
    for kernel in training.executable().kernels:
        assert print_kernel(parse_kernel(print_kernel(kernel))) == print_kernel(kernel)


def test_a_step_means_the_same_at_every_level(training: Training) -> None:
    f = training.function()
    wanted = interpret(f, _arguments(training))
    for backend in ("interpret", "python", "cpu"):
        own = _arguments(training)
        with config.override(backend=backend):
            results = build(f).run(own)
        found = [*results, *(own[f.params.index(p)] for p, _ in f.updates)]
        for got, expected in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=2e-5, err_msg=backend)


def _arguments(training: Training) -> list[np.ndarray]:
    """One array for each param of the step: the feeds, and small numbers for the variables; counters and Adam's powers are plain numbers."""
    draw = np.random.default_rng(5)
    fed = {node.op.name: value for node, value in training.feeds.items()}
    arrays = []
    for param in training.function().params:
        value = next((v for name, v in fed.items() if name.replace("/", "_") == param.name or name == param.name), None)
        if value is not None:
            arrays.append(np.asarray(value, param.tensor.dtype.numpy))
        elif param.tensor.dtype.is_int:
            arrays.append(np.full(param.tensor.dims, 3, param.tensor.dtype.numpy))
        else:
            arrays.append(np.asarray(np.abs(draw.normal(size=param.tensor.dims)) * 0.1 + 0.01, param.tensor.dtype.numpy))
    return arrays
