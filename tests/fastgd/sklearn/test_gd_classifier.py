import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, make_multilabel_classification
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastgd import losses
from fastgd.sklearn import GDClassifier
from fastgd.sklearn.classes import Classes
from fastgd.sklearn.rows import held_out

# Most of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="module")
def multilabel():
    X, Y = make_multilabel_classification(200, 6, n_classes=3, random_state=0)
    return X * 1000 + 1e5, Y


@pytest.mark.parametrize("hidden", [(), (16,)])
def test_unscaled_features(iris, cancer, hidden):
    X, y = cancer
    classifier = GDClassifier(hidden, random_state=0).fit(X, y)
    assert classifier.score(X, y) > 0.98
    assert classifier.decision_function(X).shape == (569,)
    X, y = iris
    assert GDClassifier(hidden, random_state=0).fit(X * [1, 1e3, 1e-3, 1], y).score(X * [1, 1e3, 1e-3, 1], y) > 0.95


def test_probabilities_of_two_classes(cancer):
    X, y = cancer
    classifier = GDClassifier(random_state=0, max_iter=5).fit(X, y)
    z, p = classifier.decision_function(X), classifier.predict_proba(X)
    assert p.shape == (569, 2)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(X)), p)
    np.testing.assert_array_equal(classifier.predict(X), (z > 0).astype(int))
    np.testing.assert_allclose(z, X @ classifier.coef_[0] + classifier.intercept_)
    assert (classifier.coef_.shape, classifier.intercept_.shape) == ((1, 30), (1,))


def test_probabilities_of_three_classes(iris):
    X, y = iris
    classifier = GDClassifier(random_state=0).fit(X, y)
    z, p = classifier.decision_function(X), classifier.predict_proba(X)
    np.testing.assert_allclose(p, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(X)), p)
    np.testing.assert_allclose(z, X @ classifier.coef_.T + classifier.intercept_)
    theirs = LogisticRegression(max_iter=1000).fit(X, y)
    assert np.abs(p - theirs.predict_proba(X)).mean() < 0.1


def test_log_probabilities_keep_their_digits():
    X = np.array([[-1.0], [1.0]])
    classifier = GDClassifier(random_state=0, standardize=False, shuffle=False).fit(X, [0, 1])
    far = X * 10_000
    assert (classifier.predict_proba(far) == 0).any()
    assert np.isfinite(classifier.predict_log_proba(far)).all()


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["setosa", "versicolor", "virginica"]),
        np.array(["setosa", "versicolor", "virginica"], object),
        np.array([-1, 5, 7], np.int8),
        np.array([0.0, 2.0, 10.0]),
    ],
)
def test_labels_of_any_kind(iris, labels):
    X, y = iris
    numbers = GDClassifier(random_state=0, max_iter=5).fit(X, y)
    classifier = GDClassifier(random_state=0, max_iter=5).fit(X, labels[y])
    np.testing.assert_array_equal(classifier.predict(X), labels[numbers.predict(X)])
    np.testing.assert_array_equal(classifier.classes_, labels)


def test_boolean_and_categorical_labels(cancer):
    X, y = cancer
    assert GDClassifier(random_state=0, max_iter=5).fit(X, y == 1).predict(X).dtype == bool
    words = pd.Series(np.array(["malignant", "benign"])[y])
    for column in (words, words.astype("category"), words.astype("string")):
        predicted = GDClassifier(random_state=0, max_iter=5).fit(X, column).predict(X)
        assert set(predicted) == {"malignant", "benign"}


def test_several_labels_a_row(multilabel):
    X, Y = multilabel
    classifier = GDClassifier(random_state=0).fit(X, Y)
    assert classifier.classes_.tolist() == [0, 1, 2]
    theirs = MultiOutputClassifier(make_pipeline(StandardScaler(), LogisticRegression())).fit(X, Y)
    assert (classifier.predict(X) == Y).mean() > (theirs.predict(X) == Y).mean() - 0.02
    p = classifier.predict_proba(X)
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-classifier.decision_function(X))))
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(X)), p)
    with pytest.raises(ValueError, match="sample_weight"):
        GDClassifier(class_weight="balanced").fit(X, Y)


def test_each_label_is_a_classifier_of_its_own(multilabel):
    X, Y = multilabel
    settings = {"solver": "sgd", "learning_rate_init": 0.01, "max_iter": 3, "shuffle": False}
    together = GDClassifier(**settings).fit(X, Y)
    for label in range(3):
        alone = GDClassifier(**settings).fit(X, Y[:, label])
        np.testing.assert_allclose(together.decision_function(X)[:, label], alone.decision_function(X))


@pytest.mark.parametrize(
    "loss",
    [
        "hinge",
        *(
            pytest.param(loss, marks=pytest.mark.slow)
            for loss in ("squared_hinge", "modified_huber", "perceptron", "squared_error", "huber")
        ),
    ],
)
def test_losses(iris, cancer, loss):
    X, y = cancer
    classifier = GDClassifier(loss=loss, random_state=0).fit(X, y)
    assert classifier.score(X, y) > 0.95
    X, y = iris
    classifier = GDClassifier(loss=loss, random_state=0).fit(X, y)
    assert classifier.score(X, y) > 0.8
    assert hasattr(classifier, "predict_proba") == (loss == "modified_huber")
    if loss == "modified_huber":
        np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1)


