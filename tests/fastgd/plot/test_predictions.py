"""Pictures of predictions have the model's."""

import numpy as np
import pytest
from pictures import lines, rendered

import fastgd as gd


def test_predicted_against_true():
    model = gd.Model([gd.Linear(2, 2, init=[[1, 0], [0, 2]])])
    X, y = np.array([[1, 2], [3, 5]], np.float32), np.array([[1, 3], [3, 11]])
    ax = rendered(gd.plot.predicted(model, X, y))
    np.testing.assert_array_equal(ax.lines[0].get_data(), [[1, 3], [1, 3]])
    np.testing.assert_array_equal(ax.lines[1].get_data(), [[3, 11], [4, 10]])
    diagonal = lines(ax)["predicted"]
    np.testing.assert_array_equal(diagonal[0], diagonal[1])
    assert ax.get_xlim() == ax.get_ylim()
    ax = gd.plot.predicted(model, X, y, loss="poisson")
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.exp([4, 10]), rtol=1e-6)


def test_many_predictions_are_a_density():
    model = gd.Model([gd.Linear(1, 1, init=[[1]])])
    X = np.linspace(0, 1, 6000, dtype=np.float32)[:, None]
    ax = rendered(gd.plot.predicted(model, X, X))
    assert [line.get_label() for line in ax.lines] == ["predicted = true"]
    assert ax.collections[0].get_array().sum() == 6000


class Classifier:
    """Says what it is given."""

    classes_ = np.array(["a", "b", "c"])

    def predict(self, X):
        return np.asarray(X)


TRUE, FOUND = ["a", "a", "a", "b", "b", "c"], ["a", "a", "b", "b", "b", "a"]


def test_confusion_matrix_counts_rows():
    ax = rendered(gd.plot.confusion_matrix(Classifier(), FOUND, TRUE))
    counts = np.array([int(text.get_text().partition("\n")[0]) for text in ax.texts]).reshape(3, 3)
    np.testing.assert_array_equal(counts, [[2, 1, 0], [0, 2, 0], [1, 0, 0]])
    np.testing.assert_allclose(ax.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [1, 0, 0]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_confusion_matrix_of_a_model():
    model = gd.Model([gd.Linear(1, 1, init=[[1]])])
    with pytest.raises(ValueError, match="Model has no classes"):
        gd.plot.confusion_matrix(model, [[1]], ["yes"])
    model.set_classes(["no", "yes"], "log_loss")
    ax = gd.plot.confusion_matrix(model, [[-1], [1], [2]], ["no", "no", "yes"])
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.5, 0.5], [0, 1]])


def test_targets_that_do_not_fit():
    model = gd.Model([gd.Linear(1, 1, init=[[1]])])
    with pytest.raises(ValueError, match=r"y has shape \(3,\) and predictions \(2, 1\)"):
        gd.plot.predicted(model, [[1], [2]], [1, 2, 3])
    with pytest.raises(ValueError, match="y has 2 labels and X 3 rows"):
        gd.plot.confusion_matrix(Classifier(), ["a", "b", "c"], ["a", "b"])
    with pytest.raises(ValueError, match="y holds 'd' in row 1"):
        gd.plot.confusion_matrix(Classifier(), ["a", "b"], ["a", "d"])
