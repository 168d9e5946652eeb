"""flowc: a dataflow graph compiler. A model definition becomes a graph, the graph a pure typed function, the function fused loops.

    import flowc as tf
    x = tf.placeholder(tf.float32, [None, 2]);  y = tf.reduce_sum(tf.square(x), axis=1)
    tf.Session().run(y, {x: [[3, 4]]})          # array([25.], dtype=float32)

Names are imported when first used, so that `import flowc` takes no time.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_ROOMS = ("cli", "codegen", "config", "frontend", "ir", "lower", "ops", "runtime", "tensorflow", "transforms", "viz")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _ROOMS:
        from importlib import import_module

        return import_module(f"flowc.{name}")
    from flowc.frontend.names import FLOWC

    found = globals()[name] = getattr(FLOWC, name)
    return found


def __dir__() -> list[str]:
    from flowc.frontend.names import FLOWC

    return sorted({*globals(), *dir(FLOWC)})
