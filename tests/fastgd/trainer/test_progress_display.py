"""The progress that is shown."""

import contextlib
import io
import os
import sys

import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd
from fastgd._engine import progress
from fastgd.data import reader as dataset


def test_progress_shows_loss_and_rows_per_second(capsys):
    model = model_of("neuron")
    X, y, _ = rows_for(model, 1000)
    gd.Trainer(model, optimizer=gd.SGD(0.001)).fit(X, y, epochs=2, progress=True)
    shown = capsys.readouterr().err
    assert "2.00k/2.00k" in shown
    assert "row/s" in shown
    assert "loss=" in shown
    gd.Trainer(model).fit(X, y)
    assert capsys.readouterr().err == ""


def closed_stream():
    stream = io.StringIO()
    stream.close()
    return stream


def pipe_without_a_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return io.TextIOWrapper(os.fdopen(writer, "wb"))


def full_device():
    return io.TextIOWrapper(open("/dev/full", "wb"))


class Failing(io.StringIO):
    """Fails once it has shown something."""

    def write(self, text):
        if self.tell():
            raise RuntimeError("not now")
        return super().write(text)


LOST = {
    "none": lambda: None,
    "closed": closed_stream,
    "pipe": pipe_without_a_reader,
    "full": pytest.param(full_device, marks=pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")),
    "failing later": Failing,
}


@pytest.mark.parametrize("where", ["stderr", "stdout"])
@pytest.mark.parametrize("stream", LOST.values(), ids=LOST)
def test_progress_that_cannot_be_shown_ends_no_training(stream, where, monkeypatch, capsys):
    X, y, _ = rows_for(model_of("neuron"), 100)
    twin, model = model_of("neuron"), model_of("neuron")
    gd.Trainer(twin, optimizer=gd.SGD("auto")).fit(X, y, epochs=3)
    lost = stream()
    with contextlib.suppress(ValueError, AttributeError):
        lost.write("what is still to be written")
    monkeypatch.setattr(sys, where, lost)
    history = gd.Trainer(model, optimizer=gd.SGD("auto")).fit(X, y, epochs=3, progress=True)
    monkeypatch.undo()
    with contextlib.suppress(OSError, AttributeError):
        lost.close()
    assert len(history) == 3
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ('learning rate "auto": ' in captured.err) == (where == "stdout")


def test_progress_counts_every_row_once(monkeypatch):
    """Slices end where blocks do, and the loss shown is the mean over the rows so far."""
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 1000)
    seen = []
    monkeypatch.setattr(progress.Progress, "advance", lambda _, n_rows, loss: seen.append((n_rows, loss)))
    model = gd.Model([gd.Linear(5, 1, init="zeros")])
    rows_of_another_dtype = np.zeros((1000, 5), np.float64)
    gd.Trainer(model, optimizer=gd.SGD(0)).fit(rows_of_another_dtype, np.ones(1000), progress=True)
    assert sum(n_rows for n_rows, _ in seen) == 1000
    assert {loss for _, loss in seen} == {0.5}
