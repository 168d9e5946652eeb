"""`flowc ir` and `flowc explain`: the levels of a program as text, what a pass changes, and the compiler's decisions.

    text_of(subject, "kernel", None)     # the loops of each kernel
    diff_text(subject, "simplify")       # -    gradients.v0: f32 = mul(x, 1.0)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from flowc.cli.subject import CompiledFunction, GraphRun, InputError, Subject, executable
from flowc.ir.dims import Dim, Sym
from flowc.ir.function import Function, is_anonymous
from flowc.ir.text import print_function
from flowc.lower.program import SHARED_WORK
from flowc.transforms.pipeline import names as pass_names
from flowc.transforms.pipeline import optimize
from flowc.transforms.records import Decision

WIDTH = 120  # columns of `flowc explain`
BEFORE = "trace"
"""The name of the Function before any pass."""


def check_request(level: str | None, after: str | None) -> str:
    """The level to show. InputError for a pass that is not there, or one at a level that comes after all passes."""
    if after is not None and after not in (BEFORE, *pass_names()):
        raise InputError(f"no pass {after!r}; there are {', '.join((BEFORE, *pass_names()))}")
    if after is not None and level not in (None, "function"):
        raise InputError(f"--after shows the function level; the level {level} comes {'before' if level == 'graph' else 'after'} all passes")
    return level or "function"


def text_of(subject: Subject, level: str, after: str | None) -> str:
    """One level of a program as text."""
    if level == "graph":
        if not isinstance(subject, GraphRun):
            raise InputError(f"{subject.title} is a compiled function and keeps no graph; its first level is function")
        from flowc.viz.text import graph_text

        return graph_text(subject.graph)
    f = subject.function()
    if level == "function":
        return print_function(f if after in (None, BEFORE) else optimize(f, until=after), elide=True)
    if level == "module":
        return print_function(optimize(f), elide=True)
    program = executable(f)
    if level == "source":
        return str(program.source).rstrip() + "\n"
    from flowc.ir.loops_text import print_kernel

    return "\n".join(print_kernel(k) for k in program.kernels)


def check_diff(name: str, after: str | None) -> None:
    """InputError for a pass that is not there."""
    if name not in pass_names():
        raise InputError(f"no pass {name!r} to show the changes of; there are {', '.join(pass_names())}")
    if after is not None:
        raise InputError("--diff shows what a pass changes, --after the whole function after one: one of both")


def diff_text(subject: Subject, name: str) -> str:
    """The lines that a pass takes from a program and gives to it, with three lines around them, as a unified diff."""
    seen = [(BEFORE, subject.function())]
    optimize(seen[0][1], until=name, on_pass=lambda passed, f: seen.append((passed, f)))
    (before, old), (after, new) = seen[-2:]
    was, now = (print_function(f, elide=True).splitlines() for f in (old, new))
    lines = list(difflib.unified_diff(was, now, f"{subject.title} after {before}", f"{subject.title} after {after}", lineterm=""))
    return "\n".join(lines or [f"{subject.title}: {name} changes nothing"]) + "\n"


def coloured(texts: Iterable[str]) -> list[str]:
    """Diffs in a terminal's colours: what goes is red, what comes green."""
    return ["".join(f"{_colour(line)}\n" for line in text.splitlines()) for text in texts]


def _colour(line: str) -> str:
    marks = {"---": "1", "+++": "1", "@@": "36", "-": "31", "+": "32"}
    code = next((code for mark, code in marks.items() if line.startswith(mark)), None)
    return f"\033[{code}m{line}\033[0m" if code else line


def explain(subject: Subject) -> str:
    """The kernels, what each computes and why it ends where it does; then what else the passes decided."""
    program = executable(subject.function())
    module, decisions = program.module, list(program.records)
    kernels = module.callees()
    fused = [d for d in decisions if d.kind == "fused"]
    saved: Dim = 0
    for decision in fused:
        saved = saved + decision.saved
    kept = f", {saved} bytes kept out of memory" if saved else ""
    lines = [f"{_heading(subject)}: {_count(len(kernels), 'kernel')}, {_count(len(fused), 'fusion')}{kept}"]
    told: set[int] = set()
    for kernel, step, shared in zip(kernels, program.program.steps, program.program.shared, strict=True):
        how = [*([step.kernel.how] if step.kernel.how else []), _team(shared)]
        lines += ["", *_kernel_lines(kernel, how, decisions, told)]
    rest = [d for d in decisions if id(d) not in told]
    if rest:
        lines += ["", "other decisions", *(f"  {d}" for d in rest)]
    return "\n".join(lines) + "\n"


def _heading(subject: Subject) -> str:
    return f"run of {subject.title}" if not isinstance(subject, CompiledFunction) else subject.title


def _kernel_lines(kernel: Function, how: list[str], decisions: Iterable[Decision], told: set[int]) -> list[str]:
    names = {n.name for n in kernel.nodes if not is_anonymous(n)}
    places = dict.fromkeys(n.loc.short for n in kernel.nodes if n.loc is not None)
    lines = [
        kernel.name,
        *_wrapped("computes", [*_shown(kernel), f"({', '.join(places)})"] if places else _shown(kernel)),
        *_wrapped("reads", [f"{p.name}: {p.type}" for p in kernel.params] or ["nothing"]),
        *_wrapped("writes", [f"{r.name}: {r.type}" for r in kernel.results]),
        *_wrapped("runs", how),
    ]
    for decision in decisions:
        of_kernel = decision.kernels[1:] == (kernel.name,) or decision.nodes[-1] in names or decision.kind == "fused" and names & set(decision.nodes)
        if id(decision) not in told and of_kernel:
            told.add(id(decision))
            lines.append(f"  {decision}")
    return lines


def _team(shared: bool | Sym) -> str:
    """How many of a run's threads share a kernel."""
    if isinstance(shared, Sym):
        return f"on all threads of the run where {shared} >= {SHARED_WORK}, else on one"
    return "on all threads of the run" if shared else "on one thread"


def _wrapped(label: str, items: list[str]) -> list[str]:
    """`  computes  a, b, c`, in as many lines as it takes."""
    lines, line = [], f"  {label:9} {items[0]}"
    for item in items[1:]:
        mark = " " if item.startswith("(") else ", "
        if len(line) + len(mark) + len(item) > WIDTH:
            lines.append(line + mark.rstrip())
            line = f"  {'':9} {item}"
        else:
            line += mark + item
    return [*lines, line]


def _shown(kernel: Function) -> list[str]:
    """The kernel's nodes by name; those without a name of the user's by their op."""
    return list(dict.fromkeys(n.op.name if is_anonymous(n) else n.name for n in kernel.nodes if n.op.name != "constant"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
