"""Tables as new users have them: models are no worse than LinearRegression's and LogisticRegression's."""

import numpy as np
import pandas as pd
import pytest
from estimator_rows import HIDDEN, LABELS, N_ROWS, WIDE, X, Y, Z, put
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from fastgd.sklearn import GDClassifier, GDRegressor

# Peers, too, say how many iterations they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONSTANT = np.column_stack([X, np.full(N_ROWS, 7.0), np.full(N_ROWS, 1e9)])
TWICE = np.column_stack([X, X, 1e6 * X[:, :1]])
ORDER = np.argsort(Y)
LEARNT = {
    "a column as target": (X, Y[:, None]),
    "a frame as target": (X, pd.DataFrame({"y": Y})),
    "objects": (X.astype(object), Y.astype(object)),
    "sorted": (X[ORDER], Y[ORDER]),
    "targets of 1e9 around 1e12": (X, 1e12 + 1e9 * Y),
    "targets of 1e30": (X, 1e30 * Y),
    "targets of 1e-30": (X, 1e-30 * Y),
    "float32 targets around 1e6": (X.astype(np.float32), (1e6 + Y).astype(np.float32)),
    "features of 1e300": (1e300 * X, Y),
    "features of 1e-300": (1e-300 * X, Y),
    "features around 1e8": (1e8 + X, Y),
    "float16": (X.astype(np.float16), Y.astype(np.float16)),
    "float16 of thousands": ((1e4 * X).astype(np.float16), Y),
    "int64 of 1e18": ((1e18 * X).clip(-9e18, 9e18).astype(np.int64), Y),
    "int8": ((30 * X).clip(-127, 127).astype(np.int8), (5 * Y).clip(-127, 127).astype(np.int8)),
    "uint8 targets": (X, np.where(Y > 0, 200, 0).astype(np.uint8)),
    "int64 targets of 1e17": (X, (1e17 * Y).astype(np.int64)),
    "booleans": (X > 0, Y > 0),
    "constant features": (CONSTANT, Y),
    "only constant features": (CONSTANT[:, 6:], Y),
    "columns twice": (TWICE, Y),
    "a constant target": (X, np.full(N_ROWS, 3.0)),
    "two rows": (X[:2], Y[:2]),
    "a target of 1e8": (X, put(1e8, Y)),
    "heavy tails": (np.exp(3 * X), Y),
}


@HIDDEN
@pytest.mark.parametrize(("known", "y"), LEARNT.values(), ids=LEARNT)
def test_numbers_are_learnt_as_well_as_by_linear_regression(known, y, hidden):
    expected = LinearRegression().fit(known, y).score(known, y)
    # The penalty that serves other rows best would be seen in these, as only a row or two say anything.
    few = [LEARNT[name] for name in ("two rows", "a target of 1e8", "heavy tails")]
    alpha = 5e-4 if any(known is X and y is Y for X, Y in few) else "auto"
    found = GDRegressor(hidden, alpha=alpha, random_state=0).fit(known, y)
    assert found.score(known, y) > expected - 0.005
    assert found.predict(known).shape == np.shape(y)


@HIDDEN
@pytest.mark.parametrize(
    ("known", "y"),
    [
        (X[np.argsort(LABELS)], np.sort(LABELS)),
        (X.astype(object), LABELS == "yes"),
        (X.astype(np.float16), LABELS),
        (CONSTANT[:, :7], LABELS),
        (CONSTANT[:, 6:7], LABELS),
        (TWICE[:, :12], LABELS),
        (X, np.arange(N_ROWS) == 7),
        (X, np.where(Z > 0, "a", "b")),
        (X[:2], [0, 1]),
    ],
    ids=[
        "sorted",
        "objects",
        "float16",
        "constant",
        "constants",
        "twice",
        "one row of a class",
        "separable",
        "two rows",
    ],
)
def test_classes_are_learnt_as_well_as_by_logistic_regression(known, y, hidden):
    expected = LogisticRegression(max_iter=1000).fit(known, y).score(known, y)
    assert GDClassifier(hidden, random_state=0).fit(known, y).score(known, y) > expected - 0.02


@pytest.mark.slow
def test_more_features_than_rows():
    targets = WIDE[:, :5].sum(axis=1)
    expected = Ridge().fit(WIDE[:100], targets[:100])
    found = GDRegressor(random_state=0).fit(WIDE[:100], targets[:100])
    # Nothing can be learnt for other rows, and none of both is worse than a constant by much.
    scores = [each.score(WIDE[100:], targets[100:]) for each in (expected, found)]
    assert scores[1] > min(scores[0], 0) - 0.15
    expected = LogisticRegression().fit(WIDE[:100], targets[:100] > 0)
    found = GDClassifier(random_state=0).fit(WIDE[:100], targets[:100] > 0)
    scores = [each.score(WIDE[100:], targets[100:] > 0) for each in (expected, found)]
    assert scores[1] > scores[0] - 0.05


@pytest.mark.parametrize("alpha", [1e5, 1e20])
@HIDDEN
def test_penalties_without_measure_leave_a_constant(alpha, hidden):
    found = GDRegressor(hidden, alpha=alpha, random_state=0).fit(X, Y)
    assert found.score(X, Y) > -1e-3
    found = GDClassifier(hidden, alpha=alpha, random_state=0).fit(X, LABELS)
    assert found.score(X, LABELS) >= max(np.mean(LABELS == "yes"), np.mean(LABELS == "no")) - 1e-9
