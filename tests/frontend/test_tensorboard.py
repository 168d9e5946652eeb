"""What TensorBoard itself reads of flowc's event files: its EventAccumulator, its server asked over HTTP, and its page in a browser."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.parse
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest

import flowc as tf
from flowc import config
from flowc.data.digits import write_digits
from tests.browser import CHROMIUM, Browser
from tests.cli.test_summaries import MNIST
from tests.frontend.tfevents import decode_png

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")

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
    metadata, traced = tf.RunMetadata(), tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    with config.override(backend="cpu"), tf.Session() as session, tf.summary.FileWriter(tmp_path / "run", session.graph) as writer:
        session.run(tf.global_variables_initializer())
        for step in range(STEPS):
            _, summary = session.run([train, merged], {x: np.ones((2, 4))}, options=traced, run_metadata=metadata)
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


def test_a_runs_times_are_read_under_names_of_the_graph(accumulator):
    (device,) = accumulator.RunMetadata("step 4").step_stats.dev_stats
    assert device.device == "/device:CPU:0" and all(kernel.all_end_rel_micros > 0 for kernel in device.node_stats)
    told, known = {kernel.node_name for kernel in device.node_stats}, {node.name for node in accumulator.Graph().node}
    assert "GradientDescent/update_Model/w/ApplyGradientDescent" in told & known
    assert all(re.fullmatch(r"k\d+_\w+", name) for name in told - known)  # a kernel of nodes that passes have made


def test_summaries_made_by_hand_are_read(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    histogram = tf.HistogramProto(min=1, max=3, num=3, sum=6, sum_squares=14, bucket_limit=[2, 4], bucket=[1, 2])
    picture = tf.Summary.Image(height=1, width=1, colorspace=1, encoded_image_string=b"png")
    with tf.summary.FileWriter(tmp_path) as writer:
        summary = tf.Summary(value=[tf.Summary.Value(tag="number", simple_value=0.5), tf.Summary.Value(tag="spread", histo=histogram)])
        summary.value.add(tag="picture", image=picture)
        writer.add_summary(summary, 7)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(s.step, s.value) for s in events.Scalars("number")] == [(7, 0.5)]
    assert list(events.Histograms("spread")[0].histogram_value.bucket) == [1, 2]
    assert events.Images("picture")[0].encoded_image_string == b"png"


_WRITES_WITHOUT_END = """
import sys
import flowc as tf
writer = tf.summary.FileWriter(sys.argv[1], max_queue=7)
step = 0
while True:
    for _ in range(100):
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="x", simple_value=step)]), step)
        step += 1
    writer.flush()
    print(step, flush=True)
"""


def test_a_process_killed_while_it_writes_leaves_all_that_it_flushed(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with subprocess.Popen([sys.executable, "-c", _WRITES_WITHOUT_END, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        flushed = [int(line) for line in process.stdout.read().split()][-1:] or [500]
    assert process.returncode == -signal.SIGKILL
    steps = [s.step for s in EventAccumulator(str(tmp_path), {"scalars": 0}).Reload().Scalars("x")]
    assert steps == list(range(len(steps))) and len(steps) >= flushed[0]


@pytest.fixture
def serve():
    """`with serve(folder) as address`: a TensorBoard server on a folder, on a port that is free, once it says where it listens."""

    @contextmanager
    def start(folder):
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--host", "127.0.0.1", "--load_fast", "false"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
            guard = threading.Timer(240, process.kill)
            guard.start()
            try:
                said = []
                for line in process.stdout:
                    said.append(line)
                    if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                        yield found[0]
                        break
                else:
                    pytest.fail("".join(said))
            finally:
                guard.cancel()
                process.kill()

    return start


@pytest.fixture
def server(folder, serve):
    """The address of a TensorBoard server on the logs."""
    with serve(folder) as address:
        yield address


def ask(address, path, **query):
    with urllib.request.urlopen(f"{address}/data/{path}?{urllib.parse.urlencode(query)}", timeout=60) as answer:
        return answer.read()


def tags(address, plugin, run="run"):
    """The tags of a run on one of TensorBoard's pages."""
    while not (found := json.loads(ask(address, f"plugin/{plugin}/tags"))).get(run):
        pass  # it has not read the folder yet; the guard ends a server that never does, and with it this loop
    return found[run]


