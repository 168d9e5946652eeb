"""A network of two layers learns sin(pi/2 x1) cos(pi/4 x2) from a thousand points, in batches of any size.

    python examples/two_layer_network.py
    flowc viz examples/two_layer_network.py -o network.svg
"""

import numpy as np

import flowc as tf

HIDDEN = 20
rng = np.random.default_rng(0)
points = rng.uniform(-2, 2, (1000, 2))
heights = np.sin(np.pi / 2 * points[:, :1]) * np.cos(np.pi / 4 * points[:, 1:])

tf.set_random_seed(1)
with tf.name_scope("Input"):
    x = tf.placeholder(tf.float32, [None, 2], name="x")
with tf.name_scope("HiddenLayer"):
    W1 = tf.Variable(tf.truncated_normal([2, HIDDEN], stddev=np.sqrt(6 / (2 + HIDDEN))), name="W")
    b1 = tf.Variable(tf.zeros([HIDDEN]), name="b")
    h1 = tf.nn.relu(tf.matmul(x, W1) + b1)
with tf.name_scope("OutputLayer"):
    W2 = tf.Variable(tf.truncated_normal([HIDDEN, 1], stddev=np.sqrt(6 / (1 + HIDDEN))), name="W")
    b2 = tf.Variable(tf.zeros([1]), name="b")
    h2 = tf.matmul(h1, W2) + b2
with tf.name_scope("Loss"):
    y = tf.placeholder(tf.float32, [None, 1], name="y")
    loss = tf.reduce_mean(tf.square(h2 - y))
train = tf.train.MomentumOptimizer(0.02, 0.9).minimize(loss)

losses = []
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for step in range(1, 5001):
        rows = rng.integers(0, len(points), 10)
        sess.run(train, {x: points[rows], y: heights[rows]})
        if step % 50 == 0:
            losses.append(sess.run(loss, {x: points, y: heights}))
        if step % 1000 == 0:
            print(f"step {step}  loss {losses[-1]:.4f}")

    # the network's surface: all points of a grid in one call
    side = np.linspace(-2, 2, 100)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    surface = sess.run(h2, {x: grid.reshape(-1, 2)}).reshape(100, 100)
true = np.sin(np.pi / 2 * grid[..., 0]) * np.cos(np.pi / 4 * grid[..., 1])
print(f"off by {np.abs(surface - true).mean():.3f} on average, over a grid of {surface.size} points")
