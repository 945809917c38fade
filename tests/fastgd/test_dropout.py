"""Dropout: what is dropped, and that it depends on nothing else."""

import numpy as np
import pytest
from cases import built, rounding, rows_for
from stacks import STACKS, frozen, passes

import fastgd as gd
from fastgd import kernels
from fastgd._engine import slices as engine
from fastgd.data import reader as dataset
from fastgd.kernels.random import subkey


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9])
def test_dropout_kernels(p, dtype):
    """The elements that pass are scaled; the rest are zero, in both passes; NaN shows where it passes."""
    number = np.dtype(dtype).type
    z = frozen(np.r_[np.nan, np.arange(1.0, 5000)], dtype)
    out, d, mask = z.copy(), z.copy(), np.array([3] * z.size, np.uint8).view(np.bool_)
    kernels.dropout_forward(out, p, (-5, 2, 1, 0), mask)
    assert set(mask.view(np.uint8).tolist()) <= {0, 1}
    scale = number(1 / (1 - number(p)))
    np.testing.assert_allclose(out, np.where(mask, z * scale, 0), rtol=rounding(dtype, 1))
    kernels.dropout_backward(out, mask, p, d)
    np.testing.assert_array_equal(d, out)
    assert mask.mean() == pytest.approx(1 - p, abs=5 * np.sqrt(p * (1 - p) / z.size))


def test_dropout_kernel_draws_by_position():
    seed, update, layer = -77, 5, 3
    whole, mask = np.ones(100), np.empty(100, np.bool_)
    kernels.dropout_forward(whole, 0.5, (seed, update, layer, 40), mask)
    key = subkey(np.uint64(subkey(np.uint64(2**64 + seed), update)), layer)
    np.testing.assert_array_equal(mask, passes(key, 1, 140, 0.5)[0, 40:])
    parts, part_mask = np.ones(100), np.empty(100, np.bool_)
    for begin in range(0, 100, 30):
        part = slice(begin, begin + 30)
        kernels.dropout_forward(parts[part], 0.5, (seed, update, layer, 40 + begin), part_mask[part])
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(part_mask, mask)


def dropped(n_rows, n_units, p=0.5, seed=0, n_updates=1, layers=None):
    """What a Dropout did in each update: 0 where it dropped, the gradient's factor where not; (update, row, unit).

    Row i has a one in feature i, all weights are ones and all targets zeros: the gradient of weight (unit, i) is the
    square of what unit and row were multiplied by.
    """
    stack = [gd.Linear(n_rows, n_units, bias=False, init=np.ones((n_units, n_rows)))]
    model = gd.Model(stack + ([gd.Dropout(p)] if layers is None else layers), dtype="float64")
    trainer = gd.Trainer(model, optimizer=gd.SGD(1.0), seed=seed)
    X, y = np.eye(n_rows), np.zeros((n_rows, n_units))
    factors, losses = [], []
    for _ in range(n_updates):
        model.parameters = 1
        losses.append(trainer.step(X, y))
        factors.append((1 - model.layers[0].weight.T) * n_rows)
    np.testing.assert_allclose(losses, [factor.sum() / 2 / n_rows for factor in factors], rtol=1e-12)
    return np.array(factors)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_share_and_mean(p):
    factors = dropped(200, 300, p)[0]
    assert np.mean(factors == 0) == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / factors.size))
    np.testing.assert_allclose(factors[factors != 0], 1 / (1 - p) ** 2, rtol=1e-12)
    # The mean output stays: √factor is what an output was multiplied by.
    assert np.sqrt(factors).mean() == pytest.approx(1, abs=5 * np.sqrt(p / (1 - p) / factors.size) + 1e-12)


def assert_independent(first, second, p):
    """Two masks agree as often as two coins do."""
    chance = p**2 + (1 - p) ** 2
    deviation = np.sqrt(chance * (1 - chance) / first.size)
    assert np.mean((first == 0) == (second == 0)) == pytest.approx(chance, abs=5 * deviation)


@pytest.mark.parametrize("p", [0.25, 0.5])
def test_draws_are_independent(p):
    updates = dropped(100, 120, p, n_updates=3)
    assert_independent(updates[0], updates[1], p)
    assert_independent(updates[1], updates[2], p)
    assert_independent(updates[0][:-1], updates[0][1:], p)
    assert_independent(updates[0][:, :-1], updates[0][:, 1:], p)
    assert_independent(updates[0][:-1, 1:], updates[0][1:, :-1], p)
    for seed in (1, 2, 2**63):
        assert_independent(updates[0], dropped(100, 120, p, seed)[0], p)
    # The next seed's draws are not this seed's, one update later.
    assert_independent(updates[1], dropped(100, 120, p, seed=1)[0], p)


