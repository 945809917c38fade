"""ModelCheckpoint: its files, and what a run that is saved holds."""

import numpy as np
import pytest
from callback_cases import Recorder, problem

import fastgd as gd
from fastgd.callbacks import ModelCheckpoint


def test_model_checkpoint_after_each_epoch(tmp_path):
    trainer, rows, held_out = problem()
    watch = Recorder()
    save = ModelCheckpoint(tmp_path / "run-{epoch}.safetensors")
    trainer.fit(*rows, epochs=2, callbacks=[watch, save])
    trainer.fit(*rows, epochs=2, validation=held_out, callbacks=[watch, save])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"run-{epoch}.safetensors" for epoch in (1, 2, 3, 4)]
    for epoch in (1, 2, 3, 4):
        loaded = gd.Trainer.load(tmp_path / f"run-{epoch}.safetensors")
        np.testing.assert_array_equal(loaded.model.parameters, watch.parameters[epoch - 1])
        assert len(loaded.history) == epoch
        loaded.fit(*rows, epochs=5 - epoch, validation=held_out)
        if epoch == 4:
            trainer.fit(*rows)
        assert len(loaded.history) == 5
    np.testing.assert_array_equal(loaded.model.parameters, trainer.model.parameters)


def test_model_checkpoint_names_files_by_the_record(tmp_path):
    trainer, rows, held_out = problem()
    save = ModelCheckpoint(tmp_path / "{{e}}{epoch:02d}-{validation_loss:.3f}-{loss:.2e}")
    history = trainer.fit(*rows, epochs=3, validation=held_out, callbacks=[save])
    expected = {f"{{e}}{record.epoch:02d}-{record.validation_loss:.3f}-{record.loss:.2e}" for record in history}
    assert {path.name for path in tmp_path.iterdir()} == expected


UNSAVABLE = [
    ("none/run", FileNotFoundError, "there is no folder '.*none'; expected one"),
    ("none/{epoch}", FileNotFoundError, "there is no folder '.*none'; expected one"),
    ("none/{epoch}/run", FileNotFoundError, "there is no folder '.*none'; expected one"),
    ("{validation_loss:.3f}", ValueError, r"path is .* and validation is None; expected fit\(\.\.\., validation="),
]


@pytest.mark.parametrize(("path", "error", "message"), UNSAVABLE)
def test_model_checkpoint_that_could_not_save_is_refused_before_training(path, error, message, tmp_path):
    trainer, rows, _ = problem()
    with pytest.raises(error, match=message):
        trainer.fit(*rows, callbacks=[ModelCheckpoint(tmp_path / path)])
    assert trainer.n_updates == 0


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_model_checkpoint_resumes(epoch, tmp_path):
    whole, rows, held_out = problem()
    whole.fit(*rows, epochs=5, validation=held_out, callbacks=[ModelCheckpoint(str(tmp_path / "{epoch}"))])
    resumed = gd.Trainer.load(tmp_path / str(epoch))
    resumed.fit(*rows, epochs=5 - epoch, validation=held_out)
    np.testing.assert_array_equal(resumed.model.parameters, whole.model.parameters)
    assert resumed.history.loss == whole.history.loss
    assert resumed.history.validation_loss == whole.history.validation_loss


@pytest.mark.parametrize("monitor", ["loss", "validation_loss"])
def test_model_checkpoint_of_the_best(monitor, tmp_path):
    trainer, rows, held_out = problem()
    save = ModelCheckpoint(tmp_path / "best", save_best_only=True, monitor=monitor)
    watch = Recorder()
    history = trainer.fit(*rows, epochs=40, validation=held_out, callbacks=[save, watch])
    best = int(np.argmin(getattr(history, monitor)))
    loaded = gd.Trainer.load(tmp_path / "best")
    assert len(loaded.history) == save.best_epoch == best + 1
    np.testing.assert_array_equal(loaded.model.parameters, watch.parameters[best])
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_model_checkpoint_ignores_what_it_does_not_read(tmp_path):
    """Without save_best_only, no validation data is needed, and no gain."""
    trainer, rows, _ = problem()
    trainer.fit(*rows, epochs=3, callbacks=[ModelCheckpoint(tmp_path / "last")])
    assert len(gd.Trainer.load(tmp_path / "last").history) == 3


class EverySecond(ModelCheckpoint):
    """Looks at every second epoch alone, and ends training after some of them."""

    def __init__(self, path, last, **settings):
        super().__init__(path, **settings)
        self.last, self.seen = last, []

    def __call__(self, trainer, record):
        if record.epoch % 2 == 0:
            self.seen.append(record.epoch)
            # As with a measure of one's own that is worst at first.
            super().__call__(trainer, record._replace(validation_loss=-record.epoch))
        return record.epoch == self.last


@pytest.mark.parametrize("index", [0, 1], ids=["before another", "after another"])
def test_a_checkpoint_with_a_call_of_its_own_is_called_by_fit(index, tmp_path):
    trainer, rows, held_out = problem()
    own = EverySecond(tmp_path / "own-{epoch}", 5, save_best_only=True)
    callbacks = [ModelCheckpoint(tmp_path / "all-{epoch}")]
    callbacks.insert(index, own)
    history = trainer.fit(*rows, epochs=9, validation=held_out, callbacks=callbacks)
    assert own.seen == [2, 4]
    assert len(history) == 5
    assert sorted(path.name for path in tmp_path.glob("own-*")) == ["own-2", "own-4"]
    assert (own.best, own.best_epoch) == (-4, 4)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)], ids=str)
def test_what_a_checkpoint_saves_holds_the_notes_of_all(order, tmp_path):
    """In each file, the best so far is that of the epochs up to the file's last."""
    trainer, rows, held_out = problem()
    made = [ModelCheckpoint(tmp_path / "all-{epoch}")]
    made += [ModelCheckpoint(tmp_path / f"{name}-{{epoch}}", True, name) for name in ("loss", "validation_loss")]
    trainer.fit(*rows, epochs=4, validation=held_out, callbacks=[made[index] for index in order])
    history = trainer.history
    assert len(list(tmp_path.iterdir())) > 6
    for path in tmp_path.iterdir():
        loaded = gd.Trainer.load(path)
        n_epochs = len(loaded.history)
        new = ModelCheckpoint(tmp_path / "new", save_best_only=True)
        # No gain is left to make.
        loaded.fit(*rows, validation=(held_out[0], held_out[1] * 100), callbacks=[new])
        assert new.best == min(history.validation_loss[:n_epochs])
        assert not (tmp_path / "new").exists()


def test_a_checkpoint_that_fails_leaves_those_after_it_without_the_epoch(tmp_path):
    trainer, rows, held_out = problem()
    (tmp_path / "taken").mkdir()
    best = ModelCheckpoint(tmp_path / "best", save_best_only=True)
    with pytest.raises(OSError, match="taken"):
        trainer.fit(*rows, validation=held_out, callbacks=[ModelCheckpoint(tmp_path / "taken"), best])
    assert best.is_new
