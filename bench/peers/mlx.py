"""MLX on the processor: forward, backward and update as one compiled function, which is called once a batch."""

from collections.abc import Callable
from functools import partial

import mlx.core as mx
import numpy as np
from mlx.nn import losses
from mlx.utils import tree_map

from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, adam_factors, flat, updater

MAX_UPDATES = 1_000
mx.set_default_device(mx.cpu)


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    return {"": partial(Compiled, workload, X, y)}


class Compiled:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X) * workload.n_epochs
        self._array = array = partial(mx.array, dtype=getattr(mx, workload.dtype))
        batches = [mx.split(array(rows), len(X) // workload.batch_size) * workload.n_epochs for rows in (X, y)]
        factors = adam_factors(workload.optimizer, workload.n_updates(len(X)), workload.dtype)
        self._batches = *batches, list(array(factors))
        self._start = [list(layer) for layer in workload.initial()]
        self._step = mx.compile(stepper(workload))
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return flat([np.asarray(part) for part in layer] for layer in self._state[0])

    def reset(self) -> None:
        parameters = tree_map(self._array, self._start)
        self._state = [parameters, *(tree_map(mx.zeros_like, parameters) for _ in range(2))]
        mx.eval(self._state)

    def epoch(self) -> None:
        for batch in zip(*self._batches, strict=True):
            self._state = self._step(self._state, batch)
            mx.eval(self._state)


def mean_loss(workload: PeerWorkload, layers: list, x: mx.array, y: mx.array) -> mx.array:
    """The mean over the batch."""
    for weight, bias in layers[:-1]:
        x = x @ weight.T + bias
        x = mx.tanh(x) if workload.activation == "tanh" else mx.maximum(x, 0)
    weight, bias = layers[-1]
    z = x @ weight.T + bias
    if workload.loss == "cross_entropy":
        return losses.cross_entropy(z, y[:, 0].astype(mx.int32), reduction="mean")
    if workload.loss == "log_loss":
        return losses.binary_cross_entropy(z, y, reduction="mean")
    return 0.5 * mx.square(z - y).sum() / len(x)


def stepper(workload: PeerWorkload) -> Callable[..., list]:
    """The function of one update: state [layers, m, v] and batch (x, y, factors) to a new state."""
    update, gradient_of = updater(workload.optimizer, mx.sqrt), mx.grad(partial(mean_loss, workload))

    def step(state, batch):
        x, y, factors = batch
        parts = zip(*state, gradient_of(state[0], x, y), strict=True)
        updated = [[update(*each, factors) for each in zip(*layer, strict=True)] for layer in parts]
        return [[[part[k] for part in layer] for layer in updated] for k in range(3)]

    return step
