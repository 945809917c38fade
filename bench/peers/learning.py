"""How soon a network is good: scores on held-out rows against training time, beside other libraries.

Two real tables, which are downloaded, and a hidden layer of 64. fastgd is given them raw; MLP* and PyTorch get
features, and targets that are numbers, standardised beforehand, at no cost. Nobody is given a learning rate. Clocks
stop while scores are taken, and begin after everything was compiled. PyTorch takes part where it is installed.
"""

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from bench.readme import machine_line, markdown
from bench.studies import quality_sets
from fastgd.sklearn import GDClassifier, GDRegressor

MARKERS = "learning"
SETS = {"bikeshare": "bicycles hired in an hour", "cuts": "the cut of a diamond, five classes"}
HIDDEN, SEEDS = 64, (0, 1, 2)
#: Epochs of each: about as many seconds.
EPOCHS = {"fastgd": 60, "MLPRegressor, MLPClassifier": 40, "PyTorch": 12}
# How near to the best final score counts as there.
_NEAR = 0.01


class Rows(NamedTuple):
    """A table, split; X_scaled and y_scaled are what MLP* and PyTorch take, `to_units` brings their outputs back."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    X_scaled: np.ndarray
    X_test_scaled: np.ndarray
    y_scaled: np.ndarray
    to_units: Callable[[np.ndarray], np.ndarray]
    is_classes: bool

    def score(self, predictions: np.ndarray) -> float:
        """R² or the accuracy on the rows held out."""
        return (accuracy_score if self.is_classes else r2_score)(self.y_test, predictions)


Curve = list[tuple[float, float]]


class Clock:
    """Seconds of training; `point` is not counted."""

    def __init__(self) -> None:
        self.curve: Curve = []
        self._seconds = 0.0
        self._since = time.perf_counter()

    def point(self, score: Callable[[], float]) -> None:
        """Stop, and note what was reached."""
        self._seconds += time.perf_counter() - self._since
        self.curve.append((self._seconds, score()))
        self._since = time.perf_counter()


def is_classes(name: str) -> bool:
    """Whether a table's targets are classes."""
    return quality_sets.load(name)[2] == "classification"


def rows_of(name: str, seed: int) -> Rows:
    X, y, task = quality_sets.load(name)
    is_classes = task == "classification"
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed, stratify=y if is_classes else None)
    features, targets = StandardScaler().fit(X), StandardScaler().fit(y[:, None])
    return Rows(
        *(X, y, X_test, y_test, features.transform(X), features.transform(X_test)),
        y if is_classes else targets.transform(y[:, None])[:, 0],
        (lambda z: z) if is_classes else lambda z: targets.inverse_transform(z.reshape(-1, 1))[:, 0],
        is_classes,
    )


def fastgd(rows: Rows, seed: int, epochs: int) -> Curve:
    kind = GDClassifier if rows.is_classes else GDRegressor
    clock: Clock

    def after_epoch(trainer: object, _: object) -> None:
        clock.point(lambda: rows.score(predicted(trainer.model)))

    def predicted(model: object) -> np.ndarray:
        out = model.predict(rows.X_test)
        if rows.is_classes and out.shape[1] > 1:
            return out.argmax(axis=1)
        return out[:, 0] > 0 if rows.is_classes else out[:, 0]

    # A tolerance of zero: what stops the others is the number of epochs, too.
    estimator = kind(hidden_layer_sizes=(HIDDEN,), max_iter=epochs, tol=0.0, n_iter_no_change=epochs, random_state=seed)
    estimator.set_params(callbacks=[after_epoch])
    clock = Clock()
    estimator.fit(rows.X, rows.y)
    return clock.curve


