"""The estimators inside scikit-learn's own."""

import doctest
import importlib

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastgd.sklearn import GDClassifier, GDRegressor

# Most of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


sklearn_version = tuple(map(int, sklearn.__version__.split(".")[:2]))


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True, as_frame=True)


def test_parameters_are_found_and_cloned():
    estimator = GDRegressor((8, 4), alpha=0.1, activation=["relu", "tanh"])
    assert estimator.get_params()["hidden_layer_sizes"] == (8, 4)
    assert clone(estimator).get_params() == estimator.get_params()
    assert repr(estimator) == "GDRegressor(activation=['relu', 'tanh'], alpha=0.1, hidden_layer_sizes=(8, 4))"
    assert "GDRegressor" in estimator._repr_html_()


@pytest.mark.parametrize("kind", [GDRegressor, GDClassifier])
def test_examples(kind):
    assert doctest.testmod(importlib.import_module(kind.__module__)).failed == 0


def test_html_shows_what_was_fitted(diabetes):
    html = GDRegressor(max_iter=2, random_state=0).fit(*diabetes)._repr_html_()
    assert "GDRegressor" in html
    # There is no page for it yet, and scikit-learn's has none.
    assert "href=" not in html
    if sklearn_version >= (1, 9):
        assert "coef_" in html
        assert "loss_curve_" in html


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_grid_search(diabetes, backend):
    import joblib

    X, y = diabetes
    grid = {"alpha": [1e-4, 10.0], "hidden_layer_sizes": [(), (8,)]}
    with joblib.parallel_backend(backend, n_jobs=2):
        search = GridSearchCV(GDRegressor(random_state=0, max_iter=20), grid, cv=3).fit(X, y)
    assert search.best_params_["alpha"] == 1e-4
    assert search.best_score_ > 0.4
    serial = GridSearchCV(GDRegressor(random_state=0, max_iter=20), grid, cv=3).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], serial.cv_results_["mean_test_score"])


def test_cross_validation(cancer):
    X, y = cancer
    assert cross_val_score(GDClassifier(random_state=0), X, y).mean() > 0.96


def test_calibration_and_stacking(cancer):
    X, y = cancer
    calibrated = CalibratedClassifierCV(GDClassifier(loss="hinge", random_state=0), cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.97
    stacked = StackingClassifier([("gd", GDClassifier(random_state=0))], LogisticRegression(), cv=3).fit(X, y)
    assert stacked.score(X, y) > 0.97


def test_several_outputs_and_scaled_targets(cancer, diabetes):
    X, y = cancer
    several = MultiOutputClassifier(GDClassifier(random_state=0, max_iter=5)).fit(X, np.column_stack([y, 1 - y]))
    assert several.predict(X).shape == (569, 2)
    X, y = diabetes
    transformed = TransformedTargetRegressor(GDRegressor(random_state=0), transformer=StandardScaler())
    assert transformed.fit(X, y).score(X, y) > 0.5


def test_columns_of_words_and_set_output(diabetes):
    X, y = diabetes
    X = X.assign(sex=np.where(X["sex"] > 0, "f", "m"))
    columns = ColumnTransformer(
        [("words", OneHotEncoder(sparse_output=False), ["sex"])], remainder="passthrough"
    ).set_output(transform="pandas")
    pipeline = make_pipeline(columns, GDRegressor(random_state=0)).fit(X, y)
    assert "words__sex_f" in pipeline[-1].feature_names_in_
    assert pipeline.score(X, y) > 0.5


@pytest.fixture
def _routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("_routing")
def test_validation_rows_go_through_a_pipeline(diabetes):
    X, y = diabetes
    X_val, y_val = X[300:] + 1e3, y[300:]
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("gd", GDRegressor(random_state=0, early_stopping=True))],
        transform_input=["X_val"],
    )
    pipeline.fit(X[:300] + 1e3, y[:300], X_val=X_val, y_val=y_val)
    scaler, regressor = pipeline
    found = regressor.model_.loss(scaler.transform(X_val), y_val)
    assert found == pytest.approx(min(regressor.validation_loss_curve_))
    assert regressor.score(scaler.transform(X_val), y_val) > 0.3


@pytest.mark.usefixtures("_routing")
def test_weights_are_routed_where_they_are_asked_for(diabetes):
    X, y = diabetes
    estimator = GDRegressor(random_state=0, max_iter=3).set_fit_request(sample_weight=True)
    estimator.set_score_request(sample_weight=False)
    search = GridSearchCV(estimator, {"alpha": [0.1]}, cv=2).fit(X, y, sample_weight=np.arange(442))
    assert search.best_score_ > 0
    requests = estimator.get_metadata_routing().fit.requests
    requested = {name for name, is_requested in requests.items() if is_requested}
    assert requested == {"X_val", "y_val", "sample_weight_val", "sample_weight"}


def test_a_pipeline_without_routing(diabetes):
    X, y = diabetes
    pipeline = make_pipeline(StandardScaler(), GDRegressor(random_state=0, max_iter=3))
    pipeline.fit(X, y, gdregressor__sample_weight=pd.Series(np.ones(442)))
    assert pipeline.score(X, y) > 0.4


class Recorder:
    """A callback of scikit-learn that notes what it is told, and stops after three epochs."""

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.events.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.events.append(f"end {context.task_name} {context.task_id}, {fitted_estimator.score(X, y) > 0}")
        return context.task_name == "epoch" and context.task_id == 2


@pytest.mark.skipif(sklearn_version < (1, 9), reason="scikit-learn's callbacks came with 1.9")
def test_callbacks_of_scikit_learn(diabetes):
    X, y = diabetes
    recorder = Recorder()
    estimator = GDRegressor(random_state=0).set_callbacks(recorder).fit(X, y)
    epochs = [f"{what} epoch {k}{score}" for k in range(3) for what, score in (("begin", ""), ("end", ", True"))]
    assert recorder.events == ["setup", "begin fit 0", *epochs, "end fit 0, True", "teardown"]
    assert estimator.n_iter_ == 3
    recorder.events.clear()
    with pytest.raises(ValueError, match="alpha"):
        clone(estimator).set_params(alpha=-1).fit(X, y)
    assert recorder.events == ["setup", "begin fit 0", "teardown"]
    with pytest.raises(TypeError, match="FitCallback"):
        estimator.set_callbacks(print)


@pytest.mark.skipif(sklearn_version < (1, 9), reason="scikit-learn's callbacks came with 1.9")
def test_scores_are_monitored(diabetes):
    from sklearn.callback import ScoringMonitor

    X, y = diabetes
    monitor = ScoringMonitor(scoring="r2")
    estimator = GDRegressor((8,), random_state=0, max_iter=3).set_callbacks(monitor).fit(X, y)
    scores = [each["r2"] for each in monitor.get_logs().data if each["task_name"] == "epoch"]
    expected = [GDRegressor((8,), random_state=0, max_iter=n, tol=None).fit(X, y).score(X, y) for n in (1, 2, 3)]
    assert scores == expected
    assert estimator.score(X, y) == scores[-1]
