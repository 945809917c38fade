"""scikit-learn's own checks of estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastgd.sklearn import GDClassifier, GDRegressor

# Most of these say how many epochs they take.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*copied to CSR format:fastgd.errors.UsageWarning"),
]

ESTIMATORS = [
    GDRegressor(),
    GDClassifier(),
]
OTHERS = [
    GDClassifier((8,), early_stopping=True),
    GDRegressor((8,), max_iter=20),
    GDRegressor(loss="huber", early_stopping=True, max_iter=20),
    GDRegressor((8, 8), activation="tanh", solver="adam", max_iter=20),
    GDRegressor(batch_size=None, standardize="scale"),
    GDClassifier(loss="hinge", solver="sgd", learning_rate="optimal", batch_size=1),
    GDClassifier((8, 8), solver="adam", learning_rate_init=0.01),
    GDClassifier(loss="squared_hinge", average=True, solver="sgd", learning_rate_init=0.01),
]


def expected_failures(estimator):
    """Rows that are repeated come in other batches than those that have a weight, or are summed in another order."""
    # The rows of the check are a single batch, of which these know no more than the mean gradient.
    if estimator.solver != "auto" and estimator.batch_size == "auto":
        return {}
    reason = "other batches; test_estimator_weights.py says where both are the same, and how near they are elsewhere"
    # On sparse rows "auto" is Adam for networks, which knows no more than that either.
    is_adam = estimator.solver == "auto" and estimator.hidden_layer_sizes and not estimator.early_stopping
    kinds = ("dense",) if is_adam else ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in kinds}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(OTHERS, expected_failed_checks=expected_failures)
def test_check_of_others(estimator, check):
    check(estimator)