def mlp(rows: Rows, seed: int, epochs: int) -> Curve:
    kind = MLPClassifier if rows.is_classes else MLPRegressor
    estimator = kind(hidden_layer_sizes=(HIDDEN,), random_state=seed)
    options = {"classes": np.unique(rows.y)} if rows.is_classes else {}
    clock = Clock()
    for _ in range(epochs):
        estimator.partial_fit(rows.X_scaled, rows.y_scaled, **options)
        clock.point(lambda: rows.score(rows.to_units(estimator.predict(rows.X_test_scaled))))
    return clock.curve


def pytorch(rows: Rows, seed: int, epochs: int) -> Curve:
    """A plain loop: Adam, batches of 32 rows of tensors in memory."""
    import torch
    from torch.nn import CrossEntropyLoss, Linear, MSELoss, ReLU, Sequential

    torch.manual_seed(seed)
    n_outputs = len(np.unique(rows.y)) if rows.is_classes else 1
    model = Sequential(Linear(rows.X.shape[1], HIDDEN), ReLU(), Linear(HIDDEN, n_outputs))
    optimizer, loss = torch.optim.Adam(model.parameters()), CrossEntropyLoss() if rows.is_classes else MSELoss()
    X, X_test = (torch.from_numpy(each.astype(np.float32)) for each in (rows.X_scaled, rows.X_test_scaled))
    y = torch.from_numpy(rows.y_scaled if rows.is_classes else rows.y_scaled.astype(np.float32)[:, None])

    def predicted() -> np.ndarray:
        with torch.no_grad():
            out = model(X_test).numpy()
        return out.argmax(axis=1) if rows.is_classes else rows.to_units(out)

    clock = Clock()
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(32):
            optimizer.zero_grad()
            loss(model(X[batch]), y[batch]).backward()
            optimizer.step()
        clock.point(lambda: rows.score(predicted()))
    return clock.curve


def trees(rows: Rows, seed: int, _: int) -> Curve:
    kind = HistGradientBoostingClassifier if rows.is_classes else HistGradientBoostingRegressor
    clock = Clock()
    estimator = kind(random_state=seed).fit(rows.X, rows.y)
    clock.point(lambda: rows.score(estimator.predict(rows.X_test)))
    return clock.curve


LEARNERS = {"fastgd": fastgd, "MLPRegressor, MLPClassifier": mlp, "PyTorch": pytorch, "HistGradientBoosting": trees}


def measured(name: str) -> Iterator[tuple[str, list[Curve]]]:
    """The curves of each learner that is installed, one a seed."""
    for label, learner in LEARNERS.items():
        if label == "PyTorch" and not importlib.util.find_spec("torch"):
            continue
        # The first use of each library loads and compiles what it needs.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            learner(rows_of(name, 0), 0, 1)
            yield label, [learner(rows_of(name, seed), seed, EPOCHS.get(label, 1)) for seed in SEEDS]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--picture", type=Path, help="draw the curves, as .svg or .png")


def report(options: argparse.Namespace) -> str:
    found = {name: dict(measured(name)) for name in SETS}
    if options.picture:
        from bench.peers.picture import draw

        draw(found, options.picture)
    return f"{machine_line()}\n\n{table(found)}"


def table(found: dict[str, dict[str, list[Curve]]]) -> str:
    """One line a learner and set: medians over the seeds."""
    header = ["table", "learner", "first epoch: seconds", "score", "best score", f"seconds to within {_NEAR:g} of it"]
    rows = []
    for name, curves in found.items():
        for label, of_seeds in curves.items():
            first_seconds, first = (statistics.median(curve[0][k] for curve in of_seeds) for k in (0, 1))
            best = statistics.median(max(score for _, score in curve) for curve in of_seeds)
            near = statistics.median(seconds_to_best(curve) for curve in of_seeds)
            rows.append([name, label, f"{first_seconds:.2g}", f"{first:.3f}", f"{best:.3f}", f"{near:.2g}"])
    return markdown(header, rows, n_left=2)


def seconds_to_best(curve: Curve) -> float:
    best = max(score for _, score in curve)
    return next(seconds for seconds, score in curve if score >= best - _NEAR)
