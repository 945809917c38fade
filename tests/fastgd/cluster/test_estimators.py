"""Estimators on Dask arrays and frames, against trainers of replicas, the local estimators and scikit-learn."""

import pickle
from functools import partial

import numpy as np
import pytest
from dask_tables import N_ROWS, QUICK, chunked
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.class_weight import compute_sample_weight

import fastgd as gd
from fastgd import sklearn as local
from fastgd.losses import as_loss
from fastgd.recommended import unit_of_loss

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
gd_dask = pytest.importorskip("fastgd.dask")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

# What Dask leaves to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def test_a_regressor_is_a_trainer_of_replicas(client, table):
    X, y = table
    regressor = gd_dask.GDRegressor(shuffle=False, round_rows=64, **QUICK).fit(*chunked(X, y))
    model = gd.Model([gd.Standardize(4), gd.Linear(4, 1)], "float64", seed=regressor.trainer_.seed)
    twin = gd.Trainer(
        model, optimizer="auto", batch_size=32, alpha=1 / N_ROWS, replicas=3, round_rows=64, standardize_targets=True
    )
    twin.fit(X, y, epochs=5)
    np.testing.assert_allclose(regressor.model_.parameters, model.parameters, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(regressor.coef_, model.fold().layers[0].weight[0], rtol=1e-9)
    assert (regressor.n_iter_, regressor.n_features_in_, regressor.t_) == (5, 4, twin.n_updates)
    np.testing.assert_allclose(regressor.loss_curve_, twin.history.loss, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_a_linear_model_comes_to_least_squares(client, table):
    X, y = table
    weights = np.where(X[:, 0] > 5, 2.0, 0.5)
    regressor = gd_dask.GDRegressor(random_state=0, alpha=0.0, max_iter=100).fit(*chunked(X, y, weights))
    W = np.sqrt(weights)[:, None]
    expected = np.linalg.lstsq(W * np.c_[X, np.ones(N_ROWS)], W[:, 0] * y, rcond=None)[0]
    np.testing.assert_allclose(regressor.coef_ * X.std(axis=0), expected[:4] * X.std(axis=0), atol=0.02)
    assert regressor.score(*chunked(X, y)) > 0.99


@pytest.mark.parametrize("kind", ["GDRegressor", "GDClassifier"])
def test_a_linear_model_ends_where_its_objective_is_least(client, table, kind):
    """As the local one does, after as many epochs; columns that nearly say the same ask for it."""
    X, y = table
    X, weights = np.c_[X, X[:, 0] + 1e-3 * X[:, 2]], np.where(X[:, 1] > 0, 2.0, 0.5)
    y = y if kind == "GDRegressor" else np.where(y > np.median(y), "many", "few")
    found = getattr(gd_dask, kind)(random_state=0, replicas=3, alpha=1e-3).fit(*chunked(X, y, weights))
    expected = getattr(local, kind)(random_state=0, alpha=1e-3, tol=1e-7).fit(X, y, weights)
    assert found.n_iter_ == 8
    if kind == "GDRegressor":
        np.testing.assert_allclose(found.predict(X), expected.predict(X), atol=0.01 * y.std())
    else:
        np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=0.01)


def test_predictions_are_lazy_and_scores_those_of_scikit_learn(client, table, rng):
    X, y = table
    Y, weights = np.c_[y, X[:, 0] ** 2], rng.uniform(0, 2, N_ROWS)
    lazy = chunked(X, Y, weights)
    regressor = gd_dask.GDRegressor((4,), **QUICK).fit(*lazy[:2])
    predicted = regressor.predict(lazy[0])
    assert isinstance(predicted, da.Array)
    assert (predicted.chunks, predicted.dtype) == (lazy[1].chunks, np.float64)
    here = regressor.predict(X)
    np.testing.assert_allclose(predicted.compute(), here, rtol=1e-12)
    assert regressor.score(*lazy) == pytest.approx(r2_score(Y, here, sample_weight=weights), rel=1e-12)
    assert regressor.score(X, Y) == pytest.approx(r2_score(Y, here), rel=1e-12)
    # What a graph predicts is what the model was when it was made.
    regressor.model_.parameters = 0
    np.testing.assert_allclose(predicted.compute(), here, rtol=1e-12)
    # Blocks without rows have no predictions.
    empty = da.concatenate([lazy[0][:50], lazy[0][:0], lazy[0][50:60]])
    np.testing.assert_allclose(regressor.predict(empty).compute(), regressor.predict(X[:60]), rtol=1e-12)


@pytest.mark.slow
def test_targets_that_do_not_vary_are_scored_as_scikit_learn_does(client):
    X, y = np.arange(60.0)[:, None], np.ones(60)
    regressor = gd_dask.GDRegressor(**QUICK).fit(*chunked(X, y, rows=20))
    here = regressor.predict(X)
    assert regressor.score(*chunked(X, y, rows=20)) == r2_score(y, here)
    with pytest.raises(TypeError, match="y is None; expected the targets of X"):
        regressor.score(chunked(X, y)[0])


@pytest.mark.slow
def test_frames_have_names_and_unknown_lengths(client, table):
    X, y = table
    frame = pd.DataFrame(X, columns=list("abcd")).assign(b=lambda t: t.b.round().astype(int), d=lambda t: t.d > 5)
    lazy, target = dd.from_pandas(frame, npartitions=4), dd.from_pandas(pd.Series(y), npartitions=4)
    regressor = gd_dask.GDRegressor(**QUICK).fit(lazy, target)
    assert regressor.feature_names_in_.tolist() == list("abcd")
    of_arrays = gd_dask.GDRegressor(**QUICK).fit(*chunked(frame.to_numpy(np.float64), y))
    np.testing.assert_array_equal(regressor.coef_, of_arrays.coef_)
    np.testing.assert_allclose(regressor.predict(lazy).compute(), regressor.predict(frame), rtol=1e-12)
    assert regressor.score(lazy, target) == pytest.approx(regressor.score(frame, y), rel=1e-9)
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(lazy.rename(columns={"a": "z"}))
    with pytest.raises(TypeError, match="columns that are no numbers: c"):
        gd_dask.GDRegressor(**QUICK).fit(lazy.assign(c="word"), target)
    values = lazy.astype(float).values, target.values
    assert np.isnan(values[0].shape[0])
    for given in ((lazy.astype(float), target.values), values):
        again = gd_dask.GDRegressor(**QUICK).fit(*given)
        np.testing.assert_array_equal(again.coef_, of_arrays.coef_)
    np.testing.assert_allclose(again.predict(values[0]).compute(), regressor.predict(frame), rtol=1e-12)
    narrow = dd.from_pandas(frame[["a"]].astype(np.float32), npartitions=4)
    assert gd_dask.GDRegressor(**QUICK).fit(narrow, target).model_.dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3])
