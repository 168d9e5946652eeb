"""What a program's kernels do and take, for a page: counted from their loops, or measured by `flowc bench`, `flowc.profile` or a traced session.run.

    counted(program, {"b": 128})                    # operations and bytes of each kernel at these extents, no times
    of_profile(profile(executable, args))           # the same with times
    matching(read("kernels.json"), kernels)         # as `flowc bench --json kernels.json` wrote them
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowc.errors import FlowcError

if TYPE_CHECKING:
    from flowc.lower.program import Program
    from flowc.runtime.profile import KernelProfile, Profile

_NUMBERS = ("flops", "read", "written", "seconds", "share", "gbs", "gflops", "of_limit", "threads")


class FiguresError(FlowcError, ValueError):
    """Figures that are of another program, or a file that holds none."""


@dataclass(frozen=True)
class Figures:
    """kernels: for each its `name`, `flops`, `read` and `written` bytes, and where it was measured `seconds` and what follows from them.

    extents: the sizes for which they hold; title: what ran.
    """

    kernels: tuple[dict[str, Any], ...]
    extents: Mapping[str, int] = field(default_factory=dict)
    title: str = ""

    @property
    def measured(self) -> bool:
        return any("seconds" in kernel for kernel in self.kernels)


def counted(program: Program, extents: Mapping[str, int]) -> Figures:
    """Operations and bytes of each kernel, counted from its loops. An extent that is not known is 1."""
    from flowc.lower.count import count
    from flowc.runtime.profile import kernel_profile

    known = {name: extents.get(name, 1) for name in program.extents}
    return Figures(tuple(_plain(kernel_profile(step, count(step.kernel, known), known, 1)) for step in program.steps), known)


def of_profile(found: Profile) -> Figures:
    return Figures(tuple(_of_dict(kernel) for kernel in found.as_dict()["kernels"]), found.extents)


def read(file: str) -> list[Figures]:
    """The figures of each program in a file of `flowc bench --json`, `tf.RunMetadata.save` or `flowc.profile().save`. FiguresError for a file that is none."""
    try:
        programs = json.loads(Path(file).read_text(encoding="utf-8"))["programs"]
        return [Figures(tuple(_of_dict(kernel) for kernel in p["kernels"]), dict(p["extents"]), str(p["title"])) for p in programs]
    except OSError as error:
        raise FiguresError(f"{file}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        ways = "`flowc bench MODEL.py --json FILE`, `tf.RunMetadata.save` or `flowc.profile().save`"
        raise FiguresError(f"{file} is no profile: a file is expected that {ways} wrote") from None


def matching(programs: Iterable[Figures], kernels: Sequence[str], file: str, extents: Mapping[str, int] | None = None) -> Figures:
    """The figures that are of these kernels, those for these extents first. FiguresError where none are."""
    programs = [figures for figures in programs if figures.kernels]
    same = [figures for figures in programs if [k["name"] for k in figures.kernels] == list(kernels)]
    if same:
        return next((figures for figures in same if figures.extents.items() <= (extents or {}).items()), same[0])
    if not programs:
        raise FiguresError(f"{file} has no kernels: nothing compiled was run")
    measured = "; ".join(f"{p.title} ({', '.join(k['name'] for k in p.kernels)})" for p in programs)
    raise FiguresError(f"{file} was measured on another program: it has {measured}, here the kernels are {', '.join(kernels)}")


def _plain(kernel: KernelProfile) -> dict[str, Any]:
    return {"name": kernel.name, "flops": kernel.flops, "read": kernel.read, "written": kernel.written}


def _of_dict(kernel: Mapping[str, Any]) -> dict[str, Any]:
    """What a page shows of a measured kernel, rounded, so that it stays readable."""
    numbers = {key: float(f"{float(kernel[key]):.4g}") if isinstance(kernel[key], float) else kernel[key] for key in _NUMBERS}
    return {"name": str(kernel["name"]), **numbers, "bound": str(kernel["bound"])}
