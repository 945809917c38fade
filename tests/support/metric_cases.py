"""A run to be judged, and a metric of one's own."""

import numpy as np

import fastgd as gd


def linear(n_outputs=1, seed=0, loss="half_squared_error", n_samples=40, **options):
    """A trainer and rows for it, with weights, one of them zero."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, 3))
    y = X @ rng.standard_normal((3, n_outputs)) + rng.standard_normal((n_samples, n_outputs))
    model = gd.Model([gd.Linear(3, n_outputs)], dtype="float64")
    weight = np.append(0, rng.uniform(0.1, 3, n_samples - 1))
    return gd.Trainer(model, loss, gd.SGD(0.05), **options), (X, y), weight


def halves(y, prediction):
    """A metric of one's own."""
    return np.mean(np.abs(y - prediction) < 0.5)
