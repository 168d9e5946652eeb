"""The four training steps in PyTorch on the CPU: loss, backward, and an update in place.

    build("cnn", data, compiled=True)   # the same loss through torch.compile

The small programs update by hand under no_grad, which is quicker than an optimizer object; the CNN uses the fused Adam.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .program import Program
from .workloads import WORKLOADS, Data

Parameters = dict[str, Any]


def build(workload: str, data: Data, compiled: bool) -> Program:
    """Returns the workload's step; images and filters are laid out the way PyTorch wants them (NCHW, OIHW)."""
    rate = WORKLOADS[workload].rate
    plain = LOSSES[workload]
    loss = torch.compile(plain) if compiled else plain
    parameters = {name: torch.tensor(laid_out(name, value)).requires_grad_() for name, value in data.start.items()}
    values = list(parameters.values())
    batches = [(np.asarray(x, np.float32), np.asarray(y, np.float32)) for x, y in data.batches]
    held = [torch.from_numpy(np.asarray(part, np.float32)) for part in data.held]
    optimizer: Any = torch.optim.Adam(values, lr=rate, fused=True) if workload == "cnn" else None
    training = (True,) if workload == "cnn" else ()

    def gradients(i: int) -> None:
        x, y = batches[i % len(batches)]
        loss(parameters, torch.from_numpy(x), torch.from_numpy(y), *training).backward()

    def steps_by_hand(count: int) -> None:
        for i in range(count):
            gradients(i)
            with torch.no_grad():
                for value in values:
                    value.sub_(value.grad, alpha=rate)
                    value.grad = None

    def steps_with_adam(count: int) -> None:
        for i in range(count):
            gradients(i)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def current_loss() -> float:
        with torch.no_grad():
            return float(plain(parameters, *held))

    return Program(steps_by_hand if optimizer is None else steps_with_adam, current_loss)


def laid_out(name: str, value: np.ndarray) -> np.ndarray:
    """Convolution filters from height x width x in x out to out x in x height x width; the first dense layer's rows to match NCHW."""
    if name in ("F1", "F3"):
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    if name == "w5":
        return np.ascontiguousarray(value.reshape(7, 7, 64, 1024).transpose(2, 0, 1, 3).reshape(7 * 7 * 64, 1024))
    return value


def linear_loss(p: Parameters, x: Any, y: Any) -> Any:
    """Summed squares of W x + b - y."""
    return ((p["W"] * x + p["b"] - y) ** 2).sum()


def two_layer_loss(p: Parameters, x: Any, y: Any) -> Any:
    """2-20-1 with relu, mean square."""
    hidden = torch.relu(torch.addmm(p["b1"], x, p["W1"]))
    return F.mse_loss(hidden @ p["W2"] + p["b2"], y)


def softmax_loss(p: Parameters, x: Any, y: Any) -> Any:
    """The hand-written cross-entropy, log of softmax, as in the user's program."""
    predicted = torch.softmax(torch.addmm(p["b"], x, p["W"]), dim=1)
    return -(y * torch.log(predicted)).sum(dim=1).mean()


def cnn_loss(p: Parameters, x: Any, y: Any, training: bool = False) -> Any:
    """The MNIST network's cross-entropy; in training half of the dense layer is dropped."""
    h2 = F.max_pool2d(torch.relu(F.conv2d(x.view(-1, 1, 28, 28), p["F1"], p["b1"], padding=2)), 2)
    h4 = F.max_pool2d(torch.relu(F.conv2d(h2, p["F3"], p["b3"], padding=2)), 2)
    h5 = torch.relu(torch.addmm(p["b5"], h4.reshape(-1, 7 * 7 * 64), p["w5"]))
    logits = torch.addmm(p["b6"], F.dropout(h5, 0.5, training), p["w6"])
    return F.cross_entropy(logits, y)


LOSSES = {"linear": linear_loss, "two_layer": two_layer_loss, "softmax": softmax_loss, "cnn": cnn_loss}