@pytest.mark.slow
def test_a_real_server_shows_all_of_it(server):
    assert list(tags(server, "scalars")) == ["objective"]
    scalars = json.loads(ask(server, "plugin/scalars/scalars", run="run", tag="objective"))
    np.testing.assert_allclose([value for _, _, value in scalars], expected_losses(), rtol=1e-5)

    assert "one/image" in tags(server, "images")
    image = json.loads(ask(server, "plugin/images/images", run="run", tag="one/image", sample=0))[0]
    assert decode_png(ask(server, "plugin/images/individualImage?" + image["query"])).shape == (4, 3, 1)

    assert list(tags(server, "histograms")) == ["weights"]
    buckets = json.loads(ask(server, "plugin/histograms/histograms", run="run", tag="weights"))[0][2]
    assert sum(count for _, _, count in buckets) == pytest.approx(12)

    assert "second" in ask(server, "plugin/text/text", run="run", tag="note").decode()

    graph = ask(server, "plugin/graphs/graph", run="run", conceptual="false").decode()
    assert 'name: "Model/y"' in graph and "_output_shapes" in graph and 'input: "^' in graph
    times = ask(server, "plugin/graphs/run_metadata", run="run", tag="step 4").decode()
    assert len(re.findall(r"all_end_rel_nanos: [1-9]", times)) == times.count("node_name: ") > 0


@pytest.mark.slow
def test_a_real_server_shows_what_the_tensorboard_program_logs(tmp_path, serve):
    from flowc.cli import main

    write_digits(tmp_path / "data")
    (tmp_path / "mnist.py").write_text(textwrap.dedent(MNIST))
    assert main(["run", str(tmp_path / "mnist.py"), str(tmp_path / "data"), str(tmp_path / "logs" / "run")]) == 0
    with serve(tmp_path / "logs") as address:
        (tag,) = tags(address, "images")
        image = json.loads(ask(address, "plugin/images/images", run="run", tag=tag, sample=0))[-1]
        picture = decode_png(ask(address, "plugin/images/individualImage?" + image["query"]))
        assert picture.shape == (28, 280, 1) and int(picture.max()) - int(picture.min()) > 100  # the columns of W side by side
        (scalar,) = tags(address, "scalars")
        assert len(json.loads(ask(address, "plugin/scalars/scalars", run="run", tag=scalar))) == 30


# all elements that a selector finds, inside the page's components too
_FIND = """((selector, get) => { const found = []; const walk = node => { if (node.shadowRoot) walk(node.shadowRoot);
    for (const child of node.children || []) { if (child.matches(selector)) found.push(get(child)); walk(child); } }; walk(document); return found; })"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_the_graphs_page_shows_the_scopes_and_the_shapes_between_them(server, tmp_path):
    tags(server, "scalars")
    nodes = f"{_FIND}('g.node[data-name]', node => node.dataset.name)"
    with Browser(tmp_path / "profile") as browser:
        browser.open(f"{server}/#graphs&run=run")
        top = browser.wait_for(f"(found => found.length ? found : null)({nodes})")
        assert {"x", "Model", "cost", "gradients", "GradientDescent"} <= set(top) and "Model/w" not in top
        assert {"?\u00d74", "?\u00d73", "4\u00d73"} <= set(browser.evaluate(f"{_FIND}('g.edge text', text => text.textContent)"))
        browser.evaluate(f"{_FIND}('g.node[data-name=Model] .nodeshape', node => {{ node.dispatchEvent(new MouseEvent('dblclick', {{bubbles: true}})); }})")
        opened = browser.wait_for(f"(found => found.includes('Model/w') ? found : null)({nodes})")
        assert "Model/y" in opened
