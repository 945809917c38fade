"""One workload in every library: the same rows, the same initial weights, the same updates."""

from typing import Protocol

import numpy as np

import fastgd as gd
from bench.cases.numpy_training import NumpyNetwork, train_neuron
from bench.cases.workloads import Workload
from bench.limits.products import filled_network, products
from fastgd import kernels
from fastgd._engine.run_state import Snapshot
from fastgd.data.block import read_only
from fastgd.reference import algorithm as reference
from fastgd.reference import comparison as baseline

TOLERANCE = 8 * float(np.finfo(np.float32).eps)
# One hidden unit of 64 may be further apart than rounding, by a row's step.
SHARE_APART, TIMES_APART = 0.02, 32
# After more updates, one row that passed a ReLU in one library alone has moved what follows in every layer.
CHECKED_UPDATES = 200


class Run(Protocol):
    """An epoch that can be repeated from the same start."""

    n_samples: int

    def reset(self) -> None:
        """Go back to the initial weights."""

    def epoch(self) -> None:
        """Train on every row once."""


class Fastgd:
    def __init__(self, workload: Workload, X: np.ndarray, y: np.ndarray, shuffle: bool = False) -> None:
        self.n_samples = len(X)
        self._X, self._y = X, y
        self._model = workload.model()
        self._start = self._model.parameters.copy()
        optimizer = gd.SGD(workload.learning_rate)
        self._trainer = gd.Trainer(
            self._model, optimizer=optimizer, batch_size=workload.batch_size, shuffle=shuffle, seed=0
        )

    @property
    def parameters(self) -> np.ndarray:
        return self._model.parameters

    def reset(self) -> None:
        self._model.parameters = self._start

    def epoch(self) -> None:
        self._trainer.fit(self._X, self._y)


class Unchecked(Fastgd):
    """fastgd without the copies and tests between slices that keep the parameters finite."""

    def __init__(self, workload: Workload, X: np.ndarray, y: np.ndarray) -> None:
        super().__init__(workload, X, y)
        # The trainer makes its loop when it first trains.
        self.epoch()
        self.reset()
        loop = self._trainer._run.engine._finite_loop
        loop._succeeds = lambda block: loop._call(block) or True
        loop._snapshot = Snapshot([])


class Numpy:
    def __init__(self, workload: Workload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X)
        self._X, self._y = X, y
        self._learning_rate = workload.learning_rate
        self._is_neuron = workload.is_neuron
        self._start = workload.model().parameters
        self._network = NumpyNetwork(self._start, workload.widths, workload.batch_size, TOLERANCE)

    @property
    def parameters(self) -> np.ndarray:
        return self._network.parameters

    def reset(self) -> None:
        self.parameters[:] = self._start

    def epoch(self) -> None:
        if self._is_neuron:
            train_neuron(self.parameters, TOLERANCE, self._X, self._y, self._learning_rate)
        else:
            self._network.train(self._X, self._y, self._learning_rate)


class PurePython:
    """`fastgd.reference.algorithm` on the workload's first rows."""

    def __init__(self, workload: Workload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = workload.n_python
        self._X, self._y = X[: self.n_samples].tolist(), y[: self.n_samples].tolist()
        self._model = workload.model()
        self._options = workload.learning_rate, workload.batch_size
        self.reset()

    @property
    def parameters(self) -> np.ndarray:
        return baseline.parameters_of(self._layers)

    def reset(self) -> None:
        self._layers = baseline.as_reference(self._model)

    def epoch(self) -> None:
        reference.train(self._layers, self._X, self._y, *self._options)


class Products:
    """The products of a network's epoch alone, by np.dot."""

    def __init__(self, workload: Workload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X)
        model = workload.model()
        network = filled_network(model, workload.batch_size)
        self._arguments = network, model.parameters, np.empty_like(model.parameters), read_only(X)

    def reset(self) -> None:
        """Nothing to go back from."""

    def epoch(self) -> None:
        products(*self._arguments)


class Read:
    """Reading X once."""

    def __init__(self, workload: Workload, X: np.ndarray, y: np.ndarray) -> None:
        self.n_samples = len(X)
        self._x = X.reshape(-1)

    def reset(self) -> None:
        """Nothing to go back from."""

    def epoch(self) -> None:
        kernels.sum_elements(self._x)


YARDSTICKS = {"reading X": Read, "its np.dot calls": Products}


def baseline_of(workload: Workload) -> str:
    """What an epoch is measured against: a neuron's has to read its rows, a network's to multiply matrices."""
    return "reading X" if workload.is_neuron else "its np.dot calls"


def prepare(workload: Workload) -> dict[str, Run]:
    """Every library's run, warm, after a check that all of them come to the same parameters."""
    X, y = workload.arrays()
    baseline = baseline_of(workload)
    kinds = {
        "fastgd": Fastgd,
        "NumPy": Numpy,
        "pure Python": PurePython,
        baseline: YARDSTICKS[baseline],
        "unchecked": Unchecked,
    }
    runs = {name: kind(workload, X, y) for name, kind in kinds.items()}
    for run in runs.values():
        run.epoch()
    n_checked = min(CHECKED_UPDATES * workload.batch_size, len(X))
    numpy = Numpy(workload, X[:n_checked], y[:n_checked])
    numpy.epoch()
    for other in numpy, runs["unchecked"], runs["pure Python"]:
        run = Fastgd(workload, X[: other.n_samples], y[: other.n_samples])
        run.epoch()
        require_equal(run.parameters, other.parameters, -(-other.n_samples // workload.batch_size))
    return runs


def require_equal(parameters: np.ndarray, expected: np.ndarray, n_updates: int) -> None:
    """Raise an AssertionError unless the parameters agree up to rounding.

    Each update rounds every parameter and its gradient, a few eps together, up as often as down: after n of them the
    parameters are some √n eps apart. A hidden unit's are further apart where rounding lets a row pass its ReLU in one
    library and not in the other.
    """
    tolerance = 8 * np.sqrt(n_updates) * float(np.finfo(np.float32).eps) * np.abs(expected).max()
    n_apart = np.count_nonzero(~(np.abs(parameters - expected) <= tolerance))
    if n_apart <= SHARE_APART * expected.size:
        tolerance *= TIMES_APART
    np.testing.assert_allclose(parameters, expected, rtol=0, atol=tolerance)
