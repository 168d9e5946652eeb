"""What the kernels of a page do and take: counted, measured now, or read from a file that `flowc bench` wrote."""

import json

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


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-o", "m.svg", "--profile"], "--profile shows times on the page of one program: -o FILE.html"),
        (["--profile"], "--profile shows times on the page of one program: -o FILE.html"),
        (["-o", "m.html", "--diff", "model.py", "--profile"], "--profile shows times on the page of one program"),
        (["-o", "m.html", "--profile", "data/"], "--profile data/: a .json file is expected that `flowc bench --json` wrote"),
        (["-o", "m.html", "--profile", "none.json"], "none.json: No such file"),
        (["-o", "m.html", "--profile", "odd.json"], "odd.json is no profile"),
        (["-o", "m.html", "--profile", "other.json"], "other.json was measured on another program: its kernels are k0_other, here they are k0_"),
    ],
)
def test_a_profile_that_cannot_be_shown_is_one_clear_line(model, capsys, argv, said):
    (model / "odd.json").write_text('{"programs": 3}')
    (model / "other.json").write_text(json.dumps({"programs": [{"kernels": [kernel_entry("k0_other")], "extents": {}}]}))
    assert main(["viz", "model.py", *argv]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not [*model.glob("m.*")]


def test_of_several_programs_the_one_with_the_same_kernels_counts(tmp_path):
    file = tmp_path / "k.json"
    programs = [{"kernels": [kernel_entry(name)], "extents": {"b": n}} for n, name in enumerate(("k0_a", "k0_b"))]
    file.write_text(json.dumps({"programs": programs}))
    assert matching(read(str(file)), ["k0_b"], "k.json").extents == {"b": 1}
    with pytest.raises(FiguresError, match="its kernels are none, here they are k0_a"):
        matching([Figures(())], ["k0_a"], "k.json")
