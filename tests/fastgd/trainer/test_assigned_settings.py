"""Settings that are fixed, and those that are assigned."""

import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd

FIXED = {"loss": "huber", "seed": 5, "alpha": 5.0, "l1_ratio": 0.5, "model": model_of("neuron")}
FIXED |= {"clip_value": 0.1, "clip_norm": 0.1, "max_norm": 0.1, "average_from": 3}


@pytest.mark.parametrize("name", FIXED)
def test_settings_that_are_fixed(name):
    trainer = gd.Trainer(model_of("neuron"))
    before = getattr(trainer, name)
    with pytest.raises(AttributeError, match=f"{name} is fixed when a Trainer is made; expected a new Trainer"):
        setattr(trainer, name, FIXED[name])
    assert getattr(trainer, name) is before


ASSIGNED = {"optimizer": gd.Adam(0.05), "batch_size": 7, "shuffle": True, "learning_rate_factor": 0.5}


@pytest.mark.parametrize("name", ASSIGNED)
def test_settings_that_are_assigned_count_at_once(name, tmp_path):
    """Going on and going on from a file: the same bits, which are not those of a trainer without the assignment."""
    X, y, _ = rows_for(model_of("hidden layer"), 30)
    trainer, without = (gd.Trainer(model_of("hidden layer"), optimizer=gd.SGD(0.03), batch_size=4) for _ in range(2))
    for each in (trainer, without):
        each.fit(X, y)
    setattr(trainer, name, ASSIGNED[name])
    trainer.save(tmp_path / "run")
    loaded = gd.Trainer.load(tmp_path / "run")
    for each in (trainer, without, loaded):
        each.fit(X, y, epochs=2)
    assert getattr(loaded, name) == ASSIGNED[name]
    np.testing.assert_array_equal(trainer.model.parameters, loaded.model.parameters)
    assert (trainer.model.parameters != without.model.parameters).any()


def test_an_optimizer_that_a_callback_assigns_counts_at_once(tmp_path):
    def change(trainer, record):
        if record.epoch == 2:
            trainer.optimizer = gd.Adam(0.05)
            trainer.save(tmp_path / "run")

    X, y, _ = rows_for(model_of("hidden layer"), 30)
    trainer = gd.Trainer(model_of("hidden layer"), optimizer=gd.SGD(0.03), batch_size=4)
    trainer.fit(X, y, epochs=4, callbacks=[change])
    loaded = gd.Trainer.load(tmp_path / "run")
    loaded.fit(X, y, epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, loaded.model.parameters)
    assert trainer.n_updates == loaded.n_updates == 4 * 8


def test_another_optimizer_averages_afresh(tmp_path):
    """From when it is assigned on, as from a file."""
    X, y, _ = rows_for(model_of("neuron"), 30)
    trainer = gd.Trainer(model_of("neuron"), average_from=20)
    trainer.fit(X, y)
    trainer.averaged_model()
    trainer.optimizer = gd.Adam()
    trainer.save(tmp_path / "run")
    for each in (trainer, gd.Trainer.load(tmp_path / "run")):
        with pytest.raises(
            ValueError, match="average_from is 20 and 0 updates were made with this optimizer; expected"
        ):
            each.averaged_model()
        each.fit(X, y)
        assert (each.averaged_model().parameters != each.model.parameters).any()


def test_an_order_that_a_callback_assigns_counts_from_the_next_epoch_on():
    X, y, _ = rows_for(model_of("neuron"), 30)
    trainer, twin = (gd.Trainer(model_of("neuron"), optimizer=gd.SGD(0.03), shuffle=True) for _ in range(2))

    def change(trainer, record):
        trainer.shuffle = record.epoch == 2

    trainer.fit(X, y, epochs=3, callbacks=[change])
    for shuffle in (True, False, True):
        twin.shuffle = shuffle
        twin.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)


BAD_SETTINGS = [
    ("batch_size", 0, ValueError, "batch_size is 0; expected at least 1"),
    ("batch_size", 2.0, TypeError, r"batch_size is 2\.0; expected an integer"),
    ("shuffle", 1, TypeError, "shuffle is 1; expected True or False"),
    ("optimizer", "SGD", TypeError, "optimizer is 'SGD'"),
    ("learning_rate_factor", -1, ValueError, "learning_rate_factor is -1; expected a finite number of at least 0"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), BAD_SETTINGS)
def test_settings_are_checked_when_they_are_assigned(name, value, error, message):
    trainer = gd.Trainer(model_of("neuron"))
    before = getattr(trainer, name)
    with pytest.raises(error, match=message):
        setattr(trainer, name, value)
    assert getattr(trainer, name) is before


def test_auto_is_measured_for_each_optimizer():
    X, _, _ = rows_for(model_of("neuron"), 200)
    # There is something to learn: a model that is worse than a constant would not stay as it is.
    y = np.maximum(X @ [1.0, 2, 3, 4, 5], 0)
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.SGD("auto"), batch_size=4)
    trainer.fit(X, y)
    trainer.optimizer = gd.Adam("auto")
    assert trainer.learning_rate is None
    twin = gd.Trainer(model_of("neuron"), optimizer=gd.Adam("auto"), batch_size=4)
    twin.model.parameters = trainer.model.parameters
    for each in (trainer, twin):
        each.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)


@pytest.mark.parametrize("name", ["learning_rate", "lr"])
def test_the_rate_is_assigned_by_its_factor_or_with_the_optimizer(name):
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]), optimizer=gd.SGD(0.1))
    with pytest.raises(AttributeError, match=rf"{name} follows from the optimizer; expected trainer.learning_rate_fac"):
        setattr(trainer, name, 0.01)
    trainer.learning_rate_factor = 0.5
    assert trainer.learning_rate == 0.05
