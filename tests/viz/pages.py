"""Pages to look at, and what their data elements hold, boxes and links of each stage spelled out."""

import json
import re

from flowc.cli.subject import GraphRun
from flowc.viz.model import diagram
from flowc.viz.page import Stage, page
from flowc.viz.stages import stages
from tests.viz.graphs import regression

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
