"""Standardize: what it learns, where it is applied, and how it is folded away."""

import pickle

import numpy as np
import pytest
from cases import built, rounding

import fastgd as gd
from fastgd.data import reader as dataset
from fastgd.losses import as_loss


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


def test_standardize_fits_what_fit_takes(rng):
    X = rng.standard_normal((40, 3)) + 5
    expected = gd.Standardize(3).fit(gd.data.ArrayDataset(X))
    for given in (X, X.tolist(), np.asfortranarray(X)):
        assert_learnt(gd.Standardize(3).fit(given), X)
        np.testing.assert_array_equal(gd.Standardize(3).fit(given).scale, expected.scale)
    for bad, error, message in (
        (X[:, :2], ValueError, r"X has shape \(40, 2\); expected \(n_samples, 3\)"),
        (X[0], ValueError, r"X has shape \(3,\); expected"),
        ("rows", TypeError, "X has dtype"),
        (None, TypeError, "X has dtype object"),
    ):
        layer = gd.Standardize(3)
        with pytest.raises(error, match=message):
            layer.fit(bad)
        assert layer.mean is None


@pytest.mark.parametrize("begin", ["fit", "layer"])
def test_standardize_learns_once(begin, rng):
    X, y = rng.standard_normal((40, 3)) + 5, rng.standard_normal(40)
    model = built([gd.Standardize(3), gd.Linear(3, 1)])
    trainer = gd.Trainer(model)
    layer = model.layers[0]
    assert layer.mean is None
    if begin == "fit":
        trainer.fit(X, y)
    else:
        layer.fit(gd.data.ArrayDataset(X))
    assert_learnt(layer, X)
    mean, scale = layer.mean.copy(), layer.scale.copy()
    trainer.fit(10 * X, y, epochs=2)
    trainer.step(-X, y)
    gd.Trainer(model).fit(3 * X, y)
    np.testing.assert_array_equal(layer.mean, mean)
    np.testing.assert_array_equal(layer.scale, scale)


def test_standardize_does_not_learn_from_held_out_rows(rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    trained = built([gd.Standardize(3), gd.Linear(3, 1)])
    gd.Trainer(trained, seed=4).fit(X, y, validation=0.25)
    held_out = np.random.default_rng([4, 0, 1]).permutation(40)[:10]
    assert_learnt(trained.layers[0], np.delete(X, held_out, axis=0))


@pytest.mark.parametrize("n_bytes", [1, 200, 4 << 20])
@pytest.mark.parametrize("begin", ["fit", "layer"])
def test_a_row_counts_by_its_weight(begin, n_bytes, rng, monkeypatch):
    """As often as its weight says, and not at all at zero, whatever the weights' mean."""
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
    X, y = rng.standard_normal((40, 3)) * [1, 1e-6, 1e6] + 5, rng.standard_normal(40)
    weight = rng.integers(0, 4, 40)
    weight[:20] = 0
    X[weight == 0] *= 1e9
    model = built([gd.Standardize(3), gd.Linear(3, 1)])
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e-30))
    if begin == "layer":
        model.layers[0].fit(gd.data.ArrayDataset(X, y, 0.1 * weight))
    else:
        trainer.fit(X, y, sample_weight=0.1 * weight)
    assert_learnt(model.layers[0], np.repeat(X, weight, axis=0))


@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("optimizer", [gd.SGD(0.1), gd.SGD("auto"), gd.NormalizedSGD()], ids=repr)
def test_weights_that_are_all_zero_teach_nothing(optimizer, batch_size, rng):
    """Neither mean, scale nor rate; what comes after is as if nothing had come before."""
    X, y = rng.standard_normal((40, 3)) + 5, rng.standard_normal(40)
    runs = []
    for n_idle in (0, 2):
        model = gd.Model([gd.Standardize(3), gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)])
        trainer = gd.Trainer(model, optimizer=optimizer, batch_size=batch_size)
        if n_idle:
            before = model.parameters.copy()
            assert trainer.fit(1e300 * X, y, epochs=n_idle, sample_weight=np.zeros(40)).loss == [0, 0]
            np.testing.assert_array_equal(model.parameters, before)
            assert model.layers[0].mean is None
            assert trainer.n_updates == 0
            assert (trainer.learning_rate is None) == (optimizer.learning_rate == "auto")
        trainer.fit(X, y, epochs=2)
        runs.append((trainer.model.parameters, trainer.learning_rate, model.layers[0].mean))
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_batch_is_too_few_rows_to_learn_from(rng):
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    model = built([gd.Standardize(3), gd.Linear(3, 1)])
    trainer = gd.Trainer(model)
    before = model.parameters.copy()
    with pytest.raises(ValueError, match=r"no mean and scale yet.*expected model.layers\[0\].fit\(X\)"):
        trainer.step(X[:2], y[:2])
    np.testing.assert_array_equal(model.parameters, before)
    model.layers[0].fit(X)
    trainer.step(X[:2], y[:2])
    assert (model.parameters != before).all()


# Of blocks of ten rows, the first and those that follow.
SUDDEN = {
    "large after zeros": (np.zeros(10), np.r_[np.zeros(9), 1e160]),
    "zeros after large": (np.r_[1e160, np.zeros(9)], np.zeros(10)),
    "small after zeros": (np.zeros(10), 1e-170 * np.arange(10)),
    "very small after zeros": (np.zeros(10), 1e-300 * np.arange(10)),
    "very large after small": (1e-10 * np.r_[np.ones(5), -np.ones(5)], np.r_[np.zeros(9), 1e300]),
    "larger and larger": (np.logspace(-300, -200, 10), np.logspace(-200, 300, 10)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SUDDEN)
def test_a_later_block_may_be_of_another_size(name, monkeypatch):
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 80)
    first, later = SUDDEN[name]
    x = np.concatenate([first, later, first, later])
    layer = gd.Standardize(1).fit(x.reshape(-1, 1))
    exact = x.astype(np.longdouble)
    np.testing.assert_allclose(layer.mean[0], float(exact.mean()), rtol=1e-14)
    np.testing.assert_allclose(layer.scale[0], float(1 / exact.std()), rtol=1e-14)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e200, 1e300])
def test_squares_of_features_may_overflow(size, rng):
    X = rng.standard_normal((50, 2)) + 3
    layer = gd.Standardize(2).fit(gd.data.ArrayDataset(X * [size, 1]))
    np.testing.assert_allclose(layer.mean, X.mean(0) * [size, 1], rtol=1e-14)
    np.testing.assert_allclose(layer.scale * X.std(0), [1 / size, 1], rtol=1e-14)


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
    assert layer.scale[0] == 1
    assert np.isfinite(layer.scale).all()
