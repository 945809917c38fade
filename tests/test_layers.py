"""The layers beside Linear and ReLU: activations, Dropout, Standardize."""

import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from cases import assert_gradient_is_the_difference, rounding
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

import fastgd as gd
from fastgd import dataset, engine, kernels
from fastgd.kernels.random import subkey
from fastgd.losses import as_loss

SLOPE = 0.125


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


def frozen(values, dtype):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def unset(like):
    return np.full_like(like, np.nan)


def forward(layer, z, out):
    """Run the kernel of a layer that draws nothing."""
    layer.kernels[0](z, layer.number_in(z.dtype), (0, 0, 0, 0), out, np.empty(z.size, np.bool_))


def backward(layer, d_out, z, out, d_z):
    """Run the kernel of a layer that needs no mask."""
    layer.kernels[1](d_out, z, out, np.empty(z.size, np.bool_), layer.number_in(z.dtype), d_z)


EDGES = st.sampled_from([0.0, -0.0, 1e-30, -1e-30, 10.0, -10.0, 100.0, -100.0, 1e4, -1e4, np.inf, -np.inf])


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(data=st.data())
def test_forward(name, data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    elements = EDGES.map(dtype) | st.floats(-10, 10, width=np.dtype(dtype).itemsize * 8)
    z = frozen(data.draw(hnp.arrays(dtype, st.integers(1, 70), elements=elements)), dtype)
    out = unset(z)
    forward(ACTIVATIONS[name].layer, z, out)
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
    out = frozen(ACTIVATIONS[name].formula(z.astype(np.float64)), dtype)
    d_z = unset(z)
    backward(ACTIVATIONS[name].layer, d_out, z, out, d_z)
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
    out, d_z = unset(z), unset(z)
    forward(ACTIVATIONS[name].layer, z, out)
    np.testing.assert_array_equal(out, values)
    backward(ACTIVATIONS[name].layer, ones, z, out, d_z)
    np.testing.assert_array_equal(d_z, derivatives)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_shows(name, dtype):
    nan, one = frozen([np.nan] * 33, dtype), frozen([1] * 33, dtype)
    out, d_z = np.zeros_like(nan), np.zeros_like(nan)
    forward(ACTIVATIONS[name].layer, nan, out)
    assert np.isnan(out).all()
    backward(ACTIVATIONS[name].layer, nan, one, one, d_z)
    assert np.isnan(d_z).all()


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9])
def test_dropout_kernels(p, dtype):
    """The elements that pass are scaled; the rest are zero, in both passes; NaN shows where it passes."""
    number = np.dtype(dtype).type
    z = frozen(np.r_[np.nan, np.arange(1.0, 5000)], dtype)
    out, d_z, mask = unset(z), unset(z), np.array([3] * z.size, np.uint8).view(np.bool_)
    kernels.dropout_forward(z, p, (-5, 2, 1, 0), out, mask)
    assert set(mask.view(np.uint8).tolist()) <= {0, 1}
    scale = number(1 / (1 - number(p)))
    np.testing.assert_allclose(out, np.where(mask, z * scale, 0), rtol=rounding(dtype, 1))
    kernels.dropout_backward(z, z, out, mask, p, d_z)
    np.testing.assert_array_equal(d_z, out)
    assert mask.mean() == pytest.approx(1 - p, abs=5 * np.sqrt(p * (1 - p) / z.size))


def test_dropout_kernel_draws_by_position():
    z, seed, update, layer = frozen(np.ones(100), "float64"), -77, 5, 3
    whole, mask = unset(z), np.empty(100, np.bool_)
    kernels.dropout_forward(z, 0.5, (seed, update, layer, 40), whole, mask)
    key = subkey(np.uint64(subkey(np.uint64(2**64 + seed), update)), layer)
    np.testing.assert_array_equal(mask, passes(key, 1, 140, 0.5)[0, 40:])
    parts, part_mask = unset(z), np.empty(100, np.bool_)
    for begin in range(0, 100, 30):
        part = slice(begin, begin + 30)
        kernels.dropout_forward(z[part], 0.5, (seed, update, layer, 40 + begin), parts[part], part_mask[part])
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(part_mask, mask)


