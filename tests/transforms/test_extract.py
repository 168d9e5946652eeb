import numpy as np
import pytest

from flowc.errors import FeedError
from flowc.ir.interpret import interpret
from flowc.ir.types import U64
from flowc.transforms.extract import dotted, extract, identifier
from tests.transforms.graphs import Sketch


def text(extraction) -> str:
    return str(extraction.function)


def test_only_what_the_fetches_need_is_taken():
    g = Sketch()
    x = g.placeholder("x", (None,))
    g.placeholder("unused", (None,))
    y = g("neg", x, name="Layer/out")
    g("exp", y)
    assert text(extract([y], [x])) == "def main(x: f32[b]):\n    Layer.out: f32[b] = neg(x)\n    return Layer.out\n"


def test_a_fed_node_cuts_what_stands_before_it():
    g = Sketch()
    x = g.placeholder("x", (None,))
    h = g("neg", x, name="Layer/h")
    y = g("exp", h, name="y")
    assert text(extract([y], [h])) == "def main(Layer_h: f32[b]):\n    y: f32[b] = exp(Layer_h)\n    return y\n"


def test_an_unfed_placeholder_is_named_with_its_line():
    g = Sketch()
    x = g.placeholder("input/x", (None, 2))
    y = g("neg", x, name="y")
    with pytest.raises(FeedError) as caught:
        extract([y], [])
    lines = str(caught.value).splitlines()
    assert lines[0] == "placeholder input/x is not fed, and y needs it"
    assert lines[1] == "  input/x: f32[b, 2] = placeholder()"
    assert lines[2].startswith("  graphs.py:") and "in __call__" in lines[2]


def test_a_read_sees_the_value_at_its_place_and_the_write_lands_at_the_end():
    g = Sketch()
    w = g.variable("w", (2,))
    before = g("read", w, name="before")
    step = g("assign_sub", w, g.constant([1.0, 1.0]), name="step")
    after = g("read", w, name="after")
    e = extract([after, step, before], [])
    old = np.array([5.0, 6.0], np.float32)
    results = interpret(e.function, [old])
    positions = e.fetches
    assert results[positions[0]].tolist() == [4.0, 5.0]
    assert positions[0] == positions[1]
    assert results[positions[2]].tolist() == [5.0, 6.0]
    assert results[len(e.function.results)].tolist() == [4.0, 5.0]
    assert e.writes == (w,) and e.reads == {w} and e.variables == (w,)


def test_writes_build_on_each_other_in_creation_order_whatever_the_fetch_order():
    g = Sketch()
    w = g.variable("w", ())
    first = g("assign", w, g.constant(3.0))
    second = g("assign_add", w, g.constant(4.0))
    e = extract([second, first], [])
    assert [float(v) for v in interpret(e.function, [np.float32(100)])] == [7.0, 3.0, 7.0]
    assert e.reads == frozenset()


def test_a_write_that_nothing_fetches_does_not_happen():
    g = Sketch()
    w = g.variable("w", ())
    g("assign", w, g.constant(3.0))
    r = g("read", w)
    assert extract([r], []).writes == ()


def test_control_edges_are_followed_and_a_group_has_no_value():
    g = Sketch()
    w = g.variable("w", ())
    step = g("assign_add", w, g.constant(1.0))
    done = g("group", name="done", control=(step,))
    e = extract([done], [])
    assert e.fetches == (None,) and e.function.results == () and e.writes == (w,)


def test_equal_fetches_share_one_result():
    g = Sketch()
    x = g.placeholder("x", ())
    a, b = g("exp", x, name="a"), g("exp", x, name="b")
    e = extract([a, b, x], [x])
    assert e.fetches == (0, 0, 1) and len(e.function.results) == 2


def test_the_run_counter_is_the_last_param():
    g = Sketch()
    x = g.placeholder("x", (None, 3))
    counter = g("run_counter")
    w = g.variable("w", (3,))
    y = g("add", g("read", w), x)
    z = g("add", y, g("cast", counter, dtype=x.type.dtype))
    e = extract([z], [x])
    assert e.uses_counter
    assert [str(p.name) for p in e.function.params] == ["x", "w", "run"]
    assert e.function.params[-1].tensor.dtype is U64


def test_feeding_a_variable_that_the_run_writes_is_an_error():
    g = Sketch()
    w = g.variable("w", ())
    step = g("assign", w, g.constant(1.0), name="step")
    with pytest.raises(FeedError, match="variable w is fed and written in one run"):
        extract([step], [w])


@pytest.mark.parametrize(
    ("name", "in_a_function", "as_a_param"),
    [
        ("HiddenLayer/MatMul", "HiddenLayer.MatMul", "HiddenLayer_MatMul"),
        ("lambda/x-1", "lambda_.x_1", "lambda_x_1"),
        ("1st/2nd", "_1st._2nd", "_1st_2nd"),
        ("class", "class_", "class_"),
    ],
)
def test_names_become_names_of_python(name, in_a_function, as_a_param):
    assert dotted(name) == in_a_function
    assert identifier(name) == as_a_param


def test_names_that_become_one_are_told_apart():
    g = Sketch()
    x, y = g.placeholder("a/b", ()), g.placeholder("a_b", ())
    z = g("add", x, y, name="z")
    assert [p.name for p in extract([z], [x, y]).function.params] == ["a_b", "a_b_1"]


def test_a_reshape_that_only_some_extents_allow_is_left_to_the_run():
    g = Sketch()
    x = g.placeholder("x", (None, 4))
    y = g("reshape", x, shape=(2, 6))
    assert len(extract([y], [x]).function.nodes) == 1
