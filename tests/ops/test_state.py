"""Ops of the Graph level: what they are typed as, and what they refuse, with the user's lines."""

import pytest

import flowc.ops  # noqa: F401  (fills the table)
from flowc.errors import DTypeError, ShapeError
from flowc.ir.graph import Graph
from flowc.ir.op import EMPTY, OPS, Effect
from flowc.ir.types import F32, F64, U64, TensorType


def add(graph, name, *inputs, **attrs):
    op = OPS[name]
    return graph.add(op, inputs, attrs, graph.unique_name(op.title))


def test_a_placeholder_without_a_shape_has_an_unknown_rank():
    assert add(Graph(), "placeholder", dtype=F32).type == TensorType(F32, None)


def test_a_variable_its_reading_and_its_assignment_have_one_type():
    graph = Graph()
    weights = add(graph, "variable", dtype=F32, shape=(2, 3))
    value = add(graph, "placeholder", dtype=F32, shape=(2, 3))
    assert add(graph, "read", weights).type == F32[2, 3]
    for name in ("assign", "assign_add", "assign_sub"):
        assert add(graph, name, weights, value).type == F32[2, 3]
        assert OPS[name].effect is Effect.WRITE


def test_a_value_of_unknown_shape_may_be_assigned():
    graph = Graph()
    weights = add(graph, "variable", dtype=F32, shape=(2, 3))
    assert add(graph, "assign", weights, add(graph, "placeholder", dtype=F32)).type == F32[2, 3]


def test_the_run_counter_is_one_unsigned_number_and_a_group_has_no_value():
    graph = Graph()
    assert add(graph, "run_counter").type == TensorType(U64, ())
    assert add(graph, "group").type == EMPTY


def test_an_assignment_that_does_not_fit_names_both_shapes_and_the_line():
    graph = Graph()
    weights = add(graph, "variable", dtype=F32, shape=(2, 3))
    value = add(graph, "placeholder", dtype=F32, shape=(3, 2))
    with pytest.raises(ShapeError) as caught:
        add(graph, "assign", weights, value)
    lines = str(caught.value).splitlines()
    assert lines[0] == "assign: the variable has shape [2, 3] and the value [3, 2]"
    assert lines[1] == "  Assign = assign(Variable: f32[2, 3], Placeholder: f32[3, 2])"
    assert "test_state.py" in lines[2]


def test_an_assignment_of_another_dtype_is_refused():
    graph = Graph()
    weights = add(graph, "variable", dtype=F32, shape=(2,))
    with pytest.raises(DTypeError, match="assign_add: the variable is f32 and the value f64"):
        add(graph, "assign_add", weights, add(graph, "placeholder", dtype=F64, shape=(2,)))