STACKS = {
    "every activation": [
        *(gd.Linear(5, 7), gd.LeakyReLU(SLOPE), gd.Linear(7, 6), gd.Tanh(), gd.Linear(6, 4), gd.Sigmoid()),
        *(gd.Linear(4, 3), gd.ReLU(), gd.Linear(3, 2), gd.Identity()),
    ],
    "activation first": [gd.Tanh(), gd.Linear(5, 2)],
    "LeakyReLU first": [gd.LeakyReLU(SLOPE), gd.Linear(5, 2), gd.LeakyReLU(SLOPE)],
    "ending in Sigmoid": [gd.Linear(5, 3), gd.Sigmoid()],
    "neuron with Tanh": [gd.Linear(5, 1), gd.Tanh()],
    "neuron with LeakyReLU": [gd.Linear(5, 1), gd.LeakyReLU(SLOPE)],
    "neuron with Identity": [gd.Linear(5, 1), gd.Identity()],
    "activations in a row": [gd.Linear(5, 4), gd.Tanh(), gd.LeakyReLU(SLOPE), gd.Sigmoid(), gd.Linear(4, 1)],
    "Dropout": [
        gd.Linear(5, 8),
        gd.LeakyReLU(SLOPE),
        gd.Dropout(0.25),
        gd.Linear(8, 8),
        gd.Dropout(0.5),
        gd.Linear(8, 2),
    ],
    "Dropout first": [gd.Dropout(0.25), gd.Linear(5, 6), gd.ReLU(), gd.Linear(6, 1)],
    "Dropout last": [gd.Linear(5, 6), gd.Dropout(0.25)],
    "two Dropouts in a row": [gd.Linear(5, 6), gd.Dropout(0.25), gd.Dropout(0.25), gd.Linear(6, 1)],
}


def built(layers, dtype="float64", seed=1):
    """A model with biases that are not zero."""
    model = gd.Model(layers, dtype=dtype, seed=seed)
    model.parameters += 0.1 * np.random.default_rng(seed).standard_normal(model.parameters.shape)
    return model


def rows_for(model, n_rows, seed=0):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n_rows, model.in_features)), rng.standard_normal((n_rows, model.out_features))
    return X.astype(model.dtype), y.astype(model.dtype), rng.uniform(0, 2, n_rows).astype(model.dtype)


def passes(mask_key, n_rows, n_units, p):
    """Which elements of a batch a Dropout lets pass."""
    bits = [int(subkey(np.uint64(mask_key), position)) for position in range(n_rows * n_units)]
    return np.array([number >= int(p * 2**64) for number in bits]).reshape(n_rows, n_units)


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
                key = subkey(np.uint64(subkey(np.uint64(seed + 1), update)), k)
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


def dropped(n_rows, n_units, p=0.5, seed=0, n_updates=1, layers=None):
    """What a Dropout did in each update: 0 where it dropped, the gradient's factor where not; (update, row, unit).

    Row i has a one in feature i, all weights are ones and all targets zeros: the gradient of weight (unit, i) is the
    square of what unit and row were multiplied by.
    """
    stack = [gd.Linear(n_rows, n_units, bias=False, init=np.ones((n_units, n_rows)))]
    model = gd.Model(stack + ([gd.Dropout(p)] if layers is None else layers), dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.SGD(1.0), seed=seed)
    X, y = np.eye(n_rows), np.zeros((n_rows, n_units))
    factors, losses = [], []
    for _ in range(n_updates):
        model.parameters = 1
        losses.append(trainer.step(X, y))
        factors.append((1 - model.layers[0].weight.T) * n_rows)
    np.testing.assert_allclose(losses, [factor.sum() / 2 / n_rows for factor in factors], rtol=1e-12)
    return np.array(factors)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_share_and_mean(p):
    factors = dropped(200, 300, p)[0]
    assert np.mean(factors == 0) == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / factors.size))
    np.testing.assert_allclose(factors[factors != 0], 1 / (1 - p) ** 2, rtol=1e-12)
    # The mean output stays: √factor is what an output was multiplied by.
    assert np.sqrt(factors).mean() == pytest.approx(1, abs=5 * np.sqrt(p / (1 - p) / factors.size) + 1e-12)


def assert_independent(first, second, p):
    """Two masks agree as often as two coins do."""
    chance = p**2 + (1 - p) ** 2
    deviation = np.sqrt(chance * (1 - chance) / first.size)
    assert np.mean((first == 0) == (second == 0)) == pytest.approx(chance, abs=5 * deviation)


