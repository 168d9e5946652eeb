"""Linear regression, the smallest program that trains: TensorFlow 1's names, two scalars, gradient descent.

    python examples/linear_regression.py
"""

import flowc as tf

xs, ys = [1, 2, 3, 4], [0, -1, -2, -3]

W = tf.Variable([0.3], tf.float32)
b = tf.Variable([-0.3], tf.float32)
x = tf.placeholder(tf.float32)
y = tf.placeholder(tf.float32)
loss = tf.reduce_sum((W * x + b - y) ** 2)
train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)

losses = []
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for _ in range(1000):
        sess.run(train, {x: xs, y: ys})
        losses.append(sess.run(loss, {x: xs, y: ys}))
    slope, offset = sess.run([W, b])
    print(f"W {slope[0]:.4f}  b {offset[0]:.4f}  loss {losses[-1]:.1e}")
