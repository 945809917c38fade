"""The training of one neuron in float64 NumPy: one plain loop over batches, and data to train it on."""

from typing import Any, NamedTuple

import numpy as np
from loss_cases import CASES

import fastgd as gd


class Run(NamedTuple):
    """What the loop did.

    parameters, n_updates : after it          losses : mean of each epoch
    z, targets : of every row, in order
    """

    parameters: np.ndarray
    n_updates: int
    losses: list
    z: np.ndarray
    targets: np.ndarray


def loss_and_grad_of(loss, tolerance):
    """(z, target) to a row's loss and its derivative by z; tolerance is the ReLU's, None without one."""
    formula = CASES[loss].formula

    def loss_and_grad(z, target):
        if tolerance is None:
            return formula(z, target)
        value, derivative = formula(np.maximum(z, 0), target)
        return value, np.where(z >= -tolerance, derivative, 0)

    return loss_and_grad


def train_by_hand(
    parameters, X, y, loss_and_grad, rate_of, batch_size=1, sample_weight=None, l2=0.0, l1=0.0, orders=None
):
    """Epochs in the given orders, else one in the data's order; rate_of is the rate of update t, from 1."""
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64).ravel()
    v = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    w, bias = np.split(np.asarray(parameters, np.float64), [X.shape[1]])
    losses, outputs, targets, t = [], [], [], 0
    for order in [np.arange(len(X))] if orders is None else orders:
        total = 0.0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            z = X[rows] @ w + bias.sum()
            value, derivative = loss_and_grad(z, y[rows])
            total += (v[rows] * value).sum()
            outputs.append(z)
            targets.append(y[rows])
            if not v[rows].any():
                continue
            t += 1
            rate, d_z = rate_of(t), v[rows] * derivative / len(rows)
            w = (1 - rate * l2) * w - rate * (d_z @ X[rows])
            w = np.sign(w) * np.maximum(np.abs(w) - rate * l1, 0)
            bias = bias - rate * d_z.sum()
        losses.append(total / len(X))
    return Run(np.concatenate([w, bias]), t, losses, np.concatenate(outputs), np.concatenate(targets))


def is_sure(run, loss_and_grad, distance):
    """Whether no row came so close to a kink that rounding may decide on which side of it."""
    below, above = (loss_and_grad(run.z + shift, run.targets)[1] for shift in (-distance, distance))
    return np.abs(above - below).max() <= 1000 * distance


def features(rng, n_samples, n_features, source):
    """Random features of a dtype: all its values for small integers, of up to 40 bits for large ones."""
    dtype = np.dtype(source)
    if dtype.kind == "f":
        return rng.standard_normal((n_samples, n_features)).astype(dtype)
    if dtype.kind == "b":
        return rng.random((n_samples, n_features)) < 0.5
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -(2**40)), min(limits.max, 2**40)
    return rng.integers(low, high, (n_samples, n_features), dtype, endpoint=True)


class Problem(NamedTuple):
    """A model with data on the scale of 1, whatever the scale of its features; options are Trainer's and the oracle's.

    size : the largest row's sum of squares, with the bias's 1
    """

    model: gd.Model
    X: np.ndarray
    y: np.ndarray
    size: float

    def rate(self, share):
        """The learning rate that moves z by this share of its derivative, at most."""
        return share / self.size

    def scaled(self, parameters):
        """Parameters by what they make of a large row."""
        scale = np.ones(len(parameters))
        scale[: self.X.shape[1]] = np.sqrt(self.size)
        return np.asarray(parameters, np.float64) * scale


def problem(seed, n_samples, n_features, dtype, source, loss="half_squared_error", bias=True, relu=None):
    """Model and rows; relu is a ReLU to end with."""
    rng = np.random.default_rng(seed)
    X = features(rng, n_samples, n_features, source)
    size = 1 + (X.astype(np.float64) ** 2).sum(1).max()
    # A ReLU does not reach what is far below zero.
    least = -12 if relu is None else -4
    y = CASES[loss].target(rng.integers(least, 13, (n_samples, 1)) / 8, 1).astype(dtype)
    init = rng.standard_normal((1, n_features)) / np.sqrt(size)
    layers: list[Any] = [gd.Linear(n_features, 1, init=init, bias=bool(bias))]
    model = gd.Model(layers if relu is None else [*layers, relu], dtype=dtype)
    if bias:
        model.layers[0].bias[:] = 0.3 * rng.standard_normal()
    return Problem(model, X, y, size)
