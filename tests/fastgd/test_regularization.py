"""Elastic net, clipping and max-norm against plain Python."""

import math

import numpy as np
import pytest
from cases import model_of, rows_for
from regularized_by_hand import BOUNDS, PENALTIES, RATE, TOLERANCE, train_by_hand

import fastgd as gd


@pytest.mark.parametrize("name", PENALTIES | BOUNDS)
@pytest.mark.parametrize("model_name", ["neuron", "neuron without bias", "hidden layer", "two Linears in a row"])
@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.slow), 4, None])
def test_training_is_the_formula(name, model_name, batch_size, dtype):
    settings = (PENALTIES | BOUNDS)[name]
    model = model_of(model_name, dtype)
    X, y, _ = rows_for(model, 18)
    path, losses = train_by_hand(model, X, y, batch_size or 18, epochs=3, **settings)
    trainer = gd.Trainer(model, optimizer=gd.SGD(RATE), batch_size=batch_size, **settings)
    history = trainer.fit(X, y, epochs=3)
    np.testing.assert_allclose(model.parameters, path[-1], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    np.testing.assert_allclose(history.loss, losses, rtol=TOLERANCE[dtype])
    if "L1" in name:
        np.testing.assert_array_equal(model.parameters == 0, path[-1] == 0)


@pytest.mark.parametrize("name", PENALTIES | BOUNDS)
def test_every_setting_matters(name):
    """The cases above would not tell a setting that does nothing from one that was forgotten."""
    settings = (PENALTIES | BOUNDS)[name]
    X, y, _ = rows_for(model_of("hidden layer"), 18)
    with_it, _ = train_by_hand(model_of("hidden layer"), X, y, 4, epochs=3, **settings)
    without, _ = train_by_hand(model_of("hidden layer"), X, y, 4, epochs=3)
    assert (np.abs(with_it[-1] - without[-1]).max() > 0.01) == (name not in ("none", "bounds out of reach"))


@pytest.mark.parametrize("name", ["L2", "L1", "both", "max_norm"])
@pytest.mark.parametrize("batch_size", [1, 4, None])
def test_biases_are_spared(name, batch_size):
    """Features of zero: the loss moves the bias alone, and the penalty the weights alone."""
    settings = (PENALTIES | BOUNDS)[name]
    model, twin = model_of("neuron"), model_of("neuron")
    X, y = np.zeros((12, 5)), np.ones(12)
    gd.Trainer(model, optimizer=gd.SGD(RATE), batch_size=batch_size, **settings).fit(X, y)
    gd.Trainer(twin, optimizer=gd.SGD(RATE), batch_size=batch_size).fit(X, y)
    # The twin's updates may be made four at a time, which rounds differently.
    np.testing.assert_allclose(model.layers[0].bias, twin.layers[0].bias, rtol=1e-14)
    assert np.linalg.norm(model.layers[0].weight) < np.linalg.norm(twin.layers[0].weight)


@pytest.mark.parametrize("batch_size", [16, None])
def test_l1_finds_the_features_that_matter(batch_size, dtype, rng):
    X = rng.standard_normal((400, 8)).astype(dtype)
    y = X @ np.array([2, 0, 0, -1, 0, 0, 0, 0], dtype)
    model = gd.Model([gd.Linear(8, 1)], dtype=dtype)
    gd.Trainer(model, optimizer=gd.SGD(RATE), batch_size=batch_size, alpha=0.1, l1_ratio=1.0).fit(X, y, epochs=300)
    assert np.flatnonzero(model.layers[0].weight[0]).tolist() == [0, 3]


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_l1_with_momentum_is_the_formula(l1_ratio, dtype):
    """The orthant of Andrew and Gao: the penalty joins the gradient; a weight that crosses zero stops there."""
    model = model_of("linear neuron", dtype)
    X, y, _ = rows_for(model, 60)
    *w, bias = model.parameters.tolist()
    l2, l1 = 0.5 * (1 - l1_ratio), 0.5 * l1_ratio
    m, m_bias, n_zeros = [0.0] * 5, 0.0, 0
    for x, (target,) in zip(X.tolist(), y.tolist(), strict=True):
        error = sum(w_j * x_j for w_j, x_j in zip(w, x, strict=True)) + bias - target
        for j in range(5):
            g = error * x[j] + l2 * w[j]
            sign = math.copysign(1, w[j]) if w[j] else -math.copysign(1, g) if abs(g) > l1 else 0
            m[j] = 0.7 * m[j] + (g + l1 * sign if sign else 0)
            w[j] -= RATE * m[j]
            w[j] = w[j] if w[j] * sign > 0 else 0.0
        m_bias = 0.7 * m_bias + error
        bias -= RATE * m_bias
        n_zeros += w.count(0)
    gd.Trainer(model, optimizer=gd.SGD(RATE, momentum=0.7), alpha=0.5, l1_ratio=l1_ratio).fit(X, y)
    np.testing.assert_allclose(model.parameters, [*w, bias], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    np.testing.assert_array_equal(model.parameters == 0, [value == 0 for value in (*w, bias)])
    assert n_zeros > 5, "no weight ever became zero"


OPTIMIZERS = {
    "SGD": gd.SGD(0.05),
    "SGD momentum": gd.SGD(0.05, momentum=0.5),
    "Adam": gd.Adam(0.01),
    "AdamW": gd.AdamW(0.01, weight_decay=0),
    "Adagrad": gd.Adagrad(0.1),
    "RMSprop": gd.RMSprop(0.001),
    "NormalizedSGD": gd.NormalizedSGD(),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("l1_ratio", [0.5, *(pytest.param(ratio, marks=pytest.mark.slow) for ratio in (0.0, 1.0))])
def test_every_optimizer_has_the_same_minimum(name, l1_ratio, rng):
    """Uncorrelated features, so that the elastic net has its solution in closed form."""
    X = np.linalg.qr(rng.standard_normal((200, 4)))[0] * math.sqrt(200)
    weight = np.array([2, 0, -1, 0.02])
    shrunk = np.maximum(np.abs(weight) - 0.1 * l1_ratio, 0) / (1 + 0.1 * (1 - l1_ratio))
    model = gd.Model([gd.Linear(4, 1, bias=False)], dtype="float64")
    trainer = gd.Trainer(model, optimizer=OPTIMIZERS[name], batch_size=None, alpha=0.1, l1_ratio=l1_ratio)
    trainer.fit(X, X @ weight, epochs=5000)
    # RMSprop's last steps are as large as its rate.
    np.testing.assert_allclose(model.layers[0].weight[0], np.sign(weight) * shrunk, atol=0.002)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_full_batch_minimises_the_elastic_net(l1_ratio, rng):
    """At the minimum, the gradient of the loss balances the penalty's (its subgradient, where a weight is zero)."""
    X = rng.standard_normal((50, 6))
    y = X @ [3, -2, 1, 0, 0, 0.05] + 0.1 * rng.standard_normal(50)
    model = gd.Model([gd.Linear(6, 1)], dtype="float64")
    gd.Trainer(model, optimizer=gd.SGD(0.2), batch_size=None, alpha=0.5, l1_ratio=l1_ratio).fit(X, y, epochs=2000)
    weight = model.layers[0].weight[0]
    _, gradient = model.loss_and_gradient(X, y)
    slope = gradient[:6] + 0.5 * (1 - l1_ratio) * weight
    # The steps have shrunk to rounding errors.
    np.testing.assert_allclose(slope[weight != 0], -0.5 * l1_ratio * np.sign(weight[weight != 0]), atol=1e-12)
    assert (np.abs(slope[weight == 0]) <= 0.5 * l1_ratio).all()
    assert gradient[6] == pytest.approx(0, abs=1e-12)
    assert (weight == 0).any() == (l1_ratio > 0)


def test_losses_are_reported_without_the_penalty():
    model = model_of("hidden layer")
    X, y, _ = rows_for(model, 10)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.0), batch_size=None, alpha=10.0, l1_ratio=0.5)
    history = trainer.fit(X, y, validation=(X, y))
    assert history.loss[0] == pytest.approx(model.loss(X, y), rel=1e-12)
    assert history.validation_loss[0] == model.loss(X, y)
    assert trainer.step(X, y) == pytest.approx(model.loss(X, y), rel=1e-12)


def test_batches_of_weight_zero_move_nothing():
    settings = BOUNDS["all"] | {"average_from": 1}
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(RATE), batch_size=4, **settings)
    trainer.fit(X, y, sample_weight=np.repeat([1, 0, 1], 4))
    other = gd.Trainer(twin, optimizer=gd.SGD(RATE), batch_size=4, **settings)
    other.fit(np.delete(X, slice(4, 8), axis=0), np.delete(y, slice(4, 8), axis=0))
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    np.testing.assert_array_equal(trainer.averaged_model().parameters, other.averaged_model().parameters)


