"""Pages to look at, and what their data elements hold, boxes and links of each stage spelled out."""

import functools
import json
import re

import flowc as tf
from flowc.cli.subject import GraphRun
from flowc.viz.figures import Figures
from flowc.viz.model import Box, Diagram, Kind, Link, LinkKind, diagram
from flowc.viz.page import Stage, page
from flowc.viz.stages import stages
from tests.viz.graphs import noisy, regression

BOX = ("id", "scope", "kind", "lines", "where", "result", "keys", "nodes")


def elements(text):
    """The data elements by name."""
    return {name: json.loads(data) for name, data in re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', text, re.DOTALL)}


def data_of(text):
    """The head with its stages, each with `boxes` as dicts, `links` by number, `scopes`, `change`; `kernels` and `texts` beside them."""
    found = elements(text)
    head, pool, stages = found["data"], [], []
    for number, told in enumerate(head["stages"]):
        raw = found[f"stage-{number}"]
        if "as" in raw:
            stages.append({**stages[raw["as"]], **told, **raw})
            continue
        pool += raw["new"]
        boxes = [{**dict(zip(BOX, pool[n], strict=True)), "kind": head["kinds"][pool[n][2]]} for n in raw["boxes"]]
        for gradient, forward in raw["pairs"]:
            boxes[gradient]["partner"] = forward
        links = [(s, t, kind, raw["labels"][label]) for s, t, kind, label in raw["links"]]
        stages.append({**told, **raw, "boxes": boxes, "links": links, "told": told["change"]})
    return {**head, "stages": stages, "kernels": found["kernels"], "texts": found["texts"]}


def marked(stage, before, what):
    """The names of a stage's boxes that are `added`, `rewritten`, or of the stage before `gone`; pairs of names for `merged`."""
    change = stage["change"]
    if what == "merged":
        return {before["boxes"][int(a)]["id"]: stage["boxes"][b]["id"] for a, b in change["merged"].items()}
    return {(before if what == "gone" else stage)["boxes"][i]["id"] for i in change[what]}


def regression_page():
    graph, _ = regression()
    return page([Stage("graph", diagram(graph))], "regression")


def compiled_stages(batch=8, measured=None):
    """The stages of a training step of the regression."""
    graph, made = regression()
    run = GraphRun(graph, "train", [made["train"].node], {made["x"].node: (batch, 3), graph.by_name["Loss/target"]: (batch, 1)})
    f = run.function()
    return stages(f, diagram(graph), extents=run.extents(f), measured=measured)


def measured(kernels):
    """Times that grow from kernel to kernel."""
    names = enumerate(kernels, 1)
    numbers = {"flops": 2000, "read": 400, "written": 80, "gbs": 1.5, "gflops": 2.5, "of_limit": 0.25, "threads": 1, "bound": "memory"}
    total = len(kernels) * (len(kernels) + 1) / 2
    return Figures(tuple({"name": k, "seconds": n * 1e-3, "share": n / total, **numbers} for n, k in names), {"b": 8})


@functools.cache
def compiled_page(with_times=False):
    return page(compiled_stages(measured=measured if with_times else None), "model.py")


@functools.cache
def graph_page():
    return regression_page()


def stage_number(text, name):
    return next(i for i, s in enumerate(data_of(text)["stages"]) if name in s["name"].split(", "))


def kernel_named(text, part):
    return next(k["name"] for k in data_of(text)["kernels"]["kernels"] if part in k["name"])


def layers(count):
    """A page with a series of like scopes, with a gradient and its optimizer."""
    tf.reset_default_graph()
    h = tf.placeholder(tf.float32, [None, 4], name="x")
    for i in range(count):
        with tf.name_scope(f"Layer{i + 1}"):
            h = tf.nn.relu(tf.matmul(h, tf.Variable(tf.zeros([4, 4]), name="W")))
    tf.train.AdamOptimizer(0.1).minimize(tf.reduce_mean(h, name="loss"))
    return page([Stage("graph", diagram(tf.get_default_graph()))])


def chain(count):
    drawn = Diagram("many")
    for i in range(count):
        drawn.add_box(Box(f"n{i}", Kind.OP, "", (f"n{i}", "tanh")))
        if i:
            drawn.add_link(f"n{i - 1}", f"n{i}", Link(LinkKind.DATA, "f32[b]"))
    return page([Stage("graph", drawn)])


def full_page():
    graph, _ = regression()
    return page([Stage("graph", diagram(graph, full=True))])


def noisy_page():
    graph, _ = noisy()
    return page([Stage("graph", diagram(graph))])


def two_programs():
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [4], name="x")
    tf.add(tf.tanh(x, name="old"), 1.0, name="y")
    first = diagram(tf.get_default_graph())
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [4], name="x")
    tf.subtract(tf.exp(x, name="new"), 1.0, name="y")
    return page([Stage("a.py", first), Stage("b.py", diagram(tf.get_default_graph()))], first="b.py", compared=True)
