"""Vowpal Wabbit: plain SGD on rows parsed beforehand, which is faster than its own loop over a cache file."""

from collections.abc import Callable
from functools import partial

import numpy as np
from vowpalwabbit import pyvw

from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload

# It takes milliseconds to parse a row.
MAX_UPDATES = 2_000


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    return {"": partial(Neuron, workload, X, y)} if workload.is_neuron and workload.is_plain else {}


class Neuron:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples, self._n_features = X.shape
        # Its squared error has no ½. A prediction would be clipped to the targets seen so far. The bias is a feature
        # like the others, always 1, for its built-in one has no number of its own.
        self._workspace = pyvw.Workspace(
            f"--quiet --no_stdin --sgd --power_t 0 --learning_rate {workload.optimizer.learning_rate / 2!r} "
            f"--min_prediction -1e9 --max_prediction 1e9 --noconstant --bit_precision {X.shape[1].bit_length() + 1}"
        )
        lines = zip(X.tolist(), y[:, 0].tolist(), strict=True)
        self._examples = [self._workspace.parse(text(x, target)) for x, target in lines]

    @property
    def parameters(self) -> np.ndarray:
        return np.array([self._workspace.get_weight(j) for j in range(self._n_features + 1)])

    def reset(self) -> None:
        for j in range(self._n_features + 1):
            self._workspace.set_weight(j, 0, 0.0)

    def epoch(self) -> None:
        learn = self._workspace.learn
        for example in self._examples:
            learn(example)


def text(x: list[float], target: float) -> str:
    """A row in Vowpal Wabbit's format, with the digits that float32 needs to come back the same."""
    features = " ".join(f"{j}:{value:.9g}" for j, value in enumerate([*x, 1.0]))
    return f"{target:.9g} | {features}"
