"""Callbacks of a run that goes on."""

import copy

import numpy as np
import pytest
from callback_cases import problem

import fastgd as gd
from fastgd.callbacks import EarlyStopping, ModelCheckpoint, ReduceOnPlateau


def make_callbacks(folder, order):
    made = {
        "stop": EarlyStopping(patience=6),
        "reduce": ReduceOnPlateau(factor=0.5, patience=2, min_delta=0.01),
        "all": ModelCheckpoint(folder / "{epoch}"),
        "best": ModelCheckpoint(folder / "best", save_best_only=True),
    }
    return [made[name] for name in order]


ORDERS = [("stop", "reduce", "all", "best"), ("best", "all", "reduce", "stop"), ("all", "reduce", "best", "stop")]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
@pytest.mark.parametrize("epoch", [1, 4, 7, 9])
def test_a_run_goes_on_from_a_checkpoint_with_new_callbacks(order, epoch, tmp_path):
    """As the uninterrupted run does, in every file that it leaves; whatever the order of the new ones."""
    whole, rows, held_out = problem()
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole.fit(*rows, epochs=60, validation=held_out, callbacks=make_callbacks(tmp_path / "whole", order))
    n_epochs = len(whole.history)
    assert 9 < n_epochs < 60
    assert whole.learning_rate_factor < 1
    resumed = gd.Trainer.load(tmp_path / "whole" / str(epoch))
    # A file is a run of its own: what it knows of callbacks outlives being read and written.
    resumed.save(tmp_path / "again")
    resumed = gd.Trainer.load(tmp_path / "again")
    new = make_callbacks(tmp_path / "parts", order[::-1])
    resumed.fit(*rows, epochs=60 - epoch, validation=held_out, callbacks=new)
    assert resumed.history.validation_loss == whole.history.validation_loss
    assert resumed.learning_rate_factor == whole.learning_rate_factor
    np.testing.assert_array_equal(resumed.model.parameters, whole.model.parameters)
    best = int(np.argmin(whole.history.validation_loss)) + 1
    assert (tmp_path / "parts" / "best").exists() == (best > epoch)
    for path in (tmp_path / "parts").iterdir():
        twin = gd.Trainer.load(tmp_path / "whole" / path.name)
        np.testing.assert_array_equal(gd.Trainer.load(path).model.parameters, twin.model.parameters)


class Logging(EarlyStopping):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.seen = [object()]


def test_callbacks_derived_from_these_are_part_of_a_run(tmp_path):
    trainer, rows, held_out = problem()
    used, new, other = Logging(patience=9), Logging(patience=9), EarlyStopping(patience=9)
    trainer.fit(*rows, epochs=2, validation=held_out, callbacks=[used, ModelCheckpoint(tmp_path / "run")])
    held_out[1][:] *= 100
    gd.Trainer.load(tmp_path / "run").fit(*rows, validation=held_out, callbacks=[new, other])
    assert new.best == used.best < other.best


OTHERS = [EarlyStopping(patience=3), EarlyStopping(patience=2, min_delta=0.1), ReduceOnPlateau(patience=2)]


@pytest.mark.parametrize("other", OTHERS, ids=["patience", "min_delta", "class"])
def test_a_callback_with_other_settings_begins_anew(other, tmp_path):
    trainer, rows, held_out = problem()
    used = EarlyStopping(patience=2)
    trainer.fit(*rows, epochs=2, validation=held_out, callbacks=[used])
    trainer.save(tmp_path / "run")
    new = [type(other)(patience=other.patience, min_delta=other.min_delta), EarlyStopping(patience=2)]
    gd.Trainer.load(tmp_path / "run").fit(*rows, validation=(held_out[0], held_out[1] * 100), callbacks=new)
    assert [callback.best == used.best for callback in new] == [False, True]


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceOnPlateau])
def test_a_callback_watches_one_run(kind, tmp_path):
    """The best parameters of one model must not land in another."""
    trainer, rows, held_out = problem()
    used = kind(patience=2)
    trainer.fit(*rows, epochs=2, validation=held_out, callbacks=[used])
    trainer.fit(*rows, epochs=1, validation=held_out, callbacks=[used])
    trainer.save(tmp_path / "run")
    model = gd.Model(trainer.model.layers, dtype=trainer.model.dtype)
    for other in (gd.Trainer(model), copy.deepcopy(trainer), gd.Trainer.load(tmp_path / "run")):
        before = other.model.parameters.copy()
        with pytest.raises(ValueError, match=f"this {kind.__name__} has watched another Trainer's run.*expected a new"):
            other.fit(*rows, epochs=2, validation=held_out, callbacks=[used])
        np.testing.assert_array_equal(other.model.parameters, before)
        assert len(other.history) in (0, 3)
    both, its_own = copy.deepcopy((trainer, used))
    both.fit(*rows, validation=held_out, callbacks=[its_own])
    assert len(both.history) == 4
