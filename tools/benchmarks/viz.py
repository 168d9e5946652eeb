"""How long drawing takes: `tools/bench.py viz` prints, for each graph, the seconds to a page and to a picture, beside the marks.

                                 nodes   page  (mark)   picture  (mark)   all drawn in  (mark)
    CNN with gradients             277   0.5 s  (1 s)     0.2 s   (3 s)          0.9 s   (3 s)

A page is drawn over every stage of the program, kernels and their source included; a picture is an SVG. Both begin with the graph that is
there and end with the file. The last row is the time until a browser shows the first view of the page, where there is a browser.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE, PICTURE, ALL, FIRST = "page", "picture", "all drawn in", "first view"


@dataclass
class Row:
    """What was measured of one graph: seconds, and the marks that they are to stay under."""

    title: str
    nodes: int
    marks: dict[str, float]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return all(self.seconds[name] <= self.marks[name] for name in self.seconds)


def cnn(tf: Any) -> tuple[Any, dict[Any, tuple[int, ...]]]:
    """The MNIST network: two convolutions, dropout, Adam. Its training operation, and the shapes of a run's feeds."""
    x, y = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.float32, [None, 10])
    keep = tf.placeholder(tf.float32)

    def weights(*shape: int) -> Any:
        return tf.Variable(tf.random_normal(shape, stddev=0.1))

    h = tf.reshape(x, [-1, 28, 28, 1])
    for inner, outer in ((1, 32), (32, 64)):
        h = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(h, weights(5, 5, inner, outer), [1, 1, 1, 1], "SAME"), weights(outer)))
        h = tf.nn.max_pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    h = tf.nn.relu(tf.add(tf.matmul(tf.reshape(h, [-1, 3136]), weights(3136, 1024)), weights(1024)))
    logits = tf.add(tf.matmul(tf.nn.dropout(h, keep), weights(1024, 10)), weights(10))
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y))
    tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1)), tf.float32))
    return tf.train.AdamOptimizer(0.001).minimize(loss), {x: (128, 784), y: (128, 10), keep: ()}


def layers(count: int) -> Callable[[Any], tuple[Any, dict[Any, tuple[int, ...]]]]:
    """A network of like layers with gradients and updates."""

    def build(tf: Any) -> tuple[Any, dict[Any, tuple[int, ...]]]:
        h = x = tf.placeholder(tf.float32, [None, 64], name="x")
        for number in range(1, count + 1):
            with tf.name_scope(f"Layer{number}"):
                W, b = tf.Variable(tf.random_normal([64, 64], stddev=0.1), name="W"), tf.Variable(tf.zeros([64]), name="b")
                h = tf.nn.relu(tf.matmul(h, W) + b)
        return tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(tf.square(h - x))), {x: (10, 64)}

    return build


def chain(count: int) -> Callable[[Any], tuple[Any, dict[Any, tuple[int, ...]]]]:
    """So many nodes in a hundred unlike scopes."""

    def build(tf: Any) -> tuple[Any, dict[Any, tuple[int, ...]]]:
        h = x = tf.placeholder(tf.float32, [None, 8], name="x")
        made = 1
        for scope in range(100):
            with tf.name_scope(f"Part_{scope}_{'ab'[scope % 2]}"):
                for step in range(count // 100 - (scope == 0)):
                    h = tf.tanh(h) if (step + scope) % 3 else tf.negative(h)
                    made += 1
        return h, {x: (10, 8)}

    return build


def measure(title: str, build: Callable[[Any], Any], marks: dict[str, float], rounds: int) -> Row:
    """Draw one graph in every way that has a mark; the median of the rounds counts."""
    import flowc as tf
    from flowc.cli.subject import GraphRun
    from flowc.viz import View, diagram
    from flowc.viz.draw import can_draw, encoded
    from flowc.viz.page import Stage, page
    from flowc.viz.stages import stages
    from flowc.viz.view import view

    tf.reset_default_graph()
    target, feeds = build(tf)
    graph = tf.get_default_graph()
    run = GraphRun(graph, title, [target.node], {x.node: shape for x, shape in feeds.items()})

    def whole_page() -> bytes:
        drawn = diagram(graph, title=title, types=run.types())
        return page(stages(run.function(), drawn), title).encode()

    ways: dict[str, Callable[[], bytes]] = {
        PAGE: whole_page,
        PICTURE: lambda: encoded(view(diagram(graph, title=title, types=run.types()), View()), ".svg"),
        ALL: lambda: encoded(view(diagram(graph, title=title, types=run.types()), View(all=True)), ".svg"),
        FIRST: lambda: page([Stage("graph", diagram(graph, title=title))], title).encode(),
    }
    row = Row(title, len(graph), marks)
    for name in marks:
        if name == FIRST:
            seconds = first_view(ways[FIRST](), rounds)
            if seconds is not None:
                row.seconds[name] = seconds
        elif name == PAGE or can_draw():
            row.seconds[name] = median(ways[name], rounds)
    return row


def median(draw: Callable[[], bytes], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        draw()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def first_view(text: bytes, rounds: int) -> float | None:
    """Seconds from opening a page until its first view is laid out and drawn; None where there is no browser."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        return None
    told = b"<script>document.documentElement.dataset.took = performance.now()</script></body>"
    taken = []
    with tempfile.TemporaryDirectory(prefix="flowc-bench-") as folder:
        file = Path(folder) / "page.html"
        file.write_bytes(text.replace(b"</body>", told))
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile", "--dump-dom", file.as_uri()]
        for _ in range(rounds):
            shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
            found = re.search(r'data-took="([\d.]+)"', shown)
            assert found is not None, "the page has not come to its end"
            taken.append(float(found.group(1)) / 1000)
    return statistics.median(taken)


GRAPHS: tuple[tuple[str, Callable[[Any], Any], dict[str, float]], ...] = (
    ("CNN with gradients", cnn, {PAGE: 1, PICTURE: 3, ALL: 3}),
    ("60 layers with gradients", layers(60), {PAGE: 5, PICTURE: 5, ALL: 5}),
    ("10 000 nodes", chain(10_000), {PICTURE: 5, FIRST: 2}),
)


def table(rows: Sequence[Row]) -> str:
    """The rows under their headings; `!` where a mark is missed, `-` where it could not be measured."""
    names = list(dict.fromkeys(name for row in rows for name in row.marks))
    width = max(len(row.title) for row in rows)
    lines = [f"{'':{width}}  {'nodes':>6}" + "".join(f"  {name + ' (mark)':>22}" for name in names)]
    for row in rows:
        cells = []
        for name in names:
            if name not in row.marks:
                cells.append("")
            elif name not in row.seconds:
                cells.append(f"- ({row.marks[name]:g} s)")
            else:
                missed = " !" if row.seconds[name] > row.marks[name] else ""
                cells.append(f"{row.seconds[name]:.2f} s ({row.marks[name]:g} s){missed}")
        lines.append(f"{row.title:{width}}  {row.nodes:>6}" + "".join(f"  {cell:>22}" for cell in cells))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 where every mark that could be measured holds, else 1."""
    parser = argparse.ArgumentParser(prog="bench.py viz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="drawings of each, whose median counts (3)")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error(f"--rounds is a whole number from 1, not {chosen.rounds}")
    rows = [measure(title, build, marks, chosen.rounds) for title, build, marks in GRAPHS]
    print(table(rows))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
