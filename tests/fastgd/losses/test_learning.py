"""Each loss learns."""

import numpy as np
import pytest

import fastgd as gd
from fastgd import losses

pytestmark = pytest.mark.slow

SIGNS = ["hinge", "squared_hinge", "modified_huber", "perceptron"]


@pytest.mark.parametrize("loss", ["log_loss", *(pytest.param(loss, marks=pytest.mark.slow) for loss in SIGNS)])
@pytest.mark.parametrize("hidden", [0, 16])
def test_classifies(loss, hidden, rng):
    """Two classes that a line parts; with a hidden layer, a ring around a disc."""
    X = rng.standard_normal((3000, 2))
    inside = (X**2).sum(1) < 1.4 if hidden else X @ [2.0, -1.0] + 0.5 > 0
    y = np.where(inside, 1, 0 if loss == "log_loss" else -1)
    layers = [gd.Linear(2, hidden), gd.ReLU(), gd.Linear(hidden, 1)] if hidden else [gd.Linear(2, 1, init="zeros")]
    model = gd.Model(layers)
    before = model.loss(X, y, loss)
    history = gd.Trainer(model, loss, gd.SGD(0.05), batch_size=4, shuffle=True).fit(X, y, epochs=15)
    assert np.mean((model.predict(X).ravel() > 0) == inside) > 0.95
    assert history.loss[-1] < 0.5 * history.loss[0] or history.loss[-1] < 0.1
    assert model.loss(X, y, loss) < before or before == 0


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_classifies_among_many(label_smoothing, rng):
    """Five classes, each around a centre of its own."""
    centres = 4 * rng.standard_normal((5, 6))
    y = rng.integers(0, 5, 2000)
    X = centres[y] + rng.standard_normal((2000, 6))
    model = gd.Model([gd.Linear(6, 5)])
    loss = losses.cross_entropy(label_smoothing)
    before = model.loss(X, y, loss)
    gd.Trainer(model, loss, gd.SGD(0.02), batch_size=8, shuffle=True).fit(X, y, epochs=5)
    assert np.mean(model.predict(X).argmax(1) == y) > 0.95
    assert model.loss(X, y, loss) < 0.2 * before


REGRESSION = {
    "half_squared_error": ("half_squared_error", 0.02),
    "absolute_error": ("absolute_error", 0.02),
    "huber": ("huber", 0.02),
    "quantile": ("quantile", 0.02),
    "epsilon_insensitive": ("epsilon_insensitive", 0.02),
    "squared_epsilon_insensitive": ("squared_epsilon_insensitive", 0.02),
}
TEACHER = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]])


@pytest.mark.slow
@pytest.mark.parametrize("name", REGRESSION)
def test_recovers_planted_weights(name, rng):
    """Symmetric noise: every loss here has the teacher's plane as its minimum."""
    loss, learning_rate = REGRESSION[name]
    X = rng.standard_normal((4000, 3))
    y = X @ TEACHER.T + [1, -1] + 0.1 * rng.standard_normal((4000, 2))
    model = gd.Model([gd.Linear(3, 2, init="zeros")])
    before = model.loss(X, y, loss)
    gd.Trainer(model, loss, gd.SGD(learning_rate), batch_size=16, shuffle=True).fit(X, y, epochs=20)
    # The last step leaves about learning_rate behind, and the noise 0.1 / sqrt(4000).
    np.testing.assert_allclose(model.layers[0].weight, TEACHER, atol=0.03)
    np.testing.assert_allclose(model.layers[0].bias, [1, -1], atol=0.03)
    assert model.loss(X, y, loss) < 0.1 * before


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_quantile_covers_its_share(level, rng):
    """Noise that grows with the feature: the plane of the quantile is steeper than that of the mean."""
    X = rng.uniform(0, 1, (5000, 1))
    y = X[:, 0] + (1 + X[:, 0]) * rng.standard_normal(5000)
    model = gd.Model([gd.Linear(1, 1, init="zeros")])
    rate = gd.schedules.InverseScaling(0.5, 0.5)
    gd.Trainer(model, losses.quantile(level), gd.SGD(rate), batch_size=16, shuffle=True).fit(X, y, epochs=30)
    covered = y <= model.predict(X).ravel()
    # A share of 5000 rows is off by 0.007 at most twice in a hundred; a step of the last rate moves it by as much.
    assert covered.mean() == pytest.approx(level, abs=0.02)
    for half in (X[:, 0] < 0.5, X[:, 0] >= 0.5):
        assert covered[half].mean() == pytest.approx(level, abs=0.04)


def test_poisson_recovers_log_rates(rng):
    X = rng.uniform(-1, 1, (20_000, 3))
    weight, bias = np.array([0.5, -1.0, 0.25]), 0.75
    y = rng.poisson(np.exp(X @ weight + bias))
    model = gd.Model([gd.Linear(3, 1, init="zeros")])
    history = gd.Trainer(model, "poisson", gd.SGD(0.01), batch_size=16, shuffle=True).fit(X, y, epochs=8)
    # A standard error of a weight is about 0.01 here, and the steps add as much.
    np.testing.assert_allclose(model.parameters, [*weight, bias], atol=0.05)
    assert history.loss[-1] < history.loss[0]
