"""What new users do: errors are of scikit-learn's kind, and models no worse than LinearRegression's and its like."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from fastgd.moments import Moments
from fastgd.sklearn import GDClassifier, GDRegressor

# Peers, too, say how many iterations they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS = 300
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 6))
Z = X @ [1, 2, -1, 0.5, 0, 3]
Y = Z + RNG.normal(scale=0.3, size=N_ROWS)
LABELS = np.where(Z + RNG.normal(size=N_ROWS) > 0, "yes", "no")
FRAME = pd.DataFrame(X, columns=list("abcdef"))
WIDE = RNG.normal(size=(N_ROWS, 1000))
HIDDEN = pytest.mark.parametrize("hidden", [(), pytest.param((32,), marks=pytest.mark.slow)])


def put(value, into=X):
    changed = np.array(into, object if isinstance(value, str | None) else float)
    changed[(3, 2) if changed.ndim == 2 else 3] = value
    return changed


REFUSED = {
    "a word": (put("red"), Y, "could not convert string to float: 'red'"),
    "numbers in strings": (X.astype(str), Y, "not compatible with arrays of bytes/strings"),
    "a column of words": (FRAME.assign(word="red"), Y, "could not convert string to float"),
    "NaN": (put(np.nan), Y, "Input X contains NaN"),
    "None": (put(None), Y, "Input X contains NaN"),
    "infinity": (put(np.inf), Y, "Input X contains infinity"),
    "NaN as target": (X, put(np.nan, Y), "Input y contains NaN"),
    "complex": (X + 1j, Y, "Complex data not supported"),
    "one feature, flat": (X[:, 0], Y, "Expected 2D array, got 1D array instead"),
    "one row, flat": (X[0], Y[:1], "Expected 2D array, got 1D array instead"),
    "a target too few": (X, Y[1:], "inconsistent numbers of samples"),
    "no rows": (X[:0], Y[:0], "0 sample"),
    "no columns": (X[:, :0], Y, "0 feature"),
    "no targets": (X, None, "requires y to be passed"),
}


@pytest.mark.parametrize("kind", [LinearRegression, GDRegressor])
@pytest.mark.parametrize(("known", "y", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_as_by_scikit_learn(kind, known, y, words):
    with pytest.raises(ValueError, match=words):
        kind().fit(known, y)


@pytest.fixture(scope="module")
def fitted():
    return GDRegressor(random_state=0).fit(FRAME, Y)


COLUMNS = {
    "words": (
        FRAME.assign(d="red"),
        ValueError,
        r"^column 'd' of X holds .*, as 'red'; .*OneHotEncoder .*columns \(could not",
    ),
    "a word": (FRAME.assign(d=[1] * (N_ROWS - 1) + ["?"]), ValueError, r"^column 'd' of X holds object, as '\?'; "),
    "categories": (
        FRAME.assign(d=pd.Categorical(LABELS)),
        TypeError,
        r"^column 'd' of X holds category, as '(yes|no)'; ",
    ),
    "dates": (FRAME.assign(d=pd.Timestamp("2026-01-01")), TypeError, r"^column 'd' of X holds datetime64.*2026"),
    "a null": (
        FRAME.assign(d=pd.array([None, *[1] * (N_ROWS - 1)], "Int64")),
        ValueError,
        r"^column 'd' of X has a null in row 0;",
    ),
}


@pytest.mark.parametrize(("frame", "error", "words"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_without_numbers_is_named(fitted, frame, error, words):
    """As `Trainer.fit` does, when learning and when predicting."""
    for kind in (GDClassifier, GDRegressor):
        with pytest.raises(error, match=words):
            kind().fit(frame, Y > 0)
    with pytest.raises(error, match=words):
        fitted.predict(frame)


@pytest.mark.parametrize("labels", [LABELS, LABELS.tolist(), pd.Series(LABELS), LABELS.astype("S3")])
def test_words_as_targets_of_a_regression(labels):
    with pytest.raises(
        ValueError, match=r"^y (holds words, as '(yes|no)'|has dtype .*); expected numbers, or GDClassifier for classes"
    ):
        GDRegressor().fit(X, labels)


MASKED = np.ma.masked_less(X, -2)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("X", {"X": MASKED}),
        ("y", {"y": np.ma.masked_less(Y, 0)}),
        ("sample_weight", {"sample_weight": np.ma.masked_less(np.abs(Y), 1)}),
        ("X_val, y_val or sample_weight_val: X", {"X_val": MASKED, "y_val": Y}),
    ],
)
def test_what_is_masked_is_not_seen(name, given):
    """As `Trainer.fit`; scikit-learn takes what lies beneath."""
    with pytest.raises(TypeError, match=f"^{name} has masked elements"):
        GDRegressor().fit(**{"X": X, "y": Y, **given})


def test_masks_of_rows_to_predict_are_seen():
    model = GDRegressor(random_state=0).fit(X, Y)
    with pytest.raises(TypeError, match=r"^X has masked elements"):
        model.predict(MASKED)
    np.testing.assert_array_equal(model.predict(np.ma.array(X)), model.predict(X))


def test_a_column_called_mask_masks_nothing():
    assert GDRegressor().fit(FRAME.rename(columns={"a": "_mask"}), Y).n_features_in_ == 6


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"X_val": put(np.nan), "y_val": LABELS}, "Input X contains NaN"),
        ({"X_val": X[:, :5], "y_val": LABELS}, "X has 5 features"),
        ({"X_val": X, "y_val": np.where(np.arange(N_ROWS) == 150, "maybe", LABELS)}, "y holds 'maybe' in row 150"),
        ({"X_val": X, "y_val": LABELS, "sample_weight_val": -np.ones(N_ROWS)}, "sample_weight holds -1.0 in row 0"),
    ],
    ids=["NaN", "columns", "class", "weight"],
)
def test_errors_of_validation_data_say_so(given, words):
    with pytest.raises(ValueError, match=f"^X_val, y_val or sample_weight_val: {words}"):
        GDClassifier().fit(X, LABELS, **given)


@pytest.mark.parametrize(("weight", "error"), [(-1, ValueError), (np.nan, ValueError), ("a", TypeError)])
def test_class_weights_that_are_none(weight, error):
    with pytest.raises(error, match=re.escape(f"class_weight['yes'] is {weight!r}; expected")):
        GDClassifier(class_weight={"yes": weight, "no": 1}).fit(X, LABELS)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"hidden_layer_sizes": [[4]]}, r"hidden_layer_sizes is \[\[4\]\]; expected an integer of at least 1 for each"),
        ({"alpha": "x"}, "alpha is 'x'; expected a number of at least 0, or 'auto'"),
        ({"batch_size": "full"}, "batch_size is 'full'; expected a number of rows, 'auto', or None for all"),
        ({"solver": "adam", "beta_1": 1}, "beta_1 is 1; expected less than 1"),
        ({"activation": None}, "activation is None; expected a name, or a list of one for each hidden layer"),
        ({"loss": "huber", "epsilon": 0}, "epsilon is 0; expected more than 0"),
        ({"loss": np.ones(2)}, r"loss is array\(.*\); expected one of"),
        ({"n_iter_no_change": np.ones(2)}, r"n_iter_no_change is array\(.*\); expected an integer"),
        ({"callbacks": None}, "callbacks is None; expected a list of callables"),
        ({"callbacks": print}, r"callbacks is <.*print>; expected a list of callables, as in callbacks=\[callback\]"),
    ],
)
def test_parameters_are_called_by_their_names(given, words):
    with pytest.raises((TypeError, ValueError), match=words):
        GDRegressor(**given).fit(X, Y)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("l1_ratio", 2, "expected a number from 0 to 1"),
        ("quantile", "x", "expected a number"),
        ("epsilon", -1, "at least 0"),
        ("power_t", np.nan, "finite number of at least 0"),
        ("momentum", 1, "less than 1"),
        ("beta_2", 1.0, "less than 1"),
        ("learning_rate_init", 0, "more than 0"),
        ("validation_fraction", 2, "expected a number from 0 to 1"),
        ("verbose", "x", "expected an integer"),
        ("max_iter", 2.5, "expected an integer"),
        ("nesterovs_momentum", 3, "expected True or False"),
        ("warm_start", "yes", "expected True or False"),
    ],
)
def test_parameters_are_in_range_even_without_use(name, value, words):
    with pytest.raises((ValueError, TypeError), match=f"^{name} is {value!r}; .*{words}"):
        GDRegressor(**{name: value}).fit(X, Y)


def test_predictions_that_are_too_large():
    model = GDRegressor(loss="poisson", random_state=0).fit(X, np.exp(Z / 5))
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match=r"a prediction is exp.* more than float64 holds"):
        model.predict(1e6 * np.abs(X) * np.sign(model.coef_))


@pytest.mark.parametrize("kind", [LogisticRegression, GDClassifier])
@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.ones(N_ROWS), "class"),
        (Y, "Unknown label type: continuous"),
        (put(np.nan, (Y > 0).astype(float)), "Input y contains NaN"),
        ((Y > 0).astype(int).astype(object), "Unknown label type"),
    ],
    ids=["one class", "numbers", "NaN", "objects"],
)
def test_labels_that_are_refused_as_by_scikit_learn(kind, y, words):
    with pytest.raises(ValueError, match=words):
        kind().fit(X, y)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (2, "classes is 2; expected a list of labels"),
        ({"no", "yes"}, r"classes is \{.*\}; expected a list of labels"),
        ([], r"classes is \[\]; expected at least two different labels"),
        ([0, 1, np.nan], r"classes is \[0, 1, nan\]; expected no NaN or infinity"),
        (np.array([0, "a"], object), "classes holds labels of the kinds int, str; expected one kind"),
    ],
)
def test_classes_that_are_none(classes, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        GDClassifier().partial_fit(X, np.arange(N_ROWS) % 2, classes=classes)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("kind", [LinearRegression, GDRegressor])
def test_rows_to_predict_that_are_not_as_those_learnt_from(kind):
    estimator = kind().fit(FRAME, Y)
    with pytest.raises(ValueError, match=r"X has 3 features, but \w+ is expecting 6 features"):
        estimator.predict(X[:, :3])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        estimator.predict(X[0])
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        estimator.predict(FRAME[list("fedcba")])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.predict(X)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimator.predict(put(np.nan))


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
    alpha = 1e-3 if any(known is X and y is Y for X, Y in few) else "auto"
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


def test_what_is_interrupted_before_it_has_learnt_its_scales_is_not_fitted(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Moments, "add", interrupted)
    classifier = GDClassifier()
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, LABELS)
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        classifier.predict(X)
