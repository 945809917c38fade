"""Which runs have bounded steps, and what auto makes of them."""

import re

import numpy as np
import pytest
from bounded_cases import MODELS, rows_of

import fastgd as gd
from fastgd import optimizers
from fastgd.losses import as_loss
from fastgd.recommended import can_be_bounded, resolved, spread_of_targets
from fastgd.schedules import Cooldown


@pytest.mark.parametrize(("unit", "offset"), [(1e-6, 0), (1e6, 0), (1, 1e5)])
def test_auto_learns_targets_of_any_unit(unit, offset):
    data = gd.data.synthetic(1000, 5, noise=0.1, seed=2, dtype="float64")
    X, y = data.arrays()
    losses = []
    for targets in (y, unit * y + offset):
        model = gd.Model([gd.Standardize(5), gd.Linear(5, 1)], "float64")
        gd.Trainer(model, optimizer="auto", batch_size=16).fit(X, targets, epochs=3)
        losses.append(model.loss(X, targets) / targets.var())
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_spread_of_targets(rng):
    X, y = np.zeros((3000, 1)), 7 + 5 * rng.standard_normal((3000, 2))
    v = rng.integers(0, 3, 3000)

    def deviation(*arrays):
        return spread_of_targets(gd.Model([gd.Linear(1, 2)]), gd.data.ArrayDataset(X, *arrays))

    assert deviation(y) == pytest.approx(np.sqrt(y.var(axis=0).mean()))
    rows = np.repeat(y, v, axis=0)
    assert deviation(y, v) == pytest.approx(np.sqrt(rows.var(axis=0).mean()))
    assert deviation(np.ones((3000, 2))) == 1
    y[0] = np.nan
    assert deviation(y) == 1


CANNOT = {
    "hidden layer": ([gd.Linear(3, 2), gd.ReLU(), gd.Linear(2, 1)], "half_squared_error"),
    "steep": ([gd.Linear(3, 1), gd.LeakyReLU(2)], "half_squared_error"),
    "Dropout": ([gd.Linear(3, 1), gd.Dropout()], "half_squared_error"),
    "activation first": ([gd.ReLU(), gd.Linear(3, 1)], "half_squared_error"),
    "absolute_error": ([gd.Linear(3, 1)], "absolute_error"),
    "poisson": ([gd.Linear(3, 1)], "poisson"),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_bounded(name):
    layers, loss = CANNOT[name]
    model = gd.Model(layers)
    assert not can_be_bounded(model, as_loss(loss))
    assert gd.Trainer(model, loss, gd.Adagrad("auto")).optimizer == gd.Adagrad("auto", bounded=False)
    assert not isinstance(gd.Trainer(model, loss, "auto").optimizer, gd.Adagrad)
    message = f"Adagrad(bounded=True) with loss={loss!r}"
    with pytest.raises(ValueError, match=re.escape(message) + ".*expected one Linear"):
        gd.Trainer(model, loss, gd.Adagrad("auto", bounded=True))
    with pytest.raises(ValueError, match=r"SGD\(bounded=True\) with .*expected one Linear"):
        gd.Trainer(model, loss, gd.SGD(0.1, bounded=True))


@pytest.mark.parametrize("name", MODELS)
def test_what_can_be_bounded_is_by_default(name):
    layers, loss = MODELS[name]
    for stack in (layers, [gd.Standardize(5), *layers], [*layers, gd.Tanh()]):
        model = gd.Model(stack)
        assert can_be_bounded(model, as_loss(loss))
        for optimizer in ("auto", gd.Adagrad("auto"), gd.Adagrad("auto", bounded=True)):
            assert resolved(optimizer, model, as_loss(loss), 8) == gd.Adagrad("auto", bounded=True)
        assert not resolved(gd.Adagrad(0.1), model, as_loss(loss), 8).bounded


def test_a_bound_has_no_momentum():
    with pytest.raises(ValueError, match=r"bounded with momentum=0.9; expected no momentum"):
        gd.SGD(momentum=0.9, bounded=True)


def test_a_bound_is_a_switch():
    with pytest.raises(TypeError, match="bounded is 'yes'; expected True or False"):
        gd.Adagrad(bounded="yes")


def test_runs_know_whether_they_have_bounds():
    optimizer = gd.Adagrad("auto", bounded=True)
    assert optimizers.restore(optimizer.describe()) == optimizer


@pytest.mark.parametrize("batch_size", [1, 32, 64, None])
def test_the_rate_of_auto_falls_over_each_epoch(batch_size):
    X, y, _ = rows_of("neuron", 200)
    y += X @ np.ones((5, 1))
    trainers = []
    unit = float(y.std())
    schedule = unit if batch_size is None else Cooldown(0.3 * unit, -(-200 // batch_size), share=1.0)
    for optimizer in (gd.Adagrad("auto"), gd.Adagrad(schedule, bounded=True)):
        model = gd.Model([gd.Linear(5, 1, init="zeros")])
        trainers.append(gd.Trainer(model, optimizer=optimizer, batch_size=batch_size))
        trainers[-1].fit(X, y, epochs=2)
    np.testing.assert_array_equal(*(trainer.model.parameters for trainer in trainers))
    assert trainers[0].history.search_seconds < 1
