"""Scripts that write summaries, under the commands."""

from __future__ import annotations

import numpy as np

from flowc.data.digits import write_digits
from tests.frontend.tfevents import decode_png, fields, read, values

MNIST = """
    import sys
    import tensorflow as tf
    from tensorflow.examples.tutorials.mnist import input_data

    mnist = input_data.read_data_sets(sys.argv[1], one_hot=True, validation_size=100, seed=1)
    x = tf.placeholder(tf.float32, [None, 784])
    y_exp = tf.placeholder(tf.float32, [None, 10])
    with tf.variable_scope("Model"):
        W = tf.Variable(tf.zeros([784, 10]))
        b = tf.Variable(tf.zeros([10]))
        logits = tf.matmul(x, W) + b
    with tf.variable_scope("Loss"):
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y_exp))
    columns = tf.reshape(tf.transpose(W), [10, 28, 28])
    tf.summary.image("W", tf.reshape(tf.transpose(columns, [1, 0, 2]), [1, 28, 280, 1]))
    tf.summary.scalar("loss", loss)
    tf.summary.histogram("weights", W)
    merged = tf.summary.merge_all()
    train_step = tf.train.GradientDescentOptimizer(0.05).minimize(loss)
    with tf.Session() as sess:
        writer = tf.summary.FileWriter(sys.argv[2], sess.graph)
        sess.run(tf.global_variables_initializer())
        for step in range(30):
            batch_xs, batch_ys = mnist.train.next_batch(100)
            _, summary = sess.run([train_step, merged], {x: batch_xs, y_exp: batch_ys})
            writer.add_summary(summary, step)
        writer.close()
    print("done")
"""
MODEL = """
    import tensorflow as tf
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    loss = tf.reduce_mean(tf.square(x), name="loss")
    tf.summary.scalar("summary_of_loss", loss)
    merged = tf.summary.merge_all()
"""


def test_a_training_on_images_logs_its_loss_its_weights_and_the_graph(flowc, script, tmp_path):
    write_digits(tmp_path / "data")
    assert flowc("run", script(MNIST), tmp_path / "data", tmp_path / "logs")[:2] == (0, "done\n")
    version, graph, *steps = read(tmp_path / "logs")
    assert version[3] == [b"brain.Event:2"] and b"Merge/MergeSummary" in graph[4][0]
    assert [event.get(2, [0])[0] for event in steps] == list(range(30))
    found = [values(event[5][0]) for event in steps]
    assert list(found[0]) == ["W/image/0", "loss_1", "weights"]  # the scope `Loss` has taken the name, whatever its capitals
    losses = [step["loss_1"][2][0] for step in found]
    np.testing.assert_allclose(losses[0], np.log(10.0), rtol=1e-5)
    assert losses[-1] < 0.7 * losses[0]
    picture = decode_png(fields(found[-1]["W/image/0"][4][0])[4][0])
    assert picture.shape == (28, 280, 1) and picture.max() - picture.min() > 100
    assert fields(found[-1]["weights"][5][0])[3] == [7840.0]


def test_ir_of_a_summary_shows_what_it_tells_of(flowc, script):
    for spec in (script(MODEL), script(MODEL) + ":merged"):
        code, out, _ = flowc("ir", spec)
        assert code == 0 and "loss: f32 = reduce_mean(" in out and out.endswith("return loss\n")


def test_viz_draws_summaries(flowc, script, tmp_path):
    code, _, _ = flowc("viz", script(MODEL), "-o", "graph.dot", "--all")
    assert code == 0 and "summary_of_loss" in (tmp_path / "graph.dot").read_text()
