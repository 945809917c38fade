"""The trainer: history, validation, callbacks, progress, files, divergence, Ctrl-C."""

import contextlib
import copy
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cases import model_of, rows_for
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import fastgd as gd
from fastgd._engine import progress
from fastgd._engine import slices as engine
from fastgd._engine.finiteness import FiniteLoop
from fastgd.data import reader as dataset


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


@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
@pytest.mark.parametrize("batch_size", [1, 7, None])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_run_goes_on_with_the_same_bits(name, batch_size, shuffle, dtype, tmp_path):
    model = model_of(name, dtype)
    X, y, _ = rows_for(model, 30)
    options = {"optimizer": gd.SGD(0.03), "batch_size": batch_size, "shuffle": shuffle, "seed": 6}
    whole = gd.Trainer(model, **options)
    whole.fit(X, y, epochs=5)
    trainer = gd.Trainer(model_of(name, dtype), **options)
    for epochs in (2, 1, 2):
        trainer.fit(X, y, epochs=epochs)
        trainer.save(tmp_path / "run.safetensors")
        trainer = gd.Trainer.load(tmp_path / "run.safetensors")
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)
    assert trainer.history.loss == whole.history.loss
    assert trainer.n_updates == whole.n_updates
    assert (trainer.optimizer, trainer.batch_size, trainer.shuffle, trainer.seed, trainer.loss) == (
        whole.optimizer,
        whole.batch_size,
        whole.shuffle,
        whole.seed,
        whole.loss,
    )


def test_a_run_of_another_version_says_what_differs(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.Adam())
    trainer.step(*rows_for(trainer.model, 3))
    trainer.save(path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["run.optimizer_state"] = tensors["run.optimizer_state"][:1]
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=r"optimizer_state has shape \(1, 6\); expected \(2, 6\), as this version"):
        gd.Trainer.load(path)


def test_a_run_with_state_of_other_names_says_which(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.NormalizedSGD())
    trainer.step(*rows_for(trainer.model, 3))
    trainer.save(path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors, run = load_file(path), json.loads(metadata["run"])
    assert tensors["run.optimizer_rows_seen"].dtype == np.int64
    tensors["run.optimizer_scalars"] = tensors.pop("run.optimizer_rows_seen")
    run["tensors"] = ["optimizer_scalars" if name == "optimizer_rows_seen" else name for name in run["tensors"]]
    save_file(tensors, path, metadata | {"run": json.dumps(run)})
    with pytest.raises(ValueError, match="'optimizer_rows_seen' is missing, 'optimizer_scalars' is not expected"):
        gd.Trainer.load(path)


def test_a_run_goes_on_between_steps(tmp_path):
    X, y, _ = rows_for(model_of("neuron"), 9)
    trainer, whole = gd.Trainer(model_of("neuron")), gd.Trainer(model_of("neuron"))
    for row in range(0, 9, 3):
        whole.step(X[row : row + 3], y[row : row + 3])
        trainer.step(X[row : row + 3], y[row : row + 3])
        trainer.save(tmp_path / "run")
        trainer = gd.Trainer.load(tmp_path / "run")
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)
    assert trainer.n_updates == 3


def class_name(instance):
    return type(instance).__name__


def pickled(trainer):
    return pickle.loads(pickle.dumps(trainer))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
@pytest.mark.parametrize("optimizer", [gd.Adam(0.02), gd.SGD("auto", momentum=0.9), gd.NormalizedSGD()], ids=class_name)
@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_copy_goes_on_with_the_same_bits(duplicate, optimizer, batch_size):
    """Copied before training, between epochs, between steps: it trains as the original does, and a model of its own."""
    layers = [gd.Linear(5, 4), gd.ReLU(), gd.Dropout(0.3), gd.Linear(4, 2)]
    model = gd.Model(layers, dtype="float64", seed=2)
    X, y, _ = rows_for(model, 30)
    trainer = gd.Trainer(model, optimizer=optimizer, batch_size=batch_size, shuffle=True, alpha=0.01, average_from=9)
    for train in (lambda each: each.fit(X, y, epochs=2), lambda each: each.step(X[:4], y[:4])) * 2:
        copied, before = duplicate(trainer), trainer.model.parameters.copy()
        assert copied.model is not trainer.model
        train(copied)
        np.testing.assert_array_equal(trainer.model.parameters, before)
        assert (copied.model.parameters != before).any()
        train(trainer)
        np.testing.assert_array_equal(copied.model.parameters, trainer.model.parameters)
        np.testing.assert_array_equal(copied.averaged_model().parameters, trainer.averaged_model().parameters)
        for name, state in trainer.optimizer_state.items():
            np.testing.assert_array_equal(copied.optimizer_state[name], state)
        assert copied.history.loss == trainer.history.loss
        assert (copied.n_updates, copied.learning_rate) == (trainer.n_updates, trainer.learning_rate)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_begins_with_an_optimizer_that_was_assigned(duplicate):
    X, y, _ = rows_for(model_of("hidden layer"), 30)
    trainer = gd.Trainer(model_of("hidden layer"), batch_size=4)
    trainer.fit(X, y)
    trainer.optimizer = gd.Adam(0.05)
    copied = duplicate(trainer)
    assert copied.n_updates == 8
    for each in (copied, trainer):
        each.fit(X, y)
        assert each.n_updates == 16
    np.testing.assert_array_equal(copied.model.parameters, trainer.model.parameters)


