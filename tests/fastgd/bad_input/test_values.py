"""Bad values are found wherever they stand, and the row is named."""

import re

import numpy as np
import pytest
from cases import built, model_of, rows_for
from ones import X, Y

import fastgd as gd
from fastgd.data import reader as dataset

BAD_VALUES = [np.nan, np.inf, -np.inf]
NAMES = ["neuron", "linear neuron", "hidden layer", "ReLU first", "deep"]
# A neuron without an activation compiles kernels of its own.
NAMES_QUICK = [pytest.param(name, marks=pytest.mark.slow if name == "linear neuron" else ()) for name in NAMES]


@pytest.mark.parametrize("name", NAMES_QUICK)
@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize("place", ["X", "y", "sample_weight"])
def test_values_that_are_not_finite(name, batch_size, shuffle, value, place):
    """The row is named, and the parameters are those from before its batch: a ReLU may not swallow it."""
    model, twin = model_of(name, "float32"), model_of(name, "float32")
    n_samples, bad_row = 30, 17
    rows = rows_for(model, n_samples)
    data = dict(zip(("X", "y", "sample_weight"), rows, strict=True))
    data[place] = data[place].copy()
    data[place][(bad_row, 2) if place == "X" else bad_row] = value
    options = {"optimizer": gd.SGD(0.01), "batch_size": batch_size, "shuffle": shuffle, "seed": 2}
    trainer = gd.Trainer(model, **options)
    with pytest.raises(ValueError, match=re.escape(f"{place} holds {value} (as float32) in row {bad_row}")):
        trainer.fit(**data)
    order = np.random.default_rng([2, 0]).permutation(n_samples) if shuffle else np.arange(n_samples)
    batch_rows = batch_size or n_samples
    n_good = int(np.flatnonzero(order == bad_row)[0]) // batch_rows * batch_rows
    if n_good:
        good = order[:n_good]
        gd.Trainer(twin, **options | {"shuffle": False}).fit(rows[0][good], rows[1][good], sample_weight=rows[2][good])
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert trainer.n_updates == n_good // batch_rows


@pytest.mark.parametrize("name", NAMES_QUICK)
@pytest.mark.parametrize("batch_size", [1, *(pytest.param(size, marks=pytest.mark.slow) for size in (4, None))])
@pytest.mark.parametrize("shuffle", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_negative_weights(name, batch_size, shuffle):
    """As with values that are not finite: the parameters are those from before the row's batch."""
    model, twin = model_of(name), model_of(name)
    rows, targets, weight = rows_for(model, 30)
    weight[17] = -0.5
    options = {"optimizer": gd.SGD(0.01), "batch_size": batch_size, "shuffle": shuffle, "seed": 2}
    trainer = gd.Trainer(model, **options)
    with pytest.raises(ValueError, match=r"sample_weight holds -0\.5 in row 17; expected at least 0"):
        trainer.fit(rows, targets, sample_weight=weight)
    order = np.random.default_rng([2, 0]).permutation(30) if shuffle else np.arange(30)
    batch_rows = batch_size or 30
    n_good = int(np.flatnonzero(order == 17)[0]) // batch_rows * batch_rows
    if n_good:
        good = order[:n_good]
        twin_trainer = gd.Trainer(twin, **options | {"shuffle": False})
        twin_trainer.fit(rows[good], targets[good], sample_weight=weight[good])
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert trainer.n_updates == n_good // batch_rows


def test_negative_weights_elsewhere():
    model = model_of("neuron")
    rows, targets, weight = rows_for(model, 30)
    weight[17] = -1
    standardized = gd.Model([gd.Standardize(5), gd.Linear(5, 1)])
    for call in (
        lambda: gd.Trainer(model).step(rows, targets, weight),
        lambda: model.loss(rows, targets, sample_weight=weight),
        lambda: model.loss_and_gradient(rows, targets, sample_weight=weight),
        lambda: gd.Trainer(model).fit(rows, targets, validation=(rows, targets, weight)),
        lambda: gd.Trainer(standardized, optimizer=gd.SGD("auto")).fit(rows, targets, sample_weight=weight),
    ):
        with pytest.raises(ValueError, match=r"sample_weight holds -1\.0 in row 17; expected at least 0"):
            call()
    np.testing.assert_array_equal(model.parameters, model_of("neuron").parameters)
    assert standardized.standardize.mean is None


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("value", BAD_VALUES)
def test_bad_feature_of_any_neuron(batch_size, sign, value):
    """Also where the weight is zero, or has the sign that sends the ReLU to its flat side; also with no weight."""
    for weight in (0.0, 1.0, -1.0):
        for sample_weight in (None, np.zeros(8)):
            model = gd.Model([gd.Linear(3, 1, init=[[sign, weight, sign]]), gd.ReLU()])
            before = model.parameters.copy()
            rows = np.ones((8, 3))
            rows[0, 1] = value
            with pytest.raises(ValueError, match="row 0, column 1"):
                gd.Trainer(model, batch_size=batch_size).fit(rows, np.zeros(8), sample_weight=sample_weight)
            np.testing.assert_array_equal(model.parameters, before)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("loss", ["half_squared_error", "quantile", "poisson"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_target_of_weight_zero(value, loss, batch_size):
    targets, weight = np.ones(8), np.ones(8)
    targets[5], weight[5] = value, 0
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 2), gd.ReLU(), gd.Linear(2, 1)]), loss, batch_size=batch_size)
    with pytest.raises(ValueError, match=f"y holds {value} .*row 5; expected|y holds {value} in row 5; poisson"):
        trainer.fit(np.ones((8, 3)), targets, sample_weight=weight)
    assert trainer.n_updates == (5 if batch_size == 1 else 1)


