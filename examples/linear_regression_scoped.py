"""Linear regression with its nodes named and grouped, so that its picture can be read.

    python examples/linear_regression_scoped.py
    flowc viz examples/linear_regression_scoped.py -o graph.html
"""

import flowc as tf

with tf.name_scope("Input"):
    x = tf.placeholder(tf.float32, [None], name="x")
    y = tf.placeholder(tf.float32, [None], name="y")
with tf.name_scope("Model"):
    W = tf.Variable([0.3], name="W")
    b = tf.Variable([-0.3], name="b")
    line = W * x + b
with tf.name_scope("Loss"):
    loss = tf.reduce_sum(tf.square(line - y))
train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)

with tf.Session() as sess:
    tf.global_variables_initializer().run()
    for _ in range(1000):
        train.run({x: [1, 2, 3, 4], y: [0, -1, -2, -3]})
    print(f"{W.op.name} {W.eval()[0]:.4f}  {b.op.name} {b.eval()[0]:.4f}")
