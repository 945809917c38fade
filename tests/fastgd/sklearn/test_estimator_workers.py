"""The estimators inside scikit-learn's own that use several threads or processes: same results, no oversubscription."""

from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from shared_products import share_every_product
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastgd import kernels, threads
from fastgd.sklearn import GDClassifier, GDRegressor

# All of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_breast_cancer(return_X_y=True)
BOTH = np.column_stack([Y, X[:, 0] > 14]).astype(int)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 1, len(X))
SHORT = {"random_state": 0, "max_iter": 5}
HIDDEN = pytest.mark.parametrize("hidden", [(), (8,)])


def classifier(hidden=(), **settings):
    return GDClassifier(hidden, **SHORT | settings)


def test_threads_of_joblib_have_one_thread_each(monkeypatch):
    share_every_product(monkeypatch, 4)
    monkeypatch.setattr("fastgd.network.most_threads", threads.most_threads)
    monkeypatch.setattr(threads, "usable_processors", lambda: 4)
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)
    given = []
    make = kernels.products
    monkeypatch.setattr(kernels, "products", lambda *sizes: (given.append(sizes[-1]), make(*sizes))[1])

    def learn():
        return GDRegressor((64,), **SHORT).fit(X, Y).predict(X)

    expected = learn()
    assert set(given) == {4}
    given.clear()
    for found in joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(learn)() for _ in range(2)):
        np.testing.assert_array_equal(found, expected)
    assert set(given) == {1}
    # A thread that is not joblib's may have all.
    given.clear()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(learn).result()
    assert set(given) == {4}


@pytest.mark.slow
def test_processes_of_joblib_share_the_processors(monkeypatch):
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)
    found = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(threads.most_threads)() for _ in range(2))
    assert max(found) <= max(threads.usable_processors() // 2, 1)


def fits_of(hidden):
    """What is fitted and what its result is to be compared by, for some number of jobs."""
    of_two = [("gd", classifier(hidden)), ("hinge", classifier(hidden, loss="hinge"))]
    return {
        "bagging": lambda n: BaggingClassifier(classifier(hidden), 3, n_jobs=n, random_state=0).fit(X, Y, WEIGHTS),
        "stacking": lambda n: StackingClassifier(of_two, LogisticRegression(), cv=3, n_jobs=n).fit(X, Y),
        "calibration": lambda n: CalibratedClassifierCV(classifier(hidden), cv=3, n_jobs=n).fit(X, Y, WEIGHTS),
        "search": lambda n: GridSearchCV(classifier(hidden), {"alpha": [1e-3, 1.0]}, cv=3, n_jobs=n).fit(X, Y),
    }


@pytest.mark.slow
@HIDDEN
@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("name", fits_of(()))
def test_two_jobs_learn_what_one_does(name, backend, hidden):
    fit = fits_of(hidden)[name]
    with joblib.parallel_config(backend):
        found = fit(2)
    assert found.score(X, Y) > 0.95
    np.testing.assert_array_equal(found.predict_proba(X), fit(None).predict_proba(X))


@pytest.mark.slow
@HIDDEN
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_cross_validation_and_several_outputs(backend, hidden):
    regressor = GDRegressor(hidden, **SHORT)
    calls = [
        lambda n: cross_val_score(classifier(hidden), X, Y, cv=3, n_jobs=n),
        lambda n: cross_val_predict(classifier(hidden), X, Y, method="predict_proba", cv=3, n_jobs=n),
        lambda n: MultiOutputClassifier(classifier(hidden), n_jobs=n).fit(X, BOTH, WEIGHTS).predict_proba(X)[1],
        lambda n: MultiOutputRegressor(regressor, n_jobs=n).fit(X, BOTH).predict(X),
    ]
    for call in calls:
        with joblib.parallel_config(backend):
            found = call(2)
        np.testing.assert_array_equal(found, call(None))


def test_each_output_of_a_stream():
    several = MultiOutputClassifier(classifier())
    for rows in range(0, 500, 100):
        block = slice(rows, rows + 100)
        several.partial_fit(X[block], BOTH[block], classes=[[0, 1], [0, 1]])
    assert several.score(X, BOTH) > 0.85


def test_sparse_columns_and_frames_of_other_libraries():
    frame, y = load_diabetes(return_X_y=True, as_frame=True)
    encoded = make_column_transformer((OneHotEncoder(), ["sex"]), remainder="passthrough", sparse_threshold=1.0)
    pipeline = make_pipeline(encoded, GDRegressor(random_state=0)).fit(frame, y)
    assert pipeline[:-1].transform(frame).format == "csr"
    assert pipeline.score(frame, y) > 0.5
    for kind in ("pandas", "polars"):
        pipeline = make_pipeline(StandardScaler(), GDRegressor(**SHORT)).set_output(transform=kind).fit(frame, y)
        assert pipeline[-1].feature_names_in_.tolist() == list(frame)


def test_validation_rows_without_routing():
    scaled = StandardScaler().fit_transform(X)
    pipeline = make_pipeline(StandardScaler(), classifier(early_stopping=True))
    pipeline.fit(X, Y, gdclassifier__X_val=scaled[:100], gdclassifier__y_val=Y[:100])
    assert len(pipeline[-1].validation_loss_curve_) == 5


@pytest.mark.slow
def test_validation_rows_and_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = classifier(early_stopping=True).set_fit_request(sample_weight=True)
        estimator.set_score_request(sample_weight=True)
        # Those of the scaler are its own.
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = Pipeline([("scale", scaler), ("gd", estimator)], transform_input=["X_val"])
        search = GridSearchCV(pipeline, {"gd__alpha": [1e-3, 1.0]}, cv=2)
        validation = {"X_val": pd.DataFrame(X[:100]), "y_val": Y[:100], "sample_weight_val": WEIGHTS[:100]}
        search.fit(pd.DataFrame(X), Y, sample_weight=WEIGHTS, **validation)
        assert search.best_score_ > 0.9
        found = search.best_estimator_[-1]
        expected = pipeline[:-1].fit(X).transform(X)
        by_hand = classifier(early_stopping=True, alpha=search.best_params_["gd__alpha"])
        by_hand.fit(expected, Y, WEIGHTS, X_val=expected[:100], y_val=Y[:100], sample_weight_val=WEIGHTS[:100])
        np.testing.assert_allclose(found.validation_loss_curve_, by_hand.validation_loss_curve_)
        asked = classifier().set_fit_request(sample_weight=True)
        for meta in (
            CalibratedClassifierCV(asked, cv=3),
            StackingClassifier([("gd", asked)], asked, cv=3),
            BaggingClassifier(asked, 2),
        ):
            assert meta.fit(X, Y, sample_weight=WEIGHTS).score(X, Y) > 0.9
        scored = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        assert cross_val_score(scored, X, Y, params={"sample_weight": WEIGHTS}, cv=3).mean() > 0.9