def test_words_are_classes(n_classes, client, table):
    X, y = table
    names = np.array(["few", "many", "some"])[np.digitize(y, np.quantile(y, [0.3, 0.7][: n_classes - 1]))]
    lazy = chunked(X, names)
    classifier = gd_dask.GDClassifier(random_state=0, replicas=2, max_iter=30, tol=None).fit(*lazy)
    assert classifier.classes_.tolist() == sorted(set(names))
    predicted, p = classifier.predict(lazy[0]), classifier.predict_proba(lazy[0])
    np.testing.assert_array_equal(predicted.compute(), classifier.predict(X))
    np.testing.assert_allclose(p.compute(), classifier.predict_proba(X), rtol=1e-12)
    assert p.shape == (N_ROWS, n_classes)
    assert classifier.decision_function(lazy[0]).compute().shape == classifier.decision_function(X).shape
    weights = da.from_array(np.linspace(0, 1, N_ROWS), chunks=90)
    expected = accuracy_score(names, classifier.predict(X), sample_weight=weights.compute())
    assert classifier.score(*lazy, weights) == pytest.approx(expected, rel=1e-12)
    assert expected > 0.9


@pytest.mark.parametrize("dtype", ["str", "category", "Int64", "Float64", "boolean", "int64[pyarrow]"])
def test_targets_of_any_column(dtype, client, table):
    """Those that Dask has no arrays of, too; warnings are errors here."""
    X, y = table
    is_word, is_measured = dtype in ("str", "category"), dtype == "Float64"
    target = pd.Series(y if is_measured else (y > y.mean()).astype(int))
    target = (target.map({0: "few", 1: "many"}) if is_word else target).astype(dtype)
    lazy = dd.from_pandas(pd.DataFrame(X), npartitions=3), dd.from_pandas(target, npartitions=3)
    if is_measured:
        assert gd_dask.GDRegressor(**QUICK).fit(*lazy).score(*lazy) > 0.5
        return
    classifier = gd_dask.GDClassifier(**QUICK).fit(*lazy)
    assert classifier.classes_.tolist() == sorted(target.unique())
    assert classifier.score(*lazy) > 0.5


