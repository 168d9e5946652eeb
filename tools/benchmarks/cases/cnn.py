"""The MNIST network: two 5x5 convolutions with 2x2 max pooling, a dense layer of 1024 with dropout, ten classes.

    cnn             a training step, batch 128, Adam
    cnn_forward/N   logits of a batch of N
    cnn_evaluate    loss and accuracy over 10 000 images at once, as the user's program takes them
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..digit_like import digit_like, weighted
from ..program import Program, Unsupported, repeated
from ..training import Data, Parameters, session_program, torch_parameters, torch_program
from ..workload import Workload

RATE = 0.001
SHAPES = {
    "F1": (5, 5, 1, 32), "b1": (32,), "F3": (5, 5, 32, 64), "b3": (64,),
    "w5": (7 * 7 * 64, 1024), "b5": (1024,), "w6": (1024, 10), "b6": (10,),
}  # fmt: skip


def make(workload: Workload) -> Data:
    """Four batches of digit-like images; parameters start as normal draws of deviation 0.1, filters height x width x in x out."""
    rng = np.random.RandomState(2)
    start = {name: (rng.standard_normal(shape) * 0.1).astype(np.float32) for name, shape in SHAPES.items()}
    if workload.size["batch"] > 128:
        batches = [digit_like(rng, workload.size["batch"])]
    else:
        batches = [digit_like(rng, 128) for _ in range(4)]
    batches = [(x[: workload.size["batch"]], y[: workload.size["batch"]]) for x, y in batches]
    return Data(start, batches, batches[0])


# TensorFlow 1's names, in flowc and in TensorFlow


def logits_of(tf: Any, data: Data, x: Any, keep: Any = None) -> Any:
    """The network on images x: f32[b, 784], its parameters made here."""
    F1, b1, F3, b3, w5, b5, w6, b6 = (tf.Variable(data.start[name]) for name in SHAPES)
    image = tf.reshape(x, shape=[-1, 28, 28, 1])
    h1 = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(image, F1, strides=[1, 1, 1, 1], padding="SAME"), b1))
    h2 = tf.nn.max_pool(h1, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    h3 = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(h2, F3, strides=[1, 1, 1, 1], padding="SAME"), b3))
    h4 = tf.nn.max_pool(h3, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    h5 = tf.nn.relu(tf.add(tf.matmul(tf.reshape(h4, [-1, 7 * 7 * 64]), w5), b5))
    return tf.add(tf.matmul(h5 if keep is None else tf.nn.dropout(h5, keep), w6), b6)


def graph(tf: Any, data: Data) -> tuple[Any, Any, Any, Any]:
    x, y, keep = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.float32, [None, 10]), tf.placeholder(tf.float32)
    logits = logits_of(tf, data, x, keep)
    return x, y, keep, tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y))


def in_session(tf: Any, workload: Workload, data: Data) -> Program:
    if workload.task == "step":
        return session_program(tf, graph, lambda tf: tf.train.AdamOptimizer(learning_rate=RATE), data)
    with tf.Graph().as_default():
        x, y = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.float32, [None, 10])
        logits = logits_of(tf, data, x)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y))
        right = tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))
        accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
        session = tf.Session()
        session.run(tf.global_variables_initializer())
    images, labels = data.held
    if workload.task == "evaluate":
        return repeated(lambda: session.run([loss, accuracy], {x: images, y: labels}), lambda both: float(both[0]) + float(both[1]))
    return repeated(lambda: session.run(logits, {x: images}), weighted)


def in_flowc_compile(flowc: Any, workload: Workload, data: Data) -> Program:
    """The forward pass as a function of parameters and images."""

    @flowc.compile
    def forward(p: Any, x: Any) -> Any:
        def pooled(value: Any, filters: Any, bias: Any) -> Any:
            value = flowc.relu(flowc.nn.conv2d(value, filters, strides=[1, 1, 1, 1], padding="SAME") + bias)
            return flowc.nn.max_pool(value, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")

        h4 = pooled(pooled(flowc.reshape(x, [-1, 28, 28, 1]), p["F1"], p["b1"]), p["F3"], p["b3"])
        h5 = flowc.relu(flowc.reshape(h4, [-1, 7 * 7 * 64]) @ p["w5"] + p["b5"])
        return h5 @ p["w6"] + p["b6"]

    if workload.task != "forward":
        raise Unsupported("measured for the forward pass only")
    images = data.held[0]
    return repeated(lambda: forward(data.start, images), weighted)


# JAX


def in_jax(jax: Any, workload: Workload, data: Data) -> Program:
    jnp = jax.numpy

    def forward(p: Parameters, x: Any, key: Any = None) -> Any:
        def pooled(value: Any, filters: Any, bias: Any) -> Any:
            value = jax.lax.conv_general_dilated(value, filters, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            return jax.lax.reduce_window(jax.nn.relu(value + bias), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")

        h4 = pooled(pooled(x.reshape(-1, 28, 28, 1), p["F1"], p["b1"]), p["F3"], p["b3"])
        h5 = jax.nn.relu(h4.reshape(-1, 7 * 7 * 64) @ p["w5"] + p["b5"])
        if key is not None:
            h5 = jnp.where(jax.random.bernoulli(key, 0.5, h5.shape), h5 / 0.5, 0.0)
        return h5 @ p["w6"] + p["b6"]

    def loss(p: Parameters, x: Any, y: Any, key: Any = None) -> Any:
        return jnp.mean(-jnp.sum(y * jax.nn.log_softmax(forward(p, x, key)), axis=1))

    parameters = jax.tree.map(jnp.array, data.start)
    images, labels = data.held
    if workload.task == "step":
        return adam_in_jax(jax, loss, parameters, data)
    if workload.task == "evaluate":

        def both(p: Parameters, x: Any, y: Any) -> Any:
            logits = forward(p, x)
            right = jnp.mean(jnp.argmax(logits, 1) == jnp.argmax(y, 1))
            return jnp.mean(-jnp.sum(y * jax.nn.log_softmax(logits), axis=1)), right

        evaluate = jax.jit(both)
        return repeated(lambda: jax.block_until_ready(evaluate(parameters, images, labels)), lambda pair: float(pair[0]) + float(pair[1]))
    run = jax.jit(forward)
    return repeated(lambda: np.asarray(run(parameters, images)), weighted)


def adam_in_jax(jax: Any, loss: Any, parameters: Parameters, data: Data) -> Program:
    """Adam (Kingma and Ba 2015, algorithm 1, the form with the corrected rate); the key is split inside the step."""
    jnp = jax.numpy

    def updated(state: tuple[Any, ...], x: Any, y: Any) -> tuple[Any, ...]:
        parameters, means, squares, count, key = state
        key, drawn = jax.random.split(key)
        gradients = jax.grad(loss)(parameters, x, y, drawn)
        count = count + 1
        corrected = RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        parameters = jax.tree.map(lambda p, m, v: p - corrected * m / (jnp.sqrt(v) + 1e-8), parameters, means, squares)
        return parameters, means, squares, count, key

    step = jax.jit(updated, donate_argnums=0)
    zeros = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
    state: tuple[Any, ...] = (parameters, *zeros, jnp.zeros((), jnp.float32), jax.random.key(0))
    batches = data.batches

    def steps(count: int) -> None:
        nonlocal state
        for i in range(count):
            state = step(state, *batches[i % len(batches)])
        jax.block_until_ready(state)

    return Program(steps, lambda: float(jax.jit(loss)(state[0], *data.held)))


# PyTorch and ONNX Runtime: images are channels x height x width there, and so are filters and the first dense layer's rows


def laid_out(name: str, value: np.ndarray) -> np.ndarray:
    """Filters from height x width x in x out to out x in x height x width; the first dense layer's rows to match."""
    if name in ("F1", "F3"):
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    if name == "w5":
        return np.ascontiguousarray(value.reshape(7, 7, 64, 1024).transpose(2, 0, 1, 3).reshape(7 * 7 * 64, 1024))
    return value


