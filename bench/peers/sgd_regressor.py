"""scikit-learn's SGDRegressor. Its compiled loop exists for float32 and for float64."""

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.linear_model import SGDRegressor

from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, flat

MAX_UPDATES = None


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    if not workload.is_neuron:
        return {}
    return {dtype: partial(Neuron, workload, X, y, dtype) for dtype in ("float32", "float64")}


class Neuron:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray, dtype: str) -> None:
        self.n_samples = len(X)
        self._X, self._y = X.astype(dtype), y[:, 0].astype(dtype)
        self._options = {"eta0": workload.optimizer.learning_rate, "learning_rate": "constant"}
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return flat([(self._regressor.coef_, self._regressor.intercept_)])

    def reset(self) -> None:
        self._regressor = SGDRegressor(penalty=None, alpha=0.0, shuffle=False, **self._options)

    def epoch(self) -> None:
        self._regressor.partial_fit(self._X, self._y)