@pytest.mark.parametrize("optimizer", [gd.Adam(), gd.Adagrad(), gd.NormalizedSGD(0.1)], ids=class_name)
def test_a_state_from_before_training_is_what_training_begins_with(optimizer):
    X, y, _ = rows_for(model_of("neuron"), 30)
    trainer = gd.Trainer(model_of("neuron"), optimizer=optimizer)
    early = trainer.optimizer_state
    before = {name: state.copy() for name, state in early.items()}
    trainer.fit(X, y)
    late = trainer.optimizer_state
    trained = {name: state.copy() for name, state in late.items()}
    trainer.fit(X, y)
    for name in early:
        np.testing.assert_array_equal(early[name], before[name])
        np.testing.assert_array_equal(late[name], trainer.optimizer_state[name])
    assert any((late[name] != trained[name]).any() for name in late)


FIXED = {"loss": "huber", "seed": 5, "alpha": 5.0, "l1_ratio": 0.5, "model": model_of("neuron")}
FIXED |= {"clip_value": 0.1, "clip_norm": 0.1, "max_norm": 0.1, "average_from": 3}


@pytest.mark.parametrize("name", FIXED)
def test_settings_that_are_fixed(name):
    trainer = gd.Trainer(model_of("neuron"))
    before = getattr(trainer, name)
    with pytest.raises(AttributeError, match=f"{name} is fixed when a Trainer is made; expected a new Trainer"):
        setattr(trainer, name, FIXED[name])
    assert getattr(trainer, name) is before


ASSIGNED = {"optimizer": gd.Adam(0.05), "batch_size": 7, "shuffle": True, "learning_rate_factor": 0.5}


@pytest.mark.parametrize("name", ASSIGNED)
def test_settings_that_are_assigned_count_at_once(name, tmp_path):
    """Going on and going on from a file: the same bits, which are not those of a trainer without the assignment."""
    X, y, _ = rows_for(model_of("hidden layer"), 30)
    trainer, without = (gd.Trainer(model_of("hidden layer"), optimizer=gd.SGD(0.03), batch_size=4) for _ in range(2))
    for each in (trainer, without):
        each.fit(X, y)
    setattr(trainer, name, ASSIGNED[name])
    trainer.save(tmp_path / "run")
    loaded = gd.Trainer.load(tmp_path / "run")
    for each in (trainer, without, loaded):
        each.fit(X, y, epochs=2)
    assert getattr(loaded, name) == ASSIGNED[name]
    np.testing.assert_array_equal(trainer.model.parameters, loaded.model.parameters)
    assert (trainer.model.parameters != without.model.parameters).any()


def test_an_optimizer_that_a_callback_assigns_counts_at_once(tmp_path):
    def change(trainer, record):
        if record.epoch == 2:
            trainer.optimizer = gd.Adam(0.05)
            trainer.save(tmp_path / "run")

    X, y, _ = rows_for(model_of("hidden layer"), 30)
    trainer = gd.Trainer(model_of("hidden layer"), optimizer=gd.SGD(0.03), batch_size=4)
    trainer.fit(X, y, epochs=4, callbacks=[change])
    loaded = gd.Trainer.load(tmp_path / "run")
    loaded.fit(X, y, epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, loaded.model.parameters)
    assert trainer.n_updates == loaded.n_updates == 4 * 8


