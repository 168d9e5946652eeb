"""Small graphs to draw."""

import flowc as tf


def regression():
    """A scoped regression with its training operation; the graph and what it is made of by name."""
    tf.reset_default_graph()
    with tf.name_scope("Model"):
        x = tf.placeholder(tf.float32, [None, 3], name="x")
        W = tf.Variable(tf.truncated_normal([3, 1], stddev=0.5), name="W")
        b = tf.Variable(tf.zeros([1]), name="b")
        with tf.name_scope("Inner"):
            y = tf.add(tf.matmul(x, W), b, name="y")
    with tf.name_scope("Loss"):
        target = tf.placeholder(tf.float32, [None, 1], name="target")
        loss = tf.reduce_mean(tf.square(y - target) * 0.5, name="loss")
    train = tf.train.AdamOptimizer(0.01).minimize(loss)
    tf.global_variables_initializer()
    return tf.get_default_graph(), {"x": x, "W": W, "y": y, "loss": loss, "train": train}


def noisy():
    """A random op outside of any initializer, and a control edge."""
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [4], name="x")
    noise = tf.random_uniform([4], name="noise")
    v = tf.Variable(0.0, name="v")
    with tf.control_dependencies([tf.assign_add(v, 1.0, name="count")]):
        y = tf.add(x, noise, name="y")
    return tf.get_default_graph(), y


def layers(count, width=4, optimizer=None):
    """A network of like layers, and its training operation where an optimizer is given."""
    tf.reset_default_graph()
    h = x = tf.placeholder(tf.float32, [None, width], name="x")
    for number in range(1, count + 1):
        with tf.name_scope(f"Layer{number}"):
            W = tf.Variable(tf.truncated_normal([width, width], stddev=0.1), name="W")
            b = tf.Variable(tf.zeros([width]), name="b")
            h = tf.nn.relu(tf.matmul(h, W) + b)
    with tf.name_scope("Loss"):
        loss = tf.reduce_mean(tf.square(h - x), name="loss")
    if optimizer is not None:
        optimizer.minimize(loss)
    tf.global_variables_initializer()
    return tf.get_default_graph()


def summarized():
    """Two summaries, merged, and what TensorFlow's Saver would add: a scope `save` that reads and writes a variable."""
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [None], name="x")
    v = tf.Variable(2.0, name="v")
    loss = tf.reduce_mean(x * v, name="loss")
    tf.summary.scalar("told", loss)
    tf.summary.histogram("spread", x)
    tf.summary.merge_all()
    with tf.name_scope("save"):
        kept = tf.placeholder(tf.float32, [], name="Const")
        tf.group(tf.assign(v, kept, name="Assign"), name="restore_all")
    return tf.get_default_graph()
