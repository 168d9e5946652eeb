"""Every workload, by name: the user's programs first, then what they are made of, then how things grow.

    WORKLOADS["cnn_forward/1"].title   ->   "CNN forward, batch 1"
    GROUPS                             ->   ("steps", "forward", ...), which the command line takes
"""

from __future__ import annotations

from collections.abc import Iterable

from .workload import Kind, Mark, Workload

ALL = ("flowc", "tensorflow", "jax", "torch", "torch.compile", "pytensor")
FORWARD = ("flowc", "flowc.compile", "tensorflow", "jax", "torch", "torch.compile", "onnxruntime")
ARRAYS = ("flowc.compile", "jax", "torch", "torch.compile")

# TensorFlow, JAX, PyTorch and PyTensor agree on these answers, and but for the trained CNN and transformer so does NumPy in float64 (tests/tools)
LINE = {"answers": (23.66, 1.544823), "proof_steps": 1000, "bound": 1e-6}
WAVES = {"answers": (1.655764, 0.6600083), "proof_steps": 2000, "bound": 0.05}
DIGITS = {"answers": (2.302585, 0.635919), "proof_steps": 200, "bound": 1.0}
NETWORK = {"answers": (6.01392,), "tolerance": 1e-3, "proof_steps": 24, "bound": 1.0, "size": {"batch": 128}}
BLOCK = {"answers": (2.513379, 2.428917), "proof_steps": 60, "bound": 2.2}


def faster(**bounds: float) -> tuple[Mark, ...]:
    """Marks on a step's time, by peer; `torch_compile` stands for torch.compile."""
    return tuple(Mark("step", bound, name.replace("_compile", ".compile")) for name, bound in bounds.items())


def steps() -> Iterable[Workload]:
    """The four programs."""
    yield Workload(
        "linear", "linear regression step, lists through a session", "steps", "linear", ALL, **LINE,
        marks=faster(tensorflow=60, jax=4),
    )  # fmt: skip
    yield Workload(
        "linear_arrays", "linear regression step, arrays", "steps", "linear", ("flowc.compile", *ALL[2:]), **LINE, task="arrays",
        marks=faster(jax=10),
    )  # fmt: skip
    yield Workload("two_layer", "two-layer network step, batch 10", "steps", "two_layer", ALL, **WAVES, marks=faster(jax=15))
    yield Workload("softmax", "softmax step, batch 100", "steps", "softmax", ALL, **DIGITS, marks=faster(jax=2.5))
    yield Workload(
        "cnn", "CNN training step, batch 128, Adam, dropout", "steps", "cnn", ALL[:-1], **NETWORK,
        marks=(*faster(tensorflow=2), Mark("memory", 2.0, "tensorflow")),
    )  # fmt: skip
    yield Workload(
        "cnn_direct", "the same, direct convolutions", "steps", "cnn", ("flowc.direct", "tensorflow"), **NETWORK, marks=faster(tensorflow=1.2),
    )  # fmt: skip


def forward() -> Iterable[Workload]:
    """The CNN without its gradient."""
    for batch, answer in ((128, 29.26207), (1, 29.40119)):
        yield Workload(
            f"cnn_forward/{batch}", f"CNN forward, batch {batch}", "forward", "cnn", FORWARD, (answer,), 1e-3, task="forward",
            marks=faster(tensorflow=1.5, onnxruntime=1.0), size={"batch": batch},
        )  # fmt: skip


def transformer() -> Iterable[Workload]:
    """One block."""
    marks = faster(jax=1, torch=1, torch_compile=1)
    yield Workload("transformer_forward", "transformer block, forward", "transformer", "transformer", ARRAYS, (1.508106,), task="forward", marks=marks)
    yield Workload("transformer", "transformer block, training step", "transformer", "transformer", ARRAYS, **BLOCK, marks=marks)


def loops() -> Iterable[Workload]:
    """Many steps in one compiled call, the data resident."""
    for name, title, case, facts, bound in (
        ("linear_loop", "linear regression", "linear", LINE, 0.15e-6),
        ("two_layer_loop", "two-layer network", "two_layer", WAVES, 1e-6),
    ):
        yield Workload(name, f"{title}, steps in one call", "loops", case, ("flowc", "jax"), **facts, task="loop", marks=(Mark("step", bound),))


