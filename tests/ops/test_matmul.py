"""matmul: its loops against `eval`, types and errors."""

import numpy as np
import pytest

import flowc
from flowc.errors import DTypeError, ShapeError
from flowc.ir import loop_walks, loops
from flowc.ir.dims import Sym
from flowc.ir.op import OPS
from flowc.ir.types import F32, I32, TensorType, as_dtype
from tests.loop_evaluator import run_nest, traced_nest
from tests.ops.cases import sample
from tests.ops.samples import SAMPLES

MATMUL = OPS["matmul"]
B = Sym.named("b")


def operands(m, k, n, transpose_a, transpose_b, dtype="float32", seed=1):
    g = np.random.default_rng(seed)
    x = g.standard_normal((k, m) if transpose_a else (m, k))
    y = g.standard_normal((n, k) if transpose_b else (k, n))
    return (x * 4).astype(dtype), (y * 4).astype(dtype)


def tiles(statements):
    found = [s for s in statements if isinstance(s, loops.Tile)]
    return found + [t for s in statements for inner in loop_walks.children(s) for t in tiles(inner)]


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("extents", [(1, 1, 1), (1, 7, 5), (5, 1, 20), (3, 2, 1), (2, 0, 5), (17, 5, 35), (13, 9, 16), (29, 3, 17), (7, 19, 23)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loops_compute_the_product(extents, transpose_a, transpose_b, dtype):
    attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    x, y = operands(*extents, transpose_a, transpose_b, dtype)
    found, times, _ = traced_nest(MATMUL, [x, y], attrs)
    np.testing.assert_allclose(found, MATMUL.eval(x, y, **attrs), rtol=1e-4, atol=1e-4)
    assert (times == 1).all(), "each element is written once"


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 27])
def test_a_symbolic_batch_of_rows_is_known_at_run_time_only(batch, transpose_a, transpose_b):
    attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    x, y = operands(batch, 6, 5, transpose_a, transpose_b)
    types = [TensorType(F32, (6, B) if transpose_a else (B, 6)), TensorType(F32, y.shape)]
    found = run_nest(MATMUL, [x, y], attrs, types, {"b": batch})
    np.testing.assert_allclose(found, MATMUL.eval(x, y, **attrs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("number", range(len(SAMPLES["matmul"])))
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_samples_loops_compute_their_values(number, dtype):
    op, arrays, attrs = sample("matmul", number, dtype)
    np.testing.assert_allclose(run_nest(op, arrays, attrs), op.eval(*arrays, **attrs), rtol=4e-3 if dtype == "float16" else 1e-4, atol=2e-3)


@pytest.mark.parametrize("shapes", [((2, 1, 3, 5), (4, 5, 6)), ((4, 3, 5), (2, 1, 5, 6)), ((1, 3, 5), (3, 5, 6)), ((2, 2, 3, 5), (5, 6)), ((3, 5), (2, 5, 6))])
@pytest.mark.parametrize("symbolic", [False, True])
def test_batch_dimensions_broadcast(shapes, symbolic):
    g = np.random.default_rng(3)
    arrays = [g.standard_normal(s).astype(np.float32) for s in shapes]
    extents = {f"n{n}": n for s in shapes for n in s if n > 1}
    types = [TensorType(F32, tuple(Sym.named(f"n{n}") if n > 1 else n for n in s)) for s in shapes] if symbolic else None
    np.testing.assert_allclose(run_nest(MATMUL, arrays, {}, types, extents), np.matmul(*arrays), rtol=1e-4, atol=1e-5)


def test_whole_numbers_multiply_exactly_and_wrap():
    x, y = (np.array([[2**30, 3], [-7, 5]], np.int32), np.array([[4, 1], [9, -2]], np.int32))
    np.testing.assert_array_equal(run_nest(MATMUL, [x, y], {}), np.matmul(x, y))


def test_a_transposed_left_operand_is_read_in_place():
    x, y = operands(9, 8, 20, True, False)
    _, _, statements = traced_nest(MATMUL, [x, y], {"transpose_a": True})
    assert len(statements) == 1
    (tile,) = tiles(statements)
    assert (tile.a, tile.a_row.value, tile.a_inner.value) == ("x0", 1, 9)


def test_a_large_transposed_right_operand_is_not_packed_for_a_batch():
    types = [TensorType(F32, (B, 256)), TensorType(F32, (512, 256))]
    plan = MATMUL.lowering.build(["x", "w"], "out", types, TensorType(F32, (B, 512)), {"transpose_a": False, "transpose_b": True})
    (tile,) = tiles(plan.statements)
    assert tile.a == "w", "the weights are the left operand of the transposed product"
    assert all(size != 512 * 256 for _, _, size in plan.workspaces)


def test_the_large_transposed_product_is_right():
    x, y = operands(6, 24, 40, False, True)
    found, _, statements = traced_nest(MATMUL, [x, y], {"transpose_b": True})
    np.testing.assert_allclose(found, x @ y.T, rtol=1e-4, atol=1e-4)
    assert [t.a for t in tiles(statements)] == ["x1"]


@pytest.mark.parametrize(("m", "transpose_a"), [(1, False), (2, True), (4, False)])
def test_a_few_rows_along_a_large_matrix_read_its_lines_as_a_whole(m, transpose_a):
    x, y = operands(m, 517, 515, transpose_a, False)
    found, times, statements = traced_nest(MATMUL, [x, y], {"transpose_a": transpose_a})
    np.testing.assert_allclose(found, MATMUL.eval(x, y, transpose_a, False), rtol=1e-4, atol=2e-3)
    assert (times == 1).all()
    (tile,) = tiles(statements)
    assert (tile.out, tile.columns.value) == ("out_parts", 515) and any(isinstance(s, loops.Barrier) for s in statements)


@pytest.mark.parametrize("extents", [(1, 255, 1100), (1, 600, 15), (5, 600, 515), (1, 257, 1019)])
def test_smaller_or_shorter_or_narrower_products_are_blocks(extents):
    m, k, n = extents
    types = [TensorType(F32, (m, k)), TensorType(F32, (k, n))]
    plan = MATMUL.lowering.build(["x", "w"], "out", types, TensorType(F32, (m, n)), {"transpose_a": False, "transpose_b": False})
    assert all(tile.out == "out" for tile in tiles(plan.statements))


@pytest.mark.parametrize(("m", "k", "n"), [(256, 10, 10), (261, 17, 15), (1000, 6, 4)])
def test_a_narrow_gradient_to_many_weights_is_the_turned_one_of_a_wide_product(m, k, n):
    x, y = operands(m, k, n, True, False)
    found, times, statements = traced_nest(MATMUL, [x, y], {"transpose_a": True})
    np.testing.assert_allclose(found, x.T @ y, rtol=1e-4, atol=1e-4)
    assert (times == 1).all()
    (tile,) = tiles(statements)
    assert (tile.a, tile.b, tile.out, tile.b_inner.value) == ("x1", "x0", "out_turned", m)


@pytest.mark.parametrize(("m", "k", "n", "transpose_b"), [(256, 9, 40, False), (257, 8, 33, False), (256, 17, 40, True)])
def test_a_right_operand_that_many_rows_read_is_copied_into_panels(m, k, n, transpose_b):
    x, y = operands(m, k, n, False, transpose_b)
    found, times, statements = traced_nest(MATMUL, [x, y], {"transpose_b": transpose_b})
    np.testing.assert_allclose(found, MATMUL.eval(x, y, False, transpose_b), rtol=1e-4, atol=1e-4)
    assert (times == 1).all()
    (tile,) = tiles(statements)
    assert tile.b == "out_panels" and (tile.b_inner.value, tile.b_unit.value) == (16, 16 * k)


@pytest.mark.parametrize(("m", "k", "n", "block"), [(128, 20, 40, (128, 48)), (64, 64, 64, (64, 64)), (128, 128, 128, (64, 64)), (255, 40, 40, (128, 48))])
def test_a_small_product_is_few_blocks_that_read_their_operands_where_they_are(m, k, n, block):
    plan = MATMUL.lowering.build(["x", "y"], "out", [TensorType(F32, (m, k)), TensorType(F32, (k, n))], TensorType(F32, (m, n)),
                                 {"transpose_a": False, "transpose_b": False})  # fmt: skip
    (tile,) = tiles(plan.statements)
    assert (tile.b, tile.block, plan.workspaces) == ("y", block, ())


def test_a_gradient_to_wide_weights_is_wide_blocks_that_turn_their_left_operand_once():
    types = [TensorType(F32, (B, 64)), TensorType(F32, (B, 256))]  # the sum runs over the batch
    g = np.random.default_rng(0)
    x, y = (g.standard_normal((5, n)).astype(np.float32) for n in (64, 256))
    found, times, statements = traced_nest(MATMUL, [x, y], {"transpose_a": True}, types, {"b": 5})
    np.testing.assert_allclose(found, x.T @ y, rtol=1e-4, atol=1e-4)
    assert (times == 1).all()
    (tile,) = tiles(statements)
    assert (tile.a, tile.a_row.value, tile.a_inner.value, tile.block[1]) == ("x0", 1, 64, 256)


def test_a_small_transposed_right_operand_is_read_where_it_is():
    x, y = operands(7, 9, 20, False, True)
    found, _, statements = traced_nest(MATMUL, [x, y], {"transpose_b": True})
    np.testing.assert_allclose(found, x @ y.T, rtol=1e-4, atol=1e-5)
    (tile,) = tiles(statements)
    assert len(statements) == 1 and (tile.b, tile.b_column.value, tile.b_inner.value) == ("x1", 9, 1)


@pytest.mark.parametrize("transpose_b", [False, True])
def test_the_gradient_to_weights_of_a_batch_of_matrices_is_one_product(transpose_b):
    g = np.random.default_rng(3)
    x, w = g.standard_normal((5, 6, 9)).astype(np.float32), g.standard_normal((8, 9) if transpose_b else (9, 8)).astype(np.float32)
    c = g.standard_normal((5, 6, 8)).astype(np.float32)

    @flowc.compile
    def slope(w, x, c):
        return flowc.grad(lambda w: flowc.sum(flowc.matmul(x, w, transpose_b=transpose_b) * c))(w)

    by_hand = np.einsum("bmk,bmn->kn", x.astype(np.float64), c)
    np.testing.assert_allclose(slope(w, x, c), by_hand.T if transpose_b else by_hand, rtol=1e-4, atol=1e-4)
    assert slope.source.count("tile_f32(") == 1 and "part" not in slope.source


def test_narrow_products_are_plain_loops():
    x, y = operands(50, 30, 3, False, False)
    assert not tiles(traced_nest(MATMUL, [x, y], {})[2])


def test_a_column_needs_no_packing_to_be_transposed():
    x, y = operands(9, 1, 20, False, True)
    found, _, statements = traced_nest(MATMUL, [x, y], {"transpose_b": True})
    assert len(statements) == 1
    np.testing.assert_allclose(found, x @ y.T, rtol=1e-6)


@pytest.mark.parametrize(
    ("shapes", "attrs", "message"),
    [
        (((3, 20), (30, 1)), {}, "matmul: inner dimensions differ, 20 and 30"),
        (((3, 20), (20, 1)), {"transpose_a": True}, "matmul: inner dimensions differ, 3 and 20"),
        (((3,), (3, 1)), {}, r"matmul: an operand has shape \[3\], rank 2 or more is expected"),
        (((2, 3, 4), (3, 4, 5)), {}, r"matmul: batch dimensions: shapes \[2\] and \[3\] do not broadcast"),
    ],
)
def test_operands_that_do_not_fit_are_an_error(shapes, attrs, message):
    with pytest.raises(ShapeError, match=message):
        MATMUL.result_type(tuple(TensorType(F32, s) for s in shapes), MATMUL.complete(attrs))


def test_operands_of_two_dtypes_are_an_error():
    with pytest.raises(DTypeError, match="matmul: operands are f32 and i32"):
        MATMUL.result_type((TensorType(F32, (2, 2)), TensorType(I32, (2, 2))), MATMUL.complete({}))


def test_the_type_of_a_product_keeps_symbols():
    found = MATMUL.result_type((TensorType(F32, (B, 784)), TensorType(F32, (784, 10))), MATMUL.complete({}))
    assert str(found) == "f32[b, 10]"
    assert as_dtype(found.dtype) is F32
