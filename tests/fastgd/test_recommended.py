"""Optimisers and rates that need no search."""

import copy

import numpy as np
import pytest

import fastgd as gd
from fastgd.losses import as_loss
from fastgd.recommended import start_at_constant
from fastgd.schedules import Cooldown

N_ROWS = 200
NETWORK = [gd.Standardize(4), gd.Linear(4, 6), gd.ReLU(), gd.Linear(6, 1)]
LINEAR = [gd.Standardize(4), gd.Linear(4, 1)]


def rows(offset=0.0):
    X, y = gd.data.synthetic(N_ROWS, 4, hidden=(3,), noise=0.1, seed=1, dtype="float64").arrays()
    return X, y + offset


def model_of(layers, **options):
    return gd.Model(layers, **{"seed": 3} | options)


RECOMMENDED = {
    "linear": (LINEAR, 32, gd.Adagrad("auto", bounded=True)),
    "neuron": ([*LINEAR, gd.ReLU()], 1, gd.Adagrad("auto", bounded=True)),
    "network": (NETWORK, 32, gd.NormalizedSGD("auto")),
    "network, full batch": (NETWORK, None, gd.NormalizedSGD("auto")),
    "linear, full batch": (LINEAR, None, gd.SGD("auto", bounded=True)),
    "linear, no curvature": (LINEAR, 32, gd.NormalizedSGD("auto"), "absolute_error"),
    "activation first": ([gd.Tanh(), gd.Linear(4, 1)], 32, gd.Adam("auto")),
}


@pytest.mark.parametrize("name", RECOMMENDED)
def test_auto_is_an_optimizer_from_the_start(name, tmp_path):
    layers, batch_size, expected, *loss = RECOMMENDED[name]
    trainer = gd.Trainer(model_of(layers), *loss, optimizer="auto", batch_size=batch_size)
    assert trainer.optimizer == expected
    assert repr(expected) in repr(trainer)
    X, y = rows(offset=100)
    trainer.fit(X, y, epochs=2)
    trainer.save(tmp_path / "run")
    loaded = gd.Trainer.load(tmp_path / "run")
    assert loaded.optimizer == expected
    for each in (trainer, loaded):
        each.fit(X, y)
    np.testing.assert_array_equal(loaded.model.parameters, trainer.model.parameters)
    assert trainer.model.loss(X, y) < 0.5 * y.var()


