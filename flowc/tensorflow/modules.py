"""`import tensorflow` answered by flowc: an entry in `sys.meta_path` that knows flowc's namespaces by TensorFlow's module names.

    install()
    import tensorflow.compat.v1 as tf     # flowc.frontend.names.COMPAT_V1
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from flowc.errors import FlowcError, user_location
from flowc.frontend.names import TENSORFLOW
from flowc.frontend.namespaces import Namespace


class UnknownModuleError(FlowcError, ModuleNotFoundError):
    """A module of TensorFlow that flowc does not have."""

    __str__ = FlowcError.__str__


class Finder(MetaPathFinder, Loader):
    """Finds `tensorflow` and the modules under it among flowc's namespaces."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's spec; UnknownModuleError for one that TensorFlow may have and flowc has not, None for other packages."""
        root, *rest = fullname.split(".")
        if root != "tensorflow":
            return None
        space: Namespace = TENSORFLOW
        for part in rest:
            found = space.find(part)
            if not isinstance(found, Namespace):
                raise self._unknown(fullname, space, part)
            space = found
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        space: Any = TENSORFLOW
        for part in spec.name.split(".")[1:]:
            space = space.find(part)
        return space  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: a namespace looks its names up when they are used."""

    @staticmethod
    def _unknown(fullname: str, space: Namespace, part: str) -> UnknownModuleError:
        known = [name for name in dir(space) if isinstance(space.find(name), Namespace)]
        near = difflib.get_close_matches(part, known, n=3) or known
        reason = space.absent(part)
        there = f"; in {space.shown} there are {', '.join(near)}" if near else ""
        return UnknownModuleError(f"flowc has no module {fullname}{f': {reason}' if reason else there}", location=user_location())


_finder = Finder()
_NO_TENSORFLOW = "tensorboard.compat.notf"  # where this module is there, TensorBoard's package reads files without a tensorflow
_sign = ModuleType(_NO_TENSORFLOW, "TensorBoard's own file functions are to be used: flowc has none.")


def install() -> None:
    """From now on, in this process, `import tensorflow` gives flowc, but not to TensorBoard, which then goes without.

    RuntimeError where another tensorflow is imported already.
    """
    loaded = sys.modules.get("tensorflow")
    if loaded is not None and loaded is not TENSORFLOW:
        raise RuntimeError("another tensorflow is imported in this process already: run the script with `flowc run`")
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
        sys.modules.setdefault(_NO_TENSORFLOW, _sign)


def uninstall() -> None:
    """Undo `install`: later imports find what is installed."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    if sys.modules.get(_NO_TENSORFLOW) is _sign:
        del sys.modules[_NO_TENSORFLOW]
    for name in [n for n, module in sys.modules.items() if n.partition(".")[0] == "tensorflow" and isinstance(module, Namespace)]:
        del sys.modules[name]
