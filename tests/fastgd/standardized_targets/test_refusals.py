"""Standardised targets: what goes wrong, and what is refused."""

import numpy as np
import pytest
from cases import built
from standardized_targets import LAYERS, OwnDataset, by_hand, same_trainers

import fastgd as gd
from fastgd.data import reader as datasets


def explosive(rate):
    """What takes the place of a search, and finds this rate."""
    return lambda *_, **__: gd.schedules.Cooldown(rate, 10**9)


@pytest.mark.parametrize("n_judged", [100, 1 << 15])
def test_an_epoch_that_goes_wrong_is_taken_back(n_judged, rng, monkeypatch):
    """As with targets standardised by hand, whether all rows are judged by or some."""
    monkeypatch.setattr("fastgd._engine.automatic_rate.automatic_schedule", explosive(30.0))
    monkeypatch.setattr("fastgd._engine.safeguard._JUDGED", n_judged)
    monkeypatch.setattr("fastgd._engine.safeguard._LONGEST", 50)
    X, weight = rng.standard_normal((400, 3)), rng.uniform(0, 2, 400)
    y = 1e9 * (X @ [1.0, -2.0, 0.5] + 50)
    trainer, plain = same_trainers(LAYERS["neuron"], "float32", optimizer=gd.SGD("auto"), batch_size=8)
    history = trainer.fit(X, y, epochs=2, sample_weight=weight)
    expected = plain.fit(X, by_hand(trainer.model.layers[-1], y), epochs=2, sample_weight=weight)
    assert 1 <= len(history.setbacks) < 8
    assert history.setbacks == expected.setbacks
    np.testing.assert_array_equal(trainer.model.parameters, plain.model.parameters)
    assert trainer.model.loss(X, y) < 0.1


