"""GDRegressor."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Ridge, SGDRegressor

import fastgd as gd
from fastgd.sklearn import GDRegressor

# Most of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


def test_unscaled_features_and_targets(raw):
    X, y = raw
    assert GDRegressor(random_state=0).fit(X, y).score(X, y) > 0.99
    assert GDRegressor((8,), random_state=0).fit(X, y).score(X, y) > 0.98


def test_is_as_good_as_ridge(diabetes):
    X, y = diabetes
    assert GDRegressor(random_state=0).fit(X, y).score(X, y) > Ridge().fit(X, y).score(X, y) - 0.005


@pytest.mark.slow
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("standardize", [np.True_, "scale", False])
def test_coefficients_are_of_raw_features(raw, fit_intercept, standardize):
    X, y = raw
    X = X / np.abs(X).max(axis=0)
    linear = GDRegressor(fit_intercept=fit_intercept, standardize=standardize, random_state=0, max_iter=5).fit(X, y)
    assert linear.coef_.shape == (4,)
    assert linear.intercept_.shape == (1,)
    if standardize:
        assert linear.model_.standardize.with_mean == (fit_intercept and standardize != "scale")
    np.testing.assert_allclose(linear.predict(X), X @ linear.coef_ + linear.intercept_)
    if not fit_intercept:
        assert linear.intercept_ == 0


def test_coefficients_of_a_network(raw):
    X, y = raw
    network = GDRegressor((8,), random_state=0, max_iter=5).fit(X, y)
    first, last = network.coefs_
    hidden = np.maximum(X @ first + network.intercepts_[0], 0)
    np.testing.assert_allclose(network.predict(X), (hidden @ last + network.intercepts_[1])[:, 0])
    assert (network.n_layers_, network.n_outputs_, network.n_features_in_) == (3, 1, 4)
    with pytest.raises(AttributeError, match="coefs_"):
        _ = network.coef_


def test_online_steps_are_those_of_sgd():
    X, y = make_regression(50, 3, random_state=0)
    X, y = X / 3, y / 100
    settings = {"shuffle": False, "max_iter": 3, "tol": None, "alpha": 0.01, "learning_rate": "invscaling"}
    theirs = SGDRegressor(**settings, eta0=0.05).fit(X, y)
    ours = GDRegressor(
        **settings,
        solver="sgd",
        learning_rate_init=0.05,
        batch_size=1,
        standardize=False,
        standardize_targets=False,
    ).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_)
    assert ours.t_ == theirs.t_ - 1


@pytest.mark.parametrize("average", [True, 70])
def test_average_is_that_of_sgd(average):
    X, y = make_regression(50, 3, random_state=0)
    X, y = X / 3, y / 100
    settings = {"shuffle": False, "max_iter": 3, "tol": None, "learning_rate": "constant", "average": average}
    theirs = SGDRegressor(**settings, eta0=0.02, penalty=None).fit(X, y)
    raw = {"standardize": False, "standardize_targets": False, "batch_size": 1, "solver": "sgd", "penalty": None}
    ours = GDRegressor(**settings, **raw, learning_rate_init=0.02).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_)


@pytest.mark.parametrize(
    "loss",
    [
        "absolute_error",
        *(pytest.param(loss, marks=pytest.mark.slow) for loss in ("huber", "quantile", "epsilon_insensitive")),
    ],
)
def test_losses(raw, loss):
    X, y = raw
    assert GDRegressor(loss=loss, random_state=0).fit(X, y).score(X, y) > 0.97


def test_quantile_and_epsilon(raw):
    X, y = raw
    high = GDRegressor(loss="quantile", quantile=0.9, random_state=0, max_iter=30).fit(X, y)
    assert 0.8 < (y <= high.predict(X)).mean() < 1
    wide = GDRegressor(loss="epsilon_insensitive", epsilon=10.0, random_state=0).fit(X, y)
    # Nothing is further from the mean than ten deviations.
    assert wide.best_loss_ == 0


@pytest.mark.parametrize("hidden", [(), (16,)])
def test_poisson_learns_rates_of_any_size(hidden):
    X, y = load_diabetes(return_X_y=True)
    found = [GDRegressor(hidden, loss="poisson", random_state=0).fit(X, unit * y) for unit in (1e-3, 1e-6)]
    scores = [each.score(X, unit * y) for each, unit in zip(found, (1e-3, 1e-6), strict=True)]
    assert scores[0] > (0.58 if hidden else 0.5)
    assert scores[1] == pytest.approx(scores[0], abs=0.01)


def test_poisson_predicts_counts(rng):
    X = rng.normal(size=(500, 2)) * [1, 100]
    y = rng.poisson(np.exp(1 + X @ [0.5, 0.002]))
    estimator = GDRegressor(loss="poisson", random_state=0).fit(X, y)
    assert (estimator.predict(X) > 0).all()
    np.testing.assert_allclose(estimator.predict(X).mean(), y.mean(), rtol=0.05)
    with pytest.raises(ValueError, match="at least 0"):
        GDRegressor(loss="poisson").fit(X, -y)


def test_targets_that_do_not_vary(raw):
    X, _ = raw
    np.testing.assert_array_equal(GDRegressor().fit(X, np.full(200, 7.5)).predict(X), np.full(200, 7.5))


def test_l1_makes_zeros(raw):
    X, y = raw
    X = np.column_stack([X, np.random.default_rng(1).normal(size=(200, 5))])
    coefficients = GDRegressor(penalty="l1", alpha=0.05, random_state=0).fit(X, y).coef_
    assert (coefficients[4:] == 0).any()
    assert (coefficients[:3] != 0).all()


def test_same_seed_same_bits(raw):
    X, y = raw
    first = GDRegressor((8,), random_state=3, max_iter=5).fit(X, y)
    np.testing.assert_array_equal(first.predict(X), clone(first).fit(X, y).predict(X))
    assert (first.predict(X) != clone(first).set_params(random_state=4).fit(X, y).predict(X)).any()


def test_stops_when_nothing_is_gained(raw):
    X, y = raw
    estimator = GDRegressor(random_state=0, max_iter=1000, tol=1e-2, n_iter_no_change=2).fit(X, y)
    assert estimator.converged_
    assert estimator.n_iter_ == len(estimator.loss_curve_) < 50
    assert estimator.best_loss_ == min(estimator.loss_curve_)
    assert estimator.n_iter_ < GDRegressor(random_state=0, tol=1e-5, n_iter_no_change=2).fit(X, y).n_iter_
    assert estimator.t_ == estimator.n_iter_ * 7
    whole = GDRegressor(random_state=0, max_iter=60, tol=None).fit(X, y)
    assert (whole.n_iter_, whole.converged_) == (60, False)


def test_says_that_epochs_were_too_few(raw):
    X, y = raw
    with pytest.warns(ConvergenceWarning, match="max_iter=2") as caught:
        GDRegressor(random_state=0, max_iter=2).fit(X, y)
    assert caught[0].filename == __file__
    with pytest.warns(gd.UsageWarning, match="sorted") as caught:
        GDRegressor(shuffle=False, max_iter=1).fit(X, np.sort(y))
    assert caught[0].filename == __file__
    GDRegressor(random_state=0, max_iter=2, n_iter_no_change=np.inf, tol=None).fit(X, y).partial_fit(X, y)


def test_says_that_the_loss_rose(raw):
    X, y = raw
    with pytest.warns(ConvergenceWarning, match="The loss rose from .* smaller learning_rate_init") as caught:
        GDRegressor(learning_rate_init=2.0, random_state=0, max_iter=5).fit(X, y)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("standardize", [True, "scale", False])
def test_starts_from_given_coefficients(raw, standardize):
    X, y = raw
    estimator = GDRegressor(standardize=standardize, solver=gd.SGD(0.0), max_iter=1)
    coefficients = np.array([1e7, -20.0, 1.0, 0.5])
    estimator.fit(X, y, coef_init=coefficients, intercept_init=7.0)
    np.testing.assert_allclose(estimator.coef_, coefficients)
    np.testing.assert_allclose(estimator.intercept_, 7.0, atol=1e-4)
    again = GDRegressor(warm_start=True, solver=gd.SGD(0.0), max_iter=1).fit(X, y).fit(X, y, coef_init=coefficients)
    np.testing.assert_allclose(again.coef_, coefficients)
    with pytest.raises(ValueError, match=r"coef_init does not match dataset.*\(3,\)"):
        estimator.fit(X, y, coef_init=coefficients[:3])
    with pytest.raises(ValueError, match="fit_intercept is False"):
        GDRegressor(fit_intercept=False).fit(X, y, intercept_init=1.0)
    with pytest.raises(ValueError, match="linear models"):
        GDRegressor((8,)).fit(X, y, coef_init=coefficients)


def test_adaptive_rate_falls_before_the_end(raw):
    X, y = raw
    settings = {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1, "max_iter": 500, "tol": 1e-2}
    estimator = GDRegressor(**settings, n_iter_no_change=1, random_state=0).fit(X, y)
    rates = estimator.trainer_.history.learning_rate
    assert estimator.converged_
    assert rates[0] == 0.1
    assert rates[-1] < 1e-6


def test_early_stopping_keeps_the_best_epoch(raw):
    X, y = raw
    noise = np.random.default_rng(0).normal(size=(30, 4))
    estimator = GDRegressor((64,), early_stopping=True, n_iter_no_change=4, random_state=0, max_iter=50)
    estimator.set_params(max_iter=100).fit(noise, noise[:, 0] ** 2, X_val=noise[:10], y_val=noise[:10, 1])
    best = int(np.argmin(estimator.validation_loss_curve_))
    assert estimator.converged_
    assert estimator.n_iter_ > best + 1
    assert estimator.best_loss_ == estimator.validation_loss_curve_[best]
    assert estimator.best_validation_score_ == estimator.validation_scores_[best] == -estimator.best_loss_
    assert estimator.model_.loss(noise[:10], noise[:10, 1]) == estimator.best_loss_
    held_out = GDRegressor(early_stopping=True, random_state=0).fit(X, y)
    assert held_out.score(X, y) > 0.99
    assert GDRegressor(random_state=0).fit(X, y, X_val=X, y_val=y).validation_loss_curve_[-1] < 0.01


def test_validation_data_are_checked(raw):
    X, y = raw
    for given in ({"X_val": X}, {"y_val": y}, {"sample_weight_val": np.ones(200)}):
        with pytest.raises(ValueError, match="expected X_val and y_val"):
            GDRegressor().fit(X, y, **given)
    with pytest.raises(ValueError, match="3 features"):
        GDRegressor().fit(X, y, X_val=X[:, :3], y_val=y)
    with pytest.raises(ValueError, match="sample_weight_val"):
        GDRegressor().fit(X, y, X_val=X, y_val=y, sample_weight_val=np.zeros(200))


def test_warm_start_goes_on(raw):
    X, y = raw
    twice = GDRegressor((8,), warm_start=True, max_iter=3, tol=None, random_state=0).fit(X, y).fit(X, y)
    once = GDRegressor((8,), max_iter=6, tol=None, random_state=0).fit(X, y)
    np.testing.assert_array_equal(twice.predict(X), once.predict(X))
    assert (twice.n_iter_, len(twice.loss_curve_), twice.t_) == (3, 6, once.t_)
    with pytest.raises(ValueError, match="activation"):
        twice.set_params(activation="tanh").fit(X, y)


def test_warm_start_with_another_penalty(raw):
    X, y = raw
    path = GDRegressor(warm_start=True, penalty="l1", random_state=0, max_iter=30)
    sizes = [np.abs(path.set_params(alpha=alpha).fit(X, y).coef_ * X.std(axis=0)).sum() for alpha in (0.5, 0.1, 0.0)]
    assert sizes == sorted(sizes)


def test_copies_go_on_by_themselves(raw):
    X, y = raw
    estimator = GDRegressor((8,), random_state=0, max_iter=3).fit(X, y)
    copied = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copied.predict(X), estimator.predict(X))
    estimator.partial_fit(X[:50], y[:50])
    assert (copied.predict(X) != estimator.predict(X)).any()
    np.testing.assert_array_equal(copied.partial_fit(X[:50], y[:50]).predict(X), estimator.predict(X))


def test_callbacks_are_called(raw):
    X, y = raw
    seen = []
    stop = gd.callbacks.EarlyStopping(monitor="loss", patience=1, min_delta=1.0)
    estimator = GDRegressor(callbacks=[lambda trainer, record: seen.append(record.epoch), stop], random_state=0)
    for _ in range(2):
        estimator.fit(X, y)
    assert seen == [1, 2, 1, 2]
    assert stop.is_new
    assert estimator.callbacks_[1].best_epoch == 1


def test_progress_is_shown(raw, capsys):
    X, y = raw
    GDRegressor(verbose=2, max_iter=2, random_state=0).fit(X, y)
    assert "epoch 2/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"loss": "mse"}, "loss is 'mse'.*'squared_error'"),
        (
            {"hidden_layer_sizes": (0,)},
            r"hidden_layer_sizes is \(0,\); expected an integer of at least 1 for each hidden layer",
        ),
        ({"hidden_layer_sizes": (8, 8), "activation": ["relu"]}, "one for each of 2"),
        ({"activation": "softplus"}, "activation is 'softplus'"),
        ({"penalty": "l3"}, "penalty is 'l3'"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"l1_ratio": 2.0, "penalty": "elasticnet"}, "l1_ratio is 2.0"),
        ({"solver": "lbfgs"}, "solver is 'lbfgs'"),
        ({"solver": gd.SGD(0.1), "learning_rate_init": 0.1}, "the solver's own rate"),
        ({"learning_rate": "linear"}, "learning_rate is 'linear'"),
        ({"learning_rate": 0.01}, "learning_rate is 0.01, and names a schedule; expected learning_rate_init=0.01"),
        ({"learning_rate": "optimal", "alpha": 0.0}, "alpha is 0.0"),
        ({"learning_rate_init": 0.0}, "learning_rate_init is 0.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"tol": -1.0}, "tol is -1.0"),
        ({"n_iter_no_change": 0}, "n_iter_no_change is 0"),
        ({"early_stopping": True, "validation_fraction": 1.0}, "validation_fraction is 1.0"),
        ({"early_stopping": True, "average": True}, "expected one of them"),
        ({"standardize": "robust"}, "standardize is 'robust'"),
        ({"penalty": "none"}, "penalty is 'none'; expected None"),
    ],
)
def test_parameters_are_checked(raw, parameters, words):
    X, y = raw
    estimator = GDRegressor(**parameters)
    with pytest.raises(ValueError, match=words):
        estimator.fit(X, y)
    with pytest.raises(NotFittedError):
        estimator.predict(X)


def test_a_refit_that_fails_keeps_what_was_fitted(raw):
    X, y = raw
    estimator = GDRegressor(max_iter=1, random_state=0).fit(X, y)
    predicted = estimator.predict(X)
    estimator.set_params(loss="poisson")
    with pytest.raises(ValueError, match="at least 0"):
        estimator.fit(X[:, :2], -y)
    np.testing.assert_array_equal(estimator.predict(X), predicted)


def test_a_weight_that_is_given_counts_where_a_feature_does_not_vary(raw):
    X, y = raw
    X = np.column_stack([X, np.full(len(X), 3.0)])
    found = GDRegressor(alpha=0, random_state=0).fit(X, y, coef_init=np.r_[np.zeros(X.shape[1] - 1), 5])
    assert found.coef_[-1] == pytest.approx(5)
    plain = GDRegressor(alpha=0, random_state=0).fit(X, y)
    assert plain.coef_[-1] == 0
    np.testing.assert_allclose(found.predict(X), plain.predict(X), rtol=1e-3)
