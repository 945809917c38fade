"""Models for bounded steps, and rows for them."""

import numpy as np

import fastgd as gd

MODELS = {
    "neuron": ([gd.Linear(5, 1)], "half_squared_error"),
    "neuron without a bias": ([gd.Linear(5, 1, bias=False)], "squared_hinge"),
    "ReLU neuron": ([gd.Linear(5, 1), gd.ReLU()], "half_squared_error"),
    "log_loss": ([gd.Linear(5, 1)], "log_loss"),
    "leaky": ([gd.Linear(5, 1), gd.LeakyReLU(0.5), gd.Identity()], "huber"),
    "three outputs": ([gd.Linear(5, 3)], "half_squared_error"),
    "eight classes": ([gd.Linear(5, 8)], "cross_entropy"),
}


def rows_of(name, n_rows, seed=0):
    layers, loss = MODELS[name]
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, 5)) * [1, 10, 0.1, 1, 100]
    X[:9, 1] = 0
    targets = {
        "log_loss": lambda: rng.integers(0, 2, n_rows),
        "squared_hinge": lambda: 2 * rng.integers(0, 2, n_rows) - 1,
        "cross_entropy": lambda: rng.integers(0, 8, n_rows),
    }
    y = targets.get(loss, lambda: rng.standard_normal((n_rows, layers[0].out_features)))()
    v = rng.integers(0, 4, n_rows) / 2
    v[12:16] = 0
    return X, y.astype(np.float64), v
