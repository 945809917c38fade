"""What a type checker knows of an installed fastgd: what is right passes, and names that are not known do not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastgd as gd

RIGHT = """
from typing import assert_type

import numpy as np

import fastgd as gd
from fastgd.activations import Activation
from fastgd.layers import Layer


def halves(y: np.ndarray, prediction: np.ndarray) -> float:
    return float(np.mean(np.abs(y - prediction) < 0.5))


model = gd.Model([gd.Linear(3, 1), gd.ReLU()])
model.layers[0].weight[:] = 0
for layer in model.layers:
    assert_type(layer, Layer)
    if isinstance(layer, gd.Linear):
        assert_type(layer.weight, np.ndarray)
assert_type(model.layers[1:], tuple[Layer, ...])
trainer = gd.Trainer(model, "huber", gd.SGD("auto"), metrics=["r2", halves])
stop = gd.callbacks.EarlyStopping(monitor="halves", mode="max")
history = trainer.fit([[1.0, 2.0, 3.0]], [1.0], callbacks=[stop], progress="epochs")
assert_type(history.metrics["r2"], list[float])
assert_type(history.learning_rate, list[float | None])
gd.Trainer.load("run", metrics=[halves])
for step in gd.trace(model, [[1.0, 2.0, 3.0]], [1.0], learning_rate=0.1, loss="huber"):
    assert_type(step.outputs[0], np.ndarray)
assert_type(trainer.trace([[1.0, 2.0, 3.0]], [1.0]).to_markdown(), str)
assert_type(model.summary().n_parameters, int)
"""

WRONG = [
    'gd.Trainer(model, "mse")',
    'model.loss([[1.0]], [1.0], loss="mse")',
    'gd.Trainer(model, metrics=["acc"])',
    'gd.Trainer(model, optimizer=gd.SGD("fast"))',
    'gd.Trainer(model).fit([[1.0]], [1.0], progress="lines")',
    'gd.callbacks.EarlyStopping(monitor="f1", mode="up")',
    'gd.trace(model, [[1.0]], [1.0], loss="mse")',
    "[layer.weigth for layer in model.layers]",
]


def lines_with_errors(code, folder):
    """Numbers of the lines that mypy finds wrong, from 1, and what it says."""
    Path(folder, "example.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--explicit-package-bases", "example.py"]
    environment = os.environ | {"MYPYPATH": str(Path(gd.__file__).parents[1])}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    errors = [line for line in run.stdout.splitlines() if ": error: " in line]
    assert run.returncode == bool(errors), run.stderr
    return {int(line.split(":")[1]) for line in errors}, run.stdout


@pytest.mark.slow
def test_what_is_right_passes(tmp_path):
    lines, said = lines_with_errors(RIGHT, tmp_path)
    assert not lines, said


@pytest.mark.slow
def test_what_is_wrong_does_not(tmp_path):
    code = ["import fastgd as gd", "model = gd.Model([gd.Linear(1, 1)])", *WRONG]
    lines, said = lines_with_errors("\n".join(code), tmp_path)
    assert lines == set(range(3, len(code) + 1)), said
