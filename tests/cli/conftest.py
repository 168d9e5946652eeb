"""Scripts to give to commands; nothing of one test is left for the next."""

import textwrap

import pytest

from flowc.cli import main
from flowc.frontend import scope


@pytest.fixture(autouse=True)
def fresh_graph(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scope.sessions.clear()
    scope.reset_default_graph()
    yield
    scope.sessions.clear()
    scope.reset_default_graph()


@pytest.fixture
def script(tmp_path):
    """`script(text)`: a file model.py with this text."""

    def write(text, name="model.py"):
        (tmp_path / name).write_text(textwrap.dedent(text))
        return name

    return write


@pytest.fixture
def flowc(capsys):
    """`flowc("ir", "model.py")`: (exit code, stdout, stderr) of a command."""

    def run(*argv):
        capsys.readouterr()
        try:
            code = main([str(a) for a in argv])
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


TRAINING = """
    import tensorflow as tf
    print("building")
    with tf.name_scope("Model"):
        x = tf.placeholder(tf.float32, [None, 3], name="x")
        W = tf.Variable(tf.zeros([3, 1]), name="W")
        y = tf.matmul(x, W, name="y")
    loss = tf.reduce_mean(tf.square(y - 1.0), name="loss")
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    numbers = [1, 2]
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(10):
            sess.run(train, {x: [[1, 2, 3]] * 4})
        raise SystemExit("the script has trained")
    """

COMPILED = """
    import flowc
    @flowc.compile
    def loss(w: flowc.f32["n"], x: flowc.f32["b", "n"]):
        return flowc.mean(flowc.tanh(x * w))
    slope = flowc.grad(loss)
    """


@pytest.fixture
def training(script):
    return script(TRAINING)


@pytest.fixture
def compiled(script):
    return script(COMPILED, "functions.py")
