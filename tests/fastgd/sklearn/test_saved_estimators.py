"""Fitted estimators as files, and as what pickle, joblib and skops make of them: all go on with the same bits."""

import copy
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastgd as gd
from fastgd.sklearn import GDClassifier, GDRegressor

# Most of these say how many epochs they take.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# Known by their losses: what a restored estimator must have besides its model.
KNOWN = ["n_iter_", "t_", "loss_curve_", "validation_loss_curve_", "best_loss_", "converged_", "n_features_in_"]


@pytest.fixture
def table(rng):
    """Rows of several scales."""
    X = rng.normal(size=(120, 3)) * [1e-3, 1, 1e4] + [5, -100, 1e5]
    return X, (X - X.mean(axis=0)) / X.std(axis=0) @ [1.0, -2.0, 0.5]


def through_a_file(estimator, **arguments):
    def copied(folder):
        estimator.save(folder / "e.safetensors")
        return type(estimator).load(folder / "e.safetensors", **arguments)

    return copied


def joblib_copy(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def skops_copy(estimator):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(estimator)
    unknown = skops.get_untrusted_types(data=data)
    assert all(name.startswith("fastgd.") for name in unknown), unknown
    return skops.loads(data, trusted=unknown)


COPIES = {
    "file": lambda estimator, folder: through_a_file(estimator)(folder),
    "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
    "deepcopy": lambda estimator, _: copy.deepcopy(estimator),
    "joblib": lambda estimator, _: joblib_copy(estimator),
    "skops": lambda estimator, _: skops_copy(estimator),
}


def assert_same(found, expected, X):
    assert found.get_params() == expected.get_params()
    for name in KNOWN:
        assert getattr(found, name) == getattr(expected, name), name
    assert found._seed == expected._seed
    assert found._stopping.state() == expected._stopping.state()
    assert found.model_ is not expected.model_
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    assert (found.model_ is found.trainer_.model) == (expected.model_ is expected.trainer_.model)
    for mine, theirs in zip(found.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("how", COPIES)
def test_a_stream_goes_on_with_the_same_bits(table, how, tmp_path):
    X, y = table
    estimator = GDRegressor((4,), random_state=0, early_stopping=True, n_iter_no_change=6, tol=10.0)
    validation = {"X_val": X[80:], "y_val": y[80:]}
    for start in range(0, 60, 20):
        estimator.partial_fit(X[start : start + 20], y[start : start + 20], **validation)
    found = COPIES[how](estimator, tmp_path)
    assert_same(found, estimator, X)
    for each in (found, estimator):
        for start in (60, 0, 20, 40):
            each.partial_fit(X[start : start + 20], y[start : start + 20], **validation)
    assert_same(found, estimator, X)
    assert clone(found).get_params() == estimator.get_params()


@pytest.mark.parametrize("how", ["file", "skops"])
def test_a_fit_goes_on_with_the_same_bits(table, how, tmp_path):
    X, y = table
    settings = {"random_state": 0, "max_iter": 2, "warm_start": True, "tol": None, "average": True}
    estimator = GDRegressor((4,), solver=gd.Adam(gd.schedules.InverseScaling(0.01)), **settings).fit(X, y)
    found = COPIES[how](estimator, tmp_path)
    assert_same(found, estimator, X)
    assert found.trainer_.optimizer == estimator.trainer_.optimizer
    for each in (found, estimator):
        each.fit(X, y)
    assert_same(found, estimator, X)
    assert found.t_ == 16


LABELS = {
    "strings": np.array(["low", "middle", "high"]),
    "objects": np.array(["low", "middle", "ç"], object),
    "bytes": np.int8([3, -1, 7]),
    "floats": np.float32([0.5, 1.5, 2.5]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind(table, kind, tmp_path):
    X, z = table
    y = LABELS[kind][np.digitize(z, [-1, 1])]
    if kind == "floats":
        y = y * 2
    frame = pd.DataFrame(X, columns=["a", "ü", "c"])
    estimator = GDClassifier(random_state=0, max_iter=2, class_weight={y[0]: 2.0}).fit(frame, y)
    found = through_a_file(estimator)(tmp_path)
    assert_same(found, estimator, frame)
    np.testing.assert_array_equal(found.predict_proba(frame), estimator.predict_proba(frame))
    assert found.classes_.dtype == estimator.classes_.dtype
    assert found.feature_names_in_.tolist() == ["a", "ü", "c"]


def test_several_labels_and_outputs(table, tmp_path):
    X, z = table
    classifier = GDClassifier(max_iter=2).fit(X, np.column_stack([z > 0, z > 1]).astype(int))
    assert_same(through_a_file(classifier)(tmp_path), classifier, X)
    regressor = GDRegressor(max_iter=2).fit(X, np.column_stack([z, 2 * z]))
    assert_same(through_a_file(regressor)(tmp_path), regressor, X)


class Halving(gd.schedules.Schedule):
    def __call__(self, t):
        return 0.1 / 2.0 ** (t // 10)

    def __eq__(self, other):
        return isinstance(other, Halving)

    __hash__ = None


def count(trainer, record):
    """A callback."""


def test_what_is_a_users_own_is_given_again(table, tmp_path):
    X, y = table
    callbacks = [gd.callbacks.EarlyStopping(2, monitor="loss"), count]
    estimator = GDRegressor(
        solver="sgd", learning_rate=Halving(), callbacks=callbacks, max_iter=2, standardize_targets=False
    ).fit(X, y)
    path = tmp_path / "e"
    estimator.save(path)
    with pytest.raises(ValueError, match=r"has the callbacks EarlyStopping, count; expected load\(path, callbacks="):
        GDRegressor.load(path, Halving())
    with pytest.raises(ValueError, match="Halving"):
        GDRegressor.load(path, callbacks=())
    found = GDRegressor.load(path, Halving(), [gd.callbacks.EarlyStopping(2, monitor="loss"), count])
    np.testing.assert_array_equal(found.predict(X), estimator.predict(X))
    for each in (found, estimator):
        each.partial_fit(X, y)
    np.testing.assert_array_equal(found.predict(X), estimator.predict(X))
    assert [each.best for each in found.callbacks_[:1]] == [each.best for each in estimator.callbacks_[:1]]
    assert found.callbacks[0].is_new
    assert GDRegressor.load(path, Halving(), ()).callbacks == ()


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_model_that_predicts_is_read_and_knows_its_classes(n_classes, early_stopping, table, tmp_path):
    X, y = table
    y = np.array(["low", "mid", "high"])[np.digitize(y, np.quantile(y, [0.3, 0.6])[: n_classes - 1])]
    estimator = GDClassifier((4,), early_stopping=early_stopping, max_iter=5, tol=None, random_state=0).fit(X, y)
    estimator.save(tmp_path / "e")
    model = gd.Model.load(tmp_path / "e")
    np.testing.assert_array_equal(model.parameters, estimator.model_.parameters)
    for known in (model, estimator.model_):
        np.testing.assert_array_equal(known.predict_classes(X), estimator.predict(X))
        np.testing.assert_array_equal(known.predict_proba(X), estimator.predict_proba(X))


def test_a_model_knows_what_estimators_make_of_its_outputs(table):
    X, y = table
    several, many = np.stack([y > 0, y > 1], 1).astype(int), np.digitize(y, [-1, 1])
    rates = GDRegressor(loss="poisson", max_iter=5).fit(X, np.exp(y))
    np.testing.assert_array_equal(rates.model_.predict_rates(X)[:, 0], rates.predict(X))
    of_labels = GDClassifier(max_iter=5).fit(X, several)
    np.testing.assert_array_equal(of_labels.model_.predict_proba(X), of_labels.predict_proba(X))
    assert GDRegressor(max_iter=5).fit(X, y).model_.labels is None
    # Each class against the rest, a model has no word for.
    assert GDClassifier(loss="hinge", max_iter=5).fit(X, many).model_.labels is None


def test_files_that_are_refused(table, tmp_path):
    X, y = table
    path = tmp_path / "e"
    with pytest.raises(NotFittedError):
        GDRegressor().save(path)
    estimator = GDRegressor(max_iter=1, random_state=np.random.RandomState(0)).fit(X, y)
    with pytest.raises(ValueError, match=r"random_state is RandomState.*expected strings, numbers or None"):
        estimator.save(path)
    assert not path.exists()
    estimator.set_params(random_state=None).save(path)
    with pytest.raises(ValueError, match=r"the file holds a GDRegressor; expected GDRegressor.load"):
        GDClassifier.load(path)
    with pytest.raises(ValueError, match=r"the file holds a GDRegressor; expected fastgd.sklearn.GDRegressor.load"):
        gd.Trainer.load(path)
    estimator.model_.save(path)
    with pytest.raises(ValueError, match="holds no estimator of fastgd's"):
        GDRegressor.load(path)
    estimator.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=str(path)):
            GDRegressor.load(path)
