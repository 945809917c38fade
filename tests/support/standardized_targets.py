"""Models for standardised targets, and the same done by hand."""

import numpy as np
from cases import built, rounding

import fastgd as gd

LAYERS = {
    "neuron": [gd.Linear(3, 1)],
    "hidden layer": [gd.Linear(3, 6), gd.Tanh(), gd.Linear(6, 2)],
    "Dropout and Identity last": [gd.Linear(3, 6), gd.ReLU(), gd.Linear(6, 2), gd.Dropout(0.25), gd.Identity()],
}


def assert_learnt(layer, y, weight=None):
    """Mean and scale are those of y, summed in extended precision."""
    exact = np.asarray(y, np.longdouble).reshape(len(y), -1)
    weight = np.ones(len(y), np.longdouble) if weight is None else np.asarray(weight, np.longdouble)
    mean = np.average(exact, axis=0, weights=weight)
    deviation = np.sqrt(np.average((exact - mean) ** 2, axis=0, weights=weight))
    assert layer.mean.dtype == layer.scale.dtype == np.float64
    assert layer.mean.shape == layer.scale.shape == mean.shape
    largest = np.abs(exact).max(0)
    np.testing.assert_allclose((layer.mean - mean) / largest, 0, atol=rounding(np.float64, 100))
    error = rounding(np.float64, 100) + rounding(np.float64, 1) * largest / deviation
    np.testing.assert_allclose((layer.scale / deviation - 1) / error, 0, atol=1)


def by_hand(layer, y):
    """The targets that a plain model is to learn."""
    return (np.asarray(y, np.float64).reshape(len(y), -1) - layer.mean) * (
        1 / np.where(layer.scale > 0, layer.scale, 1)
    )


def same_trainers(layers, dtype="float64", **settings):
    """One that standardises targets, and one for targets that were; their models begin with the same parameters."""
    models = built(layers, dtype), built(layers, dtype)
    return gd.Trainer(models[0], standardize_targets=True, **settings), gd.Trainer(models[1], **settings)


class OwnDataset(gd.Dataset):
    """A user's: rows can be read, and no more."""

    def __init__(self, X, y, weight):
        self.X, self.y, self.weight = X, y, weight
        self.n_samples, self.n_features, self.n_outputs = *X.shape, y.shape[1]
        self.has_sample_weight, self.dtype = weight is not None, X.dtype

    def read(self, rows, out):
        n = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        out.X[:n], out.y[:n] = self.X[rows], self.y[rows]
        if self.weight is not None:
            out.sample_weight[:n] = self.weight[rows]


OPTIMIZERS = [gd.SGD("auto"), gd.NormalizedSGD(), gd.Adam("auto")]
