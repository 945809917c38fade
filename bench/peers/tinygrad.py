"""tinygrad: forward, backward and update as one captured function, which is called once a batch."""

from collections.abc import Callable
from functools import partial

import numpy as np
from tinygrad import Tensor, TinyJit

from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, adam_factors, flat, updater

MAX_UPDATES = 100


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    return {"": partial(Captured, workload, X, y)}


class Captured:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X) * workload.n_epochs
        begins = range(0, len(X), workload.batch_size)
        factors = adam_factors(workload.optimizer, workload.n_updates(len(X)), workload.dtype)
        targets = y.astype(np.int32) if workload.loss == "cross_entropy" else y
        self._batches = (
            *(
                [Tensor(rows[i : i + workload.batch_size]).realize() for i in begins] * workload.n_epochs
                for rows in (X, targets)
            ),
            [Tensor(each).realize() for each in factors],
        )
        parts = [part for layer in workload.initial() for part in layer]
        self._start = [*parts, *(np.zeros_like(part) for part in 2 * parts)]
        self._state = [Tensor(part).realize() for part in self._start]
        self._step = TinyJit(partial(step, workload, self._state))

    @property
    def parameters(self) -> np.ndarray:
        parts = [part.numpy() for part in self._state[: len(self._state) // 3]]
        return flat(zip(parts[::2], parts[1::2], strict=True))

    def reset(self) -> None:
        for part, start in zip(self._state, self._start, strict=True):
            part.assign(Tensor(start)).realize()

    def epoch(self) -> None:
        for batch in zip(*self._batches, strict=True):
            self._step(*batch)
        self._state[0].numpy()


def step(workload: PeerWorkload, state: list[Tensor], x: Tensor, y: Tensor, factors: Tensor) -> None:
    """One update of the state: all parameters, their m and their v; factors as from `adam_factors`."""
    n = len(state) // 3
    update = updater(workload.optimizer, Tensor.sqrt)
    parts = state[:n]
    gradient = mean_loss(workload, list(zip(parts[::2], parts[1::2], strict=True)), x, y).gradient(*parts)
    updated = [update(*each, factors) for each in zip(parts, state[n : 2 * n], state[2 * n :], gradient, strict=True)]
    for k, each in enumerate(updated):
        for part, new in zip(state[k::n], each, strict=True):
            part.assign(new)
    Tensor.realize(*state)


def mean_loss(workload: PeerWorkload, layers: list, x: Tensor, y: Tensor) -> Tensor:
    """The mean over the batch."""
    for weight, bias in layers[:-1]:
        x = x.linear(weight.T, bias)
        x = x.tanh() if workload.activation == "tanh" else x.relu()
    weight, bias = layers[-1]
    z = x.linear(weight.T, bias)
    if workload.loss == "cross_entropy":
        return z.sparse_categorical_crossentropy(y[:, 0])
    if workload.loss == "log_loss":
        return z.binary_crossentropy_logits(y)
    return 0.5 * (z - y).square().sum() / len(x)
