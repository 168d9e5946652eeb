"""The user's document, whole: its programs as scripts that say `import tensorflow as tf`, shortened, and what its pages show, compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import flowc as tf
import flowc.tensorflow
from flowc.data.digits import write_digits
from flowc.frontend import scope
from flowc.tensorflow.script import run_script

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def _fresh_graph() -> Iterator[None]:
    scope.sessions.clear()
    tf.reset_default_graph()
    yield
    scope.sessions.clear()
    flowc.tensorflow.uninstall()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(text, *args)`: what a script prints; it has to reach its end."""

    def script(text: str, *args: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(text)
        code = run_script(path, args)
        shown = capsys.readouterr()
        assert code == 0, shown.err
        return shown.out

    return script


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return str(folder)


# the document's programs

LINEAR_REGRESSION = """
import numpy as np
import tensorflow as tf

# Model parameters
W = tf.Variable([.3], tf.float32)
b = tf.Variable([- .3], tf.float32)
# Model input and output
x = tf.placeholder(tf.float32)
linear_model = W * x + b
y = tf.placeholder(tf.float32)
# loss
loss = tf.reduce_sum(tf.square(linear_model - y)) # sum of the squares
# optimizer
optimizer = tf.train.GradientDescentOptimizer(0.01)
train = optimizer.minimize(loss)
# training data
x_train = [1, 2, 3, 4]
y_train = [0, -1, -2, -3]
# training loop
init = tf.global_variables_initializer()
sess = tf.Session()
sess.run(init) # reset values to wrong
for i in range(50):
    sess.run(train, {x:x_train, y:y_train})

# evaluate training accuracy
curr_W, curr_b, curr_loss = sess.run([W, b, loss], {x:x_train, y:y_train})
print("W: %s b: %s loss: %s" % (curr_W, curr_b, curr_loss))
"""


def descended(steps: int) -> tuple[float, float, float]:
    """The first program's W, b and loss, in NumPy."""
    x, y = np.arange(1.0, 5.0), -np.arange(4.0)
    w, b = 0.3, -0.3
    for _ in range(steps):
        error = w * x + b - y
        w, b = w - 0.02 * (error * x).sum(), b - 0.02 * error.sum()
    return w, b, ((w * x + b - y) ** 2).sum()


def test_linear_regression_agrees_with_numpy(run: Run) -> None:
    shown = run(LINEAR_REGRESSION + "print(curr_W[0], curr_b[0], curr_loss)\n").splitlines()[1]
    np.testing.assert_allclose([float(v) for v in shown.split()], descended(50), rtol=1e-4)


@pytest.mark.parametrize("module", ["flowc", "tensorflow.compat.v1"])
def test_the_same_program_under_other_names_of_the_module(run: Run, module: str) -> None:
    expected = run(LINEAR_REGRESSION)
    tf.reset_default_graph()
    assert run(LINEAR_REGRESSION.replace("import tensorflow as tf", f"import {module} as tf")) == expected


def test_scopes_name_the_nodes(run: Run) -> None:
    run("""
import tensorflow as tf
with tf.variable_scope("W"):
    W = tf.Variable([.3], tf.float32)
with tf.variable_scope("b"):
    b = tf.Variable([-.3], tf.float32)
with tf.variable_scope("input"):
    x = tf.placeholder(tf.float32)
with tf.variable_scope("output"):
    linear_model = W * x + b
    y = tf.placeholder(tf.float32)
loss = tf.reduce_sum((linear_model - y) ** 2)
train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
assert [W.name, b.name, x.name, y.name] == ["W/Variable:0", "b/Variable:0", "input/Placeholder:0", "output/Placeholder:0"]
assert linear_model.op.name == "output/add"
with tf.Session() as sess:
    tf.global_variables_initializer().run()
    before = loss.eval({x: [1, 2], y: [0, -1]})
    assert train.run(feed_dict={x: [1, 2], y: [0, -1]}) is None
    assert loss.eval({"input/Placeholder:0": [1, 2], y: [0, -1]}) < before
""")


def test_the_two_layer_network(run: Run) -> None:
    run("""
import numpy as np
import tensorflow as tf

def F(x1, x2):
    return np.sin(3.14 * x1 / 2.0) * np.cos(3.14 * x2 / 4.0)

A, nb_samples, N1 = 2, 200, 20
np.random.seed(1)
X_train = np.random.uniform(-A, +A, (nb_samples, 2))
Y_train = np.zeros((nb_samples, 1))
for i in range(nb_samples):
    Y_train[i] = [F(X_train[i][0], X_train[i][1])]

tf.reset_default_graph()
tf.set_random_seed(1)
session = tf.InteractiveSession()
with tf.variable_scope("Input"):
    x = tf.placeholder(tf.float32, shape=[None, 2])
with tf.variable_scope("HiddenLayer"):
    W1 = tf.Variable(tf.truncated_normal([2, N1], stddev=np.sqrt(6 / (2+N1)) ))
    b1 = tf.Variable(tf.zeros([N1]))
    h1 = tf.nn.relu(tf.add(tf.matmul(x, W1), b1))
with tf.variable_scope("OutputLayer"):
    W2 = tf.Variable(tf.truncated_normal([N1, 1], stddev=np.sqrt(6 / (1+N1))))
    b2 = tf.Variable(tf.constant(0.))
    h2 = tf.add(tf.matmul(h1, W2), b2)
with tf.variable_scope("Output"):
    y = tf.placeholder(tf.float32, [None, 1])
with tf.variable_scope("Loss"):
    Loss = tf.reduce_mean(tf.square(h2 - y))

optimizer_one_step = tf.train.GradientDescentOptimizer(2e-2).minimize(Loss)
session.run(tf.global_variables_initializer())
losses = []
for i in range(400):
    idx = np.random.permutation(X_train.shape[0])[:10]
    optimizer_one_step.run(feed_dict={x: X_train[idx], y: Y_train[idx]})
    if i % 399 == 0:
        [curr_loss] = session.run([Loss], {x: X_train, y: Y_train})
        losses.append(curr_loss)
assert losses[1] < losses[0] / 2, losses

curr_W1, curr_b1, curr_W2, curr_b2, predicted = session.run([W1, b1, W2, b2, h2], {x: X_train})
h = np.asarray(np.asmatrix(X_train) * np.asmatrix(curr_W1)) + curr_b1
np.testing.assert_allclose(np.maximum(h, 0) @ curr_W2 + curr_b2, predicted, rtol=1e-4, atol=1e-5)
assert curr_b2.shape == () and h1.op.name == "HiddenLayer/Relu"
""")


def test_softmax_regression_with_the_hand_written_cross_entropy(run: Run, digits: str) -> None:
    run(
        """
import sys
import tensorflow as tf
from tensorflow.examples.tutorials.mnist import input_data
mnist = input_data.read_data_sets(sys.argv[1], one_hot=True)
n_input, n_classes = 784, 10
x = tf.placeholder(tf.float32, [None, n_input])
W = tf.Variable(tf.zeros([n_input, n_classes]))
b = tf.Variable(tf.zeros([n_classes]))
y_pred = tf.nn.softmax(tf.add(tf.matmul(x, W), b))
y_exp = tf.placeholder(tf.float32, [None, n_classes])
cross_entropy = tf.reduce_mean(-tf.reduce_sum(y_exp * tf.log(y_pred), reduction_indices=[1]))
train_step = tf.train.GradientDescentOptimizer(0.5).minimize(cross_entropy)

sess = tf.InteractiveSession()
tf.global_variables_initializer().run()
for step in range(200):
    batch_xs, batch_ys = mnist.train.next_batch(100)
    sess.run(train_step, feed_dict={x: batch_xs, y_exp: batch_ys})

correct_prediction = tf.equal(tf.argmax(y_pred,1), tf.argmax(y_exp,1))
accuracy = tf.reduce_mean(tf.cast(correct_prediction, tf.float32))
reached = sess.run(accuracy, feed_dict={x: mnist.test.images, y_exp: mnist.test.labels})
assert reached > 0.85, reached
assert W.eval(sess).flatten()[0::10].reshape((28,28)).any()
""",
        digits,
    )


def test_the_convolutional_network_with_dropout(run: Run, digits: str) -> None:
    run(
        """
import sys
import tensorflow as tf
from tensorflow.examples.tutorials.mnist import input_data
mnist = input_data.read_data_sets(sys.argv[1], one_hot=True)
tf.set_random_seed(2)
n_classes = 10
x = tf.placeholder(tf.float32, [None, 784])
im = tf.reshape(x, shape=[-1, 28, 28, 1])
F1 = tf.Variable(tf.random_normal([5, 5, 1, 8], stddev=0.1))
b1 = tf.Variable(tf.random_normal([8], stddev=0.1))
F1_im = tf.nn.conv2d(im, F1, strides=[1, 1, 1, 1], padding='SAME')
h1 = tf.nn.relu( tf.nn.bias_add(F1_im, b1) )
h2 = tf.nn.max_pool(h1, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding='SAME')
h4 = tf.nn.max_pool(h2, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding='SAME')
h4_vect = tf.reshape(h4, [-1, 7*7*8])
w5 = tf.Variable(tf.random_normal([7*7*8, 64], stddev=0.1))
b5 = tf.Variable(tf.random_normal([64], stddev=0.1))
h5 = tf.nn.relu( tf.add(tf.matmul(h4_vect, w5), b5) )
keep_prob = tf.placeholder(tf.float32)
h5 = tf.nn.dropout(h5, keep_prob)
w6 = tf.Variable(tf.random_normal([64, n_classes], stddev=0.1))
b6 = tf.Variable(tf.random_normal([n_classes], stddev=0.1))
y_pred = tf.add(tf.matmul(h5, w6), b6)
y_exp = tf.placeholder(tf.float32, [None, n_classes])
loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=y_pred, labels=y_exp))
optimizer = tf.train.AdamOptimizer(learning_rate=0.002).minimize(loss)
is_prediction_correct = tf.equal(tf.argmax(y_pred, 1), tf.argmax(y_exp, 1))
accuracy = tf.reduce_mean(tf.cast(is_prediction_correct, tf.float32))

sess = tf.InteractiveSession()
tf.global_variables_initializer().run()
for step in range(60):
    batch_x, batch_y = mnist.train.next_batch(64)
    sess.run(optimizer, feed_dict={x: batch_x, y_exp: batch_y, keep_prob: 0.5})
everything = {x: mnist.test.images, y_exp: mnist.test.labels, keep_prob: 1.0}
[acc] = sess.run([accuracy], feed_dict=everything)
assert acc > 0.75, acc
assert sess.run(loss, everything) == sess.run(loss, everything), "nothing is dropped"
dropped = {x: mnist.test.images[:8], y_exp: mnist.test.labels[:8], keep_prob: 0.5}
assert sess.run(loss, dropped) != sess.run(loss, dropped), "every run drops others"
""",
        digits,
    )


def test_the_linear_regressor(run: Run) -> None:
    run("""
import numpy as np
import tensorflow as tf
estimator = tf.contrib.learn.LinearRegressor(feature_columns=[tf.contrib.layers.real_valued_column("x", dimension=1)])
x, y = np.array([1., 2., 3., 4.]), np.array([0., -1., -2., -3.])
estimator.fit(input_fn=tf.contrib.learn.io.numpy_input_fn({"x": x}, y, batch_size=4, num_epochs=1000), steps=1000)
assert estimator.evaluate(input_fn=tf.contrib.learn.io.numpy_input_fn({"x": x}, y, 4, num_epochs=1))["loss"] < 1e-2
""")


# feeds and fetches


def test_batches_of_many_sizes_and_layouts_alternate_on_one_graph() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    w = np.arange(6.0).reshape(3, 2)
    y, session = tf.nn.relu(tf.matmul(x, tf.Variable(w, dtype=tf.float32)) - 1), tf.Session()
    session.run(tf.global_variables_initializer())
    rng = np.random.default_rng(0)
    for n in (1, 10, 0, 100, 1):
        rows = rng.standard_normal((n, 3)).astype(np.float32)
        expected = np.maximum(rows @ w - 1, 0)
        for fed in (rows, rows.astype(np.float64), np.asfortranarray(rows), np.repeat(rows, 2, 0)[::2], rows[::-1].copy()[::-1]):
            np.testing.assert_allclose(session.run(y, {x: fed}), expected, rtol=1e-4, atol=1e-5)


def test_nests_of_fetches_come_back_as_they_were_asked_for() -> None:
    v = tf.Variable(2.0, name="v")
    double = tf.multiply(v, 2.0, name="double")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found = session.run({"a": [v, (double, "double:0")], "b": v.initializer, "c": double})
    assert found == {"a": [2.0, (4.0, 4.0)], "b": None, "c": 4.0}


def test_any_tensor_can_be_fed() -> None:
    v = tf.Variable([1.0, 2.0])
    inner = v * 3.0
    outer = inner + 1.0
    session = tf.Session()
    assert session.run(outer, {inner: [5, 6]}).tolist() == [6, 7]
    assert session.run(outer, {v: [1, 1]}).tolist() == [4, 4]


def test_what_is_not_a_number_stays_so() -> None:
    x = tf.placeholder(tf.float32, [None])
    outcome = tf.Session().run([tf.reduce_sum(x), tf.reduce_max(x), tf.nn.relu(x), x > 0], {x: [np.nan, 1]})
    assert np.isnan(outcome[0])
    assert np.isnan(outcome[1])
    assert np.isnan(outcome[2][0])
    assert outcome[3].tolist() == [False, True]


# variables


def test_variables_from_tensors_arrays_and_lists() -> None:
    tf.set_random_seed(3)
    made = [tf.Variable(tf.random_normal([2, 2])), tf.Variable(np.eye(2)), tf.Variable([1, 2]), tf.Variable(tf.constant(0.0)), tf.Variable([0.3], tf.float32)]
    assert [v.name for v in made[:3]] == ["Variable:0", "Variable_1:0", "Variable_2:0"]
    session = tf.InteractiveSession()
    session.run(tf.global_variables_initializer())
    values = session.run(made)
    assert [v.dtype for v in values] == [np.float32, np.float64, np.int32, np.float32, np.float32]
    assert [np.shape(v) for v in values] == [(2, 2), (2, 2), (2,), (), (1,)]
    assert made[1].eval(session).tolist() == [[1, 0], [0, 1]]


def test_assignments_follow_each_other_and_swap() -> None:
    p, q = tf.Variable(1.0), tf.Variable(2.0)
    swap = tf.group(tf.assign(p, q), tf.assign(q, p))
    first = p.assign_add(10.0)
    with tf.control_dependencies([first]):
        second = tf.assign(p, p * 2.0)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    assert session.run(swap) is None
    assert session.run([p, q]) == [2.0, 1.0]
    assert session.run(second) == 24.0


def test_get_variable_shares_by_name() -> None:
    def layer() -> tf.Variable:
        return tf.get_variable("W", [2], initializer=tf.zeros_initializer())

    with tf.variable_scope("net"):
        made = layer()
    with tf.variable_scope("net", reuse=True):
        assert layer() is made
    assert made.name == "net/W:0"


# mathematics

X = np.random.default_rng(5).standard_normal((4, 6)).astype(np.float32)
LABELS = np.eye(6, dtype=np.float32)[[0, 2, 3, 5]]
LOG_SOFTMAX = X - np.log(np.exp(X).sum(1, keepdims=True))


def test_expressions_agree_with_numpy() -> None:
    x = tf.placeholder(tf.float32, [None, 6])
    pairs = [
        (2 - x, 2 - X), (np.float64(3) * x, 3 * X), (-x, -X), (2 / x, 2 / X), (x**2, X**2), (np.ones(6) - x, 1 - X), (x > 0, X > 0),
        (x[1:3, ::2], X[1:3, ::2]), (x[-1], X[-1]), (x[:, None, 2], X[:, None, 2]), (tf.reshape(x, [-1, 3]), X.reshape(-1, 3)),
        (tf.transpose(x), X.T), (tf.concat([x, x], 1), np.concatenate([X, X], 1)), (tf.stack([x, x], 1), np.stack([X, X], 1)),
        (tf.split(x, 3, 1)[1], X[:, 2:4]), (tf.gather(x, [2, 0]), X[[2, 0]]), (tf.where(x > 0, x, -x), abs(X)),
        (tf.squeeze(tf.expand_dims(x, 0), [0]), X), (tf.tile(x, [2, 1]), np.tile(X, (2, 1))), (tf.pad(x, [[1, 2], [0, 3]]), np.pad(X, ((1, 2), (0, 3)))),
        (tf.reduce_sum(x, reduction_indices=[1]), X.sum(1)), (tf.reduce_mean(x, axis=0), X.mean(0)), (tf.reduce_prod(x), X.prod()),
        (tf.reduce_max(x, 1, keep_dims=True), X.max(1, keepdims=True)), (tf.reduce_min(x), X.min()), (tf.argmax(x, 1), X.argmax(1)),
        (tf.matmul(x, x, transpose_b=True), X @ X.T), (tf.one_hot(tf.argmax(x, 1), 6), np.eye(6)[X.argmax(1)]), (tf.nn.tanh(x), np.tanh(X)),
        (tf.nn.softmax(x), np.exp(LOG_SOFTMAX)), (tf.nn.log_softmax(x), LOG_SOFTMAX), (tf.sigmoid(x), 1 / (1 + np.exp(-X))),
        (tf.nn.softmax_cross_entropy_with_logits(logits=x, labels=LABELS), -(LABELS * LOG_SOFTMAX).sum(1)),
        (tf.nn.sparse_softmax_cross_entropy_with_logits(logits=x, labels=[0, 2, 3, 5]), -(LABELS * LOG_SOFTMAX).sum(1)),
        (tf.nn.sigmoid_cross_entropy_with_logits(logits=x, labels=LABELS), np.log1p(np.exp(X)) - X * LABELS),
    ]  # fmt: skip
    found = tf.Session().run([tensor for tensor, _ in pairs], {x: X})
    for (tensor, expected), value in zip(pairs, found, strict=True):
        assert value.shape == expected.shape, tensor
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5, err_msg=str(tensor))


