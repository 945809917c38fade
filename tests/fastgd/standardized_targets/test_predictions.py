"""Predictions in the units of the targets, of models that are kept or folded, too."""

import copy
import pickle

import numpy as np
import pytest
from cases import built, rounding
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from standardized_targets import LAYERS, OPTIMIZERS, by_hand, same_trainers

import fastgd as gd
from fastgd.metrics import score


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_targets_of_any_size_and_offset(size, offset, dtype, rng):
    """As good in all units as in one, in float32, too: 1 - 2 · loss is R²."""
    X = rng.standard_normal((300, 3))
    t = X @ [1, -2, 0.5] + 0.1 * rng.standard_normal(300)
    y = size * (t + offset)
    trainer, _ = same_trainers(LAYERS["neuron"], dtype, optimizer=gd.SGD(0.02), batch_size=4)
    loss = trainer.fit(X, y, epochs=5).loss[-1]
    assert loss < 0.01
    exact = trainer.model.predict(X, dtype="float64").ravel()
    r2 = 1 - np.mean(((exact - y) / size) ** 2) / np.var(y / size)
    assert r2 == pytest.approx(1 - 2 * trainer.model.loss(X, y), rel=1e-6)
    assert score(trainer.model, gd.data.ArrayDataset(X, y), trainer.loss) == ("R²", pytest.approx(r2, rel=1e-12))
    assert r2 > 0.99
    if dtype == "float64" or size == 1:
        np.testing.assert_array_equal(trainer.model.predict(X).ravel(), exact.astype(dtype))


UNITS = [(1, 0), (2.0**20, 0), (2.0**-100, 0), (1e6, 0), (1e-30, 0), (1e30, 100), (1e-6, 1e4)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
@pytest.mark.parametrize(("name", "dtype"), [("neuron", "float64"), ("hidden layer", "float32")])
def test_units_make_no_difference(optimizer, name, dtype, rng):
    """A power of two changes not a bit, and another unit or an origin far away nothing but rounding."""
    X = rng.standard_normal((300, 3))
    t = X @ rng.standard_normal((3, LAYERS[name][-1].out_features)) + 0.1 * rng.standard_normal((300, 1))
    found = []
    for unit, offset in UNITS:
        settings = {"optimizer": optimizer, "batch_size": 16, "shuffle": True}
        trainer, _ = same_trainers(LAYERS[name], dtype, **settings)
        trainer.fit(X, unit * (t + offset), epochs=2)
        found.append((trainer.model.predict(X, dtype="float64") / unit - offset, trainer.learning_rate))
    expected, expected_rate = found[0]
    for (unit, offset), (predictions, rate) in zip(UNITS[1:], found[1:], strict=True):
        is_exact = offset == 0 and np.frexp(unit)[0] == 0.5
        tolerance = 0 if is_exact else rounding(dtype, 200) + rounding("float64", 20 * (1 + offset))
        np.testing.assert_allclose(predictions, expected, rtol=0, atol=tolerance)
        assert rate == pytest.approx(expected_rate, rel=tolerance)


def test_predictions_beyond_float32_are_refused(rng):
    X, y = rng.standard_normal((30, 3)), 1e300 * rng.standard_normal(30)
    trainer, _ = same_trainers(LAYERS["neuron"], "float32")
    trainer.fit(X, y)
    with pytest.raises(
        ValueError, match=r"a prediction is .*e\+\d+, more than float32 holds; expected model.predict\(X, dtype"
    ):
        trainer.model.predict(X)
    with pytest.raises(ValueError, match=r'folded parameters are more than float32 holds.*expected.*dtype="float64"'):
        trainer.model.fold()
    trainer.model.layers[-1].fit([1e308, -1e308, 1e308])
    trainer.model.parameters *= 1000
    with pytest.raises(ValueError, match=r"a prediction is -?inf, more than float64 holds; expected targets divided"):
        trainer.model.predict(X, dtype="float64")


def test_predictions_below_float32_are_refused(rng):
    X, y = rng.standard_normal((30, 3)), 1e-60 * rng.standard_normal(30)
    trainer, _ = same_trainers(LAYERS["neuron"], "float32")
    trainer.fit(X, y)
    for call in (lambda: trainer.model.predict(X), trainer.model.fold):
        with pytest.raises(ValueError, match=r"targets of output 0 .* deviation of .*e-61, less than float32 holds"):
            call()
    assert np.abs(trainer.model.predict(X, dtype="float64")).max() > 1e-61


def test_predictions_in_another_dtype(rng):
    model = built(LAYERS["hidden layer"], "float32")
    X = rng.standard_normal((5, 3))
    np.testing.assert_array_equal(model.predict(X, dtype="float64"), model.predict(X))
    assert model.predict(X, dtype="float64").dtype == np.float64
    with pytest.raises(ValueError, match="dtype is 'int8'; expected one of float32, float64"):
        model.predict(X, dtype="int8")


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e8 + 0.1, -1e300, 1e-300])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_a_target_that_does_not_vary_is_predicted_exactly(constant, optimizer, rng):
    X, y = rng.standard_normal((50, 3)), np.stack([np.full(50, constant), rng.permutation(np.arange(50.0))], axis=1)
    trainer, _ = same_trainers([gd.Linear(3, 2)], optimizer=optimizer)
    trainer.fit(X, y)
    model = trainer.model
    assert model.layers[-1].scale[0] == 0
    np.testing.assert_array_equal(model.predict(X)[:, 0], constant)
    np.testing.assert_array_equal(model.fold().predict(X)[:, 0], constant)
    model.layers[0].weight = 10
    assert model.predict(np.full((1, 3), 1e308))[0, 0] == constant
    # Other rows may have other targets: the loss has these in their own units.
    model.parameters = 0
    z = by_hand(model.layers[-1], y)[:, 1]
    assert model.loss(X, y + np.array([3 * max(1, abs(constant)), 0])) >= 4.5
    assert model.loss(X, y) == pytest.approx(0.5 * np.mean(z**2))


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e6, 1e6)), st.integers(-280, 280))
def test_there_and_back(y, exponent):
    """Standardised, y has mean 0 and variance 1, or is 0 where it does not vary; and then it is y again."""
    y = np.ldexp(y, exponent)
    layer = gd.StandardizedTargets(1).fit(y)
    z = by_hand(layer, y)
    if layer.scale[0] > 0:
        error = rounding("float64", 10) * (1 + np.abs(y).max() / layer.scale[0])
        assert np.mean(z) == pytest.approx(0, abs=error)
        assert np.std(z) == pytest.approx(1, abs=error)
    else:
        np.testing.assert_allclose(z, 0, atol=rounding("float64", 1) * np.abs(y).max())
    back = layer.predictions(z, np.dtype(np.float64))
    np.testing.assert_allclose(back.ravel(), y, rtol=0, atol=rounding("float64", 2) * np.abs(y).max())


