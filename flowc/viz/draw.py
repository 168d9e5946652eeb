"""A diagram as a file: `.svg`, `.png` and `.pdf` need Graphviz, its `dot` program or else pygraphviz; the other forms need nothing.

    write(diagram(graph), "graph.svg", View(depth=1), theme="dark")

Graphviz takes the font that is shipped with flowc, so a picture is the same on every machine and can be read on one without fonts.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from html import escape
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from flowc.errors import FlowcError
from flowc.viz.dot import dot_source
from flowc.viz.model import Diagram
from flowc.viz.text import json_text, tree_text
from flowc.viz.view import View, view

DOT = (".dot", ".gv")
PICTURES = (".svg", ".png", ".pdf")
TEXTS = (".json", ".txt")
PAGE = ".html"
SUFFIXES = (PAGE, *PICTURES, *DOT, *TEXTS)
RESOLUTION = 120  # dots per inch of a PNG: text of 11 points is then 18 dots high
_STYLE = """<style>
.flowc a { text-decoration: none; }
.flowc :is(.node, .cluster):target > g > a > :is(path, polygon, ellipse) { stroke-width: 3px; }
.flowc .scopes { paint-order: stroke; stroke-width: 3px; stroke-linejoin: round; pointer-events: none; }
.flowc .node a:hover > :is(path, polygon, ellipse), .flowc .edge:hover path { stroke-width: 2.5px; }
</style>
"""
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}</dir>
  <cachedir>{folder}/cache</cachedir>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
</fontconfig>
"""  # what the machine has comes after ours, for characters that ours lacks
_lock = threading.Lock()  # Graphviz in this process serves one at a time


class DrawingError(FlowcError, RuntimeError):
    """A picture that cannot be drawn here, or a file of a form that is not known."""


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The form that a file's name asks for, a page where it has no suffix; DrawingError for one that says nothing of how to draw."""
    suffix = Path(path).suffix.lower() or PAGE
    if suffix not in SUFFIXES:
        raise DrawingError(f"{path}: the file's name must end in one of {', '.join(SUFFIXES)}")
    return suffix


def can_draw() -> bool:
    """Whether pictures can be drawn here."""
    return shutil.which("dot") is not None or find_spec("pygraphviz") is not None


def check_drawing(suffix: str) -> None:
    """DrawingError where a form needs Graphviz and there is none."""
    if suffix in PICTURES and not can_draw():
        raise DrawingError(
            f"a {suffix} needs Graphviz: install its `dot` program (apt install graphviz) or `pip install pygraphviz`; the other forms need neither"
        )


def render(source: str, suffix: str) -> bytes:
    """DOT text as the bytes of a picture. DrawingError where there is no Graphviz."""
    check_drawing(suffix)
    form = suffix.removeprefix(".")
    with _lock, _our_font():
        if shutil.which("dot") is not None:
            drawn = _with_dot(source, form)
        else:
            drawn = _with_pygraphviz(source, form)
    return _finished(drawn) if suffix == ".svg" else _undated(drawn) if suffix == ".pdf" else drawn


def _with_dot(source: str, form: str) -> bytes:
    import graphviz

    try:
        return bytes(graphviz.Source(source).pipe(format=form, quiet=True))
    except (graphviz.CalledProcessError, OSError) as error:
        raise DrawingError(f"dot cannot draw {form}: {str(error).splitlines()[0]}") from None


def _with_pygraphviz(source: str, form: str) -> bytes:
    """Graphviz in this process. Its libraries' remarks on fonts are of no use to anybody and go nowhere."""
    import pygraphviz

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


@contextmanager
def _our_font() -> Iterator[None]:
    """While Graphviz starts, its library of fonts, fontconfig, finds ours first."""
    before = os.environ.get("FONTCONFIG_FILE")
    os.environ["FONTCONFIG_FILE"] = str(Path(_fonts().name) / "fonts.conf")
    try:
        yield
    finally:
        if before is None:
            del os.environ["FONTCONFIG_FILE"]
        else:
            os.environ["FONTCONFIG_FILE"] = before


