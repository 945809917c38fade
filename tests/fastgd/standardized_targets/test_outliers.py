"""Losses that targets far out hardly move take their unit from the targets in the midst."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.linear_model import HuberRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgd as gd
from fastgd.data.arrays import ArrayDataset
from fastgd.leave_one_out import leave_one_out_errors, standard_error_rule
from fastgd.losses import LOSSES, as_loss
from fastgd.model_data import learn_missing_scales
from fastgd.recommended import recommended_alpha
from fastgd.sklearn import GDRegressor

ROBUST = {"absolute_error", "huber", "quantile", "epsilon_insensitive"}
SQUARED = {"half_squared_error", "squared_epsilon_insensitive"}


def spread(y):
    low, median, high = np.quantile(y, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")
    return median, (high - low) / 1.349


def rows(rng):
    X, y = rng.standard_normal((301, 3)), rng.standard_normal((301, 2)) * [1, 100] + [5, 0]
    y[:20] *= 1000
    return X, y


@pytest.mark.parametrize("kind", ["arrays", "sparse", "stream"])
@pytest.mark.parametrize("loss", sorted(ROBUST | SQUARED))
def test_the_unit_is_that_of_the_loss(loss, kind, rng):
    X, y = rows(rng)
    data = {
        "arrays": lambda: ArrayDataset(X, y),
        "sparse": lambda: gd.data.SparseDataset(sparse.csr_matrix(X), y),
        "stream": lambda: gd.data.from_blocks(lambda: ((X[k : k + 50], y[k : k + 50]) for k in range(0, 301, 50))),
    }[kind]()
    model = gd.Model([gd.Linear(3, 2), gd.StandardizedTargets(2)])
    learn_missing_scales(model, data, as_loss(loss))
    expected = spread(y) if loss in ROBUST else (y.mean(axis=0), y.std(axis=0))
    np.testing.assert_allclose(model.layers[-1].mean_and_scale, expected, rtol=1e-12)


def test_every_loss_of_numbers_says_which_it_is():
    assert {name for name, kind in LOSSES.items() if kind.is_robust} == ROBUST
    assert {name for name, kind in LOSSES.items() if kind.targets == "any number"} == ROBUST | SQUARED


def test_targets_that_are_mostly_the_same_keep_their_deviation(rng):
    y = np.where(rng.random(301) < 0.8, 3.0, rng.standard_normal(301))
    model = gd.Model([gd.Linear(1, 1), gd.StandardizedTargets(1)])
    learn_missing_scales(model, ArrayDataset(np.zeros((301, 1)), y), as_loss("huber"))
    mean, scale = model.layers[-1].mean_and_scale
    assert (mean, scale) == (3, pytest.approx(y.std()))


@pytest.mark.parametrize("options", [{}, {"standardize": "scale"}, {"fit_intercept": False}], ids=str)
@pytest.mark.parametrize("loss", ["huber", "squared_error"])
def test_estimators_have_the_same_unit(loss, options, rng):
    X, y = rows(rng)
    model = GDRegressor(loss=loss, max_iter=1, tol=None, **options).fit(X, y).model_
    mean, scale = spread(y) if loss == "huber" else (y.mean(axis=0), y.std(axis=0))
    if "fit_intercept" in options:
        mean, scale = np.zeros(2), np.hypot(mean, scale)
    np.testing.assert_allclose(model.layers[-1].mean_and_scale, (mean, scale), rtol=1e-12)


@pytest.fixture(scope="module")
def diabetes():
    """Rows to learn from, of which a twentieth has targets far out, and others."""
    X, y = load_diabetes(return_X_y=True)
    rng = np.random.default_rng(0)
    is_out = rng.random(300) < 0.05
    return X[:300], y[:300] + np.where(is_out, 1000 * y.std() * rng.random(300), 0), X[300:], y[300:]


@pytest.mark.parametrize("loss", ["huber", "epsilon_insensitive"])
def test_outliers_among_targets(loss, diabetes):
    """As well as HuberRegressor, whose unit is that of the residuals."""
    X, y, X_new, y_new = diabetes

    def error(estimator):
        return np.abs(estimator.fit(X, y).predict(X_new) - y_new).mean()

    peer = error(make_pipeline(StandardScaler(), HuberRegressor(max_iter=1000)))
    assert error(GDRegressor(loss=loss, random_state=0)) < 1.03 * peer
    assert peer < 0.8 * np.abs(np.median(y) - y_new).mean()


def test_outliers_have_little_say_in_alpha(diabetes):
    """As of targets within three spreads; squared errors of targets far out would have it much larger."""
    X, y, *_ = diabetes
    alpha = recommended_alpha(ArrayDataset(X, y), as_loss("huber"), is_network=False)
    alphas = 1 / 300 * 10 ** (np.arange(10) / 4)
    kept = np.linspace(0, 299, 256).astype(int)
    clipped = np.clip(y[kept, None], *(spread(y[kept])[0] + side * spread(y[kept])[1] for side in (-3, 3)))
    errors = leave_one_out_errors(X[kept], clipped, np.empty(0), alphas * 300 / 256)
    assert alpha == pytest.approx(standard_error_rule(errors, alphas, len(errors)))
    assert alpha < recommended_alpha(ArrayDataset(X, y), as_loss("half_squared_error"), is_network=False) / 3