def test_nothing_is_predicted_before_targets_were_learnt():
    model = built([gd.Linear(3, 1), gd.StandardizedTargets(1)])
    for call in (
        lambda: model.predict(np.ones((2, 3))),
        lambda: model.loss(np.ones((2, 3)), np.ones(2)),
        lambda: model.loss_and_gradient(np.ones((2, 3)), np.ones(2)),
        lambda: model.fold(),
    ):
        with pytest.raises(
            ValueError, match="the StandardizedTargets layer has no mean and scale yet; train the model"
        ):
            call()


def test_the_gradient_is_that_of_standardised_targets(rng):
    X, y, weight = rng.standard_normal((30, 3)), 50 * rng.standard_normal((30, 2)) + 9, rng.uniform(0, 2, 30)
    layer = gd.StandardizedTargets(2).fit(y)
    model, plain = built([*LAYERS["hidden layer"], layer]), built(LAYERS["hidden layer"])
    loss, gradient = model.loss_and_gradient(X, y, "huber", weight)
    expected, plain_gradient = plain.loss_and_gradient(X, by_hand(layer, y), "huber", weight)
    assert loss == expected == pytest.approx(model.loss(X, y, "huber", weight))
    np.testing.assert_array_equal(gradient, plain_gradient)


@pytest.mark.parametrize("is_learnt", [False, True])
@pytest.mark.parametrize(
    ("first", "optimizer", "dtype"),
    [([], gd.SGD("auto"), "float32"), ([gd.Standardize(3)], gd.NormalizedSGD(), "float64")],
    ids=["targets alone", "features too"],
)
def test_it_is_kept(first, optimizer, dtype, is_learnt, rng, tmp_path):
    X, y = rng.standard_normal((30, 3)), 10 * rng.standard_normal((30, 2)) + 50
    layers = [*first, gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 2)]
    trainer, _ = same_trainers(layers, dtype, optimizer=optimizer, batch_size=4, shuffle=True)
    model = trainer.model
    assert repr(model) == f"Model([{', '.join(map(repr, [*layers, gd.StandardizedTargets(2)]))}], dtype={dtype!r})"
    if is_learnt:
        trainer.fit(X, y)
        index = len(model.layers) - 1
        assert {f"{index}.mean", f"{index}.scale"} <= set(model.tensors())
    model.save(tmp_path / "model")
    trainer.save(tmp_path / "run")
    runs = gd.Trainer.load(tmp_path / "run"), copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))
    copies = gd.Model.load(tmp_path / "model"), gd.Model.load(tmp_path / "run"), pickle.loads(pickle.dumps(model))
    for copied in (*copies, copy.deepcopy(model), *(run.model for run in runs)):
        assert repr(copied) == repr(model)
        if is_learnt:
            np.testing.assert_array_equal(copied.layers[-1].mean, model.layers[-1].mean)
            np.testing.assert_array_equal(copied.layers[-1].scale, model.layers[-1].scale)
            np.testing.assert_array_equal(copied.predict(X), model.predict(X))
        else:
            assert copied.layers[-1].mean is None
    trainer.fit(X, y, epochs=2)
    for run in runs:
        assert run.standardize_targets
        run.fit(X, y)
        run.fit(X, y)
        np.testing.assert_array_equal(run.model.parameters, trainer.model.parameters)
        assert run.history.loss == trainer.history.loss


