"""Rows of weight zero move nothing, whatever they hold."""

import numpy as np
import pytest
from cases import rounding
from loss_cases import CASES, made

import fastgd as gd


@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.slow), 4, None])
@pytest.mark.parametrize("z", [100.0, 1e4])
def test_a_poisson_rate_that_overflows_moves_nothing_at_weight_zero(z, batch_size, dtype):
    """1e4 overflows in both dtypes, 100 in float32 alone; the rows of weight one are learnt as if they stood alone."""
    X, y = np.ones((8, 1)), np.ones(8)
    weight = np.zeros(8)
    model = gd.Model([gd.Linear(1, 1, bias=False, init=[[z]])], dtype=dtype)
    assert model.loss(X, y, "poisson", weight) == 0
    trainer = gd.Trainer(model, "poisson", batch_size=batch_size)
    assert trainer.fit(X, y, sample_weight=weight).loss == [0]
    assert model.parameters == [z]
    assert trainer.n_updates == 0
    X[::2], weight[::2] = 1 / z, 1
    loss, gradient = model.loss_and_gradient(X, y, "poisson", weight)
    assert loss == pytest.approx((np.e - 1) / 2, rel=rounding(dtype, 4))
    np.testing.assert_allclose(gradient, [(np.e - 1) / 2 / z], rtol=rounding(dtype, 4))
    assert np.isfinite(trainer.fit(X, y, sample_weight=weight).loss[-1])
    assert trainer.n_updates == (4 if batch_size == 1 else -(-8 // (batch_size or 8)))


OPTIMIZERS = {
    "SGD": gd.SGD(0.1),
    "momentum": gd.SGD(0.1, momentum=0.9, weight_decay=0.1),
    "Nesterov": gd.SGD(0.1, momentum=0.9, nesterov=True),
    "Adam": gd.Adam(weight_decay=0.1),
    "AdamW": gd.AdamW(),
    "Adagrad": gd.Adagrad(weight_decay=0.1),
    "RMSprop": gd.RMSprop(momentum=0.9, centered=True, weight_decay=0.1),
    "NormalizedSGD": gd.NormalizedSGD(),
}
REGULARIZATION = {"alpha": 0.5, "l1_ratio": 0.5, "clip_norm": 0.1, "max_norm": 0.1, "average_from": 2}


def assert_nothing_moves(trainer, X, y):
    """With every weight at zero, neither the model, the optimiser nor the count of updates."""
    state = {name: array.copy() for name, array in trainer._run.engine.state.between_epochs().items()}
    before, n_updates = trainer.model.parameters.copy(), trainer.n_updates
    history = trainer.fit(X * 10, y, epochs=2, sample_weight=np.zeros(len(X)))
    assert history.loss[-1] == 0
    assert trainer.step(X * 10, y, np.zeros(len(X))) == 0
    np.testing.assert_array_equal(trainer.model.parameters, before)
    assert trainer.n_updates == n_updates
    assert state["n_updates"] == n_updates
    for name, array in trainer._run.engine.state.between_epochs().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, REGULARIZATION], ids=["plain", "regularised"])
def test_weights_of_zero_move_nothing(options, optimizer, batch_size):
    """Neither before the first update nor after some, whatever the optimiser remembers."""
    X, y = made(CASES["log_loss"], 10, 1)
    model = gd.Model([gd.Linear(1, 3), gd.ReLU(), gd.Linear(3, 1)], dtype="float64")
    trainer = gd.Trainer(model, "log_loss", OPTIMIZERS[optimizer], batch_size, **options)
    before = model.parameters.copy()
    with pytest.warns(gd.UsageWarning, match="all sample weights are zero: nothing is learnt"):
        trainer.fit(X, y, sample_weight=np.zeros(10))
    np.testing.assert_array_equal(model.parameters, before)
    assert trainer.n_updates == 0
    trainer.fit(X, y)
    assert trainer.n_updates == -(-10 // (batch_size or 10))
    assert (model.parameters != before).any()
    assert_nothing_moves(trainer, X, y)


@pytest.mark.parametrize("name", CASES)
def test_weights_of_zero_move_nothing_for_any_loss(name, dtype):
    case = CASES[name]
    X, y = made(case, 10, 4)
    trainer = gd.Trainer(gd.Model([gd.Linear(4, 4)], dtype=dtype), case.loss, gd.SGD(0.01), batch_size=4)
    trainer.fit(X, y)
    assert_nothing_moves(trainer, X, y)
