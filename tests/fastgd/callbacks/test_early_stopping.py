"""EarlyStopping, and the best parameters however training ends."""

import contextlib
import math

import numpy as np
import pytest
from callback_cases import Recorder, play, problem

import fastgd as gd
from fastgd.callbacks import EarlyStopping

STOPPING = {
    "falls for ever": ({"patience": 1}, [5, 4, 3, 2, 1], None, 5),
    "once without gain": ({"patience": 1}, [5, 4, 4, 3], 3, 2),
    "patience of three": ({"patience": 3}, [5, 3, 4, 4, 4], 5, 2),
    "gains in time": ({"patience": 3}, [5, 3, 4, 4, 2, 3, 3, 3], 8, 5),
    "back to the best is no gain": ({"patience": 2}, [5, 3, 4, 3], 4, 2),
    "gains too small": ({"patience": 2, "min_delta": 0.5}, [5, 4.6, 4.5], 3, 1),
    "small gains add up": ({"patience": 3, "min_delta": 0.5}, [5, 4.8, 4.6, 4.4, 4.2], None, 4),
    "last parameters kept": ({"patience": 2, "restore_best": False}, [5, 3, 4, 4], 4, 4),
    "from infinity": ({"patience": 2}, [math.inf, 7, 8, 8], 4, 2),
    "infinity only": ({"patience": 2}, [math.inf, math.inf], 2, 2),
    "never a number": ({"patience": 2}, [math.nan, math.nan, math.nan], 2, None),
    "no longer a number": ({"patience": 2}, [5, 3, math.nan, math.nan, math.nan], 4, 2),
    "negative losses": ({"patience": 2}, [-1, -2, -1.5, -1.5], 4, 2),
}


@pytest.mark.parametrize("name", STOPPING)
@pytest.mark.parametrize("monitor", ["loss", "validation_loss"])
@pytest.mark.parametrize("past", [0, 10], ids=["new run", "resumed run"])
def test_early_stopping(name, monitor, past):
    """The settings, the losses, the epoch that must be the last, and the one whose parameters must stand then."""
    settings, losses, last, kept = STOPPING[name]
    answers, _, parameter = play(EarlyStopping(monitor=monitor, **settings), losses[:last], monitor, past + 1)
    assert answers == [epoch == last for epoch in range(1, len(answers) + 1)]
    if kept is not None:
        assert parameter == past + kept


def test_early_stopping_in_training():
    trainer, rows, held_out = problem()
    watch, stop = Recorder(), EarlyStopping(patience=3)
    history = trainer.fit(*rows, epochs=500, validation=held_out, callbacks=[watch, stop])
    best = int(np.argmin(history.validation_loss))
    assert len(history) == best + 4 < 500
    assert (stop.best_epoch, stop.best) == (best + 1, history.validation_loss[best])
    np.testing.assert_array_equal(trainer.model.parameters, watch.parameters[best])
    assert trainer.model.loss(*held_out) == stop.best


def test_early_stopping_on_the_training_loss():
    trainer, rows, _ = problem()
    stop = EarlyStopping(patience=2, min_delta=0.01, monitor="loss", restore_best=False)
    watch = Recorder()
    history = trainer.fit(*rows, epochs=500, callbacks=[stop, watch])
    assert len(history) == stop.best_epoch + 2 < 500
    np.testing.assert_array_equal(trainer.model.parameters, watch.parameters[-1])


def test_early_stopping_goes_on_over_calls():
    (whole, rows, held_out), (trainer, _, _) = problem(), problem()
    whole.fit(*rows, epochs=100, validation=held_out, callbacks=[EarlyStopping(patience=4)])
    stop, n_epochs = EarlyStopping(patience=4), len(whole.history)
    while len(trainer.history) < n_epochs:
        trainer.fit(*rows, validation=held_out, callbacks=[stop])
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)


class Spoiling:
    """Makes each epoch after the first few worse, and ends training in one of several ways."""

    def __init__(self, ending):
        self.ending, self.ended = ending, []

    def __call__(self, trainer, record):
        if record.epoch >= 3:
            trainer.model.parameters += 10
        if record.epoch < 5:
            return False
        if self.ending == "divergence":
            trainer.optimizer = gd.SGD(1e300)
        elif self.ending == "Ctrl-C":
            raise KeyboardInterrupt
        return self.ending == "another callback"

    def on_end(self, trainer, error):
        self.ended.append(error)


ENDINGS = {"epochs": None, "another callback": None, "divergence": gd.DivergenceError, "Ctrl-C": KeyboardInterrupt}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("restores", [True, False])
def test_the_best_parameters_however_training_ends(ending, restores):
    trainer, rows, held_out = problem()
    # The fourth epoch starts from parameters that were spoilt after the third.
    watch, spoil, stop = Recorder(), Spoiling(ending), EarlyStopping(patience=50, restore_best=restores)
    caught = contextlib.nullcontext() if ENDINGS[ending] is None else pytest.raises(ENDINGS[ending])
    with caught:
        trainer.fit(*rows, epochs=6, validation=held_out, callbacks=[watch, stop, spoil])
    assert stop.best_epoch <= 3 < len(trainer.history)
    is_best = np.array_equal(trainer.model.parameters, watch.parameters[stop.best_epoch - 1])
    assert is_best == restores
    assert [type(error) for error in spoil.ended] == [ENDINGS[ending] or type(None)]


def test_a_later_fit_goes_on_from_where_training_was_or_from_what_it_was_given():
    trainers = [problem() for _ in range(3)]
    # No gain is so large but that of the first epoch.
    stops = [EarlyStopping(patience=50, min_delta=1e3) for _ in range(3)]
    for (trainer, rows, held_out), stop in zip(trainers, stops, strict=True):
        for epochs in (6,) if trainer is trainers[0][0] else (3, 3):
            if stop is stops[2] and len(trainer.history):
                trainer.model.parameters = 0.25
            trainer.fit(*rows, epochs=epochs, validation=held_out, callbacks=[stop])
    whole, parts, given = (trainer.history.loss for trainer, _, _ in trainers)
    assert whole == parts
    assert whole[:3] == given[:3]
    assert given[3:] != whole[3:]


def test_a_run_that_ended_with_the_best_parameters_goes_on_from_a_file(tmp_path):
    (whole, rows, held_out), (trainer, _, _) = problem(), problem()
    settings = {"patience": 50, "min_delta": 0.05}
    whole.fit(*rows, epochs=30, validation=held_out, callbacks=[EarlyStopping(**settings)])
    for _ in range(3):
        trainer.fit(*rows, epochs=10, validation=held_out, callbacks=[EarlyStopping(**settings)])
        trainer.save(tmp_path / "run")
        trainer = gd.Trainer.load(tmp_path / "run")
    assert trainer.history.loss == whole.history.loss
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)