def test_auto_may_be_assigned():
    trainer = gd.Trainer(model_of(NETWORK))
    trainer.optimizer = "auto"
    assert trainer.optimizer == gd.NormalizedSGD("auto")


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_rate_falls_over_each_epoch_of_normalized_sgd(batch_size):
    X, y = rows()
    n_updates = -(-N_ROWS // batch_size)
    found, expected = (model_of(NETWORK[1:]) for _ in range(2))
    # Weights that were given start from where they are.
    found.layers[-1].bias = expected.layers[-1].bias = 0.25
    gd.Trainer(found, optimizer=gd.NormalizedSGD("auto"), batch_size=batch_size).fit(X, y, epochs=2)
    schedule = Cooldown(1.0, n_updates, share=1.0)
    gd.Trainer(expected, optimizer=gd.NormalizedSGD(schedule), batch_size=batch_size).fit(X, y, epochs=2)
    np.testing.assert_array_equal(found.parameters, expected.parameters)


def test_rows_of_weight_zero_are_no_updates_of_an_epoch():
    X, y = rows()
    trainer = gd.Trainer(model_of(NETWORK), optimizer="auto")
    trainer.fit(X, y, sample_weight=np.arange(N_ROWS) % 2)
    assert (trainer.n_updates, trainer.learning_rate) == (N_ROWS // 2, 1)


@pytest.mark.parametrize("layers", [NETWORK, NETWORK[1:]], ids=["standardised", "as they are"])
def test_where_no_row_counts_nothing_happens(layers):
    X, y = rows(offset=10)
    trainer = gd.Trainer(model_of(layers), optimizer="auto")
    before = trainer.model.parameters.copy()
    trainer.fit(X, y, sample_weight=np.zeros(N_ROWS))
    np.testing.assert_array_equal(trainer.model.parameters, before)


def test_a_step_is_an_epoch_of_one_update():
    X, y = rows()
    trainer = gd.Trainer(model_of(NETWORK[1:]), optimizer="auto")
    weight = trainer.model.layers[-1].weight.copy()
    for k in range(0, N_ROWS, 10):
        trainer.step(X[k : k + 10], y[k : k + 10])
        assert trainer.learning_rate == 1
    assert trainer.model.layers[-1].weight.any()
    # A first batch is too few rows to tell the best constant from.
    assert abs(trainer.model.layers[-1].weight - weight).max() < abs(weight).max()


@pytest.mark.parametrize("copied", ["as it is", "pickled", "saved"])
@pytest.mark.parametrize("layers", [NETWORK, LINEAR], ids=["network", "linear"])
def test_epochs_one_at_a_time_are_the_same(layers, copied, tmp_path):
    X, y = rows(offset=30)
    once, again = (gd.Trainer(model_of(layers), optimizer="auto", batch_size=8, shuffle=True) for _ in range(2))
    once.fit(X, y, epochs=3)
    for _ in range(3):
        again.fit(X, y)
        if copied == "pickled":
            again = copy.deepcopy(again)
        elif copied == "saved":
            again.save(tmp_path / "run")
            again = gd.Trainer.load(tmp_path / "run")
    np.testing.assert_array_equal(again.model.parameters, once.model.parameters)


@pytest.mark.parametrize("layers", [NETWORK, LINEAR, [*LINEAR, gd.ReLU()]], ids=["network", "linear", "neuron"])
def test_a_drawn_model_starts_from_the_best_constant(layers, monkeypatch):
    """What the engine is given to train gives the mean for every row, and hidden layers are as they were drawn."""
    X, y = rows(offset=1000)
    model = model_of(layers, dtype="float64")
    drawn, seen = model.layers[1].weight.copy(), []
    monkeypatch.setattr(
        "fastgd._engine.slices.Engine.train_epoch",
        lambda self, *_: seen.append((model.predict(X), model.layers[1].weight.copy())) or 0.0,
    )
    gd.Trainer(model, optimizer="auto", batch_size=8).fit(X, y)
    out, weight = seen[0]
    np.testing.assert_allclose(out, y.mean(), rtol=1e-9)
    if layers is NETWORK:
        np.testing.assert_array_equal(weight, drawn)


GIVEN = {
    "weights": lambda model: model.layers[-1].weight.__imul__(2),
    "hidden weights": lambda model: model.layers[1].weight.__imul__(2),
    "a bias": lambda model: model.layers[-1].bias.__iadd__(1),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_was_given_is_the_start(name):
    model = model_of(NETWORK)
    GIVEN[name](model)
    before = model.parameters.copy()
    start_at_constant(model, np.array([5.0]), as_loss("half_squared_error"), 10)
    np.testing.assert_array_equal(model.parameters, before)


NO_START = {
    "zeros": [gd.Linear(4, 1, init="zeros")],
    "given weights": [gd.Linear(4, 1, init=np.ones((1, 4)))],
    "a given bias": [gd.Linear(4, 1, bias=[2.0])],
    "no bias": [gd.Linear(4, 1, bias=False)],
    "another range": [gd.Linear(4, 1), gd.Tanh()],
}


@pytest.mark.parametrize("name", NO_START)
def test_models_that_cannot_or_must_not_start_from_a_constant(name):
    model = model_of(NO_START[name])
    before = model.parameters.copy()
    start_at_constant(model, np.array([0.5]), as_loss("half_squared_error"), 10)
    np.testing.assert_array_equal(model.parameters, before)


def test_a_class_without_rows_is_not_given_up():
    model = model_of([gd.Linear(4, 3)])
    start_at_constant(model, np.array([-0.7, -0.7, -30]), as_loss("cross_entropy"), 100)
    np.testing.assert_allclose(model.layers[0].bias, [-0.7, -0.7, -np.log(200)], rtol=1e-6)


def test_a_learning_rate_search_starts_from_what_was_drawn(monkeypatch):
    X, y = rows(offset=1000)
    model = model_of(NETWORK)
    before, seen = model.parameters.copy(), []
    monkeypatch.setattr(
        "fastgd._engine.slices.Engine.train_epoch", lambda self, *_: seen.append(model.parameters.copy()) or 0.0
    )
    gd.Trainer(model, optimizer=gd.SGD("auto"), batch_size=8).fit(X, y)
    np.testing.assert_array_equal(seen[-1], before)


def test_a_zero_start_is_as_good_for_normalized_sgd(rng):
    """Weights for heavy tails that start from zero shrink as drawn ones do where a feature's scale grows."""
    X = np.exp(1.5 * rng.standard_normal((2000, 20)))
    y = X @ rng.standard_normal(20)
    y = (y - y.mean()) / y.std()
    model = gd.Model([gd.Standardize(20), gd.Linear(20, 1)])
    history = gd.Trainer(model, optimizer=gd.NormalizedSGD("auto"), batch_size=32, shuffle=True).fit(X, y, epochs=3)
    assert not history.setbacks
    assert model.loss(X, y) < 0.5