@pytest.mark.parametrize("p", [0.25, 0.5])
def test_draws_are_independent(p):
    updates = dropped(100, 120, p, n_updates=3)
    assert_independent(updates[0], updates[1], p)
    assert_independent(updates[1], updates[2], p)
    assert_independent(updates[0][:-1], updates[0][1:], p)
    assert_independent(updates[0][:, :-1], updates[0][:, 1:], p)
    assert_independent(updates[0][:-1, 1:], updates[0][1:, :-1], p)
    for seed in (1, 2, 2**63):
        assert_independent(updates[0], dropped(100, 120, p, seed)[0], p)
    # The next seed's draws are not this seed's, one update later.
    assert_independent(updates[1], dropped(100, 120, p, seed=1)[0], p)


def test_layers_draw_independently():
    """Two Dropouts let pass what both do: a quarter, where the same draws would make it a half."""
    both = dropped(100, 120, 0.5, layers=[gd.Dropout(0.5), gd.Identity(), gd.Dropout(0.5)])
    assert np.mean(both != 0) == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / both.size))


def test_backward_drops_what_forward_dropped():
    """In the middle of a stack: the next layer's gradient shows the outputs, the layer before's what came back."""
    model = gd.Model(
        [
            gd.Linear(1, 400, bias=False, init=np.ones((400, 1))),
            gd.Dropout(0.5),
            gd.Linear(400, 1, bias=False, init=np.ones((1, 400))),
        ],
        dtype="float64",
    )
    gd.Trainer(model, optimizer=gd.SGD(1e-4)).step([[1.0]], [0.0])
    before, after = model.layers[0].weight.ravel() != 1, model.layers[2].weight.ravel() != 1
    np.testing.assert_array_equal(before, after)
    assert 100 < before.sum() < 300


def test_nothing_is_dropped_but_in_training():
    layers = [gd.Linear(5, 50), gd.Dropout(0.9), gd.Linear(50, 1)]
    model = built(layers)
    X, y, _ = rows_for(model, 30)
    trainer = gd.Trainer(model, batch_size=4)
    for _ in range(2):
        history = trainer.fit(X, y, validation=(X, y))
        plain = gd.Model([layers[0], layers[2]], dtype="float64")
        plain.parameters = model.parameters
        np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-12)
        assert model.loss(X, y) == pytest.approx(plain.loss(X, y), rel=1e-12)
        assert history.validation_loss[-1] == pytest.approx(plain.loss(X, y), rel=1e-12)
        loss, gradient = model.loss_and_gradient(X, y)
        assert loss == pytest.approx(plain.loss(X, y), rel=1e-12)
        np.testing.assert_allclose(gradient, plain.loss_and_gradient(X, y)[1], rtol=1e-12, atol=1e-14)


def train(dtype="float32", seed=5, batch_size=7, source=None, calls=(2,)):
    model = built(STACKS["Dropout"], dtype)
    X, y, _ = rows_for(model, 1000)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, shuffle=True, seed=seed)
    for epochs in calls:
        trainer.fit(X if source is None else X.astype(source), y, epochs=epochs)
    return model.parameters.copy()


@pytest.mark.parametrize("batch_size", [1, 7, 300, None])
def test_dropout_is_the_same_bits_however_it_is_cut(batch_size, dtype, monkeypatch):
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 1e9)
    whole = train(dtype, batch_size=batch_size)
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 500)
    other = "float64" if dtype == "float32" else "float32"
    np.testing.assert_array_equal(train(dtype, batch_size=batch_size), whole)
    if dtype == "float32":
        np.testing.assert_array_equal(train(dtype, batch_size=batch_size, source=other), whole)
    np.testing.assert_array_equal(train(dtype, batch_size=batch_size, calls=(1, 1)), whole)
    assert (train(dtype, seed=6, batch_size=batch_size) != whole).any()


def test_dropout_goes_on_with_the_same_bits(tmp_path):
    X, y, _ = rows_for(built(STACKS["Dropout"]), 50)
    whole = gd.Trainer(built(STACKS["Dropout"]), batch_size=4, seed=3)
    whole.fit(X, y, epochs=4)
    trainer = gd.Trainer(built(STACKS["Dropout"]), batch_size=4, seed=3)
    for epochs in (1, 3):
        trainer.fit(X, y, epochs=epochs)
        trainer.save(tmp_path / "run")
        trainer = gd.Trainer.load(tmp_path / "run")
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)


