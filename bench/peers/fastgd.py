"""fastgd itself, as a user calls it."""

import numpy as np

import fastgd as gd
from bench.peers.workloads import PeerWorkload


class Fastgd:
    def __init__(self, workload: PeerWorkload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X) * workload.n_epochs
        self._workload = workload
        self._X, self._y = X, y
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return self._model.parameters

    def reset(self) -> None:
        self._model = self._workload.model()
        self._trainer = gd.Trainer(
            self._model, self._workload.loss, self._workload.optimizer, batch_size=self._workload.batch_size
        )

    def epoch(self) -> None:
        self._trainer.fit(self._X, self._y, epochs=self._workload.n_epochs)
