"""Ctrl-C wherever it comes leaves a checkpoint from which a run goes on as if it had not come."""

import itertools
import signal

import numpy as np
import pytest
from cases import built, rows_for
from interrupted import interrupted_at_line
from resumed_runs import assert_same, have_shortest_slices, state_of

import fastgd as gd
from fastgd._engine import fit, run, safeguard, slices

# These are called where SIGINT is deferred, or after it has come.
_DEFERRING = {"_slow_down", "cut_here", "last_epoch_reopened", "end", "_shrink", "shrunk"}


@pytest.fixture(autouse=True)
def shortest_slices(monkeypatch):
    have_shortest_slices(monkeypatch)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def trainer_of(optimizer):
    model = built([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)], "float32")
    return gd.Trainer(model, optimizer=optimizer, batch_size=4, shuffle=True)


def callbacks():
    plateau = gd.callbacks.ReduceOnPlateau(patience=1, min_delta=0.1)
    return [gd.callbacks.EarlyStopping(patience=3, min_delta=0.01), plateau]


class CtrlC:
    """Presses it once: at a slice, or as a callback, in the midst of others."""

    def __init__(self, at_slice=None, at_epoch=None):
        self.at_slice, self.at_epoch, self.slices = at_slice, at_epoch, 0

    def on_slice(self, trainer):
        self.slices += 1
        if self.slices == self.at_slice:
            signal.raise_signal(signal.SIGINT)

    def __call__(self, trainer, record):
        if record.epoch == self.at_epoch:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("ctrl_c", [{"at_slice": 8}, {"at_slice": 12}, {"at_epoch": 2}], ids=str)
def test_ctrl_c_saves_before_anything_is_put_back(ctrl_c, tmp_path):
    path = tmp_path / "run.safetensors"
    X, y, _ = rows_for(trainer_of(gd.SGD(0.05)).model, 30)
    whole, own = trainer_of(gd.SGD(0.05)), callbacks()
    whole.fit(X, y, epochs=5, validation=0.2, callbacks=own)
    first = callbacks()
    cut = [first[0], CtrlC(**ctrl_c), first[1], gd.callbacks.Checkpoint(path, every="1h")]
    with pytest.raises(KeyboardInterrupt):
        trainer_of(gd.SGD(0.05)).fit(X, y, epochs=5, validation=0.2, callbacks=cut)
    trainer, new = gd.Trainer.load(path), callbacks()
    trainer.fit(X, y, epochs=5, validation=0.2, callbacks=[*new, gd.callbacks.Checkpoint(path)], resume=True)
    assert_same(state_of(trainer), state_of(whole))
    for one, other in zip(new, own, strict=True):
        assert_same(one.saved_state(), other.saved_state())
    again = gd.Trainer.load(path)
    again.fit(X, y, epochs=5, validation=0.2, callbacks=callbacks(), resume=True)
    np.testing.assert_array_equal(again.model.parameters, whole.model.parameters)
    assert len(again.history) == len(whole.history)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.05, "auto"])
def test_ctrl_c_at_any_line(rate, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fastgd._engine.automatic_rate.automatic_schedule", lambda *_, **__: gd.schedules.Cooldown(30.0, 10**9)
    )
    X, y, _ = rows_for(trainer_of(gd.SGD()).model, 10)
    whole = trainer_of(gd.SGD(rate))
    whole.fit(X, y, epochs=2, validation=0.2, callbacks=callbacks())
    assert len(whole.history.setbacks) >= (rate == "auto")
    n_saved = 0
    for module in (fit, run, safeguard, slices):
        for number in itertools.count():
            path = tmp_path / "run.safetensors"
            path.unlink(missing_ok=True)
            trainer, cut = trainer_of(gd.SGD(rate)), [*callbacks(), gd.callbacks.Checkpoint(path, every="1h")]
            was_interrupted = interrupted_at_line(
                number,
                module.__file__,
                lambda trainer=trainer, cut=cut: trainer.fit(X, y, epochs=2, validation=0.2, callbacks=cut),
                _DEFERRING,
            )
            if not was_interrupted:
                break
            if path.exists():
                n_saved += 1
                resumed = gd.Trainer.load(path)
                resumed.fit(X, y, epochs=2, validation=0.2, callbacks=callbacks(), resume=True)
                assert_same(state_of(resumed), state_of(whole), f"{module.__name__} line {number}")
    assert n_saved > 100
