"""Public namespaces: names that are looked up when first used, with a clear answer for those that flowc does not have.

    train = Namespace("tf.train", ("flowc.frontend.train",))
    train.AdamOptimizer          # the class, imported now
    train.AdamOptimiser          # NameLookupError: tf.train has no AdamOptimiser; did you mean AdamOptimizer?
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
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

    sources: modules whose public names (`__all__`) it shows; names: further ones, each as `module` or `module:attribute`, or a
    Namespace; absent: names that TensorFlow has and flowc has not, each with what to do instead.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[str] = (),
        names: Mapping[str, str | Namespace] | None = None,
        absent: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, f"The names of {name} that flowc has.")
        self.__path__: list[str] = []
        self.__dict__["_sources"] = tuple(sources)
        self.__dict__["_names"] = dict(names or {})
        self.__dict__["_absent"] = dict(absent or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
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
        for source in self._sources:
            module_object = import_module(source)
            if name in public_names(module_object):
                return getattr(module_object, name)
        return _MISSING

    def refusal(self, name: str) -> NameLookupError:
        """The error for a name that is not here."""
        reason = self._absent.get(name)
        if reason is not None:
            return NameLookupError(f"{self.__name__}.{name} is not supported: {reason}", location=user_location())
        near = self.near(name)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; see dir({self.__name__})"
        return NameLookupError(f"{self.__name__}.{name} is not supported by flowc{hint}", location=user_location())

    def near(self, name: str) -> list[str]:
        """Up to three names that are spelled, or meant, like `name`."""
        known = dir(self)
        meant = MEANT.get(name)
        if meant in known:
            return [str(meant)]
        lowered = {other.lower(): other for other in known}
        return [lowered[found] for found in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)]

    def __dir__(self) -> list[str]:
        names = set(self._names)
        for source in self._sources:
            names |= set(public_names(import_module(source)))
        return sorted(names)

    def __repr__(self) -> str:
        return f"<namespace {self.__name__} of flowc>"


_MISSING: Any = type("Missing", (), {})()


def public_names(module: ModuleType) -> Sequence[str]:
    """What a module offers: its `__all__`."""
    return module.__all__  # type: ignore[no-any-return]
