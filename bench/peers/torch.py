"""PyTorch, eager: modules, autograd and an optimiser from torch.optim, in each of its implementations."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import fastgd as gd
from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, flat

MAX_UPDATES = 1_000
IMPLEMENTATIONS = {"for loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    return {name: partial(Eager, workload, X, y, options) for name, options in IMPLEMENTATIONS.items()}


class Eager:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray, implementation: dict[str, bool]) -> None:
        self.n_samples = len(X) * workload.n_epochs
        self._loss, targets, gradient_scale = loss_of(workload, torch.from_numpy(y))
        tensors = torch.from_numpy(X), targets
        self._batches = [tensor.split(workload.batch_size) * workload.n_epochs for tensor in tensors]
        self._start = [torch.from_numpy(part) for layer in workload.initial() for part in layer]
        dtype = self._start[0].dtype
        activation = nn.Tanh if workload.activation == "tanh" else nn.ReLU
        layers = [
            layer for pair in pairwise(workload.widths) for layer in (nn.Linear(*pair, dtype=dtype), activation())
        ]
        self._model = nn.Sequential(*layers[:-1])
        self._settings = optimizer_settings(workload.optimizer, gradient_scale)
        self._kind = torch.optim.Adam if isinstance(workload.optimizer, gd.Adam) else torch.optim.SGD
        self._implementation = implementation
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        parameters = [parameter.detach().numpy() for parameter in self._model.parameters()]
        return flat(zip(parameters[::2], parameters[1::2], strict=True))

    def reset(self) -> None:
        with torch.no_grad():
            for parameter, start in zip(self._model.parameters(), self._start, strict=True):
                parameter.copy_(start)
        self._optimizer = self._kind(self._model.parameters(), **self._settings, **self._implementation)

    def epoch(self) -> None:
        model, optimizer, loss = self._model, self._optimizer, self._loss
        for x, y in zip(*self._batches, strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss(model(x), y).backward()
            optimizer.step()


def loss_of(workload: PeerWorkload, y: torch.Tensor) -> tuple[Callable[..., torch.Tensor], torch.Tensor, float]:
    """The loss, its targets, and what times the gradient of fastgd's its gradient is."""
    if workload.loss == "cross_entropy":
        return functional.cross_entropy, y[:, 0].long(), 1.0
    if workload.loss == "log_loss":
        return functional.binary_cross_entropy_with_logits, y, 1.0
    # It has a mean over outputs too, and no ½: the same updates need no operation more, only other settings.
    return functional.mse_loss, y, 2 / y.shape[1]


def optimizer_settings(optimizer: gd.SGD | gd.Adam, gradient_scale: float) -> dict[str, object]:
    """Those that make, of gradients so many times as large, the same updates."""
    if isinstance(optimizer, gd.Adam):
        return {"lr": optimizer.learning_rate, "betas": optimizer.betas, "eps": optimizer.eps * gradient_scale}
    return {"lr": optimizer.learning_rate / gradient_scale, "momentum": optimizer.momentum}
