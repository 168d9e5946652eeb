"""Constants as attributes: equal by dtype, shape and bits, whatever a hash has looked at."""

import numpy as np
import pytest

from flowc.ir.node import Value


def test_large_values_that_differ_in_one_element_are_different():
    base = np.arange(10_000, dtype=np.float32)
    other = base.copy()
    other[1] = -1  # an element that the hash does not look at
    assert hash(Value(base)) == hash(Value(other))
    assert Value(base) != Value(other)
    assert Value(base) == Value(base.copy())


def test_values_differ_by_dtype_shape_and_bits():
    zeros = Value(np.zeros(3, np.float32))
    assert zeros != Value(np.zeros(3, np.int32))
    assert zeros != Value(np.zeros((1, 3), np.float32))
    assert zeros != Value(-np.zeros(3, np.float32))
    assert Value(np.float32("nan")) == Value(np.float32("nan"))


@pytest.mark.parametrize(("array", "uniform"), [
    (np.zeros((200, 200)), True), (np.float32([1, 1, 2]), False), (np.float32([0.0, -0.0]), False), (np.array(1.0), False), (np.zeros(0), False),
    (np.r_[np.zeros(1000), 1.0], False), (np.array([True, True]), True),
])  # fmt: skip
def test_a_value_is_uniform_where_several_elements_have_the_same_bits(array, uniform):
    assert Value(array).is_uniform is uniform
