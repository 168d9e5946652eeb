"""CUDA kernels in Numba's simulator, against the interpreter: one process for all cases, since the simulator must be chosen before import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen.cuda_simulation import CASES

ROOT = Path(__file__).resolve().parents[2]


def simulate(*names: str) -> dict[str, str]:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "FLOWC_VERIFY": "1"}
    command = [sys.executable, "-m", "tests.codegen.cuda_simulation", *names]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def faults() -> dict[str, str]:
    return simulate()


@pytest.mark.parametrize("case", CASES)
def test_kernels_in_the_simulator_mean_what_the_function_means(case: str, faults: dict[str, str]) -> None:
    assert not faults[case], faults[case]


def test_a_wrong_kernel_is_seen() -> None:
    assert "Mismatched elements" in simulate("broken")["broken"]


@pytest.mark.slow
def test_every_sample_of_every_op_in_the_simulator_is_what_eval_gives() -> None:
    assert not (fault := simulate("samples")["samples"]), fault


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_functions_in_the_simulator_mean_what_they_mean(seed: int) -> None:
    assert not (fault := simulate(str(seed))[str(seed)]), fault
