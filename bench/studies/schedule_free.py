"""Schedule-free SGD and AdamW in NumPy (Defazio et al., "The Road Less Scheduled", 2024), for `network_optimizers`.

    y = (1 - β) z + β x;    z ← z - γ_t (s + λ y);    x ← (1 - c) x + c z,    c = γ_t² / Σ γ²

with s the gradient at y, for AdamW divided by the root of its second moments' mean, and γ_t the rate after a warm-up;
x predicts. Features and targets are standardised, and the model is a hidden layer of 64 units.
"""

from typing import NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

import fastgd as gd
from bench.studies.quality_models import Split, judged

_BETA, _EPS = 0.9, 1e-8


class ScheduleFree(NamedTuple):
    """rate : γ, after `warm_up` updates          beta2 : of the second moments, or None for SGD          decay : λ"""

    rate: float
    beta2: float | None
    warm_up: int = 100
    decay: float = 1e-3


def score_of(split: Split, optimizer: ScheduleFree, n_epochs: int, batch_size: int) -> float | None:
    """R² or accuracy on the rows for judging; None where training diverged."""
    scaler = StandardScaler().fit(split.X_train)
    X, y, loss, targets = scaler.transform(split.X_train), split.y_train, "cross_entropy", None
    n_outputs = split.n_classes
    if not split.is_classes:
        targets = StandardScaler().fit(y)
        y, loss, n_outputs = targets.transform(y), "half_squared_error", y.shape[1]
    model = gd.Model([gd.Linear(X.shape[1], 64), gd.ReLU(), gd.Linear(64, n_outputs)], seed=0)
    model.parameters = trained(model, X, y, loss, optimizer, n_epochs, batch_size)
    if not np.isfinite(model.parameters).all():
        return None

    def predict(rows: np.ndarray) -> np.ndarray:
        out = model.predict(scaler.transform(rows)).astype(np.float64)
        return out.argmax(axis=1) if targets is None else targets.inverse_transform(out)

    return judged(split, predict, 0.0).test


def trained(
    model: gd.Model, X: np.ndarray, y: np.ndarray, loss: str, optimizer: ScheduleFree, n_epochs: int, batch_size: int
) -> np.ndarray:
    """The x that the model's parameters come to; not finite where a step was too large."""
    rng = np.random.default_rng(0)
    X = X.astype(np.float32)
    x = z = model.parameters.astype(np.float64)
    squares, total, t = np.zeros_like(z), 0.0, 0
    for _ in range(n_epochs):
        order = rng.permutation(len(X))
        for first in range(0, len(X), batch_size):
            rows, t = order[first : first + batch_size], t + 1
            at = (1 - _BETA) * z + _BETA * x
            if not np.abs(at).max() < 1e6:
                return np.full_like(x, np.nan)
            gradient = model.loss_and_gradient(X[rows], y[rows], loss, parameters=at.astype(np.float32))[1]
            step = gradient.astype(np.float64)
            if optimizer.beta2 is not None:
                squares += (1 - optimizer.beta2) * (step**2 - squares)
                step /= np.sqrt(squares / (1 - optimizer.beta2**t)) + _EPS
            rate = optimizer.rate * min(1.0, t / optimizer.warm_up)
            total += rate**2
            z = z - rate * (step + optimizer.decay * at)
            x = x + rate**2 / total * (z - x)
    return x