BATCHES = {"online": 1, "mini-batch": 3, "full batch": None}
SPOILT = [
    ("X", math.nan),
    ("X", math.inf),
    ("X", -math.inf),
    ("y", math.nan),
    ("y", math.inf),
    ("sample_weight", math.nan),
]
SPOILT += [("sample_weight", math.inf)]
STACKS = {
    "ReLU": [gd.Linear(5, 1), gd.ReLU()],
    "hidden ReLU": [gd.Linear(5, 7), gd.ReLU(), gd.Linear(7, 1)],
    "hidden tanh": [gd.Linear(5, 7), gd.Tanh(), gd.Linear(7, 1)],
    "hidden leaky": [gd.Linear(5, 7), gd.LeakyReLU(0.1), gd.Linear(7, 1)],
}


@pytest.mark.parametrize(("place", "value"), SPOILT)
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(
    "settings", [{"clip_value": 0.1}, {"clip_norm": 0.1}, {"alpha": 0.1, "l1_ratio": 1.0}], ids=str
)
@pytest.mark.parametrize(
    "batch_size",
    [pytest.param(size, id=name, marks=pytest.mark.slow if size == 1 else ()) for name, size in BATCHES.items()],
)
def test_no_setting_hides_a_bad_row(place, value, stack, settings, batch_size):
    """The row is named; every row before its batch has had its update, and nothing after."""
    model, twin = gd.Model(STACKS[stack]), gd.Model(STACKS[stack])
    rows = dict(zip(("X", "y", "sample_weight"), rows_for(model, 12), strict=True))
    rows["sample_weight"][:] = 1
    spoilt = {name: array.copy() for name, array in rows.items()}
    spoilt[place].reshape(12, -1)[7, 0] = value
    trainer = gd.Trainer(model, optimizer=gd.SGD(RATE, momentum=0.5), batch_size=batch_size, average_from=2, **settings)
    with pytest.raises(ValueError, match=rf"{place} holds -?(nan|inf) .*row 7"):
        trainer.fit(**spoilt)
    n_good = 7 // (batch_size or 12) * (batch_size or 12)
    assert trainer.n_updates == n_good // (batch_size or 12)
    other = gd.Trainer(twin, optimizer=gd.SGD(RATE, momentum=0.5), batch_size=batch_size, average_from=2, **settings)
    if n_good:
        other.fit(**{name: array[:n_good] for name, array in rows.items()})
        np.testing.assert_array_equal(trainer.averaged_model().parameters, other.averaged_model().parameters)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