def test_gradients_of_gradients() -> None:
    x = tf.placeholder(tf.float32, [])
    y = x**3 + tf.stop_gradient(x) * x
    (first,) = tf.gradients(y, x)
    (second,) = tf.gradients(first, x)
    assert tf.Session().run([y, first, second], {x: 2.0}) == [12.0, 14.0, 12.0]


def _slots(step: Callable[[float, float, list[float], int], tuple[float, list[float]]], slots: list[float]) -> float:
    value = 1.0
    for t in range(1, 6):
        value, slots = step(value, 2 * value, slots, t)
    return value


def _adam(v: float, g: float, slots: list[float], t: int) -> tuple[float, list[float]]:
    m, s = 0.9 * slots[0] + 0.1 * g, 0.999 * slots[1] + 0.001 * g * g
    return v - 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(s) + 1e-8), [m, s]


def _momentum(v: float, g: float, slots: list[float], t: int) -> tuple[float, list[float]]:
    a = 0.9 * slots[0] + g
    return v - 0.1 * a, [a]


def _nesterov(v: float, g: float, slots: list[float], t: int) -> tuple[float, list[float]]:
    a = 0.9 * slots[0] + g
    return v - 0.1 * (g + 0.9 * a), [a]


def _adagrad(v: float, g: float, slots: list[float], t: int) -> tuple[float, list[float]]:
    a = slots[0] + g * g
    return v - 0.1 * g / np.sqrt(a), [a]


