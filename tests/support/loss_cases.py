"""Every loss, and the same in NumPy."""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logsumexp, softmax

from fastgd import kernels, losses

# Halves of halves: on the grid of eighths below, errors and margins are exact in both dtypes, so kinks are met exactly.
DELTA, EPSILON, QUANTILE = 1.25, 0.25, 0.75


class Case(NamedTuple):
    """A loss, and the same in NumPy.

    formula : (z, y) to value and derivative, elementwise in float64; for the cross-entropy, row by row
    target : (numbers in eighths, n_outputs) to targets that the loss takes
    kinks : (y) to the outputs where a derivative jumps, each an array like y
    """

    loss: Any
    formula: Any
    target: Any
    kinks: Any


def _huber(z, y):
    error, size = z - y, np.abs(z - y)
    quadratic = size <= DELTA
    return np.where(quadratic, error**2 / 2, DELTA * (size - DELTA / 2)), np.where(
        quadratic, error, DELTA * np.sign(error)
    )


def _quantile(z, y):
    below = z <= y
    return np.where(below, QUANTILE * (y - z), (1 - QUANTILE) * (z - y)), np.where(below, -QUANTILE, 1 - QUANTILE)


def _epsilon_insensitive(z, y):
    excess = np.maximum(np.abs(z - y) - EPSILON, 0)
    return excess, np.where(excess > 0, np.sign(z - y), 0)


def _squared_epsilon_insensitive(z, y):
    excess = np.maximum(np.abs(z - y) - EPSILON, 0)
    return excess**2, 2 * excess * np.sign(z - y)


def _modified_huber(z, y):
    missing = np.maximum(1 - y * z, 0)
    steep = y * z < -1
    return np.where(steep, -4 * y * z, missing**2), np.where(steep, -4 * y, -2 * y * missing)


def _cross_entropy(label_smoothing):
    def formula(z, y):
        share = np.full_like(z, label_smoothing / z.shape[1])
        share[np.arange(len(z)), y[:, 0].astype(int)] += 1 - label_smoothing
        value = logsumexp(z, axis=1, keepdims=True) - (share * z).sum(1, keepdims=True)
        return value, softmax(z, axis=1) - share

    return formula


def _anything(numbers, n_outputs):
    return numbers


def signs(numbers, n_outputs):
    return np.where(numbers >= 0, 1.0, -1.0)


def _count(numbers, n_outputs):
    return np.abs(numbers)


def _probability(numbers, n_outputs):
    return np.abs(numbers) % 1.125


def _class(numbers, n_outputs):
    return np.abs(numbers[:, :1] * 8) % n_outputs


CASES = {
    "half_squared_error": Case("half_squared_error", lambda z, y: ((z - y) ** 2 / 2, z - y), _anything, lambda y: []),
    "absolute_error": Case("absolute_error", lambda z, y: (np.abs(z - y), np.sign(z - y)), _anything, lambda y: [y]),
    "huber": Case(losses.huber(DELTA), _huber, _anything, lambda y: [y - DELTA, y + DELTA]),
    "quantile": Case(losses.quantile(QUANTILE), _quantile, _anything, lambda y: [y]),
    "epsilon_insensitive": Case(
        losses.epsilon_insensitive(EPSILON), _epsilon_insensitive, _anything, lambda y: [y - EPSILON, y + EPSILON]
    ),
    "squared_epsilon_insensitive": Case(
        losses.squared_epsilon_insensitive(EPSILON),
        _squared_epsilon_insensitive,
        _anything,
        lambda y: [y - EPSILON, y + EPSILON],
    ),
    "poisson": Case("poisson", lambda z, y: (np.exp(z) - y * z, np.exp(z) - y), _count, lambda y: []),
    "log_loss": Case("log_loss", lambda z, y: (np.logaddexp(0, z) - y * z, expit(z) - y), _probability, lambda y: []),
    "hinge": Case("hinge", lambda z, y: (np.maximum(1 - y * z, 0), np.where(y * z <= 1, -y, 0)), signs, lambda y: [y]),
    "squared_hinge": Case(
        "squared_hinge",
        lambda z, y: (np.maximum(1 - y * z, 0) ** 2, -2 * y * np.maximum(1 - y * z, 0)),
        signs,
        lambda y: [y],
    ),
    "modified_huber": Case("modified_huber", _modified_huber, signs, lambda y: [y, -y]),
    "perceptron": Case(
        "perceptron", lambda z, y: (np.maximum(-y * z, 0), np.where(y * z <= 0, -y, 0)), signs, lambda y: [0 * y]
    ),
    "cross_entropy": Case("cross_entropy", _cross_entropy(0.0), _class, lambda y: []),
    "smoothed cross_entropy": Case(losses.cross_entropy(0.25), _cross_entropy(0.25), _class, lambda y: []),
}


def made(case, n_rows, n_outputs, seed=0):
    """Outputs off the grid, and targets."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_rows, n_outputs)), case.target(
        rng.integers(-24, 24, (n_rows, n_outputs)) / 8, n_outputs
    )


def evaluate(loss, out, target, dtype, sample_weight=(), scale=1.0):
    """The kernel's value and derivative, from read-only arrays; the weights that it adds up are checked on the way."""
    arrays = [np.array(array, dtype) for array in (out, target, sample_weight)]
    for array in arrays:
        array.flags.writeable = False
    d_out = np.full_like(arrays[0], np.nan)
    number = np.dtype(dtype).type
    objective = kernels.objective(losses.as_loss(loss), dtype)
    objective.sums[:] = np.nan
    kernels.loss_and_derivative(objective, *arrays, number(scale), d_out)
    total, weight_sum = objective.sums
    assert weight_sum == (np.abs(sample_weight).sum() if len(sample_weight) else len(out))
    return total, d_out