def in_torch(torch: Any, workload: Workload, data: Data, compiled: bool = False) -> Program:
    F = torch.nn.functional

    def forward(p: Parameters, x: Any, training: bool = False) -> Any:
        h2 = F.max_pool2d(torch.relu(F.conv2d(x.view(-1, 1, 28, 28), p["F1"], p["b1"], padding=2)), 2)
        h4 = F.max_pool2d(torch.relu(F.conv2d(h2, p["F3"], p["b3"], padding=2)), 2)
        h5 = torch.relu(torch.addmm(p["b5"], h4.reshape(-1, 7 * 7 * 64), p["w5"]))
        return torch.addmm(p["b6"], F.dropout(h5, 0.5, training), p["w6"])

    def loss(p: Parameters, x: Any, y: Any, training: bool = False) -> Any:
        return F.cross_entropy(forward(p, x, training), y)

    def both(p: Parameters, x: Any, y: Any) -> Any:
        logits = forward(p, x)
        return F.cross_entropy(logits, y), (logits.argmax(1) == y.argmax(1)).float().mean()

    start = {name: laid_out(name, value) for name, value in data.start.items()}
    if workload.task == "step":
        parameters = torch_parameters(torch, start)
        adam = torch.optim.Adam(list(parameters.values()), lr=RATE, fused=True)

        def update() -> None:
            adam.step()
            adam.zero_grad(set_to_none=True)

        return torch_program(torch, loss, parameters, update, data, compiled, training=(True,))
    fixed = {name: torch.from_numpy(value) for name, value in start.items()}
    plain = both if workload.task == "evaluate" else forward
    function = torch.compile(plain) if compiled else plain
    images, labels = data.held

    def step() -> Any:
        with torch.inference_mode():
            if workload.task == "evaluate":
                return function(fixed, torch.from_numpy(images), torch.from_numpy(labels))
            return function(fixed, torch.from_numpy(images)).numpy()

    return repeated(step, weighted if plain is forward else lambda pair: float(pair[0]) + float(pair[1]))


