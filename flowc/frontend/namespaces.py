"""Public namespaces: names that are looked up when first used, with a clear answer for those that flowc does not have.

    train = Namespace("tensorflow.train", {"AdamOptimizer": "flowc.frontend.optimizers:AdamOptimizer"})
    train.AdamOptimizer          # the class, imported now
    train.AdamOptimiser          # NameLookupError: tf.train has no AdamOptimiser; did you mean AdamOptimizer?
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from flowc.errors import NameLookupError, user_location

MEANT = {
    "float": "float32", "double": "float64", "half": "float16", "int": "int32", "long": "int64", "bool_": "bool", "str": "string",
    "mul": "multiply", "sub": "subtract", "neg": "negative", "pack": "stack", "unpack": "unstack", "inv": "reciprocal",
    "mean": "reduce_mean", "sum": "reduce_sum", "max": "reduce_max", "min": "reduce_min", "prod": "reduce_prod",
    "batch_matmul": "matmul", "dot": "matmul", "rand": "random_uniform", "randn": "random_normal", "var": "Variable",
}  # fmt: skip
"""What is likely meant by names that TensorFlow 1 does not have, or has no longer."""


class Namespace(ModuleType):
    """A module whose names come from other modules.

    names: where each stands, as `module` or `module:attribute`, or a Namespace; absent: names that TensorFlow has and flowc has not,
    each with what to do instead.
    """

    def __init__(self, name: str, names: Mapping[str, str | Namespace], absent: Mapping[str, str] | None = None) -> None:
        super().__init__(name, f"The names of {name} that flowc has.")
        self.__path__: list[str] = []
        self.__dict__["_names"] = dict(names)
        self.__dict__["_absent"] = dict(absent or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name not in self._names:
            raise AttributeError(name)
        found = self.find(name)
        if found is _MISSING:
            raise self.refusal(name)
        self.__dict__[name] = found
        return found

    def find(self, name: str) -> Any:
        """What stands under `name`; the marker `_MISSING` where nothing does."""
        where = self._names.get(name)
        if isinstance(where, Namespace):
            return where
        if where is not None:
            module, _, attribute = where.partition(":")
            return getattr(import_module(module), attribute) if attribute else import_module(module)
        return _MISSING

    def absent(self, name: str) -> str | None:
        """What to do instead of a name that TensorFlow has and flowc has not; None where nothing is known."""
        return self._absent.get(name)  # type: ignore[no-any-return]

    def refusal(self, name: str) -> NameLookupError:
        """The error for a name that is not here."""
        reason = self.absent(name)
        if reason is not None:
            return NameLookupError(f"{self.shown}.{name} is not supported: {reason}", location=user_location())
        near = self.near(name)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; see dir({self.shown})"
        return NameLookupError(f"{self.shown}.{name} is not supported by flowc{hint}", location=user_location())

    @property
    def shown(self) -> str:
        """The name as users write it: `tf.nn`."""
        return self.__name__.replace("tensorflow", "tf", 1)

    def near(self, name: str) -> list[str]:
        """Up to three names that are spelled, or meant, like `name`."""
        import difflib

        known = dir(self)
        meant = MEANT.get(name)
        if meant in known:
            return [str(meant)]
        lowered = {other.lower(): other for other in known}
        begun = [other for other in lowered if other.startswith(name.lower())] if len(name) > 2 else []  # Adam for AdamOptimizer
        near = list(dict.fromkeys((*begun, *difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6))))
        return [lowered[found] for found in near[:3]]

    def __dir__(self) -> list[str]:
        return sorted(self._names)

    def __repr__(self) -> str:
        return f"<namespace {self.__name__} of flowc>"


_MISSING: Any = type("Missing", (), {})()

