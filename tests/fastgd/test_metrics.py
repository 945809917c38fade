"""Metrics against scikit-learn's, and all the places where one of a run is seen."""

import copy
import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from metric_cases import halves, linear

import fastgd as gd
from fastgd.callbacks import EarlyStopping
from fastgd.losses import LOSSES, LossName, as_loss
from fastgd.metrics import METRICS, MetricName, measure, score

REGRESSION = {
    "r2": sklearn.metrics.r2_score,
    "mae": sklearn.metrics.mean_absolute_error,
    "mse": sklearn.metrics.mean_squared_error,
    "rmse": sklearn.metrics.root_mean_squared_error,
}
OF_CLASSES = ["log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron", "cross_entropy"]


def test_names_are_those_of_the_types():
    assert MetricName.__args__ == tuple(METRICS)
    assert LossName.__args__ == tuple(LOSSES)


@given(
    n_outputs=st.integers(1, 3), weighted=st.booleans(), seed=st.integers(0, 100), name=st.sampled_from(list(METRICS))
)
def test_metrics_are_scikit_learns(n_outputs, weighted, seed, name):
    trainer, (X, y), weight = linear(n_outputs, seed)
    data = gd.data.ArrayDataset(X, y, weight if weighted else None)
    weight = weight if weighted else None
    if name == "accuracy":
        y = np.sign(y)
        data = gd.data.ArrayDataset(X, y, weight)
        found = measure([name], trainer.model, data, as_loss("hinge"))
        classes = [np.squeeze(signs > 0) for signs in (y, trainer.model.predict(X))]
        expected = sklearn.metrics.accuracy_score(*classes, sample_weight=weight)
    else:
        found = measure([name], trainer.model, data, trainer.loss)
        expected = REGRESSION[name](y, trainer.model.predict(X), sample_weight=weight)
    assert found == {name: pytest.approx(expected, rel=1e-12, abs=1e-12)}


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_accuracy(loss):
    """Of the classes that the outputs stand for: the largest, or the sign."""
    trainer, (X, y), _ = linear(3 if loss == "cross_entropy" else 1, loss=loss)
    z = trainer.model.predict(X)
    labels = (y > 0).astype(int)
    is_right = (z > 0) == labels
    if loss == "cross_entropy":
        labels = y.argmax(axis=1)
        is_right = z.argmax(axis=1) == labels
    elif loss != "log_loss":
        labels = 2 * labels - 1
    assert 0 < is_right.mean() < 1
    data = gd.data.ArrayDataset(X, labels)
    assert measure(["accuracy"], trainer.model, data, trainer.loss) == {"accuracy": is_right.mean()}
    assert score(trainer.model, data, trainer.loss) == ("accuracy", is_right.mean())


def test_poisson_predicts_the_logarithm_of_what_is_expected():
    model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1.0]])], dtype="float64")
    X = np.linspace(-1, 2, 20).reshape(-1, 1)
    data = gd.data.ArrayDataset(X, np.exp(X))
    poisson = as_loss("poisson")
    assert measure(["mae"], model, data, poisson) == {"mae": pytest.approx(0, abs=1e-12)}
    assert score(model, data, poisson) == ("R²", pytest.approx(1))


@pytest.mark.parametrize(("y", "weight"), [(np.full(7, 0.1), None), (np.arange(7), np.zeros(7))])
def test_r2_of_what_does_not_vary_is_no_number(y, weight):
    trainer, (X, _), _ = linear()
    data = gd.data.ArrayDataset(X[:7], y, weight)
    assert math.isnan(measure(["r2"], trainer.model, data, trainer.loss)["r2"])


