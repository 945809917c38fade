"""Class labels of any kind, what losses want in their place, and what a model gives back."""

import copy
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastgd as gd
from fastgd import labels, losses

DTYPES = ["<U4", "S3", "?", "<i8", ">i4", "u1", "<f4", ">f8", "<u8"]
LABELS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, st.integers(1, 30), elements={"allow_nan": False, "allow_infinity": False} if "f" in dtype else None
    )
)
WORDS = np.array(["setosa", "virginica", "versicolor"])
OF_TWO = ["log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron"]


def outputs_for(targets, loss, n_outputs):
    """Outputs that a perfect model would have."""
    if loss == "cross_entropy":
        return np.eye(n_outputs)[targets.astype(int)]
    return np.where(targets > 0, 1.0, -1.0)[:, np.newaxis]


@given(LABELS, st.sampled_from(losses.OF_CLASSES), st.integers(1, 7))
def test_encoded_labels_come_back(y, loss, block_rows):
    """Also those that a saved model has, whatever the labels are and however they are cut into blocks."""
    y = np.repeat(y, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "_BLOCK_ROWS", block_rows)
        distinct = np.unique(y)
        fractions = y.dtype.kind == "f" and (distinct != np.floor(distinct)).any()
        if len(distinct) < 2 or (fractions and len(distinct) > 20):
            with pytest.raises(ValueError, match="expected"):
                labels.classes_of(y)
            return
        classes = labels.classes_of(y)
        np.testing.assert_array_equal(classes, distinct)
        if loss != "cross_entropy" and len(classes) > 2:
            with pytest.raises(ValueError, match=f"{loss} takes two classes, and there are {len(classes)}"):
                labels.encode(y, classes, loss)
            return
        targets = labels.encode(y, classes, loss)
    n_outputs = labels.n_outputs(classes, loss)
    assert losses.acceptable(losses.as_loss(loss), targets, n_outputs).all()
    of_model = labels.Labels.of(classes, loss, n_outputs)
    again = labels.Labels.restore(of_model.describe(), n_outputs)
    for each in (of_model, again):
        found = each.decode(outputs_for(targets, loss, n_outputs))
        np.testing.assert_array_equal(found, y)
        assert found.dtype.kind == y.dtype.kind
    assert again.classes.dtype == classes.dtype


@pytest.mark.parametrize("loss", losses.OF_CLASSES)
def test_targets_are_numbered_in_the_order_of_the_classes(loss):
    targets = labels.encode(["yes", "no", "yes"], ["yes", "no"], loss)
    assert targets.tolist() == ([-1, 1, -1] if loss in OF_TWO[1:] else [0, 1, 0])


