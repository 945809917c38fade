"""Weights of rows: where they equal repeated rows exactly, and how near they come elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fastgd.sklearn import GDClassifier, GDRegressor

# Most of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def repeated(n_times, *arrays):
    return [np.repeat(array, n_times, axis=0) for array in arrays]


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(300, 3)) * [1, 100, 1e-3]
    return X, X @ [1.0, 0.02, 500.0] + rng.normal(size=300), rng.integers(0, 4, 300)


# Adam knows of a batch no more than its mean gradient; rows of NormalizedSGD count one by one.
@pytest.mark.parametrize(("hidden", "solver"), [((), "auto"), ((8,), "adam")])
def test_of_full_batches_are_repeated_rows(rows, hidden, solver):
    X, y, v = rows
    parameters = {"batch_size": None, "solver": solver, "random_state": 0, "max_iter": 10, "tol": None, "alpha": 1e-3}
    weighted = GDRegressor(hidden, **parameters).fit(X, y, sample_weight=v)
    together = GDRegressor(hidden, **parameters).fit(*repeated(v, X, y))
    np.testing.assert_allclose(weighted.predict(X), together.predict(X), rtol=1e-6)
    labels = np.where(y > 0, "yes", "no")
    weighted = GDClassifier(hidden, **parameters).fit(X, labels, sample_weight=v)
    together = GDClassifier(hidden, **parameters).fit(*repeated(v, X, labels))
    np.testing.assert_allclose(weighted.predict_proba(X), together.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("kind", [GDRegressor, GDClassifier])
@pytest.mark.parametrize(
    ("hidden", "is_sparse"), [((), False), ((8,), False), pytest.param((), True, marks=pytest.mark.slow)]
)
def test_of_small_batches_are_repeated_rows_but_for_their_order(rows, hidden, kind, is_sparse):
    X, y, _ = rows
    # Without them, all predictions would be lower.
    v = np.where(y > X @ [1.0, 0.02, 500.0], 3, 1)
    y = y > y.mean() if kind is GDClassifier else y

    def predicted(X, y, v=None):
        """The mean and the deviation, over ten seeds and as many updates, of what is predicted for each row."""
        known = sparse.csr_array(X) if is_sparse else X
        found = []
        for seed in range(10):
            estimator = kind(hidden, random_state=seed, max_iter=24_000 // len(y), tol=None, alpha=0.01)
            estimator.fit(known, y, sample_weight=v)
            found.append(estimator.decision_function(rows[0]) if kind is GDClassifier else estimator.predict(rows[0]))
        return np.mean(found, axis=0), np.std(found, axis=0, ddof=1)

    def distance(mean, deviation):
        """Of the rows' means from those of repeated rows, in units of what chance allows."""
        error = np.hypot(deviation, of_repeated[1]) / np.sqrt(10) + 0.01
        return np.sqrt(np.mean(((mean - of_repeated[0]) / error) ** 2))

    of_repeated = predicted(*repeated(v, X, y))
    assert distance(*predicted(X, y, v)) < 3 < distance(*predicted(X, y))


@given(unit=st.sampled_from([1e-300, 1e-6, 7.0, 1e300]))
def test_have_no_unit(unit):
    rng = np.random.default_rng(0)
    X, y, v = rng.normal(size=(50, 2)), rng.normal(size=50), rng.random(50)
    expected = GDRegressor(random_state=0, max_iter=3).fit(X, y, sample_weight=v).coef_
    found = GDRegressor(random_state=0, max_iter=3).fit(X, y, sample_weight=v * unit).coef_
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_that_are_equal_are_none(rows):
    X, y, _ = rows
    plain = GDRegressor((8,), random_state=0, max_iter=3).fit(X, y).predict(X)
    weighted = GDRegressor((8,), random_state=0, max_iter=3).fit(X, y, sample_weight=np.full(300, 5.0)).predict(X)
    np.testing.assert_array_equal(weighted, plain)


def test_of_zero_leave_rows_out(rows):
    X, y, v = rows
    wild = np.where((v == 0)[:, None], 1e6, X)
    estimator = GDRegressor(random_state=0).fit(wild, y, sample_weight=v)
    np.testing.assert_allclose(estimator.score(X, y, v), GDRegressor(random_state=0).fit(X, y, v).score(X, y, v))


def test_of_zero_are_not_validated_on(rows):
    X, y, _ = rows
    v = np.where(np.arange(300) < 3, 1.0, 0.0)
    estimator = GDRegressor(random_state=0, early_stopping=True, validation_fraction=0.3, max_iter=2)
    assert min(estimator.fit(X, y, sample_weight=v).validation_loss_curve_) > 0


def test_of_validation_rows(rows):
    X, y, v = rows
    estimator = GDRegressor(random_state=0, early_stopping=True, max_iter=5)
    estimator.fit(X, y, X_val=X, y_val=y, sample_weight_val=v)
    assert estimator.validation_loss_curve_[-1] == pytest.approx(
        GDRegressor(random_state=0, early_stopping=True, max_iter=5)
        .fit(X, y, X_val=np.repeat(X, v, axis=0), y_val=np.repeat(y, v))
        .validation_loss_curve_[-1]
    )


def test_are_checked(rows):
    X, y, v = rows
    with pytest.raises(ValueError, match=r"sample_weight holds -1.0 in row 7"):
        GDRegressor().fit(X, y, sample_weight=np.where(np.arange(300) == 7, -1.0, 1.0))
    with pytest.raises(ValueError, match="inconsistent"):
        GDRegressor().fit(X, y, sample_weight=v[:20])
    with pytest.raises(ValueError, match=r"expected \(300,\)"):
        GDRegressor().fit(X, y, sample_weight=v[:, None])
