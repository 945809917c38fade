"""River: one dict of features at a time, in float64, which is Python's only float."""

from collections.abc import Callable
from functools import partial

import numpy as np
from river import linear_model, optim

from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload

MAX_UPDATES = 2_000


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    return {"": partial(Neuron, workload, X, y)} if workload.is_neuron and workload.is_plain else {}


class Neuron:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X)
        self._rows = [dict(enumerate(x)) for x in X.tolist()]
        self._targets = y[:, 0].tolist()
        # Its squared error has no ½.
        self._rate = workload.optimizer.learning_rate / 2
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return np.array([*(self._regression.weights[j] for j in range(len(self._rows[0]))), self._regression.intercept])

    def reset(self) -> None:
        self._regression = linear_model.LinearRegression(optim.SGD(self._rate), intercept_lr=self._rate)

    def epoch(self) -> None:
        learn_one = self._regression.learn_one
        for x, target in zip(self._rows, self._targets, strict=True):
            learn_one(x, target)
