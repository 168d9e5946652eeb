"""What the user's programs come to: how many kernels, and which layers are one."""

from __future__ import annotations

import pytest

from tests.programs.graphs import convolutional_network, linear_regression, softmax_regression, two_layer_network


def test_the_linear_regression_step_is_one_kernel() -> None:
    assert len(linear_regression().executable().kernels) == 1


def test_the_hidden_layer_is_one_kernel() -> None:
    training = two_layer_network()
    training.executable().expect_fused("HiddenLayer")
    training.executable().expect_fused("OutputLayer")
    training.executable(training.loss).expect_fused("HiddenLayer")


def test_the_cross_entropy_of_rows_is_one_kernel_with_its_softmax() -> None:
    training = softmax_regression()
    training.executable(training.loss).expect_fused("Rows")


@pytest.mark.parametrize("scope", ["First/Relu", "Second/Relu", "Dense/Relu"])
def test_a_convolution_or_product_its_bias_and_relu_are_one_kernel(scope: str) -> None:
    program = convolutional_network().executable()
    kernel = next(k for k in program.module.callees() if k.name == program.expect_fused(scope))
    assert {"Conv2D", "MatMul"} & {n.name.rpartition(".")[2] for n in kernel.nodes}


def test_a_convolution_and_the_pool_after_it_are_one_kernel() -> None:
    program = convolutional_network().executable()
    kernel = next(k for k in program.module.callees() if k.name == program.expect_fused("First"))
    assert {"conv2d", "relu", "max_pool", "max_pool_place"} <= {n.op.name for n in kernel.nodes}
    assert not any(n.tensor.dims == kernel.nodes[0].tensor.dims for n in kernel.results), "nothing as large as the convolution is stored"


def test_layers_that_are_several_kernels_are_told_with_the_reasons() -> None:
    with pytest.raises(AssertionError, match=r"gradients is computed by \d+ kernels:\n(.|\n)*because:\n  kept "):
        convolutional_network().executable().expect_fused("gradients")
