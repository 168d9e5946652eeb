"""`flowc viz`: from the command's arguments to a file, or to the tree of scopes as text.

    flowc viz model.py -o graph.svg --depth 1      ->   graph.svg, and a line that names it

What cannot be used (a suffix, a folder, a pass, a count) is refused before the script runs, and nothing is written then or later.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import networkx

from flowc.cli.model import split, subjects
from flowc.cli.show import BEFORE, check_request
from flowc.cli.subject import GraphRun, InputError, Subject, executable
from flowc.errors import DTypeError, ShapeError
from flowc.transforms.pipeline import names as pass_names
from flowc.transforms.pipeline import optimize
from flowc.viz.draw import PAGE, TEXTS, check_drawing, check_suffix, encoded, save
from flowc.viz.figures import Figures, matching, of_profile, read
from flowc.viz.model import Diagram, diagram
from flowc.viz.page import Stage, page
from flowc.viz.stages import stages
from flowc.viz.text import tree_text
from flowc.viz.view import View, view

TREE = "-"  # the output that is no file
_OURS = b'<script type="application/json" id="data">'  # what every page of ours holds


def draw(options: argparse.Namespace) -> str:
    """Do what `flowc viz` is asked for; what it prints. InputError or FlowcError for what cannot be used."""
    how = _view(options)
    if options.after is not None:
        check_request("function" if options.level is None else options.level, options.after)
    output = options.output or _default(options.model)
    _check_output(output, chosen=options.output is not None)
    if options.diff is not None and (options.output in (None, TREE) or check_suffix(output) != PAGE):
        raise InputError("--diff draws a page: -o FILE.html")
    if options.profile is not None:
        if options.output in (None, TREE) or check_suffix(output) != PAGE or options.diff is not None:
            raise InputError("--profile shows times on the page of one program: -o FILE.html")
        if options.profile and not options.profile.endswith(".json"):
            raise InputError(f"--profile {options.profile}: a .json file is expected; the script's arguments come before it")
    subject = _one(options, options.model)
    drawn = _diagram(subject, options, options.model)
    suffix = ".txt" if output == TREE else check_suffix(output)
    part = view(drawn, how.unlimited() if suffix in TEXTS else how) if suffix != PAGE else drawn
    if output == TREE:
        return tree_text(part)
    if options.diff is not None:
        data = _difference(drawn, options).encode()
    elif suffix == PAGE:
        data = _page(subject, drawn, how, options).encode()
    else:
        data = encoded(part, suffix, options.theme)
    try:
        save(data, output)
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}") from None
    return f"{output}: {part.boxes.number_of_nodes()} boxes, {part.boxes.number_of_edges()} lines\n"


# what is asked for


def _view(options: argparse.Namespace) -> View:
    if options.radius is not None and options.around is None:
        raise InputError("--radius says how far --around NODE goes")
    how = View(
        _number("--depth", options.depth), options.scope or "", options.around or "", _number("--radius", options.radius or "2") or 0,
        all=options.all or options.full, stacks=not options.full,
    )  # fmt: skip
    for flag, given in (("--scope", options.scope), ("--around", options.around)):
        if given is not None and not given.strip("/"):
            raise InputError(f"{flag} wants a name")
    if how.scope and how.around:
        raise InputError("--scope and --around both say what part is drawn: one of both")
    return how


def _number(flag: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal():
        raise InputError(f"{flag} is a count from 0, not {text}")
    return int(text)


def _default(model: str) -> str:
    """The page's file where none is named: model.html, or model.loss.html for model.py:loss."""
    file, name = split(model)
    return Path(file).stem + (f".{name.replace('/', '.')}" if name else "") + PAGE


def _check_output(output: str, chosen: bool) -> None:
    if output == TREE:
        return
    check_drawing(check_suffix(output))
    path, folder = Path(output), Path(output).resolve().parent
    if not folder.is_dir():
        raise InputError(f"{output} cannot be written: {folder} is no folder")
    if path.is_dir():
        raise InputError(f"{output} cannot be written: it is a folder")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{output} cannot be written: {folder} is not writable")
    if not chosen and path.exists() and _OURS not in path.read_bytes():
        raise InputError(f"{output} is there already and is no page of flowc's: say with -o where to draw")


