"""Summaries: nodes whose fetch gives bytes; tags, pictures and buckets as TensorFlow has them."""

from __future__ import annotations

import numpy as np
import pytest

import flowc as tf
from flowc import config
from flowc.codegen import build
from flowc.errors import DTypeError, FeedError, GraphError, InvalidArgumentError, ShapeError
from flowc.frontend.fetches import Fetches
from tests.frontend.tfevents import decode_png, fields, values


def run(fetches, feeds=None):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetches, feeds)


def number(summary, tag):
    return values(summary)[tag][2][0]


def pictures(summary):
    return {tag: decode_png(fields(value[4][0])[4][0]) for tag, value in values(summary).items()}


# fetching


def test_a_scalar_summary_gives_its_tag_and_number_as_bytes():
    x = tf.placeholder(tf.float32, [])
    summary = run(tf.summary.scalar("loss", x), {x: 0.25})
    assert isinstance(summary, bytes) and values(summary) == {"loss": {1: [b"loss"], 2: [0.25]}}


@pytest.mark.parametrize("dtype", [tf.float16, tf.float64, tf.int32, tf.uint8])
def test_a_scalar_summary_takes_numbers_of_any_type(dtype):
    assert number(run(tf.summary.scalar("x", tf.constant(3, dtype))), "x") == 3.0


def test_summaries_are_fetched_in_any_nest_beside_other_things():
    v = tf.Variable(2.0)
    step = v.assign_add(1.0)
    summary = tf.summary.scalar("v", step)
    found = run({"a": [step.op, summary], "b": (summary, v * 0.0, summary.name)})
    assert found["a"][0] is None and found["b"][1] == 0.0
    assert {number(s, "v") for s in (found["a"][1], found["b"][0], found["b"][2])} == {3.0}


def test_a_summary_is_a_string_tensor_with_a_name_and_an_operation():
    with tf.name_scope("train"):
        summary = tf.summary.scalar("loss", 1.0)
    assert isinstance(summary, tf.Tensor) and summary.name == "train/loss:0" and summary.op.type == "ScalarSummary"
    assert str(summary) == 'Tensor("train/loss:0", shape=(), dtype=string)'
    assert run(summary.op) is None


def test_a_summarys_control_dependencies_run_with_it():
    v = tf.Variable(0.0)
    with tf.control_dependencies([v.assign_add(1.0)]):
        summary = tf.summary.scalar("one", 1.0)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(summary)
        assert session.run(v) == 1.0


def test_a_run_that_fetches_no_summary_is_the_very_same_program():
    x = tf.placeholder(tf.float32, [None, 3])
    w = tf.Variable(tf.zeros([3]))
    loss = tf.reduce_sum(tf.square(x * w - 1.0))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    feeds = {x: np.ones((4, 3))}
    with config.override(backend="cpu"):
        before, made = tf.Session().executable([train, loss], feeds), build.compilations
        tf.summary.scalar("loss", loss)
        tf.summary.histogram("w", w)
        tf.summary.image("x", tf.reshape(x * 2.0, [1, -1, 3, 1]))
        merged = tf.summary.merge_all()
        tf.get_default_graph().signatures.clear()  # so that it is worked out anew
        after = tf.Session().executable([train, loss], feeds)
        assert after is not before and after.source == before.source and str(after.module) == str(before.module)
        assert after.source_path == before.source_path and build.compilations == made
        assert tf.Session().executable([train, loss, merged], feeds).source != before.source


def test_what_a_summary_tells_of_is_computed_by_the_runs_own_kernels():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    loss = tf.reduce_sum(tf.square(x), name="loss")
    merged = tf.summary.merge([tf.summary.scalar("loss", loss), tf.summary.histogram("distance", tf.sqrt(loss, name="distance"))])
    with config.override(backend="cpu"), tf.Session() as session:
        program = session.executable([loss, merged], {x: np.ones((4, 3))})
        assert program.expect_fused("distance") == program.expect_fused("loss") and len(program.kernels) == 1


