"""CUDA kernels through the real compiler, which needs no device: PTX without calls and without double precision. Wants the `cuda` extra."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda")
ROOT = Path(__file__).resolve().parents[2]

# A process of its own: where the simulator or the CPU's Numba has been imported, `numba.cuda` is another module.
COMPILE = """
import json, sys
from numba import cuda
from numba.cuda import types
from flowc.lower.schedule_cuda import schedule
from flowc.codegen.cuda import print_launches
from flowc.transforms.pipeline import optimize
from tests.codegen import cuda_simulation

kinds = {"i8": types.int8, "i16": types.int16, "i32": types.int32, "i64": types.int64, "u8": types.uint8, "u16": types.uint16, "u32": types.uint32,
         "u64": types.uint64, "f32": types.float32, "f64": types.float64}
faults, seen = [], set()

def compile_all(f, args):
    for kernel in optimize(f).callees():
        source = print_launches(schedule(kernel))
        if source.text in seen:
            continue
        seen.add(source.text)
        namespace = {}
        exec(compile(source.text, "kernels.py", "exec"), namespace)
        for name, signature in source.signatures.items():
            given = [types.CPointer(kinds[s.rstrip("!*")]) if "*" in s else kinds[s] for s in signature]
            ptx, _ = cuda.compile(namespace[name], types.void(*given), device=False, abi="numba", cc=(9, 0), output="ptx")
            text = ptx if isinstance(ptx, str) else ptx.decode()
            faults.extend(f"{name}: {line.strip()}" for line in text.splitlines() if "call" in line or ".f64" in line and "f64" not in source.text)

cuda_simulation.compare = compile_all
cuda_simulation.CASES[sys.argv[1]]()
assert seen
print(json.dumps(faults))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    ["broadcasting", "softmax_of_rows", "column_reductions", "full_reductions", "truth_reductions", "the_first_largest_wins", "pads_and_concats",
     "whole_numbers_and_truth_values", "nan_and_infinity_keep_through_functions", "loop_nests",
     "convolutions_and_pools", "random_numbers"],
)  # fmt: skip
def test_kernels_compile_to_ptx_without_calls_and_doubles(case: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run([sys.executable, "-c", COMPILE, case], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
