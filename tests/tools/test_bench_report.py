"""What tools/bench.py shows: tables, marks, growth, what is kept as JSON, and the pages that it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from benchmarks.catalogue import WORKLOADS
from benchmarks.marks import verdicts
from benchmarks.measure import First, Result
from benchmarks.pages import parts_markdown, programs_markdown, write, write_pages
from benchmarks.records import as_json, load, processor_name, versions_line
from benchmarks.report import exponent_text, ratio_text, tables
from benchmarks.words import duration, quartiles

HERE = {"date": "2026-01-01", "cpu": "a CPU", "cores": 2, "memory_gb": 24, "system": "Linux", "load_before": 0.1}


def finished() -> list[Result]:
    flowc = Result("flowc", "linear", step_s=[3.1e-6, 3.2e-6, 3.4e-6], cold=First(0.2, 0.8, 1.1), warm=First(0.2, 0.1, 0.4), peak_kb=81920)
    jax = Result("jax", "linear", [11e-6, 12e-6, 13e-6], [3.5, 3.8, 4.0], cold=First(0.3, 0.1, 0.6), peak_kb=204800)
    flowc.versions, jax.versions = {"numpy": "2.4.0", "flowc": "0.1"}, {"numpy": "2.3.0", "jax": "0.10"}
    wrong = Result("torch", "linear", [1e-6], [0.3], proof={"trace": [1]}, problem="wrong program: the answer after 3 steps is 1, the others have 2")
    return [flowc, jax, wrong]


def products() -> list[Result]:
    found = []
    for name, times in (("matmul/64", (10e-6, 12e-6, 9.5e-6)), ("matmul/128", (50e-6, 40e-6, 60e-6))):
        for contestant, seconds in zip(("flowc.compile", "numpy", "torch"), times, strict=True):
            found.append(Result(contestant, name, [seconds], [] if contestant == "flowc.compile" else [seconds / times[0]]))
    return found


def grown() -> list[Result]:
    found = []
    for depth in (10, 30, 100, 300, 1000):
        ours = Result("flowc", f"deep/{depth}", [depth * 1e-6], cold=First(0.1, depth * 0.01, 1), warm=First(0.1, 0.1, 0.5), peak_kb=90 * 1024)
        theirs = Result("jax", f"deep/{depth}", [depth**2 * 1e-6], [2.0], cold=First(0.1, depth**2 * 1e-4, 1), peak_kb=200 * 1024)
        theirs.problem = "worker ended during 'first'" if depth == 1000 else None
        found += [ours, theirs]
    return found


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.214e-6, "3.21 us"), (40.2e-3, "40.2 ms"), (999.6e-6, "1.00 ms"), (162.4e-6, "162 us"), (1.25, "1.25 s"), (9.996e-6, "10.0 us")],
)
def test_a_duration_has_three_digits_in_the_unit_that_reads_best(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_spread_is_the_middle_half_of_many_rounds_and_all_of_few() -> None:
    assert quartiles([1, 2, 3, 4, 5]) == (2, 4)
    assert quartiles([5, 1, 3]) == (1, 5)


def test_the_table_lines_up_and_shows_cold_and_warm() -> None:
    lines = tables(finished())[0].plain().splitlines()
    assert lines[0] == "linear regression step, lists through a session"
    assert len({len(line) for line in lines[1:4]}) == 1
    assert " ".join(lines[2].split()) == "flowc 3.20 us 3.10 us - 3.40 us 1 0.80 / 0.10 s 0.20 / 0.20 s 1.10 / 0.40 s 80 MB"
    assert "3.80x" in lines[3]


def test_reasons_and_marks_follow_the_table() -> None:
    assert tables(finished())[0].notes == [
        "PyTorch eager: wrong program: the answer after 3 steps is 1, the others have 2",
        "mark: 60x as fast as TensorFlow, graph mode: -, not measured",
        "mark: 4x as fast as JAX, jit: 3.80x, missed",
    ]


def test_the_baselines_ratio_is_one_and_a_missing_one_a_dash() -> None:
    assert ratio_text(finished()[0]) == "1"
    assert ratio_text(Result("jax", "linear", [1e-6])) == "-"


def test_a_ratio_far_below_one_keeps_its_digits() -> None:
    assert ratio_text(Result("jax", "linear", [1e-6], [0.0132])) == "0.013x"


def test_a_group_of_sizes_is_one_table_with_its_marks() -> None:
    (table,) = tables(products())
    assert [" ".join(cells) for cells in table.rows] == [
        "matmul flowc.compile NumPy PyTorch eager marks",
        "matmul 64 10.0 us 12.0 us (1.20x) 9.50 us (0.95x) met",
        "matmul 128 50.0 us 40.0 us (0.80x) 60.0 us (1.20x) missed",
    ]


def test_a_mark_of_a_programs_own_figure_is_a_least_value() -> None:
    result = Result("flowc.compile", "chain/1M", [1e-3], figures={"of_limit": 0.9})
    (verdict,) = verdicts(WORKLOADS["chain/1M"], {"flowc.compile": result})
    assert str(verdict) == "of_limit at least 0.87: 0.9, met"


def test_a_start_whose_first_step_does_without_the_compiler_says_when_that_is_done() -> None:
    ours = Result("flowc", "start/cnn", cold=First(0, 3, 0.5, 1.25), warm=First(0, 0, 0.2, 0.0001), peak_kb=1024)
    theirs = Result("jax", "start/cnn", cold=First(0, 3, 3.0), warm=First(0, 3, 2.0), peak_kb=2048)
    (table,) = tables([ours, theirs])
    assert "in brackets until all is compiled" in table.title
    assert table.rows[1][1:] == ["0.50 (1.75) / 0.20 s, 1 MB", "3.00 / 2.00 s, 2 MB"]


def test_growth_counts_compiling_that_the_first_step_did_without() -> None:
    results = grown()
    for result in results:
        if result.contestant == "flowc":
            result.cold = First(0.1, 0.1, 1, WORKLOADS[result.workload].size["depth"] * 0.01)
    first = tables(results)[0]
    assert first.rows[-2][1] == "10.10 / 0.10 s"


def test_marks_on_starts_and_memory() -> None:
    ours = Result("flowc", "start/cnn", cold=First(0, 3, 3.0), warm=First(0, 0, 0.5))
    jax = Result("jax", "start/cnn", cold=First(0, 3, 3.6), warm=First(0, 3, 3.5))
    found = verdicts(WORKLOADS["start/cnn"], {"flowc": ours, "jax": jax})
    assert [str(v) for v in found] == [
        "cold start 1x as fast as JAX, jit: 1.20x, met",
        "warm start to first step in at most 400 ms: 500 ms, missed",
    ]
    memory = verdicts(WORKLOADS["cnn"], {"flowc": Result("flowc", "cnn", [1], peak_kb=10), "tensorflow": Result("tensorflow", "cnn", [1], [2.3], peak_kb=30)})
    assert [v.met for v in memory] == [True, True]


def test_growth_is_told_by_its_power_over_the_larger_sizes() -> None:
    first, step, memory = tables(grown())
    assert first.rows[0] == ["building, compiling and the first step, by depth", "flowc", "JAX, jit"]
    assert first.rows[-1] == ["grows with the power", "1.00", "2.00"]
    assert step.rows[-1] == ["grows with the power", "1.00", "2.00"]
    assert [row[2] for row in memory.rows[1:]] == ["200 MB"] * 4 + ["-", "0.00"]
    assert step.notes == ["deep/1000, JAX, jit: worker ended during 'first'"]


def test_two_sizes_have_no_power() -> None:
    assert exponent_text([(1, 1), (10, 10)]) == "-"


def test_the_programs_table_has_a_column_for_each_contestant_with_a_number() -> None:
    lines = programs_markdown(finished(), HERE).splitlines()
    assert lines[0] == "| median time (times flowc's) | flowc | JAX, jit |"
    assert lines[2] == "| linear regression step, lists through a session | 3.20 us | 12.0 us (3.80x) |"
    assert lines[-1].startswith("Measured 2026-01-01, a CPU, 2 cores, 24 GB")


def test_the_page_of_parts_leaves_marks_out() -> None:
    text = parts_markdown([*products(), *grown()], HERE)
    assert "| matmul | flowc.compile | NumPy | PyTorch eager |\n" in text and "missed" not in text
    assert text.index("## Matrix products") < text.index("## Growth")


def test_pages_are_written_between_their_marks_and_only_where_something_belongs(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/benchmarks.md"):
        (tmp_path / name).write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    assert write_pages(tmp_path, products(), HERE) == [tmp_path / "docs/benchmarks.md"]
    text = (tmp_path / "docs/benchmarks.md").read_text()
    assert text.startswith("before\n<!-- bench -->\n## Matrix products\n") and text.endswith(".\n<!-- /bench -->\nafter\n")
    assert "old" in (tmp_path / "README.md").read_text()


def test_a_page_without_a_place_for_the_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing\n")
    with pytest.raises(ValueError, match=r"page\.md has no place for the tables: <!-- bench --> and"):
        write(tmp_path / "page.md", "text")


def test_the_repositorys_pages_have_a_place_for_the_tables() -> None:
    for name in ("README.md", "docs/benchmarks.md"):
        text = (ROOT / name).read_text()
        assert text.index("<!-- bench -->") < text.index("<!-- /bench -->")


def test_two_environments_with_two_numpys_are_both_named() -> None:
    assert versions_line(finished()) == "flowc 0.1, jax 0.10, numpy 2.4.0 and 2.3.0"


def test_a_processor_is_told_with_its_widest_vectors(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast 9000\nflags\t\t: fpu avx avx2 fma\n")
    assert processor_name(tmp_path / "cpuinfo") == "Fast 9000 (AVX2)"


def test_json_keeps_every_round_and_is_read_back(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(as_json(finished(), HERE, {"rounds": 3}))
    rows = json.loads(kept.read_text())["results"]
    assert rows[1]["step_s"] == [11e-6, 12e-6, 13e-6] and rows[1]["ratio"] == 3.8 and rows[2]["median_s"] is None
    results, found = load([kept])
    assert results == finished() and found == HERE


def test_of_a_workload_in_two_files_the_later_ones_results_are_taken(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(as_json([*finished(), *products()], HERE, {}))
    (tmp_path / "two.json").write_text(as_json([Result("flowc", "linear", [9e-6])], {**HERE, "date": "2026-02-02"}, {}))
    results, found = load([tmp_path / "one.json", tmp_path / "two.json"])
    assert [r.median_s for r in results if r.workload == "linear"] == [9e-6]
    assert sum(r.workload == "matmul/64" for r in results) == 3 and found["date"] == "2026-02-02"


def test_results_of_two_machines_do_not_mix(tmp_path: Path) -> None:
    for name, cpu in (("one", "a CPU"), ("two", "another CPU")):
        (tmp_path / f"{name}.json").write_text(as_json(finished(), {**HERE, "cpu": cpu}, {}))
    with pytest.raises(ValueError, match=r"two\.json was measured on another machine"):
        load([tmp_path / "one.json", tmp_path / "two.json"])


@pytest.mark.parametrize("content", ["", "{}", '{"machine": {}, "results": 3}', None])
def test_a_file_without_results_is_one_clear_line_and_nothing_is_written(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "kept.json").write_text(content)
    before = (ROOT / "README.md").read_text()
    command = [sys.executable, str(ROOT / "tools" / "bench.py"), "--from", str(tmp_path / "kept.json"), "--markdown"]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 2 and not run.stdout
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"bench.py: {tmp_path}/kept.json holds no results of bench.py --json: ")
    assert (ROOT / "README.md").read_text() == before
