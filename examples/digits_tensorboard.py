"""Softmax regression that TensorBoard can watch: the loss, the columns of W as images, their histogram, the graph, and a step's times.

    python examples/digits_tensorboard.py [LOGS]
    tensorboard --logdir flowc-logs                     # pip install "flowc[tensorboard]"
"""

import sys

import numpy as np

import flowc as tf
from flowc.data import load_digits

logs = sys.argv[1] if len(sys.argv) > 1 else "flowc-logs"
np.random.seed(0)  # next_batch shuffles with it
digits = load_digits(one_hot=True)

with tf.name_scope("Input"):
    x = tf.placeholder(tf.float32, [None, 64], name="images")
    labels = tf.placeholder(tf.float32, [None, 10], name="labels")
with tf.name_scope("Model"):
    W = tf.Variable(tf.zeros([64, 10]), name="W")
    b = tf.Variable(tf.zeros([10]), name="b")
    logits = tf.matmul(x, W) + b
with tf.name_scope("Loss"):
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=labels))
train = tf.train.GradientDescentOptimizer(0.5).minimize(loss)

tf.summary.scalar("cross_entropy", loss)
tf.summary.image("columns", tf.reshape(tf.transpose(W), [10, 8, 8, 1]), max_outputs=10)
tf.summary.histogram("W", W)
tf.summary.text("about", "Softmax regression on *8 x 8 digits*, steps of 0.5")
merged = tf.summary.merge_all()

with tf.Session() as sess, tf.summary.FileWriter(logs, sess.graph) as writer:
    sess.run(tf.global_variables_initializer())
    for step in range(1000):
        images, classes = digits.train.next_batch(100)
        feeds = {x: images, labels: classes}
        if step % 50:
            sess.run(train, feeds)  # as fast as if there were no summaries
        else:
            writer.add_summary(sess.run([merged, train], feeds)[0], step)
    times = tf.RunMetadata()
    sess.run(train, feeds, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=times)
    writer.add_run_metadata(times, f"step {step}", step)
print(f"tensorboard --logdir {logs}")