def onnx_model(data: Data) -> bytes:
    """The forward pass as an ONNX model (operator set 17) over images: f32[b, 784]."""
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node
    shapes = {"image": (-1, 1, 28, 28), "flat": (-1, 7 * 7 * 64)}
    constants = {**{name: laid_out(name, value) for name, value in data.start.items()}, **{name: np.array(s, np.int64) for name, s in shapes.items()}}
    convolution, pool = {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]}, {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        node("Reshape", ["x", "image"], ["h0"]),
        node("Conv", ["h0", "F1", "b1"], ["c1"], **convolution),
        node("Relu", ["c1"], ["r1"]),
        node("MaxPool", ["r1"], ["h2"], **pool),
        node("Conv", ["h2", "F3", "b3"], ["c3"], **convolution),
        node("Relu", ["c3"], ["r3"]),
        node("MaxPool", ["r3"], ["h4"], **pool),
        node("Reshape", ["h4", "flat"], ["f4"]),
        node("Gemm", ["f4", "w5", "b5"], ["g5"]),
        node("Relu", ["g5"], ["h5"]),
        node("Gemm", ["h5", "w6", "b6"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 784])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def in_onnxruntime(onnxruntime: Any, workload: Workload, data: Data) -> Program:
    """A session on the CPU with two threads inside an operator, every optimization on."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(onnx_model(data), options, providers=["CPUExecutionProvider"])
    feeds = {"x": data.held[0]}
    return repeated(lambda: session.run(None, feeds)[0], weighted)


BUILDERS = {
    "flowc": in_session,
    "flowc.direct": in_session,
    "tensorflow": in_session,
    "flowc.compile": in_flowc_compile,
    "jax": in_jax,
    "torch": in_torch,
    "torch.compile": partial(in_torch, compiled=True),
    "onnxruntime": in_onnxruntime,
}
