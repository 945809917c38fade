"""Training at the rates of a schedule."""

import numpy as np
import pytest
from cases import model_of, rows_for
from schedule_cases import EACH, SCHEDULES, formula

import fastgd as gd
from fastgd.schedules import (
    Constant,
)


def by_hand(model, schedule, batches, make=gd.SGD):
    """Each update by a trainer of its own with the schedule's rate; a batch of weight zero counts for nothing."""
    t = 1.0
    for X, y, sample_weight in batches:
        gd.Trainer(model, optimizer=make(float(schedule(np.array([t]))[0]))).step(X, y, sample_weight)
        t += bool(sample_weight.any())


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize(("model_name", "batch_size"), [("neuron", 1), ("neuron", 4), ("hidden layer", 1)])
@pytest.mark.parametrize("calls", [(3,), (1, 2)], ids=str)
def test_training_follows(name, model_name, batch_size, calls, dtype):
    model, twin = model_of(model_name, dtype), model_of(model_name, dtype)
    X, y, sample_weight = rows_for(model, 18)
    sample_weight[[0, 1, 2, 3, 9, 17]] = 0
    trainer = gd.Trainer(model, optimizer=gd.SGD(EACH[name]), batch_size=batch_size)
    for epochs in calls:
        trainer.fit(X, y, epochs=epochs, sample_weight=sample_weight)
    starts = range(0, 18, batch_size)
    rows = [slice(start, start + batch_size) for start in starts]
    by_hand(twin, EACH[name], 3 * [(X[part], y[part], sample_weight[part]) for part in rows])
    # Steps of one row see no other, so a neuron's round differently from four at once.
    tolerance = 1e-5 if (model_name, batch_size) == ("neuron", 1) else 0
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=tolerance, atol=tolerance / 100)
    n_updates = 3 * sum(bool(sample_weight[part].any()) for part in rows)
    assert trainer.n_updates == n_updates
    assert trainer.learning_rate == pytest.approx(formula(EACH[name], n_updates + 1), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", EACH)
def test_steps_and_epochs_count_alike(name):
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(EACH[name]), batch_size=3)
    for part in (slice(0, 3), slice(3, 6)):
        trainer.step(X[part], y[part])
    trainer.fit(X[6:], y[6:])
    gd.Trainer(twin, optimizer=gd.SGD(EACH[name]), batch_size=3).fit(X, y)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_rates_beyond_those_of_one_call(monkeypatch):
    """The rates of a long epoch are computed in parts."""
    model, twin = model_of("neuron"), model_of("neuron")
    X, y, _ = rows_for(model, 5000)
    gd.Trainer(model, optimizer=gd.SGD(EACH["inverse scaling"])).fit(X, y)
    monkeypatch.setattr("fastgd._engine.slices._RATES_PER_CALL", 64)
    gd.Trainer(twin, optimizer=gd.SGD(EACH["inverse scaling"])).fit(X, y)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


@pytest.mark.parametrize("name", EACH)
def test_the_factor_multiplies(name):
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 8)
    trainer = gd.Trainer(model, optimizer=gd.SGD(EACH[name]), batch_size=4)
    rate = trainer.learning_rate
    trainer.learning_rate_factor = 0.25
    assert trainer.learning_rate == 0.25 * rate
    trainer.fit(X, y)
    other = gd.Trainer(twin, optimizer=gd.SGD(Constant(0.25 * rate)))
    other.step(X[:4], y[:4])
    other.optimizer = gd.SGD(0.25 * float(EACH[name](np.array([2.0]))[0]))
    other.step(X[4:], y[4:])
    np.testing.assert_array_equal(model.parameters, twin.parameters)


OPTIMIZERS = [gd.SGD, lambda rate: gd.SGD(rate, momentum=0.5), gd.Adam, gd.AdamW, gd.Adagrad, gd.RMSprop]
OPTIMIZERS += [gd.NormalizedSGD]


@pytest.mark.parametrize(
    "make", OPTIMIZERS, ids=["SGD", "momentum", "Adam", "AdamW", "Adagrad", "RMSprop", "Normalized"]
)
@pytest.mark.parametrize("name", EACH)
def test_every_optimizer_takes_every_schedule_without_a_penalty(make, name):
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 24)
    gd.Trainer(model, optimizer=make(EACH[name]), batch_size=4, alpha=0).fit(X, y, epochs=4)
    trainer = gd.Trainer(twin, optimizer=make(1.0), batch_size=4)
    for t, start in enumerate(4 * list(range(0, 24, 4)), 1):
        trainer.learning_rate_factor = float(EACH[name](np.array([float(t)]))[0])
        trainer.step(X[start : start + 4], y[start : start + 4])
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert (model.parameters != model_of("hidden layer").parameters).all()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_are_saved(schedule, tmp_path):
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.Adam(schedule))
    trainer.learning_rate_factor = 0.5
    trainer.save(tmp_path / "run")
    loaded = gd.Trainer.load(tmp_path / "run")
    assert loaded.optimizer == trainer.optimizer
    assert loaded.learning_rate == trainer.learning_rate == 0.5 * schedule(np.ones(1))[0]
