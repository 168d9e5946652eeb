"""Images as MNIST has them, drawn from NumPy's frozen RandomState, so that every contestant in every environment sees the same bits."""

from __future__ import annotations

import numpy as np


def digit_like(rng: np.random.RandomState, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` images of 784 pixels in [0, 1], four in five of them dark as in MNIST, around ten prototypes; and one-hot labels.

    One image in ten is of another class than its label says, so that the loss takes some hundred steps to fall and not ten.
    """
    prototypes = np.random.RandomState(10).uniform(0, 1, (10, 784)) * (np.random.RandomState(11).uniform(size=(10, 784)) < 0.2)
    labels = rng.randint(0, 10, count)
    shown = np.where(rng.uniform(size=count) < 0.1, rng.randint(0, 10, count), labels)
    images = np.clip(prototypes[shown] + rng.standard_normal((count, 784)) * 0.5 * (prototypes[shown] > 0), 0, 1)
    return images.astype(np.float32), np.eye(10, dtype=np.float32)[labels]


def weighted(result: np.ndarray) -> float:
    """One number that depends on every element of a result and on its place: the mean of its squares, weighted by place."""
    flat = np.asarray(result, np.float64).reshape(-1)
    return float(np.mean(flat * flat * (1 + 0.5 * np.cos(np.arange(flat.size)))))