def test_a_run_that_is_put_off_gives_nothing_for_a_summary():
    fetches = Fetches(tf.get_default_graph(), [tf.summary.scalar("loss", 1.0)])
    assert fetches.packer([None, None])([]) == [None]


@pytest.mark.parametrize("use", [lambda s: -s, lambda s: s + 1.0, tf.identity, lambda s: tf.stack([s, s]), lambda s: tf.summary.scalar("again", s)])
def test_a_summary_is_no_operand(use):
    summary = tf.summary.scalar("loss", 1.0)
    with pytest.raises(DTypeError, match="summary"):
        use(summary)


def test_a_summary_is_not_fed():
    summary = tf.summary.scalar("loss", 1.0)
    with pytest.raises(FeedError, match="loss: text and summaries cannot be fed"):
        run(tf.constant(1.0), {summary: b""})


# names and tags


def test_tags_are_the_scoped_names_and_taken_ones_get_a_number():
    with tf.name_scope("layer"):
        made = [tf.summary.scalar("x", 1.0), tf.summary.scalar("x", 2.0)]
    assert [list(values(s)) for s in run(made)] == [["layer/x"], ["layer/x_1"]]


def test_characters_that_no_name_has_become_underscores():
    assert tf.summary.scalar("/the loss: α", 1.0).op.name == "the_loss___"


def test_a_family_stands_in_front_of_the_tag_twice():
    with tf.name_scope("scope"):
        summary = tf.summary.scalar("x", 1.0, family="fam")
    assert summary.op.name == "scope/fam/x"
    assert list(values(run(summary))) == ["fam/scope/fam/x"]


def test_collections_other_than_the_usual_one_can_be_given():
    summary = tf.summary.scalar("x", 1.0, collections=["mine"])
    assert tf.get_collection("mine") == [summary] and tf.summary.merge_all() is None
    assert tf.summary.merge_all("mine").op.inputs == [summary]


# merging


def test_merge_all_gives_every_summary_of_the_graph_in_order():
    tf.summary.scalar("a", 1.0)
    tf.summary.histogram("b", [1.0, 2.0])
    tf.summary.text("c", "words")
    merged = tf.summary.merge_all()
    assert merged.name == "Merge/MergeSummary:0"
    assert list(values(run(merged))) == ["a", "b", "c"]


def test_merge_all_of_a_scope_gives_those_below_it():
    tf.summary.scalar("a", 1.0)
    with tf.name_scope("inner"):
        tf.summary.scalar("b", 1.0)
    assert list(values(run(tf.summary.merge_all(scope="inner/")))) == ["inner/b"]


def test_merged_summaries_merge_again():
    first = tf.summary.merge([tf.summary.scalar("a", 1.0), tf.summary.scalar("b", 2.0)])
    both = tf.summary.merge([first, tf.summary.scalar("c", 3.0)])
    found = values(run(both))
    assert {tag: value[2] for tag, value in found.items()} == {"a": [1.0], "b": [2.0], "c": [3.0]}


def test_a_tag_that_comes_twice_is_named():
    summary = tf.summary.scalar("a", 1.0)
    with pytest.raises(GraphError, match="the tag a comes twice"):
        tf.summary.merge([summary, tf.summary.merge([summary])])


@pytest.mark.parametrize("inputs", [[], [1.0], None])
def test_only_summaries_are_merged(inputs):
    with pytest.raises(GraphError, match=r"summary\.merge: "):
        tf.summary.merge(inputs)


def test_a_merged_summary_beside_training_gives_both_through_compiled_code():
    x = tf.placeholder(tf.float32, [None])
    w = tf.Variable(1.0)
    loss = tf.reduce_mean(tf.square(w * x))
    tf.summary.scalar("loss", loss)
    tf.summary.histogram("w", w)
    merged = tf.summary.merge_all()
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.override(backend="cpu"), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        losses = [number(session.run([train, merged], {x: [1.0, 2.0]})[1], "loss") for _ in range(3)]
    np.testing.assert_allclose(losses, [2.5, 0.625, 0.15625], rtol=1e-6)


