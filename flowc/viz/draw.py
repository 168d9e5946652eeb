"""A diagram as a file: `.html` and `.dot` need nothing; `.svg`, `.png` and `.pdf` need Graphviz: its `dot` program, else pygraphviz.

    write(diagram(graph), "graph.svg")
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from flowc.errors import FlowcError
from flowc.viz.dot import dot_source
from flowc.viz.model import Diagram

TEXT = (".dot", ".gv")
PICTURES = (".svg", ".png", ".pdf")
PAGE = ".html"


class DrawingError(FlowcError, RuntimeError):
    """A picture that cannot be drawn here, or a file of a form that is not known."""


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of `path` in lower case; DrawingError for one that says nothing of how to draw."""
    suffix = Path(path).suffix.lower()
    known = (*TEXT, *PICTURES, PAGE)
    if suffix not in known:
        raise DrawingError(f"{path}: the file's name must end in one of {', '.join(known)}")
    return suffix


def can_draw() -> bool:
    """Whether pictures can be drawn here."""
    from importlib.util import find_spec

    return shutil.which("dot") is not None or find_spec("pygraphviz") is not None


def render(source: str, suffix: str) -> bytes:
    """DOT text as the bytes of a file with `suffix`. DrawingError where there is no Graphviz."""
    if suffix in TEXT:
        return source.encode()
    form = suffix.removeprefix(".")
    if shutil.which("dot") is not None:
        import graphviz

        try:
            return bytes(graphviz.Source(source).pipe(format=form, quiet=True))
        except (graphviz.CalledProcessError, OSError) as error:
            raise DrawingError(f"dot cannot draw {form}: {str(error).splitlines()[0]}") from None
    try:
        import pygraphviz
    except ImportError:
        message = f"a {suffix} needs Graphviz: install its `dot` program (apt install graphviz) or `pip install pygraphviz`; a .dot file needs neither"
        raise DrawingError(message) from None
    return _with_pygraphviz(pygraphviz, source, form)


def _with_pygraphviz(pygraphviz: Any, source: str, form: str) -> bytes:
    """Graphviz in this process. Its libraries' remarks on fonts are of no use to anybody and go nowhere."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        return bytes(pygraphviz.AGraph(string=source).draw(prog="dot", format=form))
    except (OSError, ValueError) as error:
        raise DrawingError(f"pygraphviz cannot draw {form}: {error}") from None
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def write(diagram: Diagram, path: str | os.PathLike[str]) -> Path:
    """Draw a diagram into the file `path`, in the form that its suffix names; the path.

    DrawingError where there is no Graphviz for a picture, OSError where the file cannot be written; then nothing is.
    """
    suffix = check_suffix(path)
    if suffix == PAGE:
        from flowc.viz.page import Stage, page

        return save(page([Stage("graph", diagram)], diagram.title).encode(), path)
    return save(render(dot_source(diagram), suffix), path)


def save(data: bytes, path: str | os.PathLike[str]) -> Path:
    """Write all of a file or nothing. OSError where it cannot be written."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=target.suffix, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError:
        os.unlink(temporary)
        raise
    return target


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
