"""Slices of an epoch: between them Python has control."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cases import model_of

import fastgd as gd
from fastgd._engine import slices as engine
from fastgd._engine.finiteness import FiniteLoop

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


INTERRUPTIONS = [
    ("neuron", "1", "no"),
    pytest.param(("neuron", "1", "shuffle"), marks=pytest.mark.slow),
    ("wide", "256", "no"),
    pytest.param(("wide", "0", "no"), marks=pytest.mark.slow),
]


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