def test_a_batch_larger_than_a_chunk_draws_as_one(monkeypatch):
    whole = dropped(60, 40, 0.5)
    for rows in (1, 7, 59):
        monkeypatch.setattr(gd.Model, "chunk_rows", property(lambda _, rows=rows: rows))
        np.testing.assert_array_equal(dropped(60, 40, 0.5) == 0, whole == 0)


def test_chunks_of_a_large_batch_draw_apart():
    """More rows than a chunk holds by itself."""
    model = gd.Model([gd.Linear(1100, 16), gd.Dropout(0.5)])
    assert 500 < model.chunk_rows < 1100
    factors = dropped(1100, 16, 0.5)[0]
    n_rows = 1100 - model.chunk_rows
    assert_independent(factors[:n_rows], factors[model.chunk_rows :], 0.5)
    assert np.mean(factors == 0) == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / factors.size))


def _mapped(values, folder):
    np.save(folder / "X.npy", values)
    np.save(folder / "y.npy", np.zeros(len(values)))
    return gd.data.open(folder / "X.npy", folder / "y.npy")


def _array(values, folder):
    return gd.data.ArrayDataset(values, np.zeros(len(values)))


def _spread(rng):
    return rng.standard_normal((5000, 3))


SOURCES = {
    "float64": (_spread, _array),
    "float32": (lambda rng: (_spread(rng) + np.array([0, 100, -5])).astype(np.float32), _array),
    "float16": (lambda rng: _spread(rng).astype(np.float16), _array),
    "offset of 1e8": (lambda rng: _spread(rng) + 1e8, _array),
    "scales from 1e-6 to 1e6": (lambda rng: _spread(rng) * [1e-6, 1, 1e6], _array),
    "integers": (lambda rng: rng.integers(-1000, 1000, (5000, 3)), _array),
    "bytes": (lambda rng: rng.integers(0, 255, (5000, 3)).astype(np.uint8), _array),
    "truths": (lambda rng: rng.random((5000, 3)) < [0.5, 0.1, 0.99], _array),
    "Fortran order": (lambda rng: np.asfortranarray(_spread(rng)), _array),
    "every other row": (lambda rng: _spread(rng)[::2], _array),
    "two rows": (lambda rng: _spread(rng)[:2], _array),
    "one rare value": (lambda rng: np.eye(5000, 3), _array),
    "memory-mapped": (lambda rng: _spread(rng) + 3, _mapped),
    "memory-mapped float32": (lambda rng: (_spread(rng) + 3).astype(np.float32), _mapped),
}


def assert_learnt(layer, X):
    """Mean and scale are those of X, summed in extended precision."""
    exact = np.asarray(X, np.longdouble)
    mean, deviation = exact.mean(0), exact.std(0)
    largest = np.abs(exact).max(0)
    # A sum of thousands of rows, in order, rounds once each: some hundred roundings of the largest value.
    np.testing.assert_allclose((layer.mean - mean) / largest, 0, atol=rounding(np.float64, 100))
    # Block by block the mean is rounded in the steps that float64 has so far from zero, which the deviation sees.
    error = rounding(np.float64, 100) + rounding(np.float64, 1) * largest / deviation
    np.testing.assert_allclose((layer.scale * deviation - 1) / error, 0, atol=1)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("n_bytes", [1, 1000, 4 << 20])