def test_without_a_client(monkeypatch, table):
    monkeypatch.setattr(distributed, "get_client", distributed_without_clients)
    message = r"client is None.*; expected client=\.\.\., or client = dask\.distributed\.Client\(\) before"
    with pytest.raises(ValueError, match=message):
        gd_dask.GDRegressor().fit(*chunked(*table))
    trainer = gd.Trainer(gd.Model([gd.Linear(4, 1)]), replicas=2)
    with pytest.raises(ValueError, match=message):
        gd_dask.fit(trainer, chunked(*table))


def distributed_without_clients():
    raise ValueError("No global client found and no address provided")


@pytest.mark.slow
def test_balanced_classes_are_weights(client, table):
    X, y = table
    labels = (y > np.quantile(y, 0.8)).astype(int)
    own = np.linspace(1, 2, N_ROWS)
    given = own * compute_sample_weight("balanced", labels)
    # "balanced" is of the weights that rows have.
    totals = np.bincount(labels, own)
    given = own * (totals.mean() / totals)[labels]
    balanced = gd_dask.GDClassifier(class_weight="balanced", **QUICK).fit(*chunked(X, labels, own))
    weighted = gd_dask.GDClassifier(**QUICK).fit(*chunked(X, labels, given))
    np.testing.assert_allclose(balanced.coef_, weighted.coef_, rtol=1e-9)
    plain = gd_dask.GDClassifier(**QUICK).fit(*chunked(X, labels))
    assert np.abs(plain.coef_ - weighted.coef_).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["hinge", "log_loss"])
def test_losses_get_the_targets_that_they_take(loss, client, table):
    """As the local estimator encodes them: one replica's epochs on half of the rows twice are near."""
    X, y = table
    labels = np.array(["no", "yes"])[(y > np.median(y)).astype(int)]
    options = {"loss": loss, "random_state": 0, "max_iter": 30, "tol": None}
    classifier = gd_dask.GDClassifier(replicas=2, **options).fit(*chunked(X, labels))
    here = local.GDClassifier(**options).fit(X, labels)
    assert abs(classifier.score(X, labels) - here.score(X, labels)) < 0.03


@pytest.mark.slow
def test_the_number_of_workers_changes_no_bit(client, table):
    found = []
    for n_workers in (1, 3):
        # Above a share of the limit workers pause, and theirs is this process's memory.
        options = {"processes": False, "memory_limit": None, "dashboard_address": ":0"}
        with distributed.Client(n_workers=n_workers, **options) as other:
            regressor = gd_dask.GDRegressor((3,), solver=gd.Adam(0.01), **QUICK).fit(*chunked(*table), client=other)
            found.append(regressor.model_.parameters)
    np.testing.assert_array_equal(*found)


@pytest.mark.slow
def test_going_on_is_one_training(client, table):
    lazy = chunked(*table)
    whole = gd_dask.GDRegressor(**QUICK | {"max_iter": 6, "solver": gd.SGD(0.01)}).fit(*lazy)
    parts = gd_dask.GDRegressor(**QUICK | {"max_iter": 3, "solver": gd.SGD(0.01)}, warm_start=True)
    parts.fit(*lazy).fit(*lazy)
    np.testing.assert_array_equal(parts.coef_, whole.coef_)
    with pytest.raises(ValueError, match="replicas was 3 when training began and is 2"):
        parts.set_params(replicas=2).fit(*lazy)


