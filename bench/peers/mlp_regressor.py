"""scikit-learn's MLPRegressor and MLPClassifier.

The regressor's reported loss is a mean over outputs, but its gradient is, like fastgd's, their sum.
"""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fastgd as gd
from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload, flat

MAX_UPDATES = 1_000


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    # Of two classes, the classifier has one output.
    is_other = workload.is_neuron or (workload.loss == "cross_entropy" and workload.widths[-1] == 2)
    return {} if is_other else {"": partial(Network, workload, X, y)}


class Network:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X) * workload.n_epochs
        self._X, self._y = X, y if y.shape[1] > 1 else y[:, 0]
        self._start = workload.initial()
        kind, classes = MLPRegressor, {}
        if workload.loss == "cross_entropy":
            kind, classes = MLPClassifier, {"classes": np.unique(self._y)}
        # A warm start keeps the weights from call to call of fit, but begins with a new optimiser.
        self._estimator = kind(
            hidden_layer_sizes=workload.widths[1:-1],
            activation=workload.activation,
            alpha=0.0,
            batch_size=workload.batch_size,
            learning_rate_init=workload.optimizer.learning_rate,
            max_iter=workload.n_epochs,
            n_iter_no_change=1_000_000_000,  # it counts on from call to call
            shuffle=False,
            warm_start=True,
            **solver(workload.optimizer),
        )
        self._estimator.partial_fit(self._X[: workload.batch_size], self._y[: workload.batch_size], **classes)
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        weights = [weight.T for weight in self._estimator.coefs_]
        return flat(zip(weights, self._estimator.intercepts_, strict=True))

    def reset(self) -> None:
        for k, (weight, bias) in enumerate(self._start):
            self._estimator.coefs_[k][:] = weight.T
            self._estimator.intercepts_[k][:] = bias

    def epoch(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._estimator.fit(self._X, self._y)


def solver(optimizer: gd.SGD | gd.Adam) -> dict[str, object]:
    """Their names for the optimiser's settings."""
    if isinstance(optimizer, gd.Adam):
        beta1, beta2 = optimizer.betas
        return {"solver": "adam", "beta_1": beta1, "beta_2": beta2, "epsilon": optimizer.eps}
    return {"solver": "sgd", "momentum": optimizer.momentum, "nesterovs_momentum": False}
