import numpy as np
import pytest

from flowc.errors import FeedError, ShapeError
from flowc.ir.interpret import interpret
from flowc.transforms import specialize as module
from flowc.transforms.extract import extract
from flowc.transforms.specialize import Specializer, pattern, specialize
from tests.transforms.graphs import Sketch


def header(f) -> str:
    return str(f).splitlines()[0]


def linear():
    """W * x + c against y, with placeholders of unknown rank: the first program of TensorFlow's guide."""
    g = Sketch()
    w = g.variable("W", (1,))
    x, y = g.placeholder("x", None), g.placeholder("y", None)
    loss = g("reduce_sum", g("square", g("sub", g("mul", g("read", w), x), y)), name="loss")
    return extract([loss], [x, y]).function


def softmax_program():
    g = Sketch()
    x, labels = g.placeholder("x", (None, 784)), g.placeholder("labels", (None, 10))
    h = g("reshape", x, shape=(-1, 28, 28, 1))
    r = g("reduce_sum", h, axis=(1, 2))
    loss = g("reduce_sum", g("mul", labels, r))
    return extract([loss], [x, labels]).function


def test_unknown_ranks_are_bound_and_equal_extents_share_a_symbol():
    f = specialize(linear(), [(4,), (4,), (1,)])
    assert header(f) == "def main(x: f32[n0], y: f32[n0], W: f32[1]):"
    assert f.results[0].type.shape == ()


def test_batches_share_one_specialization_and_a_batch_of_one_has_its_own():
    s = Specializer(softmax_program())
    answers = {batch: s.specialize([(batch, 784), (batch, 10)]) for batch in (10, 100, 1000, 784, 1)}
    assert len({key for key, _ in answers.values()}) == 2
    assert answers[10][1] is answers[1000][1] is answers[784][1]
    assert header(answers[10][1]) == "def main(x: f32[b, 784], labels: f32[b, 10]):"
    assert header(answers[1][1]) == "def main(x: f32[1, 784], labels: f32[1, 10]):"


def test_a_known_pattern_is_not_inferred_again(monkeypatch):
    s = Specializer(softmax_program())
    s.specialize([(10, 784), (10, 10)])
    monkeypatch.setattr(module, "rebuild", None)
    s.specialize([(20, 784), (20, 10)])


def test_the_pattern_tells_ranks_ones_and_equal_extents_apart():
    f = linear()
    shapes = [[(4,), (4,)], [(4,), (5,)], [(1,), (4,)], [(4, 2), (4, 2)], [(), ()]]
    assert len({pattern(f, s) for s in shapes}) == 5
    assert pattern(f, [(4,), (4,)]) == pattern(f, [(9,), (9,)])


def test_an_extent_that_must_be_a_known_one_is_checked_for_every_shape():
    g = Sketch()
    x = g.placeholder("x", (None, None))
    y = g("add", x, g.constant(np.ones(3)))
    s = Specializer(extract([y], [x]).function)
    _, f = s.specialize([(5, 3)])
    assert s.specialize([(6, 3)])[1] is f
    with pytest.raises(ShapeError, match=r"add: shapes \[6, 4\] and \[3\] do not broadcast"):
        s.specialize([(6, 4)])
    assert s.specialize([(7, 3)])[1] is f


def test_extents_that_do_not_broadcast_name_the_users_line():
    g = Sketch()
    x, y = g.placeholder("x", None), g.placeholder("y", None)
    z = g("add", x, y)
    with pytest.raises(ShapeError) as caught:
        specialize(extract([z], [x, y]).function, [(3,), (4,)])
    assert "graphs.py" in str(caught.value)


def test_a_reshape_that_fits_one_batch_only_is_checked_for_every_shape():
    g = Sketch()
    x = g.placeholder("x", (None, 4))
    y = g("reshape", x, shape=(2, 6))
    s = Specializer(extract([y], [x]).function)
    key, f = s.specialize([(3, 4)])
    assert f.results[0].type.shape == (2, 6)
    assert s.specialize([(3, 4)]) == (key, f)
    with pytest.raises(ShapeError, match="has 20 elements"):
        s.specialize([(5, 4)])


def test_extents_whose_relation_cannot_be_expressed_are_bound_themselves():
    g = Sketch()
    x, y = g.placeholder("x", (None,)), g.placeholder("y", (None,))
    z = g("add", g("concat", x, x, axis=0), y)
    s = Specializer(extract([z], [x, y]).function)
    key, f = s.specialize([(3,), (6,)])
    assert header(f) == "def main(x: f32[3], y: f32[6]):"
    assert s.specialize([(3,), (6,)]) == (key, f)
    assert s.specialize([(4,), (8,)])[0] != key


def test_a_fed_intermediate_with_a_derived_extent_gets_a_symbol_of_its_own():
    g = Sketch()
    x = g.placeholder("x", (None, 4))
    flat = g("reshape", x, shape=(-1,))
    y = g("exp", flat)
    assert header(specialize(extract([y], [flat]).function, [(12,)])) == "def main(Reshape: f32[n0]):"


def test_an_update_by_a_value_of_another_shape_is_refused():
    g = Sketch()
    x = g.placeholder("x", (None,))
    w = g.variable("w", (3,))
    f = extract([g("assign", w, x)], [x]).function
    assert specialize(f, [(3,), (3,)]).updates[0][1].type.shape == (3,)
    with pytest.raises(ShapeError, match="assign"):
        specialize(f, [(4,), (3,)])


def test_a_value_that_is_not_the_params_is_refused():
    with pytest.raises(FeedError, match=r"a value of shape \[10, 783\] for x"):
        specialize(softmax_program(), [(10, 783), (10, 10)])


def test_values_are_those_of_the_extracted_function():
    f = softmax_program()
    draw = np.random.default_rng(0)
    arrays = [draw.normal(size=(6, 784)).astype(np.float32), draw.normal(size=(6, 10)).astype(np.float32)]
    (wanted,), (got,) = (interpret(g, arrays) for g in (specialize(f, [(6, 784), (6, 10)]), specialize(f, [(7, 784), (7, 10)])))
    assert wanted == got


def test_an_empty_batch_shares_the_specialization_of_the_others():
    s = Specializer(softmax_program())
    assert s.specialize([(0, 784), (0, 10)])[1] is s.specialize([(10, 784), (10, 10)])[1]
