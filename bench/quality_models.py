"""What `quality.py` fits: fastgd with given settings, the grid of rates, and what one would use in their place."""

import importlib.util
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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

    loss : of fastgd, on the rows it learnt from, in units of the best constant prediction's
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
    options : of the Trainer          standardizes : whether features and targets are standardised beforehand
    """

    optimizer: Callable[[int, int], Optimizer | str]
    options: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    standardizes: bool = True


#: The settings of fastgd that are compared; `study` scripts add theirs.
SETTINGS: dict[str, Setting] = {
    "SGD auto": Setting(lambda n, epochs: gd.SGD("auto")),
    "SGD auto, clip_norm 1": Setting(lambda n, epochs: gd.SGD("auto"), {"clip_norm": 1.0}),
    "Adagrad auto, unbounded": Setting(lambda n, epochs: gd.Adagrad("auto", bounded=False)),
    "Adam auto": Setting(lambda n, epochs: gd.Adam("auto")),
    "auto": Setting(lambda n, epochs: "auto"),
    "auto, alpha 1e-3": Setting(lambda n, epochs: "auto", {"alpha": 1e-3}),
    "NormalizedSGD auto": Setting(lambda n, epochs: gd.NormalizedSGD("auto")),
    "NormalizedSGD": Setting(lambda n, epochs: gd.NormalizedSGD()),
    "NormalizedSGD, raw": Setting(lambda n, epochs: gd.NormalizedSGD(), standardizes=False),
}
GRID = {f"SGD {rate:.2g}": Setting(lambda n, epochs, rate=rate: gd.SGD(rate)) for rate in RATES}


def fit_fastgd(split: Split, setting: Setting, case: Case) -> Result:
    """Train fastgd, and judge it. Targets are standardised here, by the rows of the training alone."""
    X, y, n_outputs, loss = split.X_train, split.y_train, split.n_classes if split.is_classes else 0, "cross_entropy"
    centre, unit = 0.0, 1.0
    if not split.is_classes:
        n_outputs, loss = y.shape[1], "half_squared_error"
        if setting.standardizes:
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
        **setting.options,
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


def fit_sklearn(split: Split, estimator: BaseEstimator, is_scaled: bool) -> Result:
    """Fit an estimator, behind a StandardScaler or as it is."""
    y = split.y_train
    if not split.is_classes and y.shape[1] == 1:
        y = y[:, 0]
    elif not split.is_classes and isinstance(estimator, SGDRegressor | HistGradientBoostingRegressor):
        estimator = MultiOutputRegressor(estimator)
    if is_scaled:
        estimator = make_pipeline(StandardScaler(), estimator)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(split.X_train, y)
    except ValueError:
        # What SGD* raises where weights overflow.
        return Result(None, None, time.perf_counter() - began)
    return judged(split, estimator.predict, time.perf_counter() - began)


def fit_torch(split: Split, hidden: tuple[int, ...], epochs: int, seed: int) -> Result:
    """PyTorch with Adam at its defaults and batches of 32, on standardised features and targets."""
    import torch

    torch.manual_seed(seed)
    scaler = StandardScaler().fit(split.X_train)
    X = torch.tensor(scaler.transform(split.X_train), dtype=torch.float32)
    if split.is_classes:
        y, n_outputs, loss = torch.tensor(split.y_train), split.n_classes, torch.nn.CrossEntropyLoss()
    else:
        targets = StandardScaler().fit(split.y_train)
        y = torch.tensor(targets.transform(split.y_train), dtype=torch.float32)
        n_outputs, loss = y.shape[1], torch.nn.MSELoss()
    sizes, layers = [X.shape[1], *hidden, n_outputs], []
    for n_in, n_out in pairwise(sizes):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters())
    began = time.perf_counter()
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(32):
            optimizer.zero_grad()
            loss(model(X[rows]), y[rows]).backward()
            optimizer.step()

    def predict(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            out = model(torch.tensor(scaler.transform(rows), dtype=torch.float32)).numpy()
        return out.argmax(axis=1) if split.is_classes else targets.inverse_transform(out)

    return judged(split, predict, time.perf_counter() - began)


def baselines(is_classes: bool) -> dict[str, Callable[[Split, int, int], Result]]:
    """What is fitted once a seed, whatever the batch size: functions of (split, epochs, seed)."""

    def of(kinds: tuple[type, type], is_scaled: bool, has_seed: bool = True, **options: Any) -> Callable:
        def fit(split: Split, epochs: int, seed: int) -> Result:
            kind = kinds[is_classes]
            return fit_sklearn(split, kind(**options, **({"random_state": seed} if has_seed else {})), is_scaled)

        return fit

    found = {
        "constant": of((DummyRegressor, DummyClassifier), False, has_seed=False),
        "Ridge / LogisticRegression": of((Ridge, LogisticRegression), True, has_seed=False, max_iter=1000),
        "SGD*": of((SGDRegressor, SGDClassifier), False),
        "SGD*, scaled": of((SGDRegressor, SGDClassifier), True),
        "HistGradientBoosting": of((HistGradientBoostingRegressor, HistGradientBoostingClassifier), False),
        "MLP*": of((MLPRegressor, MLPClassifier), False),
        "MLP*, scaled": of((MLPRegressor, MLPClassifier), True),
    }
    if importlib.util.find_spec("torch"):
        for name, hidden in MODELS.items():
            found[f"PyTorch Adam, {name}"] = lambda split, epochs, seed, hidden=hidden: fit_torch(
                split, hidden, epochs, seed
            )
    return found