def evaluation() -> Iterable[Workload]:
    """A whole test set at once."""
    yield Workload(
        "cnn_evaluate", "CNN, loss and accuracy of 10 000 images at once", "evaluate", "cnn", ("flowc", "tensorflow", "jax", "torch"),
        (6.521872,), 1e-3, task="evaluate",
        marks=(Mark("memory", 2.0, "tensorflow"),), size={"batch": 10000},
    )  # fmt: skip


def starts() -> Iterable[Workload]:
    """From the start of a process to its first step: with empty caches, then in a second process with what the first one left."""
    small = (Mark("warm", 0.25),)
    yield Workload("start/linear", "linear regression", "start", "linear", ALL, **LINE, marks=small, kind=Kind.START)
    yield Workload("start/two_layer", "two-layer network", "start", "two_layer", ALL, **WAVES, marks=small, kind=Kind.START)
    yield Workload("start/softmax", "softmax regression", "start", "softmax", ALL, **DIGITS, marks=small, kind=Kind.START)
    yield Workload(
        "start/cnn", "CNN", "start", "cnn", ALL[:-1], **NETWORK, kind=Kind.START,
        marks=(Mark("cold", 1.0, "jax"), Mark("warm", 0.4)),
    )  # fmt: skip
    yield Workload("start/transformer", "transformer block", "start", "transformer", ARRAYS, **BLOCK, kind=Kind.START)


def products() -> Iterable[Workload]:
    """Squares, and the products of the programs forward and backward."""
    shapes = [(n, n, n, "") for n in (64, 128, 256, 512, 1024, 2048)]
    shapes += [
        (10, 2, 20, ""), (10, 20, 1, ""), (20, 10, 1, "ta"), (2, 10, 20, "ta"), (10, 1, 20, "tb"),
        (100, 784, 10, ""), (784, 100, 10, "ta"),
        (128, 3136, 1024, ""), (3136, 128, 1024, "ta"), (128, 1024, 3136, "tb"),
        (128, 1024, 10, ""), (1024, 128, 10, "ta"), (128, 10, 1024, "tb"),
        (1, 3136, 1024, ""), (1, 1024, 10, ""),
        (1024, 256, 768, ""), (1024, 256, 1024, ""), (1024, 1024, 256, ""),
    ]  # fmt: skip
    for m, k, n, transposed in shapes:
        name = f"{m}" if m == k == n else f"{m}x{k}x{n}" + ("." + transposed if transposed else "")
        yield Workload(
            f"matmul/{name}", f"matmul {name}", "matmul", "products", ("flowc.compile", "numpy", "torch", "jax"), 1, 1e-3,
            marks=faster(numpy=0.9, torch=0.9), kind=Kind.TOGETHER,
            size={"m": m, "k": k, "n": n, "ta": transposed == "ta", "tb": transposed == "tb"},
        )  # fmt: skip


def sweeps() -> Iterable[Workload]:
    """Elementwise chains and reductions of rows by size."""
    everybody = ("flowc.compile", "numpy", "jax", "torch", "torch.compile")
    for formula in ("chain", "activation", "row_sum", "row_softmax", "row_norm"):
        for text, rows, columns in (("1k", 10, 100), ("10k", 100, 100), ("100k", 100, 1000), ("1M", 1000, 1000), ("10M", 10000, 1000)):
            yield Workload(
                f"{formula}/{text}", f"{formula}, {text} elements", "elementwise", "sweeps", everybody, 1, 1e-3,
                marks=(Mark("of_limit", 1 / 1.15),), size={"formula": formula, "rows": rows, "columns": columns}, kind=Kind.TOGETHER,
            )  # fmt: skip


def growth() -> Iterable[Workload]:
    """The same network deeper, and on larger batches."""
    everybody = ("flowc", "tensorflow", "jax", "torch", "torch.compile")
    for depth in (10, 30, 100, 300, 1000):
        yield Workload(
            f"deep/{depth}", f"{depth} layers of 32", "growth", "deep", everybody, 2, 1e-3,
            size={"depth": depth, "batch": 32}, patience_s=150.0,
        )  # fmt: skip
    for batch in (1, 10, 100, 1000, 10000):
        yield Workload(
            f"wide/{batch}", f"10 layers of 32, batch {batch}", "growth", "deep", everybody, 2, 1e-3,
            size={"depth": 10, "batch": batch}, patience_s=150.0,
        )  # fmt: skip


FAMILIES = (steps, forward, transformer, loops, evaluation, starts, products, sweeps, growth)
WORKLOADS = {w.name: w for family in FAMILIES for w in family()}
GROUPS = tuple(dict.fromkeys(w.group for w in WORKLOADS.values()))
