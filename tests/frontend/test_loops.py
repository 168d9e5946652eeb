"""Loops: many steps in one call leave the same bits as that many runs, batch by batch, and say what they cannot take."""

from __future__ import annotations

import numpy as np
import pytest

import flowc as tf
from flowc.config import override
from flowc.errors import FeedError, FetchError, GraphError, ShapeError, UninitializedError
from flowc.runtime import loop as loop_module
from flowc.runtime import native, threads


@pytest.fixture(autouse=True, params=["cpu", "python", "interpret"])
def backend(fresh_graph, request):
    with override(backend=request.param):
        yield request.param


rng = np.random.RandomState(0)
XS = rng.uniform(-1, 1, (23, 3)).astype(np.float32)
YS = (XS @ np.float32([[1], [-2], [3]]) + 0.5).astype(np.float32)


class Net:
    """A small network with Adam and dropout, in a session of its own."""

    def __init__(self) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.set_random_seed(5)
            self.x, self.y = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 1])
            self.keep = tf.placeholder(tf.float32)
            w = tf.Variable(tf.random_normal([3, 8], stddev=0.5))
            v = tf.Variable(tf.random_normal([8, 1], stddev=0.5))
            hidden = tf.nn.dropout(tf.nn.relu(tf.matmul(self.x, w)), self.keep)
            self.loss = tf.reduce_mean(tf.square(tf.matmul(hidden, v) - self.y))
            self.train = tf.train.AdamOptimizer(0.01).minimize(self.loss)
            self.session = tf.Session()
            self.session.run(tf.global_variables_initializer())
            self.variables = tf.global_variables()

    def values(self) -> list[bytes]:
        return [v.tobytes() for v in self.session.run(self.variables)]

    def stepwise(self, chosen):
        """The same in a Python loop: losses, and the variables afterwards."""
        losses = [self.session.run([self.loss, self.train], {self.x: XS[c], self.y: YS[c], self.keep: 0.8})[0] for c in chosen]
        return np.array(losses, np.float32), self.values()

    def loop(self, steps, **options):
        return self.session.run_loop([self.loss, self.train], steps, {self.keep: 0.8}, {self.x: XS, self.y: YS}, **options)


