"""What `quality.py` fits: fastgd with given settings and the grid of rates, and how any model is judged."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

import fastgd as gd
from fastgd.optimizers import Optimizer

#: Hidden layers, by what the model is called.
MODELS = {"linear": (), "network": (64,)}
#: The grid: constant rates of plain SGD on standardised features and targets.
RATES = [10 ** (k / 2) for k in range(-8, 3)]


class Split(NamedTuple):
    """Rows to learn from and rows to judge by, raw. y (n, outputs) float64, or (n,) classes."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    is_classes: bool

    @property
    def n_classes(self) -> int:
        return int(max(self.y_train.max(), self.y_test.max())) + 1


class Result(NamedTuple):
    """R² or accuracy on both kinds of rows, None where training diverged.

    loss : the one that was learnt by, on the rows learnt from, in units of the best constant prediction's; None for
        classifiers without probabilities
    """

    train: float | None
    test: float | None
    seconds: float
    loss: float | None = None


class Case(NamedTuple):
    """What all settings have in common: hidden layers, batch size, epochs, seed."""

    hidden: tuple[int, ...]
    batch_size: int | None
    epochs: int
    seed: int


class Setting(NamedTuple):
    """fastgd as somebody would call it.

    optimizer : of the updates of an epoch and the number of epochs
    options : of the Trainer          of_networks : more of them, where there are hidden layers
    standardizes : whether the model begins with Standardize
    targets : of regression: standardised "by hand" beforehand or "by trainer" in training, or learnt "as they are"
    """

    optimizer: Callable[[int, int], Optimizer | str]
    options: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    of_networks: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    standardizes: bool = True
    targets: Literal["by hand", "by trainer", "as they are"] = "by hand"


#: The settings of fastgd that are compared; `study` scripts add theirs.
SETTINGS: dict[str, Setting] = {
    # What the README recommends, given what a user has: raw features and raw targets.
    "default": Setting(lambda n, epochs: "auto", of_networks={"alpha": 1e-3}, targets="by trainer"),
    "SGD auto": Setting(lambda n, epochs: gd.SGD("auto")),
    "SGD auto, clip_norm 1": Setting(lambda n, epochs: gd.SGD("auto"), {"clip_norm": 1.0}),
    "Adagrad auto, unbounded": Setting(lambda n, epochs: gd.Adagrad("auto", bounded=False)),
    "Adam auto": Setting(lambda n, epochs: gd.Adam("auto")),
    "auto": Setting(lambda n, epochs: "auto"),
    "auto, alpha 1e-3": Setting(lambda n, epochs: "auto", {"alpha": 1e-3}),
    "NormalizedSGD auto": Setting(lambda n, epochs: gd.NormalizedSGD("auto")),
    "NormalizedSGD": Setting(lambda n, epochs: gd.NormalizedSGD()),
    "NormalizedSGD, raw": Setting(lambda n, epochs: gd.NormalizedSGD(), standardizes=False, targets="as they are"),
}
GRID = {f"SGD {rate:.2g}": Setting(lambda n, epochs, rate=rate: gd.SGD(rate)) for rate in RATES}


def fit_fastgd(split: Split, setting: Setting, case: Case) -> Result:
    """Train fastgd, and judge it in the units of y; whatever is standardised is so by the rows learnt from alone."""
    X, y, n_outputs, loss = split.X_train, split.y_train, split.n_classes if split.is_classes else 0, "cross_entropy"
    options = setting.options | (setting.of_networks if case.hidden else {})
    centre, unit = 0.0, 1.0
    if not split.is_classes:
        n_outputs, loss = y.shape[1], "half_squared_error"
        if setting.targets == "by trainer":
            options |= {"standardize_targets": True}
        elif setting.targets == "by hand":
            # Targets that do not vary are learnt as zeros, and predicted as what they are.
            centre, unit = y.mean(axis=0), y.std(axis=0)
            y = (y - centre) / np.where(unit > 0, unit, 1.0)
    elif n_outputs == 2:
        n_outputs, loss = 1, "log_loss"
    sizes = [X.shape[1], *case.hidden, n_outputs]
    layers: list[Any] = [gd.Standardize(X.shape[1])] if setting.standardizes else []
    for n_in, n_out in pairwise(sizes):
        layers += [gd.Linear(n_in, n_out), gd.ReLU()]
    model = gd.Model(layers[:-1], seed=case.seed)
    n_rows = len(X) if case.batch_size is None else min(case.batch_size, len(X))
    optimizer = setting.optimizer(-(-len(X) // n_rows), case.epochs)
    trainer = gd.Trainer(
        model,
        loss=loss,
        optimizer=optimizer,
        batch_size=case.batch_size,
        shuffle=True,
        seed=case.seed,
        **options,
    )
    began = time.perf_counter()
    try:
        trainer.fit(X, y, epochs=case.epochs)
    except gd.DivergenceError:
        return Result(None, None, time.perf_counter() - began)
    seconds = time.perf_counter() - began

    def predict(rows: np.ndarray) -> np.ndarray:
        out = model.predict(rows).astype(np.float64)
        if not split.is_classes:
            return out * unit + centre
        return (out[:, 0] > 0).astype(np.int64) if n_outputs == 1 else out.argmax(axis=1)

    result = judged(split, predict, seconds)
    if result.train is None:
        return result
    if split.is_classes:
        return result._replace(loss=relative_log_loss(model.predict(X).astype(np.float64), y))
    return result._replace(loss=relative_squares(predict(X), split.y_train))


def relative_squares(out: np.ndarray, y: np.ndarray) -> float:
    """The mean squared error in units of the best constant prediction's, or of that of numbers of six digits."""
    digits = (1e-6 * np.where(y.any(axis=0), np.abs(y).max(axis=0), 1.0)) ** 2
    with np.errstate(over="ignore"):
        return float((((out - y) ** 2).mean(axis=0) / np.maximum(y.var(axis=0), digits)).mean())


def relative_log_loss(logits: np.ndarray, y: np.ndarray) -> float:
    """The cross entropy in units of the best constant prediction's, for one logit or one a class."""
    if logits.shape[1] == 1:
        logits = np.hstack([np.zeros_like(logits), logits])
    counts = np.bincount(y)
    shares = counts[counts > 0] / len(y)
    losses = np.logaddexp.reduce(logits, axis=1) - np.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return float(losses.mean() / max(-(shares * np.log(shares)).sum(), 1e-6))


def judged(split: Split, predict: Callable[[np.ndarray], np.ndarray], seconds: float) -> Result:
    scores = []
    for X, y in (split.X_train, split.y_train), (split.X_test, split.y_test):
        found = predict(X)
        if not np.isfinite(found).all():
            return Result(None, None, seconds)
        with np.errstate(over="ignore"):
            scores.append(float(accuracy_score(y, found) if split.is_classes else r2_score(y, found.reshape(y.shape))))
    return Result(*scores, seconds)