def test_mean_and_scale(source, n_bytes, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
    values, opened = SOURCES[source]
    X = values(rng)
    layer = gd.Standardize(X.shape[1])
    assert layer.fit(opened(X, tmp_path)) is layer
    assert layer.mean.dtype == layer.scale.dtype == np.float64
    assert_learnt(layer, X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean_and_scale_of_synthetic_rows(dtype, monkeypatch):
    data = gd.data.synthetic(3000, 4, dtype=dtype)
    X, _ = data.arrays()
    for n_bytes in (1, 999, 4 << 20):
        monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
        assert_learnt(gd.Standardize(4).fit(data), X)


CONSTANTS = [0.0, 1.0, -7.0, 0.1, 1e-100, 1 / 3, 1e8 + 0.1, -1e100, 123_456_789.123]


@pytest.mark.parametrize("n_rows", [1, 7, 1000, 60_000])
@pytest.mark.parametrize("n_bytes", [100, 4 << 20])
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_constant_features_keep_their_scale(n_rows, n_bytes, source, monkeypatch):
    """A feature that does not vary must not be divided by its own rounding errors, however many rows are added up."""
    if n_bytes == 100 and n_rows > 1000:
        n_rows //= 10
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
    constants = [c for c in CONSTANTS if source == "float64" or 1e-30 < abs(c) < 1e30 or c == 0]
    X = np.tile(np.array(constants, source), (n_rows, 1))
    layer = gd.Standardize(X.shape[1]).fit(gd.data.ArrayDataset(X))
    np.testing.assert_array_equal(layer.scale, 1)
    np.testing.assert_allclose(layer.mean, X[0].astype(np.float64), rtol=rounding(np.float64, 1000))


def test_a_feature_that_barely_varies_is_scaled():
    """One part in ten million is no rounding error."""
    X = 1 + 1e-7 * np.random.default_rng(0).standard_normal((1000, 1))
    assert gd.Standardize(1).fit(gd.data.ArrayDataset(X)).scale[0] == pytest.approx(1 / X.std(), rel=1e-6)


def standardized(X):
    X = np.asarray(X, np.float64)
    return (X - X.mean(0)) / X.std(0)


def pair(layers, X, dtype="float64"):
    """A model with Standardize for X, the same without for standardised rows, and these rows."""
    with_layer, without = built([gd.Standardize(X.shape[1]), *layers], dtype), gd.Model(layers, dtype)
    without.parameters = with_layer.parameters
    return with_layer, without, standardized(X)


STANDARDIZED = {
    "neuron": [gd.Linear(3, 1), gd.ReLU()],
    "hidden layer": [gd.Linear(3, 6), gd.Tanh(), gd.Linear(6, 2)],
    "activation first": [gd.Tanh(), gd.Linear(3, 2)],
}


@pytest.mark.parametrize("name", STANDARDIZED)
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("source", ["float64", "float32", "int16"])
def test_standardize_is_applied_everywhere(name, batch_size, shuffle, source, dtype, rng):
    X = (1000 * rng.standard_normal((50, 3)) + np.array([1000, -2000, 3000])).astype(source)
    model, plain, Z = pair(STANDARDIZED[name], X, dtype)
    y = rng.standard_normal((50, model.out_features))
    weight = rng.uniform(0, 2, 50)
    options = {"optimizer": gd.SGD(0.01), "batch_size": batch_size, "shuffle": shuffle, "seed": 3}
    trainer, plain_trainer = gd.Trainer(model, **options), gd.Trainer(plain, **options)
    # Z is standardised by NumPy's own mean, so nothing is equal to the last bit; two epochs of fifty rows carry it on.
    tolerance = {"rtol": rounding(dtype, 200), "atol": rounding(dtype, 200)}
    for _ in range(2):
        history = trainer.fit(X, y, sample_weight=weight, validation=(X[:9], y[:9]))
        expected = plain_trainer.fit(Z, y, sample_weight=weight, validation=(Z[:9], y[:9]))
        np.testing.assert_allclose(model.parameters, plain.parameters, **tolerance)
        np.testing.assert_allclose(history.loss, expected.loss, **tolerance)
        np.testing.assert_allclose(history.validation_loss, expected.validation_loss, **tolerance)
    np.testing.assert_allclose(trainer.step(X[:9], y[:9]), plain_trainer.step(Z[:9], y[:9]), **tolerance)
    np.testing.assert_allclose(model.parameters, plain.parameters, **tolerance)
    np.testing.assert_allclose(model.predict(X), plain.predict(Z), **tolerance)
    np.testing.assert_allclose(model.loss(X, y), plain.loss(Z, y), **tolerance)
    loss, gradient = model.loss_and_gradient(X, y, sample_weight=weight)
    plain_loss, plain_gradient = plain.loss_and_gradient(Z, y, sample_weight=weight)
    np.testing.assert_allclose(loss, plain_loss, **tolerance)
    np.testing.assert_allclose(gradient, plain_gradient, **tolerance)


@pytest.mark.parametrize("n_bytes", [1, 200])
def test_blocks_change_no_standardised_bits(n_bytes, dtype, rng, monkeypatch):
    """What was learnt may differ in the last bit; what is done with it may not."""
    X, y = 100 * rng.standard_normal((90, 3)) + 1e5, rng.standard_normal(90)
    learnt = gd.Standardize(3).fit(gd.data.ArrayDataset(X))
    results = []
    for size in (4 << 20, n_bytes):
        monkeypatch.setattr(dataset, "_BLOCK_BYTES", size)
        for source in (X, np.asfortranarray(X)):
            model = built([learnt, *STANDARDIZED["neuron"]], dtype)
            gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=4, shuffle=True).fit(source, y, epochs=2)
            results.append(model.parameters.copy())
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_an_offset_does_not_cost_float32_its_digits(rng):
    """Rows of spread 1 around 1e8, which float32 tells apart in steps of 8."""
    X = 1e8 + rng.standard_normal((200, 3))
    model, plain, Z = pair(STANDARDIZED["neuron"], X, "float32")
    gd.Trainer(model).fit(X, np.ones(200))
    gd.Trainer(plain).fit(Z, np.ones(200))
    np.testing.assert_allclose(model.predict(X), plain.predict(Z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("begin", ["fit", "step", "layer"])
def test_standardize_learns_once(begin, rng):
    X, y = rng.standard_normal((40, 3)) + 5, rng.standard_normal(40)
    model = built([gd.Standardize(3), gd.Linear(3, 1)])
    trainer = gd.Trainer(model)
    layer = model.layers[0]
    assert layer.mean is None
    if begin == "fit":
        trainer.fit(X, y)
    elif begin == "step":
        trainer.step(X, y)
    else:
        layer.fit(gd.data.ArrayDataset(X))
    assert_learnt(layer, X)
    mean, scale = layer.mean.copy(), layer.scale.copy()
    trainer.fit(10 * X, y, epochs=2)
    trainer.step(-X, y)
    gd.Trainer(model).fit(3 * X, y)
    np.testing.assert_array_equal(layer.mean, mean)
    np.testing.assert_array_equal(layer.scale, scale)


def test_standardize_learns_neither_from_weights_nor_from_held_out_rows(rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    weighted = built([gd.Standardize(3), gd.Linear(3, 1)])
    gd.Trainer(weighted).fit(X, y, sample_weight=rng.uniform(0, 2, 40))
    assert_learnt(weighted.layers[0], X)
    trained = built([gd.Standardize(3), gd.Linear(3, 1)])
    gd.Trainer(trained, seed=4).fit(X, y, validation=0.25)
    held_out = np.random.default_rng([4, 0, 1]).permutation(40)[:10]
    assert_learnt(trained.layers[0], np.delete(X, held_out, axis=0))


def test_the_callers_layer_stays_as_it_is(rng):
    layer = gd.Standardize(3)
    model = gd.Model([layer, gd.Linear(3, 1)])
    gd.Trainer(model).fit(rng.standard_normal((9, 3)), np.ones(9))
    assert layer.mean is None
    assert model.layers[0].mean is not None


@pytest.mark.parametrize("is_learnt", [False, True])
def test_standardize_is_kept(is_learnt, dtype, rng, tmp_path):
    X, y = 10 * rng.standard_normal((30, 3)) + 50, rng.standard_normal(30)
    model = built([gd.Standardize(3), gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)], dtype)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=4)
    if is_learnt:
        trainer.fit(X, y)
    model.save(tmp_path / "model")
    trainer.save(tmp_path / "run")
    run = gd.Trainer.load(tmp_path / "run")
    copies = [gd.Model.load(tmp_path / "model"), gd.Model.load(tmp_path / "run"), pickle.loads(pickle.dumps(model))]
    for copy in [*copies, run.model]:
        assert repr(copy) == repr(model)
        if is_learnt:
            np.testing.assert_array_equal(copy.layers[0].mean, model.layers[0].mean)
            np.testing.assert_array_equal(copy.layers[0].scale, model.layers[0].scale)
            np.testing.assert_array_equal(copy.predict(X), model.predict(X))
        else:
            assert copy.layers[0].mean is None
    trainer.fit(X, y, epochs=2)
    run.fit(X, y, epochs=2)
    np.testing.assert_array_equal(run.model.parameters, trainer.model.parameters)
    assert run.history.loss == trainer.history.loss


FOLDED = {
    "neuron": [gd.Linear(3, 1), gd.ReLU()],
    "no bias": [gd.Linear(3, 2, bias=False), gd.ReLU()],
    "hidden layer": [gd.Linear(3, 6), gd.Tanh(), gd.Dropout(0.5), gd.Linear(6, 2, bias=False)],
}


@pytest.mark.parametrize("name", FOLDED)
def test_fold(name, rng, tmp_path):
    X = rng.standard_normal((60, 3)) * [1e-3, 1, 1e3] + [1, -20, 3e4]
    model = built([gd.Standardize(3), *FOLDED[name]])
    gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(X, rng.standard_normal((60, model.out_features)))
    before = model.parameters.copy()
    folded = model.fold()
    np.testing.assert_array_equal(model.parameters, before)
    assert not any(isinstance(layer, gd.Standardize) for layer in folded.layers)
    assert [type(layer) for layer in folded.layers] == [type(layer) for layer in FOLDED[name]]
    # Of the offset 1000 deviations large, 1e-13 of rounding is left.
    np.testing.assert_allclose(folded.predict(X), model.predict(X), rtol=1e-9, atol=1e-9)
    folded.save(tmp_path / "folded")
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "folded").predict(X), folded.predict(X))
    folded.parameters = 0
    np.testing.assert_array_equal(model.parameters, before)


