"""Standardize: where it is applied, and how it is kept and folded."""

import pickle

import numpy as np
import pytest
from cases import built, rounding

import fastgd as gd
from fastgd.data import reader as dataset
from fastgd.losses import as_loss


def standardized(X, weight=None):
    X = np.asarray(X, np.float64)
    mean = np.average(X, axis=0, weights=weight)
    return (X - mean) / np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))


def pair(layers, X, dtype="float64", weight=None):
    """A model with Standardize for X, the same without for standardised rows, and these rows."""
    with_layer, without = built([gd.Standardize(X.shape[1]), *layers], dtype), gd.Model(layers, dtype)
    without.parameters = with_layer.parameters
    return with_layer, without, standardized(X, weight)


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
    weight = rng.uniform(0, 2, 50)
    model, plain, Z = pair(STANDARDIZED[name], X, dtype, weight)
    y = np.abs(rng.standard_normal((50, model.out_features)))
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
    X, y = 100 * rng.standard_normal((90, 3)) + 1e5, np.abs(rng.standard_normal(90))
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
    gd.Trainer(model, optimizer=gd.SGD(0.01)).fit(X, np.abs(rng.standard_normal((60, model.out_features))))
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


def test_a_folded_model_has_the_seed():
    model = gd.Model([gd.Standardize(1).fit([[1], [3]]), gd.Linear(1, 1)], seed=7)
    assert model.fold().architecture()["seed"] == 7


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


def test_deviations_whose_inverse_overflows():
    layer = gd.Standardize(2)
    layer.fit(np.stack([np.arange(9) * 5e-324, np.arange(9.0)], axis=1))
    assert layer.scale[0] == 0
    assert np.isfinite(layer.scale).all()
