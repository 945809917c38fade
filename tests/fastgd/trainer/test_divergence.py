"""Divergence, and bad rows that are found late."""

import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd
from fastgd._engine import slices as engine

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


def test_parameters_that_a_callback_has_spoilt_are_no_divergence():
    model = gd.Model([gd.Linear(3, 2), gd.ReLU(), gd.Linear(2, 1)])

    def spoil(trainer, record):
        trainer.model.layers[0].weight[1, 1] = np.nan

    trainer = gd.Trainer(model, optimizer=gd.Adam(), batch_size=4)
    with pytest.raises(ValueError, match="the model's parameters hold a NaN or infinity; expected finite numbers"):
        trainer.fit(np.ones((20, 3)), np.ones(20), epochs=2, callbacks=[spoil])
