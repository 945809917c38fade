"""Pipelines that skl2onnx converts."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastgd.sklearn import GDClassifier, GDRegressor, register_skl2onnx

# These say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def converted():
    """What runs a pipeline after skl2onnx has converted it."""
    skl2onnx, onnxruntime = pytest.importorskip("skl2onnx"), pytest.importorskip("onnxruntime")
    register_skl2onnx()

    def run(pipeline, X, **options):
        graph = skl2onnx.to_onnx(pipeline, X[:1], options=options)
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {"X": X})

    return run


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_numbers(converted, iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), GDRegressor(max_iter=3, random_state=0)).fit(X, y)
    np.testing.assert_allclose(converted(pipeline, X)[0][:, 0], pipeline.predict(X))
    (found,) = converted(pipeline, X.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], pipeline.predict(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labels", [np.array(["a", "b", "c"]), np.array([5, 7, -1]), np.array([False, True, True])])
def test_classes(converted, iris, labels):
    X, y = iris[0], labels[iris[1]]
    pipeline = make_pipeline(StandardScaler(), GDClassifier(max_iter=3, random_state=0)).fit(X, y)
    label, probabilities = converted(pipeline, X, zipmap=False)
    np.testing.assert_array_equal(label, pipeline.predict(X))
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), rtol=1e-9)
    # ZipMap is of float32 alone.
    label, rows = converted(pipeline, X.astype(np.float32))
    assert list(rows[0]) == pipeline.classes_.tolist()


def test_scores_and_labels_that_it_does_not_have(converted, iris):
    X, y = iris
    classifier = GDClassifier(loss="hinge", max_iter=3, random_state=0).fit(X, y)
    label, scores = converted(classifier, X, zipmap=False)
    np.testing.assert_array_equal(label, classifier.predict(X))
    np.testing.assert_allclose(scores, classifier.decision_function(X))
    fractions = GDClassifier(max_iter=1, random_state=0)
    fractions.partial_fit(X, y, classes=[0, 1, 2, 2.5])
    with pytest.raises(ValueError, match="labels of whole numbers or strings"):
        converted(fractions, X, zipmap=False)


def test_without_skl2onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match="register_skl2onnx needs the package skl2onnx"):
        register_skl2onnx()