# what is drawn


def _one(options: argparse.Namespace, model: str) -> Subject:
    found = subjects(model, options.args, options.whole)
    if len(found) > 1:
        raise InputError(f"{model} has several compiled functions: {', '.join(s.title for s in found)}; pick one with {model}:NAME")
    return found[0]


def _level(subject: Subject, options: argparse.Namespace) -> str:
    return options.level or ("function" if options.after is not None or not isinstance(subject, GraphRun) else "graph")


def _diagram(subject: Subject, options: argparse.Namespace, model: str) -> Diagram:
    file, name = split(model)
    title = f"{Path(file).name}:{name}" if name else Path(file).name
    level = _level(subject, options)
    if level == "graph":
        if not isinstance(subject, GraphRun):
            raise InputError(f"{subject.title} is a compiled function and keeps no graph; its first level is function")
        only = subject.live if name and name in subject.graph.by_name or name == subject.title else None
        return diagram(subject.graph, options.full, title, only, subject.types())
    f, types = subject.function(), subject.types()
    if level == "kernel":
        return diagram(executable(f).program, title=f"{title}, loops", types=types)
    if level == "module":
        return diagram(optimize(f), title=f"{title}, kernels", types=types)
    if options.after in (None, BEFORE):
        return diagram(f, title=title, types=types)
    return diagram(optimize(f, until=options.after), title=f"{title}, after {options.after}", types=types)


def _page(subject: Subject, drawn: Diagram, how: View, options: argparse.Namespace) -> str:
    """The page over all stages of a program; over one where only a part of it is asked for, or where the graph comes to no function."""
    level = _level(subject, options)
    if how.scope or how.around:
        return page([Stage(level, view(drawn, how.whole()))], drawn.title, theme=options.theme)
    graph = drawn if level == "graph" else _diagram(subject, _at(options, "graph"), options.model) if isinstance(subject, GraphRun) else None
    try:
        f = subject.function()
        extents = subject.extents(f)
        measured = None if options.profile is None else partial(_measured, subject, options.profile, extents)
        found = stages(f, graph, drawn.title, extents, measured)
    except (InputError, ShapeError, DTypeError) as error:
        if graph is None or level != "graph" or options.profile is not None:
            raise
        print(f"flowc viz: the page shows the graph alone: {str(error).splitlines()[0]}", file=sys.stderr)
        found = [Stage("graph", graph)]
    if level == "kernel":
        found.append(Stage("loops", drawn))
    return page(found, drawn.title, _first(level, options.after, graph is not None), options.theme, address=_address(drawn, how))


def _address(drawn: Diagram, how: View) -> str:
    """The address of a page that draws in everything, or opens as many levels of scopes as are asked for."""
    said = {"aside": "0"} if how.all else {}
    if how.depth is not None:
        level = {"": 0}
        for outer, inner in networkx.bfs_edges(drawn.scopes, ""):
            level[inner] = level[outer] + 1
        said["open"] = "|".join(f"{scope}/" for scope in drawn.scopes if 0 < level[scope] <= how.depth)
    return urlencode(said)


def _measured(subject: Subject, file: str, extents: Mapping[str, int], kernels: Sequence[str]) -> Figures:
    """The figures of a program's kernels: from a file, of several measurements those for `extents`, or measured now."""
    from flowc.cli.bench import bench

    if file:
        return matching(read(file), kernels, file, extents)
    return matching([of_profile(bench(subject, {}, 20)[1])], kernels, subject.title)


def _first(level: str, after: str | None, graph: bool) -> str:
    """The name of the stage that a page shows at first."""
    if level in ("module", "kernel"):
        return pass_names()[-1] if level == "module" else "loops"
    if after not in (None, BEFORE):
        return after
    return "graph" if level == "graph" else "extract" if graph else "function"


def _at(options: argparse.Namespace, level: str) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "level": level, "after": None})


def _difference(drawn: Diagram, options: argparse.Namespace) -> str:
    """The page over a program and another one, as two stages: the second marks what it adds, changes and lacks."""
    second = _diagram(_one(options, options.diff), options, options.diff)
    title = f"{drawn.title} and {second.title}"
    return page([Stage(drawn.title, drawn), Stage(second.title, second)], title, second.title, options.theme, compared=True)