def test_fold_in_float32(rng):
    X = rng.standard_normal((60, 3)) + 10
    model = built([gd.Standardize(3), gd.Linear(3, 2)], "float32")
    gd.Trainer(model).fit(X, rng.standard_normal((60, 2)))
    folded = model.fold()
    assert folded.dtype == np.float32
    np.testing.assert_allclose(folded.predict(X), model.predict(X), rtol=0, atol=rounding("float32", 40))


def _learnt(*layers):
    return built([gd.Standardize(2).fit(gd.data.ArrayDataset(np.eye(2))), *layers])


NOT_FOLDED = {
    "nothing to fold": (lambda: built([gd.Linear(2, 1)]), "expected Standardize, then Linear"),
    "an activation between": (lambda: _learnt(gd.Tanh(), gd.Linear(2, 1)), "expected Standardize, then Linear"),
    "Dropout between": (lambda: _learnt(gd.Dropout(), gd.Linear(2, 1)), "expected Standardize, then Linear"),
    "nothing learnt": (lambda: built([gd.Standardize(2), gd.Linear(2, 1)]), "no mean and scale yet"),
}


@pytest.mark.parametrize("case", NOT_FOLDED)
def test_fold_refuses(case):
    model, message = NOT_FOLDED[case]
    with pytest.raises(ValueError, match=message):
        model().fold()


