"""ReduceOnPlateau."""

import math

import numpy as np
import pytest
from callback_cases import Recorder, play, problem
from cases import model_of

import fastgd as gd
from fastgd.callbacks import ReduceOnPlateau
from fastgd.history import EpochRecord

REDUCING = {
    "falls for ever": ({"patience": 1}, [5, 4, 3], [1, 1, 1]),
    "patience of two": ({"patience": 2, "factor": 0.5}, [5, 4, 4, 4, 4, 4], [1, 1, 1, 0.5, 0.5, 0.25]),
    "gains in time": ({"patience": 2, "factor": 0.5}, [5, 6, 4, 6, 6, 3, 6, 6], [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
    "gains too small": ({"patience": 1, "factor": 0.5, "min_delta": 1}, [5, 4.5, 3, 2.5], [1, 0.5, 0.5, 0.25]),
    "a floor": ({"patience": 1, "factor": 0.25, "min_factor": 0.1}, [5, 5, 5, 5], [1, 0.25, 0.1, 0.1]),
    "never a number": ({"patience": 1, "factor": 0.5}, [math.nan, math.nan], [0.5, 0.25]),
    "from infinity": ({"patience": 2, "factor": 0.5}, [math.inf, 5, 6, 6], [1, 1, 1, 0.5]),
    "no longer a number": ({"patience": 1, "factor": 0.5}, [5, math.nan, math.nan, 6], [1, 0.5, 0.25, 0.125]),
}


@pytest.mark.parametrize("name", REDUCING)
@pytest.mark.parametrize("monitor", ["loss", "validation_loss"])
@pytest.mark.parametrize("past", [0, 10], ids=["new run", "resumed run"])
def test_reduce_on_plateau(name, monitor, past):
    """The settings, the losses, and the factor after each epoch."""
    settings, losses, expected = REDUCING[name]
    _, factors, _ = play(ReduceOnPlateau(monitor=monitor, **settings), losses, monitor, past + 1)
    assert factors == expected


def test_reduce_on_plateau_never_raises_a_rate():
    trainer = gd.Trainer(model_of("neuron"))
    trainer.learning_rate_factor = 0.01
    reduce = ReduceOnPlateau(patience=1, min_factor=0.1)
    for epoch in (1, 2, 3):
        reduce(trainer, EpochRecord(epoch, 1, 1, 0.1))
    assert trainer.learning_rate_factor == 0.01


@pytest.mark.parametrize(
    "rate", [0.02, gd.schedules.InverseScaling(0.05), "auto"], ids=["constant", "schedule", "auto"]
)
def test_reduced_rates_are_trained_with(rate, tmp_path):
    """Loss and factor of each epoch are those of a run whose factor is set by hand; a file keeps the factor."""
    _, rows, held_out = problem()
    twin, other = (gd.Trainer(model_of("hidden layer"), optimizer=gd.SGD(rate), batch_size=4) for _ in range(2))
    reduce, watch = ReduceOnPlateau(factor=0.5, patience=1, min_delta=0.5), Recorder()
    twin.fit(*rows, epochs=6, validation=held_out, callbacks=[reduce, watch])
    assert watch.factors[-1] < watch.factors[0] == 1
    full_rates = []
    for factor in [1.0, *watch.factors[:-1]]:
        other.learning_rate_factor = factor
        other.fit(*rows)
        full_rates.append(other.learning_rate / factor)
        other.save(tmp_path / "run")
        other = gd.Trainer.load(tmp_path / "run")
        assert other.learning_rate_factor == factor
        assert other.learning_rate == pytest.approx(full_rates[-1] * factor, rel=1e-15)
    np.testing.assert_array_equal(other.model.parameters, twin.model.parameters)
    assert other.history.loss == twin.history.loss
    assert twin.learning_rate == pytest.approx(full_rates[-1] * watch.factors[-1], rel=1e-15)
