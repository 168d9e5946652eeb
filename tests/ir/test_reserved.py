"""Names of the user's never meet those of generated code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flowc
from flowc import config
from flowc.codegen import intrinsics
from flowc.ir.reserved import is_reserved, unreserved

IMPORTED = {"Any", "Callable", "LIBRARY", "MATH", "POINTERS", "annotations"}


def test_every_function_of_generated_code_is_reserved() -> None:
    names = {name for name in dir(intrinsics) if not name.startswith("_")} - IMPORTED
    assert {name for name in names if not is_reserved(name)} == set()


def test_a_name_gets_underscores_until_it_is_free() -> None:
    assert unreserved("batch") == "batch"
    assert unreserved("tid") == "tid_"
    assert unreserved("k0_relu") == "k0_relu_"
    assert unreserved("exp", {"exp_"}) == "exp__"


@pytest.mark.parametrize("name", ["tid", "args", "range", "exp", "batch", "row", "f32", "k0_mul"])
def test_arguments_and_extents_may_bear_any_name(name: str, tmp_path: Path) -> None:
    scope: dict[str, object] = {}
    exec(f"def f(weights, {name}): return weights @ {name} + 1.0", scope)
    with config.override(backend="python", verify=True, cache_dir=tmp_path):
        f = flowc.compile(scope["f"], shapes=(flowc.f32[name, 3], flowc.f32[3, 2]))
        for rows in (2, 4):
            x, y = np.arange(3.0 * rows).reshape(rows, 3), np.arange(6.0).reshape(3, 2)
            np.testing.assert_allclose(f(x, y), x @ y + 1.0)
    assert f.compilations <= 2


def test_a_variable_may_be_named_as_the_symbol_of_a_batch(tmp_path: Path) -> None:
    with flowc.Graph().as_default(), config.override(backend="python", verify=True, cache_dir=tmp_path):
        x = flowc.placeholder(flowc.float32, [None, 3])
        b = flowc.Variable(np.ones(3, np.float32), name="b")
        total = flowc.reduce_sum(x * b)
        with flowc.Session() as session:
            session.run(flowc.global_variables_initializer())
            assert session.run(total, {x: np.ones((4, 3))}) == 12.0


def test_extents_named_like_the_teams_of_kernels_are_not_mixed_up_with_them() -> None:
    shapes = {"x": flowc.f32["team_0", "team_1"], "y": flowc.f32["team_1"]}
    f = flowc.compile(lambda x, y: (flowc.sum(flowc.exp(x), axis=0), flowc.sum(y * y)), shapes=shapes)
    columns, square = f(np.zeros((50, 7), np.float32), np.ones(7, np.float32))
    assert columns.tolist() == [50.0] * 7 and square == 7.0
