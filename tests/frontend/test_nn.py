"""`tf.nn` against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flowc
import flowc as tf
from flowc.errors import FlowcError, ShapeError

X = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]], np.float32)


def run(y, feeds=None):
    return tf.Session().run(y, feeds)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", np.maximum(X, 0)), ("relu6", np.clip(X, 0, 6)), ("elu", np.where(X > 0, X, np.expm1(X))), ("leaky_relu", np.where(X > 0, X, 0.2 * X)),
        ("softplus", np.log1p(np.exp(X))), ("softsign", X / (1 + np.abs(X))), ("sigmoid", 1 / (1 + np.exp(-X))), ("tanh", np.tanh(X)),
        ("softmax", softmax(X)), ("log_softmax", np.log(softmax(X))), ("swish", X / (1 + np.exp(-X))), ("l2_loss", (X**2).sum() / 2),
        ("selu", 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X))),
        ("crelu", np.concatenate([np.maximum(X, 0), np.maximum(-X, 0)], -1)), ("zero_fraction", 0.0),
    ],
)  # fmt: skip
def test_activations(name, expected):
    np.testing.assert_allclose(run(getattr(tf.nn, name)(tf.constant(X))), expected, rtol=1e-5, atol=1e-6)


def test_softmax_along_another_axis():
    np.testing.assert_allclose(run(tf.nn.softmax(X, dim=0)), softmax(X.T).T, rtol=1e-6)


def test_cross_entropies():
    labels = np.array([[0, 1, 0], [0, 0, 1]], np.float32)
    expected = -(labels * np.log(softmax(X))).sum(1)
    np.testing.assert_allclose(run(tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=X)), expected, rtol=1e-5)
    np.testing.assert_allclose(run(tf.nn.softmax_cross_entropy_with_logits_v2(labels=labels, logits=X)), expected, rtol=1e-5)
    np.testing.assert_allclose(run(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1, 2], logits=X)), expected, rtol=1e-5)
    np.testing.assert_allclose(run(tf.nn.softmax_cross_entropy_with_logits(labels=labels.T, logits=X.T, dim=0)), expected, rtol=1e-5)
    p = 1 / (1 + np.exp(-X))
    z = labels
    logistic = -(z * np.log(p) + (1 - z) * np.log(1 - p))
    np.testing.assert_allclose(run(tf.nn.sigmoid_cross_entropy_with_logits(labels=z, logits=X)), logistic, rtol=1e-5)
    weighted = -(3 * z * np.log(p) + (1 - z) * np.log(1 - p))
    np.testing.assert_allclose(run(tf.nn.weighted_cross_entropy_with_logits(z, X, 3.0)), weighted, rtol=1e-5)


def test_the_older_cross_entropy_passes_nothing_to_the_labels():
    logits, labels = tf.constant(X), tf.constant(softmax(X))
    assert tf.gradients(tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits), labels) == [None]
    assert tf.gradients(tf.nn.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits), labels)[0] is not None


def convolved(x, w, stride, padding):
    n, h, wide, _ = x.shape
    fh, fw, _, out = w.shape
    if padding == "SAME":
        oh, ow = -(-h // stride), -(-wide // stride)
        ph, pw = max((oh - 1) * stride + fh - h, 0), max((ow - 1) * stride + fw - wide, 0)
        x = np.pad(x, [(0, 0), (ph // 2, ph - ph // 2), (pw // 2, pw - pw // 2), (0, 0)])
    else:
        oh, ow = (h - fh) // stride + 1, (wide - fw) // stride + 1
    y = np.zeros((n, oh, ow, out), np.float32)
    for i in range(oh):
        for j in range(ow):
            y[:, i, j] = np.tensordot(x[:, i * stride : i * stride + fh, j * stride : j * stride + fw], w, 3)
    return y


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv2d(padding, stride):
    random = np.random.RandomState(0)
    x, w = random.rand(2, 7, 6, 3).astype(np.float32), random.rand(3, 2, 3, 4).astype(np.float32)
    images = tf.placeholder(tf.float32, [None, 7, 6, 3])
    y = tf.nn.conv2d(images, w, strides=[1, stride, stride, 1], padding=padding)
    expected = convolved(x, w, stride, padding)
    assert y.shape.as_list() == [None, *expected.shape[1:]]
    np.testing.assert_allclose(run(y, {images: x}), expected, rtol=1e-5)


def test_pools():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    blocks = x.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(2, 2, 4)
    assert run(tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME"))[0, :, :, 0].tolist() == blocks.max(-1).tolist()
    assert run(tf.nn.avg_pool(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID"))[0, :, :, 0].tolist() == blocks.mean(-1).tolist()


def test_bias_add_and_layers():
    W, b = np.ones((3, 2), np.float32), np.array([1.0, -50.0], np.float32)
    np.testing.assert_allclose(run(tf.nn.xw_plus_b(X, W, b)), X @ W + b)
    np.testing.assert_allclose(run(tf.nn.relu_layer(X, W, b)), np.maximum(X @ W + b, 0))
    with pytest.raises(ShapeError, match="2 biases for 3 channels"):
        tf.nn.bias_add(X, b)


def test_gelu_is_exact_and_its_approximation_is_that_of_the_other_libraries():
    exact = [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in X.ravel().tolist()]
    np.testing.assert_allclose(run(flowc.gelu(X)).ravel(), exact, rtol=1e-6)
    near = 0.5 * X * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)))
    np.testing.assert_allclose(run(flowc.gelu(X, approximate=True)), near, rtol=1e-6)


def test_layer_norm_of_the_last_axis_with_scale_and_offset():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4) ** 2
    rows = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(run(flowc.layer_norm(x)), rows, rtol=1e-5)
    scale, offset = np.float32([1, 2, 3, 4]), np.float32([0, 0, 1, 1])
    np.testing.assert_allclose(run(flowc.layer_norm(x, scale, offset)), rows * scale + offset, rtol=1e-5)
    np.testing.assert_allclose(run(flowc.layer_norm(x, offset=offset)), rows + offset, rtol=1e-5)


def test_layer_norm_of_several_axes_with_an_epsilon():
    centred = X - X.mean()
    np.testing.assert_allclose(run(flowc.layer_norm(X, axis=(0, 1), epsilon=0.5)), centred / np.sqrt((centred**2).mean() + 0.5), rtol=1e-5)


def test_layer_norm_keeps_what_a_large_mean_would_cancel():
    x = np.float32([[10000, 10001, 10002, 10003]])
    np.testing.assert_allclose(run(flowc.layer_norm(x)), np.float32([[-1.5, -0.5, 0.5, 1.5]]) / np.sqrt(1.25), rtol=1e-4)


def test_layer_norm_along_an_axis_that_is_not_there():
    with pytest.raises(ShapeError, match="layer_norm: axis 2"):
        flowc.layer_norm(X, axis=2)


def test_moments_and_normalisation():
    mean, variance = tf.nn.moments(tf.constant(X), [0])
    np.testing.assert_allclose(run(mean), X.mean(0), rtol=1e-6)
    np.testing.assert_allclose(run(variance), X.var(0), rtol=1e-5)
    y = tf.nn.batch_normalization(X, mean, variance, 1.0, 2.0, 1e-3)
    np.testing.assert_allclose(run(y), (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3) * 2 + 1, rtol=1e-4)
    np.testing.assert_allclose(run(tf.nn.l2_normalize(X, 1)), X / np.sqrt((X**2).sum(1, keepdims=True)), rtol=1e-5)


def test_lookups_and_scores():
    assert run(tf.nn.embedding_lookup(X, [1, 0])).tolist() == X[[1, 0]].tolist()
    assert run(tf.nn.in_top_k(X, [0, 2], 2)).tolist() == [True, False]


def test_dropout_with_the_probability_fed():
    x, keep = tf.placeholder(tf.float32, [None, 100]), tf.placeholder(tf.float32)
    y = tf.nn.dropout(x, keep)
    session = tf.Session()
    ones = np.ones((50, 100), np.float32)
    assert session.run(y, {x: ones, keep: 1.0}).tolist() == ones.tolist()
    half = session.run(y, {x: ones, keep: 0.5})
    assert set(np.unique(half)) == {0.0, 2.0} and 0.45 < (half > 0).mean() < 0.55
    assert (session.run(y, {x: ones, keep: 0.5}) != half).any()


def test_dropout_of_a_value_of_unknown_rank():
    x = tf.placeholder(tf.float32)
    assert run(tf.nn.dropout(x, 0.5, seed=1), {x: np.ones((4, 5))}).shape == (4, 5)


def test_dropout_with_a_noise_shape_drops_whole_rows():
    y = run(tf.nn.dropout(np.ones((40, 3), np.float32), 0.5, noise_shape=[40, 1], seed=3))
    assert all(len(set(row)) == 1 for row in y.tolist()) and 0 < y.mean() < 2


def test_dropout_with_a_probability_of_one_is_the_identity():
    assert tf.nn.dropout(tf.constant(X), 1.0).op.type == "Identity"
    with pytest.raises(ShapeError, match=r"keep_prob 0\.0 is not in"):
        tf.nn.dropout(X, 0.0)


def test_formats_that_flowc_does_not_have():
    x = tf.placeholder(tf.float32, [None, 4, 4, 1])
    with pytest.raises(FlowcError, match="use NHWC"):
        tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME", data_format="NCHW")
    with pytest.raises(ShapeError, match="neither 'SAME' nor 'VALID'"):
        tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "FULL")
    with pytest.raises(ShapeError, match="for batch and channels, must be 1"):
        tf.nn.max_pool(x, [1, 2, 2, 1], [2, 2, 2, 1], "SAME")
