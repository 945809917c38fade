"""Leave-one-out errors of ridge regression, and the penalty that they choose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array
from sklearn.linear_model import Ridge

import fastgd as gd
from fastgd.leave_one_out import leave_one_out_errors, standard_error_rule
from fastgd.losses import as_loss
from fastgd.recommended import recommended_alpha

ALPHAS = np.array([1e-3, 0.03, 1.0])


def refitted(X, y, v, alpha, with_mean):
    """The sum of squared errors of each row by a Ridge of all others."""
    v = v / v.sum()
    of_X, of_y = (np.sqrt(v @ (part - v @ part) ** 2) for part in (X, y))
    of_X[-1] = 1
    Z, t = ((part - v @ part if with_mean else part) / scale for part, scale in ((X, of_X), (y, of_y)))
    found = 0.0
    for i in np.flatnonzero(v):
        others = np.arange(len(X)) != i
        model = Ridge(alpha, fit_intercept=with_mean).fit(Z[others], t[others], v[others])
        found += v[i] * ((t[i] - model.predict(Z[[i]])) ** 2).sum()
    return found


@given(
    n=st.integers(3, 12),
    n_features=st.integers(1, 15),
    n_outputs=st.integers(1, 2),
    weighted=st.booleans(),
    with_mean=st.booleans(),
    seed=st.integers(0, 99),
)
def test_errors_are_those_of_fits_without_each_row(n, n_features, n_outputs, weighted, with_mean, seed):
    rng = np.random.default_rng(seed)
    X, y = 3 + rng.normal(size=(n, n_features)), 1 + rng.normal(size=(n, n_outputs))
    # A column of zeros and ones is not scaled.
    X[:, -1] = np.arange(n) % 3 == 0
    v = rng.uniform(0.5, 2, n) * (np.arange(n) != 1) if weighted else np.ones(n)
    found = leave_one_out_errors(X, y, v if weighted else np.empty(0), ALPHAS, with_mean).sum(axis=0)
    expected = [refitted(X, y, v, alpha, with_mean) for alpha in ALPHAS]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_columns_that_do_not_vary_or_come_twice():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    expected = leave_one_out_errors(X, y, np.empty(0), ALPHAS)
    same = np.hstack([X, np.full((20, 2), 7.0)])
    np.testing.assert_allclose(leave_one_out_errors(same, y, np.empty(0), ALPHAS), expected)
    twice = leave_one_out_errors(np.hstack([X, X]), y, np.empty(0), ALPHAS)
    np.testing.assert_allclose(twice, leave_one_out_errors(X, y, np.empty(0), ALPHAS / 2), rtol=1e-6)


@pytest.mark.parametrize(("n_rows", "column", "expected"), [(100, 0, 1), (100, 2, 2), (49, 0, 2), (49, 2, 3)])
def test_what_may_be_as_good_but_for_chance(n_rows, column, expected):
    """Of many rows the least of these alphas is chosen, of few the largest; and what is surely best, of any."""
    alphas, rng = np.array([1.0, 2.0, 3.0]), np.random.default_rng(0)
    errors = rng.normal(1, 1, (n_rows, 1)) + np.array([[0.1, 0.0, 0.2]])
    assert standard_error_rule(errors, alphas, n_rows) == 2
    errors[:, column] += rng.normal(0, 5, n_rows)
    errors[:, column] += errors[:, 1].mean() + 0.05 - errors[:, column].mean()
    assert standard_error_rule(errors, alphas, n_rows) == expected
    errors[3, 1] = np.nan
    assert standard_error_rule(errors, alphas, n_rows) == 1


def test_few_rows_of_many_are_no_small_table(monkeypatch):
    """Where rows are so long that few are looked at: twenty choose as many do, and of five there is no choice."""
    X, y = rows(400, 40, noise=4.0, seed=1)
    least, kept = 1 / 400, np.linspace(0, 399, 20).astype(int)
    alphas = least * 10 ** (np.arange(11) / 4)
    errors = leave_one_out_errors(X[kept], y[kept, None], np.empty(0), alphas * 400 / 20)
    expected, of_few = (standard_error_rule(errors, alphas, n) for n in (400, 20))
    assert least < expected < of_few
    monkeypatch.setattr("fastgd.recommended._CHOOSING_NUMBERS", 20 * 40)
    assert alpha_of(X, y) == pytest.approx(expected)
    monkeypatch.setattr("fastgd.recommended._CHOOSING_NUMBERS", 5 * 40)
    assert alpha_of(X, y) == least < alpha_of(X[::80], y[::80])


def rows(n_samples=200, n_features=40, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    return X, X @ rng.normal(size=n_features) / np.sqrt(n_features) + noise * rng.normal(size=n_samples)


def alpha_of(X, y, loss="half_squared_error", is_network=False):
    return recommended_alpha(gd.data.ArrayDataset(X, y), as_loss(loss), is_network)


def test_the_more_noise_the_larger():
    """With weights of variance 1 / d in all and noise of variance s², the best alpha is s² d / n."""
    found = [alpha_of(*rows(noise=noise)) for noise in (0.0, 1.0, 4.0)]
    assert found[0] == 1 / 200
    assert 0.05 < found[1] < 0.8 < found[2] <= 1
    assert alpha_of(*rows(noise=4.0), loss="squared_epsilon_insensitive") == pytest.approx(2 * found[2])
    # Without a second derivative, as of squared errors.
    of_outliers = alpha_of(*rows(noise=4.0), loss="huber")
    assert of_outliers == pytest.approx(found[2], rel=0.5)
    for loss in ("absolute_error", "quantile", "epsilon_insensitive"):
        assert alpha_of(*rows(noise=4.0), loss=loss) == of_outliers
    # Of networks three tenths, and no less than what is usual.
    assert alpha_of(*rows(noise=4.0), is_network=True) == pytest.approx(0.3 * found[2])
    assert alpha_of(*rows(), is_network=True) == pytest.approx(0.05 * 0.2**2)


def test_more_rows_than_it_is_chosen_by():
    """The penalty that a part of the rows wants, for all of them."""
    X, y = rows(4000, 100, noise=3.0)
    assert 0.05 < alpha_of(X, y) < 0.8


def test_rows_without_weight_do_not_count():
    """Even where they are most of the rows, and what is left has no weight in most places."""
    X, y = rows(noise=4.0)
    many, targets, v = np.zeros((4000, 40)), np.zeros(4000), np.zeros(4000)
    many[7::20], targets[7::20], v[7::20] = X, y, 2.0
    data = gd.data.ArrayDataset(many, targets, v)
    found = recommended_alpha(data, as_loss("half_squared_error"), is_network=False)
    assert found == pytest.approx(alpha_of(X, y))
    v[7 + 20 * 2 :] = 0
    data = gd.data.ArrayDataset(many[:1000], targets[:1000], v[:1000])
    assert recommended_alpha(data, as_loss("half_squared_error"), is_network=False) == 0.01


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_rows_that_training_will_name_leave_it_as_usual(bad):
    X, y = rows(noise=4.0)
    X[3, 0] = X[4, 0] = bad
    found = alpha_of(X, y)
    assert found == 1 / 200 or bad == 1e300
    y[3] = np.nan
    assert alpha_of(X, y) == 1 / 200
    X, y = rows(noise=4.0)
    for weight in (-1.0, bad):
        v = np.ones(200)
        v[7] = weight
        data = gd.data.ArrayDataset(X, y, v)
        found = recommended_alpha(data, as_loss("half_squared_error"), is_network=False)
        assert found == 1 / 200 or weight == 1e300


@pytest.mark.parametrize(
    ("n_samples", "n_features", "loss", "expected"),
    [
        (2, 40, "half_squared_error", 0.01),
        (900, 4, "half_squared_error", 1 / 900),
        (200, 40, "hinge", 1 / 200),
        (50, 4, "log_loss", 1 / 50),
        (200, 400, "log_loss", 0.05 / 4),
        (50, 4, "log_loss, a network", 2 / 50),
        (4000, 4, "log_loss, a network", 1e-3),
    ],
)
def test_what_is_not_chosen_by_errors(n_samples, n_features, loss, expected):
    X, y = rows(n_samples, n_features, noise=4.0)
    name, _, network = loss.partition(",")
    assert alpha_of(X, y > 0 if name == "log_loss" else y, name, bool(network)) == pytest.approx(expected)


@pytest.mark.parametrize(("n_samples", "n_numbers"), [(120, 100), (600, 300)])
def test_columns_of_categories_count_by_how_much_they_vary(n_samples, n_numbers):
    """Of more than 256 rows, some are looked at."""
    rng = np.random.default_rng(0)
    X = np.hstack([3 * rng.normal(size=(n_samples, n_numbers)), np.eye(50)[rng.integers(0, 50, n_samples)]])
    y, width = rng.random(n_samples) < 0.5, (n_numbers + X[:, n_numbers:].var(axis=0).sum()) / n_samples
    assert alpha_of(X, y, "log_loss") == pytest.approx(0.05 * 0.25 * width**2, rel=1e-3)
    usual = 1 / n_samples
    assert alpha_of(X[:, -50:], y, "log_loss") == usual < alpha_of(X, y, "log_loss")


@pytest.mark.parametrize("with_mean", [True, False])
def test_features_that_have_a_scale_keep_it(with_mean):
    X, y = rows(30, 8, noise=1.0)
    Z = X - X.mean(axis=0) if with_mean else X
    Z = Z / X.std(axis=0)
    expected = leave_one_out_errors(X, y[:, None], np.empty(0), ALPHAS, with_mean)
    found = leave_one_out_errors(Z + with_mean, y[:, None], np.empty(0), ALPHAS, with_mean, has_scale=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("n_samples", [200, 1000])
def test_sparse_rows_choose_by_their_entries(n_samples):
    """Of words, the alpha that serves the columns as they are; of classes and for networks, what is usual."""
    rng = np.random.default_rng(0)
    X = random_array((n_samples, 500), density=0.02, format="csr", rng=rng)
    y = X @ rng.normal(size=500) + 5 * rng.normal(size=n_samples)
    data = gd.data.SparseDataset(X, y)
    found = recommended_alpha(data, as_loss("half_squared_error"), is_network=False)
    chosen = np.linspace(0, n_samples - 1, min(n_samples, 256)).astype(int)
    alphas = 10 ** (np.arange(1 + int(4 * np.log10(n_samples))) / 4) / n_samples
    of_rows = alphas * n_samples / len(chosen)
    errors = leave_one_out_errors(X[chosen].toarray(), y[chosen, None], np.empty(0), of_rows, has_scale=True)
    assert found == pytest.approx(standard_error_rule(errors, alphas, n_samples))
    assert found > 5 / n_samples
    assert recommended_alpha(data, as_loss("half_squared_error"), is_network=True) == 1e-3
    classes = gd.data.SparseDataset(X, y > 0)
    assert recommended_alpha(classes, as_loss("log_loss"), is_network=False) == 1 / n_samples


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, 1e300])
def test_sparse_rows_that_tell_nothing_have_the_usual_alpha(bad):
    """Training will name one that is bad."""
    X = csr_array((np.full(50, bad), np.arange(50), np.arange(51)), (50, 400))
    for v in (None, np.zeros(50)):
        data = gd.data.SparseDataset(X, np.arange(50.0), v)
        assert recommended_alpha(data, as_loss("half_squared_error"), is_network=False) >= 0.01