# what does not fit


def test_a_scalar_summary_of_a_vector_is_refused():
    with pytest.raises(ShapeError, match=r"one number is expected, not a tensor of shape \[2\]"):
        tf.summary.scalar("x", [1.0, 2.0])


def test_a_shape_that_only_the_run_tells_is_checked_then():
    x = tf.placeholder(tf.float32)
    summary, image = tf.summary.scalar("x", x), tf.summary.image("i", x)
    assert number(run(summary, {x: 2.0}), "x") == 2.0
    with pytest.raises(ShapeError, match=r"summary x: one number is expected, not an array of shape \[1\]"):
        run(summary, {x: [2.0]})
    with pytest.raises(ShapeError, match=r"summary i: images have shape .* not \[1\]"):
        run(image, {x: [2.0]})


@pytest.mark.parametrize("shape", [[3, 3], [1, 3, 3, 2], [1, 2, 3, 4, 1]])
def test_an_image_of_another_shape_is_refused(shape):
    with pytest.raises(ShapeError, match="images have shape"):
        tf.summary.image("x", tf.zeros(shape))


def test_an_image_of_ints_is_refused():
    with pytest.raises(DTypeError, match="an image is u8"):
        tf.summary.image("x", tf.zeros([1, 2, 2, 1], tf.int32))


@pytest.mark.parametrize("most", [0, -1, 1.5, True])
def test_an_image_summary_shows_at_least_one(most):
    with pytest.raises(InvalidArgumentError, match="max_outputs"):
        tf.summary.image("x", tf.zeros([1, 2, 2, 1]), most)


