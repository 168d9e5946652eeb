"""`tools/bench.py viz`: what it measures and how it tells it."""

import subprocess
import sys

import pytest

from benchmarks import viz
from flowc.viz.draw import can_draw


def rows():
    fast = viz.Row("small", 12, {"page": 1, "picture": 3}, {"page": 0.5, "picture": 0.25})
    slow = viz.Row("a larger one", 10_000, {"picture": 1, "first view": 2}, {"picture": 1.5})
    return fast, slow


def test_a_table_tells_nodes_seconds_and_marks_and_which_are_missed():
    text = viz.table(rows()).splitlines()
    assert [column in text[0] for column in ("nodes", "page (mark)", "picture (mark)", "first view (mark)")] == [True] * 4
    assert text[1].split() == ["small", "12", "0.50", "s", "(1", "s)", "0.25", "s", "(3", "s)"]
    assert text[2].split() == ["a", "larger", "one", "10000", "1.50", "s", "(1", "s)", "!", "-", "(2", "s)"]


def test_a_row_holds_where_every_mark_that_was_measured_does():
    assert [row.holds for row in rows()] == [True, False]


@pytest.mark.parametrize("build", [viz.layers(3), viz.chain(200)])
def test_a_graph_is_drawn_in_every_way_that_has_a_mark(build):
    row = viz.measure("small", build, {viz.PAGE: 100, **({viz.PICTURE: 100, viz.ALL: 100} if can_draw() else {})}, 1)
    assert row.nodes > 20 and set(row.seconds) == set(row.marks) and all(seconds > 0 for seconds in row.seconds.values())


def test_a_chain_has_as_many_nodes_as_were_asked_for():
    assert viz.measure("chain", viz.chain(1000), {}, 1).nodes == 1000


@pytest.mark.parametrize(("missed", "code"), [(False, 0), (True, 1)])
def test_the_exit_code_says_whether_the_marks_hold(monkeypatch, capsys, missed, code):
    monkeypatch.setattr(viz, "measure", lambda title, build, marks, rounds: rows()[missed])
    assert viz.main([]) == code and "nodes" in capsys.readouterr().out


def test_rounds_that_are_no_count_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        viz.main(["--rounds", "0"])
    assert "--rounds is a whole number from 1, not 0" in capsys.readouterr().err


def test_bench_hands_its_word_viz_on():
    done = subprocess.run([sys.executable, "tools/bench.py", "viz", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: bench.py viz")


@pytest.mark.slow
def test_a_browser_shows_the_first_view_of_a_page():
    if viz.first_view(b"<body></body>", 1) is None:
        pytest.skip("no browser is installed")
    row = viz.measure("chain", viz.chain(1000), {viz.FIRST: 100}, 1)
    assert 0 < row.seconds[viz.FIRST] < 100