def in_order(steps, size):
    return [np.arange(i % (len(XS) // size) * size, i % (len(XS) // size) * size + size) for i in range(steps)]


@pytest.mark.parametrize(("steps", "size"), [(1, 5), (11, 5), (7, 23), (30, 1), (9, 12)])
def test_slices_in_order_are_those_of_a_python_loop(steps, size):
    one, many = Net(), Net()
    losses, values = one.stepwise(in_order(steps, size))
    got, nothing = many.loop(steps, batch_size=size, every=1)
    assert nothing is None and got.tobytes() == losses.tobytes()
    assert many.values() == values


def test_chosen_rows_are_those_of_a_python_loop():
    rows = np.random.RandomState(1).randint(0, len(XS), (12, 6))
    one, many = Net(), Net()
    losses, values = one.stepwise(rows)
    assert many.loop(12, rows=rows, every=1)[0].tobytes() == losses.tobytes()
    assert many.values() == values


def test_shuffled_batches_are_those_of_numpys_generator():
    order = np.random.default_rng(4).permuted(np.tile(np.arange(len(XS)), (4, 1)), axis=1)
    rows = order[:, :20].reshape(16, 5)
    one, many = Net(), Net()
    _, values = one.stepwise(rows[:13])
    many.loop(13, batch_size=5, shuffle=4)
    assert many.values() == values


def test_chunks_of_steps_make_no_difference(monkeypatch):
    one, many = Net(), Net()
    want = one.loop(57, batch_size=5, shuffle=4, every=4)[0]
    monkeypatch.setattr(loop_module, "CHUNK", 0.0)
    monkeypatch.setattr(loop_module, "MOST_CHOSEN", 12)
    assert many.loop(57, batch_size=5, shuffle=4, every=4)[0].tobytes() == want.tobytes()
    assert want.shape == (14,) and one.values() == many.values()


def test_shuffle_true_takes_the_graphs_seed():
    one, many = Net(), Net()
    one.loop(9, batch_size=5, shuffle=True)
    many.loop(9, batch_size=5, shuffle=5)
    assert one.values() == many.values()


def test_without_every_the_values_are_the_last_steps():
    one, many = Net(), Net()
    losses, _ = one.stepwise(in_order(10, 4))
    last, nothing = many.loop(10, batch_size=4)
    assert type(last) is np.float32 and last == losses[-1] and nothing is None


def test_a_loop_can_follow_runs_and_be_followed():
    one, many = Net(), Net()
    losses, values = one.stepwise(in_order(6, 4) + in_order(5, 4) + in_order(3, 4))
    got = [*many.stepwise(in_order(6, 4))[0], *many.loop(5, batch_size=4, every=1)[0], *many.stepwise(in_order(3, 4))[0]]
    assert got == list(losses) and many.values() == values


def test_loops_on_several_threads_give_the_same_bits(backend, monkeypatch):
    if backend != "cpu":
        pytest.skip("the other back ends have one thread")
    one = Net()
    one.loop(40, batch_size=5, shuffle=1)
    monkeypatch.setattr("flowc.runtime.executable.PARALLEL_WORK", 0.0)
    with override(threads=3):
        many = Net()
        many.loop(40, batch_size=5, shuffle=1)
    assert one.values() == many.values()


def test_a_loop_without_data():
    v = tf.Variable([1.0, 2.0])
    grow = v.assign(v * 2)
    session = tf.Session()
    session.run(v.initializer)
    assert session.run_loop(grow, 5).tolist() == [32, 64]
    assert session.run_loop({"v": v, "all": (grow, grow.op)}, 4, every=2)["v"].tolist() == [[64, 128], [256, 512]]
    assert session.run(v).tolist() == [512, 1024]


def test_variables_that_swap_and_values_from_before_the_step():
    a, b = tf.Variable(1.0), tf.Variable(2.0)
    before = a.read_value()
    swap = tf.group(a.assign(b.read_value()), b.assign(before))
    session = tf.Session()
    session.run([a.initializer, b.initializer])
    assert session.run_loop([before, swap], 5, every=1)[0].tolist() == [1, 2, 1, 2, 1]
    assert session.run([a, b]) == [2, 1]


def test_fewer_steps_than_every_keep_nothing():
    net = Net()
    assert net.loop(3, batch_size=5, every=4)[0].shape == (0,)


def test_data_of_other_dtypes_and_ranks():
    x, n = tf.placeholder(tf.float64, [None]), tf.placeholder(tf.int32, [None, 2, 2])
    total = tf.reduce_sum(x) + tf.cast(tf.reduce_sum(n), tf.float64)
    session = tf.Session()
    got = session.run_loop(total, 3, data={x: [1, 2, 3, 4], n: np.arange(16).reshape(4, 2, 2)}, rows=[[0, 3], [1, 1], [2, 0]], every=1)
    assert got.tolist() == [1 + 4 + 6 + 54, 4 + 44, 4 + 38 + 6]


def test_a_run_with_more_rows_between_loops_moves_the_memory():
    one, many = Net(), Net()
    for net in (one, many):
        net.loop(3, batch_size=5)
    many.session.run(many.loss, {many.x: np.ones((5000, 3)), many.y: np.ones((5000, 1)), many.keep: 1.0})
    many.session._counter -= 1
    for net in (one, many):
        net.loop(3, batch_size=5)
    assert one.values() == many.values()


def test_ctrl_c_stops_between_chunks_and_keeps_what_was_done(backend, monkeypatch):
    if backend != "cpu":
        pytest.skip("other back ends run step by step in Python")
    one, many = Net(), Net()
    real, steps = threads.loop, []

    def interrupted(words, at, count, nthreads):
        if len(steps) == 3:
            raise KeyboardInterrupt
        steps.append(count)
        real(words, at, count, nthreads)

    with monkeypatch.context() as patch:
        patch.setattr(threads, "loop", interrupted)
        patch.setattr(loop_module, "CHUNK", 0.0)
        with pytest.raises(KeyboardInterrupt):
            many.loop(10**9, batch_size=5)
    assert steps == [1, 1, 1]
    one.loop(3, batch_size=5)
    for net in (one, many):
        net.loop(2, batch_size=5)
    assert one.values() == many.values()


def test_where_native_calls_cannot_be_used_the_bits_are_the_same(monkeypatch):
    one = Net()
    want = one.loop(20, batch_size=5, shuffle=3, every=3)[0]
    monkeypatch.setattr(native, "unsupported", lambda: "an interpreter of another make")
    many = Net()
    assert many.loop(20, batch_size=5, shuffle=3, every=3)[0].tobytes() == want.tobytes()
    assert one.values() == many.values()


# what cannot be done


@pytest.mark.parametrize(
    ("steps", "options", "message"),
    [(0, {"batch_size": 5}, "run_loop: steps is 0, a whole number from 1 on is expected"),
     (2.5, {"batch_size": 5}, "run_loop: steps is 2.5"),
     (True, {"batch_size": 5}, "run_loop: steps is True"),
     (3, {}, "run_loop: data needs a batch_size, or the rows of each step"),
     (3, {"batch_size": 0}, "run_loop: batch_size is 0"),
     (3, {"batch_size": 24}, "run_loop: batch_size is 24, the data has 23 rows"),
     (3, {"batch_size": 5, "every": 0}, "run_loop: every is 0"),
     (3, {"batch_size": 5, "shuffle": -1}, "run_loop: shuffle is -1"),
     (3, {"rows": [[1], [2]]}, r"run_loop: rows are int64\[2, 1\], whole numbers of shape \[3, batch size\] are expected"),
     (2, {"rows": [[1.0], [2.0]]}, r"run_loop: rows are float64\[2, 1\]"),
     (2, {"rows": [[1], [2]], "batch_size": 2}, r"whole numbers of shape \[2, 2\] are expected"),
     (2, {"rows": [[1], [23]]}, "run_loop: rows go from 1 to 23, the data has rows 0 to 22"),
     (2, {"rows": [[1], [-1]]}, "run_loop: rows go from -1 to 1, the data has rows 0 to 22"),
     (2, {"rows": [[1], [2]], "shuffle": 1}, "run_loop: rows say the order of the data")],
)  # fmt: skip
def test_arguments_that_do_not_fit(steps, options, message):
    net = Net()
    before = net.values()
    with pytest.raises(FeedError, match=message) as caught:
        net.loop(steps, **options)
    assert "test_loops.py" in str(caught.value)
    assert net.values() == before


def test_data_that_does_not_fit():
    net = Net()
    run = net.session.run_loop
    with pytest.raises(FeedError, match="run_loop: the data for Placeholder has 23 rows, that for Placeholder_1 22"):
        run(net.train, 3, {net.keep: 1.0}, {net.x: XS, net.y: YS[1:]}, batch_size=5)
    with pytest.raises(FeedError, match="run_loop: data for Placeholder_2 is one number, an array of rows is expected"):
        run(net.train, 3, None, {net.x: XS, net.y: YS, net.keep: 1.0}, batch_size=5)
    with pytest.raises(FeedError, match="run_loop: Placeholder:0 is in feed_dict and in data"):
        run(net.train, 3, {net.x: XS, net.keep: 1.0}, {net.x: XS, net.y: YS}, batch_size=5)
    with pytest.raises(FeedError, match="run_loop: data is a dict from tensors to values, not list"):
        run(net.train, 3, None, [XS], batch_size=5)
    with pytest.raises(FeedError, match="batch_size, shuffle and rows are for data, and there is none"):
        run(net.train, 3, {net.x: XS, net.y: YS, net.keep: 1.0}, batch_size=5)
    with pytest.raises(FeedError, match="feed of Placeholder: a value of type str cannot be cast to f32"):
        run(net.train, 3, {net.keep: 1.0}, {net.x: "rows", net.y: YS}, batch_size=5)
    with pytest.raises(FeedError, match=r"a value of shape \[5, 2\] does not fit f32\[\w+, 3\]"):
        run(net.train, 3, {net.keep: 1.0}, {net.x: XS[:, :2], net.y: YS}, batch_size=5)
    with pytest.raises(FeedError, match="placeholder Placeholder_2 is not fed"):
        run(net.train, 3, None, {net.x: XS, net.y: YS}, batch_size=5)


def test_a_loop_needs_initialised_variables():
    net = Net()
    with pytest.raises(UninitializedError):
        tf.Session(graph=net.graph).run_loop(net.train, 3, {net.keep: 1.0}, {net.x: XS, net.y: YS}, batch_size=5)


def test_a_summary_is_not_stacked():
    x = tf.placeholder(tf.float32, [None])
    shown = tf.summary.scalar("x", tf.reduce_sum(x))
    session = tf.Session()
    with pytest.raises(FetchError, match="run_loop: a summary has no value for every step"):
        session.run_loop(shown, 2, data={x: [1, 2]}, batch_size=1, every=1)
    assert session.run_loop(shown, 2, data={x: [1, 2]}, batch_size=1) == session.run(shown, {x: [2]})


def test_a_closed_session_loops_no_more():
    net = Net()
    net.session.close()
    with pytest.raises(GraphError, match="the session is closed"):
        net.loop(3, batch_size=5)


# plain functions


def descend(state, batch):
    x, y = batch
    loss, slope = tf.value_and_grad(lambda w: tf.mean((tf.matmul(x, w["w"]) + w["b"] - y) ** 2))(state["weights"])
    weights = {name: w - 0.1 * slope[name] for name, w in state["weights"].items()}
    return {"weights": weights, "steps": state["steps"] + 1}, {"loss": loss}


def start():
    return {"weights": {"w": np.zeros((3, 1), np.float32), "b": np.zeros(1, np.float32)}, "steps": 0}


def test_a_plain_step_gives_what_a_python_loop_gives():
    compiled, state, losses = tf.compile(descend), start(), []
    for rows in in_order(17, 5):
        state, out = compiled(state, (XS[rows], YS[rows]))
        losses.append(out["loss"])
    got, out = tf.run_loop(descend, start(), 17, (XS, YS), batch_size=5, every=1)
    assert got["steps"] == 17 and got["steps"].dtype == np.int32
    np.testing.assert_allclose(out["loss"], losses, rtol=1e-6)
    for name in ("w", "b"):
        np.testing.assert_allclose(got["weights"][name], state["weights"][name], rtol=1e-6)


def test_a_step_is_traced_once_for_one_set_of_types():
    traced = []

    def step(state, batch):
        traced.append(None)
        return state + tf.sum(batch), None

    for size in (1, 2, 4):
        assert tf.run_loop(step, 0.0, 4, np.arange(4, dtype=np.float32), batch_size=size) == ({1: 6.0, 2: 12.0, 4: 24.0}[size], None)
    assert len(traced) == 1
    assert tf.run_loop(step, np.zeros(2), 1, np.arange(4.0), batch_size=4)[0].tolist() == [6, 6]
    assert len(traced) == 2


def test_a_step_without_data_and_values_that_are_not_changed():
    def fibonacci(state):
        a, b, one = state
        return (b, a + b, one), a

    (a, b, one), found = tf.run_loop(fibonacci, (0, 1, 1.5), 10, every=1)
    assert found.tolist() == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34] and (a, b, one) == (55, 89, 1.5)


def test_a_compiled_step_and_the_callers_arrays_stay_as_they_are():
    @tf.compile
    def step(state):
        return state * 2, state

    given = np.float32([1, 2])
    for _ in range(2):
        state, last = tf.run_loop(step, given, 3)
        assert (state.tolist(), last.tolist(), given.tolist()) == ([8, 16], [4, 8], [1, 2])


def test_draws_of_a_step_depend_on_its_count():
    def step(count):
        return count + 1, tf.random.normal([2], seed=3, count=count)

    _, draws = tf.run_loop(step, 0, 4, every=1)
    assert [d.tolist() for d in draws] == [tf.compile(step)(n)[1].tolist() for n in range(4)]


@pytest.mark.parametrize(
    ("step", "message"),
    [(lambda s: s, r"is a step of run_loop and returns \(state, outputs\), not Tensor"),
     (lambda s: ([s], None), r"returns a state of another structure: state\[0\] for state"),
     (lambda s: (tf.sum(s), None), r"returns state as f32, the state has f32\[2\] there"),
     (lambda s: (tf.astype(s, tf.float64), None), r"returns state as f64\[2\], the state has f32\[2\] there"),
     (lambda s: (s + tf.Variable(1.0), None), "makes a variable: what a step keeps is its state")],
)  # fmt: skip
def test_steps_that_return_something_else(step, message):
    with pytest.raises(GraphError, match=message) as caught:
        tf.run_loop(step, np.zeros(2, np.float32), 3)
    assert "test_loops.py" in str(caught.value)


def test_an_error_inside_a_step_names_its_line():
    with pytest.raises(ShapeError, match=r"test_loops\.py:\d+ in <lambda>"):
        tf.run_loop(lambda s: (s + tf.matmul(s, s), None), np.zeros((2, 3), np.float32), 3)


def test_data_and_state_of_a_step_that_do_not_fit():
    with pytest.raises(FeedError, match="run_loop: data are arrays of rows, not numbers"):
        tf.run_loop(lambda s, x: (s, None), 0.0, 3, 1.0, batch_size=1)
    with pytest.raises(TypeError, match="run_loop: argument state is a object"):
        tf.run_loop(lambda s: (s, None), object(), 3)
    with pytest.raises(FeedError, match="batch_size, shuffle and rows are for data"):
        tf.run_loop(lambda s: (s, None), 0.0, 3, batch_size=1)
