"""Softmax regression on real digits: trains, measures, draws its graph and shows the code that ran.

    python examples/digits_demo.py [--out DIR]

The model is written as a TensorFlow 1 program; `import flowc as tf` is all that makes it flowc's.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import flowc as tf
from flowc.codegen import build
from flowc.data import load_digits
from flowc.viz import diagram, write
from flowc.viz.draw import can_draw

BATCH, STEPS = 100, 3000


def model():
    """Placeholders, the training operation, the loss and the accuracy."""
    with tf.name_scope("Input"):
        images = tf.placeholder(tf.float32, [None, 64], name="images")
        labels = tf.placeholder(tf.float32, [None, 10], name="labels")
    with tf.name_scope("Softmax"):
        weights = tf.Variable(tf.zeros([64, 10]), name="weights")
        biases = tf.Variable(tf.zeros([10]), name="biases")
        logits = tf.matmul(images, weights) + biases
    with tf.name_scope("Loss"):
        losses = tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=labels)
        loss = tf.reduce_mean(losses)
    train = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
    with tf.name_scope("Accuracy"):
        correct = tf.equal(tf.argmax(logits, 1), tf.argmax(labels, 1))
        accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
    return images, labels, train, loss, accuracy


def main(out: Path) -> float:
    np.random.seed(0)  # next_batch shuffles with it
    digits = load_digits(one_hot=True)
    print(f"digits: {digits.train.num_examples} real images to train on, {digits.test.num_examples} held out (UCI optdigits, 8 x 8)")
    images, labels, train, loss, accuracy = model()
    held_out = {images: digits.test.images, labels: digits.test.labels}

    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        batch = next_batch(digits, images, labels)
        compilations = build.compilations
        begun = time.perf_counter()
        sess.run(train, batch)
        first = time.perf_counter() - begun
        how = "compiled" if build.compilations > compilations else "loaded from the cache"
        print(f"first training step: {first:.2f} s, {how}")

        seconds = 0.0
        for part in range(6):
            batches = [next_batch(digits, images, labels) for _ in range(STEPS // 6)]
            begun = time.perf_counter()
            for batch in batches:
                sess.run(train, batch)
            seconds += time.perf_counter() - begun
            value, right = sess.run([loss, accuracy], held_out)
            print(f"step {(part + 1) * STEPS // 6:5}  loss {value:.4f}  accuracy {right:.1%}")
        print(f"accuracy on the held-out digits: {right:.1%}")
        print(f"{STEPS / seconds:,.0f} training steps per second, batches of {BATCH}")
        source = sess.executable(train, batch).source

    out.mkdir(parents=True, exist_ok=True)
    picture = write(diagram(tf.get_default_graph(), title="digits_demo.py"), out / ("graph.svg" if can_draw() else "graph.dot"))
    program = out / "train_step.py"
    program.write_text(source)
    print(f"the graph, drawn:        {picture}")
    print(f"the code of a step:      {program}")
    return float(right)


def next_batch(digits, images, labels):
    """A feed of the next images."""
    xs, ys = digits.train.next_batch(BATCH)
    return {images: xs, labels: ys}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("flowc-demo"), metavar="DIR", help="where the diagram and the code go (default: flowc-demo)")
    main(parser.parse_args().out)