def _rmsprop(v: float, g: float, slots: list[float], t: int) -> tuple[float, list[float]]:
    a = 0.9 * slots[0] + 0.1 * g * g
    return v - 0.1 * g / np.sqrt(a + 1e-10), [a]


def test_optimizers_agree_with_their_formulas() -> None:
    train = tf.train
    cases = [
        (train.GradientDescentOptimizer(0.1), 0.8**5),
        (train.MomentumOptimizer(0.1, 0.9), _slots(_momentum, [0.0])),
        (train.MomentumOptimizer(0.1, 0.9, use_nesterov=True), _slots(_nesterov, [0.0])),
        (train.AdagradOptimizer(0.1), _slots(_adagrad, [0.1])),
        (train.RMSPropOptimizer(0.1), _slots(_rmsprop, [1.0])),
        (train.AdamOptimizer(0.1), _slots(_adam, [0.0, 0.0])),
    ]
    variables = [tf.Variable(1.0) for _ in cases]
    loss = tf.add_n([v * v for v in variables])
    steps = tf.group(*(o.minimize(loss, var_list=[v]) for (o, _), v in zip(cases, variables, strict=True)))
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    for _ in range(5):
        assert session.run(steps) is None
    np.testing.assert_allclose(session.run(variables), [expected for _, expected in cases], rtol=1e-5)


