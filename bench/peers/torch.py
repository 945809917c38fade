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
        self.n_samples = len(X)
        self._batches = [tensor.split(workload.batch_size) for tensor in map(torch.from_numpy, (X, y))]
        self._start = [torch.from_numpy(part) for layer in workload.initial() for part in layer]
        layers = [layer for pair in pairwise(workload.widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        self._model = nn.Sequential(*layers[:-1])
        # mse_loss has a mean over outputs too, and no ½: the same updates need no operation more, only other settings.
        self._settings = optimizer_settings(workload.optimizer, gradient_scale=2 / y.shape[1])
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
        model, optimizer = self._model, self._optimizer
        for x, y in zip(*self._batches, strict=True):
            optimizer.zero_grad(set_to_none=True)
            functional.mse_loss(model(x), y).backward()
            optimizer.step()


def optimizer_settings(optimizer: gd.SGD | gd.Adam, gradient_scale: float) -> dict[str, object]:
    """Those that make, of gradients so many times as large, the same updates."""
    if isinstance(optimizer, gd.Adam):
        return {"lr": optimizer.learning_rate, "betas": optimizer.betas, "eps": optimizer.eps * gradient_scale}
    return {"lr": optimizer.learning_rate / gradient_scale, "momentum": optimizer.momentum}