@pytest.mark.slow
@pytest.mark.parametrize("are_lazy", [False, True])
def test_early_stopping_by_rows_of_ones_own(are_lazy, client, table):
    X, y = table
    given = chunked(X[300:], y[300:]) if are_lazy else (X[300:], y[300:])
    regressor = gd_dask.GDRegressor((8,), early_stopping=True, **QUICK | {"max_iter": 12})
    regressor.fit(*chunked(X[:300], y[:300]), X_val=given[0], y_val=given[1])
    losses = regressor.validation_loss_curve_
    assert regressor.best_loss_ == min(losses)
    np.testing.assert_allclose(regressor.model_.loss(X[300:], y[300:]), min(losses), rtol=1e-6)


@pytest.mark.slow
def test_rows_that_workers_make_or_open(client, tmp_path):
    data = gd.data.synthetic(N_ROWS, 5, noise=0.1, seed=2)
    data.save(tmp_path)
    opened = partial(gd.data.open, tmp_path / "X.npy", target=tmp_path / "y.npy")
    made, read = (gd_dask.GDRegressor(**QUICK).fit(each) for each in (data, opened))
    np.testing.assert_array_equal(made.coef_, read.coef_)
    X, y = data.arrays()
    assert made.score(X, y[:, 0]) > 0.5
    np.save(tmp_path / "classes.npy", (y[:, 0] > np.median(y)).astype(np.int64))
    of_classes = partial(gd.data.open, tmp_path / "X.npy", target=tmp_path / "classes.npy")
    assert gd_dask.GDClassifier(**QUICK).fit(of_classes).classes_.tolist() == [0, 1]
    with pytest.raises(ValueError, match="not as the loss takes them"):
        gd_dask.GDClassifier(loss="hinge", **QUICK).fit(of_classes)


@pytest.mark.slow
def test_copies_and_files(client, table, tmp_path):
    lazy = chunked(*table)
    regressor = gd_dask.GDRegressor(round_rows=32, **QUICK).fit(*lazy)
    assert clone(regressor).get_params() == regressor.get_params()
    assert "replicas=3" in repr(regressor)
    assert "round_rows=None" not in repr(gd_dask.GDRegressor())
    regressor.save(tmp_path / "regressor.safetensors")
    loaded = gd_dask.GDRegressor.load(tmp_path / "regressor.safetensors")
    for other in (pickle.loads(pickle.dumps(regressor)), loaded):
        np.testing.assert_array_equal(other.predict(lazy[0]).compute(), regressor.predict(lazy[0]).compute())
        np.testing.assert_array_equal(
            other.set_params(warm_start=True).fit(*lazy).coef_,
            clone(regressor).set_params(warm_start=True).fit(*lazy).fit(*lazy).coef_,
        )
    with pytest.raises(ValueError, match=r"expected fastgd\.dask\.GDRegressor\.load"):
        local.GDRegressor.load(tmp_path / "regressor.safetensors")


def test_low_rates_are_told_where_the_rows_are(client, table, monkeypatch):
    """The unit of a Poisson loss, too, is found without a pass of the rows through the client."""
    X, y = table
    rates = 1e-4 * np.exp((y - y.mean()) / y.std() / 2)
    expected = local.GDRegressor(loss="poisson", random_state=0).fit(X, rates)
    found = gd_dask.GDRegressor(loss="poisson", random_state=0, replicas=3, alpha=1e-6, tol=1e-4)
    found.fit(*chunked(X, rates))
    assert found.score(X, rates) == pytest.approx(expected.score(X, rates), abs=0.02)
    rows, targets = chunked(X, rates)
    source = gd_dask.cluster.source_of([rows, targets[:, None]], client, 3)
    monkeypatch.setattr(type(source.dataset), "read", lambda *_: pytest.fail("rows came to the client"))
    assert unit_of_loss(source.dataset, as_loss("poisson")) == pytest.approx(rates.mean())
