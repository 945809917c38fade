"""Runs that are saved at each place where they may be, and gone on with from some of them."""

import numpy as np

import fastgd as gd
from fastgd._engine import slices


class SaveEach:
    """Saves the run at every slice, each to a file of its own."""

    def __init__(self, folder):
        self.folder, self.paths = folder, []

    def __call__(self, trainer, record):
        pass

    def on_slice(self, trainer):
        self.paths.append(self.folder / f"{len(self.paths)}.safetensors")
        trainer.save(self.paths[-1])


class SavesAndInterrupts:
    """Saves the run after so many slices, or rounds of replicas, and interrupts it."""

    def __init__(self, path, n_slices):
        self.path, self.n_left = path, n_slices

    def __call__(self, trainer, record):
        pass

    def on_slice(self, trainer):
        self.n_left -= 1
        if self.n_left == 0:
            trainer.save(self.path)
            raise KeyboardInterrupt


def have_shortest_slices(monkeypatch):
    """Slices end wherever one may."""
    monkeypatch.setattr(slices, "_SLICE_SECONDS", 1e-12)


def state_of(trainer):
    """All that two runs have to have in common, but the time they took."""
    history, run = trainer.history, trainer._run
    return {
        "parameters": trainer.model.parameters.copy(),
        "history": [(record.epoch, record.loss, record.validation_loss, record.learning_rate) for record in history],
        "metrics": history.metrics,
        "setbacks": [tuple(setback) for setback in history.setbacks],
        "n_updates": trainer.n_updates,
        "factor": trainer.learning_rate_factor,
        "state": {} if run.engine is None else {k: v.copy() for k, v in run.engine.state.between_epochs().items()},
    }


def assert_same(found, expected, where=""):
    """Equal to the bit."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, dict):
            assert_same(found[name], value, f"{where} {name}")
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[name], value, err_msg=f"{where} {name}")
        else:
            np.testing.assert_equal(found[name], value, err_msg=f"{where} {name}")


def check_all_places(make, data, folder, every=1, epochs=2, callbacks=list, **options):
    """Each save of a run leads to where the run itself does; returns how many there were.

    make : returns a new trainer          callbacks : returns new callbacks
    every : which of the saves are tried
    """
    saves = SaveEach(folder)
    first, whole, own = make(), make(), callbacks()
    whole.fit(*data, epochs=epochs, callbacks=own, **options)
    expected = state_of(whole)
    first.fit(*data, epochs=epochs, callbacks=[*callbacks(), saves], **options)
    assert_same(state_of(first), expected, "saved")
    for path in saves.paths[::every]:
        trainer, new = gd.Trainer.load(path), callbacks()
        trainer.fit(*data, epochs=epochs, callbacks=new, resume=True, **options)
        assert_same(state_of(trainer), expected, path.name)
        for one, other in zip(new, own, strict=True):
            assert_same(one.saved_state(), other.saved_state(), path.name)
    return len(saves.paths)
