"""Schedules of one's own."""

import math

import numpy as np
import pytest
from cases import model_of, rows_for

import fastgd as gd
from fastgd.schedules import (
    Constant,
    LinearWarmup,
)


class Own(gd.schedules.Schedule):
    """The given rates in turn, and NaN after them."""

    def __init__(self, *rates):
        self.rates = np.array(rates)

    def __call__(self, t):
        places = np.asarray(t).astype(int) - 1
        return np.append(self.rates, math.nan)[np.minimum(places, len(self.rates))]

    def __repr__(self):
        return "Own()"


@pytest.mark.parametrize("bad", [-0.01, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("around", [lambda own: own, lambda own: LinearWarmup(own, n_updates=2)], ids=["own", "within"])
@pytest.mark.parametrize(("name", "batch_size"), [("neuron", 1), ("neuron", 4), ("hidden layer", 1)])
@pytest.mark.parametrize("alpha", [0, 0.1])
def test_bad_rates_of_ones_own_are_refused_when_they_are_met(bad, around, name, batch_size, alpha):
    good = np.linspace(0.01, 0.02, 17)
    model, twin = model_of(name), model_of(name)
    X, y, _ = rows_for(model, 30 * batch_size)
    settings = {"batch_size": batch_size, "alpha": alpha, "l1_ratio": 0.5}
    trainer = gd.Trainer(model, optimizer=gd.SGD(around(Own(*good, bad, *good))), **settings)
    message = rf"{around(Own())!r} gives {bad} for update 18; expected finite rates of at least 0".replace("(", r"\(")
    with pytest.raises(ValueError, match=message.replace(")", r"\)")):
        trainer.fit(X, y)
    n_rows = 17 * batch_size
    gd.Trainer(twin, optimizer=gd.SGD(around(Own(*good))), **settings).fit(X[:n_rows], y[:n_rows])
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-12)
    assert trainer.n_updates == 17


def test_rates_past_the_last_update_are_not_met():
    model = model_of("neuron")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(Own(0.03, 0.02, 0.01)), batch_size=4)
    assert len(trainer.fit(X, y)) == 1
    with pytest.raises(ValueError, match="gives nan for update 4; expected"):
        trainer.fit(X, y)
    assert trainer.n_updates == 3


@pytest.mark.parametrize("result", [0.1, [0.1], "0.1", None], ids=repr)
def test_rates_of_another_shape_are_refused(result):
    class Odd(gd.schedules.Schedule):
        def __call__(self, t):
            return result

    model = model_of("neuron")
    X, y, _ = rows_for(model, 12)
    trainer = gd.Trainer(model, optimizer=gd.SGD(Odd()))
    with pytest.raises(ValueError, match=r"Odd.* gives .* for \d+ updates; expected an array of shape"):
        trainer.fit(X, y)
    assert trainer.n_updates == 0


@pytest.mark.parametrize("around", [lambda own: own, lambda own: LinearWarmup(own, n_updates=9)], ids=["own", "within"])
def test_a_run_with_a_schedule_of_ones_own_goes_on_when_it_is_given(around, tmp_path):
    own = Own(*np.linspace(0.1, 0.01, 40))
    X, y, _ = rows_for(model_of("neuron"), 20)
    trainer = gd.Trainer(model_of("neuron"), optimizer=gd.SGD(around(own)))
    trainer.fit(X, y)
    trainer.save(tmp_path / "run")
    trainer.fit(X, y)
    loaded = gd.Trainer.load(tmp_path / "run", schedule=own)
    loaded.fit(X, y)
    np.testing.assert_array_equal(loaded.model.parameters, trainer.model.parameters)
    np.testing.assert_array_equal(gd.Model.load(tmp_path / "run").predict(X).shape, (20, 1))
    with pytest.raises(
        ValueError, match=r"a schedule Own of your own and schedule is None; expected Trainer\.load\(path"
    ):
        gd.Trainer.load(tmp_path / "run")
    other = type("Other", (Own,), {})
    with pytest.raises(ValueError, match="a schedule Own of your own and schedule is"):
        gd.Trainer.load(tmp_path / "run", schedule=other())
    with pytest.raises(ValueError, match=r"schedule is Constant.*; expected one of your own"):
        gd.Trainer.load(tmp_path / "run", schedule=Constant(0.1))


def test_a_schedule_of_ones_own_may_be_called_as_one_of_these(tmp_path):
    own = type("Step", (Own,), {})(0.1, 0.2)
    gd.Trainer(model_of("neuron"), optimizer=gd.SGD(own)).save(tmp_path / "run")
    with pytest.raises(ValueError, match="a schedule Step of your own"):
        gd.Trainer.load(tmp_path / "run")
    assert gd.Trainer.load(tmp_path / "run", schedule=own).learning_rate == 0.1


def test_a_schedule_that_takes_no_arrays():
    class Falling(gd.schedules.Schedule):
        def __call__(self, t):
            return 0.1 if t < 5 else 0.01

    trainer = gd.Trainer(gd.Model([gd.Linear(2, 1)]), optimizer=gd.SGD(Falling()))
    with pytest.raises(ValueError, match="fails for an array of updates"):
        trainer.fit(np.ones((8, 2)), np.ones(8))
