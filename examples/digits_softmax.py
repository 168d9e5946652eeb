"""Softmax regression on real digits, with the cross-entropy written by hand, which flowc keeps stable.

    python examples/digits_softmax.py               # the bundled digits, 8 x 8
    python examples/digits_softmax.py /tmp/data/    # MNIST, where that folder has its four files
"""

import sys

import numpy as np

import flowc as tf
from flowc.data import load_digits, read_data_sets

np.random.seed(0)  # next_batch shuffles with it
digits = read_data_sets(sys.argv[1], one_hot=True) if len(sys.argv) > 1 else load_digits(one_hot=True)
pixels = digits.train.images.shape[1]

x = tf.placeholder(tf.float32, [None, pixels], name="images")
labels = tf.placeholder(tf.float32, [None, 10], name="labels")
W = tf.Variable(tf.zeros([pixels, 10]), name="W")
b = tf.Variable(tf.zeros([10]), name="b")
y = tf.nn.softmax(tf.matmul(x, W) + b)
cross_entropy = tf.reduce_mean(-tf.reduce_sum(labels * tf.log(y), reduction_indices=[1]))
train = tf.train.GradientDescentOptimizer(0.5).minimize(cross_entropy)
correct = tf.equal(tf.argmax(y, 1), tf.argmax(labels, 1))
accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

sess = tf.InteractiveSession()
tf.global_variables_initializer().run()
losses = []
for _ in range(2000):
    images, classes = digits.train.next_batch(100)
    losses.append(sess.run([cross_entropy, train], {x: images, labels: classes})[0])
reached = accuracy.eval({x: digits.test.images, labels: digits.test.labels})
columns = W.eval().T.reshape(10, int(pixels**0.5), -1)  # what each class looks for
print(f"accuracy on held-out digits: {reached:.3f}")
