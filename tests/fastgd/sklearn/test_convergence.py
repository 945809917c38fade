"""Linear models go on to where the loss is least, by the rate, the patience and the end that nobody chose."""

import warnings

import numpy as np
import pytest
from scipy.sparse import random_array
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression, PoissonRegressor, QuantileRegressor, Ridge
from sklearn.metrics import mean_pinball_loss
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_limits

import fastgd as gd
from fastgd.data.as_dataset import array_dataset
from fastgd.history import EpochRecord
from fastgd.sklearn import GDClassifier, GDRegressor
from fastgd.sklearn.lbfgs_finish import LBFGSFinish
from fastgd.sklearn.stopping import Stopping

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def log_loss(classifier, X, y):
    return -np.log(classifier.predict_proba(X)[np.arange(len(y)), y]).mean()


@pytest.fixture(scope="module")
def alike():
    """Features that say nearly the same, and classes that hang on how they differ."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 1)) + 0.1 * rng.normal(size=(2000, 4))
    logits = 20 * (X[:, 0] - X[:, 1] + 0.5 * X[:, 2] - 0.5 * X[:, 3])
    return X, (rng.random(2000) < 1 / (1 + np.exp(-logits))).astype(int)


@pytest.mark.parametrize("batch_size", ["auto", None])
def test_features_that_say_nearly_the_same(batch_size, alike):
    X, y = alike
    least = log_loss(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X, y)
    found = GDClassifier(batch_size=batch_size, random_state=0).fit(X, y)
    assert log_loss(found, X, y) < least + 3e-4
    assert found.n_iter_ == 8
    assert found._stopping.finish is None


def test_the_finish_never_raises_the_objective(alike):
    X, y = alike
    model = gd.Model([gd.Standardize(4), gd.Linear(4, 1)], dtype="float64")
    trainer = gd.Trainer(model, "log_loss", "auto", batch_size=32, shuffle=True, alpha=1e-3)
    trainer.fit(X, y, epochs=4)
    finish = LBFGSFinish(array_dataset(X, y, None), 1e-6)

    def objective():
        return model.loss(X, y, loss="log_loss") + 5e-4 * (model.layers[1].weight ** 2).sum()

    def is_least():
        gradient = model.loss_and_gradient(X, y, loss="log_loss")[1]
        gradient[:4] += 1e-3 * model.parameters[:4]
        return np.abs(gradient).max() < 1e-4

    start, before = 20 * model.parameters, objective()
    assert not is_least()
    assert finish.make(trainer)
    least, parameters = objective(), model.parameters.copy()
    assert least < before - 1e-3
    assert is_least()
    assert finish.make(trainer)
    np.testing.assert_allclose(model.parameters, parameters, rtol=1e-2)
    assert objective() <= least
    model.parameters = start
    assert finish.make(trainer)
    assert objective() == pytest.approx(least, abs=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "log_loss", "cross_entropy"])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_end_is_that_of_exact_solvers(loss, is_weighted, alike):
    """Their C and alpha are of the sum of losses, or of their mean."""
    X, rng = StandardScaler().fit_transform(alike[0][:300]), np.random.default_rng(1)
    z, v = X @ [3.0, -2.0, 1.0, -1.0], rng.integers(1, 4, 300) if is_weighted else np.ones(300)
    y, peer = {
        "squared_error": lambda: (z + rng.standard_normal(300), Ridge(0.01 * v.sum())),
        "poisson": lambda: (rng.poisson(np.exp(z / 2)), PoissonRegressor(alpha=0.01, tol=1e-8)),
        "log_loss": lambda: (z + rng.logistic(size=300) > 0, LogisticRegression(C=100 / v.sum(), tol=1e-8)),
        "cross_entropy": lambda: (
            np.digitize(z + rng.logistic(size=300), [-1, 1]),
            LogisticRegression(C=100 / v.sum()),
        ),
    }[loss]()
    kind = {"squared_error": GDRegressor, "poisson": GDRegressor}.get(loss, GDClassifier)
    options = {"standardize_targets": False} if kind is GDRegressor else {}
    settings = {"alpha": 0.01, "tol": 1e-6, "standardize": False, "solver": "auto", "random_state": 0} | options
    found = kind(loss=loss.replace("cross_entropy", "log_loss"), **settings).fit(X, y, v)
    peer.fit(X, y, sample_weight=v)
    np.testing.assert_allclose(found.coef_, peer.coef_, atol=0.01)
    assert found._stopping.has_converged


@pytest.mark.parametrize("kind", [GDRegressor, GDClassifier])
def test_rows_without_a_weight_are_none(kind, alike):
    """They take no part in the penalty that nobody chose, either."""
    X, y = alike[0][:400], alike[1][:400]
    v = np.arange(400) % 2
    found = kind(random_state=0).fit(X, y, sample_weight=v)
    expected = kind(random_state=0).fit(X[v > 0], y[v > 0])
    assert found.alpha_ == pytest.approx(expected.alpha_)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0.02, atol=0.01)


@pytest.mark.parametrize("mean", [1, 400])
def test_rates_of_any_size_end_where_they_fit_best(mean, alike):
    """Most of the loss of large ones is the same for all parameters."""
    rng = np.random.default_rng(2)
    X = StandardScaler().fit_transform(np.hstack([alike[0][:300], rng.exponential(size=(300, 4)) ** 2]))
    y = rng.poisson(mean * np.exp(X @ [2, -1, 1, -2, 0.3, -0.2, 0.1, 0.3]))
    peer = PoissonRegressor(alpha=1e-3, tol=1e-7, max_iter=5000).fit(X, y)
    found = GDRegressor(loss="poisson", alpha=1e-3, random_state=0).fit(X, y)
    least, loss = ((rates - y * np.log(rates)).mean() for rates in (peer.predict(X), found.predict(X)))
    assert loss < least + 1e-4 * mean
    np.testing.assert_allclose(found.coef_, peer.coef_, atol=0.02)


@pytest.mark.parametrize(
    "settings",
    [
        {"early_stopping": True},
        {"average": True},
        {"tol": None},
        {"warm_start": True},
        {"solver": gd.AdamW("auto", weight_decay=0.1)},
        {"callbacks": [gd.callbacks.EarlyStopping(monitor="loss")]},
        {"hidden_layer_sizes": (2,)},
        {"solver": "sgd", "learning_rate": "constant"},
    ],
    ids=str,
)
def test_none_is_tried_where_it_is_not_wanted(monkeypatch, settings):
    monkeypatch.setattr(LBFGSFinish, "make", lambda finish, trainer: pytest.fail("it was tried"))
    X, y = load_diabetes(return_X_y=True)
    GDRegressor(random_state=0, **{"tol": 10.0, "max_iter": 9, "n_iter_no_change": 1} | settings).fit(X, y)


def test_an_end_waits_for_updates_where_epochs_have_few(monkeypatch):
    monkeypatch.setattr(LBFGSFinish, "of", lambda *_: None)
    X, y = load_diabetes(return_X_y=True)
    settings = {"tol": 10.0, "random_state": 0}
    # Of 442 rows 14 an epoch.
    assert GDRegressor(**settings).fit(X, y).n_iter_ == 1 + 15
    assert GDRegressor(**settings, n_iter_no_change=3).fit(X, y).n_iter_ == 1 + 3
    for others in ({"batch_size": None}, {"batch_size": 500}, {"batch_size": 1}, {"learning_rate_init": 1e-3}):
        assert GDRegressor(**settings, **others).fit(X, y).n_iter_ == 1 + 5
    with pytest.raises(ValueError, match="n_iter_no_change is 'all'"):
        GDRegressor(n_iter_no_change="all").fit(X, y)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 2))])
def test_the_first_full_batches_of_a_network_may_raise_the_loss(seed):
    X, y = load_diabetes(return_X_y=True)
    assert GDRegressor((32,), batch_size=None, random_state=seed).fit(X, y).score(X, y) > 0.5


def test_a_plateau_at_the_last_epoch_is_no_cause_for_a_warning(recwarn):
    X, y = load_diabetes(return_X_y=True)
    GDRegressor(tol=10.0, max_iter=10, random_state=0).fit(X, y)
    assert not recwarn


def test_divergence_is_a_value_error_and_leaves_a_finite_model():
    X, y = load_diabetes(return_X_y=True)
    estimator = GDRegressor(solver="sgd", learning_rate_init=1e6)
    with pytest.raises(ValueError, match="floating-point overflow") as caught:
        estimator.fit(X, y)
    assert isinstance(caught.value, gd.DivergenceError)
    assert np.isfinite(estimator.predict(X)).all()


@pytest.mark.parametrize(
    ("n_features", "options", "alpha"),
    [
        (400, {}, pytest.approx(0.9, rel=0.3)),
        (400, {"hidden_layer_sizes": (2,)}, pytest.approx(0.27, rel=0.3)),
        (3, {"hidden_layer_sizes": (2,)}, 1e-3),
        (400, {"loss": "quantile"}, pytest.approx(0.9, rel=0.3)),
        (400, {"penalty": "elasticnet"}, 1 / 200),
        (400, {"standardize": False}, 1 / 200),
        (400, {"standardize_targets": False}, 1 / 200),
        (400, {"solver": "adagrad"}, 1 / 200),
        (400, {"learning_rate_init": 0.01}, 1e-4),
    ],
)
def test_many_features_take_a_larger_penalty(n_features, options, alpha):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, n_features)), rng.random(200)
    found = GDRegressor(max_iter=1, random_state=0, **options).fit(X, y)
    assert found.trainer_.alpha == alpha


@pytest.mark.slow
def test_the_larger_penalty_is_in_units_of_the_loss():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 400))
    for y, curvature in ((np.arange(200) % 2, 1 / 4), (np.arange(200) % 3, 1 / 2)):
        assert GDClassifier(max_iter=1, random_state=0).fit(X, y).trainer_.alpha == pytest.approx(0.05 * curvature)


@pytest.mark.parametrize(
    ("degree", "hidden", "least"), [(3, (), 0.1), pytest.param(4, (64,), 0.2, marks=pytest.mark.slow)]
)
def test_as_many_features_as_rows_are_no_wreck(degree, hidden, least):
    X, y = load_diabetes(return_X_y=True)
    X = PolynomialFeatures(degree, include_bias=False).fit_transform(X)
    scores = cross_val_score(GDRegressor(hidden, random_state=0), X, y, cv=KFold(5, shuffle=True, random_state=0))
    # With 1 / n or .001 as alpha they are -.22 and -.20.
    assert scores.mean() > least


@pytest.mark.parametrize(
    ("ratio", "has_chosen_rate", "warns"), [(0.99, False, True), (0.9995, False, False), (0.9995, True, True)]
)
def test_a_loss_that_hardly_falls_is_no_reason_to_warn(ratio, has_chosen_rate, warns):
    """By less than a fiftieth in the last tenth of the epochs."""
    stopping, trainer = Stopping(), gd.Trainer(gd.Model([gd.Linear(1, 1)]))
    stopping.configure(5, 1e-4, early=False, is_adaptive=False)
    stopping.begin(None, None, trainer.loss, goes_on=False)
    for epoch in range(200):
        assert not stopping(trainer, EpochRecord(epoch + 1, 10 * ratio**epoch, None, 0.1, 0.1, {}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stopping.warn_of_its_end(has_all_epochs=True, has_chosen_rate=has_chosen_rate)
    assert bool(caught) == warns


@pytest.mark.slow
def test_the_finish_has_the_same_bits_for_any_number_of_threads_of_blas(monkeypatch):
    X = random_array((2000, 1 << 17), density=3e-4, format="csr", rng=np.random.default_rng(0))
    y = np.random.default_rng(1).integers(0, 2, 2000)

    def coef(n_threads):
        with threadpool_limits(n_threads, "blas"):
            return GDClassifier(max_iter=8, random_state=0).fit(X, y).coef_

    made = []
    finish = LBFGSFinish.make
    monkeypatch.setattr(LBFGSFinish, "make", lambda *given: made.append(finish(*given)))
    np.testing.assert_array_equal(coef(1), coef(2))
    assert len(made) == 2


@pytest.mark.parametrize("n_classes", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("most", [1 << 23, 0])
def test_columns_without_entries_take_no_part(n_classes, most, monkeypatch):
    """Of hashed words few columns have some: the end is the same, and the other weights are zero.

    most : updates of weights for a penalty alone, above which it is SGD that trains
    """
    monkeypatch.setattr("fastgd._engine.sparse_checks._MOST_PENALIZED", most)
    rng = np.random.default_rng(0)
    X = random_array((300, 200), density=0.05, format="csr", rng=rng)
    classes = (
        X[:, : 5 * n_classes].toarray().reshape(300, n_classes, 5).sum(axis=2) + 0.1 * rng.random(n_classes)
    ).argmax(axis=1)
    columns = np.sort(rng.permutation(5000)[:200])
    X.resize(300, 5000)
    X.indices = columns[X.indices]
    found = GDClassifier(random_state=0).fit(X, classes)
    peer = LogisticRegression(tol=1e-8, max_iter=1000).fit(X, classes)
    np.testing.assert_allclose(found.predict_proba(X), peer.predict_proba(X), atol=0.01)
    assert not np.delete(found.coef_, columns, axis=1).any()
    # Too many weights for L-BFGS, if those of all columns counted.
    monkeypatch.setattr("fastgd.sklearn.lbfgs_finish._MOST_WEIGHTS", 1000)
    np.testing.assert_array_equal(GDClassifier(random_state=0).fit(X, classes).coef_, found.coef_)
    monkeypatch.setattr("fastgd.sklearn.lbfgs_finish.used_columns", lambda model, dataset: None)
    assert GDClassifier(random_state=0, max_iter=9).fit(X, classes).n_iter_ == 9


@pytest.mark.parametrize("quantile", [0.5, pytest.param(0.9, marks=pytest.mark.slow)])
def test_losses_with_kinks_end_near_their_least(quantile, alike):
    X, rng = StandardScaler().fit_transform(alike[0][:600]), np.random.default_rng(0)
    y = 5 * (X @ [3.0, -2.0, 1.0, -1.0]) + rng.exponential(size=600)
    found = GDRegressor(loss="quantile", quantile=quantile, alpha=0.0, random_state=0).fit(X, y)
    least, constant = (
        mean_pinball_loss(y, prediction, alpha=quantile)
        for prediction in (
            QuantileRegressor(quantile=quantile, alpha=0).fit(X, y).predict(X),
            np.quantile(y, quantile) + 0 * y,
        )
    )
    assert mean_pinball_loss(y, found.predict(X), alpha=quantile) < least + 0.01 * constant
