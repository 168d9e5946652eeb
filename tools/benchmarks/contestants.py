"""Who takes part: the name of a contestant becomes the library that its programs are written with.

    CONTESTANTS["tensorflow"].load()   ->   tensorflow.compat.v1, imported now and set to graph mode

Nothing here imports even NumPy, so a worker can time that import whole.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple


class Contestant(NamedTuple):
    """`package` is looked for and reported with its version; `imported` is what a user's program imports; `environment` is set for it."""

    package: str
    imported: str
    title: str
    environment: tuple[tuple[str, str], ...] = ()

    def load(self) -> Any:
        """NumPy, which every user's program imports, and the library, ready for use: TensorFlow in graph mode."""
        importlib.import_module("numpy")
        library = importlib.import_module(self.imported)
        if self.package == "tensorflow":
            library.disable_v2_behavior()
            library.logging.set_verbosity(library.logging.ERROR)
        return library

    @property
    def is_ours(self) -> bool:
        """Whether it runs in the project's environment."""
        return self.package in ("flowc", "numpy")


CONTESTANTS = {
    "flowc": Contestant("flowc", "flowc", "flowc"),
    "flowc.compile": Contestant("flowc", "flowc", "flowc.compile"),
    "flowc.direct": Contestant("flowc", "flowc", "flowc, direct convolutions", (("FLOWC_CONVOLUTION", "direct"),)),
    "numpy": Contestant("numpy", "numpy", "NumPy"),
    "tensorflow": Contestant("tensorflow", "tensorflow.compat.v1", "TensorFlow, graph mode"),
    "jax": Contestant("jax", "jax", "JAX, jit"),
    "torch": Contestant("torch", "torch", "PyTorch eager"),
    "torch.compile": Contestant("torch", "torch", "torch.compile"),
    "pytensor": Contestant("pytensor", "pytensor", "PyTensor"),
    "onnxruntime": Contestant("onnxruntime", "onnxruntime", "ONNX Runtime"),
}
