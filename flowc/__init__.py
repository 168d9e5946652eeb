"""flowc: a dataflow graph compiler. A model definition becomes a graph, the graph a pure typed function, the function fused loops.

    import flowc as tf                      # TensorFlow 1's names: tf.Variable, tf.nn, tf.train, tf.Session
    @flowc.compile                          # or plain functions of arrays, with flowc.grad and flowc.f32["batch", 784]

Names are looked up when first used, so that the import itself is quick.
"""

from __future__ import annotations

from typing import Any

from flowc.ir import shown as _shown

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'flowc' has no attribute {name!r}")
    from flowc.frontend.names import FLOWC

    found = getattr(FLOWC, name)
    globals()[name] = found
    return found


def _drawer() -> Any:
    from flowc.viz import notebook

    return notebook


_shown.find_drawer = _drawer


def __dir__() -> list[str]:
    from flowc.frontend.names import FLOWC

    return sorted({*globals(), *dir(FLOWC)})
