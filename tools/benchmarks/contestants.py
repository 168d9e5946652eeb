"""Who takes part: the name of a contestant becomes the module that it needs and the way it builds a workload's Program.

    CONTESTANTS["tensorflow"].load()   ->   build(workload, data) -> Program, with TensorFlow imported

`load` imports the peer, and nothing here imports even NumPy, so a worker can time that import whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .program import Program

if TYPE_CHECKING:
    from .workloads import Data

Build = Callable[[str, "Data"], Program]


@dataclass(frozen=True)
class Contestant:
    """`package` is looked for and reported with its version; `imported` is what a user's program imports; `load` gives the builder."""

    package: str
    imported: str
    load: Callable[[], Build]
    title: str
    only: tuple[str, ...] = ("linear", "two_layer", "softmax", "cnn")


def load_flowc() -> Build:
    """flowc through its TensorFlow 1 names."""
    import flowc as tf

    from .tf1_steps import build

    return lambda workload, data: build(tf, workload, data)


def load_flowc_compile() -> Build:
    """flowc through its tracing API."""
    from .flowc_steps import build

    return build


def load_tensorflow() -> Build:
    """TensorFlow in graph mode."""
    import tensorflow.compat.v1 as tf

    from .tf1_steps import build

    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    return lambda workload, data: build(tf, workload, data)


def load_jax() -> Build:
    """JAX, jitted steps with donated parameters."""
    from .jax_steps import build

    return build


def load_torch() -> Build:
    """PyTorch as it runs by itself."""
    from .torch_steps import build

    return lambda workload, data: build(workload, data, compiled=False)


def load_torch_compile() -> Build:
    """PyTorch with the step's loss through torch.compile."""
    from .torch_steps import build

    return lambda workload, data: build(workload, data, compiled=True)


def load_pytensor() -> Build:
    """PyTensor, a function with shared variables as updates."""
    from .pytensor_steps import build

    return build


CONTESTANTS = {
    "flowc": Contestant("flowc", "flowc", load_flowc, "flowc"),
    "flowc.compile": Contestant("flowc", "flowc", load_flowc_compile, "flowc.compile", only=("linear",)),
    "tensorflow": Contestant("tensorflow", "tensorflow.compat.v1", load_tensorflow, "TensorFlow, graph mode"),
    "jax": Contestant("jax", "jax", load_jax, "JAX, jit, donated"),
    "torch": Contestant("torch", "torch", load_torch, "PyTorch eager"),
    "torch.compile": Contestant("torch", "torch", load_torch_compile, "torch.compile"),
    "pytensor": Contestant("pytensor", "pytensor", load_pytensor, "PyTensor"),
}
BASELINE = "flowc"
