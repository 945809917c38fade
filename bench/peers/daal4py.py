"""daal4py's SGD, one row an update, of Intel's oneDAL: a solver of the squared error and of the log loss."""

from collections.abc import Callable
from functools import partial

import daal4py
import numpy as np

from bench.cases.runs import Run
from bench.peers.workloads import PeerWorkload

MAX_UPDATES = 20_000


def forms(workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Run]]:
    return {"": partial(Neuron, workload, X, y)} if workload.is_neuron else {}


class Neuron:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples, n_features = X.shape
        self._X, self._y = X, y
        number = {"float32": "float", "float64": "double"}[workload.dtype]
        if workload.loss == "log_loss":
            kind, options = daal4py.optimization_solver_logistic_loss, {"interceptFlag": True, "penaltyL2": 0.0}
        else:
            kind, options = daal4py.optimization_solver_mse, {}
        self._loss = partial(kind, self.n_samples, fptype=number, **options)
        self._solver = partial(
            daal4py.optimization_solver_sgd,
            learningRateSequence=np.array([[workload.optimizer.learning_rate]]),
            nIterations=self.n_samples,
            accuracyThreshold=0.0,
            batchIndices=np.arange(self.n_samples, dtype=np.int32)[:, None],
            fptype=number,
        )
        self._start = np.zeros((n_features + 1, 1), workload.dtype)

    @property
    def parameters(self) -> np.ndarray:
        # The bias comes first.
        return np.roll(self._found.ravel(), -1)

    def reset(self) -> None:
        """Every epoch begins at zero."""

    def epoch(self) -> None:
        loss = self._loss()
        loss.setup(self._X, self._y)
        self._found = np.asarray(self._solver(loss).compute(self._start).minimum)
