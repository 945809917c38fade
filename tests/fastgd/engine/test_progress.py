"""What training shows, and that nothing that cannot be shown ends it."""

import logging
import re
import sys

import numpy as np
import pytest
import tqdm.auto

import fastgd as gd

X = np.random.default_rng(0).standard_normal((64, 3))
Y = X.sum(axis=1) + 1


def run(progress, epochs=2, **options):
    """A history, of a run with validation data and a metric."""
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1, init="zeros")]), optimizer=gd.SGD(0.01), metrics=["r2"])
    return trainer.fit(X, Y, epochs=epochs, validation=0.25, progress=progress, **options)


def test_a_line_for_each_epoch(capsys):
    history = run("epochs", epochs=3, callbacks=[lambda trainer, record: record.epoch == 2])
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert (out, len(lines)) == ("", 2)
    record = list(history)[1]
    expected = f"epoch 2/3: loss {record.loss:.4g}, validation_loss {record.validation_loss:.4g}, learning_rate 0.01, "
    assert lines[1] == f"{expected}r2 {record.metrics['r2']:.4g}, {record.seconds:.3g} s"


def test_lines_count_from_the_first_epoch_of_the_run(capsys):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD("auto"), batch_size=8)
    trainer.fit(X, Y, epochs=2)
    assert capsys.readouterr().err == ""
    trainer.fit(X, Y, epochs=2, progress="epochs")
    assert re.findall("epoch ./.", capsys.readouterr().err) == ["epoch 3/4", "epoch 4/4"]


@pytest.mark.parametrize("progress", [True, "epochs"])
def test_the_rate_of_auto_is_shown(progress, capsys):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD("auto"), batch_size=8)
    trainer.fit(X, Y, progress=progress)
    assert f'learning rate "auto": {trainer.learning_rate:.4g}\n' in capsys.readouterr().err


def test_the_bar_has_the_numbers_of_the_last_epoch(capsys):
    history = run(True)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "96.0/96.0" in last
    for name in ("loss", "validation_loss"):
        assert f"{name}={getattr(history, name)[-1]:.4g}" in last
    assert f"r2={history.metrics['r2'][-1]:.4g}" in last


class Bar:
    """A bar that fails where it is told to, as one of a notebook may."""

    def __init__(self, where):
        self.where = where

    def __call__(self, **_):
        self.fail("made")
        return self

    def fail(self, where):
        if where in self.where:
            raise RuntimeError(where)

    def set_postfix(self, *_, **__):
        self.fail("numbers")

    def update(self, _):
        self.fail("update")

    def close(self):
        self.fail("closed")


@pytest.mark.parametrize("where", ["made", "numbers update", "closed", "made numbers update closed"])
def test_a_bar_that_fails_ends_nothing(where, monkeypatch):
    """In a notebook, tqdm.auto takes what may be missing there."""
    monkeypatch.setattr(tqdm.auto, "tqdm", Bar(where))
    assert run(True).loss == run(False).loss


def test_without_tqdm_auto_nothing_is_shown(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert run(True).loss == run(False).loss
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("progress", [True, "epochs"])
def test_a_stderr_that_takes_nothing_ends_nothing(progress, monkeypatch):
    class Closed:
        encoding = "utf-8"

        def write(self, _):
            raise BrokenPipeError

        flush = isatty = fileno = write

    expected = run(False).loss
    monkeypatch.setattr(sys, "stderr", Closed())
    assert run(progress).loss == expected
    monkeypatch.setattr(sys, "stderr", None)
    assert run(progress).loss == expected


@pytest.mark.parametrize("progress", ["epoch", "bar", None, 2])
def test_what_is_no_progress_is_refused_before_training(progress):
    with pytest.raises(ValueError, match=r"progress is .*; expected True, False or 'epochs'"):
        run(progress)


def test_the_logger_hears_of_the_rate_and_of_epochs(caplog):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD("auto"), batch_size=8, metrics=["r2"])
    with caplog.at_level(logging.DEBUG, "fastgd"):
        history = trainer.fit(X, Y, epochs=2)
    heard = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert heard[0] == ("fastgd", "INFO", f'learning rate "auto": {trainer.learning_rate:.4g}')
    assert [level for _, level, _ in heard[1:]] == ["DEBUG", "DEBUG"]
    assert heard[2][2].startswith(f"epoch 2/2: loss {history.loss[1]:.4g}, learning_rate {trainer.learning_rate:.4g}")
    assert f"r2 {history.metrics['r2'][1]:.4g}, " in heard[2][2]


def test_the_logger_hears_of_setbacks(caplog):
    trainer = gd.Trainer(gd.Model([gd.Linear(1, 1)], dtype="float64"), optimizer=gd.SGD("auto"))
    trainer.fit(X[:, :1], Y)
    with caplog.at_level(logging.INFO, "fastgd"):
        trainer.fit(X[:, :1] * 20, Y * 20)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(trainer.history.setbacks) > 0
    assert re.fullmatch("epoch 2 was taken back, as its loss was .*; learning rates are .* by 0.25 from .*", lines[0])


def test_who_sets_up_no_logging_is_told_nothing(capfd):
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD("auto"))
    trainer.fit(X, Y)
    assert capfd.readouterr() == ("", "")
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("fastgd").handlers)