@pytest.mark.slow
def test_probabilities_of_modified_huber(cancer):
    X, y = cancer
    classifier = GDClassifier(loss="modified_huber", random_state=0, max_iter=5).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X)[:, 1] > 0.5, classifier.predict(X) == 1)
    three = Classes(np.arange(3), is_multilabel=False)
    z = np.array([[-2.0, -1.0, -3.0], [0.0, 5.0, -1.0]])
    expected = [[1 / 3, 1 / 3, 1 / 3], [1 / 3, 2 / 3, 0]]
    np.testing.assert_allclose(three.probabilities(z, losses.as_loss("modified_huber")), expected)


@pytest.mark.parametrize("as_given", [np.asarray, csr_matrix])
@pytest.mark.parametrize(("learning_rate", "alpha"), [("optimal", 0.01), ("constant", 0.01), ("constant", 1e5)])
def test_online_steps_are_those_of_sgd(cancer, learning_rate, alpha, as_given):
    X, y = cancer
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    settings = {"loss": "hinge", "shuffle": False, "max_iter": 2, "tol": None, "learning_rate": learning_rate}
    theirs = SGDClassifier(**settings, alpha=alpha, eta0=0.07).fit(X, y)
    ours = GDClassifier(**settings, alpha=alpha, solver="sgd", learning_rate_init=0.07, batch_size=1, standardize=False)
    ours.fit(as_given(X), y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_)


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_class_weights_are_sample_weights(cancer, hidden):
    X, y = cancer
    classifier = GDClassifier(hidden, random_state=0, max_iter=3)
    by_class = clone(classifier).set_params(class_weight={0: 3.0, 1: 1.0}).fit(X, y)
    by_row = clone(classifier).fit(X, y, sample_weight=np.where(y == 0, 3.0, 1.0))
    np.testing.assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    balanced = clone(classifier).set_params(class_weight="balanced").fit(X, y)
    by_row = clone(classifier).fit(X, y, sample_weight=1 / np.bincount(y)[y])
    np.testing.assert_allclose(balanced.predict_proba(X), by_row.predict_proba(X), rtol=1e-6)


def test_balanced_classes_are_found_more_often(rng):
    X = rng.normal(size=(500, 2)) * [1, 100]
    y = X[:, 0] + rng.normal(size=500) > 2
    plain = GDClassifier(random_state=0).fit(X, y).predict(X).sum()
    assert GDClassifier(class_weight="balanced", random_state=0).fit(X, y).predict(X).sum() > 2 * plain


def test_early_stopping_holds_out_some_of_each_class():
    X = np.random.default_rng(0).normal(size=(100, 2))
    y = np.repeat([0, 1, 2], [80, 10, 10])
    classifier = GDClassifier(early_stopping=True, validation_fraction=0.2, random_state=0, max_iter=3)
    assert len(classifier.fit(X, y).validation_loss_curve_) == 3
    for seed in range(20):
        rows = held_out(100, 0.2, np.random.default_rng(seed), y)
        assert np.bincount(y[rows]).tolist() == [16, 2, 2]


def test_float32_stays(iris):
    X, y = iris
    classifier = GDClassifier(random_state=0, max_iter=5).fit(X.astype(np.float32), y)
    kept = [classifier.coef_, classifier.predict_proba(X), classifier.decision_function(X)]
    kept += [classifier.predict_log_proba(X), classifier.intercept_]
    assert {array.dtype for array in kept} == {np.dtype(np.float32)}


def test_targets_are_checked(iris):
    X, y = iris
    with pytest.raises(ValueError, match="Unknown label type"):
        GDClassifier().fit(X, y + 0.5)
    with pytest.raises(ValueError, match="at least two classes"):
        GDClassifier().fit(X, np.zeros(150))
    with pytest.raises(ValueError, match="several classes a row"):
        GDClassifier().fit(X, np.column_stack([y, y]))
    with pytest.raises(ValueError, match="class_weight is 'equal'"):
        GDClassifier(class_weight="equal").fit(X, y)
    with pytest.raises(ValueError, match="'virginica' in row 0"):
        GDClassifier().fit(X, np.array(["a", "b", "c"])[y], X_val=X, y_val=["virginica"] * 150)
    with pytest.warns(DataConversionWarning):
        assert GDClassifier(max_iter=1).fit(X, y[:, None]).predict(X).shape == (150,)


def test_warm_start_wants_the_same_classes(iris):
    X, y = iris
    classifier = GDClassifier(warm_start=True, random_state=0, max_iter=3).fit(X, y).fit(X, y)
    for other in (y % 2, y + 1, np.array(["a", "b", "c"])[y]):
        before = classifier.coef_
        with pytest.raises(ValueError, match=r"same classes as in the previous call to fit. Previously got \[0 1 2\]"):
            classifier.fit(X, other)
        np.testing.assert_array_equal(classifier.coef_, before)
    # Rows to validate on, and those of partial_fit, may lack some.
    classifier.fit(X, y, X_val=X[:50], y_val=y[:50]).partial_fit(X[:50], y[:50])
