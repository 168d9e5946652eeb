"""`flowc bench`: one run of a script, or a compiled function, becomes a table of its kernels' times.

    title, profile = bench(subject, {"b": 128}, runs=20)
    print(report(title, profile, "time"))

Arguments are what the script feeds, or numbers between 0 and 1 where it feeds nothing; variables have their initial values.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from flowc import config
from flowc.cli.subject import CompiledFunction, GraphRun, InputError, Subject
from flowc.errors import FlowcError
from flowc.frontend.session import Session
from flowc.ir.dims import Dim, Sym, substitute
from flowc.ir.function import Function
from flowc.ir.interpret import bind_extents
from flowc.ir.node import Node
from flowc.ir.types import DType
from flowc.runtime.executable import build
from flowc.runtime.profile import Profile, profile
from flowc.transforms.specialize import Specializer


def bench(subject: Subject, extents: Mapping[str, int], runs: int) -> tuple[str, Profile]:
    """The title and the Profile of what a command looks at. InputError where an extent is not known, or one is given that there is not."""
    if config.settings().backend != "cpu":
        raise InputError(f"FLOWC_BACKEND is {config.settings().backend}: only compiled programs have kernels to measure")
    if isinstance(subject, CompiledFunction):
        title, (f, args) = subject.title, _of_compiled(subject, extents)
    else:
        title, (f, args) = f"run of {subject.title}", _of_run(subject, extents)
    return title, profile(build(f), args, runs)


def check(file: str | None) -> None:
    """InputError where the file for the figures cannot be written: said before anything is measured."""
    if file is not None:
        folder = Path(file).resolve().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK) or Path(file).is_dir():
            raise InputError(f"{file} cannot be written: {folder} is {'not writable, or it is a folder itself' if folder.is_dir() else 'no folder'}")


def _of_run(run: GraphRun, extents: Mapping[str, int]) -> tuple[Function, list[np.ndarray]]:
    """The Function of a run and its arguments: feeds, variables, the run counter."""
    fed = [n for n in run.fed if n in run.live]
    nodes = [*fed, *run.unfed]
    for node in run.unfed:
        if node.tensor.shape is None:
            raise InputError(f"{run.title} needs {node.name}, whose shape is not known: no run that was seen feeds it")
    _check_names(extents, (d for n in nodes for d in n.tensor.shape or ()))
    extents = _together(run, extents)
    values = [_array(node.name, node.tensor.dtype, _shape(node, run.fed.get(node), extents), run.values.get(node)) for node in nodes]
    extraction = run.extraction(nodes)
    function = Specializer(extraction.function).specialize([v.shape for v in values])[1]
    session = Session(graph=run.graph)
    if extraction.variables:
        with config.override(backend="interpret"):
            session.run([v.initializer for v in run.graph.variables.values()])
    values += [session._place(v) for v in extraction.variables]
    if extraction.uses_counter:
        values.append(np.zeros((), np.uint64))
    return function, values


def _of_compiled(subject: CompiledFunction, extents: Mapping[str, int]) -> tuple[Function, list[np.ndarray]]:
    """The Function of a compiled function's last call, or of its annotations, and its arguments."""
    try:
        plan = subject.compiled._inspected()
    except FlowcError as error:
        raise InputError(f"{error.what}{f'; {error.detail}' if error.detail else ''}") from None
    params = plan.function.params
    last: Sequence[np.ndarray | None] = plan.latest.args if plan.latest is not None else [None] * len(params)
    bound: dict[str, int] = {}
    if plan.latest is not None:
        bound = bind_extents([p.type for p in params], [a.shape for a in plan.latest.args])
    _check_names(extents, (d for p in params for d in p.tensor.dims))
    known = {**bound, **extents}
    args = []
    for param, value in zip(params, last, strict=True):
        shape = [substitute(d, known) for d in param.tensor.dims]  # type: ignore[arg-type]
        if not all(isinstance(d, int) for d in shape):
            raise InputError(_open(f"argument {param.name}: {param.type} of {subject.title}", "has not been passed yet", shape))
        args.append(_array(param.name, param.tensor.dtype, tuple(int(d) for d in shape), value))  # type: ignore[arg-type]
    return plan.function, args


def _check_names(extents: Mapping[str, int], dims: Iterable[Dim]) -> None:
    names = list(dict.fromkeys(d.name for d in dims if isinstance(d, Sym) and d.name is not None))
    for name in extents:
        if name not in names:
            there = f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else "all sizes are known"
            raise InputError(f"no extent is called {name}: {there}")


def _together(run: GraphRun, extents: Mapping[str, int]) -> dict[str, int]:
    """Open extents that the run feeds with one number change together, as the batch of images and that of labels, unless each is given."""
    fed: dict[str, int] = {}
    for node, shape in run.fed.items():
        for dim, size in zip(node.tensor.shape or (), shape, strict=False):
            if isinstance(dim, Sym) and dim.name is not None:
                fed[dim.name] = size
    follow = {other: new for name, new in extents.items() for other, size in fed.items() if name in fed and size == fed[name]}
    return {**follow, **extents}


def _shape(node: Node, fed: tuple[int, ...] | None, extents: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of a placeholder's value: what is asked for, else what was fed."""
    if node.tensor.shape is None:
        assert fed is not None
        return fed
    shape = [extents.get(d.name or "", None if fed is None else fed[axis]) if isinstance(d, Sym) else d for axis, d in enumerate(node.tensor.shape)]
    if any(d is None for d in shape):
        raise InputError(_open(f"placeholder {node.name}: {node.type}", "is fed by no run that was seen", node.tensor.shape))
    return tuple(d for d in shape if d is not None)


def _open(what: str, why: str, shape: Iterable[Dim]) -> str:
    missing = " ".join(f"--extent {d}=N" for d in dict.fromkeys(str(d) for d in shape if isinstance(d, Sym)))
    return f"{what} {why}: give its size, {missing}"


def _array(name: str, dtype: DType, shape: tuple[int, ...], value: np.ndarray | None) -> np.ndarray:
    """A value as it was fed, repeated or cut to `shape`; else floats between 0 and 1, zeros of other dtypes (an index that always fits)."""
    if value is not None:
        return np.require(value if value.shape == shape else np.resize(value, shape), dtype.numpy, ["C", "A"])
    if dtype.is_float:
        return np.asarray(np.random.default_rng(len(name)).random(shape), dtype.numpy)
    return np.zeros(shape, dtype.numpy)


__all__ = ["bench", "check"]
