"""The same seed gives the same bits, however the work is cut up."""

import subprocess
import sys
from pathlib import Path

import cases
import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd
from fastgd._engine import slices as engine
from fastgd.data import reader as dataset

CASES = [
    (name, batch_size, shuffle)
    for name in ("neuron", "hidden layer")
    for batch_size in (1, 7, 300, None)
    for shuffle in (False, True)
]


def train(name, batch_size, shuffle, dtype, n_samples=1000, source=None, calls=(2,), arrange=np.asarray):
    model = model_of(name, dtype)
    X, y, sample_weight = rows_for(model, n_samples)
    X = arrange(X if source is None else X.astype(source))
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, shuffle=shuffle, seed=5)
    for epochs in calls:
        trainer.fit(X, y, epochs=epochs, sample_weight=sample_weight)
    return model.parameters.copy(), trainer.history.loss


def assert_same_bits(first, second):
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]


@pytest.mark.parametrize(("name", "batch_size", "shuffle"), CASES)
def test_from_run_to_run(name, batch_size, shuffle, dtype):
    assert_same_bits(train(name, batch_size, shuffle, dtype), train(name, batch_size, shuffle, dtype))


@pytest.mark.parametrize(("name", "batch_size", "shuffle"), CASES)
def test_slices_change_nothing(name, batch_size, shuffle, dtype, monkeypatch):
    """Python in control after every step, or never."""
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 1e9)
    whole = train(name, batch_size, shuffle, dtype)
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    assert_same_bits(train(name, batch_size, shuffle, dtype), whole)


@pytest.mark.parametrize("batch_size", [1, 7, 300, None])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_bytes", [1, 500, 10_000])
def test_block_size_changes_nothing(batch_size, shuffle, dtype, n_bytes, monkeypatch):
    source = "float64" if dtype == "float32" else "float32"
    whole = train("hidden layer", batch_size, shuffle, dtype, source=source)
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
    assert_same_bits(train("hidden layer", batch_size, shuffle, dtype, source=source), whole)


@pytest.mark.parametrize("batch_size", [1, 7, 300, None])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_bytes", [1, 500, 10_000])
def test_block_size_changes_nothing_for_a_neuron_s_copied_rows(batch_size, shuffle, n_bytes, monkeypatch):
    whole = train("neuron", batch_size, shuffle, "float32", arrange=np.asfortranarray)
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", n_bytes)
    assert_same_bits(train("neuron", batch_size, shuffle, "float32", arrange=np.asfortranarray), whole)


@pytest.mark.parametrize("batch_size", [1, 7, 300, None])
@pytest.mark.parametrize("n_samples", [1, 6, 333])
def test_orders_may_be_cut_anywhere(batch_size, n_samples, monkeypatch):
    """A neuron is given the order of its rows in parts."""
    whole = train("neuron", batch_size, True, "float32")
    monkeypatch.setattr(dataset, "_SAMPLES_PER_ORDER", n_samples)
    assert_same_bits(train("neuron", batch_size, True, "float32"), whole)


@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
@pytest.mark.parametrize("batch_size", [1500, 2047, None])
def test_batches_of_several_micro_batches_may_be_cut_anywhere(name, batch_size, monkeypatch):
    """Batch and micro-batch share no factor, blocks end inside batches; calls grow to the whole epoch, or never do."""
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 1e9)
    whole = train(name, batch_size, False, "float32", 5000, calls=(5,), arrange=np.asfortranarray)
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    cut = train(name, batch_size, False, "float32", 5000, "float64", calls=(5,), arrange=np.asfortranarray)
    assert_same_bits(cut, whole)


@pytest.mark.parametrize("batch_size", [7, 1500, 2047, None])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_a_neuron_in_place_may_be_cut_anywhere(batch_size, shuffle, monkeypatch):
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 1e9)
    whole = train("neuron", batch_size, shuffle, "float32", 5000, calls=(5,))
    monkeypatch.setattr(dataset, "_SAMPLES_PER_ORDER", 1024)
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    assert_same_bits(train("neuron", batch_size, shuffle, "float32", 5000, calls=(5,)), whole)


@pytest.mark.parametrize(("name", "batch_size", "shuffle"), CASES)
def test_epochs_may_be_split_over_calls(name, batch_size, shuffle, dtype):
    whole = train(name, batch_size, shuffle, dtype, 500, calls=(4,))
    assert_same_bits(train(name, batch_size, shuffle, dtype, 500, calls=(1, 2, 1)), whole)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batch_size", "shuffle"), CASES)
def test_a_saved_run_goes_on_with_the_same_bits(name, batch_size, shuffle, tmp_path):
    model = model_of(name, "float32")
    X, y, _ = rows_for(model, 50)
    optimizer = gd.SGD(gd.schedules.InverseScaling(0.01))
    trainer = gd.Trainer(model, optimizer=optimizer, batch_size=batch_size, shuffle=shuffle)
    trainer.fit(X, y, epochs=2)
    trainer.save(tmp_path / "run.safetensors")
    trainer.fit(X, y, epochs=2)
    loaded = gd.Trainer.load(tmp_path / "run.safetensors")
    loaded.fit(X, y, epochs=2)
    assert_same_bits((loaded.model.parameters, loaded.history.loss), (model.parameters, trainer.history.loss))


@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
def test_rows_given_in_parts_are_one_pass(name, dtype):
    """Online, without shuffling: rows cut at fours over calls of fit give the bits of one call."""
    model, twin = model_of(name, dtype), model_of(name, dtype)
    X, y, _ = rows_for(model, 101)
    gd.Trainer(model).fit(X, y)
    trainer = gd.Trainer(twin)
    for start, stop in ((0, 4), (4, 40), (40, 101)):
        trainer.fit(X[start:stop], y[start:stop])
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_a_neuron_s_rows_cut_anywhere_are_one_pass_up_to_rounding(dtype):
    model, twin = model_of("neuron", dtype), model_of("neuron", dtype)
    X, y, _ = rows_for(model, 100)
    gd.Trainer(model).fit(X, y)
    trainer = gd.Trainer(twin)
    for start, stop in ((0, 1), (1, 39), (39, 100)):
        trainer.fit(X[start:stop], y[start:stop])
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_another_process_gives_the_same_bits():
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_reproducible import train\n"
        "print(train('hidden layer', 7, True, 'float32')[0].tobytes().hex())"
    )
    run = [sys.executable, "-c", program, str(Path(__file__).parent), str(Path(cases.__file__).parent)]
    outputs = {subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)}
    assert outputs == {train("hidden layer", 7, True, "float32")[0].tobytes().hex()}


def test_seeds_differ():
    assert (model_of("neuron", seed=1).parameters != model_of("neuron", seed=2).parameters).any()
    data = rows_for(model_of("neuron"), 100)
    results = []
    for seed in (1, 2):
        model = model_of("neuron")
        gd.Trainer(model, optimizer=gd.SGD(0.01), shuffle=True, seed=seed).fit(data[0], data[1])
        results.append(model.parameters)
    assert (results[0] != results[1]).any()


def test_block_size_changes_no_step(monkeypatch):
    model, twin = model_of("hidden layer"), model_of("hidden layer")
    X, y, _ = rows_for(model, 20)
    X = X.astype(np.float32)
    gd.Trainer(model).step(X, y)
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 1)
    gd.Trainer(twin).step(X, y)
    np.testing.assert_array_equal(model.parameters, twin.parameters)