def test_a_learning_rate_fed_at_run_time_and_gradients_changed_on_their_way() -> None:
    v, rate = tf.Variable([1.0, -4.0]), tf.placeholder(tf.float32, [])
    optimizer = tf.train.GradientDescentOptimizer(rate)
    pairs = optimizer.compute_gradients(tf.reduce_sum(v**2))
    step = optimizer.apply_gradients([(tf.clip_by_value(g, -1.0, 1.0), w) for g, w in pairs])
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    session.run(step, {rate: 0.5})
    session.run(step, {rate: 0.25})
    np.testing.assert_allclose(session.run(v), [0.25, -3.25])


def test_draws_have_their_distributions_and_repeat_by_seed() -> None:
    def draws() -> list[np.ndarray]:
        graph = tf.Graph()
        with graph.as_default():
            tf.set_random_seed(7)
            tensors = [tf.random_normal([5000], mean=1.0, stddev=2.0), tf.random_uniform([5000], -1, 3), tf.truncated_normal([5000])]
            return tf.Session().run(tensors)

    normal, uniform, truncated = draws()
    assert (normal.mean(), normal.std()) == (pytest.approx(1, abs=0.1), pytest.approx(2, abs=0.1))
    assert (uniform.min() >= -1, uniform.max() < 3, uniform.mean()) == (True, True, pytest.approx(1, abs=0.1))
    assert abs(truncated).max() <= 2
    for first, again in zip((normal, uniform, truncated), draws(), strict=True):
        assert np.array_equal(first, again)


def test_two_sessions_keep_their_own_values_and_two_graphs_their_own_names() -> None:
    v = tf.Variable(0.0)
    add = v.assign_add(1.0)
    first, second = tf.Session(), tf.Session()
    for session in (first, second):
        session.run(v.initializer)
    first.run(add)
    assert (first.run(v), second.run(v)) == (1.0, 0.0)
    with tf.Graph().as_default():
        assert tf.Variable(0.0).name == "Variable:0"
