"""What one would use in fastgd's place: what `quality.py` measures it by, and the peers of the table."""

import importlib.metadata
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.studies.quality_models import MODELS, Case, Result, Split, judged, relative_log_loss, relative_squares


class Peer(NamedTuple):
    """A library's own default, but for epochs, batch size and hidden layers where it lets one choose them.

    models, batch_sizes : those that are measured          distribution : the package's name for pip
    on_classes : the peer that does the same for classes, if any, and need not do it twice
    """

    fit: Callable[[Split, Case], Result]
    models: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    distribution: str
    on_classes: str | None = None

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


def baselines(is_classes: bool) -> dict[str, Callable[[Split, int], Result]]:
    """What is fitted once a seed, whatever the batch size: functions of (split, seed)."""

    def of(kinds: tuple[type, type], is_scaled: bool, has_seed: bool = True, **options: Any) -> Callable:
        def fit(split: Split, seed: int) -> Result:
            kind = kinds[is_classes]
            return fit_sklearn(split, kind(**options, **({"random_state": seed} if has_seed else {})), is_scaled)

        return fit

    return {
        "constant": of((DummyRegressor, DummyClassifier), False, has_seed=False),
        "Ridge / LogisticRegression": of((Ridge, LogisticRegression), True, has_seed=False, max_iter=1000),
        "SGD*": of((SGDRegressor, SGDClassifier), False),
        "SGD*, scaled": of((SGDRegressor, SGDClassifier), True),
        "HistGradientBoosting": of((HistGradientBoostingRegressor, HistGradientBoostingClassifier), False),
        "MLP*": of((MLPRegressor, MLPClassifier), False),
        "MLP*, scaled": of((MLPRegressor, MLPClassifier), True),
    }


def fit_sklearn(split: Split, estimator: BaseEstimator, is_scaled: bool, scales_targets: bool = False) -> Result:
    """Fit an estimator, behind a StandardScaler or as it is; targets of regression, too."""
    y = split.y_train
    if not split.is_classes and y.shape[1] == 1:
        y = y[:, 0]
    elif not split.is_classes and isinstance(estimator, SGDRegressor | HistGradientBoostingRegressor):
        estimator = MultiOutputRegressor(estimator)
    if scales_targets and not split.is_classes:
        estimator = TransformedTargetRegressor(estimator, transformer=StandardScaler())
    if is_scaled:
        estimator = make_pipeline(StandardScaler(), estimator)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(split.X_train, y)
    except ValueError as error:
        # What SGD* and MLP* say where weights overflow.
        if not any(words in str(error) for words in ("under-/overflow", "non-finite")):
            raise
        return Result(None, None, time.perf_counter() - began)
    result = judged(split, estimator.predict, time.perf_counter() - began)
    return result if result.train is None else result._replace(loss=_loss_of(split, estimator))


def _loss_of(split: Split, estimator: BaseEstimator) -> float | None:
    X, y = split.X_train, split.y_train
    if not split.is_classes:
        return relative_squares(estimator.predict(X).reshape(y.shape), y)
    if not hasattr(estimator, "predict_proba"):
        return None
    # scikit-learn's log loss, too, takes no less than eps for a probability.
    shares = np.maximum(estimator.predict_proba(X), np.finfo(np.float64).eps)
    # A class that no row of the training has has no column.
    return relative_log_loss(np.log(shares), np.unique(y, return_inverse=True)[1])


def fit_sgd(split: Split, case: Case, scales_targets: bool = False) -> Result:
    kind = SGDClassifier if split.is_classes else SGDRegressor
    return fit_sklearn(split, kind(random_state=case.seed), True, scales_targets)


def fit_mlp(split: Split, case: Case, scales_targets: bool = False) -> Result:
    kind = MLPClassifier if split.is_classes else MLPRegressor
    n_rows = min(case.batch_size, len(split.X_train))
    options = {"hidden_layer_sizes": case.hidden, "batch_size": n_rows, "max_iter": case.epochs}
    return fit_sklearn(split, kind(**options, random_state=case.seed), True, scales_targets)


def fit_torch(split: Split, case: Case) -> Result:
    """PyTorch with Adam at its defaults, on standardised features and targets."""
    import torch

    torch.manual_seed(case.seed)
    scaler = StandardScaler().fit(split.X_train)
    X = torch.tensor(scaler.transform(split.X_train), dtype=torch.float32)
    if split.is_classes:
        y, n_outputs, loss = torch.tensor(split.y_train), split.n_classes, torch.nn.CrossEntropyLoss()
    else:
        targets = StandardScaler().fit(split.y_train)
        y = torch.tensor(targets.transform(split.y_train), dtype=torch.float32)
        n_outputs, loss = y.shape[1], torch.nn.MSELoss()
    sizes, layers = [X.shape[1], *case.hidden, n_outputs], []
    for n_in, n_out in pairwise(sizes):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters())
    began = time.perf_counter()
    for _ in range(case.epochs):
        for rows in torch.randperm(len(X)).split(case.batch_size):
            optimizer.zero_grad()
            loss(model(X[rows]), y[rows]).backward()
            optimizer.step()
    seconds = time.perf_counter() - began

    def output(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.tensor(scaler.transform(rows), dtype=torch.float32)).numpy().astype(np.float64)

    def predict(rows: np.ndarray) -> np.ndarray:
        out = output(rows)
        # argmax would find a class for logits that are not numbers, too.
        if not np.isfinite(out).all():
            return np.full(len(out), np.nan)
        return out.argmax(axis=1) if split.is_classes else targets.inverse_transform(out)

    result = judged(split, predict, seconds)
    if result.train is None:
        return result
    if split.is_classes:
        return result._replace(loss=relative_log_loss(output(split.X_train), split.y_train))
    return result._replace(loss=relative_squares(predict(split.X_train), split.y_train))


#: The lines of others; slow ones are not measured on batches of one row.
PEERS = {
    "SGD*": Peer(fit_sgd, ("linear",), (1,), "scikit-learn"),
    "SGD*, standardised targets": Peer(
        *(partial(fit_sgd, scales_targets=True), ("linear",), (1,), "scikit-learn"), on_classes="SGD*"
    ),
    "MLP*": Peer(fit_mlp, ("network",), (32, 256), "scikit-learn"),
    "MLP*, standardised targets": Peer(
        *(partial(fit_mlp, scales_targets=True), ("network",), (32, 256), "scikit-learn"), on_classes="MLP*"
    ),
    "PyTorch, Adam, standardised targets": Peer(fit_torch, tuple(MODELS), (32, 256), "torch"),
}
