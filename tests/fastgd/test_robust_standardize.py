"""RobustStandardize: median and quartiles, what it makes of outliers, and where it goes."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastgd as gd
from fastgd import moments
from fastgd.data import reader
from fastgd.kernels import standardize_rows_robustly


def by_hand(X, median, scale):
    t = (X.astype(np.float64) - median) * scale
    return t / np.sqrt(1 + (t / 3) ** 2)


def quartiles(X):
    return np.quantile(X, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")


@given(st.integers(1, 200), st.integers(1, 4), st.sampled_from(["float32", "float64", "int8"]), st.integers(0, 99))
def test_learns_median_and_quartiles(n_rows, n_features, dtype, seed):
    X = (40 * np.random.default_rng(seed).standard_cauchy((n_rows, n_features))).clip(-99, 99).astype(dtype)
    layer = gd.RobustStandardize(n_features).fit(X)
    low, median, high = quartiles(X.astype(np.float64))
    np.testing.assert_array_equal(layer.mean, median)
    ends = np.ptp(X.astype(np.float64), axis=0)
    between = high - low
    expected = [1 / b if b > 0 else 2 / e if e > 0 else 0 for b, e in zip(between, ends, strict=True)]
    np.testing.assert_allclose(layer.scale, expected, rtol=1e-12)


def test_a_weight_is_as_many_rows(rng):
    X, v = rng.standard_normal((300, 2)), rng.integers(0, 4, 300)
    layer = gd.RobustStandardize(2).fit(gd.data.ArrayDataset(X, sample_weight=v))
    twin = gd.RobustStandardize(2).fit(np.repeat(X, v, axis=0))
    np.testing.assert_array_equal(layer.mean, twin.mean)
    np.testing.assert_array_equal(layer.scale, twin.scale)


def test_the_only_rows_that_count_are_kept(monkeypatch):
    monkeypatch.setattr(moments, "_KEPT_NUMBERS", 1)
    monkeypatch.setattr(moments, "_FEWEST_KEPT", 10)
    X, v = np.arange(1000.0)[:, None], np.zeros(1000)
    v[[333, 501, 777]] = 1
    layer = gd.RobustStandardize(1).fit(gd.data.ArrayDataset(X, sample_weight=v))
    assert layer.mean == 333
    assert layer.scale == 2 / (777 - 333)


def test_nothing_is_learnt_where_no_row_counts():
    layer = gd.RobustStandardize(1).fit(gd.data.ArrayDataset([[1.0], [2.0]], sample_weight=[0, 0]))
    assert layer.mean is None
    with pytest.raises(ValueError, match="the RobustStandardize layer has no mean and scale yet"):
        _ = layer.mean_and_scale


@pytest.mark.parametrize("n_features", [1, 3])
def test_many_rows_are_judged_by_some_that_are_spread(n_features, rng, monkeypatch):
    monkeypatch.setattr(moments, "_KEPT_NUMBERS", 1000)
    monkeypatch.setattr(moments, "_FEWEST_KEPT", 100)
    X = np.arange(100_000.0)[:, None] + rng.standard_normal((100_000, n_features))
    monkeypatch.setattr(reader, "_BLOCK_BYTES", 8 * 777 * n_features)
    layer = gd.RobustStandardize(n_features).fit(X)
    low, median, high = quartiles(X[:: 100 if n_features == 1 else 301])
    np.testing.assert_array_equal(layer.mean, median)
    np.testing.assert_allclose(1 / layer.scale, high - low)


def test_a_rare_value_is_two_from_the_others():
    layer = gd.RobustStandardize(2).fit([[0.0, 5.0]] * 9 + [[3.0, 5.0]])
    np.testing.assert_array_equal(layer.mean, [0, 5])
    np.testing.assert_array_equal(layer.scale, [2 / 3, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_far_out_come_to_three(dtype):
    X = np.array([[0.0], [1.0], [2.0], [-1e30], [1e300 if dtype == "float64" else 1e38]], dtype)
    out = np.empty_like(X)
    standardize_rows_robustly(X, np.array([1.0]), np.array([0.5]), 3.0, out)
    np.testing.assert_allclose(out[:3], by_hand(X[:3], 1.0, 0.5), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(out[3:], [[-3], [3]])
    for bad in (np.nan, np.inf, -np.inf):
        standardize_rows_robustly(np.array([[bad]], dtype), np.zeros(1), np.ones(1), 3.0, out[:1])
        np.testing.assert_array_equal(out[0, 0], bad)


LAYERS = [gd.RobustStandardize(4), gd.Linear(4, 5), gd.ReLU(), gd.Linear(5, 1)]


@pytest.fixture
def rows(rng):
    X = rng.standard_cauchy((400, 4))
    X[:, 3] = 7
    return X, np.tanh(X[:, 0]) + X[:, 1].clip(-2, 2)


def test_training_is_that_of_rows_brought_to_scale_before(rows):
    X, y = rows
    low, median, high = quartiles(X)
    before = by_hand(X, median, np.where(high > low, 1 / np.where(high > low, high - low, 1), 0))
    model, twin = gd.Model(LAYERS, "float64"), gd.Model(LAYERS[1:], "float64")
    twin.parameters = model.parameters
    for each, features in ((model, X), (twin, before)):
        gd.Trainer(each, optimizer=gd.SGD(0.05), batch_size=32, shuffle=True).fit(features, y, epochs=3)
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict(X), twin.predict(before), rtol=1e-9, atol=1e-12)


def test_learns_in_spite_of_outliers(rows):
    X, y = rows
    losses = []
    for layer in (gd.RobustStandardize(4), gd.Standardize(4)):
        model = gd.Model([layer, *LAYERS[1:]])
        gd.Trainer(model, optimizer="auto", batch_size=32, shuffle=True).fit(X, y, epochs=20)
        losses.append(model.loss(X, y) / (y.var() / 2))
    assert losses[0] < min(0.2, 0.5 * losses[1])


def test_it_stays_with_the_model(rows, tmp_path):
    X, y = rows
    trainer = gd.Trainer(gd.Model(LAYERS), optimizer="auto", batch_size=32)
    trainer.fit(X, y)
    trainer.save(tmp_path / "run")
    trainer.model.save(tmp_path / "m")
    expected = trainer.model.predict(X)
    assert repr(trainer.model.layers[0]) == "RobustStandardize(4)"
    for model in (
        gd.Model.load(tmp_path / "m"),
        gd.Trainer.load(tmp_path / "run").model,
        copy.deepcopy(trainer.model),
        pickle.loads(pickle.dumps(trainer.model)),
    ):
        assert type(model.layers[0]) is gd.RobustStandardize
        np.testing.assert_array_equal(model.predict(X), expected)


def test_what_is_not_finite_is_named(rows):
    X, y = rows
    trainer = gd.Trainer(gd.Model(LAYERS), batch_size=8)
    trainer.fit(X, y)
    for bad in (np.nan, np.inf):
        X[123, 2] = bad
        with pytest.raises(ValueError, match="in row 123, column 2"):
            trainer.fit(X, y)
        with pytest.raises(ValueError, match="in row 123, column 2"):
            trainer.model.predict(X)


def test_it_cannot_be_folded(rows):
    model = gd.Model(LAYERS)
    gd.Trainer(model).fit(*rows)
    with pytest.raises(ValueError, match=r"RobustStandardize\(4\) clips, which no Linear does"):
        model.fold()
