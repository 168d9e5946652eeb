"""The four workloads as data: what every peer is fed, where it starts, and which losses show that it computed the right thing.

    WORKLOADS["two_layer"].make()   ->   Data(start={"W1": f32[2, 20], ...}, batches=[(x, y), ...], held=(x, y))

All numbers come from NumPy's frozen RandomState, so every peer in every environment starts from the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Batch = tuple[Any, Any]


@dataclass(frozen=True)
class Data:
    """Start values of the parameters by name, the batches that the steps cycle through, and the rows that losses are taken on."""

    start: dict[str, np.ndarray]
    batches: list[Batch]
    held: Batch


@dataclass(frozen=True)
class Workload:
    """One training step to time.

    `proof_steps` steps must bring the loss below `bound`. `trace` holds the losses at the start and after each further three steps, which
    every contestant must meet to the relative `tolerance`; where dropout draws differ it holds the loss at the start alone.
    """

    title: str
    make: Callable[[], Data]
    rate: float
    proof_steps: int
    bound: float
    trace: tuple[float, ...]
    tolerance: float


def linear_data() -> Data:
    """The line y = 1 - x through four points, fed as the lists that the user writes."""
    start = {"W": np.array([0.3], np.float32), "b": np.array([-0.3], np.float32)}
    points = ([1, 2, 3, 4], [0, -1, -2, -3])
    return Data(start, [points], points)


def two_layer_data() -> Data:
    """A thousand points of sin(pi/2 x1) cos(pi/4 x2) on a square, in a hundred batches of 10."""
    rng = np.random.RandomState(0)
    x = rng.uniform(-2, 2, size=(1000, 2)).astype(np.float32)
    y = (np.sin(np.pi / 2 * x[:, :1]) * np.cos(np.pi / 4 * x[:, 1:])).astype(np.float32)
    start = {
        "W1": (rng.standard_normal((2, 20)) * np.sqrt(6 / 22)).astype(np.float32),
        "b1": np.zeros(20, np.float32),
        "W2": (rng.standard_normal((20, 1)) * np.sqrt(6 / 21)).astype(np.float32),
        "b2": np.zeros((), np.float32),
    }
    return Data(start, [(x[i : i + 10], y[i : i + 10]) for i in range(0, 1000, 10)], (x, y))


def digit_like(rng: np.random.RandomState, count: int) -> Batch:
    """`count` images of 784 pixels in [0, 1], four in five of them dark as in MNIST, around ten prototypes; and one-hot labels.

    One image in ten is of another class than its label says, so that the loss takes some hundred steps to fall and not ten.
    """
    prototypes = np.random.RandomState(10).uniform(0, 1, (10, 784)) * (np.random.RandomState(11).uniform(size=(10, 784)) < 0.2)
    labels = rng.randint(0, 10, count)
    shown = np.where(rng.uniform(size=count) < 0.1, rng.randint(0, 10, count), labels)
    images = np.clip(prototypes[shown] + rng.standard_normal((count, 784)) * 0.5 * (prototypes[shown] > 0), 0, 1)
    return images.astype(np.float32), np.eye(10, dtype=np.float32)[labels]


def softmax_data() -> Data:
    """Ten batches of 100 digit-like images; parameters start at zero."""
    rng = np.random.RandomState(1)
    batches = [digit_like(rng, 100) for _ in range(10)]
    return Data({"W": np.zeros((784, 10), np.float32), "b": np.zeros(10, np.float32)}, batches, batches[0])


def cnn_data() -> Data:
    """Four batches of 128 digit-like images; parameters start as normal draws of deviation 0.1, filters height x width x in x out."""
    rng = np.random.RandomState(2)
    shapes = {
        "F1": (5, 5, 1, 32), "b1": (32,), "F3": (5, 5, 32, 64), "b3": (64,),
        "w5": (7 * 7 * 64, 1024), "b5": (1024,), "w6": (1024, 10), "b6": (10,),
    }  # fmt: skip
    start = {name: (rng.standard_normal(shape) * 0.1).astype(np.float32) for name, shape in shapes.items()}
    batches = [digit_like(rng, 128) for _ in range(4)]
    return Data(start, batches, batches[0])


# The traces: TensorFlow, JAX, PyTorch and PyTensor agree on them, and for the first three so does NumPy in float64 (tests/tools).
WORKLOADS = {
    "linear": Workload("linear regression step", linear_data, 0.01, 1000, 1e-6, (23.66, 1.544823), 1e-4),
    "two_layer": Workload("two-layer network step, batch 10", two_layer_data, 0.01, 2000, 0.05, (1.655764, 0.6600083), 1e-4),
    "softmax": Workload("softmax step, batch 100", softmax_data, 0.5, 200, 1.0, (2.302585, 0.635919), 1e-4),
    "cnn": Workload("CNN training step, batch 128, Adam, dropout", cnn_data, 0.001, 24, 1.0, (6.01392,), 1e-3),
}