@pytest.mark.parametrize("settings", [{"clip_value": 1.0}, {"clip_norm": 1.0}], ids=str)
def test_clipping_keeps_training_finite(settings, dtype):
    """Features that make plain gradient descent diverge at once."""
    model = model_of("hidden layer", dtype)
    X, y, _ = rows_for(model, 50)
    with pytest.raises(gd.DivergenceError):
        gd.Trainer(model_of("hidden layer", dtype), optimizer=gd.SGD(0.1)).fit(1e4 * X, y, epochs=10)
    gd.Trainer(model, optimizer=gd.SGD(0.1), **settings).fit(1e4 * X, y, epochs=10)
    # Each of the 500 updates moves a parameter by no more than rate times bound.
    assert np.abs(model.parameters - model_of("hidden layer", dtype).parameters).max() <= 50.01


@pytest.mark.parametrize("model_name", ["neuron", "several outputs", "hidden layer"])
def test_max_norm_bounds_each_unit(model_name, dtype):
    model = model_of(model_name, dtype)
    X, y, _ = rows_for(model, 40)
    trainer = gd.Trainer(model, optimizer=gd.SGD(RATE), max_norm=0.5)
    trainer.fit(X, 10 * y)
    linears = [layer for layer in model.layers if isinstance(layer, gd.Linear)]
    norms = np.concatenate([np.linalg.norm(layer.weight.astype(np.float64), axis=1) for layer in linears])
    # A weight that was scaled is rounded once.
    assert norms.max() <= 0.5 * (1 + 4 * np.finfo(dtype).eps)
    assert norms.max() > 0.49, "the bound was never reached"


