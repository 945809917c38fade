"""When a Checkpoint saves, and what comes of it where it cannot."""

import logging
import re
import resource
import signal

import numpy as np
import pytest
from cases import built, rows_for
from resumed_runs import have_shortest_slices

import fastgd as gd
from fastgd.callbacks import Checkpoint


@pytest.fixture(autouse=True)
def shortest_slices(monkeypatch):
    have_shortest_slices(monkeypatch)


def trainer_of(n_features=3):
    model = built([gd.Linear(n_features, 4), gd.ReLU(), gd.Linear(4, 1)], "float32")
    return gd.Trainer(model, optimizer=gd.SGD(0.05), batch_size=4)


@pytest.mark.parametrize("every", ["", "60", "s", "-1s", "0s", "1 day", "1e3s", "nans"])
def test_no_time(every):
    with pytest.raises(ValueError, match=f"every is '{every}'; expected a time as '60s', '10min' or '1h', or a number"):
        Checkpoint("run", every=every)


@pytest.mark.parametrize("every", [0, -1, 1.5, None])
def test_no_number_of_updates(every):
    with pytest.raises((ValueError, TypeError), match=re.escape(f"every is {every}; expected")):
        Checkpoint("run", every=every)


@pytest.mark.parametrize(("every", "seconds"), [("60s", 60), ("1.5min", 90), ("2 h", 7200)])
def test_times(every, seconds, monkeypatch):
    now, saved = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    class Trainer:
        n_updates = 0

        def save(self, path):
            saved.append(now[0])

    checkpoint = Checkpoint("run", every)
    checkpoint.on_begin(Trainer())
    for now[0] in (0.9 * seconds, seconds, 1.9 * seconds, 2.1 * seconds):
        checkpoint.on_slice(Trainer())
    assert saved == [seconds, 2.1 * seconds]


def test_updates_between_saves_and_the_last(tmp_path, monkeypatch):
    trainer, (X, y, _) = trainer_of(), rows_for(trainer_of().model, 40)
    saved, save = [], gd.Trainer.save
    monkeypatch.setattr(gd.Trainer, "save", lambda self, path: (saved.append(self.n_updates), save(self, path)))
    trainer.fit(X, y, epochs=2, callbacks=[Checkpoint(tmp_path / "run", every=3)])
    assert saved == [3, 6, 9, 12, 15, 18, 20]
    assert len(gd.Trainer.load(tmp_path / "run").history) == 2


def test_a_file_that_cannot_be_written_is_said_before_training(tmp_path):
    trainer, (X, y, _) = trainer_of(), rows_for(trainer_of().model, 8)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        trainer.fit(X, y, callbacks=[Checkpoint(tmp_path / "none" / "run")])
    assert trainer.n_updates == 0


def test_a_full_disk_keeps_the_last_save_and_the_training(tmp_path):
    """A limit on the size of files stands for the disk."""
    path, n_features = tmp_path / "run", 5000
    trainer, twin = trainer_of(n_features), trainer_of(n_features)
    X, y, _ = rows_for(trainer.model, 40)
    X /= 100
    twin.fit(X, y)
    trainer.fit(X, y)
    trainer.save(path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with (
            pytest.warns(RuntimeWarning, match="could not be saved .*; .* is what it was before, training goes"),
            pytest.raises(OSError, match=re.escape(str(path))),
        ):
            trainer.fit(X, y, callbacks=[Checkpoint(path, every=4)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    twin.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)
    trainer.fit(X, y, callbacks=[Checkpoint(path, every=4)])
    assert len(gd.Trainer.load(path).history) == 3


def test_nothing_is_left_of_a_run_that_a_callback_has_stopped(tmp_path, caplog):
    X, y, _ = rows_for(trainer_of().model, 20)
    stopping = gd.callbacks.EarlyStopping(patience=1, min_delta=10.0, monitor="loss")
    trainer = trainer_of()
    trainer.fit(X, y, epochs=9, callbacks=[stopping, Checkpoint(tmp_path / "run")])
    again = gd.Trainer.load(tmp_path / "run")
    again_stopping = gd.callbacks.EarlyStopping(patience=1, min_delta=10.0, monitor="loss")
    with caplog.at_level(logging.INFO, "fastgd"):
        again.fit(X, y, epochs=9, callbacks=[again_stopping, Checkpoint(tmp_path / "run")], resume=True)
    assert "a callback has stopped the run after epoch 2" in caplog.text
    assert len(again.history) == len(trainer.history) == 2
    np.testing.assert_array_equal(again.model.parameters, trainer.model.parameters)
    again.fit(X, y, epochs=1)
    assert len(again.history) == 3


def test_resume_counts_the_epochs_of_the_whole_run(tmp_path):
    X, y, _ = rows_for(trainer_of().model, 20)
    trainer = trainer_of()
    for epochs, expected in ((2, 2), (2, 2), (1, 2), (3, 3)):
        trainer.fit(X, y, epochs=epochs, resume=True)
        assert len(trainer.history) == expected