@pytest.mark.parametrize(("value", "what"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_a_histogram_of_values_that_are_not_finite_is_refused(value, what):
    x = tf.placeholder(tf.float32, [2])
    summary = tf.summary.histogram("h", x)
    with pytest.raises(InvalidArgumentError, match=f"summary h: {what} is among the values"):
        run(summary, {x: [1.0, value]})


def test_truth_values_are_no_numbers():
    with pytest.raises(DTypeError, match="bool is no type of numbers"):
        tf.summary.histogram("x", [True])


# images, histograms, text


def test_images_are_tagged_by_place_and_at_most_max_outputs_are_shown():
    images = tf.constant(np.zeros((4, 2, 2, 3), np.uint8))
    found = run([tf.summary.image("a", images), tf.summary.image("b", images, 9), tf.summary.image("c", images, max_outputs=1)])
    assert [list(values(s)) for s in found] == [["a/image/0", "a/image/1", "a/image/2"], [f"b/image/{i}" for i in range(4)], ["c/image"]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_of_bytes_is_shown_as_it_is(channels):
    image = np.random.default_rng(1).integers(0, 256, (1, 5, 4, channels), np.uint8)
    summary = run(tf.summary.image("i", image, 1))
    np.testing.assert_array_equal(pictures(summary)["i/image"], image[0])
    shown = fields(values(summary)["i/image"][4][0])
    assert (shown[1], shown[2], shown[3]) == ([5], [4], [channels])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ([0.0, 1.0, 2.0], [0, 127, 255]),  # the largest becomes 255
        ([-2.0, 0.0, 1.0], [1, 128, 191]),  # zero becomes 128
        ([0.0, 1e-7, 0.0], [0, 0, 0]),  # as good as black
        ([0.0, np.nan, 2.0], [0, 255, 255]),
        ([np.nan, np.nan, np.inf], [255, 255, 255]),
    ],
)
def test_images_of_floats_are_scaled_as_tensorflow_does(row, shown, dtype):
    summary = run(tf.summary.image("i", np.array(row, dtype).reshape(1, 1, 3, 1), 1))
    assert pictures(summary)["i/image"].reshape(-1).tolist() == shown


def test_each_image_is_scaled_on_its_own_and_bad_pixels_are_red():
    images = np.array([[[[1.0, 0.5, 0.0]]], [[[4.0, 2.0, 0.0]]], [[[1.0, np.nan, 0.0]]]], np.float32)
    assert [p.reshape(-1).tolist() for p in pictures(run(tf.summary.image("i", images))).values()] == [[255, 127, 0], [255, 127, 0], [255, 0, 0]]


def test_a_histogram_tells_how_values_are_spread():
    value = fields(values(run(tf.summary.histogram("h", [[1, 2], [3, -6]])))["h"][5][0])
    assert [value[field][0] for field in (1, 2, 3, 4, 5)] == [-6.0, 3.0, 4.0, 0.0, 50.0]
    assert np.frombuffer(value[7][0], "<f8").sum() == 4.0 and len(value[6][0]) == len(value[7][0])


@pytest.mark.parametrize(
    ("given", "shape", "items"),
    [("süß", [], ["süß"]), (b"raw", [], [b"raw"]), ([["a", "b"], ["c", "d"]], [2, 2], ["a", "b", "c", "d"]), (np.array(["x", "y"]), [2], ["x", "y"])],
)
def test_text_keeps_its_shape(given, shape, items):
    value = values(run(tf.summary.text("note", given)))["note"]
    tensor = fields(value[8][0])
    assert tensor[1] == [7] and tensor[8] == [i if isinstance(i, bytes) else i.encode() for i in items]
    assert [fields(d)[1][0] for d in fields(tensor[2][0]).get(2, [])] == shape
    assert fields(fields(value[9][0])[1][0])[1] == [b"text"]


@pytest.mark.parametrize("given", [1.0, ["a", 2], None, [["a"], [1]], np.zeros(2), []])
def test_text_is_made_of_strings(given):
    with pytest.raises(DTypeError, match=r"summary\.text: strings are expected"):
        tf.summary.text("note", given)


def test_lists_of_strings_of_different_lengths_are_no_tensor():
    with pytest.raises(ShapeError, match="strings in lists of different lengths"):
        tf.summary.text("note", [["a"], ["b", "c"]])


def test_text_does_not_come_from_numbers():
    with pytest.raises(DTypeError, match=r"summary\.text"):
        tf.summary.text("note", tf.constant(1.0))


def test_text_comes_from_constants_of_strings():
    settings = {"rate": 0.5, "steps": 100}
    table = tf.stack([tf.convert_to_tensor([name, str(value)]) for name, value in sorted(settings.items())])
    found = values(run(tf.summary.merge([tf.summary.text("settings", table), tf.summary.scalar("x", 1.0), tf.summary.text("note", tf.constant("süß"))])))
    tensor = fields(found["settings"][8][0])
    assert tensor[8] == [b"rate", b"0.5", b"steps", b"100"] and [fields(d)[1][0] for d in fields(tensor[2][0])[2]] == [2, 2]
    assert fields(found["note"][8][0])[8] == ["süß".encode()] and found["x"][2] == [1.0]


def test_a_constant_of_strings_has_a_type_and_gives_bytes():
    one, two = tf.constant("süß", name="one"), tf.constant([["a"], ["b"]], dtype=tf.string)
    assert (one.dtype, one.shape.as_list(), two.shape.as_list(), one.op.type) == (tf.string, [], [2, 1], "Const")
    assert tf.convert_to_tensor(one) is one
    found = run({"one": one, "two": [two, tf.constant(1.0)]})
    assert found["one"] == "süß".encode() and found["two"][0].tolist() == [[b"a"], [b"b"]] and found["two"][1] == 1.0


@pytest.mark.parametrize(
    "use",
    [
        lambda: tf.constant("a") + 1.0, lambda: tf.constant(1.0) + "a", lambda: tf.placeholder(tf.string), lambda: tf.cast(1.0, tf.string),
        lambda: tf.constant([1.0], dtype=tf.string), lambda: tf.Variable("a"), lambda: tf.zeros([2], tf.string), lambda: tf.placeholder("string"),
    ],
)  # fmt: skip
def test_nothing_is_computed_with_strings(use):
    with pytest.raises(DTypeError, match=r"strings|numbers|text"):
        use()