@pytest.mark.slow
@pytest.mark.parametrize("size", [1.0, 1e200, 1.5e308])
def test_squares_of_a_norm_may_overflow(size):
    """A gradient and weights of which a power of ten is all that matters."""
    X, y = np.array([[1.0, 0, 1]]), [[0.0]]
    model = gd.Model([gd.Linear(3, 1, bias=False, init="zeros")], dtype="float64")
    gd.Trainer(model, "absolute_error", gd.SGD(1.0), clip_norm=1e-3).step(size * X, [[1.0]])
    np.testing.assert_allclose(model.parameters, [1e-3 / np.sqrt(2), 0, 1e-3 / np.sqrt(2)], rtol=1e-14)
    model.parameters = [size, 0, -size]
    gd.Trainer(model, "half_squared_error", gd.SGD(0.1), max_norm=1e-3).step(X, y)
    np.testing.assert_allclose(model.parameters, [1e-3 / np.sqrt(2), 0, -1e-3 / np.sqrt(2)], rtol=1e-14)


BAD = [
    ({"alpha": -1}, ValueError, "alpha is -1; expected a finite number of at least 0"),
    ({"alpha": math.nan}, ValueError, "alpha is nan; expected a finite number"),
    ({"alpha": math.inf}, ValueError, "alpha is inf; expected a finite number"),
    ({"alpha": "auto"}, TypeError, "alpha is 'auto'; expected a number"),
    ({"alpha": None}, TypeError, "alpha is None; expected a number"),
    ({"alpha": True}, TypeError, "alpha is True; expected a number"),
    ({"l1_ratio": 1.5}, ValueError, r"l1_ratio is 1\.5; expected a number from 0 to 1"),
    ({"l1_ratio": -0.5}, ValueError, r"l1_ratio is -0\.5; expected"),
    ({"l1_ratio": "l1"}, TypeError, "l1_ratio is 'l1'; expected a number"),
    ({"clip_value": 0}, ValueError, "clip_value is 0; expected more than 0"),
    ({"clip_value": -1}, ValueError, "clip_value is -1; expected"),
    ({"clip_value": math.inf}, ValueError, "clip_value is inf; expected a finite number"),
    ({"clip_value": "1"}, TypeError, "clip_value is '1'; expected a number"),
    ({"clip_norm": 0}, ValueError, "clip_norm is 0; expected more than 0"),
    ({"clip_norm": -1}, ValueError, "clip_norm is -1; expected"),
    ({"clip_norm": math.nan}, ValueError, "clip_norm is nan; expected a finite number"),
    ({"clip_norm": [1]}, TypeError, r"clip_norm is \[1\]; expected a number"),
    ({"max_norm": 0}, ValueError, "max_norm is 0; expected more than 0"),
    ({"max_norm": -2}, ValueError, "max_norm is -2; expected"),
    ({"max_norm": True}, TypeError, "max_norm is True; expected a number"),
    ({"average_from": 0}, ValueError, "average_from is 0; expected at least 1"),
    ({"average_from": -3}, ValueError, "average_from is -3; expected at least 1"),
    ({"average_from": 1.5}, TypeError, r"average_from is 1\.5; expected an integer"),
    ({"average_from": True}, TypeError, "average_from is True; expected an integer"),
]


@pytest.mark.parametrize(("settings", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        gd.Trainer(model_of("neuron"), **settings)
