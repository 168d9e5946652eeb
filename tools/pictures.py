"""The pictures of examples/README.md: each example's graph as flowc draws it, and what the examples find, as matplotlib draws it.

    python tools/pictures.py                        # all of them, into examples/pictures/; needs flowc[plot] and Graphviz
    python tools/pictures.py two_layer_network      # those of one example

A graph's picture ends with the digest of the DOT text that it was drawn from: that text is flowc's own and the same everywhere, how Graphviz
lays it out is not. A plot's description holds figures of what was drawn, for the same reason. Tests compare both with what the examples give now.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import runpy
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "pictures"
GRAPHS = (
    "linear_regression", "linear_regression_scoped", "linear_regressor", "two_layer_network", "digits_softmax", "digits_cnn", "digits_tensorboard",
)  # fmt: skip
Values = dict[str, Any]

# graphs


def graph_file(example: str) -> Path:
    return FOLDER / f"{example}.svg"


def drawn(example: str, suffix: str) -> str:
    """What `flowc viz` draws of an example, as the text of a file."""
    from flowc.cli import main

    with tempfile.TemporaryDirectory() as folder, _at(ROOT), contextlib.redirect_stdout(io.StringIO()):
        file = Path(folder) / f"graph{suffix}"
        if main(["viz", f"examples/{example}.py", "-o", str(file)]) != 0:
            raise SystemExit(f"examples/{example}.py cannot be drawn")
        return file.read_text(encoding="utf-8")


def mark(example: str) -> str:
    """The line that a graph's picture ends with."""
    return f"<!-- drawn from DOT text {hashlib.sha256(drawn(example, '.dot').encode()).hexdigest()} -->\n"


def graph(example: str) -> None:
    graph_file(example).write_text(drawn(example, ".svg").rstrip() + "\n" + mark(example), encoding="utf-8")


# plots: from the values that an example ends with to what is drawn, and to the drawing


def ran(example: str) -> Values:
    """The names that an example's program ends with."""
    from flowc.frontend import scope

    arguments = sys.argv
    scope.sessions.clear()
    scope.reset_default_graph()
    with contextlib.redirect_stdout(io.StringIO()):
        sys.argv = [f"{example}.py"]
        try:
            return runpy.run_path(str(ROOT / "examples" / f"{example}.py"))
        finally:
            sys.argv = arguments
            scope.sessions.clear()
            scope.reset_default_graph()


def line(figure: Any, values: Values) -> None:
    """The points with the fitted line, and the loss."""
    left, right = figure.subplots(1, 2)
    ends = np.array([0.5, 4.5])
    left.plot(ends, values["slope"][0] * ends + values["offset"][0], color=LINE, label=f"{values['slope'][0]:.2f} x + {values['offset'][0]:.2f}")
    left.plot(values["xs"], values["ys"], "o", color=POINT, label="data")
    left.set(title="the fitted line", xlabel="x", ylabel="y")
    left.legend()
    curve(right, values["losses"], "step")


def surface(figure: Any, values: Values) -> None:
    """The function, what the network makes of it, and the loss."""
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1.25, 1))
    for axes, heights, title in ((first, values["true"], "sin(π/2 x₁) cos(π/4 x₂)"), (second, values["surface"], "the network")):
        image = axes.imshow(heights, extent=(-2, 2, -2, 2), origin="lower", cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set(title=title, xlabel="x₁", ylabel="x₂", xticks=range(-2, 3), yticks=range(-2, 3))
    figure.colorbar(image, ax=second, shrink=0.7)
    curve(third, values["losses"], "step", 50)


def columns(figure: Any, values: Values) -> None:
    """What each of the ten classes looks for, and the loss."""
    pictures(figure, values["columns"], 2, [str(digit) for digit in range(10)], "the columns of W", values["losses"])


def filters(figure: Any, values: Values) -> None:
    """The filters of the first convolution, and the loss."""
    kernels = values["filters"][:, :, 0, :].transpose(2, 0, 1)
    pictures(figure, kernels, 2, None, "filters of the first convolution", values["losses"])


PLOTS: dict[str, tuple[Callable[[Any, Values], None], tuple[str, ...], tuple[float, float]]] = {
    "linear_regression": (line, ("slope", "offset", "losses"), (8, 3.2)),
    "two_layer_network": (surface, ("surface", "losses"), (11, 3.2)),
    "digits_softmax": (columns, ("columns", "losses"), (9, 3.2)),
    "digits_cnn": (filters, ("filters", "losses"), (9, 3.2)),
}
"""For each example: how to draw, which values tell what is drawn, the size in inches."""
LINE, POINT = "#1565c0", "#ef6c00"
STYLE = {"svg.hashsalt": "flowc", "font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False}


def curve(axes: Any, losses: list[Any], unit: str, every: int = 1) -> None:
    """The loss over the steps, on a logarithmic scale."""
    axes.plot(every * np.arange(1, len(losses) + 1), losses, color=LINE, linewidth=1)
    axes.set(title="loss", xlabel=unit, yscale="log")
    axes.grid(alpha=0.3)


def pictures(figure: Any, images: np.ndarray, rows: int, titles: list[str] | None, title: str, losses: list[Any]) -> None:
    """Images in rows on the left, red where positive and blue where negative, and the loss on the right."""
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1))
    left.suptitle(title, fontsize=10)
    largest = float(np.abs(images).max())
    for number, (axes, image) in enumerate(zip(left.subplots(rows, -(-len(images) // rows)).flat, images, strict=True)):
        axes.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="#90a4ae")
        if titles is not None:
            axes.set_title(titles[number], fontsize=8, pad=2)
    curve(right.subplots(), losses, "step")


def plot_file(example: str) -> Path:
    return FOLDER / f"{example}_plot.svg"


def told(example: str, values: Values) -> dict[str, list[float]]:
    """Some hundred figures of what a plot shows."""
    found = {}
    for name in PLOTS[example][1]:
        flat = np.asarray(values[name], np.float64).reshape(-1)
        found[name] = [round(float(value), 4) for value in flat[np.linspace(0, flat.size - 1, min(flat.size, 100)).astype(int)]]
    return found


def description(svg: str) -> dict[str, list[float]]:
    """The figures that a plot was drawn from."""
    text = re.search(r"<dc:description>(.*?)</dc:description>", svg, re.DOTALL)
    assert text is not None, "a plot has a description"
    return json.loads(text[1].replace("&quot;", '"'))  # type: ignore[no-any-return]


def plotted(example: str, values: Values) -> str:
    """A plot as SVG, without a date."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    draw, _, size = PLOTS[example]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, values)
        text = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Description": json.dumps(told(example, values))})
    return re.sub(r"[ \t]+\n", "\n", text.getvalue().decode())


# the command


@contextlib.contextmanager
def _at(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE", help=f"whose pictures to draw, by default all: {', '.join(GRAPHS)}")
    chosen = parser.parse_args().examples or GRAPHS
    for example in chosen:
        if example not in GRAPHS:
            parser.error(f"there is no example {example}; there are {', '.join(GRAPHS)}")
    FOLDER.mkdir(exist_ok=True)
    for example in chosen:
        graph(example)
        print(graph_file(example))
        if example in PLOTS:
            plot_file(example).write_text(plotted(example, ran(example)), encoding="utf-8")
            print(plot_file(example))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
