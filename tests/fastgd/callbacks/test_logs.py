"""Files that loggers write have the numbers of the history."""

import errno
import itertools
import json
import math
import os
import struct
import sys

import numpy as np
import pytest

import fastgd as gd
from fastgd.history import EpochRecord


def trainer_and_rows(metrics=("mae",)):
    model = gd.Model([gd.Linear(3, 4), gd.ReLU(), gd.Linear(4, 1)], seed=1)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), metrics=metrics)
    X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    return trainer, (X[:30], X[:30, 0]), (X[30:], X[30:, 0])


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_lines_are_the_records(tmp_path):
    trainer, rows, validation = trainer_and_rows()
    log = gd.callbacks.JSONLines(tmp_path / "run.jsonl")
    assert list(tmp_path.iterdir()) == []
    trainer.fit(*rows, epochs=2, validation=validation, callbacks=[log])
    trainer.fit(*rows, callbacks=[log])
    assert lines(log_path := tmp_path / "run.jsonl") == [record.by_name() for record in trainer.history]
    assert lines(log_path)[2]["validation_loss"] is None
    assert set(lines(log_path)[0]) == {"epoch", "loss", "validation_loss", "seconds", "learning_rate", "mae"}


def test_epochs_that_a_log_was_not_told_of_are_in_the_file(tmp_path):
    trainer, rows, _ = trainer_and_rows()
    log = gd.callbacks.JSONLines(tmp_path / "run.jsonl")
    trainer.fit(*rows, callbacks=[log])
    trainer.fit(*rows)
    trainer.fit(*rows, callbacks=[log])
    assert lines(tmp_path / "run.jsonl") == [record.by_name() for record in trainer.history]


def test_a_line_is_there_after_its_epoch(tmp_path):
    path = tmp_path / "run.jsonl"
    seen = []
    trainer, rows, _ = trainer_and_rows()
    watch = [gd.callbacks.JSONLines(path), lambda *_: seen.append(len(lines(path)))]
    trainer.fit(*rows, epochs=3, callbacks=watch)
    assert seen == [1, 2, 3]


def test_json_lines_of_a_run_that_goes_on_and_of_a_new_one(tmp_path):
    """Each epoch once, whatever was written after the run was saved."""
    path = tmp_path / "run.jsonl"
    trainer, rows, _ = trainer_and_rows()
    trainer.fit(*rows, epochs=2, callbacks=[gd.callbacks.JSONLines(path)])
    trainer.save(tmp_path / "saved")
    trainer.fit(*rows, epochs=2, callbacks=[gd.callbacks.JSONLines(path)])
    assert [line["epoch"] for line in lines(path)] == [1, 2, 3, 4]
    loaded = gd.Trainer.load(tmp_path / "saved")
    loaded.fit(*rows, callbacks=[gd.callbacks.JSONLines(path)])
    assert lines(path) == [record.by_name() for record in loaded.history]
    log = gd.callbacks.JSONLines(path)
    for _ in range(2):
        new, rows, _ = trainer_and_rows()
        new.fit(*rows, callbacks=[log])
        assert lines(path) == [record.by_name() for record in new.history]


def test_what_is_not_finite_is_null(tmp_path):
    log = gd.callbacks.JSONLines(tmp_path / "run.jsonl")
    log(None, EpochRecord(1, math.inf, None, 0.5, 0.1, {"r2": math.nan}))
    expected = {"epoch": 1, "loss": None, "validation_loss": None, "seconds": 0.5, "learning_rate": 0.1, "r2": None}
    assert lines(tmp_path / "run.jsonl") == [expected]


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        gd.callbacks.JSONLines(tmp_path / "none" / "run.jsonl")


def events(folder):
    """TensorBoard's records, in the order in which it reads them: a length, its checksum, the event, its checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def scalars(folder):
    """(step, value) by tag; what begins at a step takes the place of what was there from this step on."""
    found = {}
    for event in events(folder):
        if event.HasField("session_log"):
            found = {tag: [(step, v) for step, v in values if step < event.step] for tag, values in found.items()}
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def of_history(history):
    """What TensorBoard is to show."""
    found = {}
    for record in history:
        for name, value in record.by_name().items():
            if name != "epoch" and value is not None:
                found.setdefault(name, []).append((record.epoch, np.float32(value)))
    return found


def test_tensorboard_has_the_history(tmp_path):
    """In two calls of `fit`, and in a run that goes on from a file."""
    pytest.importorskip("tensorboardX")
    trainer, rows, validation = trainer_and_rows()
    log = gd.callbacks.TensorBoard(tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []
    trainer.fit(*rows, epochs=2, validation=validation, callbacks=[log])
    trainer.save(tmp_path / "saved")
    trainer.fit(*rows, epochs=2, callbacks=[log])
    assert scalars(tmp_path / "runs") == of_history(trainer.history)
    loaded = gd.Trainer.load(tmp_path / "saved")
    loaded.fit(*rows, callbacks=[gd.callbacks.TensorBoard(tmp_path / "runs")])
    assert scalars(tmp_path / "runs") == of_history(loaded.history)
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    shown = accumulator.EventAccumulator(str(tmp_path / "runs"))
    shown.Reload()
    tags = shown.Tags()["scalars"]
    assert {tag: [(e.step, e.value) for e in shown.Scalars(tag)] for tag in tags} == of_history(loaded.history)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_is_told_of_json_lines(tmp_path):
    trainer, rows, _ = trainer_and_rows()
    log = gd.callbacks.JSONLines(tmp_path / "run.jsonl")
    (tmp_path / "run.jsonl").symlink_to("/dev/full")
    log.on_begin(trainer)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path / 'run.jsonl'}'"):
        trainer.fit(*rows, epochs=3, callbacks=[log])
    assert len(trainer.history) == 1


@pytest.mark.parametrize(("n_written", "n_epochs"), [(0, 1), (1, 3)])
def test_a_full_disk_ends_a_run_that_tensorboard_is_to_see(n_written, n_epochs, tmp_path, monkeypatch):
    """In an epoch, or at the end; the callback may be used again."""
    pytest.importorskip("tensorboardX")
    log = gd.callbacks.TensorBoard(tmp_path / "runs")
    calls = itertools.count()

    def fsync(_):
        if next(calls) >= n_written:
            raise OSError(errno.ENOSPC, "No space left on device")

    trainer, rows, _ = trainer_and_rows()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match=f"No space left on device: '{tmp_path / 'runs'}'") as caught:
            trainer.fit(*rows, epochs=3, callbacks=[log])
    assert not hasattr(caught.value, "__notes__")
    assert len(trainer.history) == n_epochs
    new, rows, _ = trainer_and_rows()
    new.fit(*rows, callbacks=[log])


def test_without_tensorboardx_an_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"expected pip install 'fastgd\[tensorboard\]'"):
        gd.callbacks.TensorBoard("runs")