def test_another_optimizer_averages_afresh(tmp_path):
    """From when it is assigned on, as from a file."""
    X, y, _ = rows_for(model_of("neuron"), 30)
    trainer = gd.Trainer(model_of("neuron"), average_from=20)
    trainer.fit(X, y)
    trainer.averaged_model()
    trainer.optimizer = gd.Adam()
    trainer.save(tmp_path / "run")
    for each in (trainer, gd.Trainer.load(tmp_path / "run")):
        with pytest.raises(
            ValueError, match="average_from is 20 and 0 updates were made with this optimizer; expected"
        ):
            each.averaged_model()
        each.fit(X, y)
        assert (each.averaged_model().parameters != each.model.parameters).any()


def test_an_order_that_a_callback_assigns_counts_from_the_next_epoch_on():
    X, y, _ = rows_for(model_of("neuron"), 30)
    trainer, twin = (gd.Trainer(model_of("neuron"), optimizer=gd.SGD(0.03), shuffle=True) for _ in range(2))

    def change(trainer, record):
        trainer.shuffle = record.epoch == 2

    trainer.fit(X, y, epochs=3, callbacks=[change])
    for shuffle in (True, False, True):
        twin.shuffle = shuffle
        twin.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)


BAD_SETTINGS = [
    ("batch_size", 0, ValueError, "batch_size is 0; expected at least 1"),
    ("batch_size", 2.0, TypeError, r"batch_size is 2\.0; expected an integer"),
    ("shuffle", 1, TypeError, "shuffle is 1; expected True or False"),
    ("optimizer", "SGD", TypeError, "optimizer is 'SGD'"),
    ("learning_rate_factor", -1, ValueError, "learning_rate_factor is -1; expected a finite number of at least 0"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), BAD_SETTINGS)
def test_settings_are_checked_when_they_are_assigned(name, value, error, message):
    trainer = gd.Trainer(model_of("neuron"))
    before = getattr(trainer, name)
    with pytest.raises(error, match=message):
        setattr(trainer, name, value)
    assert getattr(trainer, name) is before


def test_auto_is_measured_for_each_optimizer():
    X, _, _ = rows_for(model_of("neuron"), 200)
    # There is something to learn: a model that is worse than a constant would not stay as it is.
    y = np.maximum(X @ [1.0, 2, 3, 4, 5], 0)
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.SGD("auto"), batch_size=4)
    trainer.fit(X, y)
    trainer.optimizer = gd.Adam("auto")
    assert trainer.learning_rate is None
    twin = gd.Trainer(model_of("neuron"), optimizer=gd.Adam("auto"), batch_size=4)
    twin.model.parameters = trainer.model.parameters
    for each in (trainer, twin):
        each.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)


def test_a_run_file_is_a_model_file_but_not_the_reverse(tmp_path):
    trainer = gd.Trainer(model_of("neuron"))
    trainer.save(tmp_path / "run")
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "run").parameters, trainer.model.parameters)
    trainer.model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="holds no run of fastgd's"):
        gd.Trainer.load(tmp_path / "model")


DIVERGING = [("neuron", 1), ("neuron", 4), ("hidden layer", 1), ("hidden layer", 16), ("hidden layer", None)]
DIVERGING += [("two Linears in a row", 3)]


