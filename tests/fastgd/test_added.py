"""A loss and an optimiser that are added as the README says: settings, a kernel, and a line in each table."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
from by_hand import train_by_hand

import fastgd as gd
from fastgd import kernels, losses, optimizers
from fastgd.kernels.codegen.function_pointer import pointer_kernel, settings_of
from fastgd.kernels.codegen.jit import inlined_kernel
from fastgd.kernels.nn.loss import POINTWISE
from fastgd.kernels.optim.hooks import Hooks, transform_gradient_types, update_types
from fastgd.kernels.optim.vectors import part_of


class LogCosh(NamedTuple):
    """log cosh(z - y)."""


@inlined_kernel
def log_cosh(loss, out, target):
    error = np.float64(out) - np.float64(target)
    small = np.exp(-2 * abs(error))
    return abs(error) + np.log1p(small) - np.log(2.0), type(out)(np.tanh(error))


class Sign(NamedTuple):
    """w -= rate · sign(m);  m = momentum · m + g, for gradients that are less than `least` zero."""

    momentum: float
    least: float


@pointer_kernel(update_types)
def sign(vectors, numbers, rate, t, part):
    settings = settings_of(Sign, numbers)
    w, gradient = part_of(vectors.parameters, part), part_of(vectors.gradient, part)
    m = part_of(vectors.state[0], part)
    for i in range(w.size):
        m[i] = type(rate)(settings.momentum) * m[i] + gradient[i]
        w[i] -= rate * np.sign(m[i])


@pointer_kernel(transform_gradient_types)
def drop_small(vectors, numbers, weights):
    settings = settings_of(Sign, numbers)
    for i in range(vectors.gradient.size):
        if abs(vectors.gradient[i]) < settings.least:
            vectors.gradient[i] = 0


@dataclass(frozen=True)
class SignSGD(optimizers.Optimizer):
    learning_rate: optimizers.LearningRate = 0.01
    momentum: float = 0.5
    least: float = 0.01
    state_names: ClassVar[tuple[str, ...]] = ("m",)

    def settings_for(self, model, loss, is_full_batch):
        return Sign(self.momentum, self.least)


@pytest.fixture
def log_cosh_loss(monkeypatch):
    monkeypatch.setitem(POINTWISE, LogCosh, log_cosh)
    monkeypatch.setitem(losses.LOSSES, "log_cosh", losses.Kind(LogCosh, "log cosh(z - y)", curvature=1.0))
    return "log_cosh"


@pytest.fixture
def sign_sgd(monkeypatch):
    monkeypatch.setitem(kernels.OPTIMIZERS, Sign, Hooks(sign, transform_gradient=drop_small))
    monkeypatch.setitem(optimizers.OPTIMIZERS, "SignSGD", SignSGD)
    return SignSGD


def rows(rng, n_features=3):
    X = rng.standard_normal((60, n_features))
    return X, X @ np.arange(1.0, n_features + 1) + 0.3 * rng.standard_normal(60)


@pytest.mark.parametrize("batch_size", [1, pytest.param(16, marks=pytest.mark.slow)])
def test_a_neuron_learns_by_a_loss_that_was_added(batch_size, log_cosh_loss, rng):
    X, y = rows(rng)
    model = gd.Model([gd.Linear(3, 1, init="zeros")], dtype="float64")
    trainer = gd.Trainer(model, log_cosh_loss, gd.SGD(0.1), batch_size)
    trainer.fit(X, y, epochs=2)
    expected = train_by_hand(
        np.zeros(4), X, y, lambda z, y: (np.log(np.cosh(z - y)), np.tanh(z - y)), lambda t: 0.1, batch_size,
        orders=2 * [np.arange(60)],
    )  # fmt: skip
    np.testing.assert_allclose(model.parameters, expected.parameters, rtol=1e-10)
    np.testing.assert_allclose(trainer.history.loss, expected.losses, rtol=1e-10)


def test_a_network_learns_by_a_loss_that_was_added(log_cosh_loss, rng, tmp_path):
    X, y = rows(rng)
    model = gd.Model([gd.Linear(3, 8), gd.Tanh(), gd.Linear(8, 1)], dtype="float64")
    before = model.loss(X, y, loss=log_cosh_loss)
    z = model.predict(X)[:, 0]
    assert before == pytest.approx(np.log(np.cosh(z - y)).mean(), rel=1e-12)
    trainer = gd.Trainer(model, log_cosh_loss, gd.Adam(0.02), 8, metrics=["r2"])
    trainer.fit(X, y, epochs=30)
    assert trainer.history.loss[-1] < before / 3
    trainer.save(tmp_path / "run.safetensors")
    assert gd.Trainer.load(tmp_path / "run.safetensors").loss == LogCosh()


def test_what_a_loss_is_stands_in_its_entry(log_cosh_loss, rng):
    """A curvature lets steps be bounded, targets of any number have R², and "auto" needs no more."""
    X, y = rows(rng)
    trainer = gd.Trainer(gd.Model([gd.Linear(3, 1)], dtype="float64"), log_cosh_loss, "auto", 8)
    assert trainer.optimizer == gd.Adagrad("auto", bounded=True)
    trainer.fit(X, y, epochs=5)
    assert trainer.history.loss[-1] < trainer.history.loss[0]
    with pytest.raises(ValueError, match="the targets of log_cosh are numbers"):
        gd.Trainer(gd.Model([gd.Linear(3, 1)]), log_cosh_loss, metrics=["accuracy"])


@pytest.mark.parametrize("layers", [[gd.Linear(3, 1)], [gd.Linear(3, 4), gd.Tanh(), gd.Linear(4, 1)]], ids=len)
def test_a_model_learns_with_an_optimiser_that_was_added(layers, sign_sgd, rng, tmp_path):
    X, y = rows(rng)
    model = gd.Model(layers, dtype="float64")
    w, m = model.parameters.copy(), np.zeros(model.parameters.size)
    twin = gd.Model(layers, dtype="float64")
    for start in range(0, 60, 20):
        twin.parameters = w
        _, g = twin.loss_and_gradient(X[start : start + 20], y[start : start + 20])
        m = 0.5 * m + np.where(np.abs(g) < 0.1, 0, g)
        w = w - 0.02 * np.sign(m)
    trainer = gd.Trainer(model, optimizer=sign_sgd(0.02, least=0.1), batch_size=20)
    trainer.fit(X, y)
    np.testing.assert_allclose(model.parameters, w, rtol=1e-10)
    np.testing.assert_allclose(trainer.optimizer_state["m"], m, rtol=1e-8, atol=1e-12)
    trainer.save(tmp_path / "run.safetensors")
    loaded = gd.Trainer.load(tmp_path / "run.safetensors")
    for each in (trainer, loaded):
        each.fit(X, y)
    np.testing.assert_array_equal(loaded.model.parameters, model.parameters)