def test_layers_draw_independently():
    """Two Dropouts let pass what both do: a quarter, where the same draws would make it a half."""
    both = dropped(100, 120, 0.5, layers=[gd.Dropout(0.5), gd.Identity(), gd.Dropout(0.5)])
    assert np.mean(both != 0) == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / both.size))


def test_backward_drops_what_forward_dropped():
    """In the middle of a stack: the next layer's gradient shows the outputs, the layer before's what came back."""
    model = gd.Model(
        [
            gd.Linear(1, 400, bias=False, init=np.ones((400, 1))),
            gd.Dropout(0.5),
            gd.Linear(400, 1, bias=False, init=np.ones((1, 400))),
        ],
        dtype="float64",
    )
    gd.Trainer(model, optimizer=gd.SGD(1e-4)).step([[1.0]], [0.0])
    before, after = model.layers[0].weight.ravel() != 1, model.layers[2].weight.ravel() != 1
    np.testing.assert_array_equal(before, after)
    assert 100 < before.sum() < 300


def test_nothing_is_dropped_but_in_training():
    layers = [gd.Linear(5, 50), gd.Dropout(0.9), gd.Linear(50, 1)]
    model = built(layers)
    X, y, _ = rows_for(model, 30)
    trainer = gd.Trainer(model, batch_size=4)
    for _ in range(2):
        history = trainer.fit(X, y, validation=(X, y))
        plain = gd.Model([layers[0], layers[2]], dtype="float64")
        plain.parameters = model.parameters
        np.testing.assert_allclose(model.predict(X), plain.predict(X), rtol=1e-12)
        assert model.loss(X, y) == pytest.approx(plain.loss(X, y), rel=1e-12)
        assert history.validation_loss[-1] == pytest.approx(plain.loss(X, y), rel=1e-12)
        loss, gradient = model.loss_and_gradient(X, y)
        assert loss == pytest.approx(plain.loss(X, y), rel=1e-12)
        np.testing.assert_allclose(gradient, plain.loss_and_gradient(X, y)[1], rtol=1e-12, atol=1e-14)


def train(dtype="float32", seed=5, batch_size=7, source=None, calls=(2,)):
    model = built(STACKS["Dropout"], dtype)
    X, y, _ = rows_for(model, 1000)
    trainer = gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size, shuffle=True, seed=seed)
    for epochs in calls:
        trainer.fit(X if source is None else X.astype(source), y, epochs=epochs)
    return model.parameters.copy()


@pytest.mark.parametrize("batch_size", [1, 7, 300, None])
def test_dropout_is_the_same_bits_however_it_is_cut(batch_size, dtype, monkeypatch):
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 1e9)
    whole = train(dtype, batch_size=batch_size)
    monkeypatch.setattr(engine, "_SLICE_SECONDS", 0)
    monkeypatch.setattr(dataset, "_BLOCK_BYTES", 500)
    other = "float64" if dtype == "float32" else "float32"
    np.testing.assert_array_equal(train(dtype, batch_size=batch_size), whole)
    if dtype == "float32":
        np.testing.assert_array_equal(train(dtype, batch_size=batch_size, source=other), whole)
    np.testing.assert_array_equal(train(dtype, batch_size=batch_size, calls=(1, 1)), whole)
    assert (train(dtype, seed=6, batch_size=batch_size) != whole).any()


def test_dropout_goes_on_with_the_same_bits(tmp_path):
    X, y, _ = rows_for(built(STACKS["Dropout"]), 50)
    whole = gd.Trainer(built(STACKS["Dropout"]), batch_size=4, seed=3)
    whole.fit(X, y, epochs=4)
    trainer = gd.Trainer(built(STACKS["Dropout"]), batch_size=4, seed=3)
    for epochs in (1, 3):
        trainer.fit(X, y, epochs=epochs)
        trainer.save(tmp_path / "run")
        trainer = gd.Trainer.load(tmp_path / "run")
    np.testing.assert_array_equal(trainer.model.parameters, whole.model.parameters)


def test_a_batch_larger_than_a_micro_batch_draws_as_one(monkeypatch):
    whole = dropped(60, 40, 0.5)
    for rows in (1, 7, 59):
        monkeypatch.setattr(gd.Model, "micro_batch_rows", property(lambda _, rows=rows: rows))
        np.testing.assert_array_equal(dropped(60, 40, 0.5) == 0, whole == 0)


def test_micro_batches_of_a_large_batch_draw_apart():
    """More rows than a micro-batch holds."""
    model = gd.Model([gd.Linear(1100, 16), gd.Dropout(0.5)])
    assert 500 < model.micro_batch_rows < 1100
    factors = dropped(1100, 16, 0.5)[0]
    n_rows = 1100 - model.micro_batch_rows
    assert_independent(factors[:n_rows], factors[model.micro_batch_rows :], 0.5)
    assert np.mean(factors == 0) == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / factors.size))