def test_each_epoch_has_the_metrics_of_the_validation_data():
    trainer, (X, y), _ = linear(metrics=["r2", halves])
    records = []
    keep = lambda trainer, record: records.append((record, trainer.model.predict(X[30:])))  # noqa: E731
    history = trainer.fit(X[:30], y[:30], epochs=3, validation=(X[30:], y[30:]), callbacks=[keep])
    for (record, prediction), row in zip(records, history, strict=True):
        expected = {"r2": pytest.approx(REGRESSION["r2"](y[30:], prediction)), "halves": halves(y[30:], prediction)}
        assert record.metrics == row.metrics == expected
    assert history.metrics == {name: [record.metrics[name] for record, _ in records] for name in ("r2", "halves")}
    frame = history.to_frame()
    assert list(frame.columns) == ["epoch", "loss", "validation_loss", "seconds", "learning_rate", "r2", "halves"]
    assert frame.r2.tolist() == history.metrics["r2"]
    assert f"r2 {history.metrics['r2'][-1]:.6g}, halves" in repr(history)
    assert "metrics=['r2', 'halves']" in repr(trainer)


def test_without_validation_data_the_rows_of_training_are_judged():
    trainer, (X, y), weight = linear(metrics=["mae"])
    history = trainer.fit(X, y, sample_weight=weight)
    expected = REGRESSION["mae"](y, trainer.model.predict(X), sample_weight=weight)
    assert history.metrics["mae"] == [pytest.approx(expected)]


def test_nothing_is_predicted_unless_a_metric_is_asked_for(monkeypatch):
    trainer, (X, y), _ = linear()
    monkeypatch.setattr(gd.Model, "predict", None)
    assert trainer.fit(X, y, validation=(X, y)).metrics == {}


def test_metrics_change_no_bit():
    plain, (X, y), _ = linear()
    measured, _, _ = linear(metrics=["mae", halves])
    for trainer in (plain, measured):
        trainer.fit(X, y, epochs=2, validation=0.25)
    assert plain.model.parameters.tobytes() == measured.model.parameters.tobytes()
    assert plain.history.validation_loss == measured.history.validation_loss


SHAPES = [("half_squared_error", 1, (40,), (40,)), ("half_squared_error", 2, (40, 2), (40, 2))]
SHAPES += [("cross_entropy", 3, (40,), (40, 3))]


@pytest.mark.parametrize(("loss", "n_outputs", "y_shape", "z_shape"), SHAPES)
def test_what_a_function_of_ones_own_is_given(loss, n_outputs, y_shape, z_shape):
    given = []

    def watch(y, prediction):
        given.append((y.shape, y.dtype, prediction.shape, y.flags.writeable, prediction.flags.writeable))
        return 1

    trainer, (X, y), weight = linear(n_outputs, loss=loss, metrics=[watch])
    y = y.argmax(axis=1) if loss == "cross_entropy" else y
    assert trainer.fit(X, y, sample_weight=weight).metrics == {"watch": [1.0]}
    assert given == [(y_shape, np.float64, z_shape, False, False)]


def test_a_function_that_takes_weights_is_given_them():
    functions = [sklearn.metrics.mean_absolute_error, sklearn.metrics.r2_score]
    trainer, (X, y), weight = linear(metrics=["mae", "r2", *functions])
    metrics = trainer.fit(X, y, sample_weight=weight).metrics
    assert metrics["mean_absolute_error"] == pytest.approx(metrics["mae"])
    assert metrics["r2_score"] == pytest.approx(metrics["r2"])
    trainer.fit(X, y)
    assert metrics["r2_score"] == pytest.approx(metrics["r2"])


def fails(y, prediction):
    raise ZeroDivisionError("no rows")


def gives_none(y, prediction):
    return None


def test_what_a_function_fails_with():
    trainer, rows, _ = linear(metrics=[fails])
    with pytest.raises(ZeroDivisionError, match="no rows") as caught:
        trainer.fit(*rows)
    assert caught.value.__notes__ == ["In the metric fails."]
    trainer, rows, _ = linear(metrics=[gives_none])
    with pytest.raises(TypeError, match="the metric gives_none gave None; expected a number"):
        trainer.fit(*rows)


def loss(y, prediction):
    """A metric with a name that is taken."""


