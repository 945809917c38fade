"""The layers beside Linear and ReLU, alone and together in networks."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from cases import assert_gradient_is_the_difference, built, rounding, rows_for
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from stacks import SLOPE, STACKS, frozen, passes

import fastgd as gd
from fastgd.kernels.random import subkey


class Activation(NamedTuple):
    """A layer, and the same in NumPy: formula and derivative take z."""

    layer: Any
    formula: Any
    derivative: Any


ACTIVATIONS = {
    "LeakyReLU": Activation(
        gd.LeakyReLU(SLOPE), lambda z: np.where(z < 0, SLOPE * z, z), lambda z: np.where(z < 0, SLOPE, 1.0)
    ),
    "Tanh": Activation(gd.Tanh(), np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "Sigmoid": Activation(gd.Sigmoid(), expit, lambda z: expit(z) * expit(-z)),
    "Identity": Activation(gd.Identity(), lambda z: z, np.ones_like),
}
NAMES = {type(activation.layer): name for name, activation in ACTIVATIONS.items()}


def forward(layer, z):
    """The output and the mask of a layer that draws nothing."""
    out, mask = z.copy(), np.empty(z.size, np.bool_)
    layer.kernels[0](out, layer.number_in(z.dtype), (0, 0, 0, 0), mask)
    return out, mask


def backward(layer, d_out, out, mask):
    """The derivative by z."""
    d = d_out.copy()
    layer.kernels[1](out, mask, layer.number_in(d.dtype), d)
    return d


EDGES = st.sampled_from([0.0, -0.0, 1e-30, -1e-30, 10.0, -10.0, 100.0, -100.0, 1e4, -1e4, np.inf, -np.inf])


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(data=st.data())
def test_forward(name, data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    elements = EDGES.map(dtype) | st.floats(-10, 10, width=np.dtype(dtype).itemsize * 8)
    z = frozen(data.draw(hnp.arrays(dtype, st.integers(1, 70), elements=elements)), dtype)
    out, _ = forward(ACTIVATIONS[name].layer, z)
    exact = ACTIVATIONS[name].formula(z.astype(np.float64))
    # Numbers too small to be normal may be flushed to zero.
    np.testing.assert_allclose(out, exact, rtol=rounding(dtype, 2), atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(data=st.data())
def test_backward(name, data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    elements = st.sampled_from([0.0, -0.0, 1e4, -1e4]) | st.floats(-10, 10, width=np.dtype(dtype).itemsize * 8)
    z = frozen(data.draw(hnp.arrays(dtype, st.integers(1, 70), elements=elements)), dtype)
    d_out = frozen(np.linspace(-2, 3, z.size), dtype)
    _, mask = forward(ACTIVATIONS[name].layer, z)
    out = frozen(ACTIVATIONS[name].formula(z.astype(np.float64)), dtype)
    d_z = backward(ACTIVATIONS[name].layer, d_out, out, mask)
    exact = d_out * ACTIVATIONS[name].derivative(z.astype(np.float64))
    # Where the function is flat, 1 - out² keeps only the rounding of out.
    np.testing.assert_allclose(d_z, exact, rtol=rounding(dtype, 2), atol=rounding(dtype, 3))


EXTREMES = {
    "LeakyReLU": ([1e4, -1e4], [1e4, -1e4 * SLOPE], [1, SLOPE]),
    "Tanh": ([1e4, -1e4], [1, -1], [0, 0]),
    "Sigmoid": ([1e4, -1e4], [1, 0], [0, 0]),
    "Identity": ([1e4, -1e4], [1e4, -1e4], [1, 1]),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_values(name, dtype):
    """Exactly the limits: neither overflow nor NaN."""
    z, values, derivatives = EXTREMES[name]
    z, ones = frozen(z, dtype), frozen([1, 1], dtype)
    out, mask = forward(ACTIVATIONS[name].layer, z)
    np.testing.assert_array_equal(out, values)
    np.testing.assert_array_equal(backward(ACTIVATIONS[name].layer, ones, out, mask), derivatives)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_shows(name, dtype):
    nan, one = frozen([np.nan] * 33, dtype), frozen([1] * 33, dtype)
    out, mask = forward(ACTIVATIONS[name].layer, nan)
    assert np.isnan(out).all()
    assert np.isnan(backward(ACTIVATIONS[name].layer, nan, one, mask)).all()


def numpy_update(layers, weights, X, y, weight, learning_rate, dropout=None):
    """Loss of a batch; weights, one [W, b] or None a layer, are updated in place.

    dropout : (seed, number of the update), or None where nothing is dropped
    """
    inputs, masks = [X], []
    for k, layer in enumerate(layers):
        z = inputs[-1]
        mask = None
        if isinstance(layer, gd.Linear):
            out = z @ weights[k][0].T + weights[k][1]
        elif isinstance(layer, gd.ReLU):
            out = np.maximum(z, 0)
        elif isinstance(layer, gd.Dropout):
            mask = np.ones(z.shape)
            if dropout is not None:
                seed, update = dropout
                key = subkey(np.uint64(subkey(np.uint64(seed), update)), k)
                mask = passes(key, *z.shape, layer.p) / (1 - layer.p)
            out = z * mask
        else:
            out = ACTIVATIONS[NAMES[type(layer)]].formula(z)
        inputs.append(out)
        masks.append(mask)
    error = inputs[-1] - y
    loss = (weight[:, None] * error**2).sum() / 2 / len(X)
    d_out = weight[:, None] * error / len(X)
    for k in range(len(layers) - 1, -1, -1):
        z = inputs[k]
        if isinstance(layers[k], gd.Linear):
            d_weight, d_bias = d_out.T @ z, d_out.sum(0)
            d_out = d_out @ weights[k][0]
            weights[k][0] -= learning_rate * d_weight
            weights[k][1] -= learning_rate * d_bias
        elif isinstance(layers[k], gd.ReLU):
            d_out = d_out * (z >= 0)
        elif isinstance(layers[k], gd.Dropout):
            d_out = d_out * masks[k]
        else:
            d_out = d_out * ACTIVATIONS[NAMES[type(layers[k])]].derivative(z)
    return loss


def numpy_weights(model):
    return [
        [np.array(layer.weight, np.float64), np.array(layer.bias, np.float64)] if isinstance(layer, gd.Linear) else None
        for layer in model.layers
    ]


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("batch_size", [1, 4, None], ids=lambda size: f"batch {size}")
def test_training_is_numpys(name, batch_size, dtype):
    model = built(STACKS[name], dtype)
    X, y, weight = rows_for(model, 11)
    weights = numpy_weights(model)
    seed, n_updates, losses = 2**40, 0, []
    for _ in range(2):
        total = 0.0
        for start in range(0, 11, batch_size or 11):
            rows = slice(start, start + (batch_size or 11))
            batch = [array[rows].astype(np.float64) for array in (X, y, weight)]
            total += len(batch[0]) * numpy_update(STACKS[name], weights, *batch, 0.01, (seed, n_updates))
            n_updates += 1
        losses.append(total / 11)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, seed=seed)
    history = trainer.fit(X, y, epochs=2, sample_weight=weight)
    assert trainer.n_updates == n_updates
    # Errors of the first updates are carried on through the last: about a hundred dependent roundings.
    tolerance = rounding(dtype, 100)
    assert history.loss == pytest.approx(losses, rel=tolerance)
    expected = np.concatenate([np.concatenate([w.ravel(), b]) for w, b in filter(None, weights)])
    np.testing.assert_allclose(model.parameters, expected, rtol=tolerance, atol=tolerance)
    assert np.abs(expected - built(STACKS[name], dtype).parameters).max() > 0.001, "nothing was learnt"


@pytest.mark.parametrize("name", STACKS)
def test_prediction_and_gradient_are_numpys(name, dtype):
    """Nothing is dropped; the gradient is what an update with rate one takes away."""
    model = built(STACKS[name], dtype)
    X, y, weight = rows_for(model, 9)
    weights = numpy_weights(model)
    arrays = [array.astype(np.float64) for array in (X, y, weight)]
    expected_loss = numpy_update(STACKS[name], weights, *arrays, 1.0)
    loss, gradient = model.loss_and_gradient(X, y, sample_weight=weight)
    tolerance = rounding(dtype, 30)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    assert model.loss(X, y, sample_weight=weight) == pytest.approx(expected_loss, rel=tolerance)
    after = np.concatenate([np.concatenate([w.ravel(), b]) for w, b in filter(None, weights)])
    np.testing.assert_allclose(gradient, model.parameters - after, rtol=tolerance, atol=tolerance)
    error = model.predict(X).astype(np.float64) - y
    assert (weight[:, None] * error**2).sum() / 18 == pytest.approx(expected_loss, rel=tolerance)


@st.composite
def networks(draw):
    """Any stack of up to eight layers of any kind."""
    others = [gd.ReLU(), gd.LeakyReLU(SLOPE), gd.Tanh(), gd.Sigmoid(), gd.Identity(), gd.Dropout(0.5)]
    width = draw(st.integers(1, 5))
    layers = []
    for _ in range(draw(st.integers(1, 8))):
        layer = draw(st.sampled_from([None, *others]))
        if layer is None:
            n_out = draw(st.integers(1, 5))
            layer = gd.Linear(width, n_out, bias=draw(st.booleans()))
            width = n_out
        layers.append(layer)
    if not any(isinstance(layer, gd.Linear) for layer in layers):
        layers.append(gd.Linear(width, 2))
    return layers


def is_near_a_kink(model, X):
    values = X
    for layer in model.layers:
        if isinstance(layer, gd.Linear):
            values = values @ layer.weight.T + (0 if layer.bias is None else layer.bias)
        elif isinstance(layer, gd.ReLU | gd.LeakyReLU):
            if (np.abs(values) < 1e-3).any():
                return True
            values = np.where(values >= 0, values, 0 if isinstance(layer, gd.ReLU) else SLOPE * values)
        elif type(layer) in NAMES:
            values = ACTIVATIONS[NAMES[type(layer)]].formula(values)
    return False


@given(networks(), st.integers(1, 5), st.integers(0, 1000))
def test_gradient_of_any_network(layers, n_rows, seed):
    model = built(layers, seed=seed)
    X, y, weight = rows_for(model, n_rows, seed)
    if not is_near_a_kink(model, X):
        assert_gradient_is_the_difference(model, X, y, weight)


def test_every_kind_of_layer_is_saved(tmp_path):
    layers = [gd.Standardize(5), *STACKS["every activation"], gd.Dropout(0.125)]
    model = built(layers)
    X, y, _ = rows_for(model, 20)
    gd.Trainer(model).fit(X, y)
    model.save(tmp_path / "model")
    loaded = gd.Model.load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


REFUSED = {
    "negative slope": (lambda: gd.LeakyReLU(-0.1), ValueError, r"slope is -0\.1; expected a finite number"),
    "slope NaN": (lambda: gd.LeakyReLU(np.nan), ValueError, "slope is nan"),
    "slope by name": (lambda: gd.LeakyReLU("0.1"), TypeError, r"slope is '0\.1'; expected a number"),
    "dropping all": (lambda: gd.Dropout(1), ValueError, "p is 1; expected less than 1"),
    "dropping too much": (lambda: gd.Dropout(1.5), ValueError, r"p is 1\.5"),
    "negative p": (lambda: gd.Dropout(-1), ValueError, "p is -1"),
    "p by truth": (lambda: gd.Dropout(True), TypeError, "p is True; expected a number"),
    "no features": (lambda: gd.Standardize(0), ValueError, "n_features is 0; expected at least 1"),
    "half a feature": (lambda: gd.Standardize(0.5), TypeError, r"n_features is 0\.5; expected an integer"),
    "Standardize second": (
        lambda: gd.Model([gd.Linear(2, 2), gd.Standardize(2)]),
        ValueError,
        r"layers\[1\] is Standardize\(2\); expected it first, with n_features=2, or not at all",
    ),
    "Standardize after an activation": (
        lambda: gd.Model([gd.Tanh(), gd.Standardize(2), gd.Linear(2, 2)]),
        ValueError,
        r"layers\[1\] is Standardize\(2\); expected it first",
    ),
    "Standardize twice": (
        lambda: gd.Model([gd.Standardize(2), gd.Standardize(2), gd.Linear(2, 2)]),
        ValueError,
        r"layers\[1\] is Standardize\(2\); expected it first",
    ),
    "Standardize of another width": (
        lambda: gd.Model([gd.Standardize(3), gd.Linear(2, 2)]),
        ValueError,
        r"layers\[0\] is Standardize\(3\); expected it first, with n_features=2",
    ),
    "Standardize alone": (lambda: gd.Model([gd.Standardize(2)]), ValueError, "expected at least one Linear"),
    "activations alone": (lambda: gd.Model([gd.Tanh(), gd.Dropout()]), ValueError, "expected at least one Linear"),
    "layer by class": (lambda: gd.Model([gd.Linear(1, 1), gd.Tanh]), TypeError, r"layers\[1\] is <class"),
    "NormalizedSGD behind Dropout": (
        lambda: gd.Trainer(gd.Model([gd.Dropout(), gd.Linear(2, 1)]), optimizer=gd.NormalizedSGD()),
        ValueError,
        "expected Linear as the first layer",
    ),
    "learning from too many features": (
        lambda: gd.Standardize(2).fit(gd.data.ArrayDataset(np.ones((4, 3)))),
        ValueError,
        r"X has shape \(4, 3\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("layers", [[gd.Tanh()], [gd.Dropout(0.5)], [gd.Sigmoid(), gd.LeakyReLU()]], ids=repr)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_layer_hides_a_bad_row(layers, value):
    """Sigmoid and Tanh bring infinity back to one, and Dropout drops NaN: the row is found all the same."""
    for stack in ([*layers, gd.Linear(3, 1)], [gd.Linear(3, 3), *layers, gd.Linear(3, 1)]):
        model = built(stack)
        X, y, _ = rows_for(model, 20)
        X[13, 1] = value
        for batch_size in (1, 4, None):
            twin = built(stack)
            with pytest.raises(ValueError, match=rf"X holds {value} .*in row 13, column 1"):
                gd.Trainer(twin, optimizer=gd.SGD(0.01), batch_size=batch_size).fit(X, y)
            good = built(stack)
            n_good = 13 // (batch_size or 20) * (batch_size or 20)
            if n_good:
                gd.Trainer(good, optimizer=gd.SGD(0.01), batch_size=batch_size).fit(X[:n_good], y[:n_good])
            np.testing.assert_array_equal(twin.parameters, good.parameters)


def test_what_is_assigned_is_checked():
    """A layer's settings as when it is made; a model's dtype is not assigned."""
    model = gd.Model([gd.Linear(2, 2), gd.LeakyReLU(), gd.Dropout(), gd.Linear(2, 1), gd.ReLU()])
    _, leaky, dropout, _, relu = model.layers
    for layer, name, bad, good in (
        (leaky, "slope", np.nan, 0.2),
        (dropout, "p", 2, 0.1),
        (relu, "tolerance", -1, None),
    ):
        with pytest.raises(ValueError, match=f"{name} is {bad}"):
            setattr(layer, name, bad)
        setattr(layer, name, good)
        assert getattr(layer, name) == good
    with pytest.raises(AttributeError, match="dtype is fixed when a Model is made"):
        model.dtype = "float64"
    assert model.dtype == np.float32
