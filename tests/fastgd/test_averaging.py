"""Averaged parameters."""

import numpy as np
import pytest
from cases import model_of, rows_for
from regularized_by_hand import RATE, TOLERANCE

import fastgd as gd


@pytest.mark.parametrize("average_from", [1, 2, 5, 13, 15])
@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
@pytest.mark.parametrize("optimizer", [gd.SGD(RATE), gd.Adam(0.01), gd.NormalizedSGD()], ids=repr)
def test_average_is_the_mean_from_an_update_on(average_from, name, optimizer, dtype):
    model = model_of(name, dtype)
    X, y, _ = rows_for(model, 15)
    trainer = gd.Trainer(model, optimizer=optimizer, average_from=average_from)
    path = []
    for row in range(15):
        trainer.step(X[row : row + 1], y[row : row + 1])
        path.append(model.parameters.astype(np.float64))
    averaged = trainer.averaged_model()
    mean = np.mean(path[average_from - 1 :], axis=0)
    np.testing.assert_allclose(averaged.parameters, mean, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] / 100)
    assert averaged.dtype == model.dtype
    other = gd.Trainer(model_of(name, dtype), optimizer=optimizer, average_from=average_from)
    other.fit(X, y)
    np.testing.assert_array_equal(other.averaged_model().parameters, averaged.parameters)
    np.testing.assert_array_equal(other.model.parameters, model.parameters)


def test_averaging_does_not_change_training():
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 30)
    gd.Trainer(model, optimizer=gd.SGD(RATE), batch_size=4, average_from=3).fit(X, y, epochs=3)
    gd.Trainer(twin, optimizer=gd.SGD(RATE), batch_size=4).fit(X, y, epochs=3)
    # Plain updates are made while the gradient is computed, which rounds differently.
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_a_mean_in_float32_goes_on_moving(tmp_path):
    """A float32 itself stops after some 10^6 updates, as what joins the mean is lost in rounding."""
    model = gd.Model([gd.Linear(1, 1, bias=False, init=[[1.0]])], dtype="float32")
    n_rows, step = 1 << 19, 2.0**-20
    rows = np.ones((n_rows, 1), np.float32), np.full(n_rows, 1e9)
    trainer = gd.Trainer(model, "absolute_error", gd.SGD(step), average_from=1)
    trainer.fit(*rows)
    trainer.save(tmp_path / "run")
    for run in (trainer, gd.Trainer.load(tmp_path / "run")):
        run.fit(*rows)
        # The weight has gone from 1 to 2 in 2^20 steps.
        assert run.model.parameters[0] == 2
        assert abs(float(run.averaged_model().parameters[0]) - 1.5) < 1e-6


def test_averaged_model_is_a_copy():
    model = model_of("neuron")
    X, y, _ = rows_for(model, 10)
    trainer = gd.Trainer(model, optimizer=gd.SGD(RATE), average_from=1)
    trainer.fit(X, y)
    trained, averaged = model.parameters.copy(), trainer.averaged_model()
    averaged.layers[0].weight[:] = 0
    assert (averaged.predict(X) == max(float(averaged.layers[0].bias[0]), 0)).all()
    np.testing.assert_array_equal(model.parameters, trained)
    assert (trainer.averaged_model().layers[0].weight != 0).all()
    before = trainer.averaged_model().parameters.copy()
    trainer.fit(X, y)
    assert (trainer.averaged_model().parameters != before).all()


@pytest.mark.parametrize(("average_from", "n_rows"), [(None, 0), (None, 5), (6, 0), (6, 5)])
def test_no_average_is_an_error(average_from, n_rows):
    model = model_of("neuron")
    X, y, _ = rows_for(model, 5)
    trainer = gd.Trainer(model, average_from=average_from)
    if n_rows:
        trainer.fit(X, y)
    with pytest.raises(ValueError, match=f"average_from is {average_from} and {n_rows} updates were made"):
        trainer.averaged_model()


def test_averaging_beats_the_last_step_on_noisy_data(rng):
    X = rng.standard_normal((3000, 10))
    weight = rng.standard_normal(10)
    y = X @ weight + rng.standard_normal(3000)
    model = gd.Model([gd.Linear(10, 1, bias=False)], dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.05), average_from=300)
    trainer.fit(X, y)

    def error_of(some):
        return np.linalg.norm(some.layers[0].weight - weight)

    assert error_of(trainer.averaged_model()) < 0.5 * error_of(model)