REFUSED = {
    "unknown": (lambda: labels.encode(["a", "b", "x"], ["a", "b"], "hinge"), "holds 'x' in row 2; expected one of the"),
    "below all": (lambda: labels.encode([3, 1], [2, 3], "hinge"), "y holds 1 in row 1"),
    "above all": (lambda: labels.encode([3, 9], [2, 3], "hinge"), "y holds 9 in row 1"),
    "kind": (lambda: labels.encode([0, 1], ["a", "b"], "hinge"), "y holds numbers, as 0; expected one of the classes"),
    "none": (lambda: labels.classes_of([]), "y is empty; expected labels of at least two classes"),
    "one class": (lambda: labels.classes_of(["a", "a"]), "y holds 'a' in every row; expected at least two"),
    "names": (lambda: labels.classes_of([f"{k}" for k in range(21)]), "21 different values in 21 rows"),
    "measurements": (lambda: labels.classes_of(np.arange(99) % 33 / 2), "33 different values in 99 rows"),
    "NaN": (lambda: labels.classes_of([0.0, np.nan]), "y holds nan in row 1; expected a label"),
    "columns": (lambda: labels.classes_of(np.eye(3)), re.escape("of a column for each class, y.argmax(axis=1)")),
    "dates": (lambda: labels.classes_of(np.array(["2020-01-01"], "M8[D]")), "expected strings, booleans"),
    "objects": (lambda: labels.classes_of(np.array(["a", None])), "y has dtype object; expected strings"),
    "mixed": (lambda: labels.classes_of(["a", 1]), "y holds strings and numbers; expected either"),
    "regression": (lambda: labels.n_outputs(["a", "b"], "huber"), "loss is 'huber', which is not of classes"),
    "three": (lambda: labels.n_outputs(WORDS, "log_loss"), "takes two classes, and there are 3"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_label_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_strings_in_an_array_of_objects():
    assert labels.classes_of(np.array(["b", "a"], object)).tolist() == ["a", "b"]


def model_of(classes, loss, width=2):
    model = gd.Model(
        [gd.Standardize(width), gd.Linear(width, labels.n_outputs(classes, loss))], dtype="float64", seed=3
    )
    model.standardize.mean, model.standardize.scale = np.ones(width), np.full(width, 2.0)
    model.parameters = np.random.default_rng(4).standard_normal(model.parameters.size)
    model.set_classes(classes, loss)
    return model


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "fold": lambda model: model.fold(),
}


@pytest.mark.parametrize("way", COPIES)
def test_labels_stay_with_the_model(way, rng):
    model = model_of(WORDS, "cross_entropy")
    X = rng.standard_normal((20, 2))
    other = COPIES[way](model)
    np.testing.assert_array_equal(other.classes, WORDS)
    np.testing.assert_array_equal(other.predict_classes(X), model.predict_classes(X))
    np.testing.assert_allclose(other.predict_proba(X), model.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("classes", "loss"),
    [(WORDS, "cross_entropy"), ([2**63, 3], "hinge"), ([False, True], "log_loss"), ([b"\xff", b"a"], "log_loss")],
)
def test_labels_are_in_the_file(classes, loss, tmp_path):
    """Of a model, and of a run."""
    model = model_of(np.array(classes), loss)
    model.save(tmp_path / "m")
    gd.Trainer(model, loss=loss).save(tmp_path / "run")
    for path in ("m", "run"):
        found = gd.Model.load(tmp_path / path)
        assert found.classes.tolist() == list(classes)
        assert found.classes.dtype == model.classes.dtype
        assert found.labels.loss == loss
    assert gd.Trainer.load(tmp_path / "run").model.classes.tolist() == list(classes)


@pytest.mark.parametrize(
    "damage",
    [
        {"dtype": "object"},
        {"classes": ["a", "a", "b"]},
        {"classes": ["a"]},
        {"loss": "huber"},
        {"more": 1},
        {"loss": 3},
    ],
    ids=str,
)
def test_a_damaged_description_is_refused(damage):
    architecture = model_of(WORDS, "cross_entropy").architecture()
    architecture["labels"] |= damage
    model = model_of(WORDS, "cross_entropy")
    with pytest.raises((ValueError, TypeError)):
        gd.Model.restore(architecture, model.tensors())


def test_a_model_without_labels_is_saved_and_shown_as_ever(tmp_path):
    model = gd.Model([gd.Linear(2, 3)])
    assert model.classes is None
    assert "labels" not in model.architecture()
    assert "classes" not in repr(model)
    for predict in (model.predict_classes, model.predict_proba):
        with pytest.raises(ValueError, match="the model has no classes"):
            predict([[1, 2]])
    model.set_classes(WORDS, "cross_entropy")
    assert "classes=['setosa', 'virginica', 'versicolor']" in repr(model)


def test_classes_cannot_be_written_to():
    classes = WORDS.copy()
    model = model_of(classes, "cross_entropy")
    classes[0] = "x"
    assert model.classes[0] == "setosa"
    with pytest.raises(ValueError, match="read-only"):
        model.classes[0] = "y"


BAD_CLASSES = {
    "outputs": (WORDS, "log_loss", "takes two classes"),
    "few": (WORDS[:2], "cross_entropy", "the model has 3 outputs; expected 2"),
    "twice": (["a", "a", "b"], "cross_entropy", "none twice"),
    "none": (None, "cross_entropy", "expected classes, or 'log_loss'"),
    "regression": (WORDS, "huber", "not of classes"),
}


@pytest.mark.parametrize("case", BAD_CLASSES)
def test_classes_that_do_not_fit_are_refused(case):
    classes, loss, message = BAD_CLASSES[case]
    with pytest.raises(ValueError, match=message):
        gd.Model([gd.Linear(2, 3)]).set_classes(classes, loss)


@given(hnp.arrays("f8", (5, 3), elements=st.floats(-800, 800)))
def test_probabilities_are_the_softmax(z):
    p = labels.Labels.of(WORDS, "cross_entropy", 3).probabilities(z.copy())
    exact = [[1 / np.exp(np.clip(row - z_k, -745, 709)).sum() for z_k in row] for row in z]
    np.testing.assert_allclose(p, exact, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(p.sum(axis=1), 1)


@given(hnp.arrays("f4", (5, 1), elements=st.floats(-200, 200, width=32)))
def test_probabilities_are_the_logistic_function(z):
    """Small ones keep their digits."""
    p = labels.Labels.of(["a", "b"], "log_loss", 1).probabilities(z.copy())
    assert p.dtype == np.float32
    exact = 1 / (1 + np.exp(-z.astype(np.float64)))
    # exp of a float32 is known to as many digits as its argument has behind the point.
    np.testing.assert_allclose(p[:, 1:], exact, rtol=1e-4, atol=1e-44)
    np.testing.assert_allclose(p[:, :1], 1 / (1 + np.exp(z.astype(np.float64))), rtol=1e-4, atol=1e-44)
    alone = labels.Labels.of(None, "log_loss", 1)
    np.testing.assert_array_equal(alone.probabilities(z.copy()), p[:, 1:])


@pytest.mark.parametrize("loss", OF_TWO[1:])
def test_some_losses_have_no_probabilities(loss, monkeypatch):
    """That is told before rows are looked at."""
    monkeypatch.setattr(gd.Model, "predict", lambda *_: pytest.fail("prediction has begun"))
    with pytest.raises(ValueError, match=f"outputs of {loss} are no probabilities"):
        model_of(WORDS[:2], loss).predict_proba([[1, 2]])


def test_probabilities_as_targets_are_no_classes(monkeypatch):
    monkeypatch.setattr(gd.Model, "predict", lambda *_: pytest.fail("prediction has begun"))
    model = gd.Model([gd.Linear(2, 1)])
    model.set_classes(None, "log_loss")
    assert model.classes is None
    with pytest.raises(ValueError, match="are probabilities, not classes"):
        model.predict_classes([[1, 2]])
