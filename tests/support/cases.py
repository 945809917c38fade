"""Architectures, data and tolerances that several tests share."""

import numpy as np

import fastgd as gd
from fastgd.reference import algorithm as reference
from fastgd.reference import comparison as baseline

ARCHITECTURES = {
    "neuron": [gd.Linear(5, 1), gd.ReLU()],
    "neuron without bias": [gd.Linear(5, 1, bias=False), gd.ReLU()],
    "linear neuron": [gd.Linear(5, 1)],
    "one feature": [gd.Linear(1, 1), gd.ReLU()],
    "several outputs": [gd.Linear(5, 3), gd.ReLU()],
    "hidden layer": [gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 2)],
    "ending in ReLU": [gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 2), gd.ReLU()],
    "two Linears in a row": [gd.Linear(5, 4), gd.Linear(4, 3, bias=False), gd.Linear(3, 1)],
    "ReLU first": [gd.ReLU(), gd.Linear(5, 2)],
    "two ReLUs in a row": [gd.Linear(5, 3), gd.ReLU(), gd.ReLU(), gd.Linear(3, 1)],
    "deep": [layer for _ in range(6) for layer in (gd.Linear(5, 5), gd.ReLU())] + [gd.Linear(5, 1, bias=False)],
}

WORKED_X = [[100, 2000, 100], [200, 0, 0], [0, 2000, 3000]]
WORKED_Y = [0, 1, 1]
WORKED_BEFORE = [1 / 200, -3000 / 11_600_000, 1 / 5800]
WORKED_AFTER = [1 / 200, 0.0002 - 3000 / 11_600_000, 0.0003 + 1 / 5800]


def model_of(name, dtype="float64", seed=1):
    """A model with biases that are not zero."""
    model = gd.Model(ARCHITECTURES[name], dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, gd.Linear) and layer.bias is not None:
            layer.bias = 0.3 * rng.standard_normal(layer.bias.shape)
    return model


def built(layers, dtype="float64", seed=1):
    """A model with biases that are not zero."""
    model = gd.Model(layers, dtype=dtype, seed=seed)
    model.parameters += 0.1 * np.random.default_rng(seed).standard_normal(model.parameters.shape)
    return model


def rows_for(model, n_samples, seed=0):
    """Random rows in the model's dtype, float64 in value, with targets that it can give, and weights around 1."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, model.in_features)).astype(model.dtype)
    y = rng.standard_normal((n_samples, model.out_features)).astype(model.dtype)
    if isinstance(model.layers[-1], gd.ReLU):
        y = np.abs(y)
    return X, y, rng.uniform(0, 2, n_samples).astype(model.dtype)


def worked_example(dtype):
    model = gd.Model([gd.Linear(3, 1, bias=False), gd.ReLU()], dtype=dtype)
    model.layers[0].weight[:] = [WORKED_BEFORE]
    return model


def train_reference(model, X, y, sample_weight=None, **options):
    """The reference from the model's parameters: (parameters after, mean loss of the last epoch)."""
    layers = baseline.as_reference(model)
    y = np.reshape(y, (len(y), -1))
    weight = None if sample_weight is None else np.asarray(sample_weight).tolist()
    loss = reference.train(layers, np.asarray(X).tolist(), y.tolist(), sample_weight=weight, **options)
    return baseline.parameters_of(layers), loss


def rounding(dtype, operations):
    """How far results of so many dependent operations may differ: each rounds once, and errors may align."""
    return 4 * operations * float(np.finfo(dtype).eps)


STEP = 1e-5


def assert_gradient_is_the_difference(model, X, y, sample_weight=None, loss="half_squared_error"):
    """Every element of the gradient against a central difference of the loss."""
    options = {"sample_weight": sample_weight, "loss": loss}
    _, gradient = model.loss_and_gradient(X, y, **options)
    differences = np.empty_like(gradient)
    for index in range(gradient.size):
        at = model.parameters.copy()
        at[index] += STEP
        up = model.loss_and_gradient(X, y, parameters=at, **options)[0]
        at[index] -= 2 * STEP
        down = model.loss_and_gradient(X, y, parameters=at, **options)[0]
        differences[index] = (up - down) / (2 * STEP)
    # Below 1e-9 a difference of losses around 1 is rounding.
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * np.abs(differences).max() + 1e-9)
