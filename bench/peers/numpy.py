"""NumPy, as one would write it by hand to be fast."""

from collections.abc import Callable
from functools import partial

import numpy as np

import fastgd as gd
from bench.cases.numpy_training import NumpyNetwork
from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, adam_factors

MAX_UPDATES = 20_000


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    return {"": partial(Neuron if workload.is_neuron else Network, workload, X, y)} if workload.is_plain else {}


class Neuron:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X)
        self._X, self._y = X, y[:, 0].tolist()
        self._learning_rate = workload.optimizer.learning_rate
        self.parameters = np.empty(X.shape[1] + 1, np.float32)
        self.reset()

    def reset(self) -> None:
        self.parameters[:] = 0

    def epoch(self) -> None:
        weight, bias = self.parameters[:-1], float(self.parameters[-1])
        step = np.empty_like(weight)
        for x, target in zip(self._X, self._y, strict=True):
            move = self._learning_rate * (float(weight.dot(x)) + bias - target)
            np.multiply(x, move, out=step)
            np.subtract(weight, step, out=weight)
            bias -= move
        self.parameters[-1] = bias


class Network:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X)
        begins = range(0, len(X), workload.batch_size)
        self._batches = [(X[i : i + workload.batch_size], y[i : i + workload.batch_size]) for i in begins]
        self._start = workload.model().parameters
        self._network = NumpyNetwork(self._start, workload.widths, workload.batch_size, 0.0)
        self._update = updater(workload.optimizer, len(self._batches), self.parameters)
        self._state = np.empty((2, self._start.size), np.float32)
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return self._network.parameters

    def reset(self) -> None:
        self.parameters[:] = self._start
        self._state[:] = 0

    def epoch(self) -> None:
        for t, (x, y) in enumerate(self._batches):
            self._network.loss_and_gradient(x, y)
            self._update(self._network.gradient, self._state, t)


def updater(
    optimizer: gd.SGD | gd.Adam, n_updates: int, w: np.ndarray
) -> Callable[[np.ndarray, np.ndarray, int], None]:
    """What changes w (size,), given a gradient (size,), the state (2, size) and the update's number from 0."""
    step, spread = np.empty_like(w), np.empty_like(w)
    factors = adam_factors(optimizer, n_updates).tolist()

    def plain(g, state, t):
        np.subtract(w, np.multiply(g, optimizer.learning_rate, out=step), out=w)

    def momentum(g, state, t):
        m = state[0]
        np.multiply(m, optimizer.momentum, out=m)
        np.add(m, g, out=m)
        np.subtract(w, np.multiply(m, optimizer.learning_rate, out=step), out=w)

    def adam(g, state, t):
        m, v = state
        (beta1, beta2), (rate, scale) = optimizer.betas, factors[t]
        np.multiply(m, beta1, out=m)
        np.add(m, np.multiply(g, 1 - beta1, out=step), out=m)
        np.multiply(v, beta2, out=v)
        np.multiply(g, g, out=step)
        np.add(v, np.multiply(step, 1 - beta2, out=step), out=v)
        np.divide(np.sqrt(v, out=spread), scale, out=spread)
        np.add(spread, optimizer.eps, out=spread)
        np.divide(np.multiply(m, rate, out=step), spread, out=step)
        np.subtract(w, step, out=w)

    if isinstance(optimizer, gd.Adam):
        return adam
    return momentum if optimizer.momentum else plain
