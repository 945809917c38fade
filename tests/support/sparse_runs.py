"""Runs on sparse rows, and on the same rows dense."""

import numpy as np
from sparse_cases import csr

import fastgd as gd

N_ROWS, N_FEATURES = 30, 12


def layers_of(n_outputs, ends, has_bias=True):
    """A Linear, perhaps with an activation."""
    activation = [] if ends == "linear" else [gd.ReLU() if ends == "relu" else gd.Tanh()]
    return [gd.Linear(N_FEATURES, n_outputs, bias=has_bias), *activation]


def trained(layers, X, y, dtype="float64", seed=3, sample_weight=None, epochs=3, **options):
    """Parameters and losses of a run in float64, and its trainer."""
    model = gd.Model(layers, dtype=dtype, seed=seed)
    trainer = gd.Trainer(model, **options)
    trainer.fit(X, y, sample_weight=sample_weight, epochs=epochs)
    return model.parameters.astype(np.float64), np.array(trainer.history.loss), trainer


def assert_as_dense(layers, seed, y, dtype="float64", index="int32", values="float64", **options):
    """Training on sparse rows, and on the same rows dense, must come to the same, up to rounding."""
    X, dense = csr(N_ROWS, N_FEATURES, seed, values, index)
    expected, losses, _ = trained(layers, dense, y, dtype, **options)
    parameters, sparse_losses, _ = trained(layers, X, y, dtype, **options)
    tolerance = 1e-9 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(parameters, expected, rtol=tolerance, atol=tolerance * max(np.abs(expected).max(), 1))
    np.testing.assert_allclose(sparse_losses, losses, rtol=tolerance, atol=tolerance)


def weights_of(seed, weighted):
    """A weight for each row, some of them zero, or None."""
    return np.random.default_rng(seed).integers(0, 4, N_ROWS) / 2 if weighted else None
