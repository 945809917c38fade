"""scikit-learn's SGDRegressor and SGDClassifier. Their compiled loop exists for float32 and for float64."""

from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.linear_model import SGDClassifier, SGDRegressor

from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, flat

MAX_UPDATES = None


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    if not workload.is_neuron:
        return {}
    return {dtype: partial(Neuron, workload, X, y, dtype) for dtype in dict.fromkeys((workload.dtype, "float64"))}


class Neuron:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray, dtype: str) -> None:
        self.n_samples = len(X)
        self._X, self._y = X.astype(dtype), y[:, 0].astype(dtype)
        self._options = {"eta0": workload.optimizer.learning_rate, "learning_rate": "constant"}
        self._kind, self._classes = SGDRegressor, {}
        if workload.loss == "log_loss":
            self._kind, self._classes = SGDClassifier, {"classes": [0, 1]}
            self._options["loss"] = "log_loss"
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return flat([(self._estimator.coef_, self._estimator.intercept_)])

    def reset(self) -> None:
        self._estimator = self._kind(penalty=None, alpha=0.0, shuffle=False, **self._options)

    def epoch(self) -> None:
        self._estimator.partial_fit(self._X, self._y, **self._classes)
