"""`import flowc` and building a graph leave the heavy packages alone."""

from __future__ import annotations

import subprocess
import sys


def modules_after(program: str) -> set[str]:
    shown = subprocess.run([sys.executable, "-c", program + "\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(shown.stdout.split())


def test_importing_flowc_imports_not_even_numpy():
    loaded = modules_after("import flowc as tf")
    assert not loaded & {"numpy", "numba", "llvmlite", "networkx", "graphviz"}


def test_building_a_graph_imports_no_compiler():
    loaded = modules_after("import flowc as tf; tf.nn.relu(tf.placeholder(tf.float32, [None, 2]) @ tf.Variable(tf.zeros([2, 3]))); tf.Session()")
    assert "numpy" in loaded
    assert not loaded & {"numba", "llvmlite", "networkx", "graphviz"}
