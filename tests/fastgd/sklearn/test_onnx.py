"""Estimators as ONNX, run by onnxruntime: label and probabilities as skl2onnx gives them."""

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_multilabel_classification

from fastgd.sklearn import GDClassifier, GDRegressor

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

# These say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def run(path, X):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X}), strict=True))


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X * [1, 1e3, 1e-3, 1] + [0, 0, 0, 1e4], y


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "loss"), [(np.float32, "squared_error"), (np.float64, "poisson")])
def test_numbers(iris, dtype, loss, tmp_path):
    X, y = iris[0].astype(dtype), iris[1].astype(dtype)
    regressor = GDRegressor(loss=loss, max_iter=3, random_state=0).fit(X, y)
    regressor.to_onnx(tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", X)
    assert list(found) == ["variable"]
    assert (found["variable"].dtype, found["variable"].shape) == (dtype, (150, 1))
    np.testing.assert_allclose(found["variable"][:, 0], regressor.predict(X), rtol=1e-4, atol=1e-6)


OTHERS = ["modified_huber", "hinge"]
NAMES = np.array(["setosa", "versicolor", "virginica"], object)


@pytest.mark.parametrize("loss", ["log_loss", *(pytest.param(loss, marks=pytest.mark.slow) for loss in OTHERS)])
@pytest.mark.parametrize("labels", [NAMES, NAMES[[0, 1, 1]] == "setosa"], ids=["three", "two"])
def test_classes(iris, loss, labels, tmp_path):
    X, y = iris[0], labels[iris[1]]
    classifier = GDClassifier(loss=loss, max_iter=3, random_state=0).fit(X, y)
    classifier.to_onnx(tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", X)
    np.testing.assert_array_equal(found["label"], classifier.predict(X))
    if loss == "hinge":
        z = classifier.decision_function(X)
        np.testing.assert_allclose(found["scores"], z.reshape(150, -1), rtol=1e-9)
    else:
        np.testing.assert_allclose(found["probabilities"], classifier.predict_proba(X), rtol=1e-9, atol=1e-15)


def test_several_labels_a_row(tmp_path):
    X, Y = make_multilabel_classification(50, 6, n_classes=3, random_state=0)
    classifier = GDClassifier(max_iter=3, random_state=0).fit(X, Y)
    classifier.to_onnx(tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", X)
    np.testing.assert_array_equal(found["label"], classifier.predict(X))
    np.testing.assert_allclose(found["probabilities"], classifier.predict_proba(X), rtol=1e-9, atol=1e-15)
