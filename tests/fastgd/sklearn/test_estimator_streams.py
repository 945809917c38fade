"""Blocks of rows, one after another, by `partial_fit`."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgd.data import ArrayDataset
from fastgd.sklearn import GDClassifier, GDRegressor, rows

# Most of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CHOSEN = {"solver": "sgd", "learning_rate_init": 0.02, "standardize": False, "shuffle": False, "tol": None}


@pytest.fixture
def stream(rng):
    """Rows in random order, features of many scales and means."""
    X = rng.normal(size=(600, 3)) * [1e-3, 1, 1e4] + [5, -100, 1e5]
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ [1.0, -2.0, 0.5]
    return X, z


@settings(max_examples=15)
@given(
    cuts=st.lists(st.integers(1, 14), max_size=5),
    batch_size=st.sampled_from([1, 4]),
    hidden=st.sampled_from([(), (3,)]),
)
def test_any_blocks_are_one_epoch(cuts, batch_size, hidden):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    parameters = CHOSEN | {"batch_size": batch_size, "standardize_targets": False, "max_iter": 1, "random_state": 0}
    whole = GDRegressor(hidden, **parameters).fit(X, y)
    # A neuron takes single rows four at a time.
    edges = [0, *sorted({4 * cut for cut in cuts}), 60]
    blocks = GDRegressor(hidden, **parameters)
    for start, stop in pairwise(edges):
        blocks.partial_fit(X[start:stop], y[start:stop])
    np.testing.assert_array_equal(blocks.predict(X), whole.predict(X))
    assert blocks.t_ == whole.t_
    assert blocks.n_iter_ == len(edges) - 1


def test_single_rows_are_one_epoch(rng):
    X, y = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    parameters = CHOSEN | {"batch_size": 1, "standardize_targets": False, "max_iter": 1}
    for targets, has_same_bits in ((y[:, 0], False), (y, True)):
        whole = GDRegressor(**parameters).fit(X, targets)
        one_by_one = GDRegressor(**parameters)
        for row in range(60):
            one_by_one.partial_fit(X[row : row + 1], targets[row : row + 1])
        np.testing.assert_allclose(one_by_one.coef_, whole.coef_, rtol=0 if has_same_bits else 1e-12)


def test_a_fitted_one_goes_on(stream):
    X, y = stream
    three = GDRegressor((8,), random_state=0, max_iter=3, tol=None).fit(X, y)
    two = GDRegressor((8,), random_state=0, max_iter=2, tol=None).fit(X, y).partial_fit(X, y)
    np.testing.assert_array_equal(two.predict(X), three.predict(X))
    assert two.n_iter_ == 3


@pytest.mark.parametrize("n_rows", [pytest.param(1, marks=pytest.mark.slow), 7, 100])
@pytest.mark.parametrize("hidden", [(), (8,)])
def test_blocks_of_any_size_are_learnt_from_unscaled(stream, hidden, n_rows):
    X, z = stream
    regressor = GDRegressor(hidden, random_state=0)
    classifier = GDClassifier(hidden, random_state=0)
    for _ in range(2):
        for start in range(0, len(X), n_rows):
            block = slice(start, start + n_rows)
            regressor.partial_fit(X[block], 1e5 + 1e3 * z[block])
            classifier.partial_fit(X[block], z[block] > 0, classes=[False, True])
    assert regressor.score(X, 1e5 + 1e3 * z) > (0.95 if n_rows < 100 else 0.8)
    assert classifier.score(X, z > 0) > 0.9


def test_what_was_predicted_stays_when_scales_change(stream):
    X, y = stream
    estimator = GDRegressor((8,), random_state=0)
    for start in range(0, 100, 10):
        estimator.partial_fit(X[start : start + 10], y[start : start + 10])
    before = estimator.predict(X)
    estimator._scales.add(ArrayDataset(X + 0.5 * (X - X.mean(axis=0)), y[:, None] * 3 + 5))
    estimator._scales.tell([estimator.trainer_.model])
    np.testing.assert_allclose(estimator.predict(X), before)


def test_a_feature_that_begins_to_vary(rng):
    X = rng.normal(size=(400, 2)) * [1, 1e6]
    X[:100, 1] = 3.0
    y = X[:, 0] + X[:, 1] / 1e6
    estimator = GDRegressor((8,), random_state=0)
    for start in range(0, 400, 10):
        estimator.partial_fit(X[start : start + 10], y[start : start + 10])
        assert np.abs(estimator.predict(X[:100])).max() < 100
    assert estimator.score(X[100:], y[100:]) > 0.8


@pytest.mark.parametrize("hidden", [(), (16,)])
@pytest.mark.parametrize("factor", [1e-3, *(pytest.param(factor, marks=pytest.mark.slow) for factor in (0.1, 1e-6))])
def test_a_feature_that_hardly_varied_at_first(rng, factor, hidden):
    """Kept as it is, its weight would be noise that counts a thousand times as much."""
    X = rng.normal(size=(2000, 5))
    X[:100, 4] *= factor
    y = X @ [1.0, 2, 3, 4, 5] + rng.normal(size=2000)
    estimator = GDRegressor(hidden, random_state=0)
    for start in range(0, 2000, 100):
        estimator.partial_fit(X[start : start + 100], y[start : start + 100])
    assert estimator.score(X, y) > (0.85 if hidden else 0.97)


def test_rare_values_far_from_the_others(rng):
    X = rng.normal(size=(5000, 5))
    X[rng.random(5000) < 0.002, 4] = 1e4
    y = X[:, 0] + rng.normal(size=5000)
    estimator = GDRegressor(random_state=0)
    for start in range(0, 5000, 50):
        estimator.partial_fit(X[start : start + 50], y[start : start + 50])
    assert estimator.score(X, y) > 0.45


def test_weights_of_zero_move_nothing(stream):
    X, y = stream
    assert not hasattr(GDRegressor().partial_fit(X, y, sample_weight=np.zeros(600)), "model_")
    estimator = GDRegressor(random_state=0).partial_fit(X[:50], y[:50])
    before = estimator.t_, estimator.n_iter_, estimator.coef_
    estimator.partial_fit(X, y, sample_weight=np.zeros(600))
    assert (estimator.t_, estimator.n_iter_) == before[:2]
    np.testing.assert_array_equal(estimator.coef_, before[2])
    with pytest.raises(ValueError, match="all weights are zero"):
        GDRegressor().fit(X, y, sample_weight=np.zeros(600))


def test_early_stopping_predicts_by_the_best(stream):
    X, y = stream
    noisy = y + np.random.default_rng(1).normal(size=600) * 3
    parameters = {"early_stopping": True, "n_iter_no_change": 3, "random_state": 0, "alpha": 0.0}
    estimator = GDRegressor((64,), **parameters)
    losses = []
    for _ in range(100):
        estimator.partial_fit(X[:40], noisy[:40], X_val=X[500:], y_val=noisy[500:])
        losses.append(estimator.model_.loss(X[500:], noisy[500:]))
        if estimator.converged_:
            break
    assert estimator.converged_
    assert losses == sorted(losses, reverse=True)
    np.testing.assert_allclose(estimator.best_loss_, losses[-1])
    assert losses[-1] < estimator.trainer_.model.loss(X[500:], noisy[500:])


def test_the_best_stays_the_best_when_scales_change(stream):
    X, y = stream
    estimator = GDRegressor(early_stopping=True, random_state=0, alpha=0.0)
    validation = {"X_val": X[500:], "y_val": y[500:]}
    for start in range(0, 500, 20):
        estimator.partial_fit(X[start : start + 20], y[start : start + 20], **validation)
    score = estimator.score(X[500:], y[500:])
    assert score > 0.95
    # In units of such a target, every error is small.
    estimator.partial_fit(X[:20], np.where(np.arange(20) == 0, 1e4, y[:20]), **validation)
    for start in range(20, 500, 20):
        estimator.partial_fit(X[start : start + 20], y[start : start + 20], **validation)
        assert estimator.score(X[500:], y[500:]) >= score - 1e-6


def test_early_stopping_without_rows_of_ones_own(stream):
    X, y = stream
    estimator = GDRegressor(early_stopping=True, random_state=0)
    for start in range(0, 600, 50):
        estimator.partial_fit(X[start : start + 50], y[start : start + 50])
    assert len(estimator.validation_loss_curve_) == 12
    assert estimator.score(X, y) > 0.9
    with pytest.raises(ValueError, match="X_val and y_val"):
        estimator.partial_fit(X[:1], y[:1])


def test_rows_that_are_held_out_are_never_learnt_from(stream, monkeypatch):
    X, y = stream
    drawn, held_out = [], rows.held_out
    monkeypatch.setattr(rows, "held_out", lambda *arguments: drawn.append(held_out(*arguments)) or drawn[-1])
    estimator = GDRegressor(early_stopping=True, random_state=0)
    for _ in range(3):
        estimator.partial_fit(X, y)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_a_class_may_come_later(stream):
    X, z = stream
    y = np.array(["high", "low", "middle"])[np.digitize(z, [-1, 1])]
    early = y != "middle"
    classifier = GDClassifier(random_state=0, early_stopping=True)
    classes = ["low", "middle", "high"]
    classifier.partial_fit(X[early], y[early], classes, X_val=X, y_val=y)
    assert classifier.classes_.tolist() == ["high", "low", "middle"]
    assert set(classifier.predict(X)) <= {"high", "low"}
    for _ in range(20):
        classifier.partial_fit(X, y, X_val=X, y_val=y)
    assert classifier.score(X, y) > 0.8


def test_classes_are_checked(stream):
    X, z = stream
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        GDClassifier().partial_fit(X, z > 0)
    classifier = GDClassifier().partial_fit(X, z > 0, [False, True])
    with pytest.raises(ValueError, match="is not the same as on last call"):
        classifier.partial_fit(X, z > 0, [0, 1, 2])
    with pytest.raises(ValueError, match="holds 2 in row 0"):
        classifier.partial_fit(X, np.full(600, 2))
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        GDClassifier(class_weight="balanced").partial_fit(X, z > 0, [False, True])


def test_rows_of_another_shape_are_refused(stream):
    X, y = stream
    estimator = GDRegressor().partial_fit(X, y)
    with pytest.raises(ValueError, match="3 features"):
        estimator.partial_fit(X[:, :2], y)
    with pytest.raises(ValueError, match="2 targets"):
        estimator.partial_fit(X, np.column_stack([y, y]))


def test_copies_go_on_with_the_same_bits(stream):
    X, y = stream
    estimator = GDRegressor((8,), random_state=0, early_stopping=True)
    validation = {"X_val": X[500:], "y_val": y[500:]}
    for start in range(0, 100, 20):
        estimator.partial_fit(X[start : start + 20], y[start : start + 20], **validation)
    for other in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
        for _ in range(2):
            other.partial_fit(X[100:150], y[100:150], **validation)
        expected = copy.deepcopy(estimator)
        for _ in range(2):
            expected.partial_fit(X[100:150], y[100:150], **validation)
        np.testing.assert_array_equal(other.predict(X), expected.predict(X))
