"""History, validation, and what a callback sees of them."""

import re

import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd


def test_history_and_validation(dtype):
    model = model_of("hidden layer", dtype)
    X, y, weight = rows_for(model, 40)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=8)
    history = trainer.fit(X, y, epochs=3, validation=(X[:10], y[:10], weight[:10]))
    assert history is trainer.history
    assert len(history) == 3
    assert history.validation_loss[-1] == model.loss(X[:10], y[:10], sample_weight=weight[:10])
    assert all(seconds > 0 for seconds in history.seconds)
    trainer.fit(X, y)
    assert [record.epoch for record in history] == [1, 2, 3, 4]
    assert history.validation_loss[-1] is None
    assert trainer.n_updates == 20


def test_callbacks_see_the_record_and_may_stop():
    model = model_of("neuron")
    X, y, _ = rows_for(model, 10)
    trainer = gd.Trainer(model)
    seen = []

    def keep(trainer, record):
        seen.append((record.epoch, trainer.n_updates, record.loss == trainer.history.loss[-1]))

    history = trainer.fit(X, y, epochs=10, callbacks=[lambda _, record: record.epoch == 3, keep])
    assert seen == [(1, 10, True), (2, 20, True), (3, 30, True)]
    assert len(history) == 3


def test_an_error_in_a_callback_reaches_the_caller():
    model = model_of("neuron")
    X, y, _ = rows_for(model, 10)
    trainer = gd.Trainer(model)
    with pytest.raises(ZeroDivisionError):
        trainer.fit(X, y, epochs=3, callbacks=[lambda *_: 1 / 0])
    assert len(trainer.history) == 1


def test_a_trainer_shows_what_it_is():
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]), "huber", batch_size=8, seed=3, clip_norm=1.0)
    shown = "Trainer(Model([Linear(2, 1)], dtype='float32'), loss='huber', optimizer=SGD(learning_rate=0.001, "
    assert repr(trainer).startswith(shown)
    assert repr(trainer).endswith("batch_size=8, seed=3, clip_norm=1.0): History(no epochs)")
    X, y = np.ones((9, 2), np.float32), np.ones(9)
    trainer.fit(X, y, validation=(X, y))
    assert re.fullmatch(r"History\(1 epoch, loss [\d.]+, validation_loss [\d.]+, \S+ s\)", repr(trainer.history))


def test_a_history_is_a_frame_of_its_epochs():
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]))
    frame = trainer.fit(np.ones((9, 2)), np.ones(9), epochs=3).to_frame()
    assert list(frame.columns) == ["epoch", "loss", "validation_loss", "seconds", "learning_rate"]
    assert frame.epoch.tolist() == [1, 2, 3]
    assert frame.loss.tolist() == trainer.history.loss
