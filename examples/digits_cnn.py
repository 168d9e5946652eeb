"""A convolutional network on real digits: two convolutions with pooling, a layer with dropout, Adam.

    python examples/digits_cnn.py
    flowc bench examples/digits_cnn.py
"""

import numpy as np

import flowc as tf
from flowc.data import load_digits

np.random.seed(0)  # next_batch shuffles with it
tf.set_random_seed(0)
digits = load_digits(one_hot=True)


def weights(*shape):
    """A variable whose outputs begin with about the spread of its inputs."""
    return tf.Variable(tf.truncated_normal(shape, stddev=np.sqrt(2 / np.prod(shape[:-1]))), name="weights")


def convolution(inputs, filters):
    """relu(inputs * filters + bias), the largest of every two by two."""
    bias = tf.Variable(tf.zeros(filters.shape[-1:]), name="bias")
    h = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(inputs, filters, [1, 1, 1, 1], "SAME"), bias))
    return tf.nn.max_pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")


with tf.name_scope("Input"):
    x = tf.placeholder(tf.float32, [None, 64], name="images")
    labels = tf.placeholder(tf.float32, [None, 10], name="labels")
    keep = tf.placeholder(tf.float32, [], name="keep")
with tf.name_scope("Convolution1"):
    F1 = weights(3, 3, 1, 16)
    h1 = convolution(tf.reshape(x, [-1, 8, 8, 1]), F1)
with tf.name_scope("Convolution2"):
    h2 = convolution(h1, weights(3, 3, 16, 32))
with tf.name_scope("Hidden"):
    h3 = tf.nn.relu(tf.matmul(tf.reshape(h2, [-1, 2 * 2 * 32]), weights(128, 64)))
    h3 = tf.nn.dropout(h3, keep)
with tf.name_scope("Output"):
    logits = tf.matmul(h3, weights(64, 10))
with tf.name_scope("Loss"):
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=labels))
train = tf.train.AdamOptimizer(0.002).minimize(loss)
with tf.name_scope("Accuracy"):
    correct = tf.equal(tf.argmax(logits, 1), tf.argmax(labels, 1))
    accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

losses = []
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for _ in range(600):
        images, classes = digits.train.next_batch(64)
        losses.append(sess.run([loss, train], {x: images, labels: classes, keep: 0.5})[0])
    reached, filters = sess.run([accuracy, F1], {x: digits.test.images, labels: digits.test.labels, keep: 1.0})
print(f"accuracy on held-out digits: {reached:.3f}")