def test_value_too_large_for_float32():
    rows = np.ones((4, 5))
    rows[2, 3] = 1e300
    with pytest.raises(ValueError, match=r"X holds inf \(as float32\) in row 2, column 3"):
        gd.Trainer(model_of("neuron", "float32")).fit(rows, np.ones(4))


@pytest.mark.parametrize("value", BAD_VALUES)
def test_values_that_are_not_finite_elsewhere(value):
    model = model_of("neuron")
    rows, targets, _ = rows_for(model, 30)
    rows[17, 2] = value
    for call in (
        lambda: model.predict(rows),
        lambda: model.loss(rows, targets),
        lambda: model.loss_and_gradient(rows, targets),
        lambda: gd.Trainer(model).step(rows, targets),
        lambda: gd.Trainer(model).fit(rows[:3], targets[:3], validation=(rows, targets)),
    ):
        with pytest.raises(ValueError, match="in row 17, column 2"):
            call()


def test_parameters_that_are_not_finite():
    model = model_of("neuron")
    model.parameters[0] = np.nan
    with pytest.raises(ValueError, match="parameters hold a NaN"):
        gd.Trainer(model).fit(X, Y)


def test_first_of_several_bad_rows_is_named():
    rows, targets, _ = rows_for(model_of("neuron"), 30)
    rows[[11, 17, 18], [3, 2, 0]] = np.nan
    for call in (
        lambda: model_of("neuron").predict(rows),
        lambda: gd.Trainer(model_of("neuron"), batch_size=None).fit(rows, targets),
    ):
        with pytest.raises(ValueError, match="in row 11, column 3"):
            call()


FIRST_LAYERS = {
    "a neuron with a ReLU": [gd.Linear(5, 1, init=np.ones((1, 5))), gd.ReLU()],
    "weights of zero": [gd.Linear(5, 1, init="zeros")],
    "few outputs": [gd.Linear(5, 3, init="zeros"), gd.ReLU(), gd.Linear(3, 1)],
    "a hidden layer": [gd.Linear(5, 9), gd.ReLU(), gd.Linear(9, 1)],
    "a ReLU": [gd.ReLU(), gd.Linear(5, 1)],
    "a Dropout": [gd.Dropout(0.5), gd.ReLU(), gd.Linear(5, 1)],
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("first", FIRST_LAYERS)
def test_no_layer_hides_a_bad_row_from_predictions(first, value, dtype):
    """Rows are not looked at before a Linear, but what it makes of them; a ReLU makes a zero of minus infinity."""
    model = built(FIRST_LAYERS[first], dtype)
    for row in (3, model.micro_batch_rows - 1, model.micro_batch_rows, 2 * model.micro_batch_rows + 5):
        rows = np.ones((2 * model.micro_batch_rows + 9, 5), dtype)
        targets, weight, bad_targets = np.zeros(len(rows)), np.ones(len(rows)), np.full(len(rows), np.nan)
        rows[row, 4], weight[row] = value, 0
        for call in (
            lambda X=rows: model.predict(X),
            lambda X=rows, y=targets: model.loss(X, y),
            lambda X=rows, y=targets, v=weight: model.loss(X, y, sample_weight=v),
            lambda X=rows, y=bad_targets: model.loss(X, y),
        ):
            with pytest.raises(ValueError, match=f"X holds {value} .* in row {row}, column 4"):
                call()


@pytest.mark.slow
def test_standardize_hides_no_bad_row_from_predictions(rng):
    model = gd.Model([gd.Standardize(5), gd.Linear(5, 1, init=np.ones((1, 5))), gd.ReLU()])
    rows = rng.standard_normal((50, 5))
    gd.Trainer(model).fit(rows, np.ones(50))
    rows[31, 2] = -np.inf
    for call in (lambda: model.predict(rows), lambda: model.loss(rows, np.ones(50))):
        with pytest.raises(ValueError, match="in row 31, column 2"):
            call()


def test_predictions_of_finite_rows_may_overflow():
    rows = np.full((100, 2), 3e38, np.float32)
    model = gd.Model([gd.Linear(2, 1, init=[[1, 0]])], dtype="float32")
    np.testing.assert_array_equal(model.predict(rows), rows[:, :1])
    model.parameters = 3e38
    assert np.isinf(model.predict(rows)).all()
    model.parameters = np.nan
    assert np.isnan(model.predict(rows)).all()


@pytest.mark.slow
def test_bad_row_of_a_later_block_is_named(monkeypatch):
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 400)
    model = model_of("neuron")
    rows, targets, _ = rows_for(model, 30)
    rows[17, 2] = np.nan
    for call in (
        lambda: model.predict(rows),
        lambda: model.loss(rows, targets),
        lambda: model.loss_and_gradient(rows, targets),
        lambda: gd.Trainer(model).fit(rows.astype(np.float32), targets),
    ):
        with pytest.raises(ValueError, match="in row 17, column 2"):
            call()
