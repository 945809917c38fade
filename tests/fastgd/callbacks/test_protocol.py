"""What callbacks are called with and when, whatever fails."""

import math

import numpy as np
import pytest
from callback_cases import Failing, Recorder, class_name, problem

import fastgd as gd
from fastgd.callbacks import EarlyStopping, ModelCheckpoint, ReduceOnPlateau


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_on_begin_and_on_end_of_ones_own(bad):
    class Told:
        def __init__(self):
            self.told = []

        def on_begin(self, trainer):
            self.told.append(("begin", len(trainer.history)))

        def __call__(self, trainer, record):
            self.told.append(record.epoch)

        def on_end(self, trainer, error):
            self.told.append(("end", error))

    trainer, (X, y), _ = problem()
    told = Told()
    trainer.fit(X, y, epochs=2, callbacks=[told])
    with pytest.raises(ValueError, match="validation: y holds"):
        trainer.fit(X, y, validation=(X, y * bad), callbacks=[told])
    assert told.told == [("begin", 0), 1, 2, ("end", None)]
    X[3, 0] = bad
    with pytest.raises(ValueError, match="X holds") as caught:
        trainer.fit(X, y, callbacks=[told])
    assert told.told[4:] == [("begin", 2), ("end", caught.value)]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt("late")], ids=class_name)
def test_all_hear_of_the_end_where_an_on_end_fails(failure):
    trainer, rows, held_out = problem()
    heard, stop, watch = [], EarlyStopping(), Recorder()
    other = ZeroDivisionError("another")
    failing = Failing(heard, "first", end=failure), Failing(heard, "second", end=other), Failing(heard, "third")
    with pytest.raises(type(failure)) as caught:
        trainer.fit(*rows, epochs=9, validation=held_out, callbacks=[*failing, stop, watch])
    assert caught.value is failure
    assert [note for note in failure.__notes__ if "on_end" in note and "ZeroDivisionError: another" in note]
    assert [(name, error) for name, what, error in heard if what == "end"] == [
        ("first", None),
        ("second", None),
        ("third", None),
    ]
    np.testing.assert_array_equal(trainer.model.parameters, watch.parameters[stop.best_epoch - 1])


@pytest.mark.parametrize("ending", [gd.DivergenceError, KeyboardInterrupt, ZeroDivisionError])
def test_what_ended_training_is_raised_where_an_on_end_fails_too(ending):
    def end(trainer, record):
        if ending is not gd.DivergenceError:
            raise ending
        trainer.optimizer = gd.SGD(1e300)

    trainer, rows, _ = problem()
    heard = []
    failing = Failing(heard, "first", end=OSError("disk full")), Failing(heard, "second")
    with pytest.raises(ending) as caught:
        trainer.fit(*rows, epochs=5, callbacks=[*failing, end])
    assert [(name, error) for name, what, error in heard if what == "end"] == [
        ("first", caught.value),
        ("second", caught.value),
    ]
    assert "OSError: disk full" in "".join(caught.value.__notes__)


def test_an_on_end_that_raises_what_it_is_told_adds_nothing():
    class Raising(Recorder):
        def on_end(self, trainer, error):
            raise error

    trainer, rows, _ = problem()
    with pytest.raises(ZeroDivisionError) as caught:
        trainer.fit(*rows, callbacks=[Raising(), lambda *_: 1 / 0])
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("failure", [OSError("no folder"), KeyboardInterrupt("early")], ids=class_name)
def test_those_that_have_begun_hear_of_the_end_where_another_does_not_begin(failure):
    trainer, rows, _ = problem()
    heard = []
    callbacks = [Failing(heard, "first"), Failing(heard, "second", begin=failure), Failing(heard, "third")]
    with pytest.raises(type(failure)) as caught:
        trainer.fit(*rows, callbacks=callbacks)
    assert caught.value is failure
    assert heard == [("first", "begin", None), ("second", "begin", None), ("first", "end", failure)]
    assert trainer.n_updates == 0


def test_several_at_once(tmp_path):
    """Every callback is called in every epoch, also in the last; then the best is back."""
    trainer, rows, held_out = problem()
    stop = EarlyStopping(patience=5)
    reduce = ReduceOnPlateau(factor=0.5, patience=2)
    save = ModelCheckpoint(tmp_path / "best", save_best_only=True)
    watch, last = Recorder(), ModelCheckpoint(tmp_path / "last")
    history = trainer.fit(*rows, epochs=500, validation=held_out, callbacks=[stop, reduce, save, watch, last])
    assert len(history) < 500
    assert watch.epochs == [record.epoch for record in history]
    assert stop.best_epoch == save.best_epoch == reduce.best_epoch == len(history) - 5
    assert trainer.learning_rate_factor == watch.factors[-1] < 1
    best, end = gd.Trainer.load(tmp_path / "best"), gd.Trainer.load(tmp_path / "last")
    np.testing.assert_array_equal(best.model.parameters, trainer.model.parameters)
    np.testing.assert_array_equal(end.model.parameters, watch.parameters[-1])
    assert (len(best.history), len(end.history)) == (stop.best_epoch, len(history))
    assert end.learning_rate_factor == trainer.learning_rate_factor


@pytest.mark.parametrize(("answer", "n_epochs"), [(True, 1), (np.True_, 1), (0.5, 3), ("loss", 3), (None, 3)])
def test_only_true_stops(answer, n_epochs):
    """A function that logs may return anything."""
    trainer, (X, y), _ = problem()
    history = trainer.fit(X, y, epochs=3, callbacks=[lambda trainer, record: answer])
    assert len(history) == n_epochs
