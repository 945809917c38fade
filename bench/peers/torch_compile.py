"""PyTorch, compiled: forward, backward and update as one graph, which is called once a batch.

Compiling the loss and `optimizer.step` apart, as most write it, was slower than eager in the three cases tried: 100-1
with batch 1, 100-64-1 and 784-256-10 with batch 32.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional

import fastgd as gd
from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, adam_factors, flat

MAX_UPDATES = 1_000

Tensors = list[tuple[torch.Tensor, torch.Tensor]]


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    return {"": partial(Compiled, workload, X, y)}


class Compiled:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X) * workload.n_epochs
        batches = [tensor.split(workload.batch_size) * workload.n_epochs for tensor in map(torch.from_numpy, (X, y))]
        factors = torch.from_numpy(adam_factors(workload.optimizer, len(batches[0]), workload.dtype)).unbind()
        self._batches = *batches, factors
        self._start = workload.initial()
        self._layers, self._m, self._v = ([tuple(map(torch.tensor, layer)) for layer in self._start] for _ in range(3))
        # Every workload has code of its own, which must not count as one function compiled too often.
        torch._dynamo.reset()
        self._step = torch.compile(stepper(workload), fullgraph=True, dynamic=False)
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return flat([(weight.numpy(), bias.numpy()) for weight, bias in self._layers])

    def reset(self) -> None:
        for k, layer in enumerate(self._start):
            for w, m, v, start in zip(self._layers[k], self._m[k], self._v[k], layer, strict=True):
                w.copy_(torch.from_numpy(start))
                m.zero_()
                v.zero_()

    def epoch(self) -> None:
        for x, y, factors in zip(*self._batches, strict=True):
            self._step(self._layers, self._m, self._v, x, y, factors)


def mean_loss(workload: PeerWorkload, layers: Tensors, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The mean over the batch."""
    activation = torch.tanh if workload.activation == "tanh" else functional.relu
    for weight, bias in layers[:-1]:
        x = activation(functional.linear(x, weight, bias))
    z = functional.linear(x, *layers[-1])
    if workload.loss == "cross_entropy":
        return functional.cross_entropy(z, y[:, 0].long())
    if workload.loss == "log_loss":
        return functional.binary_cross_entropy_with_logits(z, y)
    return 0.5 * (z - y).square().sum() / len(x)


def stepper(workload: PeerWorkload) -> Callable[..., None]:
    """The function of one update: layers, m and v are modified in place; factors as from `adam_factors`."""
    optimizer, loss = workload.optimizer, partial(mean_loss, workload)

    def plain(w, m, v, g, factors):
        w.sub_(g, alpha=optimizer.learning_rate)

    def momentum(w, m, v, g, factors):
        m.mul_(optimizer.momentum).add_(g)
        w.sub_(m, alpha=optimizer.learning_rate)

    def adam(w, m, v, g, factors):
        beta1, beta2 = optimizer.betas
        m.mul_(beta1).add_(g, alpha=1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        w.sub_(factors[0] * m / (v.sqrt() / factors[1] + optimizer.eps))

    if isinstance(optimizer, gd.Adam):
        update = adam
    else:
        update = momentum if optimizer.momentum else plain

    def step(layers, m, v, x, y, factors):
        gradient = torch.func.grad(loss)(layers, x, y)
        for parts in zip(layers, m, v, gradient, strict=True):
            for w, m_part, v_part, g in zip(*parts, strict=True):
                update(w, m_part, v_part, g, factors)

    return step
