"""The table of ops is complete: every op has every part, and a sample."""

import ast

import pytest

from flowc.ir.op import OPS, Effect, Element, Fold, Kind, Nest, Scalar
from flowc.ops.inference import no_gradient
from tests.ops.cases import NAMES
from tests.ops.samples import SAMPLES

LOWERINGS = {Kind.MAP: Scalar, Kind.INDEX: Element}


@pytest.mark.parametrize("name", NAMES)
def test_every_op_has_every_part(name):
    op = OPS[name]
    assert op.doc.endswith("."), "a doc line"
    assert op.title
    assert callable(op.eval) and op.dtype is not None and op.shape is not None
    assert op.vjp is not None, "a gradient, or no_gradient"
    if op.kind is Kind.COMPOSITE:
        assert op.expand is not None and op.lowering is None
    elif op.kind is not Kind.CONTRACT:
        assert op.lowering is not None
        assert isinstance(op.lowering, LOWERINGS.get(op.kind, object))
    assert op.random or SAMPLES.get(name), "samples to try it on"


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if op.effect is not Effect.NONE])
def test_every_op_of_the_graph_level_has_a_type_rule_and_a_title(name):
    op = OPS[name]
    assert op.doc.endswith(".") and op.title and (op.infer or op.shape)
    with pytest.raises(AssertionError, match="extracted"):
        op.eval()


def test_no_sample_names_an_op_that_is_not_there():
    assert set(SAMPLES) <= set(OPS)


@pytest.mark.parametrize("name", [n for n in NAMES if isinstance(OPS[n].lowering, Scalar)])
def test_scalar_text_uses_the_operands_names_and_no_others(name):
    op = OPS[name]
    text = op.lowering.over({k: "f32" if k == "dtype" else v for k, v in op.attrs.items()})
    tree = ast.parse(text, mode="eval")
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called}
    assert set(op.operands) <= names <= {*op.operands, *op.attrs}


def test_like_operands_get_no_gradient_and_only_their_shape_matters():
    found = {n for n in NAMES if OPS[n].like}
    assert {"sum_to", "broadcast_like", "reshape_like", "slice_grad", "gather_grad", "zeros_like", "ones_like", "size_of", "shape_of"} <= found


def test_comparisons_and_rounding_pass_no_gradient():
    for name in ("equal", "less", "floor", "ceil", "round", "argmax", "stop_gradient", "logical_and", "one_hot"):
        assert OPS[name].vjp is no_gradient


def test_a_fold_starts_from_what_changes_nothing():
    starts = {n: op.lowering.init for n, op in OPS.items() if isinstance(op.lowering, Fold)}
    extremes = {"reduce_max": "lowest", "reduce_largest": "lowest", "reduce_min": "highest"}
    assert starts == {"reduce_sum": 0, "reduce_prod": 1, **extremes, "reduce_any": False, "reduce_all": True}


def test_opaque_ops_of_this_room_build_their_own_nests():
    assert isinstance(OPS["cumsum"].lowering, Nest) and isinstance(OPS["gather_grad"].lowering, Nest)
