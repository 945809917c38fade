"""Standardize: what it learns, and of which rows."""

import numpy as np
import pytest
from cases import built, rounding

import fastgd as gd
from fastgd.data import reader as dataset


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
    "one rare value": (lambda rng: 2 * np.eye(5000, 3), _array),
    "memory-mapped": (lambda rng: _spread(rng) + 3, _mapped),
    "memory-mapped float32": (lambda rng: (_spread(rng) + 3).astype(np.float32), _mapped),
}


def assert_learnt(layer, X):
    """Mean and scale are those of X, summed in extended precision; columns of two values become as wide as one."""
    exact = np.asarray(X, np.longdouble)
    has_two = np.array([len(np.unique(column)) == 2 for column in exact.T])
    mean, deviation = exact.mean(0), np.where(has_two, np.ptp(exact, axis=0), exact.std(0))
    largest = np.abs(exact).max(0)
    # A sum of thousands of rows, in order, rounds once each: some hundred roundings of the largest value.
    np.testing.assert_allclose((layer.mean - mean) / largest, 0, atol=rounding(np.float64, 100))
    # Block by block the mean is rounded in the steps that float64 has so far from zero, which the deviation sees.
    error = rounding(np.float64, 100) + rounding(np.float64, 1) * largest / deviation
    np.testing.assert_allclose((layer.scale * deviation - 1) / error, 0, atol=1)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("n_bytes", [pytest.param(1, marks=pytest.mark.slow), 1000, 4 << 20])
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
def test_constant_features_count_for_nothing(n_rows, n_bytes, source, monkeypatch):
    """A feature that does not vary must not be divided by its own rounding errors, however many rows are added up."""
    if n_bytes == 100 and n_rows > 1000:
        n_rows //= 10
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
    constants = [c for c in CONSTANTS if source == "float64" or 1e-30 < abs(c) < 1e30 or c == 0]
    X = np.tile(np.array(constants, source), (n_rows, 1))
    layer = gd.Standardize(X.shape[1]).fit(gd.data.ArrayDataset(X))
    np.testing.assert_array_equal(layer.scale, 0)
    np.testing.assert_allclose(layer.mean, X[0].astype(np.float64), rtol=rounding(np.float64, 1000))


@pytest.mark.parametrize("with_mean", [True, "nonzero", False])
def test_what_never_varied_changes_no_prediction(with_mean, rng):
    """A year, say: its weights are as they were drawn. Without a mean, a column of ones may be a bias."""
    X = np.column_stack([rng.standard_normal((90, 2)), np.full(90, 2024.0), np.zeros(90), np.ones(90)])
    model = gd.Model([gd.Standardize(5, with_mean), gd.Linear(5, 8), gd.Tanh(), gd.Linear(8, 1)])
    gd.Trainer(model, optimizer="auto", batch_size=30).fit(X, X[:, 0], epochs=3)
    before = model.predict(X)
    for column in (2, 3) if with_mean else (3,):
        later = X.copy()
        later[:, column] += 1
        np.testing.assert_array_equal(model.predict(later), before)
        np.testing.assert_allclose(model.fold().predict(later), before, atol=1e-4)
    assert model.standardize.scale[4] == (not with_mean)


def test_a_feature_that_barely_varies_is_scaled():
    """One part in ten million is no rounding error."""
    X = 1 + 1e-7 * np.random.default_rng(0).standard_normal((1000, 1))
    assert gd.Standardize(1).fit(gd.data.ArrayDataset(X)).scale[0] == pytest.approx(1 / X.std(), rel=1e-6)


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
            with pytest.warns(gd.UsageWarning, match="all sample weights are zero"):
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
    "large after zeros": (np.zeros(10), np.r_[np.zeros(8), 1, 1e160]),
    "zeros after large": (np.r_[1e160, 1, np.zeros(8)], np.zeros(10)),
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