def test_where_nothing_can_be_learnt_the_mean_is_nearly_predicted(rng, monkeypatch):
    monkeypatch.setattr("fastgd._engine.automatic_rate.automatic_schedule", explosive(1e30))
    X, y = rng.standard_normal((400, 3)), rng.uniform(0, 1e-9, (400, 2)) + 1
    trainer, _ = same_trainers(LAYERS["hidden layer"], optimizer=gd.SGD("auto"), batch_size=8)
    with pytest.warns(RuntimeWarning, match="epoch 1 has taught the model nothing"):
        trainer.fit(X, y)
    predictions = trainer.model.predict(X)
    np.testing.assert_allclose((predictions - y.mean(axis=0)) / np.std(y, axis=0), 0, atol=0.05)
    assert trainer.model.loss(X, y) <= 0.5 * y.shape[1] * (1 + 1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_all_rows_are_judged_at_last(unit, rng, monkeypatch):
    """A model that is worse than the mean, and stays so, is not what fit leaves behind."""
    monkeypatch.setattr("fastgd._engine.automatic_rate.automatic_schedule", explosive(0.0))
    monkeypatch.setattr("fastgd._engine.safeguard._JUDGED", 100)
    monkeypatch.setattr("fastgd._engine.safeguard._LONGEST", 50)
    X, y = rng.standard_normal((400, 3)), unit * rng.standard_normal(400)
    trainer, _ = same_trainers(LAYERS["neuron"], optimizer=gd.SGD("auto"), batch_size=8)
    trainer.model.parameters = 100
    trainer.fit(X, y)
    np.testing.assert_allclose(trainer.model.predict(X) / unit, y.mean() / unit, atol=1e-6)


def test_a_data_set_of_ones_own_is_asked_for_targets_that_float32_cannot_hold_as_they_are(rng):
    data = OwnDataset(rng.standard_normal((60, 3)).astype(np.float32), 1e300 * rng.standard_normal((60, 1)), None)
    trainer, _ = same_trainers(LAYERS["neuron"], "float32", optimizer=gd.SGD("auto"), batch_size=4)
    trainer.fit(data, validation=data)
    assert np.isfinite(trainer.model.predict(data, dtype="float64")).all()


BAD = [
    ("neuron", np.nan, False, False, 0, "float32"),
    ("neuron", np.inf, True, True, 0, "float64"),
    ("neuron", -np.inf, False, True, 64 << 20, "float64"),
    ("hidden layer", np.inf, True, False, 64 << 20, "float32"),
    ("hidden layer", np.nan, True, True, 64 << 20, "float64"),
    ("hidden layer", np.nan, False, False, 0, "float64"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value", "is_learnt", "shuffle", "converted_bytes", "dtype"), BAD)
def test_the_bad_row_is_named(name, value, is_learnt, shuffle, converted_bytes, dtype, rng, monkeypatch):
    """In y or X, while targets are learnt and after; nothing is learnt from such data."""
    monkeypatch.setattr(datasets, "_CONVERTED_BYTES", converted_bytes)
    X, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 1 if name == "neuron" else 2))
    trainer, _ = same_trainers(LAYERS[name], dtype, shuffle=shuffle, optimizer=gd.SGD(0.001))
    if is_learnt:
        trainer.fit(X, y)
    before = trainer.model.parameters.copy()
    bad_y, bad_X = y.copy(), X.copy()
    bad_y[33, -1] = bad_X[21, 2] = value
    column = "" if name == "neuron" else ", column 1"
    with pytest.raises(ValueError, match=rf"y holds {value} .*in row 33{column}; expected finite numbers"):
        trainer.fit(X, bad_y)
    with pytest.raises(ValueError, match=rf"X holds {value} .*in row 21, column 2; expected finite numbers"):
        trainer.fit(bad_X, y)
    with pytest.raises(ValueError, match=rf"validation: y holds {value} .*in row 33{column}"):
        trainer.fit(X, y, validation=(X, bad_y))
    if is_learnt:
        with pytest.raises(ValueError, match=rf"y holds {value} .*in row 33{column}"):
            trainer.model.loss(X, bad_y)
    else:
        assert trainer.model.layers[-1].mean is None
        np.testing.assert_array_equal(trainer.model.parameters, before)
        assert trainer.n_updates == 0


def test_a_bad_weight_is_named_beside_targets_that_float32_cannot_hold(rng):
    X, y, weight = rng.standard_normal((50, 3)), 1e300 * rng.standard_normal(50), np.ones(50)
    weight[17] = -1
    model = built([*LAYERS["neuron"], gd.StandardizedTargets(1).fit(y)], "float32")
    with pytest.raises(ValueError, match=r"sample_weight holds -1.0 in row 17"):
        gd.Trainer(model, optimizer=gd.SGD("auto")).fit(X, y, sample_weight=weight)


def test_validation_data_that_float32_could_not_hold_is_no_bad_data(rng):
    X, y = rng.standard_normal((50, 3)), 1e300 * rng.standard_normal(50)
    trainer, plain = same_trainers(LAYERS["neuron"], "float32", optimizer=gd.SGD(0.01))
    history = trainer.fit(X, y, validation=(X, y))
    z = by_hand(trainer.model.layers[-1], y)
    assert history.validation_loss == plain.fit(X, z, validation=(X, z)).validation_loss


REFUSED_LOSSES = ["poisson", "log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron", "cross_entropy"]


@pytest.mark.parametrize("loss", REFUSED_LOSSES)
def test_losses_whose_targets_are_not_any_number_are_refused(loss):
    model = gd.Model([gd.Linear(3, 2)])
    message = f"loss is '{loss}', whose targets are .*expected a loss of regression with standardised targets, one of "
    with pytest.raises(ValueError, match=message):
        gd.Trainer(model, loss, standardize_targets=True)
    assert repr(model) == repr(gd.Model([gd.Linear(3, 2)]))
    standardizing = gd.Model([gd.Linear(3, 2), gd.StandardizedTargets(2)])
    for call in (
        lambda: gd.Trainer(standardizing, loss),
        lambda: standardizing.loss(np.ones((4, 3)), np.ones((4, 2)), loss),
        lambda: standardizing.loss_and_gradient(np.ones((4, 3)), np.ones((4, 2)), loss),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_losses_of_regression_are_taken():
    for loss in set(gd.losses.LOSSES) - set(REFUSED_LOSSES):
        assert gd.Trainer(gd.Model([gd.Linear(3, 2)]), loss, standardize_targets=True).standardize_targets


@pytest.mark.parametrize("last", [gd.ReLU(), gd.LeakyReLU(), gd.Tanh(), gd.Sigmoid()], ids=repr)
def test_models_that_end_in_an_activation_are_refused(last):
    for end in ([last], [last, gd.Dropout()], [last, gd.Identity()]):
        model = gd.Model([gd.Linear(3, 1), *end])
        before = repr(model)
        with pytest.raises(
            ValueError, match=rf"the model ends in {type(last).__name__}\(.*expected a Linear at its end"
        ):
            gd.Trainer(model, standardize_targets=True)
        assert repr(model) == before


def test_other_errors():
    model = gd.Model([gd.Linear(3, 1)])
    with pytest.raises(TypeError, match="standardize_targets is 1; expected True or False"):
        gd.Trainer(model, standardize_targets=1)
    for bad, error in (
        ({"n_threads": 0}, ValueError),
        ({"optimizer": "sgd"}, TypeError),
        ({"batch_size": 0}, ValueError),
    ):
        with pytest.raises(error):
            gd.Trainer(model, standardize_targets=True, **bad)
    trainer = gd.Trainer(model)
    assert trainer.standardize_targets is False
    with pytest.raises(AttributeError, match="standardize_targets is fixed when a Trainer is made"):
        trainer.standardize_targets = True
    for layers, message in (
        ([gd.Linear(3, 2), gd.StandardizedTargets(1)], r"layers\[1\] is StandardizedTargets\(1\); expected it last, "),
        ([gd.StandardizedTargets(3), gd.Linear(3, 2)], r"layers\[0\] is StandardizedTargets\(3\); expected it last, "),
        ([gd.StandardizedTargets(2)], "expected at least one Linear"),
    ):
        with pytest.raises(ValueError, match=message):
            gd.Model(layers)
    with pytest.raises(ValueError, match="n_outputs is 0; expected at least 1"):
        gd.StandardizedTargets(0)