@pytest.mark.parametrize(("name", "batch_size"), DIVERGING)
@pytest.mark.parametrize("shuffle", [False, True])
def test_divergence(name, batch_size, shuffle, dtype):
    """Unscaled features: the error names epoch, step and learning rate; the model is the one before that step."""
    model, twin = model_of(name, dtype), model_of(name, dtype)
    X, _, _ = rows_for(model, 200)
    X = X * 1e6
    y = np.ones((200, model.out_features))
    options = {"optimizer": gd.SGD(0.5), "batch_size": batch_size, "seed": 1}
    trainer = gd.Trainer(model, shuffle=shuffle, **options)
    with pytest.raises(gd.DivergenceError, match=r"learning rate 0\.5") as caught:
        trainer.fit(X, y, epochs=1000)
    assert isinstance(caught.value, ArithmeticError)
    assert np.isfinite(model.parameters).all()
    epoch = len(trainer.history) + 1
    batch_rows = batch_size or 200
    step = trainer.n_updates - (epoch - 1) * -(-200 // batch_rows)
    assert f"epoch {epoch}, step {step + 1}," in str(caught.value)
    # Step by step to the same place, then over the edge.
    replay = gd.Trainer(twin, **options)
    done = 0
    for past in range(epoch):
        order = np.random.default_rng([1, past]).permutation(200) if shuffle else np.arange(200)
        for start in range(0, 200, batch_rows):
            rows = order[start : start + batch_rows]
            if done == trainer.n_updates:
                # Steps of one row see no other, so a neuron's round differently from four at once.
                tolerance = 1e-4 if name == "neuron" and batch_size == 1 else 0
                np.testing.assert_allclose(twin.parameters, model.parameters, rtol=tolerance)
                largest = np.abs(X[rows].astype(dtype)).max()
                assert f"the largest of this step is {largest:.3g})" in str(caught.value)
                with pytest.raises(gd.DivergenceError):
                    replay.step(X[rows], y[rows])
                np.testing.assert_allclose(twin.parameters, model.parameters, rtol=tolerance)
                return
            replay.step(X[rows], y[rows])
            done += 1
    pytest.fail("the step that the error names was never reached")


def test_training_goes_on_after_divergence():
    model = model_of("neuron")
    X, y, _ = rows_for(model, 100)
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e9))
    with pytest.raises(gd.DivergenceError):
        trainer.fit(X, y, epochs=100)
    model.parameters = model_of("neuron").parameters
    trainer.optimizer = gd.SGD(0.01)
    twin = gd.Trainer(model_of("neuron"), optimizer=gd.SGD(0.01))
    trainer.fit(X, y)
    twin.fit(X, y)
    np.testing.assert_array_equal(model.parameters, twin.model.parameters)


INTERRUPTED = """
import json, signal, sys, time
import numpy as np
import fastgd as gd

# Whoever started the tests in the background may have had SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

name = sys.argv[1]
layers = {"neuron": [gd.Linear(100, 1), gd.ReLU()],
          "wide": [gd.Linear(100, 512), gd.ReLU(), gd.Linear(512, 512), gd.ReLU(), gd.Linear(512, 1)]}[name]
model = gd.Model(layers)
trainer = gd.Trainer(model, optimizer=gd.SGD(1e-5), batch_size=1 if name == "neuron" else int(sys.argv[2]) or None,
                     shuffle=sys.argv[3] == "shuffle")
# Large enough to be shuffled in windows: all that will run is compiled before the interruption.
small = gd.data.synthetic(11_000 if name == "neuron" else 100, 100)
large = gd.data.synthetic(10**7 if name == "neuron" else 200_000, 100)
trainer.fit(small)
print("ready", flush=True)
try:
    trainer.fit(large, epochs=10**6)
except KeyboardInterrupt:
    caught = time.time()
finite = bool(np.isfinite(model.parameters).all())
history = len(trainer.history)
print(json.dumps({"caught": caught, "finite": finite, "history": history, "goes on": len(trainer.fit(small))}))
"""


INTERRUPTIONS = [("neuron", "1", "no"), ("neuron", "1", "shuffle"), ("wide", "256", "no"), ("wide", "0", "no")]


@pytest.mark.parametrize("arguments", INTERRUPTIONS)
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c(arguments):
    run = [sys.executable, "-c", INTERRUPTED, *arguments]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(1)
            sent = time.time()
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    result = json.loads(output)
    assert result["finite"]
    assert result["goes on"] == result["history"] + 1
    # Half a second is the promise; a machine that is busy otherwise gets more before the test gives up on it.
    assert result["caught"] - sent < 5


def test_python_has_control_between_slices(monkeypatch):
    """Another thread runs while the kernels do, and an epoch is cut into slices of a bounded time."""
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0.005)
    model = model_of("neuron")
    data = gd.data.synthetic(3_000_000, 5, dtype="float64")
    X, y = data.arrays()
    ticks = []
    done = threading.Event()

    def tick():
        while not done.wait(0.005):
            ticks.append(time.perf_counter())

    clock = threading.Thread(target=tick)
    clock.start()
    slices = []
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e-4))
    call = FiniteLoop._call
    monkeypatch.setattr(FiniteLoop, "_call", lambda loop, block: (slices.append(len(block.X)), call(loop, block)))
    trainer.fit(X, y, epochs=3)
    done.set()
    clock.join()
    assert len(slices) > 10
    assert len(ticks) > 3


