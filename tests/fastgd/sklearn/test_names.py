"""Parameters and attributes have scikit-learn's names."""

import inspect

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fastgd.sklearn import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# The rate's first is learning_rate_init, as MLP* calls it; all classes are one model; there is no lbfgs.
RENAMED = {"eta0", "n_jobs", "max_fun"}
NETWORKS = MLPRegressor, MLPClassifier


@pytest.mark.parametrize("theirs", [SGDRegressor, SGDClassifier, *NETWORKS])
def test_parameters(theirs):
    ours = GDClassifier if is_classifier(theirs()) else GDRegressor
    assert inspect.signature(theirs).parameters.keys() - inspect.signature(ours).parameters.keys() <= RENAMED


@pytest.mark.slow
@pytest.mark.parametrize("theirs", [SGDRegressor, SGDClassifier, *NETWORKS])
def test_attributes(raw, theirs):
    X, y = raw
    theirs = theirs(max_iter=2)
    kind, y = (GDClassifier, y > y.mean()) if is_classifier(theirs) else (GDRegressor, y)
    ours = kind((8,) if isinstance(theirs, NETWORKS) else (), max_iter=2).fit(X, y)
    theirs.fit((X - X.mean(axis=0)) / X.std(axis=0), y)
    public = [name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")]
    assert [name for name in public if not hasattr(ours, name)] == []


@pytest.mark.parametrize("kind", [GDRegressor, GDClassifier])
def test_losses_and_scores(raw, kind):
    X, y = raw
    y = y > y.mean() if kind is GDClassifier else y
    without = kind(max_iter=3).fit(X, y)
    assert without.loss_ == without.loss_curve_[-1]
    assert without.validation_scores_ is without.best_validation_score_ is None
    estimator = kind(max_iter=3, early_stopping=True).fit(X, y)
    assert estimator.validation_scores_ == [-loss for loss in estimator.validation_loss_curve_]
    assert estimator.best_validation_score_ == max(estimator.validation_scores_) == -estimator.best_loss_


@pytest.mark.slow
def test_output_activations(raw):
    X, y = raw
    classes = [y > y.mean(), (y > y.mean()) + 1 * (y > y.max() - y.std())]
    for labels in classes:
        theirs = MLPClassifier(max_iter=1).fit(X, labels)
        assert GDClassifier(max_iter=1).fit(X, labels).out_activation_ == theirs.out_activation_
    assert GDClassifier(loss="hinge", max_iter=1).fit(X, classes[0]).out_activation_ == "identity"
    for loss in ("squared_error", "poisson"):
        theirs = MLPRegressor(loss, max_iter=1).fit(X / 1e5, y / 1e5)
        assert GDRegressor(loss=loss, max_iter=1).fit(X / 1e5, y / 1e5).out_activation_ == theirs.out_activation_


@pytest.mark.parametrize("kind", [GDRegressor, GDClassifier])
def test_the_penalty_is_known(raw, kind):
    X, y = raw
    y = y > y.mean() if kind is GDClassifier else y
    found = kind(random_state=0).fit(X, y)
    assert found.alpha_ >= 1 / len(y)
    chosen = kind(alpha=found.alpha_, random_state=0).fit(X, y)
    assert chosen.alpha_ == found.alpha_
    np.testing.assert_allclose(chosen.coef_, found.coef_, rtol=1e-2)