BAD = [
    ("half_squared_error", "mae", TypeError, r"metrics is 'mae'; expected a list, as in metrics=\['acc"),
    ("half_squared_error", ["r2", "R2"], ValueError, r"metrics\[1\] is 'R2'; expected one of .* mean 'r2'"),
    ("half_squared_error", ["r2_score"], ValueError, r"metrics\[0\] is 'r2_score'; .* Did you mean 'r2'"),
    ("half_squared_error", [None], ValueError, r"metrics\[0\] is None; expected one of 'accuracy', 'r2'"),
    ("half_squared_error", ["mae", "mae"], ValueError, r"metrics\[1\] is a second 'mae'; expected each name once"),
    ("half_squared_error", [halves, halves], ValueError, r"metrics\[1\] is a second 'halves'"),
    ("half_squared_error", [lambda y, z: 1], ValueError, r"metrics\[0\] is <.*; expected a function with a name"),
    ("half_squared_error", [loss], ValueError, r"metrics\[0\] is a function named 'loss', as another number is"),
    (
        "half_squared_error",
        ["accuracy"],
        ValueError,
        "targets of half_squared_error are numbers; expected 'r2'",
    ),
    (
        "cross_entropy",
        ["mae"],
        ValueError,
        "targets of cross_entropy are classes; expected 'accuracy', or",
    ),
]


@pytest.mark.parametrize(("loss", "metrics", "error", "message"), BAD)
def test_bad_metrics_are_refused(loss, metrics, error, message):
    with pytest.raises(error, match=message):
        linear(3 if loss == "cross_entropy" else 1, loss=loss, metrics=metrics)


def test_metrics_are_fixed():
    trainer, _, _ = linear()
    with pytest.raises(AttributeError, match="metrics is fixed when a Trainer is made"):
        trainer.metrics = ["mae"]


def test_a_saved_run_goes_on_with_its_metrics(tmp_path):
    def run():
        return linear(metrics=["r2", halves])[0], EarlyStopping(patience=3, monitor="halves", mode="max")

    (whole, stop), (_, rows, _) = run(), linear()
    whole.fit(*rows, epochs=9, validation=0.25, callbacks=[stop])
    trainer, stop = run()
    trainer.fit(*rows, epochs=2, validation=0.25, callbacks=[stop])
    trainer.save(tmp_path / "run")
    again = gd.Trainer.load(tmp_path / "run", metrics=[halves])
    assert again.history == trainer.history
    _, stop = run()
    again.fit(*rows, epochs=len(whole.history) - 2, validation=0.25, callbacks=[stop])
    assert again.history.metrics == whole.history.metrics
    assert again.history.learning_rate == whole.history.learning_rate
    assert again.model.parameters.tobytes() == whole.model.parameters.tobytes()
    assert copy.deepcopy(again).metrics == ("r2", halves)


@pytest.mark.parametrize("given", [[], [fails], [halves, fails]])
def test_a_loaded_run_needs_its_own_functions(given, tmp_path):
    linear(metrics=["r2", halves])[0].save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"metrics of your own are \['halves'\]; expected .*metrics=\[halves\]\)"):
        gd.Trainer.load(tmp_path / "run", metrics=given)
    linear(metrics=["r2"])[0].save(tmp_path / "known")
    assert gd.Trainer.load(tmp_path / "known").metrics == ("r2",)


def test_the_rate_of_an_epoch():
    """That of the update in the middle."""
    trainer, (X, y), _ = linear(batch_size=10)
    trainer.optimizer = gd.SGD(gd.schedules.Step(0.08, step_size=4, gamma=0.5))
    lower = lambda trainer, record: setattr(trainer, "learning_rate_factor", 0.5)  # noqa: E731
    trainer.fit(X, y, epochs=2)
    trainer.fit(X, y, epochs=2, callbacks=[lower])
    assert trainer.history.learning_rate == [0.08, 0.04, 0.02, 0.005]
    trainer.optimizer = gd.SGD(0.03)
    assert trainer.fit(X, y).learning_rate[-1] == 0.015
    assert trainer.fit(X, y, sample_weight=np.zeros(40)).learning_rate[-1] == 0.015


def test_where_every_weight_is_zero_there_is_no_rate():
    trainer, rows, _ = linear()
    trainer.optimizer = gd.SGD("auto")
    assert trainer.fit(*rows, sample_weight=np.zeros(40)).learning_rate == [None]
    assert trainer.fit(*rows).learning_rate[1] == trainer.learning_rate
