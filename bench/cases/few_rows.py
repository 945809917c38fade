"""The table of few rows: losses and gradients of one call, and epochs of a full batch, beside NumPy.

What a call or an epoch costs besides the work on its rows, which is next to nothing where there are many.
"""

import argparse
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import fastgd as gd
from bench.cases.numpy_training import layer_views
from bench.cases.runs import Run
from bench.cases.timing import best_seconds
from bench.readme import machine_line, markdown, rounded

MARKERS = "few rows"
METHOD = (
    "Networks of tanh layers, float32; an epoch is one update from all rows. The best processor times of runs by turns "
    "in one process, after loss and gradient, or the parameters, were found to be those of a loop of NumPy's in "
    "float64. An epoch's time is its share of one call of `fit` for 1000 epochs, or 20 of 10,000 rows."
)
BETAS, EPS, RATE = (0.9, 0.999), 1e-8, 1e-3


class FewRows(NamedTuple):
    """One line of the table.

    widths : of the input and of each Linear's output, with tanh between
    loss : "cross_entropy" or "half_squared_error"          optimizer : of epochs, SGD or Adam; None for gradients
    n_times : int, epochs or calls that are timed together
    """

    name: str
    widths: tuple[int, ...]
    n_rows: int
    loss: str
    optimizer: gd.SGD | gd.Adam | None
    n_times: int

    def model(self) -> gd.Model:
        layers = [layer for pair in pairwise(self.widths) for layer in (gd.Linear(*pair), gd.Tanh())]
        return gd.Model(layers[:-1], seed=0)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """X (n_rows, widths[0]) float32, and y: classes (n_rows, 1), or numbers (n_rows, widths[-1])."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.n_rows, self.widths[0]), np.float32)
        if self.loss == "cross_entropy":
            return X, rng.integers(0, self.widths[-1], (self.n_rows, 1)).astype(np.float32)
        return X, rng.standard_normal((self.n_rows, self.widths[-1]), np.float32)


LINES = {
    line.name: line
    for line in (
        FewRows("`loss_and_gradient`, 24-8-2, cross-entropy, 200 rows", (24, 8, 2), 200, "cross_entropy", None, 1000),
        FewRows("epoch, 24-8-2, cross-entropy, 200 rows", (24, 8, 2), 200, "cross_entropy", gd.SGD(0.1), 1000),
        FewRows("epoch, 4-32-16-4, Adam, 10,000 rows", (4, 32, 16, 4), 10_000, "half_squared_error", gd.Adam(RATE), 20),
    )
}


class Gradients:
    """`Model.loss_and_gradient`, again and again."""

    def __init__(self, line: FewRows) -> None:
        self.n_samples = line.n_times
        self._loss, self._rows, self._model = line.loss, line.arrays(), line.model()
        self.results: tuple[float, np.ndarray]

    def reset(self) -> None:
        """Nothing to go back from."""

    def epoch(self) -> None:
        for _ in range(self.n_samples):
            self.results = self._model.loss_and_gradient(*self._rows, self._loss)


class Epochs:
    """`Trainer.fit` for some epochs."""

    def __init__(self, line: FewRows) -> None:
        self.n_samples = line.n_times
        self._line, self._rows, self._start = line, line.arrays(), line.model().parameters
        self._model = line.model()
        self.reset()

    @property
    def results(self) -> tuple[float, np.ndarray]:
        return self._trainer.history.loss[-1], self._model.parameters

    def reset(self) -> None:
        self._model.parameters = self._start
        self._trainer = gd.Trainer(self._model, self._line.loss, self._line.optimizer, batch_size=None)

    def epoch(self) -> None:
        self._trainer.fit(*self._rows, epochs=self.n_samples)


class NumpyTanh:
    """The same in NumPy, whose memory is allocated once but for temporaries of a class's size."""

    def __init__(self, line: FewRows, dtype: str) -> None:
        self.n_samples = line.n_times
        X, y = line.arrays()
        self._X, self._y, self._rows = X.astype(dtype), y.astype(dtype), np.arange(len(X))
        self._line, self._start = line, line.model().parameters.astype(dtype)
        self._parameters, self._gradient = self._start.copy(), np.empty_like(self._start)
        self._layers = layer_views(self._parameters, line.widths)
        self._gradients = layer_views(self._gradient, line.widths)
        self._outputs = [np.empty((line.n_rows, width), dtype) for width in line.widths[1:]]
        self._deltas = [np.empty((line.n_rows, width), dtype) for width in line.widths[1:]]
        self._m, self._v = np.zeros((2, self._start.size), dtype)
        self._t = 0
        self._loss = 0.0

    @property
    def results(self) -> tuple[float, np.ndarray]:
        return self._loss, self._gradient if self._line.optimizer is None else self._parameters

    def reset(self) -> None:
        self._parameters[:] = self._start
        self._m[:] = self._v[:] = self._t = 0

    def epoch(self) -> None:
        for _ in range(self.n_samples):
            self._loss = self._loss_and_gradient()
            if self._line.optimizer is not None:
                self._update(self._line.optimizer)

    def _loss_and_gradient(self) -> float:
        x, last = self._X, len(self._layers) - 1
        for k, (weight, bias) in enumerate(self._layers):
            out = np.matmul(x, weight.T, out=self._outputs[k])
            out += bias
            x = np.tanh(out, out=out) if k < last else out
        loss, delta = self._derivative(x)
        delta /= len(self._X)
        for k in range(last, -1, -1):
            d_weight, d_bias = self._gradients[k]
            np.matmul(delta.T, self._outputs[k - 1] if k else self._X, out=d_weight)
            np.sum(delta, axis=0, out=d_bias)
            if k:
                delta = np.matmul(delta, self._layers[k][0], out=self._deltas[k - 1])
                squares = np.square(self._outputs[k - 1], out=self._outputs[k - 1])
                delta *= np.subtract(1, squares, out=squares)
        return loss

    def _derivative(self, out: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean loss, and its derivative by the outputs times the number of rows."""
        delta = self._deltas[-1]
        if self._line.loss == "half_squared_error":
            np.subtract(out, self._y, out=delta)
            return 0.5 * float(np.vdot(delta, delta)) / len(out), delta
        labels = self._y[:, 0].astype(np.int64)
        np.subtract(out, out.max(axis=1, keepdims=True), out=delta)
        at_labels = delta[self._rows, labels].sum()
        np.exp(delta, out=delta)
        sums = delta.sum(axis=1, keepdims=True)
        delta /= sums
        delta[self._rows, labels] -= 1
        return float(np.log(sums).sum() - at_labels) / len(out), delta

    def _update(self, optimizer: gd.SGD | gd.Adam) -> None:
        g, w = self._gradient, self._parameters
        if not isinstance(optimizer, gd.Adam):
            w -= optimizer.learning_rate * g
            return
        self._t += 1
        self._m += (1 - BETAS[0]) * (g - self._m)
        self._v += (1 - BETAS[1]) * (g * g - self._v)
        m, v = self._m / (1 - BETAS[0] ** self._t), self._v / (1 - BETAS[1] ** self._t)
        w -= optimizer.learning_rate * m / (np.sqrt(v) + EPS)


def prepare(line: FewRows) -> dict[str, Run]:
    """The runs of fastgd and of NumPy, warm, after a check that both come to what NumPy does in float64."""
    made: dict[str, Callable[[], Run]] = {
        "fastgd": lambda: Gradients(line) if line.optimizer is None else Epochs(line),
        "NumPy": lambda: NumpyTanh(line, "float32"),
    }
    exact = NumpyTanh(line, "float64")
    exact.epoch()
    runs = {}
    for name, make in made.items():
        run = runs[name] = make()
        run.reset()
        run.epoch()
        for found, expected in zip(run.results, exact.results, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    return runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=10, help="time to spend on each line")


def report(options: argparse.Namespace) -> str:
    """Measured."""
    times = {name: best_seconds(prepare(line), options.seconds) for name, line in LINES.items()}
    return f"{machine_line()}\n{METHOD}\n\n{table(times)}"


def table(times: Mapping[str, Mapping[str, float]]) -> str:
    """One line for each."""
    header = ["work", "µs", "ns a row", "speed, NumPy = 1"]
    rows = []
    for name, seconds in times.items():
        fastgd = seconds["fastgd"]
        cells = f"{fastgd * 1e6:.1f}", f"{fastgd * 1e9 / LINES[name].n_rows:.0f}", rounded(seconds["NumPy"] / fastgd)
        rows.append([name, *cells])
    return markdown(header, rows)
