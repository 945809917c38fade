"""Callbacks that are refused, and what one shows."""

import math

import numpy as np
import pytest
from callback_cases import problem
from cases import model_of

import fastgd as gd
from fastgd.callbacks import EarlyStopping, ModelCheckpoint, ReduceOnPlateau

WATCHING = [EarlyStopping, ReduceOnPlateau, lambda: ModelCheckpoint("run", save_best_only=True)]


@pytest.mark.parametrize("make", WATCHING, ids=["EarlyStopping", "ReduceOnPlateau", "ModelCheckpoint"])
def test_nothing_to_watch_is_an_error(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer, rows, _ = problem()
    with pytest.raises(
        ValueError, match=r"watches validation_loss and validation is None; expected fit\(\.\.\., valida"
    ):
        trainer.fit(*rows, callbacks=[make()])
    assert trainer.n_updates == len(trainer.history) == 0
    assert not list(tmp_path.iterdir())


NO_CALLBACKS = [
    (None, "callbacks is None; expected a list of callables"),
    (EarlyStopping(), r"callbacks is EarlyStopping\(.*\); expected a list of callables, as in callbacks=\[callback\]"),
    ("stop", "callbacks is 'stop'; expected a list of callables"),
    ([EarlyStopping], r"callbacks\[0\] is the class EarlyStopping; expected an instance of it"),
    ([print, "x"], r"callbacks\[1\] is 'x'; expected a callable"),
    ([lambda record: None], r"callbacks\[0\] is <function .* with arguments \(record\); expected a callable of two"),
    ([lambda a, b, c: None], r"with arguments \(a, b, c\); expected .* as in def callback\(trainer, record\)"),
    ((None,), r"callbacks\[0\] is None; expected a callable"),
]


@pytest.mark.parametrize(("callbacks", "message"), NO_CALLBACKS)
def test_what_is_no_list_of_callbacks_is_refused(callbacks, message):
    model = gd.Model([gd.Standardize(5), *model_of("hidden layer").layers])
    before = model.parameters.copy()
    trainer, (_, rows, held_out) = gd.Trainer(model), problem()
    with pytest.raises(TypeError, match=message):
        trainer.fit(*rows, validation=held_out, callbacks=callbacks)
    np.testing.assert_array_equal(model.parameters, before)
    assert model.standardize.mean is None
    assert len(trainer.history) == 0


BAD = [
    (lambda: EarlyStopping(patience=0), ValueError, "patience is 0; expected at least 1"),
    (lambda: EarlyStopping(patience=1.5), TypeError, r"patience is 1\.5; expected an integer"),
    (lambda: EarlyStopping(min_delta=-1), ValueError, "min_delta is -1; expected"),
    (
        lambda: EarlyStopping(monitor="val_loss"),
        ValueError,
        "monitor is 'val_loss'; expected one of .*'validation_loss'",
    ),
    (
        lambda: EarlyStopping(monitor="seconds"),
        ValueError,
        "monitor is 'seconds'; expected one of 'loss', 'validation_loss'",
    ),
    (lambda: ReduceOnPlateau(monitor="epoch"), ValueError, "monitor is 'epoch'; expected one of 'loss', 'val"),
    (lambda: ModelCheckpoint("run", monitor="seconds"), ValueError, "monitor is 'seconds'; expected one of 'loss', 'v"),
    (lambda: EarlyStopping(restore_best="yes"), TypeError, "restore_best is 'yes'; expected True or False"),
    (lambda: ReduceOnPlateau(factor=0), ValueError, "factor is 0; expected"),
    (lambda: ReduceOnPlateau(factor=1), ValueError, "factor is 1; expected"),
    (lambda: ReduceOnPlateau(factor=-0.5), ValueError, r"factor is -0\.5; expected"),
    (lambda: ReduceOnPlateau(factor="half"), TypeError, "factor is 'half'; expected a number"),
    (lambda: ReduceOnPlateau(patience=0), ValueError, "patience is 0; expected at least 1"),
    (lambda: ReduceOnPlateau(min_delta=math.nan), ValueError, "min_delta is nan; expected"),
    (lambda: ReduceOnPlateau(min_factor=-1), ValueError, "min_factor is -1; expected"),
    (
        lambda: ReduceOnPlateau(monitor="acuracy"),
        ValueError,
        "monitor is 'acuracy'; expected one of .*'accuracy'.*mean 'accuracy'.*for a metric of your own, mode='min'",
    ),
    (lambda: EarlyStopping(monitor="epoch", mode="max"), ValueError, "monitor is 'epoch'; expected one of"),
    (lambda: EarlyStopping(monitor="f1", mode="up"), ValueError, "mode is 'up'; expected one of 'min', 'max'"),
    (lambda: ModelCheckpoint(5), TypeError, "expected str, bytes or os.PathLike object, not int"),
    (
        lambda: ModelCheckpoint("{epoc}"),
        ValueError,
        r"path is '\{epoc\}' .*; expected none but these in braces: \{epoch\}",
    ),
    (lambda: ModelCheckpoint("{}"), ValueError, "path is .*; expected none but these in braces"),
    (lambda: ModelCheckpoint("{epoch"), ValueError, "path is .*; expected none but these in braces"),
    (lambda: ModelCheckpoint("{epoch:.2q}"), ValueError, "path is .*; expected none but these in braces"),
    (lambda: ModelCheckpoint("{loss:d}"), ValueError, "path is .*; expected none but these in braces"),
    (lambda: ModelCheckpoint("{f1}", monitor="f2", mode="max"), ValueError, r"in braces: .*\{rmse\}, \{f2\}, with"),
    (lambda: ModelCheckpoint("run", save_best_only=1), TypeError, "save_best_only is 1; expected True or False"),
]


@pytest.mark.parametrize(("build", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_settings_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_callback_shows_what_it_is_and_has_seen():
    stop = EarlyStopping(patience=2, monitor="loss")
    assert repr(stop) == "EarlyStopping(monitor='loss', min_delta=0.0, patience=2, restore_best=True)"
    trainer, rows, _ = problem()
    trainer.fit(*rows, callbacks=[stop])
    assert repr(stop).endswith(f"restore_best=True, best {stop.best:.6g} in epoch 1)")
