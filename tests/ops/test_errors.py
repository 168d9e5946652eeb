"""What each op says of operands that do not fit."""

import pytest

import flowc.ops  # noqa: F401  (fills the table)
from flowc.errors import DTypeError, ShapeError, UndecidedError
from flowc.ir.dims import Sym
from flowc.ir.function import Builder
from flowc.ir.op import OPS
from flowc.ir.types import BOOL, F32, F64, I32, TensorType, TupleType

b = Sym.named("b")
UNKNOWN = TensorType(F32, None)
SCALAR = TensorType(F32, ())


def refused(error, name, *types, **attrs):
    op = OPS[name]
    with pytest.raises(error) as caught:
        op.result_type(types, op.complete(attrs))
    return caught.value.what


@pytest.mark.parametrize(
    ("name", "types", "attrs", "what"),
    [
        ("add", (F32["b", 3], F32[4]), {}, "add: shapes [b, 3] and [4] do not broadcast"),
        ("where", (BOOL[2], F32[3], F32[1]), {}, "where: shapes [2], [3] and [1] do not broadcast"),
        ("reduce_sum", (F32[2, 3],), {"axis": (2,)}, "reduce_sum: axis 2 is out of range for rank 2"),
        ("reduce_sum", (F32[2, 3],), {"axis": (1, -1)}, "reduce_sum: axes (1, -1) name one axis twice"),
        ("reduce_mean", (F32[2],), {"axis": (1,)}, "reduce_mean: axis 1 is out of range for rank 1"),
        ("argmax", (F32[2, 0],), {"axis": 1}, "argmax: axis 1 of shape [2, 0] is empty"),
        ("reshape", (F32[2, 3],), {"shape": (4,)}, "reshape: f32[2, 3] has 6 elements, which do not fill [4]"),
        ("reshape", (F32[7],), {"shape": (-1, 2)}, "reshape: f32[7] has 7 elements, which do not fill [-1, 2]"),
        ("reshape", (F32["b", 3],), {"shape": (b * 3 + 1,)}, "reshape: f32[b, 3] has 3*b elements, which do not fill [3*b + 1]"),
        ("reshape", (F32[4],), {"shape": (-1, -1)}, "reshape: [-1, -1] has more than one -1"),
        ("reshape", (F32[4],), {"shape": (-2, 2)}, "reshape: [-2, 2] has a negative extent"),
        ("transpose", (F32[2, 3],), {"perm": (0, 0)}, "transpose: (0, 0) is not a permutation of the axes of [2, 3]"),
        ("broadcast_to", (F32[3],), {"shape": (2,)}, "broadcast_to: shape [3] does not broadcast to [2]"),
        ("sum_to", (F32[3], F32[2, 3]), {}, "sum_to: shape [2, 3] does not broadcast to [3]"),
        ("expand_dims", (F32[3],), {"axis": (4,)}, "expand_dims: axis 4 is out of range for rank 2"),
        ("squeeze", (F32[3, 1],), {"axis": (0,)}, "squeeze: axis 0 of shape [3, 1] is not 1"),
        ("slice", (F32[3],), {"begin": (0,), "end": (2,), "stride": (0,)}, "slice: a stride of 0"),
        ("slice", (F32[3],), {"begin": (0, 0), "end": (1, 1), "stride": (1, 1)}, "slice: 2 begins, 2 ends and 2 strides for shape [3]"),
        ("pad", (F32[3, 2],), {"paddings": ((1, 1),)}, "pad: 1 pairs of paddings for shape [3, 2]: one pair per axis is expected"),
        ("pad", (F32[3],), {"paddings": ((-1, 1),)}, "pad: paddings ((-1, 1),) hold a negative number"),
        ("concat", (F32[2, 3], F32[2, 4]), {"axis": 0}, "concat: shapes [2, 3], [2, 4] differ in more than axis 0"),
        ("stack", (F32[2], F32[3]), {"axis": 0}, "stack: shapes [2], [3] differ"),
        ("tile", (F32[2, 3],), {"multiples": (2,)}, "tile: multiples [2] for shape [2, 3]: one per axis is expected, 0 or more"),
        ("reverse", (F32[2],), {"axis": (1,)}, "reverse: axis 1 is out of range for rank 1"),
        ("cumsum", (F32[2],), {"axis": 1}, "cumsum: axis 1 is out of range for rank 1"),
        ("gather", (F32[2], I32[3]), {"axis": 1}, "gather: axis 1 is out of range for rank 1"),
        ("one_hot", (I32[3],), {"depth": -1}, "one_hot: a depth of -1"),
        ("softmax", (F32[3],), {"axis": 1}, "softmax: axis 1 is out of range for rank 1"),
        ("softmax_cross_entropy", (F32["b", 3], F32["b", 4]), {}, "softmax_cross_entropy: logits and labels have shapes [b, 3] and [b, 4]"),
        ("softmax_cross_entropy", (SCALAR, SCALAR), {}, "softmax_cross_entropy: the logits are a scalar; a last axis of classes is expected"),
        ("sparse_softmax_cross_entropy", (F32[5, 3], I32[5, 1]), {},
         "sparse_softmax_cross_entropy: labels [5, 1] for logits [5, 3]: one label per row is expected"),
        ("sparse_softmax_cross_entropy", (F32[5, 3], I32[4]), {}, "sparse_softmax_cross_entropy: rows of logits and labels have shapes [5] and [4]"),
        ("assign", (F32[2, 3], F32[3, 2]), {}, "assign: the variable has shape [2, 3] and the value [3, 2]"),
        ("iota", (), {"shape": (2,), "axis": 1}, "iota: axis 1 is out of range for rank 1"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused(name, types, attrs, what):
    assert refused(ShapeError, name, *types, **attrs) == what


@pytest.mark.parametrize(
    ("name", "types", "what"),
    [
        ("add", (F32[2], I32[2]), "add: operands are f32 and i32"),
        ("add", (BOOL[2], BOOL[2]), "add: an operand is bool, a number is expected"),
        ("tanh", (I32[2],), "tanh: operand is i32, a float is expected"),
        ("logical_not", (F32[2],), "logical_not: operand is f32, bool is expected"),
        ("where", (F32[2], F32[2], F32[2]), "where: the condition is f32, bool is expected"),
        ("where", (BOOL[2], F32[2], F64[2]), "where: operands are f32 and f64"),
        ("reduce_sum", (BOOL[2],), "reduce_sum: operand is bool, a number is expected"),
        ("reduce_mean", (I32[2],), "reduce_mean: operand is i32, a float is expected"),
        ("reduce_any", (F32[2],), "reduce_any: operand is f32, bool is expected"),
        ("argmax", (BOOL[2],), "argmax: operand is bool, a number is expected"),
        ("softmax", (I32[2],), "softmax: operand is i32, a float is expected"),
        ("gather", (F32[2], F32[2]), "gather: the index is f32, an integer is expected"),
        ("sparse_softmax_cross_entropy", (F32[2, 3], F32[2]), "sparse_softmax_cross_entropy: the label is f32, an integer is expected"),
        ("assign", (F32[2], F64[2]), "assign: the variable is f32 and the value f64"),
    ],
)
def test_dtypes_that_do_not_fit_are_refused(name, types, what):
    assert refused(DTypeError, name, *types) == what


def test_a_concat_of_two_dtypes_is_refused():
    assert refused(DTypeError, "concat", F32[2], F64[2], axis=0) == "concat: operands are f32 and f64"
    assert refused(DTypeError, "stack", F32[2], F64[2], axis=0) == "stack: operands are f32 and f64"


def test_an_unknown_attribute_and_a_missing_one_are_refused():
    with pytest.raises(TypeError, match="reduce_sum: no attribute axes"):
        OPS["reduce_sum"].complete({"axes": (1,)})
    with pytest.raises(TypeError, match="reshape: attribute shape is missing"):
        OPS["reshape"].complete({})


def test_the_rank_of_a_squeeze_waits_for_the_run_in_a_graph_and_is_settled_in_a_function():
    squeeze, attrs = OPS["squeeze"], {"axis": None}
    assert squeeze.result_type((F32["b", 1],), attrs, lenient=True).shape is None
    assert squeeze.result_type((F32["b", 1],), attrs).shape == (b,)


def test_a_reshape_of_unknown_rank_waits_for_the_run_only_where_minus_one_is_asked_for():
    reshape = OPS["reshape"]
    assert reshape.result_type((UNKNOWN,), {"shape": (2, 3)}).shape == (2, 3)
    assert reshape.result_type((UNKNOWN,), {"shape": (-1, 3)}, lenient=True).shape is None
    with pytest.raises(UndecidedError, match="not known yet"):
        reshape.result_type((UNKNOWN,), {"shape": (-1, 3)})


def test_a_call_is_typed_by_its_function():
    builder = Builder("double")
    x = builder.param("x", F32["n", 3])
    double = builder.finish((builder.apply("add", x, x),))
    call = OPS["call"]
    assert call.result_type((F32["b", 3],), {"function": double}) == TupleType((F32["b", 3],))
    assert refused(ShapeError, "call", F32["b", 4], function=double) == "call: double takes f32[n, 3] for x, and is given f32[b, 4]"
    assert refused(DTypeError, "call", F64["b", 3], function=double) == "call: double takes f32[n, 3] for x, and is given f64[b, 3]"
    assert refused(ShapeError, "call", function=double) == "call: double takes 1 arguments, 0 given"
    assert refused(ShapeError, "item", TupleType((F32[2],)), index=1) == "item: index 1 of 1 results"
