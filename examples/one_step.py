"""One step of a small model, the program that docs/architecture.md follows through the compiler.

    python examples/one_step.py
    flowc ir examples/one_step.py --level kernel
"""

import flowc as tf

x = tf.placeholder(tf.float32, [None, 3], name="x")
with tf.name_scope("Model"):
    w = tf.Variable(tf.zeros([3]), name="w")
    p = tf.sigmoid(x * w)
with tf.name_scope("Loss"):
    loss = -tf.reduce_sum(tf.log(p))
train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    before, _ = sess.run([loss, train], {x: [[1, 2, 3], [-1, 2, -3]]})
    print(f"loss {before:.4f}  w {sess.run(w)}")
