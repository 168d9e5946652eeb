"""What TensorFlow 1 scripts have around the graph: `tf.app.run`, `tf.flags`, `tf.logging`, and settings that flowc accepts.

    tf.flags.DEFINE_integer("steps", 1000, "How many steps to make.")
    tf.app.run(main)        # reads the command line, then calls main(argv)
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

from flowc.errors import FlowcError, NameLookupError, user_location

TENSORFLOW_VERSION = "1.15.0"
"""The version of TensorFlow whose names flowc speaks: scripts compare with it."""
newaxis = None


class Flags:
    """Command line flags: defined by `DEFINE_...`, read as attributes once the command line is parsed, by itself at the first read."""

    def __init__(self) -> None:
        self.__dict__["_parser"] = argparse.ArgumentParser(allow_abbrev=False, conflict_handler="resolve")
        self.__dict__["_truths"] = set()
        self.__dict__["_values"] = None

    def define(self, name: str, default: Any, help: str | None, **options: Any) -> None:
        self._parser.add_argument(f"--{name}", default=default, help=help, dest=name, **options)
        self.__dict__["_values"] = None

    def parse(self, argv: Sequence[str] | None = None) -> list[str]:
        """Read the flags from `argv` (by default the command line's); what is no flag comes back."""
        self._parser.prog = os.path.basename(sys.argv[0])
        values, rest = self._parser.parse_known_args([self._spelled_out(arg) for arg in (sys.argv[1:] if argv is None else argv)])
        self.__dict__["_values"] = values
        return rest

    def _spelled_out(self, arg: str) -> str:
        """`--verbose` and `--noverbose` as `--verbose=true` and `--verbose=false`."""
        name = arg.removeprefix("--")
        if arg != name and name in self._truths:
            return f"{arg}=true"
        if arg != name and name.startswith("no") and name[2:] in self._truths:
            return f"--{name[2:]}=false"
        return arg

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._values is None:
            self.parse()
        if not hasattr(self._values, name):
            raise NameLookupError(f"no flag {name} is defined", location=user_location())
        return getattr(self._values, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._values is None:
            self.parse()
        setattr(self._values, name, value)


FLAGS = Flags()


def DEFINE_string(flag_name: str, default_value: str | None, docstring: str | None = None) -> None:
    FLAGS.define(flag_name, default_value, docstring)


def DEFINE_integer(flag_name: str, default_value: int | None, docstring: str | None = None) -> None:
    FLAGS.define(flag_name, default_value, docstring, type=int)


def DEFINE_float(flag_name: str, default_value: float | None, docstring: str | None = None) -> None:
    FLAGS.define(flag_name, default_value, docstring, type=float)


def DEFINE_bool(flag_name: str, default_value: bool | None, docstring: str | None = None) -> None:
    FLAGS.define(flag_name, default_value, docstring, type=_truth)
    FLAGS._truths.add(flag_name)


def DEFINE_enum(flag_name: str, default_value: str | None, enum_values: Sequence[str], docstring: str | None = None) -> None:
    FLAGS.define(flag_name, default_value, docstring, choices=list(enum_values))


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "t", "1", "yes", "false", "f", "0", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() in ("true", "t", "1", "yes")


def run(main: Callable[[list[str]], Any] | None = None, argv: Sequence[str] | None = None) -> NoReturn:
    """Parse the flags, call `main` (by default the script's) with the rest of the command line, and exit with what it returns."""
    if main is None:
        main = sys.modules["__main__"].main
    rest = FLAGS.parse(None if argv is None else argv[1:])
    sys.exit(main([sys.argv[0], *rest]))


# logging

DEBUG, INFO, WARN, ERROR, FATAL = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL
_logger = logging.getLogger("tensorflow")
debug, info, warn, error, fatal = _logger.debug, _logger.info, _logger.warning, _logger.error, _logger.critical


def set_verbosity(level: int | str) -> None:
    """What is logged through tf.logging from now on."""
    _logger.setLevel(level)
    if not logging.getLogger().handlers and not _logger.handlers:
        _logger.addHandler(logging.StreamHandler())


def get_verbosity() -> int:
    return _logger.level


# accepted settings


class Settings(SimpleNamespace):
    """Settings of TensorFlow's runtime that a script makes: kept, and without effect."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        inner = Settings()
        setattr(self, name, inner)
        return inner


class ConfigProto(Settings):
    """Settings of a session."""


class GPUOptions(Settings):
    """Settings of the devices."""


class RunOptions(Settings):
    """Settings of one run. `trace_level=FULL_TRACE` asks for the times of its kernels, in `run_metadata`; the rest is without effect."""

    NO_TRACE, SOFTWARE_TRACE, HARDWARE_TRACE, FULL_TRACE = 0, 1, 2, 3


def disable_v2_behavior() -> None:
    """Nothing to be done: flowc speaks TensorFlow 1."""


def disable_eager_execution() -> None:
    """Nothing to be done: graphs are all there is."""


def disable_resource_variables() -> None:
    """Nothing to be done."""


def no_eager_execution(*arguments: Any, **options: Any) -> NoReturn:
    """FlowcError: there is no eager execution."""
    raise FlowcError("eager execution is not supported", "flowc builds graphs: use tf.Session, or flowc.compile for plain functions", user_location())


def as_str(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