def test_averaged_models_predict_in_the_same_units(rng):
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60) + 1e4
    trainer, _ = same_trainers(LAYERS["neuron"], average_from=1)
    trainer.fit(X, y)
    averaged = trainer.averaged_model()
    np.testing.assert_array_equal(averaged.layers[-1].mean, trainer.model.layers[-1].mean)
    assert np.abs(averaged.predict(X) - 1e4).max() < 100


FOLDED = {
    "neuron": [gd.Linear(3, 1)],
    "hidden layer": [gd.Linear(3, 6, bias=False), gd.Tanh(), gd.Linear(6, 2)],
    "Dropout and Identity last": LAYERS["Dropout and Identity last"],
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("standardizes_features", [False, True])
def test_fold(name, standardizes_features, dtype, rng, tmp_path):
    X = rng.standard_normal((60, 3))
    y = 1e-3 * rng.standard_normal((60, 1 if name == "neuron" else 2)) + 1e-2
    first = [gd.Standardize(3)] if standardizes_features else []
    trainer, _ = same_trainers([*first, *FOLDED[name]], dtype, optimizer=gd.SGD(0.01))
    trainer.fit(X, y)
    before = trainer.model.parameters.copy()
    folded = trainer.model.fold()
    assert [type(layer) for layer in folded.layers] == [type(layer) for layer in FOLDED[name]]
    assert folded.dtype == dtype
    expected = trainer.model.predict(X)
    np.testing.assert_allclose(folded.predict(X), expected, rtol=0, atol=rounding(dtype, 40) * np.abs(expected).max())
    folded.save(tmp_path / "folded")
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "folded").predict(X), folded.predict(X))
    folded.parameters = 0
    np.testing.assert_array_equal(trainer.model.parameters, before)


def test_fold_of_a_linear_without_a_bias(rng):
    """It gets one, for the mean of the targets."""
    X, y = rng.standard_normal((60, 3)) + 7, rng.standard_normal(60) + 50
    for layers in (
        [gd.Standardize(3), gd.Linear(3, 1, bias=False)],
        [gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1, bias=False)],
    ):
        trainer, _ = same_trainers(layers)
        trainer.fit(X, y)
        np.testing.assert_allclose(trainer.model.fold().predict(X), trainer.model.predict(X), rtol=1e-12)


def test_fold_refuses_what_stands_between_features_and_linear(rng):
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60)
    trainer, _ = same_trainers([gd.Standardize(3), gd.Tanh(), gd.Linear(3, 1)])
    trainer.fit(X, y)
    with pytest.raises(ValueError, match="expected Standardize, then Linear, to fold"):
        trainer.model.fold()
