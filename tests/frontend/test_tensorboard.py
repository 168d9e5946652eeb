"""What TensorBoard itself reads of flowc's event files: its EventAccumulator, and its server asked over HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest

import flowc as tf
from tests.frontend.tfevents import decode_png

pytest.importorskip("tensorboard")

STEPS = 5


@pytest.fixture
def folder(tmp_path):
    """The logs of a small training: loss, images, weights, text, graph and a run's times."""
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    with tf.variable_scope("Model"):
        w = tf.Variable(tf.ones([4, 3]), name="w")
        y = tf.matmul(x, w, name="y")
    with tf.name_scope("cost"):
        loss = tf.reduce_mean(tf.square(y), name="loss")
    tf.summary.scalar("objective", loss)
    tf.summary.image("columns", tf.reshape(tf.transpose(w), [3, 2, 2, 1]))
    tf.summary.image("one", tf.reshape(w, [1, 4, 3, 1]), max_outputs=1)
    tf.summary.histogram("weights", w)
    tf.summary.text("note", ["first *words*", "second"])
    merged = tf.summary.merge_all()
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    kernel = SimpleNamespace(node_name="Model/y", all_start_micros=100, op_end_rel_micros=7, all_end_rel_micros=7)
    metadata = tf.RunMetadata(step_stats=SimpleNamespace(dev_stats=[SimpleNamespace(device="/device:CPU:0", node_stats=[kernel])]))
    with tf.Session() as session, tf.summary.FileWriter(tmp_path / "run", session.graph) as writer:
        session.run(tf.global_variables_initializer())
        for step in range(STEPS):
            _, summary = session.run([train, merged], {x: np.ones((2, 4))})
            writer.add_summary(summary, step)
        writer.add_run_metadata(metadata, "step 4", 4)
    return tmp_path


def expected_losses():
    w, found = np.ones((4, 3)), []
    for _ in range(STEPS):
        y = np.ones((2, 4)) @ w
        found.append(np.mean(y**2))
        w = w - 0.1 * np.ones((2, 4)).T @ (2 * y / y.size)
    return found


@pytest.fixture
def accumulator(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "run"), {"images": 0, "scalars": 0, "histograms": 0, "tensors": 0})
    return events.Reload()


def test_the_tags_are_those_that_tensorflow_gives(accumulator):
    tags = accumulator.Tags()
    assert tags["scalars"] == ["objective"] and tags["histograms"] == ["weights"] and tags["tensors"] == ["note"]
    assert tags["images"] == ["columns/image/0", "columns/image/1", "columns/image/2", "one/image"]
    assert tags["graph"] and tags["run_metadata"] == ["step 4"]


def test_scalars_have_steps_and_values(accumulator):
    scalars = accumulator.Scalars("objective")
    assert [s.step for s in scalars] == list(range(STEPS))
    np.testing.assert_allclose([s.value for s in scalars], expected_losses(), rtol=1e-5)


def test_images_are_png_files(accumulator):
    image = accumulator.Images("one/image")[0]
    assert (image.width, image.height) == (3, 4)
    assert decode_png(image.encoded_image_string).tolist() == np.full((4, 3, 1), 255).tolist()


def test_histograms_have_tensorflows_buckets(accumulator):
    value = accumulator.Histograms("weights")[0].histogram_value
    assert (value.num, value.min, value.max, value.sum, value.sum_squares) == (12, 1, 1, 12, 12)
    assert sum(value.bucket) == 12 and len(value.bucket) == len(value.bucket_limit)
    assert value.bucket_limit[0] <= 1 < value.bucket_limit[1]


def test_text_is_a_tensor_of_strings(accumulator):
    assert list(accumulator.Tensors("note")[0].tensor_proto.string_val) == [b"first *words*", b"second"]
    assert accumulator.SummaryMetadata("note").plugin_data.plugin_name == "text"


def test_the_graph_has_every_node_with_inputs_and_shapes(accumulator):
    nodes = {node.name: node for node in accumulator.Graph().node}
    assert list(nodes) == [node.name for node in tf.get_default_graph().nodes if node.name != "init"]  # made after the writer
    assert nodes["Model/y"].op == "MatMul" and list(nodes["Model/y"].input) == ["x", "Model/w/read"]
    (shape,) = nodes["Model/y"].attr["_output_shapes"].list.shape
    assert [d.size for d in shape.dim] == [-1, 3]
    assert any(name.startswith("^") for node in nodes.values() for name in node.input)


def test_a_runs_times_are_read(accumulator):
    (device,) = accumulator.RunMetadata("step 4").step_stats.dev_stats
    assert device.device == "/device:CPU:0" and device.node_stats[0].all_end_rel_micros == 7


@pytest.fixture
def server(folder):
    """The address of a TensorBoard server on the logs, once it answers."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--host", "127.0.0.1", "--load_fast", "false"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        guard = threading.Timer(120, process.kill)
        guard.start()
        try:
            address = next((found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
            assert address, "the server says where it listens"
            yield address
        finally:
            guard.cancel()
            process.kill()


def ask(address, path, **query):
    with urllib.request.urlopen(f"{address}/data/{path}?{urllib.parse.urlencode(query)}", timeout=60) as answer:
        return answer.read()


@pytest.mark.slow
def test_a_real_server_shows_all_of_it(server):
    def tags(plugin):
        while not (found := json.loads(ask(server, f"plugin/{plugin}/tags"))).get("run"):
            pass  # it has not read the folder yet; the guard ends a server that never does, and with it this loop
        return found

    assert list(tags("scalars")["run"]) == ["objective"]
    scalars = json.loads(ask(server, "plugin/scalars/scalars", run="run", tag="objective"))
    np.testing.assert_allclose([value for _, _, value in scalars], expected_losses(), rtol=1e-5)

    assert "one/image" in tags("images")["run"]
    image = json.loads(ask(server, "plugin/images/images", run="run", tag="one/image", sample=0))[0]
    assert decode_png(ask(server, "plugin/images/individualImage?" + image["query"])).shape == (4, 3, 1)

    assert list(tags("histograms")["run"]) == ["weights"]
    buckets = json.loads(ask(server, "plugin/histograms/histograms", run="run", tag="weights"))[0][2]
    assert sum(count for _, _, count in buckets) == pytest.approx(12)

    assert "second" in ask(server, "plugin/text/text", run="run", tag="note").decode()

    graph = ask(server, "plugin/graphs/graph", run="run", conceptual="false").decode()
    assert 'name: "Model/y"' in graph and "_output_shapes" in graph and 'input: "^' in graph
    assert "all_end_rel_micros: 7" in ask(server, "plugin/graphs/run_metadata", run="run", tag="step 4").decode()