def test_nothing_is_predicted_before_standardize_has_learnt():
    model = built([gd.Standardize(3), gd.Linear(3, 1)])
    for call in (
        lambda: model.predict(np.ones((2, 3))),
        lambda: model.loss(np.ones((2, 3)), np.ones(2)),
        lambda: model.loss_and_gradient(np.ones((2, 3)), np.ones(2)),
    ):
        with pytest.raises(ValueError, match="the Standardize layer has no mean and scale yet; train the model"):
            call()


@pytest.mark.parametrize("is_learnt", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_standardize_names_the_bad_row(is_learnt, shuffle, value, dtype, rng, monkeypatch):
    """While it learns and after, in whichever block; nothing is learnt from such data."""
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 100)
    X, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
    model = built([gd.Standardize(3), gd.Linear(3, 1)], dtype)
    trainer = gd.Trainer(model, shuffle=shuffle)
    if is_learnt:
        trainer.fit(X, y)
    before = model.parameters.copy()
    X[33, 2] = value
    with pytest.raises(ValueError, match=rf"X holds {value} .*in row 33, column 2; expected finite numbers"):
        trainer.fit(X, y)
    if is_learnt:
        with pytest.raises(ValueError, match=r"in row 33, column 2"):
            model.predict(X)
    else:
        assert model.layers[0].mean is None
        np.testing.assert_array_equal(model.parameters, before)
        assert trainer.n_updates == 0


@pytest.mark.parametrize("batch_size", [1, 8])
def test_standardize_makes_unscaled_features_easy(batch_size, rng):
    """Features from 1e-6 to 1e6: as good as the same training on standardised rows."""
    scales = 10.0 ** np.arange(-6, 7, 3)
    Z = rng.standard_normal((2000, 5))
    y = Z @ [1, -2, 0.5, 3, -1] + 0.1 * rng.standard_normal(2000)
    model = gd.Model([gd.Standardize(5), gd.Linear(5, 1)])
    gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size).fit(Z * scales + 5 * scales, y, epochs=5)
    # What is left is the noise, ½ 0.1², and as much again for the last steps.
    assert model.loss(Z * scales + 5 * scales, y, as_loss("half_squared_error")) < 0.01
