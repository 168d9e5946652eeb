"""Random ops: known answers, equal bits in `eval` and in loop IR, moments, tails."""

import math

import numpy as np
import pytest

from flowc.errors import DTypeError, ShapeError
from flowc.ir.dims import Sym
from flowc.ir.op import OPS
from flowc.ir.types import F16, F32, F64, I32, U64, TensorType
from flowc.ops.random import _Arrays, _upper_quantile, philox
from tests.loop_evaluator import run_nest, traced_nest

NAMES = ("random_uniform", "random_normal", "truncated_normal")
FLOATS = (F16, F32, F64)
COUNTER = TensorType(U64, ())


def draw(name, dtype=F32, shape=(200_000,), seed=11, counter=3):
    return OPS[name].eval(np.uint64(counter), shape=shape, seed=seed, dtype=dtype)


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        (0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ],
)
def test_philox_gives_the_known_answers_of_random123(word, wanted):
    assert tuple(int(w[0]) for w in philox(word, word, np.array([word], np.uint64))) == wanted


def test_philox_takes_key_and_counter_words_low_first():
    # Random123's third known answer: counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0
    found = philox(0x299F31D0A4093822, 0x85A308D3243F6A88, np.array([0x0370734413198A2E], np.uint64))
    assert tuple(int(w[0]) for w in found) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5, 2), (0, 4)])
def test_the_loops_and_numpy_draw_the_same_bits(name, dtype, shape):
    attrs = {"shape": shape, "seed": 2**63 + 5, "dtype": dtype}
    counter = np.asarray(2**40 + 1, np.uint64)
    found, times, _ = traced_nest(OPS[name], [counter], attrs)
    wanted = OPS[name].eval(counter, **attrs)
    assert found.tobytes() == np.asarray(wanted, dtype.numpy).tobytes()
    assert (times == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_shape_may_come_from_an_operand_with_a_symbolic_extent(name):
    like, counter = np.zeros((5, 3), np.float32), np.asarray(9, np.uint64)
    attrs = {"seed": 4, "dtype": F32}
    found = run_nest(OPS[name], [counter, like], attrs, [COUNTER, TensorType(F32, (Sym.named("b"), 3))], {"b": 5})
    np.testing.assert_array_equal(found, OPS[name].eval(counter, like, **OPS[name].complete(attrs)))


@pytest.mark.parametrize("name", NAMES)
def test_an_element_depends_on_its_place_and_not_on_the_size(name):
    np.testing.assert_array_equal(draw(name, shape=(10,)), draw(name, shape=(17,))[:10])


@pytest.mark.parametrize("change", [{"seed": 12}, {"counter": 4}, {"seed": 11 + 2**32}, {"counter": 3 + 2**32}])
def test_another_seed_or_run_draws_other_numbers(change):
    assert not np.isclose(draw("random_normal", F64, (1000,)), draw("random_normal", F64, (1000,), **change)).any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniforms_fill_the_unit_interval_evenly(dtype):
    x = draw("random_uniform", dtype).astype(np.float64)
    assert x.min() >= 0 and x.max() < 1
    counts, _ = np.histogram(x, bins=64, range=(0, 1))
    chi_square = np.sum((counts - len(x) / 64) ** 2) / (len(x) / 64)
    assert chi_square < 63 + 5 * math.sqrt(2 * 63)


def test_a_uniform_is_its_word_over_2_to_the_24():
    words = np.stack(philox(11, 3, np.arange(2)), axis=-1).ravel()
    np.testing.assert_array_equal(draw("random_uniform", F32, (8,)), (words >> 8).astype(np.float64) / 2**24)


@pytest.mark.parametrize("dtype", FLOATS)
def test_normals_have_the_moments_of_a_normal(dtype):
    x = draw("random_normal", dtype).astype(np.float64)
    deviation = 1 / math.sqrt(len(x))
    assert abs(x.mean()) < 4 * deviation
    assert abs(x.var() - 1) < 4 * math.sqrt(2) * deviation
    assert abs(np.mean(x**3)) < 4 * math.sqrt(15) * deviation
    assert abs(np.mean(x**4) - 3) < 4 * math.sqrt(96) * deviation


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("beyond", [1.0, 2.0, 3.0])
def test_normals_have_the_tails_of_a_normal(dtype, beyond):
    x = draw("random_normal", dtype)
    share = math.erfc(beyond / math.sqrt(2))
    for found in (np.mean(np.abs(x) > beyond), 2 * np.mean(x > beyond)):
        assert abs(found - share) < 6 * math.sqrt(share / len(x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_truncated_normals_stay_within_two_and_have_their_variance(dtype):
    x = draw("truncated_normal", dtype).astype(np.float64)
    assert np.abs(x).max() <= 2
    density, inside = math.exp(-2) / math.sqrt(2 * math.pi), math.erf(math.sqrt(2))
    variance = 1 - 4 * density / inside
    assert abs(x.mean()) < 4 / math.sqrt(len(x))
    assert abs(x.var() - variance) < 4 / math.sqrt(len(x))
    outer = np.mean(np.abs(x) > 1)
    assert abs(outer - (math.erf(math.sqrt(2)) - math.erf(math.sqrt(0.5))) / inside) < 4 / math.sqrt(len(x))


@pytest.mark.parametrize(("dtype", "smallest", "tolerance"), [(F32, 2.0**-33, 4e-6), (F64, 2.0**-54, 1e-13)])
def test_the_quantile_inverts_the_normal_distribution_down_to_the_smallest_probability(dtype, smallest, tolerance):
    p = np.concatenate([np.geomspace(smallest, 0.499, 4000), np.linspace(0.07, 0.08, 500)]).astype(dtype.numpy)
    z = _upper_quantile(_Arrays(), p, dtype)
    assert z.dtype == dtype.numpy
    back = np.array([math.erfc(float(x) / math.sqrt(2)) / 2 for x in z])
    # a relative error d of z changes p by about z*z*d, relatively
    wanted = p.astype(np.float64)
    assert np.max(np.abs(back / wanted - 1) / (1 + z.astype(np.float64) ** 2)) < tolerance


@pytest.mark.parametrize("dtype", [F32, F64])
def test_the_quantile_never_rises_with_the_probability_by_more_than_rounding(dtype):
    p = np.linspace(0.0005, 0.5, 20_000).astype(dtype.numpy)
    z = _upper_quantile(_Arrays(), p, dtype).astype(np.float64)
    assert np.diff(z).max() < 8 * np.finfo(dtype.numpy).eps


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_drawn_is_an_error(name):
    op = OPS[name]
    with pytest.raises(ShapeError, match=f"{name}: neither a shape nor an operand of that shape is given"):
        op.result_type((COUNTER,), op.complete({"seed": 1}))
    with pytest.raises(DTypeError, match=f"{name}: dtype is i32, a float is expected"):
        op.result_type((COUNTER,), op.complete({"seed": 1, "shape": (3,), "dtype": I32}))
    with pytest.raises(DTypeError, match=f"{name}: the run counter is i32, u64 is expected"):
        op.result_type((TensorType(I32, ()),), op.complete({"seed": 1, "shape": (3,)}))
    with pytest.raises(TypeError, match="attribute seed is missing"):
        op.complete({"shape": (3,)})


def test_a_random_op_may_take_its_shape_from_an_operand_of_unknown_rank():
    op = OPS["random_normal"]
    assert op.result_type((COUNTER, TensorType(F32, None)), op.complete({"seed": 1})).shape is None
