"""Estimators on sparse rows."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sparse_cases import csr

import fastgd as gd
from fastgd import kernels
from fastgd.data.sparse import sparse_rows
from fastgd.data.sparse_moments import EntryScales
from fastgd.sklearn import GDClassifier, GDRegressor

SETTINGS = {
    "auto": {"alpha": 0.0},
    "auto, with a penalty": {},
    "not standardised": {"standardize": False, "alpha": 0.0},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "alpha": 0.01, "penalty": "elasticnet", "batch_size": 1},
    "adam, a network": {"hidden_layer_sizes": (4,), "solver": "adam", "learning_rate_init": 0.01},
    "held out": {"early_stopping": True, "alpha": 0.0},
    "no intercept": {"fit_intercept": False, "alpha": 0.0},
}


@pytest.fixture(scope="module")
def rows():
    X, dense = csr(150, 8)
    return X, dense, dense @ np.arange(8) + 1


@pytest.mark.parametrize(
    "settings", ["auto", *(pytest.param(name, marks=pytest.mark.slow) for name in list(SETTINGS)[1:])]
)
def test_sparse_rows_teach_what_dense_ones_do(rows, settings):
    X, dense, y = rows
    options = {"standardize": "scale", "random_state": 0, "max_iter": 5, "tol": None} | SETTINGS[settings]
    for estimator, targets in ((GDRegressor(**options), y), (GDClassifier(**options), np.where(y > 1, "up", "down"))):
        expected = estimator.fit(dense, targets).model_
        learnt = estimator.fit(X, targets).model_
        np.testing.assert_allclose(learnt.parameters, expected.parameters, rtol=1e-9, atol=1e-9)
        outputs = getattr(estimator, "decision_function", estimator.predict)
        np.testing.assert_allclose(outputs(X), outputs(dense), atol=1e-9)


@pytest.mark.parametrize("in_parts", [False, True])
def test_true_leaves_what_is_rare_and_small_as_it_is(in_parts):
    """Of sparse rows, numbers that most have not are divided by the root mean square of their entries."""
    rng = np.random.default_rng(0)
    dense = np.zeros((200, 4))
    dense[::20, 0] = 0.5
    dense[::20, 1] = rng.normal(0, 30, 10)
    dense[:, 2] = 1e-3 * rng.normal(size=200)
    X, y, v = sparse.csr_array(dense), rng.normal(size=200), rng.integers(0, 3, 200).astype(float)
    estimator = GDRegressor(max_iter=1, tol=None)
    if in_parts:
        estimator.partial_fit(X[:80], y[:80], v[:80]).partial_fit(dense[80:], y[80:], v[80:])
    else:
        estimator.fit(X, y, v)
    sizes = [np.sqrt(np.average(column[column != 0] ** 2, weights=v[column != 0])) for column in dense.T[1:3]]
    np.testing.assert_allclose(estimator.model_.standardize.scale, [1, 1 / sizes[0], 1 / sizes[1], 1], rtol=1e-12)
    np.testing.assert_array_equal(estimator.model_.standardize.mean, 0)


@pytest.mark.parametrize("hidden", [(), pytest.param((8,), marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_numbers_far_from_zero_beside_categories_are_learnt(hidden, dtype):
    """Years, and the like: without their mean subtracted, R² is .94 in float64."""
    rng = np.random.default_rng(0)
    group, years = rng.integers(0, 8, 400), 2010 + 4 * rng.standard_normal((400, 1))
    y = 0.3 * years[:, 0] + rng.standard_normal(8)[group] + 0.1 * rng.standard_normal(400)
    dense = np.hstack([np.eye(8)[group], years]).astype(dtype)
    X = sparse.csr_matrix(dense)
    estimator = GDRegressor(hidden, random_state=0).fit(X[:300], y[:300])
    assert estimator.score(X[300:], y[300:]) > 0.98
    # A row without a year has the year zero.
    lacking = dense[300:].copy()
    lacking[::3, 8] = 0
    rows = sparse.csr_matrix(lacking)
    assert rows.nnz == 200 - 34
    np.testing.assert_allclose(estimator.predict(rows), estimator.predict(lacking), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("most", [1 << 23, 0])
def test_words_are_learnt_as_well_as_by_logistic_regression(most, monkeypatch):
    """Many rare words, of which some say something: without a penalty the log loss is .88, scaled by deviations 15.

    most : updates of weights for a penalty alone, above which it is SGD that trains
    """
    monkeypatch.setattr("fastgd._engine.sparse_checks._MOST_PENALIZED", most)
    rng = np.random.default_rng(0)
    X = sparse.random_array((1200, 3000), density=2e-3, format="csr", rng=rng, data_sampler=rng.random)
    classes = np.where(X[:, :300].sum(axis=1) + 0.1 * rng.normal(size=1200) > 0.3, "many", "few")
    peer = LogisticRegression().fit(X[:900], classes[:900])
    found = GDClassifier(random_state=0).fit(X[:900], classes[:900])
    if most:
        assert found.trainer_.optimizer == gd.Adagrad("auto", bounded=True)
    else:
        sizes = 1 + (X[:900].multiply(X[:900])).sum(axis=1)
        rate = found.trainer_.optimizer.learning_rate
        assert (rate.period, rate.share) == (29, 1)
        assert rate.learning_rate == pytest.approx(4 / (sizes.mean() + sizes.max() / 32))
    assert found.trainer_.alpha == 1 / 900
    losses = [log_loss(classes[900:], each.predict_proba(X[900:])) for each in (found, peer)]
    assert losses[0] < losses[1] + 0.02
    # Without a penalty nothing costs more than the entries.
    without = GDClassifier(random_state=0, alpha=0.0, max_iter=1, tol=None).fit(X[:900], classes[:900])
    assert without.trainer_.optimizer == gd.Adagrad("auto", bounded=True)


def test_parts_of_sparse_rows_come_one_after_the_other(rows):
    X, dense, y = rows
    estimators = [GDRegressor(standardize="scale", alpha=0.0, random_state=0) for _ in range(3)]
    for part in (slice(0, 60), slice(60, 150)):
        estimators[0].partial_fit(X[part], y[part])
        estimators[1].partial_fit(dense[part], y[part])
        # Sparse ones first, and then dense ones.
        estimators[2].partial_fit(X[part] if part.start == 0 else dense[part], y[part])
    for estimator in estimators[1:]:
        np.testing.assert_allclose(estimator.coef_, estimators[0].coef_, rtol=1e-9)


def test_what_was_centred_takes_no_sparse_rows(rows):
    X, dense, y = rows
    estimator = GDRegressor(random_state=0).partial_fit(dense, y)
    before = estimator.coef_.copy()
    with pytest.raises(ValueError, match=r"^X is sparse, and this GDRegressor .* standardize='scale'"):
        estimator.partial_fit(X, y)
    with pytest.raises(ValueError, match="X is sparse, and this GDRegressor subtracts the means"):
        estimator.predict(X)
    np.testing.assert_array_equal(estimator.coef_, before)


@pytest.mark.parametrize(
    "settings",
    [pytest.param({"standardize": "scale"}, marks=pytest.mark.slow), {"standardize": False}, {"fit_intercept": False}],
)
@pytest.mark.parametrize("method", [pytest.param("fit", marks=pytest.mark.slow), "partial_fit"])
def test_what_was_not_centred_takes_sparse_rows(method, settings, rows):
    X, dense, y = rows
    estimator = getattr(GDRegressor(random_state=0, **settings), method)(dense, y)
    np.testing.assert_allclose(estimator.predict(X), estimator.predict(dense), rtol=1e-9, atol=1e-9)
    estimator.partial_fit(X, y)


def test_means_of_rows_before_do_not_count_when_training_begins_anew(rows):
    X, dense, y = rows
    once = GDRegressor(random_state=0).fit(X, y, X_val=X, y_val=y)
    again = GDRegressor(random_state=0).fit(dense, y).fit(X, y, X_val=X, y_val=y)
    np.testing.assert_array_equal(again.coef_, once.coef_)


def test_other_formats_are_converted_with_a_warning(rows):
    X, _, y = rows
    with pytest.warns(gd.UsageWarning, match="X is a csc matrix, which was copied to CSR format"):
        GDRegressor(random_state=0, max_iter=1, tol=None).fit(sparse.csc_array(X), y)


@pytest.mark.slow
def test_auto_is_adagrad_for_networks_on_sparse_rows(rows):
    X, _, y = rows
    fitted = GDRegressor((4,), max_iter=1, tol=None).fit(X, y)
    assert fitted.trainer_.optimizer == gd.Adagrad("auto", bounded=False)
    with pytest.raises(ValueError, match="X is sparse, and NormalizedSGD sees all features of each row"):
        GDRegressor((4,), max_iter=1, solver="normalized_sgd").fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "alpha", "update"),
    [
        ({}, pytest.approx(1 / 150), kernels.EveryWeight),
        ({"alpha": 0.0}, 0.0, kernels.Scratch),
        ({"hidden_layer_sizes": (4,)}, 1e-3, kernels.EveryWeight),
        ({"hidden_layer_sizes": (4,), "alpha": 0.0}, 0.0, kernels.SparseUpdate),
        ({"alpha": 0.01}, 0.01, kernels.EveryWeight),
        ({"batch_size": None}, pytest.approx(1 / 150), kernels.EveryWeight),
    ],
)
def test_defaults_cost_the_entries_of_a_batch(rows, monkeypatch, settings, alpha, update):
    X, _, y = rows
    updates = []

    def watch(name, place):
        train = getattr(kernels, name)

        def watched(*arguments):
            updates.append(type(arguments[place]))
            train(*arguments)

        monkeypatch.setattr(kernels, name, watched, raising=False)

    watch("train_network_csr", 3)
    watch("train_neuron_csr_adagrad", 3)
    fitted = GDRegressor(max_iter=1, tol=None, **settings).fit(X, y)
    assert fitted.trainer_.alpha == alpha
    assert set(updates) == {update}


def test_a_penalty_that_nobody_chose_is_there_for_dense_rows(rows):
    _, dense, y = rows
    estimator = GDRegressor(max_iter=1, tol=None)
    assert 1 / 150 <= estimator.fit(dense, y).trainer_.alpha <= 1
    assert estimator.fit(dense[:2], y[:2]).trainer_.alpha == 0.01
    assert estimator.set_params(standardize=False).fit(dense[:5], y[:5]).trainer_.alpha == 0.01
    estimator.set_params(warm_start=True, max_iter=2).fit(dense, y)
    assert estimator.trainer_.alpha == 0.01
    assert GDRegressor(learning_rate_init=0.01, max_iter=1, tol=None).fit(dense, y).trainer_.alpha == 1e-4
    assert GDRegressor().partial_fit(dense, y).trainer_.alpha == 1e-4


@pytest.mark.parametrize("with_mean", [True, False])
@pytest.mark.parametrize("is_sparse", [True, False])
def test_how_sparse_columns_are_standardised(with_mean, is_sparse):
    """Small numbers that every row has are no words; words that nearly every text has are, and counts of them. Years
    are centred.
    """
    rng = np.random.default_rng(0)
    X = np.zeros((100, 7))
    X[:, 0] = 0.01
    X[:95, 1] = 0.01
    X[3, 2], X[4, 3], X[::9, 4] = 50.0, 0.5, 5.0
    X[:, 5], X[:, 6] = 1e6 + rng.standard_normal(100), 1234.1
    v = rng.integers(1, 3, 100).astype(float)
    X[7, 5], v[7] = 0, 0
    scales = EntryScales(7, with_mean)
    for part in (slice(0, 0), slice(0, 50), slice(50, 100)):
        rows = sparse_rows(sparse.csr_array(X[part])) if is_sparse and part.stop else X[part]
        scales.add(rows, v[part])
    mean, divisor = scales.result()
    year = np.average(X[:, 5], weights=v)
    deviation = np.sqrt(np.average((X[:, 5] - year) ** 2, weights=v))
    centred = [[year, 1234.1], [deviation, 0]] if with_mean else [[0, 0], [np.hypot(year, deviation), 1234.1]]
    np.testing.assert_allclose(mean, [0, 0, 0, 0, 0, *centred[0]])
    np.testing.assert_allclose(divisor, [0.01, 1, 50, 1, 1, *centred[1]], rtol=1e-9)


def test_numbers_of_a_table_may_be_lacking_in_some_rows():
    """Beside categories, which do not vary, even if they come late; but not beside words, which few rows have."""
    rng = np.random.default_rng(0)
    table = np.zeros((400, 28))
    table[:, 0], table[:, 1], table[:, 2] = rng.uniform(0.005, 0.015, 400), rng.uniform(2, 8, 400), rng.random(400)
    table[np.arange(400), 3 + rng.integers(0, 25, 400)] = 1
    table[3, 0] = table[4, 1] = table[5:50, 2] = 0
    words = np.where(rng.random((400, 20)) < 0.1, rng.random((400, 20)), 0)
    for X, is_table in ((table, True), (np.hstack([table, words]), False)):
        scales = EntryScales(X.shape[1], with_mean=True)
        for part in (X[:2], X[2:]):
            scales.add(sparse_rows(sparse.csr_array(part)), np.empty(0))
        mean, divisor = scales.result()
        size = np.sqrt((X[X[:, 0] > 0, 0] ** 2).mean())
        np.testing.assert_allclose(mean[:3], [0, X[:, 1].mean() if is_table else 0, 0])
        np.testing.assert_allclose(divisor[:3], [size, X[:, 1].std(), 1] if is_table else [1, 1, 1])
        np.testing.assert_array_equal(divisor[3:], 1)


def test_what_does_not_vary_has_no_deviation_however_many_rows_there_are():
    """A sum of 100 000 equal numbers is rounded."""
    scales, X = EntryScales(1, with_mean=True), sparse.csr_array(np.full((100_000, 1), 2010.1))
    for _ in range(2):
        scales.add(sparse_rows(X), np.empty(0))
    assert scales.result()[1] == 0


def test_a_number_that_a_later_row_lacks_stays_centred():
    """It counts as zero, as in dense rows."""
    rng = np.random.default_rng(0)
    group, years = rng.integers(0, 8, 1000), 2010 + 4 * rng.standard_normal((1000, 1))
    y = 0.3 * years[:, 0] + rng.standard_normal(8)[group] + 0.1 * rng.standard_normal(1000)
    X = sparse.csr_matrix(np.hstack([np.eye(8)[group], years]))
    estimators = [GDRegressor(random_state=0) for _ in range(2)]
    for part in (slice(0, 50), slice(50, 500)) * 15:
        for estimator in estimators:
            estimator.partial_fit(X[part], y[part])
    assert estimators[0].score(X[500:], y[500:]) > 0.98
    lacking = X[:50].tolil()
    lacking[0, 8] = 0
    estimators[0].partial_fit(sparse.csr_matrix(lacking), y[:50])
    estimators[1].partial_fit(lacking.toarray(), y[:50])
    assert estimators[0].model_.standardize.mean[8] == pytest.approx(2010, abs=1)
    scores = [estimator.score(X[500:], y[500:]) for estimator in estimators]
    assert scores[0] == pytest.approx(scores[1])
    np.testing.assert_allclose(estimators[0].coef_, estimators[1].coef_)


def test_another_penalty_leaves_what_was_learnt(monkeypatch):
    """Of SGD, which starts from zero weights where nobody has chosen it."""
    monkeypatch.setattr("fastgd._engine.sparse_checks._MOST_PENALIZED", 0)
    rng = np.random.default_rng(0)
    X = sparse.random_array((600, 50), density=0.2, format="csr", rng=rng)
    y = X @ rng.standard_normal(50)
    estimator = GDRegressor(random_state=0, max_iter=20, tol=None, warm_start=True).fit(X, y)
    before = estimator.score(X, y)
    after = estimator.set_params(max_iter=1, alpha=1e-5).fit(X, y).score(X, y)
    assert after > before - 0.02
    assert before > 0.9


def test_rows_without_entries_teach_the_mean():
    estimator = GDRegressor(random_state=0).fit(sparse.csr_matrix((50, 1000)), np.arange(50.0))
    np.testing.assert_allclose(estimator.predict(sparse.csr_matrix((1, 1000))), 24.5)


@pytest.mark.slow
def test_networks_on_rows_too_wide_to_search_a_rate_have_one():
    X = sparse.random_array((30, 1_500_000), density=1e-5, format="csr", rng=np.random.default_rng(0))
    fitted = GDRegressor((2,), max_iter=1, tol=None).fit(X, np.arange(30.0))
    assert fitted.trainer_.optimizer.learning_rate == 0.01


def test_without_a_penalty_weights_of_columns_without_entries_stay():
    X = sparse.random_array((200, 100), density=0.1, format="csr", rng=np.random.default_rng(0))
    wide = sparse.csr_matrix((X.data, np.arange(0, 1000, 10)[X.indices], X.indptr), (200, 1000))
    start = np.zeros(1000)
    start[1] = 5
    y = wide @ np.random.default_rng(0).standard_normal(1000)
    for alpha, expected in ((0, 5), (0.01, 0)):
        estimator = GDRegressor(alpha=alpha, random_state=0, standardize_targets=False)
        assert estimator.fit(wide, y, coef_init=start).coef_[1] == expected