@pytest.mark.parametrize("n_rows", [1, 2])
def test_an_update_that_overflows_at_the_end_of_an_epoch(n_rows):
    """Loss and gradient are finite there; the parameters alone are not."""
    model = gd.Model([gd.Linear(1, 1, init="zeros")], dtype="float32")
    trainer = gd.Trainer(model, optimizer=gd.SGD(1e38))
    with pytest.raises(gd.DivergenceError, match="step 1,"):
        trainer.step(np.full((n_rows, 1), 1000.0), np.ones(n_rows))
    assert (model.parameters == 0).all()
    assert trainer.n_updates == 0


@pytest.mark.parametrize("bad_row", range(0, 120, 3))
def test_bad_row_in_batches_of_several_micro_batches(bad_row, monkeypatch):
    """Behind a ReLU that is off, minus infinity shows in the micro-batch's gradient alone, updates later."""
    monkeypatch.setattr(gd.Model, "micro_batch_rows", 4)
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 1e9)
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    model.layers[0].weight[:, 2] = twin.layers[0].weight[:, 2] = 1
    X, y, _ = rows_for(model, 120)
    n_good = bad_row // 30 * 30
    if n_good:
        gd.Trainer(twin, optimizer=gd.SGD(0.01), batch_size=30).fit(X[:n_good], y[:n_good])
    X[bad_row, 2] = -np.inf
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=30)
    with pytest.raises(ValueError, match=f"X holds -inf .* in row {bad_row}, column 2"):
        trainer.fit(X, y)
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert trainer.n_updates == bad_row // 30


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


def test_slices_follow_the_time_they_take():
    """Ctrl-C and other threads wait for a slice at most."""
    machine = gd.Trainer(model_of("neuron"))._run.prepared_engine()
    machine._slice_rows = 1
    for n_rows, seconds, expected in (
        (1, 0, 256),  # the next slice takes 256 times as many rows at most,
        (256, 1.6, 12),  # and else what is expected to take three quarters of the limit
        (12, 0.05, 18),
        (3, 0.05, 18),  # a short slice tells little,
        (3, 0.01, 22),  # unless that more rows will do
        (3, 0.3, 1),  # or that even these were too many
    ):
        machine._adapt(n_rows, seconds)
        assert machine._slice_rows == expected


@pytest.mark.parametrize(("widths", "n_rows"), [((4, 1), 9852), ((100, 64), 490), ((2000, 2000), 1)])
def test_the_first_slice_has_the_rows_that_any_processor_takes_in_time(widths, n_rows):
    machine = gd.Trainer(gd.Model([gd.Linear(*widths, init="zeros")]))._run.prepared_engine()
    assert machine._slice_rows == n_rows


def test_a_step_that_succeeds_alone_moves_no_cut(monkeypatch):
    """Rows that overflow only when multiplied with one another: what follows ends where calls end without them."""
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)]), optimizer=gd.SGD(0.0))
    X, y = np.zeros((24, 3), np.float32), np.zeros((24, 1), np.float32)
    trainer.fit(X, y)
    X[:, 0] = range(24)
    succeeded = []

    def succeeds(loop, block):
        first = int(block.X[0, 0])
        is_good = block.n_samples == 1 or not first <= 5 < first + block.n_samples
        succeeded.extend([(first, first + block.n_samples)] * is_good)
        return is_good

    monkeypatch.setattr(FiniteLoop, "_succeeds", succeeds)
    trainer.fit(X, y)
    assert (5, 6) in succeeded
    assert succeeded[-2:] == [(6, 8), (8, 24)]


def test_a_trainer_shows_what_it_is():
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]), "huber", batch_size=8, seed=3, clip_norm=1.0)
    shown = "Trainer(Model([Linear(2, 1)], dtype='float32'), loss='huber', optimizer=SGD(learning_rate=0.001, "
    assert repr(trainer).startswith(shown)
    assert repr(trainer).endswith("batch_size=8, seed=3, clip_norm=1.0): History(no epochs)")
    trainer.fit(np.ones((9, 2)), np.ones(9), validation=(np.ones((9, 2)), np.ones(9)))
    assert re.fullmatch(r"History\(1 epoch, loss [\d.]+, validation_loss [\d.]+, \S+ s\)", repr(trainer.history))


def test_a_history_is_a_frame_of_its_epochs():
    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]))
    frame = trainer.fit(np.ones((9, 2)), np.ones(9), epochs=3).to_frame()
    assert list(frame.columns) == ["epoch", "loss", "validation_loss", "seconds", "learning_rate"]
    assert frame.epoch.tolist() == [1, 2, 3]
    assert frame.loss.tolist() == trainer.history.loss
