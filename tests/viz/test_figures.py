"""What the kernels of a page do and take: counted, measured now, or read from a file that `flowc bench` or the program itself wrote."""

import json
import runpy

import pytest

from flowc import config
from flowc.cli import main
from flowc.viz.figures import Figures, FiguresError, matching, read
from tests.viz.pages import data_of
from tests.viz.test_page import SCRIPT

RUN = SCRIPT + """
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train, {x: [[1.0, 2.0, 3.0]] * 5})
"""

SEVERAL = SCRIPT + """
import sys
import flowc
few, many, m = [[1.0, 2.0, 3.0]] * 5, [[1.0, 2.0, 3.0]] * 50, tf.RunMetadata()
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train, {x: few if "few" in sys.argv else many})  # what a page shows
    with flowc.profile() as p:
        for rows in (many, few):
            sess.run(loss, {x: rows})
            sess.run(train, {x: rows})
    p.save("profile.json")
    sess.run(train, {x: many}, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=m)
    m.save("step.json")
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(RUN)
    with config.override(backend="cpu"):
        yield tmp_path


def kernels_of(file):
    data = data_of(file.read_text())
    return data["kernels"]["kernels"], data["extents"]


def kernel_entry(name):
    numbers = dict.fromkeys(("flops", "read", "written", "seconds", "share", "gbs", "gflops", "of_limit", "threads"), 1)
    return {"name": name, "bound": "memory", **numbers}


def test_without_a_profile_work_is_counted_for_the_sizes_that_were_fed(model):
    assert main(["viz", "model.py", "-o", "m.html"]) == 0
    kernels, extents = kernels_of(model / "m.html")
    assert list(extents.values()) == [5]
    assert all(set(k) == {"name", "flops", "read", "written"} for k in kernels)


@pytest.mark.slow
def test_profile_measures_every_kernel(model):
    assert main(["viz", "model.py", "--profile", "-o", "m.html"]) == 0
    kernels, extents = kernels_of(model / "m.html")
    assert list(extents.values()) == [5]
    assert all(k["seconds"] > 0 for k in kernels)
    assert sum(k["share"] for k in kernels) == pytest.approx(1, abs=0.01)


def test_profile_takes_what_bench_wrote(model):
    assert main(["bench", "model.py", "--runs", "2", "--json", "k.json"]) == 0
    assert main(["viz", "model.py", "-o", "m.html", "--profile", "k.json"]) == 0
    kernels, _ = kernels_of(model / "m.html")
    wrote = json.loads((model / "k.json").read_text())["programs"][0]["kernels"]
    assert [k["seconds"] for k in kernels] == pytest.approx([k["seconds"] for k in wrote], rel=1e-3)


@pytest.mark.parametrize(("file", "argument", "size"), [("step.json", "", 50), ("profile.json", "", 50), ("profile.json", "few", 5)])
def test_profile_takes_what_the_program_itself_saved_of_several_runs(model, file, argument, size):
    (model / "model.py").write_text(SEVERAL)
    runpy.run_path("model.py", run_name="__main__")
    assert main(["viz", "model.py", argument, "-o", "m.html", "--profile", file]) == 0
    kernels, extents = kernels_of(model / "m.html")
    programs = json.loads((model / file).read_text())["programs"]
    (wrote,) = (p for p in programs if p["title"] == "run of GradientDescent" and list(p["extents"].values()) == [size])
    assert extents == wrote["extents"]
    assert [k["seconds"] for k in kernels] == pytest.approx([k["seconds"] for k in wrote["kernels"]], rel=1e-3)


def test_a_profile_of_another_run_names_the_runs_that_it_has(model, capsys):
    (model / "model.py").write_text(SEVERAL)
    runpy.run_path("model.py", run_name="__main__")
    assert main(["viz", "model.py:loss", "-o", "m.html", "--profile", "step.json"]) == 2
    err = capsys.readouterr().err
    assert "step.json was measured on another program: it has run of GradientDescent (k0_" in err and "), here the kernels are k0_" in err
    assert main(["viz", "model.py:loss", "-o", "m.html", "--profile", "profile.json"]) == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-o", "m.svg", "--profile"], "--profile shows times on the page of one program: -o FILE.html"),
        (["--profile"], "--profile shows times on the page of one program: -o FILE.html"),
        (["-o", "m.html", "--diff", "model.py", "--profile"], "--profile shows times on the page of one program"),
        (["-o", "m.html", "--profile", "data/"], "--profile data/: a .json file is expected; the script's arguments come before it"),
        (["-o", "m.html", "--profile", "none.json"], "none.json: No such file"),
        (["-o", "m.html", "--profile", "odd.json"], "`flowc bench MODEL.py --json FILE`, `tf.RunMetadata.save` or `flowc.profile().save` wrote"),
        (["-o", "m.html", "--profile", "other.json"], "other.json was measured on another program: it has run of other (k0_other), here the kernels are k0_"),
        (["-o", "m.html", "--profile", "none_ran.json"], "none_ran.json has no kernels: nothing compiled was run"),
    ],
)
def test_a_profile_that_cannot_be_shown_is_one_clear_line(model, capsys, argv, said):
    (model / "odd.json").write_text('{"programs": 3}')
    (model / "other.json").write_text(json.dumps({"programs": [{"title": "run of other", "kernels": [kernel_entry("k0_other")], "extents": {}}]}))
    (model / "none_ran.json").write_text('{"programs": []}')
    assert main(["viz", "model.py", *argv]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not [*model.glob("m.*")]


def test_of_several_programs_the_one_with_the_same_kernels_counts(tmp_path):
    file = tmp_path / "k.json"
    programs = [{"title": name, "kernels": [kernel_entry(name)], "extents": {"b": n}} for n, name in enumerate(("k0_a", "k0_b", "k0_b"))]
    file.write_text(json.dumps({"programs": programs}))
    assert matching(read(str(file)), ["k0_b"], "k.json").extents == {"b": 1}
    assert matching(read(str(file)), ["k0_b"], "k.json", {"b": 2, "c": 1}).extents == {"b": 2}
    with pytest.raises(FiguresError, match=r"k.json has no kernels"):
        matching([Figures(())], ["k0_a"], "k.json")
