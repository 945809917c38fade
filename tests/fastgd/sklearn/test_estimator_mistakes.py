"""What new users do wrong: errors are of scikit-learn's kind."""

import re

import numpy as np
import pandas as pd
import pytest
from estimator_rows import FRAME, LABELS, N_ROWS, X, Y, Z, put
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression

from fastgd.moments import Moments
from fastgd.sklearn import GDClassifier, GDRegressor

# Peers, too, say how many iterations they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

REFUSED = {
    "a word": (put("red"), Y, "could not convert string to float: 'red'"),
    "numbers in strings": (X.astype(str), Y, "not compatible with arrays of bytes/strings"),
    "a column of words": (FRAME.assign(word="red"), Y, "could not convert string to float"),
    "NaN": (put(np.nan), Y, "Input X contains NaN"),
    "None": (put(None), Y, "Input X contains NaN"),
    "None in a list": (put(None).tolist(), Y, "contains NaN"),
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


WORDS = pd.Series(np.where(Y > 0, "yes", "no"))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(GDClassifier, dtype) for dtype in ("string", "object", "category", "Int64", "boolean", float)]
    + [(GDRegressor, dtype) for dtype in ("Int64", "boolean", "Float64", float)],
)
def test_the_row_without_a_target_is_named(kind, dtype):
    """Whatever stands for it."""
    y = (WORDS if dtype in ("string", "object", "category") else WORDS == "yes").astype(dtype)
    y[3] = None
    for given in (y, y.to_numpy(), y.to_frame() if dtype is float else y.array):
        with pytest.raises(ValueError, match=r"^Input y contains NaN or no value in row 3; expected a target in each"):
            kind().fit(X, given)


@pytest.mark.parametrize("missing", [None, np.nan, 1])
def test_words_among_other_values(missing):
    y = [*WORDS[:-1], missing]
    with pytest.raises(
        ValueError, match=rf"^y holds {missing} in row {N_ROWS - 1} and words in others; expected words"
    ):
        GDClassifier().fit(X, y)


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


def test_what_is_interrupted_before_it_has_learnt_its_scales_is_not_fitted(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Moments, "add", interrupted)
    classifier = GDClassifier()
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, LABELS)
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        classifier.predict(X)