@cache
def _fonts() -> tempfile.TemporaryDirectory[str]:
    """A folder with our font and a configuration that names it, kept as long as this process. Older fontconfigs write into folders of
    fonts, and know no path that is relative to the configuration: therefore a copy, and not the package's own folder."""
    folder = tempfile.TemporaryDirectory(prefix="flowc-fonts-")
    (Path(folder.name) / "DejaVuSans.ttf").write_bytes((resources.files("flowc.viz") / "fonts" / "DejaVuSans.ttf").read_bytes())
    (Path(folder.name) / "fonts.conf").write_text(_FONTS.format(folder=escape(folder.name)), encoding="utf-8")
    return folder


def _finished(svg: bytes) -> bytes:
    """Graphviz's SVG without the address of a document type that nobody needs, with what marks the box that an address names.

    Ids are those of boxes and scopes alone: what Graphviz calls its links, lines and groups without a name (`a_v_1`, `edge1`) may be a box's id.
    """
    text = re.sub(r"<!DOCTYPE[^>]*>\s*", "", svg.decode(), count=1).replace("<svg ", '<svg class="flowc" ', 1)
    text = re.sub(r'<g id="[^"]*"(?= class="(?:graph|edge)"|><a )|<g id="clust\d+"(?= class="cluster")', "<g", text)
    start = text.index(">", text.index("<svg")) + 1
    return _titles_on_top(text[:start] + "\n" + _STYLE.rstrip() + text[start:]).encode()


def _titles_on_top(text: str) -> str:
    """Scopes' names above the lines that run through them, with an edge of the paper's colour around each letter."""
    names: list[str] = []

    def without(scope: re.Match[str]) -> str:
        names.extend(re.findall(r"<text .*?</text>\n", scope[0]))
        return re.sub(r"<text .*?</text>\n", "", scope[0])

    text = re.sub(r'<g[^>]* class="cluster">.*?</a>', without, text, flags=re.DOTALL)
    paper = re.search(r'<polygon fill="([^"]*)"', text)
    if not names or paper is None:
        return text
    end = text.rindex("</g>")
    return text[:end] + f'<g class="scopes" stroke="{paper[1]}">\n{"".join(names)}</g>\n' + text[end:]


def _undated(pdf: bytes) -> bytes:
    """A PDF that is the same whenever it is drawn: its date takes as much place as before, so what the file says of places still holds."""
    zone = bytes.maketrans(b"-123456789", b"+000000000")
    return re.sub(rb"(Date \(D:)\d{14}([^)]*)", lambda m: m[1] + b"19700101000000" + m[2].translate(zone), pdf)


def encoded(part: Diagram, suffix: str, theme: str = "") -> bytes:
    """A diagram, just as it is, in any form but the page's; theme: `light` or `dark`. DrawingError where there is no Graphviz for a picture."""
    if suffix in TEXTS:
        return (json_text(part) if suffix == ".json" else tree_text(part)).encode()
    source = dot_source(part, theme or "light")
    if suffix == ".png":
        source = source.replace("\tgraph [", f"\tgraph [dpi={RESOLUTION} ", 1)
    return source.encode() if suffix in DOT else render(source, suffix)


def write(diagram: Diagram, path: str | os.PathLike[str], how: View | None = None, theme: str = "") -> Path:
    """Draw a diagram into the file `path`, in the form that its suffix names; the path.

    how: what part of it; a page takes in the whole, as it opens and closes scopes itself. theme: `light` or `dark`.
    DrawingError where there is no Graphviz for a picture, OSError where the file cannot be written; then nothing is.
    """
    suffix, how = check_suffix(path), how or View()
    if suffix == PAGE:
        from flowc.viz.page import Stage, page

        return save(page([Stage("graph", diagram)], diagram.title, theme=theme).encode(), path)
    return save(encoded(view(diagram, how.unlimited() if suffix in TEXTS else how), suffix, theme), path)


def save(data: bytes, path: str | os.PathLike[str]) -> Path:
    """Write all of a file or nothing; what is no plain file (/dev/stdout) is written to as it is. OSError where it cannot be written."""
    target = Path(path)
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return target
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
