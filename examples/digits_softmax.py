"""Softmax regression on the bundled digits, with the cross-entropy written by hand, which flowc keeps stable.

    python examples/digits_softmax.py
"""

import numpy as np

import flowc as tf
from flowc.data import load_digits

np.random.seed(0)  # next_batch shuffles with it
digits = load_digits(one_hot=True)

x = tf.placeholder(tf.float32, [None, 64])
labels = tf.placeholder(tf.float32, [None, 10])
W = tf.Variable(tf.zeros([64, 10]))
b = tf.Variable(tf.zeros([10]))
y = tf.nn.softmax(tf.matmul(x, W) + b)
cross_entropy = tf.reduce_mean(-tf.reduce_sum(labels * tf.log(y), reduction_indices=[1]))
train = tf.train.GradientDescentOptimizer(0.5).minimize(cross_entropy)
correct = tf.equal(tf.argmax(y, 1), tf.argmax(labels, 1))
accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

sess = tf.InteractiveSession()
tf.global_variables_initializer().run()
for _ in range(2000):
    images, classes = digits.train.next_batch(100)
    train.run({x: images, labels: classes})
print(f"accuracy on held-out digits: {accuracy.eval({x: digits.test.images, labels: digits.test.labels}):.3f}")
