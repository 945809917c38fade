"""GDRegressor and the arrays, files and frames that it takes."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

import fastgd as gd
from fastgd.sklearn import GDRegressor, rows

# Most of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_outputs_have_the_shape_of_targets(raw):
    X, y = raw
    several = GDRegressor(random_state=0).fit(X, np.column_stack([y, -y]))
    assert several.predict(X).shape == (200, 2)
    assert (several.coef_.shape, several.intercept_.shape) == ((2, 4), (2,))
    np.testing.assert_allclose(several.predict(X), X @ several.coef_.T + several.intercept_)
    column = GDRegressor(random_state=0).fit(X, y[:, None])
    assert column.predict(X).shape == (200, 1)
    np.testing.assert_array_equal(column.predict(X)[:, 0], GDRegressor(random_state=0).fit(X, y).predict(X))


def test_float32_stays(raw):
    X, y = raw
    estimator = GDRegressor(random_state=0, max_iter=5).fit(X.astype(np.float32), y)
    kept = [estimator.coef_, estimator.intercept_, *estimator.coefs_, estimator.predict(X)]
    assert {array.dtype for array in kept} == {np.dtype(np.float32)}
    assert GDRegressor(max_iter=1).fit(X.astype(int), y).predict(X).dtype == np.float64


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_are_not_copied(dtype, order):
    X = np.random.default_rng(0).integers(0, 9, (20, 3)).astype(dtype, order=order)
    X.flags.writeable = False
    estimator = GDRegressor(max_iter=1, random_state=0)
    assert np.shares_memory(rows.features(estimator, X, reset=True), X)
    expected = np.float32 if dtype in ("float16", "float32") else np.float64
    assert estimator.fit(X, X[:, 0]).predict(X).dtype == expected


def test_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "X.npy", np.random.default_rng(0).normal(size=(50, 3)))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    estimator = GDRegressor(max_iter=1, random_state=0)
    assert gd.data.ArrayDataset(rows.features(estimator, X, reset=True)).is_mapped
    expected = GDRegressor(max_iter=1, random_state=0).fit(np.array(X), X[:, 0]).coef_
    np.testing.assert_array_equal(estimator.fit(X, X[:, 0]).coef_, expected)


def test_weights_that_float32_cannot_hold_are_not_there(rng):
    X = rng.normal(size=(50, 1)).astype(np.float32) * np.float32(1e-30)
    estimator = GDRegressor(max_iter=5, alpha=1e-4, random_state=0).fit(X, X[:, 0] * np.float64(1e60))
    assert estimator.score(X, X[:, 0] * np.float64(1e60)) > 0.9
    assert not hasattr(estimator, "coef_")


def test_frames_give_names(raw):
    X, y = raw
    frames = [pd.DataFrame(X, columns=list("abcd")), pl.DataFrame(X, schema=list("abcd"))]
    frames.append(frames[0].convert_dtypes())
    expected = GDRegressor(random_state=0, max_iter=5).fit(X, y).predict(X)
    for frame in frames:
        estimator = GDRegressor(random_state=0, max_iter=5).fit(frame, y)
        assert estimator.feature_names_in_.tolist() == list("abcd")
        np.testing.assert_allclose(estimator.predict(frame), expected)
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(frames[0][list("dcba")])


def test_words_are_no_numbers(raw):
    X, y = raw
    with pytest.raises(ValueError, match=r"y has dtype <U\d+; expected numbers, or GDClassifier for classes"):
        GDRegressor().fit(X, np.where(y > y.mean(), "much", "little"))


def test_times_of_polars_are_refused(rng):
    """As those of other frames are: as numbers they would be of any unit."""
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2020, 1, 20), eager=True)
    numbers = pl.DataFrame({"a": rng.standard_normal(20), "b": range(20)})
    fitted = GDRegressor(max_iter=2).fit(numbers, np.arange(20))
    for times in (days, days.cast(pl.Datetime("ms")), days - days[0]):
        frame = numbers.with_columns(times.alias("b"))
        for call in (lambda X: GDRegressor().fit(X, np.arange(20)), fitted.predict):
            with pytest.raises(TypeError, match=r"column 'b' of X holds D.*make numbers of it, such as days since"):
                call(frame)
